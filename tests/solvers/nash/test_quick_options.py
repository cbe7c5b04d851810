"""Compile options are asked for only where this XLA knows them."""

import jax
import numpy as np

import gamekl as gk
from gamekl.core.kernels import platforms
from gamekl.solvers.nash import solve


def test_an_option_that_xla_does_not_know_is_left_out():
    assert platforms.known_option("xla_no_such_option", True) == {}


def test_an_option_that_xla_knows_is_taken():
    assert platforms.known_option("xla_cpu_enable_fast_min_max", False) == {"xla_cpu_enable_fast_min_max": False}


def test_a_game_is_solved_with_and_without_the_options(monkeypatch):
    """In coordination at temperature .6 uniform play is the only equilibrium."""
    game = gk.games.coordination(2)
    for options in ({}, platforms.quick_options()):
        solve._jitted.cache_clear()
        monkeypatch.setattr(solve, "quick_options", lambda options=options: options)
        solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.6))
        np.testing.assert_allclose(solution.policy[0], [0.5, 0.5], atol=1e-12)
    solve._jitted.cache_clear()


def test_a_solve_inside_of_a_compilation_has_no_options():
    game = gk.games.matching_pennies()
    anchor = gk.Regularizer.uniform(game, 0.5)
    inside = jax.jit(lambda: gk.solve_nash(game, anchor, throw=False).gap)()
    np.testing.assert_allclose(inside, 0, atol=1e-12)
