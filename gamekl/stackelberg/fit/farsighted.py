"""A farsighted follower's payoffs by maximum likelihood, from its responses in a Markov game whose moves are known.

In the notation of `gamekl.stackelberg.fit.farsighted_likelihood`, the fit maximises L(u) - penalty / 2 |u|^2. The
values ahead are convex in u, so that L is not concave in general: what is found is a local maximum, by scoring, (I + mu
D)^-1 gradient with D the diagonal of I and mu falling where L rises as foreseen and rising where it does not, from u =
0. u is reported without the directions that no responses tell, and its covariance is 0 there. A log tells the payoffs
that can be told at all if its I has no larger null space, at u drawn at random.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION, in_turn, solve_positive
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_finite, check_nonnegative, check_whole
from gamekl.stackelberg.fit.checks import refuse_farsighted
from gamekl.stackelberg.fit.farsighted_likelihood import FarsightedLog, derivatives, expectable, untold_directions
from gamekl.stackelberg.fit.payoffs import (
    MAX_STEPS,
    SINGULAR_BELOW,
    check_temperature,
    follower_reference,
    unit_diagonal,
)
from gamekl.stackelberg.fit.responses import Responses

# The residual at which the fit ends, and how many times it may be left where rounding stops the fit.
TOLERANCE = {jnp.dtype("float32"): 1e-5, jnp.dtype("float64"): 1e-9}
SLACK = 10
# Of the likelihood, what may be lost to rounding.
ROUNDING = 16
FIRST_DAMPING = 1e-3
MOST_DAMPING = 1e10


class FarsightedFit(Shown):
    """A farsighted follower's payoffs of maximal likelihood.

    Attributes:
        utilities: u = r_f / tau_f, nats, without what no response tells; NaN where they are not identified; shape
            ``[horizon, state, leader, follower]``.
        covariance: the inverse information (with the penalty) of all of u, flattened, nats squared, shape
            ``[unknown, unknown]``; 0 in directions that no response tells.
        log_likelihood: sum_khsb n_khsb log nu_k(b | h, s), nats.
        residual: how far a scoring step would still move log nu, nats, root mean square over rows.
        rank: in how many directions of u the log has information.
        num_told: in how many responses to all policies would have it.
        num_steps: steps that were tried.
        status: a `FitStatus` value.
    """

    utilities: Float[Array, "horizon state leader follower"]
    covariance: Float[Array, "unknown unknown"]
    log_likelihood: Float[Array, ""]
    residual: Float[Array, ""]
    rank: Int[Array, ""]
    num_told: Int[Array, ""]
    num_steps: Int[Array, ""]
    status: Int[Array, ""]
    status_type: ClassVar = FitStatus

    def payoffs(self, temperature: ArrayLike) -> Float[Array, "horizon state leader follower"]:
        """The payoffs r_f without what no response tells, payoff units, for the follower's temperature tau_f."""
        check_temperature(temperature)
        return jnp.asarray(temperature, self.utilities.dtype) * self.utilities


class _Point(NamedTuple):
    """What is known of L, over the number of rows, at u; directions that no responses tell have a curvature too."""

    u: Float[Array, " unknown"]
    value: Float[Array, ""]
    gradient: Float[Array, " unknown"]
    curvature: Float[Array, "unknown unknown"]
    residual: Float[Array, ""]


class _Search(NamedTuple):
    """Where the fit is, and where it looks next."""

    here: _Point
    trial: Float[Array, " unknown"]
    rise: Float[Array, ""]
    damping: Float[Array, ""]
    num_steps: Int[Array, ""]


def _scoring(curvature: Array, gradient: Array) -> Array:
    return solve_positive(curvature, gradient[:, None])[:, 0]


def _search(log: FarsightedLog, untold: Array, usable: Array, max_steps: int) -> _Search:
    total = log.counts.sum()
    begin = jnp.zeros(len(untold), untold.dtype)
    tol, noise = TOLERANCE[begin.dtype], ROUNDING * float(jnp.finfo(begin.dtype).eps)

    def look(u: Array) -> _Point:
        value, gradient, information = derivatives(log, u)
        value = (value - log.penalty / 2 * jnp.sum(u**2)) / total
        gradient = (gradient - log.penalty * u) / total
        information = (information + log.penalty * jnp.eye(u.size, dtype=u.dtype)) / total
        curvature = information + jnp.trace(information) / u.size * untold
        left = jnp.matmul(gradient, _scoring(curvature, gradient), precision=PRECISION)
        return _Point(u, value, gradient, curvature, jnp.sqrt(jnp.maximum(left, 0)))

    def aim(here: _Point, damping: Array) -> tuple[Array, Array]:
        move = _scoring(here.curvature + damping * jnp.diag(jnp.diagonal(here.curvature)), here.gradient)
        move = move - jnp.matmul(untold, move, precision=PRECISION)
        curved = jnp.matmul(move, jnp.matmul(here.curvature, move, precision=PRECISION), precision=PRECISION)
        return here.u + move, jnp.matmul(here.gradient, move, precision=PRECISION) - curved / 2

    def busy(state: _Search) -> Array:
        more = (state.num_steps < max_steps) & (state.damping < MOST_DAMPING)
        return usable & more & (state.here.residual > tol)

    def step(state: _Search) -> _Search:
        there = look(state.trial)
        change = there.value - state.here.value
        level = (state.rise <= noise * jnp.abs(state.here.value)) & (there.residual < state.here.residual)
        good = (change >= state.rise / 8) & (state.rise > 0) | level
        here = jax.tree.map(lambda new, old: jnp.where(good, new, old), there, state.here)
        factor = jnp.where(good, jnp.where(level | (change >= state.rise / 2), 0.1, 1), 4)
        damping = state.damping * factor
        return _Search(here, *aim(here, damping), damping, state.num_steps + 1)

    here, damping = look(begin), jnp.asarray(FIRST_DAMPING, begin.dtype)
    return jax.lax.while_loop(busy, step, _Search(here, *aim(here, damping), damping, jnp.zeros((), jnp.int32)))


