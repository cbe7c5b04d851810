"""The regularised Nash equilibrium of one game; batches by ``jax.vmap``.

The ladder (MATH I2), from the short road to the one that always works:

1. A guess (`initial`): Newton's method from there.
2. Where the payoffs prove that the equilibrium is unique, because best responses contract or the game is monotone:
   Newton's method from the reference, as any road leads there.
3. The logit path from the reference to its first crossing of the temperature (`path`).
4. The path once more, with tolerances ten times smaller.

Each road ends in Newton's method at the temperature itself, and each is left for the next when it loses its way. The
estimated game of offline data is a game like any other: solving it is all that GANE does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, centre, check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import best_response, payoff_range, regularized_gap
from gamekl.core.system import LogitSystem, to_log_policy, to_logits
from gamekl.core.validation import validate
from gamekl.solvers import path
from gamekl.solvers.implicit import attach
from gamekl.solvers.queue import Outcome, Task, in_blocks, num_lanes, sharing_lanes, solve_tasks
from gamekl.solvers.solution import PathSummary, Solution, Status, raise_unless_converged

MAX_STEPS = 5_000


def default_tolerance(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """``max(1e-9, 16 eps (1 + R / temperature))``, the least residual to be asked for in the payoffs' dtype."""
    eps = jnp.finfo(game.payoffs.dtype).eps
    kappa = jnp.max(payoff_range(game) / regularizer.temperatures)
    return jnp.maximum(1e-9, 16 * eps * (1 + kappa))


def _input_status(game: NormalFormGame, regularizer: Regularizer) -> Int[Array, ""]:
    temperatures = regularizer.temperatures
    finite = jnp.all(jnp.isfinite(game.payoffs)) & jnp.all(jnp.isfinite(temperatures))
    valid = jnp.all(temperatures > 0)
    for entry in regularizer.log_reference:
        finite &= ~jnp.any(jnp.isnan(entry) | jnp.isposinf(entry))
        valid &= jnp.abs(jnp.sum(jnp.exp(entry)) - 1) < 1e-3
    return jnp.where(finite, jnp.where(valid, Status.converged, Status.invalid_input), Status.nonfinite_input)


def _surely_unique(system: LogitSystem, masks: tuple[Bool[Array, " _"], ...]) -> Bool[Array, ""]:
    """Whether a quick certificate proves that the equilibrium is unique (`gamekl.evaluate` has sharper ones).

    Best responses contract if (m - 1) kappa < 2 (MATH A9.1). Two players' game is monotone if, with U_i = r_i / tau_i
    centred over both players' actions, |U_1| |U_2| + <U_1, U_2> < 8 in the Frobenius norm: that is A9.2 with the
    best weights of the players, and zero-sum games have 0 there (derived, MATH A9).
    """
    unique = (len(masks) - 1) * system.scale < 2
    if len(masks) == 2:
        first, second = centre(system.payoffs[0], masks[1]), centre(system.payoffs[1], masks[0]).T
        norms = jnp.sqrt(jnp.sum(first**2) * jnp.sum(second**2))
        unique |= norms + jnp.sum(first * second) < 8
    return unique


class Problem(NamedTuple):
    """What is to be solved; in a batch every leaf has a leading axis.

    Attributes:
        game: the game.
        regularizer: references and temperatures, in the game's dtype.
        guess: log-policies to try first, where `guessed`.
        guessed: whether there is a guess.
        tol: bound on the residual.
    """

    game: NormalFormGame
    regularizer: Regularizer
    guess: tuple[Float[Array, "*batch _"], ...]
    guessed: Bool[Array, "*batch"]
    tol: Float[Array, "*batch"]

    def astype(self, dtype: Any) -> "Problem":
        """The same problem in another floating dtype."""
        return jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.isdtype(leaf.dtype, "real floating") else leaf, self)


def _task(problem: Problem) -> Task:
    system = LogitSystem.of(problem.game, problem.regularizer)
    return Task(
        system=system,
        guess=to_logits(problem.guess, problem.regularizer.masks),
        guessed=problem.guessed,
        free=_surely_unique(system, problem.regularizer.masks),
        usable=_input_status(problem.game, problem.regularizer) == Status.converged,
    )


