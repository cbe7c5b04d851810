"""The branch for accelerators, taken on a CPU: it computes the same, whatever the width of its batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_policies, assert_same_bits, mixed_batch, rows

import gamekl as gk
from gamekl.core import lanes


def solve(game, regularizer):
    return gk.solve_nash(game, regularizer, throw=False)


@pytest.fixture
def accelerator(monkeypatch):
    """What is traced now is for accelerators."""
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *arguments, default, **_: default(*arguments))


@pytest.fixture
def solve_there(accelerator):
    """`solve`, of whole batches, where nothing has been traced for CPUs, nor will be taken for it afterwards."""
    jax.clear_caches()
    yield jax.jit(jax.vmap(lambda *pair: solve(*pair)))
    jax.clear_caches()


@pytest.mark.parametrize("size", range(1, 13))
def test_systems_are_solved_with_the_signs_of_their_determinants(accelerator, size):
    """Three unknowns in a pass, with one or two left over."""
    rng = np.random.default_rng(size)
    matrix = rng.normal(size=(5, size, size)) + np.diag(rng.choice([-1, 1], size) * 2 * size)
    right = rng.normal(size=(5, size, 2))
    solution, sign = lanes.solve(jnp.moveaxis(jnp.concatenate([matrix, right], axis=-1), 0, -1))
    np.testing.assert_allclose(np.moveaxis(solution, -1, 0), np.linalg.solve(matrix, right), atol=1e-12)
    np.testing.assert_array_equal(sign, np.sign(np.linalg.det(matrix)))


@pytest.mark.parametrize("shape", [(4, 3), (3, 2, 2)], ids=str)
def test_equilibria_are_those_of_the_branch_for_cpus(request, shape):
    batch = mixed_batch(shape, 20)
    expected = jax.jit(jax.vmap(solve))(*batch)
    found = request.getfixturevalue("solve_there")(*batch)
    assert set(np.asarray(found.status)) == {gk.Status.converged}
    for ours, theirs in zip(found.policy, expected.policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.bits
def test_a_game_is_solved_alike_in_a_batch_of_any_size(solve_there):
    """Bit for bit in lanes of the same number; of others XLA makes loops on a CPU that round otherwise."""
    batch = mixed_batch((4, 3), 100)
    wide = solve_there(*batch)
    assert_same_bits(solve_there(*rows(batch, slice(70))), rows(wide, slice(70)))
    for size in (1, 5, 64):
        narrow = solve_there(*rows(batch, slice(size)))
        assert_same_bits((narrow.num_steps, narrow.status), (wide.num_steps[:size], wide.status[:size]))
        assert_policies(narrow.policy, [entry[:size] for entry in wide.policy], atol=1e-13)
