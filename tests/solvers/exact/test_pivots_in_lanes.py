"""Exact equilibria of batches and traced games, by pivots in lanes, beside linear programmes and rational numbers."""

import exact_answers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk
from gamekl.solvers.exact.certificate import judge, own_first, regret

MAPPED = jax.jit(jax.vmap(gk.solve_nash_exact))


def batch_of(payoffs):
    """Games of ``[game, 2, actions_1, actions_2]``."""
    return jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))


def zero_sum(row):
    return np.stack([row, -np.asarray(row)], axis=-3)


def gains(payoffs, policies):
    """What each player could gain, in numpy and by no code of the solver's, ``[game, player]``."""
    x, y = (np.asarray(policy, dtype=np.float64) for policy in policies)
    row, column = np.einsum("gab,gb->ga", payoffs[:, 0], y), np.einsum("gab,ga->gb", payoffs[:, 1], x)
    return np.stack(
        [row.max(axis=1) - np.sum(x * row, axis=1), column.max(axis=1) - np.sum(y * column, axis=1)], axis=1
    )


def value(row):
    """Of a zero-sum game, by HiGHS."""
    actions, others = row.shape
    found = scipy.optimize.linprog(
        np.append(np.zeros(actions), -1.0),
        A_ub=np.column_stack([-row.T, np.ones(others)]),
        b_ub=np.zeros(others),
        A_eq=[[*np.ones(actions), 0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * actions + [(None, None)],
    )
    return -found.fun


def solved(solutions):
    return np.all(np.asarray(solutions.status) == gk.Status.converged)


@pytest.mark.parametrize("solve", [gk.solve_nash_exact_batch, MAPPED], ids=["batch", "vmap"])
@pytest.mark.parametrize("shape", [(1, 4), (10, 10), (20, 3), (30, 26)])
def test_zero_sum_games_have_the_value_of_the_linear_programme(solve, shape):
    payoffs = zero_sum(np.random.default_rng(0).normal(size=(20, *shape)))
    solutions = solve(batch_of(payoffs))
    assert solved(solutions)
    x, y = solutions.policy
    np.testing.assert_allclose(
        np.einsum("ga,gab,gb->g", x, payoffs[:, 0], y), [value(row) for row in payoffs[:, 0]], atol=1e-8
    )
    assert gains(payoffs, (x, y)).max() < 1e-12
    np.testing.assert_allclose(solutions.gap, gains(payoffs, (x, y)), atol=1e-13)
    assert np.all((np.asarray(x) > 0).sum(axis=1) == (np.asarray(y) > 0).sum(axis=1))  # a vertex of a regular game


@pytest.mark.parametrize(
    ("row", "x", "y"),
    [
        ([[1, -1], [-1, 1]], [1 / 2, 1 / 2], [1 / 2, 1 / 2]),
        ([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], [1 / 3] * 3, [1 / 3] * 3),
        ([[0, -1, 3], [1, 0, -1], [-3, 1, 0]], [1 / 5, 3 / 5, 1 / 5], [1 / 5, 3 / 5, 1 / 5]),
        ([[3, 1], [2, 0]], [1, 0], [0, 1]),  # dominated
        ([[2, 0, 9], [0, 1, 9], [-1, -1, 9]], [1 / 3, 2 / 3, 0], [1 / 3, 2 / 3, 0]),
        ([[1, 0], [0, 1], [-1, 5]], [6 / 7, 0, 1 / 7], [5 / 7, 2 / 7]),
    ],
)
@pytest.mark.parametrize("solve", [gk.solve_nash_exact_batch, MAPPED], ids=["batch", "vmap"])
def test_closed_forms(solve, row, x, y):
    solutions = solve(batch_of(zero_sum(np.array([row], dtype=float))))
    assert solved(solutions)
    np.testing.assert_allclose(solutions.policy[0][0], x, atol=1e-15)
    np.testing.assert_allclose(solutions.policy[1][0], y, atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 3), (4, 6)])
def test_games_full_of_ties(shape):
    rng = np.random.default_rng(1)
    row = rng.integers(-1, 2, (300, *shape)).astype(float)
    row[0] = 0
    row[1:20] = np.repeat(row[1:20, :1], shape[0], axis=1)  # actions that are alike
    assert solved(gk.solve_nash_exact_batch(batch_of(zero_sum(row))))
    general = rng.integers(0, 3, (300, 2, *shape)).astype(float)
    general[0] = 1
    solutions = gk.solve_nash_exact_batch(batch_of(general))
    assert solved(solutions) and gains(general, solutions.policy).max() < 1e-12
    solutions = MAPPED(batch_of(general))
    assert solved(solutions) and gains(general, solutions.policy).max() < 1e-12


