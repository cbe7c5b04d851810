"""What a log leaves open about a profile, found out before anything is solved."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import dirichlet_policy, log

import gamekl as gk
from gamekl.games.hard_games import hard_pair
from gamekl.offline import Dataset, Estimate, Statistics, concentrability, estimate, sample_statistics
from gamekl.offline.coverage import coverage

DIAGONAL = np.array([[0.5, 0.0], [0.0, 0.5]])
THREE_CELLS = np.array([[0.4, 0.3], [0.3, 0.0]])
HARD_RANGE = ([0, -1], [1, 0])  # of the row player [0, 1], of the column player [-1, 0]


def logged(game, behavior, n=10_000, noise=0.0):
    return estimate(sample_statistics(jax.random.key(0), game, behavior, n, noise))


def profile(p, q):
    return log([p, 1 - p], [q, 1 - q])


def largest_gaps(found, log_policy, low, high, regularizer=None):
    """Over all games with low or high on every unseen cell; gaps are convex in payoffs, so that these suffice."""
    unseen = [tuple(cell) for cell in np.argwhere(np.asarray(found.counts) == 0)]
    best = np.full(found.game.num_players, -np.inf)
    for signs in itertools.product((0, 1), repeat=len(unseen)):
        payoffs = np.array(found.game.payoffs)
        for cell, sign in zip(unseen, signs, strict=True):
            payoffs[(slice(None), *cell)] = np.where(sign, high, low)
        gaps = gk.nash_gap(gk.NormalFormGame(payoffs), log_policy, regularizer=regularizer)
        best = np.maximum(best, np.asarray(gaps))
    return best


@pytest.mark.parametrize("shape", [(2, 3), (2, 2, 2)], ids=str)
def test_undetermined_gap_is_the_largest_over_all_games_that_agree(shape):
    rng = np.random.default_rng(0)
    for seed in range(3):
        game = gk.games.normal(jax.random.key(seed), shape)
        counts = rng.permutation(np.r_[np.zeros(3), np.full(int(np.prod(shape)) - 3, 7.0)]).reshape(shape)
        found = Estimate(game, jnp.asarray(counts))
        low, high = -rng.uniform(size=len(shape)), rng.uniform(size=len(shape))
        pure = tuple(jnp.where(jnp.arange(size) == 1, 0.0, -jnp.inf) for size in shape)
        for log_policy in (dirichlet_policy(jax.random.key(seed), game), pure):
            report = coverage(found, log_policy, payoff_range=(low, high))
            expected = largest_gaps(found, log_policy, low, high)
            np.testing.assert_allclose(report.undetermined_gap, expected, atol=1e-12)


def test_deviations_stay_on_the_references_support():
    game = gk.games.normal(jax.random.key(0), (3, 3))
    counts = jnp.full((3, 3), 4.0).at[0].set(0).at[1, 2].set(0)
    regularizer = gk.Regularizer(log([0, 0.5, 0.5], [0.2, 0.4, 0.4]), 1.0)
    log_policy = log([0, 0.3, 0.7], [0.5, 0.5, 0])
    found = Estimate(game, counts)
    report = coverage(found, log_policy, regularizer=regularizer, payoff_range=(-1, 2))
    assert int(report.unvisited) == 4
    np.testing.assert_array_equal(np.argwhere(report.missing), [[1, 2]])
    expected = largest_gaps(found, log_policy, -1, 2, regularizer)
    np.testing.assert_allclose(report.undetermined_gap, expected, atol=1e-12)


def test_without_unseen_cells_it_is_the_gap_in_the_estimate():
    game = gk.games.uniform(jax.random.key(0), (2, 3))
    found = logged(game, np.full((2, 3), 1 / 6), noise=1.0)
    log_policy = dirichlet_policy(jax.random.key(1), game)
    report = coverage(found, log_policy)
    np.testing.assert_allclose(report.undetermined_gap, gk.nash_gap(found.game, log_policy), atol=1e-12)
    assert int(report.unvisited) == 0 and not report.missing.any()
    frequencies = np.asarray(found.counts) / 10_000
    np.testing.assert_allclose(report.concentrability, concentrability(game, frequencies, log_policy))


@pytest.mark.parametrize("game", hard_pair(), ids=["M1", "M2"])
def test_a_diagonal_log_cannot_tell_the_hard_pair_apart(game):
    """Known before anything is solved: the players' gaps may sum to 1/2 or more, whatever is played."""
    found = logged(game, DIAGONAL)
    for p, q in itertools.product(np.linspace(0, 1, 6), repeat=2):
        report = coverage(found, profile(p, q), payoff_range=HARD_RANGE)
        assert float(report.undetermined_gap.sum()) >= 0.5 - 1e-12
        assert np.isinf(report.concentrability)
        gaps = [float(gk.nash_gap(truth, profile(p, q)).sum()) for truth in hard_pair()]
        np.testing.assert_allclose(gaps, [1 - (p + q) / 2, (p + q) / 2], atol=1e-12)  # the theorem
        assert max(gaps) >= 0.5 - 1e-12


