"""The tracer once more, with a journal of the places that it accepts, each of them mended."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.kernels.refill import Method, solve_with_journal
from gamekl.core.kernels.system import GameEquations
from gamekl.solvers.nash import path
from gamekl.solvers.nash.trace import RUNNING, STOPPED, Count, Flag, Lane, Point, Trace, choose
from gamekl.solvers.paths.kinds import PointKind

# The tracer's phase where it has just passed a point at which other branches cross the path.
BRANCHED = 4
# How much longer a step to the end may become when the place that it starts from is mended.
AMPLE = 1.05


class Leg(NamedTuple):
    """A stretch of the path; lanes are last, or in a batch first. It ends where branches cross the path, or at its end.

    Attributes:
        system: the equations.
        trace: the tracer.
        num_places: how many places are in the journal.
        several: in phase BRANCHED, whether an even number of branches was seen to cross, else perhaps a single one.
        ended: in phase BRANCHED, whether the last place is the path's end.
    """

    system: GameEquations
    trace: Trace
    num_places: Count
    several: Flag
    ended: Flag


class Places(NamedTuple):
    """Places of a path in rows: two tables, as writing takes about as long for a row as for a number.

    Attributes:
        vectors: z and dz by arclength, shape ``[*places, 2, logits]``.
        numbers: s, ds by arclength, a `PointKind`, and the sign of det dF/dz, shape ``[*places, 4]``.
    """

    vectors: Float[Array, "*places 2 logits"]
    numbers: Float[Array, "*places 4"]

    @classmethod
    def blank(cls, shape: tuple[int, ...], num_logits: int, dtype: jnp.dtype) -> "Places":
        """Room for so many."""
        return cls(jnp.zeros((*shape, 2, num_logits), dtype), jnp.zeros((*shape, 4), dtype))

    @classmethod
    def of(cls, point: Point, tangent: Point, kind: Count, sign: Lane) -> "Places":
        """One place in each lane; lanes are last."""
        numbers = point.s, tangent.s, kind.astype(point.s.dtype), sign
        return cls(jnp.stack([point.z, tangent.z]), jnp.stack(numbers))

    @property
    def sign(self) -> Float[Array, "place lane"]:
        """The sign of det dF/dz at each place, of places ``[place, ..., lane]``; 0 at singular points."""
        return self.numbers[:, 3]

    @property
    def kind(self) -> Int[Array, "place lane"]:
        """What each place is, of places ``[place, ..., lane]``."""
        return self.numbers[:, 2].astype(jnp.int32)


def _entry(leg: Leg) -> tuple[Places, Count]:
    """The lane's last place and its position in the journal."""
    here = leg.trace.here
    # The sign of det [dF/dw; tangent] is the orientation, so that of det dF/dz follows.
    sign = leg.trace.orientation * jnp.sign(here.tangent.s)
    kind = jnp.full_like(leg.num_places, PointKind.place)
    return Places.of(here.point, here.tangent, kind, sign), leg.num_places - 1


def _mend(trace: Trace, fresh: Flag) -> Trace:
    """The tracer with what it tries put off until the place that it has just come to is mended."""
    endless = jnp.full_like(trace.first, jnp.inf)
    return trace._replace(
        trial=choose(fresh, trace.here.point, trace.trial),
        final=trace.final & ~fresh,
        # So that a step to the end still leads there from the mended place.
        step=jnp.where(fresh & trace.final, AMPLE, 1) * trace.step,
        mending=trace.mending | fresh,
        first=jnp.where(fresh, endless, trace.first),
        last=jnp.where(fresh, endless, trace.last),
    )


def _advance(leg: Leg, max_steps: int, max_points: int) -> Leg:
    running = leg.trace.phase == RUNNING
    trace, verdict = path.advance_judged(leg.system, leg.trace, max_steps)
    passed, found = running & verdict.passed, running & verdict.found
    here, before = leg.trace.here, leg.trace.before
    same = (here.point.s == before.point.s) & (here.tangent.s == before.tangent.s)
    count = leg.num_places + (passed | found).astype(jnp.int32)
    count = jnp.where(running & verdict.back & ~same, jnp.maximum(count - 1, 1), count)
    count = jnp.where(running & verdict.restart, 1, count)
    crossed = running & (verdict.branching | verdict.multiple) & ((trace.phase == RUNNING) | found)
    # Beside a crossing of branches a correction would be a quotient of rounding errors.
    trace = _mend(trace, passed & ~crossed)
    phase = jnp.where(crossed, BRANCHED, trace.phase)
    phase = jnp.where((count >= max_points) & (phase == RUNNING), STOPPED, phase)
    return Leg(leg.system, trace._replace(phase=phase.astype(jnp.int32)), count, verdict.multiple, found)


def record(legs: Leg, journal: Places, max_steps: int, width: int) -> tuple[Leg, Places]:
    """Trace legs to their ends, `width` at a time, and write the places on them behind those in the journal.

    Args:
        legs: with a leading axis.
        journal: of ``[path, point]``.
        max_steps: most corrections for a path.
        width: the number of lanes.
    """
    max_points = journal.numbers.shape[1]
    method = Method(
        start=lambda leg: leg,
        step=lambda _, leg: _advance(leg, max_steps, max_points),
        running=lambda _, leg: leg.trace.phase == RUNNING,
        result=lambda _, leg: leg,
        entry=lambda _, leg: _entry(leg),
    )
    return solve_with_journal(method, legs, width, journal)
