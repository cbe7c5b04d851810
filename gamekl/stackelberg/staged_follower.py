"""A leader that announces a policy for all stages, and a follower that responds to it.

At stage (h, s) of a Markov game the follower of `gamekl.stackelberg.follower` sees the leader's policy x, now and
later, and chooses b. With u = r_f / tau_f its payoffs in nats and V what it soft-values the next stages at,

    log nu_x(b | h, s) = log nu0(b) + sum_a x(a) [u_h(s, a, b) + patience sum_s' P_h(s' | s, a, b) V_{h+1}(s')] - V_h(s)

so that V_h(s) is the logarithm of a sum, and V_{H+1} = 0. A myopic follower has patience 0, a farsighted one 1, as
in the soft value iteration of a follower whose leader has committed (the setting of Chen, Wang and Yang, arXiv
2307.14085). In a contextual game there is nothing ahead.

The leader earns J(x), its expected payoffs less tau_l KL(x || x0) at each stage that is reached.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import ContextualGame, MarkovGame, StagedGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import check_profile, outer, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import policy_values
from gamekl.stackelberg.follower import anchor_cost, check_commitment, respond

# From a game, a regularizer and a leader's policy ``[*stage, leader]`` to log nu_x ``[*stage, follower]``.
Respond = Callable[[Any, Regularizer, Any], Array]


def respond_at_stages(
    policy: Float[Array, "horizon state leader"],
    utilities: Float[Array, "horizon state leader follower"],
    transitions: Float[Array, "horizon state leader follower next_state"],
    log_reference: Float[Array, "horizon state follower"],
) -> Float[Array, "horizon state follower"]:
    """The follower's log-policies log nu_x in a Markov game whose transitions are multiplied by the patience."""

    def step(ahead: Array, inputs: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
        strategy, own, moves, reference = inputs
        values = own + jnp.matmul(moves, ahead, precision=PRECISION)
        scaled = reference + jnp.einsum("sa,sab->sb", strategy, values, precision=PRECISION)
        return jax.nn.logsumexp(scaled, axis=-1), jax.nn.log_softmax(scaled)

    nothing = jnp.zeros(utilities.shape[1], utilities.dtype)
    return jax.lax.scan(step, nothing, (policy, utilities, transitions, log_reference), reverse=True)[1]


@jit
def responses(
    policy: Float[Array, "*stage leader"], game: StagedGame, regularizer: Regularizer, patience: ArrayLike
) -> Float[Array, "*stage follower"]:
    """The follower's log-policies log nu_x at all stages."""
    utilities = jnp.moveaxis(game.table, -3, 0)[1] / regularizer.temperatures[1]
    reference = regularizer.log_reference[1]
    if isinstance(game, ContextualGame):
        return jax.vmap(respond)(policy, utilities, reference)
    moves = jnp.asarray(patience, game.dtype) * game.transitions.astype(game.dtype)
    return respond_at_stages(policy, utilities, moves, reference)


@jit
def value_against(
    policy: Float[Array, "*stage leader"],
    log_responses: Float[Array, "*stage follower"],
    game: StagedGame,
    regularizer: Regularizer,
) -> Float[Array, ""]:
    """What the leader earns from the start where the follower plays so, less its KLs, payoff units."""
    cost = anchor_cost(policy, regularizer.log_reference[0], regularizer.temperatures[0])
    costs = jnp.stack([cost, jnp.zeros_like(cost)], axis=-1)
    return policy_values(game, outer((policy, jnp.exp(log_responses))), costs)[0]


def value_from_start(
    policy: Float[Array, "*stage leader"], game: StagedGame, regularizer: Regularizer, patience: ArrayLike
) -> Float[Array, ""]:
    """What the leader earns from the start by announcing x, less its KLs, J(x), payoff units."""
    return value_against(policy, responses(policy, game, regularizer, patience), game, regularizer)


def staged_policy(game: StagedGame, policy: ArrayLike | Sequence[Any]) -> Float[Array, "*stage leader"]:
    """A leader's policy for all stages, checked."""
    sizes, stage = game.num_actions[:1], game.stage_shape
    return check_profile("policy", [policy], sizes, log=False, stage=stage)[0].astype(game.dtype)


def _checked_responses(game: StagedGame, regularizer: Regularizer, policy: Any, patience: float) -> Array:
    check_commitment(game, regularizer, ContextualGame, MarkovGame)
    return responses(staged_policy(game, policy), game, regularizer.astype(game.dtype), patience)


def myopic_response(
    game: StagedGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any]
) -> Float[Array, "*stage follower"]:
    """The log-policies of a follower that looks at each stage alone, to a leader that announces x.

    Args:
        game: a `ContextualGame` or a `MarkovGame`, leader and follower.
        regularizer: the follower's references, where -inf masks an action, and temperature.
        policy: x, the leader's probabilities ``[*stage, leader]``.

    Returns:
        log nu_x, shape ``[*stage, follower]``.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: there are not two players, x is no policy, or the follower's temperature is not > 0.
    """
    return _checked_responses(game, regularizer, policy, 0.0)


def farsighted_response(
    game: StagedGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any]
) -> Float[Array, "*stage follower"]:
    """The log-policies of a follower that looks ahead to the end, to a leader that announces x.

    Args:
        game: a `ContextualGame` or a `MarkovGame`, leader and follower.
        regularizer: the follower's references, where -inf masks an action, and temperature.
        policy: x, the leader's probabilities ``[*stage, leader]``.

    Returns:
        log nu_x, shape ``[*stage, follower]``.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: there are not two players, x is no policy, or the follower's temperature is not > 0.
    """
    return _checked_responses(game, regularizer, policy, 1.0)


def staged_leader_value(
    game: StagedGame, regularizer: Regularizer, policy: ArrayLike | Sequence[Any], response: Respond
) -> Float[Array, ""]:
    """What a leader earns from the start that announces x, less what leaving its references costs: J(x).

    Args:
        game: a `ContextualGame` or a `MarkovGame`, the true one where a learnt policy is to be judged.
        regularizer: references and temperatures; the leader's may be 0.
        policy: x, the leader's probabilities ``[*stage, leader]``.
        response: how the follower responds: `myopic_response` or `farsighted_response`.

    Returns:
        J, payoff units; -inf where x leaves the support of the leader's references.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: there are not two players, x is no policy, or the follower's temperature is not > 0.
    """
    log_responses = response(game, regularizer, policy)
    strategy, regularizer = staged_policy(game, policy), regularizer.astype(game.dtype)
    outside = jnp.any((strategy > 0) & ~support(regularizer.log_reference[0]))
    return jnp.where(outside, -jnp.inf, value_against(strategy, log_responses, game, regularizer))
