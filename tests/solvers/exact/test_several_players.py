"""enumerate_nash of three and more players, beside closed forms of 2 x 2 x 2 games and Gambit's polynomial systems."""

from decimal import Decimal, getcontext
from fractions import Fraction
from itertools import product
from pathlib import Path

import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk

CELLS = list(product(range(2), repeat=3))


def game_of(cells):
    """Of 2 x 2 x 2: what the players earn in some cells, and 0 in all others."""
    payoffs = np.zeros((3, 2, 2, 2))
    for cell, earned in cells.items():
        payoffs[(slice(None), *cell)] = earned
    return gk.NormalFormGame(payoffs)


# McKelvey and McLennan (1997): nine regular equilibria, the most that a 2 x 2 x 2 game can have.
NINE = game_of({(0, 0, 0): (9, 8, 12), (1, 1, 0): (9, 8, 2), (1, 0, 1): (3, 4, 6), (0, 1, 1): (3, 4, 6)})
# Nau, Gomez Canovas and Hansen (2004): one equilibrium, of irrational shares.
IRRATIONAL = game_of(
    {
        (0, 0, 0): (3, 0, 2),
        (0, 1, 0): (0, 2, 0),
        (1, 0, 0): (0, 1, 0),
        (1, 1, 0): (1, 0, 0),
        (0, 0, 1): (1, 0, 0),
        (0, 1, 1): (0, 1, 0),
        (1, 0, 1): (0, 3, 0),
        (1, 1, 1): (2, 0, 3),
    }
)


def profiles(found):
    return np.concatenate(found.policy, axis=1)


def gains(payoffs, policies):
    """What each player could gain in rational numbers, by sums over all cells."""
    earned = []
    for player, own in enumerate(policies):
        values = [Fraction(0)] * len(own)
        for cell in np.ndindex(*payoffs.shape[1:]):
            share = Fraction(1)
            for other, action in enumerate(cell):
                share *= policies[other][action] if other != player else 1
            values[cell[player]] += share * Fraction(float(payoffs[(player, *cell)]))
        earned.append(max(values) - sum(a * b for a, b in zip(own, values, strict=True)))
    return earned


def of_two_by_two_by_two(payoffs):
    """All equilibria of a 2 x 2 x 2 game without ties: shares of first actions, each by solving for one unknown."""
    more = [np.moveaxis(table, player, 0)[0] - np.moveaxis(table, player, 0)[1] for player, table in enumerate(payoffs)]

    def gain(player, others):
        (a, b), (c, d) = more[player]
        p, q = others
        return a * p * q + b * p * (1 - q) + c * (1 - p) * q + d * (1 - p) * (1 - q)

    candidates = [tuple(map(float, cell)) for cell in CELLS]
    for player, fixed in product(range(3), (0.0, 1.0)):
        one, other = (k for k in range(3) if k != player)
        shares = [fixed] * 3
        # What each of the two plays makes the other indifferent.
        for mover, judge in ((one, other), (other, one)):
            ends = [gain(judge, [value if k == mover else fixed for k in range(3) if k != judge]) for value in (0, 1)]
            shares[mover] = -ends[0] / (ends[1] - ends[0])
        candidates.append(tuple(shares))
    # y, z as ratios of polynomials in x, then a quadratic.
    (a, b), (c, d) = more[2]
    top, under = np.poly1d([d - b, -d]), np.poly1d([a - b - c + d, c - d])  # y = top / under
    (e, f), (g, h) = more[1]
    top_z, under_z = np.poly1d([h - f, -h]), np.poly1d([e - f - g + h, g - h])
    (p, q), (r, s) = more[0]
    last = top * top_z * float(p) + top * (under_z - top_z) * float(q) + (under - top) * top_z * float(r)
    for x in (last + (under - top) * (under_z - top_z) * float(s)).roots:
        if abs(x.imag) < 1e-12:
            candidates.append((x.real, top(x.real) / under(x.real), top_z(x.real) / under_z(x.real)))
    found = []
    for shares in candidates:
        if not all(-1e-12 <= share <= 1 + 1e-12 for share in shares):
            continue
        values = [gain(player, [shares[k] for k in range(3) if k != player]) for player in range(3)]
        if all(
            value >= -1e-9 if share == 1 else value <= 1e-9 if share == 0 else abs(value) < 1e-9
            for share, value in zip(shares, values, strict=True)
        ):
            found.append(shares)
    return np.array(found)


