"""The regularised equilibrium against Gambit (theory J13).

With reference pi0 it is the logit quantal response equilibrium, lambda = 1 / temperature, of the game with payoffs
r_i(a) + temperature log pi0_i(a_i). Oracle: pygambit's ``qre.logit_solve_lambda``.
"""

import gambit_helpers
import jax
import numpy as np
import pytest
from helpers import LogitPath, assert_policies, dirichlet_regularizer, rows
from scipy.optimize import brentq
from scipy.special import expit

import gamekl as gk

SHAPES = [(2, 2), (3, 4), (5, 5), (3, 4, 2), (2, 3, 2), (2, 2, 2, 2)]


@pytest.mark.parametrize("temperature", [1.0, 0.3, 0.1])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_principal_branch_is_gambits(shape, temperature):
    gambit_helpers.pygambit()
    for seed in range(8):
        game = gk.games.uniform(jax.random.key(seed), shape)
        regularizer = dirichlet_regularizer(jax.random.key(1_000 + seed), game, temperature)
        expected = gambit_helpers.logit(game.payoffs, temperature, regularizer.log_reference)
        ours = gk.solve_nash(game, regularizer).policy
        for mine, other in zip(ours, expected, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-8)


@pytest.mark.parametrize("shape", [(10, 10), (4, 4, 4), pytest.param((3, 3, 3, 3), marks=pytest.mark.slow)], ids=str)
def test_cold_paths_from_uniform_references_are_gambits(shape):
    """Its first crossing, but that it stops at residuals of up to 1e-7, and policies may be off by ten times that.

    `benchmarks/gambit_agreement.py` has more of them.
    """
    gambit_helpers.pygambit()
    temperatures = np.repeat([0.05, 0.02], 4)
    games = jax.vmap(lambda key: gk.games.uniform(key, shape))(jax.random.split(jax.random.key(9), len(temperatures)))
    ours = gk.solve_nash_batch(games, jax.vmap(gk.Regularizer.uniform)(games, temperatures), throw=True)
    for index, temperature in enumerate(temperatures):
        theirs = gambit_helpers.logit(games.payoffs[index], temperature)
        assert_policies(rows(ours.policy, index), theirs, atol=1e-5)
        path = LogitPath(rows(games, index), gk.Regularizer.uniform(rows(games, index), temperature))
        assert_policies(rows(ours.policy, index), path.improve(theirs))


def test_pitchforks():
    """Coordination with identity payoffs at lambda = 4: p = sigmoid(4 (2 p - 1)) has three roots.

    Both branches are made of equilibria. 16.7 goes straight on where rounding keeps its path symmetric, as here; 17
    breaks the symmetry and follows the branch that comes in (its `LogitBifurcationEvent`; seen with 17.0.0b2).
    """
    gambit_helpers.pygambit()
    game = gk.games.coordination()
    ours = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.25))
    assert ours.path.bifurcations == 1
    assert_policies(ours.policy, [[0.5, 0.5]] * 2)
    side = brentq(lambda p: p - expit(4 * (2 * p - 1)), 0.6, 1)
    theirs = gambit_helpers.logit(game.payoffs, 0.25)
    assert_policies(theirs, [[side, 1 - side] if gambit_helpers.by_labels() else [0.5, 0.5]] * 2, atol=1e-6)


@pytest.mark.slow
def test_folded_paths_end_where_gambits_do():
    """From uniform references both follow the same path; half of these games have turning points on it."""
    gambit_helpers.pygambit()
    compared, folded = 0, 0
    for players, actions in [(2, 2), (2, 5), (2, 10), (2, 20), (3, 5), (4, 3), (5, 2), (6, 2)]:
        for temperature in (0.1, 0.05, 0.03, 0.02):
            keys = jax.random.split(jax.random.fold_in(jax.random.key(players), actions), 400)
            games = jax.vmap(lambda key, shape=(actions,) * players: gk.games.uniform(key, shape))(keys)
            regularizers = jax.vmap(lambda game, tau=temperature: gk.Regularizer.uniform(game, tau))(games)
            ours = gk.solve_nash_batch(games, regularizers, throw=True)
            folds = np.asarray(ours.path.folds)
            for game in [*np.flatnonzero(folds > 0)[:10], *np.flatnonzero(folds == 0)[:8]]:
                for mine, expected in zip(
                    ours.policy, gambit_helpers.logit(games.payoffs[game], temperature), strict=True
                ):
                    # Gambit's own residual is up to 1e-7 here.
                    np.testing.assert_allclose(mine[game], expected, atol=1e-6)
                compared, folded = compared + 1, folded + int(folds[game] > 0)
    assert compared >= 500
    assert folded >= 100
