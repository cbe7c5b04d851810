"""All roots of multi-affine equations in products of simplices, by halving.

A cell is a product of simplices, one of each player's policies. An equation that is affine in each player's policy is
given there by its values at profiles of corners, and its least and largest values are among these: so that what has one
sign at all of them has no root. To halve a cell is to average two slices of that table.

With C the inverse of the equations' derivative at a cell's centre, C F is near to affine on a small cell: where its
derivative differs from the identity by less than 1 at all corners there is at most one root, that of Newton's method.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from gamekl.solvers.exact.many import roots
from gamekl.solvers.exact.many.roots import EPS, Roots, System, newton

# Cells that are worked on together.
BLOCK = 512
# By how much a derivative may differ from the identity where one root at most is said to be there. It leaves room for
# roots that are outside of a cell by `EDGE` of its size.
NEARLY = 0.5
EDGE = 1e-6
# Cells over which all equations change by less are halved no further, of their largest values.
SMALLEST = 1e-5
# With so many of these its roots are no points, most likely, and a system is given up.
MOST_LEFT = 256


class Cells(NamedTuple):
    """Some cells.

    Attributes:
        system: the number of the system of equations of each.
        tables: equations at profiles of corners, the indifferences before the other rows.
        corners: of each player, ``[cell, corner, action]``.
        depth: how often each was halved.
    """

    system: Int[np.ndarray, " cell"]
    tables: Float[np.ndarray, "cell row *corners"]
    corners: tuple[Float[np.ndarray, "cell _ _"], ...]
    depth: Int[np.ndarray, " cell"]

    def of(self, rows: np.ndarray) -> "Cells":
        """Some of them."""
        return Cells(self.system[rows], self.tables[rows], tuple(own[rows] for own in self.corners), self.depth[rows])


def _whole(systems: System) -> Cells:
    """A cell for each system: all policies."""
    count, sizes = len(systems.tables), systems.tables.shape[2:]
    corners = tuple(np.broadcast_to(np.eye(size), (count, size, size)).copy() for size in sizes)
    return Cells(np.arange(count), systems.tables, corners, np.zeros(count, int))


def _steps(tables: Float[np.ndarray, "cell row *corners"]) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each player and corner but the first: how the rows differ from the first corner, ``[cell, row, others]``."""
    for player, size in enumerate(tables.shape[2:]):
        first = np.moveaxis(tables, player + 2, 2)
        for corner in range(1, size):
            step = first[:, :, corner] - first[:, :, 0]
            yield player, corner, step.reshape(*step.shape[:2], -1)


def _preconditioned(tables: Float[np.ndarray, "cell row *corners"]) -> tuple[np.ndarray, np.ndarray]:
    """C F of the equations F at corners, with C about the inverse of the derivative at the centre, and C."""
    slope = np.stack([step.mean(axis=2) for _, _, step in _steps(tables)], axis=2)
    size = np.max(np.abs(slope), axis=(1, 2), keepdims=True)
    scaled = slope / np.where(size > 0, size, 1)
    regular = np.abs(np.linalg.det(scaled)) > 1e-12
    scaled[~regular] = np.eye(slope.shape[1])
    inverse = np.linalg.inv(scaled) / np.where(size > 0, size, 1)
    turned = inverse @ tables.reshape(*tables.shape[:2], -1)
    return turned.reshape(tables.shape), inverse


