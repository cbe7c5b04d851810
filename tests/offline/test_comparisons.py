"""Comparisons of candidates: their law when drawn, their counts when read, and the preferences that they show."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gamekl.offline import Comparisons, count_comparisons, estimate_preferences, sample_comparisons

ALPHA = 1e-6
PREFERENCES = np.array([[0.5, 0.9, 0.3], [0.1, 0.5, 0.6], [0.7, 0.4, 0.5]])
BEHAVIOR = np.array([[0.0, 0.1, 0.2], [0.1, 0.0, 0.3], [0.1, 0.2, 0.0]])


def test_shares_of_wins():
    wins = np.array([[0.0, 3.0, 0.0], [1.0, 0.0, 2.5], [0.0, 2.5, 0.0]])
    plain = estimate_preferences(Comparisons(wins))
    np.testing.assert_allclose(plain.preferences, [[0.5, 0.75, 0.5], [0.25, 0.5, 0.5], [0.5, 0.5, 0.5]])
    np.testing.assert_array_equal(plain.counts, wins + wins.T)
    smooth = estimate_preferences(Comparisons(wins), smoothing=2.0)
    np.testing.assert_allclose(smooth.preferences[0, 1], (3 + 2) / (4 + 4))
    prior = np.array([[0.5, 0.5, 0.8], [0.5, 0.5, 0.5], [0.2, 0.5, 0.5]])
    np.testing.assert_allclose(
        estimate_preferences(Comparisons(wins), prior=prior).preferences[[0, 2], [2, 0]], [0.8, 0.2]
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_ways_sum_to_one_to_the_last_bit(dtype):
    rng = np.random.default_rng(0)
    wins = (10.0 ** rng.uniform(-6, 6, (200, 5, 5)) * (1 - np.eye(5))).astype(dtype)
    for smoothing in (0.0, 0.37):
        found = np.asarray(estimate_preferences(Comparisons(wins), smoothing=smoothing).preferences)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found + np.swapaxes(found, -1, -2), 1)
        np.testing.assert_array_equal(np.einsum("pii->pi", found), 0.5)
        raised = wins.astype(np.float64) + np.float64(dtype(smoothing))
        share = raised / np.maximum(raised + np.swapaxes(raised, -1, -2), 1e-9)
        small = (share < 0.5) & ~np.eye(5, dtype=bool)
        np.testing.assert_allclose(found[small], share[small], rtol=4 * np.finfo(dtype).eps)


def test_pairs_without_data_are_reported(caplog):
    wins = np.zeros((2, 3, 3))
    wins[0, 0, 1] = 4
    with caplog.at_level(logging.WARNING, logger="gamekl"):
        found = estimate_preferences(Comparisons(wins))
    assert "5 of 6 pairs of candidates were never compared" in caplog.text
    assert int(np.sum(np.asarray(found.counts) > 0)) == 2
    np.testing.assert_array_equal(found.preferences[1], 0.5)


@pytest.mark.parametrize("num_samples", [10**4, 10**12])
def test_drawn_comparisons_have_the_law_of_rows(num_samples):
    """Counts of unordered pairs are multinomial, wins given them binomial: standardised means and variances."""
    keys = jax.random.split(jax.random.key(0), 4_000)
    drawn = jax.vmap(lambda key: sample_comparisons(key, PREFERENCES, BEHAVIOR, num_samples))(keys)
    first, second = np.triu_indices(3, 1)
    counts, wins = np.asarray(drawn.counts)[:, first, second], np.asarray(drawn.wins)[:, first, second]
    np.testing.assert_array_equal(counts.sum(axis=1), num_samples)
    assert np.all(wins == np.floor(wins)) and np.all(np.einsum("kii->ki", np.asarray(drawn.wins)) == 0)
    pairs, chances = (BEHAVIOR + BEHAVIOR.T)[first, second], PREFERENCES[first, second]
    levels = ALPHA / 24
    for z in (
        (counts - num_samples * pairs) / np.sqrt(num_samples * pairs * (1 - pairs)),
        (wins - counts * chances) / np.sqrt(counts * chances * (1 - chances)),
    ):
        assert np.all(np.abs(z.sum(axis=0)) / np.sqrt(len(z)) < scipy.stats.norm.isf(levels))
        squares = (z**2).sum(axis=0)
        assert np.all(squares < scipy.stats.chi2.isf(levels, len(z)))
        assert np.all(squares > scipy.stats.chi2.ppf(levels, len(z)))
    covariance = np.cov(counts, rowvar=False) / num_samples
    np.testing.assert_allclose(covariance, np.diag(pairs) - np.outer(pairs, pairs), atol=0.02)


def test_prompts_share_the_rows_and_the_order_of_a_pair_does_not_matter():
    both = np.stack([PREFERENCES, PREFERENCES.T])
    behavior = np.stack([0.75 * BEHAVIOR, 0.25 * BEHAVIOR])
    drawn = sample_comparisons(jax.random.key(1), both, behavior, 10**8)
    np.testing.assert_allclose(drawn.counts.sum(axis=(1, 2)) / 2 / 10**8, [0.75, 0.25], atol=1e-3)
    np.testing.assert_allclose(estimate_preferences(drawn).preferences, both, atol=1e-3)
    upper = np.triu(behavior + np.swapaxes(behavior, 1, 2))
    again = sample_comparisons(jax.random.key(1), both, upper, 10**8)
    np.testing.assert_array_equal(drawn.wins, again.wins)


def test_numbers_of_rows_are_traced():
    draw = jax.jit(lambda n: sample_comparisons(jax.random.key(0), PREFERENCES, BEHAVIOR, n).counts)
    assert [float(draw(n).sum()) / 2 for n in (1.0, 100.0, 1e12)] == [1, 100, 1e12]


def test_rows_are_counted():
    rng = np.random.default_rng(0)
    prompt, first, second = rng.integers(0, 3, 50), rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    second = np.where(second >= first, second + 1, second)
    answers = rng.choice([0.0, 0.5, 1.0, 0.2], 50)
    expected = np.zeros((3, 4, 4))
    for row in range(50):
        expected[prompt[row], first[row], second[row]] += answers[row]
        expected[prompt[row], second[row], first[row]] += 1 - answers[row]
    np.testing.assert_allclose(count_comparisons(prompt, first, second, answers).wins, expected)
    wider = count_comparisons(prompt, first, second, answers, num_prompts=5, num_candidates=6)
    assert wider.wins.shape == (5, 6, 6)
    np.testing.assert_allclose(wider.wins[:3, :4, :4], expected)
    assert count_comparisons([0], [0], [1], [True]).wins.tolist() == [[[0, 1], [0, 0]]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (([0, 0], [0, 1], [1, 1], [1.0, 0.0]), r"second\[1\]: got 1, takes another candidate than first"),
        (([0, 0], [0, 1], [1, 3], [1.0, 0.0]), r"second\[1\]: got 3, takes 0 to 2"),
        (([0, 2], [0, 1], [1, 0], [1.0, 0.0]), r"prompt\[1\]: got 2, takes 0 to 1"),
        (([0, 0], [-1, 1], [1, 0], [1.0, 0.0]), r"first\[0\]: got -1, takes 0 to 2"),
        (([0, 0], [0, 1], [1, 0], [1.0, np.nan]), r"wins\[1\]: got nan, takes numbers from 0 to 1"),
        (([0, 0], [0, 1], [1, 0], [1.5, 0.0]), r"wins\[0\]: got 1.5, takes numbers from 0 to 1"),
        (([0, 0], [0, 1], [1], [1.0, 0.0]), "second: got 1 rows beside 2, takes one entry for each row"),
        (([0, 0], [0, 1], [1, 0], [1.0]), "wins: got 1 rows beside 2"),
        (([0, 0], [0.0, 1.0], [1, 0], [1.0, 0.0]), "first: got dtype float64, takes integers"),
        (([], [], [], []), "prompt: got no rows, takes at least one comparison"),
    ],
)
def test_bad_rows(rows, message):
    with pytest.raises(ValueError, match=message):
        count_comparisons(*rows, num_prompts=2, num_candidates=3)


def test_bad_wins():
    for wins, message in [
        (np.zeros((2, 3)), r"wins: got shape \(2, 3\), takes \[\*prompt, candidate, candidate\]"),
        ([[0.0, np.nan], [1.0, 0.0]], r"wins\[0, 1\]: got nan"),
        ([[0.0, -1.0], [1.0, 0.0]], r"wins\[0, 1\]: got -1.0, takes numbers >= 0"),
        ([[2.0, 1.0], [1.0, 0.0]], r"wins\[0, 0\]: got 2.0, takes 0 of a candidate against itself"),
    ]:
        with pytest.raises(ValueError, match=message):
            Comparisons(wins)


def test_refusals():
    with pytest.raises(ValueError, match="comparisons: got none, takes at least one comparison"):
        estimate_preferences(Comparisons(np.zeros((3, 3))))
    some = Comparisons([[0.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="smoothing: got -1.0, takes a finite number >= 0"):
        estimate_preferences(some, smoothing=-1.0)
    with pytest.raises(ValueError, match=r"prior\[0, 0\]: got 0.7, takes P with P \+ P\^T = 1"):
        estimate_preferences(some, prior=0.7)
    key = jax.random.key(0)
    uneven = PREFERENCES + np.triu(np.full((3, 3), 0.01), 1)
    with pytest.raises(ValueError, match=r"preferences\[0, 1\]: got 0.91, takes P with P"):
        sample_comparisons(key, uneven, BEHAVIOR, 10)
    with pytest.raises(ValueError, match="behavior: got a sum of 2.0"):
        sample_comparisons(key, PREFERENCES, 2 * BEHAVIOR, 10)
    with pytest.raises(ValueError, match=r"behavior\[0, 0\]: got .*, takes 0 of one against itself"):
        sample_comparisons(key, PREFERENCES, np.full((3, 3), 1 / 9), 10)
    with pytest.raises(ValueError, match="num_samples: got 0, takes a whole number >= 1"):
        sample_comparisons(key, PREFERENCES, BEHAVIOR, 0)
    with jax.enable_x64(False), pytest.raises(ValueError, match="takes at most 16777216.*jax_enable_x64"):
        sample_comparisons(key, jnp.asarray(PREFERENCES, jnp.float32), BEHAVIOR, 10**9)
