"""A follower's payoffs by maximum likelihood, from its actions alone.

In the notation of `gamekl.stackelberg.fit.likelihood`, the fit is argmax L, by Newton's method.

What is known of u: nothing that does not depend on b, as that changes no response, so u is reported with mean 0 over
the follower's actions for each a; and tau_f r_f only where tau_f is known, as responses depend on their ratio alone.
Without features w are the coordinates of such tables. I is regular, and the maximiser is the only one, where the x_k
that were responded to span all of the leader's actions; it is finite unless some w would make all responses at
least as likely, however far one goes (derived). Newton's steps have the lengths of `gamekl.offline.logistic`, as the
third cumulant of a variable is at most its range times its variance (derived).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.kernels.batching import joining_batches
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION, in_turn, largest
from gamekl.core.policies import centre, is_concrete, support
from gamekl.core.show import Shown
from gamekl.core.status import FitStatus
from gamekl.core.validation import check_distribution, check_finite, check_nonnegative, check_whole, refuse, show_place
from gamekl.offline.logistic import Fit, Slopes, maximize
from gamekl.stackelberg.fit.checks import refuse_unfit
from gamekl.stackelberg.fit.likelihood import ResponseLog, least_squares, projected_features, slopes_at, tabular
from gamekl.stackelberg.fit.responses import Responses
from gamekl.stackelberg.follower import respond

MAX_STEPS = 100
# How far, in nats, Newton's next step may move a payoff where there is a maximiser.
SETTLED = 0.1
# Fits side by side.
WIDTH = 64
# Least eigenvalue of the information, scaled to a diagonal of ones, that is not 0.
SINGULAR_BELOW = {jnp.dtype("float32"): 1e-5, jnp.dtype("float64"): 1e-10}


class FollowerFit(Shown):
    """A follower's payoffs of maximal likelihood.

    Attributes:
        utilities: u = r_f / tau_f, nats, with mean 0 over the follower's actions for each action of the leader, and 0
            where the follower's reference is; shape ``[*stage, leader, follower]``. NaN where there is no maximiser.
        weights: w, shape ``[*stage, feature]``.
        covariance: the inverse information (with the penalty) in terms of u, of which entries are flattened over
            (a, b), nats squared, shape ``[*stage, leader * follower, leader * follower]``.
        log_likelihood: sum_kb n_kb log nu_k(b), nats, shape ``[*stage]``.
        residual: how far any weight alone would move to where L is greatest, shape ``[*stage]``.
        num_steps: Newton steps, shape ``[*stage]``.
        status: a `FitStatus` value, shape ``[*stage]``.
    """

    utilities: Float[Array, "*stage leader follower"]
    weights: Float[Array, "*stage feature"]
    covariance: Float[Array, "*stage cell cell"]
    log_likelihood: Float[Array, "*stage"]
    residual: Float[Array, "*stage"]
    num_steps: Int[Array, "*stage"]
    status: Int[Array, "*stage"]
    status_type: ClassVar = FitStatus

    def payoffs(self, temperature: ArrayLike) -> Float[Array, "*stage leader follower"]:
        """The payoffs r_f, centred, in payoff units, for a known temperature tau_f of the follower."""
        check_temperature(temperature)
        return jnp.asarray(temperature, self.utilities.dtype) * self.utilities


def check_temperature(temperature: ArrayLike) -> None:
    """Raise ``ValueError`` unless it is a number, and where concrete finite and above 0."""
    known = is_concrete(temperature)
    if np.shape(temperature) != () or (known and not 0 < np.asarray(temperature, dtype=float) < np.inf):
        raise ValueError(f"temperature: got {temperature!r}, takes a finite number > 0: 1 / the rationality")


def unit_diagonal(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A positive semidefinite matrix with unknowns scaled so that its diagonal has ones, or zeros."""
    size = jnp.sqrt(jnp.diagonal(matrix))
    safe = jnp.where(size > 0, size, 1)
    return matrix / safe[:, None] / safe


def _is_regular(matrix: Float[Array, "n n"]) -> Bool[Array, ""]:
    """Whether no eigenvalue of a matrix whose diagonal is scaled to ones is 0: Cholesky's factors tell that soonest."""
    above = unit_diagonal(matrix) - SINGULAR_BELOW[matrix.dtype] * jnp.eye(len(matrix), dtype=matrix.dtype)
    return jnp.all(jnp.isfinite(in_turn(jnp.linalg.cholesky)(above)))


def _inverse_times(matrix: Float[Array, "n n"], right: Float[Array, "n r"]) -> Float[Array, "n r"]:
    return jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(matrix), right)


def _spread(log: ResponseLog) -> Float[Array, "feature cell"]:
    """What a unit of each weight does to the centred payoffs."""
    features = jnp.moveaxis(log.features, -1, 0)
    return centre(features, support(log.log_reference)).reshape(len(features), -1)


