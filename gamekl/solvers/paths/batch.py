"""The host's driver for the paths of many games."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import numpy as np

from gamekl.core.arrays import has_float64
from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.batch import check_batch
from gamekl.solvers.driver import Device, in_chunks, on_device
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.nash.queue import num_lanes
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.paths.logit_path import LogitPath
from gamekl.solvers.paths.requests import Options, Request, asked_fractions, make_direction, make_options
from gamekl.solvers.paths.trace import cut, trace_requests
from gamekl.solvers.solution import raise_unless_all_converged


def _trace_chunk(games: NormalFormGame, regularizers: Regularizer, fractions: Any, options: Options) -> LogitPath:
    def request(game: NormalFormGame, regularizer: Regularizer, fractions: Any) -> Request:
        return Request(make_nash_problem(game, regularizer, None, None), fractions, make_direction(game, None))

    return trace_requests(jax.vmap(request)(games, regularizers, fractions), options)


def _trim(parts: list[LogitPath], number: int) -> list[LogitPath]:
    """Chunks of paths with the temperatures that were asked for, and no more rows of points than the longest path has.

    To copy the empty rows would take longer than to trace the paths.
    """
    longest = max(int(np.max(part.points.count, initial=1)) for part in parts)

    def short(part: LogitPath) -> LogitPath:
        points = jax.tree.map(lambda leaf: leaf[:, :longest] if leaf.ndim > 1 else leaf, part.points)
        return eqx.tree_at(lambda path: path.points, cut(part, number), points)

    return [short(part) for part in parts]


def trace_batch(
    games: NormalFormGame,
    regularizers: Regularizer,
    *,
    temperatures: Any = None,
    at_branching: str = "stay",
    max_crossings: int = 1,
    max_points: int = 64,
    max_folds: int = 16,
    max_steps: int = MAX_STEPS,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> LogitPath:
    """The logit paths of a batch of games of one shape by `trace`, on every processor or on several devices.

    It works on concrete arrays, from the host; inside of ``jit`` ``jax.vmap(trace)`` does.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        regularizers: one for each game; every leaf has the leading axis, temperature too.
        temperatures: to report the paths at, as for `trace`, with a leading axis; their ends, if None.
        at_branching: "stay" or "cross", to the side of `trace`'s default.
        max_crossings: room for crossings of each temperature.
        max_points: room for the tracer's points of a path.
        max_folds: room for folds.
        max_steps: most Newton corrections of a path.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise if a path did not come to its end, or misses a temperature. Otherwise `LogitPath.status` tells.

    Returns:
        The paths; every leaf has the leading axis, and the points' tables as many rows as the longest path has points.

    Raises:
        ValueError: shapes do not fit each other, or an option is not known.
        SolveError: (``throw``) a path failed.
    """
    size = check_batch(games, regularizers)
    options = make_options(at_branching, max_crossings, max_points, max_folds, max_steps)
    games, regularizers = jax.tree.map(np.asarray, (games, regularizers))
    fractions, number = asked_fractions(regularizers, temperatures, batch=size)
    batch = games, regularizers, fractions
    x64 = has_float64()
    lanes = partial(num_lanes, games=games)
    trim = partial(_trim, number=number)
    found = in_chunks(_trace_chunk, batch, lanes, devices, x64, trim=trim, options=options)
    found = on_device(found, x64)
    if throw:
        raise_unless_all_converged(found)
    return found
