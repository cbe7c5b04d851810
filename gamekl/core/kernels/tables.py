"""Payoff tables in lanes: what solvers need to know of many games side by side before they begin.

A table is one player's payoffs with its own axis first, then those of the others in player order, then that of lanes.
Masks mark the references' supports, ``[actions_i, lane]`` for each player.
"""

from collections.abc import Sequence
from functools import partial, reduce

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize

Masks = Sequence[Bool[Array, "_ lane"]]
Table = Float[Array, "..."]


def own_first(payoffs: Float[Array, "player *actions lane"]) -> list[Table]:
    """Each player's table."""
    return [jnp.moveaxis(own, player, 0) for player, own in enumerate(payoffs)]


def ends(table: Table, mask: Bool[Array, "_ lane"]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """The least and the largest of a player's payoffs over its own actions, for each choice of the others."""

    def find(table: Table, mask: Array) -> tuple[Array, Array]:
        own = mask.reshape(len(mask), *(1,) * (table.ndim - 2), -1)
        high = lanes.largest(jnp.where(own, table, -jnp.inf))
        return -lanes.largest(jnp.where(own, -table, -jnp.inf)), high

    return materialize(find, table, mask)


def shifted(table: Table, level: Float[Array, "..."], mask: Bool[Array, "_ lane"]) -> Table:
    """The table less a number for each choice of the others; 0 for masked actions."""
    return jnp.where(mask.reshape(len(mask), *(1,) * (table.ndim - 2), -1), table - level, 0)


def inside(others: Masks) -> Bool[Array, "..."]:
    """Which choices of the others are on their supports."""
    along = [
        mask.reshape(*(1,) * axis, len(mask), *(1,) * (len(others) - axis - 1), -1) for axis, mask in enumerate(others)
    ]
    return reduce(jnp.logical_and, along, jnp.ones((), dtype=bool))


def supported_range(
    low: Float[Array, "..."], high: Float[Array, "..."], inside: Bool[Array, "..."]
) -> Float[Array, " lane"]:
    """The range of a player's payoffs over all supports; `low` and `high` are its `ends`."""
    return _over_all(jnp.where(inside, high, -jnp.inf)) + _over_all(jnp.where(inside, -low, -jnp.inf))


def _over_all(table: Table) -> Float[Array, " lane"]:
    while table.ndim > 1:
        table = lanes.largest(table, once=True)
    return table


def sum_of(table: Table) -> Float[Array, " lane"]:
    """The sum of all entries."""
    while table.ndim > 1:
        table = lanes.total(table, once=True)
    return table


def all_finite(payoffs: Float[Array, "player *actions lane"]) -> Bool[Array, " lane"]:
    """Whether no payoff is NaN or infinite."""
    return jnp.isfinite(_over_all(jnp.abs(payoffs)))


def doubly_centred(table: Table, own: Bool[Array, "_ lane"], other: Bool[Array, "_ lane"]) -> Table:
    """Two players' table less its means over both supports; 0 where an action is masked."""
    own, other = own.astype(table.dtype), other.astype(table.dtype)

    def means(table: Table, own: Array, other: Array) -> tuple[Array, Array]:
        return lanes.contract(table, other, 1) / lanes.total(other), lanes.contract(table, own, 0) / lanes.total(own)

    rows, columns = materialize(means, table, own, other)
    mean = materialize(lambda rows, own: lanes.dot(rows, own) / lanes.total(own), rows, own)

    def shift(table: Table, rows: Array, columns: Array, mean: Array, own: Array, other: Array) -> Table:
        return (table - rows[:, None] - columns + mean) * own[:, None] * other

    return materialize(shift, table, rows, columns, mean, own, other)


def action_values(tables: Sequence[Table], policy: Sequence[Float[Array, "_ lane"]]) -> list[Float[Array, "_ lane"]]:
    """What each action of each player is worth, averaged over the others' play."""
    values = []
    for player, table in enumerate(tables):
        others = [entry for other, entry in enumerate(policy) if other != player]
        for axis, entry in reversed(list(enumerate(others, start=1))):
            table = materialize(partial(lanes.contract, axis=axis), table, entry)
        values.append(table)
    return values