def _conclude(
    log: ResponseLog, usable: Array, status: Array, fit: Fit, solved: Float[Array, "feature cell_and_one"]
) -> FollowerFit:
    """What is told of one fit; `solved` is the inverse curvature times the spread, and times the gradient."""
    mask, spread = support(log.log_reference), _spread(log)
    table = jnp.einsum("abj,j->ab", log.features, fit.x, precision=PRECISION)
    covariance = jnp.matmul(spread.T, solved[:, :-1], precision=PRECISION)
    # Where the maximiser is infinite, the likelihood is flat at last, and Newton's steps stay as long as they were.
    left = jnp.matmul(spread.T, solved[:, -1], precision=PRECISION)
    escapes = usable & fit.converged & (jnp.max(jnp.abs(left)) > SETTLED)
    status = jnp.where(escapes, FitStatus.no_maximizer, status)
    usable = usable & ~escapes
    utilities = jnp.where(usable, centre(table, mask), jnp.nan)
    chances = respond(log.strategies, utilities, log.log_reference)
    likelihood = jnp.sum(jnp.where(log.counts > 0, log.counts * chances, 0))
    ended = jnp.where(fit.converged, FitStatus.converged, FitStatus.max_steps)
    status = jnp.where(usable, ended, status).astype(jnp.int32)
    return FollowerFit(
        utilities,
        jnp.where(usable, fit.x, jnp.nan),
        jnp.where(usable, covariance, jnp.nan),
        likelihood,
        fit.residual,
        fit.num_steps,
        status,
    )


def _solve(logs: ResponseLog, unseen: Array, max_steps: int) -> FollowerFit:
    """Fit logs side by side, in lanes."""
    nowhere = jnp.zeros((logs.features.shape[-1], len(logs.counts)), logs.counts.dtype)
    finite = jnp.all(jnp.isfinite(logs.counts) & (logs.counts >= 0), axis=(1, 2))
    projected = jax.vmap(projected_features)(logs)

    def derivatives(weights: Array) -> Slopes:
        return jax.vmap(slopes_at, in_axes=(0, 0, -1), out_axes=-1)(logs, projected, weights)

    def widest(move: Array) -> Array:
        moved = jnp.einsum("lkbj,jl->kbl", projected, move, precision=PRECISION)
        inside = support(logs.log_reference).T
        top = jnp.max(jnp.where(inside, moved, -jnp.inf), axis=1)
        return largest(top - jnp.min(jnp.where(inside, moved, jnp.inf), axis=1))

    regular = jax.vmap(_is_regular)(jnp.moveaxis(derivatives(nowhere).curvature, -1, 0))
    identified = regular | (logs.penalty > 0)
    usable = finite & identified & ~unseen
    status = jnp.where(identified, FitStatus.no_maximizer, FitStatus.not_identified)
    status = jnp.where(finite, status, FitStatus.nonfinite_input)
    simple = jax.vmap(least_squares, out_axes=-1)(logs, projected)
    fit = maximize(derivatives, widest, nowhere, usable, max_steps, simple)
    ended = jax.vmap(slopes_at, in_axes=(0, 0, -1))(logs, projected, fit.x)
    known = jnp.where(usable[:, None, None], ended.curvature, jnp.eye(len(nowhere), dtype=nowhere.dtype))
    right = jnp.concatenate([jax.vmap(_spread)(logs), ended.gradient[..., None]], axis=2)
    solved = jax.vmap(in_turn(_inverse_times))(known, right)
    return jax.vmap(_conclude, in_axes=(0, 0, 0, -1, 0))(logs, usable, status, fit, solved)


