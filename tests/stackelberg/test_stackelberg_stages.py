"""Leaders that learn plans for all stages: what estimates are worth, their standard errors, and pessimism."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import announced, led_game

import gamekl as gk
from gamekl import stackelberg

H, S, K, A, B = 2, 2, 5, 2, 3
TAU, NOISE, N = (0.1, 0.2), 0.5, 2_000
WEIGHTS = np.full(K, 1 / K)
FARSIGHTED = (
    stackelberg.estimate_farsighted,
    stackelberg.farsighted_response,
    stackelberg.farsighted_stackelberg,
)
MYOPIC = (stackelberg.estimate_myopic, stackelberg.myopic_response, stackelberg.myopic_stackelberg)
FOLLOWERS = pytest.mark.parametrize("follower", [FARSIGHTED, MYOPIC], ids=["farsighted", "myopic"])


def uniform(*stage):
    return gk.Regularizer([jnp.full((*stage, size), -np.log(size)) for size in (A, B)], jnp.array(TAU))


REGULARIZER = uniform(H, S)


@pytest.fixture(scope="module")
def game():
    return led_game()


@pytest.fixture(scope="module")
def strategies():
    return announced(K)


def expected(game, strategies, follower, rows=N, **options):
    """What a log of so many episodes tells on average."""
    learn, respond, _ = follower
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, respond, rows)
    known = {"transitions": game.transitions, "stage_probs": game.initial_probs, "noise": NOISE}
    return learn(log, REGULARIZER, **(known | options))


@FOLLOWERS
def test_the_truth_is_planned_for_where_the_log_tells_it(game, strategies, follower):
    """Transitions, first states and the leader's payoffs too are the log's own."""
    truth = follower[2](game, REGULARIZER)
    estimate = expected(game, strategies, follower, transitions=None, stage_probs=None)
    plan = follower[2](estimate.game, REGULARIZER)
    np.testing.assert_allclose(plan.policy[0], truth.policy[0], atol=1e-7)
    np.testing.assert_allclose(plan.value, truth.value, rtol=1e-9)
    value = stackelberg.staged_leader_value(game, REGULARIZER, truth.policy[0], follower[1])
    np.testing.assert_allclose(value, truth.value, rtol=1e-12)


@pytest.mark.slow
@FOLLOWERS
def test_standard_errors_are_the_spread_of_values_over_logs(game, strategies, follower):
    """2,000 logs, of a policy that none of them shows."""
    learn, respond, _ = follower
    policy = np.random.default_rng(2).dirichlet(np.ones(A), size=(H, S))
    band = stackelberg.staged_value_band(expected(game, strategies, follower), REGULARIZER, policy)

    @jax.jit
    @jax.vmap
    def estimated(key):
        log = stackelberg.sample_episodes(key, game, REGULARIZER, strategies, WEIGHTS, respond, N, NOISE)
        estimate = learn(log, REGULARIZER, transitions=game.transitions, stage_probs=game.initial_probs, noise=NOISE)
        found = stackelberg.staged_value_band(estimate, REGULARIZER, policy)
        return found.value, (found.lower <= band.value) & (band.value <= found.upper)

    values, covered = estimated(jax.random.split(jax.random.key(0), 2_000))
    np.testing.assert_allclose(np.std(values), band.standard_error, rtol=0.05)
    assert abs(np.mean(covered) - 0.9) < 0.025


@pytest.mark.slow
def test_plans_for_a_farsighted_follower_get_better_as_one_over_n(game, strategies):
    best = stackelberg.farsighted_stackelberg(game, REGULARIZER).value

    @jax.jit
    @jax.vmap
    def lost(key, size):
        respond = stackelberg.farsighted_response
        log = stackelberg.sample_episodes(key, game, REGULARIZER, strategies, WEIGHTS, respond, size, NOISE)
        estimate = stackelberg.estimate_farsighted(log, REGULARIZER, noise=NOISE)
        plan = stackelberg.farsighted_stackelberg(estimate.game, REGULARIZER, throw=False)
        return best - stackelberg.staged_leader_value(game, REGULARIZER, plan.policy[0], respond)

    sizes = np.array([1e4, 1e5, 1e6])
    found = lost(jax.random.split(jax.random.key(1), 300), jnp.repeat(jnp.asarray(sizes), 100))
    means = np.asarray(found).reshape(3, 100).mean(axis=1)
    assert np.all(np.asarray(found) > -1e-9)
    assert abs(np.polyfit(np.log(sizes), np.log(means), 1)[0] + 1) < 0.1


@FOLLOWERS
def test_pessimism_maximizes_the_lower_bound(game, strategies, follower):
    """No policy near to it is better, and without standard errors it is the plug-in's."""
    estimate = expected(game, strategies, follower, rows=300)
    plain, cautious = (stackelberg.pessimistic_stages(estimate, REGULARIZER, scale) for scale in (0.0, 2.0))
    plan = follower[2](estimate.game, REGULARIZER)
    np.testing.assert_allclose(plain.policy[0], plan.policy[0], atol=1e-7)
    np.testing.assert_allclose(plain.value, plan.value, rtol=1e-9)

    @jax.jit
    @jax.vmap
    def bound(policy):
        band = stackelberg.staged_value_band(estimate, REGULARIZER, policy)
        return band.value - 2 * band.standard_error

    here = cautious.policy[0]
    noise = jax.random.normal(jax.random.key(2), (2_000, H, S, A)) * jnp.logspace(-4, 0, 2_000)[:, None, None, None]
    others = jax.nn.softmax(jnp.log(here) + noise)
    np.testing.assert_allclose(bound(here[None])[0], cautious.value, rtol=1e-12)
    assert float(bound(others).max()) < float(cautious.value)
    assert float(bound(plan.policy[0][None])[0]) < float(cautious.value) - 1e-4
    assert float(np.abs(here - plan.policy[0]).max()) > 0.01


