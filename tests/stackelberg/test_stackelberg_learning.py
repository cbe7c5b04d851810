"""A leader that learns from a follower's actions: rates with their constants, bands, and pessimism."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.special import logsumexp

import gamekl as gk
from gamekl import stackelberg

SHAPE, NOISE = (3, 4), 0.5
SIZES = np.round(10.0 ** np.linspace(3, 5.75, 6))
SEEDS = 2_000
STRATEGIES = 0.7 * np.eye(3) + 0.1
BEHAVIOR = np.full(3, 1 / 3)
SCALE = 2.0


@pytest.fixture(scope="module")
def game():
    return gk.games.uniform(jax.random.key(3), SHAPE)


@pytest.fixture(scope="module")
def regularizer():
    return gk.Regularizer([np.full(size, -np.log(size)) for size in SHAPE], [0.2, 0.3])


@pytest.fixture(scope="module")
def best(game, regularizer):
    return stackelberg.quantal_stackelberg(game, regularizer)


@pytest.fixture(scope="module")
def learnt(game, regularizer, best):
    """Suboptimality of the plug-in and whether the bands of its value and of the best policy's cover, [size, seed]."""

    @jax.jit
    @jax.vmap
    def learn(key, size):
        log = stackelberg.sample_responses(key, game, regularizer, STRATEGIES, BEHAVIOR, size, NOISE)
        estimate = stackelberg.estimate_follower(log, regularizer, noise=NOISE)
        policy = stackelberg.quantal_stackelberg(estimate.game, regularizer, throw=False).policy[0]
        value = stackelberg.leader_value(game, regularizer, policy)
        bands = [stackelberg.value_band(estimate, regularizer, x, 0.9) for x in (policy, best.policy[0])]
        inside = [(b.lower <= v) & (v <= b.upper) for b, v in zip(bands, (value, best.value), strict=True)]
        return best.value - value, jnp.stack(inside)

    keys = jax.random.split(jax.random.key(0), len(SIZES) * SEEDS)
    lost, inside = learn(keys, jnp.repeat(jnp.asarray(SIZES), SEEDS))
    return np.asarray(lost).reshape(-1, SEEDS), np.asarray(inside).reshape(-1, SEEDS, 2)


def test_the_best_policy_is_interior_and_strict(best):
    assert float(best.policy[0].min()) > 0.05 and float(best.curvature) < -0.1


@pytest.mark.slow
def test_suboptimality_falls_as_one_over_n(learnt, game, regularizer):
    """2.75 decades, and the predicted constant."""
    lost, _ = learnt
    rate = gk.evaluate.fit_rate(SIZES, lost, seed=0)
    assert abs(rate.slope + 1) < 0.07
    constant = stackelberg.predicted_constant(game, regularizer, STRATEGIES, BEHAVIOR, NOISE)
    ratio = lost.mean(axis=1) * SIZES / float(constant)
    assert np.all(np.abs(ratio[1:] - 1) < 0.12) and abs(ratio[2:].mean() - 1) < 0.05


@pytest.mark.slow
def test_bands_cover_as_they_say(learnt):
    _, inside = learnt
    assert np.all(np.abs(inside.mean(axis=1) - 0.9) < 0.03)


def test_standard_errors_are_those_of_the_definition(game, regularizer):
    log = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR, 1000.0)
    estimate = stackelberg.estimate_follower(log, regularizer, noise=NOISE)
    x = np.array([0.5, 0.2, 0.3])
    own, others = np.asarray(game.payoffs)
    logits = x @ others / 0.3
    nu = np.exp(logits - logsumexp(logits))
    slope = np.outer(x, nu * (x @ own - x @ own @ nu)).ravel()
    variance = slope @ np.asarray(estimate.fit.covariance) @ slope
    variance += np.sum(np.outer(x, nu) ** 2 * NOISE**2 / np.asarray(log.visits))
    found = stackelberg.value_band(estimate, regularizer, x, 0.9)
    np.testing.assert_allclose(found.standard_error, np.sqrt(variance), rtol=1e-9)
    np.testing.assert_allclose(found.upper - found.value, 1.6448536 * np.sqrt(variance), rtol=1e-7)
    known = stackelberg.estimate_follower(log, regularizer, leader_payoffs=own)
    assert float(stackelberg.value_band(known, regularizer, x).standard_error) < np.sqrt(variance)


