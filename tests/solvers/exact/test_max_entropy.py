"""max_entropy_nash: the equilibrium of most entropy, beside closed forms and cvxpy, alone and in batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk

MAPPED = jax.jit(jax.vmap(gk.max_entropy_nash))


def zero_sum(row):
    return np.stack([row, -np.asarray(row, dtype=float)])


def stacked(rows):
    return jax.vmap(gk.NormalFormGame)(jnp.asarray(np.array([zero_sum(row) for row in rows])))


def draw(rng, shape):
    """Of a zero-sum game: many ties, actions that are alike, or none of these."""
    kind = rng.integers(4)
    row = rng.normal(size=shape) if kind == 0 else rng.integers(-kind, kind + 1, shape).astype(float)
    if rng.integers(2):
        row[-1] = row[0]
    if rng.integers(2):
        row[:, -1] = row[:, 0]
    return row


def entropies(policies):
    return np.array([-sum(share * np.log(share) for share in np.asarray(policy) if share > 0) for policy in policies])


TWO_BLOCKS = np.array([[1.0, -1, 9, 9], [-1, 1, 9, 9], [-9, -9, 1, -1], [-9, -9, -1, 1]])


@pytest.mark.parametrize(
    ("row", "x", "y"),
    [
        (np.zeros((3, 4)), [1 / 3] * 3, [1 / 4] * 4),
        ([[1, -1], [-1, 1], [-1, 1]], [1 / 2, 1 / 4, 1 / 4], [1 / 2, 1 / 2]),  # an action that is there twice
        ([[0, 1], [0, 2], [-1, 5]], [1 / 2, 1 / 2, 0], [1, 0]),  # ties, and y may not leave
        ([[1, -1, 0], [-1, 1, 0]], [1 / 2, 1 / 2], [1 / 3] * 3),
        ([[1, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, -1], [0, 0, -1, 1]], [1 / 4] * 4, [1 / 4] * 4),
        (TWO_BLOCKS, [1 / 2, 1 / 2, 0, 0], [1 / 2, 1 / 2, 0, 0]),
        ([[2]], [1], [1]),
    ],
)
def test_closed_forms_of_zero_sum_games(row, x, y):
    row = np.array(row, dtype=float)
    found = gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)))
    assert int(found.status) == gk.Status.converged
    batch = gk.max_entropy_nash_batch(stacked([row]), throw=True)
    for player, expected in enumerate((x, y)):
        np.testing.assert_allclose(found.policy[player], expected, atol=1e-12)
        np.testing.assert_allclose(batch.policy[player][0], expected, atol=1e-10)
    np.testing.assert_allclose(found.entropy, entropies((x, y)), atol=1e-12)
    np.testing.assert_allclose(found.divergence, np.log(row.shape) - found.entropy, atol=1e-12)
    assert np.all(np.asarray(found.duality_gap) <= 1e-12)


def test_a_reference_is_scaled_to_what_is_optimal():
    """All of x with x_1 = 1/2 are optimal, so that the rest is shared as the reference has it."""
    row = [[1, -1], [-1, 1], [-1, 1]]
    log_reference = [np.log([0.1, 0.6, 0.3]), np.log([0.5, 0.5])]
    found = gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)), log_reference)
    np.testing.assert_allclose(found.policy[0], [1 / 2, 1 / 3, 1 / 6], atol=1e-12)
    expected = np.sum(np.array([1 / 2, 1 / 3, 1 / 6]) * np.log(np.array([1 / 2, 1 / 3, 1 / 6]) / [0.1, 0.6, 0.3]))
    np.testing.assert_allclose(found.divergence, [expected, 0], atol=1e-12)
    batch = gk.max_entropy_nash_batch(stacked([row]), [entry[None] for entry in log_reference])
    np.testing.assert_allclose(batch.policy[0][0], found.policy[0], atol=1e-10)
    np.testing.assert_allclose(batch.divergence[0], found.divergence, atol=1e-9)
    with np.errstate(divide="ignore"):
        masked = [np.log([0.5, 0.5, 0.0]), np.log([0.5, 0.5])]
        nobody = [np.log([1.0, 0.0, 0.0]), np.log([0.5, 0.5])]
    np.testing.assert_allclose(gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)), masked).policy[0], [0.5, 0.5, 0])
    with pytest.raises(ValueError, match="log_reference: got one whose actions have no equilibrium"):
        gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)), nobody)


def nearest_by_cvxpy(table, value, log_reference):
    """The least KL, and where, of policies x with x^T table >= value."""
    cvxpy = pytest.importorskip("cvxpy")
    x = cvxpy.Variable(len(table))
    objective = cvxpy.Minimize(cvxpy.sum(cvxpy.rel_entr(x, np.exp(log_reference))))
    problem = cvxpy.Problem(objective, [table.T @ x >= value, cvxpy.sum(x) == 1])
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return problem.value, x.value


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
def test_zero_sum_games_beside_cvxpy():
    """Where its answer is another, it has no less divergence, or breaks the constraints."""
    rng = np.random.default_rng(0)
    for index in range(60):
        row = draw(rng, rng.integers(2, 8, 2))
        references = [np.log(rng.dirichlet(np.ones(size))) if index % 2 else None for size in row.shape]
        references = [np.full(n, -np.log(n)) if r is None else r for r, n in zip(references, row.shape, strict=True)]
        game = gk.NormalFormGame(zero_sum(row))
        found = gk.max_entropy_nash(game, references)
        x, y = map(np.asarray, found.policy)
        value = x @ row @ y
        assert np.all(np.asarray(found.gap) <= 1e-13)
        for player, table in enumerate((row, -row.T)):
            sign = 1 - 2 * player
            theirs, policy = nearest_by_cvxpy(table, sign * value, references[player])
            if policy is None or not np.isfinite(theirs):
                continue
            broken = max(0, np.max(sign * value - table.T @ policy), -policy.min())
            assert float(found.divergence[player]) <= theirs + 1e-8 + 1e3 * broken
            if broken < 1e-11:
                np.testing.assert_allclose(found.policy[player], policy, atol=1e-5)


@pytest.mark.parametrize("shape", [(3, 3), (5, 7), (8, 8)])
def test_batches_and_vmap_are_games_one_by_one(shape):
    rng = np.random.default_rng(1)
    rows = [draw(rng, shape) for _ in range(40)]
    games = stacked(rows)
    batch = gk.max_entropy_nash_batch(games, throw=True)
    mapped = MAPPED(games)
    solved = np.asarray(mapped.status) == gk.Status.converged
    assert solved.mean() >= 0.9
    ranges = np.array([max(np.ptp(row), 1e-300) for row in rows])
    assert np.all(np.asarray(batch.gap).max(axis=1) <= 1e-10 * ranges)
    for index, row in enumerate(rows):
        alone = gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)))
        for other in (batch, mapped) if solved[index] else (batch,):
            for ours, theirs in zip(alone.policy, other.policy, strict=True):
                np.testing.assert_allclose(theirs[index], ours, atol=1e-5)
            # Theirs may be larger: they may lose a little.
            assert np.all(np.asarray(other.entropy[index]) >= np.asarray(alone.entropy) - 1e-8)
            np.testing.assert_allclose(other.entropy[index], alone.entropy, atol=1e-6)
            np.testing.assert_allclose(other.entropy[index], entropies([p[index] for p in other.policy]), atol=1e-12)


def test_a_game_of_any_size():
    """Of a random one that is too large to enumerate there is one equilibrium, that of the linear programme."""
    game = gk.games.zero_sum(jax.random.key(0), (24, 26))
    found = gk.max_entropy_nash(game)
    assert int(found.status) == gk.Status.converged
    for ours, theirs in zip(found.policy, gk.solve_nash_exact(game).policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_a_batch_of_any_games():
    rng = np.random.default_rng(2)
    payoffs = rng.integers(0, 3, (12, 2, 3, 3)).astype(float)
    payoffs[::2, 1] = 5 - payoffs[::2, 0]
    payoffs[5, 0, 1, 1] = np.nan
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    batch = gk.max_entropy_nash_batch(games)
    status = np.asarray(batch.status)
    assert status[5] == gk.Status.nonfinite_input and np.all(np.delete(status, 5) == gk.Status.converged)
    for index in np.delete(np.arange(12), 5):
        alone = gk.max_entropy_nash(gk.NormalFormGame(payoffs[index]))
        np.testing.assert_allclose(batch.entropy[index], alone.entropy, atol=1e-8)
    mapped = np.asarray(MAPPED(games).status)
    assert np.all(mapped[1:5:2] == gk.Status.invalid_input) and mapped[5] == gk.Status.nonfinite_input
    assert np.all(mapped[::2] == gk.Status.converged)


def test_where_there_is_no_float64():
    """In single precision the status asks for less, and policies are good to its square root."""
    rng = np.random.default_rng(5)
    rows = [draw(rng, (4, 5)) for _ in range(40)]
    exact = gk.max_entropy_nash_batch(stacked(rows))
    with jax.enable_x64(False):
        games = jax.vmap(gk.NormalFormGame)(jnp.asarray(np.array([zero_sum(row) for row in rows]), jnp.float32))
        found = jax.jit(jax.vmap(gk.max_entropy_nash))(games)
        assert found.entropy.dtype == jnp.float32
        solved = np.asarray(found.status) == gk.Status.converged
        assert solved.mean() >= 0.8
        policies = [np.asarray(policy) for policy in found.policy]
    apart = [np.abs(a - b).max(axis=1)[solved] for a, b in zip(policies, map(np.asarray, exact.policy), strict=True)]
    assert np.max(apart) < 0.05 and np.median(apart) < 1e-3


def test_every_subset_of_a_general_sum_game_counts():
    """Coordination has the mixed equilibrium; with a third action that is there twice, its share is split."""
    found = gk.max_entropy_nash(gk.NormalFormGame(np.array([np.eye(3)] * 2)))
    np.testing.assert_allclose(found.policy[0], [1 / 3] * 3, atol=1e-14)
    table = np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0]])
    found = gk.max_entropy_nash(gk.NormalFormGame(np.array([table, table])))
    np.testing.assert_allclose(found.policy[0], [1 / 2, 1 / 4, 1 / 4], atol=1e-12)
    np.testing.assert_allclose(found.policy[1], [1 / 2, 1 / 2, 0], atol=1e-12)


def test_no_mixture_of_a_subset_has_more_entropy():
    rng = np.random.default_rng(3)
    for _ in range(60):
        payoffs = rng.integers(0, 3, (2, *rng.integers(2, 5, 2))).astype(float)
        game = gk.NormalFormGame(payoffs)
        found = gk.max_entropy_nash(game)
        assert int(found.status) == gk.Status.converged and np.all(gk.nash_gap(game, found.log_policy) <= 1e-12)
        every = gk.enumerate_nash(game)
        for subset in every.subsets:
            vertices = [
                np.array([every.vertices[player][number] for number in numbers], dtype=float)
                for player, numbers in enumerate(subset.vertices)
            ]
            for _ in range(20):
                mixed = [rng.dirichlet(np.full(len(own), 0.5 + rng.uniform())) @ own for own in vertices]
                assert entropies(mixed).sum() <= float(np.sum(found.entropy)) + 1e-12


@settings(max_examples=40, deadline=None)
@given(
    row=st.lists(st.integers(-2, 2), min_size=12, max_size=12),
    rows=st.permutations(range(3)),
    columns=st.permutations(range(4)),
    scale=st.sampled_from([0.5, 1.0, 3.0]),
    shift=st.integers(-5, 5),
)
def test_other_orders_and_units(row, rows, columns, scale, shift):
    """Unlike a vertex, the one of most entropy moves with the order of actions, and is the same in any units."""
    row = np.array(row, dtype=float).reshape(3, 4)
    first = gk.max_entropy_nash(gk.NormalFormGame(zero_sum(row)))
    moved = scale * row[np.ix_(rows, columns)] + shift
    second = gk.max_entropy_nash(gk.NormalFormGame(np.stack([moved, 3 - moved])))
    np.testing.assert_allclose(second.policy[0], np.asarray(first.policy[0])[list(rows)], atol=1e-9)
    np.testing.assert_allclose(second.policy[1], np.asarray(first.policy[1])[list(columns)], atol=1e-9)


def test_it_is_the_limit_of_regularised_equilibria():
    """Of games with many optimal policies, which the simplex method's vertices are not."""
    rng = np.random.default_rng(4)
    apart = 0
    for _ in range(5):
        row = rng.integers(-1, 2, (4, 5)).astype(float)
        row[-1] = row[0]
        game = gk.NormalFormGame(zero_sum(row))
        limit = gk.max_entropy_nash(game).policy
        near = gk.solve_nash(game, gk.Regularizer.uniform(game, 1e-4)).policy
        vertex = gk.solve_nash_exact(game).policy
        assert max(float(jnp.abs(a - b).max()) for a, b in zip(near, limit, strict=True)) < 1e-3
        apart += max(float(jnp.abs(a - b).max()) for a, b in zip(near, vertex, strict=True)) > 0.1
    assert apart >= 3


