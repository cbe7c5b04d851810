"""What a leader should commit to in games in stages.

At stage (h, s) of a Markov game leader and follower face the one-shot game Q_i(h, s) = r_i + P_h V_i(h + 1), with V_l
what the leader earns from there on, less its KLs, and V_f the follower's soft value (`gamekl.stackelberg.follower`).

    myopic follower            responds to r_f alone: V_f = 0. The leader's best policy is that of the backward
                               recursion, each stage's plan in its Q.
    farsighted follower        responds to Q_f, and so to what the leader announces for later stages.
      stage by stage           the backward recursion again: no stage is planned for what it does to earlier ones.
      commitment               argmax over whole policies of what the leader earns from the start; the setting
                               of Chen, Wang and Yang, arXiv 2307.14085. At least as good, and at a stage
                               perhaps not what the leader would then like best.

In a contextual game each context is planned for itself.
"""

from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import outer, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.stages import backward, occupancies
from gamekl.solvers.solution import Status, check_options, raise_unless_converged
from gamekl.stackelberg.commit.ascent import Climb, Objective, best_climb, curvature
from gamekl.stackelberg.commit.quantal import (
    INWARD,
    MAX_STEPS,
    Commitment,
    LeaderProblem,
    climb_status,
    expected_payoff,
    first_order_gap,
    log_policies,
    payoff_scale,
    plan_by,
)
from gamekl.stackelberg.follower import check_commitment, follower_value
from gamekl.stackelberg.staged_follower import responses, value_from_start

Policy = Float[Array, "stage leader"]


class StagedCommitment(Shown):
    """A leader's policy for all stages with the follower's responses, and what certifies it.

    Attributes:
        log_policy: log x ``[*stage, leader]`` and log nu_x ``[*stage, follower]``.
        value: what the leader earns from the start, less its KLs, payoff units.
        gap: what the leader could still gain to first order, from the start, payoff units; see `Commitment`.
        curvature: the largest eigenvalue of the Hessian by the square roots of x: of any stage's plan, or of the whole
            policy where it was planned as a whole.
        num_steps: Newton steps, the most of any stage.
        status: a `Status` value, the greatest of any stage.
    """

    log_policy: tuple[Float[Array, "*stage leader"], Float[Array, "*stage follower"]]
    value: Float[Array, ""]
    gap: Float[Array, ""]
    curvature: Float[Array, ""]
    num_steps: Int[Array, ""]
    status: Int[Array, ""]
    status_type: ClassVar = Status

    @property
    def policy(self) -> tuple[Float[Array, "*stage leader"], Float[Array, "*stage follower"]]:
        """The policies of leader and follower as probabilities, ``[*stage, leader]`` and ``[*stage, follower]``."""
        return jnp.exp(self.log_policy[0]), jnp.exp(self.log_policy[1])

    @property
    def residual(self) -> Float[Array, ""]:
        """The first-order gap, by the name that other solutions have for what remains; payoff units."""
        return self.gap


def at_stage(regularizer: Regularizer, references: tuple[Array, ...]) -> Regularizer:
    """The regularizer of a stage with these references."""
    return Regularizer(references, regularizer.temperatures)


def _plan_stage(stage: NormalFormGame, regularizer: Regularizer, max_steps: int) -> Commitment:
    mask = jnp.where(support(regularizer.log_reference[0]), 1, 0).astype(stage.dtype)
    return plan_by(expected_payoff, LeaderProblem(stage, regularizer, (mask / mask.sum())[None], None), max_steps)


def _collect(game: ContextualGame | MarkovGame, value: Array, plans: Commitment) -> StagedCommitment:
    """The stages' plans as one."""
    weights = occupancies(game, outer(plans.policy))
    return StagedCommitment(
        plans.log_policy,
        value,
        jnp.sum(jnp.where(weights > 0, weights * plans.gap, 0)),
        plans.curvature.max(),
        plans.num_steps.max(),
        plans.status.max(),
    )


def conclude(plan: StagedCommitment, throw: bool) -> StagedCommitment:
    """Return the plan, or raise `SolveError` where it is concrete, not certified, and `throw` says so."""
    if throw:
        raise_unless_converged(plan)
    return plan


@partial(jit, static_argnames="max_steps", quick=True)
def _contextual(game: ContextualGame, regularizer: Regularizer, max_steps: int) -> StagedCommitment:
    def plan(payoffs: Array, references: tuple[Array, ...]) -> Commitment:
        return _plan_stage(NormalFormGame(payoffs), at_stage(regularizer, references), max_steps)

    plans = jax.vmap(plan)(game.payoffs, regularizer.log_reference)
    value = jnp.matmul(game.context_probs.astype(game.dtype), plans.value, precision=PRECISION)
    return _collect(game, value, plans)


