"""Contextual games whose payoffs are functions of features."""

import jax
import numpy as np
import pytest

import gamekl as gk

FAMILIES = ["linear", "context_linear", "smooth"]


def make(name, key, num_actions=(2, 3), num_contexts=200, num_features=4, **options):
    family = getattr(gk.games, name)
    return family(key, num_actions, num_contexts=num_contexts, num_features=num_features, **options)


def with_constant(features):
    return np.column_stack([np.ones(len(features)), features])


def misfit(design, values):
    """The share of the mean square that the best linear fit leaves."""
    weights = np.linalg.lstsq(design, values, rcond=None)[0]
    return np.mean((values - design @ weights) ** 2) / np.mean(values**2), weights


@pytest.mark.parametrize("name", FAMILIES)
def test_the_key_decides_and_keys_batch(name):
    keys = jax.random.split(jax.random.key(0), 2)
    batch = jax.vmap(lambda key: make(name, key, (3, 2, 2)))(keys)
    assert not np.any(np.isclose(batch.game.payoffs[0], batch.game.payoffs[1], atol=1e-12))
    game, features = make(name, keys[1], (3, 2, 2))
    np.testing.assert_allclose(batch.game.payoffs[1], game.payoffs, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(batch.features[1], features)
    assert game.payoffs.shape == (200, 3, 3, 2, 2)
    assert features.shape == ((200, 3, 2, 2, 4) if name == "linear" else (200, 4))
    np.testing.assert_allclose(game.context_probs, 1 / 200)
    gk.validate(game)


def test_linear_has_one_vector_of_weights_for_each_player():
    game, features = make("linear", jax.random.key(1))
    payoffs = np.moveaxis(np.asarray(game.payoffs), 1, -1).reshape(-1, 2)
    left, weights = misfit(np.asarray(features).reshape(-1, 4), payoffs)
    assert left < 1e-25
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 0.5)


def test_context_linear_has_weights_for_each_player_and_joint_action():
    game, features = make("context_linear", jax.random.key(1))
    left, weights = misfit(with_constant(features), np.asarray(game.payoffs).reshape(200, -1))
    assert left < 1e-25
    np.testing.assert_allclose(np.linalg.norm(weights, axis=0), 0.5)
    assert np.linalg.matrix_rank(weights) == 5


@pytest.mark.parametrize("name", FAMILIES)
def test_features_are_standard_normal_and_payoffs_have_standard_deviation_one_half(name):
    game, features = make(name, jax.random.key(2), (5, 5), num_contexts=2000, num_features=16)
    features = np.asarray(features).reshape(-1, 16)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=5 * len(features) ** -0.5)
    np.testing.assert_allclose(np.cov(features.T), np.eye(16), atol=6 * (2 / len(features)) ** 0.5)
    assert abs(np.asarray(game.payoffs).std() - 0.5) < 0.05


@pytest.mark.parametrize("frequency", [0.5, 1.0, 2.0])
def test_covariance_of_smooth_payoffs(frequency):
    """exp(-frequency^2 |x - y|^2 / (2 features)) / 4, within five standard errors over 4,000 games."""
    options = {"num_contexts": 2, "num_features": 2, "frequency": frequency, "num_waves": 3}
    keys = jax.random.split(jax.random.key(0), 4000)
    game, features = jax.vmap(lambda key: make("smooth", key, (1,), **options))(keys)
    payoffs, features = np.asarray(game.payoffs).reshape(4000, 2), np.asarray(features)
    distance = np.sum((features[:, 0] - features[:, 1]) ** 2, axis=-1)
    errors = payoffs[:, 0] * payoffs[:, 1] - np.exp(-(frequency**2) * distance / 4) / 4
    assert abs(errors.mean()) < 5 * errors.std() / 4000**0.5
    assert abs(np.mean(payoffs**2) - 0.25) < 5 * np.std(payoffs**2) / 4000**0.5


@pytest.mark.parametrize(("frequency", "share"), [(1.0, 0.264), (1.5, 0.657), (2.0, 0.908)])
def test_what_a_linear_fit_leaves_of_smooth_payoffs(frequency, share):
    game, features = make(
        "smooth", jax.random.key(3), (5, 5), num_contexts=1500, num_features=64, frequency=frequency, num_waves=500
    )
    left, _ = misfit(with_constant(features), np.asarray(game.payoffs).reshape(1500, -1))
    assert abs(left / (1 - 65 / 1500) - share) < 0.02  # 65 weights were fitted to 1,500 contexts


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("field", ["num_contexts", "num_features"])
def test_bad_numbers(name, field):
    with pytest.raises(ValueError, match=f"{field}: got 0, takes a whole number >= 1"):
        make(name, jax.random.key(0), **{field: 0})
    with pytest.raises(ValueError, match=r"num_actions: got \(2, 0\), takes a number >= 1 for each player"):
        make(name, jax.random.key(0), (2, 0))


def test_bad_waves():
    for frequency in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"frequency: got {frequency}, takes a finite number > 0"):
            make("smooth", jax.random.key(0), frequency=frequency)
    with pytest.raises(ValueError, match="num_waves: got 0, takes a whole number >= 1"):
        make("smooth", jax.random.key(0), num_waves=0)
