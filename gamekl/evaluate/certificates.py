"""Where an equilibrium is provably the only one.

`uniqueness` answers "proven" or "unknown" for all policies on the references' support at once, from two bounds:

    contraction   rho(K) < 1 for K_ij = I_ij(r_i) / (4 tau_i): simultaneous best responses contract
    monotone      kappa < 1: the coupling uses up less than the curvature of the KL terms, for some player weights

with I_ij as in `evaluate.couplings` and kappa as in `evaluate.monotone`. `small_gain_margin` looks at one profile
only, and keeps the signs of the couplings there. Everything is one game, pure, and may be transformed by ``jit`` and
``vmap``.
"""

from collections.abc import Sequence
from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import expected_payoffs
from gamekl.core.policies import Profile, check_profile, is_concrete, normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.evaluate.couplings import (
    balancing_weights,
    cancelling_weights,
    fitted,
    interactions,
    on_support,
    spectral_radius,
)
from gamekl.evaluate.monotone import monotone_ratio


class Uniqueness(Shown):
    """Whether the equilibrium is proven to be the only one.

    The region is the whole of it: all profiles on the references' support, where every equilibrium lies.

    Attributes:
        unique: True where proven; False means unknown, not that there are several.
        contraction: a bound on the spectral radius of `contraction_matrix`; where it is < 1, simultaneous best
            responses from any start converge to the equilibrium, asymptotically by this factor a round or better.
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

    (derived, theory A9.1: the softmax is 1/2-Lipschitz from span to l1, and the payoffs contribute another 1/2). It is
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
    return _contraction_matrix(game, fitted(game, regularizer))


@jit
def _contraction_matrix(game: NormalFormGame, regularizer: Regularizer) -> Array:
    restricted = on_support(game, regularizer)
    return interactions(restricted) / (4 * restricted.temperatures[:, None]) * (1 + 4 * jnp.finfo(game.dtype).eps)


def monotone_margin(game: NormalFormGame, regularizer: Regularizer) -> Float[Array, ""]:
    """How much of the temperature the coupling leaves over: min_i tau_i (1 - kappa); uniqueness is proven where > 0.

    The regularised payoff gradients are then strictly monotone on the whole of the references' support. With one
    temperature for all, the proof holds down to temperature minus margin: for two players this is

        min over c > 0 of  I(r_1 + c r_2) / (8 sqrt(c))  <=  |P (r_1 + c r_2) P|_2 / (4 sqrt(c)),

    0 in a game that is zero-sum up to scale and terms of one action: it is certified at every temperature, as far as
    rounding of the payoffs' range lets the sum be seen as 0 (about 1e-15 R in float64, 1e-6 R in float32; payoffs are
    taken to be exact as they are given). Never above min_i tau_i (derived, theory A9.2).

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.

    Returns:
        The margin, payoff units per nat; rounded downwards.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    return _monotone_margin(game, fitted(game, regularizer))


@jit
def _monotone_margin(game: NormalFormGame, regularizer: Regularizer) -> Array:
    _, ratio = monotone_ratio(game, regularizer)
    temperature = jnp.min(regularizer.temperature)
    return jnp.where(temperature > 0, temperature, jnp.nan) * (1 - ratio)


def uniqueness(game: NormalFormGame, regularizer: Regularizer) -> Uniqueness:
    """Prove that the game has one equilibrium, or say that this is unknown.

    Args:
        game: the game, any number of players.
        regularizer: references, of which only the support counts, and temperatures.

    Returns:
        A `Uniqueness`: the verdict for all policies on the references' support, and both bounds behind it.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.

    Source: theory A9.1 and A9.2 (derived).
    """
    return _uniqueness(game, fitted(game, regularizer))


@jit
def _uniqueness(game: NormalFormGame, regularizer: Regularizer) -> Uniqueness:
    radius = spectral_radius(_contraction_matrix(game, regularizer))
    margin = _monotone_margin(game, regularizer)
    return Uniqueness((radius < 1) | (margin > 0), radius, margin)


