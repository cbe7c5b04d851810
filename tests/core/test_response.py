"""Action values, best responses and gaps against their definitions (theory J5) and invariances."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition, dirichlet_policy, dirichlet_regularizer, log
from hypothesis import given, settings
from hypothesis import strategies as st

import gamekl as gk
from gamekl.core.policies import kl, normalize

# In one program for each shape, where many shapes are tried; eagerly elsewhere.
best_response, regularized_gap = jax.jit(gk.best_response), jax.jit(gk.regularized_gap)
SHAPES = [(2, 2), (3, 5), (3, 4, 2), (2, 2, 3, 2), (2, 1, 2, 2, 3), (4,)]


@partial(jax.jit, static_argnames="shape")
def random_triple(seed, shape, temperature=0.3):
    keys = jax.random.split(jax.random.key(seed), 3)
    game = gk.games.uniform(keys[0], shape)
    return game, dirichlet_regularizer(keys[1], game, temperature), dirichlet_policy(keys[2], game)


@pytest.mark.parametrize("shape", SHAPES)
def test_action_values_are_expectations(shape):
    game, _, log_policy = random_triple(0, shape)
    policy = [jnp.exp(entry) for entry in log_policy]
    for ours, theirs in zip(
        gk.action_values(game, policy), action_values_by_definition(game.payoffs, policy), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_best_response_is_the_softmax_of_the_reference_and_values(shape):
    game, regularizer, log_policy = random_triple(1, shape)
    values = action_values_by_definition(game.payoffs, [np.exp(entry) for entry in log_policy])
    for ours, value, reference in zip(
        best_response(game, regularizer, log_policy), values, regularizer.log_reference, strict=True
    ):
        weights = np.exp(reference) * np.exp(value / 0.3)
        np.testing.assert_allclose(np.exp(ours), weights / weights.sum(), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_gap_is_temperature_times_kl_to_the_response_and_the_gain_of_responding(shape, temperature):
    game, regularizer, log_policy = random_triple(2, shape, temperature)
    gap = regularized_gap(game, regularizer, log_policy)
    response = best_response(game, regularizer, log_policy)
    values = action_values_by_definition(game.payoffs, [np.exp(entry) for entry in log_policy])
    for player, (mine, best, reference) in enumerate(zip(log_policy, response, regularizer.log_reference, strict=True)):

        def utility(policy, reference=reference, player=player):
            divergence = np.sum(np.exp(policy) * (policy - reference))
            return np.exp(policy) @ values[player] - temperature * divergence

        np.testing.assert_allclose(gap[player], temperature * kl(mine, best), rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(gap[player], utility(best) - utility(mine), atol=1e-12 * max(1, temperature))
        assert gap[player] >= 0


def test_gap_is_finite_for_pure_policies_and_masked_actions():
    game = gk.games.uniform(jax.random.key(0), (3, 3))
    masked = gk.Regularizer(log([0.5, 0.5, 0.0], [0.2, 0.3, 0.5]), 0.01)
    pure = log([0, 1, 0], [1, 0, 0])
    assert np.all(np.isfinite(gk.regularized_gap(game, masked, pure)))
    assert gk.regularized_gap(game, masked, log([0, 0, 1], [1, 0, 0]))[0] == np.inf
    single = gk.Regularizer(log([0, 1, 0], [1, 0, 0]), 0.01)
    np.testing.assert_allclose(gk.regularized_gap(game, single, pure), 0, atol=1e-15)


def test_gap_of_a_pure_policy_by_hand():
    """V - <pi, q> + tau KL with KL(pure || uniform) = log 2."""
    game, temperature = gk.games.coordination(), 0.2
    gap = gk.regularized_gap(game, gk.Regularizer.uniform(game, temperature), log([1, 0], [1, 0]))
    value = temperature * np.log((np.exp(1 / temperature) + 1) / 2)
    np.testing.assert_allclose(gap, value - 1 + temperature * np.log(2), rtol=1e-13)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01])
def test_gap_near_a_solution_is_good_to_the_square_of_eps(temperature):
    """float32 at the solution: at most 100 eps^2 R^2 / tau, where a difference of values would leave about 1e-7."""
    eps = float(np.finfo(np.float32).eps)
    for seed in range(20):
        game = gk.games.uniform(jax.random.key(seed), (10, 10), dtype=jnp.float32)
        regularizer = gk.Regularizer.uniform(game, temperature)
        solution = gk.solve_nash(game, regularizer)
        gap = gk.regularized_gap(game, regularizer, solution.log_policy)
        assert gap.dtype == jnp.float32
        assert np.all(gap >= 0)
        assert np.all(gap <= 100 * eps**2 / temperature)


@pytest.mark.parametrize("step", [1e-9, 1e-6, 1e-3, 1e-2, 0.1, 0.5, 1.5, 5.0])
def test_gap_has_no_seam_between_its_two_formulas(step):
    """Along a ray out of the equilibrium the float64 gap agrees with 50-digit arithmetic."""
    mpmath = pytest.importorskip("mpmath")
    game = gk.games.uniform(jax.random.key(3), (3, 4))
    regularizer = gk.Regularizer.uniform(game, 0.3)
    solution = gk.solve_nash(game, regularizer)
    direction = [jnp.asarray([1.0, -0.4, 0.2]), jnp.asarray([0.3, -1.0, 0.5, 0.1])]
    moved = [normalize(p + step * d) for p, d in zip(solution.log_policy, direction, strict=True)]
    gaps = gk.regularized_gap(game, regularizer, moved)
    with mpmath.workdps(50):
        exact = [[mpmath.mpf(float(x)) for x in row] for row in moved]
        exact = [[mpmath.exp(x) / sum(mpmath.exp(y) for y in row) for x in row] for row in exact]
        payoffs = [[[mpmath.mpf(float(x)) for x in row] for row in table] for table in game.payoffs]
        temperature = mpmath.mpf(0.3)
        for player in range(2):
            mine, other = exact[player], exact[1 - player]
            table = payoffs[player] if player == 0 else list(map(list, zip(*payoffs[player], strict=True)))
            values = [sum(r * p for r, p in zip(row, other, strict=True)) for row in table]
            total = sum(mpmath.exp(v / temperature) for v in values)
            truth = temperature * sum(
                p * mpmath.log(p * total / mpmath.exp(v / temperature)) for p, v in zip(mine, values, strict=True)
            )
            np.testing.assert_allclose(float(gaps[player]), float(truth), rtol=1e-6, atol=1e-29)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_shifts_do_not_matter_and_scales_scale(seed, shift, scale):
    game, regularizer, log_policy = random_triple(seed, (3, 2))
    moved = gk.NormalFormGame(game.payoffs * scale + shift)
    warmer = gk.Regularizer(regularizer.log_reference, regularizer.temperature * scale)
    for ours, theirs in zip(
        best_response(moved, warmer, log_policy), best_response(game, regularizer, log_policy), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)
    np.testing.assert_allclose(
        regularized_gap(moved, warmer, log_policy) / scale,
        regularized_gap(game, regularizer, log_policy),
        rtol=1e-7,
        atol=1e-10,
    )


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(3)))
def test_renaming_players_renames_gaps(seed, order):
    game, regularizer, log_policy = random_triple(seed, (3, 4, 2))
    renamed = gk.NormalFormGame(np.transpose(np.asarray(game.payoffs)[order], (0, *(1 + p for p in order))))
    gap = regularized_gap(
        renamed, gk.Regularizer([regularizer.log_reference[p] for p in order], 0.3), [log_policy[p] for p in order]
    )
    expected = np.asarray(regularized_gap(game, regularizer, log_policy))[order]
    np.testing.assert_allclose(gap, expected, rtol=1e-10)


def test_nash_gap_and_its_summaries():
    game = gk.games.matching_pennies()
    log_policy = log([1, 0], [0.25, 0.75])
    # q_1 = (-1/2, 1/2) and player 1 plays the first; q_2 = (-1, 1) and player 2 gets 1/2.
    np.testing.assert_allclose(gk.nash_gap(game, log_policy), [1.0, 0.5])
    np.testing.assert_allclose(gk.nash_conv(game, log_policy), 1.5)
    np.testing.assert_allclose(gk.exploitability(game, log_policy), 0.75)
    masked = gk.Regularizer(log([1, 0], [0.5, 0.5]), 1.0)
    np.testing.assert_allclose(gk.nash_gap(game, log_policy, regularizer=masked), [0.0, 0.5])


def test_a_policy_in_the_place_of_a_log_policy_is_an_error():
    game = gk.games.matching_pennies()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    half = (jnp.asarray([0.5, 0.5]),) * 2
    for function in (lambda p: gk.nash_gap(game, p), lambda p: gk.regularized_gap(game, regularizer, p)):
        with pytest.raises(ValueError, match=r"log_policy\[0\]: got 0.5, takes logarithms"):
            function(half)
    with pytest.raises(ValueError, match=r"policy\[0\]: got -0.69.*, takes probabilities"):
        gk.action_values(game, log([0.5, 0.5], [0.5, 0.5]))
    with pytest.raises(ValueError, match=r"log_policy\[0\]: got a sum of 0.503215, takes probabilities that sum to 1"):
        gk.nash_gap(game, [np.array([-1.0, -2.0]), np.array([-0.1, -3.0])])
    with pytest.raises(ValueError, match="temperature: got -1.0, takes numbers > 0"):
        gk.regularized_gap(game, gk.Regularizer.uniform(game, -1.0), log([0.5, 0.5], [0.5, 0.5]))
    with pytest.raises(ValueError, match=r"log_policy: got shapes \[\(2,\)\]"):
        gk.nash_gap(game, log([0.5, 0.5]))
    with pytest.raises(ValueError, match="references of 3 players"):
        gk.regularized_gap(game, gk.Regularizer(log(*[[0.5, 0.5]] * 3), 1.0), log([0.5, 0.5], [0.5, 0.5]))


def test_kl_is_infinite_off_support_and_ignores_what_is_not_played():
    assert kl(*log([0.5, 0.5], [1.0, 0.0])) == np.inf
    np.testing.assert_allclose(kl(*log([1.0, 0.0], [0.5, 0.5])), np.log(2))
    assert kl(*log([1.0, 0.0], [1.0, 0.0])) == 0
    assert np.isnan(kl(jnp.asarray([np.nan, 0.0]), log([0.5, 0.5])[0]))


def test_gradients_through_kl_and_gap_are_finite_at_masked_actions():
    game = gk.games.uniform(jax.random.key(0), (3, 2))
    references = log([0.5, 0.5, 0.0], [0.3, 0.7])

    def total(logits):
        policy = [normalize(jnp.where(jnp.isneginf(r), -jnp.inf, z)) for r, z in zip(references, logits, strict=True)]
        return gk.regularized_gap(game, gk.Regularizer(references, 0.3), policy).sum()

    gradient = jax.jit(jax.grad(total))([jnp.asarray([0.1, -0.2, 0.3]), jnp.asarray([0.0, 1.0])])
    assert all(np.all(np.isfinite(entry)) for entry in gradient)
    assert np.any(gradient[0] != 0)
