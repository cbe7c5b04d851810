"""The regularised Nash equilibrium of one game; batches by ``jax.vmap``.

The road: trace the logit path from the reference to its first crossing of the temperature (`path`), then polish by
Newton's method at that temperature. With `initial`, polish first, and trace only if that fails. The estimated game of
offline data is a game like any other: solving it is all that GANE does.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import payoff_range, regularized_gap
from gamekl.core.system import LogitSystem, Vector
from gamekl.core.validation import validate
from gamekl.solvers.path import crossing, trace_path
from gamekl.solvers.solution import PathSummary, Solution, Status, raise_unless_converged

MAX_STEPS = 2_000
MAX_POLISH = 30
MAX_STALLS = 2
# The polish stays on the branch that it was given: no logit may move further than this, in nats.
MAX_POLISH_MOVE = 1.0


class Iterate(NamedTuple):
    """State of the polish: the best point so far and the next to try."""

    best: Vector
    residual: Float[Array, ""]
    candidate: Vector
    stalls: Int[Array, ""]
    finished: Bool[Array, ""]
    num_steps: Int[Array, ""]


def default_tolerance(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """``max(1e-9, 16 eps (1 + R / temperature))``, the least residual to be asked for in the payoffs' dtype."""
    eps = jnp.finfo(game.payoffs.dtype).eps
    kappa = jnp.max(payoff_range(game) / regularizer.temperatures)
    return jnp.maximum(1e-9, 16 * eps * (1 + kappa))


def _polish(system: LogitSystem, z: Vector) -> Iterate:
    """Newton's method at the asked temperature, until two steps in a row fail to halve sup |policy - response|."""
    one = jnp.ones((), dtype=z.dtype)

    def advance(state: Iterate) -> Iterate:
        linear = system.linearize(state.candidate, one)
        here = system.log_policy(state.candidate)
        response = system.log_policy(state.candidate - linear.residual)
        differences = [jnp.max(jnp.abs(jnp.exp(a) - jnp.exp(b))) for a, b in zip(here, response, strict=True)]
        residual = jnp.max(jnp.stack(differences))
        step = -jnp.linalg.solve(linear.jacobian, linear.residual)
        better = residual < state.residual
        return Iterate(
            best=jnp.where(better, state.candidate, state.best),
            residual=jnp.where(better, residual, state.residual),
            candidate=state.candidate + step,
            stalls=jnp.where(residual < state.residual / 2, 0, state.stalls + 1),
            # An exact solution may be a singular point: then there is nothing left to do.
            finished=(residual == 0) | ~jnp.all(jnp.isfinite(step)),
            num_steps=state.num_steps + 1,
        )

    count = jnp.zeros((), dtype=jnp.int32)
    start = Iterate(z, jnp.full_like(one, jnp.inf), z, count, jnp.asarray(False), count)
    return jax.lax.while_loop(
        lambda state: ~state.finished & (state.stalls < MAX_STALLS) & (state.num_steps < MAX_POLISH), advance, start
    )


def _input_status(game: NormalFormGame, regularizer: Regularizer) -> Int[Array, ""]:
    temperatures = regularizer.temperatures
    finite = jnp.all(jnp.isfinite(game.payoffs)) & jnp.all(jnp.isfinite(temperatures))
    valid = jnp.all(temperatures > 0)
    for entry in regularizer.log_reference:
        finite &= ~jnp.any(jnp.isnan(entry) | jnp.isposinf(entry))
        valid &= jnp.abs(jnp.sum(jnp.exp(entry)) - 1) < 1e-3
    return jnp.where(finite, jnp.where(valid, Status.converged, Status.invalid_input), Status.nonfinite_input)


