"""SOS-MD: the last round of anchored mirror descent, alone and at every stage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import random_profile

import gamekl as gk


def divergence(ours, theirs):
    """KL(theirs || ours), summed over players."""
    return sum(float(jnp.sum(jnp.exp(b) * (b - a))) for a, b in zip(ours, theirs, strict=True))


def test_the_rate_on_zero_sum_games():
    """Theory J10: KL to the equilibrium falls by 1 / (1 + eta tau) a round, with references of all kinds."""
    for seed in range(5):
        game = gk.games.zero_sum(jax.random.key(seed), (4, 3))
        anchor = gk.Regularizer(random_profile(jax.random.key(50 + seed), game), 0.2)
        exact = gk.solve_nash(game, anchor).log_policy
        span = float(jnp.ptp(game.payoffs[0]))
        step = 0.2 / (span / 2) ** 2
        rounds = (1, 5, 20, 60)
        left = [divergence(gk.sos_md(game, anchor, num_rounds=t, throw=False).log_policy, exact) for t in rounds]
        start = divergence(anchor.log_reference, exact)
        for t, distance in zip(rounds, left, strict=True):
            assert distance <= start * (1 + step * 0.2) ** -t * (1 + 1e-6) + 1e-12


def test_one_round_by_hand():
    game = gk.NormalFormGame([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 3.0]]])
    anchor = gk.Regularizer.uniform(game, 0.5)
    found = gk.sos_md(game, anchor, num_rounds=1, step_size=0.8, throw=False)
    logits = 0.8 * np.array([1.0, 0.5]) / (1 + 0.8 * 0.5)
    np.testing.assert_allclose(found.policy[0], np.exp(logits) / np.exp(logits).sum(), rtol=1e-12)


@pytest.mark.slow
def test_the_limit_in_markov_games_is_the_equilibrium():
    """Zero-sum rewards: every stage's game is monotone up to what the KL terms behind it add."""
    game = gk.games.markov(jax.random.key(0), (3, 3), num_states=3, horizon=3, family=gk.games.zero_sum)
    anchor = gk.Regularizer(random_profile(jax.random.key(1), game), 0.4)
    exact, found = gk.solve_nash(game, anchor), gk.sos_md(game, anchor, num_rounds=2_000)
    for ours, theirs in zip(found.policy, exact.policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    np.testing.assert_allclose(found.values, exact.values, atol=1e-9)
    assert found.residual < 1e-9 and np.all(found.gap < 1e-9) and found.status == gk.Status.converged
    rough = gk.sos_md(game, anchor, num_rounds=3, throw=False)
    assert rough.residual > 1e-4 and rough.status == gk.Status.max_steps
    assert gk.sos_md(game, anchor, num_rounds=3, tol=1.0).status == gk.Status.converged
    np.testing.assert_allclose(rough.gap, gk.regularized_gap(game, anchor, rough.log_policy), atol=1e-12)


def test_batches_and_bad_input():
    games = gk.stack([gk.games.zero_sum(jax.random.key(k), (3, 3)) for k in range(3)])
    anchors = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.3))(games)
    found = jax.vmap(lambda game, anchor: gk.sos_md(game, anchor, num_rounds=50))(games, anchors)
    one = gk.games.zero_sum(jax.random.key(1), (3, 3))
    alone = gk.sos_md(one, gk.Regularizer.uniform(one, 0.3), num_rounds=50, throw=False)
    np.testing.assert_allclose(found.policy[0][1], alone.policy[0], atol=1e-12)
    game = gk.games.zero_sum(jax.random.key(0), (3, 3))
    anchor = gk.Regularizer.uniform(game, 0.3)
    with pytest.raises(ValueError, match="num_rounds: got 0, takes whole numbers from 1"):
        gk.sos_md(game, anchor, num_rounds=0)
    with pytest.raises(gk.SolveError, match=r"max_steps: .* \(residual .*, steps 3\); throw=False"):
        gk.sos_md(game, anchor, num_rounds=3)
    with pytest.raises(ValueError, match="step_size: got -1.0, takes a finite number > 0"):
        gk.sos_md(game, anchor, num_rounds=3, step_size=-1.0)
    with pytest.raises(ValueError, match="payoffs.*got nan"):
        gk.sos_md(gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan)), anchor, num_rounds=3)
