"""Random families of games, each from one key; batches by ``jax.vmap`` over keys."""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.games import NormalFormGame


def table_shape(num_actions: Sequence[int]) -> tuple[int, ...]:
    """The shape ``[player, *actions]`` of payoffs.

    Raises:
        ValueError: not a number >= 1 for each player.
    """
    sizes = tuple(num_actions)
    if not sizes or any(not isinstance(size, int | np.integer) or size < 1 for size in sizes):
        raise ValueError(f"num_actions: got {num_actions!r}, takes a number >= 1 for each player")
    return (len(sizes), *sizes)


def uniform(
    key: Array, num_actions: Sequence[int], *, low: float | int = 0.0, high: float | int = 1.0, dtype: Any = None
) -> NormalFormGame:
    """A game of any number of players with independent payoffs U[low, high].

    Args:
        key: a jax random key.
        num_actions: of each player.
        low: the least payoff.
        high: the largest.
        dtype: of the payoffs; jax's default where it is None.

    Raises:
        ValueError: `low` is not below `high`, or not a number of actions >= 1 for each player.
    """
    if not low < high:
        raise ValueError(f"low, high: got {low} and {high}, takes low < high")
    return NormalFormGame(jax.random.uniform(key, table_shape(num_actions), dtype or float, minval=low, maxval=high))


def normal(key: Array, num_actions: Sequence[int], *, dtype: Any = None) -> NormalFormGame:
    """A game of any number of players with independent standard normal payoffs, shape ``[player, *num_actions]``.

    Args:
        key: a jax random key.
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: not a number of actions >= 1 for each player.
    """
    return NormalFormGame(jax.random.normal(key, table_shape(num_actions), dtype or float))


def zero_sum(key: Array, num_actions: Sequence[int], *, dtype: Any = None) -> NormalFormGame:
    """A zero-sum game of two players: payoffs U[-1, 1] for the first, their negative for the second.

    Args:
        key: a jax random key.
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: other than two players, or not a number of actions >= 1 for each.
    """
    if len(num_actions) != 2:
        raise ValueError(f"num_actions: got {len(num_actions)} players, takes 2 for a zero-sum game")
    first = jax.random.uniform(key, table_shape(num_actions)[1:], dtype or float, minval=-1, maxval=1)
    return NormalFormGame(jnp.stack([first, -first]))


def preference(key: Array, num_actions: Sequence[int], *, dtype: Any = None) -> NormalFormGame:
    """A symmetric preference game: P_ij ~ U[0, 1] for i < j with P + P^T = 1, and payoffs P and P^T of two players.

    Args:
        key: a jax random key.
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: other than two players with the same actions.
    """
    players, *sizes = table_shape(num_actions)
    if players != 2 or len(set(sizes)) > 1:
        raise ValueError(f"num_actions: got {tuple(num_actions)}, takes two equal numbers for a preference game")
    upper = jnp.triu(jax.random.uniform(key, sizes, dtype or float), 1)
    preferences = upper + jnp.tril(1 - upper.T, -1) + jnp.eye(sizes[0], dtype=upper.dtype) / 2
    return NormalFormGame(jnp.stack([preferences, preferences.T]))


def covariant(key: Array, num_actions: Sequence[int], *, correlation: float | int, dtype: Any = None) -> NormalFormGame:
    """A game with standard normal payoffs whose correlation between any two players, in each cell, is `correlation`.

    1 gives common interests; -1 / (players - 1), the least possible, gives payoffs that sum to zero.

    Args:
        key: a jax random key.
        num_actions: of each player.
        correlation: of any two players' payoffs in a cell, from -1 / (players - 1) to 1.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: the correlation is out of range.
    """
    shape = table_shape(num_actions)
    players = shape[0]
    least = -1.0 / (players - 1) if players > 1 else 0.0
    if not least <= correlation <= 1:
        raise ValueError(f"correlation: got {correlation}, takes {least} to 1 for {players} players")
    # The covariance (1 - c) I + c 11^T has the square root a I + b 11^T.
    a = math.sqrt(1 - correlation)
    b = (math.sqrt(max(1 + (players - 1) * correlation, 0.0)) - a) / players
    draws = jax.random.normal(key, shape, dtype or float)
    return NormalFormGame(a * draws + b * draws.sum(axis=0, keepdims=True))


def potential(key: Array, num_actions: Sequence[int], *, dtype: Any = None) -> NormalFormGame:
    """An exact potential game: a common U[0, 1] potential, and for each player a term of the others' actions.

    Args:
        key: a jax random key.
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: not a number of actions >= 1 for each player.
    """
    shape = table_shape(num_actions)
    keys = jax.random.split(key, shape[0] + 1)
    common = jax.random.uniform(keys[0], shape[1:], dtype or float)
    payoffs = []
    for player in range(shape[0]):
        others = tuple(1 if axis == player else size for axis, size in enumerate(shape[1:]))
        payoffs.append(common + jax.random.uniform(keys[player + 1], others, dtype or float))
    return NormalFormGame(jnp.stack(payoffs))


def polymatrix(key: Array, num_actions: Sequence[int], *, dtype: Any = None) -> NormalFormGame:
    """A game, as a dense table, whose payoffs are the mean of U[0, 1] two-player payoffs against each opponent.

    Args:
        key: a jax random key.
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        ValueError: fewer than two players, or not a number of actions >= 1 for each.
    """
    shape = table_shape(num_actions)
    players = shape[0]
    if players < 2:
        raise ValueError(f"num_actions: got {players} player, takes at least 2 for a polymatrix game")
    payoffs = jnp.zeros(shape, dtype or float)
    for number, (i, j) in enumerate(combinations(range(players), 2)):
        pair = tuple(size if axis in (i, j) else 1 for axis, size in enumerate(shape[1:]))
        for player, pair_key in zip((i, j), jax.random.split(jax.random.fold_in(key, number)), strict=True):
            draws = jax.random.uniform(pair_key, pair, dtype or float)
            payoffs = payoffs.at[player].add(draws / (players - 1))
    return NormalFormGame(payoffs)
