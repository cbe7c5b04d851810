"""Derivatives of equilibria by the implicit function theorem, against differences and closed forms (MATH I3)."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

STEP = 1e-4


def equilibrium(parameters):
    """All players' policies, joined, for payoffs, logits of the references and temperatures."""
    payoffs, logits, temperature = parameters
    regularizer = gk.Regularizer([jax.nn.log_softmax(entry) for entry in logits], temperature)
    return jnp.concatenate(gk.solve_nash(gk.NormalFormGame(payoffs), regularizer).policy)


def score(parameters):
    """A smooth number of the equilibrium."""
    policy = equilibrium(parameters)
    return jnp.sum(jnp.sin(3.0 * jnp.arange(1.0, policy.size + 1)) * policy)


@jax.jit
def slope(parameters, direction):
    """The equilibrium, and its derivative along a direction."""
    return jax.jvp(equilibrium, (parameters,), (direction,))


@jax.jit
def pull(parameters, weights):
    """The gradient of a weighted sum of the equilibrium's probabilities."""
    return jax.vjp(equilibrium, parameters)[1](weights)[0]


@jax.jit
def bend(parameters, direction):
    """The gradient of `score`, and its derivative along a direction."""
    return jax.jvp(jax.grad(score), (parameters,), (direction,))


def random_like(key, tree):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)])


def random_parameters(seed, shape, temperatures=()):
    """Payoffs U[0, 1], normal logits, and temperatures of 0.14 to 0.37."""
    keys = jax.random.split(jax.random.key(seed), 3)
    logits = [jax.random.normal(jax.random.fold_in(keys[1], player), (size,)) for player, size in enumerate(shape)]
    payoffs = jax.random.uniform(keys[0], (len(shape), *shape))
    return payoffs, logits, jnp.exp(-2 + jax.random.uniform(keys[2], temperatures))


def along(part, direction):
    """The direction's part in the payoffs (0), references (1) or temperatures (2) alone."""
    return tuple(jax.tree.map(lambda leaf, on=float(part == k): leaf * on, entry) for k, entry in enumerate(direction))


def difference(function, point, direction):
    """The derivative along a direction, by central differences of fourth order."""

    def at(steps):
        return function(jax.tree.map(lambda x, d: x + steps * STEP * d, point, direction))

    return jax.tree.map(lambda a, b, c, d: (8 * (a - b) - (c - d)) / (12 * STEP), at(1), at(-1), at(2), at(-2))


def inner(a, b):
    return sum(float(jnp.vdot(x, y)) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def assert_close(found, expected, relative):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=relative, atol=relative * np.abs(b).max() + 1e-12)


@pytest.mark.parametrize(
    "shape, temperatures", [((4, 3), ()), ((3, 2, 4), (3,)), ((2, 2, 3, 2), (4,))], ids=["2", "3", "4"]
)
def test_derivatives_are_differences(shape, temperatures):
    for seed in range(5):
        point = random_parameters(seed, shape, temperatures)
        direction = random_like(jax.random.key(100 + seed), point)
        for part in range(3):
            alone = along(part, direction)
            _, found = slope(point, alone)
            expected = difference(lambda moved, alone=alone: slope(moved, alone)[0], point, alone)
            assert np.abs(expected).max() > 1e-6
            assert_close(found, expected, 1e-6)


def test_reverse_mode_is_forward_mode_transposed_also_under_vmap():
    points = [random_parameters(seed, (4, 3)) for seed in range(4)]
    weights = jax.random.normal(jax.random.key(1), (4, 7))
    pulled = [pull(point, weight) for point, weight in zip(points, weights, strict=True)]
    for seed, (point, weight, gradient) in enumerate(zip(points, weights, pulled, strict=True)):
        direction = random_like(jax.random.key(100 + seed), point)
        np.testing.assert_allclose(inner(gradient, direction), inner(weight, slope(point, direction)[1]), rtol=1e-9)
    assert_close(jax.vmap(pull)(gk.stack(points), weights), gk.stack(pulled), 1e-7)


def test_second_derivatives_are_differences_and_symmetric():
    point = random_parameters(0, (4, 3))
    first, second = (random_like(jax.random.key(seed), point) for seed in (1, 2))
    _, bent = bend(point, first)
    assert_close(bent, difference(lambda moved: bend(moved, first)[0], point, first), 1e-6)
    np.testing.assert_allclose(inner(bent, second), inner(bend(point, second)[1], first), rtol=1e-9)


def test_masked_actions_have_no_derivative_and_cause_none():
    payoffs, logits, temperature = random_parameters(0, (4, 3))
    point = payoffs, [logits[0].at[2].set(-jnp.inf), logits[1]], temperature
    direction = random_like(jax.random.key(1), point)
    policy, found = slope(point, direction)
    assert policy[2] == found[2] == 0
    assert np.all(np.isfinite(found))
    assert np.abs(found).max() > 0
    on_masked = along(0, (jnp.zeros_like(payoffs).at[:, 2].set(direction[0][:, 2]), *direction[1:]))
    np.testing.assert_allclose(slope(point, on_masked)[1], 0, atol=1e-15)
    gradient = pull(point, policy)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    np.testing.assert_allclose(gradient[0][:, 2], 0, atol=1e-15)


