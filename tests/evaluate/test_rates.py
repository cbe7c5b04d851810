"""Fitted slopes, and the predicted constant against simulation (theory J7) and where it must refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import log

import gamekl as gk
from gamekl.evaluate import first_sample_size, fit_paired_rate, fit_rate, predicted_constant


def uniform_behavior(game):
    return jnp.full(game.num_actions, 1 / np.prod(game.num_actions))


def predict(game, regularizer, behavior=None, noise=1.0):
    behavior = uniform_behavior(game) if behavior is None else behavior
    return predicted_constant(game, regularizer, gk.solve_nash(game, regularizer), behavior, noise)


@partial(jax.jit, static_argnames="noise")
def gaps(keys, game, regularizer, behavior, noise, num_samples):
    def gap(key):
        estimate = gk.offline.estimate(gk.offline.sample_statistics(key, game, behavior, num_samples, noise))
        return gk.regularized_gap(game, regularizer, gk.gane(estimate, regularizer).log_policy)

    return jax.vmap(gap)(keys)


def simulate(game, regularizer, behavior, noise, num_samples, seeds):
    """Total regularised gap of GANE in the true game, for each seed."""
    keys = jax.random.split(jax.random.key(int(num_samples)), seeds)
    return np.asarray(gaps(keys, game, regularizer, behavior, noise, float(num_samples)))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.1])
def test_constants_in_closed_form(temperature):
    """Uniform references, data and unit noise: 2 / tau in rock, paper, scissors and 1 / tau in matching pennies."""
    for game, total in ((gk.games.rock_paper_scissors(), 2.0), (gk.games.matching_pennies(), 1.0)):
        constant = predict(game, gk.Regularizer.uniform(game, temperature))
        np.testing.assert_allclose(constant.sum(), total / temperature, rtol=1e-12)


def skewed_behavior(game):
    weights = jnp.asarray(np.random.default_rng(0).uniform(0.3, 1.7, game.num_actions))
    return weights / weights.sum()


CASES = {
    "pennies, skewed": (gk.games.matching_pennies(), gk.Regularizer(log([0.9, 0.1], [0.3, 0.7]), 0.5), 1.0),
    "rps": (gk.games.rock_paper_scissors(), gk.Regularizer(log([1 / 3] * 3, [1 / 3] * 3), 1.0), 0.5),
    "3x4x2": (gk.games.uniform(jax.random.key(0), (3, 4, 2)), None, 1.0),
    "3x4x2, bernoulli": (gk.games.uniform(jax.random.key(0), (3, 4, 2)), None, "bernoulli"),
    "two temperatures": (
        gk.games.uniform(jax.random.key(1), (4, 3)),
        gk.Regularizer(log([0.25] * 4, [1 / 3] * 3), [0.2, 0.6]),
        1.0,
    ),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.startswith("3x4x2") else ()) for name in CASES]
)
def test_n_times_the_mean_gap_tends_to_the_constant(name):
    """For each player, under a skewed behavior: within 5 standard errors, these being under 3 %."""
    game, regularizer, noise = CASES[name]
    regularizer = regularizer or gk.Regularizer.uniform(game, 0.3)
    behavior = skewed_behavior(game)
    constant = predict(game, regularizer, behavior, noise)
    n = 100 * first_sample_size(game, constant, regularizer, behavior)
    scaled = n * simulate(game, regularizer, behavior, noise, n, 4_000)
    errors = scaled.std(axis=0) / np.sqrt(len(scaled))
    assert np.all(errors < 0.03 * np.asarray(constant))
    assert np.all(np.abs(scaled.mean(axis=0) - np.asarray(constant)) < 5 * errors)


def test_the_slope_is_minus_one():
    game = gk.games.rock_paper_scissors()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    sizes = [10**3, 10**4, 10**5, 10**6]
    errors = [simulate(game, regularizer, uniform_behavior(game), 1.0, n, 4_000).sum(axis=1) for n in sizes]
    rate = fit_rate(sizes, errors, seed=0)
    assert abs(rate.slope + 1) < 0.05
    assert rate.low < rate.slope < rate.high


def test_the_unregularized_plug_in_pays_the_square_root():
    """Matching pennies: sqrt(n) E[gap summed] -> 2 sqrt(2 / pi) = 1.5958."""
    game = gk.games.matching_pennies()
    from gamekl.solvers.exact.solve import solve_two_player_batch

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def estimated(key, n):
        statistics = gk.offline.sample_statistics(key, game, uniform_behavior(game), n, 1.0)
        return gk.offline.estimate(statistics).game.payoffs

    conv = jax.jit(jax.vmap(lambda *policy: gk.nash_conv(game, policy)))
    sizes, scaled, errors = [10**3, 10**4, 10**5], [], []
    for n in sizes:
        payoffs = estimated(jax.random.split(jax.random.key(n), 5_000), float(n))
        found = solve_two_player_batch(np.asarray(payoffs))
        errors.append(np.asarray(conv(*found.log_policy)))
        scaled.append(np.sqrt(n) * errors[-1].mean())
    np.testing.assert_allclose(scaled, 1.5958, rtol=0.05)
    assert abs(fit_rate(sizes, errors, seed=0).slope + 0.5) < 0.03


def test_the_constant_is_refused_where_its_conditions_fail():
    pennies = gk.games.matching_pennies()
    with pytest.raises(ValueError, match="takes D > 0"):
        predict(pennies, gk.Regularizer.uniform(pennies, 1.0), noise=0.0)
    binary = gk.games.coordination()
    with pytest.raises(ValueError, match="takes D > 0"):  # 0/1 payoffs without noise
        predict(binary, gk.Regularizer.uniform(binary, 1.0), noise="bernoulli")
    with pytest.raises(ValueError, match="behavior: got none of the data that D needs"):
        predict(pennies, gk.Regularizer.uniform(pennies, 1.0), jnp.asarray([[0.5, 0.0], [0.0, 0.5]]))
    for temperature in (0.5, 0.45):
        with pytest.raises(ValueError, match="takes a regular"):
            predict(binary, gk.Regularizer.uniform(binary, temperature))
    assert np.all(np.isfinite(predict(binary, gk.Regularizer.uniform(binary, 0.55))))


def test_bad_arguments_of_the_constant():
    game = gk.games.matching_pennies()
    regularizer = gk.Regularizer.uniform(game, 0.5)
    for noise in ("gaussian", -1.0, np.nan):
        with pytest.raises(ValueError, match="noise: got"):
            predict(game, regularizer, noise=noise)
    with pytest.raises(ValueError, match=r"payoffs: got -1.0 to 1.0, takes values in \[0, 1\]"):
        predict(game, regularizer, noise="bernoulli")
    with pytest.raises(ValueError, match="behavior: got a sum of 2.0"):
        predict(game, regularizer, np.full((2, 2), 0.5))
    policies = [[0.5, 0.5], [0.25, 0.75]]
    product = jnp.asarray(policies[0])[:, None] * jnp.asarray(policies[1])
    np.testing.assert_allclose(predict(game, regularizer, policies), predict(game, regularizer, product))
    stopped = gk.solve_nash(game, gk.Regularizer(log([0.9, 0.1], [0.3, 0.7]), 0.01), max_steps=2, throw=False)
    with pytest.raises(ValueError, match="solution: got status 1, takes a converged"):
        predicted_constant(game, regularizer, stopped, product, 1.0)


def test_first_sample_size():
    game = gk.games.rock_paper_scissors()
    cold, warm = gk.Regularizer.uniform(game, 0.1), gk.Regularizer.uniform(game, 10.0)
    # D = 2 for each player: 10 D / tau^2 = 2000; at a high temperature 30 rows a cell are what counts.
    assert first_sample_size(game, predict(game, cold), cold, uniform_behavior(game)) == pytest.approx(2_000, abs=1)
    assert first_sample_size(game, predict(game, warm), warm, uniform_behavior(game)) == pytest.approx(270, abs=1)


def test_slopes_of_exact_power_laws():
    sizes = np.array([10.0, 100.0, 1000.0])
    errors = 3 * sizes[:, None] ** -0.7 * np.ones((1, 50))
    rate = fit_rate(sizes, errors, seed=0)
    np.testing.assert_allclose([rate.slope, rate.low, rate.high], -0.7, atol=1e-12)
    np.testing.assert_allclose(np.exp(rate.intercept), 3.0)


def test_the_bootstrap_interval_covers():
    """95 % intervals of exponential errors hold the true slope in about 95 of 100 repetitions."""
    rng = np.random.default_rng(0)
    sizes = np.array([10.0, 100.0, 1000.0])
    held = 0
    for repetition in range(200):
        errors = rng.exponential(sizes[:, None] ** -1.0, (3, 200))
        rate = fit_rate(sizes, errors, seed=repetition, resamples=300)
        held += rate.low <= -1 <= rate.high
    assert 178 <= held <= 199  # binomial(200, .95) lies there but for 2 in 10^5, and for the bootstrap's own error


def test_paired_seeds_are_resampled_together():
    """A factor of each seed's own, the same at all sizes, changes no slope, but would spread it if resampled apart."""
    rng = np.random.default_rng(0)
    sizes = np.array([10.0, 100.0, 1000.0])
    errors = sizes[:, None] ** -0.5 * rng.exponential(1.0, 50)
    paired = fit_paired_rate(sizes, errors, seed=0)
    np.testing.assert_allclose([paired.slope, paired.low, paired.high], -0.5, atol=1e-12)
    apart = fit_rate(sizes, errors, seed=0)
    assert apart.slope == paired.slope and apart.high - apart.low > 0.05
    noisy = errors * rng.uniform(0.5, 1.5, errors.shape)
    found = fit_paired_rate(sizes, noisy, seed=0)
    assert 0 < found.high - found.low < apart.high - apart.low


@pytest.mark.parametrize("fit", [fit_rate, fit_paired_rate])
@pytest.mark.parametrize(
    ("sizes", "errors", "message"),
    [
        ([10.0], np.ones((1, 5)), "num_samples: got .*takes at least two different"),
        ([10.0, 10.0], np.ones((2, 5)), "takes at least two different"),
        ([10.0, 100.0], np.ones((2, 1)), "errors: got shapes"),
        ([10.0, 100.0], np.ones((3, 5)), "errors: got shapes"),
        ([10.0, 100.0], -np.ones((2, 5)), "takes finite numbers >= 0"),
        ([10.0, 100.0], np.full((2, 5), np.inf), "takes finite numbers >= 0"),
        ([10.0, 100.0], np.zeros((2, 5)), r"errors: got means .*, takes means > 0"),
    ],
)
def test_bad_errors(sizes, errors, message, fit):
    with pytest.raises(ValueError, match=message):
        fit(sizes, errors, seed=0)
