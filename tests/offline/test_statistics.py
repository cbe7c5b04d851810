"""Statistics are exact in law at any sample size.

`law_fails` standardises the counts of M datasets and tests, for each cell, mean and variance (normal and chi-squared),
each at level ALPHA over the number of tests, and the totals, which must be exact. So a right sampler is refused with
probability at most ALPHA = 1e-6 a call; test_power shows that samplers known to be wrong are always refused.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import gamekl as gk
from gamekl.offline import sample_dataset, sample_statistics, statistics_from_dataset

ALPHA = 1e-6
DATASETS = 4_000


def law_fails(counts, num_samples, probs):
    """Why counts ``[dataset, cell]`` are not multinomial(num_samples, probs), as a list of reasons."""
    counts, probs = np.asarray(counts, dtype=np.float64), np.asarray(probs, dtype=np.float64)
    reasons = []
    if np.any(counts.sum(axis=1) != num_samples):
        reasons.append("totals")
    if np.any(counts != np.floor(counts)) or np.any(counts < 0):
        reasons.append("whole numbers")
    z = (counts - num_samples * probs) / np.sqrt(num_samples * probs * (1 - probs))
    level = ALPHA / (2 * len(probs)) / 2
    if np.any(np.abs(z.sum(axis=0)) / np.sqrt(len(z)) > scipy.stats.norm.isf(level)):
        reasons.append("means")
    squares = (z**2).sum(axis=0)
    if np.any(squares > scipy.stats.chi2.isf(level, len(z))) or np.any(squares < scipy.stats.chi2.ppf(level, len(z))):
        reasons.append("variances")
    return reasons


def unequal_probs(shape):
    weights = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    return weights / weights.sum()


@pytest.mark.parametrize("num_samples", [10**6, 10**9, 10**12])
@pytest.mark.parametrize("shape", [(3, 4), (10, 10), (3, 4, 2)])
def test_counts_at_any_sample_size(num_samples, shape):
    game, probs = gk.games.uniform(jax.random.key(0), shape), unequal_probs(shape)
    keys = jax.random.split(jax.random.key(1), DATASETS)
    statistics = jax.vmap(lambda key: sample_statistics(key, game, probs, num_samples, 1.0))(keys)
    assert law_fails(statistics.counts.reshape(DATASETS, -1), num_samples, probs.ravel()) == []


@pytest.mark.parametrize("num_samples", [10**6, 10**9, 10**12])
def test_power_against_wrong_samplers(num_samples):
    """In 10 of 10 trials each: binomials in float32, independent Poisson cells, a spread that is 10 % too large.

    At n = 10^6 the float32 sampler is wrong by less than 48,000 draws can show (4 million do show it).
    """
    probs = unequal_probs((3, 4)).ravel()
    for trial in range(10):
        rng = np.random.default_rng(trial)
        key = jax.random.key(trial)
        # Successive binomials in float32, the rest in the last cell.
        left, tail, single = jnp.full(DATASETS, num_samples, jnp.float32), 1.0, []
        for cell, prob in enumerate(probs[:-1]):
            share = jnp.float32(prob / tail)
            drawn = jax.random.binomial(jax.random.fold_in(key, cell), left, share, dtype=jnp.float32)
            left, tail = left - drawn, tail - prob
            single.append(np.asarray(drawn))
        assert num_samples < 10**9 or law_fails(np.stack([*single, left], axis=1), num_samples, probs)
        poisson = rng.poisson(num_samples * probs, (DATASETS, len(probs)))
        assert law_fails(poisson, num_samples, probs)
        right = rng.multinomial(num_samples, probs, DATASETS)
        wide = np.round(num_samples * probs + 1.1 * (right - num_samples * probs))
        assert "variances" in law_fails(wide, num_samples, probs)


def test_the_test_accepts_numpy():
    probs = unequal_probs((3, 4)).ravel()
    for trial in range(20):
        right = np.random.default_rng(trial).multinomial(10**9, probs, DATASETS)
        assert law_fails(right, 10**9, probs) == []


@pytest.mark.parametrize("noise", [pytest.param(0.7, marks=pytest.mark.slow), "bernoulli"])
def test_direct_statistics_have_the_law_of_counted_rows(noise):
    """n = 10^4, 2,000 datasets each: Kolmogorov-Smirnov for every count and sum, and for a joint quadratic form."""
    game, probs = gk.games.uniform(jax.random.key(0), (3, 4)), unequal_probs((3, 4))
    keys = jax.random.split(jax.random.key(2), 4_000)

    @jax.jit
    def direct(keys):
        return jax.vmap(lambda key: sample_statistics(key, game, probs, 10_000, noise))(keys)

    @jax.jit
    def counted(keys):
        return jax.lax.map(lambda key: statistics_from_dataset(sample_dataset(key, game, probs, 10_000, noise)), keys)

    first, second = direct(keys[:2_000]), counted(keys[2_000:])
    pairs = [(first.counts.reshape(2_000, -1), second.counts.reshape(2_000, -1))]
    pairs += [(first.reward_sums.reshape(2_000, -1), second.reward_sums.reshape(2_000, -1))]

    def quadratic(statistics):
        counts = np.asarray(statistics.counts)
        return ((counts - 10_000 * probs) ** 2 / (10_000 * probs)).sum(axis=(1, 2), keepdims=True).reshape(-1, 1)

    pairs += [(quadratic(first), quadratic(second))]
    values = [
        scipy.stats.ks_2samp(np.asarray(a)[:, column], np.asarray(b)[:, column]).pvalue
        for a, b in pairs
        for column in range(a.shape[1])
    ]
    assert min(values) > ALPHA / len(values)
    assert np.all(second.counts.sum(axis=(1, 2)) == 10_000)


def test_reward_sums_given_the_counts():
    """Standardised Gaussian sums are standard normal and independent across players; Bernoulli sums are binomial."""
    game, probs = gk.games.uniform(jax.random.key(0), (3, 4)), unequal_probs((3, 4))
    keys = jax.random.split(jax.random.key(3), DATASETS)
    for num_samples in (10**3, 10**9):
        gaussian = jax.vmap(lambda key, n=num_samples: sample_statistics(key, game, probs, n, 2.0))(keys)
        counts = np.asarray(gaussian.counts)[:, None]
        z = (np.asarray(gaussian.reward_sums) - counts * np.asarray(game.payoffs)) / (2 * np.sqrt(counts))
        assert scipy.stats.kstest(z.ravel(), "norm").pvalue > ALPHA
        correlation = np.corrcoef(z[:, 0].ravel(), z[:, 1].ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(z[:, 0].size)
        bernoulli = jax.vmap(lambda key, n=num_samples: sample_statistics(key, game, probs, n, "bernoulli"))(keys)
        counts, means = np.asarray(bernoulli.counts)[:, None], np.asarray(game.payoffs)
        z = (np.asarray(bernoulli.reward_sums) - counts * means) / np.sqrt(counts * means * (1 - means))
        squares = (z**2).sum()
        assert abs(z.mean()) * np.sqrt(z.size) < 5
        # The kurtosis of a binomial adds (1 - 6pq) / (N pq) to the variance of z^2, negligible at these counts.
        assert abs(squares - z.size) / np.sqrt(2 * z.size) < 6


def test_cells_without_mass_get_no_rows_and_totals_are_kept():
    game = gk.games.uniform(jax.random.key(0), (3, 4))
    for hole in [(0, 0), (2, 3), (1, 2), (2,)]:
        probs = np.ones((3, 4))
        probs[hole] = 0
        probs /= probs.sum()
        for num_samples in (1, 7, 10**12):
            statistics = sample_statistics(jax.random.key(1), game, probs, num_samples, 1.0)
            assert np.all(np.asarray(statistics.counts)[probs == 0] == 0)
            assert np.all(np.asarray(statistics.reward_sums)[:, probs == 0] == 0)
            assert float(statistics.counts.sum()) == num_samples
    certain = np.zeros((3, 4))
    certain[1, 1] = 1
    assert sample_statistics(jax.random.key(1), game, certain, 10**12, 0.0).counts[1, 1] == 10**12


def test_sample_sizes_are_traced_and_keys_of_both_kinds_are_taken():
    game, probs = gk.games.chicken(), np.full((2, 2), 0.25)
    sizes = jnp.asarray([1.0, 100.0, 1e12])
    totals = jax.jit(jax.vmap(lambda n: sample_statistics(jax.random.key(0), game, probs, n, 1.0).counts.sum()))(sizes)
    assert totals.tolist() == [1, 100, 10**12]
    legacy = sample_statistics(jax.random.PRNGKey(0), game, probs, 50, 1.0)
    assert np.array_equal(legacy.counts, sample_statistics(jax.random.key(0), game, probs, 50, 1.0).counts)


@pytest.mark.parametrize("num_samples", [0, -3, 2.5, np.nan])
def test_bad_numbers_of_rows(num_samples):
    game, probs = gk.games.chicken(), np.full((2, 2), 0.25)
    with pytest.raises(ValueError, match="num_samples: got .*, takes a whole number >= 1"):
        sample_statistics(jax.random.key(0), game, probs, num_samples, 1.0)
    with pytest.raises(ValueError, match="num_samples: got .*, takes a whole number >= 1"):
        sample_dataset(jax.random.key(0), game, probs, num_samples, 1.0)


def test_several_numbers_of_rows():
    with pytest.raises(ValueError, match=r"num_samples: got \[1 2\], takes a whole number >= 1"):
        sample_statistics(jax.random.key(0), gk.games.chicken(), np.full((2, 2), 0.25), np.array([1, 2]), 1.0)


def test_bad_noise():
    game, probs = gk.games.chicken(), np.full((2, 2), 0.25)
    for noise in (-1.0, np.inf, np.nan, "gauss"):
        with pytest.raises(ValueError, match="noise: got .*, takes a standard deviation >= 0 or 'bernoulli'"):
            sample_statistics(jax.random.key(0), game, probs, 10, noise)
    with pytest.raises(ValueError, match=r"payoffs: got 0.0 to 7.0, takes values in \[0, 1\]"):
        sample_statistics(jax.random.key(0), game, probs, 10, "bernoulli")


def test_without_x64_counts_are_exact_or_refused():
    """float32 holds whole numbers up to 2^24; up to there the draws are made in float64 and are right in law."""
    probs = np.full((2, 2), 0.25)
    with jax.enable_x64(False):
        game = gk.games.chicken(dtype=jnp.float32)
        counts = []
        for seed in range(400):
            statistics = sample_statistics(jax.random.key(seed), game, probs, 10**7, 1.0)
            assert statistics.counts.dtype == jnp.float32
            counts.append(np.asarray(statistics.counts).ravel())
        assert law_fails(np.stack(counts), 10**7, probs.ravel()) == []
        with pytest.raises(ValueError, match=r"num_samples: got 1e\+08, takes at most 16777216.*jax_enable_x64"):
            sample_statistics(jax.random.key(0), game, probs, 10**8, 1.0)
        keys = jax.random.split(jax.random.key(0), 3)
        with pytest.raises(ValueError, match="takes at most 131072"):
            jax.vmap(lambda key: sample_statistics(key, game, probs, 10**6, 1.0))(keys)
        traced = jax.jit(lambda n: sample_statistics(keys[0], game, probs, n, 1.0).counts)
        assert np.all(np.isnan(traced(1e6)))
        assert traced(1e5).sum() == 1e5
