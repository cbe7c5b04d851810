"""The constant of the 1/n rate in contextual and Markov games (derived, by the delta method; theory A6 for one stage).

Of an estimate from n episodes let, for player i at step h, with V its values at the true equilibrium pi,

    v_i(h, s, a) = Var(reward) + Var_{s' ~ P(. | s, a)} V_i(h + 1, s'),    mu(h, s, a) = chance to see (s, a) at step h;

v / (n mu) is the variance of the error that the tabular estimate makes in r + P V there, and the errors of different
(h, s, a) are uncorrelated. A linear estimate with features phi makes the error phi(h, s, a) . e(h), where e(h) has the
covariance S^-1 M S^-1 / n with S = E_mu[phi phi^T] and M = E_mu[v phi phi^T]; of different steps they are uncorrelated
too. What the player would gain follows, to first order, from these errors alone: to what the others' own
errors change it responds as it should. With q_i its error in the value of an action and W_i that in a state's value,

    q_i(h, s, a_i) = E_{a_-i ~ pi} [error(h, s, a) + sum_s' P(s' | s, a) W_i(h + 1, s')],    W_i = E_{a_i ~ pi} q_i,

so covariances C of W and K of q follow backwards from the last step, and

    n E[gap_i] -> sum_h E_{s ~ pi} [ sum_a pi_i(a) K(a, a) - sum_ab pi_i(a) K(a, b) pi_i(b) ] / (2 tau_i).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import cell_chances, occupancies


def as_markov(game: NormalFormGame | StagedGame) -> MarkovGame:
    """A one-shot or contextual game as a Markov game of one step."""
    if isinstance(game, MarkovGame):
        return game
    probs = game.context_probs if isinstance(game, ContextualGame) else jnp.ones(1, game.dtype)
    ends = jnp.zeros((1, len(probs), *game.num_actions, len(probs)), game.dtype)
    return MarkovGame(with_steps(game, game.payoffs), ends, probs)


def with_steps(game: NormalFormGame | StagedGame, array: Array) -> Array:
    """An array with the axes of `as_markov`'s stages."""
    return array.reshape(*[1] * (2 - game.stage_axes), *array.shape)


class Errors(NamedTuple):
    """Covariances, times n, of what an estimate gets wrong in a player's r + P V, averaged over the others' actions.

    Attributes:
        within: between the player's own actions in a state, ``[horizon, state, own, own]``.
        across: between states, its own actions averaged over too, ``[horizon, state, state]``.
        missing: whether data that are needed are missing, ``[horizon, state]``.
    """

    within: Float[Array, "horizon state own own"]
    across: Float[Array, "horizon state state"]
    missing: Bool[Array, "horizon state"]


def tabular_errors(
    mine: Float[Array, "horizon state own"],
    others: Float[Array, "horizon state own rest"],
    seen: Float[Array, "horizon state own rest"],
    variance: Float[Array, "horizon state own rest"],
) -> Errors:
    """The covariances of the errors that means of cells make.

    Args:
        mine: the player's policy.
        others: the others' joint policy, the same for each own action; 0 in states to which nobody comes.
        seen: the data's chance of each cell.
        variance: v of the module's formula.
    """
    needed = others**2 * variance
    error = jnp.sum(jnp.where(needed > 0, needed / jnp.where(seen > 0, seen, 1), 0), axis=-1)
    missing = jnp.any((needed > 0) & (seen <= 0) & (mine[..., None] > 0), axis=(2, 3))
    across = jnp.sum(mine**2 * error, axis=-1)
    return Errors(_diagonal(error), _diagonal(across), missing)


def _diagonal(entries: Float[Array, "*rows entry"]) -> Float[Array, "*rows entry entry"]:
    return entries[..., None] * jnp.eye(entries.shape[-1], dtype=entries.dtype)


def _second_moment(
    weights: Float[Array, "horizon *cells"], features: Float[Array, "horizon *cells feature"]
) -> Float[Array, "horizon feature feature"]:
    """The sum over a step's cells of weight phi phi^T."""
    flat = features.reshape(len(weights), -1, features.shape[-1])
    return jnp.einsum("hc,hcd,hce->hde", weights.reshape(len(weights), -1), flat, flat, precision=PRECISION)


