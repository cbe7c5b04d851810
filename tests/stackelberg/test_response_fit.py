"""A follower's payoffs from its actions: against scipy, on average, at the limits of what is known, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.special import logsumexp

import gamekl as gk
from gamekl import stackelberg
from gamekl.offline import FitStatus

SHAPE, TAU = (3, 4), 0.3
STRATEGIES = np.array([[0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.4, 0.1, 0.5]])
BEHAVIOR = np.array([0.3, 0.2, 0.4, 0.1])
REFERENCE = np.array([0.1, 0.4, 0.3, 0.2])


@pytest.fixture(scope="module")
def game():
    return gk.games.uniform(jax.random.key(4), SHAPE)


@pytest.fixture(scope="module")
def regularizer():
    return gk.Regularizer([np.full(3, -np.log(3)), np.log(REFERENCE)], [0.2, TAU])


def centred(table):
    return np.asarray(table) - np.mean(table, axis=1, keepdims=True)


def by_scipy(counts, strategies, reference, penalty=0.0):
    """argmax of the likelihood over whole tables, with mean-zero rows, by a quasi-Newton method."""
    shape = (strategies.shape[1], counts.shape[1])

    def loss(flat):
        table = flat.reshape(shape)
        logits = np.log(reference) + strategies @ (table - table.mean(axis=1, keepdims=True))
        log_nu = logits - logsumexp(logits, axis=1, keepdims=True)
        surprise = counts - counts.sum(axis=1, keepdims=True) * np.exp(log_nu)
        gradient = strategies.T @ surprise - penalty * (table - table.mean(axis=1, keepdims=True))
        value = np.sum(counts * log_nu) - penalty / 2 * np.sum(centred(table) ** 2)
        return -value, -(gradient - gradient.mean(axis=1, keepdims=True)).ravel()

    options = {"ftol": 0, "gtol": 1e-9, "maxiter": 9999}
    found = scipy.optimize.minimize(loss, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=options)
    return centred(found.x.reshape(shape)), -found.fun


@pytest.mark.parametrize("penalty", [0.0, 2.0])
def test_fits_of_scipy(penalty):
    counts = np.random.default_rng(0).integers(1, 40, (4, 4)).astype(float)
    fit = stackelberg.fit_responses(stackelberg.Responses(STRATEGIES, counts), np.log(REFERENCE), penalty=penalty)
    table, value = by_scipy(counts, STRATEGIES, REFERENCE, penalty)
    np.testing.assert_allclose(fit.utilities, table, atol=1e-5)
    np.testing.assert_allclose(fit.log_likelihood - penalty / 2 * np.sum(fit.utilities**2), value, rtol=1e-10)
    assert int(fit.status) == FitStatus.converged and float(fit.residual) < 1e-9


def test_expected_responses_give_the_truth_back(game, regularizer):
    """Up to what does not depend on the follower's action, and in payoff units where its temperature is known."""
    log = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR, 1000.0)
    fit = stackelberg.fit_responses(log, regularizer.log_reference[1])
    np.testing.assert_allclose(fit.payoffs(TAU), centred(game.payoffs[1]), atol=1e-10)
    np.testing.assert_allclose(log.visits.sum(), 1000)
    np.testing.assert_allclose(log.reward_sums, np.asarray(log.visits * game.payoffs[0]))


def test_covariance_is_the_inverse_information(game, regularizer):
    """Of n times the rows, 1 / n; and what the definition gives, with numpy's pseudo-inverse."""
    log = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR)
    fit = stackelberg.fit_responses(log, regularizer.log_reference[1])
    information = np.zeros((12, 12))
    for x, counts in zip(STRATEGIES, np.asarray(log.counts), strict=True):
        nu = counts / counts.sum()
        information += counts.sum() * np.kron(np.outer(x, x), np.diag(nu) - np.outer(nu, nu))
    np.testing.assert_allclose(fit.covariance, np.linalg.pinv(information, rcond=1e-10), rtol=1e-6, atol=1e-6)


def test_payoffs_are_recovered_as_one_over_root_n(game, regularizer):
    """2,000 seeds at each of 6 sizes; slope -1/2, and the mean square error is the trace of the covariance."""
    sizes = np.round(10.0 ** np.array([3, 3.5, 4, 4.5, 5, 5.5]))

    @jax.jit
    @jax.vmap
    def error(key, size):
        log = stackelberg.sample_responses(key, game, regularizer, STRATEGIES, BEHAVIOR, size)
        return jnp.sum((stackelberg.fit_responses(log, regularizer.log_reference[1]).payoffs(TAU) - truth) ** 2)

    truth = jnp.asarray(centred(game.payoffs[1]))
    found = error(jax.random.split(jax.random.key(1), 12_000), jnp.repeat(jnp.asarray(sizes), 2_000))
    means = np.asarray(found).reshape(6, 2_000).mean(axis=1)
    slope = np.polyfit(np.log(sizes), np.log(means) / 2, 1)[0]
    assert abs(slope + 0.5) < 0.02
    expected = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR)
    predicted = TAU**2 * np.trace(stackelberg.fit_responses(expected, regularizer.log_reference[1]).covariance)
    np.testing.assert_allclose(means[-2:] * sizes[-2:], predicted, rtol=0.06)


