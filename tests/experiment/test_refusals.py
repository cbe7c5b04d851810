"""What `gamekl sweep` and its engines refuse: one message with file or flag, field and remedy; no traceback."""

import json
import shutil

import pytest
from shell_helpers import refused

from gamekl.cli import main
from gamekl.experiment.run.store import SCHEMA_VERSION, Store

HEAD = 'name = "r"\nnum_seeds = 4\n'
FAMILY = """
[[family]]
label = "pennies"
solver = "exact"
game = { kind = "matching_pennies" }
num_samples = { first = 100, decades = 1, points = 2 }
"""
GANE = FAMILY.replace('solver = "exact"', "temperatures = [0.5]")


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A good config, in the working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.toml"
    path.write_text(HEAD + FAMILY)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "name: got nothing, takes a value"),
        (FAMILY, "num_seeds: got nothing, takes a value"),
        (HEAD, "family: got nothing, takes a value"),
        (HEAD + "family = []", "family: got []"),
        (HEAD + FAMILY.replace("[[family]]", "[family]"), "family: got a table, takes a list of tables, each under [["),
        (HEAD + HEAD + FAMILY, "config.toml, takes a TOML file (Cannot overwrite a value"),
        (HEAD + FAMILY + "label = 3.", "config.toml, takes a TOML file ("),
        (HEAD + FAMILY[:-3], "config.toml, takes a TOML file ("),
        (HEAD + "num_sed = 3" + FAMILY, "num_sed: got an unknown key; did you mean 'num_seeds'?"),
        (HEAD + FAMILY + "nois = 3", "family.0.nois: got an unknown key; did you mean 'noise'?"),
        (HEAD + FAMILY + "[memory]\nlimit = 3", "memory: got an unknown key"),
        ('name = "a/b"\nnum_seeds = 4' + FAMILY, "name: got 'a/b'"),
        ('name = "r"\nnum_seeds = 1' + FAMILY, "num_seeds: got 1"),
        ('name = "r"\nnum_seeds = "many"' + FAMILY, "num_seeds: got 'many'"),
        (HEAD + "seeds_per_chunk = 0" + FAMILY, "seeds_per_chunk: got 0"),
        (HEAD + "seed = -1" + FAMILY, "seed: got -1"),
        (HEAD + 'dtype = "float16"' + FAMILY, "dtype: got 'float16'"),
        (HEAD + FAMILY + FAMILY, "family.label: got ['pennies'] more than once"),
        (HEAD + FAMILY.replace("exact", "axact"), "family.0.solver: got 'axact'"),
        (HEAD + FAMILY.replace("matching_", "marching_"), "got 'marching_pennies'; did you mean 'matching_pennies'?"),
        (HEAD + FAMILY.replace("100,", "0,"), "family.0.num_samples.first: got 0"),
        (HEAD + FAMILY.replace("decades = 1", "decades = 13"), "family.0.num_samples.decades: got 13"),
        (HEAD + FAMILY.replace("points = 2", "points = 1"), "family.0.num_samples.points: got 1"),
        (HEAD + FAMILY + "penalty = 2.0", "penalty: got 2.0 for estimator 'tabular', takes it for 'ridge'"),
        (HEAD + FAMILY + "noise = nan", "family.0.noise: got nan"),
        (HEAD + FAMILY + "noise = -1.0", "family.0.noise: got -1.0"),
        (HEAD + FAMILY + "concentrability = 0.5", "family.0.concentrability: got 0.5"),
        (HEAD + FAMILY + "concentrability = 1.5", "family.0 (pennies): concentrability: got 1.5, takes at least C_min"),
        (HEAD + FAMILY + "temperatures = [1.0]", "temperatures: got a value for solver 'exact', takes none"),
        (HEAD + GANE.replace("[0.5]", "0.5"), "temperatures: got 0.5, takes a list of numbers, such as [0.5]"),
        (HEAD + GANE.replace("[0.5]", "[0.0]"), "family.0.temperatures.0: got 0.0"),
        (HEAD + GANE.replace("[0.5]", "[0.5, 0.5]"), "temperatures: got [0.5, 0.5], takes each value once"),
        (HEAD + GANE.replace("[0.5]", "[]"), "temperatures: got none, takes at least one number > 0"),
        (HEAD + GANE + "reference = [[0.5, 0.4], [0.5, 0.5]]", "reference.0: got a sum of 0.9"),
        (
            HEAD + GANE + "reference = [[0.2, 0.3, 0.5], [0.5, 0.5]]",
            "family.0 (pennies): log_reference[0]: got shape (3,)",
        ),
        (HEAD + GANE + "behavior = [[0.5, 0.5]]", "family.0 (pennies): behavior: got"),
        (HEAD + GANE + 'noise = "bernoulli"', "family.0 (pennies): payoffs: got -1.0 to 1.0"),
        (HEAD + GANE.replace('kind = "matching_pennies"', 'kind = "file", path = "none.nfg"'), "none.nfg"),
        (HEAD + GANE.replace('kind = "matching_pennies"', 'kind = "file"'), "path: got None for kind 'file'"),
    ],
)
def test_config(capsys, config, text, message):
    config.write_text(text)
    assert message in refused(capsys, "sweep", config)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--workers", "0"), "workers: got 0 with engine 'threads', takes a number >= 1"),
        (("--engine", "devices", "--workers", "2"), "workers: got 2 with engine 'devices'"),
        (("--engine", "dask"), "scheduler: got None with engine 'dask', takes an address with dask only"),
        (("--scheduler", "tcp://x:1"), "scheduler: got 'tcp://x:1' with engine 'threads'"),
        (("--engine", "dask", "--scheduler", "nonsense"), "scheduler: got 'nonsense', where no Dask scheduler"),
        (("--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"), "takes the address that `dask scheduler` prints"),
        (("--memory", "0"), "memory: got 0.0, takes a number of GiB > 0"),
        (("--memory", "nan"), "memory: got nan, takes a number of GiB > 0"),
        (("--memory", "1e-9"), "memory: got 1e-09 GiB, but a single seed of all games of 'pennies' takes"),
        (("--chunk", "1"), "chunk: got '1', takes K/N with K from 1 to N"),
        (("--chunk", "0/3"), "chunk: got 0/3, takes K/N with K from 1 to N"),
        (("--chunk", "4/3"), "chunk: got 4/3, takes K/N with K from 1 to N"),
        (("--num-seeds", "1"), "num_seeds: got 1"),
        (("--out", "config.toml"), "out: got config.toml, where gamekl cannot write (File exists)"),
        (("--out", "/sys/gamekl"), "out: got /sys/gamekl, where gamekl cannot write ("),
        (("--out", "/proc/1/gamekl"), "out: got /proc/1/gamekl, where gamekl cannot write ("),
    ],
)
def test_flags(capsys, config, monkeypatch, flags, message):
    if "dask" in flags and "--scheduler" in flags:
        pytest.importorskip("distributed")
        monkeypatch.setattr("gamekl.experiment.run.cluster.PATIENCE", 1)
    assert message in refused(capsys, "sweep", config, *flags)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_no_such_config(capsys, config, name):
    assert f"config: got {name}, takes a TOML file (" in refused(capsys, "sweep", name)