def assert_same(ours, theirs, atol):
    """Whether two lists of profiles are the same but for their order."""
    assert len(ours) == len(theirs)
    away = np.max(np.abs(ours[:, None] - theirs[None]), axis=2)
    assert np.all(away.min(axis=0) < atol) and np.all(away.min(axis=1) < atol)


def test_nine_equilibria():
    found = gk.enumerate_nash(NINE)
    assert isinstance(found, gk.FoundEquilibria) and found.complete and np.all(found.regular)
    assert np.all(found.epsilon == 0) and np.all(found.error == 0)
    half, third, quarter, fifth = (Fraction(1, k) for k in (2, 3, 4, 5))
    first = {(1, 1, 1), (0, 0, 1), (0, 1, 0), (1, 0, 0), (half, half, 1), (third, 1, quarter), (0, quarter, third)}
    first |= {(half, 2 * fifth, quarter), (2 * fifth, half, third)}
    assert {tuple(own[0] for own in policies) for policies in found.fractions} == first
    assert found.headline() == "9 equilibria, all regular, and there are no others"


def test_an_irrational_one():
    """The certified error holds what 50 digits say."""
    found = gk.enumerate_nash(IRRATIONAL)
    assert len(found) == 1 and found.complete and found.regular[0] and found.fractions == (None,)
    getcontext().prec = 50
    exact = (Decimal(601).sqrt() - 13) / 24
    assert abs(Decimal(float(found.policy[1][0, 0])) - exact) <= Decimal(float(found.error[0]))
    assert 0 < found.error[0] < 1e-13 and 0 < found.epsilon[0] < 1e-15


def test_two_by_two_by_two_beside_closed_forms():
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(150):
        payoffs = rng.normal(size=(3, 2, 2, 2))
        found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
        assert found.complete and np.all(found.regular)
        assert_same(np.stack([own[:, 0] for own in found.policy], axis=1), of_two_by_two_by_two(payoffs), 1e-9)
        counts.append(len(found))
    assert set(counts) >= {1, 3, 5}


@pytest.mark.parametrize("shape", [(3, 3, 3), (2, 2, 2, 2), (4, 2, 3), (1, 3, 2)])
def test_random_games_are_settled(shape):
    """Regular games have an odd number of equilibria; epsilon is at least what a player gains, in rational numbers."""
    rng = np.random.default_rng(1)
    for _ in range(6):
        payoffs = rng.uniform(size=(len(shape), *shape))
        found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
        assert found.complete and np.all(found.regular) and len(found) % 2 == 1
        assert np.all(found.epsilon <= 1e-14) and np.all(found.error <= 1e-8)
        for number in range(len(found)):
            policies = [[Fraction(float(share)) for share in own[number]] for own in found.policy]
            policies = [[share / sum(own) for share in own] for own in policies]
            assert max(gains(payoffs, policies)) <= Fraction(float(found.epsilon[number]))
            joint = policies[0]
            for own in policies[1:]:
                joint = [a * b for a in joint for b in own]
            np.testing.assert_allclose(found.values[number], payoffs.reshape(len(shape), -1) @ np.array(joint, float))


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 3, 2), (2, 2, 2, 2)])
def test_gambit_finds_none_that_is_missing(shape):
    """Gambit misses some at times, so that all of ours are judged by themselves."""
    pygambit = gambit_helpers.pygambit()
    rng = np.random.default_rng(2)
    ours, theirs = 0, 0
    for _ in range(8):
        payoffs = rng.integers(0, 1000, (len(shape), *shape))
        table = gambit_helpers.table(*payoffs)
        found = gk.enumerate_nash(gk.NormalFormGame(payoffs.astype(float)))
        assert found.complete
        for entry in pygambit.nash.enumpoly_solve(table).equilibria:
            policies = np.concatenate(gambit_helpers.policies(table, entry))
            assert np.min(np.max(np.abs(profiles(found) - policies), axis=1)) < 1e-7
            theirs += 1
        ours += len(found)
    assert 8 < theirs <= ours


