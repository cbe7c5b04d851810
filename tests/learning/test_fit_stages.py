"""Backward induction over episodes beside the model-based estimate, and models that need it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.learning import fit_stages

TAU = 0.4


def logged(n=600, seed=1):
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=3)
    behavior = jnp.full((3, 3, 2, 2), 1 / 4)
    return game, gk.offline.sample_dataset(jax.random.key(seed), game, behavior, n, 0.5)


def test_cells_come_to_the_model_based_numbers():
    game, log = logged()
    anchor = gk.Regularizer.uniform(game, TAU)
    expected = gk.gane(gk.offline.estimate(log), anchor)
    for data in (log, gk.offline.statistics_from_dataset(log)):
        fitted = fit_stages(data, anchor)
        found = gk.gane(fitted, anchor)
        np.testing.assert_allclose(found.values, expected.values, atol=1e-8)
        for ours, theirs in zip(found.policy, expected.policy, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-8)
        np.testing.assert_array_equal(fitted.counts, gk.offline.estimate(log).counts)


def test_linear_models_do_too():
    game, log = logged()
    anchor = gk.Regularizer.uniform(game, TAU)
    features = jax.random.normal(jax.random.key(5), (3, 3, 2, 2, 5))
    expected = gk.gane(gk.offline.estimate(log, model=gk.offline.Ridge(features, 0.5)), anchor)
    found = gk.gane(fit_stages(log, anchor, lambda h: gk.offline.Ridge(features[h], 0.5)), anchor)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-8)


def test_a_split_and_the_last_round_of_mirror_descent():
    game, log = logged()
    anchor = gk.Regularizer.uniform(game, TAU)
    solve = partial(gk.sos_md, num_rounds=400)
    expected = gk.sos_md(gk.offline.estimate(log, split=True).game, anchor, num_rounds=400)
    fitted = fit_stages(log, anchor, solve=solve, split=True)
    found = gk.sos_md(fitted.game, anchor, num_rounds=400)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-8)


def test_play_goes_on_with_the_values_of_what_was_played():
    game, log = logged()
    anchor = gk.Regularizer.uniform(game, 0.05)
    expected = gk.gamd(gk.offline.estimate(log).game, anchor, num_rounds=50)
    fitted = fit_stages(log, anchor, solve=partial(gk.gamd, num_rounds=50))
    np.testing.assert_allclose(gk.gamd(fitted.game, anchor, num_rounds=50).values, expected.values, atol=1e-8)


def test_a_finite_class_that_holds_the_true_values():
    """Its candidates at step h are Q of the truth and of four other games: with data enough the gap is 0."""
    game, log = logged(n=20_000)
    anchor = gk.Regularizer.uniform(game, TAU)
    others = [gk.games.markov(jax.random.key(k), (2, 2), num_states=3, horizon=3) for k in range(1, 5)]
    solutions = [gk.solve_nash(entry, anchor) for entry in (game, *others)]

    def candidates(h):
        tables = []
        for entry, solution in zip((game, *others), solutions, strict=True):
            ahead = solution.values[h + 1] if h < 2 else jnp.zeros((3, 2))
            tables.append(entry.rewards[h] + jnp.moveaxis(entry.transitions[h] @ ahead, -1, 1))
        return gk.offline.FiniteClass(gk.stack([gk.ContextualGame(table, jnp.full(3, 1 / 3)) for table in tables]))

    found = gk.gane(fit_stages(log, anchor, candidates), anchor)
    assert np.all(gk.regularized_gap(game, anchor, found.log_policy) < 1e-9)


@pytest.mark.slow
def test_a_neural_model_of_every_step():
    """A smooth Markov game, states described by numbers: closer to the truth than cells with few data."""
    features = jnp.linspace(-1, 1, 12)[:, None]
    slopes = jax.random.normal(jax.random.key(3), (2, 2, 2, 2))
    rewards = jnp.einsum("iabk,sk->siab", slopes, jnp.concatenate([features, jnp.sin(3 * features)], axis=1))
    moves = jnp.full((2, 12, 2, 2, 12), 1 / 12)
    game = gk.MarkovGame(jnp.stack([rewards, rewards]), moves, jnp.full(12, 1 / 12))
    log = gk.offline.sample_dataset(jax.random.key(4), game, jnp.full((2, 12, 2, 2), 1 / 4), 400, 1.0)
    anchor = gk.Regularizer.uniform(game, TAU)
    network = lambda h: gk.offline.Neural(jax.random.key(h), features, width=16)  # noqa: E731
    found = gk.gane(fit_stages(log, anchor, network), anchor)
    cells = gk.gane(gk.offline.estimate(log), anchor)
    gaps = [gk.regularized_gap(game, anchor, entry.log_policy).sum() for entry in (found, cells)]
    assert gaps[0] < 0.6 * gaps[1]


def test_a_step_that_no_episode_reached():
    """It pays the prior, as in the model-based estimate."""
    game, log = logged(n=40)
    states = np.where(np.arange(3) > 1, -1, log.states)
    short = gk.offline.MarkovDataset(states, log.actions, log.rewards, (2, 2), 3)
    anchor = gk.Regularizer.uniform(game, TAU)
    expected = gk.gane(gk.offline.estimate(short), anchor)
    for data in (short, gk.offline.statistics_from_dataset(short)):
        fitted = fit_stages(data, anchor)
        np.testing.assert_array_equal(fitted.counts[2], 0)
        np.testing.assert_allclose(gk.gane(fitted, anchor).values, expected.values, atol=1e-8)
    np.testing.assert_allclose(fit_stages(short, anchor, prior_mean=2.0).game.rewards[2], 2.0)


def test_bad_input():
    game, log = logged(n=30)
    other = gk.Regularizer.uniform(gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=4), TAU)
    with pytest.raises(
        ValueError, match=r"log_reference: got shapes \[\(4, 3, 2\), .*takes \[horizon, state, actions_i\]"
    ):
        fit_stages(log, other)
    few = gk.offline.MarkovDataset(log.states[:2], log.actions[:2], log.rewards[:2], (2, 2), 3)
    with pytest.raises(ValueError, match="split: got 2 episodes of 3 steps"):
        fit_stages(few, gk.Regularizer.uniform(game, TAU), split=True)
    with pytest.raises(ValueError, match="data, split: got MarkovStatistics and True"):
        fit_stages(gk.offline.statistics_from_dataset(log), gk.Regularizer.uniform(game, TAU), split=True)
