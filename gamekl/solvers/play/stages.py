"""Rules of play, over the stages of contextual and Markov games.

Every stage is played for itself; in Markov games from the last step to the first, where what the players earn behind
it by what was played there, each less its KL terms, is added to the rewards.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.games import ContextualGame, NormalFormGame, StagedGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.stages import coarse_response, earned, policy_values, visit_stages
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.solution import Status
from gamekl.solvers.staged import first_failure


class StagedCorrelatedSolution(Shown):
    """The averaged joint policies of all stages of a contextual or Markov game, as one coarse correlated equilibrium.

    A player who deviates leaves them for good, at all stages, and sees no recommendation. Gaps without a suffix are in
    `evaluate_on` (in the game that was played if that is None), those with the suffix ``_estimated`` in the latter.

    Attributes:
        joint_policy: the joint policies, shape ``[*stage, *actions]``.
        cost: temperature times the average KL of the rounds' policies to the references, ``[*stage, player]``, payoff
            units.
        values: what each player earns by them from each stage on, less that cost, in the game that was played, shape
            ``[*stage, player]``.
        regularized_cce_gap: both sides pay for their KL to the reference; shape ``[player]``, payoff units.
        cce_gap: without any such cost.
        regularized_cce_gap_estimated: shape ``[player]``.
        cce_gap_estimated: shape ``[player]``.
        bound: on `regularized_cce_gap_estimated`: the sum over steps of the largest bound of a state (derived: a
            stage's gap adds to what lies behind it at most its own); of contextual games the mean over contexts.
        num_rounds: rounds at each stage.
        status: a `Status` value; that of the first stage that failed.
    """

    joint_policy: Float[Array, "*stage_and_actions"]
    cost: Float[Array, "*stage player"]
    values: Float[Array, "*stage player"]
    regularized_cce_gap: Float[Array, "*batch player"]
    cce_gap: Float[Array, "*batch player"]
    regularized_cce_gap_estimated: Float[Array, "*batch player"]
    cce_gap_estimated: Float[Array, "*batch player"]
    bound: Float[Array, "*batch player"] | None
    num_rounds: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    status_type: ClassVar = Status


def play_stages(
    game: StagedGame,
    regularizer: Regularizer,
    evaluate_on: StagedGame | None,
    play: Callable[[NormalFormGame, Regularizer], CorrelatedSolution],
) -> StagedCorrelatedSolution:
    """Play every stage, and go on with the values of what was played.

    Args:
        game: a contextual or Markov game.
        regularizer: with stage axes.
        evaluate_on: a game of the same shape in which to measure, or None.
        play: plays one stage; it may be mapped and does not raise.
    """
    regularizer = regularizer.astype(game.dtype)

    def visit(stage: NormalFormGame, references: tuple[Array, ...]) -> tuple[Array, Any]:
        solution = play(stage, Regularizer(references, regularizer.temperature))
        joint, cost = solution.joint_policy, solution.cost
        values = earned(stage, joint) - cost
        return values, (joint, cost, values, solution.bound, solution.num_rounds, solution.status)

    _, found = visit_stages(game, visit, regularizer.log_reference)
    joint, cost, values, bound, num_rounds, status = found
    if bound is not None:
        behind = bound if isinstance(game, ContextualGame) else bound.max(axis=1)
        weights = game.context_probs if isinstance(game, ContextualGame) else jnp.ones(len(behind), behind.dtype)
        bound = jnp.sum(behind * weights[:, None], axis=0)

    def measure(where: StagedGame) -> tuple[Array, Array]:
        softly, greedily = coarse_response(where, regularizer, joint)
        free = jnp.zeros_like(cost)
        return softly - policy_values(where, joint, cost), greedily - policy_values(where, joint, free)

    solved = measure(game)
    measured = solved if evaluate_on is None else measure(evaluate_on)
    return StagedCorrelatedSolution(
        joint_policy=joint,
        cost=cost,
        values=values,
        regularized_cce_gap=measured[0],
        cce_gap=measured[1],
        regularized_cce_gap_estimated=solved[0],
        cce_gap_estimated=solved[1],
        bound=bound,
        num_rounds=num_rounds.max(),
        status=first_failure(status),
    )
