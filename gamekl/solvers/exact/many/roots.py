"""Roots of multi-affine equations by Newton's method, each with a proof of how near the root is."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

EPS = float(np.finfo(np.float64).eps)
STEPS = 12
# Theorems hold within so much of a root, in every share.
REACH = 0.1
# With so small a product of step and curvature there is no other root within ten times the error.
ALONE = 0.05


class System(NamedTuple):
    """Equations of supports of the same sizes, each divided by its largest value at pure profiles.

    Attributes:
        tables: what an action of a support brings more than its first one, then what each other action does, at
            profiles of actions of the support, ``[system, row, *actions]``. At an equilibrium the first are 0, as many
            as there are unknowns, and the others not above 0.
    """

    tables: Float[np.ndarray, "system row *actions"]

    @property
    def num_unknowns(self) -> int:
        """The shares of each player's actions but the first."""
        return sum(size - 1 for size in self.tables.shape[2:])


class Roots(NamedTuple):
    """Some roots.

    Attributes:
        system: the number of the system of each.
        policy: of each player, ``[root, action]``; they may be negative.
        error: no farther is a root, in every share but the first; infinite where that could not be proven.
        others: the equations' other rows there, ``[root, row]``.
    """

    system: Int[np.ndarray, " root"]
    policy: tuple[Float[np.ndarray, "root _"], ...]
    error: Float[np.ndarray, " root"]
    others: Float[np.ndarray, "root row"]

    def of(self, rows: np.ndarray) -> "Roots":
        """Some of them."""
        return Roots(self.system[rows], tuple(own[rows] for own in self.policy), self.error[rows], self.others[rows])


def joined(parts: Sequence[Roots]) -> Roots:
    """The roots of all parts."""
    policy = zip(*(part.policy for part in parts), strict=True)
    return Roots(
        np.concatenate([part.system for part in parts]),
        tuple(np.concatenate(own) for own in policy),
        np.concatenate([part.error for part in parts]),
        np.concatenate([part.others for part in parts]),
    )


def _slopes(
    tables: Float[np.ndarray, "root row *actions"], policy: Sequence[Float[np.ndarray, "root _"]]
) -> tuple[Float[np.ndarray, "root row"], Float[np.ndarray, "root row unknown"]]:
    """The rows at policies, and their derivatives by all shares but each player's first."""
    slopes, value = [], np.zeros(tables.shape[:2])
    for player in range(len(policy)):
        rows = tables
        for other in reversed(range(len(policy))):
            if other != player:
                share = np.expand_dims(policy[other], tuple(range(1, rows.ndim - 1)))
                rows = np.sum(np.moveaxis(rows, other + 2, -1) * share, axis=-1)
        slopes.append(rows[:, :, 1:] - rows[:, :, :1])
        value = np.sum(rows * policy[player][:, None], axis=2)
    return value, np.concatenate(slopes, axis=2)


def _bends(tables: Float[np.ndarray, "system row *actions"]) -> Float[np.ndarray, "system row"]:
    """By how much at most each row's derivatives change, summed, where no share changes by more than 1."""
    total = np.zeros(tables.shape[:2])
    for one, other in combinations(range(2, tables.ndim), 2):
        moved = np.moveaxis(tables, (one, other), (2, 3))
        mixed = moved[:, :, 1:, 1:] - moved[:, :, :1, 1:] - moved[:, :, 1:, :1] + moved[:, :, :1, :1]
        worst = np.abs(mixed).max(axis=tuple(range(4, mixed.ndim)))
        total += 2 * worst.sum(axis=(2, 3))
    return total


def _certified(systems: System, roots: Roots) -> Roots:
    """The same, with errors by the theorem of Newton and Kantorovich, rounding included."""
    tables, count = systems.tables[roots.system], systems.num_unknowns
    value, slope = _slopes(tables, roots.policy)
    sizes = tables.shape[2:]
    masses = np.stack([np.abs(own).sum(axis=1) for own in roots.policy])
    rounding = EPS * (sum(sizes) + 2 * len(sizes) + 8) * np.prod(masses, axis=0)
    spread = np.prod(masses + 2 * REACH * np.array(sizes)[:, None], axis=0)
    bends = _bends(tables[:, :count]) * spread[:, None]
    finite = np.isfinite(slope).all(axis=(1, 2)) & (np.abs(np.linalg.det(slope[:, :count])) > 0)
    slope = np.where(finite[:, None, None], slope[:, :count], np.eye(count))
    inverse = np.linalg.inv(slope)
    weight = np.abs(inverse)
    # What rounding of values may move a root by; all with room for the rounding of sums such as these.
    blur = weight.sum(axis=2) * rounding[:, None]
    step = 1.01 * np.max(np.abs((inverse @ value[:, :count, None])[..., 0]) + blur, axis=1)
    off = np.max(np.abs(np.eye(count) - inverse @ slope).sum(axis=2) + 2 * count * blur, axis=1)
    curve = 1.01 * np.max((weight @ bends[..., None])[..., 0], axis=1)
    left = np.where(off < 1, 1 - off, np.nan)
    step, curve = step / left, curve / left
    proven = finite & (step * curve <= ALONE) & (2 * step <= REACH)
    return roots._replace(error=np.where(proven, 2 * step, np.inf), others=value[:, count:])


def _move(policy: Sequence[Float[np.ndarray, "root _"]], move: Float[np.ndarray, "root unknown"]) -> None:
    """Add a step, of at most 1, to policies in place."""
    start = 0
    for own in policy:
        part = np.clip(move[:, start : start + own.shape[1] - 1], -1, 1)
        own[:, 1:] += part
        own[:, 0] -= part.sum(axis=1)
        start += own.shape[1] - 1


def newton(systems: System, numbers: Int[np.ndarray, " root"], start: Sequence[Float[np.ndarray, "root _"]]) -> Roots:
    """Roots near policies to start from, certified."""
    tables, count = systems.tables[numbers], systems.num_unknowns
    policy = tuple(own.copy() for own in start)
    for _ in range(STEPS):
        value, slope = _slopes(tables[:, :count], policy)
        usable = np.isfinite(slope).all(axis=(1, 2)) & (np.abs(np.linalg.det(slope)) > 0)
        slope[~usable] = np.eye(count)
        move = np.where(usable[:, None], np.linalg.solve(slope, -value[..., None])[..., 0], 0)
        _move(policy, move)
        if np.max(np.abs(move), initial=0) < 1e-15:
            break
    blank = np.full(len(numbers), np.inf)
    roots = Roots(numbers, policy, blank, np.zeros((len(numbers), tables.shape[1] - count)))
    return _certified(systems, roots)


def solve_least_squares(
    systems: System, numbers: Int[np.ndarray, " root"], start: Sequence[Float[np.ndarray, "root _"]]
) -> tuple[Float[np.ndarray, "root _"], ...]:
    """Policies near those to start from at which the equations nearly hold, where roots need not be points."""
    tables, count = systems.tables[numbers], systems.num_unknowns
    policy = tuple(own.copy() for own in start)
    for _ in range(STEPS):
        value, slope = _slopes(tables[:, :count], policy)
        _move(policy, -(np.linalg.pinv(slope, rcond=1e-6) @ value[..., None])[..., 0])
    return policy
