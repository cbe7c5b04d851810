"""What ``jax.vmap`` makes of a solver: one call of a function that works on a whole batch."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

R = TypeVar("R")
T = TypeVar("T")


def _stretch(size: int, in_batched: T, batch: T) -> T:
    """Give the new axis to the leaves that lack it."""
    return jax.tree.map(
        lambda leaf, batched: leaf if batched else jnp.broadcast_to(leaf, (size, *leaf.shape)), batch, in_batched
    )


def joining_batches(together: Callable[[T], R]) -> Callable[[T], R]:
    """A function of a batch, of which ``jax.vmap``, nested or not, makes one call with all batches in one.

    Args:
        together: all leaves of what it takes and returns have a leading axis.
    """
    many = custom_vmap(together)

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