def contextual_stackelberg(
    game: ContextualGame, regularizer: Regularizer, *, max_steps: int = MAX_STEPS, throw: bool = True
) -> StagedCommitment:
    """The leader's best policy in each context, by `quantal_stackelberg`.

    Args:
        game: leader and follower, who both see the context.
        regularizer: references with a context axis; the leader's temperature may be 0.
        max_steps: Newton steps of each climb; static.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Raises:
        TypeError: `game` is no `ContextualGame`.
        ValueError: there are not two players, or the regularizer does not fit.
        SolveError: no local maximum was certified in some context.
    """
    check_commitment(game, regularizer, ContextualGame)
    check_options(None, max_steps)
    return conclude(_contextual(game, regularizer.astype(game.dtype), max_steps), throw)


@partial(jit, static_argnames="max_steps", quick=True)
def _recursion(game: MarkovGame, regularizer: Regularizer, patience: ArrayLike, max_steps: int) -> StagedCommitment:
    """The backward recursion, with `patience` times the follower's value ahead in its payoffs: 0 or 1."""

    def visit(stage: NormalFormGame, references: tuple[Array, ...]) -> tuple[Array, Commitment]:
        here = at_stage(regularizer, references)
        plan = _plan_stage(stage, here, max_steps)
        ahead = jnp.asarray(patience, stage.dtype) * follower_value(plan.policy[0], stage, here)
        return jnp.stack([plan.value, ahead]), plan

    values, plans = backward(game, visit, regularizer.log_reference)
    value = jnp.matmul(game.initial_probs.astype(game.dtype), values[:, 0], precision=PRECISION)
    return _collect(game, value, plans)


def myopic_stackelberg(
    game: MarkovGame, regularizer: Regularizer, *, max_steps: int = MAX_STEPS, throw: bool = True
) -> StagedCommitment:
    """The leader's best policy in a Markov game against a follower that looks at the present step alone.

    Args:
        game: leader and follower, who both see the state.
        regularizer: references with the axes ``[horizon, state]``; the leader's temperature may be 0.
        max_steps: Newton steps of each climb; static.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Raises:
        TypeError: `game` is no `MarkovGame`.
        ValueError: there are not two players, or the regularizer does not fit.
        SolveError: no local maximum was certified at some stage.
    """
    check_commitment(game, regularizer, MarkovGame)
    check_options(None, max_steps)
    return conclude(_recursion(game, regularizer.astype(game.dtype), 0.0, max_steps), throw)


def stagewise_stackelberg(
    game: MarkovGame, regularizer: Regularizer, *, max_steps: int = MAX_STEPS, throw: bool = True
) -> StagedCommitment:
    """The leader's best policy of each stage, if the follower looks ahead; arguments as of `myopic_stackelberg`."""
    check_commitment(game, regularizer, MarkovGame)
    check_options(None, max_steps)
    return conclude(_recursion(game, regularizer.astype(game.dtype), 1.0, max_steps), throw)


class StagedLeaderProblem(NamedTuple):
    """A game in stages to plan in.

    Attributes:
        game: leader and follower.
        regularizer: in the game's dtype.
        patience: the follower's, 0 or 1.
        more: what an objective needs beside the game.
    """

    game: ContextualGame | MarkovGame
    regularizer: Regularizer
    patience: Float[Array, "*lane"]
    more: Any


def from_start(policy: Policy, problem: StagedLeaderProblem) -> Float[Array, ""]:
    """What the leader earns from the start by its policies, less its KLs, payoff units."""
    game, regularizer, patience, _ = problem
    return value_from_start(policy.reshape(*game.stage_shape, -1), game, regularizer, patience)


def _certify(
    objective: Objective, problem: StagedLeaderProblem, end: Climb, mask: Array, max_steps: int
) -> StagedCommitment:
    game, regularizer, patience, _ = problem
    log_policy = log_policies(end.here.y, mask).reshape(*game.stage_shape, -1)
    policy = jnp.exp(log_policy)
    log_responses = responses(policy, game, regularizer, patience)
    temperatures = regularizer.temperatures[0] * occupancies(game, outer((policy, jnp.exp(log_responses))))
    slope = jax.grad(objective)(policy.reshape(len(mask), -1), problem).reshape(policy.shape)
    inside = support(log_policy)
    reference = regularizer.log_reference[0]
    ratio = jnp.where(inside, log_policy, 0) - jnp.where(inside, reference, 0)
    values = slope + temperatures[..., None] * (ratio + 1)  # the slope without that of the stage's own KL
    steps = [entry.reshape(len(mask), -1) for entry in (log_policy, reference, values)]
    gap = jax.vmap(first_order_gap)(steps[0], steps[1], steps[2], temperatures.ravel()).sum()
    bend = curvature(end.here, mask)
    finite = jnp.all(jnp.isfinite(game.table)) & jnp.all(jnp.isfinite(end.here.value))
    if isinstance(game, MarkovGame):
        finite = finite & jnp.all(jnp.isfinite(game.transitions))
    status = climb_status(gap, bend, _scale(game, regularizer), finite, end.num_steps < max_steps)
    return StagedCommitment((log_policy, log_responses), end.here.value, gap, bend, end.num_steps, status)