def test_games_of_gambits_catalogue():
    """Most have ties, and so sets of equilibria; all that is found is one, and where it is all, Gambit has no other."""
    pygambit = gambit_helpers.pygambit()
    folder = Path(pygambit.__file__).parent / "catalog_data"
    seen = 0
    for path in sorted(folder.rglob("*.nfg")):
        game = gk.games.load_game(path)
        if game.num_players < 3:
            continue
        payoffs = np.asarray(game.payoffs)
        found = gk.enumerate_nash(game)
        assert len(found) and np.all(found.epsilon <= 1e-9 * np.ptp(payoffs)), path
        table = pygambit.read_nfg(str(path))
        for entry in pygambit.nash.enumpoly_solve(table).equilibria if found.complete else ():
            policies = np.concatenate(gambit_helpers.policies(table, entry))
            assert np.min(np.max(np.abs(profiles(found) - policies), axis=1)) < 1e-7
        seen += 1
    if not seen:
        pytest.skip("this pygambit has no catalogue")


def test_what_is_not_isolated_is_told():
    """Where all payoffs are alike every profile is an equilibrium."""
    found = gk.enumerate_nash(gk.NormalFormGame(np.zeros((3, 2, 2, 2))))
    assert not found.complete and not np.any(found.regular) and np.all(found.epsilon == 0)
    assert {tuple(own[number, 0] for own in found.policy) for number in range(len(found))} >= set(CELLS)
    assert found.num_supports == 27 and len(found.unsettled) == 19
    assert "19 of 27 profiles of supports may have more" in found.headline()


def test_one_indifferent_player():
    """A third one that earns nothing judges between two equilibria of matching pennies, a fair coin in each."""
    pennies = np.array([[[1.0, -1], [-1, 1]], [[-1, 1], [1, -1]]])
    payoffs = np.zeros((3, 2, 2, 2))
    payoffs[:2] = pennies[..., None] * [1.0, 2.0]
    found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
    assert not found.complete and found.unsettled == (((0, 1), (0, 1), (0, 1)),)
    np.testing.assert_allclose(found.policy[0], 0.5, atol=1e-9)
    assert {0.0, 1.0} <= set(found.policy[2][:, 0]) and np.all(found.epsilon <= 1e-9)


def test_a_tie_at_a_pure_equilibrium_is_seen_exactly():
    """All are strict but for the third player's, who is indifferent where the others are at their first actions."""
    payoffs = np.zeros((3, 2, 2, 2))
    payoffs[0, 0] = payoffs[1, :, 0] = 1
    payoffs[2] = 0.3
    payoffs[2, 1, 0, 1] = 0.1 + 0.2  # which is another float, and the same decimal
    found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
    assert not found.complete and found.unsettled == (((0,), (0,), (0, 1)),)
    assert np.all(found.policy[0][:, 0] == 1) and np.all(found.policy[1][:, 0] == 1)
    assert not np.any(found.regular) and np.all(found.epsilon == 0)


PAYOFFS = st.lists(st.integers(-50, 50), min_size=36, max_size=36)


