"""The points of a path, and its crossings of temperatures, as tables. Loads no jax."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gamekl.core.names import Names
from gamekl.core.status import Status
from gamekl.solvers.paths.kinds import PointKind
from gamekl.solvers.report.columns import joined, of_players, of_policies


@dataclass(frozen=True)
class Rows:
    """The fields of `PathPoints` of one path, as numpy's arrays without what stands behind the last point."""

    log_policy: tuple[np.ndarray, ...]
    temperature: np.ndarray
    kind: np.ndarray
    arclength: np.ndarray
    tangent: tuple[np.ndarray, ...]
    pace: np.ndarray
    index: np.ndarray
    scale: np.ndarray


def without_padding(points: Any) -> Rows:
    """The points of one path.

    Args:
        points: as `PathPoints`, in numpy's arrays or jax's.
    """
    count = int(points.count)

    def kept(field: Any) -> Any:
        return tuple(map(kept, field)) if isinstance(field, tuple) else np.asarray(field)[:count]

    fields = ("log_policy", "temperature", "kind", "arclength", "tangent", "pace", "index")
    return Rows(**{name: kept(getattr(points, name)) for name in fields}, scale=np.asarray(points.scale))


def point_rows(points: Rows, names: Names) -> dict[str, Any]:
    """A row for each point in the order of the path."""
    columns = {
        "kind": [PointKind(int(kind)).name for kind in points.kind],
        "arclength": points.arclength.tolist(),
        "pace": points.pace.tolist(),
        "index": [int(index) for index in points.index],
    }
    policies = [np.exp(entry) for entry in points.log_policy]
    return joined(columns, *_temperatures(points.temperature, names), of_policies(policies, names))


def _temperatures(temperature: np.ndarray, names: Names) -> tuple[Any, Any]:
    return of_players("temperature", temperature, names), of_players("lambda", 1 / temperature, names)


def crossing_rows(crossings: Any, names: Names) -> dict[str, Any]:
    """A row for each time that the path meets one of the temperatures that were asked for, as far as there is room.

    Args:
        crossings: as `PathCrossings`, in numpy's arrays or jax's.
        names: of players and actions.
    """
    status = np.asarray(crossings.status)
    room = np.minimum(np.asarray(crossings.count), status.shape[1])
    asked = np.repeat(np.arange(len(status)), room)
    number = np.concatenate([np.arange(size) for size in room])
    temperature = np.asarray(crossings.temperature)[asked]
    columns = {
        "crossing": number.tolist(),
        **{name: np.asarray(getattr(crossings, name))[asked, number].tolist() for name in ("arclength", "residual")},
        "index": [int(index) for index in np.asarray(crossings.index)[asked, number]],
        "status": [Status(int(entry)).name for entry in status[asked, number]],
    }
    policies = [np.exp(np.asarray(entry)[asked, number]) for entry in crossings.log_policy]
    gaps = of_players("gap", np.asarray(crossings.gap)[asked, number], names)
    return joined(*_temperatures(temperature, names), columns, gaps, of_policies(policies, names))
