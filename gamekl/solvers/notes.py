"""What is told of the way to an equilibrium. Loads no jax."""

from collections.abc import Iterator
from typing import Any

import numpy as np

LEFT = (
    "as Newton's method did not converge from there, or only by a first step of 4 nats or more; the answer is the "
    "first crossing of the path from the reference"
)


def path_notes(folds: Any, bifurcations: Any, left: Any = None) -> Iterator[str]:
    """What happened on the logit path, of one game or of several, and what it means.

    Args:
        folds: as of `solvers.solution.PathSummary`, like the others; numbers or arrays.
        bifurcations: likewise.
        left: likewise.
    """
    turns, crossings = int(np.sum(folds)), int(np.sum(bifurcations))
    if turns:
        yield f"path: it folds {turns} times: lower temperatures came first, then higher ones, before this was met"
    if crossings:
        yield (
            f"path: other branches cross it at {crossings} point{'s' * (crossings > 1)}, and it was followed "
            "straight on; a game that differs ever so little may have its principal equilibrium elsewhere"
        )
    if left is not None and np.any(left):
        games = f" in {np.sum(left):,} of {np.size(left):,} games" if np.ndim(left) else ""
        yield f"initial: left{games}, {LEFT}"
