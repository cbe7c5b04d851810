"""Small but real sweeps. All share a few shapes, because each shape is compiled once for each process."""

import copy
import json
import math
import shutil
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest

import gamekl as gk
from gamekl.experiment.run.engines import threads
from gamekl.experiment.run.plan import make_chunks, make_plan, make_settings
from gamekl.experiment.run.shards import data_keys
from gamekl.experiment.run.store import SCHEMA_VERSION, Store, StoreError
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import parse_config
from gamekl.experiment.show.report import summarize

PENNIES = {
    "label": "pennies",
    "game": {"kind": "matching_pennies"},
    "reference": [[0.9, 0.1], [0.3, 0.7]],
    "temperatures": [0.5, 1.0],
    "num_samples": {"decades": 1, "points": 2},
}
THREE = {
    "label": "three players",
    "game": {"kind": "uniform", "num_actions": [2, 3, 2], "num_games": 2},
    "temperatures": [0.3],
    "num_samples": {"decades": 1, "points": 2},
}
EXACT = {
    "label": "exact",
    "solver": "exact",
    "game": {"kind": "matching_pennies"},
    "num_samples": {"first": 1000, "decades": 1, "points": 2},
    "expected": {"slope": -0.5, "constant": 2 * (2 / math.pi) ** 0.5},
}
SWEEP = {"name": "tiny", "seed": 5, "num_seeds": 200, "seeds_per_chunk": 100, "family": [PENNIES, THREE, EXACT]}
# Temperature by sample size by block of seeds.
SHARDS = {"pennies": 2 * 2 * 2, "three players": 2 * 2, "exact": 2 * 2}
GAPS = ("regularized_gap", "regularized_gap_max", "nash_gap")


def sweep(**changes):
    return parse_config({**copy.deepcopy(SWEEP), **changes})


def one(family=None, **changes):
    """A sweep of one changed family."""
    return sweep(family=[{**copy.deepcopy(family or PENNIES), **changes}])


def shard_bytes(root):
    return {path.name: path.read_bytes() for path in (root / "shards").iterdir()}


