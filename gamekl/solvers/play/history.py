"""How gaps fall with the rounds of a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from gamekl.core.games import OneShotGame
from gamekl.core.one_shot import payoff_range
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.play.rules.anchored import anchored, hedge
from gamekl.solvers.play.selfplay import PlayProblem, make_play_problem, named_gaps, play_problem
from gamekl.solvers.solution import raise_unless_converged


class History(NamedTuple):
    """The gaps of a run at its checkpoints, payoff units, each ``[checkpoint, player]``.

    Attributes:
        num_rounds: the checkpoints.
        regularized_cce_gap: in the game to measure in.
        cce_gap: likewise.
        ce_gap: likewise.
        regularized_cce_gap_estimated: in the game that is played.
        cce_gap_estimated: likewise.
        ce_gap_estimated: likewise.
        bound: as in `CorrelatedSolution`.
        status: a `Status` value, of the whole run.
    """

    num_rounds: Int[Array, "*batch checkpoint"]
    regularized_cce_gap: Float[Array, "*batch checkpoint player"]
    cce_gap: Float[Array, "*batch checkpoint player"]
    ce_gap: Float[Array, "*batch checkpoint player"]
    regularized_cce_gap_estimated: Float[Array, "*batch checkpoint player"]
    cce_gap_estimated: Float[Array, "*batch checkpoint player"]
    ce_gap_estimated: Float[Array, "*batch checkpoint player"]
    bound: Float[Array, "*batch checkpoint player"] | None
    status: Int[Array, "*batch"]


def _history(problem: PlayProblem, throw: bool) -> History:
    solution, (measured, solved) = play_problem(problem)
    span = payoff_range(problem.game)
    bound = problem.rule.bound(span, problem.regularizer, problem.limits[:, None])
    if throw:
        raise_unless_converged(solution)
    return History(num_rounds=problem.limits, **named_gaps(measured, solved), bound=bound, status=solution.status)


def gamd_history(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    weighting: str = "uniform",
    step_size: float | Float[Array, ""] | Callable[..., Any] | None = None,
    evaluate_on: OneShotGame | None = None,
    throw: bool = True,
) -> History:
    """The gaps of `gamd` after several numbers of rounds, from one run.

    Args:
        game: as for `gamd`, like the other arguments.
        regularizer: references and temperatures.
        num_rounds: the checkpoints, increasing, shape ``[checkpoint]``.
        weighting: as for `gamd`.
        step_size: as for `gamd`.
        evaluate_on: as for `gamd`.
        throw: as for `gamd`.
    """
    rule = anchored(weighting, step_size)
    return _history(make_play_problem(game, regularizer, num_rounds, lambda *_: rule, None, evaluate_on, throw), throw)


def multiplicative_weights_history(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_rounds: Any,
    evaluate_on: OneShotGame | None = None,
    throw: bool = True,
) -> History:
    """The gaps of `multiplicative_weights` after several numbers of rounds, from one run; arguments as there."""
    return _history(make_play_problem(game, regularizer, num_rounds, hedge, None, evaluate_on, throw), throw)
