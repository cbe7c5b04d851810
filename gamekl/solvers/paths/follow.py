"""The path of a batch of problems from their references, leg by leg: a leg ends where the path turns off."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.kernels import lanes, tables
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.system import GameEquations, Vector, split
from gamekl.solvers.nash import path
from gamekl.solvers.nash.prepare import NashProblem, prepare
from gamekl.solvers.nash.trace import FOUND, RUNNING, STOPPED, Place, Point, choose, plus
from gamekl.solvers.paths.branches import Crossing, cross
from gamekl.solvers.paths.kinds import PointKind
from gamekl.solvers.paths.record import BRANCHED, Leg, Places, record
from gamekl.solvers.paths.singular import locate, nearer, unit
from gamekl.solvers.solution import Status

# Most legs of a path, and how far from the place behind it a crossing is looked for at least, in nats.
MOST_LEGS = 16
REACH = 0.5
# A crossing nearer to the path's end than this power of eps is the end.
END_POWER = 0.75


class Direction(NamedTuple):
    """A small change of a game that tells the side on which a path turns off; 0 where none is given.

    Attributes:
        payoffs: of the players, ``[*batch, player, *actions]``.
        log_reference: of their references.
    """

    payoffs: Array | np.ndarray
    log_reference: tuple[Array | np.ndarray, ...]


class Journey(NamedTuple):
    """Paths as they were traced; every leaf has a leading axis.

    Attributes:
        leg: the last leg of each.
        places: ``[path, point]``.
    """

    leg: Leg
    places: Places


def _changed(problems: NashProblem, system: GameEquations, direction: Direction, at: Point) -> Vector:
    """The change of F that a change of the game makes, by lane; `problems` and `direction` have their lanes last."""
    _, policy = materialize(system.normalized, at.z)
    values = tables.action_values(tables.own_first(jnp.asarray(direction.payoffs)), split(policy, system.sizes))
    temperatures = jnp.broadcast_to(problems.regularizer.temperature, (len(system.sizes), at.s.shape[0]))
    pushed = [value / temperatures[player] for player, value in enumerate(values)]
    change = -(jnp.concatenate(pushed) * at.s * system.pace + jnp.concatenate(direction.log_reference))
    return change * system.mask


def _turn_off(leg: Leg, crossing: Crossing) -> Leg:
    """The leg with its tracer on the other branch, where that was found."""
    system, place, trace = leg.system, crossing.place, leg.trace
    z, policy = materialize(system.normalized, place.point.z)
    linear = system.linearize_at(z, policy, place.point.s * system.pace)
    right = linear.level(jnp.stack([-linear.residual, -linear.slope * system.pace], axis=1))
    _, determinant, weight = linear.solve(right, jnp.ones_like(place.point.s))
    here = Place(Point(z, place.point.s), place.tangent, determinant.log, place.rise)
    step = crossing.step
    yes = jnp.ones_like(trace.final)
    ahead = plus(here.point, here.tangent, step)
    turned = trace._replace(
        here=here,
        before=here,
        bend=jax.tree.map(jnp.zeros_like, trace.bend),
        gap=jnp.zeros_like(step),
        stride=step,
        step=step,
        trial=ahead,
        final=~yes,
        mending=~yes,
        first=jnp.full_like(step, jnp.inf),
        last=jnp.full_like(step, jnp.inf),
        exact=yes,
        over=~yes,
        doubted=~yes,
        returned=~yes,
        sure=yes,
        weight=weight,
        orientation=jnp.where(here.tangent.s < 0, -1, 1) * determinant.sign,
        phase=jnp.full_like(trace.phase, RUNNING),
    )
    return leg._replace(trace=choose(crossing.found, turned, trace))


def _cross(problem: NashProblem, direction: Direction, leg: Leg, ends: Places, crosses: bool) -> tuple[Leg, Places]:
    """What becomes of a leg in phase BRANCHED, and its places from the last but one on; `ends` are the last two.

    New are the crossing, and where the path turns off the corner and the first place on the branch.
    """
    batch = jax.tree.map(lambda leaf: leaf[None], (problem, direction, leg))
    problem, direction, leg = lanes_last(batch)
    vectors, numbers = ends.vectors[..., None], ends.numbers[..., None]
    before, point = Point(vectors[0, 0], numbers[0, 0]), Point(vectors[1, 0], numbers[1, 0])
    tangent = Point(vectors[1, 1], numbers[1, 1])
    away = plus(point, before, -jnp.ones_like(point.s))
    reach = jnp.maximum(lanes.largest(jnp.abs(away.z)), jnp.abs(away.s))
    # The place before may be the crossing itself, and its tangent noise.
    start = nearer(leg.system, (before, unit(leg.system, away, before.z)), (point, tangent))
    singular = locate(leg.system, *start, jnp.maximum(REACH, reach))
    crossing = cross(leg.system, singular, _changed(problem, leg.system, direction, singular.point), crosses)
    there, off = singular.multiplicity > 0, crossing.found
    apart = jnp.abs(point.s - singular.point.s) > jnp.finfo(point.s.dtype).eps ** END_POWER * (1 + point.s)
    at_end = there & leg.ended & ~off & ~apart
    turned = _turn_off(leg, crossing) if crosses else leg
    kind = jnp.where(crossing.even, PointKind.pitchfork, PointKind.transcritical)
    kind = jnp.where((leg.several & ~at_end) | (singular.multiplicity > 1), PointKind.multiple, kind)
    first, last = choose(off, turned.trace.here.point, point), choose(off, turned.trace.here.tangent, tangent)
    corner = choose(off, crossing.outward, tangent), choose(off, singular.point, point)
    index = turned.trace.orientation * jnp.sign(last.s)
    none, plain = jnp.zeros_like(index), jnp.full_like(kind, PointKind.place)
    met = choose(there, singular.point, point)
    met = met._replace(s=jnp.where(at_end, point.s, met.s))
    # Where several branches cross, the tracer may notice it one step later.
    passed = plus(before, singular.point, -jnp.ones_like(point.s))
    late = there & (lanes.dot(passed.z, singular.tangent.z) + passed.s * singular.tangent.s > 0)
    places = [
        Places(vectors[0], numbers[0]),
        Places.of(met, choose(there, crossing.singular.tangent, tangent), kind, none),
        Places.of(corner[1], corner[0], jnp.where(off, PointKind.turn_off, plain), jnp.where(off, none, index)),
        Places.of(first, last, plain, index),
    ]
    phase = jnp.where(leg.ended & ~off, FOUND, RUNNING).astype(jnp.int32)
    more = jnp.where(off, 2 - late.astype(jnp.int32), jnp.where(at_end, 0, 1))
    turned = turned._replace(trace=turned.trace._replace(phase=phase), num_places=leg.num_places + more)
    first_two = jnp.where(late, 1, 0), jnp.where(late, jnp.where(off, 2, 0), 1)
    order = jnp.stack([*first_two, jnp.where(late & off, 3, 2), jnp.full_like(more, 3)])
    found = lanes_first((turned, order, jax.tree.map(lambda *rows: jnp.stack(rows), *places)))
    turned, order, new = jax.tree.map(lambda leaf: leaf[0], found)
    return turned, jax.tree.map(lambda table: table[order], new)


class _State(NamedTuple):
    legs: Leg
    places: Places
    number: Array


def follow(
    problems: NashProblem,
    direction: Direction,
    *,
    each: Callable[..., Any],
    max_steps: int,
    max_points: int,
    width: int,
    crosses: bool,
) -> Journey:
    """Trace the paths of a batch of problems; every leaf has a leading axis.

    Args:
        problems: the problems.
        direction: on which side to turn off.
        each: maps a function of a batch over the blocks of one.
        max_steps: most corrections of a path.
        max_points: room for places.
        width: the number of lanes.
        crosses: whether to turn off where branches cross.
    """

    def begin(problems: NashProblem) -> Leg:
        prepared = prepare(problems)
        system, no = prepared.system, jnp.zeros(prepared.wrong.shape, bool)
        # Not in one step where the equilibrium is unique: the path is what is asked for.
        trace = path.start(system, system.anchor, no, no, prepared.wrong == Status.converged)
        return lanes_first(Leg(system, trace, jnp.ones_like(trace.num_steps), no, no))

    legs = each(begin, problems)
    size, num_logits = legs.system.anchor.shape
    places = Places.blank((size, max_points), num_logits, legs.system.anchor.dtype)

    def pass_one(row: Array, state: tuple[Leg, Places]) -> tuple[Leg, Places]:
        """Deal with the crossing that one leg has come to."""
        legs, places = state
        problem, way, leg = jax.tree.map(lambda leaf: leaf[row], (problems, direction, legs))
        ends = jax.tree.map(lambda table: table[row, leg.num_places - 2 + jnp.arange(2, dtype=jnp.int32)], places)
        leg, new = _cross(problem, way, leg, ends, crosses)
        index = legs.num_places[row] - 2 + jnp.arange(4, dtype=jnp.int32)
        index = jnp.where(index < leg.num_places, index, max_points)
        places = jax.tree.map(lambda table, entry: table.at[row, index].set(entry, mode="drop"), places, new)
        phase = jnp.where(leg.num_places >= max_points, STOPPED, leg.trace.phase).astype(jnp.int32)
        leg = leg._replace(trace=leg.trace._replace(phase=phase))
        return jax.tree.map(lambda table, entry: table.at[row].set(entry), legs, leg), places

    def turn(state: _State) -> _State:
        legs, places = record(state.legs, state.places, max_steps, width)
        branched = legs.trace.phase == BRANCHED
        (rows,) = jnp.nonzero(branched, size=size, fill_value=0)
        legs, places = jax.lax.fori_loop(
            0, jnp.sum(branched, dtype=jnp.int32), lambda number, state: pass_one(rows[number], state), (legs, places)
        )
        return _State(legs, places, state.number + 1)

    def unfinished(state: _State) -> Array:
        return jnp.any(state.legs.trace.phase == RUNNING) & (state.number < MOST_LEGS)

    ended = jax.lax.while_loop(unfinished, turn, _State(legs, places, jnp.int32(0)))
    trace = ended.legs.trace
    phase = jnp.where(trace.phase == RUNNING, STOPPED, trace.phase).astype(jnp.int32)
    return Journey(ended.legs._replace(trace=trace._replace(phase=phase)), ended.places)
