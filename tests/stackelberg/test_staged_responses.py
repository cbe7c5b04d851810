"""Episodes with a leader that announces policies for all stages: their law, trajectory by trajectory."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl import stackelberg

H, S, K, A, B = 2, 2, 2, 2, 2
N, DRAWS = 5, 20_000
WEIGHTS, FIRST = np.array([0.3, 0.7]), np.array([0.6, 0.4])


def regularizer(*stage):
    return gk.Regularizer([jnp.full((*stage, A), -np.log(A)), jnp.full((*stage, B), -np.log(B))], [0.1, 0.3])


@pytest.fixture(scope="module")
def markov():
    rng = np.random.default_rng(0)
    moves = rng.dirichlet(np.ones(S), size=(H, S, A, B))
    moves[0, 1, 0, 1] = 0  # where the episode ends
    return gk.MarkovGame(rng.uniform(size=(H, S, 2, A, B)), moves, FIRST)


@pytest.fixture(scope="module")
def strategies():
    return np.random.default_rng(1).dirichlet(np.ones(A), size=(H, S, K))


def trajectories(game, strategies):
    """Each trajectory's chance, and what it adds to counts, visits and moves, flattened."""
    moves = np.asarray(game.transitions)
    responses = [stackelberg.farsighted_response(game, regularizer(H, S), strategies[:, :, k]) for k in range(K)]
    found = []
    for k, s, a, b, t, c, d in itertools.product(*map(range, (K, S, A, B, S + 1, A, B))):
        chance = WEIGHTS[k] * FIRST[s] * strategies[0, s, k, a] * np.exp(responses[k][0, s, b])
        counts, visits, moved = np.zeros((H, S, K, B)), np.zeros((H, S, A, B)), np.zeros((H, S, A, B, S))
        counts[0, s, k, b], visits[0, s, a, b] = 1, 1
        if t == S:  # it ended; c and d are not played
            chance *= (1 - moves[0, s, a, b].sum()) / (A * B)
        else:
            chance *= moves[0, s, a, b, t] * strategies[1, t, k, c] * np.exp(responses[k][1, t, d])
            counts[1, t, k, d], visits[1, t, c, d], moved[0, s, a, b, t] = 1, 1, 1
        found.append((chance, np.concatenate([counts.ravel(), visits.ravel(), moved[0].ravel()])))
    chances, told = map(np.array, zip(*found, strict=True))
    np.testing.assert_allclose(chances.sum(), 1)
    return chances, told


def flat(log):
    """What `trajectories` tells, of a log."""
    return jnp.concatenate([log.responses.counts.ravel(), log.responses.visits.ravel(), log.moves[0].ravel()])


def test_counts_have_the_mean_and_covariance_of_whole_trajectories(markov, strategies):
    chances, told = trajectories(markov, strategies)
    mean = chances @ told
    covariance = (told - mean).T @ (chances[:, None] * (told - mean))
    respond = stackelberg.farsighted_response

    def draw(key):
        return flat(stackelberg.sample_episodes(key, markov, regularizer(H, S), strategies, WEIGHTS, respond, N, 0.5))

    drawn = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), DRAWS)))
    variance = np.diag(covariance)
    assert np.all(np.abs(drawn.mean(axis=0) / N - mean) <= 4.5 * np.sqrt(variance / (N * DRAWS)))
    # The variance of a sample's covariance, of sums over N trajectories: rare counts are far from normal.
    fourth = ((told - mean) ** 2).T @ (chances[:, None] * (told - mean) ** 2)
    squares = fourth / N + (1 - 1 / N) * (np.outer(variance, variance) + 2 * covariance**2)
    spread = np.sqrt(np.maximum(squares - covariance**2, 0) / DRAWS)
    assert np.all(np.abs(np.cov(drawn.T) / N - covariance) <= 5 * spread + 1e-12)
    expected = stackelberg.expected_episodes(markov, regularizer(H, S), strategies, WEIGHTS, respond, N)
    np.testing.assert_allclose(flat(expected), N * mean, atol=1e-12)


