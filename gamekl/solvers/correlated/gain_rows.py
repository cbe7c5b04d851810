"""Deviations from correlated equilibria as rows of a program over joint policies, and what each is measured by.

The concept is "ce" for correlated and "cce" for coarse correlated equilibria.
"""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame
from gamekl.core.policies import marginals
from gamekl.solvers.correlated.constraints import ByCells, ByRows, Constraints, Equilibrated, Rows

# A row clearly does not hold if it exceeds its limit by this part of the sum of its gains and losses,
DISOBEYED = 0.1
# and by this part of the tolerance, times the chance of what it is about.
UNDECIDED = 0.03
# What is asked with a smaller chance may be left out.
RARE = 1e-6
# No row is measured anew as if what it is about had a smaller one.
RAREST = 1e-30


def count_gains(game: NormalFormGame, concept: str) -> tuple[int, int]:
    """How many rows the matrix of gains has, and how many columns."""
    return sum(size**2 if concept == "ce" else size for size in game.num_actions), math.prod(game.num_actions)


def gain_matrix(game: NormalFormGame, concept: str) -> Float[Array, "row joint"]:
    """What each deviation gains at each joint action."""
    return deviations.gains(game) if concept == "ce" else deviations.coarse_gains(game)


def gain_rows(game: NormalFormGame, concept: str) -> Constraints:
    """The gains of deviations, in the form in which a step takes less work."""
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


@jax.jit
def _middle(values: Float[Array, "row cell"]) -> Float[Array, " row"]:
    """The median of each row, the lower one of two; by halving, as sorting takes 5 times as long on a CPU.

    Numbers are halved as whole ones in the same order, those that their bits are: then no two are far apart.
    """
    kind = jnp.int64 if values.dtype == jnp.float64 else jnp.int32
    least = jnp.array(jnp.iinfo(kind).min, kind)

    def turned(bits: Array) -> Array:
        return jnp.where(bits < 0, least - bits, bits)

    def halve(_: Any, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low >> 1) + (high >> 1) + (low & high & 1)
        enough = jnp.sum(order <= middle[:, None], axis=1) > (values.shape[1] - 1) // 2
        return jnp.where(enough, low, middle + 1), jnp.where(enough, middle, high)

    order = turned(jax.lax.bitcast_convert_type(values, kind))
    found, _ = jax.lax.fori_loop(0, jnp.iinfo(kind).bits, halve, (order.min(axis=1), order.max(axis=1)))
    return jax.lax.bitcast_convert_type(turned(found), values.dtype)


def rescaled(game: NormalFormGame) -> tuple[NormalFormGame, Float[Array, " player"]]:
    """The game with each player's payoffs less their median and divided into [-1, 1], and the divisors.

    The median, because a few cells of another size, such as forbidden ones, would take the digits of all others.
    """
    axes = tuple(range(1, game.payoffs.ndim))
    middle = _middle(game.payoffs.reshape(game.num_players, -1))
    moved = game.payoffs - middle.reshape(-1, *[1] * game.num_players)
    scale = jnp.max(jnp.abs(moved), axis=axes)
    scale = jnp.where(scale > 0, scale, 1)
    return NormalFormGame(moved / scale.reshape(-1, *[1] * game.num_players)), scale


def equilibrated(rows: Constraints) -> Equilibrated:
    """The rows with each deviation measured by what it typically brings."""
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


@partial(jax.jit, static_argnames="concept")
def holds(
    rows: Constraints,
    limits: Rows,
    allowed: Bool[Array, " row"],
    policy: Float[Array, "*actions"],
    tol: float | Float[Array, ""],
    concept: str,
) -> tuple[Bool[Array, ""], Bool[Array, " row"]]:
    """Whether no limit is exceeded by more than `tol`, with or without what players would not do.

    What is asked of a player may be so unlikely that a row which forbids it, being measured by what its deviation
    brings elsewhere, holds almost as it is. Where others' payoffs are huge it matters to them all the same. So such
    joint actions are left out, and no other row may clearly fail for that. In float64 only.

    Args:
        rows: in units of their own.
        limits: in the same units.
        allowed: rows that are to hold.
        policy: joint probabilities.
        tol: the tolerance.
        concept: "ce" or "cce".

    Returns:
        Whether they hold, and the rows that forbid what was left out.
    """

    def above(policy: Array) -> Rows:
        return jnp.where(allowed, jnp.maximum(rows.apply(policy.ravel()) - limits, 0), 0)

    def fails(policy: Array, excess: Rows) -> Bool[Array, " row"]:
        return excess > DISOBEYED * rows.stir(policy.ravel()) + UNDECIDED * tol * _asked(policy, concept)

    excess, asked = above(policy), _asked(policy, concept)
    rare = asked <= RARE
    if float(jnp.finfo(policy.dtype).eps) > RARE**2:  # Such chances drown in rounding errors.
        rare = jnp.zeros_like(rare)

    def leave_out(state: tuple[Any, ...]) -> tuple[Any, ...]:
        strict, left, disobeyed, *_ = state
        bad = fails(strict, left) & rare
        strict = _without(strict, bad, concept)
        left = above(strict)
        return strict, left, disobeyed | bad, jnp.any(bad & ~disobeyed), jnp.any(fails(strict, left - excess) & ~rare)

    suspected = jnp.any(rare & (excess > UNDECIDED * tol * asked))
    begin = (policy, excess, jnp.zeros_like(rare), suspected, jnp.asarray(False))
    # Anew until nothing more is left out: one player's whims may rest on another's.
    strict, left, disobeyed, _, broken = jax.lax.while_loop(lambda state: state[3], leave_out, begin)
    good = jnp.all(excess <= tol) & jnp.all(left <= tol) & ~broken & (strict.sum() > 0.5)
    return good, disobeyed


def finer(units: Rows, which: Bool[Array, " row"], policy: Float[Array, "*actions"], concept: str) -> Rows:
    """Units of rows, of `which` times the chance of what they are about: then they must hold for that, however rare."""
    return jnp.where(which, units * jnp.maximum(_asked(policy, concept), RAREST), units)
