"""Cholesky's factors of many small positive definite matrices side by side, one in each lane (`core.kernels.lanes`).

On CPUs, in several lanes, matrices are worked on in tiles, of which a loop takes one after another: what one turn needs
stays in the first cache, and there is one instance of it to compile. The inverses of the tiles on the diagonal are
kept, so that solving is products only. In a single lane, elsewhere, and where matrices are large, the library does it.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.kernels.calls import as_one_function
from gamekl.core.kernels.lanes import FEWEST_LANES, in_turn
from gamekl.core.kernels.platforms import CPU, Platform

T = TypeVar("T")

# Most rows and columns of a tile.
LARGEST_TILE = 8
# Tiles are made of matrices up to this size.
LARGEST_TILED = 104
# Added to the diagonal, relative to it, so that dependent rows do no harm. Ten times as much would keep gaps from
# closing where multipliers are huge.
RIDGE = 1e-15

Tile = Float[Array, "p p lane"]
Tiles = Float[Array, "i j p p lane"]
Vectors = Float[Array, "n right lane"]


class Factor(NamedTuple):
    """A lower factor.

    Attributes:
        lower: its tiles, of which those above the diagonal and on it mean nothing; or the whole of it, shape
            ``[n, n, lane]``.
        inverses: of the tiles on the diagonal; None beside a whole factor.
    """

    lower: Tiles | Float[Array, "n n lane"]
    inverses: Float[Array, "i p p lane"] | None


def in_tiles(size: int, lanes: int) -> bool:
    """Whether a factor of this size, in so many lanes, is made on a CPU without LAPACK."""
    return lanes >= FEWEST_LANES and size <= LARGEST_TILED


def _cholesky(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    return jnp.linalg.cholesky(matrix + jnp.diag(RIDGE * jnp.diagonal(matrix)))


def _cho_solve(factor: Float[Array, "n n"], right: Float[Array, "n r"]) -> Float[Array, "n r"]:
    return jax.scipy.linalg.cho_solve((factor, True), right)


def _products(a: Float[Array, "n k lane"], b: Float[Array, "k r lane"]) -> Float[Array, "n r lane"]:
    total = a[:, 0, None] * b[0]
    for k in range(1, len(b)):
        total = total + a[:, k, None] * b[k]
    return total


def _minus_products(
    rest: Float[Array, "n r lane"], a: Float[Array, "n k lane"], b: Float[Array, "k r lane"]
) -> Float[Array, "n r lane"]:
    for k in range(len(b)):
        rest = rest - a[:, k, None] * b[k]
    return rest


def _turned(a: Float[Array, "n k lane"]) -> Float[Array, "k n lane"]:
    return jnp.swapaxes(a, 0, 1)


def _inverse_factor(tile: Tile) -> Tile:
    """The inverse of the lower factor of a tile: what elimination, which leaves the upper one, makes of 1."""
    size, lanes = tile.shape[1:]
    index = np.arange(size, dtype=np.int32)[:, None]

    def eliminate(k: Array, both: Float[Array, "p twice_p lane"]) -> Float[Array, "p twice_p lane"]:
        line = both[k]
        line = line * jax.lax.rsqrt(line[k])
        below = jnp.where(index > k, line[:size], 0)
        return jnp.where((index == k)[..., None], line, both - below[:, None] * line)

    one = jnp.broadcast_to(jnp.eye(size, dtype=tile.dtype)[..., None], (size, size, lanes))
    return jax.lax.fori_loop(0, size, eliminate, jnp.concatenate([tile, one], axis=1))[:, size:]


def _factor(tiles: Tiles) -> tuple[Tiles, Float[Array, "i p p lane"]]:
    count = len(tiles)

    def column(k: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        def reduce(i: Array, tiles: Tiles) -> Tiles:
            rest = jax.lax.fori_loop(
                0, k, lambda j, rest: _minus_products(rest, tiles[i, j], _turned(tiles[k, j])), tiles[i, k]
            )
            return tiles.at[i, k].set(rest)

        def divide(i: Array, tiles: Tiles) -> Tiles:
            return tiles.at[i, k].set(_products(tiles[i, k], _turned(inverse)))

        tiles, inverses = state
        tiles = jax.lax.fori_loop(k, count, reduce, tiles)
        inverse = _inverse_factor(tiles[k, k])
        return jax.lax.fori_loop(k + 1, count, divide, tiles), inverses.at[k].set(inverse)

    zero = jnp.int32(0)
    return jax.lax.fori_loop(zero, jnp.int32(count), column, (tiles, jnp.zeros_like(tiles[0])))


def _solve(lower: Tiles, inverses: Float[Array, "i p p lane"], right: Float[Array, "i p right lane"]) -> Array:
    count = len(lower)

    def forward(i: Array, right: Array) -> Array:
        rest = jax.lax.fori_loop(
            jnp.int32(0), i, lambda j, rest: _minus_products(rest, lower[i, j], right[j]), right[i]
        )
        return right.at[i].set(_products(inverses[i], rest))

    def backward(turn: Array, right: Array) -> Array:
        i = count - 1 - turn
        rest = jax.lax.fori_loop(
            i + 1, jnp.int32(count), lambda j, rest: _minus_products(rest, _turned(lower[j, i]), right[j]), right[i]
        )
        return right.at[i].set(_products(_turned(inverses[i]), rest))

    right = jax.lax.fori_loop(jnp.int32(0), jnp.int32(count), forward, right)
    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(count), backward, right)


def _joined(count: int, function: Callable[..., T], *arguments: Array) -> T:
    """The results of loops over so many rows of tiles; of one, XLA leaves no loops, and jax 0.10.2's cannot join it."""
    return function(*arguments) if count == 1 else as_one_function(function, *arguments)


def factor(matrix: Float[Array, "n n lane"], platform: Platform | None) -> Factor:
    """The factors of positive definite matrices; NaN where one is not.

    Args:
        matrix: shape ``[n, n, lane]``.
        platform: that they are made for; None if LAPACK is to do it.
    """
    size, _, lanes = matrix.shape
    if platform is not CPU or not in_tiles(size, lanes):
        whole = jax.vmap(in_turn(_cholesky))(jnp.moveaxis(matrix, -1, 0))
        return Factor(jnp.moveaxis(whole, 0, -1), None)
    count = -(-size // LARGEST_TILE)
    side = -(-size // count)
    rows = count * side
    padded = jnp.pad(matrix, ((0, rows - size), (0, rows - size), (0, 0)))
    here = np.arange(rows)[:, None, None] < size
    on_diagonal = np.eye(rows, dtype=bool)[..., None]
    padded = jnp.where(on_diagonal, jnp.where(here, (1 + RIDGE) * padded, 1), padded)
    tiles = jnp.swapaxes(padded.reshape(count, side, count, side, lanes), 1, 2)
    return Factor(*_joined(count, _factor, tiles))


def solve(factor: Factor, right: Vectors) -> Vectors:
    """Solve with a factor for some right-hand sides."""
    if factor.inverses is None:
        systems, rights = (jnp.moveaxis(array, -1, 0) for array in (factor.lower, right))
        return jnp.moveaxis(jax.vmap(in_turn(_cho_solve))(systems, rights), 0, -1)
    size, *more = right.shape
    count, side = factor.inverses.shape[:2]
    padded = jnp.pad(right, ((0, count * side - size), (0, 0), (0, 0))).reshape(count, side, *more)
    solved = _joined(count, _solve, factor.lower, factor.inverses, padded)
    return solved.reshape(count * side, *more)[:size]
