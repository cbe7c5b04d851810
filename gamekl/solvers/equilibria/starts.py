"""Where to start from to find many equilibria of a game."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.system import split, to_logits
from gamekl.core.one_shot import action_values
from gamekl.core.regularizer import Regularizer

# Log-odds of an action that a start leaves out; powers of policies that are uniform on the simplex.
LEFT_OUT = -12.0
POWERS = 1.0, 5.0


def _responses(game: NormalFormGame, regularizer: Regularizer, policy: tuple[Array, ...]) -> tuple[Array, ...]:
    """Logits of the best responses to a profile."""
    values = action_values(game, policy)
    temperatures = regularizer.temperatures
    return tuple(
        jnp.where(mask, entry, 0) + value / temperatures[player]
        for player, (entry, mask, value) in enumerate(
            zip(regularizer.log_reference, regularizer.masks, values, strict=True)
        )
    )


def as_logits(log_policy: tuple[Array, ...], regularizer: Regularizer) -> Float[Array, "logits"]:
    """A profile to start from; actions of no probability are hardly played."""
    parts = [jnp.where(jnp.isneginf(entry), LEFT_OUT, entry) for entry in log_policy]
    return to_logits(tuple(parts), regularizer.masks)


def make_starts(
    game: NormalFormGame, regularizer: Regularizer, key: Array, num_starts: int
) -> Float[Array, "start logits"]:
    """Logits to start from: the reference, and in turn four kinds.

    These are best responses to pure profiles, uniform play on random supports, random policies, and best responses to
    such. Random policies are uniform on the simplex, or powers of such, which lie closer to its edges.

    Args:
        game: the game.
        regularizer: references and temperatures, in the game's dtype.
        key: a jax random key.
        num_starts: how many.
    """
    masks = regularizer.masks
    dtype = game.dtype
    sizes = [mask.size for mask in masks]
    # For each action, and for the share of its actions that each player leaves out. All at once: a draw of few numbers
    # takes as long as one of many.
    shape = (num_starts, sum(sizes) + len(sizes))
    tables = jax.random.uniform(key, shape, dtype, minval=jnp.finfo(dtype).tiny)

    def start(table: Array, number: Array) -> Array:
        pures, supports, draws = [], [], []
        power = jnp.where(number % 8 < 4, *POWERS).astype(dtype)
        *parts, shares = split(table, [*sizes, len(sizes)])
        for player, (mask, chances) in enumerate(zip(masks, parts, strict=True)):
            scores = jnp.where(mask, chances, -1)
            pures.append(jnp.where(scores == jnp.max(scores), 1, 0).astype(dtype))
            supports.append(jnp.where(mask & (chances < shares[player]), 0, LEFT_OUT).astype(dtype))
            draw = power * jnp.log(-jnp.log(chances))
            draws.append(jax.nn.log_softmax(jnp.where(mask, draw, -jnp.inf)))
        kinds = [
            _responses(game, regularizer, tuple(pures)),
            tuple(supports),
            tuple(jnp.where(mask, draw, 0) for mask, draw in zip(masks, draws, strict=True)),
            _responses(game, regularizer, tuple(map(jnp.exp, draws))),
        ]
        joined = [jnp.concatenate(kind) for kind in kinds]
        return jnp.select([number % 4 == kind for kind in range(len(kinds))], joined)

    starts = jax.vmap(start)(tables, jnp.arange(num_starts, dtype=jnp.int32))
    mask = jnp.concatenate(masks)
    entries = zip(masks, regularizer.log_reference, strict=True)
    reference = jnp.concatenate([jnp.where(own, entry, 0) for own, entry in entries])
    return jnp.where(mask, starts.at[0].set(reference), 0)