@settings(max_examples=15, deadline=None)
@given(
    payoffs=PAYOFFS,
    players=st.permutations(range(3)),
    first=st.permutations(range(3)),
    scale=st.sampled_from([1e-6, 1.0, 1e9]),
)
def test_other_orders_and_units(payoffs, players, first, scale):
    """Also that what is found regular stays where the order of players or actions, or the units, are others."""
    table = np.array(payoffs, dtype=float).reshape(3, 3, 2, 2) + np.random.default_rng(0).uniform(size=(3, 3, 2, 2))
    found = gk.enumerate_nash(gk.NormalFormGame(table))
    other = scale * table[:, first]
    moved = gk.enumerate_nash(gk.NormalFormGame(np.transpose(other[players], (0, *(1 + k for k in players)))))
    assert found.complete and moved.complete
    theirs = [moved.policy[players.index(player)] for player in range(3)]
    ours = [found.policy[0][:, first], *found.policy[1:]]
    assert_same(np.concatenate(ours, axis=1), np.concatenate(theirs, axis=1), 1e-7)


def test_dominated_actions_are_not_looked_at():
    """With one profile left after what is strictly dominated has gone, one is looked at."""
    payoffs = np.zeros((4, 3, 3, 3, 3))
    for player in range(4):
        payoffs[player] = np.expand_dims(np.arange(3.0), tuple(k for k in range(4) if k != player))
    found = gk.enumerate_nash(gk.NormalFormGame(payoffs))
    assert found.num_supports == len(found) == 1 and found.complete and found.regular[0]
    assert all(own[0, 2] == 1 for own in found.policy)


def test_float32_and_no_float64():
    with jax.enable_x64(False):
        game = gk.NormalFormGame(jnp.asarray(NINE.payoffs, jnp.float32) / 10)
        found = gk.enumerate_nash(game)
        assert len(found) == 9 and found.complete and found.policy[0].dtype == np.float64
        assert found.fractions[0] == ((1, 0),) * 3


def test_how_it_is_shown():
    found = gk.enumerate_nash(NINE)
    assert repr(found).splitlines()[:4] == [
        "FoundEquilibria: 2 x 2 x 2 actions, 9 equilibria, all regular, and there are no others",
        "  1 0 | 1 0 | 1 0",
        "  1 0 | 0 1 | 0 1",
        "  1/2 1/2 | 1/2 1/2 | 1 0",
    ]
    assert found.listing().splitlines()[4:8] == [
        "equilibrium 2: regular, earns 3, 4, 6, epsilon 0.0e+00",
        "  player 1: 1 0",
        "  player 2: 0 1",
        "  player 3: 0 1",
    ]
    assert "  0.619233 0.380767 | 0.479804 0.520196 | 0.378825 0.621175" in repr(gk.enumerate_nash(IRRATIONAL))


def test_what_it_does_not_take():
    with pytest.raises(ValueError, match="max_supports: got a game of 29,791 profiles of supports, takes 10,000"):
        gk.enumerate_nash(gk.games.uniform(jax.random.key(0), (5, 5, 5)))
    with pytest.raises(ValueError, match="max_supports: got 0, takes a whole number >= 1"):
        gk.enumerate_nash(NINE, max_supports=0)
    with pytest.raises(ValueError, match="game: got 1 player, takes two or more"):
        gk.enumerate_nash(gk.NormalFormGame(np.zeros((1, 2))))
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0, 0\]: got nan"):
        gk.enumerate_nash(gk.NormalFormGame(np.full((3, 2, 2, 2), np.nan)))
    with pytest.raises(TypeError, match="game: got traced arrays"):
        jax.jit(lambda game: gk.enumerate_nash(game).policy)(NINE)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1)])
def test_players_without_a_choice(shape):
    payoffs = np.arange(3.0 * np.prod(shape)).reshape(3, *shape)
    game = gk.NormalFormGame(payoffs)
    found = gk.enumerate_nash(game)
    assert len(found) == 1 and found.complete
    last = [[float(action == size - 1) for action in range(size)] for size in shape]
    for own in (tuple(entry[0] for entry in found.policy), gk.max_entropy_nash(game).policy):
        for mine, theirs in zip(own, last, strict=True):
            np.testing.assert_array_equal(mine, theirs)
