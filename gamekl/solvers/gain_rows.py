"""The deviations from a correlated ("ce") or coarse correlated ("cce") equilibrium, as rows of a program over joint
policies, and what each is measured by.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame
from gamekl.core.policies import marginals
from gamekl.solvers.constraints import ByCells, ByRows, Constraints, Equilibrated, Rows

# A row clearly does not hold if it exceeds its limit by this part of the sum of its gains and losses,
DISOBEYED = 0.1
# and by this part of the tolerance, times the chance of what it is about.
UNDECIDED = 0.03
# What is asked with a smaller chance may be left out.
RARE = 1e-6


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


def _asked(policy: Float[Array, "*actions"], concept: str) -> Rows:
    """The chance of what each row is about: of "ce" that an action is asked for, of "cce" any but one."""
    found = []
    for chance in marginals(policy, policy.ndim):
        if concept == "ce":
            found.append(jnp.repeat(chance, chance.size))
        else:
            found.append(jnp.sum(jnp.where(jnp.eye(chance.size, dtype=bool), 0, chance), axis=1))
    return jnp.concatenate(found)


def _without(policy: Float[Array, "*actions"], rows: Bool[Array, " row"], concept: str) -> Float[Array, "*actions"]:
    """A joint policy without what these rows are about; all 0 if that is everything."""
    kept, start = policy, 0
    for player, size in enumerate(policy.shape):
        if concept == "ce":
            left_out = rows[start : start + size**2].reshape(size, size).any(axis=1)
        else:
            left_out = (rows[start : start + size][:, None] & ~jnp.eye(size, dtype=bool)).any(axis=0)
        start += size**2 if concept == "ce" else size
        kept = jnp.where(left_out.reshape(-1, *(1,) * (policy.ndim - player - 1)), 0, kept)
    return kept / jnp.where(kept.sum() > 0, kept.sum(), 1)


def holds(
    rows: Constraints,
    limits: Rows,
    allowed: Bool[Array, " row"],
    policy: Float[Array, "*actions"],
    tol: float | Float[Array, ""],
    concept: str,
) -> Bool[Array, ""]:
    """Whether no limit is exceeded by more than `tol`, with or without what players would not do.

    What is asked of a player may be so unlikely that a row which forbids it, being measured by what its deviation
    brings elsewhere, holds almost as it is. Where others' payoffs are huge it matters to them all the same. So such
    joint actions are left out, and no other row may clearly fail for that. In float64 only.

    Args:
        rows: in units of their own.
        limits: likewise.
        allowed: rows that are to hold.
        policy: joint probabilities.
        tol: the tolerance.
        concept: "ce" or "cce".
    """

    def above(policy: Array) -> Rows:
        return jnp.where(allowed, jnp.maximum(rows.apply(policy.ravel()) - limits, 0), 0)

    excess = above(policy)
    within = jnp.all(excess <= tol)
    if float(jnp.finfo(policy.dtype).eps) > RARE**2:  # Such chances drown in rounding errors.
        return within

    def fails(policy: Array, excess: Rows) -> Bool[Array, " row"]:
        return excess > DISOBEYED * rows.stir(policy.ravel()) + UNDECIDED * tol * _asked(policy, concept)

    rare = _asked(policy, concept) <= RARE
    strict, left = policy, excess
    for _ in policy.shape:  # One player's whims may rest on another's.
        strict = _without(strict, fails(strict, left) & rare, concept)
        left = above(strict)
    broken = fails(strict, left - excess) & ~rare
    return within & jnp.all(left <= tol) & ~jnp.any(broken) & (strict.sum() > 0.5)
