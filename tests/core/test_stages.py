"""Values, responses, gaps and occupancies in stages, against backward induction written out in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition, random_profile
from scipy.special import logsumexp

import gamekl as gk
from gamekl.core import stages
from gamekl.core.policies import outer


def induction(game, log_policy, log_reference, taus, respond=None):
    """V of the policies, less their KL terms; player `respond` best-responds: softly, or greedily where taus are 0."""
    rewards, transitions = np.asarray(game.rewards), np.asarray(game.transitions)
    horizon, states, players = rewards.shape[:3]
    ahead = np.zeros((states, players))
    for h in reversed(range(horizon)):
        here = np.zeros((states, players))
        for s in range(states):
            payoffs = np.stack([rewards[h, s, i] + transitions[h, s] @ ahead[:, i] for i in range(players)])
            policies = [np.exp(np.asarray(entry[h, s])) for entry in log_policy]
            values = action_values_by_definition(payoffs, policies)
            for i in range(players):
                reference = np.asarray(log_reference[i][h, s])
                if respond == i:
                    allowed = np.isfinite(reference)
                    soft = taus[i] and taus[i] * logsumexp(reference[allowed] + values[i][allowed] / taus[i])
                    here[s, i] = soft or values[i][allowed].max()
                else:
                    played = policies[i] > 0
                    kl = np.sum(policies[i][played] * (np.log(policies[i][played]) - reference[played]))
                    here[s, i] = policies[i] @ values[i] - taus[i] * kl
        ahead = here
    return np.asarray(game.initial_probs) @ ahead


CASES = [(3, 4, (2, 3)), (2, 2, (2, 2, 3)), pytest.param(1, 3, (3, 2), marks=pytest.mark.slow)]


@pytest.mark.parametrize("horizon, states, num_actions", CASES)
@pytest.mark.parametrize("mask", [False, True])
def test_gaps_in_markov_games(horizon, states, num_actions, mask):
    """What a player gains by responding best from the start, regularised and not."""
    game = gk.games.markov(jax.random.key(0), num_actions, num_states=states, horizon=horizon)
    log_policy = random_profile(jax.random.key(1), game, mask)
    reference = random_profile(jax.random.key(2), game, mask)
    taus = np.linspace(0.2, 0.5, len(num_actions))
    regularizer = gk.Regularizer(reference, taus)
    stay = induction(game, log_policy, reference, taus)
    plain = induction(game, log_policy, reference, 0 * taus)
    soft = [induction(game, log_policy, reference, taus, i)[i] for i in range(len(num_actions))]
    greedy = [induction(game, log_policy, reference, 0 * taus, i)[i] for i in range(len(num_actions))]
    np.testing.assert_allclose(gk.regularized_gap(game, regularizer, log_policy), soft - stay, atol=1e-13)
    np.testing.assert_allclose(gk.nash_gap(game, log_policy, regularizer=regularizer), greedy - plain, atol=1e-13)
    value = gk.evaluate.policy_value(game, log_policy, regularizer=regularizer)
    np.testing.assert_allclose(value, stay, atol=1e-13)
    np.testing.assert_allclose(gk.evaluate.policy_value(game, log_policy), plain, atol=1e-13)


@pytest.mark.parametrize("horizon, states, num_actions", CASES)
def test_best_responses(horizon, states, num_actions):
    """Who plays them has no gap left, the others' policies being what they are."""
    game = gk.games.markov(jax.random.key(0), num_actions, num_states=states, horizon=horizon)
    log_policy = random_profile(jax.random.key(1), game)
    regularizer = gk.Regularizer(random_profile(jax.random.key(2), game), 0.3)
    responses = gk.best_response(game, regularizer, log_policy)
    for player in range(len(num_actions)):
        mixed = tuple(responses[i] if i == player else log_policy[i] for i in range(len(num_actions)))
        assert gk.regularized_gap(game, regularizer, mixed)[player] <= 1e-25
        assert gk.regularized_gap(game, regularizer, log_policy)[player] > 1e-3