def test_which_equilibrium_is_returned():
    """Of a coordination game; the choices are one each."""
    game = gk.NormalFormGame(np.array([np.diag([1.0, 3, 2])] * 2))
    policies = {
        which: np.asarray(gk.solve_nash_exact(game, which=which).policy[0])
        for which in ("any", "smallest_support", "lemke_howson", "max_entropy", "max_welfare")
    }
    np.testing.assert_allclose(policies["smallest_support"], [1, 0, 0])
    np.testing.assert_allclose(policies["any"], [1, 0, 0])
    np.testing.assert_allclose(policies["lemke_howson"], [1, 0, 0], atol=1e-15)
    np.testing.assert_allclose(policies["max_welfare"], [0, 1, 0])
    np.testing.assert_allclose(policies["max_entropy"], np.array([6, 2, 3]) / 11, atol=1e-14)
    with pytest.raises(ValueError, match="which: got 'best', takes one of 'any', 'smallest_support'"):
        gk.solve_nash_exact(game, which="best")
    with pytest.raises(TypeError, match="which: got 'max_entropy' for a traced game, takes 'any'"):
        jax.jit(lambda game: gk.solve_nash_exact(game, which="max_entropy"))(game)
    with pytest.raises(ValueError, match=r"which: got smallest_support for .* pairs of supports"):
        gk.solve_nash_exact(gk.games.uniform(jax.random.key(0), (12, 12)), which="smallest_support")