def test_known_payoffs_tell_the_rationality(game, regularizer):
    """One feature: the follower's payoffs; its weight is 1 / temperature."""
    log = stackelberg.expected_responses(game, regularizer, STRATEGIES[:1], [1.0])
    fit = stackelberg.fit_responses(log, regularizer.log_reference[1], features=game.payoffs[1][..., None])
    np.testing.assert_allclose(fit.weights, [1 / TAU], rtol=1e-10)
    np.testing.assert_allclose(fit.utilities, centred(game.payoffs[1]) / TAU, atol=1e-9)


def test_a_masked_action_is_as_if_it_were_not_there():
    counts = np.random.default_rng(1).integers(1, 40, (4, 4)).astype(float)
    counts[:, 2] = 0
    nu0 = np.array([0.3, 0.5, 0.0, 0.2])
    with np.errstate(divide="ignore"):
        fit = stackelberg.fit_responses(stackelberg.Responses(STRATEGIES, counts), np.log(nu0))
    kept = np.array([0, 1, 3])
    small = stackelberg.fit_responses(stackelberg.Responses(STRATEGIES, counts[:, kept]), np.log(nu0[kept]))
    np.testing.assert_allclose(fit.utilities[:, kept], small.utilities, atol=1e-9)
    assert np.all(np.asarray(fit.utilities[:, 2]) == 0)
    covariance = np.asarray(fit.covariance).reshape(3, 4, 3, 4)
    np.testing.assert_allclose(covariance[:, kept][..., kept].reshape(9, 9), small.covariance, atol=1e-9)


def test_stages_are_fitted_side_by_side_and_neighbours_do_not_matter():
    counts = np.random.default_rng(2).integers(1, 40, (5, 4, 4)).astype(float)
    strategies = np.broadcast_to(STRATEGIES, (5, 4, 3))
    together = stackelberg.fit_responses(stackelberg.Responses(strategies, counts))
    assert together.utilities.shape == (5, *SHAPE) and together.status.shape == (5,)
    fit = jax.jit(lambda counts: stackelberg.fit_responses(stackelberg.Responses(strategies, counts)))
    mixed = fit(jnp.asarray(counts).at[1].set(jnp.nan).at[2, :, 3].set(0).at[3, 1:].set(0))
    expected = [FitStatus.nonfinite_input, FitStatus.no_maximizer, FitStatus.not_identified]
    np.testing.assert_array_equal(mixed.status, [0, *expected, 0])
    np.testing.assert_allclose(mixed.utilities[0], together.utilities[0], atol=1e-12)
    np.testing.assert_array_equal(np.isnan(mixed.utilities).all(axis=(1, 2)), [False, True, True, True, False])


def test_each_stage_may_have_a_penalty_of_its_own():
    counts = np.random.default_rng(2).integers(1, 40, (2, 4, 4)).astype(float)
    strategies = np.broadcast_to(STRATEGIES, (2, 4, 3))
    together = stackelberg.fit_responses(stackelberg.Responses(strategies, counts), penalty=jnp.array([0.0, 2.0]))
    for stage, penalty in enumerate([0.0, 2.0]):
        alone = stackelberg.fit_responses(stackelberg.Responses(STRATEGIES, counts[stage]), penalty=penalty)
        np.testing.assert_allclose(together.utilities[stage], alone.utilities, atol=1e-9)
    with pytest.raises(ValueError, match=r"penalty\[1\]: got -2.0, takes a finite number >= 0"):
        stackelberg.fit_responses(stackelberg.Responses(strategies, counts), penalty=np.array([0.0, -2.0]))


def test_the_limits_of_what_responses_tell_are_named():
    counts = np.random.default_rng(3).integers(1, 40, (4, 4)).astype(float)
    same = np.broadcast_to(STRATEGIES[0], (4, 3))
    with pytest.raises(
        ValueError, match="strategies: got responses to policies that span 1 of the leader's 3 dimension"
    ):
        stackelberg.fit_responses(stackelberg.Responses(same, counts))
    table = np.random.default_rng(4).normal(size=(*SHAPE, 1))
    with pytest.raises(ValueError, match="features: got some that cannot be told apart"):
        stackelberg.fit_responses(stackelberg.Responses(same, counts), features=np.concatenate([table, 2 * table], -1))
    unseen = np.where(np.arange(4) == 1, 0, counts)
    with pytest.raises(ValueError, match=r"counts: got no response \[1\], takes each at least once, or penalty > 0"):
        stackelberg.fit_responses(stackelberg.Responses(STRATEGIES, unseen))
    assert int(stackelberg.fit_responses(stackelberg.Responses(same, unseen), penalty=0.1).status) == 0
    apart = stackelberg.Responses(np.eye(3), np.diag([5.0, 5.0, 5.0]))
    with pytest.raises(ValueError, match="counts: got responses that some payoffs make certain"):
        stackelberg.fit_responses(apart)


