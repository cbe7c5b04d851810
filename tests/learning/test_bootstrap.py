"""Bands around the equilibrium of a log: how often they cover the truth, and what they are made of."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from log_helpers import BEHAVIOR, CONTEXTS, GAME, MATCHES, PLAIN, PLAYERS, anchor_of, columns_of, read

import gamekl as gk
from gamekl.learning.bootstrap import bootstrap_profile


def quantities(game, anchor, log_policy):
    """What the bands are of, by definition, in numpy: policies, action values, value, regularised value."""
    policy = [np.exp(np.asarray(entry)) for entry in log_policy]
    reference = [np.exp(np.asarray(entry)) for entry in anchor.log_reference]
    first = np.einsum("...ab,...b->...a", np.asarray(game.table)[..., 0, :, :], policy[1])
    second = np.einsum("...ab,...a->...b", np.asarray(game.table)[..., 1, :, :], policy[0])
    weights = np.asarray(game.context_probs) if game.stage_shape else np.ones(())
    value = [np.sum(weights[..., None] * own * worth) for own, worth in zip(policy, (first, second), strict=True)]
    cost = [np.sum(weights[..., None] * p * np.log(p / q)) for p, q in zip(policy, reference, strict=True)]
    value, temperatures = np.array(value), np.asarray(anchor.temperatures)
    return (*policy, first, second, value, value - temperatures * np.array(cost))


def bands(found):
    return (*found.policy, *found.action_values, found.value, found.regularized_value)


def covered(found, truth):
    """Whether each of the numbers lies in its band, flat."""
    return np.concatenate(
        [((band.lower <= true) & (true <= band.upper)).ravel() for band, true in zip(bands(found), truth, strict=True)]
    )


def assert_nominal(hits, level=0.95):
    """As often as the level says, within 4 standard errors and 1 %, the numbers of a policy being those of another."""
    error = np.sqrt(level * (1 - level) / len(hits))
    np.testing.assert_allclose(hits.mean(axis=0), level, atol=4 * error + 0.01)


def test_bands_cover_the_truth(tmp_path):
    """200 logs of 1,500 rows of a game of two players with temperatures of their own."""
    anchor = anchor_of(GAME, [0.5, 0.8])
    truth = quantities(GAME, anchor, gk.solve_nash(GAME, anchor).log_policy)
    hits = []
    for key in jax.random.split(jax.random.key(0), 200):
        log = read(tmp_path, columns_of(gk.offline.sample_dataset(key, GAME, BEHAVIOR, 1_500, 0.5)))
        found = gk.learning.bootstrap(log, anchor, key)
        assert found.num_failed == 0 and found.num_groups == 64
        hits.append(covered(found, truth))
    assert_nominal(np.array(hits))


@pytest.mark.slow
def test_bands_of_contexts_cover_the_truth(tmp_path):
    """The frequencies of the contexts are resampled too."""
    payoffs = jnp.stack([GAME.payoffs, GAME.payoffs[:, ::-1] + 1])
    game = gk.ContextualGame(payoffs, jnp.array([0.3, 0.7]))
    anchor = anchor_of(game, 0.6)
    truth = quantities(game, anchor, gk.solve_nash(game, anchor).log_policy)
    behavior, hits = np.stack([BEHAVIOR, BEHAVIOR.T]), []
    for key in jax.random.split(jax.random.key(1), 100):
        log = read(tmp_path, columns_of(gk.offline.sample_dataset(key, game, behavior, 3_000, 0.5)), CONTEXTS)
        found = gk.learning.bootstrap(log, anchor, key, level=0.9)
        assert found.policy[0].point.shape == (2, 2) and found.num_failed == 0
        hits.append(covered(found, truth))
    assert_nominal(np.array(hits), 0.9)


def test_rows_that_depend_on_each_other_stay_together(tmp_path):
    """Each row ten times over. By rows the bands are too narrow by the root of ten, and cover less than half."""
    anchor = anchor_of(GAME, 0.6)
    truth = quantities(GAME, anchor, gk.solve_nash(GAME, anchor).log_policy)
    by_match, by_row = [], []
    for key in jax.random.split(jax.random.key(2), 100):
        columns = columns_of(gk.offline.sample_dataset(key, GAME, BEHAVIOR, 1_000, 0.5)) | {"match": np.arange(1_000)}
        order = np.random.default_rng(np.asarray(jax.random.key_data(key))).permutation(10_000)
        columns = {name: np.repeat(values, 10)[order] for name, values in columns.items()}
        for schema, hits in ((MATCHES, by_match), (PLAIN, by_row)):
            hits.append(covered(gk.learning.bootstrap(read(tmp_path, columns, schema), anchor, key), truth))
    assert_nominal(np.array(by_match))
    expected = 2 * scipy.stats.norm.cdf(1.96 / 10**0.5) - 1
    np.testing.assert_allclose(np.array(by_row).mean(axis=0), expected, atol=4 * 0.5 / 100**0.5 + 0.01)


@pytest.mark.slow
def test_few_groups_have_bands_that_are_wide_enough(tmp_path):
    """Of 8 groups plain percentiles cover 88.6 %; as the numbers depend on each other, all of them are averaged."""
    anchor = anchor_of(GAME, 0.6)
    truth = quantities(GAME, anchor, gk.solve_nash(GAME, anchor).log_policy)
    hits = []
    for key in jax.random.split(jax.random.key(3), 150):
        columns = columns_of(gk.offline.sample_dataset(key, GAME, BEHAVIOR, 4_000, 0.5))
        found = gk.learning.bootstrap(read(tmp_path, columns, num_groups=8), anchor, key)
        hits.append(covered(found, truth))
    assert 0.92 < np.mean(hits) < 0.98


def in_five_groups(tmp_path):
    columns = {
        "a": [0, 1] * 5,
        "b": [0, 0, 1, 1, 0] * 2,
        "r": np.arange(10.0),
        "s": np.ones(10),
        "match": [*"abcde"] * 2,
    }
    log = read(tmp_path, columns, MATCHES, num_groups=2**16)
    assert log.num_groups == 5
    return log


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_quantiles_lie_inside_of_what_is_drawn(tmp_path, level):
    """n numbers reach from the 1 / (n + 1) to the n / (n + 1) quantile; of t with 4 degrees there is a closed form."""
    root = np.sqrt(1 - level**2)  # of 4 a (1 - a)
    t = 2 * np.sqrt(np.cos(np.arccos(root) / 3) / root - 1)
    tail = math.erfc(t * np.sqrt(5 / 4) / np.sqrt(2)) / 2
    least = next(number for number in itertools.count(1) if 1 / (number + 1) <= tail)
    log, anchor = in_five_groups(tmp_path), anchor_of(GAME, 0.6)
    with pytest.raises(
        ValueError, match=f"^num_resamples: got {least - 1}, takes at least {least} for level {level} and"
    ):
        gk.learning.bootstrap(log, anchor, jax.random.key(0), num_resamples=least - 1, level=level)
    found = gk.learning.bootstrap(log, anchor, jax.random.key(0), num_resamples=least, level=level)
    assert np.all(found.value.lower <= found.value.upper)


@pytest.fixture
def log(tmp_path):
    return read(tmp_path, columns_of(gk.offline.sample_dataset(jax.random.key(4), GAME, BEHAVIOR, 500, 0.5)))


def test_the_point_is_gane(log):
    anchor = anchor_of(GAME, 0.6)
    found = gk.learning.bootstrap(log, anchor, jax.random.key(0))
    estimate = gk.offline.estimate(log.statistics)
    solution = gk.gane(estimate, anchor)
    for ours, theirs in zip(found.solution.log_policy, solution.log_policy, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for band, expected in zip(bands(found), quantities(estimate.game, anchor, solution.log_policy), strict=True):
        np.testing.assert_allclose(band.point, expected, atol=1e-12)
        assert np.all(band.lower < band.point) and np.all(band.point < band.upper)
    assert (found.num_resamples, found.num_groups, found.level) == (200, 64, 0.95)


def test_a_profile_earns_what_it_does_as_an_equilibrium(log):
    """That of an anchor to it that is too strong to leave, in the same resamples."""
    anchor, key = anchor_of(GAME, 1e9), jax.random.key(0)
    found = bootstrap_profile(log, anchor.log_reference, key, level=0.9, prior_mean=-1)
    expected = gk.learning.bootstrap(log, anchor, key, level=0.9, prior_mean=-1)
    ours, theirs = ((one.estimate.game, one.action_values, one.value) for one in (found, expected))
    jax.tree.map(lambda mine, other: np.testing.assert_allclose(mine, other, atol=1e-8), ours, theirs)


def test_keys_and_levels(log):
    """The same key, the same bands; a higher level contains a lower one."""
    anchor = anchor_of(GAME, 0.6)
    narrow, wide, again, other = (
        gk.learning.bootstrap(log, anchor, jax.random.key(seed), level=level)
        for seed, level in [(0, 0.8), (0, 0.95), (0, 0.95), (1, 0.95)]
    )
    assert np.all(wide.value.lower < narrow.value.lower) and np.all(narrow.value.upper < wide.value.upper)
    np.testing.assert_array_equal(wide.value.lower, again.value.lower)
    assert np.all(wide.value.lower != other.value.lower)


def test_without_noise_bands_are_points(tmp_path):
    """What a resample can change is then only how often a cell was seen."""
    columns = columns_of(gk.offline.sample_dataset(jax.random.key(5), GAME, BEHAVIOR, 2_000, 0.0))
    anchor = anchor_of(GAME, 0.6)
    found = gk.learning.bootstrap(read(tmp_path, columns), anchor, jax.random.key(0))
    truth = quantities(GAME, anchor, gk.solve_nash(GAME, anchor).log_policy)
    for band, expected in zip(bands(found), truth, strict=True):
        np.testing.assert_allclose([band.lower, band.point, band.upper], [expected] * 3, atol=1e-8)


def test_cells_without_rows_are_the_prior_mean(tmp_path, caplog):
    """In the log and in all resamples; the band knows nothing of what they might pay."""
    behavior = np.array([[0.5, 0.0], [0.2, 0.3]])
    columns = columns_of(gk.offline.sample_dataset(jax.random.key(6), GAME, behavior, 2_000, 0.0))
    anchor = anchor_of(GAME, 0.6)
    found = gk.learning.bootstrap(read(tmp_path, columns), anchor, jax.random.key(0), prior_mean=-3.0)
    game = gk.NormalFormGame(GAME.payoffs.at[:, 0, 1].set(-3.0))
    expected = quantities(game, anchor, gk.solve_nash(game, anchor).log_policy)
    np.testing.assert_allclose([found.value.lower, found.value.upper], [expected[4]] * 2, atol=1e-8)
    assert "1 of 4 joint actions have no data" in caplog.text


def test_references_of_the_log_mask_what_was_never_played(tmp_path):
    behavior = np.array([[0.5, 0.0], [0.5, 0.0]])
    columns = columns_of(gk.offline.sample_dataset(jax.random.key(7), GAME, behavior, 200, 0.5))
    listed = gk.offline.LogSchema(player=[PLAYERS[0], {**PLAYERS[1], "actions": [0, 1]}])
    log = read(tmp_path, columns, listed)
    anchor = gk.Regularizer([jnp.log(jnp.asarray(entry)) for entry in log.marginals], 0.6)
    found = gk.learning.bootstrap(log, anchor, jax.random.key(0))
    np.testing.assert_array_equal(found.policy[1].upper, [1, 0])
    with pytest.raises(ValueError, match=r"counts\[0, 0\]: got \d+ rows on a masked action"):
        gk.learning.bootstrap(log, gk.Regularizer([[-np.inf, 0.0], [0.0, -np.inf]], 0.6), jax.random.key(0))


def test_what_is_not_found_is_counted(log):
    """A temperature at which rounding decides: no band, and no error either."""
    found = gk.learning.bootstrap(log, anchor_of(GAME, 1e-12), jax.random.key(0))
    assert found.num_failed > 100 and found.status != gk.Status.converged
    assert np.all(np.isfinite(found.value.point)) and np.all(np.isnan(found.value.lower))


@pytest.mark.slow
def test_without_x64(log):
    anchor = anchor_of(GAME, 0.6)
    expected = gk.learning.bootstrap(log, anchor, jax.random.key(0))
    with jax.enable_x64(False):
        anchor = jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype=jnp.float32), anchor)
        found = gk.learning.bootstrap(log, anchor, jax.random.key(0))
    for ours, theirs in zip(bands(found), bands(expected), strict=True):
        np.testing.assert_allclose(ours.lower, theirs.lower, atol=1e-5)
        np.testing.assert_allclose(ours.upper, theirs.upper, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_resamples": 44}, "num_resamples: got 44, takes at least 45 for level 0.95 and 64 groups"),
        ({"num_resamples": 200, "level": 0.99}, "num_resamples: got 200, takes at least 269 for level 0.99"),
        ({"num_resamples": 0}, "num_resamples: got 0, takes a whole number >= 1"),
        ({"num_resamples": 10**8}, "num_resamples: got 100000000, takes at most"),
        ({"level": 1.0}, "level: got 1.0, takes a number above 0 and below 1"),
        ({"level": 95}, "level: got 95, takes a number above 0 and below 1"),
        ({"prior_mean": np.inf}, "prior_mean: got inf, takes a finite number"),
    ],
)
def test_bad_options(log, options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        gk.learning.bootstrap(log, anchor_of(GAME, 0.6), jax.random.key(0), **options)


def test_bad_logs_and_anchors(log, tmp_path):
    anchor, key = anchor_of(GAME, 0.6), jax.random.key(0)
    with pytest.raises(TypeError, match="log: got Statistics, takes a Log"):
        gk.learning.bootstrap(log.statistics, anchor, key)
    with pytest.raises(ValueError, match="log_reference: got references of actions"):
        gk.learning.bootstrap(log, gk.Regularizer.uniform(gk.games.rock_paper_scissors(), 1.0), key)
    with pytest.raises(ValueError, match="temperature: got 0.0, takes numbers > 0"):
        gk.learning.bootstrap(log, anchor_of(GAME, 0.0), key)
    columns = {"a": [0, 1], "b": [0, 0], "r": [0.0, 1.0], "s": [0.0, 1.0]}
    with pytest.raises(ValueError, match="log: got its rows in 1 group, takes at least 5 groups for level 0.95"):
        gk.learning.bootstrap(read(tmp_path, columns, num_groups=1), anchor, key)
    with pytest.raises(ValueError, match="log: got its rows in 5 groups, takes at least 7 groups for level 0.99"):
        gk.learning.bootstrap(in_five_groups(tmp_path), anchor, key, num_resamples=10**6, level=0.99)
