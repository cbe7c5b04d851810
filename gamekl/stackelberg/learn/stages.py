"""A leader's policy for all stages, learnt from a follower's responses: the estimate of the game, bands, and pessimism.

In the notation of `gamekl.stackelberg.staged_follower`, let u be fitted with covariance C: of each stage for itself,
where the follower looks at that stage alone (`gamekl.stackelberg.fit.payoffs`), or of all stages at once
(`gamekl.stackelberg.fit.farsighted`). The leader's payoffs are known, or cell means with variances v; contexts' chances
and transitions are taken for known. A policy's value from the start has the standard error

    s(x) = sqrt( g(x)^T C g(x) + sum w_x(stage, a, b)^2 v(stage, a, b) )                       (the delta method)

where g is the gradient of J by u, through all responses and where play then goes, and w_x the chance of the
cell. In a contextual game s^2 = sum_c rho(c)^2 s_c^2, as contexts are fitted apart. The pessimistic plan is

    argmax J_hat(x) - c s(x)

over whole policies. It is not that of each context for itself, of J_c - c s_c: that would take off c sum_c rho(c) s_c,
as if all contexts erred the same way at once, which is more than c s, by up to the root of how many contexts there
are. What a context loses here, to first order, are c rho(c) s_c / s of its standard errors (derived).
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.games import ContextualGame, MarkovGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete, outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.stages import occupancies
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_distribution, check_nonnegative, check_transitions
from gamekl.solvers.solution import check_options
from gamekl.stackelberg.commit.quantal import MAX_STEPS
from gamekl.stackelberg.commit.stages import StagedCommitment, StagedLeaderProblem, conclude, from_start, plan_whole
from gamekl.stackelberg.fit.farsighted import FarsightedFit, fit_farsighted
from gamekl.stackelberg.fit.payoffs import MAX_STEPS as FIT_STEPS
from gamekl.stackelberg.fit.payoffs import FollowerFit, fit_responses
from gamekl.stackelberg.fit.staged_responses import Episodes
from gamekl.stackelberg.follower import check_commitment
from gamekl.stackelberg.learn.leader import ValueBand, band_around, check_level, own_payoffs
from gamekl.stackelberg.staged_follower import staged_policy


class StagedEstimate(Shown):
    """What a leader knows of a game in stages, and how well.

    Attributes:
        game: a `ContextualGame` or a `MarkovGame`: the leader's payoffs, and the follower's, temperature times the
            fit's utilities.
        fit: the follower's payoffs in nats, with their covariance.
        variances: v, of the leader's payoffs, payoff units squared, 0 where known; shape
            ``[*stage, leader, follower]``.
        patience: the follower's: 0 if it is myopic, 1 if farsighted.
    """

    game: ContextualGame | MarkovGame
    fit: FollowerFit | FarsightedFit
    variances: Float[Array, "*stage leader follower"]
    patience: Float[Array, ""]
    status_type: ClassVar = FitStatus

    @property
    def status(self) -> Int[Array, "*stage"]:
        """A `FitStatus` value, of the fit."""
        return self.fit.status


def _with_payoffs(game: ContextualGame | MarkovGame, table: Array) -> ContextualGame | MarkovGame:
    if isinstance(game, ContextualGame):
        return ContextualGame(table, game.context_probs)
    return MarkovGame(table, game.transitions, game.initial_probs)


def _leaders_part(
    log: Episodes,
    regularizer: Regularizer,
    chances: tuple[ArrayLike | Sequence[Any] | None, ArrayLike | Sequence[Any] | None],
    leader_payoffs: ArrayLike | Sequence[Any] | None,
    noise: ArrayLike | str,
    prior_mean: ArrayLike,
) -> tuple[ContextualGame | MarkovGame, Array]:
    """The game that the log is of, in which the follower has no payoffs yet, and v."""
    if not isinstance(log, Episodes):
        raise TypeError(f"log: got {type(log).__name__}, takes Episodes")
    if is_concrete(log) and not np.any(np.asarray(log.responses.counts)):
        raise ValueError("counts: got no responses, takes at least one")
    own, variances = own_payoffs(log.responses, leader_payoffs, noise, prior_mean)
    transitions, stage_probs = chances
    probs = log.stage_probs if stage_probs is None else as_float_array("stage_probs", stage_probs)
    if is_concrete(probs):
        check_distribution("stage_probs", np.asarray(probs), (0,))
    table = jnp.stack([own, jnp.zeros_like(own)], axis=-3)
    if log.moves is None:
        game = ContextualGame(table, probs.astype(own.dtype))
    else:
        moves = log.transitions if transitions is None else as_float_array("transitions", transitions)
        game = MarkovGame(table, moves.astype(own.dtype), probs.astype(own.dtype))
        if is_concrete(moves):
            check_transitions(np.asarray(moves))
    check_commitment(game, regularizer, ContextualGame, MarkovGame)
    return game, variances


def _estimate(
    game: ContextualGame | MarkovGame,
    regularizer: Regularizer,
    fit: FollowerFit | FarsightedFit,
    variances: Array,
    patience: float,
) -> StagedEstimate:
    payoffs = regularizer.temperatures[1].astype(game.dtype) * fit.utilities
    table = jnp.moveaxis(jnp.moveaxis(game.table, -3, 0).at[1].set(payoffs), 0, -3)
    return StagedEstimate(_with_payoffs(game, table), fit, variances, jnp.asarray(patience, game.dtype))


def estimate_myopic(
    log: Episodes,
    regularizer: Regularizer,
    *,
    transitions: ArrayLike | Sequence[Any] | None = None,
    stage_probs: ArrayLike | Sequence[Any] | None = None,
    leader_payoffs: ArrayLike | Sequence[Any] | None = None,
    noise: ArrayLike | str = 1.0,
    prior_mean: ArrayLike = 0.0,
    penalty: ArrayLike = 0.0,
    max_steps: int = FIT_STEPS,
) -> StagedEstimate:
    """Estimate the game from a log of a follower that looks at each stage alone, as in a contextual game all do.

    Stages that are not reached need no responses: payoffs are 0 there. It may be transformed by ``jax.jit`` and
    ``jax.vmap``; there, payoffs are NaN where nothing could be fitted.

    Args:
        log: the data, of contexts or of a Markov game.
        regularizer: the follower's references and temperature; where that is not known, any will do.
        transitions: of a Markov game, shape ``[horizon, state, leader, follower, next_state]``; if None the log's
            frequencies, and an episode ends where it shows no move.
        stage_probs: of contexts, or of first states, shape ``[context]`` or ``[state]``; the log's if None.
        leader_payoffs: r_l, shape ``[*stage, leader, follower]``; if None they are estimated by the means of rewards.
        noise: standard deviation of a reward of the leader, or "bernoulli"; does not matter where they are known.
        prior_mean: of the leader's payoffs that no row shows, payoff units.
        penalty: of |w|^2 / 2 beside the log-likelihood, nats^-2; >= 0, may be traced.
        max_steps: Newton steps before giving up; static.

    Returns:
        A `StagedEstimate`, whose game is for `contextual_stackelberg` or `myopic_stackelberg`.

    Raises:
        TypeError: `log` or `regularizer` is something else.
        ValueError: no responses, a bad penalty, a likelihood without a maximiser (where concrete), or chances or
            leader's payoffs that do not fit.
    """
    chances = (transitions, stage_probs)
    game, variances = _leaders_part(log, regularizer, chances, leader_payoffs, noise, prior_mean)
    reference = regularizer.log_reference[1].astype(game.dtype)
    check_nonnegative(penalty=penalty)
    reached = occupancies(game, outer([jnp.exp(entry).astype(game.dtype) for entry in regularizer.log_reference])) > 0
    penalties = jnp.where(reached, jnp.asarray(penalty, game.dtype), 1)  # elsewhere payoffs do not matter, and are 0
    fit = fit_responses(log.responses, reference, penalty=penalties, max_steps=max_steps)
    return _estimate(game, regularizer, fit, variances, 0.0)


def estimate_farsighted(
    log: Episodes,
    regularizer: Regularizer,
    *,
    transitions: ArrayLike | Sequence[Any] | None = None,
    stage_probs: ArrayLike | Sequence[Any] | None = None,
    leader_payoffs: ArrayLike | Sequence[Any] | None = None,
    noise: ArrayLike | str = 1.0,
    prior_mean: ArrayLike = 0.0,
    penalty: ArrayLike = 0.0,
    max_steps: int = FIT_STEPS,
) -> StagedEstimate:
    """Estimate the game from a log of a follower that looks ahead, for `farsighted_stackelberg`.

    What no response tells of the follower's payoffs is 0; it changes no plan.

    Args:
        log: the data, of a Markov game.
        regularizer: the follower's references and temperature.
        transitions: shape ``[horizon, state, leader, follower, next_state]``; the log's frequencies if None.
        stage_probs: of first states, shape ``[state]``; the log's if None.
        leader_payoffs: r_l, shape ``[*stage, leader, follower]``; estimated by the means of rewards if None.
        noise: standard deviation of a reward of the leader, or "bernoulli", where these are estimated.
        prior_mean: of the leader's payoffs that no row shows, payoff units.
        penalty: of |u|^2 / 2 beside the log-likelihood, nats^-2; >= 0, may be traced.
        max_steps: steps before giving up; static.

    Returns:
        A `StagedEstimate`, whose game is a `MarkovGame`.

    Raises:
        TypeError: `log` or `regularizer` is something else.
        ValueError: no responses, a bad penalty, payoffs that the log does not identify, or chances that do not fit.
    """
    chances = (transitions, stage_probs)
    game, variances = _leaders_part(log, regularizer, chances, leader_payoffs, noise, prior_mean)
    if not isinstance(game, MarkovGame):
        raise ValueError("log: got one of a contextual game, takes a Markov game's, with moves")
    reference = regularizer.log_reference[1].astype(game.dtype)
    fit = fit_farsighted(log.responses, game.transitions, reference, penalty=penalty, max_steps=max_steps)
    return _estimate(game, regularizer, fit, variances, 1.0)


def staged_error(policy: Float[Array, "stage leader"], problem: StagedLeaderProblem) -> Float[Array, ""]:
    """The standard error s(x) of a policy's value, of a problem whose `more` begins with covariance and variances."""
    covariance, variances = problem.more[:2]

    def earned(table: Array) -> Array:
        return from_start(policy, problem._replace(game=_with_payoffs(problem.game, table)))

    own, others = jnp.moveaxis(jax.grad(earned)(problem.game.table), -3, 0)
    slope = (problem.regularizer.temperatures[1] * others).reshape(len(covariance), -1)  # by u, of nats
    spread = jnp.einsum("ni,nij,nj->", slope, covariance, slope, precision=PRECISION)
    variance = spread + jnp.sum(own**2 * variances)
    positive = variance > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0)


