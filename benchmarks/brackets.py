"""Whether folds and branching points of paths lie in the brackets that Gambit's points give.

Gambit's `logit_solve_branch` gives a list of points. A fold lies in its bracket where an extremum of lambda in that
list is of the same sort, lambda of the fold lies beyond it, by no more than lambda changes to the two points beside it,
and no probability lies farther from the extremum's than that of the farther of the two; all but for 1e-5, which is
what Gambit's points are off the path by. Where branches cross a path of mirror images, Gambit leaves it on the way:
lambda of the first crossing lies among those from Gambit's last point that is its own mirror image to 1e-6 to the first
that is not to 1e-2, or no farther from these than their largest step, as the other branch may go back.
"""

from typing import NamedTuple

import numpy as np

# Gambit's own error, of probabilities and of lambda, relative.
ERROR = 1e-5
IMAGE, NO_IMAGE = 1e-6, 1e-2
# Of lambda, relative.
SAME = 1e-8
# Between probabilities of a crossing and of the fold beside it that its prong is.
BESIDE = 1e-4


class Point(NamedTuple):
    game: int
    kind: str
    precision: float
    log_policies: list[np.ndarray]


def is_same(one: Point, other: Point) -> bool:
    """Whether two points are one, as far as can be told."""
    near = one.game == other.game and abs(one.precision / other.precision - 1) < SAME
    pairs = zip(one.log_policies, other.log_policies, strict=True)
    return near and max(np.abs(np.exp(a) - np.exp(b)).max() for a, b in pairs) < BESIDE


def is_beside(fold: Point, other: Point) -> bool:
    """Whether a fold is where the prong of this crossing turns."""
    return other.kind != "fold" and is_same(fold, other)


def extrema(precisions: np.ndarray) -> np.ndarray:
    """Where lambda turns."""
    rises = np.sign(np.diff(precisions))
    return 1 + np.flatnonzero(rises[1:] * rises[:-1] < 0)


def holds_fold(precision: float, policies: np.ndarray, at: int, theirs: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether Gambit's extremum and the points beside it are around a fold."""
    lambdas, shares = theirs
    beside = [at - 1, at + 1]
    turn = np.sign(lambdas[at] - lambdas[at - 1])
    beyond, room = turn * (precision - lambdas[at]), np.abs(lambdas[beside] - lambdas[at]).max()
    off, wide = np.abs(policies - shares[at]), np.abs(shares[beside] - shares[at])
    near = -ERROR * precision <= beyond <= room + ERROR * precision
    return bool(near and off.max() <= wide.max() + ERROR)


def folds_in_brackets(
    folds: list[Point], theirs: tuple[np.ndarray, np.ndarray], end: float
) -> tuple[list[bool | None], int]:
    """Whether each does, and how many of Gambit's extrema up to lambda `end` are left over."""
    places = extrema(theirs[0])
    found: list[bool | None] = []
    past = np.flatnonzero(theirs[0] > end)
    left = [int(place) for place in places if not len(past) or place < past[0]]
    for number, fold in enumerate(folds):
        here = fold.precision, np.exp(np.concatenate(fold.log_policies))
        # The path begins upwards, so that lambda is largest at every other fold.
        sort = [place for place in left if (theirs[0][place] > theirs[0][place - 1]) == (number % 2 == 0)]
        at = next((place for place in sort if holds_fold(*here, place, theirs)), None)
        if at is not None:
            left.remove(at)
        found.append(at is not None)
    return found, len(left)


def branching_in_bracket(precision: float, image: list[int], theirs: tuple[np.ndarray, np.ndarray]) -> bool | None:
    """None where Gambit does not leave the path."""
    lambdas, shares = theirs
    away = np.abs(shares - shares[:, image]).max(axis=1)
    if not (away > NO_IMAGE).any():
        return None
    first = int(np.argmax(away > NO_IMAGE))
    last = int(np.flatnonzero(away[:first] <= IMAGE)[-1])
    bracket = lambdas[last : first + 1]
    room = np.abs(np.diff(bracket)).max() + ERROR * precision
    return bool(bracket.min() - room <= precision <= bracket.max() + room)