def small_gain_margin(
    game: NormalFormGame,
    regularizer: Regularizer,
    log_policy: Profile,
    *,
    weights: Sequence[float | int] | ArrayLike | None = None,
) -> Float[Array, ""]:
    """How fast the natural gradient flow contracts AT this profile, in the metric of this profile.

    The flow is dz_i/dt = q_i - tau_i (z_i - z_i^0) on logits. In the Fisher metric, weighted by w, its rate is

        alpha = lambda_min( diag(tau_i) - sym(W^1/2 G W^-1/2) ),    G_ij = F_i^1/2 H_ij F_j^1/2,
        F_i = diag(pi_i) - pi_i pi_i^T,   H_ij = expectation of r_i given a_i and a_j.

    At an equilibrium alpha > 0 proves that it is stable, and isolated; at any profile it says nothing of others, so it
    is no proof of uniqueness. For every profile it is at least min_i tau_i - rho(L), L_ij = |G_ij|_2, with equal
    temperatures (form of the criterion: Small-Gain Nash; derived here, theory H1).

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
    regularizer = fitted(game, regularizer)
    checked = check_profile("log_policy", log_policy, game.num_actions, log=True)
    given = None if weights is None else _checked_weights(weights, game.num_players).astype(game.dtype)
    return _small_gain_margin(game, regularizer, checked, given)


@jit
def _small_gain_margin(
    game: NormalFormGame, regularizer: Regularizer, log_policy: tuple[Array, ...], weights: Array | None
) -> Array:
    levelled, temperatures, _ = on_support(game, regularizer)
    policy = [jnp.exp(normalize(entry.astype(game.dtype))) for entry in log_policy]
    covered = [jnp.all(support(r) | ~support(p)) for r, p in zip(regularizer.log_reference, log_policy, strict=True)]
    sizes = np.asarray(game.num_actions)
    blocks = [[jnp.zeros((a, b), game.dtype) for b in sizes] for a in sizes]
    for i, j in permutations(range(len(sizes)), 2):
        table = expected_payoffs(levelled.payoffs[i], policy, (i, j))
        # S (I - s s^T) with s = sqrt(pi), S = diag(s) is a root of F too: it differs from the symmetric one by a
        # rotation of the player's own coordinates, which changes neither eigenvalues nor norms.
        blocks[i][j] = _rooted(policy[i], _rooted(policy[j], (table if i < j else table.T).T).T)
    candidates = _weights(blocks, temperatures) if weights is None else weights[None]
    coupling = jnp.block(blocks)
    # Players without a choice have rows of zeros, and eigenvalues that are their temperatures.
    player = np.repeat(np.arange(len(sizes)), sizes)

    def least(weights: Array) -> Array:
        root = jnp.sqrt(weights)[player]
        weighted = coupling * (root[:, None] / root)
        return jnp.linalg.eigvalsh(jnp.diag(temperatures[player]) - (weighted + weighted.T) / 2)[0]

    margin = jnp.max(jax.lax.map(least, candidates))
    return jnp.where(jnp.all(jnp.stack(covered)), margin, -jnp.inf)


def _rooted(policy: Array, rows: Array) -> Array:
    """The rows times (I - s s^T) diag(s), with s = sqrt(policy)."""
    root = jnp.sqrt(policy)
    scaled = root[:, None] * rows
    return scaled - root[:, None] * jnp.matmul(root, scaled, precision=PRECISION)


def _weights(blocks: list[list[Array]], temperatures: Array) -> Array:
    """The three choices of weights, shape ``[choice, player]``."""
    most = max(len(row[0]) for row in blocks)
    padded = jnp.stack(
        [jnp.stack([jnp.pad(block, [(0, most - size) for size in block.shape]) for block in row]) for row in blocks]
    )
    norms = jnp.linalg.norm(padded, ord=2, axis=(2, 3))
    gram = jnp.sum(padded * padded.transpose(1, 0, 3, 2), axis=(2, 3))
    gram = gram + jnp.diag(jnp.sum(padded**2, axis=(1, 2, 3)))
    ones = jnp.ones_like(temperatures)
    return jnp.stack([ones, balancing_weights(norms, temperatures), cancelling_weights(gram)])


def _checked_weights(weights: Sequence[float | int] | ArrayLike, players: int) -> Array:
    array = jnp.asarray(weights, dtype=float)
    if array.shape != (players,):
        raise ValueError(f"weights: got shape {array.shape}, takes [player] = ({players},)")
    if is_concrete(array) and not np.all(np.isfinite(array) & (np.asarray(array) > 0)):
        raise ValueError(f"weights: got {np.asarray(array).tolist()}, takes finite numbers > 0")
    return array
