"""How strongly the players' payoffs couple their choices: what the certificates of uniqueness and distance measure.

Everything is on the references' support, for one game with any number of players. For a table t(a) and players i, j

    I_ij(t) = max |t(a_i, a_j) - t(a_i', a_j) - t(a_i, a_j') + t(a_i', a_j')|   over a_i, a_i', a_j, a_j', others fixed

is a seminorm: it is 0 exactly for terms f(a_-i) + g(a_-j). Weights w_i > 0 multiply player i's payoffs and temperature
together, which changes no best response; games that are zero-sum up to such weights couple nobody in the sum.
Bounds are rounded upwards: a certificate must not rest on the last bits.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.lanes import PRECISION
from gamekl.core.policies import centre, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import level_payoffs, payoff_range
from gamekl.core.validation import check_regularizer

# Units in the last place of the payoffs' range that a second difference of levelled payoffs may lose; 5 were counted.
ROUNDING = 8
# Differences of this many numbers at a time are held in memory, or of one table where that is larger.
WORKSPACE = 2**16
# Power steps for a dominant eigenvector: 2 to this.
SQUARINGS = 30
# Sections of the search for the second player's weight: its logarithm is then good to 3e-5.
SECTIONS = 24
# With more pure profiles than this their couplings are bounded and not enumerated.
MOST_PROFILES = 4096


def on_support(game: NormalFormGame, regularizer: Regularizer) -> tuple[NormalFormGame, Float[Array, " player"]]:
    """The game with every masked action turned into a copy of a played one, its payoffs levelled, and the temperatures.

    No bound on the support then needs a mask, nor sees what a masked cell pays. Temperatures that are not positive
    become NaN, so that traced ones certify nothing.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    require_normal_form(game)
    check_regularizer(game, regularizer)
    payoffs = game.payoffs
    for player, reference in enumerate(regularizer.log_reference):
        mask = support(reference)
        payoffs = jnp.take(payoffs, jnp.where(mask, jnp.arange(mask.size), jnp.argmax(mask)), axis=player + 1)
    temperatures = regularizer.temperatures.astype(payoffs.dtype)
    return level_payoffs(NormalFormGame(payoffs)), jnp.where(temperatures > 0, temperatures, jnp.nan)


def free_players(regularizer: Regularizer) -> Float[Array, " player"]:
    """1 for a player with at least two actions to choose from and 0 for one without a choice, shape ``[player]``."""
    counts = jnp.stack([support(entry).sum() for entry in regularizer.log_reference])
    return (counts > 1).astype(regularizer.log_reference[0].dtype)


class Pairs(NamedTuple):
    """The payoffs of pairs of players whose tables have one shape.

    Attributes:
        first: the player of each pair with fewer actions, shape ``[pair]``.
        second: the other, likewise.
        tables: r_first and r_second, shape ``[pair, 2, actions_first, actions_second, others' actions]``.
    """

    first: np.ndarray
    second: np.ndarray
    tables: Float[Array, "pair 2 a b rest"]


def all_pairs(game: NormalFormGame) -> list[Pairs]:
    """All pairs of players; those of one shape together, as one kernel for each pair would take long to compile."""
    groups: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for pair in combinations(range(game.num_players), 2):
        i, j = sorted(pair, key=lambda player: game.num_actions[player])
        groups.setdefault((game.num_actions[i], game.num_actions[j]), []).append((i, j))
    result = []
    for shape, members in groups.items():
        tables = [
            jnp.moveaxis(game.payoffs[jnp.asarray(pair)], (pair[0] + 1, pair[1] + 1), (1, 2)).reshape(2, *shape, -1)
            for pair in members
        ]
        first, second = np.asarray(members).T
        result.append(Pairs(first, second, jnp.stack(tables)))
    return result


def interaction(table: Float[Array, "a b rest"]) -> Float[Array, ""]:
    """I of the module's formula for a table's first two axes, rounded to nearest.

    For each two actions on the first axis the differences' spread over the other axis is what the maximum over its
    pairs comes to, so time is the table's size times the first axis, and memory the table's size.
    """

    def spread(row: Array) -> Array:
        difference = table - row
        return jnp.max(difference.max(axis=1) - difference.min(axis=1))

    together = WORKSPACE // table.size
    if together >= len(table):
        return jnp.max(jax.vmap(spread)(table))
    return jnp.max(jax.lax.map(spread, table, batch_size=max(1, together)))


