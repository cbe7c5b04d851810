"""enumerate_nash: all extreme equilibria, beside all bases in rational numbers, Gambit, lrslib and closed forms."""

import shutil
import subprocess
from fractions import Fraction
from itertools import combinations

import exact_answers
import gambit_helpers
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk

# von Stengel, "New maximal numbers of equilibria in bimatrix games" (1999), with the small payoffs of Savani and von
# Stengel (2006): the row player's. The other one's are the same but that the first and the second action, the third and
# the fourth, and so on, change places.
SEVENTY_FIVE = [
    [-81, 36, -126, 126, -36, 90],
    [-180, 72, -333, 297, -153, 270],
    [20, -3, 42, -33, 17, -30],
    [-30, 17, -33, 42, -3, 20],
    [270, -153, 297, -333, 72, -180],
    [90, -36, 126, -126, 36, -81],
]


def game_of(row, column):
    return gk.NormalFormGame(np.array([row, column], dtype=float))


def draw(rng, shape=None):
    """A game of small whole payoffs: most are degenerate, some have actions that are alike, or indifferent players."""
    payoffs = rng.integers(0, rng.choice([2, 3, 5, 50]), (2, *(rng.integers(1, 5, 2) if shape is None else shape)))
    kind = rng.integers(6)
    if kind == 0:
        payoffs[1] = -payoffs[0]
    elif kind == 1:
        payoffs[rng.integers(2)] = 1
    elif kind == 2:
        payoffs[:, -1] = payoffs[:, 0]
    elif kind == 3:
        payoffs[:, :, -1] = payoffs[:, :, 0]
    return payoffs.astype(float)


def gain(rows, own, other):
    """What a player could gain, in rational numbers."""
    values = [sum(a * b for a, b in zip(row, other, strict=True)) for row in rows]
    return max(values) - sum(a * b for a, b in zip(own, values, strict=True))


def columns(table):
    return list(zip(*table, strict=True))


def test_all_bases_have_the_same_equilibria():
    rng = np.random.default_rng(0)
    for _ in range(150):
        payoffs = draw(rng)
        found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
        expected = exact_answers.extreme_equilibria(*map(exact_answers.exactly, payoffs))
        assert len(found) == len(expected) and set(found.rational_policies) == expected, payoffs.tolist()
        assert found.complete


def test_mixtures_within_a_subset_are_equilibria_and_subsets_are_maximal():
    rng = np.random.default_rng(1)
    for _ in range(60):
        payoffs = draw(rng)
        found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
        row, column = found.payoffs
        pairs = set(found.pairs)
        sets = [tuple(map(set, subset.vertices)) for subset in found.subsets]
        assert {(x, y) for first, second in sets for x in first for y in second} == pairs
        for index, (first, second) in enumerate(sets):
            policies = []
            for own, numbers in zip(found.vertices, (first, second), strict=True):
                shares = dict(zip(numbers, map(int, rng.integers(1, 9, len(numbers))), strict=True))
                mixed = [sum(shares[n] * own[n][a] for n in numbers) for a in range(len(own[0]))]
                policies.append([Fraction(share) / sum(shares.values()) for share in mixed])
            assert gain(row, *policies) == gain(columns(column), *reversed(policies)) == 0
            assert all(
                any((x, y) not in pairs for y in second) for x in range(len(found.vertices[0])) if x not in first
            )
            assert all(
                any((x, y) not in pairs for x in first) for y in range(len(found.vertices[1])) if y not in second
            )
            inside = [x in first and y in second for x, y in found.pairs]
            np.testing.assert_array_equal(found.in_subset[:, index], inside)
            assert {found.components[number] for number in np.flatnonzero(inside)} == {found.subsets[index].component}
        # Each maximal product of vertices is there, from all sets of the row player's.
        if len(found.vertices[0]) <= 8:
            numbers = range(len(found.vertices[0]))
            closed = set()
            for first in (set(c) for size in numbers for c in combinations(numbers, size + 1)):
                second = {y for y in range(len(found.vertices[1])) if all((x, y) in pairs for x in first)}
                if second:
                    closed.add(
                        (frozenset(x for x in numbers if all((x, y) in pairs for y in second)), frozenset(second))
                    )
            assert closed == {tuple(map(frozenset, entry)) for entry in sets} and len(closed) == len(sets)


