"""solve_correlated and solve_welfare against closed forms, cvxpy, OpenSpiel, and what must not matter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import gains_by_definition, log
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk
from gamekl.solvers.correlated.deviation_rows import Recommended
from gamekl.solvers.correlated.gain_rows import centred, gain_matrix, gain_rows, rescaled

KINDS = [(concept, objective) for concept in ("cce", "ce") for objective in ("entropy", "gini")]


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_what_changes_nothing_brings_exactly_nothing(concept):
    """An optimizing compiler may join a product with the difference after it, which then rounds once, and is not 0."""
    numbers = np.random.default_rng(0).integers(0, 3, (2, 6, 5))

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 3})
    def matrix_and_units(game):
        scaled, _ = rescaled(game)
        units = gain_rows(centred(scaled.payoffs)[..., None], concept).sizes()[:, 0]
        return gain_matrix(scaled, concept), units

    matrix, units = matrix_and_units(gk.NormalFormGame(numbers / 7))
    exact = gains_by_definition(gk.NormalFormGame(numbers), concept)
    np.testing.assert_array_equal(matrix == 0, exact == 0)
    played = np.any(exact != 0, axis=1)
    assert np.all(units[played] >= 1) and np.all(units <= 2)  # payoffs are -1, 0 and 1 there


@partial(jax.jit, static_argnames=("shape", "size"))
def random_games(shape, size, seed=0):
    return jax.vmap(lambda key: gk.games.uniform(key, shape))(jax.random.split(jax.random.key(seed), size))


@partial(jax.jit, static_argnames=("concept", "objective"))
def solve_all(games, concept, objective, tol):
    return jax.vmap(lambda game: gk.solve_correlated(game, concept=concept, objective=objective, tol=tol))(games)


def rows(batch, index):
    return jax.tree.map(lambda leaf: leaf[index], batch)


def test_chicken():
    """Theory J12: the maximum-Gini correlated equilibrium is [[5, 10], [10, 9]] / 34."""
    solution = gk.solve_correlated(gk.games.chicken(), concept="ce", objective="gini", tol=1e-12)
    np.testing.assert_allclose(solution.joint_policy, np.array([[5, 10], [10, 9]]) / 34, atol=1e-10)
    np.testing.assert_allclose(solution.marginals[0], np.array([15, 19]) / 34, atol=1e-10)


@pytest.mark.parametrize("concept, objective", KINDS)
@pytest.mark.parametrize("shape", [(3, 3), pytest.param((2, 4), marks=pytest.mark.slow), (2, 3, 2)], ids=str)
def test_random_games_are_solved_and_certified(shape, concept, objective):
    games = random_games(shape, 100)
    solution = solve_all(games, concept, objective, 1e-8)
    assert np.all(solution.status == gk.Status.converged)
    assert np.all(solution.duality_gap <= 1e-8)
    assert np.all(solution.duality_gap >= -1e-12)
    assert np.all(solution.violation <= 1e-10)
    for index in (0, 50, 99):
        x = np.asarray(solution.joint_policy[index]).ravel()
        assert x.min() >= 0
        np.testing.assert_allclose(x.sum(), 1, atol=1e-12)
        gains = gains_by_definition(rows(games, index), concept) @ x
        assert gains.max() <= 1e-10
        value = np.sum(x[x > 0] * np.log(x[x > 0] * x.size)) if objective == "entropy" else np.sum(x**2) / 2
        np.testing.assert_allclose(solution.objective[index], value, atol=1e-10)


@pytest.mark.parametrize("concept, objective", KINDS)
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 2)], ids=str)
def test_cvxpy_finds_the_same(shape, concept, objective):
    cvxpy = pytest.importorskip("cvxpy")
    games = random_games(shape, 100, seed=1)  # as many as elsewhere, so that there is a program
    solutions = solve_all(games, concept, objective, 1e-11)
    for index in range(25):
        game = rows(games, index)
        gains = gains_by_definition(game, concept)
        gains = gains[np.any(gains != 0, axis=1)]
        x = cvxpy.Variable(gains.shape[1], nonneg=True)
        goal = cvxpy.sum_squares(x) if objective == "gini" else -cvxpy.sum(cvxpy.entr(x))
        problem = cvxpy.Problem(cvxpy.Minimize(goal), [gains @ x <= 0, cvxpy.sum(x) == 1])
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12, max_iter=500)
        theirs = x.value / x.value.sum()
        if np.max(gains @ theirs) <= 1e-10:
            np.testing.assert_allclose(solutions.joint_policy[index].ravel(), theirs, atol=1e-6)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_openspiel_measures_the_same_gaps(concept):
    """OpenSpiel 2.0: deviation incentives of a correlation device of pure profiles."""
    pyspiel = pytest.importorskip("pyspiel")
    for index in range(10):
        game = gk.games.uniform(jax.random.key(index), (3, 4))
        joint = np.random.default_rng(index).dirichlet(np.ones(12)).reshape(3, 4)
        theirs = pyspiel.convert_to_turn_based(pyspiel.create_matrix_game(*np.asarray(game.payoffs).tolist()))
        state = theirs.new_initial_state()
        states = [state.information_state_string(0)]
        state.apply_action(0)
        states.append(state.information_state_string(1))
        device = []
        for cell in np.ndindex(3, 4):
            pure = [[(a, float(a == action)) for a in range(size)] for action, size in zip(cell, (3, 4), strict=True)]
            device.append((float(joint[cell]), pyspiel.TabularPolicy(dict(zip(states, pure, strict=True)))))
        if concept == "cce":
            found, ours = pyspiel.cce_dist(theirs, device), gk.evaluate.cce_gap(game, joint)
            np.testing.assert_allclose(np.maximum(ours, 0), found.deviation_incentives, atol=1e-12)
        else:
            found, ours = pyspiel.ce_dist(theirs, device), gk.evaluate.ce_gap(game, joint)
            np.testing.assert_allclose(jnp.sum(ours), found.dist_value, atol=1e-12)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_the_greatest_welfare(concept):
    """Certified by its multipliers, and above that of all other equilibria."""
    for index in range(20):
        game = gk.games.uniform(jax.random.key(index), (3, 4))
        best = gk.solve_welfare(game, concept=concept)
        assert best.status == gk.Status.converged
        assert -1e-12 <= best.duality_gap <= 1e-8
        assert gains_by_definition(game, concept).dot(np.asarray(best.joint_policy).ravel()).max() <= 1e-8
        other = gk.solve_correlated(game, concept=concept)
        assert -best.objective >= np.sum(np.asarray(game.payoffs).sum(axis=0) * np.asarray(other.joint_policy)) - 1e-8


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_highs_and_openspiel_find_the_same_welfare(concept):
    """On 100 games of each shape: a linear program written out here, and OpenSpiel 2.0's (by Clarabel)."""
    from scipy.optimize import linprog

    jpsro = pytest.importorskip("open_spiel.python.algorithms.jpsro")
    precise = {"solver": "CLARABEL", "tol_gap_abs": 1e-11, "tol_gap_rel": 1e-11, "tol_feas": 1e-11}
    constraints = jpsro._ace_constraints if concept == "ce" else jpsro._cce_constraints
    for shape in [(3, 4), (2, 3, 2)]:
        for game in map(partial(rows, random_games(shape, 100, seed=2)), range(100)):
            payoffs = np.asarray(game.payoffs)
            ours = gk.solve_welfare(game, concept=concept)
            welfare, gains = payoffs.sum(axis=0).ravel(), gains_by_definition(game, concept)
            found = linprog(-welfare, gains, np.zeros(len(gains)), np.ones((1, welfare.size)), [1.0], method="highs")
            np.testing.assert_allclose(ours.objective, found.fun, atol=1e-7)
            matrix = constraints(payoffs, [0.0] * len(shape), remove_null=True, zero_tolerance=1e-8)[0]
            theirs, _ = jpsro._linear(payoffs, matrix, np.zeros(matrix.shape[0]), solver_kwargs=precise)
            np.testing.assert_allclose(ours.objective, -welfare @ theirs.ravel(), atol=1e-7)


