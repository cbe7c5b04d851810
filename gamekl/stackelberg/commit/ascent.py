"""Maximising a smooth function of policies, to a local maximum that is certified to second order.

With x = y * y entry by entry, a policy x is a point y of the sphere, and f(y) = J(y * y) is smooth where J is. On each
sphere, with g and H its gradient and Hessian by y and P the projection on the tangent space,

    gradient     P g,                g = 2 y dJ
    Hessian      P (H - y.g) P,      H = 4 diag(y) d2J diag(y) + 2 diag(dJ)

Along an action with x_a = 0 the Hessian is twice what dJ_a has above the played actions, and among played ones it is
that of J, four times, in the metric sum_a v_a^2 / x_a. So at a point with P g = 0, a Hessian without positive
eigenvalues is what a local maximum of J on the simplex needs to second order, and one with negative ones alone is
enough for a strict one: faces and vertices are no special case (derived).

Steps are Newton's, (mu - Hessian)^-1 P g, with mu > 0 falling where J rises as foreseen and rising where it does not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.lanes import in_turn, solve_positive

# A gradient, over the scale of payoffs, that has vanished. What is still to gain is of the order of its square.
TOLERANCE = {jnp.dtype("float32"): 1e-4, jnp.dtype("float64"): 1e-10}
# Of payoffs, what may be lost to rounding.
ROUNDING = 16
# Over the scale of payoffs, or where a climb bends more, over that.
FIRST_DAMPING = 1e-2
MOST_DAMPING = 1e8
# Games, and climbs, side by side.
WIDTH = 64

Objective = Callable[[Float[Array, "row action"], Any], Float[Array, ""]]


class Local(NamedTuple):
    """What is known of f at a point; of many points, each leaf has a leading axis.

    Attributes:
        y: the point, ``[row, action]``.
        value: f.
        gradient: on the spheres, ``[row * action]``.
        hessian: on the spheres, 0 across them and on masked actions.
    """

    y: Float[Array, "*lane row action"]
    value: Float[Array, "*lane"]
    gradient: Float[Array, "*lane unknown"]
    hessian: Float[Array, "*lane unknown unknown"]


class Climb(NamedTuple):
    """The state of a climb; of many, each leaf has a leading axis.

    Attributes:
        here: the highest point so far.
        trial: where to look next.
        rise: by how much f should be higher there.
        damping: mu.
        num_steps: how many points were looked at; the first is where the climb begins.
    """

    here: Local
    trial: Float[Array, "*lane row action"]
    rise: Float[Array, "*lane"]
    damping: Float[Array, "*lane"]
    num_steps: Int[Array, "*lane"]


def fixed_directions(y: Float[Array, "row action"], mask: Bool[Array, "row action"]) -> Float[Array, "unknown unknown"]:
    """The projection on what is no direction: along each row's y, and masked actions."""
    rows, actions = y.shape
    unit = jnp.eye(rows, dtype=y.dtype)[:, None, :, None]
    along = (unit * y[:, :, None, None] * y[None, None]).reshape(rows * actions, -1)
    return along + jnp.diag(jnp.where(mask, 0, 1).astype(y.dtype).ravel())


def local_at(
    objective: Objective, problem: Any, mask: Bool[Array, "row action"], y: Float[Array, "row action"]
) -> Local:
    """What is known of f at a point of the spheres that is 0 off the mask."""

    def f(flat: Array) -> Array:
        return objective(flat.reshape(y.shape) ** 2, problem)

    flat = y.ravel()
    basis = jnp.eye(flat.size, dtype=y.dtype)
    value, slope = jax.value_and_grad(f)(flat)
    bend = jax.vmap(lambda direction: jax.jvp(jax.grad(f), (flat,), (direction,))[1])(basis)
    radial = jnp.broadcast_to(jnp.sum(slope.reshape(y.shape) * y, axis=1, keepdims=True), y.shape).ravel()
    tangent = basis - fixed_directions(y, mask)
    return Local(y, value, tangent @ slope, tangent @ (bend - jnp.diag(radial)) @ tangent)


def _step(here: Local, mask: Array, damping: Array) -> tuple[Array, Array]:
    """The next point, and by how much f should rise."""
    fixed = fixed_directions(here.y, mask)
    matrix = damping * jnp.eye(len(fixed), dtype=damping.dtype) + jnp.max(jnp.abs(here.hessian)) * fixed - here.hessian
    move = solve_positive(matrix, here.gradient[:, None])[:, 0]
    y = here.y + move.reshape(here.y.shape)
    rise = here.gradient @ move + move @ here.hessian @ move / 2
    return y / jnp.sqrt(jnp.sum(y**2, axis=1, keepdims=True)), rise


def steepness(here: Local) -> Float[Array, ""]:
    """The largest entry of the gradient."""
    return jnp.max(jnp.abs(here.gradient))


def _bend(here: Local) -> Float[Array, " lane"]:
    """The largest entry of each lane's Hessian."""
    return jnp.max(jnp.abs(here.hessian), axis=(-2, -1))


