"""The optimal policies of most entropy of zero-sum games, or the nearest to references, in lanes.

With the value v of the game from the simplex method each player has a convex problem of its own,

    minimise KL(x || reference)    over policies x with R^T x >= v,

which the interior-point method of correlated equilibria solves with its certificate. The optimal policies may have no
interior, so that the rows are let fall short of v by `Accuracy.allowance` of their typical entries: that, and no more,
x may lose.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.arrays import has_float64
from gamekl.core.kernels import lanes
from gamekl.core.kernels.batching import in_blocks, sharing_lanes
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.core.kernels.refill import Method, solve_in_turns, solve_side_by_side
from gamekl.solvers.correlated import interior
from gamekl.solvers.correlated.constraints import ByRows, Equilibrated
from gamekl.solvers.exact.certificate import judge, no_path
from gamekl.solvers.exact.vertices import num_lanes
from gamekl.solvers.exact.zero_sum import optimal_policies
from gamekl.solvers.solution import Solution, Status


class Accuracy(NamedTuple):
    """What can be asked of a dtype.

    Attributes:
        rounding: differences of payoffs that are none, of the largest payoff.
        same: the most that sums of both players' payoffs differ by where a game is zero-sum, of the payoffs' range.
        allowance: what rows may fall short by, of their typical entries.
        aim: the duality gap at which the method ends, nats.
        no_share: probabilities that are none.
        good_gap: a Nash gap that is good enough, of the payoffs' range.
        good_duality_gap: and a duality gap, nats.
    """

    rounding: float
    same: float
    allowance: float
    aim: float
    no_share: float
    good_gap: float
    good_duality_gap: float


DOUBLE = Accuracy(2e-13, 1e-12, allowance=7e-12, aim=1e-12, no_share=1.5e-11, good_gap=1e-10, good_duality_gap=4e-9)
SINGLE = Accuracy(1e-5, 1e-5, allowance=1e-5, aim=3e-6, no_share=3e-5, good_gap=1e-4, good_duality_gap=1e-3)
MAX_STEPS = 100


def accuracy_of(dtype: jnp.dtype) -> Accuracy:
    """The one of a dtype that the work is done in."""
    return DOUBLE if dtype == jnp.float64 else SINGLE


class EntropySolution(Solution):
    """An unregularised equilibrium, with how much entropy its policies have.

    Attributes:
        entropy: of each player's policy, nats.
        divergence: KL(policy || reference) of each player, nats.
        duality_gap: by how much each player's divergence may be above the least, nats: in its maximal Nash subset, or
            among the policies that lose no more than this one.
    """

    entropy: Float[Array, "*batch player"] = eqx.field(kw_only=True)
    divergence: Float[Array, "*batch player"] = eqx.field(kw_only=True)
    duality_gap: Float[Array, "*batch player"] = eqx.field(kw_only=True)


class Given(NamedTuple):
    """Games and references; in a batch with a leading axis, in lanes with a last one.

    Attributes:
        payoffs: of both players.
        log_reference: of each player.
    """

    payoffs: Float[Array, "..."]
    log_reference: tuple[Float[Array, "..."], Float[Array, "..."]]


class Optimum(NamedTuple):
    """Both players' policies, and what is certain of them, with a leading axis."""

    policies: tuple[Float[Array, "..."], Float[Array, "..."]]
    divergence: Float[Array, "..."]
    duality_gap: Float[Array, "..."]
    gap: Float[Array, "..."]
    residual: Float[Array, "..."]
    is_zero_sum: Bool[Array, "..."]
    num_steps: Int[Array, "..."]


class Task(NamedTuple):
    """One player's problem; in a batch with a leading axis, in lanes with a last one.

    Attributes:
        table: the player's payoffs, ``[own, other]``.
        value: what the policy is to earn against every action of the other.
        log_reference: may be -inf.
    """

    table: Float[Array, "..."]
    value: Float[Array, "..."]
    log_reference: Float[Array, "..."]


# A policy, its divergence, the duality gap and the steps made.
Side = tuple[Array, Array, Array, Array]


def _method(platform: Platform | None) -> Method[Task, interior.State]:
    """How one player's problems are solved in lanes; the results are `Side`s."""

    def problem(task: Task) -> interior.Problem:
        accuracy = accuracy_of(task.table.dtype)
        rows = task.value - jnp.swapaxes(task.table, 0, 1)
        # What is left of equal numbers would count as much as others once a row is divided by its size.
        rows = ByRows(jnp.where(jnp.abs(rows) > accuracy.rounding * jnp.max(jnp.abs(task.table), (0, 1)), rows, 0))
        units = rows.sizes()
        return interior.Problem(
            objective=interior.Objective(True, task.log_reference, jnp.zeros_like(task.log_reference)),
            rows=Equilibrated(rows, units),
            limits=jnp.full_like(units, accuracy.allowance),
            allowed=jnp.ones(units.shape, bool),
            tol=jnp.full_like(task.value, accuracy.aim),
            max_steps=jnp.full(task.value.shape, MAX_STEPS, jnp.int32),
            multipliers=1.0,
            platform=platform,
        )

    def result(task: Task, state: interior.State) -> Side:
        objective = problem(task).objective
        inside = state.x / lanes.total(state.x)
        policy = jnp.where(inside > accuracy_of(inside.dtype).no_share, inside, 0)
        policy = policy / lanes.total(policy)
        before = objective.value(inside, objective.bend(inside))
        divergence = objective.value(policy, jnp.where(policy > 0, objective.bend(policy), 0))
        return policy, divergence, jnp.maximum(state.gap + divergence - before, 0), state.num_steps

    return Method(
        start=lambda task: interior.start(problem(task)),
        step=lambda task, state: interior.step(problem(task), state),
        running=lambda task, state: interior.running(problem(task), state),
        result=result,
    )


