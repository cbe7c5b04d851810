"""Logs of contextual and Markov games: exact statistics, estimates, concentrability."""

import itertools
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import random_profile

import gamekl as gk
from gamekl.core.policies import outer
from gamekl.core.stages import occupancies


@partial(jax.jit, static_argnames=("num_actions", "num_states", "horizon"))
def small(seed=0, num_actions=(2, 3), num_states=3, horizon=3):
    return gk.games.markov(jax.random.key(seed), num_actions, num_states=num_states, horizon=horizon)


@jax.jit
def random_behavior(key, game):
    return outer(tuple(jnp.exp(entry) for entry in random_profile(key, game)))


def test_the_statistics_have_the_law_of_episodes():
    """Means and variances of all counts over 4,000 logs of 500 episodes; a count is binomial."""
    game = small()
    behavior = random_behavior(jax.random.key(1), game)
    keys = jax.random.split(jax.random.key(2), 4_000)
    draw = jax.jit(jax.vmap(lambda key: gk.offline.sample_statistics(key, game, behavior, 500, 0.3)))
    logs = draw(keys)
    np.testing.assert_array_equal(logs.counts.sum(axis=(2, 3, 4)), 500)
    np.testing.assert_array_equal(logs.transition_counts.sum(axis=-1), logs.counts)
    arrived = logs.transition_counts[:, :-1].sum(axis=(2, 3, 4))
    np.testing.assert_array_equal(arrived, logs.counts[:, 1:].sum(axis=(3, 4)))
    np.testing.assert_array_equal(logs.initial_counts, logs.counts[:, 0].sum(axis=(2, 3)))
    chance = occupancies(game, behavior)[..., None, None] * behavior
    spread = np.sqrt(500 * chance * (1 - chance))
    np.testing.assert_allclose(logs.counts.mean(axis=0), 500 * chance, atol=5 * np.max(spread) / 4_000**0.5)
    np.testing.assert_allclose(logs.counts.std(axis=0) / spread, 1, atol=0.07)
    moved = chance[..., None] * game.transitions
    spread = np.sqrt(500 * moved * (1 - moved))
    assert np.max(np.abs(logs.transition_counts.mean(axis=0) - 500 * moved) / spread) < 5.5 / 4_000**0.5
    # Rewards: Gaussian around the means, with variance N sigma^2.
    excess = logs.reward_sums - logs.counts[:, :, :, None] * game.rewards
    scaled = excess / jnp.sqrt(jnp.maximum(logs.counts, 1))[:, :, :, None] / 0.3
    seen = np.asarray(jnp.broadcast_to(logs.counts[:, :, :, None] > 0, excess.shape))
    assert abs(np.mean(np.asarray(scaled)[seen])) < 0.01 and abs(np.std(np.asarray(scaled)[seen]) - 1) < 0.01


def test_much_data_gives_the_game():
    game = small()
    behavior = random_behavior(jax.random.key(1), game)
    found = gk.offline.estimate(gk.offline.sample_statistics(jax.random.key(2), game, behavior, 10**13, 1.0))
    assert found.game.rewards.shape == game.rewards.shape
    np.testing.assert_allclose(found.game.rewards, game.rewards, atol=1e-4)
    np.testing.assert_allclose(found.game.transitions, game.transitions, atol=1e-4)
    np.testing.assert_allclose(found.game.initial_probs, game.initial_probs, atol=1e-5)
    anchor = gk.Regularizer.uniform(game, 0.3)
    assert np.all(gk.regularized_gap(game, anchor, gk.gane(found, anchor).log_policy) < 1e-8)


@pytest.mark.slow
def test_n_times_the_gap_is_bounded():
    """Theory J12: the error of GANE in a general-sum Markov game falls as 1/n."""
    game = small(num_actions=(2, 2), num_states=2)
    anchor = gk.Regularizer.uniform(game, 0.5)
    behavior = jnp.full((3, 2, 2, 2), 1 / 4)

    @jax.jit
    def gaps(keys, n):
        def one(key):
            log = gk.offline.sample_statistics(key, game, behavior, n, 0.5)
            found = gk.gane(gk.offline.estimate(log), anchor, throw=False)
            return gk.regularized_gap(game, anchor, found.log_policy).sum()

        return jax.vmap(one)(keys)

    sizes = [300.0, 3e3, 3e4, 3e5]
    errors = [np.asarray(gaps(jax.random.split(jax.random.key(int(n)), 400), n)) for n in sizes]
    scaled = [n * entry.mean() for n, entry in zip(sizes, errors, strict=True)]
    assert max(scaled) < 1.5 * min(scaled)
    assert abs(gk.evaluate.fit_rate(sizes[1:], errors[1:], seed=0).slope + 1) < 0.07