def _conclude(problem: Problem, outcome: Outcome) -> Solution:
    game, regularizer = problem.game, problem.regularizer
    log_policy = to_log_policy(outcome.z, regularizer.masks)
    response = best_response(game, regularizer, log_policy)
    differences = [jnp.max(jnp.abs(jnp.exp(a) - jnp.exp(b))) for a, b in zip(log_policy, response, strict=True)]
    residual = jnp.max(jnp.stack(differences))
    status = jnp.where(residual <= problem.tol, Status.converged, Status.not_converged)
    status = jnp.where(outcome.phase == path.STOPPED, Status.max_steps, status)
    status = jnp.where(outcome.phase == path.FAILED, Status.path_failed, status)
    input_status = _input_status(game, regularizer)
    return Solution(
        log_policy=log_policy,
        gap=regularized_gap(game, regularizer, log_policy),
        residual=residual,
        num_steps=outcome.num_steps,
        status=jnp.where(input_status == Status.converged, status, input_status).astype(jnp.int32),
        path=PathSummary(
            temperature=regularizer.temperatures / outcome.beta,
            folds=outcome.folds,
            bifurcations=outcome.bifurcations,
            crossings=((outcome.phase == path.FOUND) & ~outcome.guessed).astype(jnp.int32),
        ),
    )


def _trace(problems: Problem, width: int, max_steps: int) -> Outcome:
    return solve_tasks(in_blocks(_task, width, problems), width, max_steps)


def _refine(problems: Problem, width: int, max_steps: int) -> Outcome:
    """Trace in float32, and once more, in the problems' own precision, from what that found."""
    rough = _trace(problems.astype(jnp.float32), width, max_steps)
    guess = jax.vmap(lambda problem, z: to_log_policy(z, problem.regularizer.masks))(problems, rough.z.astype(float))
    fine = _trace(problems._replace(guess=guess, guessed=rough.phase == path.FOUND), width, max_steps)
    return fine._replace(
        guessed=fine.guessed & rough.guessed,
        num_steps=rough.num_steps + fine.num_steps,
        folds=jnp.where(fine.guessed, rough.folds, fine.folds),
        bifurcations=jnp.where(fine.guessed, rough.bifurcations, fine.bifurcations),
    )


def solve_problems(problems: Problem, width: int, max_steps: int, refine: bool) -> Solution:
    """Solve a batch of problems; every leaf of problems and solution has a leading axis. Not differentiable."""
    outcome = (_refine if refine else _trace)(problems, width, max_steps)
    return in_blocks(_conclude, width, problems, outcome)


def make_problem(
    game: NormalFormGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: float | int | Float[Array, ""] | None,
) -> Problem:
    """The problem in the game's dtype, with the default tolerance where `tol` is None."""
    regularizer = regularizer.astype(game.dtype)
    return Problem(
        game=game,
        regularizer=regularizer,
        guess=regularizer.log_reference if initial is None else tuple(entry.astype(game.dtype) for entry in initial),
        guessed=jnp.asarray(initial is not None),
        tol=default_tolerance(game, regularizer) if tol is None else jnp.asarray(tol, dtype=game.dtype),
    )


def _solve(
    game: NormalFormGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: float | int | Float[Array, ""] | None,
    max_steps: int,
    refine: bool,
) -> Solution:
    problem = make_problem(game, regularizer, initial, tol)

    def solve(problems: Problem, width: int) -> Solution:
        return solve_problems(problems, width, max_steps, refine)

    def width(problems: Problem) -> int:
        return num_lanes(problems.game)

    solution = sharing_lanes(solve, width)(jax.lax.stop_gradient(problem))
    log_policy = attach(solution.log_policy, problem.game, problem.regularizer)
    return eqx.tree_at(lambda solution: solution.log_policy, solution, log_policy)


_solve_inside = jax.jit(_solve, static_argnames=("max_steps", "refine"))
# Of one game the compilation is the main cost, and XLA's older emitters for CPUs halve it; but such an option is only
# for calls that are not part of another compilation.
_solve_alone = jax.jit(
    _solve, static_argnames=("max_steps", "refine"), compiler_options={"xla_cpu_use_fusion_emitters": False}
)


