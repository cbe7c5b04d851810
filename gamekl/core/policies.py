"""Policies in log space.

A policy pi of a player is a point of the simplex over its actions; a profile is one policy for each player, kept as a
tuple because players may have different numbers of actions. Arguments named ``policy`` are probabilities, those
named ``log_policy`` logarithms, where -inf marks an action that is never played.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gamekl.core.arrays import own


def is_concrete(*trees: object) -> bool:
    """Whether no leaf of the trees is being traced by ``jit``, ``vmap`` or ``grad``."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


# A policy for each player, from outside.
Profile = Sequence[ArrayLike | Sequence[Any]]
# A profile may be off by this much, the rounding of float32 or a user's small constant inside a logarithm.
PROFILE_SLACK = 1e-5


def check_profile(
    field: str, profile: Profile, num_actions: Sequence[int], *, log: bool, stage: tuple[int, ...] = ()
) -> tuple[Float[Array, "*stage _"], ...]:
    """The profile as arrays ``[*stage, actions_i]``, after checking its shapes and, where concrete, its values.

    Raises:
        ValueError: not one array for each player, or not (logarithms of) probabilities that sum to one.
        TypeError: no sequence of arrays.
    """
    if not isinstance(profile, Sequence) and not hasattr(profile, "shape"):
        raise TypeError(f"{field}: got {type(profile).__name__}, takes one [actions] array for each player")
    owned = [own(f"{field}[{index}]", entry) for index, entry in enumerate(profile)]
    shapes = [entry.shape for entry in owned]
    expected = [(*stage, size) for size in num_actions]
    if shapes != expected:
        axes = "[*stage, actions]" if stage else "[actions]"
        raise ValueError(f"{field}: got shapes {shapes}, takes one {axes} array for each player: {expected}")
    for index, entry in enumerate(owned):
        if not is_concrete(entry):
            continue
        values = np.asarray(entry, dtype=np.float64)
        if log and np.any(values > PROFILE_SLACK):
            raise ValueError(f"{field}[{index}]: got {values.max()}, takes logarithms of probabilities, none above 0")
        if not log and np.any(values < 0):
            raise ValueError(f"{field}[{index}]: got {values.min()}, takes probabilities, none below 0")
        totals = (np.exp(values) if log else values).sum(axis=-1)
        wrong = np.argwhere(np.abs(totals - 1) > PROFILE_SLACK)  # none for NaN: a failed solve may be evaluated
        if len(wrong):
            where = ", ".join(map(str, [index, *wrong[0]]))
            total = totals[tuple(wrong[0])]
            raise ValueError(f"{field}[{where}]: got a sum of {total:.6g}, takes probabilities that sum to 1")
    return tuple(
        entry
        if isinstance(entry, jax.Array) and jnp.issubdtype(entry.dtype, jnp.floating)
        else jnp.asarray(entry, float)
        for entry in owned
    )


def normalize(logits: Float[Array, "*batch actions"]) -> Float[Array, "*batch actions"]:
    """The log-policy of logits: ``logits - logsumexp(logits)`` over the last axis, with -inf kept as -inf."""
    return jax.nn.log_softmax(logits, axis=-1)


def support(log_policy: Float[Array, "*batch actions"]) -> Bool[Array, "*batch actions"]:
    """Which actions have positive probability (NaN counts as positive, so that it is not masked away)."""
    return ~jnp.isneginf(log_policy)


def padded(parts: Sequence[Array], fill: float | bool) -> Array:
    """The parts as rows of one array, shape ``[part, longest]``; shorter ones end in `fill`."""
    longest = max(part.shape[0] for part in parts)
    rows = [
        part if part.shape[0] == longest else jnp.pad(part, (0, longest - part.shape[0]), constant_values=fill)
        for part in parts
    ]
    return jnp.stack(rows)


def kl(
    log_policy: Float[Array, "*batch actions"], log_reference: Float[Array, "*batch actions"]
) -> Float[Array, "*batch"]:
    """KL(policy || reference) = sum_a pi(a) (log pi(a) - log pi0(a)), in nats.

    Actions with pi(a) = 0 count nothing; a policy that plays an action outside the reference's support is infinitely
    far from it. Both cases have finite gradients in the remaining entries.
    """
    played = support(log_policy)
    covered = support(log_reference)
    both = played & covered
    # Double where: neither branch, nor its derivative, ever sees inf - inf.
    difference = jnp.where(both, log_policy, 0) - jnp.where(both, log_reference, 0)
    terms = jnp.where(both, jnp.exp(jnp.where(both, log_policy, 0)) * difference, 0)
    off_support = jnp.any(played & ~covered, axis=-1)
    return jnp.where(off_support, jnp.inf, terms.sum(axis=-1))


def centre(values: Float[Array, "*batch actions"], mask: Bool[Array, " actions"]) -> Float[Array, "*batch actions"]:
    """Subtract the mean over the actions in `mask`; the others become 0."""
    kept = jnp.where(mask, values, 0)
    mean = kept.sum(axis=-1, keepdims=True) / mask.sum().astype(values.dtype)
    return jnp.where(mask, kept - mean, 0)


def marginals(joint: Float[Array, "..."], num_players: int) -> tuple[Float[Array, "..."], ...]:
    """Each player's part of a table whose first axes are the players' actions; axes behind those stay."""
    players = range(num_players)
    return tuple(joint.sum(axis=tuple(other for other in players if other != player)) for player in players)


def check_alone(batch: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless a solution to sample from is one, and no batch."""
    if batch:
        raise ValueError(
            f"sample: got a batch of solutions {batch}, takes one: jax.vmap(lambda one, key: one.sample(key, n))"
        )


def sample_joint(
    key: ArrayLike, probs: Float[Array, " joint"], num_actions: Sequence[int], num_samples: int
) -> Int[Array, "sample player"]:
    """Joint actions drawn from a distribution over them, in player order, shape ``[num_samples, player]``."""
    cell = jax.random.categorical(key, jnp.log(probs), shape=(num_samples,))
    return jnp.stack(jnp.unravel_index(cell, tuple(num_actions)), axis=-1)


def outer(parts: Sequence[Float[Array, "*stage _"]]) -> Float[Array, "*stage_and_actions"]:
    """The product of one vector ``[*stage, actions_i]`` for each player, shape ``[*stage, *actions]``."""
    *stage, _ = parts[0].shape
    product = jnp.ones(stage, dtype=parts[0].dtype)
    for player, part in enumerate(parts):
        product = product[..., None] * part.reshape(*stage, *[1] * player, -1)
    return product