@pytest.mark.parametrize("objective", ["entropy", "gini"])
def test_both_linear_systems_lead_to_the_same(objective, monkeypatch):
    """Of the size of the rows, and of the cells."""
    game = gk.games.uniform(jax.random.key(5), (4, 3, 2))
    by_rows = gk.solve_correlated(game, concept="ce", objective=objective, tol=1e-11)
    monkeypatch.setattr("gamekl.solvers.correlated.attempts.gain_rows", lambda payoffs, concept: Recommended(payoffs))
    jax.clear_caches()
    by_cells = gk.solve_correlated(game, concept="ce", objective=objective, tol=1e-11)
    assert by_cells.status == by_rows.status == gk.Status.converged
    np.testing.assert_allclose(by_cells.joint_policy, by_rows.joint_policy, atol=1e-7)
    jax.clear_caches()


@pytest.mark.slow
def test_ten_thousand_joint_actions():
    """One game of each concept, certified."""
    for concept, shape in [("cce", (100, 100)), ("ce", (10, 10, 10, 10)), ("ce", (100, 100))]:
        game = gk.games.uniform(jax.random.key(0), shape)
        solution = gk.solve_correlated(game, concept=concept)
        assert solution.status == gk.Status.converged
        assert solution.duality_gap <= 1e-8 and solution.violation <= 1e-8


