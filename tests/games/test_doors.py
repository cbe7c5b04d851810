"""Markov games that differ in which doors are open."""

import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

# By player, step and state: the first action at step 1, and both players' first or second action in the good state.
TO_DOOR_0 = np.zeros((2, 2, 2), int)


def policy_of(actions):
    return tuple(jnp.log(jnp.eye(2)[jnp.asarray(entry)]) for entry in actions)


def test_bits_are_open_doors():
    games = gk.games.doors(high=0.8, low=0.1)
    assert len(games) == 16
    for number, game in enumerate(games):
        gk.validate(game)
        for door in range(4):
            chance = game.transitions[0, 0, door // 2, door % 2, 1]
            np.testing.assert_allclose(chance, 0.8 if number & 2**door else 0.1, atol=1e-12)
        np.testing.assert_array_equal(game.rewards, games[0].rewards)


@pytest.mark.parametrize(("number", "gains"), [(0, [0, 0]), (2, [0, 0.2]), (4, [0.4, 0]), (6, [0.4, 0.2]), (8, [0, 0])])
def test_what_leaving_door_0_gains(number, gains):
    """With 1 and .6 paid in the good state, .1 at door 0, and a shut door that leads there half as often less."""
    gap = gk.nash_gap(gk.games.doors()[number], policy_of(TO_DOOR_0))
    np.testing.assert_allclose(gap, gains, atol=1e-12)


def test_bad_numbers_are_named():
    faults = [
        ({"low": 0.8}, "low, high: got 0.8 and 0.75, takes probabilities, low < high"),
        ({"high": 1.5}, "low, high: got 0.25 and 1.5"),
        ({"pay": -1}, "pay: got -1, takes a number >= 0"),
    ]
    for arguments, message in faults:
        with pytest.raises(ValueError, match=message):
            gk.games.doors(**arguments)
