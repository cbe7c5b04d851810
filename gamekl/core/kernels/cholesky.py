"""Cholesky's factors of many small positive definite matrices side by side, one in each lane (`core.kernels.lanes`).

In several lanes a factor is made block column by block column: each takes in all that lie before it in one pass, and
the inverses of the blocks on the diagonal are kept, so that solving is products only. In a single lane, and where
matrices are large, LAPACK does both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.kernels.calls import stored
from gamekl.core.kernels.lanes import FEWEST_LANES, in_turn
from gamekl.core.kernels.platforms import Platform

# Columns of a block.
BLOCK = 8
# Written out up to this size.
LARGEST_WRITTEN_OUT = 104
# Added to the diagonal, relative to it, so that dependent rows do no harm. Ten times as much would keep gaps from
# closing where multipliers are huge.
RIDGE = 1e-15

Columns = Callable[[int, int], Float[Array, "rows columns lane"]]
Vectors = Float[Array, "n right lane"]


class Factor(NamedTuple):
    """A lower factor: block columns from the diagonal downwards, and the inverses of the blocks on the diagonal.

    In a single lane there is one block column, the whole factor, and no inverse.
    """

    columns: list[Float[Array, "rows block lane"]]
    inverses: list[Float[Array, "block block lane"]]


def writes_out(size: int, lanes: int) -> bool:
    """Whether a factor of this size, in so many lanes, is made without LAPACK."""
    return lanes >= FEWEST_LANES and size <= LARGEST_WRITTEN_OUT


def _inverse_factor(block: Float[Array, "p p lane"]) -> Float[Array, "p p lane"]:
    """The inverse of the lower factor of a small matrix."""
    size = len(block)
    rows = [[block[i, j] for j in range(i + 1)] for i in range(size)]
    roots: list[Array] = []
    for k in range(size):
        roots.append(jax.lax.rsqrt(rows[k][k]))
        for i in range(k + 1, size):
            rows[i][k] = rows[i][k] * roots[k]
        for i in range(k + 1, size):
            for j in range(k + 1, i + 1):
                rows[i][j] = rows[i][j] - rows[i][k] * rows[j][k]
    nothing = jnp.zeros_like(roots[0])
    inverse = [[nothing] * size for _ in range(size)]
    for j in range(size):
        inverse[j][j] = roots[j]
        for i in range(j + 1, size):
            inverse[i][j] = -roots[i] * sum(rows[i][k] * inverse[k][j] for k in range(j, i))
    return jnp.stack([jnp.stack(line) for line in inverse])


def _cholesky(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    return jnp.linalg.cholesky(matrix + jnp.diag(RIDGE * jnp.diagonal(matrix)))


def _cho_solve(factor: Float[Array, "n n"], right: Float[Array, "n r"]) -> Float[Array, "n r"]:
    return jax.scipy.linalg.cho_solve((factor, True), right)


def _minus_products(
    rest: Float[Array, "n r lane"], a: Float[Array, "n k lane"], b: Float[Array, "k r lane"]
) -> Float[Array, "n r lane"]:
    for k in range(len(b)):
        rest = rest - a[:, k, None] * b[k]
    return rest


def _products(a: Float[Array, "n k lane"], b: Float[Array, "k r lane"]) -> Float[Array, "n r lane"]:
    total = a[:, 0, None] * b[0]
    for k in range(1, len(b)):
        total = total + a[:, k, None] * b[k]
    return total


def _turned(a: Float[Array, "n k lane"]) -> Float[Array, "k n lane"]:
    return jnp.swapaxes(a, 0, 1)


def factor(columns: Columns, size: int, lanes: int, platform: Platform | None) -> Factor:
    """The factors of positive definite matrices; NaN where one is not.

    Args:
        columns: gives of the matrices the columns from its first argument to before its second, and of these the rows
            from the first argument on. Each entry is asked for once.
        size: of the matrices.
        lanes: how many there are.
        platform: that they are made for; None if LAPACK is to do it.
    """
    if platform is None or not writes_out(size, lanes):
        whole = jax.vmap(in_turn(_cholesky))(jnp.moveaxis(columns(0, size), -1, 0))
        return Factor([jnp.moveaxis(whole, 0, -1)], [])
    found, inverses = [], []
    for start in range(0, size, BLOCK):
        stop = min(start + BLOCK, size)

        def reduced(*before: Array, start: int = start, stop: int = stop) -> Array:
            column = columns(start, stop)
            column = jnp.where(np.eye(*column.shape[:2], dtype=bool)[..., None], (1 + RIDGE) * column, column)
            for index, earlier in enumerate(before):
                rows = earlier[start - index * BLOCK :]
                column = _minus_products(column, rows, _turned(rows[: stop - start]))
            return column

        column = stored(platform, reduced, *found)
        inverses.append(stored(platform, _inverse_factor, column[: stop - start]))
        found.append(stored(platform, _products, column, _turned(inverses[-1])))
    return Factor(found, inverses)


def solve(factor: Factor, right: Vectors, platform: Platform | None) -> Vectors:
    """Solve with a factor for some right-hand sides."""
    if not factor.inverses:
        systems, rights = (jnp.moveaxis(array, -1, 0) for array in (factor.columns[0], right))
        return jnp.moveaxis(jax.vmap(in_turn(_cho_solve))(systems, rights), 0, -1)
    blocks = list(zip(factor.columns, factor.inverses, strict=True))
    forward, rest = [], right
    for column, inverse in blocks:
        size = len(inverse)
        forward.append(stored(platform, _products, inverse, rest[:size]))
        rest = stored(platform, _minus_products, rest[size:], column[size:], forward[-1])
    solved = rest  # nothing
    for (column, inverse), here in zip(blocks[::-1], forward[::-1], strict=True):
        here = stored(platform, _minus_products, here, _turned(column[len(inverse) :]), solved)
        solved = jnp.concatenate([_products(_turned(inverse), here), solved])
    return solved
