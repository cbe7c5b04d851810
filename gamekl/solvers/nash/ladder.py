"""The ladder by which a regularised Nash equilibrium is found (theory I2), for one problem or for a batch.

From the short road to the one that always works:

1. A guess: Newton's method from there.
2. Where the payoffs prove that the equilibrium is unique, because best responses contract or the game is monotone:
   Newton's method from the reference, as any road leads there.
3. The logit path from the reference to its first crossing of the temperature (`path`).
4. The path once more, with tolerances ten times smaller.

Where the path is to be certified, `proof` goes it alone, and its end is the guess.

Each road ends in Newton's method at the temperature itself, and each is left for the next when it loses its way.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.batching import in_blocks
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.core.kernels.system import LogitSystem, to_log_policy, to_logits
from gamekl.core.one_shot import magnitude, respond
from gamekl.core.policies import centre
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.nash import path
from gamekl.solvers.nash.implicit import WORST_ERROR
from gamekl.solvers.nash.proof import Proof, prove
from gamekl.solvers.nash.queue import Task, Traced, num_lanes, solve_alone, solve_tasks
from gamekl.solvers.nash.trace import Point
from gamekl.solvers.solution import PathSummary, Solution, Status, input_status

# Least and largest residual that is asked for by default.
TOLERANCES = 1e-9, 1e-3
# A response of probability p is off by at most so many times p (1 - p) rounding errors of its logit. Measured: with
# half of it 5 of 28,000 answers in float32 that seemed to be within the largest tolerance were not; with it, all are,
# and none is beyond .8 of that.
UNSURE = 1.0
# A path that fails, or does not end, while logits round by this much does so for want of digits.
COARSE = 1e-3
# Most steps of a proof for each Newton correction that is allowed.
PROOF_STEPS = 100


def resolution(
    game: NormalFormGame, regularizer: Regularizer, log_policy: tuple[Float[Array, " _"], ...]
) -> Float[Array, ""]:
    """About the rounding error of a logit at a profile."""
    return jnp.finfo(game.dtype).eps * (1 + magnitude(game, regularizer, log_policy))


def default_tolerance(resolution: Float[Array, ""]) -> Float[Array, ""]:
    """16 times a logit's rounding error, but at least 1e-9 and at most 1e-3: the least that can be asked for."""
    return jnp.clip(16 * resolution, *TOLERANCES)


def _surely_unique(system: LogitSystem, masks: tuple[Bool[Array, " _"], ...]) -> Bool[Array, ""]:
    """Whether a quick certificate proves that the equilibrium is unique (`gamekl.evaluate` has sharper ones).

    Best responses contract if (m - 1) kappa < 2 (theory A9.1). Two players' game is monotone if, with U_i = r_i / tau_i
    centred over both players' actions, |U_1| |U_2| + <U_1, U_2> < 8 in the Frobenius norm: that is theory A9.2 with
    the best weights of the players, and zero-sum games have 0 there (derived).
    """
    unique = (len(masks) - 1) * system.scale < 2
    if len(masks) == 2:
        first, second = (
            centre(centre(table.T, own).T, other)
            for table, own, other in zip(system.payoffs, masks, reversed(masks), strict=True)
        )
        norms = jnp.sqrt(jnp.sum(first**2) * jnp.sum(second**2))
        rounding = first.size * jnp.finfo(norms.dtype).eps * norms
        unique |= norms + jnp.sum(first * second.T) + rounding < 8
    return unique


class Options(NamedTuple):
    """The options of a solve, which are static.

    Attributes:
        max_steps: most Newton corrections for a game.
        refine: whether to trace in float32 first.
        certify: whether to prove the path.
    """

    max_steps: int
    refine: bool = False
    certify: bool = False


