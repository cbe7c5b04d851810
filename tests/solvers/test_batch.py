"""solve_nash_batch on mixed batches: every game gets what it would get alone, and bad games get a status."""

from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_policies, assert_same_bits, mixed_batch, rows
from test_traces import counted

import gamekl as gk
from gamekl.solvers import batch as driver

SIZE = 64


@pytest.fixture(scope="module")
def batch():
    return mixed_batch((2, 2), SIZE)


@pytest.fixture(scope="module")
def solution(batch):
    return gk.solve_nash_batch(*batch)


@pytest.mark.parametrize("shape", [(2, 2), (3, 4, 2)], ids=str)
def test_each_game_gets_what_it_would_get_alone(shape):
    batch = mixed_batch(shape, 40)
    solution = gk.solve_nash_batch(*batch)
    assert np.all(solution.status == gk.Status.converged)
    assert solution.residual.max() <= 1e-9
    np.testing.assert_array_equal(solution.policy[0][:, 0] == 0, np.arange(40) % 5 == 4)
    for game in range(0, 40, 3):
        together, alone = rows(solution, game), gk.solve_nash(*rows(batch, game))
        assert_policies(together.policy, alone.policy)
        for ours, theirs in zip(jax.tree.leaves(together.path), jax.tree.leaves(alone.path), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_each_length_of_chunk_is_compiled_once(monkeypatch):
    compilations = counted(monkeypatch, driver, "solve_problems")
    large = mixed_batch((2, 3), 1000)
    whole = gk.solve_nash_batch(*large)
    for size in (999, 900):
        assert_same_bits(gk.solve_nash_batch(*rows(large, slice(size))), rows(whole, slice(size)))
    assert len(compilations) == 1
    for size in (1, 3, SIZE, 100):
        gk.solve_nash_batch(*rows(large, slice(size)))
    assert len(compilations) <= 2


def test_what_is_wrong_with_a_game_is_in_its_status(batch):
    """What is not finite comes before what makes no sense."""
    games, regularizers = batch
    payoffs = games.payoffs.at[3, 0, 1, 1].set(jnp.nan).at[14].set(jnp.inf).at[25, 1, 0, 0].set(-jnp.inf)
    reference = regularizers.log_reference[1].at[36].set(jnp.nan).at[40].set(0.0).at[41, 0].set(jnp.inf)
    temperature = regularizers.temperature.at[42].set(jnp.nan).at[43, 1].set(0.0).at[44].set(-1.0).at[45].set(jnp.inf)
    broken = eqx.tree_at(
        lambda tree: (tree[0].payoffs, tree[1].log_reference[1], tree[1].temperature),
        batch,
        (payoffs, reference, temperature),
    )
    expected = np.full(SIZE, gk.Status.converged)
    expected[[3, 14, 25, 36, 41, 42, 45]] = gk.Status.nonfinite_input
    expected[[40, 43, 44]] = gk.Status.invalid_input
    np.testing.assert_array_equal(gk.solve_nash_batch(*broken).status, expected)
    with pytest.raises(gk.SolveError, match=r"game 3 \(10 of 64 games failed\): nonfinite_input: a payoff") as caught:
        gk.solve_nash_batch(*broken, throw=True)
    assert caught.value.solution.status == gk.Status.nonfinite_input


def test_every_game_may_have_a_guess_and_a_tolerance_of_its_own(batch, solution):
    near = [jax.nn.log_softmax(entry + jnp.asarray([0.0, 0.01])) for entry in solution.log_policy]
    tol = np.where(np.arange(SIZE) % 2, 1e-6, 0.0)
    warm = gk.solve_nash_batch(*batch, initial=near, tol=tol)
    np.testing.assert_array_equal(np.asarray(warm.status) == gk.Status.converged, np.asarray(warm.residual) <= tol)
    assert np.all(warm.path.crossings == 0)
    assert np.median(warm.num_steps) <= 4
    assert_policies(warm.policy, solution.policy)
    assert np.all(gk.solve_nash_batch(*batch, initial=near, tol=1).status == gk.Status.converged)


def test_the_step_limit_reaches_every_game(batch):
    stopped = gk.solve_nash_batch(*batch, max_steps=2)
    assert np.all(np.isin(np.asarray(stopped.status), [gk.Status.max_steps, gk.Status.converged]))
    assert np.all(np.asarray(stopped.num_steps) <= 2)
    with pytest.raises(gk.SolveError, match=r"game \d+ \(\d+ of 64 games failed\): max_steps"):
        gk.solve_nash_batch(*batch, max_steps=2, throw=True)


def test_float32_is_solved_in_float32_and_refined_to_float64(batch, solution):
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), batch)
    plain = gk.solve_nash_batch(*single)
    assert plain.log_policy[0].dtype == plain.residual.dtype == jnp.float32
    assert np.all(plain.status == gk.Status.converged)
    assert_policies(plain.policy, solution.policy, atol=1e-3)
    refined = gk.solve_nash_batch(*single, refine="float64")
    assert refined.residual.dtype == jnp.float64
    assert np.all(refined.status == gk.Status.converged)
    assert float(refined.residual.max()) <= 1e-9
    assert_policies(gk.solve_nash_batch(*batch, refine="float64").policy, solution.policy)


