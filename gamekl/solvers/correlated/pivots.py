"""Unregularised equilibria of small games at vertices, by pivots: inside of ``jit`` and ``vmap``, thousands at once.

    ce, cce   of all joint policies x with G x <= 0 (`core.deviations`) one of the greatest sum of payoffs, by the dual
              simplex method (Lemke 1954): with that sum as the only goal, x = e_b is optimal; then row after row that x
              breaks is repaired at the least loss of the goal, rows being chosen by Devex weights (Harris 1973). For
              ce, actions that another one beats strictly whatever others do, and with them out more, are left out
              first: no correlated equilibrium recommends one (coarse ones may)
    nash      of two players, by complementary pivoting (Lemke and Howson 1964) on

                  P = {x >= 0 : B^T x <= 1},        Q = {y >= 0 : A y <= 1},        payoffs A, B > 0,

              from the artificial equilibrium and the first action's label

Ties, of which games with equal payoffs are full, would let both methods go in circles. So the choices are made for a
goal, or a right side, that a fixed sequence moves by at most sqrt(eps) of the payoffs' range, and what is returned is
the vertex with the true ones: its deviation gains are those of the game as it is, and tell what it is worth.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame
from gamekl.core.policies import outer

CONCEPTS = ("nash", "ce", "cce")
# eps to this power, relative to the range of payoffs.
TIES = 0.5
# Entries within eps to this power of 0 are none: as pivots they would make rounding as large.
ROUNDING = 0.5
# Per row and column.
MOST_PIVOTS = 20


def levelled(payoffs: Float[Array, "player *actions"]) -> NormalFormGame:
    """Each player's payoffs shifted and divided into [-1/2, 1/2]: that changes no concept's equilibria."""
    axes = tuple(range(1, payoffs.ndim))
    low, high = payoffs.min(axis=axes, keepdims=True), payoffs.max(axis=axes, keepdims=True)
    size = high - low
    return NormalFormGame((payoffs - (low + size / 2)) / jnp.where(size > 0, size, 1))


def tie_breaks(size: int, dtype: Any) -> Float[Array, " size"]:
    """Small numbers that no small whole numbers relate."""
    index = np.arange(1, size + 1)
    fractions = np.modf(np.sqrt(2.0) * index + np.sqrt(5.0) * index**2)[0]
    return jnp.asarray(float(jnp.finfo(dtype).eps) ** TIES * fractions, dtype)


def rounding(table: Array) -> float:
    """Entries of a table that are no larger are none."""
    return float(jnp.finfo(table.dtype).eps) ** ROUNDING


def exchange(table: Float[Array, "row column"], row: Array, column: Array) -> Float[Array, "row column"]:
    """Exchange the basic variable of a row for the one of a column, of basic = last column - table @ others."""
    across, down = table[row], table[:, column]
    pivot = across[column]
    rows, columns = (jnp.arange(size, dtype=row.dtype) for size in table.shape)
    here, there = (rows == row)[:, None], (columns == column)[None]
    others = table - down[:, None] * (across / pivot)
    return jnp.where(here, jnp.where(there, 1, across[None]) / pivot, jnp.where(there, -down[:, None] / pivot, others))


def _undominated(game: NormalFormGame) -> Bool[Array, "*actions"]:
    """Joint actions that are left when strictly dominated actions are struck out, until there are none."""
    sizes = game.num_actions
    better = deviations.coarse_gains(game) > rounding(game.payoffs)
    better = [part.reshape(-1, *sizes) for part in jnp.split(better, np.cumsum(sizes)[:-1])]

    def strike(state: tuple) -> tuple:
        left = after = state[0]
        for player, part in enumerate(better):
            met = after.any(axis=player, keepdims=True)
            rest = [axis + 1 for axis in range(len(sizes)) if axis != player]
            after = after & ~jnp.all(part | ~met, axis=rest, keepdims=True).any(axis=0)
        return after, jnp.any(after != left)

    return jax.lax.while_loop(lambda state: state[1], strike, (jnp.ones(sizes, bool), jnp.asarray(True)))[0]


def _repair(
    goal: Float[Array, " cell"], matrix: Float[Array, "row cell"], allowed: Bool[Array, " cell"]
) -> Float[Array, " cell"]:
    """Maximise goal x over distributions x on the allowed cells with matrix x <= 0, by the dual simplex method."""
    rows, cells = matrix.shape
    small = rounding(matrix)
    last = jnp.stack([jnp.ones(cells + 1, goal.dtype), jnp.append(-goal, jnp.zeros((), goal.dtype))])
    first = jnp.argmax(jnp.where(allowed, goal, -jnp.inf))
    table = exchange(jnp.concatenate([jnp.pad(matrix, ((0, 0), (0, 1))), last]), jnp.asarray(rows), first)
    # Numbers of variables: cells, then slacks, then what stays 0: what is left of sum x = 1, and cells not allowed.
    basic = jnp.append(cells + jnp.arange(rows), first)
    others = jnp.where(allowed, jnp.arange(cells), cells + rows).at[first].set(cells + rows)

    def goes_on(state: tuple) -> Array:
        *_, done, count = state
        return ~done & (count < MOST_PIVOTS * (rows + cells))

    def repair(state: tuple) -> tuple:
        table, basic, others, weights, _, count = state
        last = table[:-1, -1]
        row = jnp.argmax(jnp.where(last < -small, last**2 / weights, -1))
        across = table[row, :-1]
        loss = jnp.where((across < -small) & (others < cells + rows), table[-1, :-1] / -across, jnp.inf)
        column = jnp.argmin(loss)
        done = (last[row] >= -small) | ~jnp.isfinite(loss[column])
        leaves, enters = basic[row], others[column]
        down = table[:, column]
        reference = weights[row] / across[column] ** 2
        heavier = jnp.maximum(weights, down[:-1] ** 2 * reference).at[row].set(jnp.maximum(reference, 1))
        after = (exchange(table, row, column), basic.at[row].set(enters), others.at[column].set(leaves), heavier)
        return *jax.tree.map(lambda old, new: jnp.where(done, old, new), state[:4], after), done, count + 1

    begin = (table, basic, others, jnp.ones(rows + 1, goal.dtype), jnp.asarray(False), jnp.asarray(0))
    table, basic, *_ = jax.lax.while_loop(goes_on, repair, begin)
    x = jnp.sum(jnp.where(basic[:, None] == jnp.arange(cells), table[:-1, -1:], 0), axis=0)
    x = jnp.maximum(x, 0)
    return x / x.sum()


def best_correlated(payoffs: Float[Array, "player *actions"], concept: str) -> Float[Array, "*actions"]:
    """The joint policy of greatest welfare (of levelled payoffs) among correlated or coarse correlated equilibria.

    Args:
        payoffs: finite.
        concept: "ce" or "cce"; static.
    """
    game = levelled(payoffs)
    matrix, allowed = deviations.coarse_gains(game), jnp.ones(game.num_actions, bool)
    if concept == "ce":
        matrix = deviations.gains(game)[np.concatenate([~np.eye(n, dtype=bool).ravel() for n in game.num_actions])]
        allowed = _undominated(game)
    welfare = game.payoffs.sum(axis=0).ravel()
    goal = welfare + tie_breaks(welfare.size, welfare.dtype)
    return _repair(goal, matrix, allowed.ravel()).reshape(game.num_actions)


def _exchange(table: Float[Array, "row column"], basic: Array, label: Array) -> tuple[Array, Array, Array]:
    """Let a label enter the basis of a polytope; the table, the basis and the label that leaves."""
    down = table[:, label]
    row = jnp.argmin(jnp.where(down > rounding(table), table[:, -1] / down, jnp.inf))
    across = table[row] / down[row]
    others = table - down[:, None] * across
    return jnp.where((jnp.arange(len(basic)) == row)[:, None], across, others), basic.at[row].set(label), basic[row]


def complementary_nash(payoffs: Float[Array, "player actions_1 actions_2"]) -> Float[Array, "actions_1 actions_2"]:
    """The product policy of one Nash equilibrium of two players.

    Args:
        payoffs: finite.
    """
    game = levelled(payoffs)
    first, second = game.num_actions
    labels = first + second

    def polytope(matrix: Array) -> Array:
        """The table [matrix, the right side, the moved right side]."""
        right = jnp.ones((len(matrix), 2), game.dtype)
        return jnp.concatenate([matrix, right.at[:, 1].add(tie_breaks(len(matrix), game.dtype))], axis=1)

    own, other = game.payoffs[0] + 1.5, game.payoffs[1] + 1.5
    p = polytope(jnp.concatenate([other.T, jnp.eye(second, dtype=game.dtype)], axis=1))
    q = polytope(jnp.concatenate([jnp.eye(first, dtype=game.dtype), own], axis=1))

    def goes_on(state: tuple) -> Array:
        *_, label, count = state
        return ((label != 0) | (count == 0)) & (count < MOST_PIVOTS * labels)

    def step(state: tuple) -> tuple:
        (p, of_p), (q, of_q), label, count = state
        p, of_p, label = _exchange(p, of_p, label)
        moved = (*_exchange(q, of_q, label),)
        done = label == 0
        kept = (q, of_q, label)
        q, of_q, label = jax.tree.map(lambda old, new: jnp.where(done, old, new), kept, moved)
        return (p, of_p), (q, of_q), label, count + 1

    begin = ((p, first + jnp.arange(second)), (q, jnp.arange(first)), jnp.asarray(0), jnp.asarray(0))
    (p, of_p), (q, of_q), *_ = jax.lax.while_loop(goes_on, step, begin)
    policy = []
    for table, basic, names in ((p, of_p, jnp.arange(first)), (q, of_q, first + jnp.arange(second))):
        part = jnp.sum(jnp.where(basic[:, None] == names, table[:, -2:-1], 0), axis=0)
        part = jnp.maximum(part, 0)
        policy.append(part / part.sum())
    return outer(policy)


def oracle(concept: str) -> Callable[[Float[Array, "player *actions"]], Any]:
    """The function of a concept from payoffs ``[player, *actions]`` to an equilibrium ``[*actions]``.

    Raises:
        ValueError: the concept is not known.
    """
    match concept:
        case "nash":
            return complementary_nash
        case "ce" | "cce":
            return lambda payoffs: best_correlated(payoffs, concept)
    raise ValueError(f"concept: got {concept!r}, takes one of {', '.join(map(repr, CONCEPTS))}")


def gains_of(concept: str) -> Callable[[NormalFormGame, Float[Array, "*actions"]], Float[Array, " player"]]:
    """The function that tells what each player could gain by leaving a joint policy, as the concept forbids.

    For "ce" a player may see what is recommended to it; for the others it may not, and for "cce" the gain may be below
    0.
    """
    return deviations.gap if concept == "ce" else deviations.coarse_gap
