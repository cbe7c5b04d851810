"""What a player gains by leaving a joint policy sigma over joint actions.

    coarse correlated equilibrium   sum_x sigma(x) (r_i(a', x_-i) - r_i(x)) <= epsilon_i            for all i, a'
    correlated equilibrium          sum_{x: x_i = a} sigma(x) (r_i(a', x_-i) - r_i(x)) <= epsilon_i  for all i, a, a'

`coarse_gains` and `gains` are the left sides as matrices over joint actions; `coarse_gap` and `gap` are what they come
to for one sigma, without such a matrix: the most that a player could gain, for correlated equilibria summed over the
actions that may be recommended.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION


def difference(a: Array, b: Array) -> Array:
    """The difference a - b, and 0 where they are equal.

    A compiler may join a product in `a` with the subtraction, and leave a rounding error.
    """
    return jnp.where(a == b, 0, a - b)


def _against(payoffs: Float[Array, "*actions"], player: int) -> Float[Array, "deviation *actions"]:
    """r_i(a', x_-i) - r_i(x) for each a' and x."""
    others = jnp.expand_dims(jnp.moveaxis(payoffs, player, 0), player + 1)
    return difference(others, payoffs[None])


def coarse_gains(game: NormalFormGame) -> Float[Array, "row joint"]:
    """One row for each player's action a', players in order, shape ``[sum of actions, joint actions]``."""
    rows = [_against(game.payoffs[i], i).reshape(size, -1) for i, size in enumerate(game.num_actions)]
    return jnp.concatenate(rows)


def gains(game: NormalFormGame) -> Float[Array, "row joint"]:
    """One row for each player's recommended action a and other a' (0 where they are the same).

    Shape ``[sum of squares of actions, joint actions]``.
    """
    rows = []
    for i, size in enumerate(game.num_actions):
        against = _against(game.payoffs[i], i)
        here = jnp.eye(size, dtype=game.dtype).reshape(size, 1, *([1] * i), size, *([1] * (game.num_players - i - 1)))
        rows.append((against[None] * here).reshape(size * size, -1))
    return jnp.concatenate(rows)


def own_first(game: NormalFormGame, player: int) -> Float[Array, "own others"]:
    """A player's payoffs, its own action first, shape ``[actions_i, others]``."""
    return jnp.moveaxis(game.payoffs[player], player, 0).reshape(game.num_actions[player], -1)


def pairs_of(game: NormalFormGame, sigma: Float[Array, "*actions"]) -> list[Float[Array, "a b"]]:
    """For each player what action b would earn each time that a is recommended."""
    found = []
    for player, size in enumerate(game.num_actions):
        played = jnp.moveaxis(sigma, player, 0).reshape(size, -1)
        found.append(jnp.matmul(played, own_first(game, player).T, precision=PRECISION))
    return found


Masks = Sequence[Bool[Array, " _"]] | None


def _best(pairs: Float[Array, "*rows b"], masks: Masks, player: int) -> Float[Array, "*rows"]:
    return (pairs if masks is None else jnp.where(masks[player], pairs, -jnp.inf)).max(axis=-1)


def coarse_gap(game: NormalFormGame, sigma: Float[Array, "*actions"], masks: Masks = None) -> Float[Array, " player"]:
    """What each player gains by its best action in place of all recommendations, max_a' of its coarse gains.

    It may be below 0. Deviations stay on the masks, one for each player.
    """
    found = enumerate(pairs_of(game, sigma))
    return jnp.stack([_best(pairs.sum(axis=0), masks, player) - jnp.trace(pairs) for player, pairs in found])


def gap(game: NormalFormGame, sigma: Float[Array, "*actions"], masks: Masks = None) -> Float[Array, " player"]:
    """What each player gains by its best action for each recommendation; >= 0 on the masks but for rounding."""
    found = enumerate(pairs_of(game, sigma))
    return jnp.stack([jnp.sum(_best(pairs, masks, player) - jnp.diagonal(pairs)) for player, pairs in found])
