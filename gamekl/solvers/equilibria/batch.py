"""The host's driver for the equilibria of many games."""

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jaxtyping import Array, Bool

from gamekl.core.arrays import has_float64
from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_key
from gamekl.solvers.batch import check_batch
from gamekl.solvers.driver import Device, in_chunks, on_device
from gamekl.solvers.equilibria.equilibria import Equilibria
from gamekl.solvers.equilibria.find import Options, Request, find_all, make_options, no_starts
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.nash.queue import num_lanes
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.solution import raise_unless_all_converged

# Payoffs beside temperatures, in nats, up to which float32 finds what float64 does (256 games each of 5x5, 10x10 and
# 3x3x3): the search in it is two to three times as fast. What is found is polished and certified in float64.
CALM = 100.0


def _find_chunk(games: NormalFormGame, regularizers: Regularizer, keys: Array, options: Options) -> Equilibria:
    problems = jax.vmap(partial(make_nash_problem, initial=None, tol=None))(games, regularizers)
    initial = no_starts(games.payoffs.shape[2:], (len(keys),))
    return find_all(Request(problems, jax.random.wrap_key_data(keys), initial), options)


def _are_calm(games: NormalFormGame, regularizers: Regularizer) -> Bool[np.ndarray, " game"]:
    """Of each game, whether its search may be in float32."""
    payoffs = games.payoffs.reshape(*games.payoffs.shape[:2], -1)
    temperatures = regularizers.temperature.reshape(len(payoffs), -1)
    with np.errstate(all="ignore"):  # what is NaN is not calm
        calm = np.max(np.ptp(payoffs, axis=2) / temperatures, axis=1) <= CALM
    return calm & (payoffs.dtype == np.float64)


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
    check_key(key)
    keys = np.asarray(jax.random.key_data(jax.random.split(key, size)))
    games, regularizers = jax.tree.map(np.asarray, (games, regularizers))
    batch, x64, calm = (games, regularizers, keys), has_float64(), _are_calm(games, regularizers)

    # Each game by itself tells how it is searched, so that its numbers do not depend on its batch.
    groups = {single: np.flatnonzero(calm == single) for single in (True, False)}
    groups = {single: rows for single, rows in groups.items() if len(rows)} or {False: np.arange(size)}
    parts = [
        in_chunks(
            _find_chunk,
            batch if len(rows) == size else jax.tree.map(lambda leaf, rows=rows: leaf[rows], batch),
            lambda platform: num_lanes(platform, games),
            devices,
            x64,
            options=options._replace(single=single),
        )
        for single, rows in groups.items()
    ]
    places = np.argsort(np.concatenate(list(groups.values())))
    found = parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves)[places], *parts)
    found = on_device(found, x64)
    if throw:
        raise_unless_all_converged(found)
    return found
