"""Solvers of one-shot games, over the stages of contextual and Markov games.

A contextual game is solved in all contexts at once. A Markov game is solved from its last step to its first, all states
of a step at once: what the players expect of the next states, each less its own KL terms there, is added to the
rewards. Which equilibrium a stage has is the one-shot solver's choice, so it is the principal one everywhere.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame, StagedGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.stages import expected_values, policy_cost, respond, total_gap, visit_stages
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
    status_type: ClassVar = Status

    @property
    def policy(self) -> tuple[Float[Array, "*stage _"], ...]:
        """The probabilities, one array ``[*stage, actions_i]`` for each player."""
        return tuple(jnp.exp(entry) for entry in self.log_policy)


def first_failure(status: Int[Array, "*stage"]) -> Int[Array, ""]:
    """The first status of a stage, in the order of the axes, that is not `Status.converged`, if there is one."""
    flat = status.ravel()
    return flat[jnp.argmax(flat != Status.converged)]


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
        status=first_failure(status),
        stage_status=status,
        differentiable=None if differentiable is None else jnp.all(differentiable),
    )
