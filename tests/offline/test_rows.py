"""Rows with contexts, and episodes: drawn, counted, refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import random_profile

import gamekl as gk
from gamekl.core.policies import outer


def markov(seed=0, num_actions=(2, 3)):
    return gk.games.markov(jax.random.key(seed), num_actions, num_states=3, horizon=4)


def behavior_of(game, seed=1):
    return outer(tuple(jnp.exp(entry) for entry in random_profile(jax.random.key(seed), game)))


def test_episodes_are_counted_as_they_are():
    """Two players, two states; the second episode ends after its first step."""
    log = gk.offline.MarkovDataset(
        states=[[0, 1], [1, -1], [0, 0]],
        actions=[[[0, 1], [1, 0]], [[1, 1], [0, 0]], [[0, 1], [0, 0]]],
        rewards=[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [0.0, 0.0]], [[2.0, 4.0], [7.0, 8.0]]],
        num_actions=(2, 2),
        num_states=2,
    )
    found = gk.offline.statistics_from_dataset(log)
    np.testing.assert_array_equal(found.initial_counts, [2, 1])
    np.testing.assert_array_equal(found.counts[0, 0], [[0, 2], [0, 0]])
    np.testing.assert_array_equal(found.counts[0, 1], [[0, 0], [0, 1]])
    np.testing.assert_array_equal(found.counts[1], [[[1, 0], [0, 0]], [[0, 0], [1, 0]]])
    np.testing.assert_array_equal(found.reward_sums[0, 0, :, 0, 1], [3, 6])
    np.testing.assert_array_equal(found.transition_counts[0, 0, 0, 1], [1, 1])
    assert found.transition_counts[0, 1].sum() == 0  # the episode was over
    assert found.transition_counts[1].sum() == 0  # no episode shows what follows its last step
    game = gk.offline.estimate(log).game
    np.testing.assert_array_equal(game.rewards[0, 0, :, 0, 1], [1.5, 3.0])


def test_episodes_have_the_law_of_the_game():
    """Means of all counts over 200,000 episodes, against occupancies by hand."""
    game = markov()
    behavior = behavior_of(game)
    log = gk.offline.sample_dataset(jax.random.key(2), game, behavior, 200_000, 0.5)
    assert log.states.shape == (200_000, 4) and log.actions.shape == log.rewards.shape == (200_000, 4, 2)
    found = gk.offline.statistics_from_dataset(log)
    here, visits = np.asarray(game.initial_probs), gk.evaluate.occupancies(game, behavior)
    for h in range(4):
        np.testing.assert_allclose(visits[h], here, atol=1e-12)
        chance = here[:, None, None] * np.asarray(behavior[h])
        np.testing.assert_allclose(found.counts[h] / 200_000, chance, atol=5 * 0.5 / 200_000**0.5)
        moved = chance[..., None] * np.asarray(game.transitions[h])
        if h < 3:
            np.testing.assert_allclose(found.transition_counts[h] / 200_000, moved, atol=5 * 0.5 / 200_000**0.5)
        here = moved.sum(axis=(0, 1, 2))
    excess = found.reward_sums - found.counts[:, :, None] * game.rewards
    scaled = excess / (0.5 * jnp.sqrt(found.counts[:, :, None]))
    assert abs(float(scaled.mean())) < 0.4 and 0.8 < float(scaled.std()) < 1.2


def test_rollouts_agree_with_exact_values():
    """The mean return of 100,000 episodes without noise, within five standard errors of dynamic programming."""
    game = markov(1)
    log_policy = random_profile(jax.random.key(3), game)
    policy = [jnp.exp(entry) for entry in log_policy]
    returns = gk.offline.sample_dataset(jax.random.key(4), game, policy, 100_000, 0.0).rewards.sum(axis=1)
    error = returns.std(axis=0) / 100_000**0.5
    assert np.all(np.abs(returns.mean(axis=0) - gk.evaluate.policy_value(game, log_policy)) < 5 * error)


def test_episodes_end_where_the_game_ends():
    game = markov()
    ended = gk.MarkovGame(game.rewards, game.transitions.at[1, :, 0].set(0), game.initial_probs)
    log = gk.offline.sample_dataset(jax.random.key(0), ended, behavior_of(game), 2_000, 1.0)
    over = np.asarray(log.actions[:, 1, 0]) == 0
    assert np.all(np.asarray(log.states[:, 2:])[over] == -1) and np.all(np.asarray(log.rewards[:, 2:])[over] == 0)
    assert np.all(np.asarray(log.states)[~over] >= 0)
    found = gk.offline.estimate(log).game.transitions[1]
    np.testing.assert_array_equal(found[:, 0], 0)
    np.testing.assert_allclose(found[:, 1].sum(axis=-1), 1)


def test_games_that_end_by_chance():
    """A quarter of the episodes end after the first step: the estimate is solved, and can not be played."""
    game = markov()
    log = gk.offline.sample_dataset(jax.random.key(0), game, behavior_of(game), 4_000, 1.0)
    over = np.arange(4_000) % 4 == 0
    states = np.where(over[:, None] & (np.arange(4) > 0), -1, log.states)
    found = gk.offline.estimate(gk.offline.MarkovDataset(states, log.actions, log.rewards, (2, 3), 3))
    np.testing.assert_allclose(found.game.transitions[0].sum(axis=-1), 0.75, atol=0.15)
    anchor = gk.Regularizer.uniform(game, 0.3)
    solution = gk.gane(found, anchor)
    assert solution.status == gk.Status.converged
    played = gk.gamd(found.game, anchor, num_rounds=100, evaluate_on=game)
    assert played.regularized_cce_gap.shape == (2,)
    with pytest.raises(ValueError, match=r"transitions\[0, 0, 0, 0\]: got a sum of 0\.\d+, takes probabilities"):
        gk.offline.sample_dataset(jax.random.key(1), found.game, behavior_of(game), 10, 1.0)


def test_no_probability_is_no_reward():
    """Where the payoffs are traced, a payoff that is no probability gives NaN and not a plausible reward."""
    draw = jax.jit(
        lambda r: (
            gk.offline.sample_dataset(
                jax.random.key(0), gk.NormalFormGame(r), jnp.full((2,), 0.5), 100, "bernoulli"
            ).rewards
        )
    )
    rewards = draw(jnp.asarray([[0.5, 2.0]]))
    assert np.any(np.isnan(rewards)) and not np.all(np.isnan(rewards))


def test_padding_after_the_end_may_be_anything():
    padded = episodes(
        states=[[0, -1], [1, 0]],
        actions=[[[0, 1], [-1, -1]], [[1, 0], [0, 0]]],
        rewards=[[[1.0, 2.0], [np.nan, np.nan]], [[3.0, 4.0], [5.0, 6.0]]],
    )
    np.testing.assert_array_equal(gk.offline.statistics_from_dataset(padded).reward_sums[1].sum(axis=(0, 2, 3)), [5, 6])


def test_a_game_that_cannot_be_played():
    game = markov()
    for wrong, message in [
        (
            gk.MarkovGame(game.rewards, game.transitions * 0.8, game.initial_probs),
            r"transitions\[0, 0, 0, 0\]: got a sum",
        ),
        (
            gk.MarkovGame(game.rewards, game.transitions, game.initial_probs * 1.8),
            r"initial_probs: got a sum of 1\.\d+, takes",
        ),
    ]:
        for sample in (gk.offline.sample_dataset, gk.offline.sample_statistics):
            with pytest.raises(ValueError, match=message):
                sample(jax.random.key(0), wrong, behavior_of(game), 10, 1.0)


def test_rows_with_contexts():
    game = gk.games.contextual(jax.random.key(0), (2, 3), num_contexts=4)
    behavior = behavior_of(game)
    log = gk.offline.sample_dataset(jax.random.key(1), game, behavior, 400_000, 0.0)
    found = gk.offline.statistics_from_dataset(log)
    assert found.counts.sum() == 400_000
    np.testing.assert_allclose(found.counts / 400_000, behavior / 4, atol=5 * 0.5 / 400_000**0.5)
    np.testing.assert_allclose(gk.offline.estimate(log).game.payoffs, game.payoffs, atol=1e-12)
    hits = gk.offline.sample_dataset(jax.random.key(1), game, behavior, 1000, "bernoulli")
    assert set(np.unique(hits.rewards)) == {0.0, 1.0}


def test_a_split_uses_each_episode_once():
    game = markov()
    log = gk.offline.sample_dataset(jax.random.key(1), game, behavior_of(game), 1_001, 1.0)
    found = gk.offline.statistics_from_dataset(log, split=True)
    np.testing.assert_array_equal(found.counts.sum(axis=(1, 2, 3)), [251, 250, 250, 250])
    for h in range(4):
        own = gk.offline.MarkovDataset(log.states[h::4], log.actions[h::4], log.rewards[h::4], (2, 3), 3)
        alone = gk.offline.statistics_from_dataset(own)
        np.testing.assert_array_equal(found.counts[h], alone.counts[h])
        np.testing.assert_array_equal(found.reward_sums[h], alone.reward_sums[h])
        np.testing.assert_array_equal(found.transition_counts[h], alone.transition_counts[h])
    np.testing.assert_array_equal(
        gk.offline.estimate(log, split=True).game.rewards, gk.offline.estimate(found).game.rewards
    )


def test_float32_sums_of_many_rows_keep_their_digits():
    with jax.enable_x64(False):
        states = np.zeros((1_000_000, 1), int)
        rewards = np.full((1_000_000, 1, 1), 0.1, np.float32)
        log = gk.offline.MarkovDataset(states, states[..., None], rewards, (1,), 1)
        found = gk.offline.estimate(log)
    assert found.game.rewards.dtype == jnp.float32
    np.testing.assert_allclose(found.game.rewards, 0.1, rtol=1e-6)


def episodes(**changes):
    fields = {
        "states": [[0, 1], [1, 0]],
        "actions": np.zeros((2, 2, 2), int),
        "rewards": np.zeros((2, 2, 2)),
        "num_actions": (2, 2),
        "num_states": 2,
    }
    return gk.offline.MarkovDataset(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"states": [[0, 1], [1]]},
            r"states: got an episode 1 of 1 steps beside one of 2, takes episodes of one length",
        ),
        ({"states": [[0, 2], [1, 0]]}, r"states\[0, 1\]: got 2, takes -1 to 1"),
        ({"states": [[-1, 0], [1, 0]]}, r"states\[0, 1\]: got 0 after the end, takes -1 there"),
        ({"states": [[-1, -1], [1, 0]]}, r"states\[0, 0\]: got -1, takes a state"),
        ({"states": [0, 1]}, r"states: got shape \(2,\), takes \[episode, horizon\]"),
        ({"states": [[0.0, 1.0], [1.0, 0.0]]}, "states: got dtype float64, takes integers"),
        ({"actions": np.full((2, 2, 2), 2)}, r"actions\[0, 0, 0\]: got 2, takes 0 to 1"),
        ({"actions": np.zeros((2, 3, 2), int)}, r"actions: got shape \(2, 3, 2\), takes .* = \(2, 2, 2\)"),
        ({"rewards": np.zeros((2, 1, 2))}, r"rewards: got shape \(2, 1, 2\), takes .* = \(2, 2, 2\)"),
        (
            {"rewards": np.full((2, 2, 2), np.nan)},
            r"rewards\[0, 0, 0\]: got nan \(\d+ such entries\), takes finite numbers",
        ),
    ],
)
def test_bad_episodes(changes, message):
    with pytest.raises(ValueError, match=message):
        episodes(**changes)


def test_bad_contexts():
    with pytest.raises(ValueError, match=r"contexts\[1\]: got 3, takes 0 to 2"):
        gk.offline.ContextualDataset([0, 3], np.zeros((2, 2), int), np.zeros((2, 2)), (2, 2), 3)
    with pytest.raises(ValueError, match=r"actions: got shape \(1, 2\), takes \[row, player\] = \(2, 2\)"):
        gk.offline.ContextualDataset([0, 1], np.zeros((1, 2), int), np.zeros((2, 2)), (2, 2), 3)


def test_a_split_needs_episodes():
    with pytest.raises(ValueError, match=r"split: got 2 episodes of 3 steps, takes at least as many episodes"):
        gk.offline.estimate(
            episodes(states=np.zeros((2, 3), int), actions=np.zeros((2, 3, 2), int), rewards=np.zeros((2, 3, 2))),
            split=True,
        )
    with pytest.raises(ValueError, match="split: got a Dataset, takes episodes"):
        gk.offline.estimate(gk.offline.Dataset([[0, 0]], [[0.0, 0.0]], (2, 2)), split=True)


def test_a_regularizer_of_another_horizon():
    anchor = gk.Regularizer.uniform(markov(), 0.3)
    with pytest.raises(ValueError, match=r"log_reference.*takes"):
        gk.gane(gk.offline.estimate(episodes()), anchor)
    with pytest.raises(ValueError, match="log_reference: got references of actions"):
        gk.offline.estimate(episodes(), regularizer=anchor)
