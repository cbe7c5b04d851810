"""Compiled programs that are kept between runs: used where they fit, and never in the way."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from shell_helpers import run

import gamekl as gk
from gamekl.commands import programs
from gamekl.commands.programs import VARIABLE, call, folder, keep_programs

PAYOFFS = np.array([[[2.0, 0], [0, 1]], [[1, 0], [0, 2]]])
TEMPERATURE = np.array(0.7)


@pytest.fixture
def place(tmp_path):
    return folder(str(tmp_path / "kept"), tmp_path)


def kept(place):
    return sorted(path for path in place.iterdir() if path.name.startswith("nash-"))


def solve(place, payoffs=PAYOFFS):
    return call(place, "nash", payoffs, TEMPERATURE, None, options={})


@pytest.fixture
def compilations(monkeypatch):
    """What is compiled from now on."""
    found = []
    whole = programs._compile
    monkeypatch.setattr(programs, "_compile", lambda name, *rest: found.append(name) or whole(name, *rest))
    return found


def test_a_program_is_compiled_once_and_finds_the_equilibrium(place, compilations):
    first, second = solve(place), solve(place)
    assert compilations == ["nash"] and len(kept(place)) == 1
    game = gk.NormalFormGame(PAYOFFS)
    expected = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.7))
    for found in (first, second):
        for player, log_policy in enumerate(expected.log_policy):
            np.testing.assert_allclose(found[f"log_policy_{player}"], log_policy, atol=1e-9)
        np.testing.assert_allclose(found["nash_gap"], gk.nash_gap(game, expected.log_policy), atol=1e-9)
        assert found["status"] == gk.Status.converged


def test_other_games_of_the_shape_share_it_and_others_do_not(place, compilations):
    solve(place)
    assert solve(place, PAYOFFS[::-1])["status"] == 0 and compilations == ["nash"]
    solve(place, np.ones((2, 2, 3)))
    solve(place, PAYOFFS.astype(np.float32))
    assert compilations == ["nash"] * 3


@pytest.mark.parametrize(
    ("name", "value"), [("_processor", lambda: "another"), ("_sources", lambda: [b"other"]), ("__version__", "0")]
)
def test_other_processors_sources_and_versions_have_their_own(tmp_path, compilations, monkeypatch, name, value):
    solve(folder(str(tmp_path / "kept"), tmp_path))
    monkeypatch.setattr(programs, name, value)
    folder.cache_clear()
    solve(folder(str(tmp_path / "kept"), tmp_path))
    assert compilations == ["nash"] * 2


def test_settings_of_jax_have_their_own(place, compilations, monkeypatch):
    solve(place)
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    solve(place)
    assert compilations == ["nash"] * 2


def test_options_that_xla_does_not_know_are_left_out(place):
    options = {"xla_backend_optimization_level": 0, "xla_no_such_option": True}
    assert call(place, "nash", PAYOFFS, TEMPERATURE, None, options=options)["status"] == 0


def damaged(content, how):
    middle = len(content) // 2
    match how:
        case "cut":
            return content[:middle]
        case "empty":
            return b""
        case "flipped":
            return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    return b"garbage" * 1000


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "garbage"])
def test_a_damaged_program_is_made_anew(place, compilations, how):
    expected = solve(place)
    (path,) = kept(place)
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, how))
    np.testing.assert_array_equal(solve(place)["gap"], expected["gap"])
    assert compilations == ["nash"] * 2
    solve(place)
    assert compilations == ["nash"] * 2  # it is whole again


def test_a_program_that_does_not_load_is_made_anew(place, compilations):
    solve(place)
    (path,) = kept(place)
    packed = b"no pickle"
    path.write_bytes(programs.hashlib.sha256(packed).digest() + packed)
    assert solve(place)["status"] == 0 and compilations == ["nash"] * 2


def test_a_full_disk_is_no_trouble_and_leaves_nothing(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert solve(place)["status"] == 0
    assert list(place.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_none(tmp_path):
    (tmp_path / "file").touch()
    assert folder(str(tmp_path / "file" / "kept"), tmp_path) is None
    assert folder(str(tmp_path / "file"), tmp_path) is None
    assert folder(None, tmp_path / "file") is None


@pytest.mark.parametrize("word", ["off", "OFF", "0", "no", "false"])
def test_it_can_be_turned_off(tmp_path, word):
    assert folder(word, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_users_alone(tmp_path):
    found = folder(None, tmp_path)
    assert found.parent == tmp_path / "gamekl"
    assert found.stat().st_mode & 0o777 == found.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name == "nt", reason="modes are no protection there")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_is_refused(tmp_path, caplog, mode):
    root = tmp_path / "kept"
    root.mkdir()
    root.chmod(mode)
    assert folder(str(root), tmp_path) is None
    assert f"{VARIABLE}: got {root}, takes a folder that nobody else may write" in caplog.text
    assert list(root.iterdir()) == []


def test_a_link_is_refused(tmp_path, caplog):
    (tmp_path / "there").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert folder(str(tmp_path / "link"), tmp_path) is None
    assert "takes a folder that nobody else may write" in caplog.text


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owner there")
def test_a_folder_of_somebody_else_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert folder(str(tmp_path), tmp_path) is None


def test_what_was_used_longest_ago_goes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "MOST_BYTES", 250)
    for age, name in enumerate(("new", "older", "oldest")):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    programs._trim(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "older"]


def test_settings_of_a_process_that_has_jax_stay(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    before = dict(os.environ)
    assert keep_programs(True) is not None and keep_programs(False) is None
    assert dict(os.environ) == before


@pytest.mark.parametrize("flags", [[], ["--no-cache"]])
def test_the_flag(capsys, tmp_path, monkeypatch, flags):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    game = gk.NormalFormGame(PAYOFFS)
    gk.games.write_nfg(game, tmp_path / "game.nfg")
    status, out, _ = run(capsys, "solve", tmp_path / "game.nfg", "--temperature", 0.7, *flags)
    assert status == 0 and "converged" in out
    assert (tmp_path / "kept").exists() == (not flags)


def fresh(tmp_path, *command, **variables):
    """What a new process prints, and the modules that it loads."""
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    environment |= {"PYTHONPROFILEIMPORTTIME": "1", "XDG_CACHE_HOME": str(tmp_path / "caches"), **variables}
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stderr.splitlines()
    return done.stdout, {line.rpartition("|")[2].strip().split(".")[0] for line in lines if line[:12] == "import time:"}


def test_a_second_run_prints_the_same_and_loads_what_makes_no_programs(tmp_path):
    gk.games.write_nfg(gk.NormalFormGame(PAYOFFS), tmp_path / "game.nfg")
    command = ("-m", "gamekl", "solve", "game.nfg", "--temperature", 0.7)
    first, loaded = fresh(tmp_path, *command)
    assert "equinox" in loaded and "converged" in first
    second, loaded = fresh(tmp_path, *command)
    assert second == first and "jax" in loaded
    assert not loaded & {"equinox", "scipy", "pydantic", "tyro", "matplotlib", "jaxtyping"}


@pytest.mark.parametrize(
    "command",
    [("solve", "--concept", "ce"), ("path", "--at-branching", "cross", "--temperatures", "1,.2")],
    ids=" ".join,
)
def test_a_kept_program_that_calls_lapack_finds_it(tmp_path, command):
    """In a new process, which has lowered nothing yet; and there is nothing to be made but the call."""
    gk.games.write_nfg(gk.NormalFormGame(np.stack([np.eye(2)] * 2)), tmp_path / "game.nfg")
    name, *flags = command
    first, _ = fresh(tmp_path, "-m", "gamekl", name, "game.nfg", *flags)
    second, loaded = fresh(tmp_path, "-m", "gamekl", name, "game.nfg", *flags)
    assert second == first and "converged" in first
    assert "jax" in loaded and not loaded & {"equinox", "pydantic", "tyro", "matplotlib", "jaxtyping"}


def test_a_program_that_jax_has_kept_too_is_stored_whole(tmp_path):
    """As after an update that leaves the program as it is: of what XLA has loaded it would not store all parts."""
    gk.games.write_nfg(gk.NormalFormGame(np.stack([np.eye(2)] * 2)), tmp_path / "game.nfg")
    command = ("-m", "gamekl", "path", "game.nfg", "--temperature", ".3")
    first, _ = fresh(tmp_path, *command)
    (path,) = (tmp_path / "caches").glob("gamekl/*/path-*")
    path.unlink()
    for _ in range(2):
        assert fresh(tmp_path, *command)[0] == first


def test_the_library_keeps_nothing(tmp_path):
    code = "import gamekl as gk; g = gk.games.matching_pennies(); gk.solve_nash(g, gk.Regularizer.uniform(g, 1.0))"
    fresh(tmp_path, "-c", code)
    assert not (tmp_path / "caches").exists()


def test_a_new_process_tells_jax_and_those_that_it_starts(tmp_path):
    code = (
        "import os; from gamekl.commands.programs import keep_programs; print(keep_programs(True))\n"
        "import jax; print(jax.config.jax_compilation_cache_dir); print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
    )
    printed, _ = fresh(tmp_path, "-c", code)
    returned, configured, inherited = printed.split()
    assert returned == configured == inherited and returned.startswith(str(tmp_path / "caches" / "gamekl"))
