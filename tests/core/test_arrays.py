"""Whoever hands in numpy's arrays may write into them afterwards; missing entries are no numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.policies import check_profile


def test_a_buffer_that_is_filled_again_changes_no_game():
    """jax#37830: jax may read a numpy array after the call that took it has returned."""
    rng = np.random.default_rng(0)
    buffer, source = np.empty((2, 300, 300)), [rng.random((2, 300, 300)) for _ in range(60)]
    games = []
    for payoffs in source:
        buffer[...] = payoffs
        games.append(gk.NormalFormGame(buffer))
    for game, payoffs in zip(games, source, strict=True):
        np.testing.assert_array_equal(game.payoffs, payoffs)


BUFFERS = {
    "game": lambda buffer: gk.NormalFormGame(buffer),
    "rewards": lambda buffer: gk.offline.Dataset(np.zeros((2, 2), int), buffer[0], (2, 2)),
    "actions": lambda buffer: gk.offline.Dataset(buffer[0].astype(int), np.zeros((2, 2)), (2, 2)),
    "regularizer": lambda buffer: gk.Regularizer(list(np.log(buffer[0], out=buffer[0])), buffer[1, 0]),
    "policy": lambda buffer: check_profile("policy", list(buffer[0]), (2, 2), log=False),
}


@pytest.mark.parametrize("name", BUFFERS)
def test_nothing_shares_its_memory_with_the_caller(name):
    buffer = np.full((2, 2, 2), 0.5)
    made = BUFFERS[name](buffer)
    before = [np.array(leaf) for leaf in jax.tree.leaves(made)]
    buffer[...] = 7.0
    for leaf, old in zip(jax.tree.leaves(made), before, strict=True):
        np.testing.assert_array_equal(leaf, old)


MASKED = np.ma.masked_array(np.full((2, 2), 0.5), mask=[[0, 0], [0, 1]])
TAKERS = {
    "payoffs": lambda: gk.NormalFormGame(np.ma.stack([MASKED, MASKED])),
    "payoffs, a list": lambda: gk.NormalFormGame([MASKED, MASKED]),
    "rewards": lambda: gk.offline.Dataset(np.zeros((2, 2), int), MASKED, (2, 2)),
    "actions": lambda: gk.offline.Dataset(MASKED.astype(int), np.zeros((2, 2)), (2, 2)),
    "log_reference[1]": lambda: gk.Regularizer(list(np.ma.log(MASKED)), 1.0),
    "policy[1]": lambda: gk.action_values(gk.games.chicken(), list(MASKED)),
    "preferences": lambda: gk.preference.nash_policies(MASKED[None], np.zeros((1, 2)), 1.0),
    "log_reference": lambda: gk.preference.nash_policies(np.full((2, 2, 2), 0.5), MASKED, 1.0),
}


@pytest.mark.parametrize("field", TAKERS)
def test_masked_entries_are_refused_by_name(field):
    with pytest.raises(ValueError, match="masked entries") as refusal:
        TAKERS[field]()
    assert str(refusal.value).startswith(field.split(",")[0])


def test_a_masked_array_without_masked_entries_is_an_array():
    whole = np.ma.masked_array([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    np.testing.assert_array_equal(gk.NormalFormGame(whole).payoffs, jnp.asarray(whole.data))
