"""Binomial draws: exact in law at every size.

Each chi-squared test is made at level ALPHA over the number of its cases, with seeds that are fixed.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gamekl.core.kernels import binomials, rejection
from gamekl.core.kernels.binomials import draw_binomials
from gamekl.core.kernels.rejection import take
from gamekl.core.kernels.words import draw_normals, threefry

ALPHA = 1e-6
DRAWS = 400_000
CASES = [(1, 0.5), (5, 0.3), (19, 0.5), (20, 0.5), (25, 0.4), (60, 0.2), (100, 0.05), (333, 0.03), (1_111, 0.1)]
CASES += [(10**6, 9.9e-6), (10**6, 1.1e-5), (10**6, 0.25), (10**12, 1e-11), (10**12, 1e-6), (10**12, 0.5)]

draw = jax.jit(draw_binomials)


def chi_squared(drawn, count, prob):
    """The p-value of draws from binomial(count, prob), in at most 100 bins of at least five expected draws."""
    law = scipy.stats.binom(count, prob)
    low, high = law.ppf(1e-4), law.ppf(1 - 1e-4)
    edges = np.unique(np.floor(np.linspace(low, high, 100)))
    expected = np.diff(np.concatenate([[0], law.cdf(edges), [1]])) * len(drawn)
    counts = np.diff(np.concatenate([[0], np.searchsorted(np.sort(drawn), edges, side="right"), [len(drawn)]]))
    kept = expected >= 5
    rest = [(expected[~kept].sum(), counts[~kept].sum())]
    pairs = [*zip(expected[kept], counts[kept], strict=True), *(pair for pair in rest if pair[0] >= 5)]
    statistic = sum((seen - wanted) ** 2 / wanted for wanted, seen in pairs)
    return scipy.stats.chi2.sf(statistic, len(pairs) - 1)


@pytest.mark.parametrize(("count", "prob"), CASES)
def test_the_law_at_one_size(count, prob):
    drawn = np.asarray(draw(jax.random.key(count % 97), jnp.full(DRAWS, float(count)), jnp.full(DRAWS, prob)))
    assert np.all((drawn >= 0) & (drawn <= count) & (drawn == np.floor(drawn)))
    assert chi_squared(drawn, count, prob) > ALPHA / len(CASES)


def test_the_law_where_all_sizes_are_drawn_together():
    counts, probs = (np.tile(column, DRAWS // 4) for column in np.transpose(CASES))
    drawn = np.asarray(draw(jax.random.key(1), jnp.asarray(counts), jnp.asarray(probs))).reshape(-1, len(CASES))
    values = [chi_squared(drawn[:, case], *map(float, CASES[case])) for case in range(len(CASES))]
    assert min(values) > ALPHA / len(CASES)


def test_the_chi_squared_test_tells_laws_apart():
    """A spread that is off by a hundredth, and, where whole numbers lie dense, a mean off by 0.015 spreads."""
    rng = np.random.default_rng(0)
    for count, prob in ((1_111, 0.1), (10**12, 0.5)):
        right = rng.binomial(count, prob, DRAWS)
        spread = math.sqrt(count * prob * (1 - prob))
        assert chi_squared(right, count, prob) > ALPHA
        assert chi_squared(np.round(right + rng.normal(size=DRAWS) * spread * 0.15), count, prob) < ALPHA
        assert chi_squared(np.round(right + 0.015 * spread), count, prob) < ALPHA or spread < 100


def test_the_law_in_float32():
    cases = [(20, 0.5), (60, 0.2), (333, 0.02), (2**17, 1e-4), (2**17, 0.3), (2**17, 0.5)]
    for count, prob in cases:
        prob = float(np.float32(prob))
        arguments = jnp.full(DRAWS, count, jnp.float32), jnp.full(DRAWS, prob, jnp.float32)
        drawn = np.asarray(draw(jax.random.key(2), *arguments))
        assert drawn.dtype == np.float32
        assert chi_squared(drawn.astype(np.float64), count, prob) > ALPHA / len(cases)


def grid():
    """Sizes, probabilities and whole candidates about their means, with the edges that candidates are made of."""
    rng = np.random.default_rng(0)
    counts = np.floor(10 ** rng.uniform(np.log10(20), 12, 4_000))
    probs = np.minimum(10 ** rng.uniform(np.log10(10 / counts), np.log10(0.5)), 0.5)
    spread = np.sqrt(counts * probs * (1 - probs))
    edges = 0.5 * 10 ** rng.uniform(-4, 0, (50, len(counts)))
    sides = np.where(rng.uniform(size=edges.shape) < 0.5, edges - 0.5, 0.5 - edges)
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * probs
    candidates = np.floor((2 * a / edges + b) * sides + counts * probs + 0.5)
    return counts, probs, edges, candidates, a / edges**2 + b


def test_candidates_are_taken_with_the_probability_that_makes_their_law_binomial():
    """That of k is pmf(k) over the density of the candidates, times one constant a size, at most 1."""
    counts, probs, edges, candidates, slope = grid()
    keep = (counts * probs >= 10) & (candidates >= 0) & (candidates <= counts)
    variance = counts * probs * (1 - probs)
    scale = (2.83 + 5.1 / (1.15 + 2.53 * np.sqrt(variance))) * np.exp(1 / (24 * variance)) / np.sqrt(2 * np.pi)
    chance = scipy.stats.binom.pmf(candidates, counts, probs) * slope / scale
    assert np.all(chance[keep] <= 1)
    keep &= chance > 1e-12
    close = np.where(counts < 1e9, 1e-9, 1e-6)  # what scipy's pmf resolves
    assert keep.sum() > 80_000
    for factor, taken in ((1 - close, True), (1 + close, False)):
        found = take(*map(jnp.asarray, np.broadcast_arrays(edges, chance * factor, candidates, counts, probs)))
        assert np.all(np.asarray(found)[keep] == taken)


def test_no_candidate_outside_is_taken():
    assert not take(*map(jnp.asarray, (0.01, 1e-300, -1.0, 100.0, 0.2)))
    assert not take(*map(jnp.asarray, (0.01, 1e-300, 101.0, 100.0, 0.2)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_what_float32_decides_is_what_more_digits_decide(dtype, monkeypatch):
    """Draws are the same where nothing is decided in float32: no element's first judgement is trusted."""
    rng = np.random.default_rng(1)
    counts = np.floor(10 ** rng.uniform(0, 5 if dtype == jnp.float32 else 12, 60_000))
    probs = np.minimum(10 ** rng.uniform(-2, 3, counts.size) / counts, 0.5)
    arguments = jax.random.key(3), jnp.asarray(counts, dtype), jnp.asarray(probs, dtype)
    quick = np.asarray(jax.jit(lambda *given: draw_binomials(*given))(*arguments))
    with monkeypatch.context() as patched:
        patched.setattr(rejection, "MARGIN", np.float32(np.inf))
        patched.setattr(binomials, "SLACK", np.float32(2.0))
        thorough = np.asarray(jax.jit(lambda *given: draw_binomials(*given))(*arguments))
    if dtype == jnp.float64:
        assert np.array_equal(quick, thorough)
    assert np.mean(quick == thorough) > 0.999