class NashProblem(NamedTuple):
    """What is to be solved; in a batch every leaf has a leading axis.

    Attributes:
        game: the game.
        regularizer: references and temperatures, in the game's dtype.
        guess: log-policies to try first, where `guessed`.
        guessed: whether there is a guess.
        tol: bound on the residual; NaN for the default.
    """

    game: NormalFormGame
    regularizer: Regularizer
    guess: tuple[Float[Array, "*batch _"], ...]
    guessed: Bool[Array, "*batch"]
    tol: Float[Array, "*batch"]

    def astype(self, dtype: Any) -> "NashProblem":
        """The same problem in another floating dtype."""
        return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.isdtype(leaf.dtype, "real floating") else leaf, self)


def _task(problem: NashProblem) -> Task:
    masks = problem.regularizer.masks
    guess = [jnp.where(mask, entry, 0) for entry, mask in zip(problem.guess, masks, strict=True)]
    system = LogitSystem.of(problem.game, problem.regularizer, centred=False)
    return Task(
        system=system,
        guess=jnp.concatenate(guess),
        guessed=problem.guessed,
        free=_surely_unique(system, masks),
        usable=input_status(problem.game, problem.regularizer) == Status.converged,
    )


def _prove(problems: NashProblem, max_steps: int) -> Proof:
    """Proofs for a block of problems, each in a lane; every leaf has a leading axis."""
    tasks = jax.vmap(_task)(problems)
    systems = jax.vmap(lambda problem: LogitSystem.of(problem.game, problem.regularizer))(problems)
    system = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, -1), systems)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 0), prove(system, tasks.usable, max_steps))


def _log_policy(problem: NashProblem, z: Array) -> tuple[Float[Array, " _"], ...]:
    return to_log_policy(z, problem.regularizer.masks)


def _conclude(problem: NashProblem, traced: Traced) -> Solution:
    game, regularizer = problem.game, problem.regularizer
    log_policy = _log_policy(problem, traced.z)
    response, gap = respond(game, regularizer, log_policy)
    differences = [jnp.max(jnp.abs(jnp.exp(a) - jnp.exp(b))) for a, b in zip(log_policy, response, strict=True)]
    residual = jnp.max(jnp.stack(differences))
    rounding = resolution(game, regularizer, log_policy)
    tol = jnp.where(jnp.isnan(problem.tol), default_tolerance(rounding), problem.tol)
    coarse, fine = rounding > COARSE, 16 * rounding <= TOLERANCES[0]
    undecided = jnp.max(jnp.stack([jnp.max(jnp.exp(entry) * -jnp.expm1(entry)) for entry in log_policy]))
    surely = residual + UNSURE * rounding * undecided <= jnp.maximum(tol, TOLERANCES[1])
    status = jnp.where(jnp.isfinite(residual) & ~fine, Status.too_few_digits, Status.not_converged)
    status = jnp.where((residual <= tol) & surely, Status.converged, status)
    stopped, failed = traced.phase == path.STOPPED, traced.phase == path.FAILED
    status = jnp.where(stopped, Status.max_steps, jnp.where(failed, Status.path_failed, status))
    status = jnp.where((stopped | failed) & coarse, Status.too_few_digits, status)
    wrong = input_status(game, regularizer)
    status = jnp.where(wrong == Status.converged, status, wrong).astype(jnp.int32)
    regular = traced.spread * jnp.finfo(game.dtype).eps < WORST_ERROR
    return Solution(
        log_policy=log_policy,
        gap=gap,
        residual=residual,
        num_steps=traced.num_steps,
        status=status,
        differentiable=(status == Status.converged) & regular,
        path=PathSummary(
            temperature=regularizer.temperatures / traced.beta,
            folds=traced.folds,
            bifurcations=traced.bifurcations,
            crossings=((traced.phase == path.FOUND) & ~traced.guessed).astype(jnp.int32),
        ),
    )


