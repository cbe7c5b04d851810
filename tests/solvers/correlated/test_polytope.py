"""correlated_polytope against brute force, closed forms, linear programmes and the Nash equilibria."""

from fractions import Fraction
from itertools import combinations, islice

import jax
import numpy as np
import pytest
from helpers import gains_by_definition
from scipy.spatial import ConvexHull

import gamekl as gk
from gamekl.core.names import Names
from gamekl.solvers.correlated.extreme.corners import convex_hull

CONCEPTS = ["ce", "cce"]
F = Fraction


def two(row, column):
    return gk.NormalFormGame(np.array([row, column], dtype=float))


def integer_game(shape, seed, highest):
    """Payoffs from 0 to a whole number; the lower it is, the more ties."""
    return gk.NormalFormGame(np.random.default_rng(seed).integers(0, highest + 1, (len(shape), *shape)).astype(float))


def constraints(game, concept):
    """The rows of A x >= 0 as whole numbers: every probability, then every deviation, some of them empty or alike."""
    return np.concatenate([np.identity(np.prod(game.num_actions)), -gains_by_definition(game, concept)])


def sorted_rows(points):
    """Points without repetitions, in order; those told apart here differ by more than rounding."""
    return np.unique(np.round(points, 8) + 0.0, axis=0)


def vertices_by_brute_force(game, concept):
    """Where any n - 1 constraints and the sum fix a point, if all others hold; as sorted rows.

    Determinants are whole numbers, and slacks are those over them: nothing is decided by rounding here.
    """
    rows = constraints(game, concept)
    rows = np.unique(rows[np.any(rows != 0, axis=1)], axis=0)
    size, found = rows.shape[1], [np.zeros((0, rows.shape[1]))]
    subsets = combinations(range(len(rows)), size - 1)
    while block := list(islice(subsets, 20_000)):
        systems = np.concatenate([rows[np.array(block)], np.ones((len(block), 1, size))], axis=1)
        determinants = np.linalg.det(systems)
        assert np.all(np.abs(determinants) < 1e8)
        points = np.linalg.solve(systems[np.abs(determinants) > 0.5], np.eye(size)[-1][:, None])[..., 0]
        found.append(points[np.all(points @ rows.T >= -1e-9, axis=1)])
    return sorted_rows(np.concatenate(found))


SMALL = [((2, 2), 2), ((2, 2), 9), ((2, 3), 1), ((2, 3), 9), ((3, 2), 4), ((2, 2, 2), 1), ((2, 2, 2), 5), ((1, 4), 2)]


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize(("shape", "highest"), SMALL, ids=str)
def test_vertices_are_those_of_brute_force(shape, highest, concept):
    for seed in range(25 if len(shape) == 2 else 6):
        game = integer_game(shape, seed, highest)
        found = gk.correlated_polytope(game, concept=concept)
        theirs = vertices_by_brute_force(game, concept)
        assert len(found) == len(theirs) == len(set(found.vertices))
        np.testing.assert_allclose(sorted_rows(found.joint_policy.reshape(len(found), -1)), theirs, atol=3e-8)


