"""The deviations from a correlated ("ce") or coarse correlated ("cce") equilibrium, as rows of a program over joint
policies, and what each is measured by.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame
from gamekl.solvers.constraints import ByCells, ByRows, Constraints, Equilibrated


def count_gains(game: NormalFormGame, concept: str) -> tuple[int, int]:
    """How many rows the matrix of gains has, and how many columns."""
    return sum(size**2 if concept == "ce" else size for size in game.num_actions), math.prod(game.num_actions)


def gain_matrix(game: NormalFormGame, concept: str) -> Float[Array, "row joint"]:
    """What each deviation gains at each joint action."""
    return deviations.gains(game) if concept == "ce" else deviations.coarse_gains(game)


def gain_rows(game: NormalFormGame, concept: str) -> Constraints:
    """In the form in which a step takes less work."""
    rows, cells = count_gains(game, concept)
    if concept == "ce" and rows**2 * cells + rows**3 / 3 > cells**3 / 3:
        return ByCells(game)
    return ByRows(gain_matrix(game, concept))


def owners(game: NormalFormGame, concept: str) -> np.ndarray:
    """The player of each row."""
    counts = [size**2 if concept == "ce" else size for size in game.num_actions]
    return np.repeat(np.arange(game.num_players), counts)


def allowed_rows(masks: list[Bool[Array, " _"]], concept: str) -> Bool[Array, " row"]:
    """The rows from and to actions of the supports."""
    if concept == "cce":
        return jnp.concatenate(masks)
    return jnp.concatenate([(mask[:, None] & mask & ~jnp.eye(len(mask), dtype=bool)).ravel() for mask in masks])


def rescaled(game: NormalFormGame) -> tuple[NormalFormGame, Float[Array, " player"]]:
    """The game with each player's payoffs less their median and divided into [-1, 1], and the divisors.

    The median, because a few cells of another size, such as forbidden ones, would take the digits of all others.
    """
    axes = tuple(range(1, game.payoffs.ndim))
    moved = game.payoffs - jnp.median(game.payoffs, axis=axes, keepdims=True)
    scale = jnp.max(jnp.abs(moved), axis=axes)
    scale = jnp.where(scale > 0, scale, 1)
    return NormalFormGame(moved / scale.reshape(-1, *[1] * game.num_players)), scale


def equilibrated(rows: Constraints) -> Equilibrated:
    """With each deviation measured by what it typically brings."""
    return Equilibrated(rows, rows.sizes())