def test_pessimism_maximizes_the_lower_bound_and_optimism_the_upper(game, regularizer):
    """Against a grid; and the two meet the plug-in as the log grows."""
    grid = np.array([(i, j, 60 - i - j) for i in range(61) for j in range(61 - i)]) / 60
    log = stackelberg.sample_responses(jax.random.key(1), game, regularizer, STRATEGIES, BEHAVIOR, 500, NOISE)
    estimate = stackelberg.estimate_follower(log, regularizer, noise=NOISE)
    bands = jax.vmap(lambda x: stackelberg.value_band(estimate, regularizer, x))(jnp.asarray(grid))
    for sign, plan in [(-1, stackelberg.pessimistic_commitment), (1, stackelberg.optimistic_commitment)]:
        values = np.asarray(bands.value + sign * SCALE * bands.standard_error)
        found = plan(estimate, regularizer, SCALE)
        assert values.max() <= float(found.value) <= values.max() + 2e-3
        at = stackelberg.value_band(estimate, regularizer, found.policy[0])
        np.testing.assert_allclose(found.value, at.value + sign * SCALE * at.standard_error, rtol=1e-12)
        plain = plan(estimate, regularizer, 0.0)
        other = stackelberg.quantal_stackelberg(estimate.game, regularizer)
        np.testing.assert_allclose(plain.policy[0], other.policy[0], atol=1e-7)


@pytest.mark.slow
def test_pessimism_changes_the_constant_as_predicted(game, regularizer, best):
    n = 3e5

    @jax.jit
    @jax.vmap
    def lost(key):
        log = stackelberg.sample_responses(key, game, regularizer, STRATEGIES, BEHAVIOR, n, NOISE)
        estimate = stackelberg.estimate_follower(log, regularizer, noise=NOISE)
        plan = stackelberg.pessimistic_commitment(estimate, regularizer, 6.0, throw=False)
        return best.value - stackelberg.leader_value(game, regularizer, plan.policy[0])

    found = n * float(lost(jax.random.split(jax.random.key(2), 2_000)).mean())
    plain, cautious = (
        float(stackelberg.predicted_constant(game, regularizer, STRATEGIES, BEHAVIOR, NOISE, scale=scale))
        for scale in (0.0, 6.0)
    )
    assert cautious > 1.5 * plain
    np.testing.assert_allclose(found, cautious, rtol=0.08)


@pytest.mark.slow
def test_the_worst_follower_of_the_likelihood_region_is_scipys():
    """A 2 x 3 game with known payoffs of the leader: the value is min over followers, by another method."""
    game = gk.games.uniform(jax.random.key(8), (2, 3))
    regularizer = gk.Regularizer([np.log([0.5, 0.5]), np.log([0.2, 0.3, 0.5])], [0.1, 0.3])
    strategies = np.array([[0.8, 0.2], [0.3, 0.7]])
    log = stackelberg.sample_responses(jax.random.key(0), game, regularizer, strategies, [0.5, 0.5], 400)
    own, counts = np.asarray(game.payoffs[0]), np.asarray(log.counts)
    estimate = stackelberg.estimate_follower(log, regularizer, leader_payoffs=own)
    plan = stackelberg.likelihood_commitment(log, estimate, regularizer, SCALE)
    x = np.asarray(plan.policy[0])

    def responses(flat, policies):
        table = np.column_stack([flat.reshape(2, 2), np.zeros(2)])
        logits = np.log([0.2, 0.3, 0.5]) + policies @ table
        return logits - logsumexp(logits, axis=-1, keepdims=True)

    fitted = np.asarray(estimate.fit.utilities)
    begin = (fitted - fitted[:, 2:])[:, :2].ravel()
    most = np.sum(counts * responses(begin, strategies))
    inside = {"type": "ineq", "fun": lambda u: np.sum(counts * responses(u, strategies)) - most + SCALE**2 / 2}
    worst = scipy.optimize.minimize(
        lambda u: x @ own @ np.exp(responses(u, x)),
        begin,
        constraints=[inside],
        method="SLSQP",
        options={"ftol": 1e-13},
    )
    cost = 0.1 * np.sum(x * np.log(2 * x))
    np.testing.assert_allclose(plan.value, worst.fun - cost, atol=1e-7)
    others = stackelberg.pessimistic_commitment(estimate, regularizer, SCALE)
    np.testing.assert_allclose(plan.policy[0], others.policy[0], atol=0.02)
    assert float(plan.value) < float(stackelberg.value_band(estimate, regularizer, x).value)


def test_bad_arguments_are_named(game, regularizer):
    log = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR)
    estimate = stackelberg.estimate_follower(log, regularizer)
    bare = stackelberg.Responses(log.strategies, log.counts)
    for call, message in [
        (lambda: stackelberg.estimate_follower(bare, regularizer), "leader_payoffs: got None beside responses without"),
        (lambda: stackelberg.estimate_follower(log, regularizer, noise="gauss"), "noise: got 'gauss'"),
        (
            lambda: stackelberg.estimate_follower(log, regularizer, leader_payoffs=np.zeros((4, 3))),
            r"leader_payoffs: got shape \(4, 3\)",
        ),
        (lambda: stackelberg.pessimistic_commitment(estimate, regularizer, -1.0), "scale: got -1.0"),
        (lambda: stackelberg.likelihood_commitment(log, estimate, regularizer, 0.0), "scale: got 0.0, takes a number"),
        (lambda: stackelberg.value_band(estimate, regularizer, [0.5, 0.5, 0.0], 1.0), "level: got 1.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