@pytest.mark.parametrize(("concept", "most"), [("cce", 47), ("ce", 66)])
def test_vertices_of_three_actions_are_those_of_brute_force(concept, most):
    """Of up to 203,490 subsets, most of them of no vertex. Coordination has ties and many vertices."""
    counts = []
    games = [integer_game((3, 3), seed, highest) for highest in (1, 4) for seed in range(3)]
    for game in [*games, gk.games.shapley(), two(np.eye(3), np.eye(3))]:
        found = gk.correlated_polytope(game, concept=concept)
        theirs = vertices_by_brute_force(game, concept)
        counts.append(len(theirs))
        assert len(found) == len(theirs) == len(set(found.vertices))
        np.testing.assert_allclose(sorted_rows(found.joint_policy.reshape(len(found), -1)), theirs, atol=3e-8)
    assert counts[-1] == most


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("shape", [(3, 4), (4, 4), (2, 2, 3), (2, 2, 2, 2)], ids=str)
def test_each_of_many_is_a_vertex_in_fractions(shape, concept):
    """All constraints hold exactly, and the tight ones leave a line."""
    most = 0
    for seed in range(8):
        game = integer_game(shape, seed, 9 if seed % 2 else 2)
        found = gk.correlated_polytope(game, concept=concept)
        rows = constraints(game, concept).astype(int)
        whole = np.unique(rows, axis=0)
        assert len(set(found.vertices)) == len(found)
        most = max(most, len(found))
        for vertex in found.vertices[:: max(1, len(found) // 50)]:
            slacks = whole.astype(object) @ np.array(vertex, object)
            assert all(slack >= 0 for slack in slacks) and sum(vertex) == 1
            assert np.linalg.matrix_rank(whole[slacks == 0]) == rows.shape[1] - 1
    assert most > 100


def test_chicken_has_five():
    """With p = 1/3 the chance to dare of the mixed equilibrium: corners of the polytope of Calvo-Armengol (2006)."""
    found = gk.correlated_polytope(gk.games.chicken())
    expected = {
        (F(1, 9), F(2, 9), F(2, 9), F(4, 9)),
        (F(0), F(1), F(0), F(0)),
        (F(0), F(0), F(1), F(0)),
        (F(1, 5), F(2, 5), F(2, 5), F(0)),
        (F(0), F(1, 4), F(1, 4), F(1, 2)),
    }
    assert set(found.vertices) == expected and found.dimension == 3
    assert found.headline() == "5 extreme correlated equilibria, 3 of them Nash; a set of dimension 3"
    np.testing.assert_array_equal([sum(p > 0 for p in v) in (1, 4) for v in found.vertices], found.is_nash)
    assert found.polygon == ((2, 7), (F(18, 5), F(18, 5)), (7, 2), (F(21, 4), F(21, 4)))


@pytest.mark.parametrize("concept", CONCEPTS)
def test_two_by_two_games_have_one_or_five(concept):
    """Calvo-Armengol (2006): without ties, one where there is one Nash equilibrium and five where there are three."""
    for seed in range(60):
        game = gk.NormalFormGame(np.random.default_rng(seed).permutation(8).reshape(2, 2, 2).astype(float))
        found, nash = gk.correlated_polytope(game, concept=concept), gk.enumerate_nash(game)
        assert (len(nash), len(found), found.dimension) in ((1, 1, 0), (3, 5, 3))
        assert int(found.is_nash.sum()) == len(nash)


def test_where_there_is_but_one():
    pennies = gk.correlated_polytope(gk.games.matching_pennies())
    assert pennies.vertices == ((F(1, 4),) * 4,) and pennies.dimension == 0 and pennies.is_nash.all()
    dilemma = gk.correlated_polytope(two([[3, 0], [5, 1]], [[3, 5], [0, 1]]))
    assert dilemma.vertices == ((0, 0, 0, 1),) and dilemma.polygon == ((1, 1),)
    roshambo = two([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], [[0, 1, -1], [-1, 0, 1], [1, -1, 0]])
    assert gk.correlated_polytope(roshambo).vertices == ((F(1, 9),) * 9,)
    coarse = gk.correlated_polytope(roshambo, concept="cce")
    assert len(coarse) > 1 and set(coarse.rational_values) == {(0, 0)}
    assert repr(pennies) == (
        "CorrelatedPolytope: 2 x 2 actions, 1 extreme correlated equilibrium, 1 of them Nash; a set of dimension 0\n"
        "  1/4 1/4 1/4 1/4"
    )


@pytest.mark.parametrize("concept", CONCEPTS)
def test_where_nothing_matters_all_joint_actions_are_extreme(concept):
    found = gk.correlated_polytope(gk.NormalFormGame(np.zeros((3, 2, 1, 3))), concept=concept)
    assert found.vertices == tuple(tuple(row) for row in np.eye(6, dtype=int).tolist()) and found.dimension == 5
    assert found.is_nash.all()
    alone = gk.correlated_polytope(gk.NormalFormGame(np.array([[1.0, 3.0, 3.0, 2.0]])), concept=concept)
    assert alone.vertices == ((0, 1, 0, 0), (0, 0, 1, 0)) and alone.dimension == 1
    nobody = gk.correlated_polytope(gk.NormalFormGame(np.ones((1, 1))), concept=concept)
    assert nobody.vertices == ((1,),) and nobody.dimension == 0


def test_with_two_actions_each_coarse_ones_are_all():
    for seed in range(10):
        game = integer_game((2, 2, 2), seed, 9)
        both = [gk.correlated_polytope(game, concept=concept) for concept in CONCEPTS]
        assert both[0].vertices == both[1].vertices


@pytest.mark.parametrize("highest", [1, 2, 9])
@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (3, 4)], ids=str)
def test_nash_equilibria_of_two_players_are_the_products(shape, highest):
    """Evangelista and Raghavan (1996): extreme Nash equilibria are extreme correlated equilibria."""
    for seed in range(8):
        game = integer_game(shape, seed, highest)
        nash = {tuple(a * b for a in x for b in y) for x, y in gk.enumerate_nash(game).rational_policies}
        found = gk.correlated_polytope(game)
        assert nash == {vertex for vertex, product in zip(found.vertices, found.is_nash, strict=True) if product}
        coarse = gk.correlated_polytope(game, concept="cce")
        products = {vertex for vertex, product in zip(coarse.vertices, coarse.is_nash, strict=True) if product}
        assert products <= nash
        coarse_rows = gains_by_definition(game, "cce").astype(int).astype(object)
        for vertex in found.vertices[:: max(1, len(found) // 50)]:
            assert all(gain <= 0 for gain in coarse_rows @ np.array(vertex, object))


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 3)], ids=str)
def test_the_best_by_any_measure_is_a_vertex(shape, concept):
    """Linear programmes by HiGHS find no more, and no less."""
    random = np.random.default_rng(0)
    for seed in range(5):
        game = integer_game(shape, seed, 9)
        found = gk.correlated_polytope(game, concept=concept)
        for _ in range(4):
            table, weights = random.normal(size=shape), random.normal(size=len(shape))
            axes = tuple(range(1, len(shape) + 1))
            best = gk.solve_welfare(game, concept=concept, welfare=table)
            np.testing.assert_allclose(-best.objective, np.sum(found.joint_policy * table, axis=axes).max(), atol=1e-7)
            best = gk.solve_welfare(game, concept=concept, welfare=weights)
            np.testing.assert_allclose(-best.objective, np.max(found.values @ weights), atol=1e-7)


