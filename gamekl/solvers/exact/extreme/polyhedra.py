"""All vertices of a best-response polyhedron, in whole numbers, by the double description method.

The polyhedron of the policies x >= 0 and what the opponent can earn at least, v >= (B^T x)_j for each of its actions j,
is a cone: x need not sum to 1. It has the opponent's actions for constraints, and they are added one by one. A ray
that violates the new one goes, and where it was joined by an edge to one that does not, the edge ends in a new ray. All
that is known of a ray are its weights x and how much each action j falls short of v, whole numbers without a common
divisor: these are 0 where a constraint is tight.

Two rays are joined by an edge if no third one is tight in all constraints in which they are both. Most rays are tight
in no more constraints than they must be (they are *simple*): each of these and all but one of its constraints are an
edge, so that edges are found by sorting. Only for the others pairs are compared.

Source: Motzkin, Raiffa, Thompson and Thrall, "The double description method" (1953); Fukuda and Prodon, "Double
description method revisited" (1996).
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped, UInt64

from gamekl.solvers.exact.extreme.rationals import Row

BITS = 64
# Pairs that are compared at once.
MOST_PAIRS = 2**20


class TooLargeError(ValueError):
    """More vertices, equilibria or subsets than were allowed."""


def require_few(count: int, most: int, what: str) -> None:
    """Raise `TooLargeError` if there are more than allowed.

    Args:
        count: how many there are.
        most: how many there may be.
        what: they are, as text.
    """
    if count > most:
        raise TooLargeError(f"max_vertices: got a game with {count:,} {what} or more, takes at most {most:,}")


class Rays(NamedTuple):
    """The extreme rays of a cone of some inequalities, and where they are tight.

    Attributes:
        table: the slack of each inequality, Python's ints: of a best-response polyhedron the weights of the own actions
            and the slacks of the opponent's. It is linear in the ray, and known before the inequality is added.
        added: the inequalities that hold by now.
        tight: those of them with a slack of 0.
    """

    table: Shaped[np.ndarray, "ray label"]
    added: Bool[np.ndarray, " label"]
    tight: Bool[np.ndarray, "ray label"]

    @classmethod
    def of(cls, table: Shaped[np.ndarray, "ray label"], added: Bool[np.ndarray, " label"]) -> "Rays":
        """The rays of a table."""
        return cls(table, added, (table == 0) & added)


def words(tight: Bool[np.ndarray, "ray label"]) -> UInt64[np.ndarray, "ray word"]:
    """Sets of labels as bits."""
    count, labels = tight.shape
    padded = np.zeros((count, -(-labels // BITS) * BITS), np.uint8)
    padded[:, :labels] = tight
    return np.packbits(padded, axis=1, bitorder="little").view(np.uint64)


def keys(sets: UInt64[np.ndarray, "set word"]) -> np.ndarray:
    """One sortable value for each set."""
    width = sets.shape[1]
    return sets[:, 0] if width == 1 else np.ascontiguousarray(sets).view(np.dtype((np.void, 8 * width)))[:, 0]


def pairs_in_parts(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of two lists of numbers, in parts: some of the first, as a column, with all of the second."""
    size = max(1, MOST_PAIRS // max(1, len(second)))
    for start in range(0, len(first) if len(second) else 0, size):
        yield first[start : start + size, None], second[None]


def _simple_edges(
    tight: Bool[np.ndarray, "ray label"],
    sets: UInt64[np.ndarray, "ray word"],
    plus: np.ndarray,
    minus: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of simple rays that are joined, one of either list: all but one of the constraints of each are the same."""

    def ends(rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        which, label = np.nonzero(tight[rays])
        rays = rays[which]
        edges = sets[rays]
        edges[np.arange(len(rays)), label // BITS] ^= np.uint64(1) << (label % BITS).astype(np.uint64)
        return rays, keys(edges)

    (plus, one), (minus, other) = ends(plus), ends(minus)
    _, at, there = np.intersect1d(one, other, return_indices=True)
    return plus[at], minus[there]


def _are_edges(common: UInt64[np.ndarray, "pair word"], sets: UInt64[np.ndarray, "ray word"]) -> np.ndarray:
    """Whether just two rays are tight in each of some sets of constraints."""
    unique, inverse = np.unique(common, axis=0, return_inverse=True)
    found = np.zeros(len(unique), bool)
    for which, rays in pairs_in_parts(np.arange(len(unique)), np.arange(len(sets))):
        wanted = unique[which]
        found[which[:, 0]] = np.count_nonzero(np.all(sets[rays] & wanted == wanted, axis=2), axis=1) == 2
    return found[inverse.reshape(-1)]


def _other_edges(
    sets: UInt64[np.ndarray, "ray word"],
    simple: Bool[np.ndarray, " ray"],
    plus: np.ndarray,
    minus: np.ndarray,
    own: int,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs that are joined, of rays that are not both simple."""
    for first, second in (
        (plus[~simple[plus]], minus),
        (plus[simple[plus]], minus[~simple[minus]]),
    ):
        for one, other in pairs_in_parts(first, second):
            common = sets[one] & sets[other]
            enough = np.bitwise_count(common).sum(axis=2, dtype=np.int64) >= own - 1
            at, there = np.nonzero(enough)
            one, other, common = one[at, 0], other[0, there], common[enough]
            # Of a simple ray any own - 1 constraints are an edge.
            joined = simple[one] | simple[other]
            joined[~joined] = _are_edges(common[~joined], sets)
            yield one[joined], other[joined]


def cut(rays: Rays, own: int, label: int, most: int, what: str) -> Rays:
    """The rays when one more constraint is to hold.

    Args:
        rays: those of a cone without lines.
        own: how many independent constraints are tight at a ray at least: one less than there are unknowns.
        label: of the constraint.
        most: rays that there may be.
        what: they are, as text.

    Raises:
        TooLargeError: there are more rays than that.
    """
    table, added, tight = rays
    slack = table[:, label]
    plus, minus = np.flatnonzero(slack > 0), np.flatnonzero(slack < 0)
    new = np.empty((0, table.shape[1]), object)
    if len(minus):
        sets, simple = words(tight), tight.sum(axis=1) == own
        found = [_simple_edges(tight, sets, plus[simple[plus]], minus[simple[minus]])]
        found += _other_edges(sets, simple, plus, minus, own)
        above, below = (np.concatenate(ends) for ends in zip(*found, strict=True))
        require_few(len(table) - len(minus) + len(above), most, what)
        new = slack[above, None] * table[below] - slack[below, None] * table[above]
        new //= np.gcd.reduce(new, axis=1)[:, None]
    return Rays.of(np.concatenate([table[slack >= 0], new]), added | (np.arange(len(added)) == label))


def in_integers(row: Row) -> tuple[list[int], Fraction]:
    """A row times a positive number, whole numbers without a common divisor, and that number."""
    scale = math.lcm(*(entry.denominator for entry in row))
    whole = [int(scale * entry) for entry in row]
    divisor = math.gcd(*whole) or scale
    return [entry // divisor for entry in whole], Fraction(scale, divisor)


def vertices(
    payoffs: Sequence[Row], most: int
) -> tuple[Shaped[np.ndarray, "vertex own"], Bool[np.ndarray, "vertex label"]]:
    """All vertices of a player's best-response polyhedron.

    Args:
        payoffs: the opponent's, a row for each own action.
        most: vertices that there may be at any time.

    Returns:
        The vertices, policies but for a factor, Python's ints; and their labels: own actions that are not played, and
        behind them the opponent's best responses.

    Raises:
        TooLargeError: there are more vertices than that.
    """
    own, other = len(payoffs), len(payoffs[0])
    # Differences to the first response, whole numbers, by which the units of the weights become others.
    lacking, scales = zip(*(in_integers(tuple(row[0] - entry for entry in row)) for row in payoffs), strict=True)
    # Without constraints but the first one: v alone, and each action with what the first response earns.
    table = np.zeros((own + 1, own + other), object)
    table[0, own:] = 1
    table[1:, :own] = np.identity(own, int).astype(object)
    table[1:, own:] = lacking
    rays = Rays.of(table, np.arange(own + other) <= own)
    for label in range(own + 1, own + other):
        rays = cut(rays, own, label, most, "vertices of a player's best-response polyhedron")
    real = np.any(rays.table[:, :own] != 0, axis=1)
    shared = math.lcm(*(scale.denominator for scale in scales))
    weights = rays.table[real, :own] * np.array([int(shared * scale) for scale in scales], object)
    return weights, rays.tight[real]