def columns(root, label=None):
    """The run's table as numpy columns, in the order of (temperature, n, game, seed), of one family."""
    table = Store(root).read()
    data = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    order = np.lexsort([data[name] for name in ("seed", "game", "num_samples", "case")])
    order = order[data["label"][order] == label] if label else order
    return {name: values[order] for name, values in data.items()}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The whole sweep, run once; tests must not change it."""
    root = tmp_path_factory.mktemp("sweep") / "run"
    assert run_sweep(sweep(), root)[:2] == (sum(SHARDS.values()), sum(SHARDS.values()))
    return root


@pytest.fixture
def run(swept, tmp_path):
    """A copy of it that a test may change."""
    return shutil.copytree(swept, tmp_path / "run")


def test_planned_shards(swept):
    names = sorted(path.name for path in (swept / "shards").iterdir())
    plan = Store(swept).plan()
    assert names == sorted(f"{chunk.name}.parquet" for chunk in make_chunks(plan))
    assert [case.label for case in plan.cases] == ["pennies", "pennies", "three players", "exact"]
    assert [case.temperature for case in plan.cases] == [0.5, 1.0, 0.3, None]


def test_rows(swept):
    data = columns(swept)
    keys = list(zip(*(data[name].tolist() for name in ("case", "num_samples", "game", "seed")), strict=True))
    assert len(set(keys)) == len(keys) == 2 * 2 * 200 + 2 * 2 * 200 + 2 * 200
    for label, games in [("pennies", 1), ("three players", 2), ("exact", 1)]:
        mine = columns(swept, label)
        assert set(mine["game"]) == set(range(games))
        assert set(mine["seed"]) == set(range(200))
        assert len(set(mine["num_samples"])) == 2


def test_values_are_sound(swept):
    data = columns(swept)
    assert not data["status"].any()
    assert (data["residual"] < 1e-9).all() and (data["residual"] >= 0).all()
    gane = data["label"] != "exact"
    assert (data["regularized_gap"][gane] > 0).all() and (data["nash_gap"] > 0).all()
    assert (data["regularized_gap_max"][gane] <= data["regularized_gap"][gane]).all()
    assert np.isnan(data["regularized_gap"][~gane]).all()
    assert (data["solver_gap"] < 1e-6 * data["nash_gap"]).all()
    assert not data["unvisited"].any()


def test_errors_have_the_predicted_size(swept):
    """At ten times the n from which 1/n may be expected; 30 % is four standard errors of 200 seeds."""
    summaries = summarize(Store(swept))
    assert len(summaries) == 4
    for entry in summaries:
        assert abs(entry.ratios[-1] - 1) < 0.3, entry.case.label


def test_shards_name_their_config(swept):
    for path in (swept / "shards").iterdir():
        metadata = pq.read_metadata(path).metadata
        assert metadata[b"config_sha256"] == sweep().digest().encode()
        assert metadata[b"gamekl_schema"] == str(SCHEMA_VERSION).encode()
        assert metadata[b"dtype"] == b"float64" and metadata[b"gamekl"] == gk.__version__.encode()


def test_events(swept):
    events = [json.loads(line) for line in (swept / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["start", *["shard"] * sum(SHARDS.values()), "end"]
    assert not any(event.get("failed") for event in events)


def test_every_dataset_has_its_own_key(swept):
    """Over cases, sample sizes, games and seeds."""
    config, plan = sweep(), Store(swept).plan()
    keys = []
    for chunk in make_chunks(plan):
        case = plan.cases[chunk.case]
        seeds = chunk.first_seed + np.arange(chunk.num_seeds)
        key = data_keys(config, config.family[case.family], case, chunk.point, seeds)
        assert key.shape == (case.num_games, 100)
        keys += [tuple(entry) for entry in np.asarray(jax.random.key_data(key)).reshape(-1, 2).tolist()]
    assert len(set(keys)) == len(keys) == 2 * 2 * 200 + 2 * 2 * 200 + 2 * 200


def test_every_dataset_differs(swept):
    """Equal data would give equal errors, down to the last bit."""
    for label in SHARDS:
        data = columns(swept, label)
        assert len(np.unique(data["nash_gap"])) == len(data["nash_gap"])


def test_another_seed_gives_other_data(swept, tmp_path):
    run_sweep(sweep(seed=6, family=[EXACT]), tmp_path)
    assert not np.isin(columns(tmp_path)["nash_gap"], columns(swept, "exact")["nash_gap"]).any()


def test_second_run_makes_nothing(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert run_sweep(sweep(), run)[:2] == (sum(SHARDS.values()), 0)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_resume_by_shard(run, caplog):
    """Shards that are gone, damaged or unknown to the manifest are made anew, to the same bytes; the others stay."""
    before = shard_bytes(run)
    gone, damaged, unlisted, *rest = sorted(before)
    gone, damaged, unlisted = ((run / "shards" / name) for name in (gone, damaged, unlisted))
    gone.unlink()
    content = damaged.read_bytes()
    damaged.write_bytes(content[:200] + bytes([content[200] ^ 4]) + content[201:])
    [manifest] = (run / "manifest").iterdir()
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(line for line in lines if unlisted.stem not in line))
    times = {name: (run / "shards" / name).stat().st_mtime_ns for name in rest}

    assert run_sweep(sweep(), run)[:2] == (len(before), 3)
    assert shard_bytes(run) == before
    assert {name: (run / "shards" / name).stat().st_mtime_ns for name in rest} == times
    assert Store(run).verified() == ({name.removesuffix(".parquet") for name in before}, set())
    warned = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(warned) == [f"shard {path.stem} is damaged or gone; it is made anew" for path in (gone, damaged)]
    assert run_sweep(sweep(), run)[:2] == (len(before), 0)


def test_resume_without_plan_or_manifest(run):
    before = shard_bytes(run)
    (run / "plan.json").unlink()
    shutil.rmtree(run / "manifest")
    assert run_sweep(sweep(), run)[:2] == (len(before), len(before))
    assert shard_bytes(run) == before


def test_resume_with_another_plan(tmp_path):
    """Where the plan was lost and the new one has other chunks, shards of the old one count as not made."""
    run_sweep(sweep(family=[EXACT], seeds_per_chunk=None, num_seeds=40), tmp_path / "run")
    store = Store(tmp_path / "run")
    plan = store.plan()
    (tmp_path / "run" / "plan.json").unlink()
    store.write_plan(plan.chunked([20] * len(plan.cases)))
    assert store.verified() == (set(), set())
    assert run_sweep(sweep(family=[EXACT], seeds_per_chunk=None, num_seeds=40), tmp_path / "run") == (4, 4, 0)
    data = columns(tmp_path / "run")
    assert len(data["seed"]) == len(set(zip(data["num_samples"].tolist(), data["seed"].tolist(), strict=True))) == 80


def test_damaged_name_in_the_manifest(run):
    """A name that no shard has must not stand in the way of a run that is otherwise whole."""
    [manifest] = (run / "manifest").iterdir()
    manifest.write_text(manifest.read_text().replace('"000-pennies-n000-b0000"', '"000-penmies-n000-b0000"'))
    assert run_sweep(sweep(), run)[:2] == (sum(SHARDS.values()), 1)
    assert len(summarize(Store(run))) == 4


def test_another_config_is_refused(run):
    before = shard_bytes(run)
    with pytest.raises(StoreError, match=r"made by another config: num_seeds \(there 200, here 400\)"):
        run_sweep(sweep(num_seeds=400), run)
    assert shard_bytes(run) == before


def test_folder_in_use(run):
    with Store(run).lock(), pytest.raises(StoreError, match="which another run is using"):
        run_sweep(sweep(), run)


def test_without_x64(swept, tmp_path):
    """Counts and games are in the config's dtype, whatever mode jax is in."""
    with jax.enable_x64(False):
        run_sweep(sweep(family=[EXACT]), tmp_path / "run")
    here, there = shard_bytes(tmp_path / "run"), shard_bytes(swept)
    assert sorted(here) == [name.replace("003", "000") for name in sorted(there) if "exact" in name]
    data = columns(tmp_path / "run", "exact")
    np.testing.assert_array_equal(data["nash_gap"], columns(swept, "exact")["nash_gap"])


