"""Two-player games by complementary pivoting (Lemke and Howson 1964), in lanes.

With payoffs A, B > 0 the vertices of

    P = {x >= 0 : B^T x <= 1},        Q = {y >= 0 : A y <= 1}

have a label for each action that is not played or is a best response. From the artificial vertex x = 0, y = 0, which
has all labels, one label is dropped; the label that is met in its place is dropped in the other polytope, and so on
until the first one is met. Then x and y, divided by their sums, are an equilibrium: the label that was dropped decides
which of several. Paths may be exponentially long, but are short in random games.
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
    leaving,
    levelled,
    pick,
    tie_breaks,
    vertex,
)

# Per action.
MOST_PIVOTS = 100

# The dictionaries of P and Q, the label to drop in P, whether the path has ended, and its pivots.
State = tuple[Dictionary, Dictionary, Int[Array, " lane"], Bool[Array, " lane"], Int[Array, " lane"]]


def _shifted(platform: Platform | None, payoffs: Float[Array, "own other lane"]) -> Float[Array, "own other lane"]:
    """The opponent's payoffs, levelled, of which the least answer to each action brings 0."""
    least = stored(platform, lambda payoffs: lanes.largest(-jnp.swapaxes(payoffs, 0, 1)), payoffs)
    return levelled(platform, payoffs + least[:, None])


def _artificial(payoffs: Float[Array, "own other lane"]) -> Dictionary:
    """The dictionary of ``slack = 1 - payoffs^T @ weights`` at weights of 0."""
    own, other, width = payoffs.shape
    right = jnp.stack([jnp.ones((other, 1), payoffs.dtype), tie_breaks(other, payoffs.dtype)], axis=1)
    numbers = jnp.arange(own + other, dtype=jnp.int32)[:, None]
    return Dictionary(
        table=jnp.concatenate([-jnp.swapaxes(payoffs, 0, 1), jnp.broadcast_to(right, (other, RIGHT, width))], axis=1),
        basic=jnp.broadcast_to(numbers[own:], (other, width)),
        others=jnp.broadcast_to(numbers[:own], (own, width)),
    )


def _enter(
    dictionary: Dictionary, label: Int[Array, " lane"], wanted: Bool[Array, " lane"], platform: Platform | None
) -> tuple[Dictionary, Int[Array, " lane"], Bool[Array, " lane"]]:
    """Let a variable grow until another one is 0: the dictionary, that other one, and whether there is one."""
    at_column = dictionary.others == label
    down = stored(platform, column_of, dictionary.table, at_column)
    at_row, falls = stored(platform, leaving, dictionary, down)
    met = pick(dictionary.basic, at_row)
    return exchange(dictionary, at_row, at_column, down, wanted & falls, platform), met, falls


def _follow(state: State, dropped: Int[Array, " lane"], limit: int, platform: Platform | None) -> State:
    """A pivot in P and, where the path goes on, one in Q."""
    p, q, label, done, count = state
    labels = len(p.basic) + len(q.basic)
    p, met, falls = _enter(p, label, ~done, platform)
    count = count + jnp.where(done, 0, 1)
    done = done | ~falls | (met == dropped)
    # The same action has other numbers in the opponent's dictionary.
    q, back, falls = _enter(q, (met + len(p.basic)) % labels, ~done, platform)
    label = jnp.where(done, label, (back + len(q.basic)) % labels)
    count = count + jnp.where(done, 0, 1)
    return p, q, label, done | ~falls | (label == dropped) | (count >= limit), count


def pivoted_policies(
    row: Float[Array, "own other lane"],
    column: Float[Array, "own other lane"],
    dropped: Int[Array, " lane"],
    platform: Platform | None,
) -> tuple[Float[Array, "own lane"], Float[Array, "other lane"], Int[Array, " lane"]]:
    """Policies of both players at the end of the path, and the number of pivots.

    Args:
        row: the row player's payoffs. NaN stays in its lane.
        column: the column player's.
        dropped: the first label to be dropped, an action of the row player.
        platform: that this is traced for; None for a single lane.
    """
    own, other, _ = row.shape
    column = _shifted(platform, column)
    row = _shifted(platform, jnp.swapaxes(row, 0, 1))
    done = jnp.isnan(lanes.total(lanes.total(row)) + lanes.total(lanes.total(column)))
    p, q = _artificial(column + 1), _artificial(row + 1)
    begin = (p, q, dropped, done, jnp.zeros(done.shape, jnp.int32))
    limit = MOST_PIVOTS * (own + other)
    p, q, _, _, count = jax.lax.while_loop(
        lambda state: ~jnp.all(state[3]), lambda state: _follow(state, dropped, limit, platform), begin
    )
    return vertex(p, column, platform), vertex(q, row, platform), count
