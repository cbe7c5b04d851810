"""Merged actions: Kuhn poker against pyspiel's count, copies that merge again, and profiles lifted back."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk


def kuhn():
    """Kuhn poker by its rules, 64 x 64: cards 0 < 1 < 2, an ante of 1, a bet of 1.

    Bit 2c of a strategy of the first player is whether it bets with card c, bit 2c + 1 whether it calls after pass and
    bet. Bit 2c of the second player's is whether it calls a bet, bit 2c + 1 whether it bets after a pass.
    """
    payoffs = np.zeros((64, 64))
    for (first, second), (one, two) in itertools.product(
        itertools.permutations(range(3), 2), itertools.product(range(64), repeat=2)
    ):
        winner = 1 if first > second else -1
        bets, calls_bet = one >> 2 * first & 1, one >> (2 * first + 1) & 1
        calls, bets_after = two >> 2 * second & 1, two >> (2 * second + 1) & 1
        if bets:
            gain = 2 * winner if calls else 1
        elif bets_after:
            gain = 2 * winner if calls_bet else -1
        else:
            gain = winner
        payoffs[one, two] += gain
    return gk.NormalFormGame(np.stack([payoffs, -payoffs]) / 6)


def values(game, policy):
    """Each player's expected payoff, by a sum over all joint actions."""
    joint = np.array(1.0)
    for probs in policy:
        joint = np.multiply.outer(joint, np.asarray(probs))
    return [float((joint * table).sum()) for table in np.asarray(game.payoffs)]


def test_kuhn_poker():
    """The first player's plans for a call after its own bet merge, 4 to 3 for each card; value -1/18."""
    game = kuhn()
    merged = gk.games.merge_equivalent(game)
    assert merged.game.num_actions == (27, 64)
    acts = [
        tuple("bet" if plan >> 2 * card & 1 else plan >> 2 * card + 1 & 1 for card in range(3)) for plan in range(64)
    ]
    classes = np.asarray(merged.maps[0]).tolist()
    assert len(set(acts)) == len({*zip(acts, classes, strict=True)}) == len(set(classes)) == 27
    np.testing.assert_array_equal(merged.maps[1], range(64))
    solution = gk.solve_nash_exact(merged.game)
    np.testing.assert_allclose(values(merged.game, solution.policy), [-1 / 18, 1 / 18], atol=1e-12)
    lifted = merged.lift(solution.policy)
    np.testing.assert_allclose(values(game, lifted), [-1 / 18, 1 / 18], atol=1e-12)
    with np.errstate(divide="ignore"):
        gaps = gk.nash_gap(game, [np.log(probs) for probs in lifted])
    np.testing.assert_allclose(gaps, 0, atol=1e-12)


def test_kuhn_poker_is_pyspiels():
    pytest.importorskip("pyspiel")
    theirs = gk.games.from_pyspiel("kuhn_poker")
    np.testing.assert_allclose(theirs.payoffs, kuhn().payoffs, atol=1e-15)
    merged = gk.games.merge_equivalent(theirs)
    assert merged.game.num_actions == (27, 64)
    for mine, other in zip(merged.maps, gk.games.merge_equivalent(kuhn()).maps, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_written_out():
    """Rows 0 and 2 pay the same to both; rows 0 and 1 to the row player only."""
    game = gk.NormalFormGame([[[1, 2], [1, 2], [1, 2], [5, 6]], [[3, 4], [3, 9], [3, 4], [7, 8]]])
    merged = gk.games.merge_equivalent(game)
    np.testing.assert_array_equal(merged.maps[0], [0, 1, 0, 2])
    np.testing.assert_array_equal(merged.maps[1], [0, 1])
    np.testing.assert_array_equal(merged.game.payoffs, np.asarray(game.payoffs)[:, [0, 1, 3]])
    lifted = merged.lift([[0.5, 0.3, 0.2], [0.25, 0.75]])
    np.testing.assert_allclose(lifted[0], [0.25, 0.3, 0.25, 0.2])
    np.testing.assert_allclose(lifted[1], [0.25, 0.75])


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)


