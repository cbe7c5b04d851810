"""Derivatives of equilibria by the implicit function theorem, against differences and closed forms."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

STEP = 1e-5


def directional(function, point, direction):
    """The central difference along a direction."""
    ahead = jax.tree.map(lambda x, d: x + STEP * d, point, direction)
    behind = jax.tree.map(lambda x, d: x - STEP * d, point, direction)
    return (function(ahead) - function(behind)) / (2 * STEP)


def random_like(key, tree):
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    return structure.unflatten([jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)])


def score(parameters):
    """A smooth number of the equilibrium: payoffs, logits of the references, logarithms of the temperatures."""
    payoffs, logits, log_temperature = parameters
    regularizer = gk.Regularizer([jax.nn.log_softmax(entry) for entry in logits], jnp.exp(log_temperature))
    policy = gk.solve_nash(gk.NormalFormGame(payoffs), regularizer, throw=False).policy
    return sum(jnp.sum(jnp.sin(3 * jnp.arange(entry.size) + 1) * entry) for entry in policy)


def random_parameters(key, shape):
    keys = jax.random.split(key, 3)
    logits = tuple(jax.random.normal(jax.random.fold_in(keys[1], size), (size,)) for size in shape)
    return jax.random.uniform(keys[0], (len(shape), *shape)), logits, -2 + jax.random.uniform(keys[2], (len(shape),))


@pytest.mark.parametrize(
    "shape",
    [pytest.param((4, 3), marks=pytest.mark.slow), (3, 2, 4), pytest.param((2, 2, 3, 2), marks=pytest.mark.slow)],
    ids=str,
)
def test_gradients_are_central_differences(shape):
    gradient, value = jax.jit(jax.grad(score)), jax.jit(score)
    points = [random_parameters(jax.random.key(seed), shape) for seed in range(6)]
    for seed, point in enumerate(points):
        direction = random_like(jax.random.key(100 + seed), point)
        slopes = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient(point), direction)
        # Payoffs, references and temperatures one by one.
        for part in range(3):
            along = tuple(jax.tree.map(lambda d, on=float(part == k): d * on, direction[k]) for k in range(3))
            expected = directional(value, point, along)
            found = sum(jax.tree.leaves(slopes[part]))
            scale = sum(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(gradient(point)))
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * scale)
    batched = jax.vmap(jax.grad(score))(gk.stack(points))
    for index, point in enumerate(points):
        for together, alone in zip(jax.tree.leaves(batched), jax.tree.leaves(gradient(point)), strict=True):
            np.testing.assert_allclose(together[index], alone, rtol=1e-7, atol=1e-9)


@pytest.mark.bits
def test_forward_reverse_and_second_derivatives_agree():
    point = random_parameters(jax.random.key(0), (3, 2))
    value = jax.jit(lambda log_temperature: score((*point[:2], log_temperature)))
    forward, reverse = jax.jacfwd(value)(point[2]), jax.jacrev(value)(point[2])
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)
    hessian = jax.hessian(value)(point[2])  # NaN at optimization level 0 without XLA's fusion emitters
    differences = directional(jax.grad(value), point[2], jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(hessian[0], differences, rtol=1e-5)


def test_donation_game_in_closed_form():
    """P(C) = sigmoid(logit(reference) - cost / temperature) (theory J1)."""
    game = gk.games.donation(3)

    def cooperation(temperature):
        return gk.solve_nash(game, gk.Regularizer.uniform(game, temperature), throw=False).policy[0][0]

    temperature = 0.5
    cost = float(game.payoffs[0, 1, 1, 1] - game.payoffs[0, 0, 1, 1])
    p = jax.nn.sigmoid(-cost / temperature)
    np.testing.assert_allclose(cooperation(temperature), p, rtol=1e-12)
    np.testing.assert_allclose(jax.grad(cooperation)(temperature), p * (1 - p) * cost / temperature**2, rtol=1e-10)


def test_masked_actions_have_no_derivative():
    game = gk.games.uniform(jax.random.key(1), (3, 3))
    references = [jnp.log(jnp.array([0.5, 0.5, 0.0])), jnp.log(jnp.array([0.2, 0.3, 0.5]))]

    def first(payoffs):
        regularizer = gk.Regularizer(references, 0.2)
        return gk.solve_nash(gk.NormalFormGame(payoffs), regularizer, throw=False).policy[0]

    jacobian = jax.jacrev(first)(game.payoffs)
    assert np.all(np.isfinite(jacobian))
    assert np.all(np.asarray(jacobian)[2] == 0)
    assert np.all(np.asarray(jacobian)[:, :, 2] == 0)


def test_gaps_at_the_equilibrium_have_derivative_zero():
    game = gk.games.uniform(jax.random.key(1), (3, 3))
    slope = jax.grad(lambda tau: gk.solve_nash(game, gk.Regularizer.uniform(game, tau), throw=False).gap.sum())(0.2)
    assert float(slope) == 0


def first_action(payoffs, temperature):
    game = gk.NormalFormGame(payoffs)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature), throw=False)
    return solution.policy[0][0], solution.differentiable


def test_a_singular_equilibrium_is_told():
    payoffs, temperatures = gk.games.coordination().payoffs, jnp.array([0.6, 0.5, 0.7])  # the pitchfork is at 0.5
    slope = jax.grad(first_action, argnums=1, has_aux=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, differentiable = slope(payoffs, 0.6)
        assert differentiable
        assert np.isfinite(found)
        assert np.asarray(jax.vmap(slope, in_axes=(None, 0))(payoffs, temperatures)[1]).tolist() == [True, False, True]
    with pytest.warns(gk.DerivativeWarning, match="dF/dz is nearly singular"):
        assert not slope(payoffs, 0.5)[1]


def test_the_derivative_of_a_failed_solve_is_told():
    game = gk.games.uniform(jax.random.key(0), (3, 3))

    def stopped(tau):
        solution = gk.solve_nash(game, gk.Regularizer.uniform(game, tau), max_steps=2, throw=False)
        return solution.policy[0][0], solution.differentiable

    with pytest.warns(gk.DerivativeWarning, match="that was not found"):
        _, differentiable = jax.grad(stopped, has_aux=True)(0.001)
    assert not differentiable


def test_a_line_is_warned_of_once():
    """Whoever changes the filters meanwhile; and each time where all warnings are asked for."""
    game = gk.games.coordination()

    def first(tau):
        return gk.solve_nash(game, gk.Regularizer.uniform(game, tau), throw=False).policy[0][0]

    def second(tau):
        return gk.solve_nash(game, gk.Regularizer.uniform(game, tau), throw=False).policy[1][0]

    def train(num_steps, action=first):
        for _ in range(num_steps):
            jax.grad(action)(0.5)
            with warnings.catch_warnings():  # makes Python forget what it has told
                warnings.simplefilter("ignore", FutureWarning)

    def told(num_steps, action):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter(action)
            train(num_steps)
        return [(entry.filename, entry.category) for entry in found]

    assert told(3, "default") == [(__file__, gk.DerivativeWarning)]
    assert told(2, "default") == []
    assert told(3, "always") == [(__file__, gk.DerivativeWarning)] * 3
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        train(3, second)
    assert len(found) == 1


def test_a_mask_takes_a_singular_equilibrium_out_of_a_gradient():
    payoffs, temperatures = gk.games.coordination().payoffs, jnp.array([0.6, 0.5, 0.7])

    def loss(temperature):
        action, differentiable = first_action(payoffs, temperature)
        return jnp.where(differentiable, (action - 0.3) ** 2, 0.0)

    slopes = jax.vmap(jax.grad(loss))(temperatures)
    assert slopes[1] == 0 and np.all(np.isfinite(slopes))


def test_all_stages_must_be_regular():
    game = gk.ContextualGame(
        jnp.stack([gk.games.coordination().payoffs, 2 * gk.games.coordination().payoffs]), jnp.full(2, 0.5)
    )
    told = [bool(gk.solve_nash(game, gk.Regularizer.uniform(game, tau)).differentiable) for tau in (0.6, 0.5)]
    assert told == [True, False]


def test_a_masked_game_of_nan_leaves_the_gradient_of_what_is_shared():
    payoffs = jnp.stack([gk.games.chicken().payoffs, jnp.full((2, 2, 2), jnp.nan)])

    def total(temperature, payoffs):
        played, good = jax.vmap(first_action, in_axes=(0, None))(payoffs, temperature)
        return jnp.sum(jnp.where(good, played, 0))

    alone = jax.grad(total)(0.5, payoffs[:1])
    assert alone != 0
    np.testing.assert_allclose(jax.grad(total)(0.5, payoffs), alone, rtol=1e-9)


def test_derivatives_are_exported_without_a_call_of_the_host():
    slope = jax.jit(jax.grad(lambda payoffs: first_action(payoffs, 0.3)[0]))
    payoffs = gk.games.chicken().payoffs
    exported = jax.export.export(slope, platforms=["cpu", "cuda"])(jax.ShapeDtypeStruct(payoffs.shape, payoffs.dtype))
    assert "callback" not in exported.mlir_module()
    np.testing.assert_allclose(exported.call(payoffs), slope(payoffs), rtol=1e-12)
