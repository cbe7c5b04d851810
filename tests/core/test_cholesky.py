"""Cholesky's factors in lanes, beside numpy's solutions one by one."""

import jax
import numpy as np
import pytest

from gamekl.core.kernels import cholesky
from gamekl.core.kernels.platforms import CPU


def solved(matrix, right):
    """Solutions of systems whose lanes are last."""
    return jax.jit(lambda matrix, right: cholesky.solve(cholesky.factor(matrix, CPU), right))(matrix, right)


def systems(size, rng, lanes=8):
    half = rng.normal(size=(lanes, size, size))
    return half @ np.swapaxes(half, 1, 2) + np.eye(size), rng.normal(size=(lanes, size, 2))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 16, 17, 20, 27, 40, 64, 103, 104, 105])
def test_systems_of_all_sizes_are_solved(size):
    matrix, right = systems(size, np.random.default_rng(size))
    found = solved(np.moveaxis(matrix, 0, -1), np.moveaxis(right, 0, -1))
    want = np.linalg.solve(matrix, right)
    assert np.allclose(np.moveaxis(found, -1, 0), want, rtol=0, atol=1e-11 * np.max(np.abs(want)))


def test_a_matrix_that_is_not_positive_spoils_its_own_lane_only():
    matrix, right = systems(20, np.random.default_rng(0))
    matrix[3, 11, 11] = -1.0
    found = np.moveaxis(solved(np.moveaxis(matrix, 0, -1), np.moveaxis(right, 0, -1)), -1, 0)
    rest = np.arange(len(matrix)) != 3
    assert np.isnan(found[3]).any()
    assert np.allclose(found[rest], np.linalg.solve(matrix[rest], right[rest]), rtol=0, atol=1e-9)