def test_a_product_of_nash_policies_is_an_equilibrium():
    game = gk.games.rock_paper_scissors()
    policies = [[1 / 3] * 3] * 2
    np.testing.assert_allclose(gk.evaluate.cce_gap(game, policies), 0, atol=1e-15)
    np.testing.assert_allclose(gk.evaluate.ce_gap(game, policies), 0, atol=1e-15)


@pytest.mark.parametrize("concept", ["cce", "ce"])
def test_gaps_are_those_of_the_definition(concept):
    game = gk.games.uniform(jax.random.key(0), (3, 2, 4))
    joint = np.random.default_rng(1).dirichlet(np.ones(24)).reshape(3, 2, 4)
    measure = gk.evaluate.ce_gap if concept == "ce" else gk.evaluate.cce_gap
    gains, first = gains_by_definition(game, concept) @ np.asarray(joint).ravel(), 0
    for player, size in enumerate(game.num_actions):
        count = size * size if concept == "ce" else size
        expected = gains[first : first + count].reshape(-1, size).max(axis=1).sum()
        np.testing.assert_allclose(measure(game, joint)[player], expected, atol=1e-14)
        first += count


def test_without_temptation_the_prior_is_played():
    game = gk.NormalFormGame(np.ones((2, 3, 2)))
    reference = log([0.2, 0.3, 0.5], [0.9, 0.1])
    solution = gk.solve_correlated(game, log_reference=reference)
    np.testing.assert_allclose(solution.joint_policy, np.outer([0.2, 0.3, 0.5], [0.9, 0.1]), atol=1e-7)
    np.testing.assert_allclose(solution.objective, 0, atol=1e-8)
    large = gk.games.uniform(jax.random.key(0), (3, 2))
    free = gk.solve_correlated(large, concept="ce", epsilon=10.0, objective="gini")
    np.testing.assert_allclose(free.joint_policy, 1 / 6, atol=1e-6)


