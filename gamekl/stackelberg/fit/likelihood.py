"""The likelihood of a follower's actions, and its derivatives.

With u = r_f / tau_f the follower's payoffs in nats, counts n_kb of responses b to the policies x_k, N_k their sum, and
nu_k the quantal response to x_k (`gamekl.stackelberg.follower`),

    L(u) = sum_kb n_kb log nu_k(b) - penalty / 2 |w|^2,      u(a, b) = sum_j w_j phi_j(a, b),

which is concave. Its derivatives are those of a multinomial logit with features psi_k(b) = sum_a x_k(a) phi(a, b),

    gradient = sum_kb (n_kb - N_k nu_k(b)) psi_k(b) - penalty w,     information I = sum_k N_k Cov_{b ~ nu_k} psi_k(b).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import support
from gamekl.offline.logistic import Slopes


def contrasts(size: int) -> Float[np.ndarray, "action contrast"]:
    """Orthonormal coordinates of vectors that sum to 0."""
    table = np.tril(np.ones((size, size)), -1)[:, : size - 1] * -1.0 + np.eye(size)[:, : size - 1] * np.arange(
        size - 1, 0, -1
    )
    return table / np.sqrt(np.sum(table**2, axis=0))


def tabular(leader: int, follower: int) -> Float[np.ndarray, "leader follower feature"]:
    """The features of all tables whose rows sum to 0."""
    table = np.einsum("ac,bj->abcj", np.eye(leader), contrasts(follower))
    return table.reshape(leader, follower, -1)


class ResponseLog(NamedTuple):
    """What is to be fitted; of many, each leaf has a leading axis.

    Attributes:
        strategies: x_k.
        counts: n_kb.
        log_reference: the follower's.
        features: phi.
        guard: a curvature for weights that no response depends on; 0 elsewhere.
        penalty: of |w|^2 / 2.
    """

    strategies: Float[Array, "*lane strategy leader"]
    counts: Float[Array, "*lane strategy follower"]
    log_reference: Float[Array, "*lane follower"]
    features: Float[Array, "*lane leader follower feature"]
    guard: Float[Array, "*lane feature feature"]
    penalty: Float[Array, "*lane"]


def projected_features(log: ResponseLog) -> Float[Array, "strategy follower feature"]:
    """The features psi_k(b) under the leader's policies, and 0 where the follower's reference is."""
    found = jnp.einsum("ka,abj->kbj", log.strategies, log.features, precision=PRECISION)
    return jnp.where(support(log.log_reference)[:, None], found, 0)


def _log_chances(log: ResponseLog, projected: Array, weights: Array) -> Float[Array, "strategy follower"]:
    return jax.nn.log_softmax(log.log_reference + jnp.matmul(projected, weights, precision=PRECISION), axis=-1)


def log_likelihood(log: ResponseLog, weights: Float[Array, " feature"]) -> Float[Array, ""]:
    """The log-likelihood L of weights, nats."""
    chances = _log_chances(log, projected_features(log), weights)
    seen = jnp.where(support(log.log_reference), log.counts * jnp.where(support(chances), chances, 0), 0)
    return jnp.sum(seen) - log.penalty / 2 * jnp.sum(weights**2)


def information(
    projected: Float[Array, "strategy follower feature"],
    chances: Float[Array, "strategy follower"],
    rows: Float[Array, " strategy"],
) -> Float[Array, "feature feature"]:
    """The information I of so many rows for each strategy."""
    mean = jnp.einsum("kb,kbj->kj", chances, projected, precision=PRECISION)
    spread = (jnp.sqrt(rows[:, None] * chances)[..., None] * (projected - mean[:, None])).reshape(-1, mean.shape[1])
    return jnp.matmul(spread.T, spread, precision=PRECISION)


def slopes_at(
    log: ResponseLog, projected: Float[Array, "strategy follower feature"], weights: Float[Array, " feature"]
) -> Slopes:
    """Derivatives of L, where `projected_features` are known; without a lane axis."""
    chances, rows = jnp.exp(_log_chances(log, projected, weights)), log.counts.sum(axis=1)
    surprise = log.counts - rows[:, None] * chances
    gradient = jnp.einsum("kb,kbj->j", surprise, projected, precision=PRECISION) - log.penalty * weights
    return Slopes(gradient, _guarded(log, information(projected, chances, rows)))


def slopes(log: ResponseLog, weights: Float[Array, " feature"]) -> Slopes:
    """Derivatives of L; without a lane axis."""
    return slopes_at(log, projected_features(log), weights)


def _guarded(log: ResponseLog, told: Float[Array, "feature feature"]) -> Float[Array, "feature feature"]:
    curvature = told + log.penalty * jnp.eye(len(told), dtype=told.dtype)
    return curvature + jnp.trace(curvature) / len(told) * log.guard


def least_squares(log: ResponseLog, projected: Float[Array, "strategy follower feature"]) -> Slopes:
    """The quadratic whose maximiser fits the logarithms of how often responses were seen; without a lane axis.

    Half a response is added to each, so that none is infinite. Weights are those of the information there, so that L
    comes to this as rows grow: its maximiser is where to begin (derived).
    """
    inside = support(log.log_reference)
    seen = jnp.where(inside, log.counts + 0.5, 0)
    chances = seen / seen.sum(axis=1, keepdims=True)
    logits = jnp.where(inside, jnp.log(jnp.where(inside, chances, 1)) - jnp.where(inside, log.log_reference, 0), 0)
    apart = logits - jnp.sum(chances * logits, axis=1, keepdims=True)
    rows = log.counts.sum(axis=1)
    gradient = jnp.einsum("kb,kbj->j", rows[:, None] * chances * apart, projected, precision=PRECISION)
    return Slopes(gradient, _guarded(log, information(projected, chances, rows)))