def test_contexts_are_averaged():
    game = gk.games.contextual(jax.random.key(0), (3, 4), num_contexts=5)
    log_policy = random_profile(jax.random.key(1), game)
    regularizer = gk.Regularizer(random_profile(jax.random.key(2), game), 0.3)
    parts, plain, values = [], [], []
    for context in range(5):
        one = gk.NormalFormGame(game.payoffs[context])
        profile = [entry[context] for entry in log_policy]
        anchor = gk.Regularizer([entry[context] for entry in regularizer.log_reference], 0.3)
        parts.append(gk.regularized_gap(one, anchor, profile))
        plain.append(gk.nash_gap(one, profile))
        values.append(gk.action_values(one, [jnp.exp(entry) for entry in profile])[1])
    np.testing.assert_allclose(
        gk.regularized_gap(game, regularizer, log_policy), game.context_probs @ jnp.stack(parts), atol=1e-14
    )
    np.testing.assert_allclose(gk.nash_gap(game, log_policy), game.context_probs @ jnp.stack(plain), atol=1e-14)
    found = gk.action_values(game, [jnp.exp(entry) for entry in log_policy])[1]
    np.testing.assert_allclose(found, jnp.stack(values), atol=1e-14)


def test_a_stage_is_a_one_shot_game():
    """A Markov game of one step and one state, and a contextual game of one context."""
    one = gk.games.uniform(jax.random.key(0), (3, 4))
    markov = gk.MarkovGame(one.payoffs[None, None], jnp.ones((1, 1, 3, 4, 1)), jnp.ones(1))
    contextual = gk.ContextualGame(one.payoffs[None], jnp.ones(1))
    profile = random_profile(jax.random.key(1), markov)
    flat = [entry[0, 0] for entry in profile]
    anchor = gk.Regularizer.uniform(one, 0.2)
    expected = gk.regularized_gap(one, anchor, flat)
    np.testing.assert_allclose(
        gk.regularized_gap(markov, gk.Regularizer.uniform(markov, 0.2), profile), expected, atol=1e-15
    )
    contexts = [entry[0] for entry in profile]
    np.testing.assert_allclose(
        gk.regularized_gap(contextual, gk.Regularizer.uniform(contextual, 0.2), contexts), expected, atol=1e-15
    )


def test_occupancies_are_frequencies():
    """Of all paths, written out."""
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=3)
    joint = outer(tuple(jnp.exp(entry) for entry in random_profile(jax.random.key(1), game)))
    expected = np.zeros((3, 2))
    cells = list(np.ndindex(2, 2))
    for path in itertools.product(range(2), cells, range(2), cells, range(2)):
        first, a, second, b, third = path
        chance = game.initial_probs[first] * joint[(0, first, *a)] * game.transitions[(0, first, *a, second)]
        chance *= joint[(1, second, *b)] * game.transitions[(1, second, *b, third)]
        for step, state in enumerate((first, second, third)):
            expected[step, state] += chance
    np.testing.assert_allclose(stages.occupancies(game, joint), expected, atol=1e-14)


def test_rows_of_zeros_end_the_episode():
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=2)
    ended = gk.MarkovGame(game.rewards, game.transitions.at[0].set(0), game.initial_probs)
    gk.validate(ended)
    profile = random_profile(jax.random.key(1), game)
    first = gk.ContextualGame(game.rewards[0], game.initial_probs)
    np.testing.assert_allclose(
        gk.nash_gap(ended, profile), gk.nash_gap(first, [entry[0] for entry in profile]), atol=1e-14
    )
    with pytest.raises(ValueError, match=r"transitions\[0, 1, 1, 0\]: got a sum of 0.5"):
        gk.validate(gk.MarkovGame(game.rewards, game.transitions.at[0, 1, 1, 0].mul(0.5), game.initial_probs))


def test_bad_profiles_name_the_stage():
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=2)
    anchor = gk.Regularizer.uniform(game, 0.2)
    profile = list(random_profile(jax.random.key(1), game))
    with pytest.raises(ValueError, match=r"log_policy: got shapes .*takes one \[\*stage, actions\] array"):
        gk.nash_gap(game, [entry[0] for entry in profile])
    profile[1] = profile[1].at[1, 2, 0].add(-1.0)
    with pytest.raises(ValueError, match=r"log_policy\[1, 1, 2\]: got a sum of 0"):
        gk.regularized_gap(game, anchor, profile)
    with pytest.raises(ValueError, match="log_reference"):
        gk.regularized_gap(
            game, gk.Regularizer.uniform(gk.games.chicken(), 0.2), random_profile(jax.random.key(1), game)
        )
