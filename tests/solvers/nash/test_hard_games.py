"""Games that are hard for a solver: ties, pitchforks, extreme scales; and the symmetries of the problem.

Each must end on the principal branch, or with a status, or with a count of bifurcations, that says what happened.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_policies, assert_solved, dirichlet_regularizer, log
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import logit, logsumexp, xlogy

import gamekl as gk

# Pitchforks


@pytest.mark.parametrize("temperature", [0.6, 0.5001, 0.5, 0.4999, 0.45, 0.3, 0.1, 1e-2, 1e-4])
def test_at_a_pitchfork_the_path_goes_straight_on(temperature):
    """x = tanh(x / 2 tau): coordination's symmetric equilibrium is on the path at every temperature (theory J4)."""
    game = gk.games.coordination()
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    assert_policies(solution.policy, [[0.5, 0.5], [0.5, 0.5]])
    assert solution.path.bifurcations == int(temperature <= 0.5)
    assert solution.path.crossings == 1


def imperfect_pitchfork(perturbation, temperature):
    """Coordination in which action 0 pays `perturbation` more, and its principal equilibrium.

    The equilibria with p = q solve tau logit(p) = (2 + perturbation) p - 1; the path comes from p = 1/2 and the one
    root above 1/2 is on it.
    """
    game = gk.NormalFormGame(gk.games.coordination().payoffs.at[:, 0, 0].add(perturbation))
    expected = brentq(lambda p: temperature * logit(p) - (2 + perturbation) * p + 1, 0.5, 1 - 1e-15, xtol=1e-15)
    return game, expected


@pytest.mark.parametrize("temperature", [0.6, 0.5, 0.49, 0.45, 0.3, 0.05])
@pytest.mark.parametrize("perturbation", [1e-1, 1e-2, 1e-3])
def test_an_imperfect_pitchfork_is_followed_round_the_bend(perturbation, temperature):
    game, expected = imperfect_pitchfork(perturbation, temperature)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    assert_policies(solution.policy, [[expected, 1 - expected]] * 2, atol=1e-8)
    assert solution.path.bifurcations == 0
    assert solution.path.folds == 0


@pytest.mark.parametrize("temperature", [0.6, 0.5, 0.49, 0.45, 0.3, 0.05])
@pytest.mark.parametrize("perturbation", [1e-4, 1e-5, 1e-6, 1e-9, 1e-12])
def test_where_a_pitchfork_is_too_close_to_tell_the_solution_says_so(perturbation, temperature):
    """On the principal branch, or, with the bifurcation counted, on that or straight on."""
    game, expected = imperfect_pitchfork(perturbation, temperature)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    assert_solved(game, gk.Regularizer.uniform(game, temperature), solution)
    first = float(solution.policy[0][0])
    assert abs(first - expected) < 1e-6 or (solution.path.bifurcations == 1 and abs(first - 0.5) < 1e-2)


def test_pitchforks_of_three_players_and_away_from_the_middle():
    """Only a symmetric equilibrium is on the path of a symmetric game."""
    for num_players in (2, 3):
        payoffs = np.zeros((num_players, *(2,) * num_players))
        payoffs[(slice(None), *(0,) * num_players)] = payoffs[(slice(None), *(1,) * num_players)] = 1
        for game in (gk.NormalFormGame(payoffs), gk.games.chicken()):
            for temperature in (0.3, 0.1, 0.01):
                regularizer = gk.Regularizer.uniform(game, temperature)
                solution = gk.solve_nash(game, regularizer)
                assert_solved(game, regularizer, solution)
                assert_policies(solution.policy, [solution.policy[0]] * game.num_players)
                assert solution.path.bifurcations == 1


# Ties and degenerate games


def test_of_two_equal_actions_each_gets_its_share_of_the_references_mass():
    """And together they are the one action of the smaller game."""
    for seed in range(10):
        payoffs = gk.games.uniform(jax.random.key(seed), (3, 3)).payoffs
        game = gk.NormalFormGame(payoffs.at[:, 2].set(payoffs[:, 1]))
        other = log([0.2, 0.5, 0.3])[0]
        twins = gk.solve_nash(game, gk.Regularizer([log([0.1, 0.3, 0.6])[0], other], 0.03))
        merged = gk.solve_nash(game, gk.Regularizer([log([0.1, 0.9, 0.0])[0], other], 0.03))
        np.testing.assert_allclose(twins.log_policy[0][2] - twins.log_policy[0][1], np.log(2), atol=1e-9)
        np.testing.assert_allclose(twins.policy[0][1] + twins.policy[0][2], merged.policy[0][1], atol=1e-9)
        np.testing.assert_allclose(twins.policy[1], merged.policy[1], atol=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.01, 1e-4])
def test_a_dominated_action_falls_behind_by_its_loss_over_the_temperature(temperature):
    """Also where its probability is too small for any float."""
    payoffs = gk.games.uniform(jax.random.key(0), (3, 3)).payoffs
    game = gk.NormalFormGame(payoffs.at[0, 2].set(payoffs[0, 1] - 0.25))
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    behind = solution.log_policy[0][1] - solution.log_policy[0][2]
    np.testing.assert_allclose(behind, 0.25 / temperature, rtol=1e-9)


