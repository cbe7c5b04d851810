"""The field's summaries of the players' gaps (`regularized_gap` and `nash_gap` themselves are in `core.response`)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import Profile
from gamekl.core.response import nash_gap


def nash_conv(game: NormalFormGame, log_policy: Profile) -> Float[Array, ""]:
    """Sum of the players' Nash gaps, payoff units (OpenSpiel's definition)."""
    return jnp.sum(nash_gap(game, log_policy))


def exploitability(game: NormalFormGame, log_policy: Profile) -> Float[Array, ""]:
    """Mean of the players' Nash gaps, payoff units (OpenSpiel's definition)."""
    return jnp.mean(nash_gap(game, log_policy))
