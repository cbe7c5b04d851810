"""Linear algebra on many small problems side by side.

Every array has one lane for each problem on its LAST axis, and sums over actions are accumulated term by term: then
each operation is one pass of vector instructions over neighbouring lanes, and what a lane computes depends on no other
lane. Large or single problems go to the batched products and the LU factorisation of LAPACK instead.
"""

from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float, Num

from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.platforms import CPU, Platform, by_platform

T = TypeVar("T")

# Products of float32 on GPUs and TPUs would otherwise lose 13 bits or more.
PRECISION = jax.lax.Precision.HIGHEST
# Written out term by term up to this size, and from this number of lanes.
LARGEST_UNROLLED = 24
FEWEST_LANES = 4
# In a single lane, tables of this many entries go to the products of matrices, and sums and systems of more terms than
# these to products and LAPACK. Without such calls XLA's compiler for CPUs makes, from jax 0.12 on, one function of a
# loop over little data, in half of the time that a function for every operation takes.
LARGE = 2**12
LARGEST_ALONE = 12


def lanes_last(batch: T) -> T:
    """Every leaf of a batch with its leading axis last."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), batch)


def lanes_first(lanes: T) -> T:
    """Every leaf with its last axis first: the inverse of `lanes_last`."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), lanes)


def _unrolls(size: int, lanes: int) -> bool:
    return size <= LARGEST_UNROLLED and lanes >= FEWEST_LANES


def writes_out(sizes: Sequence[int]) -> bool:
    """Whether all that `system` does for players with so many actions is written out, without library calls."""
    return max(max(sizes), sum(sizes) - max(sizes)) <= LARGEST_UNROLLED


def _accumulate(term: Callable[[int], Array], size: int) -> Array:
    total = term(0)
    for index in range(1, size):
        total = total + term(index)
    return total


def _fold(combine: Callable[[Array, Array], Array], values: Num[Array, "n *rest lane"]) -> Array:
    return reduce(combine, [values[index] for index in range(len(values))])


def _over_first(
    combine: Callable[[Array, Array], Array], reduction: Callable[[Array], Array], values: Array, once: bool
) -> Array:
    if not _unrolls(values.shape[0], values.shape[-1]):
        return reduction(values)
    fold = partial(_fold, combine)
    return materialize(fold, values, on_accelerators=False) if once else fold(values)


def total(values: Num[Array, "n *rest lane"], *, once: bool = False) -> Num[Array, "*rest lane"]:
    """Sum over the first axis; with `once` it is not computed anew for every use of it (see `materialize`)."""
    return _over_first(jnp.add, partial(jnp.sum, axis=0), values, once)


def largest(values: Float[Array, "n *rest lane"], *, once: bool = False) -> Float[Array, "*rest lane"]:
    """Maximum over the first axis, NaN where an entry is NaN; `once` as for `total`."""
    return _over_first(jnp.maximum, partial(jnp.max, axis=0), values, once)


def dot(a: Float[Array, "n lane"], b: Float[Array, "n lane"]) -> Float[Array, " lane"]:
    """The inner product of two vectors, in every lane."""
    return total(a * b)


def contract(
    tensor: Float[Array, "*axes lane"], weights: Float[Array, "n lane"], axis: int, product: bool = False
) -> Float[Array, "..."]:
    """Sum of the tensor over one axis, weighted; in a single lane a product of matrices where that is asked for."""
    size, lanes = weights.shape
    if lanes == 1 and tensor.size >= LARGE:
        return jnp.tensordot(tensor[..., 0], weights[:, 0], axes=(axis, 0), precision=PRECISION)[..., None]
    if lanes == 1 and size <= LARGEST_ALONE and not product:
        return jnp.sum(jnp.moveaxis(tensor, axis, -2) * weights, axis=-2)
    if not _unrolls(size, lanes):
        return jnp.einsum("...al,al->...l", jnp.moveaxis(tensor, axis, -2), weights, precision=PRECISION)
    return _accumulate(lambda index: jax.lax.index_in_dim(tensor, index, axis, keepdims=False) * weights[index], size)


def matmul(a: Float[Array, "i k lane"], b: Float[Array, "k j lane"]) -> Float[Array, "i j lane"]:
    """The product of two matrices, in every lane."""
    size, lanes = b.shape[0], b.shape[-1]
    if lanes == 1 and a.size >= LARGE:
        return jnp.matmul(a[..., 0], b[..., 0], precision=PRECISION)[..., None]
    if lanes == 1 and size <= LARGEST_ALONE:
        return jnp.sum(a[:, :, None] * b[None], axis=1)
    if not _unrolls(size, lanes):
        return jnp.einsum("ikl,kjl->ijl", a, b, precision=PRECISION)

    def multiply(platform: Platform, a: Array, b: Array) -> Array:
        if platform is not CPU:  # XLA would make a kernel of every slice
            return jnp.sum(a[:, :, None] * b[None], axis=1)
        return _accumulate(lambda index: a[:, index][:, None] * b[index][None], size)

    return by_platform(multiply, a, b)


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