def test_without_stakes_nobody_leaves_the_reference():
    regularizer = gk.Regularizer(log([0.2, 0.3, 0.5], [1e-12, 0.1, 0.9 - 1e-12]), 0.1)
    for level in (0.0, 5.0, -1e9):
        solution = gk.solve_nash(gk.NormalFormGame(np.full((2, 3, 3), level)), regularizer)
        assert_policies(solution.log_policy, regularizer.log_reference, atol=1e-12)
        np.testing.assert_allclose(solution.gap, 0, atol=1e-30)


@pytest.mark.parametrize("shape", [(3,), (1, 3)])
def test_who_has_no_opponent_with_a_choice_plays_a_softmax(shape):
    game = gk.games.uniform(jax.random.key(0), shape)
    regularizer = dirichlet_regularizer(jax.random.key(1), game, 0.05)
    solution = gk.solve_nash(game, regularizer)
    logits = np.asarray(regularizer.log_reference[-1]) + np.asarray(game.payoffs[-1]).ravel() / 0.05
    np.testing.assert_allclose(solution.log_policy[-1], logits - logsumexp(logits), atol=1e-10)
    assert all(entry.tolist() == [1.0] for entry in solution.policy[:-1])


# Scales


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_units_do_not_matter(scale):
    """Payoffs and temperature in other units, and a constant added to each player's payoffs."""
    for seed in range(5):
        game = gk.games.uniform(jax.random.key(seed), (3, 3))
        plain = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.05)).policy
        scaled = gk.NormalFormGame(game.payoffs * scale)
        assert_policies(gk.solve_nash(scaled, gk.Regularizer.uniform(game, 0.05 * scale)).policy, plain, atol=1e-8)
        shifted = gk.NormalFormGame(game.payoffs + scale * jnp.asarray([1.0, -2.0])[:, None, None])
        assert_policies(gk.solve_nash(shifted, gk.Regularizer.uniform(game, 0.05)).policy, plain, atol=1e-8)


@pytest.mark.parametrize("temperature", [1e-4, 1e-3, 1e-2, 0.1, 1.0, 1e3, 1e6])
def test_all_temperatures_and_very_unequal_references(temperature):
    for seed in range(5):
        game = gk.games.uniform(jax.random.key(seed), (3, 3))
        for references in (
            log([1 / 3] * 3, [1 / 3] * 3),
            log([1e-12, 1e-6, 1 - 1e-6 - 1e-12], [0.5, 0.5 - 1e-12, 1e-12]),
        ):
            regularizer = gk.Regularizer(references, temperature)
            solution = gk.solve_nash(game, regularizer)
            assert_solved(game, regularizer, solution, atol=max(1e-9, 1e-13 / temperature))
            assert solution.path.crossings == 1


@pytest.mark.parametrize("temperature", [1e-1, 1e-2, 1e-3])
def test_zero_sum_games_are_solved_to_the_duality_gap(temperature):
    """The gap bounds the distance from the one equilibrium: sum KL(pi_i || pi*_i) <= gap / tau (theory I5)."""
    for seed in range(10):
        game = gk.games.zero_sum(jax.random.key(seed), (3, 3))
        regularizer = dirichlet_regularizer(jax.random.key(100 + seed), game, temperature)
        solution = gk.solve_nash(game, regularizer)
        rows, (p, q) = np.asarray(game.payoffs[0]), (np.asarray(entry) for entry in solution.policy)
        first, second = (np.asarray(entry) for entry in regularizer.log_reference)
        best = temperature * logsumexp(first + rows @ q / temperature)
        worst = -temperature * logsumexp(second - p @ rows / temperature)
        costs = [temperature * (xlogy(x, x) - x * r).sum() for x, r in ((p, first), (q, second))]
        assert (best + costs[1]) - (worst - costs[0]) <= 1e-13
        assert solution.path.folds == solution.path.bifurcations == 0


# Symmetry


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.02, 0.1, 0.5]),
    st.permutations(range(3)),
    st.permutations(range(3)),
    st.booleans(),
)
def test_names_do_not_matter(seed, temperature, rows, columns, swap):
    """Permuting actions and players permutes the solution."""
    game = gk.games.uniform(jax.random.key(seed), (3, 3))
    regularizer = dirichlet_regularizer(jax.random.key(seed + 1), game, temperature)
    payoffs = game.payoffs[:, np.array(rows)][:, :, np.array(columns)]
    references = [
        entry[np.array(names)] for entry, names in zip(regularizer.log_reference, (rows, columns), strict=True)
    ]
    if swap:
        payoffs, references = jnp.swapaxes(payoffs[::-1], 1, 2), references[::-1]
    renamed = gk.solve_nash(gk.NormalFormGame(payoffs), gk.Regularizer(references, temperature))
    policies = gk.solve_nash(game, regularizer).policy
    expected = [entry[np.array(names)] for entry, names in zip(policies, (rows, columns), strict=True)]
    assert_policies(renamed.policy, expected[::-1] if swap else expected, atol=1e-8)
