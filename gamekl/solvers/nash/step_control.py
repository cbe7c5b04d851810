"""Whether a step along the path may be accepted, and how long the next one should be.

A step is corrected by Newton's method. The first correction must be smaller than the step and each further one much
smaller than the one before, the tangent may not turn far, and beta = 1 may not be met on the way; else the step is
refused and a shorter one tried: so the tracer does not jump between branches.

Where one branch crosses the path, or nearly meets it, det dF/dz changes its sign and the tangent turns back. Where two
do so at once, as in games with three or more like choices, nothing turns: the tracer would go straight on, and past the
true path of a game that is not quite symmetric. But log |det dF/dz| falls ever faster towards each zero and climbs from
it again, so its slope leaps. A step after which that slope has grown by much is refused, too; the path either turns out
to be smooth in shorter steps, or several branches do cross it there.

At a distance d from a crossing rounding errors move a place by about eps / d, and its tangent by eps / d^2 (derived):
too close to it the tracer would come off the path, and meet the crossing again. The path of a game that misses a
crossing by a little, in turn, leaves the straight one by 1 / d before it turns off. So the step over a crossing may be
the longer the straighter the path is, its ends lie evenly (`_approach`), and behind it the tangent is that of a
parabola from a place far before it.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from gamekl.solvers.nash.equations import Equations
from gamekl.solvers.nash.measure import Measure
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
# Steps that change dF/dz by less than this power of eps may pass a point where another branch crosses the path; those
# whose first correction is smaller than this share of them may be so many times as long.
BRANCHING_POWER = 1 / 3
SMOOTH = 1e-3
WIDE = 20.0
# How much of the way to a crossing the next step leaves, and in the end of the longest that may pass it.
REMAINDER = 0.1
MARGIN = 0.4
# Steps shorter than so many times the shorter of these end close to a crossing.
BESIDE = 200.0
# A path that asks for shorter steps than this, in units of rounding errors, has met a singular point it cannot pass.
SHORTEST_STEP = 64.0
# A path that has failed is traced once more, with tolerances so much smaller.
CARE = 0.1


def first_step(system: Equations, free: Flag) -> Lane:
    """Length of the first step: all the way where the equilibrium is unique."""
    return jnp.where(free, system.scale, system.first_step)


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
        over: it was refused as it led over a crossing, or to another branch behind one.
        near: it passed, and came close to such a crossing.
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
    over: Flag
    near: Flag
    step: Lane


def _approach(trace: Trace, measure: Measure, order: Array, nearby: Lane) -> Lane:
    """The step after one that led over a zero of this order of det dF/dz, `nearby` being the longest that may pass it.

    Only that one comes closer to it, and the one before is no longer.
    """
    share = 1 / (1 + jnp.exp((measure.level - trace.here.level) / order))
    distance = trace.step * jnp.where(jnp.isnan(share), SHRINK, share)
    rest = jnp.where(distance > (1 + MARGIN) * nearby, jnp.maximum(REMAINDER * distance, nearby), MARGIN * nearby)
    return jnp.where(distance <= nearby / 2, (1 - MARGIN / 4) * nearby, distance - rest)


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
    backward = straight & (measure.cosine < 0)
    first = jnp.where(jnp.isinf(trace.first), size, trace.first)
    smooth = (first <= SMOOTH * trace.step) & (1 - measure.cosine**2 <= (SMOOTH * WIDE) ** 2) & ~trace.mending
    nearby = eps**BRANCHING_POWER / measure.rate
    wide = WIDE * nearby
    passable = jnp.where(smooth, wide, nearby)
    over = underway & settled & backward & ~trace.mending & ~free
    backward &= trace.step <= passable
    singular = (measure.level - trace.here.level <= BRANCHING_POWER * jnp.log(eps)) | (trace.step <= wide)
    singular &= measure.solved
    branching = (underway & backward) | (singular & ~(measure.cosine > 0) & ~trace.guess)
    straight &= (measure.cosine > 0) | branching
    straight |= ~underway | free | singular
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
    multiple = kink & (longer <= passable)
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
    pace = jnp.sqrt(jnp.sqrt(AIM_CORRECTION * care / jnp.maximum(first, AIM_CORRECTION * care / GROWTH**4)))
    step = jnp.where(passed, trace.step * jnp.clip(pace, SHRINK, GROWTH), trace.step)
    stride = trace.stride * jnp.where(trace.returned, SHRINK, 1)  # else it would be tried for ever
    step = jnp.where(refused, SHRINK * jnp.where(back, stride, trace.step), step)
    over |= fine & kink & ~trace.mending
    closer = _approach(trace, measure, jnp.where(fine, 2, 1), jnp.where(trace.step <= wide, nearby, wide))
    step = jnp.where(refused & over & ~mend, closer, step)
    onward = passed & (branching | multiple) & (trace.before.point.s > 0)
    step = jnp.where(onward, jnp.maximum(step, trace.gap + measure.length), step)
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
        over=refused & over,
        near=passed & trace.over & (trace.step <= BESIDE * nearby),
        step=jnp.where(restart, CARE * first_step(system, trace.free), step),
    )
