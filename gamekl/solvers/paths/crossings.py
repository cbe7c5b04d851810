"""Where a path meets given temperatures: each crossing, solved there."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import Vector
from gamekl.solvers.nash import path
from gamekl.solvers.nash.conclude import assess, status_of_answer
from gamekl.solvers.nash.prepare import Prepared
from gamekl.solvers.nash.trace import Count, Lane, Point
from gamekl.solvers.paths.correct import correct
from gamekl.solvers.paths.points import FARTHEST, Curve, Points, at, curve, first_row, without_row
from gamekl.solvers.solution import Status

# Steps to the place on a curve where it meets a temperature; Newton's method ends what they begin.
STEPS = 6


class Crossings(NamedTuple):
    """Where paths meet temperatures, by lane; a crossing that there is none of holds NaN.

    Attributes:
        z: log-policies, 0 where masked, shape ``[temperature, crossing, logits, lane]``.
        gap: of each player, payoff units, shape ``[temperature, crossing, player, lane]``.
        residual: sup |policy - best response|, shape ``[temperature, crossing, lane]``.
        sign: that of det dF/dz there, likewise.
        length: arclength from the reference, nats, likewise.
        status: likewise; `Status.converged` where the crossing was found.
        number: how many crossings there are, found or not, shape ``[temperature, lane]``.
    """

    z: Float[Array, "temperature crossing logits lane"]
    gap: Float[Array, "temperature crossing player lane"]
    residual: Float[Array, "temperature crossing lane"]
    sign: Float[Array, "temperature crossing lane"]
    length: Float[Array, "temperature crossing lane"]
    status: Int[Array, "temperature crossing lane"]
    number: Int[Array, "temperature lane"]


def _meets(points: Points, target: Lane) -> Array:
    """Whether s passes the target between each point and the next."""
    s = points.places.numbers[:, 0]
    low, high = jnp.minimum(s[:-1], s[1:]), jnp.maximum(s[:-1], s[1:])
    ahead = s[1:] > s[:-1]
    # A point on the target belongs to the stretch that ends there.
    passes = jnp.where(ahead, (low < target) & (target <= high), (low <= target) & (target < high))
    # Where no payoff matters the path stays at the reference, whatever the temperature.
    still = (target == 0) & (jnp.arange(1, len(s), dtype=jnp.int32)[:, None] == 1)
    passes = passes | still
    return passes & (jnp.arange(1, len(s), dtype=jnp.int32)[:, None] < points.num_points)


def _parameter(given: Curve, target: Lane) -> Lane:
    """Where s has about this value on a curve on which it is monotone."""
    forward = jnp.sign(given.end.s - given.start.s)

    def narrow(_: Array, state: tuple[Lane, Lane, Lane]) -> tuple[Lane, Lane, Lane]:
        low, high, u = state
        off, rise = (given.s(u) - target) * forward, given.rise(u) * forward
        low, high = jnp.where(off <= 0, u, low), jnp.where(off <= 0, high, u)
        newton = u - off / rise
        inside = (newton > low) & (newton < high)
        return low, high, jnp.where(inside, newton, (low + high) / 2)

    zero = jnp.zeros_like(target)
    ahead = given.end.s - given.start.s
    share = jnp.where(ahead == 0, 1, (target - given.start.s) / jnp.where(ahead == 0, 1, ahead))
    return jax.lax.fori_loop(0, STEPS, narrow, (zero, zero + 1, jnp.clip(share, 0, 1)))[2]


class _Met(NamedTuple):
    z: Vector
    gap: Float[Array, "player lane"]
    residual: Lane
    sign: Lane
    length: Lane
    status: Count


def cross_temperatures(
    prepared: Prepared, tol: Lane, points: Points, fractions: Float[Array, "temperature lane"], most: int
) -> Crossings:
    """The first `most` crossings of each path with each temperature.

    Args:
        prepared: the problems in lanes.
        tol: bounds on residuals; NaN for the default.
        points: of their paths.
        fractions: of the inverse temperatures at the paths' ends.
        most: crossings of one temperature.
    """
    system = prepared.system

    def meet(points: Points, row: Array, present: Array, target: Lane, fraction: Lane) -> _Met:
        given = curve(system, points.places, row, row + 1)
        u = _parameter(given, target)
        upward = Point(jnp.zeros_like(given.start.z), jnp.ones_like(u))
        start = Point(given.point(u).z, target)
        found = correct(system, start, upward, present, tangents=False)
        z, policy = materialize(system.normalized, found.point.z)
        there = prepared._replace(temperatures=prepared.temperatures / fraction)
        quality = materialize(assess, there, z, policy)
        # Between two points dF/dz has an inverse, so its determinant keeps its sign.
        signs = at(points.places.sign, row), at(points.places.sign, row + 1), found.sign
        alike = (signs[0] * signs[2] >= 0) & (signs[1] * signs[2] >= 0)
        near = found.moved < FARTHEST * jnp.maximum(1, given.length)
        good = (found.size < FARTHEST) & near & alike
        phase = jnp.full(u.shape, path.FOUND, jnp.int32)
        status = status_of_answer(tol, phase, quality, prepared.wrong)
        status = jnp.where((status == Status.converged) & ~good, Status.path_failed, status)
        length = at(points.length, row) * (1 - u) + at(points.length, row + 1) * u
        met = _Met(z, quality.gap, quality.residual, found.sign, length, status.astype(jnp.int32))
        return jax.tree.map(lambda leaf: jnp.where(present, leaf, _nothing(leaf)), met)

    def each(fraction: Lane) -> tuple[_Met, Count]:
        target = fraction * system.scale
        passes = _meets(points, target)

        def crossing(left: Array, _: None) -> tuple[Array, _Met]:
            row, present = first_row(left)
            given = points, jnp.where(present, row, 0), present, target, fraction
            like = jax.eval_shape(meet, *given)
            blank = jax.tree.map(lambda leaf: jnp.broadcast_to(_nothing(leaf), leaf.shape), like)
            return without_row(left, row), jax.lax.cond(jnp.any(present), meet, lambda *_: blank, *given)

        met = jax.lax.scan(crossing, passes, length=most)[1]
        return met, jnp.sum(passes, axis=0, dtype=jnp.int32)

    met, count = jax.lax.map(each, fractions)
    return Crossings(*met, number=count)


def _nothing(leaf: Any) -> Array:
    """What stands where there is no crossing."""
    return jnp.asarray(Status.path_failed if jnp.issubdtype(leaf.dtype, jnp.integer) else jnp.nan, leaf.dtype)
