"""Two games that a log of the diagonal cannot tell apart."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame


def hard_pair(*, dtype: Any = None) -> tuple[NormalFormGame, NormalFormGame]:
    """The zero-sum games M1 = [[.5, 1], [0, .5]] and M2 = [[.5, 0], [1, .5]]; the row player maximises.

    Theorem. Where p and q are the probabilities of the players' first actions, the players' Nash gaps sum to
    1 - (p + q) / 2 in M1 and to (p + q) / 2 in M2 (derived: in M1 the first action is worth .5 more to either player,
    whatever the other does, and in M2 the second). They sum to 1 over both games, so any policies whatever, made from
    however many rows, have a gap of 1/2 or more in one of them. On the diagonal the games agree: from a log of
    the diagonal alone no method can learn an equilibrium, though each game has one, (0, 0) or (1, 1), that the log
    shows. That is why a log must show unilateral deviations too (Cui and Du 2022, of whose lower bound this pair is an
    executable instance). With the cells (0, 1) and (1, 0) added, either game is settled.

    Args:
        dtype: of the payoffs; jax's default where it is None.

    Returns:
        M1 and M2, payoffs ``[2, 2, 2]`` in [0, 1] for the row player and in [-1, 0] for the column player.
    """
    rows = np.array([[[0.5, 1], [0, 0.5]], [[0.5, 0], [1, 0.5]]])
    first, second = (NormalFormGame(jnp.asarray(np.stack([row, -row]), dtype=dtype or float)) for row in rows)
    return first, second
