"""Sweeps of games in stages."""

import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.experiment.load import ConfigError, parse_config
from gamekl.experiment.plan import make_plan, make_settings
from gamekl.experiment.report import summarize
from gamekl.experiment.store import Store
from gamekl.experiment.sweep import run_sweep

MARKOV = {
    "label": "markov",
    "game": {
        "kind": "markov",
        "num_actions": [2, 2],
        "num_games": 2,
        "rewards": "zero_sum",
        "parameters": {"num_states": 2, "horizon": 2},
    },
    "temperatures": [0.5],
    "num_samples": {"decades": 1, "points": 2},
}
CONTEXTUAL = {
    "label": "contexts",
    "game": {"kind": "contextual", "num_actions": [2, 3], "parameters": {"num_contexts": 4}},
    "temperatures": [0.4],
    "num_samples": {"decades": 1, "points": 2},
}


def sweep(*families):
    return parse_config({"name": "staged", "seed": 3, "num_seeds": 400, "family": families})


def test_errors_have_the_predicted_size(tmp_path):
    """25 % is five standard errors or more of 400 seeds and one or two games."""
    run_sweep(sweep(MARKOV, CONTEXTUAL), tmp_path)
    found = summarize(Store(tmp_path))
    assert [entry.case["label"] for entry in found] == ["markov", "contexts"]
    for entry in found:
        assert entry.failures == 0
        assert abs(entry.ratios[-1] - 1) < 0.25
    table = Store(tmp_path).read().to_pandas()
    assert (table["regularized_gap"] > 0).all() and (table["nash_gap"] > 0).all()
    assert (table["solver_gap"] < 1e-12).all()


def test_the_games_of_a_family():
    config = sweep(MARKOV)
    first, second = make_settings(config, config.family[0], 0.5)
    assert isinstance(first.game, gk.MarkovGame) and first.game.stage_shape == (2, 2)
    np.testing.assert_allclose(first.game.rewards[:, :, 0], -first.game.rewards[:, :, 1])
    assert not np.allclose(first.game.rewards, second.game.rewards)
    assert first.behavior.shape == (2, 2, 2, 2) and jnp.all(first.behavior == 0.25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": "gamd", "num_steps": {}}, "solver: got 'gamd' for kind 'markov', takes 'gane'"),
        ({"reference": [[0.5, 0.5], [0.5, 0.5]]}, "reference: got .* for kind 'markov', takes 'uniform'"),
        ({"concentrability": 10.0}, "concentrability: got 10.0 for kind 'markov', takes None"),
        ({"game": {"kind": "uniform", "num_actions": [2, 2], "rewards": "normal"}}, "rewards: got 'normal' for kind"),
        ({"game": {"kind": "markov", "parameters": {}}}, "num_actions: got none"),
    ],
)
def test_bad_configs(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep({**MARKOV, **changes})


def test_missing_parameters_are_named():
    family = {**MARKOV, "game": {**MARKOV["game"], "parameters": {"num_states": 2}}}
    with pytest.raises(ValueError, match=r"family\.0 \(markov\): game\.parameters: got .*horizon"):
        make_plan(sweep(family))
