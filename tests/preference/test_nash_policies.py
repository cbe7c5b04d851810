"""nash_policies against closed forms, definitions written out in numpy, and solve_nash."""

import jax
import numpy as np
import pytest
from helpers import assert_same_bits, rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, logsumexp

import gamekl as gk

nash_policies = gk.preference.nash_policies
EXACT = 1e-22  # a gap at which policies agree to 1e-10


def tables(rng, size, candidates):
    """Random preferences with P + P^T = 1 to the last bit, and log-references."""
    below = np.tril(rng.integers(0, 2**30, (size, candidates, candidates)) / 2**30, -1)
    upper = np.triu(1 - np.swapaxes(below, 1, 2), 1)
    return below + upper + np.eye(candidates) / 2, log_softmax(rng.normal(size=(size, candidates)), axis=1)


PREFERENCES, REFERENCE = tables(np.random.default_rng(0), 40, 4)
TEMPERATURES = np.geomspace(1e-3, 2, 40)


def one(index, temperature=0.1, **options):
    return nash_policies(PREFERENCES[index : index + 1], REFERENCE[index : index + 1], temperature, **options)


def test_two_candidates_in_closed_form():
    preferences, reference = tables(np.random.default_rng(1), 30, 2)
    found = nash_policies(preferences, reference, 0.05, tol=EXACT)
    expected = expit(reference[:, 0] - reference[:, 1] + (preferences[:, 0, 1] - 0.5) / 0.05)
    np.testing.assert_allclose(found.policy[:, 0], expected, atol=1e-10)
    np.testing.assert_array_equal(found.chosen, np.where(expected > 0.5, 0, 1))
    assert np.all(found.status == gk.Status.converged)


@pytest.mark.parametrize("max_steps", [200, 3, 0])
@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-14])
def test_certificates_by_definition(tol, max_steps):
    """Temperatures from 1e-3 on, so three steps leave some to the tracer, and none leave all."""
    found = nash_policies(PREFERENCES, REFERENCE, TEMPERATURES, tol=tol, max_steps=max_steps)
    assert np.all(found.status == gk.Status.converged)
    assert np.all(found.gap <= tol)
    assert (found.num_steps.max() > max_steps) == (max_steps < 200)
    pi, tau = found.policy, TEMPERATURES
    np.testing.assert_allclose(pi.sum(axis=1), 1)
    values = np.einsum("pij,pj->pi", PREFERENCES, pi)
    cost = np.sum(pi * np.where(pi > 0, found.log_policy - REFERENCE, 0), axis=1)
    best = tau * logsumexp(REFERENCE + values / tau[:, None], axis=1)
    np.testing.assert_allclose(found.gap, best - (0.5 - tau * cost), atol=1e-14)
    np.testing.assert_allclose(found.nash_gap, values.max(axis=1) - 0.5, atol=1e-14)
    np.testing.assert_allclose(found.win_rate, np.einsum("pi,pij,pj->p", pi, PREFERENCES, np.exp(REFERENCE)))
    response = np.exp(log_softmax(REFERENCE + values / tau[:, None], axis=1))
    np.testing.assert_allclose(found.residual, np.abs(response - pi).max(axis=1), atol=1e-12)
    np.testing.assert_array_equal(found.chosen, pi.argmax(axis=1))


@pytest.mark.parametrize("index", [0, 10, 39])
def test_the_equilibrium_of_the_game_of_two(index):
    """KL(policy || equilibrium) <= gap / temperature, so policies differ by at most sqrt(gap / (2 temperature))."""
    table, tau = PREFERENCES[index], TEMPERATURES[index]
    game = gk.NormalFormGame(np.stack([table, table.T]))
    solution = gk.solve_nash(game, gk.Regularizer([REFERENCE[index]] * 2, tau))
    for tol, apart in [(1e-6, (1e-6 / (2 * tau)) ** 0.5), (EXACT, 1e-10)]:
        np.testing.assert_allclose(one(index, tau, tol=tol).policy[0], solution.policy[0], atol=apart)


