"""From a file's table and the flags of `gamekl path` to a traced path."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import numpy as np

from gamekl.commands.programs import call
from gamekl.core.names import Names
from gamekl.core.status import Status
from gamekl.games.files.table import Table
from gamekl.games.files.tables import load_as
from gamekl.solvers.report.path_rows import Rows, without_padding

# The path of a game goes so far by default: lambda is this over the largest range of a player's payoffs.
FARTHEST = 100.0
# Of the compiler: the same numbers as those of `gk.trace`, in a program of one part, which is loaded soonest.
OPTIONS = {
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,  # gone since jax 0.11
}
# Room for points, folds and crossings of the first try, and how often there is four times as much.
ROOMS = {"max_points": 128, "max_folds": 16, "max_crossings": 5}
TRIES = 5
# A program reports a multiple of so many temperatures.
ASKED = 8


class Traced(NamedTuple):
    """A path and what it is of.

    Attributes:
        names: of players and actions; of a file without names, numbers.
        ends: the temperature of each player where the path is to end.
        found: the path, with the attributes of a `LogitPath`, in numpy's arrays.
        points: those of its points, without padding.
    """

    names: Names
    ends: np.ndarray
    found: Any
    points: Rows


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


def _references(path: Path, payoffs: np.ndarray) -> np.ndarray:
    """The log-policies of a saved solution, one behind the other."""
    from gamekl.solvers.solution import load_solution

    try:
        found = load_solution(path).log_policy
    except (ValueError, OSError) as error:
        raise ValueError(f"reference: got {path}, takes a solution that `gamekl solve --save` wrote") from error
    shape = tuple(entry.shape[-1] for entry in found)
    if shape != payoffs.shape[1:]:
        raise ValueError(f"reference: got {path} of {shape} actions, takes {payoffs.shape[1:]}, as the game has")
    return np.concatenate(found)


def _numbers(given: str) -> np.ndarray | None:
    """Numbers with commas between; None where it is something else."""
    try:
        return np.array([float(part) for part in given.split(",")])
    except ValueError:
        return None


def _direction(given: str, payoffs: np.ndarray) -> np.ndarray:
    """What is given as numbers with commas between, or as a file of payoffs: a table, or a number for each action."""
    numbers = _numbers(given)
    if numbers is None:
        try:
            numbers = load_as(given, lambda table: table.payoffs)
        except (ValueError, OSError) as error:
            why = str(error).removeprefix("path: ")
            raise ValueError(f"direction: {why}, or numbers with commas between") from error
        if numbers.shape != payoffs.shape:
            raise ValueError(f"direction: got {given} of shape {numbers.shape}, takes {payoffs.shape}, as the game has")
    if not np.all(np.isfinite(numbers)):
        raise ValueError(f"direction: got {given}, takes finite numbers")
    if numbers.size == payoffs.size:
        return numbers.reshape(payoffs.shape)
    actions = sum(payoffs.shape[1:])
    if numbers.size != actions:
        raise ValueError(
            f"direction: got {numbers.size} numbers, takes {actions}, one for each action of each player, or "
            f"{payoffs.size}, one for each payoff"
        )
    return numbers


def _grown(found: dict[str, np.ndarray]) -> Any:
    """Arrays by their places, such as ``points.log_policy.0``, as an object of objects and tuples."""
    parts: dict[str, Any] = {}
    for name in found:
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = found[name]
    grown = {name: part[""] if "" in part else _grown(part) for name, part in parts.items()}
    return tuple(grown.values()) if next(iter(grown)).isdigit() else SimpleNamespace(**grown)


def _first(crossings: Any, number: int) -> Any:
    """Those of the first temperatures."""
    parts = vars(crossings).items()
    cut = {
        name: tuple(own[:number] for own in part) if isinstance(part, tuple) else part[:number] for name, part in parts
    }
    return SimpleNamespace(**cut)


def _trace(programs: Path | None, *given: Any, **static: Any) -> Any:
    """The path, with room for all of it."""
    rooms = dict(ROOMS)
    while True:
        found = _grown(call(programs, "path", *given, options=OPTIONS, **static, **rooms))
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
    direction: str | None = None,
    programs: Path | None = None,
) -> Traced:
    """The path of a file's game.

    Args:
        table: the game.
        ends: the flags that say where it ends, as temperatures and as their inverses, by name.
        asked: likewise those at which it is to be reported.
        reference: a saved solution to start from; None for uniform policies.
        at_branching: as `trace` takes it.
        direction: what tells the side to which to cross: numbers with commas between, one for each action or payoff,
            or a file of payoffs; None for the first action that the branches tell apart.
        programs: where compiled programs are kept; None to keep none.

    Raises:
        ValueError: a flag is bad, or values of the game are.
    """
    name, temperatures = _given(asked)
    end = _end(table.payoffs, ends, temperatures)
    players = len(table.payoffs)
    log_references = None if reference is None else _references(reference, table.payoffs)
    if direction is not None and at_branching != "cross":
        raise ValueError(f"direction: got {direction} with --at-branching {at_branching}, takes it with cross")
    change = None if direction is None else _direction(direction, table.payoffs)
    first = np.broadcast_to(end, players)[0]
    if temperatures.size and temperatures.min() < first * (1 - 1e-12):
        low = f"{name}: got {1 / temperatures.min():g}" if "lambda" in name else f"{name}: got {temperatures.min():g}"
        least = f"at most {1 / first:g}" if "lambda" in name else f"at least {first:g}"
        raise ValueError(f"{low}, takes {least}, where the path ends")
    wanted = np.maximum(temperatures, first) if temperatures.size else np.atleast_1d(first)
    wanted = wanted if end.ndim == 0 else wanted[:, None] / first * end
    filled = np.concatenate([wanted, np.repeat(wanted[-1:], -len(wanted) % ASKED, axis=0)])
    found = _trace(programs, table.payoffs, log_references, end, filled, change, at_branching=at_branching)
    vars(found)["crossings"] = _first(found.crossings, len(wanted))
    return Traced(
        names=table.names or Names.of_numbers(table.payoffs.shape[1:]),
        ends=np.broadcast_to(end, players),
        found=found,
        points=without_padding(found.points),
    )
