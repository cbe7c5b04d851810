"""Other branches that cross the path: which way they go, and how the tracer gets onto one of them.

The formulas are those of `singular`. Where several singular values vanish at once, C = W^T F'' t N stands for c, W and
N having a column for each, and a small change p of F moves the path before the crossing along N C^-1 W^T p; which
branch it takes behind it, `disturbed` finds out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels import lanes
from gamekl.core.kernels.lanes import lanes_first
from gamekl.core.kernels.system import GameEquations, Vector
from gamekl.solvers.nash.trace import Flag, Lane, Place, Point, choose, plus
from gamekl.solvers.paths.disturbed import Departure, depart
from gamekl.solvers.paths.singular import (
    Factors,
    Joined,
    Singular,
    change_of_matrix,
    factors,
    join,
    on_hyperplane,
    part,
    times,
    unit,
)

# How far from the crossing the first place on another branch is, in nats. Where it would be beyond the path's end it is
# nearer, by a little more than a line or a parabola has it, in so many tries at most.
FIRST_STEP = 0.05
SHY = 0.9
MOST_TRIES = 12
# Corrections that put it there, and the largest last one, as a power of eps.
CORRECTIONS = 8
CORRECTED_POWER = 0.5
# A crossing whose quadratic term is smaller than this power of eps, beside the others, is a pitchfork.
EVEN_POWER = 0.4
# A change of F that moves the path less than this, beside its size, does not tell one side from the other.
TELLING = 1e-8


class Crossing(NamedTuple):
    """A point where other branches cross the path, and the way onto the one on a given side; by lane.

    Attributes:
        singular: the point.
        outward: the direction of that branch there, unit.
        even: whether the branch leaves to both sides alike, as at a pitchfork.
        place: a first place on the branch; its tangent leads away.
        step: how far that is.
        found: whether it could be found.
    """

    singular: Singular
    outward: Point
    even: Flag
    place: Place
    step: Lane
    found: Flag


class _Tries(NamedTuple):
    """Attempts to reach a first place on the branch.

    Attributes:
        number: of them.
        step: how far it is from the crossing.
        next_step: how far the next is to be.
        taken: the place; `found` where it is not beyond the path's end.
        wanted: whether there is to be another attempt.
    """

    number: Array
    step: Lane
    next_step: Lane
    taken: Departure
    wanted: Flag


def _default(found: Factors, vanishing: Float[Array, "vector lane"]) -> Vector:
    """The change of F by which the first action that the crossing branches tell apart gains weight."""
    told = jnp.sum((found.left[:-1] * vanishing) ** 2, axis=1) > TELLING
    first = jnp.argmax(told, axis=0).astype(jnp.int32)
    return -(jnp.arange(len(told), dtype=jnp.int32)[:, None] == first).astype(found.sizes.dtype)


class _Sides(NamedTuple):
    """The directions n and w of the module's formulas on the side that a change leads to, c there, and the path's own.

    Attributes:
        right: n.
        left: w.
        rate: c.
        turn: what the tangent lacks: close to the crossing rounding errors move it among the branches' directions, but
            w^T F'' t t = 0 for the path as for every branch.
    """

    right: Joined
    left: Vector
    rate: Lane
    turn: Joined


def _sides(
    turning: Float[Array, "logits coordinates lane"],
    tangent: Point,
    found: Factors,
    vanishing: Float[Array, "vector lane"],
    change: Vector,
) -> _Sides:
    """The sides, `turning` being the derivative of [dF/dz, dF/ds] along the tangent."""
    left = jnp.swapaxes(found.left[:-1], 0, 1)
    inner = jnp.einsum("inl,nml,mjl->ijl", left, turning, found.right, precision=lanes.PRECISION)
    rates = inner * vanishing[:, None] * vanishing[None]
    rest = jnp.eye(len(vanishing), dtype=vanishing.dtype)[:, :, None] * (1 - vanishing)
    pushed, bent = (times(left, vector) * vanishing for vector in (change, times(turning, join(tangent))))

    def solve(matrix: Array, right: Array) -> Array:
        return jnp.linalg.solve(matrix, right)

    sides = jnp.stack([pushed, -bent / 2], axis=1)
    solved = jnp.moveaxis(jax.vmap(lanes.in_turn(solve))(*lanes_first((rates + rest, sides))), 0, -1)
    moved, turn = solved[:, 0] * vanishing, solved[:, 1] * vanishing
    moved = moved / jnp.sqrt(lanes.dot(moved, moved))
    rate = times(rates, moved)
    speed = jnp.sqrt(lanes.dot(rate, rate))
    return _Sides(
        right=times(found.right, moved),
        left=times(found.left[:-1], rate / speed),
        rate=speed,
        turn=times(found.right, turn),
    )


class _Branch(NamedTuple):
    """The branch that crosses the path, close to the crossing; `Crossing` has what is not said here.

    Attributes:
        singular: the crossing, with the path's tangent.
        change: the change of F that tells the side.
        way: the direction normal to the path in which the branch leaves.
        bend: the change of that direction by distance.
        rate: c of the formulas.
        quadratic: a.
        cubic: b.
        outward: the branch's direction.
        even: whether it leaves to both sides alike.
    """

    singular: Singular
    change: Vector
    way: Joined
    bend: Joined
    rate: Lane
    quadratic: Lane
    cubic: Lane
    outward: Point
    even: Flag


def _expand(system: GameEquations, singular: Singular, change: Vector) -> _Branch:
    point, tangent = singular.point, singular.tangent
    found, matrix = factors(system, point, tangent)
    number = len(found.sizes)
    vanishing = jnp.arange(number, dtype=jnp.int32)[:, None] >= number - jnp.maximum(singular.multiplicity, 1)
    vanishing = vanishing.astype(found.sizes.dtype)
    told = times(jnp.swapaxes(found.left[:-1], 0, 1), change) * vanishing
    tells = lanes.dot(told, told) > TELLING**2 * lanes.dot(change, change)
    turning = change_of_matrix(system, point, tangent)
    change = jnp.where(tells, change, _default(found, vanishing))
    right, left, rate, turn = _sides(turning, tangent, found, vanishing, change)
    tangent = unit(system, plus(tangent, part(turn), jnp.ones_like(rate)), point.z)
    way = part(right)
    curving = change_of_matrix(system, point, way)
    second = times(curving, right)
    inverse = (1 - vanishing) / jnp.where(vanishing > 0, 1, found.sizes)
    bend = -times(found.right, found.along_left(join(Point(second, jnp.zeros_like(rate)))) * inverse)
    third = times(change_of_matrix(system, point, way, way), right) + 3 * times(curving, bend)
    quadratic, cubic = lanes.dot(left, second), lanes.dot(left, third)
    # Of the two directions the one that keeps s.
    level_way = right * tangent.s - join(tangent) * way.s
    length = jnp.sqrt(lanes.dot(level_way, level_way))
    level_way = level_way / jnp.where(length > 0, length, 1)
    level = lanes.dot(left, times(change_of_matrix(system, point, part(level_way)), level_way))
    even = jnp.abs(level) <= jnp.finfo(rate.dtype).eps ** EVEN_POWER * (jnp.abs(cubic) + rate)
    outward = plus(way, tangent, -quadratic / 2 / rate)
    outward = unit(system, Point(matrix.level(outward.z[:, None])[:, 0], outward.s), point.z)
    singular = singular._replace(tangent=tangent)
    return _Branch(singular, change, right, bend, rate, quadratic, cubic, outward, even)


def _reach(system: GameEquations, branch: _Branch, step: Lane) -> Departure:
    """A place on the branch, so far from the crossing."""
    point, tangent, multiplicity = branch.singular
    ahead = -(branch.quadratic * step / 2 + branch.cubic * step**2 / 6) / branch.rate
    trial = plus(plus(point, part(branch.way + step / 2 * branch.bend), step), tangent, ahead)
    corrected, heading, size = on_hyperplane(system, trial, part(branch.way), CORRECTIONS)
    away = plus(corrected, trial, -jnp.ones_like(step))
    near = (lanes.largest(jnp.abs(away.z)) <= step) & (jnp.abs(away.s) <= step)
    exact = size <= jnp.finfo(step.dtype).eps ** CORRECTED_POWER
    found = Departure(corrected, heading, (multiplicity == 1) & near & exact & (corrected.s > 0))
    several = branch.singular._replace(multiplicity=jnp.where(multiplicity > 1, multiplicity, 0))
    departed = jax.lax.cond(
        jnp.any(multiplicity > 1), lambda: depart(system, several, branch.change, step), lambda: found
    )
    return choose(multiplicity > 1, departed, found)


def _first_place(system: GameEquations, branch: _Branch) -> _Tries:
    """A first place on the branch, not beyond the path's end."""
    point, tangent, multiplicity = branch.singular
    room = jnp.maximum(system.scale - point.s, 0)

    def attempt(state: _Tries) -> _Tries:
        taken = _reach(system, branch, state.next_step)
        rise = taken.point.s - point.s
        beyond = taken.found & (rise > room)
        share = room / jnp.where(beyond, rise, 1)
        share = SHY * jnp.where(branch.even | (multiplicity > 1), jnp.sqrt(share), share)
        taken = taken._replace(found=taken.found & ~beyond)
        tried = _Tries(state.number, state.next_step, share * state.next_step, taken, beyond & (share > 0))
        return choose(state.wanted, tried, state)._replace(number=state.number + 1)

    wanted, step = multiplicity > 0, jnp.full_like(room, FIRST_STEP)
    nothing = Departure(point, tangent, jnp.zeros_like(wanted))
    return jax.lax.while_loop(
        lambda state: jnp.any(state.wanted) & (state.number < MOST_TRIES),
        attempt,
        _Tries(jnp.int32(0), step, step, nothing, wanted),
    )


