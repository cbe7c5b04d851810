"""Points of the path where other branches cross it.

There the matrix B of [dF/dz, dF/ds] with the path's tangent t as a row below, which folds leave regular, has no
inverse. Its least singular value sigma, with a sign, is a smooth function of the arclength h and falls through 0. With
unit vectors such that w^T B n = sigma, dsigma/dh = w^T F'' t n, so Newton's method on the path finds the place; what is
left of the way at the end is gone along the tangent, and a single crossing is polished (`_polish`). With several
vectors n at once as many branches meet.

Around such a point, with w = (z, s) = w* + x n + mu t, the solutions are to leading order those of

    x (c mu + a x / 2 + b x^2 / 6) = 0,
    c = w^T F'' t n,    a = w^T F'' n n,    b = w^T (F''' n n n + 3 F'' n y),    B y = -(F'' n n, 0),

x = 0 being the path itself (derived; the reduction of Lyapunov and Schmidt). It is a pitchfork where w^T F'' v v = 0, v
being the direction among t and n that keeps s; else branches cross from side to side. A small change p of F moves the
path before the crossing, where mu < 0, to x = w^T p / (c |mu|), and whatever the kind, the disturbed path goes on along
the new branch on that side (derived).
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.lanes import lanes_first
from gamekl.core.kernels.system import GameEquations, Vector
from gamekl.solvers.nash.measure import faintest, weights
from gamekl.solvers.nash.trace import Count, Lane, Point, choose, plus

# Newton steps along the path to a singular point, and corrections of each point on the way.
MOST_STEPS = 8
CORRECTIONS = 3
# The length of such a step, in nats, behind which what is left is gone without a correction, as a power of eps.
CLOSE_POWER = 0.4
# Singular values that are smaller, beside the largest, than this power of eps count as 0 in a correction, which leaves
# out their directions.
CUTOFF_POWER = 0.5
# Other singular values that are smaller than this, beside 1, vanish at a crossing, too.
VANISHING = 1e-5

# A direction or point, joined: z and s, ``[logits + 1, lane]``.
Joined = Float[Array, "coordinates lane"]


class Singular(NamedTuple):
    """A point where branches cross the path, by lane.

    Attributes:
        point: the point; z as log-policies.
        tangent: of the path, unit.
        multiplicity: how many singular values vanish there; 0 where no such point was found.
    """

    point: Point
    tangent: Point
    multiplicity: Count


def join(point: Point) -> Joined:
    """The coordinates in one array."""
    return jnp.concatenate([point.z, point.s[None]])


def part(joined: Joined) -> Point:
    """The inverse of `join`."""
    return Point(joined[:-1], joined[-1])


class _Matrix(NamedTuple):
    """The derivative [dF/dz, dF/ds], its residual F, and what levels logits; F and dF/ds are levelled."""

    derivative: Float[Array, "logits coordinates lane"]
    off: Vector
    level: Callable[[Array], Array]


def _matrix(system: GameEquations, point: Point) -> _Matrix:
    linear = system.linearize(point.z, point.s * system.pace)
    columns = linear.level(jnp.stack([linear.residual, linear.slope * system.pace], axis=1))
    derivative = jnp.concatenate([linear.jacobian(), columns[:, 1:]], axis=1)
    return _Matrix(derivative, columns[:, 0], linear.level)


def change_of_matrix(system: GameEquations, at: Point, *directions: Point) -> Float[Array, "logits coordinates lane"]:
    """The derivative of [dF/dz, dF/ds] in these directions, one after another."""

    def along(function: Callable[[Point], Array], direction: Point) -> Callable[[Point], Array]:
        return lambda point: jax.jvp(function, (point,), (direction,))[1]

    def matrix(point: Point) -> Array:
        linear = system.linearize(point.z, point.s * system.pace)
        return jnp.concatenate([linear.jacobian(), linear.slope[:, None] * system.pace], axis=1)

    return reduce(along, directions, matrix)(at)


def times(matrix: Float[Array, "n m lane"], vector: Float[Array, "m lane"]) -> Float[Array, "n lane"]:
    """The product with a vector, in every lane."""
    return jnp.einsum("nml,ml->nl", matrix, vector, precision=lanes.PRECISION)


class Factors(NamedTuple):
    """Singular vectors of the bordered matrix, in columns, and values, falling; the last axis is that of lanes."""

    left: Float[Array, "coordinates vector lane"]
    right: Float[Array, "coordinates vector lane"]
    sizes: Float[Array, "vector lane"]

    def along_left(self, vector: Joined) -> Float[Array, "vector lane"]:
        """The vector's components along the left ones."""
        return times(jnp.swapaxes(self.left, 0, 1), vector)


def _weighed(system: GameEquations, direction: Point, z: Vector) -> Point:
    return Point(direction.z * weights(z, faintest(system.scale)), direction.s)


def factors(system: GameEquations, point: Point, row: Point) -> tuple[Factors, _Matrix]:
    """The factors of the matrix with a row below, of logits that matter."""
    matrix = _matrix(system, point)
    border = join(_weighed(system, row, point.z))
    bordered = jnp.concatenate([matrix.derivative, border[None]])

    def alone(one: Array) -> tuple[Array, Array, Array]:
        return tuple(jnp.linalg.svd(one))

    left, sizes, right = jax.vmap(lanes.in_turn(alone))(lanes_first(bordered))
    columns = jnp.moveaxis(left, 0, -1), jnp.moveaxis(jnp.swapaxes(right, 1, 2), 0, -1)
    return Factors(*columns, sizes.T), matrix


