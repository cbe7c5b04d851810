"""How much of the regulariser's curvature the players' coupling can use up: the monotone certificate's kappa.

With g_i = q_i - tau_i log(pi_i / pi_i^0) the regularised payoff gradients, player weights w and a tangent vector v,

    -sum_i w_i <v_i, Dg_i v>  =  sum_i w_i tau_i sum_a v_i^2 / pi_i  -  sum_ij w_i <v_i, H_ij v_j>

is positive for all profiles, so that there is one equilibrium, where the second sum is at most kappa < 1 times the
first. As sum_a v_i^2 / pi_i >= |v_i|_1^2 >= 2 |v_i|_2^2 (v_i sums to 0), two bounds do:

    from norms      v_i^T M v_j <= I_ij(M) |v_i|_1 |v_j|_1 / 4 for each pair, M = w_i r_i + w_j r_j at fixed others:
                    kappa = radius of the matrix I_ij(w_i r_i + w_j r_j) / (8 w_i tau_i)
    from profiles   kappa = max over pure profiles of lambda_max(T^-1/2 P sym(W H) P T^-1/2) / 2, T = diag(w_i tau_i),
                    P centring on the supports; lambda_max is convex in each player's policy, so no other is greater

(derived, theory A9.2). For two players the first is never the greater; for more, it looks at each pair by itself, and
the second lets signs cancel around three players. With `balancing_weights` of K_ij = I_ij(r_i) / (4 tau_i) the first is
never greater than the radius of K, by the triangle inequality of I.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import payoff_range
from gamekl.core.policies import centre, support
from gamekl.core.regularizer import Regularizer
from gamekl.evaluate.couplings import (
    Pairs,
    Restricted,
    all_pairs,
    balancing_weights,
    cancelling_weights,
    interaction,
    interaction_slack,
    interactions,
    on_support,
    spectral_radius,
)

# Sections of the search for the second player's weight: its logarithm is then good to 3e-5.
SECTIONS = 24
# With more pure profiles than this only norms are used.
MOST_PROFILES = 4096


def _gram(pairs: list[Pairs], players: int) -> Array:
    """The inner products of the pairs' tables, less all terms of one action, for `cancelling_weights`."""
    gram = jnp.zeros((players, players), pairs[0].tables.dtype)
    for first, second, tables in pairs:
        for axis in (2, 3):
            tables = tables - tables.mean(axis=axis, keepdims=True)
        flat = tables.reshape(len(tables), 2, -1)
        products = jnp.matmul(flat, flat.swapaxes(1, 2), precision=PRECISION)
        gram = gram.at[first, first].add(products[:, 0, 0]).at[second, second].add(products[:, 1, 1])
        gram = gram.at[first, second].add(products[:, 0, 1]).at[second, first].add(products[:, 1, 0])
    return gram


def _weighted(pairs: Pairs, weights: Array) -> Array:
    """The weighted sum w_i r_i + w_j r_j of each pair, shape ``[pair, actions_i, actions_j, others' actions]``."""
    own, other = (weights[index][:, None, None, None] for index in (pairs.first, pairs.second))
    return own * pairs.tables[:, 0] + other * pairs.tables[:, 1]


def _norm_ratio(pairs: list[Pairs], slack: Array, temperatures: Array, weights: Array) -> Array:
    """The ratio kappa for given weights, from norms."""
    bounds = slack * weights[:, None]
    bounds = bounds + bounds.T
    for group in pairs:
        found = jax.vmap(interaction)(_weighted(group, weights))
        bounds = bounds.at[group.first, group.second].add(found).at[group.second, group.first].add(found)
    return spectral_radius(bounds / (8 * weights * temperatures)[:, None])


