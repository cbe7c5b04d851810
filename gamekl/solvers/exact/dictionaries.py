"""Dictionaries of linear programmes and complementarity problems, side by side in lanes, and how to exchange variables.

A dictionary says what its basic variables are, as linear functions of all others, which are 0 at its vertex:

    basic = constants + entries @ others.

A player's own variables are the weights of its actions, ``0 .. own - 1``; the others, ``own .. own + other - 1``, say
by how much each of the opponent's actions falls short of the best one. At an equilibrium's vertex the own variables
that are basic are the player's support, and the opponent's that are not, at which nothing is lacking, are the
opponent's.

Vertices of games with equal payoffs tie, and pivots could go in circles. So the constants are thought of as moved by an
infinitesimal times a fixed sequence, which has a column of its own and decides where the constants do not: the vertex
is one of the true problem.
"""

from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import stored
from gamekl.core.kernels.platforms import Platform

# Entries within eps to this power of 0 are none: as pivots they would make rounding as large.
ROUNDING = 2 / 3
# Constants within so many eps of 0 are 0: what is left where equal numbers were subtracted.
ZERO = 64
# And a corrected probability within so many.
NO_SHARE = 4
# Corrections of a vertex by the inverse that its dictionary holds.
REFINEMENTS = 2
# Columns behind the entries: the constants, and by what the infinitesimal moves them.
RIGHT = 2


class Dictionary(NamedTuple):
    """Basic variables by others, in every lane.

    Attributes:
        table: entries, and behind them the constants and what moves them. Rows behind those of basic variables are
            functions, such as a goal, that are written by the others.
        basic: the number of each row's variable.
        others: the number of each column's.
    """

    table: Float[Array, "row column_and_right lane"]
    basic: Int[Array, "basic lane"]
    others: Int[Array, "column lane"]

    @property
    def entries(self) -> Float[Array, "basic column lane"]:
        """The coefficients of the others."""
        return self.table[: len(self.basic), :-RIGHT]


def rounding(dtype: Any) -> float:
    """What is taken for 0, of numbers of size 1."""
    return float(jnp.finfo(dtype).eps) ** ROUNDING


def tie_breaks(size: int, dtype: Any) -> Float[Array, "size 1"]:
    """Numbers between 1/2 and 3/2 that no small whole numbers relate."""
    index = np.arange(1, size + 1)
    return jnp.asarray(0.5 + np.modf(np.sqrt(2.0) * index + np.sqrt(5.0) * index**2)[0], dtype)[:, None]


def levelled(platform: Platform | None, table: Float[Array, "n m lane"]) -> Float[Array, "n m lane"]:
    """A table divided by the geometric mean of its entries' sizes, rounded to a power of 2.

    One huge entry does not hide how others differ then. A mean of logarithms is quick in float32.
    """
    known = table != 0
    sizes = jnp.clip(jnp.abs(table), float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max))
    logs = jnp.where(known, jnp.log2(sizes.astype(jnp.float32)), 0)
    count = lanes.total(stored(platform, lanes.total, known.astype(jnp.float32)))
    mean = lanes.total(stored(platform, lanes.total, logs)) / jnp.maximum(count, 1)
    return table * jnp.exp2(-jnp.round(mean)).astype(table.dtype)


def _is(index: Int[Array, " lane"], size: int) -> Bool[Array, "size lane"]:
    return jnp.arange(size, dtype=index.dtype)[:, None] == index


def first_least(values: Float[Array, "n lane"]) -> tuple[Float[Array, " lane"], Bool[Array, "n lane"]]:
    """The least value of each lane, and where the first of them is."""
    size = len(values)
    if size > lanes.LARGEST_UNROLLED:
        return values.min(axis=0), _is(jnp.argmin(values, axis=0).astype(jnp.int32), size)

    def lesser(best: tuple[Array, Array], new: tuple[Array, Array]) -> tuple[Array, Array]:
        less = new[0] < best[0]
        return jnp.where(less, new[0], best[0]), jnp.where(less, new[1], best[1])

    numbered = [(values[index], jnp.full(values.shape[1:], index, jnp.int32)) for index in range(size)]
    least, index = reduce(lesser, numbered)
    return least, _is(index, size)


def pick(values: Array, where: Bool[Array, "n lane"]) -> Array:
    """The one of ``[n, *rest, lane]`` that is marked, ``[*rest, lane]``; 0 if none is."""
    if len(where) > lanes.LARGEST_UNROLLED and values.ndim == 3:
        index = jnp.argmax(where, axis=0)[None, None]
        return jnp.take_along_axis(values, index, axis=0, mode="clip")[0]
    marks = where.reshape(len(where), *(1,) * (values.ndim - 2), where.shape[-1])
    return lanes.total(jnp.where(marks, values, 0)).astype(values.dtype)


def column_of(table: Float[Array, "row all lane"], at: Bool[Array, "column lane"]) -> Float[Array, "row lane"]:
    """The marked column of each lane."""
    return pick(jnp.swapaxes(table[:, : len(at)], 0, 1), at)


