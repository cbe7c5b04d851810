"""Markov games of which it is worth finding out what only an unattractive action shows.

At step 1, in the start state 0, a joint action (a_1, a_2) goes to door 2 a_1 + a_2 and pays `pay` to each player whose
own action is 0. Door d leads to the good state 1 with probability `high` where it is open, and `low` where it is shut.
At step 2 the good state pays by what both do there,

    a_1, a_2        0          1
        0       1, .6      .2, .2
        1      .2, .2      .6, 1

and the start state nothing.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.games import MarkovGame

PRIZE = np.array([[[1.0, 0.2], [0.2, 0.6]], [[0.6, 0.2], [0.2, 1.0]]])


def doors(
    *, high: float | int = 0.75, low: float | int = 0.25, pay: float | int = 0.1, dtype: Any = None
) -> tuple[MarkovGame, ...]:
    """The 16 games of two players, states, actions and steps that differ in which of four doors are open.

    Game number n has door d open where bit d of n is set: none in game 0, door 1 alone in game 2, doors 1 and 2 in
    game 6. Where door 0 is shut, what it shows tells nothing of the others. Who believes the first of the likeliest
    games then keeps to it for ever, for it alone pays both at step 1; but where door 1 or 2 is open, one player would
    gain (high - low) v - pay by going there, v being what the good state pays it (derived).

    Args:
        high: probability that an open door leads to the good state.
        low: that a shut one does; less than `high`.
        pay: for a player's own action 0 at step 1, payoff units; >= 0. At less than (high - low) .6 an open door is
            worth going to whatever equilibrium follows without mixing.
        dtype: of all arrays; jax's default where it is None.

    Returns:
        Games with the same rewards and first states, as `FiniteModels` takes.

    Raises:
        ValueError: bad numbers.
    """
    if not 0 <= low < high <= 1:
        raise ValueError(f"low, high: got {low} and {high}, takes probabilities, low < high")
    if not 0 <= pay < np.inf:
        raise ValueError(f"pay: got {pay}, takes a number >= 0")
    rewards = np.zeros((2, 2, 2, 2, 2))
    rewards[0, :, 0, 0, :] = rewards[0, :, 1, :, 0] = pay
    rewards[1, 1] = PRIZE
    games = []
    for number in range(16):
        good = np.zeros((2, 2, 2, 2))
        good[0] = np.where(number >> np.arange(4) & 1, high, low).reshape(2, 2)
        arrays = rewards, np.stack([1 - good, good], axis=-1), np.array([1.0, 0.0])
        games.append(MarkovGame(*(jnp.asarray(entry, dtype or float) for entry in arrays)))
    return tuple(games)