def test_three_cells_settle_the_hard_pair():
    first, _ = hard_pair()
    report = coverage(logged(first, THREE_CELLS), profile(1, 1), payoff_range=HARD_RANGE)
    np.testing.assert_allclose(report.undetermined_gap, [0, 0], atol=1e-12)
    assert int(report.unvisited) == 1 and not report.missing.any() and np.isfinite(report.concentrability)
    elsewhere = coverage(logged(first, THREE_CELLS), profile(0, 0), payoff_range=HARD_RANGE)
    assert float(elsewhere.undetermined_gap.min()) >= 0.5 - 1e-12 and elsewhere.missing[1, 1]


def test_without_a_range_nothing_bounds_what_was_not_seen():
    first, _ = hard_pair()
    np.testing.assert_array_equal(coverage(logged(first, DIAGONAL), profile(1, 1)).undetermined_gap, [np.inf, np.inf])
    three = logged(first, THREE_CELLS)
    np.testing.assert_allclose(coverage(three, profile(1, 1)).undetermined_gap, [0, 0], atol=1e-12)
    np.testing.assert_array_equal(coverage(three, profile(1, 0.5)).undetermined_gap, [np.inf, 0.25])


def test_it_may_be_mapped_over_profiles():
    first, _ = hard_pair()
    found = logged(first, DIAGONAL)
    policies = gk.stack([profile(0.2, 0.9), profile(1.0, 0.5)])
    mapped = jax.vmap(lambda entry: coverage(found, entry, payoff_range=HARD_RANGE))(policies)
    for index, entry in enumerate([profile(0.2, 0.9), profile(1.0, 0.5)]):
        alone = coverage(found, entry, payoff_range=HARD_RANGE)
        np.testing.assert_allclose(mapped.undetermined_gap[index], alone.undetermined_gap)


def test_the_report_names_what_is_missing():
    first, _ = hard_pair()
    text = str(coverage(logged(first, DIAGONAL), profile(1, 1), payoff_range=HARD_RANGE))
    assert text.splitlines() == [
        "The log never saw 2 of 4 joint actions.",
        "Deviations from this profile reach 2 of them: (0, 1), (1, 0).",
        "Unilateral concentrability under the log's frequencies: inf.",
        "In a game that agrees with the log on what it saw, the players' gaps may be as large as 0.5, 0.5.",
    ]
    full = str(coverage(logged(first, np.full((2, 2), 1 / 4)), profile(1, 1)))
    assert "Every unilateral deviation from this profile stays on cells that it saw." in full


def test_the_report_names_ten_cells_at_most():
    counts = jnp.zeros((5, 5)).at[0, 0].set(3.0)
    found = Estimate(gk.games.uniform(jax.random.key(0), (5, 5)), counts)
    text = str(coverage(found, log(np.full(5, 0.2), np.full(5, 0.2))))
    assert "(0, 1)" in text and "(2, 0)" in text and "(2, 1)" not in text and "and 14 more." in text


def test_rows_and_statistics_are_taken_too():
    rows = Dataset(np.array([[0, 0], [1, 1]]), np.zeros((2, 2)), (2, 2))
    statistics = Statistics(jnp.eye(2), jnp.zeros((2, 2, 2)))
    for data in (rows, statistics):
        assert int(coverage(data, profile(1, 1)).unvisited) == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ((1, 0), r"payoff_range: got \(1, 0\), takes \(low, high\)"),
        ((0, np.inf), r"payoff_range: got \(0, inf\), takes \(low, high\)"),
        (([0, 0, 0], 1), r"payoff_range: got shapes \[\(3,\), \(\)\], takes \(low, high\)"),
        (3.0, r"payoff_range: got 3.0, takes \(low, high\)"),
    ],
)
def test_bad_ranges(bad, message):
    first, _ = hard_pair()
    with pytest.raises(ValueError, match=message):
        coverage(logged(first, DIAGONAL), profile(1, 1), payoff_range=bad)


def test_bad_profiles_and_logs():
    first, _ = hard_pair()
    with pytest.raises(ValueError, match="log_policy: got shapes"):
        coverage(logged(first, DIAGONAL), log([0.5, 0.5]))
    with pytest.raises(ValueError, match="counts: got 0 rows, takes at least one row"):
        coverage(Estimate(first, jnp.zeros((2, 2))), profile(1, 1))
    stages = gk.ContextualGame(np.zeros((1, 2, 2, 2)), np.ones(1))
    with pytest.raises(TypeError, match="data_or_estimate.game: got ContextualGame, takes a NormalFormGame"):
        coverage(Estimate(stages, jnp.ones((1, 2, 2))), profile(1, 1))
