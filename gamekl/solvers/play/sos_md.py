"""SOS-MD: anchored mirror descent at every stage, and the policies of its last round.

With a constant step eta,

    pi_i^{t+1} = argmax <q_i^t, p> - tau_i KL(p || pi_i^0) - KL(p || pi_i^t) / eta,

and where the stage's game is monotone (as a zero-sum game is) KL(pi* || pi^t) falls by 1 / (1 + eta tau) a round or
faster, for eta <= tau / L^2 (magnetic mirror descent, arXiv 2206.05825; derived, theory G). L is how far the action
values move, in sup norm, with the profile in l1 norm; half the largest payoff range for each opponent bounds it
(derived). Elsewhere the rounds may cycle for ever: `residual` and `gap` tell, and `gamd` is for such games.

In Markov games the values of the last round's policies are what the stage before is played for (derived, theory C3;
consistent with what is announced of SOS-MD).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame
from gamekl.core.kernels.jit import jit
from gamekl.core.one_shot import best_response, magnitude, payoff_range, regularized_gap
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.nash.conclude import default_tolerance, resolution
from gamekl.solvers.play.gamd import gamd
from gamekl.solvers.play.rules.anchored import anchored
from gamekl.solvers.play.selfplay import check_play
from gamekl.solvers.solution import PathSummary, Solution, Status, raise_unless_converged
from gamekl.solvers.staged import StagedSolution, solve_stages


def safe_step(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """The lesser of tau / L^2 of the module's formulae and 1 / tau, nats per payoff unit."""
    lipschitz = (game.num_players - 1) * payoff_range(game).max() / 2
    least = regularizer.temperatures.min()
    flat = lipschitz <= least  # then any step up to 1 / tau will do
    return jnp.where(flat, 1 / least, least / jnp.where(flat, 1, lipschitz) ** 2)


def _descend(game: NormalFormGame, regularizer: Regularizer, num_rounds: Any, step_size: Any, tol: Any) -> Solution:
    step = safe_step(game, regularizer) if step_size is None else step_size
    played = gamd(game, regularizer, num_rounds=num_rounds, step_size=step, throw=False)
    log_policy = played.last_log_policy
    response = best_response(game, regularizer, log_policy)
    moved = [jnp.max(jnp.abs(jnp.exp(a) - jnp.exp(b))) for a, b in zip(response, log_policy, strict=True)]
    residual, nothing = jnp.stack(moved).max(), jnp.zeros((), jnp.int32)
    least = default_tolerance(resolution(magnitude(game, regularizer, log_policy)))
    good = residual <= (least if tol is None else tol.astype(game.dtype))
    status = jnp.where((played.status == Status.converged) & ~good, Status.max_steps, played.status)
    return Solution(
        log_policy=log_policy,
        gap=regularized_gap(game, regularizer, log_policy),
        residual=residual,
        num_steps=played.num_rounds,
        status=status.astype(jnp.int32),
        path=PathSummary(regularizer.temperatures, nothing, nothing, nothing),
    )


@jit
def _descend_all(game: Any, regularizer: Regularizer, num_rounds: Any, step_size: Any, tol: Any) -> Any:
    def solve(stage: NormalFormGame, here: Regularizer) -> Solution:
        return _descend(stage, here, num_rounds, step_size, tol)

    if isinstance(game, ContextualGame | MarkovGame):
        return solve_stages(game, regularizer, solve)
    return solve(game, regularizer.astype(game.dtype))


def sos_md(
    game: NormalFormGame | StagedGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    step_size: float | int | Float[Array, ""] | None = None,
    tol: float | int | Float[Array, ""] | None = None,
    throw: bool = True,
) -> Solution | StagedSolution:
    """Play anchored mirror descent at every stage of a game, from the references, and return the last round's policies.

    Args:
        game: a one-shot, contextual or Markov game, or an estimate's.
        regularizer: references and temperatures for this game.
        num_rounds: rounds at each stage; not static.
        step_size: nats per payoff unit; if None the lesser of tau / L^2 and 1 / tau, for each stage.
        tol: the residual up to which the status is `Status.converged`, and `Status.max_steps` above; the default is
            that of `solve_nash`. It stops nothing.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Returns:
        A `Solution`, or a `StagedSolution` of games in stages; gaps are in payoff units.

    Raises:
        ValueError: game and regularizer do not fit, or an option or (``throw``) a value is bad.
        SolveError: (``throw``) the residual stayed above `tol`.

    Source: magnetic mirror descent (arXiv 2206.05825); the step condition and the rate in monotone games are derived,
    theory G, and what a Markov game's stages are played for, theory C3.
    """
    check_play(game, regularizer, num_rounds, tol, None, throw)
    anchored("uniform", step_size)
    step, tol = (None if value is None else jnp.asarray(value, dtype=float) for value in (step_size, tol))
    solution = _descend_all(game, regularizer, jnp.asarray(num_rounds, dtype=jnp.int32), step, tol)
    if throw:
        raise_unless_converged(solution)
    return solution