@partial(jit, static_argnames="max_steps", quick=True)
def _fit(log: FarsightedLog, max_steps: int) -> FarsightedFit:
    size = int(np.prod(log.transitions.shape[:-1]))
    anywhere = jax.random.normal(jax.random.key(0), (size,), log.counts.dtype)
    untold = untold_directions(log, anywhere)
    mute = jnp.round(jnp.trace(untold)).astype(jnp.int32)
    information = derivatives(log, anywhere)[2]
    guarded = unit_diagonal(information + jnp.trace(information) / size * untold)
    spectrum = in_turn(lambda matrix: jax.lax.linalg.eigh(matrix)[1])(guarded)
    rank = jnp.sum(spectrum > SINGULAR_BELOW[spectrum.dtype]).astype(jnp.int32) - mute
    finite = jnp.all(jnp.isfinite(log.counts) & (log.counts >= 0)) & jnp.all(jnp.isfinite(log.transitions))
    penalized = log.penalty > 0
    identified = (rank == size - mute) | penalized
    unseen = (log.counts.sum(axis=0) == 0) & expectable(log)
    usable = finite & identified & (penalized | ~jnp.any(unseen))
    end = _search(log, untold, usable, max_steps)
    u, rows = end.here.u, log.counts.sum()
    told = jnp.eye(size, dtype=u.dtype) - untold
    covariance = jnp.matmul(told, solve_positive(end.here.curvature, told), precision=PRECISION) / rows
    found = end.here.residual <= SLACK * TOLERANCE[u.dtype]
    status = jnp.where(identified, FitStatus.no_maximizer, FitStatus.not_identified)
    status = jnp.where(finite, status, FitStatus.nonfinite_input)
    ended = jnp.where(found, FitStatus.converged, FitStatus.max_steps)
    return FarsightedFit(
        jnp.where(usable, u, jnp.nan).reshape(log.transitions.shape[:-1]),
        jnp.where(usable, covariance, jnp.nan),
        end.here.value * rows + log.penalty / 2 * jnp.sum(u**2),
        end.here.residual,
        rank,
        size - mute,
        end.num_steps,
        jnp.where(usable, ended, status).astype(jnp.int32),
    )


def fit_farsighted(
    responses: Responses,
    transitions: ArrayLike | Sequence[Any],
    log_reference: ArrayLike | Sequence[Any] | None = None,
    *,
    penalty: ArrayLike = 0.0,
    max_steps: int = MAX_STEPS,
) -> FarsightedFit:
    """Fit the payoffs of a follower that looks ahead by maximum likelihood, in all stages at once.

    The function may be transformed by ``jax.jit`` and ``jax.vmap``, which never raise: there, the status tells where no
    maximum was found.

    Args:
        responses: the data, of the stages ``[horizon, state]``.
        transitions: P_h(s' | s, a, b), known or estimated (`Episodes.transitions`), shape
            ``[horizon, state, leader, follower, next_state]``; where all are 0, the episode ends.
        log_reference: the follower's, ``[follower]`` or ``[horizon, state, follower]``, of which -inf masks an action;
            uniform if None.
        penalty: of |u|^2 / 2 beside the log-likelihood, nats^-2; >= 0, may be traced. With one a maximum always exists.
        max_steps: before giving up; static.

    Returns:
        A `FarsightedFit`.

    Raises:
        TypeError: `responses` is something else.
        ValueError: no responses, masked ones, transitions that do not fit, a bad penalty; or (where concrete) an action
            never seen, payoffs that the log does not identify, or no maximum found.

    Source: derived, in `stackelberg.fit.farsighted_likelihood`.
    """
    if not isinstance(responses, Responses):
        raise TypeError(f"responses: got {type(responses).__name__}, takes Responses")
    check_whole(max_steps=max_steps)
    check_nonnegative(penalty=penalty)
    strategies, counts = responses.strategies, responses.counts
    if counts.ndim != 4:
        raise ValueError(f"counts: got shape {counts.shape}, takes [horizon, state, strategy, follower]")
    if is_concrete(counts) and not np.any(np.asarray(counts)):
        raise ValueError("counts: got no responses, takes at least one")
    horizon, states, _, follower = counts.shape
    if follower < 2:
        raise ValueError(f"counts: got {follower} action of the follower, takes at least two")
    moves = as_float_array("transitions", transitions).astype(counts.dtype)
    shape = (horizon, states, strategies.shape[-1], follower, states)
    if moves.shape != shape:
        takes = f"[horizon, state, leader, follower, next_state] = {shape}"
        raise ValueError(f"transitions: got shape {moves.shape}, takes {takes}")
    if is_concrete(moves):
        check_finite("transitions", np.asarray(moves))
    log = FarsightedLog(
        jnp.moveaxis(strategies.astype(counts.dtype), 2, 0),
        jnp.moveaxis(counts, 2, 0),
        moves,
        follower_reference(log_reference, counts),
        jnp.asarray(penalty, counts.dtype),
    )
    found = _fit(log, max_steps)
    if is_concrete(found):
        told = (int(found.rank), int(found.num_told))
        refuse_farsighted(int(found.status), told, np.asarray(counts), np.asarray(expectable(log)))
    return found
