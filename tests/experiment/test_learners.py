"""Families whose leader learns from a follower's actions, and those that learn games while playing them."""

import equinox as eqx
import jax
import numpy as np
import pytest

import gamekl as gk
from gamekl import stackelberg
from gamekl.experiment.run.plan import make_plan, make_settings
from gamekl.experiment.run.shards import data_keys
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import ConfigError, parse_config
from gamekl.experiment.show.panels import group_panels
from gamekl.experiment.show.plot import draw
from gamekl.experiment.show.report import summarize
from gamekl.experiment.show.table import format_table

SAMPLES = {"first": 1000, "decades": 1, "points": 2}
LED = {
    "label": "leader",
    "solver": "lead",
    "lead": {"anchor": 0.2, "optimum": "interior", "rewards": "logged"},
    "noise": 0.5,
    "game": {"kind": "uniform", "num_actions": [2, 3], "num_games": 4, "seed": 3},
    "temperatures": [0.3],
    "num_samples": SAMPLES,
    "metrics": ["suboptimality", "follower_error", "coverage"],
}
CAUTIOUS = {**LED, "label": "cautious", "scales": [2.0], "metrics": ["suboptimality"]}
ROUNDS = {"first": 20, "decades": 0.3010299957, "points": 2}
TABLES = {
    "label": "tables",
    "solver": "online",
    "online": {"concept": "cce"},
    "game": {"kind": "uniform", "num_actions": [2, 2], "num_games": 2, "seed": 4},
    "payoff_range": [0, 1],
    "noise": 0.3,
    "num_samples": ROUNDS,
}
GREEDY = {**TABLES, "label": "greedy", "online": {"concept": "cce", "exploration": 0.0}}
LINEAR = {key: value for key, value in TABLES.items() if key != "payoff_range"} | {
    "label": "linear",
    "online": {"hypotheses": "linear"},
    "game": {
        "kind": "linear",
        "num_actions": [2, 2],
        "parameters": {"num_contexts": 2, "num_features": 2},
        "seed": 4,
    },
}
MARKOV = {"kind": "markov", "num_actions": [2, 2], "parameters": {"num_states": 2, "horizon": 2}, "seed": 4}
MODELS = {**LINEAR, "label": "models", "online": {"hypotheses": "models", "num_models": 3}, "game": MARKOV}


def without(family, key):
    return {name: value for name, value in family.items() if name != key}


def sweep(*families):
    return parse_config({"name": "learners", "seed": 3, "num_seeds": 3, "family": families})


def run(folder, *families):
    run_sweep(sweep(*families), folder)
    return Store(folder)


@pytest.fixture(scope="module")
def led(tmp_path_factory):
    """Run once; tests must not change it."""
    return run(tmp_path_factory.mktemp("led") / "run", LED, CAUTIOUS)


@pytest.fixture(scope="module")
def online(tmp_path_factory):
    """Likewise."""
    return run(tmp_path_factory.mktemp("online") / "run", TABLES, GREEDY)


def drawn(config, plan, number, point):
    """The settings of a case, and the keys that its rows are drawn with, ``[game, seed]``."""
    case = plan.cases[number]
    family = config.family[number]
    with jax.enable_x64(True):
        return make_settings(config, family, case.tuning), data_keys(config, family, case, point, np.arange(3))


def test_rows_are_what_leading_gives(led):
    settings, keys = drawn(sweep(LED, CAUTIOUS), led.plan(), 0, 1)
    rows = led.read().to_pandas().query("case == 0 and num_samples == 10000")
    assert len(rows) == 3 * len(settings) and set(rows["status"]) == {0}
    game, regularizer, announced = settings[1].game, settings[1].regularizer, settings[1].behavior
    np.testing.assert_allclose(announced, 0.7 * np.eye(2) + 0.15)
    log = stackelberg.sample_responses(keys[1, 2], game, regularizer, announced, [0.5, 0.5], 10_000, 0.5)
    estimate = stackelberg.estimate_follower(log, regularizer, noise=0.5)
    policy = stackelberg.quantal_stackelberg(estimate.game, regularizer).policy[0]
    best = stackelberg.quantal_stackelberg(game, regularizer).value
    lost = float(best - stackelberg.leader_value(game, regularizer, policy))
    row = rows.query("game == 1 and seed == 2").iloc[0]
    np.testing.assert_allclose(row["suboptimality"], lost, rtol=1e-4)
    wrong = np.asarray(estimate.game.payoffs[1]) - np.asarray(game.payoffs[1])
    wrong -= wrong.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(row["follower_error"], np.sqrt(np.mean(wrong**2)), rtol=1e-6)
    band = stackelberg.value_band(estimate, regularizer, policy, 0.9)
    assert row["coverage"] == float(abs(band.value - best + lost) <= band.upper - band.value)