def dominant(matrix: Float[Array, "n n"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Right and left eigenvectors of a nonnegative matrix's greatest eigenvalue, up to scale, with positive entries.

    By repeated squaring of the matrix, shifted so that it has no other eigenvalue of that size. A reducible matrix may
    have no such vectors; these then are nearly eigenvectors, with ratios up to 2^30.
    """
    tiny = jnp.finfo(matrix.dtype).tiny ** 0.5
    shift = jnp.maximum(jnp.max(matrix.sum(axis=1)), tiny)

    def square(_: int, power: Array) -> Array:
        power = jnp.matmul(power, power, precision=PRECISION)
        return power / jnp.max(power)

    start = matrix / shift + jnp.eye(len(matrix), dtype=matrix.dtype)
    power = jax.lax.fori_loop(0, SQUARINGS, square, start)
    return jnp.maximum(power.sum(axis=1), tiny), jnp.maximum(power.sum(axis=0), tiny)


def spectral_radius(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """The greatest modulus of a nonnegative matrix's eigenvalues, never less than the true one.

    For every positive x the radius is at most max_i (Kx)_i / x_i (Collatz and Wielandt), with equality at the dominant
    eigenvector. Unlike an eigenvalue routine this bounds, whatever x is, and runs on every device.
    """
    vector, _ = dominant(matrix)
    quotients = jnp.matmul(matrix, vector, precision=PRECISION) / vector
    return jnp.max(quotients) * (1 + (len(matrix) + 2) * jnp.finfo(matrix.dtype).eps)


def balancing_weights(couplings: Float[Array, "player player"], temperatures: Float[Array, " player"]) -> Array:
    """Weights that make nonnegative couplings C, shape ``[player, player]``, as symmetric as they can be.

    With right and left dominant eigenvectors x and y of C_ij / tau_i these are w_i = y_i / (tau_i x_i): the symmetric
    part of C_ij sqrt(w_i tau_i / w_j tau_j) / tau_i then has no norm above the radius (derived: it has the positive
    eigenvector sqrt(x y)). For two players w_1 / w_2 = C_21 / C_12.
    """
    right, left = dominant(couplings / temperatures[:, None])
    return _normalised(left / (temperatures * right))


def cancelling_weights(gram: Float[Array, "player player"]) -> Array:
    """Weights that minimise w^T gram w over scaled weights of a given sum; ones where some come out negative.

    With gram_ij = sum <t_ij, t_ji> over the pairs' coupling tables this is the least-squares choice that makes
    sum_i w_i t_i small, and exact where the game is zero-sum up to weights (derived).
    """
    diagonal = jnp.diagonal(gram)
    scale = jax.lax.rsqrt(jnp.where(diagonal > 0, diagonal, 1))
    identity = jnp.eye(len(gram), dtype=gram.dtype)
    # So little that it only keeps a singular matrix invertible: then what comes out is in the kernel.
    ridge = 64 * jnp.finfo(gram.dtype).eps
    solved = jnp.linalg.solve(gram * scale * scale[:, None] + ridge * identity, jnp.ones_like(scale))
    return _normalised(jnp.where(jnp.all(solved > 0), solved * scale, 1))


def _normalised(weights: Array) -> Array:
    logarithm = jnp.log(weights)
    return jnp.exp(logarithm - logarithm.mean())


def _slack(game: NormalFormGame, free: Array) -> Array:
    """What rounding may hide of I_ij(r_i), shape ``[player, player]``; nothing where a player has no choice."""
    choices = free[:, None] * free * (1 - jnp.eye(len(free), dtype=free.dtype))
    return ROUNDING * jnp.finfo(game.dtype).eps * payoff_range(game)[:, None] * choices


def interactions(game: NormalFormGame, free: Float[Array, " player"]) -> Float[Array, "player player"]:
    """I_ij(r_i) of a levelled game, rounded upwards, shape ``[player, player]``, payoff units; 0 on the diagonal."""
    bounds = _slack(game, free)
    for first, second, tables in all_pairs(game):
        found = jax.vmap(jax.vmap(interaction))(tables)
        bounds = bounds.at[first, second].add(found[:, 0]).at[second, first].add(found[:, 1])
    return bounds


def _gram(pairs: list[Pairs], players: int) -> Array:
    """For `cancelling_weights`: inner products of the pairs' tables, less all terms of one action."""
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
    """w_i r_i + w_j r_j of each pair, shape ``[pair, actions_i, actions_j, others' actions]``."""
    own, other = (weights[index][:, None, None, None] for index in (pairs.first, pairs.second))
    return own * pairs.tables[:, 0] + other * pairs.tables[:, 1]


def _norm_ratio(pairs: list[Pairs], slack: Array, temperatures: Array, weights: Array) -> Array:
    """kappa of `monotone_ratio` for given weights, from each pair's interaction by itself."""
    bounds = slack * weights[:, None]
    bounds = bounds + bounds.T
    for group in pairs:
        found = jax.vmap(interaction)(_weighted(group, weights))
        bounds = bounds.at[group.first, group.second].add(found).at[group.second, group.first].add(found)
    return spectral_radius(bounds / (8 * weights * temperatures)[:, None])


def _profile_ratio(game: NormalFormGame, regularizer: Regularizer, temperatures: Array, weights: Array) -> Array:
    """kappa of `monotone_ratio` for given weights, from all pairs at once at each pure profile."""
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
    golden = (5**0.5 - 1) / 2

    def weights(logarithm: Array) -> Array:
        return start * jnp.exp(jnp.stack([-logarithm, logarithm]) / 2)

    def section(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        inner = jnp.stack([high - golden * (high - low), low + golden * (high - low)])
        left, right = jax.lax.map(lambda entry: ratio(weights(entry)), inner)
        return jnp.where(left < right, low, inner[0]), jnp.where(left < right, inner[1], high)

    width = jnp.asarray(2 * math.log1p(math.sqrt(2)), start.dtype)
    low, high = jax.lax.fori_loop(0, SECTIONS, section, (-width, width))
    return weights((low + high) / 2)


def monotone_ratio(game: NormalFormGame, regularizer: Regularizer) -> tuple[Float[Array, " player"], Float[Array, ""]]:
    """Player weights w, and how much of the regulariser's curvature the coupling can use up.

    The ratio kappa is such that for all profiles on the references' support and all tangent vectors v

        sum_i w_i <v_i, sum_j H_ij v_j>  <=  kappa sum_i w_i tau_i |v_i|_1^2      (and |v_i|_1^2 <= sum_a v_i^2 / pi_i),

    the lesser of two bounds (derived, MATH A9): the radius of the matrix I_ij(w_i r_i + w_j r_j) / (8 w_i tau_i); and,
    with at least three and not too many pure profiles, the maximum over these of the greatest eigenvalue of
    T^-1/2 P sym(W H) P T^-1/2 / 2, where T has w_i tau_i and P centres on the supports.

    Returns:
        Weights ``[player]`` of geometric mean 1, and kappa.
    """
    levelled, temperatures = on_support(game, regularizer)
    players = game.num_players
    ones = jnp.ones((players,), game.dtype)
    if players == 1:
        return ones, 0 * temperatures[0]
    free = free_players(regularizer).astype(game.dtype)
    pairs = all_pairs(levelled)
    ratio_of = partial(_norm_ratio, pairs, _slack(levelled, free), temperatures)
    balanced = balancing_weights(interactions(levelled, free), temperatures)
    candidates = [ones, balanced, cancelling_weights(_gram(pairs, players))]
    if players == 2:
        candidates.append(_second_weight(ratio_of, balanced))
    stacked = jnp.stack(candidates)
    ratios = jax.lax.map(ratio_of, stacked)
    best = jnp.argmin(jnp.where(jnp.isnan(ratios), jnp.inf, ratios))
    weights, ratio = stacked[best], ratios[best]
    if players > 2 and math.prod(game.num_actions) <= MOST_PROFILES:
        ratio = jnp.minimum(ratio, _profile_ratio(levelled, regularizer, temperatures, weights))
    return weights, ratio
