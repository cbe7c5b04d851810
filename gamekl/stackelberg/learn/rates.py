"""The constant of the 1/n rate at which a leader learns from a follower's actions.

With H < 0 the Hessian of J at the true maximiser x* (on its face), J_xu the mixed derivative, C the covariance of u and
v the variance of the leader's payoffs, both for one row, and s the standard error from them,

    n E[J(x*) - J(x_hat)] -> 1/2 tr( (-H)^-1 [J_xu C J_ux + J_xr diag(v) J_rx + c^2 ds ds^T] )

for the plug-in (c = 0), the pessimistic and the optimistic plan of `gamekl.stackelberg.learn.leader`: x_hat - x* is
(-H)^-1 (J_xu du + J_xr dr -+ c ds / sqrt(n)) to first order, and the loss half its square in the metric -H (derived).
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import solve_positive
from gamekl.core.policies import support
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_nonnegative
from gamekl.stackelberg.commit.ascent import fixed_directions, local_at
from gamekl.stackelberg.commit.quantal import (
    FLAT,
    LeaderProblem,
    anchored,
    expected_payoff,
    make_leader_problem,
    payoff_scale,
    quantal_stackelberg,
)
from gamekl.stackelberg.fit.responses import expected_responses
from gamekl.stackelberg.learn.leader import estimate_follower, standard_error


@jit
def _constant(problem: LeaderProblem, y: Float[Array, "1 leader"]) -> Float[Array, ""]:
    covariance, variances, scale = problem.more
    mask = support(problem.regularizer.log_reference[0])[None]
    tau = problem.regularizer.temperatures[1]
    objective = anchored(expected_payoff)

    def steep(payoffs: Array) -> Array:
        moved = problem._replace(game=NormalFormGame(payoffs))
        return local_at(objective, moved, mask, y).gradient

    def error(policy: Array, problem: LeaderProblem) -> Array:
        return standard_error(policy[0], problem)

    here = local_at(objective, problem, mask, y)
    mixed = jax.jacfwd(steep)(problem.game.payoffs)  # [leader, player, leader, follower]
    own, others = (mixed[:, player].reshape(y.size, -1) for player in range(2))
    spread = jnp.matmul(own * variances.ravel(), own.T) + tau**2 * jnp.matmul(others, jnp.matmul(covariance, others.T))
    shift = scale * local_at(error, problem, mask, y).gradient
    fixed = fixed_directions(y, mask)
    against = jnp.max(jnp.abs(here.hessian)) * fixed - here.hessian
    return jnp.trace(solve_positive(against, spread + shift[:, None] * shift)) / 2


def predicted_constant(
    game: NormalFormGame,
    regularizer: Regularizer,
    strategies: ArrayLike | Sequence[Any],
    behavior: ArrayLike | Sequence[Any],
    noise: ArrayLike | str | None = None,
    *,
    scale: ArrayLike = 0.0,
    features: ArrayLike | Sequence[Any] | None = None,
) -> Float[Array, ""]:
    """The limit of n E[J(x*) - J(x_hat)], the loss of plans that are learnt from n rows of a follower's actions.

    Args:
        game: the true game; concrete.
        regularizer: references and temperatures.
        strategies: x_k, the policies that are announced, shape ``[strategy, leader]``.
        behavior: how often each is, a distribution ``[strategy]``.
        noise: standard deviation of the leader's rewards, or "bernoulli"; None where its payoffs are known.
        scale: c of the pessimistic or optimistic plan; 0 for the plug-in.
        features: of the fit, shape ``[leader, follower, feature]``; all tables if None.

    Returns:
        The constant, payoff units; 0 where x* is a vertex, or nothing about its face must be learnt: then the
        suboptimality falls faster.

    Raises:
        ValueError: bad arguments, payoffs that such rows do not identify, or a maximiser that is not strict.
        SolveError: x* was not certified.

    Source: derived, by the delta method, in `stackelberg.learn.rates`.
    """
    check_nonnegative(scale=scale)
    plan = quantal_stackelberg(game, regularizer)
    known = game.payoffs[0] if noise is None else None
    estimate = estimate_follower(
        expected_responses(game, regularizer, strategies, behavior),
        regularizer,
        leader_payoffs=known,
        noise=0.0 if noise is None else noise,
        features=features,
    )
    width = jnp.asarray(scale, game.dtype)
    problem = make_leader_problem(game, regularizer, None, (estimate.fit.covariance, estimate.variances, width))
    own_scale = float(payoff_scale(game.payoffs, regularizer.temperatures))
    if not float(plan.curvature) < -FLAT[game.dtype] * own_scale:
        raise ValueError(f"game: got a maximiser of curvature {float(plan.curvature):.1e}, takes a strict one, below 0")
    return _constant(problem, jnp.sqrt(plan.policy[0])[None])
