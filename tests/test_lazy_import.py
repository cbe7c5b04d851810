"""What is not asked for is not loaded; every public name has one home."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gamekl as gk

HEAVY = {"jax", "jaxlib", "numpy", "scipy", "pyarrow", "matplotlib", "equinox"}
SCRIPT = shutil.which("gamekl", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")


def loaded(*command):
    """The top-level modules that a Python command loads, from the interpreter's own list, and what it prints."""
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    names = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {name.split(".")[0] for name in names}, done.stdout


def test_the_list_of_modules_shows_heavy_ones():
    assert {"numpy", "gamekl"} <= loaded(sys.executable, "-c", "import gamekl, numpy")[0]


@pytest.mark.parametrize(
    "command",
    [
        ("-c", "import gamekl; print(gamekl.__version__, dir(gamekl))"),
        ("-m", "gamekl", "--help"),
        ("-m", "gamekl", "-h"),
        ("-m", "gamekl"),
        ("-m", "gamekl", "--version"),
    ],
    ids=" ".join,
)
def test_python_loads_nothing_heavy(command):
    names, _ = loaded(sys.executable, *command)
    assert "gamekl" in names
    assert not names & HEAVY


@pytest.mark.skipif(SCRIPT is None, reason="the script gamekl is not installed")
@pytest.mark.parametrize(("flag", "text"), [("--help", "sweep CONFIG"), ("--version", gk.__version__)])
def test_script_loads_nothing_heavy(flag, text):
    names, printed = loaded(SCRIPT, flag)
    assert text in printed
    assert "gamekl" in names
    assert not names & HEAVY


@pytest.mark.parametrize("command", ["sweep", "plot", "report", "results", "data", "solve", "correlated", "path"])
def test_help_of_a_command_loads_no_jax(command):
    names, printed = loaded(sys.executable, "-m", "gamekl", command, "--help")
    assert f"gamekl {command}" in printed
    assert not names & {"jax", "jaxlib", "matplotlib", "pyarrow"}


@pytest.mark.parametrize("module", ["schema.config", "schema.load", "run.store", "run.progress"])
def test_experiment_module_loads_no_jax(module):
    names, _ = loaded(sys.executable, "-c", f"import gamekl.experiment.{module}")
    assert not names & {"jax", "jaxlib", "equinox", "matplotlib"}


def test_a_name_loads_its_home_on_first_use():
    code = "import sys, gamekl; assert 'jax' not in sys.modules; gamekl.Regularizer; assert 'jax' in sys.modules"
    assert "jax" in loaded(sys.executable, "-c", code)[0]


WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"matplotlib", "pyarrow", "pydantic", "rich", "tyro"}:
            raise ModuleNotFoundError(f"{name} is not installed", name=name)

sys.meta_path.insert(0, Absent())
import gamekl as gk

for name in gk.__all__:
    getattr(gk, name)
game = gk.games.matching_pennies()
anchor = gk.Regularizer.uniform(game, 0.5)
print(gk.solve_nash(game, anchor).status.item(), gk.gamd(game, anchor, num_rounds=10).status.item())
try:
    gk.offline.read_log
except ModuleNotFoundError as error:
    print(error)
"""


def test_solvers_and_estimates_need_none_of_what_plots_logs_and_the_shell_need():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[0] == "0 0", done.stderr[-2000:]
    assert "is not installed" in done.stdout


@pytest.mark.parametrize("name", gk.__all__)
def test_public_name_resolves(name):
    value = getattr(gk, name)
    home = gk._HOMES[name]
    if home is None:
        assert value is importlib.import_module(f"gamekl.{name}")
    else:
        assert value is getattr(importlib.import_module(f"gamekl.{home}"), name)
        assert value.__module__ == f"gamekl.{home}"  # its true home, not a module that imports it


def test_homes_and_all_agree():
    assert sorted(gk._HOMES) == gk.__all__
    assert set(gk.__all__) <= set(dir(gk))


@pytest.mark.parametrize("folder", ["games", "offline", "evaluate"])
def test_all_of_a_folder_resolves(folder):
    module = getattr(gk, folder)
    assert all(hasattr(module, name) for name in module.__all__)
    assert len(set(module.__all__)) == len(module.__all__)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="no attribute 'equilibrium'"):
        gk.equilibrium  # noqa: B018
    with pytest.raises(ImportError, match="equilibrium"):
        exec("from gamekl import equilibrium")  # noqa: S102
