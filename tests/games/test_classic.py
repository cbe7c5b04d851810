"""The classic games against tables written out, and what is known of them."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

E = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
RPS = [[0, -1, 1], [1, 0, -1], [-1, 1, 0]]
PAYOFFS = {
    "rock_paper_scissors": (RPS, [[0, 1, -1], [-1, 0, 1], [1, -1, 0]]),
    "perturbed_rock_paper_scissors": ([[0, -3, 3], [3, 0, -1], [-3, 1, 0]], [[0, 3, -3], [-3, 0, 1], [3, -1, 0]]),
    "matching_pennies": ([[1, -1], [-1, 1]], [[-1, 1], [1, -1]]),
    "coordination": ([[1, 0], [0, 1]], [[1, 0], [0, 1]]),
    "chicken": ([[0, 7], [2, 6]], [[0, 2], [7, 6]]),
    "shapley": (E, [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    "donation": ([[1, -1], [2, 0]], [[1, 2], [-1, 0]]),
    "prisoners_dilemma": ([[3, 0], [5, 1]], [[3, 5], [0, 1]]),
}
ZERO_SUM = ("rock_paper_scissors", "perturbed_rock_paper_scissors", "matching_pennies")
SYMMETRIC = tuple(sorted(set(PAYOFFS) - {"matching_pennies", "shapley"}))


@pytest.mark.parametrize("name", PAYOFFS)
def test_payoffs(name):
    game = getattr(gk.games, name)()
    assert game.payoffs.dtype == jnp.float64
    np.testing.assert_array_equal(game.payoffs, np.array(PAYOFFS[name], dtype=float))


@pytest.mark.parametrize("name", PAYOFFS)
def test_dtype(name):
    game = getattr(gk.games, name)(dtype="float32")
    assert game.payoffs.dtype == jnp.float32
    np.testing.assert_array_equal(game.payoffs, np.array(PAYOFFS[name], dtype=np.float32))


@pytest.mark.parametrize("name", ZERO_SUM)
def test_zero_sum(name):
    assert not np.any(getattr(gk.games, name)().payoffs.sum(axis=0))


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric(name):
    """Exchanging the players exchanges the payoffs."""
    first, second = getattr(gk.games, name)().payoffs
    np.testing.assert_array_equal(first, second.T)


def test_shapley_best_responses_cycle():
    first, second = np.asarray(gk.games.shapley().payoffs)
    assert list(first.argmax(axis=0)) == [0, 1, 2]  # the row player matches
    assert list(second.argmax(axis=1)) == [1, 2, 0]  # the column player is one ahead
    # No cell is an equilibrium, so pure play goes round for ever.
    stable = (first == first.max(axis=0)) & (second == second.max(axis=1, keepdims=True))
    assert not stable.any()


def test_perturbed_rock_paper_scissors_equilibrium():
    """Rock : paper : scissors as 1 : 3 : 3 makes every action worth the game's value 0."""
    policy = np.array([1, 3, 3]) / 7
    values = np.asarray(gk.games.perturbed_rock_paper_scissors().payoffs[0]) @ policy
    np.testing.assert_allclose(values, 0, atol=1e-15)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_coordination_sizes(size):
    game = gk.games.coordination(size)
    assert game.num_actions == (size, size)
    for i, j in itertools.product(range(size), repeat=2):
        assert float(game.payoffs[0, i, j]) == float(game.payoffs[1, i, j]) == float(i == j)


@pytest.mark.parametrize("players", [1, 2, 3, 4])
def test_donation(players):
    """r_i = b (cooperators but i) - c [i cooperates], cell by cell; cooperation is action 0."""
    game = gk.games.donation(players, benefit=5.0, cost=1.5)
    assert game.num_players == players and game.num_actions == (2,) * players
    for actions in itertools.product((0, 1), repeat=players):
        for player in range(players):
            others = sum(action == 0 for index, action in enumerate(actions) if index != player)
            expected = 5.0 * others - (1.5 if actions[player] == 0 else 0.0)
            assert float(game.payoffs[(player, *actions)]) == expected


def test_donation_of_three_written_out():
    payoffs = np.asarray(gk.games.donation(3, benefit=2.0, cost=1.0).payoffs)
    np.testing.assert_array_equal(payoffs[:, 0, 0, 0], [3, 3, 3])
    np.testing.assert_array_equal(payoffs[:, 1, 0, 0], [4, 1, 1])
    np.testing.assert_array_equal(payoffs[:, 1, 1, 0], [2, 2, -1])
    np.testing.assert_array_equal(payoffs[:, 1, 1, 1], [0, 0, 0])


@pytest.mark.parametrize("players", [0, -1])
def test_donation_needs_a_player(players):
    with pytest.raises(ValueError, match=rf"num_players: got {players}, takes at least 1"):
        gk.games.donation(players)


def test_coordination_needs_an_action():
    with pytest.raises(ValueError, match="takes at least one"):
        gk.games.coordination(0)