def test_a_masked_candidate_is_not_there():
    mask = np.ones_like(REFERENCE, dtype=bool)
    mask[:, 2] = False
    preferences, reference = PREFERENCES.copy(), REFERENCE.copy()
    preferences[:, 2], preferences[:, :, 2], reference[:, 2] = np.nan, 7, np.nan
    found = nash_policies(preferences, reference, 0.1, mask=mask, tol=EXACT)
    without = np.delete(np.delete(PREFERENCES, 2, 1), 2, 2), np.delete(REFERENCE, 2, 1)
    expected = nash_policies(*without, 0.1, tol=EXACT)
    assert np.all(np.isneginf(found.log_policy[:, 2]))
    np.testing.assert_allclose(found.policy[:, mask[0]], expected.policy, atol=1e-10)
    np.testing.assert_allclose(found.win_rate, expected.win_rate, atol=1e-10)
    np.testing.assert_allclose(found.nash_gap, expected.nash_gap, atol=1e-10)
    by_reference = nash_policies(PREFERENCES, np.where(mask, REFERENCE, -np.inf), 0.1, tol=EXACT)
    assert_same_bits(by_reference, found)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.floats(0.01, 10), st.floats(-50, 50))
def test_order_and_level_do_not_matter(order, temperature, level):
    found = nash_policies(PREFERENCES, REFERENCE, temperature, tol=EXACT)
    moved = nash_policies(PREFERENCES[:, order][:, :, order], REFERENCE[:, order] + level, temperature, tol=EXACT)
    np.testing.assert_allclose(moved.policy, found.policy[:, order], atol=1e-9)
    np.testing.assert_allclose(moved.win_rate, found.win_rate, atol=1e-9)


def test_a_duplicate_shares_its_chances():
    """The last candidate twice, with the reference's mass in parts of 1/4 and 3/4."""
    twice = [0, 1, 2, 3, 3]
    reference = REFERENCE[:, twice] + np.log([1, 1, 1, 0.25, 0.75])
    found = nash_policies(PREFERENCES[:, twice][:, :, twice], reference, 0.1, tol=EXACT).policy
    expected = nash_policies(PREFERENCES, REFERENCE, 0.1, tol=EXACT).policy
    np.testing.assert_allclose(found, expected[:, twice] * [1, 1, 1, 0.25, 0.75], atol=1e-10)


def test_neighbours_do_not_matter():
    preferences = PREFERENCES.copy()
    preferences[3, 0, 1] = np.nan
    found = nash_policies(preferences, REFERENCE, TEMPERATURES)
    assert found.status[3] == gk.Status.nonfinite_input
    np.testing.assert_allclose(found.log_policy[3], REFERENCE[3])
    clean = nash_policies(PREFERENCES, REFERENCE, TEMPERATURES)
    others = np.arange(40) != 3
    assert_same_bits(rows(found, others), rows(clean, others))
    many = 20  # in more than one chunk
    stacked = nash_policies(
        np.tile(PREFERENCES, (many, 1, 1)), np.tile(REFERENCE, (many, 1)), np.tile(TEMPERATURES, 20)
    )
    assert_same_bits(rows(stacked, slice(-40, None)), clean)
    with pytest.raises(gk.SolveError, match=r"prompt 3 \(1 of 40 prompts failed\): nonfinite_input"):
        nash_policies(preferences, REFERENCE, TEMPERATURES, throw=True)


def test_float32_is_solved_in_float64():
    preferences, reference = PREFERENCES.astype(np.float32), REFERENCE.astype(np.float32)
    found = nash_policies(preferences, reference, np.float32(0.125), tol=EXACT)
    expected = nash_policies(preferences.astype(float), reference.astype(float), 0.125, tol=EXACT)
    assert found.log_policy.dtype == np.float64
    assert np.all(found.gap <= EXACT)
    assert_same_bits(found, expected)


