"""The predicted constant of equilibria learned from comparisons, in closed form and against simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.evaluate import fit_rate
from gamekl.preference import estimate_payoffs, independent_pairs, sample_joint_comparisons, unilateral_pairs
from gamekl.preference.rates import predicted_preference_constant

GAME = gk.NormalFormGame(2 * gk.games.uniform(jax.random.key(0), (2, 3)).payoffs)
REGULARIZER = gk.Regularizer.uniform(GAME, 0.3)
PAIRS = {
    "unilateral": unilateral_pairs(GAME, [np.full(2, 1 / 2), np.full(3, 1 / 3)]),
    "independent": independent_pairs(GAME, [np.array([0.3, 0.7]), np.array([0.2, 0.5, 0.3])]),
}


def test_a_game_without_stakes_in_closed_form():
    """All preferences 1/2 and all pairs alike: D_i = 2 (J - 1) (1 - 1 / A_i) / A_-i of J joint actions."""
    game = gk.NormalFormGame(np.zeros((2, 3, 4)))
    regularizer = gk.Regularizer.uniform(game, [0.5, 2.0])
    pairs = independent_pairs(game, np.full((3, 4), 1 / 12))
    found = predicted_preference_constant(game, regularizer, gk.solve_nash(game, regularizer), pairs)
    dimensions = 2 * 11 * np.array([(1 - 1 / 3) / 4, (1 - 1 / 4) / 3])
    np.testing.assert_allclose(found, dimensions / (2 * np.array([0.5, 2.0])), rtol=1e-12)


def simulate(pairs, num_samples):
    """Each player's gap in the true game, for 4,000 seeds at each of the sample sizes."""

    @jax.jit
    def gaps(keys, n):
        def gap(key):
            estimate = estimate_payoffs(sample_joint_comparisons(key, GAME, pairs, n))
            return gk.regularized_gap(GAME, REGULARIZER, gk.gane(estimate, REGULARIZER).log_policy)

        return jax.vmap(gap)(keys)

    return [np.asarray(gaps(jax.random.split(jax.random.key(int(n)), 4_000), n)) for n in num_samples]


def agrees(pairs, gaps, num_samples):
    """Whether n E[gap] of each player is the constant within 5 standard errors, these being under 3 %."""
    constant = np.asarray(predicted_preference_constant(GAME, REGULARIZER, gk.solve_nash(GAME, REGULARIZER), pairs))
    scaled = num_samples * gaps
    errors = scaled.std(axis=0) / np.sqrt(len(scaled))
    return np.all(errors < 0.03 * constant) and np.all(np.abs(scaled.mean(axis=0) - constant) < 5 * errors)


def test_n_times_the_mean_gap_tends_to_the_constant():
    """2 x 3, general-sum, pairs that differ in one player's action."""
    assert agrees(PAIRS["unilateral"], simulate(PAIRS["unilateral"], [1e6])[0], 1e6)


@pytest.mark.slow
def test_the_slope_is_minus_one():
    for pairs in PAIRS.values():
        sizes = [1e4, 1e5, 1e6, 1e8]
        gaps = simulate(pairs, sizes)
        assert abs(fit_rate(sizes, [entry.sum(axis=1) for entry in gaps], seed=0).slope + 1) < 0.02
        assert agrees(pairs, gaps[-1], sizes[-1])


def test_pairs_must_tell_what_the_gap_needs():
    """Deviations of the first player alone tell its payoffs as far as it needs them, and nothing of the second's."""
    solution = gk.solve_nash(GAME, REGULARIZER)
    table = np.zeros((2, 3, 2, 3))
    for other in range(3):
        table[0, other, 1, other] = 1 / 3
    with pytest.raises(ValueError, match=r"pairs: got none of the comparisons that the gap needs .*\[\d+\.\d+, inf\]"):
        predicted_preference_constant(GAME, REGULARIZER, solution, table)


def test_refusals():
    solution = gk.solve_nash(GAME, REGULARIZER)
    with pytest.raises(ValueError, match=r"pairs: got shape \(6, 6\), takes \[\*actions, \*actions\]"):
        predicted_preference_constant(GAME, REGULARIZER, solution, np.zeros((6, 6)))
    with pytest.raises(ValueError, match="pairs: got a sum of"):
        predicted_preference_constant(GAME, REGULARIZER, solution, 2 * PAIRS["unilateral"])
    stopped = gk.solve_nash(GAME, gk.Regularizer.uniform(GAME, 0.01), max_steps=2, throw=False)
    with pytest.raises(ValueError, match="solution: got status 1, takes a converged"):
        predicted_preference_constant(GAME, REGULARIZER, stopped, PAIRS["unilateral"])
    game = gk.games.coordination()
    singular = gk.Regularizer.uniform(game, 0.45)
    pairs = unilateral_pairs(game, jnp.full((2, 2), 0.25))
    with pytest.raises(ValueError, match="takes a regular"):
        predicted_preference_constant(game, singular, gk.solve_nash(game, singular), pairs)
