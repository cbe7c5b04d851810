"""What an enumeration finds: extreme equilibria, which of them may be mixed, and how they are told."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.names import Names, numbered
from gamekl.solvers.exact.extreme.rationals import Row, Rows

# Equilibria that are shown one by one, each in at most so many letters.
FEW, WIDE = 12, 84
ONE = {
    "extreme equilibria": "extreme equilibrium",
    "components": "component",
    "maximal Nash subsets": "maximal Nash subset",
}
# What policies are called in a listing.
LETTERS = ("x", "y")


def earnings(payoffs: Sequence[Row], policy: Row) -> list[Fraction]:
    """What each row of payoffs brings against a policy over its columns."""
    played = [(index, share) for index, share in enumerate(policy) if share]
    return [sum((share * row[index] for index, share in played), Fraction(0)) for row in payoffs]


@dataclass(frozen=True)
class NashSubset:
    """A maximal Nash subset: all mixtures of some policies of one player with all mixtures of some of the other.

    Attributes:
        vertices: the numbers of each player's policies, among `NashEquilibria.vertices`.
        component: the number of the connected component of the set of equilibria that it is part of.
    """

    vertices: tuple[tuple[int, ...], tuple[int, ...]]
    component: int


@dataclass(frozen=True, repr=False)
class NashEquilibria:
    """All Nash equilibria of a two-player game: the extreme ones, and which of them may be mixed.

    Attributes:
        payoffs: of the game that was solved, ``[player][action_1][action_2]``, rational numbers.
        vertices: each player's policies in extreme equilibria, rational numbers, ``[player][vertex][action]``, in
            descending lexicographic order.
        pairs: the extreme equilibria, the numbers of both players' vertices.
        components: for each, the number of its connected component.
        subsets: the maximal Nash subsets. Each equilibrium of the game is in at least one of them.
        complete: whether these are proven to be all; always, here.
    """

    payoffs: tuple[Rows, Rows]
    vertices: tuple[Rows, Rows]
    pairs: tuple[tuple[int, int], ...]
    components: tuple[int, ...]
    subsets: tuple[NashSubset, ...]
    complete: bool = True

    def __len__(self) -> int:
        """How many extreme equilibria there are."""
        return len(self.pairs)

    def __repr__(self) -> str:
        """How many there are, and the first of them."""
        shape = " x ".join(str(len(own[0])) for own in self.vertices)
        lines = [f"NashEquilibria: {shape} actions, {self.headline()}"]
        for policies, component in list(zip(self.rational_policies, self.components, strict=True))[:FEW]:
            told = " | ".join(" ".join(map(str, policy)) for policy in policies)
            lines.append(f"  component {component + 1}: {told if len(told) <= WIDE else told[: WIDE - 4] + ' ...'}")
        return "\n".join(lines + ([f"  and {len(self) - FEW} more"] if len(self) > FEW else []))

    def headline(self) -> str:
        """How many there are."""
        counts = {
            "extreme equilibria": len(self),
            "components": max(self.components) + 1,
            "maximal Nash subsets": len(self.subsets),
        }
        told = [f"{count:,} {name if count > 1 else ONE[name]}" for name, count in counts.items()]
        return f"{told[0]} in {told[1]}, {told[2]}"

    def listing(self, names: Names | None = None) -> str:
        """All of it as text: both players' policies, and by component the extreme equilibria and maximal subsets.

        Args:
            names: what the players and their actions are called.
        """
        lines = []
        for player, (letter, own) in enumerate(zip(LETTERS, self.vertices, strict=True)):
            told = f"player {player + 1}'s policies" if names is None else f"{names.players[player]}'s policies"
            if names is not None and names.actions[player] != numbered(len(own[0])):
                told += f" over {', '.join(names.actions[player])}"
            lines.append(f"{told}:")
            width = len(f"{letter}{len(own)}:")
            lines += [f"  {f'{letter}{number}:':<{width}} {' '.join(map(str, v))}" for number, v in enumerate(own, 1)]
        extreme: dict[int, list[str]] = {}
        for (x, y), (first, second), component in zip(self.pairs, self.rational_values, self.components, strict=True):
            told = f"  ({LETTERS[0]}{x + 1}, {LETTERS[1]}{y + 1}) earns {first}, {second}"
            extreme.setdefault(component, []).append(told)
        subsets: dict[int, list[str]] = {}
        for subset in self.subsets:
            sides = (
                ", ".join(f"{letter}{number + 1}" for number in own)
                for letter, own in zip(LETTERS, subset.vertices, strict=True)
            )
            subsets.setdefault(subset.component, []).append("  all mixtures of {} with those of {}".format(*sides))
        for component, told in extreme.items():
            lines += [f"component {component + 1}:", *told]
            lines += subsets[component] if len(told) > 1 else []
        return "\n".join(lines)

    @property
    def rational_policies(self) -> tuple[tuple[Row, Row], ...]:
        """Both players' policies in each extreme equilibrium, as rational numbers."""
        return tuple((self.vertices[0][x], self.vertices[1][y]) for x, y in self.pairs)

    @cached_property
    def policy(self) -> tuple[Float[np.ndarray, "equilibrium _"], Float[np.ndarray, "equilibrium _"]]:
        """Both players' policies in each extreme equilibrium, nearest floats."""
        x, y = (np.array(own, dtype=np.float64) for own in self.vertices)
        first, second = np.array(self.pairs).T
        return x[first], y[second]

    @cached_property
    def rational_values(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """What each player earns in each extreme equilibrium: what its best responses do."""
        (row, column), (xs, ys) = self.payoffs, self.vertices
        first = [max(earnings(row, y)) for y in ys]
        by_column = tuple(zip(*column, strict=True))
        second = [max(earnings(by_column, x)) for x in xs]
        return tuple((first[y], second[x]) for x, y in self.pairs)

    @property
    def values(self) -> Float[np.ndarray, "equilibrium player"]:
        """What each player earns in each extreme equilibrium, payoff units, nearest floats."""
        return np.array(self.rational_values, dtype=np.float64)

    @property
    def in_subset(self) -> Bool[np.ndarray, "equilibrium subset"]:
        """Which extreme equilibria are in which maximal Nash subset."""
        sets = [tuple(map(set, subset.vertices)) for subset in self.subsets]
        return np.array([[x in first and y in second for first, second in sets] for x, y in self.pairs])
