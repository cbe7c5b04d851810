"""A rule, an estimator, a metric and a kind of sweep from outside the package: swept, plotted and reported."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import gamekl as gk
from gamekl.experiment.kinds import KINDS
from gamekl.experiment.schema.cases import Case, Curve, Plan

TESTS = Path(__file__).parent.parent
TOML = """
name = "outside"
seed = 3
num_seeds = 200
plugins = ["plugin.imitation"]

[[family]]
label = "watched"
solver = "imitate"
game = { kind = "uniform", num_actions = [3, 3], num_games = 2 }
temperatures = [0.3]
num_samples = { first = 100, decades = 2, points = 3 }

[[family]]
label = "shrunk"
estimator = "outside_shrunk"
game = { kind = "uniform", num_actions = [2, 2] }
temperatures = [0.5]
metrics = ["regularized_gap", "welfare_loss"]
num_samples = { first = 1000, decades = 1, points = 2 }

[[family]]
label = "slow"
panel = "rules"
solver = "follow"
rule = { name = "outside_slow", step_size = 0.2 }
game = { kind = "uniform", num_actions = [3, 3] }
temperatures = [0.5]
num_rounds = { first = 10, decades = 2, points = 3 }

[[family]]
label = "MMD"
panel = "rules"
solver = "follow"
rule = { name = "mmd", step_size = 0.1 }
game = { kind = "uniform", num_actions = [3, 3] }
temperatures = [0.5]
num_rounds = { first = 10, decades = 2, points = 3 }
"""


def shell(*words, folder, path=(TESTS, TESTS.parent)):
    """`gamekl` in a process of its own, which finds the plugin on Python's path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-m", "gamekl", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def printed(*words, **where):
    done = shell(*words, **where)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Swept in processes, each of which imports the plugin; tests must not change it."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "c.toml").write_text(TOML.replace('reference = "x"', ""))
    printed("sweep", "c.toml", "--out", "run", "--engine", "processes", "--workers", "1", folder=folder)
    printed("results", "run", "--out", "rows.parquet", folder=folder)
    return folder


def test_a_kind_and_its_metric(swept):
    """The error of shares is what the plugin predicts."""
    rows = pq.read_table(swept / "rows.parquet").to_pandas().query("label == 'watched'")
    means = rows.groupby("num_samples")["imitation_error"].mean()
    [case, *_] = json.loads((swept / "run" / "plan.json").read_text())["cases"]
    assert len(rows) == 3 * 2 * 200 and rows["regularized_gap"].isna().all()
    np.testing.assert_allclose(means * means.index / case["constant"], 1, atol=0.15)
    text = printed("plot", "run", folder=swept, path=[TESTS.parent])  # what is swept is shown anywhere
    [line] = [line for line in text.splitlines() if line.startswith("watched")]
    assert f"{case['constant']:.4g}" in line and "0 of 1200" in line
    assert "error of imitation" in (swept / "run" / "figure.svg").read_text()


def test_a_metric_of_any_profile_and_an_estimator(swept):
    rows = pq.read_table(swept / "rows.parquet").to_pandas().query("label == 'shrunk'")
    assert (rows["welfare_loss"] >= 0).all() and rows["welfare_loss"].nunique() > 100
    assert (rows["status"] == 0).all()


def test_a_rule(swept):
    """Half of the steps of 0.2 are steps of 0.1."""
    rows = pq.read_table(swept / "rows.parquet").to_pandas()
    slow, plain = (rows.query(f"label == '{label}'") for label in ("slow", "MMD"))
    assert list(slow["num_rounds"]) == [10, 100, 1000] and len(plain) == 3
    np.testing.assert_array_less(slow["regularized_gap"].to_numpy()[1:], 1e-3)


def test_they_are_reported(swept):
    printed("report", "run", "--out", "report.html", folder=swept)
    page = (swept / "report.html").read_text()
    assert "imitate" in page and "error of imitation" in page and "loss of welfare" in page


def test_what_is_not_there_is_named(tmp_path):
    (tmp_path / "c.toml").write_text(TOML.replace("plugin.imitation", "plugin.nowhere"))
    done = shell("sweep", "c.toml", folder=tmp_path)
    assert done.returncode and "Traceback" not in done.stderr
    assert "plugins: got 'plugin.nowhere', which cannot be imported (ModuleNotFoundError" in done.stderr


EXPERIMENT = Path(gk.__file__).parent / "experiment"


def compared_names(tree):
    """Texts that something is compared with, looked up by, or that are keys of a table."""
    for node in ast.walk(tree):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            for inner in ast.walk(part):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.value, node.lineno


def test_nobody_else_asks_which_kind_it_is():
    """In `kinds` alone the name of a kind is compared with anything."""
    found = []
    for path in sorted(EXPERIMENT.rglob("*.py")):
        if "kinds" not in path.parts:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [f"{path.name}:{line} {name}" for name, line in compared_names(tree) if name in KINDS]
    assert found == []
    assert set(KINDS) >= {"gane", "gamd", "follow", "lead", "online"}


@pytest.mark.parametrize(
    "source",
    ["x.solver == 'gane'", "x in ('lead', 'y')", "t['online']", "{'follow': 1}", "match x:\n    case 'gamd': pass"],
)
def test_the_look_out_sees(source):
    assert any(name in KINDS for name, _ in compared_names(ast.parse(source)))


def test_cases_and_plans_are_no_tables():
    """Their fields are attributes: none is looked up by its name."""
    names = {*Case.model_fields, *Curve.model_fields, *Plan.model_fields}
    for kind in (Case, Curve, Plan):
        assert not hasattr(kind, "__getitem__")
    found = []
    for path in sorted((EXPERIMENT / "run").glob("*.py")) + sorted((EXPERIMENT / "show").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            held = isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name | ast.Attribute)
            if held and isinstance(node.slice, ast.Constant) and node.slice.value in names:
                of = ast.unparse(node.value)
                found += [f"{path.name}:{node.lineno} {of}"] if of.split(".")[-1] in ("case", "plan", "curve") else []
    assert found == []
