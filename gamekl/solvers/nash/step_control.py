"""Whether a step along the path may be accepted, and how long the next one should be.

A step is corrected by Newton's method. The first correction must be smaller than the step and each further one much
smaller than the one before, the tangent may not turn far, and beta = 1 may not be met on the way; else the step is
refused and a shorter one tried: so the tracer does not jump between branches.

Lengths and sizes count logits by how much they matter (`weights`): where an action is so unlikely that no other player
would notice, its logit follows from the others, and may run far and bend without anything to be told from that.

Where one branch crosses the path, or nearly meets it, det dF/dz changes its sign and the tangent turns back. Where two
do so at once, as in games with three or more like choices, nothing turns: the tracer would go straight on, and past the
true path of a game that is not quite symmetric. But log |det dF/dz| falls ever faster towards each zero and climbs from
it again, so its slope leaps. A step after which that slope has grown by much is refused, too; the path either turns out
to be smooth in shorter steps, or several branches do cross it there.
"""

from typing import NamedTuple

import jax.numpy as jnp

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import Vector
from gamekl.solvers.nash.equations import Equations
from gamekl.solvers.nash.trace import RUNNING, Flag, Lane, Point, Trace

# Largest first correction of a step, in nats of any logit and as a fraction of the step, and the size to aim at.
MAX_CORRECTION = 0.5
AIM_CORRECTION = 0.03
# The largest from a guess, or where the equilibrium is known to be unique.
MAX_FREE_CORRECTION = 4.0
# Each correction of a step is at most this fraction of the one before (where a point is only mended, the second).
CONTRACTION = 0.25
SLOW_CONTRACTION = 0.9
# A point of the path is settled when the next correction would be about this small, beside one nat and the step.
SETTLED = 1e-3
# A point whose last correction was this small, in nats, is good enough to be mended where it stands.
EXACT = 1e-3
MENDED = 1e-10
# In the hyperplane beta = 1 corrections go on until the next would be below this power of eps, or until they stall.
# Responses change by more than logits, by up to the size of what payoffs add to them, and are to be as good.
PRECISION_POWER = 0.75
POLICY_POWER = 2 / 3
STALLED = 1e-2
# Corrections below this many eps are rounding noise, beside the size of what payoffs add to logits.
NOISE = 64.0
# Largest sine between the tangents at both ends of a step.
MAX_SINE = 0.7
GROWTH = 3.0
SHRINK = 0.3
# Largest growth of the slope of log |det dF/dz| from one step to the next, times the longer of both. A double zero that
# was stepped over shows as 2 log 3 or more, at once or after the next step, wherever it lies (derived).
MAX_KINK = 1.0
# Largest growth of log |det dF/dz| where a place that was returned to is mended; of places on the path, it is far less.
MAX_SHIFT = 0.33
# Largest negative second derivative of log |det dF/dz| before the last step, times the square of the distance from its
# middle to the end. A double zero at that distance has 2; ordinary games have .4 at most, 99 times in 100 (measured).
MAX_BEND = 1.0
# Steps that change dF/dz by less than this power of eps may pass a point where another branch crosses the path.
BRANCHING_POWER = 1 / 3
# A path that asks for shorter steps than this, in units of rounding errors, has met a singular point it cannot pass.
SHORTEST_STEP = 64.0
# Logits count in full as long as the probability matters, times kappa, beside 1, and not at all so many nats below.
FADING = 20.0
# A path that has failed is traced once more, with tolerances so much smaller.
CARE = 0.1


def first_step(system: Equations, free: Flag) -> Lane:
    """Length of the first step: all the way where the equilibrium is unique."""
    return jnp.where(free, system.scale, system.first_step)


class Measure(NamedTuple):
    """What there is to know about a correction before its step is judged, by lane.

    Attributes:
        shift: change of s.
        size: largest change of a logit or of s.
        forward: change of s by arclength along the path through the trial.
        solved: whether the trial already solves the equations at beta = 1, as well as rounding allows.
        cosine: between the tangents at both ends of the step.
        length: distance between both ends of the step.
        level: log |det dF/dz|.
        rise: its mean slope on the step, or on the one before if its end is mended; infinite where the determinant
            changes its sign.
        magnitude: of logits, and about of what they change by where others' change by 1; rounding errors over eps.
        rate: of change of z and log s along the path, at most: of itself dF/dz - 1 changes so fast there, too.
    """

    shift: Lane
    size: Lane
    solved: Flag
    forward: Lane
    cosine: Lane
    length: Lane
    level: Lane
    rise: Lane
    magnitude: Lane
    rate: Lane


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
        branching: another branch crosses the path here, or an odd number of them.
        multiple: an even number of them.
        kinked: the slope of log |det dF/dz| leapt on it, as it does near other branches.
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
    multiple: Flag
    kinked: Flag
    step: Lane


