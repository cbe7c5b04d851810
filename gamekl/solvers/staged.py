"""Solvers of one-shot games, over the stages of contextual and Markov games.

A contextual game is solved in all contexts at once. A Markov game is solved from its last step to its first, all states
of a step at once: what the players expect of the next states, each less its own KL terms there, is added to the
rewards. Which equilibrium a stage has is the one-shot solver's choice, so it is the principal one everywhere.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import ContextualGame, NormalFormGame, StagedGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.stages import (
    coarse_response,
    earned,
    expected_values,
    policy_cost,
    policy_values,
    respond,
    total_gap,
    visit_stages,
)
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.solution import Solution, Status


class StagedSolution(Shown):
    """An equilibrium of a contextual or Markov game, with its quality in the game that was solved.

    Stage axes are ``[context]`` or ``[horizon, state]``.

    Attributes:
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.
        values: what each player earns from each stage on, less its KL terms, shape ``[*stage, player]``, payoff units.
        value: the same from the start, shape ``[player]``.
        gap: what each player could still gain from the start, shape ``[player]``, payoff units.
        stage_gap: what it lacks at each stage if it responds best later on, shape ``[*stage, player]``; `gap` is their
            sum over steps, weighted by how often the policies come to a stage.
        residual: the largest of any stage, a probability.
        num_steps: the most that a stage took.
        status: a `Status` value; that of the first stage that failed, in the order of the axes.
        stage_status: of each stage, shape ``[*stage]``.
        differentiable: whether `Solution.differentiable` holds at every stage; None where there are no derivatives.
    """

    log_policy: tuple[Float[Array, "*stage _"], ...]
    values: Float[Array, "*stage player"]
    value: Float[Array, "*batch player"]
    gap: Float[Array, "*batch player"]
    stage_gap: Float[Array, "*stage player"]
    residual: Float[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    stage_status: Int[Array, "*stage"]
    differentiable: Bool[Array, "*batch"] | None = None
    ending: ClassVar = Status

    @property
    def policy(self) -> tuple[Float[Array, "*stage _"], ...]:
        """The probabilities, one array ``[*stage, actions_i]`` for each player."""
        return tuple(jnp.exp(entry) for entry in self.log_policy)


class StagedCorrelatedSolution(Shown):
    """The averaged joint policies of all stages of a contextual or Markov game, as one coarse correlated equilibrium.

    A player who deviates leaves them for good, at all stages, and sees no recommendation. Gaps without a suffix are in
    `evaluate_on` (in the game that was played if that is None), those with the suffix ``_estimated`` in the latter.

    Attributes:
        joint: the joint policies, shape ``[*stage, *actions]``.
        cost: temperature times the average KL of the rounds' policies to the references, ``[*stage, player]``, payoff
            units.
        values: what each player earns by them from each stage on, less that cost, in the game that was played, shape
            ``[*stage, player]``.
        regularized_cce_gap: what each player could gain by leaving, both sides paying for their KL to the reference;
            shape ``[player]``, payoff units.
        cce_gap: the same without any such cost.
        regularized_cce_gap_estimated: the first of these gaps in the game that was played, shape ``[player]``.
        cce_gap_estimated: the second, shape ``[player]``.
        bound: on `regularized_cce_gap_estimated`: the sum over steps of the largest bound of a state (derived: a
            stage's gap adds to what lies behind it at most its own); of contextual games the mean over contexts.
        num_steps: rounds at each stage.
        status: a `Status` value; that of the first stage that failed.
    """

    joint: Float[Array, "*stage_and_actions"]
    cost: Float[Array, "*stage player"]
    values: Float[Array, "*stage player"]
    regularized_cce_gap: Float[Array, "*batch player"]
    cce_gap: Float[Array, "*batch player"]
    regularized_cce_gap_estimated: Float[Array, "*batch player"]
    cce_gap_estimated: Float[Array, "*batch player"]
    bound: Float[Array, "*batch player"] | None
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    ending: ClassVar = Status


def _first_failure(status: Int[Array, "*stage"]) -> Int[Array, ""]:
    flat = status.ravel()
    return flat[jnp.argmax(flat != Status.converged)]


def play_stages(
    game: StagedGame,
    regularizer: Regularizer,
    evaluate_on: StagedGame | None,
    play: Callable[[NormalFormGame, Regularizer], CorrelatedSolution],
) -> StagedCorrelatedSolution:
    """Play every stage, from the last step to the first, each with the values of what was played behind it.

    Args:
        game: a contextual or Markov game.
        regularizer: with stage axes.
        evaluate_on: a game of the same shape in which to measure, or None.
        play: plays one stage; it may be mapped and does not raise.
    """
    regularizer = regularizer.astype(game.dtype)

    def visit(stage: NormalFormGame, references: tuple[Array, ...]) -> tuple[Array, Any]:
        solution = play(stage, Regularizer(references, regularizer.temperature))
        joint, cost = solution.joint(), solution.cost
        values = earned(stage, joint) - cost
        return values, (joint, cost, values, solution.bound, solution.num_steps, solution.status)

    _, found = visit_stages(game, visit, regularizer.log_reference)
    joint, cost, values, bound, num_steps, status = found
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
        joint=joint,
        cost=cost,
        values=values,
        regularized_cce_gap=measured[0],
        cce_gap=measured[1],
        regularized_cce_gap_estimated=solved[0],
        cce_gap_estimated=solved[1],
        bound=bound,
        num_steps=num_steps.max(),
        status=_first_failure(status),
    )


def solve_stages(
    game: StagedGame, regularizer: Regularizer, solve: Callable[[NormalFormGame, Regularizer], Solution]
) -> StagedSolution:
    """Solve every stage, from the last step to the first, each with the values of what was solved behind it.

    Args:
        game: a contextual or Markov game.
        regularizer: with stage axes.
        solve: the solver of one stage, which may be mapped and does not raise.
    """
    regularizer = regularizer.astype(game.dtype)

    def visit(stage: NormalFormGame, references: tuple[Array, ...]) -> tuple[Array, Any]:
        here = Regularizer(references, regularizer.temperature)
        solution = solve(stage, here)
        values = expected_values(stage, solution.policy) - policy_cost(here, solution.log_policy)
        ended = solution.residual, solution.num_steps, solution.status, solution.differentiable
        return values, (solution.log_policy, values, *ended)

    value, found = visit_stages(game, visit, regularizer.log_reference)
    log_policy, values, residual, num_steps, status, differentiable = found
    _, response = respond(game, regularizer, log_policy)
    return StagedSolution(
        log_policy=log_policy,
        values=values,
        value=value,
        gap=total_gap(game, log_policy, response.gap),
        stage_gap=response.gap,
        residual=residual.max(),
        num_steps=num_steps.max(),
        status=_first_failure(status),
        stage_status=status,
        differentiable=None if differentiable is None else jnp.all(differentiable),
    )