class Determinant(NamedTuple):
    """What the pivots of an elimination say of a matrix, by lane.

    Attributes:
        sign: of its determinant.
        log: logarithm of the determinant's size.
        spread: the largest pivot over the least, in size: about how near to singular the matrix is.
    """

    sign: Float[Array, " lane"]
    log: Float[Array, " lane"]
    spread: Float[Array, " lane"]

    @classmethod
    def of(cls, pivots: Float[Array, "n lane"], divisors: Sequence[Float[Array, " lane"]] = ()) -> "Determinant":
        """The determinant of a matrix whose rows were not exchanged, divided by positive numbers."""
        sizes = jnp.abs(pivots)
        if _unrolls(*sizes.shape):
            # A logarithm takes longer than a product, and of so few pivots that is a number of any dtype.
            products = [_product(sizes[start : start + 3]) for start in range(0, len(sizes), 3)]
            for index, divisor in enumerate(divisors):
                products[index % len(products)] /= divisor
            log = total(jnp.log(jnp.stack(products)))
        else:  # in few lanes each operation takes longer than what it does
            log = jnp.log(sizes).sum(axis=0) - sum(map(jnp.log, divisors))
        return cls(sign=_product(jnp.sign(pivots)), log=log, spread=largest(sizes) / -largest(-sizes))


def _product(values: Float[Array, "n lane"]) -> Float[Array, " lane"]:
    return _fold(jnp.multiply, values) if _unrolls(*values.shape) else values.prod(axis=0)


def _solve_by_lu(table: Float[Array, "n n_plus_r"]) -> tuple[Array, Array]:
    """The solution, and the pivots, with the sign of their order in the first of them.

    The rows right of the diagonal pass through the elimination with the others. So nothing asks for the order of the
    rows, which XLA would make of LAPACK's exchanges one by one: longer, for 100 unknowns, than LAPACK eliminates.
    """
    size = len(table)
    factors, exchanges, _ = jax.lax.linalg.lu(table)
    upper, right = factors[:, :size], factors[:, size:]
    swaps = jnp.sum(exchanges != jnp.arange(size, dtype=exchanges.dtype))
    pivots = jnp.diagonal(upper).at[0].multiply(jnp.where(swaps % 2 == 0, 1, -1))
    return jax.lax.linalg.triangular_solve(upper, right, left_side=True), pivots


def _combine(factors: Sequence[Array], rows: Sequence[Array] | Array) -> Array:
    return _accumulate(lambda k: factors[k] * rows[k], len(factors))


def _solve_block(block: Float[Array, "p p lane"], right: Float[Array, "p c lane"]) -> tuple[Array, Array]:
    """block^-1 right, by elimination without exchanges, and the pivots.

    Cofactors would need one division only, but in float32 3 of 2^17 games 10 x 10 are not solved with them.
    """
    size = len(block)
    entries, rows = [list(line) for line in block], list(right)
    inverses: list[Array] = []
    for k in range(size):
        inverses.append(1 / entries[k][k])
        for i in range(k + 1, size):
            factor = entries[i][k] * inverses[k]
            for j in range(k + 1, size):
                entries[i][j] = entries[i][j] - factor * entries[k][j]
            rows[i] = rows[i] - factor * rows[k]
    for k in reversed(range(size)):
        for j in range(k + 1, size):
            rows[k] = rows[k] - entries[k][j] * rows[j]
        rows[k] = rows[k] * inverses[k]
    return jnp.stack(rows), jnp.stack([entries[k][k] for k in range(size)])


def _eliminate(table: Float[Array, "n c lane"], count: int) -> tuple[Array, Array]:
    """One pass of Gauss-Jordan: eliminate the first unknowns from all other rows, and move their rows to the end.

    The barriers keep the compiler from repeating for each entry what it could have stored.

    Returns:
        The table that is left, and the pivots.
    """
    rows, pivots = _solve_block(table[:count, :count], table[:count, count:])
    rows = jax.lax.optimization_barrier(rows)
    others = table[count:, count:] - _combine([table[count:, k, None] for k in range(count)], rows)
    return jax.lax.optimization_barrier(jnp.concatenate([others, rows], axis=0)), pivots


def _solve_written_out(platform: Platform, table: Float[Array, "n c lane"]) -> tuple[Array, Array]:
    table = jax.lax.optimization_barrier(table)
    pivots = []
    for start in range(0, len(table), platform.pivots):
        table, those = _eliminate(table, min(platform.pivots, len(table) - start))
        pivots.append(those)
    return table, jnp.concatenate(pivots)


def solve(
    table: Float[Array, "n n_plus_r lane"], divisors: Sequence[Float[Array, " lane"]] = ()
) -> tuple[Float[Array, "n r lane"], Determinant]:
    """Solve systems of linear equations, and tell their determinants.

    Written-out elimination does not exchange rows: its callers check what they get, and a vanishing pivot is met only
    at isolated points of a path.

    Args:
        table: the matrices and, in the columns behind them, the right-hand sides.
        divisors: positive numbers that the determinants are divided by.
    """
    size, _, lanes = table.shape
    if size > LARGEST_ALONE and not _unrolls(size, lanes):
        solution, pivots = jax.vmap(in_turn(_solve_by_lu))(jnp.moveaxis(table, -1, 0))
        return jnp.moveaxis(solution, 0, -1), Determinant.of(jnp.moveaxis(pivots, 0, -1), divisors)
    solution, pivots = by_platform(_solve_written_out, table)
    return solution, Determinant.of(pivots, divisors)
