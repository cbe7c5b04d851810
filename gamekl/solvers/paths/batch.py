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
from gamekl.solvers.driver import Device, in_chunks, on_device, with_rows
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.nash.queue import num_lanes
from gamekl.solvers.nash.solve import MAX_STEPS
from gamekl.solvers.paths.logit_path import LogitPath
from gamekl.solvers.paths.requests import Options, Request, asked_fractions, make_direction, make_options
from gamekl.solvers.paths.trace import cut, trace_requests
from gamekl.solvers.solution import Status, raise_unless_all_converged

# Room for points and folds at first, and how often there is four times as much.
FEWEST_POINTS, FEWEST_FOLDS = 64, 16
MOST_TIMES = 3


def _trace_chunk(games: NormalFormGame, regularizers: Regularizer, fractions: Any, options: Options) -> LogitPath:
    def request(game: NormalFormGame, regularizer: Regularizer, fractions: Any) -> Request:
        return Request(make_nash_problem(game, regularizer, None, None), fractions, make_direction(game, None))

    return trace_requests(jax.vmap(request)(games, regularizers, fractions), options)


def _with_rows_of_points(path: LogitPath, rows: int) -> LogitPath:
    """Paths, in numpy's arrays, with so many rows of points: cut, or filled up."""

    def fit(leaf: np.ndarray, padding: float) -> np.ndarray:
        missing = (len(leaf), max(rows - leaf.shape[1], 0), *leaf.shape[2:])
        return np.concatenate([leaf[:, :rows], np.full(missing, padding, leaf.dtype)], axis=1)

    def numbers(path: LogitPath) -> list[Any]:
        points = path.points
        return [*points.log_policy, *points.tangent, points.temperature, points.arclength, points.pace]

    def codes(path: LogitPath) -> list[Any]:
        return [path.points.kind, path.points.index]

    if rows == path.points.kind.shape[1]:
        return path
    path = eqx.tree_at(numbers, path, [fit(leaf, np.nan) for leaf in numbers(path)])
    return eqx.tree_at(codes, path, [fit(leaf, 0.0) for leaf in codes(path)])


def _trim(parts: list[LogitPath], number: int) -> list[LogitPath]:
    """Chunks of paths with the temperatures that were asked for, and no more rows of points than the longest path has.

    To copy the empty rows would take longer than to trace the paths.
    """
    longest = max(int(np.max(part.points.count, initial=1)) for part in parts)
    return [_with_rows_of_points(cut(part, number), min(longest, part.points.kind.shape[1])) for part in parts]


def _trace_all(batch: tuple[Any, ...], options: Options, grows: tuple[str, ...], times: int, **how: Any) -> LogitPath:
    """All paths; those with more points or folds than fit again, with more room for what `grows`, so many `times`."""
    found: LogitPath = in_chunks(_trace_chunk, batch, options=options, **how)
    small = {
        "max_points": found.points.count >= options.max_points,
        "max_folds": found.path.folds > options.max_folds,
    }
    again = (found.status == Status.max_steps) & np.any([small[name] for name in grows], axis=0)
    full = np.flatnonzero(again)
    if not times or not len(full):
        return found
    some = jax.tree.map(lambda leaf: leaf[full], batch)
    room = {name: 4 * getattr(options, name) for name in grows}
    more = _trace_all(some, options._replace(**room), grows, times - 1, **how)
    rows = max(found.points.kind.shape[1], more.points.kind.shape[1])
    return with_rows(_with_rows_of_points(found, rows), full, _with_rows_of_points(more, rows))


def trace_batch(
    games: NormalFormGame,
    regularizers: Regularizer,
    *,
    temperatures: Any = None,
    at_branching: str = "stay",
    max_crossings: int = 1,
    max_points: int | None = None,
    max_folds: int | None = None,
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
        max_points: room for the tracer's points of a path; if None as much as each takes, up to 4,096.
        max_folds: room for folds; if None as much as each takes, up to 1,024.
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
    given = {"max_points": max_points, "max_folds": max_folds}
    grows = tuple(name for name, number in given.items() if number is None)
    room = FEWEST_POINTS if max_points is None else max_points, FEWEST_FOLDS if max_folds is None else max_folds
    options = make_options(at_branching, max_crossings, *room, max_steps)
    games, regularizers = jax.tree.map(np.asarray, (games, regularizers))
    fractions, number = asked_fractions(regularizers, temperatures, batch=size)
    batch = games, regularizers, fractions
    x64 = has_float64()
    how = {"num_lanes": partial(num_lanes, games=games), "devices": devices, "x64": x64}
    found = _trace_all(batch, options, grows, MOST_TIMES, trim=partial(_trim, number=number), **how)
    found = on_device(found, x64)
    if throw:
        raise_unless_all_converged(found)
    return found