@jax.jit
def small_jacobian(payoffs, logits, temperature):
    """Derivatives of a 2 x 2 game's first probabilities, gaps and residual."""

    def results(payoffs, logits, temperature):
        regularizer = gk.Regularizer([jax.nn.log_softmax(entry) for entry in logits], temperature)
        solution = gk.solve_nash(gk.NormalFormGame(payoffs), regularizer)
        return jnp.stack([policy[0] for policy in solution.policy]), solution.gap, solution.residual

    return jax.jacfwd(results, argnums=(0, 1, 2))(payoffs, logits, temperature)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_donation_game_in_closed_form(temperature):
    """P(C) = sigmoid(logit(reference) - cost / temperature) (MATH J1)."""
    game = gk.games.donation(2, benefit=3.0, cost=1.0)
    logits = [jnp.asarray([0.3, 0.0]), jnp.asarray([0.0, 1.0])]
    by_payoff, by_logit, by_temperature = small_jacobian(game.payoffs, logits, temperature)[0]
    p, q = (float(jax.nn.sigmoid(entry[0] - entry[1] - 1 / temperature)) for entry in logits)
    moves = np.array([p * (1 - p), q * (1 - q)])
    np.testing.assert_allclose(by_temperature, moves / temperature**2, rtol=1e-9)
    np.testing.assert_allclose(by_logit[0], [[moves[0], -moves[0]], [0, 0]], atol=1e-14, rtol=1e-9)
    np.testing.assert_allclose(by_payoff[0, 0, 0], moves[0] / temperature * np.array([q, 1 - q]), rtol=1e-9)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_matching_pennies_in_closed_form(temperature):
    """From uniform references, dp = tau^2 / 4 (1 + tau^2) for each unit of the first player's logit: a small part
    of it where the opponent punishes any bias, and dq = -dp / tau."""
    logits = [jnp.zeros(2), jnp.zeros(2)]
    _, by_logit, by_temperature = small_jacobian(gk.games.matching_pennies().payoffs, logits, temperature)[0]
    expected = temperature**2 / (4 * (1 + temperature**2))
    np.testing.assert_allclose(by_logit[0][:, 0], [expected, -expected / temperature], rtol=1e-9)
    np.testing.assert_allclose(by_logit[1][:, 0], [expected / temperature, expected], rtol=1e-9)
    np.testing.assert_allclose(by_temperature, 0, atol=1e-14)


def test_gap_and_residual_at_the_equilibrium_have_derivative_zero():
    """They are zero there and nowhere less."""
    _, *derivatives = small_jacobian(gk.games.chicken().payoffs, [jnp.zeros(2), jnp.ones(2)], 0.7)
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(derivatives))


def test_errors_of_an_estimate_cost_a_gap_of_second_order():
    """With delta = the estimate's errors, averaged over the opponents, gap_i = Var(delta_i) / 2 tau + ... (MATH A4)."""
    payoffs, logits, temperature = random_parameters(0, (4, 3))
    regularizer = gk.Regularizer([jax.nn.log_softmax(entry) for entry in logits], temperature)

    def gap(estimated):
        estimate = gk.offline.Estimate(gk.NormalFormGame(estimated), jnp.ones((4, 3)))
        return gk.regularized_gap(gk.NormalFormGame(payoffs), regularizer, gk.gane(estimate, regularizer).log_policy)

    error = jax.random.normal(jax.random.key(1), payoffs.shape)
    total = jax.jit(lambda point: jax.jvp(jax.grad(lambda point: gap(point).sum()), (point,), (error,)))
    gradient, curvature = total(payoffs)
    np.testing.assert_allclose(gradient, 0, atol=1e-10)
    p, q = (np.asarray(entry) for entry in gk.solve_nash(gk.NormalFormGame(payoffs), regularizer).policy)
    deviations = (p, np.asarray(error[0]) @ q), (q, p @ np.asarray(error[1]))
    variances = [weights @ values**2 - (weights @ values) ** 2 for weights, values in deviations]
    np.testing.assert_allclose(inner(error, curvature), sum(variances) / temperature, rtol=1e-8)


def pitchfork(temperature):
    """Derivatives of the coordination game, in which two branches cross the path at 0.5."""
    return small_jacobian(gk.games.coordination().payoffs, [jnp.zeros(2), jnp.zeros(2)], temperature)[0]


def test_a_singular_equilibrium_is_reported_and_a_regular_one_is_not(caplog):
    with caplog.at_level(logging.WARNING, logger="gamekl"):
        for temperature in (0.6, 0.501, 0.499, 0.3):
            assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(pitchfork(temperature)))
        jax.effects_barrier()
        assert not caplog.records
        pitchfork(0.5)
        jax.effects_barrier()
    (record,) = caplog.records
    assert "nearly singular in 1 game(s)" in record.getMessage()


def test_a_batch_with_a_singular_equilibrium_is_reported_once(caplog):
    temperatures = jnp.asarray([0.6, 0.5, 0.45])
    with caplog.at_level(logging.WARNING, logger="gamekl"):
        batched = jax.vmap(pitchfork)(temperatures)
        jax.effects_barrier()
    (record,) = caplog.records
    assert "nearly singular in 1 game(s)" in record.getMessage()
    for index in (0, 2):
        together = jax.tree.map(lambda leaf, index=index: leaf[index], batched)
        assert_close(together, pitchfork(temperatures[index]), 1e-9)
