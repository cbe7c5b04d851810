"""The state of the path tracer in each lane: where it is on the path, and what it is trying."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.system import Vector

T = TypeVar("T")

Lane = Float[Array, " lane"]
Flag = Bool[Array, " lane"]
Count = Int[Array, " lane"]

RUNNING, FOUND, FAILED, STOPPED = 0, 1, 2, 3


class Point(NamedTuple):
    """A point of, or a direction in, the space of w = (z, s)."""

    z: Vector
    s: Lane


class Place(NamedTuple):
    """A point of the path.

    Attributes:
        point: the point.
        tangent: the unit tangent.
        level: log |det dF/dz|.
        rise: its mean slope, by arclength, on the step that led here; infinite where the determinant vanishes there.
    """

    point: Point
    tangent: Point
    level: Lane
    rise: Lane


class Trace(NamedTuple):
    """State of the tracer in each lane.

    Attributes:
        here: the last accepted place of the path; where `phase` is FOUND, the crossing.
        bend: the second derivative by arclength there.
        before: the one before; near a crossing of branches, the last one from which rounding errors are small.
        gap: about the distance from `before` to `here`.
        stride: length of the step that led to `here`.
        step: length of the step that is being tried.
        trial: the point that is being corrected.
        final: whether `trial` lies in the hyperplane beta = 1.
        mending: whether `trial` is `here` itself.
        guess: whether `trial` came from a guess and not from the path.
        free: whether the equilibrium is known to be unique, so that no correction can lead astray.
        first: size of the first correction of this step; infinite before it.
        last: size of the last one; infinite before the first.
        exact: whether `here` is close to the path.
        over: whether a step from `here` has led over a crossing and been refused.
        doubted: whether a step from `here` has been refused.
        returned: whether `here` was `before`, and `stride` the length of a step that was taken back.
        sure: whether `here` has been mended, so that its tangent is right.
        care: 1, or `CARE` in the second attempt.
        faint: the log-probability below which logits do not count in full.
        spread: of the pivots of dF/dz at the last trial.
        weight: about the square of the size of its couplings.
        phase: RUNNING, FOUND (`trial` is the crossing), FAILED (the step became too short) or STOPPED (too many steps).
        num_steps: corrections made.
        folds: turning points in beta that were passed.
        orientation: sign of det [dF/dw; tangent]; folds keep it, and it flips where another branch crosses the path.
        bifurcations: points that were passed where other branches cross it.
        plain: whether nothing on the path asked for care: no place was mended or returned to, and
            log |det dF/dz| never bent so much that another branch could be near.
    """

    here: Place
    bend: Point
    before: Place
    gap: Lane
    stride: Lane
    step: Lane
    trial: Point
    final: Flag
    mending: Flag
    guess: Flag
    free: Flag
    first: Lane
    last: Lane
    exact: Flag
    over: Flag
    doubted: Flag
    returned: Flag
    sure: Flag
    care: Lane
    faint: Lane
    spread: Lane
    weight: Lane
    phase: Count
    num_steps: Count
    folds: Count
    orientation: Lane
    bifurcations: Count
    plain: Flag


def plus(point: Point, direction: Point, length: Lane) -> Point:
    """The point `length` along a direction."""
    return Point(point.z + length * direction.z, point.s + length * direction.s)


def choose(condition: Flag, this: T, other: T) -> T:
    """`this` in the lanes where the condition holds, `other` elsewhere; points or places."""
    return jax.tree.map(lambda one, another: jnp.where(condition, one, another), this, other)
