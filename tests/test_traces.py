"""One compilation serves a whole axis of sample sizes, temperatures, seeds and tolerances of one shape."""

import chex
import jax
import jax.numpy as jnp
import pytest

import gamekl as gk
from gamekl.experiment.kinds.estimated import estimates
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import parse_config
from gamekl.solvers.nash import solve


def counted(monkeypatch, module, name):
    """Count the calls of a function inside a jitted one: each call is one trace, hence one compilation."""
    calls, original = [], getattr(module, name)

    def wrapper(*arguments, **keywords):
        calls.append(name)
        return original(*arguments, **keywords)

    monkeypatch.setattr(module, name, wrapper)
    return calls


def test_solve_nash_compiles_once_for_each_shape(monkeypatch):
    traces = counted(monkeypatch, solve, "make_nash_problem")
    for seed, temperature in enumerate([1.0, 0.3, 0.1]):
        game = gk.games.uniform(jax.random.key(seed), (3, 7))
        gk.solve_nash(game, gk.Regularizer.uniform(game, temperature), tol=1e-8 * (seed + 1))
    assert len(traces) == 1
    other = gk.games.uniform(jax.random.key(0), (7, 3))
    gk.solve_nash(other, gk.Regularizer.uniform(other, 1.0), tol=1e-8)
    assert len(traces) == 2


def test_a_sweep_compiles_once_for_each_shape(monkeypatch, tmp_path):
    traces = counted(monkeypatch, estimates, "estimate")
    family = {"temperatures": [0.5, 1.0, 2.0], "num_samples": {"first": 100, "points": 6}, "noise": 1.0}
    config = parse_config(
        {
            "name": "traces",
            "num_seeds": 20,
            "seeds_per_chunk": 10,
            "family": [
                {"label": "one", "game": {"kind": "rock_paper_scissors"}, **family},
                {"label": "two", "game": {"kind": "uniform", "num_actions": [3, 3]}, **family},
            ],
        }
    )
    assert run_sweep(config, tmp_path) == (2 * 3 * 6 * 2, 2 * 3 * 6 * 2, 0)
    assert len(traces) == 1  # both families share the shape 3 x 3


def test_statistics_compile_once_for_all_sample_sizes():
    game = gk.games.chicken()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def total(key, num_samples, noise):
        return gk.offline.sample_statistics(key, game, jnp.full((2, 2), 0.25), num_samples, noise).counts.sum()

    for power in range(1, 13):
        assert total(jax.random.key(power), 10.0**power, power / 2) == 10.0**power


def constant(game, regularizer):
    return gk.evaluate.predicted_constant(
        game, regularizer, gk.solve_nash(game, regularizer), jnp.full(game.num_actions, 1 / 12), 1.0
    )


def staged_constant(game, regularizer):
    game = gk.ContextualGame(jnp.stack([game.payoffs, 2 * game.payoffs]), jnp.array([0.3, 0.7]))
    regularizer = gk.Regularizer.uniform(game, 0.5)
    behavior = jnp.full((2, *game.num_actions), 1 / 12)
    return gk.evaluate.predicted_constant(game, regularizer, gk.solve_nash(game, regularizer), behavior, 1.0)


CALLS = {
    "solve_nash": gk.solve_nash,
    "solve_nash, certified": lambda game, regularizer: gk.solve_nash(game, regularizer, certify_path=True),
    "solve_nash_batch": lambda *problem: gk.solve_nash_batch(*map(lambda one: gk.stack([one]), problem)),
    "solve_nash_exact": lambda game, _: gk.solve_nash_exact(game),
    "gamd": lambda game, regularizer: gk.gamd(game, regularizer, num_rounds=10),
    "solve_correlated": lambda game, _: gk.solve_correlated(game, concept="ce", objective="gini"),
    "solve_welfare": lambda game, _: gk.solve_welfare(game, concept="ce"),
    "quantal_stackelberg": gk.stackelberg.quantal_stackelberg,
    "strong_stackelberg": lambda game, _: gk.stackelberg.strong_stackelberg(game),
    "predicted_constant": constant,
    "predicted_constant of a game in stages": staged_constant,
    "uniqueness": gk.evaluate.uniqueness,
    "estimate": lambda game, _: gk.offline.estimate(
        gk.offline.sample_statistics(jax.random.key(0), game, jnp.full(game.num_actions, 1 / 12), 1000.0, 0.1)
    ),
}


@pytest.fixture
def compilations():
    """The programs that jax compiles."""
    happened = []

    def listen(event, _, **__):
        if event == "/jax/core/compile/backend_compile_duration":
            happened.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield happened
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("name", CALLS)
def test_another_game_of_the_same_shape_compiles_nothing(name, compilations):
    """Else every call takes seconds, and memory that is never given back."""
    games = [gk.games.uniform(jax.random.key(seed), (3, 4)) for seed in range(2)]
    first, second = ((game, gk.Regularizer.uniform(game, 0.5)) for game in games)
    jax.jit(lambda: jnp.arange(sum(map(ord, name))))()
    assert compilations  # they are heard of
    jax.block_until_ready(CALLS[name](*first))
    compilations.clear()
    jax.block_until_ready(CALLS[name](*second))
    assert not compilations


def test_stacking_compiles_nothing(compilations):
    """jax would compile a program of as many inputs, in seconds."""
    games = [gk.games.uniform(jax.random.key(0), (3, 4))] * 97
    compilations.clear()
    batch = gk.stack(games)
    assert not compilations
    assert (batch.payoffs == games[0].payoffs).all() and batch.payoffs.dtype == games[0].payoffs.dtype
