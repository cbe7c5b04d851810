"""Sufficient statistics of logged play, drawn exactly in law at a cost that does not depend on the sample size.

n rows (a, r) with a ~ mu and r_i ~ noise around r_i(a) enter the tabular estimate only through the count N(a) of each
joint action and the sum of its rewards. N is multinomial(n, mu); given N, a sum is Gaussian with mean N r_i and
variance N sigma^2, or Binomial(N, r_i). So 10^12 rows cost what ten cost.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.validation import Behavior, check_noise, joint_behavior

T = TypeVar("T")
Noise = ArrayLike | str

# Whole numbers up to here are exact in each dtype.
MAX_EXACT = {jnp.dtype("float32"): 2**24, jnp.dtype("float64"): 2**53}
# jax's float32 binomial is right in law up to here (chi-squared over 4e6 draws); at 1e6 its mean is visibly off.
MAX_DRAWN_IN_FLOAT32 = 2**17


def _precise() -> bool:
    """Whether jax's x64 mode is on."""
    return jnp.result_type(float) == jnp.float64


def in_float64(function: Callable[..., T], *arguments: Any) -> T:
    """Call a jitted function of concrete arguments in float64, also where jax's x64 mode is off.

    Floating arguments are widened; results come back in the precision that the mode allows.
    """
    host = [np.asarray(a, dtype=float) if isinstance(a, float) else a for a in arguments]
    if _precise():
        return function(*host)
    with jax.enable_x64(True):
        result = jax.tree.map(np.asarray, function(*host))
    return jax.tree.map(jnp.asarray, result)


class Statistics(eqx.Module):
    """What the tabular estimate needs of a log.

    Attributes:
        counts: rows seen for each joint action, whole numbers, shape ``[*actions]``.
        reward_sums: sum of each player's rewards over these rows, shape ``[player, *actions]``, payoff units.
    """

    counts: Float[Array, "*actions"]
    reward_sums: Float[Array, "player *actions"]


def _split_counts(
    key: Array, counts: Float[Array, " group"], masses: Float[Array, "group cell"]
) -> Float[Array, "group cell"]:
    """Split each group's count over its cells: multinomial by successive binomials, a cell of all groups at a time."""
    tails = jnp.cumsum(masses[:, ::-1], axis=1)[:, ::-1]
    # Exactly 1 at a group's last cell that has mass, so that totals are kept to the last row.
    shares = jnp.where(masses > 0, masses / jnp.where(tails > 0, tails, 1), 0)

    def draw(left: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
        cell_key, share = inputs
        drawn = jax.random.binomial(cell_key, left, share, dtype=left.dtype)
        return left - drawn, drawn

    _, drawn = jax.lax.scan(draw, counts, (jax.random.split(key, masses.shape[1]), shares.T))
    return drawn.T


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
    per_group = _split_counts(outer_key, num_samples[None], masses.sum(axis=1)[None])[0]
    return _split_counts(inner_key, per_group, masses).ravel()[: flat.size].reshape(probs.shape)


@eqx.filter_jit
def _draw(key: Array, payoffs: Array, joint: Array, num_samples: Array, noise: Array | str) -> Statistics:
    count_key, reward_key = jax.random.split(key)
    counts = sample_counts(count_key, num_samples, joint.astype(num_samples.dtype))
    means = payoffs.astype(counts.dtype)
    if isinstance(noise, str):
        in_range = (means >= 0) & (means <= 1)
        drawn = jax.random.binomial(reward_key, counts, jnp.where(in_range, means, 0), payoffs.shape, counts.dtype)
        sums = jnp.where(in_range, drawn, jnp.nan)
    else:
        normals = jax.random.normal(reward_key, payoffs.shape, counts.dtype)
        sums = counts * means + jnp.sqrt(counts) * noise.astype(counts.dtype) * normals
    return Statistics(counts, sums.astype(payoffs.dtype))


def check_whole(num_samples: ArrayLike) -> None:
    """Raise ``ValueError`` unless a concrete number of rows is a whole number >= 1."""
    if is_concrete(num_samples):
        n = float(np.asarray(num_samples))
        if not (n >= 1 and n == np.floor(n)):
            raise ValueError(f"num_samples: got {num_samples}, takes a whole number >= 1")


def _check_num_samples(num_samples: ArrayLike, most: int) -> None:
    check_whole(num_samples)
    if is_concrete(num_samples) and (n := float(np.asarray(num_samples))) > most:
        remedy = "" if _precise() else "; float64 takes more: jax.config.update('jax_enable_x64', True)"
        raise ValueError(f"num_samples: got {n:.6g}, takes at most {most} in this precision{remedy}")


def sample_statistics(
    key: Array, game: NormalFormGame, behavior: Behavior, num_samples: ArrayLike, noise: Noise
) -> Statistics:
    """Draw the statistics of `num_samples` logged rows, exactly in law.

    Counts are drawn in float64. Where jax's x64 mode is off they come back as float32, so at most 2^24 rows; and under
    ``jit`` or ``vmap``, where float64 is then out of reach, at most 2^17, beyond which the counts are NaN.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game; sums get its dtype.
        behavior: joint distribution ``[*actions]`` or a tuple of policies.
        num_samples: how many rows, >= 1; may be traced.
        noise: standard deviation of Gaussian rewards (payoff units), independent across players, or "bernoulli" for
            0/1 rewards whose means are the payoffs.

    Raises:
        ValueError: bad behavior, noise or number of rows (where concrete).
    """
    joint = joint_behavior(game, behavior)
    check_noise(noise, game)
    if not isinstance(noise, str):
        noise = jnp.asarray(noise, dtype=float)
    if is_concrete(key, game, joint, num_samples, noise):
        _check_num_samples(num_samples, MAX_EXACT[jnp.zeros(()).dtype])
        return in_float64(_draw, key, game.payoffs, joint, float(np.asarray(num_samples)), noise)
    most = MAX_EXACT[jnp.dtype("float64")] if _precise() else MAX_DRAWN_IN_FLOAT32
    _check_num_samples(num_samples, most)
    n = jnp.asarray(num_samples, dtype=joint.dtype)
    return _draw(key, game.payoffs, joint, jnp.where(n <= most, n, jnp.nan), noise)
