"""A leader's policy learnt from a follower's actions: the estimate of the game, bands, and pessimism.

In the notation of `gamekl.stackelberg.follower`, let u = r_f / tau_f be fitted to the follower's actions, with
covariance C (`gamekl.stackelberg.fit.payoffs`), and r_l be known or estimated by cell means with variances v. With g
the gradient of J by u, a policy's value has the standard error

    s(x) = sqrt( g(x)^T C g(x) + sum_{a, b} x(a)^2 nu_x(b)^2 v(a, b) )                       (the delta method)

    plug-in          argmax J_hat(x)                        solve the estimated game (`quantal_stackelberg`)
    pessimistic      argmax J_hat(x) - c s(x)
    optimistic       argmax J_hat(x) + c s(x)
    likelihood       argmax min { J_u(x) : L(u_hat) - L(u) <= c^2 / 2 } - c s_l(x),          s_l that of r_l alone

The source's offline and online methods (Chen, Wang and Yang, arXiv 2307.14085) have other
forms, for other classes; those here are derived. To first order in c / sqrt(n), where r_l is known, the
pessimistic and the likelihood's values agree.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import check_profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_finite, check_nonnegative
from gamekl.solvers.solution import check_options, raise_unless_converged
from gamekl.stackelberg.commit.quantal import (
    MAX_STEPS,
    Commitment,
    LeaderProblem,
    anchored,
    expected_payoff,
    make_leader_problem,
    plan_by,
)
from gamekl.stackelberg.fit.payoffs import MAX_STEPS as FIT_STEPS
from gamekl.stackelberg.fit.payoffs import FollowerFit, fit_responses
from gamekl.stackelberg.fit.responses import Responses
from gamekl.stackelberg.follower import check_commitment, payoff_part


class LeaderEstimate(Shown):
    """What a leader knows of the game, and how well.

    Attributes:
        game: the leader's payoffs, and the follower's, centred: temperature times the fit's utilities.
        fit: the follower's payoffs in nats, with their covariance.
        variances: v, of the leader's payoffs, shape ``[leader, follower]``, payoff units squared; 0 where known, and
            of a cell that no row shows that of a single row around `prior_mean`.
    """

    game: NormalFormGame
    fit: FollowerFit
    variances: Float[Array, "leader follower"]
    status_type: ClassVar = FitStatus

    @property
    def status(self) -> Int[Array, "*batch"]:
        """A `FitStatus` value, of the fit."""
        return self.fit.status


class ValueBand(Shown):
    """A policy's estimated value and the band around it, payoff units.

    Attributes:
        value: J_hat(x).
        standard_error: s(x).
        lower: where the band begins.
        upper: where it ends.
    """

    value: Float[Array, "*batch"]
    standard_error: Float[Array, "*batch"]
    lower: Float[Array, "*batch"]
    upper: Float[Array, "*batch"]


def own_payoffs(
    responses: Responses,
    leader_payoffs: ArrayLike | Sequence[Any] | None,
    noise: ArrayLike | str,
    prior_mean: ArrayLike,
) -> tuple[Array, Array]:
    """The leader's payoffs r_l and their variances v, of all stages."""
    cells = (*responses.strategies.shape[:-2], responses.strategies.shape[-1], responses.counts.shape[-1])
    dtype = responses.counts.dtype
    if leader_payoffs is not None:
        known = as_float_array("leader_payoffs", leader_payoffs).astype(dtype)
        if known.shape != cells:
            raise ValueError(f"leader_payoffs: got shape {known.shape}, takes [*stage, leader, follower] = {cells}")
        if is_concrete(known):
            check_finite("leader_payoffs", np.asarray(known))
        return known, jnp.zeros(cells, dtype)
    if responses.visits is None or responses.reward_sums is None:
        raise ValueError("leader_payoffs: got None beside responses without rewards, takes [*stage, leader, follower]")
    visits = responses.visits
    means = jnp.where(visits > 0, responses.reward_sums / jnp.where(visits > 0, visits, 1), prior_mean).astype(dtype)
    if isinstance(noise, str):
        if noise != "bernoulli":
            raise ValueError(f"noise: got {noise!r}, takes a standard deviation >= 0 or 'bernoulli'")
        spread = means * (1 - means)
    else:
        check_nonnegative(noise=noise)
        spread = jnp.broadcast_to(jnp.asarray(noise, dtype) ** 2, cells)
    return means, spread / jnp.where(visits > 0, visits, 1)