def test_what_it_does_not_take():
    game = gk.games.matching_pennies()
    with pytest.raises(ValueError, match="game: got 3 players, takes 2"):
        jax.jit(gk.max_entropy_nash)(gk.games.uniform(jax.random.key(0), (2, 2, 2)))
    with pytest.raises(ValueError, match=r"log_reference: got shapes \[\(3,\), \(2,\)\]"):
        gk.max_entropy_nash(game, [np.log(np.ones(3) / 3), np.log(np.ones(2) / 2)])
    with pytest.raises(ValueError, match=r"log_reference\[0\]: got a sum of 2, takes probabilities that sum to 1"):
        gk.max_entropy_nash(game, [np.zeros(2), np.log(np.ones(2) / 2)])
    with pytest.raises(ValueError, match="max_vertices: got a game with"):
        gk.max_entropy_nash(gk.games.uniform(jax.random.key(0), (9, 9)), max_vertices=50)
    with pytest.raises(ValueError, match=r"games.payoffs: got shape \(2, 2, 2\), takes \[batch, 2"):
        gk.max_entropy_nash_batch(game)
    with pytest.raises(gk.SolveError, match=r"game 1 \(1 of 2"):
        payoffs = np.stack([zero_sum(np.eye(2)), np.full((2, 2, 2), np.nan)])
        gk.max_entropy_nash_batch(jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs)), throw=True)