@eqx.filter_jit
def _solve(
    game: NormalFormGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: Float[Array, ""] | None,
    max_steps: int,
) -> Solution:
    tol = default_tolerance(game, regularizer) if tol is None else tol
    input_status = _input_status(game, regularizer)
    usable = input_status == Status.converged
    system = LogitSystem(game, regularizer)
    kappa = system.scale()

    known = ~usable
    warm = None if initial is None else _polish(system, system.logits(initial))
    if warm is not None:
        known |= warm.residual <= tol
    trace = trace_path(system, known, max_steps)
    start = jnp.where(trace.crossed, crossing(trace, kappa), trace.end.w[:-1])
    polished = _polish(system, start)
    if warm is not None:
        polished = jax.tree.map(lambda a, b: jnp.where(warm.residual <= tol, a, b), warm, polished)
        start = jnp.where(warm.residual <= tol, polished.best, start)

    z = polished.best
    on_branch = jnp.max(jnp.abs(z - start)) <= MAX_POLISH_MOVE
    status = jnp.where((polished.residual <= tol) & on_branch, Status.converged, Status.not_converged)
    status = jnp.where(trace.crossed | known, status, Status.max_steps)
    status = jnp.where(trace.failed, Status.path_failed, status)
    status = jnp.where(usable, status, input_status).astype(jnp.int32)

    log_policy = system.log_policy(z)
    reached = jnp.clip(trace.end.w[-1] / kappa, 0, 1)
    return Solution(
        log_policy=log_policy,
        gap=regularized_gap(game, regularizer, log_policy),
        residual=polished.residual,
        num_steps=trace.num_steps + polished.num_steps,
        status=status,
        path=PathSummary(
            temperature=regularizer.temperatures / jnp.where(known & usable, 1, reached),
            folds=trace.folds,
            bifurcations=trace.bifurcations,
            crossings=(trace.crossed & ~known).astype(jnp.int32),
        ),
    )


def solve_nash(
    game: NormalFormGame,
    regularizer: Regularizer,
    *,
    tol: float | int | Float[Array, ""] | None = None,
    max_steps: int = MAX_STEPS,
    initial: Profile | None = None,
    throw: bool = True,
) -> Solution:
    """Solve for the regularised Nash equilibrium: pi_i = softmax(log_reference_i + q_i(pi) / temperature_i).

    Of several equilibria this is the first crossing of the temperature on the logit path from the reference, the
    principal branch; for a uniform reference that is the logit quantal response equilibrium of the field.

    Args:
        game: any number of players and actions. The work is done in the payoffs' dtype.
        regularizer: references and temperatures for this game.
        tol: bound on the residual sup |policy - best response|; the default is
            ``max(1e-9, 16 eps (1 + R / temperature))``.
        max_steps: most path steps. Static under ``jit``.
        initial: log-policies to try first. If Newton's method converges from there, that equilibrium is returned,
            which need not be the principal one.
        throw: raise on bad values and on failure. Acts on concrete inputs only: under ``jit`` or ``vmap`` nothing is
            raised, and `Solution.status` tells.

    Returns:
        The solution. Its `status` is `Status.converged` only if the residual meets `tol` and the path was met without
        leaving it. Differentiate in forward mode (``jax.jacfwd``); reverse mode does not pass the loops.

    Raises:
        ValueError: game and regularizer do not fit, or (``throw``) their values are bad.
        SolveError: (``throw``) the solve did not converge.

    Source: fixed point and gap as in MATH A (derived; consistent with arXiv 2605.00264's abstract); path after Turocy,
    "A dynamic homotopy interpretation of the logistic quantal response equilibrium correspondence" (2005).
    """
    require_normal_form(game)
    if not isinstance(regularizer, Regularizer):
        raise TypeError(f"regularizer: got {type(regularizer).__name__}, takes a Regularizer")
    regularizer.check_fits(game)
    if initial is not None:
        start = check_profile("initial", initial, game.num_actions, log=True)
        initial = tuple(entry.astype(game.dtype) for entry in start)
    if tol is not None:
        tol = jnp.asarray(tol, dtype=game.payoffs.dtype)
    if throw and is_concrete(game, regularizer):
        validate(game, regularizer)
    solution = _solve(game, regularizer.astype(game.payoffs.dtype), initial, tol, max_steps)
    if throw:
        raise_unless_converged(solution)
    return solution


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