def estimate_follower(
    responses: Responses,
    regularizer: Regularizer,
    *,
    leader_payoffs: ArrayLike | Sequence[Any] | None = None,
    noise: ArrayLike | str = 1.0,
    prior_mean: ArrayLike = 0.0,
    features: ArrayLike | Sequence[Any] | None = None,
    penalty: ArrayLike = 0.0,
    max_steps: int = FIT_STEPS,
) -> LeaderEstimate:
    """Estimate the game from a log of a follower's actions.

    It may be transformed by ``jax.jit`` and ``jax.vmap``; there, payoffs are NaN where nothing could be fitted.

    Args:
        responses: the data, of one stage.
        regularizer: the follower's reference, and its temperature. Where that is not known, any will do: the estimated
            follower responds alike, as its payoffs have the same unit.
        leader_payoffs: r_l, shape ``[leader, follower]``; if None they are estimated by the means of rewards.
        noise: standard deviation of a reward of the leader, or "bernoulli"; does not matter where they are known.
        prior_mean: of the leader's payoffs that no row shows, payoff units.
        features: phi, shape ``[leader, follower, feature]``, in which the follower's payoffs over its temperature are
            linear; all tables if None.
        penalty: of |w|^2 / 2 beside the log-likelihood, nats^-2; >= 0, may be traced.
        max_steps: Newton steps before giving up; static.

    Returns:
        A `LeaderEstimate`, whose game is for `quantal_stackelberg`.

    Raises:
        TypeError: `responses` or `regularizer` is something else.
        ValueError: no responses, bad features or penalty, a likelihood without a maximiser (where concrete), or
            leader's payoffs that neither are given nor can be estimated.
    """
    if not isinstance(responses, Responses):
        raise TypeError(f"responses: got {type(responses).__name__}, takes Responses")
    Regularizer.require(regularizer)
    if responses.counts.ndim != 2:
        raise ValueError(f"counts: got shape {responses.counts.shape}, takes one stage, [strategy, follower]")
    own, variances = own_payoffs(responses, leader_payoffs, noise, prior_mean)
    check_commitment(NormalFormGame(jnp.stack([own, own])), regularizer)
    regularizer = regularizer.astype(own.dtype)
    fit = fit_responses(
        responses, regularizer.log_reference[1], features=features, penalty=penalty, max_steps=max_steps
    )
    return LeaderEstimate(NormalFormGame(jnp.stack([own, regularizer.temperatures[1] * fit.utilities])), fit, variances)


def standard_error(policy: Float[Array, " leader"], problem: LeaderProblem) -> Float[Array, ""]:
    """The standard error s(x) of a policy's value, of a problem whose `more` begins with covariance and variances."""
    covariance, variances = problem.more[:2]
    tau = problem.regularizer.temperatures[1]

    def earned(payoffs: Array) -> Array:
        return payoff_part(policy, NormalFormGame(payoffs), problem.regularizer)

    own, others = jax.grad(earned)(problem.game.payoffs)
    slope = (tau * others).ravel()  # by u, of nats
    spread = jnp.matmul(slope, jnp.matmul(covariance, slope, precision=PRECISION), precision=PRECISION)
    variance = spread + jnp.sum(own**2 * variances)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)


def _cautious(policy: Float[Array, " leader"], problem: LeaderProblem) -> Float[Array, ""]:
    """The expected payoff, less so many standard errors as the third of `more` says."""
    return payoff_part(policy, problem.game, problem.regularizer) - problem.more[2] * standard_error(policy, problem)


def require_estimate(estimate: Any) -> None:
    """Raise ``TypeError`` unless it is a `LeaderEstimate`."""
    if not isinstance(estimate, LeaderEstimate):
        raise TypeError(f"estimate: got {type(estimate).__name__}, takes a LeaderEstimate")