def test_unvisited_cells_end_the_episode_at_the_prior():
    game = small()
    behavior = jnp.zeros((3, 3, 2, 3)).at[..., 0, 0].set(1)
    log = gk.offline.sample_statistics(jax.random.key(0), game, behavior, 1000, 0.0)
    found = gk.offline.estimate(log, prior_mean=2.0)
    prior = np.broadcast_to(np.array([6.0, 4.0, 2.0])[:, None, None], (3, 3, 2))
    np.testing.assert_allclose(found.game.rewards[:, :, :, 1, 2], prior)
    assert np.all(found.game.transitions[:, :, 1, 2] == 0)
    np.testing.assert_allclose(found.game.rewards[:, :, :, 0, 0], game.rewards[:, :, :, 0, 0], atol=1e-12)
    gk.validate(found.game)


def test_episodes_end_where_transitions_say_so():
    game = small()
    ended = gk.MarkovGame(game.rewards, game.transitions.at[0, :, 1].set(0), game.initial_probs)
    log = gk.offline.sample_statistics(jax.random.key(0), ended, jnp.full((3, 3, 2, 3), 1 / 6), 10_000, 1.0)
    assert log.transition_counts[0, :, 1].sum() == 0
    assert log.counts[1].sum() == log.counts[0, :, 0].sum()


def test_contexts():
    game = gk.games.contextual(jax.random.key(0), (2, 3), num_contexts=4)
    behavior = [[[0.3, 0.7]] * 4, [[0.2, 0.3, 0.5]] * 4]
    log = gk.offline.sample_statistics(jax.random.key(1), game, behavior, 10**10, 1.0)
    assert log.counts.shape == (4, 2, 3) and log.reward_sums.shape == (4, 2, 2, 3)
    expected = 1e10 / 4 * np.multiply.outer([0.3, 0.7], [0.2, 0.3, 0.5])
    np.testing.assert_allclose(log.counts, np.broadcast_to(expected, (4, 2, 3)), rtol=1e-3)
    found = gk.offline.estimate(log)
    np.testing.assert_allclose(found.game.payoffs, game.payoffs, atol=1e-3)
    np.testing.assert_allclose(found.game.context_probs, 0.25, atol=1e-4)
    bernoulli = gk.offline.sample_statistics(jax.random.key(1), game, behavior, 10**10, "bernoulli")
    np.testing.assert_allclose(gk.offline.estimate(bernoulli).game.payoffs, game.payoffs, atol=1e-3)


def visits(game, joint):
    """Forward, in numpy."""
    here, found = np.asarray(game.initial_probs), []
    for h in range(joint.shape[0]):
        seen = here[:, None, None] * joint[h]
        found.append(seen)
        here = np.einsum("sab,sabt->t", seen, np.asarray(game.transitions[h]))
    return np.stack(found)


def test_concentrability_by_brute_force():
    """Over all deterministic deviations, on 50 games of 2 steps, 2 states and 2 actions."""
    measure = jax.jit(gk.offline.concentrability)
    for seed in range(50):
        game = small(seed, (2, 2), 2, 2)
        behavior = np.asarray(random_behavior(jax.random.key(1_000 + seed), game))
        log_policy = random_profile(jax.random.key(2_000 + seed), game)
        policy = [np.exp(np.asarray(entry)) for entry in log_policy]
        seen, worst = visits(game, behavior), 0.0
        for player, plan in itertools.product(range(2), itertools.product(range(2), repeat=4)):
            pure = np.eye(2)[np.reshape(plan, (2, 2))]
            pair = [pure, policy[1]] if player == 0 else [policy[0], pure]
            joint = np.einsum("hsa,hsb->hsab", *pair)
            worst = max(worst, np.max(visits(game, joint) / seen))
        np.testing.assert_allclose(measure(game, behavior, log_policy), worst, rtol=1e-10)


def test_concentrability_where_data_are_missing():
    game = small(0, (2, 2), 2, 2)
    log_policy = random_profile(jax.random.key(1), game)
    missing = jnp.zeros((2, 2, 2, 2)).at[..., 0].set(0.5)
    assert jnp.isinf(gk.offline.concentrability(game, missing, log_policy))
    masked = gk.Regularizer([jnp.zeros((2, 2, 2)) - jnp.log(2.0), jnp.zeros((2, 2, 2)).at[..., 1].set(-jnp.inf)], 1.0)
    stays = (log_policy[0], masked.log_reference[1])
    assert jnp.isfinite(gk.offline.concentrability(game, missing, stays, regularizer=masked))
    contextual = gk.games.contextual(jax.random.key(0), (2, 2), num_contexts=3)
    profile = random_profile(jax.random.key(1), contextual)
    behavior = random_behavior(jax.random.key(2), contextual)
    alone = [
        gk.offline.concentrability(
            gk.NormalFormGame(contextual.payoffs[c]), behavior[c], [entry[c] for entry in profile]
        )
        for c in range(3)
    ]
    np.testing.assert_allclose(gk.offline.concentrability(contextual, behavior, profile), max(alone), rtol=1e-12)


