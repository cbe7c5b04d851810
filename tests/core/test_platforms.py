"""The branch for accelerators, taken on a CPU: it computes the same, whatever the width of its batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, mixed_batch, rows

import gamekl as gk
from gamekl.core.kernels import lanes, platforms


def solve(game, regularizer):
    return gk.solve_nash(game, regularizer, throw=False)


@pytest.fixture
def accelerator(monkeypatch):
    """What is traced now is for accelerators, though for one with fewer lanes."""
    monkeypatch.setattr(platforms, "ACCELERATOR", platforms.ACCELERATOR._replace(most_lanes=64))
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *arguments, default, **_: default(*arguments))


@pytest.fixture
def solve_there(accelerator):
    """`solve`, of whole batches, where nothing has been traced for CPUs, nor will be taken for it afterwards."""
    jax.clear_caches()
    yield jax.jit(jax.vmap(lambda *pair: solve(*pair)))
    jax.clear_caches()


def check_systems(size):
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(5, size, size)) + np.diag(rng.choice([-1, 1], size) * 2 * size)
    right = rng.normal(size=(5, size, 2))
    solution, determinant = lanes.solve(jnp.moveaxis(jnp.concatenate([matrix, right], axis=-1), 0, -1))
    np.testing.assert_allclose(np.moveaxis(solution, -1, 0), np.linalg.solve(matrix, right), atol=1e-12)
    sign, log = np.linalg.slogdet(matrix)
    np.testing.assert_array_equal(determinant.sign, sign)
    np.testing.assert_allclose(determinant.log, log, atol=1e-12)
    assert np.all(determinant.spread >= 1)
    assert np.all(determinant.spread <= 2 * np.linalg.cond(matrix))


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 11])
def test_systems_are_solved_with_their_determinants(accelerator, size):
    """Five unknowns in a pass, with some left over."""
    check_systems(size)


@pytest.mark.parametrize("size", [1, 2, 5, 24, 25, 40])
def test_systems_are_solved_with_their_determinants_on_cpus(size):
    check_systems(size)


def test_the_spread_of_the_pivots_tells_that_a_matrix_is_nearly_singular():
    table = jnp.asarray([[[1.0, 1.0], [1.0, 2.0], [1.0, 1.0]], [[1.0, 1.0], [1.0 + 1e-9, 4.0 + 1e-9], [1.0, 1.0]]])
    spread = lanes.solve(table)[1].spread
    np.testing.assert_allclose(spread, [1e9, 2], rtol=1e-6)


@pytest.mark.parametrize("shape", [pytest.param((4, 3), marks=pytest.mark.slow), (3, 2, 2)], ids=str)
def test_equilibria_are_those_of_the_branch_for_cpus(request, shape):
    batch = mixed_batch(shape, 20)
    expected = jax.jit(jax.vmap(solve))(*batch)
    found = request.getfixturevalue("solve_there")(*batch)
    assert set(np.asarray(found.status)) == {gk.Status.converged}
    for ours, theirs in zip(found.policy, expected.policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.bits
def test_a_game_is_solved_alike_in_a_batch_of_any_size(solve_there):
    batch = mixed_batch((4, 3), 100)
    largest = solve_there(*batch)
    for size in (1, 5, 70):
        assert_same_bits(solve_there(*rows(batch, slice(size))), rows(largest, slice(size)))


def test_single_precision_is_enough_for_hard_games(solve_there):
    """Those of 2^17 of which an elimination that inverted three rows by cofactors solved none, here and on an H200."""
    keys = jax.random.split(jax.random.key(0), 2**17)[jnp.array([66718, 68154, 74732, 100397])]
    games = jax.vmap(lambda key: gk.games.uniform(key, (10, 10), dtype="float32"))(keys)
    solution = solve_there(games, jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games))
    assert set(np.asarray(solution.status)) == {gk.Status.converged}