def solve_nash(
    game: NormalFormGame,
    regularizer: Regularizer,
    *,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    initial: Profile | None = None,
    refine: Literal["float64"] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve for the regularised Nash equilibrium: pi_i = softmax(log_reference_i + q_i(pi) / temperature_i).

    Of several equilibria this is the first crossing of the temperature on the logit path from the reference, the
    principal branch; for a uniform reference that is the logit quantal response equilibrium of the field.

    It may be transformed by ``jax.jit``, ``jax.vmap`` (a batch shares a fixed number of lanes, and a game's numbers
    depend neither on its neighbours nor on the batch's size) and ``jax.grad``, which differentiates policies and gaps
    with respect to payoffs, references and temperature by the implicit function theorem. Where the equilibrium is
    nearly singular, taking a derivative logs a warning.

    Args:
        game: any number of players and actions. The work is done in the payoffs' dtype.
        regularizer: references and temperatures for this game.
        tol: bound on the residual sup |policy - best response|; the default is
            ``max(1e-9, 16 eps (1 + R / temperature))``.
        max_steps: most Newton corrections. Static under ``jit``.
        initial: log-policies to try first. If Newton's method converges from near there, that equilibrium is returned,
            which need not be the principal one: then ``path.crossings`` is 0. It is 1 where the solver left `initial`
            and traced the path from the reference instead.
        refine: "float64" traces the path in float32 and then solves and certifies in float64, whatever the payoffs'
            dtype; on concrete inputs also where jax's x64 mode is off.
        throw: raise on bad values and on failure. Acts on concrete inputs only: under ``jit`` or ``vmap`` nothing is
            raised, and `Solution.status` tells.

    Returns:
        The solution. Its `status` is `Status.converged` only if the residual meets `tol` and the path was met without
        leaving it.

    Raises:
        ValueError: game and regularizer do not fit, an option is not known, or (``throw``) their values are bad.
        SolveError: (``throw``) the solve did not converge.

    Source: fixed point and gap as in MATH A (derived; consistent with arXiv 2605.00264's abstract); path after Turocy,
    "A dynamic homotopy interpretation of the logistic quantal response equilibrium correspondence" (2005).
    """
    require_normal_form(game)
    if not isinstance(regularizer, Regularizer):
        raise TypeError(f"regularizer: got {type(regularizer).__name__}, takes a Regularizer")
    regularizer.check_fits(game)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    if initial is not None:
        initial = check_profile("initial", initial, game.num_actions, log=True)
    concrete = is_concrete(game, regularizer, initial, tol)
    with precision(refine, concrete=concrete) as dtype:
        if dtype is not None:
            game = NormalFormGame(game.payoffs.astype(dtype))
        solve = _solve_alone if concrete and jax.default_backend() == "cpu" else _solve_inside
        solution = solve(game, regularizer, initial, tol, max_steps=max_steps, refine=refine is not None)
    if throw:
        raise_unless_converged(solution)
    return solution


def has_float64() -> bool:
    """Whether jax's x64 mode is on, here and in this thread."""
    return jnp.result_type(float) == jnp.float64


@contextmanager
def precision(refine: str | None, *, concrete: bool) -> Iterator[Any]:
    """The dtype that `refine` asks for, or None, in a context where jax has it.

    Raises:
        ValueError: `refine` is neither, or jax's x64 mode is off where it cannot be switched on for a while.
    """
    if refine is None:
        yield None
        return
    if refine != "float64":
        raise ValueError(f"refine: got {refine!r}, takes 'float64' or None")
    if not concrete and not has_float64():
        raise ValueError(
            "refine: got 'float64' under a transformation while jax's x64 mode is off, takes it on concrete inputs, or "
            "after jax.config.update('jax_enable_x64', True)"
        )
    with jax.enable_x64(True):
        yield jnp.float64


@runtime_checkable
class HasGame(Protocol):
    """Anything that carries an estimated game, such as `gamekl.offline.Estimate`."""

    @property
    def game(self) -> NormalFormGame:
        """The estimated game."""
        ...


def gane(
    estimate: HasGame,
    regularizer: Regularizer,
    *,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Solution:
    """GANE: the regularised Nash equilibrium of the estimated game, with no pessimism.

    The arguments are those of `solve_nash`. Measured in the true game its gap falls as 1/n (derived, MATH A2 and A4;
    consistent with the rate announced in arXiv 2605.00264).
    """
    if not isinstance(estimate, HasGame):
        raise TypeError(
            f"estimate: got {type(estimate).__name__}, takes an Estimate (gamekl.offline.estimate makes it)"
        )
    return solve_nash(estimate.game, regularizer, tol=tol, max_steps=max_steps, throw=throw)
