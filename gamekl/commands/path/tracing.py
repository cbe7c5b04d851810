"""From a file's table and the flags of `gamekl path` to a traced path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.system import LogitSystem
from gamekl.core.names import Names, numbered_names
from gamekl.core.regularizer import Regularizer
from gamekl.games.files.table import Table
from gamekl.solvers.paths.logit_path import LogitPath
from gamekl.solvers.paths.trace import trace
from gamekl.solvers.solution import Status, load_solution

# The path of a game goes so far by default: lambda is this over the largest range of a player's payoffs.
FARTHEST = 100.0
# Room for points, folds and crossings of the first try, and how often there is four times as much.
ROOMS = {"max_points": 128, "max_folds": 16, "max_crossings": 5}
TRIES = 5


class Traced(NamedTuple):
    """A path and what it is of.

    Attributes:
        names: of players and actions; of a file without names, numbers.
        ends: the temperature of each player where the path is to end.
        scale: kappa of `PathPoints.arclength`.
        found: the path, a `LogitPath` of numpy's arrays.
        points: its `PathPoints`, without padding.
    """

    names: Names
    ends: np.ndarray
    scale: float
    found: Any
    points: Any


def _given(flags: Mapping[str, Sequence[float]]) -> tuple[str, np.ndarray]:
    """The name and the temperatures of the one of two flags that was given; the second has their inverses."""
    (first, temperatures), (second, inverses) = flags.items()
    if temperatures and inverses:
        raise ValueError(f"{second}: got it beside {first}, takes one of the two")
    name, values = (second, inverses) if inverses else (first, temperatures)
    for value in values:
        if not 0 < value < np.inf:
            raise ValueError(f"{name}: got {value}, takes numbers > 0")
    array = np.asarray(values, dtype=float)
    return name, 1 / array if inverses else array


def _end(payoffs: np.ndarray, flags: Mapping[str, Sequence[float]], asked: np.ndarray) -> np.ndarray:
    """The temperature where the path ends, or one for each player."""
    name, end = _given(flags)
    if end.size not in (0, 1, len(payoffs)):
        raise ValueError(f"{name}: got {end.size} numbers, takes one, or one for each of {len(payoffs)} players")
    if end.size:
        return end.reshape(()) if end.size == 1 else end
    if asked.size:
        return np.asarray(asked.min())
    ranges = np.ptp(payoffs.reshape(len(payoffs), -1), axis=1)
    return np.asarray(ranges.max() / FARTHEST or 1.0)


def _references(path: Path, payoffs: np.ndarray) -> tuple[Any, ...]:
    try:
        found = load_solution(path).log_policy
    except (ValueError, OSError) as error:
        raise ValueError(f"reference: got {path}, takes a solution that `gamekl solve --save` wrote") from error
    shape = tuple(entry.shape[-1] for entry in found)
    if shape != payoffs.shape[1:]:
        raise ValueError(f"reference: got {path} of {shape} actions, takes {payoffs.shape[1:]}, as the game has")
    return found


def _trace(
    game: NormalFormGame, regularizer: Regularizer, temperatures: Any, at_branching: Literal["stay", "cross"]
) -> LogitPath:
    """The path, with room for all of it."""
    rooms = dict(ROOMS)
    while True:
        found = trace(game, regularizer, temperatures=temperatures, at_branching=at_branching, throw=False, **rooms)
        used = {
            "max_points": int(found.points.count) if int(found.status) == Status.max_steps else 0,
            "max_folds": int(found.path.folds) + 1,
            "max_crossings": int(np.max(found.crossings.count)),
        }
        small = [name for name, number in used.items() if number >= rooms[name]]
        if not small or rooms["max_points"] >= ROOMS["max_points"] * 4**TRIES:
            return found
        # All at once, as each change of one is a program of its own.
        rooms = {name: 4 * room for name, room in rooms.items()}


def trace_table(
    table: Table,
    ends: Mapping[str, Sequence[float]],
    asked: Mapping[str, Sequence[float]],
    reference: Path | None,
    at_branching: Literal["stay", "cross"],
) -> Traced:
    """The path of a file's game.

    Args:
        table: the game.
        ends: the flags that say where it ends, as temperatures and as their inverses, by name.
        asked: likewise those at which it is to be reported.
        reference: a saved solution to start from; None for uniform policies.
        at_branching: as `trace` takes it.

    Raises:
        ValueError: a flag is bad, or values of the game are.
    """
    name, temperatures = _given(asked)
    end = _end(table.payoffs, ends, temperatures)
    game = NormalFormGame(jnp.asarray(table.payoffs))
    regularizer = Regularizer.uniform(game, end)
    if reference is not None:
        regularizer = Regularizer(_references(reference, table.payoffs), end)
    first = np.broadcast_to(end, len(table.payoffs))[0]
    if temperatures.size and temperatures.min() < first * (1 - 1e-12):
        low = f"{name}: got {1 / temperatures.min():g}" if "lambda" in name else f"{name}: got {temperatures.min():g}"
        least = f"at most {1 / first:g}" if "lambda" in name else f"at least {first:g}"
        raise ValueError(f"{low}, takes {least}, where the path ends")
    wanted = np.maximum(temperatures, first) if temperatures.size else np.atleast_1d(first)
    wanted = wanted if end.ndim == 0 else wanted[:, None] / first * end
    found = jax.tree.map(np.asarray, _trace(game, regularizer, wanted, at_branching))
    return Traced(
        names=table.names or numbered_names(game.num_actions),
        ends=np.asarray(regularizer.temperatures),
        scale=float(LogitSystem.of(game, regularizer).scale),
        found=found,
        points=jax.tree.map(lambda leaf: leaf[: int(found.points.count)] if np.ndim(leaf) else leaf, found.points),
    )