@FOLLOWERS
def test_stages_that_are_never_reached_need_no_responses(game, strategies, follower):
    """Where all episodes begin alike; and of stages that are reached all must be seen."""
    alike = gk.MarkovGame(game.rewards, game.transitions, np.array([1.0, 0.0]))
    estimate = expected(alike, strategies, follower)
    policy = np.random.default_rng(4).dirichlet(np.ones(A), size=(H, S))
    ours, truth = (
        stackelberg.staged_value_band(estimate, REGULARIZER, policy).value,
        stackelberg.staged_leader_value(alike, REGULARIZER, policy, follower[1]),
    )
    np.testing.assert_allclose(ours, truth, rtol=1e-9)
    np.testing.assert_allclose(estimate.fit.utilities[0, 1], 0, atol=1e-12)
    log = stackelberg.expected_episodes(alike, REGULARIZER, strategies, WEIGHTS, follower[1])
    responses = stackelberg.Responses(
        strategies, log.responses.counts.at[1, 1].set(0), log.responses.visits, log.responses.reward_sums
    )
    with pytest.raises(ValueError, match=r"at stage \[1, 1\]"):
        follower[0](stackelberg.Episodes(responses, log.moves), REGULARIZER)


@pytest.mark.slow
def test_contexts_share_one_standard_error():
    """s^2 = sum rho^2 s_c^2; each context's plan is the pessimistic one of its own with c rho s_c / s errors."""
    rng = np.random.default_rng(3)
    payoffs, rho = rng.uniform(size=(3, 2, A, B)), np.array([0.5, 0.2, 0.3])
    game, strategies = gk.ContextualGame(payoffs, rho), rng.dirichlet(np.ones(A), size=(3, K))
    log = stackelberg.sample_episodes(
        jax.random.key(0), game, uniform(3), strategies, WEIGHTS, stackelberg.myopic_response, N, NOISE
    )
    estimate = stackelberg.estimate_myopic(log, uniform(3), noise=NOISE)
    np.testing.assert_allclose(estimate.game.context_probs, log.responses.counts.sum(axis=(1, 2)) / N)
    plan = stackelberg.pessimistic_stages(estimate, uniform(3), 2.0)
    band = stackelberg.staged_value_band(estimate, uniform(3), plan.policy[0])

    logs = [jax.tree.map(lambda leaf, c=c: leaf[c], log.responses) for c in range(3)]
    alone = [stackelberg.estimate_follower(one, uniform(), noise=NOISE) for one in logs]
    bands = [stackelberg.value_band(it, uniform(), x) for it, x in zip(alone, plan.policy[0], strict=True)]
    chances, errors = np.asarray(estimate.game.context_probs), np.array([it.standard_error for it in bands])
    np.testing.assert_allclose(band.standard_error, np.sqrt(np.sum(chances**2 * errors**2)), rtol=1e-10)
    np.testing.assert_allclose(band.value, chances @ np.array([it.value for it in bands]), rtol=1e-12)
    scales = 2 * chances * errors / band.standard_error
    theirs = [
        stackelberg.pessimistic_commitment(it, uniform(), scale).policy[0]
        for it, scale in zip(alone, scales, strict=True)
    ]
    np.testing.assert_allclose(plan.policy[0], theirs, atol=1e-6)
    plain = stackelberg.pessimistic_stages(estimate, uniform(3), 0.0)
    np.testing.assert_allclose(
        plain.policy[0], stackelberg.contextual_stackelberg(estimate.game, uniform(3)).policy[0], atol=1e-7
    )