def faintest(kappa: Lane) -> Lane:
    """The log-probability below which logits do not count in full."""
    return jnp.log(jnp.finfo(kappa.dtype).eps / (1 + kappa))


def weights(z: Vector, faint: Lane) -> Vector:
    """How much each logit of normalized ones counts: less where no one would notice that the action is played."""
    return jnp.clip(1 + (z - faint) / FADING, 0, 1)


class _Products(NamedTuple):
    """Inner products over the logits that matter, by lane; each is written out, as XLA cannot fuse a table of them."""

    aside: Lane
    ahead: Lane
    steepness: Lane
    extent: Lane
    rate: Lane


def _products(trial: Vector, faint: Lane, tangent: Vector, newton: Vector, drift: Vector) -> _Products:
    matter = weights(trial, faint)
    tangent, sideways, along = tangent * matter, newton * matter, drift * matter
    return _Products(
        aside=lanes.dot(tangent, sideways),
        ahead=lanes.dot(tangent, along),
        steepness=lanes.dot(along, along),
        extent=lanes.dot(tangent, tangent),
        rate=lanes.largest(jnp.abs(tangent)),
    )


def _sizes(
    trial: Vector, faint: Lane, here: Vector, residual: Vector, newton: Vector, drift: Vector, shift: Lane
) -> tuple[Lane, Lane, Lane, Lane]:
    """The largest logit, residual and change of a logit, and the squared length of the step; of logits that matter."""
    matter = weights(trial, faint)
    change = newton + drift * shift
    chord = (trial + change - here) * matter
    counts = jnp.maximum(matter, weights(trial + change, faint))  # what was not played may be now
    farthest, off, size = (lanes.largest(jnp.abs(part) * counts) for part in (trial, residual, change))
    return farthest, off, size, lanes.dot(chord, chord)


def measure_step(
    trace: Trace,
    residual: Vector,
    newton: Vector,
    drift: Vector,
    determinant: lanes.Determinant,
    weight: Lane,
) -> Measure:
    """What the solved linear system, newton and drift = dz/ds, says of the correction that is to be made."""
    here, trial, faint = trace.here, trace.trial, trace.faint
    products = materialize(_products, trial.z, faint, here.tangent.z, newton, drift, on_accelerators=False)
    # In the hyperplane normal to the tangent, or in that of beta = 1.
    shift = jnp.where(trace.final, 0, -products.aside / (here.tangent.s + products.ahead))
    moved = trial.z, faint, here.point.z, residual, newton, drift, shift
    farthest, off, size, chord = materialize(_sizes, *moved, on_accelerators=False)
    magnitude = jnp.maximum(farthest, jnp.sqrt(weight)) + 1
    # The solution itself may be a singular point; then a correction would be a quotient of rounding errors.
    solved = trace.final & (off <= jnp.finfo(weight.dtype).eps * magnitude)
    # The sign of det [dF/dw; tangent] tells forward from backward without looking back.
    forward = determinant.sign * trace.orientation / jnp.sqrt(1 + products.steepness)
    length = jnp.sqrt(chord + (trial.s + shift - here.point.s) ** 2)
    climb = determinant.log - here.level
    rise = jnp.where(forward * here.tangent.s > 0, climb / length, jnp.inf)
    return Measure(
        shift=jnp.where(solved, 0, shift),
        size=jnp.where(solved, 0, jnp.maximum(size, jnp.abs(shift))),
        solved=solved,
        forward=forward,
        cosine=forward * (products.ahead + here.tangent.s) / jnp.sqrt(products.extent + here.tangent.s**2),
        length=length,
        level=determinant.log,
        rise=jnp.where(trace.mending, here.rise + climb / trace.stride, rise),
        magnitude=magnitude,
        rate=products.rate + jnp.abs(here.tangent.s) / (1 + here.point.s),
    )