def test_a_config_that_is_no_text(capsys, config):
    config.write_bytes(b"\xff\xfe\x00")
    assert "config.toml, takes a TOML file (" in refused(capsys, "sweep", config)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "config.toml").write_text(HEAD + FAMILY)
    main(["sweep", str(folder / "config.toml"), "--out", str(folder / "run")])
    return folder / "run"


@pytest.fixture
def run(config, swept):
    """A copy of it."""
    return shutil.copytree(swept, config.parent / "run")


def plan_of_version(run, schema):
    path = run / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))


@pytest.mark.parametrize("command", ["plot", "sweep"])
def test_a_schema_from_another_version(capsys, config, run, command):
    given = ("plot", run) if command == "plot" else ("sweep", config, "--out", run)
    plan_of_version(run, 99)
    message = refused(capsys, *given)
    assert f"plan.json has schema 99, this gamekl takes {SCHEMA_VERSION}; use the gamekl that made it" in message


@pytest.mark.parametrize("command", ["plot", "report", "results", "sweep"])
def test_a_run_of_schema_5(capsys, config, run, command):
    """As gamekl wrote it before kinds of sweeps were classes: families had the keys of all kinds, null or default."""
    plan_of_version(run, 5)
    path = run / "config.json"
    old = json.loads(path.read_text())
    old["family"] = [family | {"rule": None, "lead": None, "online": None, "scales": []} for family in old["family"]]
    path.write_text(json.dumps(old))
    given = {"sweep": ("sweep", config, "--out", run)}.get(command, (command, run))
    assert "plan.json has schema 5, this gamekl takes 7; use the gamekl that made it" in refused(capsys, *given)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_damaged_plan(capsys, run, content):
    (run / "plan.json").write_bytes(content)
    message = refused(capsys, "plot", run)
    assert "plan.json is damaged" in message or "plan.json has schema" in message


def test_a_damaged_shard(capsys, run):
    victim = sorted((run / "shards").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-9])
    message = refused(capsys, "plot", run)
    assert f"1 shards of {run} are damaged or gone, {victim.stem} among them; run gamekl sweep" in message


def test_a_run_of_another_config(capsys, config, run):
    message = refused(capsys, "sweep", config, "--out", run, "--seed", "3")
    assert f"out: got {run}, which was made by another config: seed (there 0, here 3); takes a new folder" in message


def test_a_run_in_use(capsys, config, run):
    with Store(run).lock():
        assert "which another run is using; takes a free folder" in refused(capsys, "sweep", config, "--out", run)


def test_shards_of_nobody(capsys, config, run):
    (run / "config.json").unlink()
    assert "has shards but no config.json; takes a new folder" in refused(capsys, "sweep", config, "--out", run)


def test_a_config_that_could_not_be_planned_is_no_run(capsys, config):
    """What is mended may go on in the folder in which nothing was computed."""
    config.write_text(HEAD + FAMILY + "concentrability = 1.5")
    assert "takes at least C_min" in refused(capsys, "sweep", config, "--out", "run")
    config.write_text(HEAD + FAMILY)
    main(["sweep", str(config), "--out", "run"])
    assert "2 shards made" in capsys.readouterr().out
