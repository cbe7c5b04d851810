"""What a leader should commit to, where the game is known: quantal Stackelberg equilibria.

In the notation of `gamekl.stackelberg.follower`, a plan maximises J over the simplex. J is not concave. All policies of
a lattice (multiples of 1 / m) are tried, and from the best that have no better neighbour, from the centre and from any
others that are given, Newton's method climbs to a local maximum (`gamekl.stackelberg.commit.ascent`); the highest one
is returned. With two or three actions the lattice leaves out only peaks narrower than its mesh, 1/200 and 1/43.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.batching import in_blocks, joining_batches
from gamekl.core.kernels.jit import jit
from gamekl.core.one_shot import player_gap
from gamekl.core.policies import is_concrete, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.validation import check_distribution
from gamekl.solvers.solution import Status, check_options, raise_unless_converged
from gamekl.stackelberg.commit.ascent import ROUNDING, WIDTH, Climb, Objective, best_climb, curvature
from gamekl.stackelberg.commit.lattice import highest, lattice
from gamekl.stackelberg.follower import anchor_cost, check_commitment, payoff_part, respond

MAX_STEPS = 300
# How many points of the lattice are climbed from; how far these starts, and those given, are moved from the boundary.
CLIMBED = 4
INWARD = 0.02
BARELY = 1e-6
# Of `payoff_scale`: what may be missing, and what an eigenvalue may be above 0, of a local maximum.
TOLERANCE = {jnp.dtype("float32"): 1e-5, jnp.dtype("float64"): 1e-9}
FLAT = {jnp.dtype("float32"): 1e-3, jnp.dtype("float64"): 1e-6}


class Commitment(Shown):
    """A leader's policy with the follower's response, and what certifies it.

    Attributes:
        log_policy: log x ``[*stage, leader]`` and log nu_x ``[*stage, follower]``.
        value: J(x), payoff units; of a game in stages, from the start.
        gap: the first-order gap max_p [<p, q> - tau_l KL(p || x0)] - [<x, q> - tau_l KL(x || x0)], q the gradient of
            the expected payoff at x: >= 0, and 0 where no change of x raises J to first order; payoff units.
        curvature: the largest eigenvalue of J's Hessian by the square roots of x, on the sphere: below 0 at a strict
            local maximum, on faces and at vertices too; payoff units, -inf where there is but one policy.
        num_steps: Newton steps of the climb that ended highest.
        status: a `Status` value; `Status.converged` where gap and curvature are those of a local maximum.
    """

    log_policy: tuple[Float[Array, "*batch leader"], Float[Array, "*batch follower"]]
    value: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]
    curvature: Float[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    status_type: ClassVar = Status

    @property
    def policy(self) -> tuple[Float[Array, "*batch leader"], Float[Array, "*batch follower"]]:
        """The policies of leader and follower as probabilities, ``[*stage, leader]`` and ``[*stage, follower]``."""
        return jnp.exp(self.log_policy[0]), jnp.exp(self.log_policy[1])

    @property
    def residual(self) -> Float[Array, "*batch"]:
        """The first-order gap, by the name that other solutions have for what remains; payoff units."""
        return self.gap


class LeaderProblem(NamedTuple):
    """A game to plan in; of many, each leaf has a leading axis.

    Attributes:
        game: leader and follower.
        regularizer: in the game's dtype.
        starts: policies to climb from, beside the lattice's; the first one is uniform.
        more: what a gain needs beside the game.
    """

    game: NormalFormGame
    regularizer: Regularizer
    starts: Float[Array, "*lane start leader"]
    more: Any


# What a leader expects of a policy ``[leader]`` in a problem, without the KL; smooth.
Gain = Callable[[Float[Array, " leader"], LeaderProblem], Float[Array, ""]]


def _typical(entries: Array) -> Float[Array, ""]:
    """The geometric mean of the sizes of entries that are not 0; 0 without any."""
    sizes = jnp.abs(entries)
    logs = jnp.sum(jnp.log(jnp.where(sizes > 0, sizes, 1)))
    count = jnp.sum(sizes > 0, dtype=entries.dtype)
    return jnp.where(count > 0, jnp.exp(logs / jnp.maximum(count, 1)), 0)


def payoff_scale(payoffs: Float[Array, "player ..."], temperatures: Array) -> Float[Array, ""]:
    """How large what the leader earns is, or what rounding can tell of it.

    That is its temperature and what its payoffs typically differ by: not their range, which one forbidden cell may make
    so large that nothing else would matter. Rounding shows in the slope of what it earns, which grows with how sharply
    the follower responds.
    """
    own, other = payoffs
    sharpness = _spread(other) / temperatures[1]
    told = ROUNDING * float(jnp.finfo(own.dtype).eps) / TOLERANCE[own.dtype] * _typical(own) * (1 + sharpness)
    return jnp.maximum(_spread(own) + temperatures[0], told) + jnp.finfo(own.dtype).tiny


def _spread(entries: Array) -> Float[Array, ""]:
    """What they typically differ by."""
    return _typical(entries - jnp.median(entries))


def _scale(problem: LeaderProblem) -> Float[Array, ""]:
    return payoff_scale(problem.game.payoffs, problem.regularizer.temperatures)


def _starts(objective: Objective, problem: LeaderProblem) -> tuple[Float[Array, "start leader"], Bool[Array, " start"]]:
    """The best points of the lattice that have no better neighbour, the centre, and those given; on the support.

    Also which of them there are: there may be fewer such points.
    """
    mask = support(problem.regularizer.log_reference[0])
    dtype = problem.game.dtype
    points, neighbours = lattice(len(mask))
    points = jnp.asarray(points, dtype)
    values = jax.vmap(lambda point: objective(point[None], problem))(points)
    values = jnp.where(jnp.any((points > 0) & ~mask, axis=1), -jnp.inf, values)
    peaks = values >= values[neighbours].max(axis=1)
    order = highest(jnp.where(peaks, values, -jnp.inf), min(CLIMBED, len(points)))
    there = (peaks & (values > -jnp.inf))[order]
    found = jnp.concatenate([points[order], problem.starts])
    share = jnp.where(jnp.arange(len(found)) < len(order), INWARD, BARELY).astype(dtype)[:, None]
    inside = jnp.where(mask, (1 - share) * found + share * problem.starts[0], 0)
    there = jnp.concatenate([there, jnp.ones(len(problem.starts), bool)])
    return inside / inside.sum(axis=1, keepdims=True), there


def log_policies(y: Float[Array, "*batch action"], mask: Bool[Array, "*batch action"]) -> Float[Array, "*batch action"]:
    """The log-policy log x of a point of the sphere, with x = y * y."""
    return jnp.where(mask, 2 * jnp.log(jnp.where(mask, jnp.abs(y), 1)), -jnp.inf)


def first_order_gap(log_policy: Array, log_reference: Array, values: Array, temperature: Array) -> Float[Array, ""]:
    """The first-order gap max_p [<p, q> - tau KL(p || x0)] - [<x, q> - tau KL(x || x0)], also for tau = 0."""
    mask = support(log_reference)
    top = jnp.max(jnp.where(mask, values, -jnp.inf))
    greedy = jnp.sum(jnp.where(mask, jnp.exp(log_policy) * (top - values), 0))
    positive = temperature > 0
    soft = player_gap(log_policy, log_reference, values, jnp.where(positive, temperature, 1))
    return jnp.where(positive, soft, greedy)


def climb_status(gap: Array, bend: Array, scale: Array, finite: Array, more_steps: Array) -> Int[Array, ""]:
    """The status of a climb by where it ended."""
    local = (gap <= TOLERANCE[gap.dtype] * scale) & (bend <= FLAT[gap.dtype] * scale)
    missed = jnp.where(more_steps, Status.not_converged, Status.max_steps)
    status = jnp.where(local, Status.converged, missed)
    return jnp.where(finite, status, Status.nonfinite_input).astype(jnp.int32)


def _certify(gain: Gain, problem: LeaderProblem, end: Climb, max_steps: int) -> Commitment:
    game, regularizer = problem.game, problem.regularizer
    reference, mask = regularizer.log_reference[0], support(regularizer.log_reference[0])
    log_policy = log_policies(end.here.y[0], mask)
    policy = jnp.exp(log_policy)
    values = jax.grad(gain)(policy, problem)
    gap = first_order_gap(log_policy, reference, values, regularizer.temperatures[0])
    bend = curvature(end.here, mask[None])
    tau = regularizer.temperatures
    finite = jnp.all(jnp.isfinite(game.payoffs)) & jnp.all(jnp.isfinite(tau)) & (tau[0] >= 0) & (tau[1] > 0)
    response = respond(policy, game.payoffs[1] / tau[1], regularizer.log_reference[1])
    status = climb_status(gap, bend, _scale(problem), finite, end.num_steps < max_steps)
    return Commitment((log_policy, response), end.here.value, gap, bend, end.num_steps, status)


def expected_payoff(policy: Float[Array, " leader"], problem: LeaderProblem) -> Float[Array, ""]:
    """The gain of a leader that takes the game for the truth."""
    return payoff_part(policy, problem.game, problem.regularizer)


def anchored(gain: Gain) -> Objective:
    """The objective gain(x) - tau_l KL(x || x0) of policies ``[1, leader]``."""

    def objective(policy: Float[Array, "1 leader"], problem: LeaderProblem) -> Float[Array, ""]:
        regularizer = problem.regularizer
        return gain(policy[0], problem) - anchor_cost(
            policy[0], regularizer.log_reference[0], regularizer.temperatures[0]
        )

    return objective


@partial(jit, static_argnames=("gain", "max_steps"), quick=True)
def plan_by(gain: Gain, problem: LeaderProblem, max_steps: int) -> Commitment:
    """Maximise gain(x) - tau_l KL(x || x0), of which `value`, `gap` and `curvature` then speak."""
    objective = anchored(gain)

    def block(problems: LeaderProblem) -> Commitment:
        masks = support(problems.regularizer.log_reference[0])[:, None]
        scale = jax.vmap(_scale)(problems)
        starts, there = jax.vmap(partial(_starts, objective))(problems)
        ends = best_climb(objective, problems, masks, starts[:, :, None], there, scale, max_steps)
        return jax.vmap(lambda problem, end: _certify(gain, problem, end, max_steps))(problems, ends)

    def together(problems: LeaderProblem) -> Commitment:
        size = len(problems.game.payoffs)
        return block(problems) if size <= WIDTH else in_blocks(block, WIDTH, problems)

    one = jax.tree.map(lambda leaf: leaf[None], problem)
    return jax.tree.map(lambda leaf: leaf[0], joining_batches(together)(one))


def make_leader_problem(
    game: NormalFormGame, regularizer: Regularizer, starts: ArrayLike | Sequence[Any] | None, more: Any = None
) -> LeaderProblem:
    """Make the problem of a game to plan in, after checks.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, the regularizer does not fit, or a start is no policy.
    """
    check_commitment(game, regularizer)
    leader = game.num_actions[0]
    mask = jnp.where(support(regularizer.log_reference[0]), 1, 0).astype(game.dtype)
    tried = (mask / mask.sum())[None]
    if starts is not None:
        extra = as_float_array("starts", starts).astype(game.dtype)
        if extra.ndim != 2 or extra.shape[1] != leader:
            raise ValueError(f"starts: got shape {extra.shape}, takes [start, leader] with {leader} actions")
        if is_concrete(extra):
            check_distribution("starts", np.asarray(extra), (-1,))
        tried = jnp.concatenate([tried, extra])
    return LeaderProblem(game, regularizer.astype(game.dtype), tried, more)


def quantal_stackelberg(
    game: NormalFormGame,
    regularizer: Regularizer,
    *,
    starts: ArrayLike | Sequence[Any] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Commitment:
    """The leader's policy that maximises J, what it earns from a quantal follower less the KL from its reference.

    It is found by a lattice of policies and climbs from its peaks. It may be transformed by ``jax.jit`` and
    ``jax.vmap``, which give the climbs of a whole batch to one loop.

    Args:
        game: leader and follower, known or estimated.
        regularizer: references and temperatures, where the leader's may be 0; -inf masks an action of either.
        starts: further policies to climb from, ``[start, leader]``, such as `strong_stackelberg` finds where the
            follower's temperature is below about 1 / 100 of its payoffs.
        max_steps: Newton steps of each climb; static.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Returns:
        A `Commitment`.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, the regularizer does not fit, or a start is no policy.
        SolveError: no local maximum was certified.

    Source: the setting is that of Chen, Wang and Yang (arXiv 2307.14085), by its abstract; the method is derived, in
    `stackelberg.commit.ascent`.
    """
    check_options(None, max_steps)
    plan = plan_by(expected_payoff, make_leader_problem(game, regularizer, starts), max_steps)
    if throw:
        raise_unless_converged(plan)
    return plan
