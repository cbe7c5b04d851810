"""solve_welfare by weights of players and by tables, beside linear programmes written out here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import gains_by_definition
from scipy.optimize import linprog

import gamekl as gk


def least(game, concept, worth):
    """The least sum of -worth over joint policies from which nothing gains."""
    gains = gains_by_definition(game, concept)
    return linprog(-worth.ravel(), gains, np.zeros(len(gains)), np.ones((1, worth.size)), [1.0], method="highs").fun


@pytest.mark.parametrize("concept", ["cce", "ce"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2)], ids=str)
def test_weights_and_tables(shape, concept):
    random = np.random.default_rng(0)
    for index in range(10):
        game = gk.games.uniform(jax.random.key(index), shape)
        weights, table = random.normal(size=len(shape)), random.normal(size=shape)
        tables = {"weights": np.tensordot(weights, np.asarray(game.payoffs), 1), "table": table}
        for name, welfare in {"weights": weights, "table": table}.items():
            best = gk.solve_welfare(game, concept=concept, welfare=welfare)
            assert best.status == gk.Status.converged and best.duality_gap <= 1e-7
            np.testing.assert_allclose(best.objective, least(game, concept, tables[name]), atol=1e-7)
            np.testing.assert_allclose(best.objective, -np.sum(np.asarray(best.joint_policy) * tables[name]), atol=1e-9)


def test_the_sum_of_payoffs_is_the_default():
    game = gk.games.uniform(jax.random.key(3), (3, 3))
    usual = gk.solve_welfare(game, concept="ce")
    for welfare in ([1, 1], np.ones(2, np.float32), jnp.sum(game.payoffs, axis=0)):
        np.testing.assert_allclose(gk.solve_welfare(game, concept="ce", welfare=welfare).objective, usual.objective)


def test_who_is_favoured_in_chicken():
    """Each player's best is the other's yielding; nobody's weight leaves (dare, dare) more than its corner allows."""
    chicken = gk.games.chicken()
    np.testing.assert_allclose(gk.solve_welfare(chicken, concept="ce", welfare=[1, 0]).joint_policy, [[0, 1], [0, 0]])
    np.testing.assert_allclose(gk.solve_welfare(chicken, concept="ce", welfare=[0, 1]).joint_policy, [[0, 0], [1, 0]])
    crash = gk.solve_welfare(chicken, concept="ce", welfare=[[1, 0], [0, 0]])
    np.testing.assert_allclose(crash.objective, -1 / 5)
    np.testing.assert_allclose(crash.joint_policy, [[0.2, 0.4], [0.4, 0]], atol=1e-12)


def test_any_equilibrium_is_best_where_nothing_counts():
    game = gk.games.uniform(jax.random.key(0), (2, 3))
    for welfare in ([0, 0], np.full((2, 3), 7.0)):
        best = gk.solve_welfare(game, concept="ce", welfare=welfare)
        assert best.status == gk.Status.converged
        np.testing.assert_allclose(best.objective, -np.max(welfare))


def test_the_unit_of_welfare_does_not_matter():
    game = gk.games.uniform(jax.random.key(1), (3, 3))
    table = np.random.default_rng(0).normal(size=(3, 3))
    usual = gk.solve_welfare(game, welfare=table)
    for unit in (1e-12, 1e12):
        other = gk.solve_welfare(game, welfare=unit * table)
        assert other.status == gk.Status.converged
        np.testing.assert_allclose(other.objective, unit * usual.objective, rtol=1e-7)


def test_what_is_refused():
    game = gk.games.uniform(jax.random.key(0), (2, 3))
    for welfare, shape in {1.0: r"\(\)", (1.0, 2.0, 3.0): r"\(3,\)", ((1.0, 2.0),) * 3: r"\(3, 2\)"}.items():
        message = rf"^welfare: got shape {shape}, takes \[player\] = \(2,\) or \[\*actions\] = \(2, 3\)$"
        with pytest.raises(ValueError, match=message):
            gk.solve_welfare(game, welfare=welfare)
    for welfare in ([1, "a"], [[1, 2], [3]]):
        with pytest.raises(ValueError, match=r"^welfare: got \[.*\], takes \[player\] = \(2,\) or .*, of numbers$"):
            gk.solve_welfare(game, welfare=welfare)
    with pytest.raises(ValueError, match=r"^welfare\[1\]: got nan"):
        gk.solve_welfare(game, welfare=[1, np.nan])
    with pytest.raises(ValueError, match=r"^welfare\[0, 2\]: got inf"):
        gk.solve_welfare(game, welfare=[[0, 0, np.inf], [0, 0, 0]])
    with pytest.raises(TypeError, match="^welfare: got a traced array, takes a concrete one"):
        jax.vmap(lambda weights: gk.solve_welfare(game, welfare=weights).objective)(jnp.ones((3, 2)))
