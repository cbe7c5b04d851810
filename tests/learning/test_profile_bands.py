"""Bands of what a given profile earns in a log: of what width they are, and whose they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from log_helpers import BEHAVIOR, CONTEXTS, GAME, columns_of, read

import gamekl as gk
from gamekl.learning.bootstrap import bootstrap_profile

PROFILE = tuple(np.log(np.array(entry)) for entry in ([0.8, 0.2], [0.4, 0.6]))


@pytest.fixture
def log(tmp_path):
    return read(tmp_path, columns_of(gk.offline.sample_dataset(jax.random.key(4), GAME, BEHAVIOR, 500, 0.5)))


def test_bands_of_what_a_profile_earns_are_those_of_linear_numbers(log):
    """With m a cell's mean, group g moves pi . m by sum_a pi(a) (S_g - m N_g)(a) / N(a), N all rows of the cell."""
    found = bootstrap_profile(log, PROFILE, jax.random.key(0), num_resamples=5_000)
    counts, sums = log.groups.counts, log.groups.reward_sums
    mean = sums.sum(axis=0) / counts.sum(axis=0)
    moves = (sums - mean * counts[:, None]) / counts.sum(axis=0)
    x, y = map(np.exp, PROFILE)
    scale = np.sqrt(64 / 63) * scipy.stats.t.ppf(0.975, 63)
    for band, move, point in [
        (found.value, np.einsum("gpab,a,b->gp", moves, x, y), np.einsum("pab,a,b->p", mean, x, y)),
        (found.action_values[0], np.einsum("gab,b->ga", moves[:, 0], y), mean[0] @ y),
        (found.action_values[1], np.einsum("gab,a->gb", moves[:, 1], x), x @ mean[1]),
    ]:
        width = scale * np.sqrt(np.sum(move**2, axis=0))
        np.testing.assert_allclose(band.point, point, atol=1e-12)
        np.testing.assert_allclose([band.point - band.lower, band.upper - band.point], [width, width], rtol=0.1)
    assert (found.num_resamples, found.num_groups, found.level) == (5_000, 64, 0.95)


def test_contexts_are_resampled_too(tmp_path):
    """With v_x the value in context x and p_x its frequency, group g also moves it by sum v_x (N_gx - p_x N_g) / N."""
    game = gk.ContextualGame(jnp.stack([GAME.payoffs, GAME.payoffs[:, ::-1] + 1]), jnp.array([0.3, 0.7]))
    drawn = gk.offline.sample_dataset(jax.random.key(8), game, np.stack([BEHAVIOR, BEHAVIOR.T]), 2_000, 0.5)
    log = read(tmp_path, columns_of(drawn), CONTEXTS)
    profile = tuple(np.stack([entry, entry[::-1]]) for entry in PROFILE)
    found = bootstrap_profile(log, profile, jax.random.key(0), num_resamples=5_000)
    counts, sums = log.groups.counts, log.groups.reward_sums
    mean = sums.sum(axis=0) / counts.sum(axis=0)[:, None]
    moves = (sums - mean * counts[:, :, None]) / counts.sum(axis=0)[:, None]
    x, y = map(np.exp, profile)
    visits = counts.sum(axis=(2, 3))
    frequencies = visits.sum(axis=0) / 2_000
    values = np.einsum("cpab,ca,cb->cp", mean, x, y)
    move = np.einsum("c,gcpab,ca,cb->gp", frequencies, moves, x, y)
    move += (visits - frequencies * visits.sum(axis=1, keepdims=True)) / 2_000 @ values
    width = np.sqrt(64 / 63) * scipy.stats.t.ppf(0.975, 63) * np.sqrt(np.sum(move**2, axis=0))
    np.testing.assert_allclose(found.value.point, frequencies @ values, atol=1e-12)
    np.testing.assert_allclose(found.value.point - found.value.lower, width, rtol=0.1)
    np.testing.assert_allclose(found.value.upper - found.value.point, width, rtol=0.1)
    assert found.action_values[1].lower.shape == (2, 2)


def test_pure_profiles_and_cells_without_rows(tmp_path, caplog):
    """In all resamples an unseen cell pays the prior mean."""
    columns = columns_of(gk.offline.sample_dataset(jax.random.key(6), GAME, [[0.5, 0.0], [0.2, 0.3]], 2_000, 0.0))
    pure = ([0.0, -np.inf], [-np.inf, 0.0])
    found = bootstrap_profile(read(tmp_path, columns), pure, jax.random.key(0), prior_mean=-3.0)
    np.testing.assert_array_equal([found.value.lower, found.value.upper], [[-3, -3]] * 2)
    assert "1 of 4 joint actions have no data" in caplog.text


def test_bad_profiles(log):
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="log_policy: got shapes .*, takes one .actions. array for each player"):
        bootstrap_profile(log, PROFILE[:1], key)
    with pytest.raises(ValueError, match=r"log_policy\[0\]: got 0.8, takes logarithms of probabilities, none above 0"):
        bootstrap_profile(log, ([0.8, 0.2], [0.5, 0.5]), key)
    with pytest.raises(ValueError, match="num_resamples: got 44, takes at least 45 for level 0.95 and 64 groups"):
        bootstrap_profile(log, PROFILE, key, num_resamples=44)
    with pytest.raises(TypeError, match="log: got Statistics, takes a Log"):
        bootstrap_profile(log.statistics, PROFILE, key)
