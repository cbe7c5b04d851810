"""Newton's method from points near a path onto it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.solvers.nash.equations import Equations
from gamekl.solvers.nash.measure import faintest, weights
from gamekl.solvers.nash.trace import Flag, Lane, Point, choose

# Corrections of a point at most, from where a curve through places nearby has it.
MOST_CORRECTIONS = 12
# A correction may be so much of the one before; else rounding is all that is left of it.
CONTRACTION = 0.5
# The size of corrections at which they end, as a power of eps: such a one leaves an error about its square, and the
# tangent as exact as the point before it. Where no tangent is wanted they also end where the next one would be that
# small, as another power of eps, if it falls short of this one as squares do.
PRECISION_POWER = 0.6
NEXT_POWER = 0.75


class Corrected(NamedTuple):
    """A point that was put onto the path, by lane.

    Attributes:
        point: the point; z as log-policies.
        tangent: the unit tangent of the path there.
        sign: that of det dF/dz.
        size: of the last correction, in nats; NaN where Newton's method went astray.
        moved: the sizes of all corrections.
    """

    point: Point
    tangent: Point
    sign: Lane
    size: Lane
    moved: Lane


class _Newton(NamedTuple):
    point: Point
    tangent: Point
    sign: Lane
    size: Lane
    moved: Lane
    weight: Lane
    busy: Flag


def correct(system: Equations, start: Point, row: Point, wanted: Flag, tangents: bool = True) -> Corrected:
    """Newton's method in the hyperplane through `start` that is normal to `row`, where that is wanted.

    The tangent points the way of `row`; it is not exact unless `tangents` are wanted. Lengths count logits by how much
    they matter, as the tracer's do.
    """
    faint = faintest(system.scale)
    eps = jnp.finfo(system.scale.dtype).eps

    def turn(state: _Newton) -> _Newton:
        given = state.point
        z, policy = materialize(system.normalized, given.z)
        matter = weights(z, faint)
        linear = system.linearize_at(z, policy, given.s * system.pace)
        right = linear.level(jnp.stack([-linear.residual, -linear.slope * system.pace], axis=1))
        columns, determinant, weight = linear.solve(right, state.weight)
        newton, drift = columns[:, 0], columns[:, 1]
        along = lanes.dot(row.z * matter, drift) + row.s
        shift = -lanes.dot(row.z * matter, newton) / along
        # At a singular point a correction would be a quotient of rounding errors.
        magnitude = 1 + jnp.maximum(lanes.largest(jnp.abs(z) * matter), jnp.sqrt(weight))
        solved = lanes.largest(jnp.abs(right[:, 0]) * matter) <= eps * magnitude
        change, shift = jnp.where(solved, 0, newton + drift * shift), jnp.where(solved, 0, shift)
        counts = jnp.maximum(matter, weights(z + change, faint))
        size = jnp.maximum(lanes.largest(jnp.abs(change) * counts), jnp.abs(shift))
        forward = jnp.sign(along) / jnp.sqrt(1 + lanes.dot(drift * matter, drift * matter))
        # The noise that a nearly singular matrix makes of rounding errors does not shrink.
        unit = 1 + given.s
        stalled = (size > CONTRACTION * state.size) & (size <= eps**0.5 * unit)
        last = state.size
        next_size = jnp.where(last < jnp.inf, size * (size / last) ** 2, jnp.inf)
        small = size <= eps**PRECISION_POWER * unit
        small = small if tangents else small | (next_size <= eps**NEXT_POWER * unit)
        done = small | stalled | ~(size < jnp.inf)
        new = _Newton(
            point=Point(z + change, given.s + shift),
            tangent=Point(drift * forward, forward),
            sign=determinant.sign,
            size=size,
            moved=state.moved + size,
            weight=weight,
            busy=state.busy & ~done,
        )
        return choose(state.busy, new, state)

    unknown, endless = jnp.full_like(start.s, jnp.nan), jnp.full_like(start.s, jnp.inf)
    opening = _Newton(start, row, unknown, endless, jnp.zeros_like(start.s), jnp.ones_like(start.s), wanted)
    _, ended = jax.lax.while_loop(
        lambda state: jnp.any(state[1].busy) & (state[0] < MOST_CORRECTIONS),
        lambda state: (state[0] + 1, turn(state[1])),
        (jnp.int32(0), opening),
    )
    z, _ = materialize(system.normalized, ended.point.z)
    size = jnp.where(ended.busy, jnp.nan, ended.size)
    return Corrected(Point(z, ended.point.s), ended.tangent, ended.sign, size, ended.moved)
