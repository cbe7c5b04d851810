"""Newton's method from many starts, for games side by side in lanes: each lane goes from start to start of its game."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.refill import Method, solve_in_turns, solve_side_by_side
from gamekl.core.kernels.system import LogitSystem, Vector
from gamekl.solvers.nash.measure import faintest, weights
from gamekl.solvers.nash.trace import Count, Flag, Lane, choose

# The longest step, in nats of a logit that matters: this times the square root of kappa, but not below the other. Much
# shorter and much longer ones find fewer equilibria in so many steps, from kappa = 3 to 100.
LONGEST_STEP = 2.0
SHORTEST_LIMIT = 4.0
# The most steps from a start.
MOST_STEPS = 30
# Lanes whose starts have ended wait until there is this fraction of them.
WAITING = 0.125
# A start has led to an equilibrium when a step is no longer than this power of eps, beside one nat: the next would be
# about its square. Two are the same whose logits differ by no more than the other power.
FOUND_POWER = 0.6
SAME_POWER = 0.45


class Hunt(NamedTuple):
    """A game and where to start; lanes are last, or in a batch first.

    Attributes:
        system: its equations.
        starts: logits, shape ``[start, logits]``.
        usable: False where the input cannot be solved.
    """

    system: LogitSystem
    starts: Float[Array, "start logits lane"]
    usable: Flag


class Catch(NamedTuple):
    """What was found, lanes likewise.

    Attributes:
        z: log-policies, in the order in which they were found, shape ``[equilibrium, logits]``.
        hits: how many starts led to each, shape ``[equilibrium]``.
        number: how many different ones there were; there may be room for fewer.
        lost: how many starts led nowhere.
    """

    z: Float[Array, "equilibrium logits lane"]
    hits: Int[Array, "equilibrium lane"]
    number: Count
    lost: Count


class _State(NamedTuple):
    """What each lane is about; a lane whose start has `ended` waits until enough others have, too.

    Attributes:
        z: logits.
        weight: about the square of the size of the couplings there.
        start: the number of the start.
        steps: steps made from it.
        ended: whether it has led to an equilibrium, or nowhere.
        found: whether it has led to one.
        catch: what was found.
    """

    z: Vector
    weight: Lane
    start: Count
    steps: Count
    ended: Flag
    found: Flag
    catch: Catch


def _begin(hunt: Hunt, room: int) -> _State:
    _, size, width = hunt.starts.shape
    none = jnp.zeros((width,), jnp.int32)
    table = jnp.zeros((room, size, width), hunt.starts.dtype)
    catch = Catch(table, jnp.zeros((room, width), jnp.int32), none, none)
    first = jnp.where(hunt.usable, 0, hunt.starts.shape[0]).astype(jnp.int32)
    no = jnp.zeros((width,), bool)
    return _State(hunt.starts[0], jnp.ones((width,), table.dtype), first, none, no, no, catch)


def _keep(system: LogitSystem, catch: Catch, z: Vector, found: Flag) -> Catch:
    """The catch with an equilibrium, in the lanes that have found one."""
    eps = jnp.finfo(z.dtype).eps
    room = catch.z.shape[0]
    matter = weights(z, faintest(system.scale))
    near = jnp.max(jnp.abs(catch.z - z) * matter, axis=1) <= eps**SAME_POWER
    row = jnp.arange(room, dtype=jnp.int32)[:, None]
    known = near & (row < catch.number)
    old = jnp.any(known, axis=0)
    place = jnp.where(old, jnp.argmax(known, axis=0).astype(jnp.int32), catch.number)
    here = (row == place) & found
    return Catch(
        z=jnp.where((here & ~old)[:, None], z, catch.z),
        hits=catch.hits + here.astype(jnp.int32),
        number=catch.number + (found & ~old).astype(jnp.int32),
        lost=catch.lost,
    )


def _newton(hunt: Hunt, state: _State) -> _State:
    """One step of Newton's method in each lane that goes on."""
    system = hunt.system
    eps = jnp.finfo(hunt.starts.dtype).eps
    z, policy = materialize(system.normalized, state.z)
    linear = system.linearize_at(z, policy, jnp.ones_like(state.weight))
    right = linear.level(-linear.residual[:, None])
    solved, _, weight = linear.solve(right, state.weight)
    change = solved[:, 0]
    faint = faintest(system.scale)
    counts = jnp.maximum(weights(z, faint), weights(z + change, faint))
    size = lanes.largest(jnp.abs(change) * counts)
    longest = jnp.maximum(SHORTEST_LIMIT, LONGEST_STEP * jnp.sqrt(system.scale))
    moved = z + change * (longest / jnp.maximum(size, longest))
    found = size <= eps**FOUND_POWER
    steps = state.steps + 1
    ended = found | (steps >= MOST_STEPS) | ~(size < jnp.inf)
    new = state._replace(z=moved, weight=weight, steps=steps, ended=ended, found=found)
    going = (state.start < hunt.starts.shape[0]) & ~state.ended
    kept = choose(going, new._replace(catch=()), state._replace(catch=()))
    return kept._replace(catch=state.catch)


def _step(hunt: Hunt, state: _State) -> _State:
    """Newton's method until enough lanes wait; what they have found is kept, and they take their next starts."""
    num_starts, _, width = hunt.starts.shape

    def few_wait(state: _State) -> Bool[Array, ""]:
        waiting = state.ended | (state.start >= num_starts)
        return jnp.sum(waiting, dtype=jnp.int32) < jnp.minimum(width, idle + max(1, int(WAITING * width)))

    idle = jnp.sum(state.start >= num_starts, dtype=jnp.int32)
    state = jax.lax.while_loop(few_wait, lambda state: _newton(hunt, state), state)
    ended, found = state.ended, state.found
    catch = state.catch._replace(lost=state.catch.lost + (ended & ~found).astype(jnp.int32))
    catch = _keep(hunt.system, catch, materialize(hunt.system.normalized, state.z)[0], found)
    start = state.start + ended.astype(jnp.int32)
    row = jnp.minimum(start, num_starts - 1)[None, None]
    fresh = jnp.take_along_axis(hunt.starts, row, axis=0)[0]
    return _State(
        z=jnp.where(ended, fresh, state.z),
        weight=jnp.where(ended, 1, state.weight),
        start=start,
        steps=jnp.where(ended, 0, state.steps),
        ended=jnp.zeros_like(ended),
        found=jnp.zeros_like(ended),
        catch=catch,
    )


def _method(room: int) -> Method:
    return Method(
        start=lambda hunt: _begin(hunt, room),
        step=_step,
        running=lambda hunt, state: state.start < hunt.starts.shape[0],
        result=lambda hunt, state: state.catch,
    )


def search(hunts: Hunt, room: int, width: int | None) -> Catch:
    """The different equilibria to which the starts lead, at most `room` of each game.

    Args:
        hunts: with lanes last where they are all worked on side by side, else a batch with a leading axis.
        room: for equilibria.
        width: the number of lanes that a batch shares; None for side by side.
    """
    if width is None:
        return solve_side_by_side(_method(room), hunts)
    return solve_in_turns(_method(room), hunts, width)