def test_other_families_do_not_matter(swept, tmp_path):
    """A family's numbers are its own, bit by bit, whatever stands beside it."""
    run_sweep(sweep(family=[EXACT, THREE]), tmp_path)
    for label in ("exact", "three players"):
        here, there = columns(tmp_path, label), columns(swept, label)
        for name in set(here) - {"case", "label"}:
            np.testing.assert_array_equal(here[name], there[name])


def test_sharding_does_not_matter(swept, tmp_path):
    """The value of a (case, n, seed) is the same in shards of another size, up to the rounding of batched sums."""
    run_sweep(sweep(family=[PENNIES, EXACT], seeds_per_chunk=40), tmp_path)
    for label in ("exact", "pennies"):
        here, there = columns(tmp_path, label), columns(swept, label)
        for name in ("num_samples", "game", "seed", "status", "unvisited"):
            np.testing.assert_array_equal(here[name], there[name])
        for name in GAPS:
            np.testing.assert_allclose(here[name], there[name], rtol=1e-6)


def settings_at(config, family, temperature):
    """The settings of the family's first case at a temperature."""
    case = next(entry for entry in family.tunings() if entry.temperature in (temperature, None))
    return make_settings(config, family, case._replace(temperature=temperature))


def test_games_of_a_family(swept):
    """Two games are drawn, which differ; each is solved with data of its own."""
    settings = settings_at(sweep(), sweep().family[1], 0.3)
    first, second = (np.asarray(setting.game.payoffs) for setting in settings)
    assert first.shape == second.shape == (3, 2, 3, 2) and not np.isclose(first, second).any()
    data = columns(swept, "three players")
    means = [data["nash_gap"][data["game"] == game].mean() for game in (0, 1)]
    assert abs(means[0] / means[1] - 1) > 0.01


def test_games_do_not_depend_on_temperature():
    config = one(THREE, temperatures=[0.3, 0.6])
    low, high = (settings_at(config, config.family[0], temperature) for temperature in (0.3, 0.6))
    for one_setting, other in zip(low, high, strict=True):
        np.testing.assert_array_equal(one_setting.game.payoffs, other.game.payoffs)
        assert float(one_setting.regularizer.temperature) == 0.3 and float(other.regularizer.temperature) == 0.6


def test_float32(swept, tmp_path):
    """The same data, solved in float32: the same errors to float32's precision."""
    run_sweep(sweep(family=[PENNIES, EXACT], dtype="float32"), tmp_path)
    path = next((tmp_path / "shards").iterdir())
    assert pq.read_metadata(path).metadata[b"dtype"] == b"float32"
    for label in ("pennies", "exact"):
        here, there = columns(tmp_path, label), columns(swept, label)
        assert not here["status"].any()
        np.testing.assert_array_equal(here["num_samples"], there["num_samples"])
        for name in GAPS[: 2 if label == "pennies" else 3]:
            np.testing.assert_allclose(here[name], there[name], rtol=0.01, atol=1e-6)
            values = here[name][~np.isnan(here[name])]
            np.testing.assert_array_equal(values, values.astype(np.float32))