def test_rewards_are_the_leaders_and_many_rows_cost_what_few_do(markov, strategies):
    arguments = (markov, regularizer(H, S), strategies, WEIGHTS, stackelberg.myopic_response)
    log = stackelberg.sample_episodes(jax.random.key(0), *arguments, 1e12, 0.5)
    expected = stackelberg.expected_episodes(*arguments, 1e12)
    for ours, theirs in zip(jax.tree.leaves(log), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e7)
    assert float(log.responses.counts[0].sum()) == 1e12
    means = log.responses.reward_sums / log.responses.visits
    np.testing.assert_allclose(means, markov.rewards[:, :, 0], atol=1e-4)
    np.testing.assert_allclose(log.transitions[0], markov.transitions[0], atol=1e-4)
    np.testing.assert_allclose(log.stage_probs, FIRST, atol=1e-4)
    same = stackelberg.sample_episodes(jax.random.key(0), *arguments, 1000, "bernoulli").responses
    assert np.all(np.asarray(same.reward_sums) == np.round(same.reward_sums))


def test_contexts_are_drawn_likewise():
    rng = np.random.default_rng(2)
    payoffs, chances = rng.uniform(size=(3, 2, A, B)), np.array([0.5, 0.2, 0.3])
    game, strategies = gk.ContextualGame(payoffs, chances), rng.dirichlet(np.ones(A), size=(3, K))
    arguments = (game, regularizer(3), strategies, WEIGHTS, stackelberg.myopic_response)
    expected = stackelberg.expected_episodes(*arguments)
    assert expected.moves is None
    alone = [gk.NormalFormGame(entry) for entry in payoffs]
    for c, one in enumerate(alone):
        there = stackelberg.expected_responses(one, regularizer(), strategies[c], WEIGHTS, chances[c])
        np.testing.assert_allclose(expected.responses.counts[c], there.counts, rtol=1e-12)
        np.testing.assert_allclose(expected.responses.reward_sums[c], there.reward_sums, rtol=1e-12)
    log = stackelberg.sample_episodes(jax.random.key(0), *arguments, 1e10, 0.5).responses
    np.testing.assert_allclose(log.counts / 1e10, expected.responses.counts, atol=1e-4)
    np.testing.assert_allclose(log.reward_sums / 1e10, expected.responses.reward_sums, atol=1e-4)
    with pytest.raises(ValueError, match="moves: got None, as of a contextual game"):
        _ = expected.transitions


def test_bad_arguments_are_named(markov, strategies):
    def draw(strategies=strategies, behavior=WEIGHTS, rows=10, noise=0.5, game=markov):
        respond = stackelberg.myopic_response
        arguments = (game, regularizer(H, S), strategies, behavior, respond, rows, noise)
        return stackelberg.sample_episodes(jax.random.key(0), *arguments)

    ended = gk.MarkovGame(markov.rewards, 0.5 * markov.transitions, FIRST)
    for options, message in [
        ({"strategies": strategies[0]}, r"strategies: got shape \(2, 2, 2\), takes \[\*stage, strategy, leader\]"),
        ({"strategies": 2 * strategies}, r"strategies\[0, 0, 0\]: got a sum of 2"),
        ({"behavior": np.ones(3) / 3}, r"behavior: got shape \(3,\), takes \[strategy\] = \(2,\)"),
        ({"rows": 0}, "num_samples: got 0, takes a whole number >= 1"),
        ({"noise": -1.0}, "noise: got -1.0"),
        ({"game": ended}, "transitions.*got a sum of 0.5"),
    ]:
        with pytest.raises(ValueError, match=message):
            draw(**options)


def test_bad_logs_are_named(markov, strategies):
    log = stackelberg.expected_episodes(markov, regularizer(H, S), strategies, WEIGHTS, stackelberg.myopic_response)
    for moves, message in [
        (None, "moves: got None beside responses of cells"),
        (np.zeros((H, S, A, B, 3)), r"moves: got shape \(2, 2, 2, 2, 3\), takes \[horizon, state, leader"),
        (log.moves.at[0, 1, 0, 0, 1].set(jnp.nan), r"moves\[0, 1, 0, 0, 1\]: got nan"),
        (-log.moves, r"moves\[0, 0, 0, 0, 0\]: got -.*, takes numbers >= 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            stackelberg.Episodes(log.responses, None if moves is None else jnp.asarray(moves))
