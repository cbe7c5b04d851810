"""Zero-sum games by the simplex method (Dantzig 1951), in lanes: one dictionary gives both players' optimal policies.

The row player maximises v over x with x^T R >= v. From the pure policy that is best at its worst, i, and the answer to
it, j, the dictionary has entries R - R_i. - R_.j + R_ij: differences only, so that no shift of the payoffs matters, and
its vertex is feasible. The variable that grows is the one that raises v fastest (Dantzig's rule). At the optimum the
goal's coefficients are the column player's policy: its dictionary is the transposed one with the other sign.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import stored
from gamekl.core.kernels.platforms import Platform
from gamekl.solvers.exact.dictionaries import (
    RIGHT,
    Dictionary,
    column_of,
    exchange,
    first_least,
    leaving,
    levelled,
    pick,
    rounding,
    tie_breaks,
    vertex,
)

# Per row and column.
MOST_PIVOTS = 10

State = tuple[Dictionary, Bool[Array, " lane"], Int[Array, " lane"]]


def _first(row: Float[Array, "own other lane"], platform: Platform | None) -> Dictionary:
    """The dictionary of the best pure policy, with the goal in its last row."""
    own, other, width = row.shape

    def best(row: Array) -> tuple[Array, Array]:
        worst = stored(platform, lambda row: lanes.largest(-jnp.swapaxes(row, 0, 1)), row)
        at_own = first_least(worst)[1]
        return pick(row, at_own), at_own

    def answer(row: Array, here: Array) -> tuple[Array, Array, Array]:
        level, at_other = first_least(here)
        return level, at_other, pick(jnp.swapaxes(row, 0, 1), at_other)

    here, at_own = stored(platform, best, row)
    level, at_other, there = stored(platform, answer, row, here)
    entries = row - here[None] - there[:, None] + level
    entries = jnp.where(at_own[:, None], jnp.where(at_other, 0, 1), jnp.where(at_other, -1, entries))
    constants = jnp.where(at_other, 1, here - level)
    goal = jnp.where(at_own, -1, there - level)
    table = jnp.concatenate(
        [
            jnp.swapaxes(entries, 0, 1),
            constants[:, None],
            jnp.broadcast_to(tie_breaks(other, row.dtype)[:, None], (other, 1, width)),
        ],
        axis=1,
    )
    table = jnp.concatenate([table, jnp.pad(goal, ((0, RIGHT), (0, 0)))[None]])
    numbers = jnp.arange(own + other, dtype=jnp.int32)[:, None]
    return Dictionary(
        table=table,
        basic=jnp.where(at_other, pick(jnp.broadcast_to(numbers[:own], at_own.shape), at_own), numbers[own:]),
        others=jnp.where(at_own, pick(jnp.broadcast_to(numbers[own:], at_other.shape), at_other), numbers[:own]),
    )


def _improve(state: State, limit: int, platform: Platform | None) -> State:
    """One pivot in every lane that is not done."""
    dictionary, done, count = state
    least, at_column = stored(platform, lambda goal: first_least(-goal), dictionary.table[-1, :-RIGHT])
    down = stored(platform, column_of, dictionary.table, at_column)
    at_row, falls = stored(platform, leaving, dictionary, down)
    wanted = ~done & falls & (-least > rounding(down.dtype))
    after = exchange(dictionary, at_row, at_column, down, wanted, platform)
    count = count + wanted.astype(count.dtype)
    return after, ~wanted | (count >= limit), count


def optimal_policies(
    row: Float[Array, "own other lane"], platform: Platform | None
) -> tuple[Float[Array, "own lane"], Float[Array, "other lane"], Int[Array, " lane"]]:
    """Optimal policies of both players, and the number of pivots.

    Args:
        row: the row player's payoffs, which the other one pays. NaN stays in its lane.
        platform: that this is traced for; None for a single lane.
    """
    own, other, _ = row.shape
    row = levelled(platform, row)
    dictionary = _first(row, platform)
    limit = MOST_PIVOTS * (own + other)
    done = jnp.isnan(lanes.total(lanes.total(row)))
    begin = (dictionary, done, jnp.zeros(done.shape, jnp.int32))
    dictionary, _, count = jax.lax.while_loop(
        lambda state: ~jnp.all(state[1]), lambda state: _improve(state, limit, platform), begin
    )
    table, basic, others = dictionary
    transposed = jnp.pad(-table[:, :-RIGHT], ((0, RIGHT - 1), (0, 0), (0, 0)))  # the goal's row becomes the constants
    dual = Dictionary(
        jnp.swapaxes(transposed, 0, 1), *((numbers + other) % (own + other) for numbers in (others, basic))
    )
    return vertex(dictionary, -row, platform), vertex(dual, jnp.swapaxes(row, 0, 1), platform), count
