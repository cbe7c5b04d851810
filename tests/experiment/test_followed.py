"""Families that learn from no data but follow a rule in the true game, and those that learn from preferences."""

import jax
import numpy as np
import pytest

import gamekl as gk
from gamekl.experiment.kinds.follow.rules import RULES
from gamekl.experiment.run.plan import make_plan, make_settings
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import ConfigError, parse_config
from gamekl.experiment.show.panels import group_panels
from gamekl.experiment.show.plot import draw
from gamekl.experiment.show.report import summarize
from gamekl.experiment.show.table import format_table

GAME = {"kind": "preference", "num_actions": [4, 4], "num_games": 3, "seed": 5}
STEPS = {"first": 10, "decades": 2, "points": 3}
EGPO = {
    "label": "EGPO",
    "panel": "rules",
    "solver": "follow",
    "rule": {"name": "egpo", "step_size": "proven"},
    "game": GAME,
    "reference": "normal",
    "temperatures": [0.5, 0.1],
    "num_rounds": STEPS,
    "metrics": ["kl", "regularized_gap"],
}
ASKING = {
    **EGPO,
    "label": "MMD, asking",
    "rule": {"name": "mmd", "step_size": 0.3, "num_queries": 5},
    "temperatures": [0.1],
    "axis": "num_queries",
}
SPO = {
    **{key: value for key, value in EGPO.items() if key != "temperatures"},
    "label": "SPO",
    "rule": {"name": "spo", "step_size": 0.1},
    "metrics": ["nash_gap", "average_nash_gap"],
}
COMPARED = {
    "label": "preferences",
    "estimator": "preferences",
    "game": {"kind": "chicken"},
    "temperatures": [4.0],
    "num_samples": {"first": 20_000, "decades": 1, "points": 2},
}


