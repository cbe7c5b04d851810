"""All equilibria of a two-player game without regularisation, in rational numbers.

They are the mixtures of extreme equilibria within maximal Nash subsets, and an equilibrium is extreme if its policies
are vertices of the players' best-response polyhedra that have all labels together: each action is not played or is a
best response.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.validation import validate
from gamekl.solvers.exact.certificate import check_two_players
from gamekl.solvers.exact.polyhedra import vertices
from gamekl.solvers.exact.rationals import Reading, Row, read_payoffs
from gamekl.solvers.exact.subsets import Pairs, bicliques, components, labelled

Rows = tuple[Row, ...]
# Policies but for a factor, and their labels.
Labelled = tuple[Int[np.ndarray, "vertex own"], Bool[np.ndarray, "vertex label"]]
# Equilibria that are shown one by one.
FEW = 12


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
        counts = f"{len(self)} extreme in {max(self.components) + 1} components, {len(self.subsets)} maximal subsets"
        lines = [f"NashEquilibria: {shape} actions, {counts}"]
        for policies, component in list(zip(self.rational_policies, self.components, strict=True))[:FEW]:
            told = " | ".join(" ".join(map(str, policy)) for policy in policies)
            lines.append(f"  {component}: {told if len(told) <= 90 else told[:86] + ' ...'}")
        return "\n".join(lines + ([f"  and {len(self) - FEW} more"] if len(self) > FEW else []))

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
        first = [max(map(_dot(y), row)) for y in ys]
        second = [max(map(_dot(x), zip(*column, strict=True))) for x in xs]
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


def _dot(policy: Row) -> Any:
    played = [(index, share) for index, share in enumerate(policy) if share]
    return lambda row: sum((share * row[index] for index, share in played), Fraction(0))


def _policies(
    weights: Int[np.ndarray, "vertex own"], numbers: Iterable[int]
) -> Iterator[tuple[tuple[float, ...], Row, int]]:
    """Some vertices as policies, with their numbers, and behind floats by which they are quick to sort."""
    for number in numbers:
        row = weights[number].tolist()
        total = sum(row)
        yield tuple(weight / total for weight in row), tuple(Fraction(weight, total) for weight in row), number


def _collect(payoffs: tuple[Rows, Rows], weights: tuple[np.ndarray, np.ndarray], pairs: Pairs, most: int) -> Any:
    """The result, with vertices and equilibria in an order that follows from the policies."""
    vertices, orders = [], []
    for player, own in enumerate(weights):
        found = sorted(_policies(own, {pair[player] for pair in pairs}), reverse=True)
        vertices.append(tuple(policy for _, policy, _ in found))
        orders.append({number: place for place, (_, _, number) in enumerate(found)})
    ordered = sorted((orders[0][x], orders[1][y]) for x, y in pairs)
    component, subsets = {}, []
    for number, part in enumerate(components(ordered)):
        component |= dict.fromkeys(part, number)
        subsets += [NashSubset(both, number) for both in bicliques(part, most)]
    return NashEquilibria(
        payoffs, (vertices[0], vertices[1]), tuple(ordered), tuple(map(component.get, ordered)), tuple(subsets)
    )


def _both_vertices(first: Rows, second: Rows, most: int) -> tuple[Labelled, Labelled]:
    """The vertices of a player and of the other one that may be in equilibria, each with labels, its own before.

    Args:
        first: for each action of the one with fewer what the other one earns by its own.
        second: the same the other way round.
        most: vertices that there may be.
    """
    few = vertices(first, most)
    # What is never a best response is in no equilibrium.
    used = np.flatnonzero(np.any(few[1][:, len(first) :], axis=0))
    weights, tight = vertices([second[action] for action in used], most)
    everything = np.zeros((len(weights), len(second)), object)
    everything[:, used] = weights
    labels = np.ones((len(weights), len(second) + len(first)), bool)
    labels[:, used] = tight[:, : len(used)]
    labels[:, len(second) :] = tight[:, len(used) :]
    return few, (everything, labels)


def enumerate_nash(
    game: NormalFormGame, *, rationals: Reading = "simplest", max_vertices: int = 200_000
) -> NashEquilibria:
    """All Nash equilibria of a two-player game without regularisation, in rational numbers.

    The work is done on the host, in whole numbers of any size. So nothing is missed and nothing is there twice,
    degenerate games included: there equilibria come in sets, and the result says which extreme ones may be mixed.

    Args:
        game: of two players, concrete.
        rationals: what its payoffs stand for. "simplest": the fraction of least denominator that rounds to the float,
            if the denominator is at most 10^6 (10^2 in float32), else the shortest decimal that does, if it has at most
            12 digits (5), else the float itself. So decimals and fractions of files are what was written there.
            "exact": all floats themselves, the multiples of powers of 2 that they are. `NashEquilibria.payoffs` has
            what was solved.
        max_vertices: most vertices of either player's best-response polyhedron while its constraints are added one by
            one, and most extreme equilibria and maximal subsets of a component. Random games have some 6,000 vertices
            at 12 x 12 and some 30,000 at 14 x 14.

    Raises:
        TypeError: another kind of game, or a traced one.
        ValueError: not two players, bad payoffs, or a game that is too large: it names what there was too much of.

    Source: Mangasarian, "Equilibrium points of bimatrix games" (1964); Avis, Rosenberg, Savani and von Stengel,
    "Enumeration of Nash equilibria for two-player games" (2010).
    """
    require_normal_form(game)
    if not is_concrete(game):
        raise TypeError("game: got traced arrays, takes concrete ones: equilibria are enumerated on the host")
    check_two_players(game)
    validate(game)
    if rationals not in get_args(Reading):
        raise ValueError(f"rationals: got {rationals!r}, takes one of {', '.join(get_args(Reading))}")
    if not isinstance(max_vertices, int) or max_vertices < 1:
        raise ValueError(f"max_vertices: got {max_vertices!r}, takes a whole number >= 1")
    row, column = (read_payoffs(table, rationals) for table in np.asarray(game.payoffs))
    by_column = tuple(zip(*row, strict=True))
    if len(row) <= len(by_column):
        (x, first), (y, second) = _both_vertices(column, by_column, max_vertices)
    else:
        (y, second), (x, first) = _both_vertices(by_column, column, max_vertices)
    # Of the column player's vertices the row player's actions come behind.
    second = np.roll(second, len(row), axis=1)
    pairs = labelled(first, second, len(row), max_vertices)
    return _collect((row, column), (x, y), pairs, max_vertices)