def _scale(game: ContextualGame | MarkovGame, regularizer: Regularizer) -> Float[Array, ""]:
    steps = game.stage_shape[0] if isinstance(game, MarkovGame) else 1
    return steps * payoff_scale(jnp.moveaxis(game.table, -3, 0), regularizer.temperatures)


@partial(jit, static_argnames="max_steps", quick=True)
def _starts(game: ContextualGame | MarkovGame, regularizer: Regularizer, max_steps: int) -> Array:
    """Policies ``[start, stage, leader]`` to climb from: planned stage by stage, the centre, and pure ones."""
    mask = support(regularizer.log_reference[0])
    if isinstance(game, ContextualGame):
        planned = _contextual(game, regularizer, max_steps).policy[0][None]
    else:
        recursion = jax.vmap(lambda patience: _recursion(game, regularizer, patience, max_steps).policy[0])
        planned = recursion(jnp.arange(2.0)).astype(game.dtype)
    pure = jnp.eye(mask.shape[-1], dtype=game.dtype).reshape(-1, *[1] * (mask.ndim - 1), mask.shape[-1])
    centre = jnp.where(mask, 1, 0).astype(game.dtype)
    centre = centre / centre.sum(axis=-1, keepdims=True)
    starts = jnp.concatenate([planned, centre[None], jnp.broadcast_to(pure, (len(pure), *mask.shape))])
    starts = jnp.where(mask, (1 - INWARD) * starts + INWARD * centre, 0)
    return (starts / starts.sum(axis=-1, keepdims=True)).reshape(len(starts), -1, mask.shape[-1])


@partial(jit, static_argnames=("objective", "max_steps"), quick=True)
def _climb(objective: Objective, problem: StagedLeaderProblem, starts: Array, max_steps: int) -> StagedCommitment:
    game, regularizer = problem.game, problem.regularizer
    mask = support(regularizer.log_reference[0]).reshape(starts.shape[1:])
    lane = jax.tree.map(lambda leaf: leaf[None], problem)
    scale, there = _scale(game, regularizer)[None], jnp.ones((1, len(starts)), bool)
    ends = best_climb(objective, lane, mask[None], starts[None], there, scale, max_steps)
    return _certify(objective, problem, jax.tree.map(lambda leaf: leaf[0], ends), mask, max_steps)


def plan_whole(objective: Objective, problem: StagedLeaderProblem, max_steps: int) -> StagedCommitment:
    """Maximise an objective of whole policies ``[stage, leader]``, of which `value`, `gap` and `curvature` then speak.

    Args:
        objective: smooth, of policies and the problem, the leader's KLs taken off.
        problem: the game, and more.
        max_steps: of each climb.
    """
    return _climb(objective, problem, _starts(problem.game, problem.regularizer, max_steps), max_steps)


def farsighted_stackelberg(
    game: MarkovGame, regularizer: Regularizer, *, max_steps: int = MAX_STEPS, throw: bool = True
) -> StagedCommitment:
    """The policy that a leader should announce for all stages to a follower that looks ahead.

    The whole policy climbs to a local maximum, from the plans of `myopic_stackelberg` and `stagewise_stackelberg`, from
    the centre and from each pure policy; the highest is returned. Stages that are not reached stay as they began.

    Args:
        game: leader and follower, who both see the state.
        regularizer: references with the axes ``[horizon, state]``; the leader's temperature may be 0.
        max_steps: Newton steps of each climb; static.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Raises:
        TypeError: `game` is no `MarkovGame`.
        ValueError: there are not two players, or the regularizer does not fit.
        SolveError: no local maximum was certified.
    """
    check_commitment(game, regularizer, MarkovGame)
    check_options(None, max_steps)
    problem = StagedLeaderProblem(game, regularizer.astype(game.dtype), jnp.ones((), game.dtype), None)
    return conclude(plan_whole(from_start, problem, max_steps), throw)
