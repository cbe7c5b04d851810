"""Batches share lanes: a game's bits depend neither on its neighbours nor on the batch's size, order or devices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, mixed_batch, rows

import gamekl as gk

SIZE = 150


@pytest.fixture(
    scope="module",
    params=[(3, 2, 2), *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((5, 4), (10, 10)))],
    ids=str,
)
def solved(request):
    batch = mixed_batch(request.param, SIZE)
    return batch, gk.solve_nash_batch(*batch, throw=True)


@pytest.mark.parametrize("size", [0, 1, 3, 64, 100, 149])
def test_a_shorter_batch_has_the_same_bits(solved, size):
    batch, solution = solved
    assert_same_bits(gk.solve_nash_batch(*rows(batch, slice(size))), rows(solution, slice(size)))


def test_order_and_devices_change_no_bit(solved):
    batch, solution = solved
    order = np.random.default_rng(0).permutation(SIZE)
    assert_same_bits(gk.solve_nash_batch(*rows(batch, order)), rows(solution, order))
    assert_same_bits(gk.solve_nash_batch(*batch, devices=jax.devices()[:1]), solution)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_bad_games_change_no_bit_of_the_others(solved, poison):
    (games, regularizers), solution = solved
    bad = np.arange(SIZE) % 7 == 3
    games = jax.tree.map(lambda leaf: leaf.at[bad].set(poison), games)
    poisoned = gk.solve_nash_batch(games, regularizers)
    assert np.all(np.asarray(poisoned.status)[bad] == gk.Status.nonfinite_input)
    assert_same_bits(rows(poisoned, ~bad), rows(solution, ~bad))


@pytest.mark.bits
def test_vmap_gives_the_drivers_bits_nested_or_not(solved):
    """The driver traces in float32 first, as ``refine`` asks for in a program."""
    batch, solution = solved

    def solve(game, regularizer):
        return gk.solve_nash(game, regularizer, refine="float64", throw=False)

    if len(solution.policy) == 2:  # of three players nested only, which ends in the same
        assert_same_bits(jax.jit(jax.vmap(solve))(*batch), solution)
    folded = jax.tree.map(lambda leaf: leaf.reshape(10, 15, *leaf.shape[1:]), batch)
    nested = jax.jit(jax.vmap(jax.vmap(solve)))(*folded)
    assert_same_bits(jax.tree.map(lambda leaf: leaf.reshape(SIZE, *leaf.shape[2:]), nested), solution)


def test_large_games_have_the_same_bits_in_any_company():
    """More than 24 actions go to batched products and LAPACK."""
    batch = mixed_batch((26, 25), 12)
    solution = gk.solve_nash_batch(*batch)
    broken = eqx.tree_at(lambda tree: tree[0].payoffs, batch, batch[0].payoffs.at[1::2].set(jnp.nan))
    assert_same_bits(rows(gk.solve_nash_batch(*broken), slice(0, 12, 2)), rows(solution, slice(0, 12, 2)))
    assert_same_bits(gk.solve_nash_batch(*rows(batch, slice(3))), rows(solution, slice(3)))


def test_one_game_at_many_temperatures():
    """An axis that only some inputs have."""
    game = gk.games.uniform(jax.random.key(0), (4, 4))
    temperatures = jnp.geomspace(0.02, 2, 20)
    solve = jax.jit(jax.vmap(lambda tau: gk.solve_nash(game, gk.Regularizer.uniform(game, tau), throw=False)))
    swept = solve(temperatures)
    for index in (0, 7, 19):
        alone = gk.solve_nash(game, gk.Regularizer.uniform(game, temperatures[index]))
        np.testing.assert_allclose(swept.log_policy[1][index], alone.log_policy[1], atol=1e-9)