def test_a_batch_of_zero_sum_and_other_games():
    rng = np.random.default_rng(2)
    payoffs = rng.uniform(size=(40, 2, 5, 4))
    payoffs[::3, 1] = 2 - payoffs[::3, 0]
    together = gk.solve_nash_exact_batch(batch_of(payoffs))
    assert solved(together) and gains(payoffs, together.policy).max() < 1e-12
    mapped = MAPPED(batch_of(payoffs))
    alone = jax.jit(gk.solve_nash_exact)
    for index, game in enumerate(payoffs):
        one = alone(gk.NormalFormGame(game))
        batch = gk.solve_nash_exact_batch(batch_of(game[None]))
        for others in (mapped, together):
            for ours, theirs in zip(one.policy, others.policy, strict=True):
                np.testing.assert_allclose(ours, theirs[index], atol=1e-12)
        assert np.array_equal(batch.policy[0][0], together.policy[0][index])
        assert int(one.status) == gk.Status.converged


@pytest.mark.parametrize("shape", [(12, 12), (30, 30)])
def test_large_general_sum_games(shape):
    payoffs = np.random.default_rng(3).normal(size=(30, 2, *shape))
    solutions = gk.solve_nash_exact_batch(batch_of(payoffs), throw=True)
    assert gains(payoffs, solutions.policy).max() < 1e-11
    single = gk.solve_nash_exact(gk.NormalFormGame(payoffs[0]))
    if shape == (30, 30):
        np.testing.assert_array_equal(single.policy[0], solutions.policy[0][0])


def test_a_multiple_of_the_others_payoffs_is_as_good_as_zero_sum():
    """The simplex method's policies are certified with each player's own payoffs: few pivots, and no other path."""
    row = np.random.default_rng(4).normal(size=(20, 6, 6))
    ours = MAPPED(batch_of(np.stack([row, 3 - 2 * row], axis=1)))
    theirs = MAPPED(batch_of(zero_sum(row)))
    assert solved(ours)
    np.testing.assert_allclose(ours.policy[0], theirs.policy[0], atol=1e-12)
    np.testing.assert_array_equal(ours.num_steps, theirs.num_steps)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_game_stays_alone(bad):
    rng = np.random.default_rng(5)
    for payoffs in (zero_sum(rng.normal(size=(9, 4, 4))), rng.normal(size=(9, 2, 4, 4))):
        clean = gk.solve_nash_exact_batch(batch_of(payoffs))
        payoffs[4, 0, 1, 2] = bad
        for solutions in (gk.solve_nash_exact_batch(batch_of(payoffs)), MAPPED(batch_of(payoffs))):
            status = np.asarray(solutions.status)
            assert status[4] == gk.Status.nonfinite_input and np.all(np.delete(status, 4) == gk.Status.converged)
            np.testing.assert_allclose(
                np.delete(solutions.policy[0], 4, 0), np.delete(clean.policy[0], 4, 0), atol=1e-12
            )
    payoffs[:] = bad
    assert np.all(np.asarray(gk.solve_nash_exact_batch(batch_of(payoffs)).status) == gk.Status.nonfinite_input)


def test_float32_games():
    payoffs = zero_sum(np.random.default_rng(6).normal(size=(20, 10, 10)).astype(np.float32))
    for solve in (gk.solve_nash_exact_batch, MAPPED):
        solutions = solve(batch_of(payoffs))
        assert solutions.log_policy[0].dtype == solutions.gap.dtype == np.float32
        assert solved(solutions) and gains(payoffs.astype(float), solutions.policy).max() < 1e-6
    with jax.enable_x64(False):
        solutions = jax.jit(jax.vmap(gk.solve_nash_exact))(batch_of(payoffs))
        assert solved(solutions) and gains(payoffs.astype(float), solutions.policy).max() < 1e-5
        solutions = gk.solve_nash_exact_batch(batch_of(payoffs))
        assert solutions.gap.dtype == np.float32 and np.max(solutions.residual) < 1e-12  # the work is in float64


