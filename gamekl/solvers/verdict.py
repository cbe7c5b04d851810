"""Whether a step along the path may be accepted, and how long the next one should be.

A step is corrected by Newton's method. Each correction must be much smaller than the one before, the tangent may not
turn far, and beta = 1 may not be met on the way; else the step is refused and a shorter one tried: so the tracer does
not jump between branches.
"""

from typing import NamedTuple

import jax.numpy as jnp

from gamekl.core import lanes
from gamekl.core.system import LogitSystem, Vector
from gamekl.solvers.trace import RUNNING, Flag, Lane, Point, Trace

# Largest first correction of a step, in nats of any logit, and the size that steps aim at.
MAX_CORRECTION = 0.5
AIM_CORRECTION = 0.03
# The largest from a guess, or where the equilibrium is known to be unique.
MAX_FREE_CORRECTION = 4.0
# Each correction of a step is at most this fraction of the one before (where a point is only mended, the second).
CONTRACTION = 0.25
SLOW_CONTRACTION = 0.9
# A point of the path is settled when the next correction would be about this small.
SETTLED = 1e-3
# A point whose last correction was this small, in nats, is good enough to be mended where it stands.
EXACT = 1e-3
MENDED = 1e-10
# In the hyperplane beta = 1 corrections go on until the next would be below this power of eps, or until they stall.
PRECISION_POWER = 0.75
STALLED = 1e-2
# Corrections below this many eps (1 + kappa) are rounding noise.
NOISE = 64.0
# Largest sine between the tangents at both ends of a step.
MAX_SINE = 0.7
# Up to s = 2 / (m - 1) best responses contract (MATH A9.1), so no step of this length can leave the branch.
FIRST_STEP = 2.0
GROWTH = 3.0
SHRINK = 0.3
# Steps below this power of eps may pass a point where another branch crosses the path.
BRANCHING_POWER = 0.25
# A path that asks for shorter steps than this (in units of eps) has met a singular point that it cannot pass.
SHORTEST_STEP = 64.0
# A path that has failed is traced once more, with tolerances so much smaller.
CARE = 0.1


def first_step(system: LogitSystem, free: Flag) -> Lane:
    """Length of the first step: all the way where the equilibrium is unique."""
    return jnp.where(free, system.scale, FIRST_STEP / max(len(system.sizes) - 1, 1))


class Measure(NamedTuple):
    """What there is to know about a correction before its step is judged, by lane.

    Attributes:
        shift: change of s.
        size: largest change of a logit or of s.
        forward: change of s by arclength along the path through the trial.
        solved: whether the trial already solves the equations at beta = 1, as well as rounding allows.
        cosine: between the tangents at both ends of the step.
        length: distance between both ends of the step.
    """

    shift: Lane
    size: Lane
    solved: Flag
    forward: Lane
    cosine: Lane
    length: Lane


class Verdict(NamedTuple):
    """What becomes of a step, by lane; at most one of the first four holds.

    Attributes:
        passed: its end becomes `here`.
        mended: `here` moves to the mended point.
        refused: a shorter step is to be tried.
        found: the crossing of beta = 1 is found.
        mend: first the place that it starts from is to be mended.
        back: and that is to be the place before.
        restart: the path is to be traced once more.
        failed: nothing is left to be tried.
        branching: another branch crosses the path here.
        step: length of the next step.
    """

    passed: Flag
    mended: Flag
    refused: Flag
    found: Flag
    mend: Flag
    back: Flag
    restart: Flag
    failed: Flag
    branching: Flag
    step: Lane


def measure_step(trace: Trace, residual: Vector, newton: Vector, drift: Vector, sign: Lane, noise: Lane) -> Measure:
    """What the solved linear system, newton and drift = dz/ds, says of the correction that is to be made."""
    here, trial = trace.here, trace.trial
    # The solution itself may be a singular point; then a correction would be a quotient of rounding errors.
    solved = trace.final & (lanes.largest(jnp.abs(residual)) <= noise)
    normal = Point(jnp.where(trace.final, 0, here.tangent.z), jnp.where(trace.final, 1, here.tangent.s))
    shift = -lanes.dot(normal.z, newton) / (normal.s + lanes.dot(normal.z, drift))
    change = newton + drift * shift
    chord = trial.z + change - here.point.z
    # The sign of det [dF/dw; tangent] tells forward from backward without looking back.
    forward = sign * trace.orientation / jnp.sqrt(1 + lanes.dot(drift, drift))
    return Measure(
        shift=jnp.where(solved, 0, shift),
        size=jnp.where(solved, 0, jnp.maximum(lanes.largest(jnp.abs(change)), jnp.abs(shift))),
        solved=solved,
        forward=forward,
        cosine=forward * (lanes.dot(here.tangent.z, drift) + here.tangent.s),
        length=jnp.sqrt(lanes.dot(chord, chord) + (trial.s + shift - here.point.s) ** 2),
    )


