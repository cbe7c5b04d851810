"""Sweeps of games in stages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.experiment.run.plan import make_plan, make_settings
from gamekl.experiment.run.shards import data_keys
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import ConfigError, parse_config
from gamekl.experiment.show.report import summarize

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


@pytest.mark.slow
def test_errors_have_the_predicted_size(tmp_path):
    """25 % is five standard errors or more of 400 seeds and one or two games."""
    run_sweep(sweep(MARKOV, CONTEXTUAL), tmp_path)
    found = summarize(Store(tmp_path))
    assert [entry.case.label for entry in found] == ["markov", "contexts"]
    for entry in found:
        assert entry.failures == 0
        assert abs(entry.ratios[-1] - 1) < 0.25
    table = Store(tmp_path).read().to_pandas()
    assert (table["regularized_gap"] > 0).all() and (table["nash_gap"] > 0).all()
    assert (table["solver_gap"] < 1e-12).all()


def test_the_games_of_a_family():
    config = sweep(MARKOV)
    first, second = make_settings(config, config.family[0], config.family[0].tunings()[0])
    assert isinstance(first.game, gk.MarkovGame) and first.game.stage_shape == (2, 2)
    np.testing.assert_allclose(first.game.rewards[:, :, 0], -first.game.rewards[:, :, 1])
    assert not np.allclose(first.game.rewards, second.game.rewards)
    assert first.behavior.shape == (2, 2, 2, 2) and jnp.all(first.behavior == 0.25)


def test_a_seed_means_the_same_under_every_version():
    """As drawn since schema 7, jax 0.10.2 and numpy 2.4: where this fails, `store.SCHEMA_VERSION` is to be raised."""
    config = sweep(MARKOV)
    family, tuning = config.family[0], config.family[0].tunings()[0]
    game, _, behavior, *_ = make_settings(config, family, tuning)[1]
    [case, *_] = make_plan(config).cases
    key = data_keys(config, family, case, 1, np.arange(8))[1, 7]
    with jax.enable_x64(True):
        drawn = gk.offline.sample_statistics(key, game, behavior, 1_000_000, family.noise)
    counts, sums, moves = (leaf.ravel() for leaf in jax.tree.leaves(drawn)[:3])
    assert [counts[0], counts[5], counts[-1]] == [125_158, 125_028, 87_860]
    assert [moves[0], moves[5], moves[-1]] == [48_408, 9_610, 66_692]
    np.testing.assert_allclose(
        [sums[0], sums[5], sums[-1]], [-109412.75435586966, 8974.879400770402, -30201.575335853624], rtol=1e-9
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": "gamd", "num_rounds": {}}, "solver: got 'gamd' for kind 'markov', takes one-shot games"),
        ({"reference": [[0.5, 0.5], [0.5, 0.5]]}, "reference: got one for kind 'markov', takes 'uniform'"),
        ({"estimator": "ridge"}, "estimator: got 'ridge' for kind 'markov' and solver 'gane', takes it for"),
        ({"game": {"kind": "uniform", "num_actions": [2, 2], "rewards": "normal"}}, "rewards: got 'normal' for kind"),
        ({"game": {"kind": "markov", "parameters": {}}}, "num_actions: got none"),
    ],
)
def test_bad_configs(changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep({**MARKOV, **changes})


FEATURED = {
    "label": "linear",
    "game": {"kind": "linear", "num_actions": [2, 2], "parameters": {"num_contexts": 10, "num_features": 3}},
    "temperatures": [0.5],
    "num_samples": {"decades": 1, "points": 2},
}
PLAIN = {**FEATURED["game"], "kind": "context_linear"}


@pytest.mark.slow
def test_linear_estimates(tmp_path):
    """They have the predicted error, by either way to give features."""
    families = [
        {**FEATURED, "estimator": "ridge"},
        {**FEATURED, "label": "by action", "game": PLAIN, "estimator": "ridge"},
    ]
    run_sweep(parse_config({"name": "fit", "seed": 3, "num_seeds": 100, "family": families}), tmp_path)
    for entry in summarize(Store(tmp_path)):
        assert entry.failures == 0 and abs(entry.ratios[-1] - 1) < 0.3


@pytest.mark.slow
def test_neural_estimates(tmp_path):
    """A network beats cells, on the same games."""
    few = {"game": {**PLAIN, "seed": 4}, "num_samples": {"first": 300, "decades": 0.1, "points": 2}}
    families = [{**FEATURED, **few, "label": "network", "estimator": "neural"}, {**FEATURED, **few, "label": "cells"}]
    run_sweep(parse_config({"name": "fit", "seed": 3, "num_seeds": 4, "family": families}), tmp_path)
    network, cells = summarize(Store(tmp_path))
    assert network.means[0] < 0.7 * cells.means[0]


@pytest.mark.slow
def test_pessimistic_solvers_and_other_axes(tmp_path):
    shared = {
        "game": {"kind": "matching_pennies"},
        "temperatures": [0.2],
        "scales": [0.0, 1.0],
        "payoff_range": [-1.0, 1.0],
        "num_samples": {"first": 100, "decades": 1, "points": 2},
        "axis": "scale",
        "panel": "baselines",
    }
    families = [{**shared, "label": name, "solver": name} for name in ("pnvi", "strategy_wise", "bellman_consistent")]
    families.append({**shared, "label": "lcb", "solver": "lcb", "payoff_range": None})
    covered = {name: value for name, value in shared.items() if name not in ("scales", "payoff_range")}
    covered |= {"axis": "concentrability", "concentrability": [4.0, 100.0]}
    families.append({**covered, "label": "gane", "panel": None})
    config = parse_config({"name": "tuned", "seed": 3, "num_seeds": 40, "family": families})
    run_sweep(config, tmp_path)
    found = summarize(Store(tmp_path))
    assert len(found) == 10 and all(entry.failures == 0 for entry in found)
    for entry in found[:8]:
        assert entry.sizes.tolist() == [0.0, 1.0] and np.all(entry.means > 0)
    *_, few, many = found
    assert many.means[1] > 2 * many.means[0] and np.all(many.means < few.means)
    plain = next(entry for entry in found if entry.case.label == "pnvi" and entry.held == 1000)
    assert 0.8 < plain.scaled[0] / 1.5958 < 1.25 or plain.means[0] < 0.1


def test_missing_parameters_are_named():
    family = {**MARKOV, "game": {**MARKOV["game"], "parameters": {"num_states": 2}}}
    with pytest.raises(ValueError, match=r"family\.0 \(markov\): game\.parameters: got .*horizon"):
        make_plan(sweep(family))
