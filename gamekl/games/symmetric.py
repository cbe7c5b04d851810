"""Random symmetric games, from a key."""

from typing import Any

import jax
from jaxtyping import Array

from gamekl.core.symmetric.counts import num_counts, opponent_counts
from gamekl.core.symmetric.game import SymmetricGame

__all__ = ["opponent_counts", "uniform_symmetric"]


def uniform_symmetric(
    key: Array,
    num_players: int,
    num_actions: int,
    *,
    low: float | int = 0.0,
    high: float | int = 1.0,
    dtype: Any = None,
) -> SymmetricGame:
    """A symmetric game with independent payoffs U[low, high], one for each action and counts of the others'.

    Args:
        key: a jax random key.
        num_players: how many play.
        num_actions: of each of them.
        low: the least payoff.
        high: the largest.
        dtype: of the payoffs; jax's default where it is None.

    Raises:
        ValueError: `low` is not below `high`, or not a number >= 1 of players and of actions.
    """
    if not low < high:
        raise ValueError(f"low, high: got {low} and {high}, takes low < high")
    shape = (num_actions, num_counts(num_players, num_actions))
    return SymmetricGame(jax.random.uniform(key, shape, dtype or float, minval=low, maxval=high), num_players)