def _profile_ratio(restricted: Restricted, regularizer: Regularizer, weights: Array) -> Array:
    """The ratio kappa for given weights, from profiles."""
    game, temperatures, _ = restricted
    sizes, size = np.asarray(game.num_actions), sum(game.num_actions)
    profiles = np.indices(game.num_actions).reshape(len(sizes), -1).T
    scale = jax.lax.rsqrt(weights * temperatures)
    groups = []
    for group in all_pairs(game):
        tables = _weighted(group, weights) * (scale[group.first] * scale[group.second] / 4)[:, None, None, None]
        others = [np.delete(np.arange(len(sizes)), pair) for pair in zip(group.first, group.second, strict=True)]
        places = [np.ravel_multi_index(tuple(profiles[:, rest].T), tuple(sizes[rest])) for rest in others]
        groups.append((group, tables, jnp.asarray(np.stack(places, axis=1))))
    masks = [support(entry) for entry in regularizer.log_reference]
    centres = jax.scipy.linalg.block_diag(*(centre(jnp.diag(mask.astype(game.dtype)), mask) for mask in masks))

    def top(places: list[Array]) -> Array:
        blocks = [[jnp.zeros((a, b), game.dtype) for b in sizes] for a in sizes]
        for (group, tables, _), place in zip(groups, places, strict=True):
            found = jax.vmap(lambda table, index: table[:, :, index])(tables, place)
            for i, j, block in zip(group.first, group.second, found, strict=True):
                blocks[i][j], blocks[j][i] = block, block.T
        coupling = jnp.matmul(jnp.block(blocks), centres, precision=PRECISION)
        return jnp.linalg.eigvalsh(jnp.matmul(centres, coupling, precision=PRECISION))[-1]

    ratio = jnp.max(jax.lax.map(top, [places for *_, places in groups], batch_size=min(len(profiles), 64)))
    slack = jnp.max(weights * payoff_range(game) * scale) * jnp.max(scale) * size**2 * jnp.finfo(game.dtype).eps
    return ratio + slack


def _second_weight(ratio: Callable[[Array], Array], start: Array) -> Array:
    """Two players' weights with the least ratio, by golden sections from the balancing ones.

    The ratio I(w_1 r_1 + w_2 r_2) / sqrt(w_1 w_2) is convex over concave, hence has one valley, and the triangle
    inequality puts its floor within a factor (1 + sqrt 2)^2 of w_2 / w_1 = I(r_1) / I(r_2) (derived).
    """
    golden = (math.sqrt(5) - 1) / 2

    def weights(logarithm: Array) -> Array:
        return start * jnp.exp(jnp.stack([-logarithm, logarithm]) / 2)

    def section(_: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        (low, left, right, high), (at_left, at_right) = state
        down = at_left < at_right
        new = jnp.where(down, right - golden * (right - low), left + golden * (high - left))
        at_new = ratio(weights(new))
        points = jnp.where(down, jnp.stack([low, new, left, right]), jnp.stack([left, right, new, high]))
        return points, jnp.where(down, jnp.stack([at_new, at_left]), jnp.stack([at_right, at_new]))

    end = 2 * math.log1p(math.sqrt(2))
    inner = (2 * golden - 1) * end
    points = jnp.asarray([-end, -inner, inner, end], start.dtype)
    values = jax.lax.map(lambda entry: ratio(weights(entry)), points[1:3])
    points, _ = jax.lax.fori_loop(0, SECTIONS, section, (points, values))
    return weights((points[1] + points[2]) / 2)


def monotone_ratio(game: NormalFormGame, regularizer: Regularizer) -> tuple[Float[Array, " player"], Float[Array, ""]]:
    """Player weights w, and a kappa below which the coupling stays, whatever is played.

    For all profiles on the references' support and all tangent vectors v

        sum_ij w_i <v_i, H_ij v_j>  <=  kappa sum_i w_i tau_i |v_i|_1^2.

    Returns:
        Weights ``[player]`` of geometric mean 1, and kappa.
    """
    restricted = on_support(game, regularizer)
    levelled, temperatures, _ = restricted
    players = game.num_players
    ones = jnp.ones((players,), game.dtype)
    if players == 1:
        return ones, 0 * temperatures[0]
    pairs = all_pairs(levelled)
    ratio_of = partial(_norm_ratio, pairs, interaction_slack(restricted), temperatures)
    balanced = balancing_weights(interactions(restricted), temperatures)
    candidates = [ones, balanced, cancelling_weights(_gram(pairs, players))]
    if players == 2:
        candidates.append(_second_weight(ratio_of, balanced))
    stacked = jnp.stack(candidates)
    ratios = jax.lax.map(ratio_of, stacked)
    best = jnp.argmin(jnp.where(jnp.isnan(ratios), jnp.inf, ratios))
    weights, ratio = stacked[best], ratios[best]
    if players > 2 and math.prod(game.num_actions) <= MOST_PROFILES:
        ratio = jnp.minimum(ratio, _profile_ratio(restricted, regularizer, weights))
    return weights, ratio
