"""Linear algebra on many small problems side by side.

Every array has one lane for each problem on its LAST axis, and sums over actions are accumulated term by term: then
each operation is one pass of vector instructions over neighbouring lanes, and what a lane computes depends on no other
lane. Large or single problems go to the batched products and the LU factorisation of LAPACK instead.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from gamekl.core.platforms import CPU, Platform, by_platform

T = TypeVar("T")

# Products of float32 on GPUs and TPUs would otherwise lose 13 bits or more.
PRECISION = jax.lax.Precision.HIGHEST
# Written out term by term up to this size, and from this number of lanes.
LARGEST_UNROLLED = 24
FEWEST_LANES = 4
# In a single lane, tables of this many entries go to the products of matrices, which take longer to compile.
LARGE = 2**12


def _unrolls(size: int, lanes: int) -> bool:
    return size <= LARGEST_UNROLLED and lanes >= FEWEST_LANES


def writes_out(sizes: Sequence[int]) -> bool:
    """Whether all that `core.system` does for players with so many actions is written out, without library calls."""
    return max(max(sizes), sum(sizes) - max(sizes)) <= LARGEST_UNROLLED


def _accumulate(term: Callable[[int], Array], size: int) -> Array:
    total = term(0)
    for index in range(1, size):
        total = total + term(index)
    return total


def total(values: Float[Array, "n *rest lane"]) -> Float[Array, "*rest lane"]:
    """Sum over the first axis."""
    if not _unrolls(values.shape[0], values.shape[-1]):
        return values.sum(axis=0)
    return _accumulate(lambda index: values[index], values.shape[0])


def largest(values: Float[Array, "n lane"]) -> Float[Array, " lane"]:
    """Maximum over the first axis; NaN where an entry is NaN."""
    if not _unrolls(values.shape[0], values.shape[-1]):
        return values.max(axis=0)
    top = values[0]
    for index in range(1, values.shape[0]):
        top = jnp.maximum(top, values[index])
    return top


def dot(a: Float[Array, "n lane"], b: Float[Array, "n lane"]) -> Float[Array, " lane"]:
    """Inner product."""
    return total(a * b)


def contract(tensor: Float[Array, "*axes lane"], weights: Float[Array, "n lane"], axis: int) -> Float[Array, "..."]:
    """Sum of the tensor over one axis, weighted."""
    size, lanes = weights.shape
    if lanes == 1 and tensor.size >= LARGE:
        return jnp.tensordot(tensor[..., 0], weights[:, 0], axes=(axis, 0), precision=PRECISION)[..., None]
    if not _unrolls(size, lanes):
        return jnp.einsum("...al,al->...l", jnp.moveaxis(tensor, axis, -2), weights, precision=PRECISION)
    return _accumulate(lambda index: jax.lax.index_in_dim(tensor, index, axis, keepdims=False) * weights[index], size)


def matmul(a: Float[Array, "i k lane"], b: Float[Array, "k j lane"]) -> Float[Array, "i j lane"]:
    """Matrix product."""
    size, lanes = b.shape[0], b.shape[-1]
    if lanes == 1 and a.size >= LARGE:
        return jnp.matmul(a[..., 0], b[..., 0], precision=PRECISION)[..., None]
    if not _unrolls(size, lanes):
        return jnp.einsum("ikl,kjl->ijl", a, b, precision=PRECISION)
    return _accumulate(lambda index: a[:, index][:, None] * b[index][None], size)


def in_turn(function: Callable[..., T]) -> Callable[..., T]:
    """A function of small matrices that calls LAPACK; under ``jax.vmap``, on CPUs, it does so for one after another.

    A batch would wait, inside of a thread of XLA's, for others of the same pool, and for ever if all of them do so for
    programs that run side by side.
    """
    alone = custom_vmap(function)

    @alone.def_vmap
    def together(size: int, in_batched: list[bool], *arguments: Array) -> tuple[T, Any]:
        stretched = [
            entry if batched else jnp.broadcast_to(entry, (size, *entry.shape))
            for entry, batched in zip(arguments, in_batched, strict=True)
        ]
        results = jax.lax.map(lambda row: alone(*row), stretched)
        return results, jax.tree.map(lambda _: True, results)

    return lambda *arguments: by_platform(
        lambda platform, *given: (alone if platform is CPU else function)(*given), *arguments
    )


def solve_positive(
    matrix: Float[Array, "*system n n"], right: Float[Array, "*system n r"]
) -> Float[Array, "*system n r"]:
    """Solve positive definite systems by Cholesky's factors, `in_turn`; NaN where one is not. Differentiable."""

    def factor_and_solve(matrix: Array, right: Array) -> Array:
        return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), right)

    def one(matrix: Array, right: Array) -> Array:
        def multiply(solution: Array) -> Array:
            return jnp.matmul(matrix, solution, precision=PRECISION)

        def solve(_: Any, right: Array) -> Array:
            return in_turn(factor_and_solve)(jax.lax.stop_gradient(matrix), right)

        return jax.lax.custom_linear_solve(multiply, right, solve, symmetric=True)

    solved = jax.vmap(one)(matrix.reshape(-1, *matrix.shape[-2:]), right.reshape(-1, *right.shape[-2:]))
    return solved.reshape(right.shape)


