"""All equilibria without regularisation, of two players in rational numbers.

Those are the mixtures of extreme equilibria within maximal Nash subsets, and an equilibrium is extreme if its policies
are vertices of the players' best-response polyhedra that have all labels together: each action is not played or is a
best response. Of more players `many.enumerate` tells.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Shaped

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_whole, validate
from gamekl.solvers.exact.certificate import check_two_players
from gamekl.solvers.exact.extreme.equilibria import NashEquilibria, NashSubset
from gamekl.solvers.exact.extreme.polyhedra import vertices
from gamekl.solvers.exact.extreme.rationals import Row, Rows, check_reading, read_payoffs
from gamekl.solvers.exact.extreme.subsets import Pairs, bicliques, components, labelled
from gamekl.solvers.exact.many.enumerate import enumerate_supports
from gamekl.solvers.exact.many.found import FoundEquilibria

# Policies but for a factor, and their labels.
Labelled = tuple[Shaped[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]


def policies(
    weights: Shaped[np.ndarray, "vertex own"], numbers: Iterable[int]
) -> Iterator[tuple[tuple[float, ...], Row, int]]:
    """Some vertices as policies, with their numbers, and behind floats by which they are quick to sort."""
    for number in numbers:
        row = weights[number].tolist()
        total = sum(row)
        yield tuple(weight / total for weight in row), tuple(Fraction(weight, total) for weight in row), number


def _collect(
    payoffs: tuple[Rows, Rows], weights: tuple[np.ndarray, np.ndarray], pairs: Pairs, most: int
) -> NashEquilibria:
    """The result, with vertices and equilibria in an order that follows from the policies."""
    vertices, orders = [], []
    for player, own in enumerate(weights):
        found = sorted(policies(own, {pair[player] for pair in pairs}), reverse=True)
        vertices.append(tuple(policy for _, policy, _ in found))
        orders.append({number: place for place, (_, _, number) in enumerate(found)})
    ordered = sorted((orders[0][x], orders[1][y]) for x, y in pairs)
    component: dict[tuple[int, int], int] = {}
    subsets = []
    for number, part in enumerate(components(ordered)):
        component |= dict.fromkeys(part, number)
        subsets += [NashSubset(both, number) for both in bicliques(part, most)]
    return NashEquilibria(
        payoffs, (vertices[0], vertices[1]), tuple(ordered), tuple(component[pair] for pair in ordered), tuple(subsets)
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
    game: NormalFormGame, *, rationals: str = "simplest", max_vertices: int = 200_000, max_supports: int = 10_000
) -> NashEquilibria | FoundEquilibria:
    """All Nash equilibria of a game without regularisation: of two players in rational numbers, of more by supports.

    **Two players**: the work is done on the host, in whole numbers of any size. So nothing is missed and nothing is
    there twice, degenerate games included: there equilibria come in sets, and the result says which extreme ones may be
    mixed.

    **Three and more**: of each profile of supports, but those with an action that is conditionally dominated, the
    equations by which players are indifferent are solved for all of their roots: policies are halved until they are
    proven to have none, or one, to which Newton's method leads. Rounding is accounted for. Where all roots are points
    with a regular derivative, as in all games but for ties, the equilibria are proven to be all. Where they are not, or
    there is no end of halving, some are found there and at the end of the logit path from uniform play, and the result
    says which supports may have more.

    Args:
        game: concrete.
        rationals: what its payoffs stand for. "simplest": the fraction of least denominator that rounds to the float,
            if the denominator is at most 10^6 (10^2 in float32), else the shortest decimal that does, if it has at most
            12 digits (5), else the float itself. So decimals and fractions of files are what was written there.
            "exact": all floats themselves, the multiples of powers of 2 that they are. `NashEquilibria.payoffs` has
            what was solved.
        max_vertices: of two players the most vertices of either one's best-response polyhedron while its constraints
            are added one by one, and most extreme equilibria and maximal subsets of a component. Random games have some
            6,000 vertices at 12 x 12 and some 30,000 at 14 x 14.
        max_supports: of more players the most profiles of supports, prod (2^A_i - 1): 343 at 3 x 3 x 3, 3,375 at
            4 x 4 x 4.

    Returns:
        `NashEquilibria` of two players, `FoundEquilibria` of more.

    Raises:
        TypeError: another kind of game, or a traced one.
        ValueError: one player, bad payoffs, or a game that is too large: it names what there was too much of.

    Source: Mangasarian, "Equilibrium points of bimatrix games" (1964); Avis, Rosenberg, Savani and von Stengel,
    "Enumeration of Nash equilibria for two-player games" (2010); Porter, Nudelman and Shoham, "Simple search methods
    for finding a Nash equilibrium" (2008); the halving is derived here.
    """
    _check(game, rationals)
    check_whole(max_vertices=max_vertices, max_supports=max_supports)
    if game.num_players > 2:
        return enumerate_supports(game, rationals, max_supports)
    return enumerate_two_players(game, rationals, max_vertices)


def _check(game: NormalFormGame, rationals: str) -> None:
    """Raise unless a game can be enumerated."""
    require_normal_form(game)
    if not is_concrete(game):
        raise TypeError("game: got traced arrays, takes concrete ones: equilibria are enumerated on the host")
    if game.num_players < 2:
        raise ValueError("game: got 1 player, takes two or more: one has the actions of the largest payoff")
    validate(game)
    check_reading(rationals)


def enumerate_two_players(game: NormalFormGame, rationals: str, max_vertices: int) -> NashEquilibria:
    """What `enumerate_nash` finds of two players."""
    check_two_players(game)
    _check(game, rationals)
    check_whole(max_vertices=max_vertices)
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