def least_change(system: GameEquations, point: Point, row: Point) -> tuple[Point, Point]:
    """The least change, normal to `row`, that solves F = 0 to first order, and the tangent.

    Directions in which nothing changes to first order, as where branches cross, are left out.
    """
    found, matrix = factors(system, point, row)
    cutoff = jnp.finfo(found.sizes.dtype).eps ** CUTOFF_POWER * found.sizes[:1]
    inverse = jnp.where(found.sizes > cutoff, 1 / found.sizes, 0)
    none = jnp.zeros_like(point.s)
    sides = join(Point(-matrix.off, none)), join(Point(jnp.zeros_like(matrix.off), none + 1))
    solved = [part(times(found.right, found.along_left(side) * inverse)) for side in sides]
    change, tangent = (Point(matrix.level(each.z[:, None])[:, 0], each.s) for each in solved)
    return change, tangent


def unit(system: GameEquations, direction: Point, z: Vector) -> Point:
    """The direction with length 1 in the logits that matter and s."""
    weighed = join(_weighed(system, direction, z))
    length = jnp.sqrt(lanes.dot(weighed, weighed))
    return Point(direction.z / length, direction.s / length)


def on_hyperplane(system: GameEquations, point: Point, row: Point, corrections: int) -> tuple[Point, Point, Lane]:
    """A point put onto a branch, normally to `row`; the tangent there, and the size of the last correction."""

    def correct(_: Array, state: tuple[Point, Point, Lane]) -> tuple[Point, Point, Lane]:
        point = state[0]
        change, tangent = least_change(system, point, row)
        z, _ = materialize(system.normalized, point.z + change.z)
        weighed = _weighed(system, change, z)
        size = jnp.maximum(lanes.largest(jnp.abs(weighed.z)), jnp.abs(change.s))
        return Point(z, point.s + change.s), unit(system, tangent, z), size

    return jax.lax.fori_loop(0, corrections, correct, (point, row, jnp.zeros_like(point.s)))


class _Search(NamedTuple):
    point: Point
    tangent: Point
    step: Lane
    rate: Lane
    sizes: Float[Array, "vector lane"]


def nearer(system: GameEquations, first: tuple[Point, Point], second: tuple[Point, Point]) -> tuple[Point, Point]:
    """The one of two places of each lane, with tangents, at which the matrix is nearer to one without an inverse."""
    least = [factors(system, *place)[0].sizes[-1] for place in (first, second)]
    return choose(least[0] < least[1], first, second)


def _polish(system: GameEquations, start: Point, tangent: Point) -> Point:
    """The crossing of a single branch that a point is close to.

    Beside it corrections along n are quotients of rounding errors. But not only F but the derivative of w^T F, too,
    vanishes there: Newton's method finds by these where it is in the directions t and n, and by F where in the others.
    """

    def turn(_: Array, point: Point) -> Point:
        found, matrix = factors(system, point, tangent)
        others = jnp.concatenate([1 / found.sizes[:-1], jnp.zeros_like(found.sizes[-1:])])
        off = jnp.concatenate([matrix.off, jnp.zeros_like(matrix.off[:1])])
        left, ways = found.left[:-1, -1], [join(tangent), found.right[:, -1]]
        bent = [change_of_matrix(system, point, part(way)) for way in ways]
        (along, mixed), (_, across) = ([lanes.dot(left, times(each, way)) for way in ways] for each in bent)
        slope = [lanes.dot(left, times(matrix.derivative, way)) for way in ways]
        steps = mixed * slope[1] - across * slope[0], mixed * slope[0] - along * slope[1]
        inner = (ways[0] * steps[0] + ways[1] * steps[1]) / (along * across - mixed**2)
        step = part(inner - times(found.right, found.along_left(off) * others))
        z, _ = materialize(system.normalized, point.z + step.z)
        return Point(z, point.s + step.s)

    return jax.lax.fori_loop(0, CORRECTIONS, turn, start)


def locate(system: GameEquations, start: Point, tangent: Point, reach: Lane) -> Singular:
    """The point near `start` where branches cross the path, not farther than `reach` along it."""
    close = jnp.finfo(start.s.dtype).eps ** CLOSE_POWER

    def look(point: Point, tangent: Point) -> _Search:
        found, _ = factors(system, point, tangent)
        left, right = found.left[:-1, -1], found.right[:, -1]
        rate = lanes.dot(left, times(change_of_matrix(system, point, tangent), right))
        return _Search(point, tangent, -found.sizes[-1] / rate, rate, found.sizes)

    def turn(number: Array, search: _Search) -> _Search:
        step = jnp.where(number > 0, jnp.clip(search.step, -reach, reach), 0)
        ahead = plus(search.point, search.tangent, step)
        new = look(*on_hyperplane(system, ahead, search.tangent, CORRECTIONS)[:2])
        return choose(~(jnp.abs(search.step) <= close), new, search)

    endless = jnp.full_like(reach, jnp.inf)
    opening = _Search(start, tangent, endless, endless, jnp.zeros((len(start.z) + 1, *reach.shape), reach.dtype))
    search = jax.lax.fori_loop(0, MOST_STEPS, turn, opening)
    there = jnp.abs(search.step) <= close
    point = plus(search.point, search.tangent, search.step)
    vanishing = jnp.maximum(VANISHING, 4 * jnp.abs(search.step * search.rate))
    multiplicity = jnp.sum(search.sizes <= vanishing, axis=0, dtype=jnp.int32)
    better = _polish(system, point, search.tangent)
    away = plus(better, point, -jnp.ones_like(search.step))
    near = jnp.maximum(lanes.largest(jnp.abs(away.z)), jnp.abs(away.s)) <= jnp.sqrt(close)
    point = choose(near & (multiplicity == 1), better, point)
    z, _ = materialize(system.normalized, point.z)
    return Singular(Point(z, point.s), search.tangent, jnp.where(there, multiplicity, 0))