def _certified(problem: NashProblem, solution: Solution, traced: Traced, proof: Proof) -> Solution:
    """The solution to which a proof has led, with what it proves."""
    logits = to_logits(solution.log_policy, problem.regularizer.masks)
    ball, z = jax.tree.map(lambda leaf: leaf[..., None], (proof.ball, logits))
    covered = ball.covers(Point(z, LogitSystem.of(problem.game, problem.regularizer).scale[None]))[0]
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


class Solver(NamedTuple):
    """How the steps of a solve are mapped over problems: over none, or over the leading axis of a batch.

    Attributes:
        each: maps a function of one problem.
        trace: solves tasks.
    """

    each: Callable[..., Any]
    trace: Callable[[Task], Traced]

    def _find(self, problem: NashProblem) -> Traced:
        return self.trace(self.each(_task, problem))

    def _refine(self, problem: NashProblem) -> Traced:
        """Trace in float32, and once more, in the problem's own precision, from what that found."""
        rough = self._find(problem.astype(jnp.float32))
        dtype = problem.tol.dtype
        guess = self.each(_log_policy, problem, rough.z.astype(dtype))
        fine = self._find(problem._replace(guess=guess, guessed=rough.phase == path.FOUND))
        return fine._replace(
            guessed=fine.guessed & rough.guessed,
            num_steps=rough.num_steps + fine.num_steps,
            folds=jnp.where(fine.guessed, rough.folds, fine.folds),
            bifurcations=jnp.where(fine.guessed, rough.bifurcations, fine.bifurcations),
        )

    def solve(self, problem: NashProblem, refine: bool) -> Solution:
        """Solve from the guess, or up the ladder; the answer has no derivatives."""
        traced = self._refine(problem) if refine else self._find(problem)
        return self.each(_conclude, problem, traced)

    def certify(self, problem: NashProblem, proof: Proof) -> Solution:
        """Solve from where a proof of the path ends."""
        guess = self.each(_log_policy, problem, proof.trial.z)
        traced = self._find(problem._replace(guess=guess, guessed=proof.phase == path.FOUND))
        solution = self.each(_conclude, problem, traced)
        return self.each(_certified, problem, solution, traced, proof)


def solve_problem(problem: NashProblem, options: Options) -> Solution:
    """Solve one problem by the ladder; the answer has no derivatives."""
    solver = Solver(
        lambda function, *arguments: function(*arguments), partial(solve_alone, max_steps=options.max_steps)
    )
    if options.certify:
        proof = _prove(jax.tree.map(lambda leaf: leaf[None], problem), options.max_steps * PROOF_STEPS)
        return solver.certify(problem, jax.tree.map(lambda leaf: leaf[0], proof))
    return solver.solve(problem, options.refine)


def solve_problems(problems: NashProblem, options: Options) -> Solution:
    """Solve a batch of problems; every leaf of problems and solution has a leading axis."""

    def solve(platform: Platform, problems: NashProblem) -> Solution:
        width = num_lanes(platform, problems.game)
        solver = Solver(
            lambda function, *batch: in_blocks(jax.vmap(function), width, *batch),
            lambda tasks: solve_tasks(tasks, width, options.max_steps),
        )
        if options.certify:
            prove = partial(_prove, max_steps=options.max_steps * PROOF_STEPS)
            return solver.certify(problems, in_blocks(prove, width, problems))
        return solver.solve(problems, options.refine)

    return by_platform(solve, problems)


def make_nash_problem(
    game: NormalFormGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: float | int | Float[Array, ""] | None,
) -> NashProblem:
    """The problem in the game's dtype; the default tolerance is asked for where `tol` is None."""
    regularizer = regularizer.astype(game.dtype)
    return NashProblem(
        game=game,
        regularizer=regularizer,
        guess=regularizer.log_reference if initial is None else tuple(entry.astype(game.dtype) for entry in initial),
        guessed=jnp.asarray(initial is not None),
        tol=jnp.asarray(jnp.nan if tol is None else tol, dtype=game.dtype),
    )
