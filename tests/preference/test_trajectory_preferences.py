"""Rewards of Markov games out of comparisons of episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.special import expit, log_expit

import gamekl as gk
from gamekl.offline import MarkovDataset, estimate
from gamekl.preference import TrajectoryComparisons, estimate_rewards, sample_trajectory_comparisons

GAME = gk.games.markov(jax.random.key(0), (2, 2), num_states=4, horizon=3)
UNIFORM = [np.full((3, 4, 2), 0.5)] * 2


def visits(data):
    """c(h, s, a), how often each episode visited each cell, flat."""
    states, actions = np.asarray(data.states), np.asarray(data.actions)
    table = np.zeros((len(states), states.shape[1], data.num_states, *data.num_actions))
    for episode, step in np.argwhere(states != -1):
        table[(episode, step, states[episode, step], *actions[episode, step])] += 1
    return table.reshape(len(states), -1)


def with_ends(comparisons):
    """The same pairs, of which every third episode ends before its last step."""
    parts = []
    for data in (comparisons.first, comparisons.second):
        states = np.asarray(data.states).copy()
        states[::3, -1] = -1
        parts.append(MarkovDataset(states, data.actions, data.rewards, data.num_actions, data.num_states))
    return TrajectoryComparisons(*parts, comparisons.wins)


def test_answers_follow_the_differences_of_returns():
    steep = gk.MarkovGame(2 * GAME.rewards, GAME.transitions, GAME.initial_probs)
    other = [np.tile([0.9, 0.1], (3, 4, 1))] * 2
    drawn = sample_trajectory_comparisons(jax.random.key(1), steep, UNIFORM, 20_000, other=other)
    assert not np.any(drawn.first.rewards) and not np.any(drawn.second.rewards)  # nobody sees them
    table = np.moveaxis(np.asarray(steep.rewards), 2, 0).reshape(2, -1)
    returns = [visits(data) @ table.T for data in (drawn.first, drawn.second)]
    chances = expit(returns[0] - returns[1])
    wins = np.asarray(drawn.wins)
    assert set(np.unique(wins)) == {0.0, 1.0}
    for low, high in [(0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 1)]:
        here = (chances >= low) & (chances < high)
        spread = np.sqrt(np.sum((chances * (1 - chances))[here]))
        assert here.sum() > 1_000 and abs(np.sum((wins - chances)[here])) < 5 * spread
    assert abs(np.mean(np.asarray(drawn.second.actions) == 0) - 0.9) < 0.01


@pytest.mark.parametrize("ends", [False, True])
def test_the_fit_is_ridge_logistic_regression_on_visits(ends):
    drawn = sample_trajectory_comparisons(jax.random.key(2), GAME, UNIFORM, 300)
    drawn = with_ends(drawn) if ends else drawn
    features = visits(drawn.first) - visits(drawn.second)
    found = estimate_rewards(drawn, penalty=0.5)
    for player in range(2):
        answers = np.asarray(drawn.wins)[:, player]

        def loss(r, answers=answers):
            z = features @ r
            value = 0.25 * r @ r - np.sum(answers * log_expit(z) + (1 - answers) * log_expit(-z))
            return value, 0.5 * r - features.T @ (answers - expit(z))

        def curvature(r):
            z = features @ r
            return 0.5 * np.eye(48) + features.T @ (features * (expit(z) * expit(-z))[:, None])

        options = {"gtol": 1e-10}
        by_scipy = scipy.optimize.minimize(loss, np.zeros(48), (), "trust-exact", True, curvature, options=options).x
        np.testing.assert_allclose(found.game.rewards[:, :, player].ravel(), by_scipy, atol=1e-9)


def test_transitions_and_counts_are_those_of_all_the_episodes():
    drawn = with_ends(sample_trajectory_comparisons(jax.random.key(3), GAME, UNIFORM, 50))
    joined = [
        np.concatenate([getattr(drawn.first, name), getattr(drawn.second, name)]) for name in ("states", "actions")
    ]
    expected = estimate(MarkovDataset(*joined, np.zeros((100, 3, 2)), (2, 2), 4))
    found = estimate_rewards(drawn)
    np.testing.assert_array_equal(found.game.transitions, expected.game.transitions)
    np.testing.assert_array_equal(found.game.initial_probs, expected.game.initial_probs)
    np.testing.assert_array_equal(found.counts, expected.counts)


def test_what_no_pair_moves_is_left_at_zero():
    """A constant of each step is seen by nobody: of estimates with a penalty every step's rewards sum to 0."""
    found = estimate_rewards(sample_trajectory_comparisons(jax.random.key(4), GAME, UNIFORM, 400))
    np.testing.assert_allclose(found.game.rewards.sum(axis=(1, 3, 4)), 0, atol=1e-9)


@pytest.mark.slow
def test_the_gap_of_the_learned_game_falls_as_one_over_n():
    """n gap is steady from n = 2,000 to n = 32,000; the gap itself falls by about 16."""
    regularizer = gk.Regularizer.uniform(GAME, 0.5)

    def gap(key, n):
        found = estimate_rewards(sample_trajectory_comparisons(key, GAME, UNIFORM, n))
        return float(gk.regularized_gap(GAME, regularizer, gk.gane(found, regularizer).log_policy).sum())

    few, many = (np.mean([gap(key, n) for key in jax.random.split(jax.random.key(n), 16)]) for n in (2_000, 32_000))
    assert 10 < few / many < 26


def test_refusals():
    drawn = sample_trajectory_comparisons(jax.random.key(5), GAME, UNIFORM, 20)
    for penalty in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="penalty: got"):
            estimate_rewards(drawn, penalty=penalty)
    with pytest.raises(RuntimeError, match="max_steps: got 1, and the fit of the rewards takes more"):
        estimate_rewards(drawn, max_steps=1)
    with pytest.raises(ValueError, match=r"wins\[3, 1\]: got nan, takes numbers from 0 to 1"):
        TrajectoryComparisons(drawn.first, drawn.second, drawn.wins.at[3, 1].set(jnp.nan))
    with pytest.raises(ValueError, match=r"wins: got shape \(19, 2\), takes \[pair, player\] = \(20, 2\)"):
        TrajectoryComparisons(drawn.first, drawn.second, drawn.wins[1:])
    fewer = MarkovDataset(drawn.second.states[1:], drawn.second.actions[1:], drawn.second.rewards[1:], (2, 2), 4)
    with pytest.raises(ValueError, match="second: got episodes of"):
        TrajectoryComparisons(drawn.first, fewer, drawn.wins)
    episodes = MarkovDataset(np.zeros((1, 7), int), np.zeros((1, 7, 2), int), np.zeros((1, 7, 2)), (8, 8), 10)
    with pytest.raises(ValueError, match="comparisons: got 4480 rewards of each player, takes at most 4096"):
        estimate_rewards(TrajectoryComparisons(episodes, episodes, np.ones((1, 2))))
