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
from gamekl.core.deviations import difference
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.solvers.correlated.constraints import ByRows, Constraints, Rows
from gamekl.solvers.correlated.deviation_rows import Coarse, Recommended

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


def centred(payoffs: Float[Array, "player *actions"]) -> Float[Array, "player *actions"]:
    """Payoffs less, for all own actions alike, one of them: the median, the lower one of two. It changes no gain.

    So a payoff is no larger than what it may gain, and rounds no more; the median, because one may be huge.
    """
    found = []
    for player, table in enumerate(payoffs):
        own = jnp.moveaxis(table, player, 0)
        size = len(own)
        earlier = np.tri(size, k=-1, dtype=bool).reshape(size, size, *[1] * (own.ndim - 1))
        below = (own[None] < own[:, None]) | ((own[None] == own[:, None]) & earlier)
        middle = jnp.sum(below, axis=1) == (size - 1) // 2
        centre = jnp.sum(jnp.where(middle, own, 0), axis=0)
        found.append(jnp.moveaxis(difference(own, centre[None]), 0, player))
    return jnp.stack(found)


def gain_rows(payoffs: Float[Array, "player *actions lane"], concept: str) -> Constraints:
    """The gains of deviations, in the form in which a step takes less work; in a single lane, fewer operations."""
    game = jax.vmap(NormalFormGame)(jnp.moveaxis(payoffs, -1, 0))
    if concept == "cce":
        if payoffs.shape[-1] > 1:
            return Coarse(payoffs)
        return ByRows(deviations.coarse_gains(NormalFormGame(payoffs[..., 0]))[..., None])
    rows, cells = count_gains(NormalFormGame(payoffs[..., 0]), concept)
    if rows**2 * cells + rows**3 / 3 > cells**3 / 3:
        return Recommended(payoffs)
    return ByRows(jnp.moveaxis(jax.vmap(deviations.gains)(game), 0, -1))


def owners(game: NormalFormGame, concept: str) -> np.ndarray:
    """The player of each row."""
    counts = [size**2 if concept == "ce" else size for size in game.num_actions]
    return np.repeat(np.arange(game.num_players), counts)


def allowed_rows(masks: list[Bool[Array, " _"]], concept: str) -> Bool[Array, " row"]:
    """The rows from and to actions of the supports."""
    if concept == "cce":
        return jnp.concatenate(masks)
    return jnp.concatenate([(mask[:, None] & mask & ~jnp.eye(len(mask), dtype=bool)).ravel() for mask in masks])


@partial(jit, quick=True)
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


def _asked(policy: Float[Array, "*actions lane"], concept: str) -> Rows:
    """The chance of what each row is about: of "ce" that an action is asked for, of "cce" any but one."""
    found = []
    for chance in _marginals(policy):
        if concept == "ce":
            found.append(jnp.repeat(chance, len(chance), axis=0))
        else:
            found.append(jnp.sum(jnp.where(jnp.eye(len(chance), dtype=bool)[..., None], 0, chance), axis=1))
    return jnp.concatenate(found)


def _marginals(policy: Float[Array, "*actions lane"]) -> list[Float[Array, "own lane"]]:
    players = range(policy.ndim - 1)
    return [jnp.sum(policy, axis=tuple(other for other in players if other != player)) for player in players]


def _without(policy: Float[Array, "*actions lane"], rows: Bool[Array, "row lane"], concept: str) -> Array:
    """A joint policy without what these rows are about; all 0 if that is everything."""
    kept, start = policy, 0
    *sizes, lanes = policy.shape
    for player, size in enumerate(sizes):
        if concept == "ce":
            left_out = rows[start : start + size**2].reshape(size, size, lanes).any(axis=1)
        else:
            others = ~np.eye(size, dtype=bool)[..., None]
            left_out = (rows[start : start + size][:, None] & others).any(axis=0)
        start += size**2 if concept == "ce" else size
        kept = jnp.where(left_out.reshape(-1, *(1,) * (len(sizes) - player - 1), lanes), 0, kept)
    total = kept.reshape(-1, lanes).sum(axis=0)
    return kept / jnp.where(total > 0, total, 1)


@partial(jit, static_argnames="concept", quick=True)
def holds(
    rows: Constraints,
    limits: Rows,
    allowed: Bool[Array, "row lane"],
    policy: Float[Array, "*actions lane"],
    tol: float | Float[Array, "..."],
    concept: str,
) -> tuple[Bool[Array, " lane"], Bool[Array, "row lane"], Rows]:
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
        Whether they hold, the rows that forbid what was left out, and how far each limit is exceeded by all.
    """
    lanes = policy.shape[-1]

    def above(policy: Array) -> Rows:
        return jnp.where(allowed, jnp.maximum(rows.apply(policy.reshape(-1, lanes)) - limits, 0), 0)

    rare = _asked(policy, concept) <= RARE
    if float(jnp.finfo(policy.dtype).eps) > RARE**2:  # Such chances drown in rounding errors.
        rare = jnp.zeros_like(rare)

    def leave_out(state: tuple[Any, ...]) -> tuple[Any, ...]:
        strict, excess, _, disobeyed, _, _, is_first = state
        left = above(strict)
        excess = jnp.where(is_first, left, excess)
        unclear = DISOBEYED * rows.stir(strict.reshape(-1, lanes)) + UNDECIDED * tol * _asked(strict, concept)
        bad = (left > unclear) & rare
        broken = jnp.any((left - excess > unclear) & ~rare, axis=0)
        more = jnp.any(bad & ~disobeyed, axis=0)
        strict = jnp.where(more, _without(strict, bad, concept), strict)
        return strict, excess, left, disobeyed | bad, more, broken, jnp.zeros_like(is_first)

    # Anew until nothing more is left out: one player's whims may rest on another's. Where there is no more, a further
    # turn changes nothing.
    nothing, yes = jnp.zeros_like(limits), jnp.ones((lanes,), bool)
    begin = (policy, nothing, nothing, jnp.zeros_like(rare), yes, ~yes, jnp.asarray(True))
    strict, excess, left, disobeyed, _, broken, _ = jax.lax.while_loop(
        lambda state: jnp.any(state[4]), leave_out, begin
    )
    good = jnp.all(excess <= tol, axis=0) & jnp.all(left <= tol, axis=0) & ~broken
    return good & (strict.reshape(-1, lanes).sum(axis=0) > 0.5), disobeyed, excess


def finer(units: Rows, which: Bool[Array, "row lane"], policy: Float[Array, "*actions lane"], concept: str) -> Rows:
    """Units of rows, of `which` times the chance of what they are about: then they must hold for that, however rare."""
    return jnp.where(which, units * jnp.maximum(_asked(policy, concept), RAREST), units)
