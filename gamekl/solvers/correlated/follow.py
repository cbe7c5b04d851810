"""Correlated equilibria of greatest welfare in a game that changes a little from round to round.

A vertex of {x >= 0, sum x = 1, G x <= 0} is a dictionary

    basic = right - table @ others,

where G x + slack = 0 has a row for each deviation (`core.deviations`). What one joint action pays enters G in one
column and, where a deviation leads to that joint action, in one more entry of each such row. So it changes by
G' = G + g e_c^T a few times over, with v = B^-1 g, B being the basis, and that is an exchange of rank one (derived):

    c basic in row p       table' = table - v (table_p / (1 + v_p))
    c not basic            column c of table' = column c of table + v

From that vertex, which need be neither feasible nor optimal any more, `solvers.correlated.parametric` goes on. It needs
a few exchanges where a start from nothing needs one for nearly each joint action that is played. Starts from nothing
are made now and then, so that rounding cannot add up, and whenever what was found is not certified.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core import deviations
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.solvers.correlated.parametric import column_of, one_hot, optimize, pick, posed
from gamekl.solvers.correlated.pivots import exchange, levelled, tie_breaks

# Changes after which the dictionary is made anew.
MOST_CHANGES = 64
# Payoffs are measured by a range that is at most so many times theirs.
COARSEST = 2.0
# A gain is rounding up to this power of eps, over the range of payoffs.
CERTIFIED = 0.5
# What is left of a row's pivot after a change, at least.
LEAST_LEFT = 1e-3


class Vertex(NamedTuple):
    """A dictionary and the game that it is of.

    Variables are numbered: joint actions, the slacks of deviations, and the artificial variable of sum x = 1, which
    stays 0.

    Attributes:
        table: as in the module.
        right: the right sides.
        names: the variables of rows, then of columns.
        payoffs: of the game.
        unit: what gains are measured by, payoff units.
        changes: since the last start from nothing.
    """

    table: Float[Array, "row column"]
    right: Float[Array, " row"]
    names: Int[Array, " row_and_column"]
    payoffs: Float[Array, "player *actions"]
    unit: Float[Array, "player *ones"]
    changes: Int[Array, ""]


def _num_rows(sizes: tuple[int, ...]) -> int:
    return sum(size * (size - 1) for size in sizes) + 1


def table_size(sizes: tuple[int, ...]) -> int:
    """How many entries a dictionary has."""
    return _num_rows(sizes) * int(np.prod(sizes))


def nowhere(payoffs: Float[Array, "player *actions"]) -> Vertex:
    """No vertex yet of a game with payoffs of this shape: the first one is found from nothing."""
    rows, cells = _num_rows(payoffs.shape[1:]), payoffs[0].size
    return Vertex(
        jnp.zeros((rows, cells), payoffs.dtype),
        jnp.zeros(rows, payoffs.dtype),
        jnp.zeros(rows + cells, jnp.int32),
        jnp.zeros_like(payoffs),
        jnp.zeros((len(payoffs), *[1] * (payoffs.ndim - 1)), payoffs.dtype),
        jnp.asarray(MOST_CHANGES, jnp.int32),
    )


def _range(payoffs: Float[Array, "player *actions"]) -> Float[Array, "player *ones"]:
    axes = tuple(range(1, payoffs.ndim))
    size = payoffs.max(axis=axes, keepdims=True) - payoffs.min(axis=axes, keepdims=True)
    return jnp.where(size > 0, size, 1)


def _start(game: NormalFormGame, goal: Float[Array, " cell"]) -> tuple[Array, Array, Array]:
    """Table, right sides and names where the joint action of the greatest goal is played."""
    apart = np.concatenate([~np.eye(size, dtype=bool).ravel() for size in game.num_actions])
    gains = deviations.gains(game)[apart]
    rows, cells = gains.shape
    last = jnp.concatenate([gains, jnp.ones((1, cells), gains.dtype)])
    right = jnp.zeros((rows + 1, 1), gains.dtype).at[rows].set(1)
    first = jnp.argmax(goal).astype(jnp.int32)
    table = exchange(jnp.concatenate([last, right], axis=1), jnp.asarray(rows, jnp.int32), first)
    names = np.concatenate([cells + np.arange(rows), [0], np.arange(cells)])
    names = jnp.asarray(names, jnp.int32).at[rows].set(first).at[rows + 1 + first].set(rows + cells)
    return table[:, :-1], table[:, -1], names


class _Change(NamedTuple):
    """Entries of G that one joint action enters: by how much row `rows[k]` changes at the cell `cells[k]`."""

    rows: Int[Array, " entry"]
    cells: Int[Array, " entry"]
    sizes: Float[Array, " entry"]


def _entries(joint: list[Array], cell: Array, pays: Float[Array, " player"], sizes: tuple[int, ...]) -> tuple:
    """The changes of G for a joint action that pays more by `pays`: its own column, by row, and single entries."""
    column, rows, cells, amounts, first = [], [], [], [], 0
    for player, (size, here) in enumerate(zip(sizes, joint, strict=True)):
        leaving = np.repeat(np.arange(size, dtype=np.int32), size - 1) == here
        column.append(jnp.where(leaving, -pays[player], 0))
        others = jnp.arange(size - 1, dtype=jnp.int32)
        others = jnp.where(others < here, others, others + 1)
        rows.append(first + others * (size - 1) + jnp.where(here > others, here - 1, here))
        cells.append(cell + (others - here) * int(np.prod(sizes[player + 1 :])))
        amounts.append(jnp.broadcast_to(pays[player], (size - 1,)))
        first += size * (size - 1)
    return jnp.concatenate(column), _Change(*map(jnp.concatenate, (rows, cells, amounts)))


def _changed(vertex: Vertex, payoffs: Float[Array, "player *actions"]) -> tuple[Array, Array, Bool[Array, ""]]:
    """Table and right sides for other payoffs, and whether they are right: if no more than one joint action changed."""
    table, right, names, before, unit, _ = vertex
    sizes, (rows, cells) = payoffs.shape[1:], table.shape
    differs = jnp.any(payoffs != before, axis=0).ravel()
    cell = jnp.argmax(differs).astype(jnp.int32)
    joint = list(jnp.unravel_index(cell, sizes))
    pays = ((payoffs - before) / unit).reshape(len(payoffs), -1)[:, cell]
    own, single = _entries(joint, cell, pays, sizes)
    places = jnp.zeros(rows + cells, jnp.int32).at[names].set(jnp.arange(rows + cells, dtype=jnp.int32))
    slacks, at = places[cells + single.rows], places[single.cells]

    # Entries in rows whose slack is basic change that row of the dictionary only.
    by_row = slacks < rows
    there = jnp.where(
        (at < rows)[:, None], table[jnp.minimum(at, rows - 1)], -jnp.where(one_hot(at - rows, cells), 1, 0)
    )
    ends = jnp.where(at < rows, right[jnp.minimum(at, rows - 1)], 0)
    aims = jnp.where(by_row, slacks, rows)
    table = table.at[aims].add(-single.sizes[:, None] * there, mode="drop")
    right = right.at[aims].add(-single.sizes * ends, mode="drop")

    # The others, and the joint action's own column, take an exchange of rank one each.
    is_slack = (names >= cells) & (names < cells + rows - 1)
    weights = jnp.where(is_slack, own[jnp.clip(names - cells, 0, rows - 2)], 0)
    through = jnp.matmul(table, weights[rows:], precision=PRECISION) + weights[:rows]

    def step(state: tuple) -> tuple:
        table, right, through, place, left, good, _ = state
        basic, row = place < rows, jnp.minimum(place, rows - 1)
        rest = 1 + jnp.where(basic, pick(through, row), 0)
        along = jnp.where(basic, pick(table, row) / rest, -one_hot(place - rows, cells).astype(table.dtype))
        end = jnp.where(basic, pick(right, row) / rest, 0)
        through, along, end = jax.lax.optimization_barrier((through, along, end))
        table, right = table - through[:, None] * along, right - through * end
        entry = jnp.argmax(left).astype(jnp.int32)
        following = pick(single.sizes, entry) * column_of(table, jnp.maximum(pick(slacks, entry) - rows, 0))
        rest_is_good = good & (jnp.abs(rest) > LEAST_LEFT)
        left_after = left & ~one_hot(entry, len(left))
        return table, right, following, pick(at, entry), left_after, rest_is_good, pick(left, entry)

    begin = (table, right, through, places[cell], ~by_row, jnp.sum(differs) <= 1, jnp.any(differs))
    table, right, *_, good, _ = jax.lax.while_loop(lambda state: state[-1], step, begin)
    return table, right, good


def follow(vertex: Vertex, payoffs: Float[Array, "player *actions"]) -> tuple[Vertex, Float[Array, "*actions"]]:
    """The correlated equilibrium of greatest welfare (of levelled payoffs), and its vertex.

    The same one as of `best_correlated`, but for ties; soon found where no more than one joint action's payoffs are
    other than those of the vertex.

    Args:
        vertex: of the round before, or `nowhere`.
        payoffs: finite.
    """
    game, size = levelled(payoffs), _range(payoffs)
    welfare = game.payoffs.sum(axis=0).ravel()
    goal = welfare + tie_breaks(welfare.size, welfare.dtype)
    tol = float(jnp.finfo(goal.dtype).eps) ** CERTIFIED
    table, right, known = _changed(vertex, payoffs)
    known &= jnp.all((vertex.unit <= COARSEST * size) & (size <= COARSEST * vertex.unit))
    known &= vertex.changes < MOST_CHANGES

    def anew() -> tuple:
        return *_start(game, goal), size, jnp.zeros((), jnp.int32)

    def attempt(state: tuple) -> tuple:
        _, known, _, *there = state
        table, right, names, unit, changes = jax.lax.cond(known, lambda: tuple(there), anew)
        path = optimize(posed(table, right, names, goal))
        right = path.edges[: len(right)]
        joint = jnp.zeros_like(goal).at[path.names[: len(right)]].set(jnp.maximum(right, 0), mode="drop")
        joint = (joint / joint.sum()).reshape(game.num_actions)
        again = known & ~(jnp.max(deviations.gap(game, joint)) <= tol)
        return again, jnp.zeros_like(known), joint, path.table, right, path.names, unit, changes

    nothing = jnp.zeros(game.num_actions, goal.dtype)
    begin = (jnp.asarray(True), known, nothing, table, right, vertex.names, vertex.unit, vertex.changes + 1)
    *_, joint, table, right, names, unit, changes = jax.lax.while_loop(lambda state: state[0], attempt, begin)
    return Vertex(table, right, names, payoffs, unit, changes), joint