def test_neither_units_nor_the_order_of_players_matter():
    game = integer_game((2, 3, 2), 3, 9)
    found = gk.correlated_polytope(game)
    assert len(found) > 1
    payoffs = np.asarray(game.payoffs)
    other = gk.NormalFormGame(payoffs * np.array([1e3, 0.25, 7]).reshape(3, 1, 1, 1) + 5)
    assert gk.correlated_polytope(other).vertices == found.vertices
    turned = gk.correlated_polytope(gk.NormalFormGame(payoffs[[2, 0, 1]].transpose(0, 3, 1, 2)))
    expected = {tuple(np.array(v, object).reshape(2, 3, 2).transpose(2, 0, 1).ravel()) for v in found.vertices}
    assert set(turned.vertices) == expected


def test_decimals_are_what_was_written():
    """Tenths and thirds are rounded as floats."""
    tenths = gk.NormalFormGame(np.asarray(gk.games.chicken().payoffs) / 10)
    assert gk.correlated_polytope(tenths).vertices == gk.correlated_polytope(gk.games.chicken()).vertices
    exact = gk.correlated_polytope(tenths, rationals="exact")
    assert len(exact) == 5 and exact.vertices != gk.correlated_polytope(tenths).vertices
    assert exact.payoffs[0][1] == F(0.7)
    thirds = gk.NormalFormGame(np.asarray(gk.games.chicken(dtype=np.float32).payoffs) / np.float32(3))
    assert gk.correlated_polytope(thirds).vertices == gk.correlated_polytope(gk.games.chicken()).vertices
    assert gk.correlated_polytope(thirds).payoffs[0] == (0, F(7, 3), F(2, 3), 2)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_the_dimension_is_that_of_the_vertices(concept):
    met = set()
    for seed in range(30):
        found = gk.correlated_polytope(integer_game((3, 3), seed, 1 + seed % 5), concept=concept)
        vertices = found.joint_policy.reshape(len(found), -1)
        assert found.dimension == np.linalg.matrix_rank(vertices - vertices[0])
        met.add(found.dimension)
    assert len(met) > 3


