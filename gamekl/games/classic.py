"""Small games that everybody knows, in the floating dtype that jax has as its default unless `dtype` is given."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame


def _two_player(row: Any, column: Any, dtype: Any) -> NormalFormGame:
    return NormalFormGame(jnp.asarray(np.stack([row, column]), dtype=dtype or float))


def rock_paper_scissors(*, dtype: Any = None) -> NormalFormGame:
    """Rock, paper, scissors: a win pays 1, a loss -1, a draw 0; payoffs ``[2, 3, 3]``.

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return _two_player(row, -row, dtype)


def perturbed_rock_paper_scissors(*, dtype: Any = None) -> NormalFormGame:
    """Rock, paper, scissors with wins of unequal worth: row payoffs [[0, -3, 3], [3, 0, -1], [-3, 1, 0]], zero-sum.

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.array([[0, -3, 3], [3, 0, -1], [-3, 1, 0]])
    return _two_player(row, -row, dtype)


def matching_pennies(*, dtype: Any = None) -> NormalFormGame:
    """Matching pennies: the first player gets 1 if the actions agree and -1 if not; zero-sum.

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.array([[1, -1], [-1, 1]])
    return _two_player(row, -row, dtype)


def coordination(num_actions: int = 2, *, dtype: Any = None) -> NormalFormGame:
    """Two players who both get 1 if their actions agree and 0 if not; payoffs ``[2, num_actions, num_actions]``.

    Args:
        num_actions: of each player.
        dtype: of the payoffs; jax's default float where it is None.
    """
    return _two_player(np.eye(num_actions), np.eye(num_actions), dtype)


def chicken(*, dtype: Any = None) -> NormalFormGame:
    """Chicken, actions dare and yield: row payoffs [[0, 7], [2, 6]], symmetric.

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.array([[0, 7], [2, 6]])
    return _two_player(row, row.T, dtype)


def shapley(*, dtype: Any = None) -> NormalFormGame:
    """Shapley's game, 3 x 3, in which fictitious play cycles.

    The row player wants to match, the column player to be one ahead (modulo 3).

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.eye(3)
    return _two_player(row, np.roll(row, 1, axis=1), dtype)


def donation(
    num_players: int = 2, *, benefit: float | int = 2.0, cost: float | int = 1.0, dtype: Any = None
) -> NormalFormGame:
    """The donation game: a cooperator (action 0) pays `cost` and gives `benefit` to each other player.

    Args:
        num_players: how many there are; each may cooperate or defect.
        benefit: what each other player gets of a cooperator, payoff units.
        cost: what a cooperator pays, once, payoff units.
        dtype: of the payoffs; jax's default where it is None.

    Raises:
        ValueError: no player.
    """
    if num_players < 1:
        raise ValueError(f"num_players: got {num_players}, takes at least 1")
    payoffs = np.zeros((num_players, *(2,) * num_players))
    for actions in itertools.product(range(2), repeat=num_players):
        cooperates = 1 - np.array(actions)
        payoffs[(slice(None), *actions)] = benefit * (cooperates.sum() - cooperates) - cost * cooperates
    return NormalFormGame(jnp.asarray(payoffs, dtype=dtype or float))


def prisoners_dilemma(*, dtype: Any = None) -> NormalFormGame:
    """The prisoner's dilemma, actions cooperate and defect: row payoffs [[3, 0], [5, 1]], symmetric.

    Args:
        dtype: of the payoffs; jax's default float where it is None.
    """
    row = np.array([[3, 0], [5, 1]])
    return _two_player(row, row.T, dtype)
