"""Correlated equilibria that are followed while a game changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core import deviations
from gamekl.solvers.correlated.follow import MOST_CHANGES, follow, nowhere

ROUNDS = 150


def walk(sizes, rng, draw, at_once=1):
    """Payoffs of games, each of which pays otherwise than the one before for so many joint actions."""
    tables, num_players = [draw(rng, (len(sizes), *sizes))], len(sizes)
    for _ in range(ROUNDS - 1):
        table = tables[-1].copy()
        for cell in rng.choice(np.prod(sizes), at_once, replace=False):
            table.reshape(num_players, -1)[:, cell] = draw(rng, num_players)
        tables.append(table)
    return np.stack(tables)


def uniform(rng, shape):
    return rng.uniform(size=shape)


def whole(rng, shape):
    return rng.integers(0, 3, size=shape).astype(float)


def followed(tables):
    """The joint policies, and the vertices' numbers of changes since they were found from nothing."""

    def step(vertex, payoffs):
        vertex, joint = follow(vertex, payoffs)
        return vertex, (joint, vertex.changes)

    return jax.jit(lambda tables: jax.lax.scan(step, nowhere(tables[0]), tables)[1])(jnp.asarray(tables))


def levelled(tables):
    """Payoffs with range 1 and middle 0, whose sum is what counts."""
    axes = tuple(range(2, tables.ndim))
    low, high = tables.min(axis=axes, keepdims=True), tables.max(axis=axes, keepdims=True)
    return jnp.asarray((tables - low) / np.where(high > low, high - low, 1) - 0.5)


def check(tables, joints, every=10):
    """No one gains by leaving, in any game, and in some the welfare is that of a linear program (HiGHS)."""
    tables = levelled(tables)
    gaps = jax.vmap(lambda table, joint: deviations.gap(gk.NormalFormGame(table), joint))(tables, joints)
    assert float(gaps.max()) < 1e-7
    assert np.all(np.asarray(joints) >= 0)
    np.testing.assert_allclose(joints.sum(axis=tuple(range(1, joints.ndim))), 1, atol=1e-12)
    for table, joint in list(zip(tables, joints, strict=True))[::every]:
        best = gk.solve_welfare(gk.NormalFormGame(table), concept="ce")
        np.testing.assert_allclose(jnp.sum(table * joint), -best.objective, atol=1e-6)


@pytest.mark.parametrize("sizes", [(5, 5), (2, 4), (3, 2, 3)])
@pytest.mark.parametrize("draw", [uniform, whole])
def test_what_is_followed_is_what_a_linear_program_finds(sizes, draw):
    tables = walk(sizes, np.random.default_rng(0), draw)
    joints, changes = followed(tables)
    check(tables, joints)
    assert changes.max() > MOST_CHANGES // 2  # it was followed,
    assert changes.max() <= MOST_CHANGES  # and not for ever


def test_other_changes_begin_anew():
    """Where several joint actions change, and where payoffs get other units."""
    several = walk((3, 3), np.random.default_rng(1), uniform, at_once=2)
    joints, changes = followed(several)
    check(several, joints)
    assert np.all(changes == 0)
    units = walk((3, 3), np.random.default_rng(2), uniform) * 10.0 ** (np.arange(ROUNDS)[:, None, None, None] // 50)
    joints, changes = followed(units)
    check(units, joints)
    assert changes[50] == changes[100] == 0 and changes[49] > 0


def test_a_game_that_stays_keeps_its_equilibrium():
    tables = np.broadcast_to(uniform(np.random.default_rng(3), (2, 4, 4)), (10, 2, 4, 4))
    joints, changes = followed(tables)
    np.testing.assert_array_equal(joints, np.broadcast_to(joints[0], joints.shape))
    np.testing.assert_array_equal(changes, np.arange(10))


def test_a_basis_that_a_change_makes_singular_is_found_anew():
    """A game of which all pay the same, and one that forbids what was played: there is nothing to go on from."""
    first = np.zeros((2, 2, 2))
    first[:, 0, 0] = 1
    second = first.copy()
    second[:, 0, 0] = -1
    joints, _ = followed(np.stack([first, second] * 4))
    check(np.stack([first, second] * 4), joints, every=1)


def test_float32_is_certified_to_its_rounding():
    tables = walk((4, 4), np.random.default_rng(4), uniform).astype(np.float32)
    joints, _ = followed(tables)
    assert joints.dtype == jnp.float32
    scaled = levelled(tables)
    gaps = jax.vmap(lambda table, joint: deviations.gap(gk.NormalFormGame(table), joint))(scaled, joints)
    assert float(gaps.max()) < 8e-4


def test_nan_does_not_stay():
    tables = walk((3, 3), np.random.default_rng(5), uniform)
    tables[20] = np.nan
    joints, _ = followed(tables)
    keep = np.arange(ROUNDS) != 20
    check(tables[keep], joints[keep])
