"""Compile options are asked for only where this XLA knows them."""

import jax
import numpy as np

import gamekl as gk
from gamekl.core.kernels import jit, platforms
from gamekl.solvers.nash import solve


def test_an_option_that_xla_does_not_know_is_left_out():
    assert platforms.known_option("xla_no_such_option", True) == {}


def test_an_option_that_xla_knows_is_taken():
    assert platforms.known_option("xla_cpu_enable_fast_min_max", False) == {"xla_cpu_enable_fast_min_max": False}


def test_a_game_is_solved_with_and_without_the_options(monkeypatch):
    """In coordination at temperature .6 uniform play is the only equilibrium."""
    game = gk.games.coordination(2)
    for options in ({}, platforms.quick_options()):
        monkeypatch.setattr(jit, "quick_options", lambda options=options: options)
        anew = jit.jit(solve._solve.__wrapped__, static_argnames="options", quick=True)
        monkeypatch.setattr(solve, "_solve", anew)
        solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.6))
        np.testing.assert_allclose(solution.policy[0], [0.5, 0.5], atol=1e-12)


def test_what_was_traced_for_one_platform_is_not_taken_for_another():
    """A nested function is traced for each, though jax keeps what it traced of one."""
    asked = []

    @jit.jit
    def doubled(x):
        asked.append(platforms.meant())
        return 2 * x

    def on(platform, x):
        assert platform is platforms.meant()
        return doubled(x)

    assert jax.jit(lambda x: platforms.by_platform(on, x))(1.0) == 2
    assert asked == [platforms.CPU, platforms.ACCELERATOR]
    assert platforms.meant() is None


def test_a_solve_inside_of_a_compilation_has_no_options():
    game = gk.games.matching_pennies()
    anchor = gk.Regularizer.uniform(game, 0.5)
    inside = jax.jit(lambda: gk.solve_nash(game, anchor, throw=False).gap)()
    np.testing.assert_allclose(inside, 0, atol=1e-12)
