"""From where the tracer ended to answers: the last corrections in full precision, and what the answers are worth."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.system import GameEquations, Vector, level, split, to_logits
from gamekl.core.one_shot import excess
from gamekl.core.symmetric.system import single_equations
from gamekl.solvers.nash import path
from gamekl.solvers.nash.implicit import WORST_ERROR
from gamekl.solvers.nash.prepare import NashProblem, Prepared, prepare
from gamekl.solvers.nash.proof import Proof
from gamekl.solvers.nash.queue import Traced
from gamekl.solvers.nash.trace import Count, Lane, Point
from gamekl.solvers.solution import PathSummary, Solution, Status

# Least and largest residual that is asked for by default.
TOLERANCES = 1e-9, 1e-3
# A response of probability p is off by at most so many times p (1 - p) rounding errors of its logit. Measured: with
# half of it 5 of 28,000 answers in float32 that seemed to be within the largest tolerance were not; with it, all are,
# and none is beyond .8 of that.
UNSURE = 1.0
# A path that fails, or does not end, while logits round by this much does so for want of digits.
COARSE = 1e-3
# Corrections of an answer that was found in float32. Each takes away all but some 1e-5 of the error.
POLISHING = 2


def resolution(magnitude: Float[Array, "*lane"]) -> Float[Array, "*lane"]:
    """About the rounding error of a logit, where payoffs over the temperature are so large."""
    return jnp.finfo(magnitude.dtype).eps * (1 + magnitude)


def default_tolerance(resolution: Float[Array, "*lane"]) -> Float[Array, "*lane"]:
    """16 times a logit's rounding error, but at least 1e-9 and at most 1e-3: the least that can be asked for."""
    return jnp.clip(16 * resolution, *TOLERANCES)


class Quality(NamedTuple):
    """What a profile is worth, by lane.

    Attributes:
        gap: regularised gap of each role, payoff units.
        residual: sup |policy - best response|.
        magnitude: the largest of all E |r_i| / temperature_i, with levelled payoffs.
        undecided: the largest of all p (1 - p).
    """

    gap: Float[Array, "role lane"]
    residual: Lane
    magnitude: Lane
    undecided: Lane


def assess(prepared: Prepared, z: Vector, joined: Vector) -> Quality:
    """The worth of the policies `joined`, whose logarithms are z: as `core.one_shot.player_gap` finds it, in lanes."""
    system, temperatures = prepared.system, prepared.temperatures
    masks = split(system.mask, system.sizes)

    def in_nats(tables: list[Array]) -> Vector:
        values = system.expected(tables, z, joined)
        return jnp.concatenate(
            [value * mask / tau for value, mask, tau in zip(values, masks, temperatures, strict=True)]
        )

    scaled = in_nats(prepared.levelled)
    log_response, response = materialize(system.normalized, system.anchor + scaled)
    deviation = level((z - system.anchor - scaled)[:, None], joined, system.mask, system.sizes)[:, 0]
    near = [lanes.largest(jnp.abs(part)) < 1 for part in split(deviation, system.sizes)]
    close = joined * excess(jnp.clip(deviation, -1, 1))
    far = joined * (z - log_response)
    gaps = [
        tau * jnp.where(inside, jnp.log1p(lanes.total(one)), jnp.maximum(lanes.total(other), 0))
        for tau, inside, one, other in zip(
            temperatures, near, split(close, system.sizes), split(far, system.sizes), strict=True
        )
    ]
    return Quality(
        gap=jnp.stack(gaps),
        residual=lanes.largest(jnp.abs(joined - response)),
        magnitude=lanes.largest(in_nats([jnp.abs(table) for table in prepared.levelled])),
        undecided=lanes.largest(joined * -jnp.expm1(z) * system.mask),
    )


def _polish(system: GameEquations, z: Vector) -> Vector:
    """Newton's method at beta = 1 from an answer in float32: residuals in float64, linear systems in float32."""
    rough = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), system)
    one = jnp.ones_like(rough.scale)

    def correct(_: Int[Array, ""], state: tuple[Vector, Array]) -> tuple[Vector, Array]:
        z, weight = state
        z, policy = materialize(system.normalized, z)
        values = jnp.concatenate(system.expected(system.payoffs, z, policy))
        residual = level((z - system.anchor - values)[:, None], policy, system.mask, system.sizes)
        linear = rough.linearize_at(z.astype(jnp.float32), policy.astype(jnp.float32), one)
        change, _, weight = linear.solve(-residual.astype(jnp.float32), weight)
        return z + change[:, 0].astype(z.dtype), weight

    return jax.lax.fori_loop(0, POLISHING, correct, (z, one))[0]


