"""Exact draws of counts and reward sums, at a cost that does not depend on how many rows they stand for."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import has_float64
from gamekl.core.kernels.binomials import draw_binomials
from gamekl.core.kernels.words import draw_normals
from gamekl.core.policies import is_concrete

T = TypeVar("T")
Noise = ArrayLike | str

# Whole numbers up to here are exact in each dtype.
MAX_EXACT: dict[np.dtype[Any], int] = {jnp.dtype("float32"): 2**24, jnp.dtype("float64"): 2**53}
# Binomials in float32 are right in law up to here (chi-squared over 4e6 draws).
MAX_DRAWN_IN_FLOAT32 = 2**17

# What a turn of the loop in `split_counts` costs beside its binomials, in binomials.
TURN = 16


def in_float64(function: Callable[..., T], *arguments: Any) -> T:
    """Call a jitted function of concrete arguments in float64, also where jax's x64 mode is off.

    Floating arguments are widened; results come back in the precision that the mode allows.
    """
    host = [np.asarray(a, dtype=float) if isinstance(a, float) else a for a in arguments]
    if has_float64():
        return function(*host)
    with jax.enable_x64(True):
        result = jax.tree.map(np.asarray, function(*host))
    return jax.tree.map(jnp.asarray, result)


def _starts(cells: int, width: int) -> list[int]:
    """Where to begin, so that the parent of each of `width` nodes in a row, from there on, was seen before.

    A node's parent is the integer half of the number before it. Those that were not are seen again later.
    """
    starts = [0]
    while starts[-1] + width < cells - 1 or 2 * starts[-1] + 1 < cells - 1:
        starts.append(min(2 * starts[-1] + 1, starts[-1] + width))
    return starts


def _node_masses(masses: Float[Array, "cell group"]) -> Float[Array, "node group"]:
    """Masses of all nodes of a binary tree, node k having 2k + 1 and 2k + 2 below it, the cells last."""
    nodes, start = masses, len(masses) - 1
    while start > 0:
        first = start // 2
        below = nodes[2 * first + 1 - start : start + 1]
        nodes = jnp.concatenate([below[::2] + below[1::2], nodes])
        start = first
    return nodes


def split_counts(
    key: Array, counts: Float[Array, " group"], masses: Float[Array, "group cell"]
) -> Float[Array, "group cell"]:
    """Split each group's count over its cells: multinomial by binomials, between the halves of a binary tree.

    Cells without mass get none. Some nodes of the tree are drawn at once, for all groups, and the next ones in the next
    turn of a loop: so there is one binomial for each cell, and few turns.
    """
    groups, cells = masses.shape
    counts = jnp.where(masses.sum(axis=1) == 0, 0, counts)
    if cells == 1:
        return counts[:, None]
    width = min(range(1, cells), key=lambda width: (width * groups + TURN) * len(_starts(cells, width)))
    starts = _starts(cells, width)
    nodes = _node_masses(masses.T)
    first, second = (jnp.pad(side, ((0, width), (0, 0))) for side in (nodes[1::2], nodes[2::2]))
    total = first + second
    shares = jnp.minimum(first, second) / jnp.where(total > 0, total, 1)
    shares = jnp.where(first > second, -shares, shares)  # the sign says which side is rarer

    def split(tree: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        turn_key, start = inputs
        whole, share = (jax.lax.dynamic_slice_in_dim(part, start, width) for part in (tree, shares))
        rarer = draw_binomials(turn_key, whole, jnp.abs(share))
        rarer = jnp.where(jnp.signbit(share), whole - rarer, rarer)
        halves = jnp.stack([rarer, whole - rarer], axis=1)
        return jax.lax.dynamic_update_slice_in_dim(tree, halves.reshape(-1, groups), 2 * start + 1, axis=0), None

    tree = jnp.zeros((2 * (cells + width), groups), counts.dtype).at[0].set(counts)
    tree, _ = jax.lax.scan(split, tree, (jax.random.split(key, len(starts)), jnp.asarray(starts)))
    return tree[cells - 1 : 2 * cells - 1].T


def sample_counts(
    key: Array, num_samples: Float[Array, ""], probs: Float[Array, "*actions"]
) -> Float[Array, "*actions"]:
    """Counts ~ multinomial(num_samples, probs), in the dtype of `probs`; cells without mass get none."""
    return split_counts(key, num_samples[None], probs.ravel()[None])[0].reshape(probs.shape)


def sample_sums(
    key: Array, counts: Float[Array, "*actions"], means: Float[Array, "player *actions"], noise: Array | str
) -> Float[Array, "player *actions"]:
    """Draw sums of as many rewards as counts say, in the counts' dtype; NaN where "bernoulli" meets no probability."""
    shape = means.shape
    # One axis of cells: XLA's loops for CPUs are slow where the last axes are short.
    counts, means = counts.ravel(), means.astype(counts.dtype).reshape(shape[0], -1)
    if isinstance(noise, str):
        in_range = (means >= 0) & (means <= 1)
        counts = jnp.broadcast_to(counts, means.shape)
        drawn = draw_binomials(key, counts, jnp.where(in_range, jnp.minimum(means, 1 - means), 0))
        return jnp.where(in_range, jnp.where(means > 0.5, counts - drawn, drawn), jnp.nan).reshape(shape)
    normals = draw_normals(key, means.size, counts.dtype).reshape(means.shape)
    return (counts * means + jnp.sqrt(counts) * noise.astype(counts.dtype) * normals).reshape(shape)


def check_whole(num_samples: ArrayLike) -> None:
    """Raise ``ValueError`` unless a concrete number of rows is a whole number >= 1."""
    if is_concrete(num_samples):
        n = np.asarray(num_samples)
        if n.shape != () or not (n >= 1 and n == np.floor(n)):
            raise ValueError(f"num_samples: got {num_samples}, takes a whole number >= 1")


def draw_rows(draw: Callable[..., T], num_samples: ArrayLike, *arguments: Any) -> T:
    """Call a jitted function as draw(*arguments, num_samples): in float64 where all are concrete, whatever jax's mode.

    Under a transformation it is as exact as the mode allows: more rows are refused, or, where their number is traced,
    NaN.

    Raises:
        ValueError: `num_samples` is no whole number that can be drawn exactly.
    """
    if is_concrete(num_samples, arguments):
        check_num_samples(num_samples, MAX_EXACT[jnp.zeros(()).dtype])
        return in_float64(draw, *arguments, float(np.asarray(num_samples)))
    most = MAX_EXACT[jnp.dtype("float64")] if has_float64() else MAX_DRAWN_IN_FLOAT32
    check_num_samples(num_samples, most)
    n = jnp.asarray(num_samples, dtype=float)
    return draw(*arguments, jnp.where(n <= most, n, jnp.nan))


def check_num_samples(num_samples: ArrayLike, most: int) -> None:
    """Raise ``ValueError`` unless a concrete number of rows is a whole number from 1 to `most`."""
    check_whole(num_samples)
    if is_concrete(num_samples) and (n := float(np.asarray(num_samples))) > most:
        remedy = "" if has_float64() else "; float64 takes more: jax.config.update('jax_enable_x64', True)"
        raise ValueError(f"num_samples: got {n:.6g}, takes at most {most} in this precision{remedy}")