def curvature(here: Local, mask: Bool[Array, "row action"]) -> Float[Array, ""]:
    """The largest eigenvalue of the Hessian on the spheres, payoff units; -inf where there is no direction."""
    fixed = fixed_directions(here.y, mask)
    far = 1 + 2 * jnp.sum(jnp.abs(here.hessian))
    largest = in_turn(lambda matrix: jax.lax.linalg.eigh(matrix)[1])(here.hessian - far * fixed)[-1]
    return jnp.where(jnp.sum(mask) == len(mask), -jnp.inf, largest)


def rest(starts: Float[Array, "lane row action"]) -> Climb:
    """The state of climbs that have not begun."""
    y, size = jnp.sqrt(starts), starts[0].size
    lanes, dtype = starts.shape[:1], starts.dtype
    nowhere = Local(y, *(jnp.zeros((*lanes, *[size] * axes), dtype) for axes in range(3)))
    return Climb(nowhere, y, jnp.zeros(lanes, dtype), jnp.zeros(lanes, dtype), jnp.zeros(lanes, jnp.int32))


def climb(
    objective: Objective,
    problems: Any,
    masks: Bool[Array, "lane row action"],
    starts: Float[Array, "lane row action"],
    scale: Float[Array, " lane"],
    max_steps: int,
) -> Climb:
    """Climb to a local maximum in every lane.

    Args:
        objective: J of policies ``[row, action]``, smooth where they are positive, and the lane's problem.
        problems: a tree; its leaves have a leading axis.
        masks: which actions there are.
        starts: policies, positive on the masks and 0 elsewhere.
        scale: how large payoffs are.
        max_steps: of each lane.
    """
    tol = TOLERANCE[starts.dtype] * scale
    noise = ROUNDING * float(jnp.finfo(starts.dtype).eps) * scale
    look = jax.vmap(lambda problem, mask, y: local_at(objective, problem, mask, y))

    def busy(state: Climb) -> Bool[Array, " lane"]:
        most = MOST_DAMPING * jnp.maximum(scale, _bend(state.here))
        steep = (jax.vmap(steepness)(state.here) > tol) & (state.damping < most)
        return (state.num_steps == 0) | (steep & (state.num_steps < max_steps))

    def step(state: Climb) -> Climb:
        active, first = busy(state), state.num_steps == 0
        there = look(problems, masks, state.trial)
        change = there.value - state.here.value
        level = (state.rise <= noise) & (jax.vmap(steepness)(there) < jax.vmap(steepness)(state.here))
        # Not so where a rise is NaN, as the matrix was not positive.
        good = first | ((state.rise > 0) & ((change >= state.rise / 8) | level))
        moved = active & good
        here = jax.tree.map(
            lambda new, old: jnp.where(moved.reshape(-1, *[1] * (new.ndim - 1)), new, old), there, state.here
        )
        factor = jnp.where(good, jnp.where(level | (change >= state.rise / 2), 0.1, 1), 4)
        damping = jnp.where(active & ~first, state.damping * factor, state.damping)
        damping = jnp.where(first, FIRST_DAMPING * jnp.maximum(scale, _bend(here)), damping)
        trial, rise = jax.vmap(_step)(here, masks, damping)
        return Climb(here, trial, rise, damping, state.num_steps + active.astype(jnp.int32))

    return jax.lax.while_loop(lambda state: jnp.any(busy(state)), step, rest(starts))


def best_climb(
    objective: Objective,
    problems: Any,
    masks: Array,
    starts: Array,
    there: Array,
    scale: Array,
    max_steps: int,
) -> Climb:
    """The climb that ends highest, for each problem.

    Args:
        objective: J of policies ``[row, action]`` and a problem.
        problems: a tree whose leaves have a leading axis.
        masks: which actions there are, ``[problem, row, action]``.
        starts: where to climb from, ``[problem, start, row, action]``.
        there: which of these there are, ``[problem, start]``; of each problem at least one.
        scale: how large payoffs are, ``[problem]``.
        max_steps: of each climb; static.
    """
    size, count = starts.shape[:2]

    def climb_some(rows: Array) -> Climb:
        some = jax.tree.map(lambda leaf: leaf[rows // count], (problems, masks, scale))
        return climb(objective, some[0], some[1], starts[rows // count, rows % count], some[2], max_steps)

    def climb_block(state: tuple[Array, Climb]) -> tuple[Array, Climb]:
        index, ends = state
        rows = order[index]
        return index + 1, jax.tree.map(lambda leaf, found: leaf.at[rows].set(found), ends, climb_some(rows))

    if size * count <= WIDTH:
        ends = climb_some(jnp.arange(size * count))
    else:
        order = jnp.argsort(~there.ravel())  # those that there are come first, and no others are climbed from
        order = jnp.pad(order, (0, -order.size % WIDTH), mode="edge").reshape(-1, WIDTH)
        begin = jnp.zeros((), jnp.int32), rest(starts.reshape(-1, *starts.shape[2:]))
        ends = jax.lax.while_loop(lambda state: state[0] * WIDTH < jnp.sum(there, dtype=jnp.int32), climb_block, begin)[
            1
        ]
    ends = jax.tree.map(lambda leaf: leaf.reshape(size, count, *leaf.shape[1:]), ends)
    values = jnp.where(there & ~jnp.isnan(ends.here.value), ends.here.value, -jnp.inf)
    best = jnp.argmax(values, axis=1)
    return jax.tree.map(lambda leaf: jax.vmap(lambda row, index: row[index])(leaf, best), ends)