@pytest.mark.parametrize("concept, objective", KINDS)
def test_masked_actions_are_as_if_they_were_not_there(concept, objective):
    game = gk.games.uniform(jax.random.key(3), (3, 3))
    masked = log([0.4, 0.0, 0.6], [0.3, 0.7, 0.0])
    small = gk.NormalFormGame(game.payoffs[:, ::2, :2])
    reference = log([0.4, 0.6], [0.3, 0.7])
    one = gk.solve_correlated(game, concept=concept, objective=objective, log_reference=masked)
    two = gk.solve_correlated(small, concept=concept, objective=objective, log_reference=reference)
    np.testing.assert_allclose(one.joint_policy[::2, :2], two.joint_policy, atol=1e-6)
    assert np.all(one.joint_policy[1] == 0) and np.all(one.joint_policy[:, 2] == 0)


def test_welfare_has_its_price():
    """From most entropy to most welfare."""
    game = gk.games.chicken()
    values = []
    for weight in (0.0, 0.1, 1.0, 100.0):
        solution = gk.solve_correlated(game, concept="ce", welfare_weight=weight)
        assert solution.status == gk.Status.converged
        values.append(float(jnp.sum(game.payoffs * solution.joint_policy)))
    assert values == sorted(values)
    np.testing.assert_allclose(values[-1], -gk.solve_welfare(game, concept="ce").objective, rtol=1e-2)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 1000),
    st.sampled_from(KINDS),
    st.permutations(range(3)),
    st.booleans(),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_names_and_units_do_not_matter(seed, kind, order, swap, scale, shift):
    concept, objective = kind
    game = gk.games.uniform(jax.random.key(seed), (3, 3))
    plain = gk.solve_correlated(game, concept=concept, objective=objective, tol=1e-10).joint_policy
    payoffs = game.payoffs[:, np.array(order)] * scale + shift
    expected = plain[np.array(order)]
    if swap:
        payoffs, expected = jnp.swapaxes(payoffs[::-1], 1, 2), expected.T
    found = gk.solve_correlated(gk.NormalFormGame(payoffs), concept=concept, objective=objective, tol=1e-10)
    np.testing.assert_allclose(found.joint_policy, expected, atol=2e-4)


def test_samples_have_the_equilibriums_law():
    solution = gk.solve_correlated(gk.games.chicken(), concept="ce")
    drawn = np.asarray(solution.sample(jax.random.key(0), 100_000))
    counted = np.zeros((2, 2))
    np.add.at(counted, tuple(drawn.T), 1e-5)
    np.testing.assert_allclose(counted, solution.joint_policy, atol=0.006)


def test_units_do_not_matter_for_welfare():
    """HiGHS takes coefficients below 1e-9 for 0."""
    game = gk.games.uniform(jax.random.key(1), (3, 3))
    best = gk.solve_welfare(game, concept="ce")
    for scale, shift in [(1e-12, 0), (1e12, 0), (1.0, 1e6)]:
        other = gk.solve_welfare(gk.NormalFormGame(game.payoffs * scale + shift), concept="ce")
        assert other.status == gk.Status.converged
        np.testing.assert_allclose((-other.objective - 2 * shift) / scale, -best.objective, rtol=1e-6)
        assert np.all(other.ce_gap <= 1e-6 * scale)


def test_gaps_stay_on_the_supports():
    """Whoever may not defect is not tempted."""
    game = gk.games.prisoners_dilemma()
    anchor = gk.Regularizer(log([1.0, 0.0], [0.5, 0.5]), 1.0)
    solution = gk.solve_correlated(game, log_reference=anchor.log_reference)
    np.testing.assert_allclose(solution.cce_gap, 0, atol=1e-7)
    free = gk.evaluate.cce_gap(game, solution.joint_policy)
    assert free[0] > 0.5
    np.testing.assert_allclose(gk.evaluate.cce_gap(game, solution.joint_policy, regularizer=anchor), 0, atol=1e-7)
    assert np.all(gk.evaluate.ce_gap(game, solution.joint_policy, regularizer=anchor) <= 1e-7)


