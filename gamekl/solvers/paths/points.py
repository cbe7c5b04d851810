"""From the tracer's places to points: exact ones in order, with the folds between them."""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import GameEquations, Vector
from gamekl.solvers.nash.measure import faintest, weights
from gamekl.solvers.nash.trace import Count, Flag, Lane, Point, choose, plus
from gamekl.solvers.paths.correct import correct
from gamekl.solvers.paths.kinds import PointKind
from gamekl.solvers.paths.record import Leg, Places
from gamekl.solvers.paths.singular import unit

# A correction that moves a point farther than this, in nats, beside the distance of points, leads elsewhere.
FARTHEST = 0.1
# Steps to a fold, and the length of such a step, as a power of eps, behind which the rest is gone without a correction.
MOST_STEPS = 8
CLOSE_POWER = 0.4


class Points(NamedTuple):
    """The points of a path in order, by lane; from `num_points` on they mean nothing.

    Attributes:
        places: ``[point, ..., lane]``.
        length: arclength from the reference, in nats, shape ``[point, lane]``.
        num_points: how many points there are.
        num_folds: how many folds there are; the points have the first of them.
    """

    places: Places
    length: Float[Array, "point lane"]
    num_points: Count
    num_folds: Count


def at(table: Array, row: Int[Array, " lane"]) -> Array:
    """The entry of each lane, of a table ``[entry, ..., lane]``."""
    index = row.reshape(1, *(1,) * (table.ndim - 2), -1)
    return jnp.take_along_axis(table, index, axis=0)[0]


def _pair(vectors: Float[Array, "2 logits lane"], numbers: Float[Array, "4 lane"]) -> tuple[Point, Point]:
    """A place's point and tangent, from its rows of the tables."""
    return Point(vectors[0], numbers[0]), Point(vectors[1], numbers[1])


def place_at(places: Places, row: Int[Array, " lane"]) -> tuple[Point, Point]:
    """The point and the tangent of each lane's place."""
    return _pair(at(places.vectors, row), at(places.numbers, row))


def first_row(here: Bool[Array, "row lane"]) -> tuple[Int[Array, " lane"], Bool[Array, " lane"]]:
    """The first row of each lane that is marked, or the number of rows, and whether there is one."""
    rows = jnp.arange(len(here), dtype=jnp.int32)[:, None]
    row = jnp.min(jnp.where(here, rows, len(here)), axis=0)
    return row, row < len(here)


def without_row(here: Bool[Array, "row lane"], row: Int[Array, " lane"]) -> Bool[Array, "row lane"]:
    """The marks without those of these rows."""
    return here & (jnp.arange(len(here), dtype=jnp.int32)[:, None] != row)


class Curve(NamedTuple):
    """The cubic through two places that has their tangents, by lane; its parameter runs from 0 to 1.

    Attributes:
        start: the first place.
        start_tangent: its tangent.
        end: the other place.
        end_tangent: its tangent.
        matter: how much each logit counts.
        length: the distance of the two.
    """

    start: Point
    start_tangent: Point
    end: Point
    end_tangent: Point
    matter: Vector
    length: Lane

    def _weights(self, u: Lane) -> tuple[Lane, Lane, Lane, Lane]:
        square, cube = u**2, u**3
        last = 3 * square - 2 * cube
        return 1 - last, (u - 2 * square + cube) * self.length, last, (cube - square) * self.length

    def s(self, u: Lane) -> Lane:
        """The coordinate s there."""
        parts = self.start.s, self.start_tangent.s, self.end.s, self.end_tangent.s
        return reduce(jnp.add, [weight * part for weight, part in zip(self._weights(u), parts, strict=True)])

    def rise(self, u: Lane) -> Lane:
        """The derivative of s by the parameter."""
        across = 6 * (u - u**2) * (self.end.s - self.start.s)
        first, last = 1 - 4 * u + 3 * u**2, 3 * u**2 - 2 * u
        return across + self.length * (first * self.start_tangent.s + last * self.end_tangent.s)

    def arclength(self) -> Lane:
        """The length of the path between the two: the chord's, and what the turn between the tangents adds."""
        turn = plus(self.end_tangent, self.start_tangent, -jnp.ones_like(self.length))
        return self.length * (1 + (lanes.dot(turn.z * self.matter, turn.z * self.matter) + turn.s**2) / 24)

    def point(self, u: Lane) -> Point:
        """The point there."""
        parts = self.start, self.start_tangent, self.end, self.end_tangent
        found = [Point(part.z * weight, part.s * weight) for weight, part in zip(self._weights(u), parts, strict=True)]
        return jax.tree.map(lambda *terms: reduce(jnp.add, terms), *found)


