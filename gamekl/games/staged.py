"""Random families of games in stages, each from one key: games of one-shot families, and Dirichlet transitions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.validation import check_whole
from gamekl.games.random import uniform

Family = Callable[..., NormalFormGame]


def _stages(key: Array, family: Family, num_actions: Sequence[int], stage: tuple[int, ...], options: Any) -> Array:
    keys = jax.random.split(key, math.prod(stage))
    tables = jax.vmap(lambda entry: family(entry, num_actions, **options).payoffs)(keys)
    return tables.reshape(*stage, *tables.shape[1:])


def contextual(
    key: Array, num_actions: Sequence[int], *, num_contexts: int, family: Family = uniform, **options: Any
) -> ContextualGame:
    """A contextual game: independent games of a one-shot family in equally likely contexts.

    Args:
        key: of all that is drawn.
        num_actions: of each player.
        num_contexts: how many contexts there are.
        family: of the games, such as `uniform` or `zero_sum`.
        options: of the family.

    Raises:
        ValueError: a number of contexts below 1, or a bad option.
    """
    check_whole(num_contexts=num_contexts)
    payoffs = _stages(key, family, num_actions, (num_contexts,), options)
    return ContextualGame(payoffs, jnp.full(num_contexts, 1 / num_contexts, payoffs.dtype))


def markov(
    key: Array,
    num_actions: Sequence[int],
    *,
    num_states: int,
    horizon: int,
    concentration: float | int = 1.0,
    family: Family = uniform,
    **options: Any,
) -> MarkovGame:
    """A Markov game with rewards from a one-shot family at each step and state, and next states from Dirichlets.

    Args:
        key: of all that is drawn.
        num_actions: of each player.
        num_states: how many states there are.
        horizon: how many steps.
        concentration: of the Dirichlet of next states; small ones are nearly deterministic. The first state is uniform.
        family: of the rewards, such as `uniform` or `zero_sum`.
        options: of the family.

    Raises:
        ValueError: a number of states or steps below 1, a concentration that is not above 0, or a bad option.
    """
    check_whole(num_states=num_states, horizon=horizon)
    if not concentration > 0:
        raise ValueError(f"concentration: got {concentration}, takes a number > 0")
    reward_key, move_key = jax.random.split(key)
    rewards = _stages(reward_key, family, num_actions, (horizon, num_states), options)
    weights = jnp.full(num_states, concentration, rewards.dtype)
    moves = jax.random.dirichlet(move_key, weights, (horizon, num_states, *rewards.shape[3:]), rewards.dtype)
    return MarkovGame(rewards, moves, jnp.full(num_states, 1 / num_states, rewards.dtype))