@pytest.mark.parametrize("power", [-12, -6, 6, 9, 12])
@pytest.mark.parametrize("zero", [False, True])
def test_one_payoff_of_another_size(power, zero):
    rng = np.random.default_rng(power + 30)
    payoffs = rng.uniform(-1, 1, (60, 2, 3, 3))
    payoffs[np.arange(60), 0, *rng.integers(0, 3, (2, 60))] *= 10.0**power
    if zero:
        payoffs[:, 1] = -payoffs[:, 0]
    solutions = gk.solve_nash_exact_batch(batch_of(payoffs))
    assert solved(solutions)
    for index, game in enumerate(payoffs):
        policies = [np.asarray(policy[index]) for policy in solutions.policy]
        # A zero-sum game has one equilibrium, of which a support may be found that plays 1e-12 too much.
        found = gk.solve_nash_exact(gk.NormalFormGame(game)).policy if zero else policies
        expected = exact_answers.nash(game, [np.flatnonzero(policy).tolist() for policy in found])
        assert expected is not None
        np.testing.assert_allclose(policies, np.array(expected, dtype=float), atol=1e-9)


def test_an_ill_conditioned_game():
    """Hilbert's matrix, with alternating signs."""
    size = 8
    row = 1 / (np.arange(size)[:, None] + np.arange(size) + 1.0)
    signs = np.where((np.arange(size)[:, None] + np.arange(size)) % 2, -1, 1)
    solutions = gk.solve_nash_exact_batch(batch_of(zero_sum((row * signs)[None])))
    assert solved(solutions)
    x, y = (np.asarray(policy[0]) for policy in solutions.policy)
    np.testing.assert_allclose(x @ (row * signs) @ y, value(row * signs), atol=1e-9)


def test_the_certificate_in_lanes_is_that_of_the_host():
    rng = np.random.default_rng(7)
    payoffs = rng.normal(size=(50, 2, 4, 5))
    x, y = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(5), 50)
    x[:10] = np.eye(4)[rng.integers(0, 4, 10)]
    row, column = own_first(payoffs)
    for table, own, other in ((row, x, y), (column, y, x)):
        gap, residual = judge(jnp.moveaxis(jnp.asarray(table), 0, -1), jnp.asarray(own.T), jnp.asarray(other.T), None)
        np.testing.assert_allclose(residual, regret(table, own, other), rtol=1e-12)
        values = np.einsum("gab,gb->ga", table, other)
        np.testing.assert_allclose(gap, values.max(axis=1) - np.sum(own * values, axis=1), atol=1e-13)


def test_what_a_batch_does_not_take():
    games = batch_of(np.zeros((2, 2, 3, 3)))
    with pytest.raises(TypeError, match="games: got traced arrays"):
        jax.jit(gk.solve_nash_exact_batch)(games)
    with pytest.raises(ValueError, match=r"games.payoffs: got shape \(2, 3, 3\), takes \[batch, 2"):
        gk.solve_nash_exact_batch(gk.NormalFormGame(np.zeros((2, 3, 3))))
    with pytest.raises(gk.SolveError, match=r"game 1 \(1 of 2"):
        gk.solve_nash_exact_batch(batch_of(np.stack([np.zeros((2, 3, 3)), np.full((2, 3, 3), np.nan)])), throw=True)
    empty = gk.solve_nash_exact_batch(batch_of(np.zeros((0, 2, 3, 3))))
    assert empty.policy[0].shape == (0, 3)


NUMBERS = st.integers(-4, 4).map(float)


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(NUMBERS, min_size=12, max_size=12),
    rows=st.permutations(range(3)),
    columns=st.permutations(range(4)),
    shift=st.floats(-100, 100),
    scale=st.floats(1e-3, 1e3),
)
def test_other_orders_and_units(row, rows, columns, shift, scale):
    """The value moves with the units, and not at all with the order of actions, though the vertex may."""
    row = np.array(row).reshape(3, 4)
    other = scale * row[np.ix_(rows, columns)] + shift
    solutions = MAPPED(batch_of(zero_sum(np.stack([row, other]))))
    assert solved(solutions)
    x, y = solutions.policy
    values = np.einsum("ga,gab,gb->g", x, np.stack([row, other]), y)
    np.testing.assert_allclose(values[1], scale * values[0] + shift, atol=1e-12 * (scale + abs(shift)) * 10)