@partial(jit, static_argnames="max_steps", quick=True)
def _fit(log: ResponseLog, unseen: Array, max_steps: int) -> FollowerFit:
    """Fit logs along the first axis; under ``jax.vmap``, nested or not, all batches' logs share their lanes."""

    def together(batch: tuple[ResponseLog, Array]) -> FollowerFit:
        size = len(batch[1])
        if size <= WIDTH:
            return _solve(*batch, max_steps)
        rows = jnp.minimum(jnp.arange(-(-size // WIDTH) * WIDTH), size - 1).reshape(-1, WIDTH)

        def block(row: Array) -> FollowerFit:
            logs, without = jax.tree.map(lambda leaf: leaf[row], batch)
            return _solve(logs, without, max_steps)

        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:size], jax.lax.map(block, rows))

    return joining_batches(together)((log, unseen))


def follower_reference(
    log_reference: ArrayLike | Sequence[Any] | None, counts: Array
) -> Float[Array, "*stage follower"]:
    """The follower's reference for every stage, checked against the counts."""
    size = counts.shape[-1]
    found = jnp.full(size, -jnp.log(size)) if log_reference is None else as_float_array("log_reference", log_reference)
    if found.shape not in ((size,), (*counts.shape[:-2], size)):
        takes = f"[*stage, follower] = {(*counts.shape[:-2], size)} or [follower]"
        raise ValueError(f"log_reference: got shape {found.shape}, takes {takes}")
    found = jnp.broadcast_to(found.astype(counts.dtype), (*counts.shape[:-2], size))
    if is_concrete(found, counts):
        values = np.asarray(found)
        check_distribution("exp(log_reference)", np.exp(values), (-1,))
        odd = np.argwhere((np.asarray(counts) > 0) & np.isneginf(values)[..., None, :])
        if len(odd):
            place = show_place(odd[0])
            raise ValueError(f"counts{place}: got a response that log_reference masks, takes 0 there")
    return found


def _features(features: ArrayLike | Sequence[Any] | None, leader: int, follower: int, dtype: Any) -> Array:
    if features is None:
        return jnp.asarray(tabular(leader, follower), dtype)
    found = as_float_array("features", features).astype(dtype)
    if found.shape[:-1] != (leader, follower) or not found.shape[-1]:
        takes = f"[leader, follower, feature] with {(leader, follower)} first and at least one feature"
        raise ValueError(f"features: got shape {found.shape}, takes {takes}")
    if is_concrete(found):
        check_finite("features", np.asarray(found))
    return found


def response_log(
    responses: Responses,
    log_reference: ArrayLike | Sequence[Any] | None,
    features: ArrayLike | Sequence[Any] | None,
    penalty: ArrayLike,
) -> ResponseLog:
    """What `fit_responses` fits, its arguments checked; stages along one axis."""
    if not isinstance(responses, Responses):
        raise TypeError(f"responses: got {type(responses).__name__}, takes Responses")
    strategies, counts = responses.strategies, responses.counts
    stage = counts.shape[:-2]
    if np.shape(penalty) != stage:
        check_nonnegative(penalty=penalty)
    elif is_concrete(penalty):
        found = np.asarray(penalty, dtype=float)
        refuse("penalty", found, ~(found >= 0) | np.isinf(found), "a finite number >= 0")
    if is_concrete(counts) and not np.any(np.asarray(counts)):
        raise ValueError("counts: got no responses, takes at least one")
    leader, follower = strategies.shape[-1], counts.shape[-1]
    if follower < 2:
        raise ValueError(f"counts: got {follower} action of the follower, takes at least two")
    reference = follower_reference(log_reference, counts).reshape(-1, follower)
    phi, lanes = _features(features, leader, follower, counts.dtype), len(reference)
    masked = jnp.where(support(reference), 0, 1).astype(counts.dtype)
    guard = jnp.zeros((lanes, phi.shape[-1], phi.shape[-1]), counts.dtype)
    if features is None:  # coordinates that move masked actions alone may have any curvature
        guard = jnp.einsum("abi,lb,abj->lij", phi, masked, phi)
    flat = counts.reshape(-1, *counts.shape[-2:])
    return ResponseLog(
        strategies.astype(counts.dtype).reshape(-1, *strategies.shape[-2:]),
        flat,
        reference,
        jnp.broadcast_to(phi, (lanes, *phi.shape)),
        guard,
        jnp.broadcast_to(jnp.asarray(penalty, counts.dtype), stage).reshape(lanes),
    )


def fit_responses(
    responses: Responses,
    log_reference: ArrayLike | Sequence[Any] | None = None,
    *,
    features: ArrayLike | Sequence[Any] | None = None,
    penalty: ArrayLike = 0.0,
    max_steps: int = MAX_STEPS,
) -> FollowerFit:
    """Fit the follower's payoffs to its actions by maximum likelihood.

    Newton's method takes steps that rise from everywhere (derived, in `offline.logistic`). Stages are fitted side by
    side; the function may be transformed by ``jax.jit`` and ``jax.vmap``, which never raise: there, the status tells
    where no finite maximiser was found.

    Args:
        responses: the data.
        log_reference: the follower's, ``[follower]`` or ``[*stage, follower]``, of which -inf masks an action; uniform
            if None.
        features: phi, shape ``[leader, follower, feature]``, in which the follower's payoffs over its temperature are
            linear; all tables if None. With the follower's payoffs as their only feature, the weight is the
            rationality 1 / tau_f. For a class that contexts share, take (context, action) as the leader's actions.
        penalty: of |w|^2 / 2 beside the log-likelihood, nats^-2; >= 0, a number or one for each stage, may be traced.
            With one a maximiser always exists.
        max_steps: Newton steps before giving up; static.

    Returns:
        A `FollowerFit`.

    Raises:
        TypeError: `responses` is something else.
        ValueError: no responses, responses that are masked, bad features or penalty; or (where concrete) a likelihood
            without a finite maximiser, or payoffs that are not identified, with what is to blame.
    """
    check_whole(max_steps=max_steps)
    log = response_log(responses, log_reference, features, penalty)
    unseen = jnp.any((log.counts.sum(axis=1) == 0) & support(log.log_reference), axis=1)
    unseen = unseen & (log.penalty == 0) & (features is None)
    found = _fit(log, unseen, max_steps)
    stage = responses.counts.shape[:-2]
    if is_concrete(found, log):
        refuse_unfit(np.asarray(found.status), log, stage, named=features is not None)
    return jax.tree.map(lambda leaf: leaf.reshape(*stage, *leaf.shape[1:]), found)
