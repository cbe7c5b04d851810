"""A leader that learns while it leads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl import stackelberg

ROUNDS, SEEDS = 60, 8


@pytest.fixture(scope="module")
def setting():
    game = gk.games.uniform(jax.random.key(3), (3, 4))
    return game, gk.Regularizer([np.full(size, -np.log(size)) for size in (3, 4)], [0.05, 0.1])


@pytest.fixture(scope="module")
def runs(setting):
    """Greedy and optimistic leaders, one response a round: leaves [greedy or optimistic, seed, ...]."""

    def lead(key, scale):
        return stackelberg.lead_online(key, *setting, ROUNDS, scale=scale, penalty=0.1)

    keys = jax.random.split(jax.random.key(1), SEEDS)
    return jax.jit(jax.vmap(jax.vmap(lead, (0, None)), (None, 0)))(keys, jnp.array([0.0, 1.0]))


def test_optimism_stops_paying_and_greed_does_not(runs):
    """Regret of the second half against that of the first."""
    regret = np.asarray(runs.regret).mean(axis=1)
    half = ROUNDS // 2
    first, second = regret[:, :half].sum(axis=1), regret[:, half:].sum(axis=1)
    assert second[1] < first[1] / 3
    assert second[0] > 0.8 * first[0] and second[0] > 10 * second[1]


def test_what_is_told_is_what_was_seen(runs, setting):
    assert np.all(np.asarray(runs.log.counts).sum(axis=-1) == 1)
    np.testing.assert_allclose(runs.log.strategies, np.exp(runs.log_policy), atol=1e-12)
    best = stackelberg.quantal_stackelberg(*setting).value
    value = stackelberg.leader_value(*setting, runs.log.strategies[1, 0, -1])
    np.testing.assert_allclose(runs.regret[1, 0, -1], best - value, atol=1e-12)
    assert np.all(np.asarray(runs.regret) > -1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": -1.0}, "scale: got -1.0"),
        ({"scale": 1.0, "penalty": 0.0}, "penalty: got 0.0, takes a number > 0"),
        ({"scale": 1.0, "rows_per_round": 0}, "rows_per_round: got 0, takes a whole number >= 1"),
        ({"scale": 1.0, "rows_per_round": 1.5}, "rows_per_round: got 1.5, takes a whole number >= 1"),
        ({"scale": 1.0, "noise": -1}, "noise: got -1, takes a finite number >= 0"),
    ],
)
def test_bad_arguments_are_named(setting, options, message):
    with pytest.raises(ValueError, match=message):
        stackelberg.lead_online(jax.random.key(0), *setting, 3, **options)
    with pytest.raises(ValueError, match="num_rounds: got 0, takes a whole number"):
        stackelberg.lead_online(jax.random.key(0), *setting, 0, scale=1.0)
