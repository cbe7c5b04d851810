"""Plans in contextual and Markov games: against each stage's own plan, brute force and scipy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.special import logsumexp

import gamekl as gk
from gamekl import stackelberg

H, S, A, B = 2, 2, 2, 3
TAU = (0.05, 0.1)


def markov(seed):
    rng = np.random.default_rng(seed)
    return gk.MarkovGame(
        rng.uniform(size=(H, S, 2, A, B)), rng.dirichlet(np.full(S, 0.3), size=(H, S, A, B)), np.array([0.6, 0.4])
    )


def uniform(*stage, leader=TAU[0], follower=TAU[1]):
    return gk.Regularizer([jnp.full((*stage, size), -np.log(size)) for size in (A, B)], jnp.array([leader, follower]))


def earned(game, policy, farsighted):
    """What the leader earns from the start by a policy [horizon, state, leader], in plain loops."""
    rewards, moves = np.asarray(game.rewards), np.asarray(game.transitions)
    ahead = np.zeros((2, S))
    for h in reversed(range(H)):
        here = np.zeros((2, S))
        for s in range(S):
            x = policy[h, s]
            own = rewards[h, s, 0] + moves[h, s] @ ahead[0]
            others = rewards[h, s, 1] + farsighted * moves[h, s] @ ahead[1]
            logits = x @ others / TAU[1] - np.log(B)
            here[1, s] = TAU[1] * logsumexp(logits)
            cost = np.sum(np.where(x > 0, x * np.log(np.where(x > 0, x, 1) * A), 0))
            here[0, s] = x @ own @ np.exp(logits - logsumexp(logits)) - TAU[0] * cost
        ahead = here
    return np.asarray(game.initial_probs) @ ahead[0]


def by_scipy(game, farsighted):
    """The best of several searches over whole policies; a policy of two actions is one number."""

    def loss(z):
        share = 1 / (1 + np.exp(-z.reshape(H, S)))
        return -earned(game, np.stack([share, 1 - share], axis=-1), farsighted)

    rng = np.random.default_rng(0)
    starts = rng.normal(size=(8, H * S)) * 2
    return -min(scipy.optimize.minimize(loss, start, method="L-BFGS-B").fun for start in starts)


@pytest.mark.parametrize("seed", [0, 1])
def test_plans_for_followers_who_look_ahead_or_do_not(seed):
    game, regularizer = markov(seed), uniform(H, S)
    myopic = stackelberg.myopic_stackelberg(game, regularizer)
    stagewise = stackelberg.stagewise_stackelberg(game, regularizer)
    farsighted = stackelberg.farsighted_stackelberg(game, regularizer)
    for plan, ahead in [(myopic, 0), (stagewise, 1), (farsighted, 1)]:
        np.testing.assert_allclose(plan.value, earned(game, np.asarray(plan.policy[0]), ahead), rtol=1e-12)
        assert float(plan.gap) < 1e-9 and float(plan.curvature) < 0
    np.testing.assert_allclose(myopic.value, by_scipy(game, 0), atol=1e-5)
    np.testing.assert_allclose(farsighted.value, by_scipy(game, 1), atol=1e-5)
    assert float(stagewise.value) <= float(farsighted.value) + 1e-12


def test_contexts_are_planned_one_by_one():
    rng = np.random.default_rng(3)
    payoffs, chances = rng.uniform(size=(4, 2, A, B)), np.array([0.1, 0.2, 0.3, 0.4])
    plan = stackelberg.contextual_stackelberg(gk.ContextualGame(payoffs, chances), uniform(4))
    alone = [stackelberg.quantal_stackelberg(gk.NormalFormGame(entry), uniform()) for entry in payoffs]
    np.testing.assert_allclose(plan.policy[0], [entry.policy[0] for entry in alone], atol=1e-9)
    np.testing.assert_allclose(plan.policy[1], [entry.policy[1] for entry in alone], atol=1e-9)
    np.testing.assert_allclose(plan.value, chances @ np.array([entry.value for entry in alone]))
    np.testing.assert_allclose(plan.curvature, max(float(entry.curvature) for entry in alone), rtol=1e-6)


def test_a_myopic_follower_is_learnt_state_by_state():
    """Responses at each step and state, from which payoffs, and with known chances the plan, come back."""
    game, regularizer = markov(2), uniform(H, S)
    strategies = np.broadcast_to([[0.8, 0.2], [0.3, 0.7]], (H, S, 2, A))
    counts = np.zeros((H, S, 2, B))
    for h, s, k in itertools.product(range(H), range(S), range(2)):
        logits = strategies[h, s, k] @ np.asarray(game.rewards[h, s, 1]) / TAU[1]
        counts[h, s, k] = 50 * np.exp(logits - logsumexp(logits))
    fit = stackelberg.fit_responses(stackelberg.Responses(strategies, counts), regularizer.log_reference[1])
    rewards = game.rewards.at[:, :, 1].set(fit.payoffs(TAU[1]))
    learnt = stackelberg.myopic_stackelberg(gk.MarkovGame(rewards, game.transitions, game.initial_probs), regularizer)
    truth = stackelberg.myopic_stackelberg(game, regularizer)
    np.testing.assert_allclose(learnt.policy[0], truth.policy[0], atol=1e-7)
    np.testing.assert_allclose(learnt.value, truth.value, rtol=1e-9)


def test_bad_arguments_are_named():
    game = markov(0)
    with pytest.raises(TypeError):
        stackelberg.myopic_stackelberg(gk.games.uniform(jax.random.key(0), (2, 2)), uniform(H, S))
    with pytest.raises(ValueError, match=r"temperature\[1\]: got 0.0"):
        stackelberg.farsighted_stackelberg(game, uniform(H, S, follower=0.0))
    with pytest.raises(ValueError, match="log_reference"):
        stackelberg.stagewise_stackelberg(game, uniform())
