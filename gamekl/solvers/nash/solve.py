"""The regularised Nash equilibrium of one game; batches by ``jax.vmap``.

The estimated game of offline data is a game like any other: solving it is all that GANE does. `ladder` finds the
equilibrium, `implicit` gives it derivatives.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, overload, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.arrays import has_float64
from gamekl.core.games import ContextualGame, MarkovGame, StagedGame, require_normal_form
from gamekl.core.kernels.batching import sharing_lanes
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import Profile, check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import LogitGame, SymmetricGame
from gamekl.core.validation import validate
from gamekl.solvers.nash.implicit import attach
from gamekl.solvers.nash.ladder import Options, solve_problem, solve_problems
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.solution import Solution, check_options, raise_unless_converged, with_left
from gamekl.solvers.staged import StagedSolution, solve_stages

MAX_STEPS = 5_000


@partial(jit, static_argnames="options", quick=True)
def _solve(
    game: LogitGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: float | int | Float[Array, ""] | None,
    options: Options,
) -> Solution:
    problem = make_nash_problem(game, regularizer, initial, tol)
    alone, together = partial(solve_problem, options=options), partial(solve_problems, options=options)
    return sharing_lanes(alone, together)(problem)


@overload
def solve_nash(
    game: LogitGame,
    regularizer: Regularizer,
    *,
    tol: Any = ...,
    max_steps: int = ...,
    initial: Any = ...,
    refine: str | None = ...,
    certify_path: bool = ...,
    throw: bool = ...,
) -> Solution: ...


@overload
def solve_nash(
    game: StagedGame,
    regularizer: Regularizer,
    *,
    tol: Any = ...,
    max_steps: int = ...,
    initial: Any = ...,
    refine: str | None = ...,
    certify_path: bool = ...,
    throw: bool = ...,
) -> StagedSolution: ...


def solve_nash(
    game: LogitGame | StagedGame,
    regularizer: Regularizer,
    *,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    initial: Profile | None = None,
    refine: str | None = None,
    certify_path: bool = False,
    throw: bool = True,
) -> Solution | StagedSolution:
    """Solve for the regularised Nash equilibrium: pi_i = softmax(log_reference_i + q_i(pi) / temperature_i).

    Of several equilibria this is the first crossing of the temperature on the logit path from the reference, the
    principal branch; for a uniform reference that is the logit quantal response equilibrium of the field.

    It may be transformed by ``jax.jit``, ``jax.vmap`` (a batch shares a fixed number of lanes, and a game's numbers
    depend neither on its neighbours nor on the batch's size) and ``jax.grad``, which differentiates policies and gaps
    with respect to payoffs, references and temperature by the implicit function theorem. Where the equilibrium is
    nearly singular, or was not found, that is of no worth (0 where it is singular): `Solution.differentiable` tells,
    and outside of ``jit`` and ``vmap`` a `DerivativeWarning` is given, once for each line of the user's.

    Args:
        game: any number of players and actions. The work is done in the payoffs' dtype. Contextual and Markov games are
            solved stage by stage (`solvers.staged`). Of a `SymmetricGame` it is the equilibrium in which all play
            alike: the first crossing on the path within such profiles, which is that of the normal form as long as no
            branch crosses on which players differ. Such crossings are not seen and not counted;
            `gamekl.evaluate.symmetry_determinant` tells of them.
        regularizer: references and temperatures for this game; of a symmetric one a reference that all share.
        tol: bound on the residual sup |policy - best response|; the default is 16 times a logit's rounding error at
            the answer, ``eps (1 + E |payoff| / temperature)``, but at least 1e-9 and at most 1e-3.
        max_steps: most Newton corrections, or hundreds of steps of a proof. Static under ``jit``.
        initial: log-policies to try first, finite on the references' support. If Newton's method converges from
            there, its first step being less than 4 nats in any logit, that equilibrium is returned, which need not be
            the principal one: then ``path.crossings`` is 0. Where the solver left `initial` and traced the path from
            the reference instead it is 1, and ``path.left``, the solution when printed and the log ``gamekl`` say so.
            For one-shot games only.
        refine: "float64" traces the path in float32 and then solves and certifies in float64, whatever the payoffs'
            dtype; on concrete inputs also where jax's x64 mode is off. For one-shot games only.
        certify_path: trace the path in steps of which each is proven (`solvers.nash.proof`), so that the answer is the
            first crossing, with the proof's margin in `path.margin`. It takes some 20 to 1,000 times as long. Where
            there is no such proof, as where another branch crosses the path, the status is `Status.unproven`. Not for
            symmetric games.
        throw: raise where the status is not `Status.converged`. Acts on concrete inputs only: under ``jit`` or ``vmap``
            nothing is raised, and `Solution.status` tells.

    Returns:
        The solution, a `Solution` or, for games in stages, a `StagedSolution`. Its `status` is `Status.converged` only
        if the residual meets `tol` and the path was met without leaving it.

    Raises:
        ValueError: game and regularizer do not fit, an option is not known, or (``throw``) their values are bad.
        SolveError: (``throw``) the solve did not converge.

    Source: fixed point and gap as in theory A2 and A3 (derived; consistent with arXiv 2605.00264's abstract); path of
    Turocy, "A dynamic homotopy interpretation of the logistic quantal response equilibrium correspondence" (2005).
    """
    if isinstance(game, ContextualGame | MarkovGame):
        return _solve_stages(game, regularizer, tol, max_steps, initial, refine, certify_path, throw)
    if not isinstance(game, SymmetricGame):
        require_normal_form(game, takes="a NormalFormGame or a SymmetricGame")
    elif certify_path:
        raise ValueError("certify_path: got True for a SymmetricGame, takes it for normal forms and games in stages")
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    if initial is not None:
        initial = check_profile("initial", initial, game.roles, log=True)
    check_options(tol, max_steps)
    if certify_path and initial is not None:
        raise ValueError("initial: got one with certify_path=True, takes None: the path starts at the reference")
    concrete = is_concrete(game, regularizer, initial, tol)
    with precision(refine, concrete=concrete) as dtype:
        if dtype is not None:
            game = jax.tree.map(lambda leaf: leaf.astype(dtype), game)
        tol = None if tol is None else jnp.asarray(tol, dtype=float)
        given = jax.lax.stop_gradient((game, regularizer, initial, tol))
        options = Options(int(max_steps), refine=refine is not None, certify=bool(certify_path))
        solution = _solve(*given, options=options)
        if not concrete:
            exact = regularizer.astype(game.dtype)
            log_policy = attach(solution.log_policy, game, exact, solution.differentiable)
            solution = eqx.tree_at(lambda solution: solution.log_policy, solution, log_policy)
    if initial is not None:
        solution = with_left(solution)
    if throw:
        raise_unless_converged(solution)
    return solution


def _solve_stages(
    game: StagedGame,
    regularizer: Regularizer,
    tol: Any,
    max_steps: int,
    initial: Any,
    refine: Any,
    certify_path: bool,
    throw: bool,
) -> StagedSolution:
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    if initial is not None or refine is not None:
        raise ValueError("initial, refine: got one for a game in stages, takes them for one-shot games")
    check_options(tol, max_steps)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    tol = None if tol is None else jnp.asarray(tol, dtype=float)
    solution = _solve_all(game, regularizer, tol, int(max_steps), bool(certify_path))
    if throw:
        raise_unless_converged(solution)
    return solution


@partial(jit, static_argnames=("max_steps", "certify_path"), quick=True)
def _solve_all(
    game: StagedGame, regularizer: Regularizer, tol: Any, max_steps: int, certify_path: bool
) -> StagedSolution:
    solve = partial(solve_nash, tol=tol, max_steps=max_steps, certify_path=certify_path, throw=False)
    return solve_stages(game, regularizer, solve)


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
    def game(self) -> Any:
        """The estimated game, to be solved."""
        ...


def gane(
    estimate: HasGame,
    regularizer: Regularizer,
    *,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    certify_path: bool = False,
    throw: bool = True,
) -> Solution | StagedSolution:
    """GANE: solve for the regularised Nash equilibrium of the estimated game, with no pessimism.

    Measured in the true game its gap falls as 1/n, n being the rows of the log.

    Args:
        estimate: of a normal-form, contextual or Markov game, as `gamekl.offline.estimate` makes it.
        regularizer: references and temperatures for this game.
        tol: bound on the residual sup |policy - best response|; the default is that of `solve_nash`.
        max_steps: most Newton corrections, or hundreds of steps of a proof. Static under ``jit``.
        certify_path: trace the path in steps of which each is proven, so that the answer is on the principal branch;
            see `solve_nash`.
        throw: raise on bad values and on failure. Acts on concrete inputs only; otherwise `Solution.status` tells.

    Returns:
        A `Solution` or, for games in stages, a `StagedSolution`; its gaps are those in the estimated game.

    Raises:
        ValueError: game and regularizer do not fit, an option is not known, or (``throw``) their values are bad.
        SolveError: (``throw``) the solve did not converge.

    Source: the rate is derived, theory A2 and A4; consistent with that announced in arXiv 2605.00264.
    """
    if not isinstance(estimate, HasGame):
        raise TypeError(
            f"estimate: got {type(estimate).__name__}, takes an Estimate (gamekl.offline.estimate makes it)"
        )
    return solve_nash(estimate.game, regularizer, tol=tol, max_steps=max_steps, certify_path=certify_path, throw=throw)
