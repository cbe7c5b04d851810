"""Games in which one payoff is of another size than all others: what is found there is what rational numbers give."""

import jax
import numpy as np
import pytest
from exact_answers import nash, strong_commitment, welfare

import gamekl as gk
from gamekl import stackelberg

POWERS = [-12, -6, 6, 9]


def games(power, number, zero_sum=False):
    """Of payoffs between -1 and 1, of which one is multiplied by a power of ten."""
    rng = np.random.default_rng(power + 20)
    for _ in range(number):
        payoffs = rng.uniform(-1, 1, (2, 3, 3))
        cell = tuple(rng.integers(0, payoffs.shape))
        payoffs[cell] *= 10.0**power
        if zero_sum:
            payoffs[1 - cell[0]] = -payoffs[cell[0]]
        yield payoffs


@pytest.mark.parametrize("power", [*POWERS, 12])
def test_regularized_equilibria(power):
    """Of one player's payoffs alone; best responses in extended precision."""
    tables = np.array(list(games(power, 60)))
    batch = jax.vmap(gk.NormalFormGame)(tables)
    regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(batch)
    solution = gk.solve_nash_batch(batch, regularizers)
    solved = np.asarray(solution.status) == gk.Status.converged
    assert solved.sum() >= 57
    logs = [np.asarray(entry)[solved].astype(np.longdouble) for entry in solution.log_policy]
    policies = [np.exp(entry) / np.exp(entry).sum(axis=1, keepdims=True) for entry in logs]
    payoffs = tables[solved].astype(np.longdouble)
    values = [
        np.einsum("gij,gj->gi", payoffs[:, 0], policies[1]),
        np.einsum("gij,gi->gj", payoffs[:, 1], policies[0]),
    ]
    for value, policy in zip(values, policies, strict=True):
        weight = np.exp((value - value.max(axis=1, keepdims=True)) / 0.1)
        np.testing.assert_allclose(weight / weight.sum(axis=1, keepdims=True), policy, atol=1e-3)


@pytest.mark.parametrize("power", [*POWERS, 12])
@pytest.mark.parametrize("zero_sum", [False, True])
def test_exact_equilibria(power, zero_sum):
    for payoffs in games(power, 20, zero_sum):
        solution = gk.solve_nash_exact(gk.NormalFormGame(payoffs))
        assert int(solution.status) == gk.Status.converged
        policies = [np.asarray(policy) for policy in solution.policy]
        expected = nash(payoffs, [np.flatnonzero(policy).tolist() for policy in policies])
        assert expected is not None, payoffs.tolist()
        np.testing.assert_allclose(policies, np.array(expected, dtype=float), atol=1e-9)


@pytest.mark.parametrize("power", POWERS)
def test_strong_commitments(power):
    for payoffs in games(power, 20):
        plan = stackelberg.strong_stackelberg(gk.NormalFormGame(payoffs))
        policy, response = strong_commitment(payoffs)
        assert (plan.status, plan.response) == (gk.Status.converged, response)
        np.testing.assert_allclose(plan.policy, np.array(policy, dtype=float), atol=1e-9)


@pytest.mark.parametrize("concept", ["ce", "cce"])
@pytest.mark.parametrize("power", POWERS)
def test_welfare(power, concept):
    solved = 0
    for payoffs in games(power, 10):
        found = gk.solve_welfare(gk.NormalFormGame(payoffs), concept=concept)
        if int(found.status) == gk.Status.converged:
            solved += 1
            expected = np.array(welfare(payoffs, concept), dtype=float)
            np.testing.assert_allclose(np.ravel(found.joint_policy), expected, atol=1e-6)
    assert solved >= 9


def test_a_follower_paid_in_small_units():
    """HiGHS's tolerances are absolute: it would be told to take a dominated answer for as good as any."""
    payoffs = np.array([[[1.0, 5.0], [0.0, 4.0]], [[2.0, 1.0], [3.0, 0.0]]])
    payoffs[1] *= 1e-9
    plan = stackelberg.strong_stackelberg(gk.NormalFormGame(payoffs))
    assert (plan.response, plan.value, plan.status) == (0, 1.0, gk.Status.converged)