@pytest.mark.parametrize("asked", [60.0, np.inf])
def test_a_requested_concentrability_is_met_at_every_stage(asked):
    """To 1e-10, against deviations from a mixed profile in a Markov game."""
    game = small(3)
    profile = random_profile(jax.random.key(1), game)
    behavior = gk.offline.behavior_with_concentrability(game, profile, asked)
    np.testing.assert_allclose(behavior.sum(axis=(2, 3)), 1, rtol=1e-12)
    found = gk.offline.stage_concentrability(game, behavior, profile)
    np.testing.assert_allclose(found, np.full((3, 3), asked), rtol=1e-10)
    np.testing.assert_allclose(gk.offline.concentrability(game, behavior, profile), asked, rtol=1e-10)


def test_each_stage_can_have_a_concentrability_of_its_own():
    game = small(3)
    profile = random_profile(jax.random.key(1), game, mask=True)
    masked = gk.Regularizer([jnp.where(jnp.isneginf(entry), -jnp.inf, 0) for entry in profile], 1.0)
    masked = gk.Regularizer([entry - jax.nn.logsumexp(entry, -1, keepdims=True) for entry in masked.log_reference], 1.0)
    asked = 20.0 + np.arange(9).reshape(3, 3)
    behavior = gk.offline.behavior_with_concentrability(game, profile, asked, regularizer=masked)
    assert np.all(behavior[:, :, 0] == 0)  # a masked action gets no data
    found = gk.offline.stage_concentrability(game, behavior, profile, regularizer=masked)
    np.testing.assert_allclose(found, asked, rtol=1e-10)
    contextual = gk.games.contextual(jax.random.key(0), (2, 3), num_contexts=4)
    profile = random_profile(jax.random.key(2), contextual)
    asked = np.array([8.0, 16.0, 32.0, np.inf])
    behavior = gk.offline.behavior_with_concentrability(contextual, profile, asked)
    np.testing.assert_allclose(gk.offline.stage_concentrability(contextual, behavior, profile), asked, rtol=1e-10)


def test_a_concentrability_that_cannot_be_had():
    game = small(3)
    profile = random_profile(jax.random.key(1), game)
    with pytest.raises(ValueError, match=r"concentrability: got 1.0, takes at least C_min = .* at stage \[0, 0\]"):
        gk.offline.behavior_with_concentrability(game, profile, 1.0)
    with pytest.raises(
        ValueError, match=r"concentrability: got shape \(2,\), takes a number or \[\*stage\] = \(3, 3\)"
    ):
        gk.offline.behavior_with_concentrability(game, profile, np.ones(2))


def test_bad_input_names_the_field():
    game = small()

    def draw(behavior):
        return gk.offline.sample_statistics(jax.random.key(0), game, behavior, 100, 1.0)

    with pytest.raises(ValueError, match=r"behavior: got shape \(2, 3\), takes .* = \(3, 3, 2, 3\)"):
        draw(jnp.full((2, 3), 1 / 6))
    with pytest.raises(ValueError, match=r"behavior\[0, 0\]: got a sum of"):
        draw(jnp.full((3, 3, 2, 3), 1 / 3))
    with pytest.raises(ValueError, match=r"behavior: got shapes .*takes one \[\*stage, actions\] array"):
        draw([jnp.ones((2, 3, 2)) / 2, jnp.ones((3, 3, 3)) / 3])
    log = draw(jnp.full((3, 3, 2, 3), 1 / 6))
    for name, value, message in [
        ("transition_counts", log.transition_counts[:2], r"transition_counts: got shape \(2, 3, 2, 3, 3\), takes"),
        ("counts", log.counts.at[0, 0, 0, 0].set(-1), r"counts\[0, 0, 0, 0\]: got -1.0, takes finite numbers >= 0"),
        ("reward_sums", log.reward_sums[:, :, 0], r"reward_sums: got shape \(3, 3, 2, 3\), takes"),
    ]:
        with pytest.raises(ValueError, match=message):
            gk.offline.estimate(eqx.tree_at(lambda log, name=name: getattr(log, name), log, value))
    masked = gk.Regularizer([jnp.zeros((3, 3, 2)).at[..., 1].set(-jnp.inf), jnp.full((3, 3, 3), -jnp.log(3.0))], 1.0)
    with pytest.raises(ValueError, match=r"counts\[0, 0, 1, 0\]: got .* rows on a masked action"):
        gk.offline.estimate(log, regularizer=masked)