def judge(system: Equations, trace: Trace, measure: Measure) -> Verdict:
    """What becomes of the step whose correction was measured."""
    kappa, care, size, magnitude = system.scale, trace.care, measure.size, measure.magnitude
    eps = jnp.finfo(kappa.dtype).eps
    running = trace.phase == RUNNING
    here = Point(trace.here.point.z, trace.here.point.s)
    underway = here.s > 0

    # How large the correction was, and about how large the next one would be.
    free = trace.free | trace.guess
    reach = jnp.where(underway & ~trace.mending, trace.step, 1)
    opening = jnp.where(free, MAX_FREE_CORRECTION, MAX_CORRECTION * jnp.minimum(care, reach))
    contraction = jnp.where(trace.mending, SLOW_CONTRACTION, CONTRACTION)
    shrinking = size <= jnp.where(jnp.isinf(trace.last), opening, contraction * trace.last)
    remaining = size**2 * jnp.maximum(1, size / trace.last**2)
    turned = underway & (measure.forward * trace.here.tangent.s < 0)  # which a rough point may only seem to have
    goal = jnp.where(trace.mending | turned, MENDED, SETTLED * jnp.minimum(care**2, trace.step))
    goal = jnp.where(trace.final, jnp.minimum(eps**PRECISION_POWER, eps**POLICY_POWER / magnitude), goal)
    # Close to the end, corrections need not shrink in turn (of logits that hardly matter, they are the largest), until
    # they are so small that growing means rounding.
    ending = trace.final & (size <= STALLED)
    stalled = ending & (size >= trace.last) & (size <= eps**0.5 * magnitude)
    noise = (size <= jnp.where(trace.final, 1, NOISE) * eps * magnitude) | stalled
    settled = (shrinking & (remaining <= goal)) | noise
    shrinking |= ending

    # A settled step is accepted unless the path turned too far on it, or met beta = 1 on the way: where it turns down,
    # it may have its highest point between its ends.
    straight = 1 - measure.cosine**2 <= (MAX_SINE * care) ** 2
    backward = straight & (measure.cosine < 0) & (trace.step * measure.rate <= eps**BRANCHING_POWER)
    branching = (underway & backward) | (measure.solved & ~(measure.cosine > 0) & ~trace.guess)
    straight &= (measure.cosine > 0) | branching
    straight |= ~underway | free | measure.solved
    # At the end no further step would tell. There that slope may not have fallen by much either, nor may it have fallen
    # before as fast as a zero within the step, or not far behind, would have it.
    longer = jnp.where(trace.mending, trace.stride, jnp.maximum(measure.length, trace.stride))
    growth = (measure.rise - jnp.where(trace.mending, trace.before.rise, trace.here.rise)) * longer
    fall = (trace.before.rise - trace.here.rise) / trace.stride
    near = jnp.isfinite(fall) & ((measure.length + trace.stride) ** 2 * fall > MAX_BEND)
    once = care == 1
    most = jnp.where(trace.mending & trace.returned & once, MAX_SHIFT, MAX_KINK)
    kink = jnp.isfinite(growth) & ((growth > most) | (trace.final & ((growth < -MAX_KINK) | near)))
    kink &= underway & ~free
    multiple = kink & (longer * measure.rate <= eps**BRANCHING_POWER)
    up, down = trace.here.tangent.s, jnp.where(branching, -measure.forward, measure.forward)
    arrived = trace.trial.s + measure.shift
    turning = 2 * (up - down)
    peak = jnp.maximum(here.s + trace.step * up**2 / turning, arrived + trace.step * down**2 / turning)
    met = (up > 0) & (jnp.where(down < 0, peak, arrived) >= kappa)
    astray = ~trace.final & (met | (arrived < 0))
    fine = settled & straight & ~astray
    accepted = running & fine & (~kink | multiple)
    refused = running & ~accepted & (settled | ~shrinking)
    passed = accepted & ~trace.final & ~trace.mending

    # A step may be refused for the fault of the place that it starts from: then mend that, or the one before it. A kink
    # that shorter steps do not smooth lies on the step before.
    before = refused & trace.doubted & fine
    # Over much shorter a step, that slope is more wrong than it would grow, unless both ends are exact.
    rough = fine & kink & ~trace.exact & (measure.length < SHRINK * trace.stride)
    mend = before | (refused & (trace.doubted | rough) & ~trace.sure)
    back = before | (mend & (~trace.exact | trace.mending))
    first = jnp.where(jnp.isinf(trace.first), size, trace.first)
    pace = jnp.sqrt(jnp.sqrt(AIM_CORRECTION * care / jnp.maximum(first, AIM_CORRECTION * care / GROWTH**4)))
    step = jnp.where(passed, trace.step * jnp.clip(pace, SHRINK, GROWTH), trace.step)
    stride = trace.stride * jnp.where(trace.returned, SHRINK, 1)  # else it would be tried for ever
    step = jnp.where(refused, SHRINK * jnp.where(back, stride, trace.step), step)
    # A place that was returned to, and then moves much, lay beside the path.
    beside = trace.mending & trace.returned & kink & once
    lost = refused & (beside | (step < SHORTEST_STEP * eps * (magnitude + here.s)))
    restart = lost & once
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
        multiple=accepted & multiple,
        kinked=running & fine & kink,
        step=jnp.where(restart, CARE * first_step(system, trace.free), step),
    )
