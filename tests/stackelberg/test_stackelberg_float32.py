"""Fits, plans and pessimism in float32: statuses of the certified, numbers close to those of float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl import stackelberg
from gamekl.offline import FitStatus

SHAPE = (3, 4)
STRATEGIES, WEIGHTS = 0.7 * np.eye(3) + 0.1, np.full(3, 1 / 3)
SEEDS = 64


def narrow(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


@pytest.fixture(scope="module")
def learnt():
    """Estimates of random games from logs of 5,000 rows, with their plans, in both precisions."""

    def learn(game, regularizer, log):
        estimate = stackelberg.estimate_follower(log, regularizer, noise=0.5)
        plan = stackelberg.quantal_stackelberg(estimate.game, regularizer, throw=False)
        cautious = stackelberg.pessimistic_commitment(estimate, regularizer, 1.0, throw=False)
        return estimate, plan, cautious, stackelberg.value_band(estimate, regularizer, plan.policy[0])

    def draw(key):
        game_key, log_key = jax.random.split(key)
        game = gk.games.uniform(game_key, SHAPE)
        log = stackelberg.sample_responses(log_key, game, regularizer, STRATEGIES, WEIGHTS, 5_000, 0.5)
        return game, log

    regularizer = gk.Regularizer([np.full(size, -np.log(size)) for size in SHAPE], [0.1, 0.3])
    games, logs = jax.vmap(draw)(jax.random.split(jax.random.key(0), SEEDS))
    run = jax.jit(jax.vmap(learn, in_axes=(0, None, 0)))
    return run(games, regularizer, logs), run(*narrow((games, regularizer, logs)))


def test_everything_is_float32_and_certified(learnt):
    estimate, plan, cautious, _ = learnt[1]
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(learnt[1])}
    assert dtypes == {jnp.dtype("float32"), jnp.dtype("int32")}
    assert np.all(np.asarray(estimate.status) == FitStatus.converged)
    for each in (plan, cautious):
        assert np.all(np.asarray(each.status) == gk.Status.converged)


def test_numbers_are_those_of_float64(learnt):
    (wide, *_), (found, *_) = learnt
    np.testing.assert_allclose(found.fit.utilities, wide.fit.utilities, atol=1e-5)
    np.testing.assert_allclose(found.fit.covariance, wide.fit.covariance, atol=1e-6)
    for ours, theirs in zip(learnt[1][1:3], learnt[0][1:3], strict=True):
        np.testing.assert_allclose(ours.value, theirs.value, atol=1e-6)
    np.testing.assert_allclose(learnt[1][3].standard_error, learnt[0][3].standard_error, rtol=2e-3)


@pytest.mark.slow
def test_a_farsighted_followers_too():
    rng = np.random.default_rng(0)
    moves = rng.dirichlet(np.full(2, 0.3), size=(2, 2, 2, 3))
    game = gk.MarkovGame(rng.uniform(size=(2, 2, 2, 2, 3)), moves, np.array([0.6, 0.4]))
    regularizer = gk.Regularizer([jnp.full((2, 2, size), -np.log(size)) for size in (2, 3)], jnp.array([0.1, 0.2]))
    policies, respond = rng.dirichlet(np.ones(2), size=(2, 2, 5)), stackelberg.farsighted_response
    log = stackelberg.sample_episodes(
        jax.random.key(0), game, regularizer, policies, np.full(5, 0.2), respond, 5_000, 0.5
    )
    wide = stackelberg.estimate_farsighted(log, regularizer, noise=0.5)
    found = stackelberg.estimate_farsighted(narrow(log), narrow(regularizer), noise=0.5)
    np.testing.assert_allclose(found.fit.utilities, wide.fit.utilities, atol=1e-5)
    assert int(found.fit.rank) == int(wide.fit.num_told) == 18
    plan = stackelberg.pessimistic_stages(found, narrow(regularizer), 1.0)  # raises unless it is certified
    assert {leaf.dtype for leaf in jax.tree.leaves((found, plan))} == {jnp.dtype("float32"), jnp.dtype("int32")}
