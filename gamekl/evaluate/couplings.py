"""How strongly the players' payoffs couple their choices: what the certificates of uniqueness and distance measure.

Everything is on the references' support, for one game with any number of players. For a table t(a) and players i, j

    I_ij(t) = max |t(a_i, a_j) - t(a_i', a_j) - t(a_i, a_j') + t(a_i', a_j')|

over a_i, a_i', a_j, a_j' and the others' actions is a seminorm, 0 exactly for the terms f(a_-i) + g(a_-j). Weights
w_i > 0 multiply player i's payoffs and temperature together, which changes no best response, and games that are
zero-sum up to such weights have a weighted sum with I_ij = 0. Bounds are rounded upwards: a certificate must not rest
on the last bits.
"""

from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import level_payoffs, payoff_range
from gamekl.core.policies import support
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_regularizer

# Units in the last place of the payoffs' range that a second difference of levelled payoffs may lose; 5 were counted.
ROUNDING = 8
# Differences of this many numbers at a time are held in memory, or of one table where that is larger.
WORKSPACE = 2**16
# Power steps for a dominant eigenvector: 2 to this.
SQUARINGS = 40


def fitted(game: NormalFormGame, regularizer: Regularizer) -> Regularizer:
    """The regularizer in the game's dtype and with a temperature for each player: one compilation serves all forms.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer does not fit it.
    """
    require_normal_form(game)
    check_regularizer(game, regularizer)
    return Regularizer(regularizer.log_reference, regularizer.temperatures).astype(game.dtype)


class Restricted(NamedTuple):
    """A game on the references' support.

    Attributes:
        game: with every masked action turned into a copy of a played one, so that no bound needs a mask nor sees what
            a masked cell pays; payoffs levelled.
        temperatures: shape ``[player]``, payoff units per nat; NaN where not positive, so that nothing is certified.
        free: 1 for a player with at least two actions to choose from and 0 for one without a choice, ``[player]``.
    """

    game: NormalFormGame
    temperatures: Float[Array, " player"]
    free: Float[Array, " player"]


def on_support(game: NormalFormGame, regularizer: Regularizer) -> Restricted:
    """The game on the references' support."""
    payoffs, counts = game.payoffs, []
    for player, reference in enumerate(regularizer.log_reference):
        mask = support(reference)
        counts.append(mask.sum())
        payoffs = jnp.take(payoffs, jnp.where(mask, jnp.arange(mask.size), jnp.argmax(mask)), axis=player + 1)
    return Restricted(
        game=level_payoffs(NormalFormGame(payoffs)),
        temperatures=jnp.where(regularizer.temperature > 0, regularizer.temperatures, jnp.nan),
        free=(jnp.stack(counts) > 1).astype(payoffs.dtype),
    )


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
    """Right and left eigenvectors of a coupling matrix's greatest eigenvalue, up to scale, with positive entries.

    For matrices >= 0 with diagonal 0: in closed form for two players, and by repeated squaring for more, shifted so
    that no other eigenvalue is as great. A reducible matrix may have no such vectors; those of a matrix next to it come
    instead, which differs by rounding and is irreducible.
    """
    tiny = jnp.finfo(matrix.dtype).tiny ** 0.5
    if len(matrix) == 2:
        right = jnp.maximum(jnp.sqrt(matrix.sum(axis=1)), tiny)
        return right, right[::-1]
    shift = jnp.maximum(jnp.max(matrix.sum(axis=1)), tiny)

    def square(_: Array, power: Array) -> Array:
        power = jnp.matmul(power, power, precision=PRECISION)
        return power / jnp.max(power)

    start = matrix / shift + jnp.eye(len(matrix), dtype=matrix.dtype) + jnp.finfo(matrix.dtype).eps
    power = jax.lax.fori_loop(0, SQUARINGS, square, start)
    return jnp.maximum(power.sum(axis=1), tiny), jnp.maximum(power.sum(axis=0), tiny)


def spectral_radius(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """The greatest modulus of a coupling matrix's eigenvalues (>= 0, diagonal 0), never less than the true one.

    For every positive x the radius is at most max_i (Kx)_i / x_i (Collatz and Wielandt), with equality at the dominant
    eigenvector. Unlike an eigenvalue routine this bounds, whatever x is, and runs on every device.
    """
    vector, _ = dominant(matrix)
    quotients = jnp.matmul(matrix, vector, precision=PRECISION) / vector
    return jnp.max(quotients) * (1 + (len(matrix) + 6) * jnp.finfo(matrix.dtype).eps)


def balancing_weights(couplings: Float[Array, "player player"], temperatures: Float[Array, " player"]) -> Array:
    """Weights that make nonnegative couplings C, shape ``[player, player]``, as symmetric as they can be.

    With right and left dominant eigenvectors x and y of C_ij / tau_i these are w_i = y_i / (tau_i x_i): the symmetric
    part of C_ij sqrt(w_i tau_i / w_j tau_j) / tau_i then has no norm above the radius (derived: it has the positive
    eigenvector sqrt(x y)). For two players w_1 / w_2 = C_21 / C_12.
    """
    right, left = dominant(couplings / temperatures[:, None])
    return _normalized(jnp.log(left) - jnp.log(temperatures) - jnp.log(right))


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
    return _normalized(jnp.log(jnp.where(jnp.all(solved > 0), solved * scale, 1)))


def _normalized(logarithm: Array) -> Array:
    return jnp.exp(logarithm - logarithm.mean())


def interaction_slack(restricted: Restricted) -> Float[Array, "player player"]:
    """What rounding may hide of I_ij(r_i), payoff units, shape ``[player, player]``; 0 where a player has no choice."""
    game, _, free = restricted
    choices = free[:, None] * free * (1 - jnp.eye(len(free), dtype=free.dtype))
    return ROUNDING * jnp.finfo(game.dtype).eps * payoff_range(game)[:, None] * choices


def interactions(restricted: Restricted) -> Float[Array, "player player"]:
    """I_ij(r_i), rounded upwards, shape ``[player, player]``, payoff units; 0 on the diagonal."""
    bounds = interaction_slack(restricted)
    for first, second, tables in all_pairs(restricted.game):
        found = jax.vmap(jax.vmap(interaction))(tables)
        bounds = bounds.at[first, second].add(found[:, 0]).at[second, first].add(found[:, 1])
    return bounds