def _solve_by_lu(matrix: Float[Array, "n n"], right: Float[Array, "n r"]) -> tuple[Array, Array]:
    factors, pivots = jax.scipy.linalg.lu_factor(matrix)
    swaps = jnp.sum(pivots != jnp.arange(len(pivots), dtype=pivots.dtype))
    sign = jnp.prod(jnp.sign(jnp.diagonal(factors))) * jnp.where(swaps % 2 == 0, 1, -1).astype(factors.dtype)
    return jax.scipy.linalg.lu_solve((factors, pivots), right), sign


def _eliminate(
    platform: Platform, matrix: Float[Array, "n n lane"], right: Float[Array, "n r lane"]
) -> tuple[Array, Array]:
    """Gauss-Jordan: eliminate the first unknown from all other rows, and move its row to the end."""
    table = jnp.concatenate([matrix, right], axis=1)
    sign = jnp.ones(matrix.shape[-1:], dtype=matrix.dtype)
    for step in range(1, len(matrix) + 1):
        pivot = table[0, 0]
        sign = sign * jnp.sign(pivot)
        row = table[0, 1:] * (1 / pivot)
        if platform.stores_rows:  # or the compiler would repeat the division for each entry
            row = jax.lax.optimization_barrier(row)
        table = jnp.concatenate([table[1:, 1:] - table[1:, :1] * row, row[None]], axis=0)
        if step % platform.pivots == 0:
            table = jax.lax.optimization_barrier(table)
    return table, sign


def solve(
    matrix: Float[Array, "n n lane"], right: Float[Array, "n r lane"]
) -> tuple[Float[Array, "n r lane"], Float[Array, " lane"]]:
    """Solve the systems, and tell the sign of the determinants.

    Written-out elimination does not exchange rows: its callers check what they get, and a vanishing pivot is met only
    at isolated points of a path.
    """
    if not _unrolls(matrix.shape[0], matrix.shape[-1]):
        solution, sign = jax.vmap(in_turn(_solve_by_lu))(jnp.moveaxis(matrix, -1, 0), jnp.moveaxis(right, -1, 0))
        return jnp.moveaxis(solution, 0, -1), sign
    return by_platform(_eliminate, matrix, right)


# From here on XLA's compiler for CPUs keeps its barriers until it has fused what lies between them.
KEEPS_BARRIERS = jax.__version_info__ >= (0, 11)


def materialize(function: Callable[..., T], *arguments: Any) -> T:
    """function(*arguments), stored: nothing that uses the results computes them anew.

    XLA's compiler for CPUs fuses cheap operations into every one of their uses, so that a long calculation with many
    results is repeated for each. Barriers stop it; where it drops them too early, a conditional does.

    Args:
        function: what to compute.
        arguments: what to compute it from.
    """
    if KEEPS_BARRIERS:
        return jax.lax.optimization_barrier(function(*arguments))
    return by_platform(partial(_in_conditional, function), *arguments)


def _in_conditional(function: Callable[..., T], platform: Platform, *arguments: Any) -> T:
    if platform is not CPU:
        return function(*arguments)

    def never(*arguments: Any) -> T:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, *arguments))

    return jax.lax.cond(jax.lax.optimization_barrier(True), lambda *given: function(*given), never, *arguments)
