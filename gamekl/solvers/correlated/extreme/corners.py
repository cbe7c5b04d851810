"""What an enumeration of correlated equilibria finds: extreme points, which are Nash, what they earn."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.names import Names
from gamekl.solvers.exact.extreme.equilibria import earnings
from gamekl.solvers.exact.extreme.rationals import Row, Rows

# Extreme points that are shown one by one, each in at most so many letters.
FEW, WIDE = 12, 84
KINDS = {"ce": "correlated", "cce": "coarse correlated"}

Point = tuple[Fraction, Fraction]


def convex_hull(points: Iterable[Sequence[Fraction]]) -> tuple[Point, ...]:
    """The corners of the convex hull of points in the plane, counterclockwise from the leftmost; one or two of a line.

    Source: Andrew, "Another efficient algorithm for convex hulls in two dimensions" (1979).
    """
    ordered: list[Point] = sorted({(x, y) for x, y in points})
    if len(ordered) == 1:
        return (ordered[0],)

    def side(chain: Iterable[Point]) -> list[Point]:
        kept: list[Point] = []
        for x, y in chain:
            while len(kept) > 1:
                (a, b), (c, d) = kept[-2:]
                if (c - a) * (y - b) > (d - b) * (x - a):
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    return tuple(side(ordered) + side(reversed(ordered)))


def _is_product(policy: Row, num_actions: Sequence[int]) -> bool:
    """Whether players act independently of each other."""
    cells = list(itertools.product(*map(range, num_actions)))
    chances = [[Fraction(0)] * size for size in num_actions]
    for cell, share in zip(cells, policy, strict=True):
        for own, action in zip(chances, cell, strict=True):
            own[action] += share

    def independent(cell: tuple[int, ...]) -> Fraction:
        product = Fraction(1)
        for own, action in zip(chances, cell, strict=True):
            product *= own[action]
        return product

    return all(independent(cell) == share for cell, share in zip(cells, policy, strict=True))


@dataclass(frozen=True, repr=False)
class CorrelatedPolytope:
    """All correlated or coarse correlated equilibria of a game: the mixtures of the extreme ones.

    Joint actions are in the order of a table's cells, the last player's action changing fastest.

    Attributes:
        concept: "ce" for correlated, "cce" for coarse correlated equilibria.
        payoffs: of the game that was solved, ``[player][joint action]``, rational numbers.
        num_actions: how many actions each player has.
        vertices: the extreme equilibria, rational numbers, ``[vertex][joint action]``, in descending lexicographic
            order.
        dimension: of the set of equilibria; 0 if there is but one.
    """

    concept: str
    payoffs: Rows
    num_actions: tuple[int, ...]
    vertices: Rows
    dimension: int

    def __len__(self) -> int:
        """How many extreme equilibria there are."""
        return len(self.vertices)

    def __repr__(self) -> str:
        """How many there are, and the first of them."""
        lines = [f"CorrelatedPolytope: {' x '.join(map(str, self.num_actions))} actions, {self.headline()}"]
        for policy in self.vertices[:FEW]:
            told = " ".join(map(str, policy))
            lines.append(f"  {told if len(told) <= WIDE else told[: WIDE - 4] + ' ...'}")
        return "\n".join(lines + ([f"  and {len(self) - FEW} more"] if len(self) > FEW else []))

    def headline(self) -> str:
        """How many there are."""
        count, nash = len(self), int(np.count_nonzero(self.is_nash))
        ending = "um" if count == 1 else "a"
        told = f"{count:,} extreme {KINDS[self.concept]} equilibri{ending}, {nash:,} of them Nash"
        return f"{told}; a set of dimension {self.dimension}"

    def listing(self, names: Names | None = None) -> str:
        """All of it as text: each extreme equilibrium by what is played, what it earns, and whether it is Nash.

        Args:
            names: what the players and their actions are called.
        """
        actions = (Names.of_numbers(self.num_actions) if names is None else names).actions
        cells = [f"({', '.join(cell)})" for cell in itertools.product(*actions)]
        lines, width = [], len(f"{len(self)}:")
        rows = zip(self.vertices, self.rational_values, self.is_nash, strict=True)
        for number, (policy, values, nash) in enumerate(rows, 1):
            told = ", ".join(f"{share} {cell}" for share, cell in zip(policy, cells, strict=True) if share)
            told = f"{f'{number}:':<{width}} {told} earns {', '.join(map(str, values))}"
            lines.append(f"{told}, Nash" if nash else told)
        return "\n".join(lines)

    @cached_property
    def joint_policy(self) -> Float[np.ndarray, "vertex *actions"]:
        """The extreme equilibria as tables, nearest floats, shape ``[vertex, *actions]``."""
        return np.array(self.vertices, dtype=np.float64).reshape(len(self), *self.num_actions)

    @cached_property
    def rational_values(self) -> Rows:
        """What each player earns in each extreme equilibrium, payoff units, rational numbers, ``[vertex][player]``."""
        return tuple(tuple(earnings(self.payoffs, policy)) for policy in self.vertices)

    @property
    def values(self) -> Float[np.ndarray, "vertex player"]:
        """What each player earns in each extreme equilibrium, payoff units, nearest floats."""
        return np.array(self.rational_values, dtype=np.float64)

    @cached_property
    def is_nash(self) -> Bool[np.ndarray, " vertex"]:
        """Which extreme equilibria are Nash: those where players act independently of each other."""
        return np.array([_is_product(policy, self.num_actions) for policy in self.vertices])

    @property
    def polygon(self) -> tuple[Point, ...]:
        """What two players can earn in such equilibria: the corners of a polygon, rational numbers, counterclockwise.

        One corner if all earn the same, two of a line.

        Raises:
            ValueError: there are not two players.
        """
        if len(self.num_actions) != 2:
            raise ValueError(f"polygon: got {len(self.num_actions)} players, takes 2")
        return convex_hull(self.rational_values)