def _cautious(policy: Float[Array, "stage leader"], problem: StagedLeaderProblem) -> Float[Array, ""]:
    """The value J, less so many standard errors as the third of `more` says."""
    return from_start(policy, problem) - problem.more[2] * staged_error(policy, problem)


def _problem(estimate: StagedEstimate, regularizer: Regularizer, scale: ArrayLike) -> StagedLeaderProblem:
    if not isinstance(estimate, StagedEstimate):
        raise TypeError(f"estimate: got {type(estimate).__name__}, takes a StagedEstimate")
    check_commitment(estimate.game, regularizer, ContextualGame, MarkovGame)
    covariance, dtype = estimate.fit.covariance, estimate.game.dtype
    blocks = covariance.reshape(-1, *covariance.shape[-2:])
    more = (blocks, estimate.variances, jnp.asarray(scale, dtype))
    return StagedLeaderProblem(estimate.game, regularizer.astype(dtype), estimate.patience, more)


def pessimistic_stages(
    estimate: StagedEstimate,
    regularizer: Regularizer,
    scale: ArrayLike,
    *,
    max_steps: int = MAX_STEPS,
    throw: bool = True,
) -> StagedCommitment:
    """The policy for all stages whose value from the start is the highest when c standard errors are taken off.

    The whole policy climbs to a local maximum, from the estimated game's plans, from the centre and from each pure
    policy, as in `farsighted_stackelberg`; the highest one is returned.

    Args:
        estimate: from `estimate_myopic` or `estimate_farsighted`.
        regularizer: references and temperatures, as it was for the estimate.
        scale: c, how many standard errors; >= 0, may be traced.
        max_steps: Newton steps of each climb; static.
        throw: raise where the status is not `Status.converged`; acts on concrete inputs only.

    Returns:
        A `StagedCommitment`, whose `value`, `gap` and `curvature` are those of J_hat - c s.

    Raises:
        TypeError: `estimate` is something else.
        ValueError: a bad scale, or a regularizer that does not fit.
        SolveError: no local maximum was certified.
    """
    check_nonnegative(scale=scale)
    check_options(None, max_steps)
    return conclude(plan_whole(_cautious, _problem(estimate, regularizer, scale), max_steps), throw)


@jax.jit
def _band(policy: Float[Array, "stage leader"], problem: StagedLeaderProblem, level: ArrayLike) -> ValueBand:
    return band_around(from_start(policy, problem), staged_error(policy, problem), level)


def staged_value_band(
    estimate: StagedEstimate, regularizer: Regularizer, policy: ArrayLike | Sequence[Any], level: ArrayLike = 0.9
) -> ValueBand:
    """A policy's value from the start with a band that covers the true one in a share `level` of logs, as these grow.

    Args:
        estimate: from `estimate_myopic` or `estimate_farsighted`, without penalty.
        regularizer: references and temperatures, as it was for the estimate.
        policy: x, the leader's probabilities ``[*stage, leader]``.
        level: of the band, above 0 and below 1.

    Returns:
        A `ValueBand`, payoff units.

    Raises:
        TypeError: `estimate` is something else.
        ValueError: x is no policy, or the level is out of range.
    """
    problem = _problem(estimate, regularizer, 0.0)
    check_level(level)
    strategy = staged_policy(estimate.game, policy)
    return _band(strategy.reshape(-1, strategy.shape[-1]), problem, level)
