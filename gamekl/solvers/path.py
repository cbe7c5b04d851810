"""The logit path from the reference, by pseudo-arclength continuation, for games side by side in lanes.

The solutions of F(z, beta) = 0 (see `core.system`) form a path that starts at the reference, beta = 0. It may fold
back in beta, so it is traced by its own arclength in w = (z, s), s = kappa beta, kappa = max_i R_i / tau_i: in these
coordinates it becomes straight where the policies have settled. Its first crossing of beta = 1 is the equilibrium that
`solve_nash` returns: the principal branch, that of Turocy (2005) and of Gambit's logit tracer where the reference is
uniform (MATH I2).

A step predicts along a parabola and corrects by Newton's method in the hyperplane through the prediction that is normal
to the tangent; a step that would pass beta = 1 ends in the hyperplane beta = 1 instead, where Newton's method goes on
to full precision. Each correction must be much smaller than the one before, and the tangent may not turn far, or the
step is refused and a shorter one tried: so the tracer does not jump between branches.

One call of `advance` makes one correction in every lane, whatever its lane is about.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core import lanes
from gamekl.core.system import Linearization, LogitSystem, Vector

Lane = Float[Array, " lane"]
Flag = Bool[Array, " lane"]
Count = Int[Array, " lane"]

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

RUNNING, FOUND, FAILED, STOPPED = 0, 1, 2, 3


class Point(NamedTuple):
    """A point of, or a direction in, the space of w = (z, s)."""

    z: Vector
    s: Lane


class Place(NamedTuple):
    """A point of the path, with the unit tangent and the second derivative by arclength there."""

    point: Point
    tangent: Point
    bend: Point


class Trace(NamedTuple):
    """State of the tracer in each lane.

    Attributes:
        here: the last accepted place of the path.
        before: the one before.
        stride: length of the step that led from `before` to `here`.
        step: length of the step that is being tried.
        trial: the point that is being corrected.
        linear: F and its derivatives at `trial`.
        final: whether `trial` lies in the hyperplane beta = 1.
        mending: whether `trial` is `here` itself.
        guess: whether `trial` came from a guess and not from the path.
        free: whether the equilibrium is known to be unique, so that no correction can lead astray.
        first: size of the first correction of this step; infinite before it.
        last: size of the last one; infinite before the first.
        exact: whether `here` is close to the path.
        doubted: whether a step from `here` has been refused.
        sure: whether `here` has been mended, so that its tangent is right.
        care: 1, or `CARE` in the second attempt.
        phase: RUNNING, FOUND (`trial` is the crossing), FAILED (the step became too short) or STOPPED (too many steps).
        num_steps: corrections made.
        folds: turning points in beta that were passed.
        orientation: sign of det [dF/dw; tangent]; folds keep it, and it flips where another branch crosses the path.
        bifurcations: such crossings that were passed.
    """

    here: Place
    before: Place
    stride: Lane
    step: Lane
    trial: Point
    linear: Linearization
    final: Flag
    mending: Flag
    guess: Flag
    free: Flag
    first: Lane
    last: Lane
    exact: Flag
    doubted: Flag
    sure: Flag
    care: Lane
    phase: Count
    num_steps: Count
    folds: Count
    orientation: Lane
    bifurcations: Count


def _dot(a: Point, b: Point) -> Lane:
    return lanes.dot(a.z, b.z) + a.s * b.s


def _plus(point: Point, direction: Point, length: Lane) -> Point:
    return Point(point.z + length * direction.z, point.s + length * direction.s)


def _times(point: Point, factor: Lane) -> Point:
    return Point(point.z * factor, point.s * factor)


def _choose(condition: Flag, this: Point, other: Point) -> Point:
    return Point(jnp.where(condition, this.z, other.z), jnp.where(condition, this.s, other.s))


def _choose_place(condition: Flag, this: Place, other: Place) -> Place:
    return Place(*(_choose(condition, a, b) for a, b in zip(this, other, strict=True)))


def _predict(here: Place, step: Lane, kappa: Lane) -> tuple[Point, Lane, Flag]:
    """The next trial, the step that leads to it, and whether it lies in the hyperplane beta = 1."""
    ahead = kappa - here.point.s
    slope, bend = here.tangent.s, here.bend.s
    final = (slope > 0) & (step * slope + step**2 / 2 * bend >= ahead)
    # The first root of that parabola; real wherever it is used.
    root = slope + jnp.sqrt(jnp.maximum(slope**2 + 2 * bend * ahead, 0))
    step = jnp.where(final, 2 * ahead / jnp.where(final, root, 1), step)
    trial = _plus(_plus(here.point, here.tangent, step), here.bend, step**2 / 2)
    return Point(trial.z, jnp.where(final, kappa, trial.s)), step, final


def _reference(system: LogitSystem) -> Place:
    """The start of the path; its tangent is not known yet, and the first step keeps z."""
    zero, rest = jnp.zeros_like(system.scale), jnp.zeros_like(system.anchor)
    return Place(Point(system.anchor, zero), Point(rest, zero + 1), Point(rest, zero))


def _first_step(system: LogitSystem, free: Flag) -> Lane:
    return jnp.where(free, system.scale, FIRST_STEP / max(len(system.sizes) - 1, 1))


def _per_step(system: LogitSystem) -> Lane:
    """d beta / d s; where no payoff matters (kappa = 0), beta does not either."""
    return 1 / jnp.where(system.scale > 0, system.scale, 1)


def start(
    system: LogitSystem,
    guess: Vector,
    guessed: Flag,
    free: Flag,
    usable: Flag,
    always: Bool[Array, ""] | None = None,
) -> Trace:
    """The tracer before its first correction.

    Args:
        system: the equations, with a lane axis.
        guess: logits to try first, where `guessed`.
        guessed: whether there is a guess.
        free: whether the equilibrium is known to be unique.
        usable: False where the input cannot be solved; the lane then does nothing.
        always: see `lanes.stage`.
    """
    kappa = system.scale
    here, first_step = _reference(system), _first_step(system, free)
    trial, step, final = _predict(here, first_step, kappa)
    trial = _choose(guessed, Point(guess, kappa), trial)
    no, zero, infinite = jnp.zeros_like(guessed), jnp.zeros_like(kappa), jnp.full_like(kappa, jnp.inf)
    count = jnp.zeros(kappa.shape, dtype=jnp.int32)
    return Trace(
        here=here,
        before=here,
        stride=step,
        step=jnp.where(guessed, first_step / SHRINK, step),
        trial=trial,
        linear=system.linearize(trial.z, trial.s * _per_step(system), always),
        final=final | guessed,
        mending=no,
        guess=guessed,
        free=free,
        first=infinite,
        last=infinite,
        exact=~no,
        doubted=no,
        sure=~no,
        care=zero + 1,
        phase=jnp.where(usable, RUNNING, FAILED).astype(jnp.int32),
        num_steps=count,
        folds=count,
        orientation=zero + 1,
        bifurcations=count,
    )


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


def _measure(trace: Trace, newton: Vector, drift: Vector, sign: Lane, noise: Lane) -> Measure:
    here, trial = trace.here, trace.trial
    # The solution itself may be a singular point; then a correction would be a quotient of rounding errors.
    solved = trace.final & (lanes.largest(jnp.abs(trace.linear.residual)) <= noise)
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


def _judge(system: LogitSystem, trace: Trace, measure: Measure) -> Verdict:
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
        step=jnp.where(restart, CARE * _first_step(system, trace.free), step),
    )


def advance(system: LogitSystem, trace: Trace, max_steps: int) -> Trace:
    """One correction in every running lane, and the verdict on its step where that settles it."""
    kappa = system.scale
    running = trace.phase == RUNNING
    always = trace.num_steps[0] >= 0

    slope = trace.linear.slope * _per_step(system)
    solved, sign = trace.linear.solve(jnp.stack([-trace.linear.residual, -slope], axis=1))
    newton, drift = solved[:, 0], solved[:, 1]
    noise = jnp.finfo(kappa.dtype).eps * (1 + kappa)
    measure = lanes.stage(_measure, always, trace, newton, drift, sign, noise)
    verdict = lanes.stage(_judge, always, system, trace, measure)

    change = jnp.where(measure.solved, 0, newton + drift * measure.shift)
    corrected = Point(trace.trial.z + change, trace.trial.s + measure.shift)
    forward = jnp.where(verdict.branching, -measure.forward, measure.forward)
    tangent = Point(drift * forward, forward)
    curvature = 2 / jnp.where(measure.length > 0, measure.length, 1) ** 2
    bend = Point(
        (trace.here.point.z - corrected.z + measure.length * tangent.z) * curvature,
        (trace.here.point.s - corrected.s + measure.length * tangent.s) * curvature,
    )
    before, here = trace.before, trace.here
    unbent = Point(jnp.zeros_like(bend.z), jnp.zeros_like(bend.s))
    here = _choose_place(verdict.passed, Place(corrected, tangent, bend), here)
    here = _choose_place(verdict.mended, Place(corrected, tangent, here.bend), here)
    here = _choose_place(verdict.back, Place(before.point, before.tangent, unbent), here)
    here = _choose_place(verdict.restart, _reference(system), here)
    predicted, step, final = _predict(here, verdict.step, kappa)
    mending = verdict.mend & (here.point.s > 0)
    renewed = verdict.passed | verdict.mended | verdict.refused
    trial = _choose(renewed, _choose(mending, here.point, predicted), _choose(running, corrected, trace.trial))

    num_steps = trace.num_steps + running.astype(jnp.int32)
    phase = jnp.where(running & (num_steps >= max_steps), STOPPED, trace.phase)
    phase = jnp.where(verdict.failed, FAILED, jnp.where(verdict.found, FOUND, phase))
    turned = (verdict.passed | verdict.mended | verdict.found) & (trace.here.tangent.s * forward < 0)
    return Trace(
        here=here,
        before=_choose_place(verdict.passed, trace.here, before),
        stride=jnp.where(verdict.passed, trace.step, jnp.where(verdict.back, verdict.step, trace.stride)),
        step=jnp.where(renewed & ~mending, step, verdict.step),
        trial=trial,
        linear=system.linearize(trial.z, trial.s * _per_step(system), always),
        final=jnp.where(renewed, final & ~mending, trace.final),
        mending=jnp.where(renewed, mending, trace.mending),
        guess=trace.guess & ~verdict.refused,
        free=trace.free,
        first=jnp.where(renewed, jnp.inf, jnp.where(jnp.isinf(trace.first), measure.size, trace.first)),
        last=jnp.where(renewed, jnp.inf, measure.size),
        exact=jnp.where(verdict.passed, measure.size <= EXACT, trace.exact | verdict.back | verdict.restart),
        doubted=~verdict.passed & ~verdict.mended & (trace.doubted | verdict.refused),
        sure=~verdict.passed & ~verdict.back & (trace.sure | verdict.mended | verdict.restart),
        care=jnp.where(verdict.restart, CARE, trace.care),
        phase=phase.astype(jnp.int32),
        num_steps=num_steps,
        folds=jnp.where(verdict.restart, 0, trace.folds + turned.astype(jnp.int32)),
        orientation=jnp.where(verdict.restart, 1, jnp.where(verdict.branching, -trace.orientation, trace.orientation)),
        bifurcations=jnp.where(verdict.restart, 0, trace.bifurcations + verdict.branching.astype(jnp.int32)),
    )