def linear_errors(
    mine: Float[Array, "horizon state own"],
    others: Float[Array, "horizon state own rest"],
    seen: Float[Array, "horizon state own rest"],
    variance: Float[Array, "horizon state own rest"],
    features: Float[Array, "horizon state own rest feature"],
) -> Errors:
    """The covariances of the errors that least squares on features makes; the arguments are as for `tabular_errors`."""
    squares, noise = _second_moment(seen, features), _second_moment(seen * variance, features)
    half = jnp.linalg.solve(squares, noise)
    spread = jnp.swapaxes(jnp.linalg.solve(squares, jnp.swapaxes(half, 1, 2)), 1, 2)
    own = jnp.einsum("hsor,hsord->hsod", others, features, precision=PRECISION)
    mean = jnp.einsum("hso,hsod->hsd", mine, own, precision=PRECISION)
    least = jnp.linalg.eigvalsh(squares)  # ascending
    singular = least[:, 0] <= least[:, -1] * features.shape[-1] * jnp.finfo(features.dtype).eps
    return Errors(
        jnp.einsum("hsod,hde,hspe->hsop", own, spread, own, precision=PRECISION),
        jnp.einsum("hsd,hde,hte->hst", mean, spread, mean, precision=PRECISION),
        jnp.broadcast_to(singular[:, None], mine.shape[:2]),
    )


@jit
def staged_constant(
    game: MarkovGame,
    regularizer: Regularizer,
    log_policy: tuple[Float[Array, "horizon state _"], ...],
    values: Float[Array, "horizon state player"],
    behavior: Float[Array, "horizon state *actions"],
    reward_variance: Float[Array, "horizon state player *actions"],
    features: Array | None,
) -> Float[Array, " player"]:
    """The limit of n E[gap_i], shape ``[player]``, payoff units; infinite where data that are needed are missing.

    `features` are ``[horizon, state, *actions, feature]``, or None for the tabular estimate.
    """
    policy = tuple(jnp.exp(entry) for entry in log_policy)
    seen = cell_chances(game, behavior)
    come = occupancies(game, outer(policy))
    ahead = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    constants = []
    for player in range(game.num_players):

        def own_first(cells: Array, player: int = player) -> Array:
            """Cells ``[horizon, state, *actions, ...]`` as ``[horizon, state, own, rest, ...]``."""
            moved = jnp.moveaxis(cells, player + 2, 2)
            return moved.reshape(*moved.shape[:3], -1, *cells.shape[game.num_players + 2 :])

        factors = [jnp.ones_like(entry) if index == player else entry for index, entry in enumerate(policy)]
        others = own_first(outer(factors))
        moves = own_first(game.transitions)
        mean = jnp.einsum("hsort,ht->hsor", moves, ahead[..., player], precision=PRECISION)
        square = jnp.einsum("hsort,ht->hsor", moves, ahead[..., player] ** 2, precision=PRECISION)
        variance = own_first(reward_variance[:, :, player]) + jnp.maximum(square - mean**2, 0)
        needed = jnp.where((come > 0)[..., None, None], others, 0)
        arguments = (policy[player], needed, own_first(seen), variance)
        errors = tabular_errors(*arguments) if features is None else linear_errors(*arguments, own_first(features))
        own_moves = jnp.einsum("hsor,hsort->hsot", others, moves, precision=PRECISION)
        constants.append(_gap(policy[player], own_moves, come, errors))
    return jnp.stack(constants) / (2 * regularizer.temperatures)


def _gap(
    mine: Float[Array, "horizon state own"],
    moves: Float[Array, "horizon state own next_state"],
    come: Float[Array, "horizon state"],
    errors: Errors,
) -> Float[Array, ""]:
    """2 tau times a player's constant: the covariances of W and of q, from the last step to the first."""

    def step(covariance: Array, inputs: tuple[Array, Array, Array, Errors]) -> tuple[Array, Array]:
        policy, moves, weight, error = inputs
        spread = error.within + jnp.einsum("sat,tu,sbu->sab", moves, covariance, moves, precision=PRECISION)
        alone = jnp.sum(policy * jnp.diagonal(spread, axis1=1, axis2=2), axis=1)
        together = jnp.einsum("sa,sab,sb->s", policy, spread, policy, precision=PRECISION)
        gap = jnp.where(jnp.any(error.missing & (weight > 0)), jnp.inf, jnp.sum(weight * (alone - together)))
        mixed = jnp.einsum("sa,sat->st", policy, moves, precision=PRECISION)
        return error.across + jnp.einsum("st,tu,vu->sv", mixed, covariance, mixed, precision=PRECISION), gap

    nothing = jnp.zeros((moves.shape[-1],) * 2, moves.dtype)
    return jnp.sum(jax.lax.scan(step, nothing, (mine, moves, come, errors), reverse=True)[1])


def largest_leverage(seen: Float[Array, "horizon state *actions"], features: Array | None) -> Float[Array, ""]:
    """How many rows a cell's estimate needs, at most, for each row's worth of it: 1 / min mu, or max phi S^-1 phi."""
    if features is None:
        return 1 / jnp.min(jnp.where(seen > 0, seen, jnp.inf))
    flat = features.reshape(len(seen), -1, features.shape[-1])
    weighted = jnp.linalg.solve(_second_moment(seen, features), jnp.swapaxes(flat, 1, 2))
    leverages = jnp.einsum("hcd,hdc->hc", flat, weighted, precision=PRECISION)
    return jnp.max(jnp.where(seen.reshape(len(seen), -1) > 0, leverages, 0))
