"""The logit path from the reference, by pseudo-arclength continuation, for games side by side in lanes.

The solutions of F(z, beta) = 0 form a path that starts at the reference, beta = 0; F is that of a game
(`core.kernels.system`) or any other system like it (`equations`). The path may fold back in beta, so it is traced by
its own arclength in w = (z, s), s = kappa beta, kappa = max_i R_i / tau_i: in these coordinates it becomes straight
where the policies have settled. Its first crossing of beta = 1 is the equilibrium that `solve_nash` returns: the
principal branch, that of Turocy (2005) and of Gambit's logit tracer where the reference is uniform (theory I2) and no
other branch crosses the path. At a pitchfork we go straight on, Gambit 17 turns off, and Gambit 16.7 does either.

A step predicts along a parabola and corrects by Newton's method in the hyperplane through the prediction that is normal
to the tangent; a step that would pass beta = 1 ends in the hyperplane beta = 1 instead, where Newton's method goes on
to full precision. What a step must satisfy, so that the tracer does not jump between branches, is in `step_control`.

One call of `advance` makes one correction in every lane, whatever its lane is about.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import Vector
from gamekl.solvers.nash.equations import Equations, Linearized
from gamekl.solvers.nash.measure import Measure, faintest, measure_step
from gamekl.solvers.nash.step_control import CARE, EXACT, SHRINK, Verdict, first_step, judge
from gamekl.solvers.nash.trace import FAILED, FOUND, RUNNING, STOPPED, Flag, Lane, Place, Point, Trace, choose, plus


def _aim(here: Place, bend: Lane, step: Lane, kappa: Lane) -> tuple[Lane, Flag]:
    """The step to the next trial, and whether that lies in the hyperplane beta = 1; `bend` is that of s."""
    ahead = kappa - here.point.s
    slope = here.tangent.s
    final = (slope > 0) & (step * slope + step**2 / 2 * bend >= ahead)
    # The first root of that parabola; real wherever it is used.
    root = slope + jnp.sqrt(jnp.maximum(slope**2 + 2 * bend * ahead, 0))
    return jnp.where(final, 2 * ahead / jnp.where(final, root, 1), step), final


def _predict(here: Place, bend: Point, step: Lane, final: Flag, kappa: Lane) -> Point:
    """The trial that a step leads to."""
    trial = plus(plus(here.point, here.tangent, step), bend, step**2 / 2)
    return Point(trial.z, jnp.where(final, kappa, trial.s))


def _reference(system: Equations) -> Place:
    """The start of the path; its tangent is not known yet, and the first step keeps z."""
    zero, rest = jnp.zeros_like(system.scale), jnp.zeros_like(system.anchor)
    # There dF/dz = I, and the derivative of its determinant is 0, since the diagonal of every K is.
    return Place(Point(system.anchor, zero), Point(rest, zero + 1), level=zero, rise=zero)


def _straight(like: Point) -> Point:
    return jax.tree.map(jnp.zeros_like, like)


def start(system: Equations, guess: Vector, guessed: Flag, free: Flag, usable: Flag) -> Trace:
    """The tracer before its first correction.

    Args:
        system: the equations, with a lane axis.
        guess: logits to try first, where `guessed`.
        guessed: whether there is a guess.
        free: whether the equilibrium is known to be unique.
        usable: False where the input cannot be solved; the lane then does nothing.
    """
    kappa = system.scale
    here, opening = _reference(system), first_step(system, free)
    bend = _straight(here.point)
    step, final = _aim(here, bend.s, opening, kappa)
    trial = choose(guessed, Point(guess, kappa), _predict(here, bend, step, final, kappa))
    no, zero, infinite = jnp.zeros_like(guessed), jnp.zeros_like(kappa), jnp.full_like(kappa, jnp.inf)
    count = jnp.zeros(kappa.shape, dtype=jnp.int32)
    return Trace(
        here=here,
        bend=bend,
        before=here,
        gap=zero,
        stride=step,
        step=jnp.where(guessed, opening / SHRINK, step),
        trial=trial,
        final=final | guessed,
        mending=no,
        guess=guessed,
        free=free,
        first=infinite,
        last=infinite,
        exact=~no,
        over=no,
        doubted=no,
        returned=no,
        sure=~no,
        care=zero + 1,
        faint=faintest(kappa),
        spread=zero + 1,
        weight=zero + 1,
        phase=jnp.where(usable, RUNNING, FAILED).astype(jnp.int32),
        num_steps=count,
        folds=count,
        orientation=zero + 1,
        bifurcations=count,
        plain=~no,
    )


def _right_sides(linear: Linearized, pace: Lane) -> Array:
    """The right sides of the two systems to be solved: for Newton's correction, and for the drift dz/ds."""
    return linear.level(jnp.stack([-linear.residual, -linear.slope * pace], axis=1))