def test_components_are_connected_and_apart():
    rng = np.random.default_rng(2)
    for _ in range(60):
        found = gk.enumerate_nash(gk.NormalFormGame(draw(rng)))
        alike = np.array([[x == u or y == v for u, v in found.pairs] for x, y in found.pairs])
        reached = np.linalg.matrix_power(alike.astype(object), len(found)) != 0
        np.testing.assert_array_equal(reached, np.equal.outer(found.components, found.components))
        assert sorted(set(found.components)) == list(range(max(found.components) + 1))


def test_gambit_has_the_same_equilibria():
    pygambit = gambit_helpers.pygambit()
    rng = np.random.default_rng(3)
    for _ in range(20):
        payoffs = draw(rng, rng.integers(1, 7, 2))
        theirs = gambit_helpers.table(*payoffs.astype(int))
        equilibria = pygambit.nash.enummixed_solve(theirs, rational=True).equilibria
        profiles = {
            tuple(tuple(Fraction(share) for _, share in profile[player]) for player in theirs.players)
            for profile in equilibria
        }
        assert set(gk.enumerate_nash(gk.NormalFormGame(payoffs)).rational_policies) == profiles


@pytest.mark.skipif(shutil.which("lrsnash") is None, reason="lrslib is not installed")
def test_lrsnash_has_the_same_equilibria(tmp_path):
    rng = np.random.default_rng(4)
    for _ in range(40):
        payoffs = draw(rng, rng.integers(1, 9, 2))
        assert set(gk.enumerate_nash(gk.NormalFormGame(payoffs)).rational_policies) == lrsnash(payoffs, tmp_path)


def lrsnash(payoffs, folder):
    tables = ["\n".join(" ".join(f"{entry:.0f}" for entry in row) for row in table) for table in payoffs]
    (folder / "game").write_text("\n\n".join([" ".join(map(str, payoffs.shape[1:])), *tables]) + "\n")
    told = subprocess.run(["lrsnash", str(folder / "game")], capture_output=True, text=True, check=True).stdout
    found = set()
    for block in "\n".join(line for line in told.splitlines() if line[:1] != "*").split("\n\n"):
        lines = [line.split() for line in block.splitlines() if line.strip()]
        xs, ys = ([tuple(map(Fraction, line[1:-1])) for line in lines if line[0] == player] for player in "12")
        found |= {(x, y) for x in xs for y in ys}
    return found


def test_seventy_five_equilibria_of_six_by_six():
    row, other = np.array(SEVENTY_FIVE), [1, 0, 3, 2, 5, 4]
    found = gk.enumerate_nash(game_of(row, row[np.ix_(other, other)].T))
    assert len(found) == len(set(found.rational_policies)) == len(found.subsets) == max(found.components) + 1 == 75
    rows, columns_ = found.payoffs
    assert all(gain(rows, x, y) == gain(columns(columns_), y, x) == 0 for x, y in found.rational_policies)
    sizes = sorted(tuple(sum(share > 0 for share in policy) for policy in both) for both in found.rational_policies)
    assert all(first == second for first, second in sizes)  # of a regular game


def test_coordination_has_an_equilibrium_for_each_support():
    for size in (1, 2, 5, 8):
        found = gk.enumerate_nash(game_of(np.eye(size), np.eye(size)))
        assert len(found) == max(found.components) + 1 == 2**size - 1
        for x, y in found.rational_policies:
            assert x == y and set(x) <= {Fraction(0), Fraction(1, sum(share > 0 for share in x))}


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (3, 4), (70, 2), (40, 40)])
def test_games_without_stakes(shape):
    found = gk.enumerate_nash(gk.NormalFormGame(np.zeros((2, *shape))))
    assert len(found) == shape[0] * shape[1] and len(found.subsets) == max(found.components) + 1 == 1
    assert all(set(policy) == {Fraction(0), Fraction(1)} or policy == (1,) for own in found.vertices for policy in own)