def test_only_games_with_such_an_optimum_are_kept():
    """Of the same games with other anchors, interior ones and vertices."""
    vertex = {**LED, "label": "vertex", "lead": {"anchor": 0.0, "optimum": "vertex"}, "noise": 1.0}
    plan = make_plan(sweep(LED, vertex))
    interior, pure = plan.cases
    assert interior.constant > 0 and pure.constant is None and "vertex" in pure.remark
    for case, family in zip(plan.cases, sweep(LED, vertex).family, strict=True):
        settings = make_settings(sweep(LED, vertex), family, case.tuning)
        assert len(settings) == case.num_games >= 1
        for entry in settings:
            policy = stackelberg.quantal_stackelberg(entry.game, entry.regularizer).policy[0]
            assert (policy.min() >= 0.05) if case is interior else (policy.max() > 1 - 1e-6)
    with pytest.raises(ValueError, match=r"lead\.optimum: got no game whose best policy is so out of 4"):
        make_plan(sweep({**vertex, "lead": {"anchor": 5.0, "optimum": "vertex"}}))


def test_the_leaders_curves(led):
    """Suboptimality beside its constant, the follower's payoffs at the slope -1/2, and coverage beside its level."""
    summaries = summarize(led)
    lost, wrong, coverage, cautious = summaries
    assert [entry.metric for entry in summaries[:3]] == LED["metrics"]
    assert (lost.slope, wrong.slope, coverage.slope) == (-1, -0.5, 0)
    np.testing.assert_allclose(lost.predicted, lost.case.constant / lost.sizes)
    assert lost.rate is not None and wrong.rate is not None and coverage.rate is None
    np.testing.assert_array_equal(coverage.predicted, 0.9)
    assert cautious.case.scale == 2 and cautious.case.constant > lost.case.constant
    text = format_table(summaries)
    assert "leader (τ=0.3), coverage of the band" in text and "(s=0)" in text
    figure = draw(summaries)
    labels = [axes.get_ylabel() for axes in figure.axes[:4]]
    assert labels[1].startswith("error of the follower's payoffs") and labels[2] == "coverage of the band"
    assert figure.axes[2].get_yscale() == "linear"


def test_rows_are_what_playing_gives(online):
    """Each number of rounds is a run of its own, with its own step size."""
    settings, keys = drawn(sweep(TABLES, GREEDY), online.plan(), 0, 1)
    hypotheses = gk.online.TabularPayoffs(settings[1].game, noise=0.3)
    learner = gk.online.Mamex(hypotheses, gk.online.Optimism(1 / (2 * 0.3 * np.sqrt(40))), "cce")
    found = gk.online.play_online(keys[1, 2], learner, 40)
    rows = online.read().to_pandas()
    row = rows.query("case == 0 and num_samples == 40 and game == 1 and seed == 2").iloc[0]
    np.testing.assert_allclose(row["regret"], found.regret.sum(), rtol=1e-9)
    assert row["num_rounds"] == 40 and (rows["status"] == 0).all() and (rows["solver_gap"] < 1e-9).all()
    assert rows.query("case == 0")["regret"].nunique() == 12


def test_regret_is_shown_against_rounds(online):
    summaries = summarize(online)
    assert [entry.axis for entry in summaries] == ["num_rounds"] * 2
    [mine, other] = summaries
    np.testing.assert_array_equal(mine.sizes, [20, 40])
    np.testing.assert_allclose(mine.scaled, mine.means / np.sqrt(mine.sizes))
    assert mine.slope == 0.5 and mine.rate is not None and mine.predicted is None
    assert "2 T" in format_table(summaries) and other.case.label == "greedy"
    [panel, _] = group_panels(summaries)
    assert panel.axis == "num_rounds" and draw(summaries).axes[0].get_xlabel() == "rounds $T$"