class _Decision(NamedTuple):
    """All that the numbers of a lane say of its next trial, without its logits; its parts are read as often as needed.

    Attributes:
        measure: of the correction.
        verdict: on the step.
        forward: change of s by arclength from here on.
        running: whether there is anything to be done.
        renewed: whether the next trial is a new one.
        mending: whether it is the place where the lane is.
        final: whether it lies in the hyperplane beta = 1.
        step: length of the step that leads to it.
    """

    measure: Measure
    verdict: Verdict
    forward: Lane
    running: Flag
    renewed: Flag
    mending: Flag
    final: Flag
    step: Lane


def _move(
    start: Place, trace: Trace, measure: Measure, verdict: Verdict, forward: Lane, drift: Vector, change: Vector
) -> tuple[Place, Point]:
    """Where the lane is after the verdict on a correction of z by `change`, and the bend there.

    Behind a crossing these are of the parabola from the place before it: there the tangent is known to few digits. At
    the reference it is not known at all.
    """
    crossed = (verdict.branching | verdict.multiple) & (trace.before.point.s > 0)
    last = choose(crossed, trace.before, trace.here)
    length = jnp.where(crossed, trace.gap + measure.length, measure.length)
    pace = 2 / jnp.where(length > 0, length, 1)
    corrected = Point(trace.trial.z + change, trace.trial.s + measure.shift)
    way = plus(corrected, last.point, -jnp.ones_like(length))
    onward = Point(pace * way.z - last.tangent.z, pace * way.s - last.tangent.s)
    tangent = choose(crossed, onward, Point(drift * forward, forward))
    bend = Point(pace * (tangent.z - pace / 2 * way.z), pace * (tangent.s - pace / 2 * way.s))
    rise = jnp.where(verdict.multiple, jnp.inf, measure.rise)
    here = choose(verdict.passed | verdict.found, Place(corrected, tangent, measure.level, rise), trace.here)
    here = choose(verdict.mended, Place(corrected, tangent, measure.level, measure.rise), here)
    here = choose(verdict.back, trace.before, here)
    bend = choose(verdict.back | verdict.restart, _straight(bend), choose(verdict.passed, bend, trace.bend))
    return choose(verdict.restart, start, here), bend


def _decide(system: Equations, trace: Trace, measure: Measure) -> _Decision:
    verdict = judge(system, trace, measure)
    bare, start = jax.tree.map(lambda leaf: leaf[:0] if leaf.ndim == 2 else leaf, (trace, _reference(system)))
    forward = jnp.where(verdict.branching, -measure.forward, measure.forward)
    here, bend = _move(start, bare, measure, verdict, forward, bare.trial.z, bare.trial.z)
    step, final = _aim(here, bend.s, verdict.step, system.scale)
    return _Decision(
        measure=measure,
        verdict=verdict,
        forward=forward,
        running=trace.phase == RUNNING,
        renewed=verdict.passed | verdict.mended | verdict.refused,
        mending=verdict.mend & (here.point.s > 0),
        final=final,
        step=step,
    )