def test_bad_arguments_are_named(game, strategies):
    log = stackelberg.expected_episodes(game, REGULARIZER, strategies, WEIGHTS, stackelberg.myopic_response, N)
    bare = stackelberg.Episodes(stackelberg.Responses(log.responses.strategies, log.responses.counts), log.moves)
    contexts = stackelberg.Episodes(jax.tree.map(lambda leaf: leaf[0], log.responses), None)
    shape = log.responses.strategies.shape
    empty = jax.tree.map(lambda leaf: leaf if leaf.shape == shape else 0.0 * leaf, log)
    estimate = stackelberg.estimate_myopic(log, REGULARIZER)
    for call, message in [
        (lambda: stackelberg.estimate_myopic(bare, REGULARIZER), "leader_payoffs: got None beside responses without"),
        (
            lambda: stackelberg.estimate_myopic(log, REGULARIZER, stage_probs=[0.5, 0.6]),
            r"stage_probs: got a sum of 1.1",
        ),
        (
            lambda: stackelberg.estimate_myopic(log, REGULARIZER, transitions=np.zeros((H, S, A, B))),
            r"transitions: got shape \(2, 2, 2, 3\)",
        ),
        (
            lambda: stackelberg.estimate_myopic(log, REGULARIZER, leader_payoffs=np.zeros((A, B))),
            r"leader_payoffs: got shape \(2, 3\), takes \[\*stage, leader, follower\] = \(2, 2, 2, 3\)",
        ),
        (lambda: stackelberg.estimate_myopic(empty, REGULARIZER), "counts: got no responses, takes at least one"),
        (
            lambda: stackelberg.estimate_myopic(log, REGULARIZER, transitions=2 * game.transitions),
            r"transitions\[0, 0, 0, 0\]: got a sum of 2",
        ),
        (lambda: stackelberg.estimate_myopic(log, uniform(3)), r"log_reference\[0\]: got shape \(3, 2\)"),
        (
            lambda: stackelberg.estimate_farsighted(contexts, uniform(S)),
            "log: got one of a contextual game, takes a Markov game's, with moves",
        ),
        (lambda: stackelberg.pessimistic_stages(estimate, REGULARIZER, -1.0), "scale: got -1.0"),
        (lambda: stackelberg.staged_value_band(estimate, REGULARIZER, np.ones((H, S, A)) / A, 0.0), "level: got 0.0"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