def _between(system: GameEquations, first: tuple[Point, Point], second: tuple[Point, Point]) -> Curve:
    """The curve between two points, each with its tangent."""
    (start, start_tangent), (end, end_tangent) = first, second
    away = plus(end, start, -jnp.ones_like(start.s))
    matter = jnp.maximum(*(weights(point.z, faintest(system.scale)) for point in (start, end)))
    length = jnp.sqrt(lanes.dot(away.z * matter, away.z * matter) + away.s**2)
    return Curve(start, start_tangent, end, end_tangent, matter, length)


def curve(system: GameEquations, places: Places, row: Int[Array, " lane"], behind: Int[Array, " lane"]) -> Curve:
    """The curve from each lane's place in `row` to that in `behind`."""
    return _between(system, place_at(places, row), place_at(places, behind))


def _singular(kind: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether points of a kind are where dF/dz has no inverse."""
    return kind != PointKind.place


def _with_start(system: GameEquations, places: Places) -> Places:
    """The places with the path's direction at the reference, which the tracer does without."""
    z, policy = materialize(system.normalized, system.anchor)
    linear = system.linearize_at(z, policy, jnp.zeros_like(system.scale))
    drift = linear.level(-linear.slope[:, None] * system.pace)[:, 0]
    tangent = unit(system, Point(drift, jnp.ones_like(system.scale)), z)
    place = Places.of(Point(z, tangent.s * 0), tangent, jnp.zeros(tangent.s.shape, jnp.int32), jnp.sign(tangent.s))
    return jax.tree.map(lambda table, entry: table.at[0].set(entry), places, place)


def _extremum(given: Curve) -> Lane:
    """Where s is largest or least on a curve at whose ends it runs in opposite directions."""

    def halve(_: Array, ends: tuple[Lane, Lane]) -> tuple[Lane, Lane]:
        low, high = ends
        middle = (low + high) / 2
        same = given.rise(middle) * given.start_tangent.s > 0
        return jnp.where(same, middle, low), jnp.where(same, high, middle)

    zero = jnp.zeros_like(given.length)
    low, high = jax.lax.fori_loop(0, 20, halve, (zero, zero + 1))
    return (low + high) / 2


class _Search(NamedTuple):
    """The search for a fold: the last point, the step from there, and how the pace changes by arclength."""

    point: Point
    tangent: Point
    step: Lane
    bend: Lane


def _find_fold(system: GameEquations, given: Curve, wanted: Flag) -> tuple[Point, Point]:
    """The fold near a curve, and the tangent there: where ds/dh is 0, by secants on the path itself."""
    close = jnp.finfo(given.length.dtype).eps ** CLOSE_POWER
    chord = plus(given.end, given.start, -jnp.ones_like(given.length))
    unit = 1 / jnp.where(given.length > 0, given.length, 1)

    def going(search: _Search) -> Flag:
        return wanted & ~(jnp.abs(search.step) <= close)

    def turn(number: Int[Array, ""], search: _Search) -> _Search:
        step = jnp.where(number > 0, jnp.clip(search.step, -given.length, given.length), 0)
        found = correct(system, plus(search.point, search.tangent, step), search.tangent, going(search))
        secant = (found.tangent.s - search.tangent.s) / jnp.where(step == 0, 1, step)
        bend = jnp.where((number > 0) & (secant * search.bend > 0), secant, search.bend)
        new = _Search(found.point, found.tangent, -found.tangent.s / bend, bend)
        return choose(going(search), new, search)

    start = _Search(
        point=given.point(_extremum(given)),
        tangent=Point(chord.z * unit, chord.s * unit),
        step=jnp.full_like(unit, jnp.inf),
        bend=(given.end_tangent.s - given.start_tangent.s) * unit,
    )
    _, search = jax.lax.while_loop(
        lambda state: jnp.any(going(state[1])) & (state[0] < MOST_STEPS),
        lambda state: (state[0] + 1, turn(*state)),
        (jnp.int32(0), start),
    )
    there = jnp.abs(search.step) <= close
    point = plus(search.point, search.tangent, jnp.where(there, search.step, 0))
    tangent = Point(search.tangent.z, jnp.where(there, 0, search.tangent.s))
    return Point(system.normalized(point.z)[0], point.s), tangent


class _Folds(NamedTuple):
    places: Places
    behind: Int[Array, "event lane"]


def _find_folds(system: GameEquations, places: Places, folded: Bool[Array, "point lane"], most: int) -> _Folds:
    """The folds before the places that are said to have one there, the first `most` of each lane."""
    size, num_lanes = folded.shape

    def turn(state: tuple[Int[Array, ""], Array, _Folds]) -> tuple[Int[Array, ""], Array, _Folds]:
        number, left, folds = state
        first, present = first_row(left)
        row = jnp.where(present, first, 0)
        point, tangent = _find_fold(system, curve(system, places, jnp.maximum(row - 1, 0), row), present)
        entry = Places.of(point, tangent, jnp.full_like(row, PointKind.fold), jnp.zeros_like(point.s))
        tables = jax.tree.map(lambda table, new: table.at[number].set(new), folds.places, entry)
        return number + 1, without_row(left, first), _Folds(tables, folds.behind.at[number].set(first))

    blank = Places.blank((num_lanes, most), system.anchor.shape[0], places.numbers.dtype)
    tables = jax.tree.map(lambda table: jnp.moveaxis(table, 0, -1), blank)
    behind = jnp.full((most, num_lanes), size, jnp.int32)
    return jax.lax.while_loop(
        lambda state: jnp.any(state[1]) & (state[0] < most), turn, (jnp.int32(0), folded, _Folds(tables, behind))
    )[-1]


def exact_points(leg: Leg, places: Places, max_folds: int) -> Points:
    """The points of each lane's path.

    Args:
        leg: the last leg, with lanes last.
        places: its journal, ``[point, ..., lane]``.
        max_folds: most folds of a path.
    """
    places = _with_start(leg.system, places)
    rise = places.numbers[:, 1]
    size = len(rise)
    row = jnp.arange(size, dtype=jnp.int32)[:, None]
    inside = row < leg.num_places
    # Where the path comes to a crossing as a pitchfork's prong it turns there, and rounding may show that before.
    s, crossing = places.numbers[:, 0], _singular(places.kind) & inside
    beside = jnp.finfo(s.dtype).eps ** 0.5 * (1 + s)
    shifts = [-1, 0, 1, 2]
    near = [jnp.roll(crossing, by, axis=0) & (jnp.abs(jnp.roll(s, by, axis=0) - s) <= beside) for by in shifts]
    own = crossing | jnp.roll(crossing, 1, axis=0)
    folded = inside & (row > 0) & ~own & ~reduce(jnp.logical_or, near) & (rise * jnp.roll(rise, 1, axis=0) < 0)
    folds = _find_folds(leg.system, places, folded, max_folds)
    # A fold is before the place behind it: so many folds later than that place would be.
    number = jnp.arange(max_folds, dtype=jnp.int32)[:, None]
    found = folds.behind < size
    rows = jnp.where(found, folds.behind + number, 2 * (size + max_folds))
    everything = jnp.arange(size + max_folds, dtype=jnp.int32)[:, None, None]
    is_fold, before = jnp.any(rows == everything, axis=1), jnp.sum(rows < everything, axis=1, dtype=jnp.int32)
    order = jnp.where(is_fold, size + before, jnp.minimum(everything[:, 0] - before, size - 1))

    def in_order(*tables: Array) -> Array:
        rows = order.reshape(len(order), *(1,) * (tables[0].ndim - 2), -1)
        return jnp.take_along_axis(jnp.concatenate(tables), rows, axis=0)

    merged = jax.tree.map(in_order, places, folds.places)
    count = leg.num_places + jnp.sum(found, axis=0, dtype=jnp.int32)
    return Points(merged, _arclength(leg.system, merged, count), count, jnp.sum(folded, axis=0, dtype=jnp.int32))


def _arclength(system: GameEquations, places: Places, num_points: Count) -> Float[Array, "point lane"]:
    """The length of the path up to each point."""

    def place(row: Array) -> tuple[Point, Point]:
        return _pair(places.vectors[row], places.numbers[row])

    def add(row: Int[Array, ""], lengths: Float[Array, "point lane"]) -> Float[Array, "point lane"]:
        length = _between(system, place(row - 1), place(row)).arclength()
        return lengths.at[row].set(lengths[row - 1] + length)

    return jax.lax.fori_loop(1, jnp.max(num_points), add, jnp.zeros_like(places.numbers[:, 0]))