def test_float64_without_the_x64_mode():
    with jax.enable_x64(False):
        games = jax.vmap(lambda key: gk.games.uniform(key, (3, 2)))(jax.random.split(jax.random.key(0), 20))
        regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games)
        batch = gk.solve_nash_batch(games, regularizers, refine="float64")
        alone = gk.solve_nash(rows(games, 0), rows(regularizers, 0), refine="float64")
        assert batch.residual.dtype == alone.residual.dtype == np.float64
        assert max(np.asarray(batch.residual).max(), float(alone.residual)) <= 1e-9
        with pytest.raises(ValueError, match="refine: got 'float64' under a transformation"):
            jax.vmap(lambda game: gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1), refine="float64"))(games)


def test_errors_name_the_field(batch):
    games, regularizers = batch
    small = rows(batch, slice(5))
    one = rows(regularizers, 0)
    for arguments, options, message in [
        (rows(batch, 0), {}, r"games.payoffs: got shape \(2, 2, 2\), takes \[batch, player, \*actions\]"),
        ((games, one), {}, r"regularizers.temperature: got shape \(2,\), takes a leading axis of 64 games"),
        ((games, small[1]), {}, r"regularizers.temperature: got shape \(5, 2\), takes a leading axis of 64 games"),
        (small, {"refine": "float16"}, "refine: got 'float16', takes 'float64' or None"),
        (small, {"tol": np.ones(4)}, r"tol: got shape \(4,\), takes \(5,\)"),
        (small, {"tol": -1.0}, "tol: got -1.0, takes a number >= 0"),
        (small, {"max_steps": 0}, "max_steps: got 0, takes a whole number from 1"),
        (small, {"devices": []}, "devices: got none"),
        (small, {"initial": one.log_reference}, r"initial: got shapes .*, takes \[batch, actions\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            gk.solve_nash_batch(*arguments, **options)
    with pytest.raises(TypeError):
        gk.solve_nash_batch(games, regularizers.log_reference)
    with pytest.raises(TypeError, match=r"games: got traced arrays, takes concrete ones; .*jax.vmap\(solve_nash\)"):
        jax.jit(gk.solve_nash_batch)(games, regularizers)


def solve_uniform(shape):
    games = jax.vmap(lambda key: gk.games.uniform(key, shape))(jax.random.split(jax.random.key(0), 32))
    return gk.solve_nash_batch(games, jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games))


def test_batches_of_large_games_do_not_wait_for_each_other():
    """Beyond what is written out, loops call libraries, which share threads with them."""
    for _ in range(3):
        assert np.all(solve_uniform((50, 50)).status == gk.Status.converged)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(24, 24), (25, 25), (30, 30), (12, 12, 12), (13, 13, 13), (8, 8, 8, 8)], ids=str)
def test_callers_with_threads_of_their_own_do_not_wait_for_each_other(shape):
    with ThreadPoolExecutor(4) as pool:
        for solution in pool.map(lambda _: solve_uniform(shape), range(16)):
            assert np.all(solution.status == gk.Status.converged)


@pytest.mark.parametrize(
    "solve",
    [
        lambda game: gk.solve_nash(game, gk.Regularizer.uniform(game, 0.5)),
        gk.solve_nash_exact,
        lambda game: gk.gamd(game, gk.Regularizer.uniform(game, 0.5), num_rounds=10),
        lambda game: gk.solve_correlated(game, concept="ce", objective="gini"),
    ],
)
def test_vmap_over_no_games(solve):
    """Nothing to do is no error: a filter may leave nothing."""
    found = jax.vmap(lambda payoffs: solve(gk.NormalFormGame(payoffs)).status)(jnp.zeros((0, 2, 3, 2)))
    assert found.shape == (0,)
