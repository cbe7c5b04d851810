"""Level-k and Poisson cognitive hierarchies: definitions as loops, closed forms, ties, and what they do not take."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from helpers import action_values_by_definition

import gamekl as gk
from gamekl.estimation import cognitive_hierarchy, level_k

# Action 2 is dominated by 1, and 1 by 0 where 2 is not played.
THREE = np.array([[1.0, 1, 0], [0, 0, 3], [-1, -1, -1]])
SOLVABLE = gk.NormalFormGame(np.stack([THREE, THREE.T]))
# Whole payoffs, so that ties are exact.
SHAPES = (2, 3), (4, 4), (2, 3, 2), (2, 2, 2, 2)


def best_by_definition(payoffs, policies):
    """The even mixture of the best actions."""
    found = []
    for values in action_values_by_definition(payoffs, policies):
        good = values > values.max() - 1e-9
        found.append(good / good.sum())
    return found


def hierarchy_by_definition(payoffs, mean, num_levels):
    """Each level's policies, and their average."""
    shares = scipy.stats.poisson.pmf(np.arange(num_levels + 1), mean)
    shares /= shares.sum()
    levels = [[np.full(size, 1 / size) for size in payoffs.shape[1:]]]
    for level in range(1, num_levels + 1):
        belief = shares[:level] / shares[:level].sum()
        mixed = [
            sum(share * own for share, own in zip(belief, lower, strict=True)) for lower in zip(*levels, strict=True)
        ]
        levels.append(best_by_definition(payoffs, mixed))
    return levels, [
        sum(share * own for share, own in zip(shares, every, strict=True)) for every in zip(*levels, strict=True)
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_definitions_as_loops(shape):
    """Of 50 games at a time, a fifth of them with ties at level 1 or above."""
    random = np.random.default_rng(len(shape))
    payoffs = random.uniform(size=(50, len(shape), *shape))
    payoffs[::5] = random.integers(0, 3, size=payoffs[::5].shape)
    means = random.uniform(0, 4, size=50)
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    found = jax.jit(jax.vmap(lambda game, mean: cognitive_hierarchy(game, mean, num_levels=30)))(games, means)
    steps = jax.jit(jax.vmap(lambda game: level_k(game, 4)))(games)
    for game in range(50):
        levels, average = hierarchy_by_definition(payoffs[game], means[game], 30)
        for player in range(len(shape)):
            expected = np.array([level[player] for level in levels])
            np.testing.assert_allclose(found.levels[player][game], expected, atol=1e-12)
            np.testing.assert_allclose(found.policy[player][game], average[player], atol=1e-12)
        below = levels[0]
        for level in range(1, 5):
            below = best_by_definition(payoffs[game], below)
            for own, expected in zip(steps, below, strict=True):
                np.testing.assert_allclose(own[game, level], expected, atol=1e-12)


@pytest.mark.parametrize("mean", [0.0, 0.2, 0.4, 1.5, 7.0])
def test_a_dominance_solvable_game(mean):
    """Level 1 undercuts level 0; those above play the equilibrium, if they expect enough others to think."""
    first, second, _, equilibrium, _ = np.asarray(level_k(SOLVABLE, 4)[0])
    np.testing.assert_allclose(first, 1 / 3)
    np.testing.assert_array_equal(second, [0, 1, 0])
    np.testing.assert_array_equal(equilibrium, [1, 0, 0])
    # Level k plays 0 where 2/3 P(0) + P(1, ..., k - 1) > P(0), P being Poisson: where mean + mean^2 / 2 + ... > 1/3.
    lower = np.cumsum(mean ** np.arange(1, 65) / np.cumprod(np.arange(1.0, 65)))
    shares = scipy.stats.poisson.pmf(np.arange(65), mean)
    top = shares[2:][lower[:-1] > 1 / 3].sum()
    expected = [shares[0] / 3 + top, 1 - shares[0] * 2 / 3 - top, shares[0] / 3]
    for own in cognitive_hierarchy(SOLVABLE, mean).policy:
        np.testing.assert_allclose(own, expected, atol=1e-12)


def test_masked_actions_are_not_played():
    """Without action 1 nobody undercuts."""
    reference = [np.log([0.5, 1e-300, 0.5]) * np.array([1, np.inf, 1])] * 2
    levels = level_k(SOLVABLE, 2, log_reference=reference)
    np.testing.assert_allclose(levels[0], [[0.5, 0, 0.5], [1, 0, 0], [1, 0, 0]])
    found = cognitive_hierarchy(SOLVABLE, 1.0, log_reference=reference)
    np.testing.assert_allclose(found.policy[1][1], 0)
    np.testing.assert_allclose(found.shares.sum(), 1)


def test_float32():
    game = gk.NormalFormGame(np.stack([THREE, THREE.T]).astype(np.float32))
    found = cognitive_hierarchy(game, 1.5)
    assert found.policy[0].dtype == np.float32
    np.testing.assert_allclose(found.policy[0], cognitive_hierarchy(SOLVABLE, 1.5).policy[0], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: level_k(SOLVABLE, 0), ValueError, "num_levels: got 0"),
        (lambda: cognitive_hierarchy(SOLVABLE, -1.0), ValueError, "mean: got -1.0, takes a number >= 0"),
        (lambda: cognitive_hierarchy(SOLVABLE, float("nan")), ValueError, "mean: got nan"),
        (lambda: cognitive_hierarchy(SOLVABLE, 1.0, num_levels=0), ValueError, "num_levels: got 0"),
        (lambda: level_k(SOLVABLE, 2, log_reference=[np.zeros(1)] * 2), ValueError, "log_reference"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
