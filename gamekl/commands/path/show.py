"""What `gamekl path` prints: what lies on the path, and the policies at the temperatures that were asked for."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from gamekl.commands.path import LogitPath
from gamekl.commands.path.tracing import Traced
from gamekl.core.names import numbered, printed_names
from gamekl.core.report.text import aligned
from gamekl.core.status import Status
from gamekl.solvers.paths.kinds import BRANCHINGS, PointKind

# Crossings that stand beside each other.
COLUMNS = 7
# A player whose probabilities change less than this, beside the others', is not named where the path turns off.
TOLD = 1e-6


class _Column(NamedTuple):
    """A crossing of a temperature that was asked for: its number in the list of these, and that of the crossing."""

    asked: int
    number: int


def _each(values: np.ndarray) -> str:
    """One number where all players have the same, else theirs."""
    return " ".join(f"{value:.6g}" for value in (values[:1] if np.ptp(values) == 0 else values))


def _rate(temperatures: np.ndarray) -> str:
    return f"lambda {_each(1 / temperatures)}, temperature {_each(temperatures)}"


def turning(traced: Traced, row: int) -> list[tuple[int, int]]:
    """The players and their actions that gain most, beside the branch that is left, where the path turns off.

    Args:
        traced: the path.
        row: the turn-off's; the branching point is in the row before.
    """
    points = traced.points
    share = points.pace[row] / points.pace[row - 1] if points.pace[row - 1] else 0.0
    changes: list[np.ndarray] = []
    for log_policy, tangent in zip(points.log_policy, points.tangent, strict=True):
        policy = np.exp(log_policy[row])
        away = np.where(policy > 0, tangent[row] - share * tangent[row - 1], 0)
        changes.append(policy * (away - policy @ away))
    most = max(float(np.max(change)) for change in changes)
    return [(player, int(np.argmax(change))) for player, change in enumerate(changes) if np.max(change) > TOLD * most]


def _event(traced: Traced, row: int) -> str:
    """What becomes of the path at a singular point."""
    points = traced.points
    if points.kind[row] == PointKind.fold:
        return "from here the temperature " + ("rises" if points.pace[row - 1] > 0 else "falls again")
    if row + 1 == len(points.kind) or points.kind[row + 1] != PointKind.turn_off:
        return "stayed"
    names = traced.names
    sides = [
        f"{printed_names(names.actions[player])[action]} of {printed_names(names.players)[player]}"
        for player, action in turning(traced, row + 1)
    ]
    return f"crossed, towards {', '.join(sides)}"


def _events(traced: Traced) -> Iterator[list[str]]:
    points = traced.points
    for row, number in enumerate(points.kind):
        kind = PointKind(int(number))
        if kind not in (PointKind.place, PointKind.turn_off):
            temperature = points.temperature[row]
            yield [_each(1 / temperature), _each(temperature), kind.name, _event(traced, row)]


def _unlocated(traced: Traced) -> Iterator[str]:
    """How many branching points were passed without being found."""
    located = int(np.sum(np.isin(traced.points.kind, BRANCHINGS)))
    if (missed := int(traced.found.path.bifurcations) - located) > 0:
        yield f"other branches cross it at {missed} more point{'s' * (missed > 1)}, which could not be located"


def _columns(traced: Traced) -> list[_Column]:
    counts = np.minimum(traced.found.crossings.count, traced.found.crossings.status.shape[-1])
    return [_Column(asked, number) for asked, count in enumerate(counts) for number in range(count)]


def _rows(traced: Traced, columns: Sequence[_Column]) -> Iterator[list[str]]:
    found = traced.found.crossings

    def row(name: str, cell: Any) -> list[str]:
        return [name, *(cell(*column) for column in columns)]

    yield row("lambda", lambda asked, _: _each(1 / found.temperature[asked]))
    yield row("temperature", lambda asked, _: _each(found.temperature[asked]))
    if np.max(found.count) > 1:
        yield row("crossing", lambda asked, number: f"{number + 1} of {found.count[asked]}")
    for player, actions, log_policy in zip(
        printed_names(traced.names.players), traced.names.actions, found.log_policy, strict=True
    ):
        yield [player]
        names = printed_names(actions)
        width = max(map(len, names)) if names == numbered(len(names)) else 0
        for action, name in enumerate(names):
            yield row(
                f"  {name:>{width}}",
                lambda *column, action=action, log_policy=log_policy: f"{np.exp(log_policy[(*column, action)]):.8f}",
            )
    yield row("residual", lambda *column: f"{found.residual[column]:.1e}")
    ended = [found.status[column] for column in columns]
    if set(ended) != {Status.converged}:
        yield row("status", lambda *column: Status(int(found.status[column])).name)
    yield row("index", lambda *column: f"{int(found.index[column]):+d}" if found.index[column] else "0")


def show(traced: Traced, flags: LogitPath) -> bool:
    """Print what was found, and tell whether all of it was."""
    found, status = traced.found, Status(int(traced.found.status))
    start = "uniform play" if flags.reference is None else f"the policies of {flags.reference}"
    print(f"the logit path from {start} to {_rate(traced.ends)} payoff units per nat")
    if not found.path.crossings:
        print(f"it went as far as {_rate(found.path.temperature)}")
    events = list(_events(traced))
    told = aligned([["lambda", "temperature"], *events]) if events else []
    told += _unlocated(traced)
    print("\n".join(told or ["it meets no fold and no other branch"]))
    columns = _columns(traced)
    for first in range(0, len(columns), COLUMNS):
        print("\n".join(["", *aligned(list(_rows(traced, columns[first : first + COLUMNS])))]))
    written = {"figure": flags.figure, "csv": flags.csv}
    print("\n".join(["", *(f"{name}: {path}" for name, path in written.items() if path is not None)]))
    print(f"status: {status.name}: {status.message} ({len(traced.points.kind)} points, {int(found.num_steps)} steps)")
    return status == Status.converged