def leaving(
    dictionary: Dictionary, down: Float[Array, "row lane"]
) -> tuple[Bool[Array, "basic lane"], Bool[Array, " lane"]]:
    """Which basic variable is 0 first when one that is not basic grows, and whether there is any.

    Args:
        dictionary: with constants that are >= 0.
        down: the column of the growing variable.
    """
    count = len(dictionary.basic)
    small = rounding(down.dtype)
    falls = -down[:count]
    usable = falls > small
    falls = jnp.where(usable, falls, 1)
    ratio = jnp.where(usable, jnp.maximum(dictionary.table[:count, -2], 0) / falls, jnp.inf)
    least = lanes.largest(-ratio)
    ties = ratio <= -least + small * (1 - least)
    first, at = first_least(jnp.where(usable & ties, dictionary.table[:count, -1] / falls, jnp.inf))
    return at, first < jnp.inf


def exchange(
    dictionary: Dictionary,
    at_row: Bool[Array, "basic lane"],
    at_column: Bool[Array, "column lane"],
    down: Float[Array, "row lane"],
    wanted: Bool[Array, " lane"],
    platform: Platform | None,
) -> Dictionary:
    """Exchange a basic variable for another one, in the lanes where that is wanted.

    Args:
        dictionary: the dictionary.
        at_row: of the basic variable.
        at_column: of the other one.
        down: the other one's column.
        wanted: whether to.
        platform: that this is traced for; None for a single lane.
    """
    table, basic, others = dictionary

    def make_row(table: Array, at_row: Array, at_column: Array) -> Array:
        across = pick(table[: len(at_row)], at_row)
        pivot = pick(across[: len(at_column)], at_column)
        here = jnp.pad(at_column, ((0, RIGHT), (0, 0)))
        return jnp.where(here, 1, -across) / pivot

    row = stored(platform, make_row, table, at_row, at_column)
    there = jnp.pad(at_column, ((0, RIGHT), (0, 0)))[None]
    here = jnp.pad(at_row, ((0, len(table) - len(basic)), (0, 0)))[:, None]
    rest = jnp.where(there, 0, table) + down[:, None] * row[None]
    constants = (jnp.arange(table.shape[1]) == table.shape[1] - RIGHT)[None, :, None]
    rest = jnp.where(constants & (jnp.abs(rest) < ZERO * jnp.finfo(table.dtype).eps), 0, rest)
    after = Dictionary(
        table=jnp.where(here, row[None], rest),
        basic=jnp.where(at_row, pick(others, at_column), basic),
        others=jnp.where(at_column, pick(basic, at_row), others),
    )
    return jax.tree.map(lambda new, old: jnp.where(wanted, new, old), after, dictionary)


def _scatter(values: Float[Array, "n lane"], numbers: Int[Array, "n lane"], size: int, first: int = 0) -> Array:
    """The values of variables `first` and following, 0 of those that are not among the numbers."""
    where = numbers[:, None] == jnp.arange(first, first + size, dtype=numbers.dtype)[:, None]
    return lanes.total(jnp.where(where, values[:, None], 0))


def vertex(
    dictionary: Dictionary, payoffs: Float[Array, "own other lane"], platform: Platform | None
) -> Float[Array, "own lane"]:
    """The policy at a dictionary's vertex: its constants, corrected until the opponent is as indifferent as can be.

    Its support makes the opponent's actions at which nothing is lacking worth the same; the dictionary's entries are
    the inverse of these equations.

    Args:
        dictionary: of the player.
        payoffs: the opponent's.
        platform: that this is traced for; None for a single lane.
    """
    own, other, _ = payoffs.shape
    count = len(dictionary.basic)

    def begin(constants: Array, basic: Array) -> Array:
        policy = _scatter(constants, basic, own)
        return policy / lanes.total(policy)

    def by_column(worth: Array, others: Array) -> Array:
        where = others[None] == jnp.arange(own, own + other, dtype=jnp.int32)[:, None, None]
        return lanes.total(jnp.where(where, worth[:, None], 0))

    def lack(worth: Array, others: Array) -> Array:
        """What the opponent's actions lack that should lack nothing, by column."""
        best = others >= own
        level = lanes.total(worth) / lanes.total(best.astype(worth.dtype))
        return jnp.where(best, level - worth, 0)

    def changed(policy: Array, change: Array, basic: Array) -> Array:
        policy = policy - _scatter(change, basic, own)
        return policy / lanes.total(policy)

    def correct(_: Any, policy: Array) -> Array:
        worth = stored(platform, partial(lanes.contract, axis=0), payoffs, policy)
        worth = stored(platform, by_column, worth, dictionary.others)
        lacking = stored(platform, lack, worth, dictionary.others)
        change = stored(platform, partial(lanes.contract, axis=1), dictionary.entries, lacking)
        return stored(platform, changed, policy, change, dictionary.basic)

    first = stored(platform, begin, dictionary.table[:count, -2], dictionary.basic)
    policy = jax.lax.fori_loop(0, REFINEMENTS, correct, first)
    # What is rounding alone is no part of the support: actions that differ nowhere else would be judged by it.
    policy = jnp.where((first > 0) & (policy > NO_SHARE * jnp.finfo(policy.dtype).eps), policy, 0)
    return policy / lanes.total(policy)