def test_batches():
    games = random_games((3, 2), 4)
    found = jax.jit(jax.vmap(gk.solve_correlated))(games)
    for player, marginal in enumerate(found.marginals):
        np.testing.assert_allclose(marginal, found.joint_policy.sum(axis=2 - player), atol=1e-15)
    drawn = jax.vmap(lambda one, key: one.sample(key, 5))(found, jax.random.split(jax.random.key(0), 4))
    assert drawn.shape == (4, 5, 2)
    with pytest.raises(ValueError, match=r"sample: got a batch of solutions \(4,\), takes one"):
        found.sample(jax.random.key(0), 5)


def test_joint_policies_in_float32_are_taken():
    """The sum of a float32 table is 1 to float32's rounding; and nested lists may be tables."""
    game = gk.games.uniform(jax.random.key(0), (4, 4), dtype=jnp.float32)
    played = gk.gamd(game, gk.Regularizer.uniform(game, 0.1), num_rounds=20_000)
    np.testing.assert_allclose(gk.evaluate.cce_gap(game, played.joint_policy), played.cce_gap, atol=1e-6)
    chicken = gk.games.chicken()
    table = [[0.1, 0.2], [0.3, 0.4]]
    np.testing.assert_allclose(gk.evaluate.cce_gap(chicken, table), gk.evaluate.cce_gap(chicken, np.array(table)))
    with pytest.raises(ValueError, match="joint_policy: got a sum of 0.9"):
        gk.evaluate.cce_gap(chicken, np.array([[0.1, 0.2], [0.3, 0.3]]))


def test_float32():
    game = gk.games.uniform(jax.random.key(0), (4, 4), dtype=jnp.float32)
    solution = gk.solve_correlated(game, concept="ce")
    assert solution.joint_policy.dtype == jnp.float32
    assert solution.status == gk.Status.converged
    exact = gk.solve_correlated(gk.NormalFormGame(game.payoffs.astype(jnp.float64)), concept="ce")
    np.testing.assert_allclose(solution.joint_policy, exact.joint_policy, atol=0.02)


def test_bad_input_names_the_field():
    game = gk.games.uniform(jax.random.key(0), (3, 3))
    for options, message in [
        ({"concept": "nash"}, "concept: got 'nash', takes one of 'cce', 'ce'"),
        ({"objective": "norm"}, "objective: got 'norm', takes one of 'entropy', 'gini'"),
        ({"epsilon": -0.1}, "epsilon: got -0.1, takes finite numbers >= 0"),
        ({"epsilon": np.inf}, "epsilon: got inf, takes finite numbers >= 0"),
        ({"welfare_weight": np.nan}, "welfare_weight: got nan, takes a finite number"),
        ({"tol": -1.0}, "tol: got -1.0, takes a number >= 0"),
        ({"max_steps": 0}, "max_steps: got 0, takes a whole number from 1"),
        ({"epsilon": [0.1, 0.2, 0.3]}, r"epsilon: got shape \(3,\), takes a number or \[player\] = \(2,\)"),
        ({"log_reference": log([0.5, 0.5])}, "log_reference: got shapes"),
    ]:
        with pytest.raises(ValueError, match=message):
            gk.solve_correlated(game, **options)
    with pytest.raises(ValueError, match=r"game: got 90,000 joint actions .*; gamekl.gamd finds"):
        gk.solve_correlated(gk.NormalFormGame(np.zeros((2, 300, 300))), concept="ce")
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        gk.solve_welfare(gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan)))
    broken = gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(jnp.nan))
    assert gk.solve_correlated(broken, throw=False).status == gk.Status.nonfinite_input