def test_one_player_decides():
    found = gk.enumerate_nash(game_of([[1], [3], [3], [2]], [[0], [5], [7], [0]]))
    assert found.rational_policies == (((0, 1, 0, 0), (1,)), ((0, 0, 1, 0), (1,)))
    assert found.rational_values == ((3, 5), (3, 7))
    assert found.subsets[0].vertices == ((0, 1), (0,)) and len(found.subsets) == 1


def test_labels_beyond_a_word():
    """More actions than bits: a block game whose equilibria are those of its blocks, and mixtures of these."""
    row = np.full((36, 36), -100.0)
    row[:2, :2] = [[1, -1], [-1, 1]]
    column = np.where(row == -100, -100, -row)
    found = gk.enumerate_nash(game_of(row, column))
    half = Fraction(1, 2)
    assert ((half, half) + (Fraction(0),) * 34,) * 2 in found.rational_policies
    assert all(gain(found.payoffs[0], x, y) == 0 for x, y in found.rational_policies)


def test_decimals_and_fractions_are_read_as_they_were_written():
    """0.1 + 0.2 is 0.3 in decimals, and is not in floats."""
    tied = game_of([[0.1, 0.2], [0.3, 0.0]], [[0, 0], [0, 0]])  # all of the first's are as good at (1/2, 1/2) alone
    assert any(y == (Fraction(1, 2),) * 2 for _, y in gk.enumerate_nash(tied).rational_policies)
    assert all(y != (Fraction(1, 2),) * 2 for _, y in gk.enumerate_nash(tied, rationals="exact").rational_policies)
    game = game_of([[1 / 3, 0.1], [2 / 7, 123456.789]], [[-1 / 3, 1e-7], [0.0, 2.0**-40]])
    row, column = gk.enumerate_nash(game).payoffs
    assert row == ((Fraction(1, 3), Fraction(1, 10)), (Fraction(2, 7), Fraction(123456789, 1000)))
    assert column == ((Fraction(-1, 3), Fraction(1, 10**7)), (0, Fraction(2.0**-40)))
    row, column = gk.enumerate_nash(game, rationals="exact").payoffs
    assert all(
        Fraction(float(a)) == b for a, b in zip(np.ravel(game.payoffs), [*sum(row, ()), *sum(column, ())], strict=True)
    )


def test_random_floats_are_read_as_they_are():
    payoffs = np.random.default_rng(5).uniform(-1, 1, (2, 20, 20))
    found = [
        entry
        for table in gk.enumerate_nash(gk.NormalFormGame(payoffs[:, :3])).payoffs
        for row in table
        for entry in row
    ]
    assert (
        np.mean([Fraction(value) == entry for value, entry in zip(payoffs[:, :3].ravel(), found, strict=True)]) > 0.97
    )
    assert np.array_equal(np.array(found, dtype=float), payoffs[:, :3].ravel())


@settings(max_examples=200, deadline=None)
@given(st.integers(-3000, 3000), st.integers(1, 999_999))
def test_every_fraction_of_a_small_denominator_is_recovered(numerator, denominator):
    payoffs = np.full((2, 1, 1), numerator / denominator)
    assert gk.enumerate_nash(gk.NormalFormGame(payoffs)).payoffs[0] == ((Fraction(numerator, denominator),),)


def test_float32():
    game = gk.NormalFormGame(np.array([[[0.1, 0], [0, 1 / 3]]] * 2, dtype=np.float32))
    found = gk.enumerate_nash(game)
    assert found.payoffs[0] == ((Fraction(1, 10), 0), (0, Fraction(1, 3)))
    assert found.rational_policies[1] == ((Fraction(10, 13), Fraction(3, 13)),) * 2
    np.testing.assert_allclose(found.policy[0][1], [10 / 13, 3 / 13], rtol=1e-15)
    np.testing.assert_allclose(found.values, [[0.1, 0.1], [1 / 13, 1 / 13], [1 / 3, 1 / 3]], rtol=1e-15)


PAYOFFS = st.lists(st.integers(-2, 2), min_size=24, max_size=24)


