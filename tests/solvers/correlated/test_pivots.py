"""Equilibria at vertices, found by pivots for many games at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.online.models import FiniteModels
from gamekl.solvers.correlated.pivots import gains_of, oracle

RNG = np.random.default_rng(0)
# Continuous payoffs, and ones so full of ties that pivots without a rule for them go in circles.
FAMILIES = {
    "uniform": RNG.uniform(size=(40, 2, 3, 3)),
    "whole": RNG.integers(0, 3, size=(300, 2, 3, 3)).astype(float),
    "bits": RNG.integers(0, 2, size=(300, 2, 3, 3)).astype(float),
    "copies": RNG.uniform(size=(20, 2, 2, 2))[:, :, [0, 0, 1]][..., [1, 0, 0]],
    "nearly one": 0.5 + 1e-11 * RNG.normal(size=(40, 2, 3, 3)),
    "nothing": np.zeros((1, 2, 3, 3)),
}
PAYOFFS = jnp.asarray(np.concatenate(list(FAMILIES.values())))


def solved(payoffs, concept):
    return jax.jit(jax.vmap(oracle(concept)))(payoffs)


def largest_gain(payoffs, joint, concept):
    gains = jax.vmap(lambda table, one: gains_of(concept)(gk.NormalFormGame(table), one))
    return float(jnp.max(gains(payoffs, joint)))


@pytest.mark.parametrize("concept", ["nash", "ce", "cce"])
def test_every_equilibrium_is_certified(concept):
    joint = solved(PAYOFFS, concept)
    assert largest_gain(PAYOFFS, joint, concept) < 1e-7
    np.testing.assert_allclose(joint.sum(axis=(1, 2)), 1, atol=1e-12)
    assert np.all(np.asarray(joint) >= 0)
    if concept == "nash":
        np.testing.assert_allclose(joint, joint.sum(axis=2)[:, :, None] * joint.sum(axis=1)[:, None], atol=1e-12)


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_welfare_is_that_of_a_linear_program(concept):
    """Against HiGHS, on payoffs with range 1 and middle 0, whose sum is what counts."""
    low, high = (extreme(FAMILIES["uniform"], axis=(2, 3), keepdims=True) for extreme in (np.min, np.max))
    payoffs = jnp.asarray((FAMILIES["uniform"] - low) / (high - low) - 0.5)[:12]
    for table, joint in zip(payoffs, solved(payoffs, concept), strict=True):
        best = gk.solve_welfare(gk.NormalFormGame(table), concept=concept)
        np.testing.assert_allclose(jnp.sum(table * joint), -best.objective, atol=1e-6)


@pytest.mark.parametrize("concept", ["ce", "cce"])
def test_pure_policies_of_markov_games(concept):
    """16 by 16 of them, most of which are dominated in the first game, and 8 by 8 left in the second."""
    draw = jax.jit(lambda key: gk.games.markov(key, (2, 2), num_states=2, horizon=2, concentration=0.5))
    tables = jnp.stack([FiniteModels([draw(jax.random.key(seed))]).truth[0] for seed in (0, 6)])
    low, high = (extreme(tables, axis=(2, 3), keepdims=True) for extreme in (jnp.min, jnp.max))
    payoffs = (tables - low) / (high - low) - 0.5
    joint = solved(payoffs, concept)
    assert largest_gain(payoffs, joint, concept) < 1e-10
    for table, found in zip(payoffs, joint, strict=True):
        best = gk.solve_welfare(gk.NormalFormGame(table), concept=concept)
        np.testing.assert_allclose(jnp.sum(table * found), -best.objective, atol=1e-6)


def test_three_players_and_other_shapes():
    table = jax.random.uniform(jax.random.key(0), (5, 3, 2, 3, 2))
    assert largest_gain(table, solved(table, "ce"), "ce") < 1e-10
    wide = jax.random.uniform(jax.random.key(1), (5, 2, 2, 5))
    assert largest_gain(wide, solved(wide, "nash"), "nash") < 1e-10


@pytest.mark.parametrize("concept", ["nash", "cce"])
def test_float32_is_certified_to_its_rounding(concept):
    payoffs = PAYOFFS[:40].astype(jnp.float32)
    joint = solved(payoffs, concept)
    assert joint.dtype == jnp.float32
    assert largest_gain(payoffs, joint, concept) < 8e-4


def test_other_concepts_are_refused():
    with pytest.raises(ValueError, match="concept: got 'qre', takes one of 'nash', 'ce', 'cce'"):
        oracle("qre")
