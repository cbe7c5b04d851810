"""Where an equilibrium is provably the only one.

`uniqueness` answers "proven" or "unknown" for all policies on the references' support at once, from two bounds:

    contraction   rho(K) < 1 for K_ij = I_ij(r_i) / (4 tau_i): simultaneous best responses contract
    monotone      kappa < 1: the coupling uses up less than the curvature of the KL terms, for some player weights

with I_ij and kappa as in `evaluate.couplings`. `small_gain_margin` looks at one profile only, and keeps the signs of
the couplings there. Everything is one game, pure, and may be transformed by ``jit`` and ``vmap``.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.lanes import PRECISION
from gamekl.core.policies import Profile, check_profile, is_concrete, normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import expected_payoffs
from gamekl.evaluate.couplings import (
    balancing_weights,
    cancelling_weights,
    free_players,
    interactions,
    monotone_ratio,
    on_support,
    spectral_radius,
)


class Uniqueness(eqx.Module):
    """Whether the equilibrium is proven to be the only one.

    The region is the whole of it: all profiles on the references' support, where every equilibrium lies.

    Attributes:
        unique: True where proven; False means unknown, not that there are several.
        contraction: a bound on the spectral radius of `contraction_matrix`; where it is < 1, simultaneous best
            responses from any start converge to the equilibrium, in time by this factor a round.
        monotone: `monotone_margin`, payoff units per nat; positive wherever the contraction proves anything (up to
            rounding), and in all games that are zero-sum for two players.
    """

    unique: Bool[Array, ""]
    contraction: Float[Array, ""]
    monotone: Float[Array, ""]


def contraction_matrix(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, "player player"]:
    """How far each player's best response can move per move of each other player.

    K_ij = I_ij(r_i) / (4 tau_i), such that for all profiles on the references' support

        |BR_i(pi) - BR_i(pi')|_1 <= sum_j K_ij |pi_j - pi_j'|_1

    (derived, MATH A9: the softmax is 1/2-Lipschitz from span to l1, and the payoffs contribute another 1/2). It is
    rounded upwards, by about ten units of the payoffs' range. The cost is a pass over the payoffs for each action of
    a player.

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.

    Returns:
        The matrix, shape ``[player, player]``, without units; 0 on the diagonal.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    levelled, temperatures = on_support(game, regularizer)
    bounds = interactions(levelled, free_players(regularizer))
    return bounds / (4 * temperatures[:, None]) * (1 + 4 * jnp.finfo(game.dtype).eps)


def monotone_margin(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """How much of the temperature the coupling leaves over: min_i tau_i (1 - kappa); uniqueness is proven where > 0.

    The regularised payoff gradients are then strictly monotone on the whole of the references' support. With one
    temperature for all, the proof holds down to temperature minus margin: for two players this is

        min over c > 0 of  I(r_1 + c r_2) / (8 sqrt(c))  <=  |P (r_1 + c r_2) P|_2 / (4 sqrt(c)),

    0 in a game that is zero-sum up to scale and terms of one action: it is certified at every temperature, as far as
    rounding of the payoffs' range lets the sum be seen as 0 (about 1e-15 R in float64, 1e-6 R in float32; payoffs are
    taken to be exact as they are given). Never above min_i tau_i (derived, MATH A9 with the l1 norm in the place of
    the Euclidean one, and player weights).

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.

    Returns:
        The margin, payoff units per nat; rounded downwards.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    _, ratio = monotone_ratio(game, regularizer)
    return _margin(game, regularizer, ratio)


def _margin(game: NormalFormGame, regularizer: Regularizer, ratio: Array) -> Array:
    temperature = jnp.min(regularizer.temperatures).astype(game.dtype)
    return jnp.where(temperature > 0, temperature, jnp.nan) * (1 - ratio)


def uniqueness(game: NormalFormGame, regularizer: Regularizer) -> Uniqueness:
    """Prove that the game has one equilibrium, or say that this is unknown.

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.

    Returns:
        The verdict for all policies on the references' support, and both bounds behind it.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    radius = spectral_radius(contraction_matrix(game, regularizer))
    margin = monotone_margin(game, regularizer)
    return Uniqueness((radius < 1) | (margin > 0), radius, margin)


def small_gain_margin(
    game: NormalFormGame,
    regularizer: Regularizer,
    log_policy: Profile,
    *,
    weights: Sequence[float | int] | ArrayLike | None = None,
) -> Float[Array, ""]:
    """The rate at which neighbouring paths of the natural gradient flow approach each other AT this profile.

    The flow is dz_i/dt = q_i - tau_i (z_i - z_i^0) on logits. In the Fisher metric of the profile, weighted by w,

        alpha = lambda_min( diag(tau_i) - sym(W^1/2 G W^-1/2) ),    G_ij = F_i^1/2 H_ij F_j^1/2,
        F_i = diag(pi_i) - pi_i pi_i^T,   H_ij = expectation of r_i given a_i and a_j.

    At an equilibrium alpha > 0 proves that it is stable, and isolated; at any profile it says nothing of others, so it
    is no proof of uniqueness. For every profile it is at least min_i tau_i - rho(L), L_ij = |G_ij|_2, with equal
    temperatures (form of the criterion: Small-Gain Nash; derived here, MATH H1).

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.
        log_policy: one log-policy ``[actions_i]`` for each player.
        weights: w > 0, shape ``[player]``; by default the best of three choices, of which one balances the norms
            (for two players w_1 / w_2 = L_21 / L_12), one cancels what is zero-sum, and one is all ones.

    Returns:
        The margin, payoff units per nat, to rounding; at most min_i tau_i, and -inf off the references' support.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer, profile or weights do not fit it.
    """
    levelled, temperatures = on_support(game, regularizer)
    checked = check_profile("log_policy", log_policy, game.num_actions, log=True)
    policy = [jnp.exp(normalize(entry.astype(game.dtype))) for entry in checked]
    covered = [jnp.all(support(r) | ~support(p)) for r, p in zip(regularizer.log_reference, checked, strict=True)]
    players, sizes = game.num_players, game.num_actions
    blocks = [[jnp.zeros((a, b), game.dtype) for b in sizes] for a in sizes]
    for i in range(players):
        for j in range(players):
            if i != j:
                table = expected_payoffs(levelled.payoffs[i], policy, (i, j))
                # S (I - s s^T) with s = sqrt(pi), S = diag(s) is a root of F too: it differs from the symmetric one by
                # a rotation of the player's own coordinates, which changes neither eigenvalues nor norms.
                blocks[i][j] = _rooted(policy[i], _rooted(policy[j], (table if i < j else table.T).T).T)
    if weights is None:
        candidates = _weights(blocks, temperatures)
    else:
        candidates = _checked_weights(weights, players).astype(game.dtype)[None]
    # Players without a choice have rows of zeros, and eigenvalues that are their temperatures.
    diagonal = jnp.diag(jnp.repeat(temperatures, np.asarray(sizes), total_repeat_length=sum(sizes)))

    def least(weights: Array) -> Array:
        root = jnp.sqrt(weights)
        coupling = jnp.block([[blocks[i][j] * (root[i] / root[j]) for j in range(players)] for i in range(players)])
        return jnp.linalg.eigvalsh(diagonal - (coupling + coupling.T) / 2)[0]

    margin = jnp.max(jax.lax.map(least, candidates))
    return jnp.where(jnp.all(jnp.stack(covered)), margin, -jnp.inf)


def _rooted(policy: Array, rows: Array) -> Array:
    """(I - s s^T) diag(s) times the rows, with s = sqrt(policy)."""
    root = jnp.sqrt(policy)
    scaled = root[:, None] * rows
    return scaled - root[:, None] * jnp.matmul(root, scaled, precision=PRECISION)


def _weights(blocks: list[list[Array]], temperatures: Array) -> Array:
    """The three choices of weights, shape ``[choice, player]``."""
    players = range(len(blocks))
    norms = jnp.stack([jnp.stack([jnp.linalg.norm(block, ord=2) for block in row]) for row in blocks])
    squares = jnp.stack([jnp.stack([jnp.sum(block**2) for block in row]).sum() for row in blocks])
    products = [
        jnp.stack([jnp.sum(blocks[i][j] * blocks[j][i].T) if i != j else squares[i] for j in players]) for i in players
    ]
    ones = jnp.ones_like(temperatures)
    return jnp.stack([ones, balancing_weights(norms, temperatures), cancelling_weights(jnp.stack(products))])


def _checked_weights(weights: Sequence[float | int] | ArrayLike, players: int) -> Array:
    array = jnp.asarray(weights, dtype=float)
    if array.shape != (players,):
        raise ValueError(f"weights: got shape {array.shape}, takes [player] = ({players},)")
    if is_concrete(array) and not np.all(np.isfinite(array) & (np.asarray(array) > 0)):
        raise ValueError(f"weights: got {np.asarray(array).tolist()}, takes finite numbers > 0")
    return array