@pytest.mark.slow
def test_classes_of_hypotheses(tmp_path):
    """Features, and models of which the last is true."""
    config = sweep(LINEAR, MODELS, {**MODELS, "label": "values", "online": {"hypotheses": "values", "num_models": 3}})
    plan = make_plan(config)
    linear, models, _ = (
        make_settings(config, family, case.tuning)[0] for family, case in zip(config.family, plan.cases, strict=True)
    )
    assert linear.features.shape == (2, 2, 2, 2) and isinstance(linear.game, gk.ContextualGame)
    assert models.extra.shape[0] == 3
    np.testing.assert_array_equal(models.extra[2], models.game.transitions)
    assert not eqx.tree_equal(models.extra[0], models.extra[2])
    rows = run(tmp_path / "run", LINEAR, MODELS).read().to_pandas()
    assert (rows["status"] == 0).all() and (rows.query("case == 0")["regret"] > 0).all()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({**TABLES, "payoff_range": [0, 0.1]}, r"family\.0 \(tables\): payoffs: got .* takes values in \[low, high\]"),
        (
            {**MODELS, "game": {**MARKOV, "num_actions": [3, 3], "parameters": {"num_states": 3, "horizon": 3}}},
            r"family\.0 \(models\): num_actions: got 387,420,489 pure joint policies",
        ),
    ],
)
def test_what_cannot_be_learnt_is_refused_beforehand(family, message):
    with pytest.raises(ValueError, match=message):
        make_plan(sweep(family))


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (without(LED, "lead"), "lead: got nothing, takes a table of anchor, lean, rewards, optimum, level"),
        ({**TABLES, "lead": {"anchor": 0.1}}, "lead: got a value for solver 'online', takes none"),
        (without(TABLES, "online"), "online: got nothing, takes a table of hypotheses, concept"),
        ({**LED, "lead": {"anchor": -1}}, "anchor: got -1"),
        ({**LED, "lead": {"anchor": 0.2, "level": 1}}, "level: got 1"),
        ({**LED, "lead": {"anchor": 0.2}}, "noise: got 0.5 for known rewards"),
        ({**LED, "behavior": "reference"}, "behavior: got a value for solver 'lead', takes none"),
        ({**LED, "metrics": ["regret"]}, "metrics: got ['regret'] for solver 'lead'"),
        ({**LED, "temperatures": []}, "temperatures: got none"),
        ({**LED, "num_samples": {}}, "num_samples.first: got 'auto' for solver 'lead'"),
        ({**LED, "game": MARKOV}, "solver: got 'lead' for kind 'markov', takes one-shot games"),
        ({**TABLES, "temperatures": [1.0]}, "temperatures: got a value for solver 'online', takes none"),
        ({**TABLES, "payoff_range": None}, "payoff_range: got none for solver 'online', takes one, such as [0, 1]"),
        ({**TABLES, "noise": 0}, "noise: got 0.0 for solver 'online', takes a number > 0"),
        ({**TABLES, "noise": "bernoulli"}, "noise: got 'bernoulli', takes a number"),
        (
            {**LED, "game": {"kind": "uniform", "num_actions": [2, 2, 2]}},
            "game.num_actions: got 3 players for solver 'lead', takes leader and follower",
        ),
        (
            {**TABLES, "online": {"concept": "nash"}, "game": {"kind": "uniform", "num_actions": [2, 2, 2]}},
            "online.concept: got 'nash' of 3 players, takes it of 2",
        ),
        ({**TABLES, "game": MARKOV}, "online.hypotheses: got 'tabular' for kind 'markov'"),
        (
            {**MODELS, "online": {"hypotheses": "models"}},
            "online.num_models: got none for kind 'markov', takes a number",
        ),
        ({**TABLES, "online": {"num_models": 3}}, "online.num_models: got 3 for kind 'uniform'"),
        ({**TABLES, "online": {"exploration": 0.1, "eta": 1}}, "eta: got 1.0 beside exploration"),
        ({**without(TABLES, "online"), "solver": "exact"}, "payoff_range: got a value for solver 'exact', takes none"),
    ],
)
def test_what_does_not_fit_is_refused(family, message):
    with pytest.raises(ConfigError) as caught:
        sweep(family)
    assert message in str(caught.value)
