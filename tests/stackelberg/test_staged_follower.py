"""A follower's responses to a leader's policy for all stages, and what the leader earns: against plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import gamekl as gk
from gamekl import stackelberg

H, S, A, B = 3, 2, 2, 3
TAU = (0.1, 0.3)
NU0 = np.array([0.5, 0.2, 0.3])
RESPONSES = {0: stackelberg.myopic_response, 1: stackelberg.farsighted_response}


@pytest.fixture(scope="module")
def game():
    rng = np.random.default_rng(0)
    moves = rng.dirichlet(np.ones(S), size=(H, S, A, B))
    moves[0, 1, 0, 2] = 0  # where the episode ends
    return gk.MarkovGame(rng.uniform(size=(H, S, 2, A, B)), moves, np.array([0.6, 0.4]))


@pytest.fixture(scope="module")
def policy():
    return np.random.default_rng(1).dirichlet(np.ones(A), size=(H, S))


def regularizer(*stage):
    return gk.Regularizer([jnp.full((*stage, A), -np.log(A)), jnp.broadcast_to(np.log(NU0), (*stage, B))], TAU)


@pytest.mark.parametrize("patience", [0, 1])
def test_responses_and_values_are_those_of_the_definition(game, policy, patience):
    rewards, moves = np.asarray(game.rewards), np.asarray(game.transitions)
    ahead, responses = np.zeros((2, S)), np.zeros((H, S, B))
    for h in reversed(range(H)):
        here = np.zeros((2, S))
        for s in range(S):
            x = policy[h, s]
            logits = np.log(NU0) + x @ (rewards[h, s, 1] + patience * moves[h, s] @ ahead[1]) / TAU[1]
            here[1, s] = TAU[1] * logsumexp(logits)
            responses[h, s] = logits - logsumexp(logits)
            here[0, s] = x @ (rewards[h, s, 0] + moves[h, s] @ ahead[0]) @ np.exp(responses[h, s])
            here[0, s] -= TAU[0] * np.sum(x * np.log(x * A))
        ahead = here
    response = RESPONSES[patience]
    np.testing.assert_allclose(response(game, regularizer(H, S), policy), responses, atol=1e-13)
    value = stackelberg.staged_leader_value(game, regularizer(H, S), policy, response)
    np.testing.assert_allclose(value, [0.6, 0.4] @ ahead[0], rtol=1e-13)


def test_contexts_are_games_of_their_own():
    rng = np.random.default_rng(2)
    payoffs, chances = rng.uniform(size=(4, 2, A, B)), np.array([0.1, 0.2, 0.3, 0.4])
    contextual, policy = gk.ContextualGame(payoffs, chances), rng.dirichlet(np.ones(A), size=4)
    alone, one = [gk.NormalFormGame(entry) for entry in payoffs], regularizer()
    expected = [stackelberg.quantal_response(game, one, x) for game, x in zip(alone, policy, strict=True)]
    values = [stackelberg.leader_value(game, one, x) for game, x in zip(alone, policy, strict=True)]
    for response in RESPONSES.values():
        np.testing.assert_allclose(response(contextual, regularizer(4), policy), expected, atol=1e-13)
        value = stackelberg.staged_leader_value(contextual, regularizer(4), policy, response)
        np.testing.assert_allclose(value, chances @ np.array(values), rtol=1e-13)


def test_shaping_changes_no_response(game, policy):
    """g_h(s) - E g_{h+1}(s') of any g, which at first may depend on the leader's action."""
    rng = np.random.default_rng(3)
    g = np.concatenate([rng.normal(size=(H, S)), np.zeros((1, S))])
    shape = g[:-1, :, None, None] - np.einsum("hsabt,ht->hsab", game.transitions, g[1:])
    shape[0] += rng.normal(size=(S, A, 1))
    shaped = gk.MarkovGame(game.rewards.at[:, :, 1].add(shape), game.transitions, game.initial_probs)
    ours, theirs = (stackelberg.farsighted_response(it, regularizer(H, S), policy) for it in (game, shaped))
    np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_bad_arguments_are_named(game, policy):
    with pytest.raises(TypeError):
        stackelberg.myopic_response(gk.NormalFormGame(np.zeros((2, A, B))), regularizer(), policy)
    with pytest.raises(ValueError, match="policy: got shapes"):
        stackelberg.farsighted_response(game, regularizer(H, S), policy[0])
    with pytest.raises(ValueError, match=r"policy\[0, 0, 1\]: got a sum of"):
        stackelberg.farsighted_response(game, regularizer(H, S), np.where(np.arange(S)[:, None] == 0, policy, 0.7))