def test_polygons_are_convex_hulls():
    points = np.random.default_rng(0).integers(0, 12, (40, 2))
    found = convex_hull([(F(int(x)), F(int(y))) for x, y in points])
    hull = ConvexHull(points)
    assert {tuple(corner) for corner in points[hull.vertices]} == set(found)
    area = sum(a * d - b * c for (a, b), (c, d) in zip(found, found[1:] + found[:1], strict=True)) / 2
    np.testing.assert_allclose(float(area), hull.volume)  # positive: counterclockwise
    assert convex_hull([(F(k), F(2 * k)) for k in (3, 1, 2, 1)]) == ((1, 2), (3, 6))
    assert convex_hull([(F(1), F(1))] * 3) == ((1, 1),)


def test_a_listing_has_names():
    names = Names(("Ann", "Bob"), (("dare", "yield"), ("dare", "yield")))
    lines = gk.correlated_polytope(gk.games.chicken()).listing(names).splitlines()
    assert lines[0] == "1: 1/5 (dare, dare), 2/5 (dare, yield), 2/5 (yield, dare) earns 18/5, 18/5"
    assert lines[2:4] == [
        "3: 1 (dare, yield) earns 7, 2, Nash",
        "4: 1/4 (dare, yield), 1/4 (yield, dare), 1/2 (yield, yield) earns 21/4, 21/4",
    ]
    many = gk.correlated_polytope(integer_game((3, 3), 5, 2), concept="cce")
    assert len(many.listing().splitlines()) == len(many) > 9
    assert repr(many).endswith(f"and {len(many) - 12} more")


def test_what_is_refused():
    game = integer_game((2, 2), 0, 9)
    refused = {
        "concept: got 'nash', takes one of 'cce', 'ce'": dict(concept="nash"),
        "rationals: got 'float', takes one of 'simplest', 'exact'": dict(rationals="float"),
        "max_vertices: got 0, takes a whole number >= 1": dict(max_vertices=0),
    }
    for message, options in refused.items():
        with pytest.raises(ValueError, match=f"^{message}"):
            gk.correlated_polytope(game, **options)
    with pytest.raises(ValueError, match=r"payoffs\[1, 0, 1\]: got nan"):
        gk.correlated_polytope(gk.NormalFormGame(game.payoffs.at[1, 0, 1].set(np.nan)))
    with pytest.raises(ValueError, match="game: got 289 joint actions, takes at most 256"):
        gk.correlated_polytope(gk.NormalFormGame(np.zeros((2, 17, 17))))
    message = r"max_vertices: got a game with (\d+) extreme coarse correlated equilibria or more, takes at most 20"
    with pytest.raises(ValueError, match=message):
        gk.correlated_polytope(integer_game((3, 3), 2, 2), concept="cce", max_vertices=20)
    with pytest.raises(TypeError, match="game: got traced arrays, takes concrete ones"):
        jax.vmap(lambda payoffs: gk.correlated_polytope(gk.NormalFormGame(payoffs)))(np.zeros((3, 2, 2, 2)))
    with pytest.raises(ValueError, match="polygon: got 3 players, takes 2"):
        gk.correlated_polytope(integer_game((2, 2, 2), 0, 9)).polygon  # noqa: B018