@settings(max_examples=20, deadline=None)
@given(shapes, st.data())
def test_copies_merge_again(shape, data):
    """Actions of a game without equivalent ones are copied and shuffled; merging gives the game back."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    small = rng.normal(size=(len(shape), *shape))
    maps = [rng.permutation([*range(size), *rng.integers(size, size=rng.integers(0, 4))]) for size in shape]
    large = gk.NormalFormGame(small[np.ix_(np.arange(len(shape)), *maps)])
    merged = gk.games.merge_equivalent(large)
    for player, (mine, theirs) in enumerate(zip(merged.maps, maps, strict=True)):
        assert merged.game.num_actions[player] == shape[player]
        assert len({*zip(np.asarray(mine).tolist(), theirs.tolist(), strict=True)}) == shape[player]
    policy = [rng.dirichlet(np.ones(size)) for size in shape]
    lifted = merged.lift(policy)
    np.testing.assert_allclose(values(large, lifted), values(merged.game, policy), atol=1e-12)
    for probs, classes, whole in zip(lifted, merged.maps, policy, strict=True):
        np.testing.assert_allclose(np.bincount(classes, np.asarray(probs)), whole)
        assert all(len({*np.asarray(probs)[np.asarray(classes) == number]}) == 1 for number in range(len(whole)))


def test_tolerance():
    """Rounding keeps copies apart; a tolerance in payoff units merges them."""
    game = gk.NormalFormGame([[[0.1 + 0.2, 1.0], [0.3, 1.0], [0.3, 1.1]]] * 2)
    assert gk.games.merge_equivalent(game).game.num_actions == (3, 2)
    np.testing.assert_array_equal(gk.games.merge_equivalent(game, tolerance=1e-12).maps[0], [0, 0, 1])
    assert gk.games.merge_equivalent(game, tolerance=1).game.num_actions == (1, 1)


def test_precision_stays():
    game = gk.NormalFormGame(jnp.ones((2, 3, 2), dtype="float32"))
    merged = gk.games.merge_equivalent(game)
    assert merged.game.payoffs.dtype == "float32"
    assert merged.game.num_actions == (1, 1)
    lifted = merged.lift([jnp.ones(1, dtype="float32")] * 2)
    assert [probs.dtype for probs in lifted] == ["float32"] * 2
    np.testing.assert_allclose(lifted[0], [1 / 3] * 3, rtol=1e-6)


def test_lifting_compiles():
    merged = gk.games.merge_equivalent(kuhn())
    policies = [np.random.default_rng(0).dirichlet(np.ones(size), size=5) for size in merged.game.num_actions]
    many = jax.jit(jax.vmap(merged.lift))([jnp.asarray(entry) for entry in policies])
    for number in range(5):
        for mine, other in zip(many, merged.lift([entry[number] for entry in policies]), strict=True):
            np.testing.assert_allclose(mine[number], other)


def test_errors():
    game = kuhn()
    with pytest.raises(ValueError, match=r"^tolerance: got -1, takes a number >= 0"):
        gk.games.merge_equivalent(game, tolerance=-1)
    with pytest.raises(ValueError, match=r"^tolerance: got nan"):
        gk.games.merge_equivalent(game, tolerance=np.nan)
    with pytest.raises(ValueError, match=r"^payoffs\[0, 0\]: got nan"):
        gk.games.merge_equivalent(gk.NormalFormGame([[np.nan]]))
    with pytest.raises(ValueError, match=r"^policy: got shapes \[\(64,\), \(64,\)\], takes .* \[\(27,\), \(64,\)\]"):
        gk.games.merge_equivalent(game).lift([np.ones(64) / 64] * 2)
    with pytest.raises(ValueError, match=r"^policy\[0\]: got a sum of 27"):
        gk.games.merge_equivalent(game).lift([np.ones(27), np.ones(64) / 64])