def status_of_answer(tol: Lane, phase: Count, quality: Quality, wrong: Count) -> Count:
    """The status of an answer: what was wrong beforehand, else how tracing ended and what the answer is worth."""
    rounding = resolution(quality.magnitude)
    tol = jnp.where(jnp.isnan(tol), default_tolerance(rounding), tol)
    coarse, fine = rounding > COARSE, 16 * rounding <= TOLERANCES[0]
    surely = quality.residual + UNSURE * rounding * quality.undecided <= jnp.maximum(tol, TOLERANCES[1])
    status = jnp.where(jnp.isfinite(quality.residual) & ~fine, Status.too_few_digits, Status.not_converged)
    status = jnp.where((quality.residual <= tol) & surely, Status.converged, status)
    stopped, failed = phase == path.STOPPED, phase == path.FAILED
    status = jnp.where(stopped, Status.max_steps, jnp.where(failed, Status.path_failed, status))
    status = jnp.where((stopped | failed) & coarse, Status.too_few_digits, status)
    return jnp.where(wrong == Status.converged, status, wrong).astype(jnp.int32)


def conclude(problems: NashProblem, traced: Traced, polish: bool = False) -> Solution:
    """The solutions of a batch of problems; every leaf has a leading axis.

    Args:
        problems: the problems.
        traced: where the tracer ended.
        polish: whether it worked in float32, so that its answers are to be corrected.
    """
    prepared, tol = prepare(problems), problems.tol
    system, traced = prepared.system, lanes_last(traced)
    z = traced.z.astype(tol.dtype)
    if polish:
        z = _polish(system, z)
    z, policy = materialize(system.normalized, z)
    quality = materialize(assess, prepared, z, policy)
    status = status_of_answer(tol, traced.phase, quality, prepared.wrong)
    regular = traced.spread.astype(tol.dtype) * jnp.finfo(tol.dtype).eps < WORST_ERROR
    log_policy = tuple(split(jnp.where(system.mask > 0, z, -jnp.inf), system.sizes))
    reached = prepared.temperatures / traced.beta.astype(tol.dtype)
    log_policy, gap, reached, residual, status, regular, traced = lanes_first(
        (log_policy, quality.gap, reached, quality.residual, status, regular, traced)
    )
    return Solution(
        log_policy=log_policy,
        gap=gap,
        residual=residual,
        num_steps=traced.num_steps + POLISHING * polish,
        status=status,
        differentiable=(status == Status.converged) & regular,
        path=PathSummary(
            temperature=reached,
            folds=traced.folds,
            bifurcations=traced.bifurcations,
            crossings=((traced.phase == path.FOUND) & ~traced.guessed).astype(jnp.int32),
        ),
    )


def certified(problem: NashProblem, solution: Solution, traced: Traced, proof: Proof) -> Solution:
    """The solution to which a proof has led, with what it proves."""
    logits = to_logits(solution.log_policy, problem.regularizer.masks)
    ball, z = jax.tree.map(lambda leaf: leaf[..., None], (proof.ball, logits))
    covered = ball.covers(Point(z, single_equations(problem.game, problem.regularizer).scale))[0]
    proven = (proof.phase == path.FOUND) & traced.guessed & covered
    unproven = (solution.status == Status.converged) & ~proven
    summary = solution.path
    return dataclasses.replace(
        solution,
        num_steps=solution.num_steps + proof.num_steps,
        status=jnp.where(unproven, Status.unproven, solution.status).astype(jnp.int32),
        path=PathSummary(
            temperature=summary.temperature,
            folds=jnp.where(proven, proof.folds, summary.folds),
            bifurcations=summary.bifurcations,
            crossings=jnp.where(proven, 1, summary.crossings),
            margin=jnp.where(proven, proof.margin, 0),
        ),
    )
