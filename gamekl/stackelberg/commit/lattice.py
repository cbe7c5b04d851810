"""A lattice of policies, and the highest of its points."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

# Points, at most, unless vertices alone are more; and the finest mesh.
MOST_POINTS = 1_000
FINEST = 200


def _finest(actions: int) -> int:
    """The m of the lattice, of whose inverse entries are multiples."""
    finest = (m for m in range(FINEST, 1, -1) if math.comb(m + actions - 1, m) <= MOST_POINTS)
    return 1 if actions == 1 else next(finest, 1)


def lattice(actions: int) -> tuple[Float[np.ndarray, "point action"], Int[np.ndarray, "point neighbour"]]:
    """Policies whose entries are multiples of 1 / m, and the places of each one's neighbours (its own at an end)."""
    m = _finest(actions)
    bars = itertools.combinations(range(m + actions - 1), actions - 1)
    points = np.array([np.diff([-1, *cut, m + actions - 1]) - 1 for cut in bars], dtype=np.int64)
    places = {tuple(point): place for place, point in enumerate(points.tolist())}
    moves = [
        np.eye(actions, dtype=int)[a] - np.eye(actions, dtype=int)[b]
        for a, b in itertools.permutations(range(actions), 2)
    ]
    if len(moves) * len(points) > MOST_POINTS * 100:
        moves = []
    neighbours = [
        [places.get(tuple(point + move), place) for move in [*moves, 0 * points[0]]]
        for place, point in enumerate(points)
    ]
    return points / m, np.array(neighbours)


def highest(values: Float[Array, " point"], count: int) -> Int[Array, " place"]:
    """The places of the highest points, one after another: a few take less than to sort all."""
    numbers = jnp.arange(len(values), dtype=jnp.int32)

    def find(left: Array, _: None) -> tuple[Array, Array]:
        # In two passes: XLA for CPUs takes several times as long for the place itself.
        most = jax.lax.optimization_barrier(left.max())
        place = jnp.min(jnp.where(left == most, numbers, len(values) - 1))
        return jnp.where(numbers == place, -jnp.inf, left), place

    return jax.lax.scan(find, values, None, length=count)[1]
