"""How the gaps of GAMD fall with the rounds."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int

from gamekl.core.games import OneShotGame
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.gamd import make_problem, play_problem


class History(NamedTuple):
    """The gaps of a run at its checkpoints, payoff units, each ``[checkpoint, player]``.

    Attributes:
        num_steps: the checkpoints.
        regularized_cce_gap: in the game to measure in.
        cce_gap: likewise.
        ce_gap: likewise.
        regularized_cce_gap_estimated: in the game that is played.
        cce_gap_estimated: likewise.
        ce_gap_estimated: likewise.
    """

    num_steps: Int[Array, "*batch checkpoint"]
    regularized_cce_gap: Float[Array, "*batch checkpoint player"]
    cce_gap: Float[Array, "*batch checkpoint player"]
    ce_gap: Float[Array, "*batch checkpoint player"]
    regularized_cce_gap_estimated: Float[Array, "*batch checkpoint player"]
    cce_gap_estimated: Float[Array, "*batch checkpoint player"]
    ce_gap_estimated: Float[Array, "*batch checkpoint player"]


def gamd_history(
    game: OneShotGame,
    regularizer: Regularizer,
    *,
    num_steps: Any,
    weighting: str = "uniform",
    step_size: float | Float[Array, ""] | Callable[..., Any] | None = None,
    evaluate_on: OneShotGame | None = None,
) -> History:
    """The gaps of `gamd` after several numbers of rounds, from one run.

    Args:
        game: as for `gamd`, like the other arguments.
        regularizer: references and temperatures.
        num_steps: the checkpoints, increasing, shape ``[checkpoint]``.
        weighting: as for `gamd`.
        step_size: as for `gamd`.
        evaluate_on: as for `gamd`.
    """
    problem = make_problem(game, regularizer, num_steps, weighting, step_size, None, evaluate_on)
    _, (measured, solved) = play_problem(problem, weighting)
    return History(problem.limits, *measured, *solved)
