"""The shell scripts: which Pythons and GPUs they find, which environment they keep, what is tested on every Python."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def bash(*arguments, **variables):
    return subprocess.run(
        ["bash", *map(str, arguments)], cwd=ROOT, env=os.environ | variables, capture_output=True, text=True
    )


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def machine(tmp_path):
    """A home and a folder on PATH without any Python, beside what the system has."""
    home, folder = tmp_path / "home", tmp_path / "of my own"
    variables = {"HOME": str(home), "PYENV_ROOT": str(home / "pyenv"), "UV_PYTHON_INSTALL_DIR": str(home / "uv")}
    return home, folder, variables | {"XDG_DATA_HOME": str(home), "PATH": f"{folder}:{os.defpath}"}


def found(variables):
    return [line.split(" ", 1) for line in bash("scripts/pythons.sh", **variables).stdout.splitlines()]


def test_pythons_are_found_by_what_they_say_and_not_by_their_names(machine):
    _, folder, variables = machine
    executable(folder / "python3.97", "echo 'no such version' >&2; exit 127")
    executable(folder / "python3.98", "echo hello")
    executable(folder / "python3.96", "echo 3.99.0 /there/python")
    versions = {version: path for version, path in found(variables)}
    assert versions["3.99.0"] == "/there/python"
    assert not any(version.startswith(("3.96", "3.97", "3.98")) for version in versions)
    # This one is on PATH or is what an environment on PATH was made from.
    minor = ".".join(platform.python_version_tuple()[:2])
    executable(folder / "python3", f'exec "{sys.executable}" "$@"')
    assert any(version.startswith(f"{minor}.") for version, _ in found(variables))


def test_the_newest_patch_of_each_version_is_found_wherever_it_lies(machine):
    home, folder, variables = machine
    executable(folder / "python3.99", "echo 3.99.9 /path")
    executable(home / "pyenv/versions/a/bin/python3", "echo 3.99.10 /pyenv here")
    executable(home / "uv/b/bin/python3.100", "echo 3.100.0 /uv")
    executable(home / "miniforge3/envs/c/bin/python3.98", "echo 3.98.1 /conda")
    assert found(variables)[-3:] == [["3.98.1", "/conda"], ["3.99.10", "/pyenv here"], ["3.100.0", "/uv"]]


def test_an_environment_is_kept_only_while_it_is_what_is_asked_for(tmp_path):
    folder, python = tmp_path / "an environment", tmp_path / "python"
    executable(folder / "bin/python", "echo another")
    executable(folder / "bin/pip", "")
    # Without pip, which takes seconds to install.
    without = f'"{sys.executable}" "$@" --without-pip && ln -s /bin/sh "$4/bin/pip"'
    executable(python, f'if [ "$2" = venv ]; then {without}; else exec "{sys.executable}" "$@"; fi')

    def make():
        command = 'set -eu; source scripts/environment.sh; make_environment "$1"'
        return bash("-c", command, "_", folder, PYTHON=python)

    made = make()
    assert made.returncode == 0 and "anew: its Python is another, and" in made.stderr
    (folder / "mine").touch()
    assert (make().stderr, (folder / "mine").exists()) == ("", True)
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to(tmp_path / "gone")
    assert "anew: its Python is gone, and" in make().stderr
    assert not (folder / "mine").exists()
    printed = subprocess.run(
        [folder / "bin/python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True
    )
    assert printed.stdout.strip() == str(folder)


@pytest.mark.parametrize(("text", "said"), [("echo Python 3.10.1; exit 1", "Python 3.10.1"), ("exit 127", "")])
def test_a_python_that_is_too_old_or_starts_nothing_is_refused(text, said, tmp_path):
    executable(tmp_path / "python", text)
    made = bash(
        "-c", 'source scripts/environment.sh; make_environment "$1"', "_", tmp_path / "e", PYTHON=tmp_path / "python"
    )
    assert made.returncode == 1 and not (tmp_path / "e").exists()
    assert made.stderr.startswith("gamekl needs Python 3.11 or newer;") and f"is {said}" in made.stderr


@pytest.fixture
def gpu_machine(tmp_path):
    """A Python that notes what it is asked for, and what the GPU's own tool says."""
    asked, folder = tmp_path / "asked", tmp_path / "bin"
    executable(folder / "python", f'echo "$@" >>"{asked}"\ncase "$*" in *bench_solve*) echo begun; exit 3 ;; esac')
    executable(folder / "nvidia-smi", "echo 'GPU 0: one'")
    return asked, folder, {"PYTHON": str(folder / "python"), "PATH": f"{folder}:{os.environ['PATH']}"}


def test_without_a_gpu_nothing_is_asked_for(gpu_machine, tmp_path):
    if list(Path("/dev").glob("nvidia[0-9]*")):
        pytest.skip("there is a GPU")
    asked, folder, variables = gpu_machine
    executable(folder / "nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
    told = bash("scripts/gpu.sh", tmp_path / "out", **variables)
    assert (told.returncode, told.stdout) == (1, "") and told.stderr.startswith("no GPU: ")
    assert not asked.exists() and not (tmp_path / "out").exists()
    told = bash("scripts/gpu.sh", **variables)
    assert (told.returncode, told.stderr) == (2, "usage: bash scripts/gpu.sh FOLDER\n") and not asked.exists()


def test_on_a_gpu_a_part_that_fails_is_told_and_stops_no_other(gpu_machine, tmp_path):
    asked, _, variables = gpu_machine
    out = tmp_path / "some where"
    told = bash("scripts/gpu.sh", out, **variables)
    assert told.returncode == 1 and told.stderr == ""
    summary = (out / "summary.txt").read_text().splitlines()
    outcomes = dict(re.fullmatch("(.*): (.*), [0-9]+ s", line).groups() for line in summary)
    assert outcomes.pop("bench_solve") == "failed (3)" and set(outcomes.values()) == {"passed"}
    assert (out / "bench_solve.log").read_text() == "begun\n" and not (out / "compiled").exists()
    parts = asked.read_text()
    assert "pip" not in parts
    assert all(
        part in parts
        for part in ("-m pytest -m gpu", "--dtype float32", f"--engine devices --num-seeds 1000 --out {out}/run")
    )
    shares = re.findall("^part [a-z0-9_]+ ([0-9]+) ", (ROOT / "scripts/gpu.sh").read_text(), flags=re.MULTILINE)
    assert len(shares) == len(summary) and sum(map(int, shares)) < 600


def test_every_folder_of_tests_has_a_file_that_runs_on_every_python():
    chosen = (ROOT / "tests/on_every_python.txt").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / name).is_file() for name in chosen)
    assert {"tests/test_readme.py", "tests/commands/test_cli.py"} <= set(chosen)
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders == {(ROOT / name).parent for name in chosen}
