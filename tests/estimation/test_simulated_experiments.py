"""Simulated experiments: intervals cover the truth, and tests reject it, as often as they say.

The large study is `benchmarks/coverage_of_fits.py`; bounds are three Monte Carlo standard errors.
"""

import numpy as np
import pytest
import scipy.stats
from simulated_experiments import GAMES, draw_play

from gamekl.estimation import Play, fit_qre, nested_test, uniform_test

NUMBER = 200
THREE_ERRORS = 3 * np.sqrt(0.05 * 0.95 / NUMBER)


def coverage(fit, rationality, kind):
    return np.mean([any(low <= rationality <= high for low, high in parts) for parts in fit.interval(kind=kind)])


@pytest.fixture(scope="module")
def independent():
    return fit_qre(GAMES, draw_play(np.random.default_rng(0), 2.0, NUMBER))


@pytest.mark.parametrize("kind", ["information", "profile", "sandwich", "clustered"])
def test_independent_decisions(independent, kind):
    assert abs(coverage(independent, 2.0, kind) - 0.95) <= THREE_ERRORS


def test_errors_are_those_that_estimates_have(independent):
    """Three Monte Carlo standard errors of a mean and of a spread."""
    off = np.log(independent.rationality / 2)
    assert abs(off.mean()) <= 3 * off.std() / NUMBER**0.5
    assert abs(independent.std_error().mean() / off.std() - 1) <= 3 / (2 * NUMBER) ** 0.5


def test_habits_ask_for_clustered_errors():
    """Decisions that repeat tell less than they seem to: only errors by subject allow for it."""
    fit = fit_qre(GAMES, draw_play(np.random.default_rng(1), 2.0, NUMBER, habit=0.3))
    assert abs(coverage(fit, 2.0, "clustered") - 0.95) <= THREE_ERRORS
    assert coverage(fit, 2.0, "information") < 0.85


def test_uniform_play_is_rejected_five_times_in_a_hundred():
    fit = fit_qre(GAMES, draw_play(np.random.default_rng(2), 0.0, NUMBER))
    assert abs(np.mean([test.p_value < 0.05 for test in uniform_test(fit)]) - 0.05) <= THREE_ERRORS
    assert 0.35 < np.mean(fit.rationality == 0) < 0.65  # as often as not play is farther from rational than uniform


def test_two_groups_that_are_alike():
    play = draw_play(np.random.default_rng(3), 2.0, NUMBER, groups=2)
    apart = fit_qre(GAMES, play)
    together = fit_qre(GAMES, Play(play.sizes, play.counts, tuple(one for one, _ in play.groups)))
    more = 2 * (apart.log_likelihood.reshape(-1, 2).sum(axis=1) - together.log_likelihood)
    assert abs(np.mean(scipy.stats.chi2.sf(more, 1) < 0.05) - 0.05) <= THREE_ERRORS
    first = Play(play.sizes, play.counts[:60], tuple(group for _, group in play.groups[:60]))
    test = nested_test(fit_qre(GAMES, first.pooled()), fit_qre(GAMES, first))
    np.testing.assert_allclose(test.statistic, more[0], atol=1e-8)
