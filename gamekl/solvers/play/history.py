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
        regularized_cce_gap: by one policy for all rounds, both sides paying for their KL, in the game to measure in.
        cce_gap: by one action for all rounds, in that game.
        ce_gap: by an action for each recommended one, in that game.
        regularized_cce_gap_estimated: the first of these gaps in the game that is played.
        cce_gap_estimated: the second.
        ce_gap_estimated: the third.
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
    """Play `gamd` once, and measure the joint policy after several numbers of rounds.

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`.
        regularizer: references and temperatures for this game.
        num_rounds: the checkpoints, increasing, shape ``[checkpoint]``.
        weighting: "uniform" averages all rounds alike, "linear" gives round t the weight t.
        step_size: of mirror descent, nats per payoff unit, a number or an optax schedule of the round counted from 0;
            None for the play that belongs to the weighting, with its bound.
        evaluate_on: a game in which to measure too, such as the truth whose estimate is played.
        throw: raise on bad values and on any status but `converged`; acts on concrete inputs only.

    Returns:
        A `History`: gaps ``[checkpoint, player]``, payoff units.

    Raises:
        ValueError: game, regularizer and `evaluate_on` do not fit, an option is not known, or values are bad.

    Source: update and bounds derived, theory B1 and B2; the method is GAMD of arXiv 2605.00264.
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
    """Play `multiplicative_weights` once, and measure the joint policy after several numbers of rounds.

    Args:
        game: a `NormalFormGame` or a `PolymatrixGame`.
        regularizer: the references from which it starts, and the temperatures by which regularised gaps are measured.
        num_rounds: the checkpoints, increasing, shape ``[checkpoint]``.
        evaluate_on: a game in which to measure too.
        throw: raise on bad values and on any status but `converged`; acts on concrete inputs only.

    Returns:
        A `History`: gaps ``[checkpoint, player]``, payoff units.

    Raises:
        ValueError: game, regularizer and `evaluate_on` do not fit, or values are bad.
    """
    return _history(make_play_problem(game, regularizer, num_rounds, hedge, None, evaluate_on, throw), throw)