@settings(max_examples=60, deadline=None)
@given(
    payoffs=PAYOFFS,
    rows=st.permutations(range(3)),
    cols=st.permutations(range(4)),
    scale=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    shift=st.tuples(
        st.lists(st.integers(-9, 9), min_size=4, max_size=4), st.lists(st.integers(-9, 9), min_size=3, max_size=3)
    ),
)
def test_other_orders_and_units(payoffs, rows, cols, scale, shift):
    """Equilibria move with the order of actions; units, and what the other one's action brings anyway, change none."""
    table = np.array(payoffs, dtype=float).reshape(2, 3, 4)
    found = gk.enumerate_nash(gk.NormalFormGame(table))
    other = table[:, rows][:, :, cols]
    other = np.stack([scale[0] * other[0] + np.array(shift[0]), scale[1] * other[1] + np.array(shift[1])[:, None]]) / 7
    moved = gk.enumerate_nash(gk.NormalFormGame(other))
    expected = {(tuple(x[k] for k in rows), tuple(y[k] for k in cols)) for x, y in found.rational_policies}
    assert set(moved.rational_policies) == expected
    assert sorted(map(len_of, moved.subsets)) == sorted(map(len_of, found.subsets))
    swapped = gk.enumerate_nash(gk.NormalFormGame(np.stack([table[1].T, table[0].T])))
    assert set(swapped.rational_policies) == {(y, x) for x, y in found.rational_policies}


def len_of(subset):
    return tuple(map(len, subset.vertices))


@settings(max_examples=60, deadline=None)
@given(payoffs=PAYOFFS, twin=st.integers(0, 2))
def test_a_row_that_is_there_twice(payoffs, twin):
    """Each equilibrium is there once for the row, and once for its twin where it is played."""
    table = np.array(payoffs, dtype=float).reshape(2, 3, 4)
    found = gk.enumerate_nash(gk.NormalFormGame(table)).rational_policies
    doubled = gk.enumerate_nash(gk.NormalFormGame(np.concatenate([table, table[:, twin : twin + 1]], axis=1)))
    expected = set()
    for x, y in found:
        expected.add(((*x, Fraction(0)), y))
        expected.add(((*x[:twin], Fraction(0), *x[twin + 1 :], x[twin]), y))
    assert set(doubled.rational_policies) == expected


def test_what_is_too_large():
    game = gk.games.uniform(jax.random.key(0), (9, 9))
    with pytest.raises(
        ValueError, match=r"max_vertices: got a game with [0-9,]+ vertices of a player's .* at most 100"
    ):
        gk.enumerate_nash(game, max_vertices=100)
    with pytest.raises(
        ValueError, match="max_vertices: got a game with 144 extreme equilibria or more, takes at most 50"
    ):
        gk.enumerate_nash(gk.NormalFormGame(np.zeros((2, 12, 12))), max_vertices=50)


def test_what_it_does_not_take():
    game = gk.games.matching_pennies()
    with pytest.raises(TypeError, match="game: got traced arrays"):
        jax.jit(lambda game: gk.enumerate_nash(game).policy)(game)
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        gk.enumerate_nash(gk.NormalFormGame(np.full((2, 2, 2), np.nan)))
    with pytest.raises(ValueError, match="rationals: got 'floats', takes one of 'simplest', 'exact'"):
        gk.enumerate_nash(game, rationals="floats")
    with pytest.raises(ValueError, match="max_vertices: got 0, takes a whole number >= 1"):
        gk.enumerate_nash(game, max_vertices=0)


def test_how_it_is_shown():
    found = gk.enumerate_nash(game_of([[2, 0], [0, 1]], [[1, 0], [0, 2]]))
    assert repr(found).splitlines() == [
        "NashEquilibria: 2 x 2 actions, 3 extreme equilibria in 3 components, 3 maximal Nash subsets",
        "  component 1: 1 0 | 1 0",
        "  component 2: 2/3 1/3 | 1/3 2/3",
        "  component 3: 0 1 | 0 1",
    ]
    assert "(x2, y2) earns 2/3, 2/3" in found.listing()
    many = repr(gk.enumerate_nash(gk.NormalFormGame(np.zeros((2, 5, 5)))))
    assert many.endswith("  and 13 more") and max(map(len, many.splitlines())) <= 100
