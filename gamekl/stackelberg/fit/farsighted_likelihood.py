"""The likelihood of a farsighted follower's responses, its derivatives, and what any responses can tell.

With nu_k(b | h, s) the response to x_k (`gamekl.stackelberg.staged_follower`, patience 1), u = r_f / tau_f in all
stages, counts n_khsb of responses and N_khs their sums over b,

    L(u) = sum_khsb n_khsb log nu_k(b | h, s)
    gradient = sum_khsb n_khsb J_khsb,      J_khsb = d log nu_k(b | h, s) / du
    information I = sum_khsb N_khs nu_k(b | h, s) J_khsb J_khsb^T

What is known of u (derived): no response to any policy changes exactly where the change of u is

    g_h(s) - sum_s' P_h(s' | s, a, b) g_{h+1}(s')  at h > 1,     g_1(s, a) - sum_s' P_1(s' | s, a, b) g_2(s')  at h = 1,

as the follower's value then moves by g_h(s), whatever it does. So payoffs are known better than those of a myopic
follower, of which each (h, s, a) has a free shift, as a leader's later policy matters to the response now; and it
takes more policies to tell them. That is so where the follower has a say in which state comes: where it has none,
g_h(s) may depend on a too. These directions are the same for all u: they are found as the null space of I where random
policies were announced in each stage that can be reached.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core.kernels.lanes import PRECISION, in_turn
from gamekl.core.policies import support
from gamekl.stackelberg.fit.payoffs import SINGULAR_BELOW
from gamekl.stackelberg.staged_follower import respond_at_stages


class FarsightedLog(NamedTuple):
    """What is to be fitted; policies along the first axis."""

    strategies: Float[Array, "strategy horizon state leader"]
    counts: Float[Array, "strategy horizon state follower"]
    transitions: Float[Array, "horizon state leader follower next_state"]
    log_reference: Float[Array, "horizon state follower"]
    penalty: Float[Array, ""]


def _log_chances(log: FarsightedLog, u: Float[Array, " unknown"]) -> Float[Array, "strategy horizon state follower"]:
    """The follower's log-policies log nu_k, and 0 where the reference is masked."""
    utilities = u.reshape(log.transitions.shape[:-1])
    response = partial(
        respond_at_stages, utilities=utilities, transitions=log.transitions, log_reference=log.log_reference
    )
    return jnp.where(support(log.log_reference), jax.vmap(response)(log.strategies), 0)


def derivatives(log: FarsightedLog, u: Float[Array, " unknown"]) -> tuple[Array, Array, Array]:
    """The log-likelihood L, its gradient and the information, without the penalty."""

    def twice(u: Array) -> tuple[Array, Array]:
        chances = _log_chances(log, u)
        return chances, chances

    slope, chances = jax.jacfwd(twice, has_aux=True)(u)
    slope = slope.reshape(-1, u.size)
    allowed = jnp.where(support(log.log_reference), jnp.exp(chances), 0)
    expected = log.counts.sum(axis=-1, keepdims=True) * allowed
    spread = jnp.sqrt(expected).reshape(-1, 1) * slope
    gradient = jnp.matmul(log.counts.ravel(), slope, precision=PRECISION)
    return jnp.sum(log.counts * chances), gradient, jnp.matmul(spread.T, spread, precision=PRECISION)


def _reached(log: FarsightedLog) -> Bool[Array, "horizon state"]:
    """The stages to which moves lead from the first states that were seen."""

    def step(here: Array, moves: Array) -> tuple[Array, Array]:
        onward = jnp.any((moves > 0) & here[:, None, None, None], axis=(0, 1, 2))
        return onward, here

    allowed = jnp.where(support(log.log_reference)[:, :, None, :, None], log.transitions, 0)
    return jax.lax.scan(step, log.counts[:, 0].sum(axis=(0, 2)) > 0, allowed)[1]


def expectable(log: FarsightedLog) -> Bool[Array, "horizon state follower"]:
    """The responses that may be seen, of the stages that may be reached."""
    return support(log.log_reference) & _reached(log)[..., None]


def untold_directions(log: FarsightedLog, u: Float[Array, " unknown"]) -> Float[Array, "unknown unknown"]:
    """The projection on the directions of u that no response tells, whatever is announced."""
    horizon, states, leader = log.transitions.shape[:3]
    kinds = 2 * leader + 2  # each tells of follower - 1 in each stage, and leader * follower are to be told
    policies = np.random.default_rng(0).dirichlet(np.ones(leader), size=(kinds, horizon, states))
    rows = jnp.where(expectable(log), jnp.exp(log.log_reference), 0)
    rich = log._replace(strategies=jnp.asarray(policies, u.dtype), counts=jnp.broadcast_to(rows, (kinds, *rows.shape)))
    vectors, values = in_turn(jax.lax.linalg.eigh)(derivatives(rich, u)[2])
    free = vectors * jnp.where(values <= SINGULAR_BELOW[u.dtype] * values[-1], 1, 0).astype(u.dtype)
    return jnp.matmul(free, free.T, precision=PRECISION)