def test_no_noise_no_error(tmp_path):
    """With every cell seen and rewards without noise the estimated game is the true one."""
    run_sweep(one(noise=0.0, num_samples={"first": 1000, "decades": 1, "points": 2}), tmp_path)
    data = columns(tmp_path)
    assert not data["status"].any() and not data["unvisited"].any()
    assert (data["regularized_gap"] < 1e-20).all()
    assert [case.constant for case in Store(tmp_path).plan().cases] == [None, None]
    assert all("noise: got effective dimensions" in case.remark for case in Store(tmp_path).plan().cases)


def test_no_noise_and_automatic_sample_sizes():
    with pytest.raises(ValueError, match=r"pennies.*num_samples\.first: got 'auto'.*noise: got effective dimensions"):
        make_plan(one(noise=0.0))


def test_failure_to_plan_leaves_no_shards(tmp_path):
    with pytest.raises(ValueError, match="pennies"):
        run_sweep(one(noise=0.0), tmp_path / "run")
    assert not list((tmp_path / "run" / "shards").iterdir())


@pytest.mark.parametrize("asked", [3.6, 10.0, 1000.0])
def test_concentrability(asked):
    """The behavior covers the references with exactly the C that was asked for."""
    config = one(concentrability=asked)
    [setting] = settings_at(config, config.family[0], 0.5)
    np.testing.assert_allclose(setting.behavior.sum(), 1, rtol=1e-14)
    found = gk.offline.concentrability(setting.game, setting.behavior, setting.regularizer.log_reference)
    np.testing.assert_allclose(found, asked, rtol=1e-12)


def test_worse_coverage_needs_more_data():
    first = [make_plan(one(concentrability=c)).cases[0].num_samples[0] for c in (4.0, 40.0, 400.0)]
    assert first == sorted(first) and first[2] > 10 * first[0]


def test_behavior_of_the_reference():
    config = one(behavior="reference")
    [setting] = settings_at(config, config.family[0], 0.5)
    np.testing.assert_allclose(setting.behavior, [[0.27, 0.63], [0.03, 0.07]], rtol=1e-14)


def test_sample_sizes():
    """Evenly spaced in log n, from the very n that was asked for."""
    [case] = make_plan(one(EXACT, num_samples={"first": 123, "decades": 2, "points": 5})).cases
    assert case.num_samples == (123, 389, 1230, 3890, 12300)


def test_predicted_constant_of_rock_paper_scissors():
    """At the uniform equilibrium D_i = (1/3)(2/3) 3 x 3 (1/9) x 9 = 2 for each player, so D / (2 tau) = 2 in sum."""
    family = {"label": "rps", "game": {"kind": "rock_paper_scissors"}, "temperatures": [1.0, 0.5], "noise": 1.0}
    cases = make_plan(sweep(family=[family])).cases
    np.testing.assert_allclose([case.constant for case in cases], [2.0, 4.0], rtol=1e-9)
    # 10 max D / tau^2 against 30 / min mu = 270.
    assert [case.num_samples[0] for case in cases] == [270, 270]


def test_sample_sizes_differ():
    """Close ones that round to the same number would be two points of the plot that are one."""
    config = one(num_samples={"first": 2, "decades": 0.3, "points": 10})
    try:
        [case, _] = make_plan(config).cases
    except ValueError as error:
        assert "pennies" in str(error)
    else:
        assert len(set(case.num_samples)) == len(case.num_samples)


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ({**PENNIES, "reference": [[0.5, 0.5]]}, "log_reference: got references of 1 players"),
        ({**PENNIES, "reference": [[0.5, 0.5], [0.2, 0.3, 0.5]]}, r"log_reference\[1\]: got shape \(3,\)"),
        ({**PENNIES, "concentrability": 1.5}, "concentrability: got 1.5, takes at least C_min"),
        ({**PENNIES, "game": {"kind": "donation", "parameters": {"benefits": 1}}}, "game.parameters: got .*benefits"),
        ({**THREE, "game": {"kind": "zero_sum", "num_actions": [2, 2, 2]}}, "num_actions: got 3 players"),
        ({**THREE, "game": {"kind": "covariant", "num_actions": [2, 2]}}, "correlation"),
        ({**PENNIES, "noise": "bernoulli"}, r"payoffs: got -1.0 to 1.0, takes values in \[0, 1\]"),
        ({**PENNIES, "noise": "bernoulli", "num_samples": {"first": 100}}, r"payoffs: got .*takes values in \[0, 1\]"),
        ({**PENNIES, "num_samples": {"first": 10**6, "decades": 12}}, "num_samples"),
        ({**EXACT, "game": {"kind": "donation", "parameters": {"num_players": 3}}}, "got 3 players, takes 2"),
        ({**EXACT, "game": {"kind": "uniform", "num_actions": [2, 2, 2]}}, "game: got 3 players, takes 2"),
    ],
)
def test_impossible_family_is_named(family, message):
    """Before anything is computed, with the family's place and label and the reason."""
    with pytest.raises(ValueError, match=rf"family\.0 \({family['label']}\): .*{message}"):
        make_plan(sweep(family=[copy.deepcopy(family)]))


