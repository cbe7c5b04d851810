"""The host's driver for the equilibria of many games."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Array

from gamekl.core.arrays import has_float64
from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.batch import check_batch
from gamekl.solvers.driver import Device, in_chunks, on_device
from gamekl.solvers.equilibria.equilibria import Equilibria
from gamekl.solvers.equilibria.find import Options, Request, find_all, make_options
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.nash.queue import num_lanes
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.solution import raise_unless_all_converged


def _find_chunk(games: NormalFormGame, regularizers: Regularizer, keys: Array, options: Options) -> Equilibria:
    problems = jax.vmap(partial(make_nash_problem, initial=None, tol=None))(games, regularizers)
    return find_all(Request(problems, jax.random.wrap_key_data(keys)), options)


def find_equilibria_batch(
    games: NormalFormGame,
    regularizers: Regularizer,
    key: Array,
    *,
    num_starts: int = 64,
    max_equilibria: int = 32,
    max_steps: int = MAX_STEPS,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> Equilibria:
    """The equilibria of each game of a batch by `find_equilibria`, on every processor or on several devices.

    It works on concrete arrays, from the host; inside of ``jit`` ``jax.vmap(find_equilibria)`` does.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        regularizers: one for each game; every leaf has the leading axis, temperature too.
        key: a jax random key, which is split for the games.
        num_starts: how many starts of each game.
        max_equilibria: room for equilibria of each game.
        max_steps: most Newton corrections of `solve_nash`.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise where a principal equilibrium was not found. Otherwise `Equilibria.status` tells.

    Returns:
        The equilibria; every leaf has the leading axis.

    Raises:
        ValueError: shapes do not fit each other, or an option is not known.
        SolveError: (``throw``) a principal equilibrium was not found.
    """
    size = check_batch(games, regularizers)
    options = make_options(num_starts, max_equilibria, max_steps)
    keys = np.asarray(jax.random.key_data(jax.random.split(key, size)))
    games, regularizers = jax.tree.map(np.asarray, (games, regularizers))
    batch, x64 = (games, regularizers, keys), has_float64()
    found = in_chunks(_find_chunk, batch, lambda platform: num_lanes(platform, games), devices, x64, options=options)
    found = on_device(found, x64)
    if throw:
        raise_unless_all_converged(found)
    return found
