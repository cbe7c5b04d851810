"""Behaviors and their unilateral concentrability (theory A5, A7 and J8)."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import dirichlet_policy, log

import gamekl as gk
from gamekl.offline import behavior_with_concentrability, concentrability


def concentrability_by_definition(behavior, policy):
    """max over players, deviations (pure ones suffice) and cells of the deviated profile over the behavior."""
    worst = 0.0
    shape = behavior.shape
    for player in range(len(shape)):
        for deviation in range(shape[player]):
            for actions in itertools.product(*map(range, shape)):
                others = np.prod([policy[j][a] for j, a in enumerate(actions) if j != player])
                mass = others * (actions[player] == deviation)
                if mass > 0:
                    worst = max(worst, mass / behavior[actions] if behavior[actions] > 0 else np.inf)
    return worst


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (3, 4, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("factor", [1.0, 1.5, 10.0, 1e6])
def test_the_measured_concentrability_is_the_one_asked_for(shape, factor):
    game = gk.games.uniform(jax.random.key(0), shape)
    log_policy = dirichlet_policy(jax.random.key(1), game)
    policy = [np.exp(entry) for entry in log_policy]
    least = sum(
        max(np.prod([policy[j][a] for j, a in enumerate(actions) if j != i]) for i in range(len(shape)))
        for actions in itertools.product(*map(range, shape))
    )
    behavior = behavior_with_concentrability(game, log_policy, factor * least)
    np.testing.assert_allclose(behavior.sum(), 1, atol=1e-12)
    np.testing.assert_allclose(concentrability(game, behavior, log_policy), factor * least, rtol=1e-12)
    np.testing.assert_allclose(concentrability_by_definition(np.asarray(behavior), policy), factor * least, rtol=1e-12)


def test_uniform_play_of_a_square_game_needs_as_many_rows_as_actions():
    game = gk.games.shapley()
    uniform = gk.Regularizer.uniform(game, 1.0).log_reference
    np.testing.assert_allclose(concentrability(game, jnp.full((3, 3), 1 / 9), uniform), 3)
    with pytest.raises(ValueError, match=r"concentrability: got 2.9, takes at least C_min = "):
        behavior_with_concentrability(game, uniform, 2.9)


def test_infinite_concentrability_leaves_a_cell_without_data():
    game = gk.games.shapley()
    uniform = gk.Regularizer.uniform(game, 1.0).log_reference
    behavior = behavior_with_concentrability(game, uniform, np.inf)
    assert int((behavior == 0).sum()) == 1
    np.testing.assert_allclose(behavior.sum(), 1)
    assert concentrability(game, behavior, uniform) == np.inf


def test_masked_actions_get_no_data_and_need_none():
    game = gk.games.uniform(jax.random.key(0), (3, 2))
    regularizer = gk.Regularizer(log([0.5, 0.5, 0.0], [0.4, 0.6]), 1.0)
    behavior = behavior_with_concentrability(game, regularizer.log_reference, 5.0, regularizer=regularizer)
    assert np.all(behavior[2] == 0)
    np.testing.assert_allclose(
        concentrability(game, behavior, regularizer.log_reference, regularizer=regularizer), 5.0, rtol=1e-12
    )
    assert concentrability(game, behavior, regularizer.log_reference) == np.inf


def test_a_tuple_of_policies_is_their_product():
    game = gk.games.uniform(jax.random.key(0), (2, 3, 2))
    policies = ([0.1, 0.9], [0.2, 0.3, 0.5], [0.6, 0.4])
    joint = jnp.einsum("a,b,c->abc", *(jnp.asarray(p) for p in policies))
    uniform = gk.Regularizer.uniform(game, 1.0).log_reference
    np.testing.assert_allclose(concentrability(game, policies, uniform), concentrability(game, joint, uniform))
    np.testing.assert_allclose(gk.offline.joint_behavior(game, policies), joint)


@pytest.mark.parametrize(
    ("behavior", "message"),
    [
        ([[0.5, 0.5], [0.5, -0.5]], r"behavior\[1, 1\]: got -0.5, takes probabilities >= 0"),
        ([[0.5, 0.5], [0.5, 0.5]], r"behavior: got a sum of 2.0, takes probabilities that sum to 1"),
        ([[0.5, 0.5, 0.0]], r"behavior: got shape \(1, 3\), takes \[\*actions\] = \(2, 2\)"),
        ([[0.5, np.nan], [0.5, 0.0]], r"behavior\[0, 1\]: got nan"),
        (([0.5, 0.5], [-0.5, 1.5]), r"behavior\[1\]: got -0.5, takes probabilities"),
        (([0.5, 0.5], [0.1, 0.1]), r"behavior\[1\]: got a sum of 0.2"),
        (([0.5, 0.5], [0.5, 0.3, 0.2]), r"behavior: got shapes"),
    ],
)
def test_bad_behaviors(behavior, message):
    game = gk.games.chicken()
    given = behavior if isinstance(behavior, tuple) else np.array(behavior)
    with pytest.raises(ValueError, match=message):
        gk.offline.sample_statistics(jax.random.key(0), game, given, 10, 1.0)


def test_unilateral_coverage_is_necessary_and_three_cells_suffice():
    """Data from the diagonal, on which two games agree, leave one of them with a gap of 1/2 or more (a theorem).

    An equilibrium's cell and its two unilateral neighbours, however, suffice at any n.
    """
    first = np.array([[0.5, 1.0], [0.0, 0.5]])
    second = np.array([[0.5, 0.0], [1.0, 0.5]])
    true_games = [gk.NormalFormGame(np.stack([m, -m])) for m in (first, second)]
    diagonal = jnp.asarray([[0.5, 0.0], [0.0, 0.5]])
    neighbours = [jnp.asarray([[0.4, 0.3], [0.3, 0.0]]), jnp.asarray([[0.0, 0.3], [0.3, 0.4]])]
    for num_samples in (10**2, 10**4, 10**6):
        gaps = {"diagonal": [], "neighbours": []}
        for game, three in zip(true_games, neighbours, strict=True):
            for name, behavior in (("diagonal", diagonal), ("neighbours", three)):
                statistics = gk.offline.sample_statistics(jax.random.key(num_samples), game, behavior, num_samples, 0.1)
                solution = gk.solve_nash_exact(gk.offline.estimate(statistics).game)
                gaps[name].append(float(gk.nash_conv(game, solution.log_policy)))
        assert max(gaps["diagonal"]) >= 0.5 - 1e-9
        assert max(gaps["neighbours"]) < 1e-9
