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


def test_what_is_hardly_ever_recommended_is_to_be_obeyed_too():
    """The second player earns so much at one cell that a chance of 1e-12 of it matters, and the first one must comply.

    With 50 digits the greatest entropy is 1.4119302. If the first player disobeys once in 1e12 it is 1.4701: the gain
    from that is 5e-13, which would pass for rounding.
    """
    own = [[-0.53, 0.132, 0.594], [-0.379, 0.398, -0.449], [0.019, -0.556, 0.991]]
    other = [[-0.112, -0.336, -0.992], [0.631, 0.759, 176428340000.0], [0.186, 0.219, -0.149]]
    found = gk.solve_correlated(gk.NormalFormGame([own, other]), concept="ce")
    assert found.status == gk.Status.converged
    np.testing.assert_allclose(float(found.objective), np.log(9) - 1.4119302, atol=1e-6)
    small = gk.solve_correlated(gk.NormalFormGame([own, np.minimum(other, 1.0)]), concept="ce")
    assert small.status == gk.Status.converged


def test_welfare_rests_on_nothing_that_players_would_not_do():
    """In rational numbers the greatest is .22699; for .958 the first player would have to disobey once in 1e13."""
    own = [[-0.460413096, 0.397665608, -0.229343624], [-0.244765456, 0.0751824705, -0.396571589]]
    other = [[0.614698769, 0.576089273, 0.0412179852], [-0.0946676653, 762287365000.0, 0.91315992]]
    own.append([0.0659298671, -0.092688489, -0.536351205])
    other.append([0.490150617, -0.511774201, 0.891910985])
    found = gk.solve_welfare(gk.NormalFormGame([own, other]), concept="ce")
    assert found.status != gk.Status.converged or abs(float(found.objective) + 0.22699) < 1e-4
    assert (
        gk.solve_welfare(gk.NormalFormGame([own, np.minimum(other, 1.0)]), concept="ce").status == gk.Status.converged
    )
