"""A farsighted follower's payoffs from its responses: the truth, scipy, what is told and what is not, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers import announced, led_game

import gamekl as gk
from gamekl import stackelberg
from gamekl.offline import FitStatus

H, S, K, A, B = 2, 2, 6, 2, 3
TAU = 0.2
WEIGHTS = np.full(K, 1 / K)
RESPOND = stackelberg.farsighted_response
# What no response tells: shifts of (state, action) at first, and potentials of states later.
TOLD = H * S * A * B - S * A - (H - 1) * S


def uniform(*stage):
    return gk.Regularizer([jnp.full((*stage, size), -np.log(size)) for size in (A, B)], [0.1, TAU])


REGULARIZER = uniform(H, S)


@pytest.fixture(scope="module")
def game():
    return led_game()


@pytest.fixture(scope="module")
def strategies():
    return announced(K)


@pytest.fixture(scope="module")
def policies():
    """That were never announced."""
    return jnp.asarray(np.random.default_rng(2).dirichlet(np.ones(A), size=(20, H, S)))


def responses(game, utilities, policies):
    """log nu of a follower with other payoffs."""
    learnt = gk.MarkovGame(game.rewards.at[:, :, 1].set(TAU * utilities), game.transitions, game.initial_probs)
    return jax.vmap(lambda policy: RESPOND(learnt, REGULARIZER, policy))(policies)


def test_expected_responses_tell_how_any_policy_is_responded_to(game, strategies, policies):
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, RESPOND, 1000.0)
    fit = stackelberg.fit_farsighted(log.responses, game.transitions)
    assert int(fit.status) == FitStatus.converged and int(fit.rank) == int(fit.num_told) == TOLD
    truth = game.rewards[:, :, 1] / TAU
    np.testing.assert_allclose(responses(game, fit.utilities, policies), responses(game, truth, policies), atol=1e-8)
    # The fit is the truth without what is not told: the difference is a potential, and orthogonal to the fit.
    difference = np.asarray(truth - fit.utilities)
    np.testing.assert_allclose(np.ptp(difference[1], axis=(1, 2)), 0, atol=1e-8)
    first = difference[0] + np.asarray(game.transitions[0]) @ difference[1, :, 0, 0]
    np.testing.assert_allclose(np.ptp(first, axis=-1), 0, atol=1e-8)
    np.testing.assert_allclose(np.sum(difference * np.asarray(fit.utilities)), 0, atol=1e-7)
    np.testing.assert_allclose(fit.payoffs(TAU), TAU * fit.utilities)


def test_payoffs_that_are_responded_to_alike_are_fitted_alike(game, strategies):
    """Shaped by potentials, to which the fit is blind."""
    rng = np.random.default_rng(4)
    g = rng.normal(size=S)
    shape = np.stack([rng.normal(size=(S, A, 1)) - np.asarray(game.transitions[0]) @ g, np.zeros((S, A, B))])
    shape[1] += g[:, None, None]
    shaped = gk.MarkovGame(game.rewards.at[:, :, 1].add(shape), game.transitions, game.initial_probs)
    logs = [stackelberg.expected_episodes(it, REGULARIZER, strategies, WEIGHTS, RESPOND, 1e3) for it in (game, shaped)]
    ours, theirs = (stackelberg.fit_farsighted(log.responses, game.transitions) for log in logs)
    np.testing.assert_allclose(ours.utilities, theirs.utilities, atol=1e-8)
    np.testing.assert_allclose(ours.covariance, theirs.covariance, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_fits_of_scipy(game, strategies, penalty):
    """The likelihood from responses in plain numpy, climbed by a quasi-Newton method from several places."""
    log = stackelberg.sample_episodes(
        jax.random.key(0), game, REGULARIZER, strategies, WEIGHTS, RESPOND, 3000, 0.5
    ).responses
    fit = stackelberg.fit_farsighted(log, game.transitions, penalty=penalty)
    counts, moves = np.asarray(log.counts), np.asarray(game.transitions)

    def loss(flat):
        u, ahead, value = flat.reshape(H, S, A, B), np.zeros((S, K)), 0.0
        for h in reversed(range(H)):
            values = u[h][..., None] + moves[h] @ ahead  # [state, leader, follower, strategy]
            logits = np.einsum("ska,sabk->skb", strategies[h], values) - np.log(B)
            ahead = np.log(np.sum(np.exp(logits), axis=-1))
            value += np.sum(counts[h] * (logits - ahead[..., None]))
        return -value + penalty / 2 * np.sum(flat**2)

    rng = np.random.default_rng(5)
    starts = rng.normal(size=(3, H * S * A * B))
    found = [scipy.optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-4}) for start in starts]
    best = min(entry.fun for entry in found)
    np.testing.assert_allclose(loss(np.asarray(fit.utilities).ravel()), best, rtol=1e-9)
    np.testing.assert_allclose(
        fit.log_likelihood,
        -loss(np.asarray(fit.utilities).ravel()) + penalty / 2 * np.sum(np.asarray(fit.utilities) ** 2),
        rtol=1e-9,
    )


def test_a_single_step_is_a_myopic_followers(strategies):
    game = gk.MarkovGame(
        np.random.default_rng(6).uniform(size=(1, S, 2, A, B)), np.zeros((1, S, A, B, S)), np.array([0.6, 0.4])
    )
    nu0 = np.array([[0.2, 0.5, 0.3], [0.6, 0.4, 0.0]])
    with np.errstate(divide="ignore"):
        regularizer = gk.Regularizer([np.full((1, S, A), -np.log(A)), np.log(nu0)[None]], [0.1, TAU])
    log = stackelberg.sample_episodes(
        jax.random.key(1), game, regularizer, strategies[:1], WEIGHTS, RESPOND, 5000, 0.5
    ).responses
    ours = stackelberg.fit_farsighted(log, game.transitions, regularizer.log_reference[1])
    theirs = stackelberg.fit_responses(log, regularizer.log_reference[1])
    np.testing.assert_allclose(ours.utilities, theirs.utilities, atol=1e-8)
    for s in range(S):
        block = ours.covariance.reshape(S, A * B, S, A * B)[s, :, s]
        np.testing.assert_allclose(block, theirs.covariance[0, s], atol=1e-9)
    np.testing.assert_allclose(ours.log_likelihood, theirs.log_likelihood.sum(), rtol=1e-12)


@pytest.mark.slow
def test_responses_are_recovered_as_one_over_root_n(game, strategies, policies):
    """500 logs at each of 4 sizes; and the covariance says what the errors of payoffs are."""
    sizes = np.round(10.0 ** np.array([3.5, 4, 4.5, 5]))
    expected = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, RESPOND)
    truth = stackelberg.fit_farsighted(expected.responses, game.transitions)
    right = jnp.exp(responses(game, truth.utilities, policies))

    @jax.jit
    @jax.vmap
    def errors(key, size):
        log = stackelberg.sample_episodes(key, game, REGULARIZER, strategies, WEIGHTS, RESPOND, size, 0.5)
        fit = stackelberg.fit_farsighted(log.responses, game.transitions)
        missed = jnp.exp(responses(game, fit.utilities, policies)) - right
        return jnp.mean(missed**2), jnp.sum((fit.utilities - truth.utilities) ** 2), fit.status

    keys = jax.random.split(jax.random.key(2), 2_000)
    missed, square, status = errors(keys, jnp.repeat(jnp.asarray(sizes), 500))
    assert np.all(np.asarray(status) == FitStatus.converged)
    missed, square = (np.asarray(entry).reshape(4, 500).mean(axis=1) for entry in (missed, square))
    assert abs(np.polyfit(np.log(sizes), np.log(missed) / 2, 1)[0] + 0.5) < 0.03
    np.testing.assert_allclose(square[-2:] * sizes[-2:], np.trace(truth.covariance), rtol=0.12)


def test_what_a_log_cannot_tell_is_named(game, strategies):
    """Two policies tell a myopic follower's payoffs here, and too little of a farsighted one's; three tell all."""
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, RESPOND, 1e3).responses

    def kept(kinds):
        return stackelberg.Responses(log.strategies[:, :, :kinds], log.counts[:, :, :kinds])

    assert np.all(np.asarray(stackelberg.fit_responses(kept(2)).status) == FitStatus.converged)
    with pytest.raises(ValueError, match=rf"strategies: got policies that tell 16 of the {TOLD} directions of payoffs"):
        stackelberg.fit_farsighted(kept(2), game.transitions)
    assert int(stackelberg.fit_farsighted(kept(3), game.transitions).rank) == TOLD
    penalized = stackelberg.fit_farsighted(kept(2), game.transitions, penalty=0.1)
    assert int(penalized.status) == FitStatus.converged and int(penalized.rank) == 16

    unseen = stackelberg.Responses(log.strategies, log.counts.at[1, 0, :, 2].set(0))
    with pytest.raises(ValueError, match=r"counts: got no response \[2\] at stage \[1, 0\], which may be reached"):
        stackelberg.fit_farsighted(unseen, game.transitions)
    never = stackelberg.Responses(log.strategies, log.counts.at[1, 0].set(0))
    with pytest.raises(ValueError, match=r"counts: got no response \[0\] at stage \[1, 0\], which may be reached"):
        stackelberg.fit_farsighted(never, game.transitions)
    away = game.transitions.at[0].set(jnp.array([0.0, 1.0]))  # nothing leads to a state: nothing of it must be known
    assert int(stackelberg.fit_farsighted(never, away).status) == FitStatus.converged


def test_neighbours_do_not_matter(game, strategies):
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, RESPOND, 1e3).responses
    alone = stackelberg.fit_farsighted(log, game.transitions)
    counts = jnp.stack([log.counts, log.counts.at[0, 0, 0, 0].set(jnp.nan), log.counts.at[:, :, 1:].set(0)])
    fit = jax.jit(
        jax.vmap(lambda it: stackelberg.fit_farsighted(stackelberg.Responses(strategies, it), game.transitions))
    )
    together = fit(counts)
    expected = [FitStatus.converged, FitStatus.nonfinite_input, FitStatus.not_identified]
    np.testing.assert_array_equal(together.status, expected)
    np.testing.assert_allclose(together.utilities[0], alone.utilities, atol=1e-9)
    assert np.all(np.isnan(together.utilities[1:]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"responses": stackelberg.Responses([[0.5, 0.5]], [[1.0, 2.0, 3.0]])},
            r"counts: got shape \(1, 3\), takes \[h",
        ),
        ({"transitions": np.zeros((H, S, A, B))}, r"transitions: got shape \(2, 2, 2, 3\), takes \[horizon, state"),
        ({"transitions": np.full((H, S, A, B, S), np.nan)}, r"transitions\[0, 0, 0, 0, 0\]: got nan"),
        ({"penalty": -1.0}, "penalty: got -1.0"),
        ({"log_reference": [0.0, -np.inf, -np.inf]}, r"counts\[0, 0, 0, 1\]: got a response that log_reference masks"),
        ({"max_steps": 1}, "counts: got responses of which the likelihood rose to the last step"),
        ({"max_steps": 0}, "max_steps: got 0"),
    ],
)
def test_bad_input_is_named(game, strategies, change, message):
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, RESPOND, 1e3).responses
    with pytest.raises(ValueError, match=message):
        stackelberg.fit_farsighted(**{"responses": log, "transitions": game.transitions} | change)