def _plan(
    estimate: LeaderEstimate,
    regularizer: Regularizer,
    scale: ArrayLike,
    sign: int,
    starts: Any,
    max_steps: int,
    throw: bool,
) -> Commitment:
    """Plan for the value with `sign` times `scale` standard errors taken off."""
    require_estimate(estimate)
    check_nonnegative(scale=scale)
    check_options(None, max_steps)
    more = (estimate.fit.covariance, estimate.variances, sign * jnp.asarray(scale, estimate.game.dtype))
    plan = plan_by(_cautious, make_leader_problem(estimate.game, regularizer, starts, more), max_steps)
    if throw:
        raise_unless_converged(plan)
    return plan


def pessimistic_commitment(
    estimate: LeaderEstimate,
    regularizer: Regularizer,
    scale: ArrayLike,
    *,
    starts: ArrayLike | Sequence[Any] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Commitment:
    """The policy whose value is the highest when c standard errors are taken off.

    Args:
        estimate: from `estimate_follower`.
        regularizer: references and temperatures, as it was for the estimate.
        scale: c, how many standard errors; >= 0, may be traced.
        starts: further policies to climb from, ``[start, leader]``.
        max_steps: Newton steps of each climb; static.
        throw: whether to raise where arguments are concrete and no local maximum was certified.

    Returns:
        A `Commitment`, whose `value`, `gap` and `curvature` are those of J_hat - c s. Where s has a kink, as between
        policies that know the follower's response, no local maximum may be certified.

    Raises:
        TypeError: `estimate` is something else.
        ValueError: a bad scale, a regularizer that does not fit, or a start that is no policy.
        SolveError: no local maximum was certified.
    """
    return _plan(estimate, regularizer, scale, 1, starts, max_steps, throw)


def optimistic_commitment(
    estimate: LeaderEstimate,
    regularizer: Regularizer,
    scale: ArrayLike,
    *,
    starts: ArrayLike | Sequence[Any] | None = None,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> Commitment:
    """The policy with the highest J_hat + c s; arguments, errors and result are those of `pessimistic_commitment`."""
    return _plan(estimate, regularizer, scale, -1, starts, max_steps, throw)


def band_around(value: Float[Array, ""], error: Float[Array, ""], level: ArrayLike) -> ValueBand:
    """The band of so many standard errors that a Gaussian lies within in a share `level`."""
    half = jax.scipy.special.ndtri((1 + jnp.asarray(level, value.dtype)) / 2) * error
    return ValueBand(value, error, value - half, value + half)


def check_level(level: ArrayLike) -> None:
    """Raise ``ValueError`` unless it is above 0 and below 1, where concrete."""
    if is_concrete(level) and not 0 < np.asarray(level, dtype=float) < 1:
        raise ValueError(f"level: got {level!r}, takes a number above 0 and below 1")


@jax.jit
def _band(problem: LeaderProblem, policy: Float[Array, " leader"], level: ArrayLike) -> ValueBand:
    return band_around(anchored(expected_payoff)(policy[None], problem), standard_error(policy, problem), level)


def value_band(
    estimate: LeaderEstimate, regularizer: Regularizer, policy: ArrayLike | Sequence[Any], level: ArrayLike = 0.9
) -> ValueBand:
    """A policy's value with a band that covers the true one in a share `level` of logs, as these grow.

    It is for a policy that was given, and to first order also for one that was planned from the same log.

    Args:
        estimate: from `estimate_follower`, without penalty.
        regularizer: references and temperatures, as it was for the estimate.
        policy: x, the leader's probabilities ``[leader]``.
        level: of the band, above 0 and below 1.

    Returns:
        A `ValueBand`, payoff units.

    Raises:
        TypeError: `estimate` is something else.
        ValueError: x is no policy, or the level is out of range.
    """
    require_estimate(estimate)
    check_level(level)
    game = estimate.game
    strategy = check_profile("policy", [policy], game.num_actions[:1], log=False)[0].astype(game.dtype)
    problem = make_leader_problem(game, regularizer, None, (estimate.fit.covariance, estimate.variances))
    return _band(problem, strategy, level)