def test_an_element_does_not_depend_on_others():
    counts, probs = jnp.asarray([[7.0, 1e3, 1e12]] * 50), jnp.asarray([[0.3, 0.2, 0.5]] * 50)
    keys = jax.random.split(jax.random.key(4), 50)
    together = jax.jit(jax.vmap(draw_binomials))(keys, counts, probs)
    alone = jnp.stack([draw(key, *pair) for key, *pair in zip(keys, counts, probs, strict=True)])
    assert np.array_equal(together, alone)
    assert len(np.unique(np.asarray(together)[:, 2])) == 50


def test_corners():
    counts = jnp.asarray([0.0, 0.0, 1e12, 5.0, jnp.nan, 3.0, 1e12])
    probs = jnp.asarray([0.5, 0.0, 0.0, 0.0, 0.5, jnp.nan, 0.5])
    drawn = np.asarray(draw(jax.random.key(0), counts, probs))
    assert np.array_equal(drawn[:6], [0, 0, 0, 0, np.nan, np.nan], equal_nan=True)
    assert abs(drawn[6] - 5e11) < 5e6


def test_words_are_those_of_the_published_generator():
    """Known answers of Threefry-2x32-20 for zeros, ones and the digits of pi, as Random123 publishes them."""
    known = [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]
    for keys, counters, words in known:
        found = threefry(*(tuple(jnp.uint32(word) for word in pair) for pair in (keys, counters)))
        assert tuple(map(int, found)) == words


def test_normal_numbers():
    drawn = np.asarray(draw_normals(jax.random.key(0), 10**6, jnp.dtype("float64")))
    assert scipy.stats.kstest(drawn, "norm").pvalue > ALPHA
    assert scipy.stats.kstest(np.abs(drawn), "halfnorm").pvalue > ALPHA
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 5e-3
