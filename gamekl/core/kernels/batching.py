"""What ``jax.vmap`` makes of a solver: one call of a function that works on a whole batch, in blocks of lanes."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_batching import custom_vmap
from jaxtyping import Array

from gamekl.core.kernels.platforms import Platform, by_platform

R = TypeVar("R")
T = TypeVar("T")


def _stretch(size: int, in_batched: T, batch: T) -> T:
    """Give the new axis to the leaves that lack it."""
    return jax.tree.map(
        lambda leaf, batched: leaf if batched else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf))), batch, in_batched
    )


def _also_none(together: Callable[[T], R]) -> Callable[[T], R]:
    """A function of a batch, which may be one of nothing: `together` need not know of that."""

    def of_any(batch: T) -> R:
        if all(leaf.shape[0] for leaf in jax.tree.leaves(batch)):
            return together(batch)
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), batch)
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), jax.eval_shape(together, one))

    return of_any


def joining_batches(together: Callable[[T], R]) -> Callable[[T], R]:
    """A function of a batch, of which ``jax.vmap``, nested or not, makes one call with all batches in one.

    Args:
        together: all leaves of what it takes and returns have a leading axis.
    """
    many = custom_vmap(_also_none(together))

    @many.def_vmap
    def joined(size: int, in_batched: list[T], batch: T) -> tuple[R, R]:
        stretched = _stretch(size, in_batched[0], batch)
        results = many(jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), stretched))
        results = jax.tree.map(lambda leaf: leaf.reshape(size, -1, *leaf.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    return many


def sharing_lanes(alone: Callable[[T], R], together: Callable[[T], R]) -> Callable[[T], R]:
    """A solver of one problem, to which ``jax.vmap`` gives whole batches.

    Args:
        alone: solves one problem.
        together: solves a batch of them; all leaves of problems and results have a leading axis.

    Returns:
        A function of one problem: `alone`. Under ``jax.vmap``, nested or not, one call of `together`.
    """
    one, many = custom_vmap(alone), joining_batches(together)

    @one.def_vmap
    def batched(size: int, in_batched: list[T], problem: T) -> tuple[R, Any]:
        results = many(_stretch(size, in_batched[0], problem))
        return results, jax.tree.map(lambda _: True, results)

    return one


def fitting_lanes(platform: Platform, *tables: Array | np.ndarray) -> int:
    """How many elements of a batch, of which these tables (with a leading axis) are the most, are worked on at once."""
    size = sum(math.prod(table.shape[1:]) * table.dtype.itemsize for table in tables)
    return min(platform.most_lanes, 2 ** (max(platform.lane_bytes // size, 1).bit_length() - 1))


def in_blocks(function: Callable[..., R], width: int, *batch: Any) -> R:
    """Apply `function` to blocks of `width` elements of a batch, the last padded; all leaves have a leading axis."""
    size = jax.tree.leaves(batch)[0].shape[0]
    blocks = max(2, -(-size // width))  # never a loop of one turn, which would be compiled differently
    rows = jnp.minimum(jnp.arange(blocks * width), size - 1).reshape(blocks, width)
    mapped = jax.lax.map(lambda block: function(*jax.tree.map(lambda leaf: leaf[block], batch)), rows)
    return jax.tree.map(lambda leaf: leaf.reshape(blocks * width, *leaf.shape[2:])[:size], mapped)


def in_lanes(function: Callable[..., R], tables: Sequence[Array], *batch: Any) -> R:
    """Apply `function` to a batch by `in_blocks`, in blocks that fit the platform's lanes, by the size of `tables`."""
    return by_platform(lambda platform, *given: in_blocks(function, fitting_lanes(platform, *tables), *given), *batch)
