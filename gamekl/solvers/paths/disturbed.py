"""Where the path of a game that is changed a little goes from a point at which several branches meet.

There the formulas of `singular` tell which branches there are on a side, and not which of them that path takes. So it
is followed past the point in short steps, and from its end Newton's method leads onto a branch.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.kernels import lanes
from gamekl.core.kernels.system import GameEquations, Vector
from gamekl.solvers.nash.trace import Flag, Lane, Point, choose, plus
from gamekl.solvers.paths.correct import correct
from gamekl.solvers.paths.singular import Singular, unit

# The size of the change, in nats of a logit. Close to the point it moves the path by about the square or cube root.
CHANGE = 1e-6
# Steps: the longest beside the distance from the point, so that none leads past it; the shortest, in nats; how much
# longer the next may be; and most of them.
LONGEST, SHORTEST = 0.15, 1e-9
GROWTH = 1.5
MOST_STEPS = 600
# Corrections of a step may move it by this, beside its length, and its tangent may turn by so much, a cosine.
MOVED, TURNED = 0.1, 0.99
# It has come to the point where it is nearer than this share of the distance that it starts from.
NEAR = 0.5
# The undisturbed path: so much of the way from the point is not along its tangent, at most.
STRAIGHT = 0.2


class Departure(NamedTuple):
    """A point on the branch that a disturbed path takes, by lane.

    Attributes:
        point: the point.
        heading: the branch's tangent there, which leads away.
        found: whether that could be followed, and leaves the undisturbed path.
    """

    point: Point
    heading: Point
    found: Flag


class _Walk(NamedTuple):
    point: Point
    tangent: Point
    step: Lane
    came: Flag
    walking: Flag


def _distance(first: Point, second: Point) -> Lane:
    away = plus(first, second, -jnp.ones_like(first.s))
    return jnp.maximum(lanes.largest(jnp.abs(away.z)), jnp.abs(away.s))


def depart(system: GameEquations, singular: Singular, change: Vector, reach: Lane) -> Departure:
    """Follow the path of changed equations past a singular point.

    Args:
        system: the equations.
        singular: the point, and the path's tangent there.
        change: of F, times any positive number.
        reach: from how far before the point to how far behind it, in nats.
    """
    centre, ahead = singular.point, singular.tangent
    yes = singular.multiplicity > 0
    size = lanes.largest(jnp.abs(change))
    pushed = CHANGE * change / jnp.where(size > 0, size, 1)
    changed = eqx.tree_at(lambda equations: equations.anchor, system, system.anchor - pushed)
    before = correct(system, plus(centre, ahead, -reach), ahead, yes)
    start = correct(changed, before.point, ahead, yes)

    def turn(state: tuple[Array, _Walk]) -> tuple[Array, _Walk]:
        number, walk = state
        found = correct(changed, plus(walk.point, walk.tangent, walk.step), walk.tangent, walk.walking)
        tangent = unit(system, found.tangent, found.point.z)
        same = lanes.dot(tangent.z, walk.tangent.z) + tangent.s * walk.tangent.s
        lengths = [jnp.sqrt(lanes.dot(each.z, each.z) + each.s**2) for each in (tangent, walk.tangent)]
        good = (found.moved <= MOVED * walk.step) & (same >= TURNED * lengths[0] * lengths[1])
        away = _distance(found.point, centre)
        came = walk.came | (good & (away <= NEAR * reach))
        step = jnp.where(good, jnp.minimum(GROWTH * walk.step, LONGEST * away), walk.step / 2)
        ended = good & walk.came & (away >= reach)
        moved = walk._replace(
            point=choose(good, found.point, walk.point),
            tangent=choose(good, tangent, walk.tangent),
            step=step,
            came=came,
            walking=walk.walking & ~ended & (step > SHORTEST),
        )
        return number + 1, choose(walk.walking, moved, walk)

    no = jnp.zeros_like(yes)
    opening = _Walk(start.point, unit(system, start.tangent, start.point.z), LONGEST * reach, no, yes)
    _, walk = jax.lax.while_loop(
        lambda state: jnp.any(state[1].walking) & (state[0] < MOST_STEPS), turn, (jnp.int32(0), opening)
    )
    end = correct(system, walk.point, walk.tangent, yes)
    way = plus(end.point, centre, -jnp.ones_like(centre.s))
    along = lanes.dot(way.z, ahead.z) + way.s * ahead.s
    square = lanes.dot(ahead.z, ahead.z) + ahead.s**2
    aside = plus(way, ahead, -along / square)
    leaves = (lanes.dot(aside.z, aside.z) + aside.s**2) > STRAIGHT**2 * (lanes.dot(way.z, way.z) + way.s**2)
    arrived = walk.came & ~walk.walking & (walk.step > SHORTEST) & (_distance(end.point, walk.point) <= MOVED * reach)
    heading = unit(system, end.tangent, end.point.z)
    return Departure(end.point, heading, yes & arrived & (leaves | (along < 0)) & (end.point.s > 0))
