"""The points of a path as a CSV file."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np

from gamekl.commands.path.tracing import Traced
from gamekl.core.names import distinct
from gamekl.experiment.run.publish import publish
from gamekl.solvers.paths.logit_path import PointKind


def _columns(traced: Traced) -> dict[str, list[Any]]:
    points = traced.points
    temperatures = np.asarray(points.temperature).T
    names: list[str] = ["kind", "arclength", "pace", "index"]
    columns: list[list[Any]] = [
        [PointKind(int(kind)).name for kind in points.kind],
        points.arclength.tolist(),
        points.pace.tolist(),
        [int(index) for index in points.index],
    ]
    names += [f"temperature:{name}" for name in traced.names.players]
    columns += [entry.tolist() for entry in temperatures]
    names += [f"lambda:{name}" for name in traced.names.players]
    columns += [(1 / entry).tolist() for entry in temperatures]
    for player, actions, log_policy in zip(traced.names.players, traced.names.actions, points.log_policy, strict=True):
        names += [f"{player}:{action}" for action in actions]
        columns += np.exp(log_policy).T.tolist()
    return dict(zip(distinct(names), columns, strict=True))


def write_rows(traced: Traced, path: Path) -> None:
    """Write one row for each point in the order of the path, every number with all of its digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = _columns(traced)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    publish(path, text.getvalue().encode())