def judge(system: LogitSystem, trace: Trace, measure: Measure) -> Verdict:
    """What becomes of the step whose correction was measured."""
    kappa, care, size = system.scale, trace.care, measure.size
    eps = jnp.finfo(kappa.dtype).eps
    running = trace.phase == RUNNING
    here = Point(trace.here.point.z, trace.here.point.s)
    underway = here.s > 0

    # How large the correction was, and about how large the next one would be.
    opening = jnp.where(trace.free | trace.guess, MAX_FREE_CORRECTION, MAX_CORRECTION * care)
    contraction = jnp.where(trace.mending, SLOW_CONTRACTION, CONTRACTION)
    shrinking = size <= jnp.where(jnp.isinf(trace.last), opening, contraction * trace.last)
    remaining = size**2 * jnp.maximum(1, size / trace.last**2)
    goal = jnp.where(trace.mending, MENDED, SETTLED * care**2)
    goal = jnp.where(trace.final, eps**PRECISION_POWER, goal)
    # Close to the end, corrections need not shrink in turn (of logits that hardly matter, they are the largest), until
    # they are so small that growing means rounding.
    ending = trace.final & (size <= STALLED)
    stalled = ending & (size >= trace.last) & (size <= eps**0.5 * (1 + kappa))
    noise = (size <= NOISE * eps * (1 + kappa)) | stalled
    settled = (shrinking & (remaining <= goal)) | noise
    shrinking |= ending

    # A settled step is accepted unless the path turned too far on it, or met beta = 1 on the way: where it turns down,
    # it may have its highest point between its ends.
    straight = 1 - measure.cosine**2 <= (MAX_SINE * care) ** 2
    backward = straight & (measure.cosine < 0) & (trace.step <= eps**BRANCHING_POWER)
    branching = (underway & backward) | (measure.solved & ~(measure.cosine > 0) & ~trace.guess)
    straight &= (measure.cosine > 0) | branching
    straight |= ~underway | trace.mending | trace.guess | trace.free | measure.solved
    up, down = trace.here.tangent.s, jnp.where(branching, -measure.forward, measure.forward)
    arrived = trace.trial.s + measure.shift
    turning = 2 * (up - down)
    peak = jnp.maximum(here.s + trace.step * up**2 / turning, arrived + trace.step * down**2 / turning)
    met = (up > 0) & (jnp.where(down < 0, peak, arrived) >= kappa)
    astray = ~trace.final & (met | (arrived < 0))
    accepted = running & settled & straight & ~astray
    refused = running & ~accepted & (settled | ~shrinking)
    passed = accepted & ~trace.final & ~trace.mending

    # A step may be refused for the fault of the place that it starts from: then mend that, or the one before it.
    mend = refused & trace.doubted & ~trace.sure
    back = mend & ~trace.exact
    first = jnp.where(jnp.isinf(trace.first), size, trace.first)
    pace = jnp.cbrt(AIM_CORRECTION * care / jnp.maximum(first, AIM_CORRECTION * care / GROWTH**3))
    step = jnp.where(passed, trace.step * jnp.clip(pace, SHRINK, GROWTH), trace.step)
    step = jnp.where(refused, SHRINK * jnp.where(back, trace.stride, trace.step), step)
    lost = refused & (step < SHORTEST_STEP * eps * (1 + kappa))
    restart = lost & (care == 1)
    return Verdict(
        passed=passed,
        mended=accepted & trace.mending,
        refused=refused,
        found=accepted & trace.final,
        mend=mend & underway & ~restart,
        back=back & underway & ~restart,
        restart=restart,
        failed=lost & ~restart,
        branching=accepted & branching,
        step=jnp.where(restart, CARE * first_step(system, trace.free), step),
    )
