"""Datasets and the tabular estimate."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import log

import gamekl as gk
from gamekl.offline import Dataset, Statistics, estimate, sample_dataset, sample_statistics, statistics_from_dataset


def test_estimates_are_cell_means(caplog):
    actions = np.array([[0, 1], [0, 1], [1, 2], [1, 0]])
    rewards = np.array([[1.0, 10.0], [3.0, 20.0], [5.0, 0.0], [-1.0, 2.5]])
    found = estimate(Dataset(actions, rewards, (2, 3)), prior_mean=7.0)
    np.testing.assert_array_equal(found.counts, [[0, 2, 0], [1, 0, 1]])
    np.testing.assert_array_equal(found.game.payoffs[0], [[7, 2, 7], [-1, 7, 5]])
    np.testing.assert_array_equal(found.game.payoffs[1], [[7, 15, 7], [2.5, 7, 0]])
    assert "3 of 6 joint actions have no data; their payoffs are estimated as prior_mean = 7" in caplog.text


def test_rows_and_statistics_of_rows_estimate_the_same():
    game = gk.games.uniform(jax.random.key(0), (3, 4, 2))
    dataset = sample_dataset(jax.random.key(1), game, np.full((3, 4, 2), 1 / 24), 5_000, 1.0)
    assert dataset.actions.shape == dataset.rewards.shape == (5_000, 3)
    direct, through = estimate(dataset), estimate(statistics_from_dataset(dataset))
    np.testing.assert_array_equal(direct.game.payoffs, through.game.payoffs)
    cell = np.all(np.asarray(dataset.actions) == [2, 1, 0], axis=1)
    assert float(direct.counts[2, 1, 0]) == cell.sum()
    np.testing.assert_allclose(direct.game.payoffs[:, 2, 1, 0], np.asarray(dataset.rewards)[cell].mean(axis=0))


def test_noiseless_data_give_the_game_back():
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    found = estimate(sample_statistics(jax.random.key(1), game, np.full((3, 4), 1 / 12), 10_000, 0.0))
    np.testing.assert_allclose(found.game.payoffs, game.payoffs, atol=1e-12)


def test_rows_never_fall_on_cells_without_mass():
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    probs = np.zeros((3, 4))
    probs[1, 1], probs[2, 0] = 0.3, 0.7
    for dtype in (jnp.float32, jnp.float64):
        dataset = sample_dataset(jax.random.key(1), game, jnp.asarray(probs, dtype), 200_000, 1.0)
        counts = np.asarray(statistics_from_dataset(dataset).counts)
        assert counts[probs == 0].sum() == 0
        assert abs(counts[1, 1] - 60_000) < 6 * np.sqrt(200_000 * 0.21)


def test_many_float32_rewards_are_added_up_precisely():
    """Added one by one in float32 this mean would come out as 0.0998."""
    actions, rewards = np.zeros((10**6, 1), dtype=np.int32), np.full((10**6, 1), 0.1, dtype=np.float32)
    for x64 in (True, False):
        with jax.enable_x64(x64):
            found = estimate(Dataset(actions, rewards, (1,)))
            assert found.game.payoffs.dtype == jnp.float32
            np.testing.assert_allclose(found.game.payoffs, 0.1, rtol=1e-6)


def test_bad_prior_means():
    dataset = Dataset(np.zeros((1, 2), int), np.zeros((1, 2)), (2, 2))
    with pytest.raises(ValueError, match="prior_mean: got nan, takes a finite number"):
        estimate(dataset, prior_mean=np.nan)


def test_the_dtype_of_the_game_is_kept():
    game = gk.games.uniform(jax.random.key(0), (3, 4), dtype=jnp.float32)
    found = estimate(sample_statistics(jax.random.key(1), game, np.full((3, 4), 1 / 12), 10**12, 1.0))
    assert found.game.payoffs.dtype == jnp.float32
    assert found.counts.dtype == jnp.float64
    np.testing.assert_allclose(found.game.payoffs, game.payoffs, atol=1e-4)


@pytest.mark.parametrize(
    ("actions", "rewards", "message"),
    [
        ([[0, 3]], [[0.0, 0.0]], r"actions\[0, 1\]: got 3, takes 0 to 2"),
        ([[0, 0], [-1, 0]], [[0.0, 0.0]] * 2, r"actions\[1, 0\]: got -1, takes 0 to 1"),
        ([[0, 0]], [[0.0, np.nan]], r"rewards\[0, 1\]: got nan \(\d+ such entries\), takes finite numbers"),
        ([[0.5, 0.0]], [[0.0, 0.0]], r"actions: got dtype float.*, takes integers"),
        ([[0, 0, 0]], [[0.0, 0.0, 0.0]], r"actions: got shape \(1, 3\), takes \[row, player\] = \(1, 2\)"),
        ([[0, 0]], [[0.0]], r"rewards: got shape \(1, 1\), takes \[row, player\] = \(1, 2\)"),
        (np.zeros((0, 2), int), np.zeros((0, 2)), "got an empty dataset, takes at least one row"),
    ],
)
def test_bad_rows(actions, rewards, message):
    with pytest.raises(ValueError, match=message):
        Dataset(np.array(actions), np.array(rewards), (2, 3))


def test_bad_statistics():
    sums = jnp.zeros((2, 2, 2))
    with pytest.raises(ValueError, match="counts: got an empty dataset"):
        estimate(Statistics(jnp.zeros((2, 2)), sums))
    with pytest.raises(ValueError, match=r"counts\[0, 1\]: got -1.0, takes finite numbers >= 0"):
        estimate(Statistics(jnp.asarray([[1.0, -1.0], [0.0, 0.0]]), sums))


def test_data_on_a_masked_action():
    regularizer = gk.Regularizer(log([1.0, 0.0], [0.5, 0.5]), 1.0)
    dataset = Dataset(np.array([[0, 0], [1, 1]]), np.zeros((2, 2)), (2, 2))
    with pytest.raises(ValueError, match=r"counts\[1, 1\]: got 1 rows on a masked action, takes none"):
        estimate(dataset, regularizer=regularizer)
    estimate(Dataset(np.array([[0, 0], [0, 1]]), np.zeros((2, 2)), (2, 2)), regularizer=regularizer)


def test_other_data_are_refused():
    """In a process of its own, as tests check types in their own way."""
    code = """
import gamekl as gk
for data in (3, "log.csv"):
    try:
        gk.offline.estimate(data)
    except TypeError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "data: got int, takes statistics, a dataset or a Log",
        "data: got str, takes statistics, a dataset or a Log (gamekl.offline.read_log reads a file)",
    ]