def test_game_that_cannot_be_solved(monkeypatch):
    """Without the true equilibrium there is no prediction: an error if n depends on it, else a remark."""
    monkeypatch.setattr("gamekl.experiment.kinds.estimated.computing.solve_nash", partial(gk.solve_nash, max_steps=1))
    family = {"label": "hard", "game": {"kind": "uniform", "num_actions": [2, 2]}, "temperatures": [0.05]}
    with pytest.raises(ValueError, match=r"family\.0 \(hard\): num_samples\.first: got 'auto'.*max_steps"):
        make_plan(sweep(family=[family]))
    [case] = make_plan(sweep(family=[{**family, "num_samples": {"first": 100}}])).cases
    assert case.constant is None and "max_steps" in case.remark and case.num_samples[0] == 100


def test_a_file_that_changed_is_noticed(tmp_path):
    """What remains to be done must not be done with another game."""
    path = tmp_path / "game.nfg"
    gk.games.write_nfg(gk.games.chicken(), path)
    family = {"label": "file", "game": {"kind": "file", "path": str(path)}, "temperatures": [1.0]}
    config = sweep(family=[family])
    run_sweep(config, tmp_path / "run")
    gk.games.write_nfg(gk.games.prisoners_dilemma(), path)
    with pytest.raises(
        ValueError, match=r"game\.path: got .*game\.nfg, which is not .* what the sweep was planned with"
    ):
        run_sweep(config, tmp_path / "run")


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(path.read_bytes() + b" "), Path.unlink])
def test_a_file_that_changes_before_a_worker_reads_it(tmp_path, change):
    """Or that is another on the worker's machine, or is not there."""
    path = tmp_path / "game.nfg"
    gk.games.write_nfg(gk.games.chicken(), path)

    def elsewhere(work, chunks, meet):
        change(path)
        yield from threads(1)(work, chunks, meet)

    family = {"label": "file", "game": {"kind": "file", "path": str(path)}, "temperatures": [1.0]}
    with pytest.raises(ValueError, match=r"game\.path: got .*game\.nfg, which"):
        run_sweep(sweep(family=[family]), tmp_path / "run", engine=elsewhere)
    assert not list((tmp_path / "run" / "shards").iterdir())


def test_family_of_a_file(tmp_path):
    path = tmp_path / "game.nfg"
    gk.games.write_nfg(gk.games.chicken(), path)
    family = {"label": "file", "game": {"kind": "file", "path": str(path)}, "temperatures": [1.0]}
    config = sweep(family=[family])
    [setting] = settings_at(config, config.family[0], 1.0)
    np.testing.assert_array_equal(setting.game.payoffs, gk.games.chicken().payoffs)
    path.write_text("NFG 1 R")
    with pytest.raises(ValueError, match=r"family\.0 \(file\): .*the file ends"):
        make_plan(config)


@pytest.mark.parametrize(
    ("label", "gaps"),
    [
        ("pennies", [0.501642154457602, 0.5353578027566019, 1.0289660096399493, 1.075473087446257]),
        ("three players", [0.2955261818028405, 0.2141345573410703, 0.24452158917527964, 0.2805391232240246]),
        ("exact", [0.04910535314616865, 0.01662687762010695]),
    ],
)
def test_a_seed_means_the_same_under_every_version(swept, label, gaps):
    """As made with schema 7, jax 0.10.2 and numpy 2.4: where this fails, `store.SCHEMA_VERSION` is to be raised."""
    mine = columns(swept, label)
    np.testing.assert_allclose(mine["nash_gap"][mine["seed"] == 3], gaps, rtol=1e-9)
