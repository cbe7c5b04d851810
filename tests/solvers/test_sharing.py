"""Batches share lanes: what a game gets depends neither on its neighbours nor on the batch's size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

SHAPES = {(10, 10): 0.05, (3, 4, 2): 0.05}


def random_batch(shape, temperature, size=150):
    """Random games and references, temperatures from a tenth of `temperature` up to it."""

    def one(key):
        keys = jax.random.split(key, len(shape) + 2)
        references = [jnp.log(jax.random.dirichlet(k, jnp.ones(n))) for k, n in zip(keys[2:], shape, strict=True)]
        tau = temperature * 10 ** -jax.random.uniform(keys[1])
        return gk.games.uniform(keys[0], shape), gk.Regularizer(references, tau)

    return jax.vmap(one)(jax.random.split(jax.random.key(len(shape)), size))


def rows(batch, index):
    return jax.tree.map(lambda leaf: leaf[index], batch)


def same_bits(a, b):
    return all(
        np.array_equal(x, y, equal_nan=True) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def solved(request):
    batch = random_batch(request.param, SHAPES[request.param])
    return batch, gk.solve_nash_batch(*batch, throw=True)


def test_the_driver_agrees_with_single_solves(solved):
    batch, solution = solved
    for game in range(0, 150, 25):
        alone = gk.solve_nash(*rows(batch, game))
        for together, single in zip(solution.policy, alone.policy, strict=True):
            np.testing.assert_allclose(together[game], single, atol=1e-10)
        assert int(solution.path.folds[game]) == int(alone.path.folds)
        assert float(solution.residual[game]) <= 1e-9


@pytest.mark.parametrize("size", [1, 3, 64, 100])
def test_a_shorter_batch_has_the_same_bits(solved, size):
    batch, solution = solved
    assert same_bits(gk.solve_nash_batch(*rows(batch, slice(size))), rows(solution, slice(size)))


def test_the_order_does_not_matter(solved):
    batch, solution = solved
    order = np.random.default_rng(0).permutation(150)
    assert same_bits(gk.solve_nash_batch(*rows(batch, order)), rows(solution, order))


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_bad_game_stays_alone(solved, poison):
    (games, regularizers), solution = solved
    bad = np.arange(150) % 7 == 3
    games = jax.tree.map(lambda leaf: leaf.at[bad].set(poison), games)
    poisoned = gk.solve_nash_batch(games, regularizers)
    assert np.all(np.asarray(poisoned.status)[bad] == gk.Status.nonfinite_input)
    assert same_bits(rows(poisoned, ~bad), rows(solution, ~bad))


def test_vmap_gives_the_drivers_bits_nested_or_not(solved):
    batch, solution = solved

    def solve(game, regularizer):
        return gk.solve_nash(game, regularizer, throw=False)

    flat = jax.jit(jax.vmap(solve))(*batch)
    nested = jax.jit(jax.vmap(jax.vmap(solve)))(
        *jax.tree.map(lambda leaf: leaf.reshape(10, 15, *leaf.shape[1:]), batch)
    )
    assert same_bits(flat, solution)
    assert same_bits(jax.tree.map(lambda leaf: leaf.reshape(150, *leaf.shape[2:]), nested), solution)


def test_one_game_at_many_temperatures():
    game = gk.games.uniform(jax.random.key(0), (10, 10))
    temperatures = jnp.geomspace(0.02, 2, 20)
    swept = jax.vmap(lambda tau: gk.solve_nash(game, gk.Regularizer.uniform(game, tau), throw=False))(temperatures)
    for index in (0, 7, 19):
        alone = gk.solve_nash(game, gk.Regularizer.uniform(game, temperatures[index]))
        np.testing.assert_allclose(swept.log_policy[1][index], alone.log_policy[1], atol=1e-9)


def test_an_empty_batch_is_solved(solved):
    batch, _ = solved
    assert gk.solve_nash_batch(*rows(batch, slice(0))).status.shape == (0,)


def test_options_reach_every_game(solved):
    batch, solution = solved
    again = gk.solve_nash_batch(*batch, initial=solution.log_policy, tol=np.full(150, 1e-8), devices=jax.devices()[:1])
    assert np.all(np.asarray(again.status) == gk.Status.converged)
    assert np.all(np.asarray(again.path.crossings) == 0)
    assert np.asarray(again.num_steps).max() <= 4
    stopped = gk.solve_nash_batch(*batch, max_steps=2)
    assert np.all(np.isin(np.asarray(stopped.status), [gk.Status.max_steps, gk.Status.converged]))
    with pytest.raises(gk.SolveError, match=r"game \d+ \(\d+ of 150 games failed\): max_steps"):
        gk.solve_nash_batch(*batch, max_steps=2, throw=True)


def test_float32_is_refined_to_float64(solved):
    batch, solution = solved
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), batch)
    plain = gk.solve_nash_batch(*single)
    assert plain.residual.dtype == jnp.float32
    assert np.mean(np.asarray(plain.status) == gk.Status.converged) > 0.95
    refined = gk.solve_nash_batch(*single, refine="float64")
    assert refined.residual.dtype == jnp.float64
    assert np.all(np.asarray(refined.status) == gk.Status.converged)
    assert float(refined.residual.max()) <= 1e-9
    exact = gk.solve_nash_batch(*batch, refine="float64")
    for a, b in zip(exact.policy, solution.policy, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-9)


def test_float64_without_the_x64_mode():
    with jax.enable_x64(False):
        games = jax.vmap(lambda key: gk.games.uniform(key, (3, 2)))(jax.random.split(jax.random.key(0), 20))
        regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games)
        batch = gk.solve_nash_batch(games, regularizers, refine="float64")
        alone = gk.solve_nash(rows(games, 0), rows(regularizers, 0), refine="float64")
        assert batch.residual.dtype == alone.residual.dtype == np.float64
        assert max(np.asarray(batch.residual).max(), float(alone.residual)) <= 1e-9
        with pytest.raises(ValueError, match="refine: got 'float64' under a transformation"):
            jax.vmap(lambda game: gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1), refine="float64"))(games)


def test_bad_input_names_the_field(solved):
    (games, regularizers), _ = solved
    one = rows((games, regularizers), 0)
    with pytest.raises(ValueError, match=r"games.payoffs: got shape \(\d, .*takes \[batch, player, \*actions\]"):
        gk.solve_nash_batch(one[0], regularizers)
    with pytest.raises(ValueError, match=r"regularizers.temperature: got shape \(\), takes a leading axis of 150"):
        gk.solve_nash_batch(games, one[1])
    with pytest.raises(ValueError, match="refine: got 'float16', takes 'float64' or None"):
        gk.solve_nash_batch(games, regularizers, refine="float16")
    with pytest.raises(ValueError, match=r"tol: got shape \(3,\), takes \(150,\)"):
        gk.solve_nash_batch(games, regularizers, tol=np.ones(3))
    with pytest.raises(ValueError, match="devices: got none"):
        gk.solve_nash_batch(games, regularizers, devices=[])


def test_batches_of_large_games_do_not_wait_for_each_other():
    """Beyond what is written out, loops call libraries, which share threads with them."""
    games = jax.vmap(lambda key: gk.games.uniform(key, (50, 50)))(jax.random.split(jax.random.key(0), 32))
    regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(games)
    for _ in range(3):
        assert np.all(np.asarray(gk.solve_nash_batch(games, regularizers).status) == gk.Status.converged)