def sweep(*families, num_seeds=3):
    return parse_config({"name": "followed", "seed": 3, "num_seeds": num_seeds, "family": families})


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Run once; tests must not change it."""
    root = tmp_path_factory.mktemp("followed") / "run"
    run_sweep(sweep(EGPO, ASKING, SPO), root)
    return root


def test_rows_are_what_following_gives(swept):
    """Of one game, at each number of rounds; and the bound is the proven one."""
    config, plan = sweep(EGPO, ASKING, SPO), Store(swept).plan()
    table = Store(swept).read().to_pandas()
    setting = make_settings(config, config.family[0], plan.cases[1].tuning)[2]
    solution = gk.solve_nash(setting.game, setting.regularizer)
    known = gk.rules.EGPO.proven(0.1)
    measured = {"num_rounds": [0, 10, 100, 1000], "target": solution.log_policy}
    found = gk.follow(setting.game, setting.regularizer, known.rule, **measured)
    rows = table.query("case == 1 and game == 2").sort_values("num_rounds")
    assert list(rows["num_rounds"]) == [10, 100, 1000] and list(rows["num_queries"]) == [20, 200, 2000]
    for name in ("regularized_gap", "nash_gap", "average_nash_gap", "kl"):
        np.testing.assert_allclose(rows[name], getattr(found, name)[1:].sum(axis=1), rtol=1e-6, atol=1e-15)
    start = float(found.kl[0].sum())
    np.testing.assert_allclose(rows["bound"], start * (1 - 0.1 / 3.1) ** np.array([10, 100, 1000]), rtol=1e-9)
    assert (rows["kl"] <= rows["bound"] + 1e-10).all() and (rows["exceeded"] == 0).all()
    assert (rows["first_gap"] == int(found.first)).all() and (rows["first_kl"] == int(found.first_kl)).all()


def test_one_policy_plays_against_itself(swept):
    """References are drawn for each game, the same for both players, whatever the temperature and the rule."""
    config, plan = sweep(EGPO, ASKING, SPO), Store(swept).plan()
    settings = [
        make_settings(config, config.family[case.family], case.tuning) for case in (plan.cases[0], plan.cases[3])
    ]
    for one, other in zip(*settings, strict=True):
        first, second = one.regularizer.log_reference
        np.testing.assert_array_equal(first, second)
        np.testing.assert_array_equal(first, other.regularizer.log_reference[0])
        np.testing.assert_array_equal(one.game.payoffs, other.game.payoffs)
        assert np.std(first) > 0.1
    drawn = {float(entry.regularizer.log_reference[0][0]) for entry in settings[0]}
    assert len(drawn) == 3


def test_seeds_are_of_queries(swept):
    """Where values are told there is nothing to repeat; where they are asked for, every seed is a run of its own."""
    table = Store(swept).read().to_pandas()
    assert set(table.query("case == 0")["seed"]) == {0} == set(table.query("case == 3")["seed"])
    asked = table.query("case == 2 and num_rounds == 1000")
    assert set(asked["seed"]) == {0, 1, 2} and asked["kl"].nunique() == 9
    assert (asked["num_queries"] == 5000).all() and (asked["kl"] > 1e-8).all()


def test_rules_without_an_anchor_have_no_distance_to_it(swept):
    rows = Store(swept).read().to_pandas().query("case == 3")
    assert rows[["kl", "regularized_gap", "bound", "first_gap", "first_kl"]].isna().all().all()
    assert (rows.groupby("num_rounds")["average_nash_gap"].mean().diff().dropna() < 0).all()


def test_the_table_tells_when_a_rule_has_arrived(swept):
    summaries = summarize(Store(swept))
    [gap] = [entry for entry in summaries if entry.case.temperature == 0.5 and entry.metric == "regularized_gap"]
    low, half, high = np.sort(gap.first)
    text = format_table(summaries)
    line = next(line for line in text.splitlines() if line.startswith("EGPO (τ=0.5), regularised gap"))
    assert "1e-06" in line and f"{half} [{low}, {high}]" in line and "3 of 3" in line and "0 of 3" in line
    never = next(line for line in text.splitlines() if line.startswith("MMD, asking (τ=0.1), KL"))
    assert "never [never, never]" in never and "0 of 9" in never


def test_panels_are_by_temperature_metric_and_axis(swept):
    summaries = summarize(Store(swept))
    titles = {(panel.title, panel.axis, panel.summaries[0].metric) for panel in group_panels(summaries)}
    assert {title for title, *_ in titles if "τ=0.5" in title} == {"EGPO (τ=0.5)"}  # alone in its panels
    cold = [panel for panel in group_panels(summaries) if panel.name == "rules (τ=0.1)"]
    found = sorted((panel.axis, len(panel.summaries)) for panel in cold if panel.summaries[0].metric == "kl")
    assert found == [("num_queries", 1), ("num_rounds", 2)]
    assert len(draw(summaries).axes) >= len(titles)


def test_payoffs_from_preferences_have_the_predicted_rate(tmp_path):
    """n times the gap of 400 seeds is within 5 standard errors of the constant, and both sizes are on one line."""
    run_sweep(sweep(COMPARED, num_seeds=400), tmp_path / "run")
    [summary] = summarize(Store(tmp_path / "run"))
    assert summary.failures == 0 and summary.slope == -1.0
    errors = summary.standard_errors * summary.sizes
    np.testing.assert_array_less(np.abs(summary.scaled - summary.case.constant), 5 * errors)
    assert abs(summary.rate.slope + 1) < 0.15


def test_pairs_of_the_behavior():
    """Unilateral pairs differ in one action; independent ones need not."""
    [one] = make_settings(*tuned(COMPARED))
    [other] = make_settings(*tuned({**COMPARED, "pairs": "independent"}))
    assert one.behavior.shape == other.behavior.shape == (2, 2, 2, 2)
    assert one.behavior[0, 0, 1, 1] == 0 < other.behavior[0, 0, 1, 1]


def tuned(family):
    config, family, case = planned(family)
    return config, family, case.tuning


def planned(family):
    config = sweep(family)
    return config, config.family[0], make_plan(config).cases[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": None}, "rule: got None, takes a table of name, step_size"),
        ({"rule": {"name": "ppo", "step_size": 1}}, "rule.name: got 'ppo'"),
        ({"rule": {"name": "egpo", "step_size": 0}}, "rule.step_size"),
        ({"rule": {"name": "spo", "step_size": "proven"}}, "step_size: got 'proven' for 'spo', takes it for ('mmd'"),
        (
            {"rule": {"name": "spo", "step_size": "temperature"}},
            "step_size: got 'temperature' for 'spo', which has none",
        ),
        ({"rule": {"name": "mpo", "step_size": 1}}, "magnet_rounds: got none for 'mpo', takes a number"),
        ({"rule": {"name": "egpo", "step_size": 1, "magnet_rounds": 3}}, "magnet_rounds: got 3 for 'egpo', takes none"),
        ({"game": {"kind": "chicken"}}, "rule.step_size: got 'proven' for kind 'chicken', takes a number"),
        ({"num_rounds": None}, "num_rounds: got None, takes a table of first, decades, points"),
        ({"temperatures": []}, "temperatures: got none, takes at least one number > 0 for solver 'follow'"),
        ({"noise": 2.0, "behavior": "reference"}, "noise, behavior: got a value for solver 'follow', takes none"),
        ({"num_samples": {"first": 3}}, "num_samples: got a value for solver 'follow', takes none"),
        ({"axis": "temperature"}, "axis: got 'temperature', takes 'num_rounds' or 'num_queries'"),
        ({"solver": "gane"}, "rule, num_rounds: got a value for solver 'gane', takes none"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ConfigError) as caught:
        sweep({**EGPO, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperatures": [0.1]}, "temperatures: got some for solver 'follow', takes none"),
        ({"metrics": ["kl"]}, "metrics: got ['kl'] for solver 'follow', takes ['nash_gap'"),
        ({"rule": {"name": "egpo", "step_size": 1}}, "temperatures: got none"),
    ],
)
def test_refusals_without_an_anchor(changes, message):
    with pytest.raises(ConfigError) as caught:
        sweep({**SPO, **changes})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"noise": 2.0},
            "noise: got 2.0 for estimator 'preferences', takes none",
        ),
        ({"num_samples": {}}, "num_samples.first: got 'auto' for estimator 'preferences', takes a number"),
        ({"metrics": ["kl"]}, "metrics: got ['kl'] for solver 'gane', takes ['regularized_gap', 'nash_gap']"),
        ({"estimator": "tabular", "pairs": "independent"}, "pairs: got 'independent' for estimator 'tabular'"),
    ],
)
def test_refusals_of_preferences(changes, message):
    with pytest.raises(ConfigError) as caught:
        sweep({**COMPARED, **changes})
    assert message in str(caught.value)


def test_one_seed_is_enough_only_without_chance():
    assert sweep(EGPO, num_seeds=1).num_seeds == 1
    with pytest.raises(ConfigError, match=r"num_seeds: got 1, takes at least 2 for \['MMD, asking'\]"):
        sweep(EGPO, ASKING, num_seeds=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"game": {"kind": "uniform", "num_actions": [2, 3]}, "rule": {"name": "mnpo", "step_size": 1}},
            r"game: got actions \(2, 3\), takes players with the same actions for MNPO",
        ),
        (
            {"game": {"kind": "chicken"}, "rule": {"name": "spo", "step_size": 1, "num_queries": 2}},
            r"rule.num_queries: got 2 for payoffs outside of \[0, 1\]",
        ),
        ({"game": {"kind": "preference", "num_actions": [3, 4]}}, "takes two equal numbers for a preference game"),
    ],
)
def test_games_that_do_not_fit(changes, message):
    config = sweep({**SPO, "reference": "uniform", "metrics": ["nash_gap"], **changes})
    with pytest.raises(ValueError, match=message):
        make_plan(config)


def test_a_preference_game_is_one():
    game = gk.games.preference(jax.random.key(0), (5, 5))
    ours, theirs = np.asarray(game.payoffs)
    np.testing.assert_allclose(ours + ours.T, 1, atol=1e-15)
    np.testing.assert_array_equal(theirs, ours.T)
    many = np.asarray(
        jax.vmap(lambda key: gk.games.preference(key, (4, 4)).payoffs[0])(jax.random.split(jax.random.key(1), 4000))
    )
    upper = many[:, *np.triu_indices(4, 1)].ravel()
    assert abs(upper.mean() - 1 / 2) < 0.01 and abs(upper.var() - 1 / 12) < 0.002


@pytest.mark.parametrize("name", gk.rules.LISTED)
def test_the_list_of_rules_tells_what_they_are(name):
    entry, kind = gk.rules.LISTED[name], getattr(gk.rules, name)
    assert kind.__name__ == name and kind.anchored == entry.anchored
    assert entry.proven == ("proven" in vars(kind)) and entry.has_magnet == ("magnet_rounds" in kind.__annotations__)
    assert entry.tempered == (entry.anchored or entry.has_magnet)


def test_a_rule_that_is_listed_as_what_it_is_not(monkeypatch):
    monkeypatch.setitem(RULES, "aog", gk.rules.LISTED["AOG"]._replace(anchored=True, tempered=True))
    with pytest.raises(ValueError, match=r"rule\.name: got 'aog', listed as anchored=True, takes what its class"):
        make_plan(sweep({**EGPO, "rule": {"name": "aog", "step_size": 0.1}}))
