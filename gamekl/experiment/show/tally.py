"""How the solves of a run ended, and what its data cover."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from gamekl.experiment.schema.cases import Case


class Tally(NamedTuple):
    """How the solves of a case ended, and what its data cover.

    Attributes:
        case: the plan's entry.
        statuses: how many solves ended with each status.
        missing: the share of the datasets that miss a joint action at some stage.
        up_to: the largest sample size of which one does; 0 if none does.
        most: how many one of them misses at most.
    """

    case: Case
    statuses: dict[int, int]
    missing: float
    up_to: int
    most: int

    @property
    def solves(self) -> int:
        """How many there are."""
        return sum(self.statuses.values())

    @property
    def failures(self) -> int:
        """How many of them did not converge."""
        return self.solves - self.statuses.get(0, 0)


def tally(table: pa.Table, cases: Sequence[Case]) -> list[Tally]:
    """One for each case, those without data too."""
    columns = {name: table[name].to_numpy() for name in ("case", "num_samples", "status", "unvisited")}
    found: list[Tally] = []
    for number, case in enumerate(cases):
        mine = {name: column[columns["case"] == number] for name, column in columns.items()}
        statuses, counts = np.unique(mine["status"], return_counts=True)
        missing = mine["unvisited"] > 0
        found.append(
            Tally(
                case=case,
                statuses={int(status): int(count) for status, count in zip(statuses, counts, strict=True)},
                missing=float(missing.mean()) if len(missing) else 0.0,
                up_to=int(mine["num_samples"][missing].max(initial=0)),
                most=int(mine["unvisited"].max(initial=0)),
            )
        )
    return found