def cross(system: GameEquations, singular: Singular, change: Vector, crosses: bool) -> Crossing:
    """The way onto the branch that crosses the path at a singular point.

    Args:
        system: the equations.
        singular: the point.
        change: a small change of F that tells the side, times any positive number; where it does not, the first action
            that the branches tell apart gains weight.
        crosses: whether a place on the branch is looked for.
    """
    branch = _expand(system, singular, change)
    point, tangent = branch.singular.point, branch.singular.tangent
    place = Place(point, tangent, level=jnp.zeros_like(branch.rate), rise=jnp.full_like(branch.rate, jnp.inf))
    if not crosses:
        none = jnp.zeros_like(branch.even)
        return Crossing(branch.singular, branch.outward, branch.even, place, jnp.ones_like(branch.rate), none)
    first = _first_place(system, branch)
    taken = first.taken
    chord = unit(system, plus(taken.point, point, -jnp.ones_like(first.step)), point.z)
    # A parabola's tangent where it starts, from its chord and its tangent at the other end.
    start = unit(system, Point(2 * chord.z - taken.heading.z, 2 * chord.s - taken.heading.s), point.z)
    outward = choose(singular.multiplicity > 1, start, branch.outward)
    place = place._replace(point=taken.point, tangent=taken.heading)
    return Crossing(branch.singular, outward, branch.even, place, first.step, taken.found)