def advance(system: Equations, trace: Trace, max_steps: int) -> Trace:
    """One correction in every running lane, and what becomes of its step where that settles it."""
    return advance_judged(system, trace, max_steps)[0]


def advance_judged(system: Equations, trace: Trace, max_steps: int) -> tuple[Trace, Verdict]:
    """The same, and the verdict on the step."""
    kappa = system.scale
    given = trace.trial
    z, policy = materialize(system.normalized, given.z)
    trace = trace._replace(trial=Point(z, trace.trial.s))
    linear = system.linearize_at(z, policy, trace.trial.s * system.pace)
    right = _right_sides(linear, system.pace)
    solved, determinant, weight = linear.solve(right, trace.weight)
    newton, drift = solved[:, 0], solved[:, 1]
    solution = -right[:, 0], newton, drift, determinant, weight
    measure = materialize(measure_step, trace, *solution, on_accelerators=False)
    decision = materialize(_decide, system, trace, measure)
    measure, verdict, forward, running, renewed, mending, final, step = decision

    change = jnp.where(measure.solved, 0, newton + drift * measure.shift)
    corrected = Point(trace.trial.z + change, trace.trial.s + measure.shift)
    here, bend = _move(_reference(system), trace, measure, verdict, forward, drift, change)
    trial = choose(mending, here.point, _predict(here, bend, step, final, kappa))
    trial = choose(renewed, trial, choose(running, corrected, given))  # Idle lanes stay as they are, bit by bit.

    num_steps = trace.num_steps + running.astype(jnp.int32)
    gap = jnp.where(verdict.passed, jnp.where(verdict.near, trace.gap, 0) + measure.length, trace.gap)
    phase = jnp.where(running & (num_steps >= max_steps), STOPPED, trace.phase)
    phase = jnp.where(verdict.failed, FAILED, jnp.where(verdict.found, FOUND, phase))
    crossed = verdict.branching | verdict.multiple
    turned = (verdict.passed | verdict.mended | verdict.found) & (trace.here.tangent.s * forward < 0)
    trace = Trace(
        here=here,
        bend=bend,
        before=choose(verdict.passed & ~verdict.near, trace.here, trace.before),
        gap=jnp.where(verdict.back | verdict.restart, 0, gap),
        stride=jnp.where(verdict.passed, trace.step, jnp.where(verdict.back, verdict.step / SHRINK, trace.stride)),
        step=jnp.where(renewed & ~mending, step, verdict.step),
        trial=trial,
        final=jnp.where(renewed, final & ~mending, trace.final),
        mending=jnp.where(renewed, mending, trace.mending),
        guess=trace.guess & ~verdict.refused,
        free=trace.free,
        first=jnp.where(renewed, jnp.inf, jnp.where(jnp.isinf(trace.first), measure.size, trace.first)),
        last=jnp.where(renewed, jnp.inf, measure.size),
        exact=jnp.where(verdict.passed, measure.size <= EXACT, trace.exact | verdict.back | verdict.restart),
        over=~verdict.passed & (trace.over | verdict.over),
        doubted=~verdict.passed & ~verdict.mended & (trace.doubted | verdict.refused),
        returned=~verdict.passed & (trace.returned | verdict.back),
        sure=~verdict.passed & ~verdict.back & (trace.sure | verdict.mended | verdict.restart),
        care=jnp.where(verdict.restart, CARE, trace.care),
        faint=trace.faint,
        spread=determinant.spread,
        weight=jnp.where(verdict.refused, trace.weight, weight),
        phase=phase.astype(jnp.int32),
        num_steps=num_steps,
        folds=jnp.where(verdict.restart, 0, trace.folds + turned.astype(jnp.int32)),
        orientation=jnp.where(verdict.restart, 1, jnp.where(verdict.branching, -trace.orientation, trace.orientation)),
        bifurcations=jnp.where(verdict.restart, 0, trace.bifurcations + crossed.astype(jnp.int32)),
        plain=trace.plain & ~(verdict.mend | verdict.restart | verdict.kinked | crossed),
    )
    return trace, verdict
