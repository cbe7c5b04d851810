"""The constant of the 1/n rate in contextual and Markov games (derived, by the delta method; MATH A6 for one stage).

Of an estimate from n episodes let, for player i at step h, with V its values at the true equilibrium pi,

    v_i(h, s, a) = Var(reward) + Var_{s' ~ P(. | s, a)} V_i(h + 1, s'),    mu(h, s, a) = chance to see (s, a) at step h;

v / (n mu) is the variance of the error that the estimate makes in r + P V there, and the errors of different (h, s, a)
are uncorrelated. What the player would gain follows, to first order, from these errors alone: to what the others' own
errors change it responds as it should. With q_i its error in the value of an action and W_i that in a state's value,

    q_i(h, s, a_i) = E_{a_-i ~ pi} [error(h, s, a) + sum_s' P(s' | s, a) W_i(h + 1, s')],    W_i = E_{a_i ~ pi} q_i,

so covariances C of W and K of q follow backwards from the last step, and

    n E[gap_i] -> sum_h E_{s ~ pi} [ sum_a pi_i(a) K(a, a) - sum_ab pi_i(a) K(a, b) pi_i(b) ] / (2 tau_i).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, StagedGame
from gamekl.core.lanes import PRECISION
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import occupancies


def as_markov(game: StagedGame) -> MarkovGame:
    """A contextual game as a Markov game of one step."""
    if isinstance(game, MarkovGame):
        return game
    states = len(game.context_probs)
    ends = jnp.zeros((1, states, *game.num_actions, states), game.dtype)
    return MarkovGame(game.payoffs[None], ends, game.context_probs)


def with_steps(game: StagedGame, array: Array) -> Array:
    """An array with the axes of `as_markov`'s stages."""
    return array[None] if isinstance(game, ContextualGame) else array


@jax.jit
def staged_constant(
    game: MarkovGame,
    regularizer: Regularizer,
    log_policy: tuple[Float[Array, "horizon state _"], ...],
    values: Float[Array, "horizon state player"],
    behavior: Float[Array, "horizon state *actions"],
    reward_variance: Float[Array, "horizon state player *actions"],
) -> Float[Array, " player"]:
    """The limit of n E[gap_i], shape ``[player]``, payoff units; infinite where data that are needed are missing."""
    policy = tuple(jnp.exp(entry) for entry in log_policy)
    seen = occupancies(game, behavior)
    seen = seen.reshape(*seen.shape, *[1] * game.num_players) * behavior
    come = occupancies(game, outer(policy))
    ahead = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    constants = [
        _constant(player, game, policy, ahead[..., player], seen, come, reward_variance[:, :, player])
        for player in range(game.num_players)
    ]
    return jnp.stack(constants) / (2 * regularizer.temperatures)


def _constant(
    player: int,
    game: MarkovGame,
    policy: tuple[Array, ...],
    ahead: Float[Array, "horizon next_state"],
    seen: Float[Array, "horizon state *actions"],
    come: Float[Array, "horizon state"],
    reward_variance: Float[Array, "horizon state *actions"],
) -> Float[Array, ""]:
    rest = tuple(axis for axis in range(1, game.num_players + 1) if axis != player + 1)  # of arrays [state, *actions]

    def step(covariance: Array, inputs: tuple[Array, ...]) -> tuple[Array, Array]:
        transitions, values, mine, others, chance, weight, noise = inputs
        mean = jnp.matmul(transitions, values, precision=PRECISION)
        square = jnp.matmul(transitions, values**2, precision=PRECISION)
        variance = noise + jnp.maximum(square - mean**2, 0)
        comes = (weight > 0).reshape(-1, *[1] * game.num_players)
        needed = jnp.where(comes, others**2 * variance, 0)
        terms = jnp.where(needed > 0, needed / jnp.where(chance > 0, chance, 1), 0)
        error = jnp.sum(terms, axis=rest)  # [state, own action]
        played = jnp.expand_dims(mine, rest) > 0
        missing = jnp.any((needed > 0) & (chance <= 0) & played)
        moves = jnp.sum(transitions * others[..., None], axis=rest)  # [state, own action, next_state]
        behind = jnp.einsum("sat,tu,sbu->sab", moves, covariance, moves, precision=PRECISION)
        within = jnp.sum(mine * jnp.diagonal(behind, axis1=1, axis2=2), axis=1)
        across = jnp.einsum("sa,sab,sb->s", mine, behind, mine, precision=PRECISION)
        spread = mine * (1 - mine)
        local = jnp.sum(spread * error, axis=1)
        gap = jnp.where(missing, jnp.inf, jnp.sum(weight * (local + within - across)))
        mixed = jnp.einsum("sa,sat->st", mine, moves, precision=PRECISION)
        behind = jnp.einsum("st,tu,vu->sv", mixed, covariance, mixed, precision=PRECISION)
        return behind + jnp.diag(jnp.sum(mine**2 * error, axis=1)), gap

    factors = [jnp.ones_like(entry) if index == player else entry for index, entry in enumerate(policy)]
    nothing = jnp.zeros((game.stage_shape[1],) * 2, game.dtype)
    inputs = (game.transitions, ahead, policy[player], outer(factors), seen, come, reward_variance)
    return jnp.sum(jax.lax.scan(step, nothing, inputs, reverse=True)[1])