def test_settings_of_jax_do_not_matter():
    expected = nash_policies(PREFERENCES, REFERENCE, TEMPERATURES)
    with jax.enable_x64(False):
        assert_same_bits(nash_policies(PREFERENCES, REFERENCE, TEMPERATURES), expected)
        assert not jax.config.jax_enable_x64
    assert jax.config.jax_enable_x64


def test_lists_and_little_shapes():
    found = nash_policies([[[0.5]]], [[-3]], 1)
    assert (found.policy, found.win_rate, found.gap, found.nash_gap) == (1, 0.5, 0, 0)
    none = nash_policies(np.zeros((0, 4, 4)), np.zeros((0, 4)), 0.1, throw=True)
    assert none.policy.shape == (0, 4)
    assert none.chosen.shape == (0,)
    single = nash_policies(PREFERENCES[:1], [[-np.inf, -1, -np.inf, -np.inf]], 0.1)
    np.testing.assert_array_equal(single.policy, [[0, 1, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preferences": np.zeros((4, 4))}, r"preferences: got shape \(4, 4\), takes \[prompt, candidate, candidate\]"),
        ({"preferences": np.zeros((40, 4, 3))}, r"preferences: got shape \(40, 4, 3\)"),
        ({"preferences": np.zeros((40, 0, 0))}, r"preferences: got shape \(40, 0, 0\)"),
        ({"preferences": [[["a"]]]}, "preferences: got dtype <U1, takes real numbers"),
        ({"reference": REFERENCE[:, :3]}, r"log_reference: got shape \(40, 3\), takes .* = \(40, 4\)"),
        ({"temperature": [0.1, 0.2]}, r"temperature: got shape \(2,\), takes a number or \[prompt\] = \(40,\)"),
        ({"temperature": 0}, r"temperature\[0\]: got 0.0, takes numbers > 0"),
        ({"temperature": np.where(np.arange(40) == 7, np.nan, 1)}, r"temperature\[7\]: got nan"),
        ({"mask": np.ones((40, 3), bool)}, r"mask: got bool of shape \(40, 3\), takes booleans"),
        ({"mask": np.ones((40, 4))}, "mask: got float64"),
        ({"mask": np.arange(160).reshape(40, 4) < 100}, r"mask\[25\]: got 0, takes one candidate or more"),
        ({"tol": -1.0}, "tol: got -1.0, takes a number >= 0"),
        ({"tol": np.nan}, "tol: got nan"),
        ({"max_steps": -1}, "max_steps: got -1, takes a whole number"),
        ({"devices": []}, "devices: got none"),
    ],
)
def test_refusals(change, message):
    arguments = {"preferences": PREFERENCES, "reference": REFERENCE, "temperature": 0.1} | change
    first = [arguments.pop(name) for name in ("preferences", "reference", "temperature")]
    with pytest.raises(ValueError, match=message):
        nash_policies(*first, **arguments)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("preferences", (4099, 0, 1), 1.5, r"preferences\[4099, 0, 1\]: got 1.5, takes probabilities"),
        ("preferences", (4099, 0, 1), -0.5, r"preferences\[4099, 0, 1\]: got -0.5, takes probabilities"),
        ("preferences", (4099, 1, 0), 0.75, r"\(P \+ P\^T\)\[4099, 0, 1\]: got 1.25, takes 1 within 1e-05"),
        ("preferences", (4099, 1, 1), 0.25, r"\(P \+ P\^T\)\[4099, 1, 1\]: got 0.5, takes 1 within 1e-05"),
        ("reference", (4099, 1), np.nan, r"log_reference\[4099, 1\]: got nan, takes logarithms of probabilities"),
        ("reference", (4099, 1), np.inf, r"log_reference\[4099, 1\]: got inf, takes logarithms of probabilities"),
    ],
)
def test_refused_values_are_named(name, place, value, message):
    arrays = {"preferences": np.full((4200, 2, 2), 0.5), "reference": np.zeros((4200, 2))}
    arrays[name][place] = value
    with pytest.raises(ValueError, match=message):
        nash_policies(arrays["preferences"], arrays["reference"], 0.1)