@pytest.mark.parametrize("objective", ["entropy", "gini"])
@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_a_players_own_units_change_nothing(concept, objective):
    """In powers of two, to the last bit."""
    for seed in range(5):
        game = gk.games.uniform(jax.random.key(seed), (3, 3))
        expected = gk.solve_correlated(game, concept=concept, objective=objective)
        for power in (-40, -10, 20):
            paid = gk.NormalFormGame(game.payoffs.at[1].multiply(2.0**power))
            found = gk.solve_correlated(paid, concept=concept, objective=objective)
            np.testing.assert_array_equal(found.joint_policy, expected.joint_policy)
            np.testing.assert_allclose(found.ce_gap, expected.ce_gap * np.array([1, 2.0**power]), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("unit", [1e-4, 1e-8, 1e8])
def test_a_prisoner_in_other_units_still_defects(unit, dtype):
    """One tolerance for the range of all payoffs had him cooperate, "converged"."""
    row, column = np.array([[3.0, 0.0], [5.0, 1.0]]), np.array([[3.0, 5.0], [0.0, 1.0]])
    game = gk.NormalFormGame(np.stack([row, unit * column]).astype(dtype))
    for concept in ("ce", "cce"):
        found = gk.solve_correlated(game, concept=concept)
        assert found.status == gk.Status.converged
        np.testing.assert_allclose(found.joint_policy[1, 1], 1, atol=2e-3 if dtype == "float32" else 1e-6)
    best = gk.solve_welfare(game, concept="ce")
    assert best.status == gk.Status.converged
    np.testing.assert_allclose(best.joint_policy[1, 1], 1, atol=1e-5)


@pytest.mark.parametrize("objective", ["entropy", "gini"])
@pytest.mark.parametrize("concept", ["ce", "cce"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 2e-3)])
def test_a_forbidden_cell_leaves_the_other_gains_their_tolerance(concept, objective, dtype, tolerance):
    """What is "converged" has no player gain as much as a payoff of the ordinary kind, whatever a crash costs."""
    rng = np.random.default_rng(0)
    for big in (1e3, 1e6, 1e9 if dtype == "float64" else 1e5):
        payoffs = rng.random((20, 2, 3, 3))
        payoffs[np.arange(20)[:, None], [[0, 1]], rng.integers(3, size=(20, 1)), rng.integers(3, size=(20, 1))] = -big
        games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs, dtype))
        found = jax.vmap(lambda game: gk.solve_correlated(game, concept=concept, objective=objective))(games)
        good = np.asarray(found.status) == gk.Status.converged
        assert dtype == "float32" or np.all(good)
        gains = np.asarray(found.ce_gap if concept == "ce" else found.cce_gap).max(axis=1)
        assert np.all(gains[good] < tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("objective", ["entropy", "gini"])
def test_games_of_the_ordinary_kind_have_their_equilibria(objective, dtype):
    payoffs = np.random.default_rng(0).random((60, 2, 4, 4)).astype(dtype)
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    found = jax.vmap(lambda game: gk.solve_correlated(game, concept="ce", objective=objective, throw=False))(games)
    assert np.sum(np.asarray(found.status) == gk.Status.converged) >= (60 if dtype == "float64" else 58)


def test_only_defection_is_left_beside_an_action_that_must_not_meet_itself():
    table = np.array([[3.0, 0.0, 0.0], [5.0, 1.0, 1.0], [0.0, 0.0, -1e8]])
    for dtype in ("float64", "float32"):
        game = gk.NormalFormGame(np.stack([table, table.T]).astype(dtype))
        found = gk.solve_correlated(game, concept="ce")
        assert found.status == gk.Status.converged
        np.testing.assert_allclose(found.joint_policy[1, 1], 1, atol=1e-3)
        coarse = gk.solve_correlated(game, concept="cce", throw=False)
        # The last before rounding left no step, where that is so.
        np.testing.assert_allclose(coarse.joint_policy.sum(), 1, atol=1e-6)
        assert coarse.status == gk.Status.converged or dtype == "float32"


def test_welfare_is_found_on_the_host():
    with pytest.raises(TypeError, match="game, epsilon: got traced arrays, takes concrete ones"):
        jax.vmap(lambda payoffs: gk.solve_welfare(gk.NormalFormGame(payoffs)).status)(jnp.zeros((3, 2, 2, 2)))
