"""Games in stages: gamd against backward induction by definition, and each stage alone."""

import itertools

import jax
import numpy as np
import pytest
from helpers import random_profile, stage_payoffs
from scipy.special import logsumexp

import gamekl as gk


@pytest.mark.parametrize("weighting", ["uniform", "linear"])
def test_gamd_in_stages(weighting):
    """Gaps by definition, below the bound, in the game that was played and in another."""
    game = gk.games.markov(jax.random.key(0), (2, 3), num_states=3, horizon=3)
    truth = gk.games.markov(jax.random.key(1), (2, 3), num_states=3, horizon=3)
    anchor = gk.Regularizer(random_profile(jax.random.key(2), game), [0.1, 0.2])
    for steps in (1, 50):
        found = gk.gamd(game, anchor, num_rounds=steps, weighting=weighting, evaluate_on=truth)
        assert np.all(found.regularized_cce_gap_estimated <= found.bound)
        for where, soft, plain in [
            (game, found.regularized_cce_gap_estimated, found.cce_gap_estimated),
            (truth, found.regularized_cce_gap, found.cce_gap),
        ]:
            expected = coarse_gaps(where, anchor, np.asarray(found.joint_policy), np.asarray(found.cost))
            np.testing.assert_allclose(soft, expected[0], atol=1e-12)
            np.testing.assert_allclose(plain, expected[1], atol=1e-12)


def coarse_gaps(game, anchor, joint, cost):
    """By backward induction: stay with the joint policies, or leave them softly or greedily."""
    taus = np.asarray(anchor.temperatures)
    horizon, states = joint.shape[:2]
    players = joint.ndim - 2
    ahead = {name: np.zeros((states, players)) for name in ("pay", "free", "soft", "greedy")}
    for h in reversed(range(horizon)):
        here = {name: np.zeros((states, players)) for name in ahead}
        for s, i in itertools.product(range(states), range(players)):
            sigma = joint[h, s]
            own = {}
            for name, values in ahead.items():
                payoffs = stage_payoffs(game, h, s, values)[i]
                if name in ("pay", "free"):
                    own[name] = np.sum(sigma * payoffs)
                else:
                    own[name] = np.einsum("ab,b->a", np.moveaxis(payoffs, i, 0), sigma.sum(axis=i))
            here["pay"][s, i] = own["pay"] - cost[h, s, i]
            here["free"][s, i] = own["free"]
            reference = np.asarray(anchor.log_reference[i][h, s])
            here["soft"][s, i] = taus[i] * logsumexp(reference + own["soft"] / taus[i])
            here["greedy"][s, i] = own["greedy"].max()
        ahead = here
    start = np.asarray(game.initial_probs)
    return start @ (ahead["soft"] - ahead["pay"]), start @ (ahead["greedy"] - ahead["free"])


def test_gamd_in_contexts():
    game = gk.games.contextual(jax.random.key(0), (3, 3), num_contexts=4)
    anchor = gk.Regularizer.uniform(game, 0.2)
    together = gk.gamd(game, anchor, num_rounds=40)
    gaps = []
    for context in range(4):
        here = gk.Regularizer.uniform(gk.NormalFormGame(game.payoffs[context]), 0.2)
        alone = gk.gamd(gk.NormalFormGame(game.payoffs[context]), here, num_rounds=40)
        np.testing.assert_allclose(together.joint_policy[context], alone.joint_policy, atol=1e-13)
        gaps.append(alone.regularized_cce_gap)
    np.testing.assert_allclose(together.regularized_cce_gap, np.mean(gaps, axis=0), atol=1e-12)


def test_a_game_of_other_stages_to_measure_in_is_refused():
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=2)
    other = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=3)
    with pytest.raises(ValueError, match="evaluate_on: got MarkovGame"):
        gk.gamd(game, gk.Regularizer.uniform(game, 0.2), num_rounds=5, evaluate_on=other)