def _half(payoffs: Float[Array, "..."]) -> Float[Array, "..."]:
    """The row player's payoffs in the zero-sum game of half the difference, in lanes."""
    return (payoffs[0] - payoffs[1]) / 2


def _values(given: Given, platform: Platform | None) -> tuple[Float[Array, " lane"], Int[Array, " lane"]]:
    """The value of each game, and the pivots that it took, in lanes."""
    row = _half(given.payoffs)
    x, y, num_steps = optimal_policies(row, platform)
    return lanes.total(x * lanes.contract(row, y, 1)), num_steps


def _certified(given: Given, sides: tuple[Side, Side], pivots: Array, platform: Platform | None) -> Optimum:
    """What both players' policies are worth in the game as given, in lanes."""
    payoffs = given.payoffs
    (x, first, first_gap, steps), (y, second, second_gap, more) = sides
    gap = jnp.stack([judge(payoffs[0], x, y, platform)[0], judge(jnp.swapaxes(payoffs[1], 0, 1), y, x, platform)[0]])
    sums, flat = payoffs[0] + payoffs[1], (0, 1)
    spread = jnp.max(sums, flat) - jnp.min(sums, flat)
    size = jnp.max(jnp.max(payoffs, (1, 2)) - jnp.min(payoffs, (1, 2)), 0)
    return Optimum(
        policies=(x, y),
        divergence=jnp.stack([first, second]),
        duality_gap=jnp.stack([first_gap, second_gap]),
        gap=gap,
        residual=jnp.max(gap, 0) / jnp.where(size > 0, size, 1),
        is_zero_sum=spread <= accuracy_of(payoffs.dtype).same * size,
        num_steps=pivots + steps + more,
    )


def _optima(
    given: Given,
    platform: Platform | None,
    blocks: Callable[..., Any],
    minimize: Callable[[Task], Side],
) -> Optimum:
    """Of a batch; of games that are not zero-sum, those of half the payoffs' difference, and `is_zero_sum` says so.

    Args:
        given: with a leading axis.
        platform: that this is traced for; None for a single lane.
        blocks: applies a function of lanes to the batch.
        minimize: solves a batch of one player's problems.
    """
    values, pivots = blocks(lambda given: _values(given, platform), given)
    row = jax.vmap(_half)(given.payoffs)
    first = minimize(Task(row, values, given.log_reference[0]))
    second = minimize(Task(-jnp.swapaxes(row, 1, 2), -values, given.log_reference[1]))
    return blocks(
        lambda given, sides, pivots: _certified(given, sides, pivots, platform), given, (first, second), pivots
    )


def _solution(given: Given, found: Optimum, dtype: jnp.dtype) -> EntropySolution:
    """Of one game."""
    accuracy = accuracy_of(given.payoffs.dtype)
    good = (found.residual <= accuracy.good_gap) & jnp.all(found.duality_gap <= accuracy.good_duality_gap)
    status = jnp.where(found.is_zero_sum, jnp.where(good, Status.converged, Status.not_converged), Status.invalid_input)
    finite = jnp.all(jnp.isfinite(given.payoffs))
    gap = found.gap.astype(dtype)
    return EntropySolution(
        log_policy=tuple(jnp.log(policy).astype(dtype) for policy in found.policies),
        gap=gap,
        residual=found.residual.astype(dtype),
        num_steps=found.num_steps,
        status=jnp.where(finite, status, Status.nonfinite_input).astype(jnp.int32),
        path=no_path(gap),
        entropy=jnp.stack([jnp.sum(jax.scipy.special.entr(policy)) for policy in found.policies]).astype(dtype),
        divergence=found.divergence.astype(dtype),
        duality_gap=found.duality_gap.astype(dtype),
    )


def _working(given: Given) -> Given:
    """In the dtype that the work is done in."""
    dtype = jnp.float64 if has_float64() else jnp.float32
    return jax.tree.map(lambda leaf: leaf.astype(dtype), given)


def _in_lanes(function: Callable[..., Any], *batch: Any) -> Any:
    """The results, with a leading axis, of a function of lanes."""
    return lanes_first(function(*lanes_last(batch)))


def optima_of_batch(given: Given) -> EntropySolution:
    """The solutions of a batch of zero-sum games, in float64 where jax has it; every leaf has a leading axis."""
    dtype, given = given.payoffs.dtype, _working(given)

    def work(platform: Platform, given: Given) -> Optimum:
        width = num_lanes(platform, np.broadcast_to(np.zeros((), given.payoffs.dtype), given.payoffs.shape))

        def blocks(function: Callable[..., Any], *batch: Any) -> Any:
            return in_blocks(lambda *block: _in_lanes(function, *block), width, *batch)

        return _optima(given, platform, blocks, lambda task: solve_in_turns(_method(platform), task, width))

    found = by_platform(work, given)
    return jax.vmap(lambda given, found: _solution(given, found, dtype))(given, found)


def optima_of_game(given: Given) -> EntropySolution:
    """The solution of one zero-sum game; ``jax.vmap`` makes one call of `optima_of_batch` of it."""

    def alone(given: Given) -> EntropySolution:
        work = jax.tree.map(lambda leaf: leaf[None], _working(given))

        def minimize(task: Task) -> Side:
            return lanes_first(solve_side_by_side(_method(None), lanes_last(task)))

        found = _optima(work, None, _in_lanes, minimize)
        work, found = jax.tree.map(lambda leaf: leaf[0], (work, found))
        return _solution(work, found, given.payoffs.dtype)

    return sharing_lanes(alone, optima_of_batch)(given)
