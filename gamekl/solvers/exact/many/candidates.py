"""Policies that may be an equilibrium, and what is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gamekl.solvers.exact.extreme.rationals import read_payoffs
from gamekl.solvers.exact.many.exactly import ExactGame, normalized, read_policies, rounded_up
from gamekl.solvers.exact.many.found import Fractions
from gamekl.solvers.exact.many.roots import EPS

# How far apart, in every share, candidates are of which nothing is proven; how near rational numbers are that are
# tried for a share, and shares that are none there.
APART = 1e-6
NEAR, NONE = 1e-10, 1e-13


def _apart(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """The most that shares of two profiles of policies differ by."""
    return max(float(np.max(np.abs(a - b))) for a, b in zip(first, second, strict=True))


@dataclass(frozen=True)
class Candidate:
    """Policies that may be an equilibrium.

    Attributes:
        policy: of all players, floats.
        error: as of `FoundEquilibria`.
        regular: likewise.
        exact: the policies as rational numbers, where they are an equilibrium.
        gaps: what each player could gain, rounded up.
        values: what each player earns.
    """

    policy: tuple[np.ndarray, ...]
    error: float
    regular: bool
    exact: Fractions | None
    gaps: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def epsilon(self) -> float:
        """What a player could gain at most."""
        return max(self.gaps)

    def away(self, other: "Candidate") -> float:
        """The most that shares differ by."""
        return _apart(self.policy, other.policy)

    def is_like(self, other: "Candidate") -> bool:
        """Whether both may stand for the same equilibrium."""
        both = self.error + other.error
        return self.away(other) <= (both if np.isfinite(both) else APART)


def read_game(payoffs: np.ndarray, rationals: str) -> ExactGame:
    """A game of any number of players, with payoffs as rational numbers."""
    rows = read_payoffs(payoffs.reshape(len(payoffs), -1), rationals)
    flat = np.empty((len(rows), len(rows[0])), dtype=object)
    flat[:] = rows
    return ExactGame(flat.reshape(payoffs.shape))


def judged(game: ExactGame, policy: Sequence[np.ndarray], error: float, regular: bool) -> Candidate:
    """A candidate at policies that are nearly >= 0 and sum nearly to 1."""
    least = 0 if regular else NONE
    kept = tuple(np.where(own > least, own, 0) for own in policy)
    kept = tuple(own / own.sum() for own in kept)
    exact = read_policies(kept)
    if (
        exact is not None
        and max(float(np.max(np.abs(a - b))) for a, b in zip(_floats(exact), kept, strict=True)) < NEAR
    ):
        gains, earned = game.judge(exact)
        if not any(gains):
            return Candidate(_floats(exact), 0.0, regular, exact, (0.0,) * len(gains), tuple(map(float, earned)))
    moved = _apart(kept, policy)
    gains, earned = game.judge(normalized(kept))
    return Candidate(kept, error + moved + EPS, regular, None, tuple(map(rounded_up, gains)), tuple(map(float, earned)))


def _floats(policies: Fractions) -> tuple[np.ndarray, ...]:
    return tuple(np.array(own, dtype=np.float64) for own in policies)