def test_logs_are_counted():
    log = stackelberg.count_responses(
        [[0.5, 0.5], [1.0, 0.0]], [0, 1, 0, 0], [1, 0, 1, 2], 3, played=[0, 0, 1, 1], rewards=[1.0, 2.0, 3.0, 4.0]
    )
    np.testing.assert_array_equal(log.counts, [[0, 2, 1], [1, 0, 0]])
    np.testing.assert_array_equal(log.visits, [[1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(log.reward_sums, [[2, 1, 0], [0, 3, 4]])


def test_draws_have_the_right_mean_and_do_not_cost_more_for_more_rows(game, regularizer):
    log = stackelberg.sample_responses(jax.random.key(0), game, regularizer, STRATEGIES, BEHAVIOR, 1e12, 0.5)
    expected = stackelberg.expected_responses(game, regularizer, STRATEGIES, BEHAVIOR, 1e12)
    for ours, theirs in [(log.counts, expected.counts), (log.visits, expected.visits)]:
        assert float(ours.sum()) == 1e12
        np.testing.assert_allclose(ours, theirs, atol=6e6)
    np.testing.assert_allclose(log.reward_sums / log.visits, game.payoffs[0], atol=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stackelberg.Responses([[0.5, 0.6]], [[1.0, 2.0]]), r"strategies\[0\]: got a sum of 1.1"),
        (lambda: stackelberg.Responses([[0.5, 0.5]], [[1.0, -2.0]]), r"counts\[0, 1\]: got -2.0, takes numbers >= 0"),
        (lambda: stackelberg.Responses([[0.5, 0.5]], [[1.0, 2.0]] * 2), r"counts: got shape \(2, 2\)"),
        (lambda: stackelberg.fit_responses(stackelberg.Responses([[1.0]], [[0.0, 0.0]])), "counts: got no responses"),
        (
            lambda: stackelberg.fit_responses(stackelberg.Responses([[1.0]], [[1.0, 1.0]]), [-np.inf, 0.0]),
            r"counts\[0, 0\]: got a response that log_reference masks",
        ),
        (
            lambda: stackelberg.fit_responses(
                stackelberg.Responses([[1.0]], [[1.0, 1.0]]), features=np.zeros((1, 2, 0))
            ),
            r"features: got shape \(1, 2, 0\), takes .* at least one feature",
        ),
        (lambda: stackelberg.count_responses([[1.0]], [], [], 2), "announced: got no rows"),
        (lambda: stackelberg.count_responses([[1.0]], [0, 1], [0, 1], 2), r"announced\[1\]: got 1, takes 0 to 0"),
        (lambda: stackelberg.count_responses([[1.0]], [0, 0], [0, 2], 2), r"responses\[1\]: got 2, takes 0 to 1"),
        (
            lambda: stackelberg.fit_responses(stackelberg.Responses([[1.0]], [[1.0, 1.0]])).payoffs(0.0),
            "temperature: got 0.0, takes a finite number > 0: 1 / the rationality",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_response_that_one_policy_never_got_has_no_finite_payoff():
    """Three policies, three actions of the leader: each count is matched, and a 0 only by what is infinite."""
    strategies = 0.7 * np.eye(3) + 0.1
    counts = np.array([[0, 32, 26, 14], [16, 3, 4, 1], [9, 40, 32, 45.0]])
    log = stackelberg.Responses(strategies, counts)
    with pytest.raises(ValueError, match=r"counts: got responses .* certain, such as no 0 to strategy 0, takes more"):
        stackelberg.fit_responses(log)
    found = jax.jit(stackelberg.fit_responses)(log)
    assert int(found.status) == FitStatus.no_maximizer and np.all(np.isnan(found.utilities))
    once = stackelberg.fit_responses(stackelberg.Responses(strategies, np.maximum(counts, 1)))
    assert int(once.status) == 0 and np.max(np.abs(once.utilities)) < 10
    with pytest.raises(ValueError, match="max_steps: got fewer than the fit takes, takes more"):
        stackelberg.fit_responses(stackelberg.Responses(strategies, np.maximum(counts, 1)), max_steps=1)
