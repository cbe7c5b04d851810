"""Cells, and temperatures, that are many orders of magnitude from the rest: what matters is solved all the same."""

import numpy as np
import pytest
from helpers import assert_policies

import gamekl as gk

mpmath = pytest.importorskip("mpmath")

COSTS = [1e3, 1e6, 1e9, 1e12]


def symmetric(payoffs):
    return gk.NormalFormGame(np.stack([payoffs, np.transpose(payoffs)]))


def chicken(cost, temperature):
    """Both dare with probability p: temperature log(p / (1 - p)) = (7 (1 - p) - cost p) - (6 (1 - p) + 2 p)."""
    mpmath.mp.dps = 50
    low, high = mpmath.mpf(0), mpmath.mpf(1)
    for _ in range(250):
        p = (low + high) / 2
        excess = (1 - p) - (mpmath.mpf(cost) + 2) * p - mpmath.mpf(temperature) * mpmath.log(p / (1 - p))
        low, high = (p, high) if excess > 0 else (low, p)
    return float(low)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("cost", COSTS)
def test_a_crash_that_costs_any_amount(cost, temperature):
    """The path of a symmetric game keeps to symmetric profiles, past the pitchfork to where one dares and one does not.

    The game of chicken has one such profile at each temperature.
    """
    game = symmetric([[-cost, 7], [2, 6]])
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    dare = chicken(cost, temperature)
    assert_policies(solution.policy, [[dare, 1 - dare]] * 2, atol=1e-12)
    np.testing.assert_allclose(float(solution.policy[0][0]), dare, rtol=1e-6)
    assert solution.path.bifurcations == 1


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("cost", COSTS)
def test_an_action_that_must_not_meet_itself(cost, temperature):
    """It is dominated, so the prisoners' dilemma beside it is played as if it were not there, up to its share."""
    payoffs = np.array([[3.0, 0, 0], [5, 1, 1], [0, 0, -cost]])
    solution = gk.solve_nash(symmetric(payoffs), gk.Regularizer.uniform(symmetric(payoffs), temperature))
    first = np.asarray(solution.policy[0])
    np.testing.assert_allclose(first, solution.policy[1], atol=1e-12)
    logits = np.log(first) - payoffs @ first / temperature
    np.testing.assert_allclose(logits, logits[1], atol=1e-6)
    assert float(solution.residual) < 1e-9


def test_an_action_that_nobody_may_play_costs_no_digits():
    """A payoff of 10^15 behind a mask is none."""
    rng = np.random.default_rng(0)
    payoffs = rng.random((2, 4, 3))
    small = gk.NormalFormGame(payoffs[:, :3])
    solution = gk.solve_nash(small, gk.Regularizer.uniform(small, 0.05))
    payoffs[:, 3] = 1e15
    masked = gk.Regularizer([np.append(np.log([1 / 3] * 3), -np.inf), np.log([1 / 3] * 3)], 0.05)
    again = gk.solve_nash(gk.NormalFormGame(payoffs), masked)
    assert_policies([again.policy[0][:3], again.policy[1]], solution.policy, atol=1e-12)
    np.testing.assert_allclose(again.gap, solution.gap, atol=1e-15)