def _rootless(cells: Cells, num_equations: int, turned: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Which cells have no root, or one at which another action is better."""
    flat = cells.tables.reshape(*cells.tables.shape[:2], -1)
    slack = (EPS * (cells.depth + 4))[:, None]
    least, most = flat.min(axis=2), flat.max(axis=2)
    equations, others = slice(None, num_equations), slice(num_equations, None)
    out = np.any((least[:, equations] > slack) | (most[:, equations] < -slack), axis=1)
    out |= np.any(least[:, others] > slack, axis=1)
    # Each share in the cell but the first corner's, and that one's as 1 less their sum.
    sums, start = [], 0
    for size in cells.tables.shape[2:]:
        if size > 1:
            sums.append(turned[:, start : start + size - 1].sum(axis=1))
        start += size - 1
    rows = np.concatenate([turned, np.stack(sums, axis=1)], axis=1).reshape(len(flat), num_equations + len(sums), -1)
    weight = np.abs(inverse).sum(axis=2).sum(axis=1)[:, None]
    slack = weight * EPS * (cells.depth + 4 + 2 * num_equations)[:, None]
    return out | np.any((rows.min(axis=2) > slack) | (rows.max(axis=2) < -slack), axis=1)


def _one_at_most(turned: Float[np.ndarray, "cell row *corners"]) -> np.ndarray:
    """Which cells have one root at most."""
    off = np.zeros(turned.shape[:2])
    for number, (_, _, step) in enumerate(_steps(turned)):
        step[:, number] -= 1
        off += np.max(np.abs(step), axis=2)
    return np.max(off, axis=1) <= NEARLY


def _longest(cells: Cells) -> tuple[Int[np.ndarray, " cell"], Float[np.ndarray, " cell"]]:
    """The edge along which the rows change most, its number among `_edges`, and by how much they do."""
    change = np.stack(
        [
            np.max(np.abs(own[:, :, p] - own[:, :, q]).reshape(len(own), -1), axis=1)
            for player, p, q in _edges(cells)
            for own in [np.moveaxis(cells.tables, player + 2, 2)]
        ]
    )
    return np.argmax(change, axis=0), np.max(change, axis=0)


def _edges(cells: Cells) -> list[tuple[int, int, int]]:
    """A player and two corners each."""
    sizes = enumerate(cells.tables.shape[2:])
    return [(player, *pair) for player, size in sizes for pair in combinations(range(size), 2)]


def _halves(cells: Cells, longest: Int[np.ndarray, " cell"]) -> Cells:
    """Two cells of each, halved at the middle of an edge."""
    parts = []
    for number in np.unique(longest):
        player, p, q = _edges(cells)[number]
        some = cells.of(np.flatnonzero(longest == number))
        for corner in (p, q):
            tables, corners = some.tables.copy(), some.corners[player].copy()
            own = np.moveaxis(tables, player + 2, 2)
            own[:, :, corner] = (own[:, :, p] + own[:, :, q]) / 2
            corners[:, corner] = (corners[:, p] + corners[:, q]) / 2
            every = (*some.corners[:player], corners, *some.corners[player + 1 :])
            parts.append(Cells(some.system, tables, every, some.depth + 1))
    return _joined(parts)


def _joined(parts: list[Cells]) -> Cells:
    """The cells of all parts."""
    system, tables, corners, depth = zip(*parts, strict=True)
    every = tuple(np.concatenate(own) for own in zip(*corners, strict=True))
    return Cells(np.concatenate(system), np.concatenate(tables), every, np.concatenate(depth))


def _inside(cells: Cells, near: Roots) -> np.ndarray:
    """Whether roots are surely in the cells, or outside of them by `EDGE` of their sizes."""
    inside = np.isfinite(near.error)
    for corners, own in zip(cells.corners, near.policy, strict=True):
        inverse = np.linalg.inv(np.swapaxes(corners, 1, 2))
        share = (inverse @ own[..., None])[..., 0]
        doubt = near.error * own.shape[1] * np.max(np.abs(inverse).sum(axis=2), axis=1)
        inside &= np.all(share >= -EDGE, axis=1) & (doubt <= EDGE)
    return inside


def roots_of(systems: System, max_cells: int) -> tuple[Roots, Cells]:
    """The roots of systems of equations, each certified, and the cells of which it is not known what is there.

    Roots on the boundary of cells may be there more than once.

    Args:
        systems: of one shape, with one unknown or more.
        max_cells: most cells of one system that are looked at.
    """
    count = systems.num_unknowns
    whole = _whole(systems)
    waiting, left = [whole], [whole.of(np.arange(0))]
    found = [newton(systems, np.arange(0), tuple(own[:0, 0] for own in whole.corners))]
    looked, kept = np.zeros((2, len(systems.tables)), int)
    while waiting:
        cells = waiting.pop()
        given_up = (looked > max_cells) | (kept > MOST_LEFT)
        left.append(cells.of(given_up[cells.system]))
        cells = cells.of(~given_up[cells.system])
        if len(cells.system) > BLOCK:
            waiting.append(cells.of(np.arange(BLOCK, len(cells.system))))
            cells = cells.of(np.arange(BLOCK))
        if not len(cells.system):
            continue
        looked += np.bincount(cells.system, minlength=len(looked))
        turned, inverse = _preconditioned(cells.tables[:, :count])
        some = ~_rootless(cells, count, turned, inverse)
        cells, turned = cells.of(some), turned[some]
        if not len(turned):
            continue
        one = np.flatnonzero(_one_at_most(turned))
        here = cells.of(one)
        near = newton(systems, here.system, tuple(own.mean(axis=1) for own in here.corners))
        settled = _inside(here, near)
        found.append(near.of(settled))
        cells = cells.of(np.delete(np.arange(len(cells.system)), one[settled]))
        if not len(cells.system):
            continue
        longest, change = _longest(cells)
        small = change < SMALLEST
        kept += np.bincount(cells.system[small], minlength=len(kept))
        left.append(cells.of(small))
        if not np.all(small):
            waiting.append(_halves(cells.of(~small), longest[~small]))
    return roots.joined(found), _joined(left)
