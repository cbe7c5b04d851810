"""Exact draws of counts and reward sums, at a cost that does not depend on how many rows they stand for."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import has_float64
from gamekl.core.policies import is_concrete

T = TypeVar("T")
Noise = ArrayLike | str

# Whole numbers up to here are exact in each dtype.
MAX_EXACT: dict[np.dtype[Any], int] = {jnp.dtype("float32"): 2**24, jnp.dtype("float64"): 2**53}
# jax's float32 binomial is right in law up to here (chi-squared over 4e6 draws); at 1e6 its mean is visibly off.
MAX_DRAWN_IN_FLOAT32 = 2**17


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


def split_counts(
    key: Array, counts: Float[Array, " group"], masses: Float[Array, "group cell"]
) -> Float[Array, "group cell"]:
    """Split each group's count over its cells: multinomial by successive binomials, a cell of all groups at a time."""
    tails = jnp.cumsum(masses[:, ::-1], axis=1)[:, ::-1]
    # Exactly 1 at a group's last cell that has mass, so that totals are kept to the last row.
    shares = jnp.where(masses > 0, masses / jnp.where(tails > 0, tails, 1), 0)
    last = masses.shape[1] - 1

    def draw(left: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        cell_key, share = inputs
        drawn = jax.random.binomial(cell_key, left, share, dtype=left.dtype)
        return left - drawn, drawn

    left, drawn = jax.lax.scan(draw, counts, (jax.random.split(key, last + 1)[:last], shares[:, :last].T))
    return jnp.concatenate(
        [drawn, (left * shares[:, last])[None]]
    ).T  # the last cell takes what is left, or has no mass


def sample_counts(
    key: Array, num_samples: Float[Array, ""], probs: Float[Array, "*actions"]
) -> Float[Array, "*actions"]:
    """Counts ~ multinomial(num_samples, probs), in the dtype of `probs`; cells without mass get none.

    Two rounds of successive binomials, over groups of about sqrt(cells) and then within all groups at once, take
    2 sqrt(cells) steps one after another instead of as many as there are cells.
    """
    flat = probs.ravel()
    width = max(1, round(flat.size**0.5))
    groups = -(-flat.size // width)
    masses = jnp.pad(flat, (0, groups * width - flat.size)).reshape(groups, width)
    outer_key, inner_key = jax.random.split(key)
    per_group = split_counts(outer_key, num_samples[None], masses.sum(axis=1)[None])[0]
    return split_counts(inner_key, per_group, masses).ravel()[: flat.size].reshape(probs.shape)


def sample_sums(
    key: Array, counts: Float[Array, "*actions"], means: Float[Array, "player *actions"], noise: Array | str
) -> Float[Array, "player *actions"]:
    """Draw sums of as many rewards as counts say, in the counts' dtype; NaN where "bernoulli" meets no probability."""
    means = means.astype(counts.dtype)
    if isinstance(noise, str):
        in_range = (means >= 0) & (means <= 1)
        drawn = jax.random.binomial(key, counts, jnp.where(in_range, means, 0), means.shape, counts.dtype)
        return jnp.where(in_range, drawn, jnp.nan)
    normals = jax.random.normal(key, means.shape, counts.dtype)
    return counts * means + jnp.sqrt(counts) * noise.astype(counts.dtype) * normals


def check_whole(num_samples: ArrayLike) -> None:
    """Raise ``ValueError`` unless a concrete number of rows is a whole number >= 1."""
    if is_concrete(num_samples):
        n = float(np.asarray(num_samples))
        if not (n >= 1 and n == np.floor(n)):
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
