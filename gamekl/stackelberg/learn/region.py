"""A leader's policy that is best against the worst follower that the log does not rule out.

In the notation of `gamekl.stackelberg.learn.leader`, J_u(x) is the leader's value where the follower has payoffs u, and

    J_low(x) = min { J_u(x) : L(u_hat) - L(u) <= c^2 / 2 },        x_hat = argmax J_low(x) - c s_l(x),

with L the log-likelihood and s_l the standard error that is left where u_hat is the truth. The minimiser solves

    grad J + lambda grad (-L) = 0,       L(u_hat) - L(u) = c^2 / 2,       lambda > 0,

by Newton's method from what both are to first order, u_hat - c C g / sqrt(g^T C g) and lambda = sqrt(g^T C g) / c. The
Lagrangian at it, with u and lambda as far as they move with x to first order, has the derivatives of J_low to second
order (derived). It is what the log says where it is long enough for that minimiser to be near u_hat; a Hessian in
Newton's equations that is not positive tells of one that is not, and gives NaN.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.kernels.lanes import PRECISION, solve_positive
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_nonnegative
from gamekl.solvers.solution import check_options, raise_unless_converged
from gamekl.stackelberg.commit.quantal import MAX_STEPS, Commitment, LeaderProblem, make_leader_problem, plan_by
from gamekl.stackelberg.fit.likelihood import ResponseLog, log_likelihood, slopes
from gamekl.stackelberg.fit.payoffs import response_log
from gamekl.stackelberg.fit.responses import Responses
from gamekl.stackelberg.follower import respond
from gamekl.stackelberg.learn.leader import LeaderEstimate, require_estimate

NEWTON_STEPS = 8
# Of the payoffs' range, what the least lambda is, times c: for policies whose value no follower changes.
LEAST = 1e-9


class Earned(NamedTuple):
    """The leader's expected payoff J_u(x), without the KL, and its derivatives by the weights of u."""

    value: Float[Array, ""]
    slope: Float[Array, " feature"]
    bend: Float[Array, "feature feature"]


def earned(weights: Array, policy: Array, problem: LeaderProblem, log: ResponseLog) -> Earned:
    """The mean of the leader's payoffs over responses, their covariance with features, and their third cumulant."""
    features = jnp.einsum("a,abj->bj", policy, log.features, precision=PRECISION)
    response = jax.nn.softmax(log.log_reference + jnp.matmul(features, weights, precision=PRECISION))
    payoffs = jnp.matmul(policy, problem.game.payoffs[0], precision=PRECISION)
    value = jnp.matmul(payoffs, response, precision=PRECISION)
    surplus = response * (payoffs - value)
    apart = features - jnp.matmul(response, features, precision=PRECISION)
    bend = jnp.einsum("b,bi,bj->ij", surplus, apart, apart, precision=PRECISION)
    return Earned(value, jnp.matmul(surplus, apart, precision=PRECISION), bend)


def _newton(
    weights: Array, multiplier: Array, policy: Array, problem: LeaderProblem, log: ResponseLog, excess: Array
) -> tuple[Array, Array]:
    """A step for the equations of the module; `excess` is -L where it should be."""
    _, slope, bend = earned(weights, policy, problem, log)
    steep, curved = slopes(log, weights)
    first = slope - multiplier * steep
    second = -log_likelihood(log, weights) - excess
    right = jnp.stack([first, -steep], axis=1)
    solved = solve_positive(bend + multiplier * curved, right)
    change = (second + jnp.matmul(steep, solved[:, 0])) / -jnp.matmul(steep, solved[:, 1])
    return weights - solved[:, 0] - change * solved[:, 1], multiplier + change


def worst_case(policy: Float[Array, " leader"], problem: LeaderProblem) -> Float[Array, ""]:
    """The worst value J_low(x) - c s_l(x) without the KL, of a problem with log, weights, variances and c in `more`."""
    log, fitted, variances, scale = problem.more
    excess = scale**2 / 2 - log_likelihood(log, fitted)
    held = jax.lax.stop_gradient(policy)
    slope = earned(fitted, held, problem, log).slope
    move = solve_positive(slopes(log, fitted).curvature, slope[:, None])[:, 0]
    own = problem.game.payoffs[0]
    size = jnp.sqrt(jnp.maximum(jnp.matmul(slope, move), 0)) + LEAST * (own.max() - own.min())

    def step(at: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        return _newton(*at, held, problem, log, excess), None

    start = (fitted - scale * move / size, size / scale)
    reached = jax.lax.stop_gradient(jax.lax.scan(step, start, None, length=NEWTON_STEPS)[0])
    weights, multiplier = _newton(*reached, policy, problem, log, excess)
    low = earned(weights, policy, problem, log).value - multiplier * (log_likelihood(log, weights) + excess)
    utilities = jnp.einsum("abj,j->ab", log.features, fitted, precision=PRECISION)
    played = policy[:, None] * jnp.exp(respond(policy, utilities, log.log_reference))
    variance = jnp.sum(played**2 * variances)
    positive = variance > 0
    return low - scale * jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)


def likelihood_commitment(
    responses: Responses,
    estimate: LeaderEstimate,
    regularizer: Regularizer,
    scale: ArrayLike,
    *,
    features: ArrayLike | Sequence[Any] | None = None,
    penalty: ArrayLike = 0.0,
    starts: ArrayLike | Sequence[Any] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Commitment:
    """The policy that earns most against the worst follower that the log does not rule out.

    Args:
        responses: the data.
        estimate: what `estimate_follower` made of them.
        regularizer: references and temperatures, as it was for the estimate.
        scale: c, > 0, may be traced: followers count whose log-likelihood is at most c^2 / 2 below the greatest.
        features: as they were for the estimate.
        penalty: as it was for the estimate.
        starts: further policies to climb from, ``[start, leader]``.
        max_steps: Newton steps of each climb; static.
        throw: whether to raise where arguments are concrete and no local maximum was certified.

    Returns:
        A `Commitment`, whose `value`, `gap` and `curvature` are those of J_low - c s_l. It is not converged where the
        log is too short for the module's equations.

    Raises:
        TypeError: `responses` or `estimate` is something else.
        ValueError: a scale that is not above 0, features of another estimate, a regularizer that does not fit, or a
            start that is no policy.
        SolveError: no local maximum was certified.
    """
    require_estimate(estimate)
    check_nonnegative(scale=scale)
    if is_concrete(scale) and not np.asarray(scale) > 0:
        raise ValueError(f"scale: got {scale!r}, takes a number > 0")
    check_options(None, max_steps)
    Regularizer.require(regularizer)
    log: Any = response_log(responses, regularizer.log_reference[1], features, penalty)
    log = jax.tree.map(lambda leaf: leaf[0], log)
    weights = estimate.fit.weights
    if weights.shape != log.features.shape[-1:]:
        raise ValueError(f"features: got {log.features.shape[-1]}, takes the {weights.shape[0]} of the estimate")
    more = (log, weights, estimate.variances, jnp.asarray(scale, estimate.game.dtype))
    plan = plan_by(worst_case, make_leader_problem(estimate.game, regularizer, starts, more), max_steps)
    if throw:
        raise_unless_converged(plan)
    return plan
