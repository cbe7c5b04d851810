"""Sweeps that are killed in the middle and resumed: as if nothing had happened, byte for byte."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from gamekl.experiment.run.store import Store

HEAD = """
name = "killed"
seed = 11
num_seeds = {}
seeds_per_chunk = 200
"""
GANE = """
[[family]]
label = "pennies"
game = { kind = "matching_pennies" }
reference = [[0.9, 0.1], [0.3, 0.7]]
temperatures = [0.5, 1.0]
num_samples = { points = 12 }
"""
EXACT = """
[[family]]
label = "exact"
solver = "exact"
game = { kind = "matching_pennies" }
num_samples = { first = 100, points = 12 }
"""
SMALL = HEAD.format(1000) + EXACT


class Runs:
    """Sweeps of one config by the command line, which share what they compile."""

    def __init__(self, folder, cache, config, *flags):
        self.folder, self.flags = folder, flags
        (folder / "config.toml").write_text(config)
        self.environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def start(self, out):
        """As the leader of a process group, as shells and `timeout` do."""
        command = [sys.executable, "-m", "gamekl", "sweep", "config.toml", "--out", str(out), *self.flags]
        options = {"cwd": self.folder, "env": self.environment, "text": True, "start_new_session": True}
        with open(self.folder / "stderr", "ab") as errors:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **options)

    def finish(self, out):
        """Run to the end; returns what it prints."""
        process = self.start(out)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, (self.folder / "stderr").read_text()[-2000:]
        return printed

    def stop(self, out, target, delay, send):
        """`send` to the process soon after so many shards are published; returns its status and what it printed."""
        process = self.start(out)
        try:
            deadline = time.monotonic() + 300
            while process.poll() is None and len(published(out)) < target:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(delay)
            send(process)
            printed, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        return process.returncode, printed


def published(out):
    shards = out / "shards"
    return {entry.name for entry in os.scandir(shards) if entry.name.endswith(".parquet")} if shards.exists() else set()


def contents(out):
    return {path.name: path.read_bytes() for path in (out / "shards").iterdir()}


def check_whole_so_far(out, expected):
    """Each file that has a shard's name is that shard, whole; what the manifest lists is there."""
    for name in published(out):
        assert (out / "shards" / name).read_bytes() == expected[name]
    whole, damaged = Store(out).verified()
    assert not damaged
    return {f"{name}.parquet" for name in whole}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Of compiled programs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def expected(tmp_path_factory, cache):
    """The shards of the small config, made by threads in one go."""
    folder = tmp_path_factory.mktemp("whole")
    Runs(folder, cache, SMALL, "--engine", "threads").finish(folder / "run")
    return contents(folder / "run")


def check_kills(folder, cache, kills, seed, engine, blocks):
    runs = Runs(folder, cache, HEAD.format(200 * blocks) + GANE + EXACT, "--engine", engine)
    shards = (2 + 1) * 12 * blocks  # cases by sample sizes by blocks of seeds
    assert f"{shards} shards made, 0 were there" in runs.finish(folder / "whole")
    expected = contents(folder / "whole")
    rng = random.Random(seed)  # noqa: S311
    out = folder / "killed"
    # Spread over the whole length, in order, because every run goes on where the last one ended.
    length = int(0.85 * shards)
    targets = [0, *(int((index + rng.random()) * length / (kills - 1)) for index in range(kills - 1))]
    killed, before = 0, set()
    for target in targets:
        delay = rng.uniform(0, 2.0 if target == 0 else 0.02)
        status, _ = runs.stop(out, target, delay, subprocess.Popen.kill)
        assert status in (-signal.SIGKILL, 0)
        killed += status == -signal.SIGKILL
        if out.exists():
            whole = check_whole_so_far(out, expected)
            assert before <= whole  # what was done stays done
            before = whole
    assert killed >= kills - 1  # on a busy machine one may have come too late
    printed = runs.finish(out)
    assert f"{shards - len(before)} shards made, {len(before)} were there" in printed
    found = contents(out)
    assert sorted(found) == sorted(expected)  # no leftovers, none missing
    assert found == expected
    assert Store(out).verified() == ({name.removesuffix(".parquet") for name in expected}, set())
    assert Store(out).read().num_rows == shards * 200
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".lock", "config.json", "events.jsonl", "manifest", "plan.json", "shards"]
    )
    assert not [path for path in (out / "manifest").iterdir() if path.suffix != ".jsonl"]


@pytest.mark.parametrize("engine", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_two_kills(tmp_path, cache, engine):
    check_kills(tmp_path, cache, 2, 1, engine, blocks=2)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_a_hundred_kills(tmp_path, cache, engine):
    check_kills(tmp_path, cache, 100, 2, engine, blocks=5)


def control_c(process):
    """What a terminal does: the whole group gets it."""
    os.killpg(process.pid, signal.SIGINT)


def timeout(process):
    """What the command of this name and batch systems do: the process gets it, and then its group."""
    process.send_signal(signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)


@pytest.mark.parametrize(
    "send, engine",
    [
        (control_c, "threads"),
        (timeout, "threads"),
        pytest.param(control_c, "processes", marks=pytest.mark.slow),
        pytest.param(timeout, "processes", marks=pytest.mark.slow),
    ],
)
def test_interrupt(tmp_path, cache, expected, send, engine):
    """Chunks under way are kept, and one is told how to go on."""
    runs = Runs(tmp_path, cache, SMALL, "--engine", engine)
    out = tmp_path / "stopped"
    status, printed = runs.stop(out, 10, 0, send)
    assert (status, printed) == (1, "")
    errors = (tmp_path / "stderr").read_text()
    assert "the chunks under way are finished and kept" in errors
    assert f"shards are missing: the same command goes on from what {out} holds" in errors
    assert "Traceback" not in errors and "a worker died" not in errors
    whole = check_whole_so_far(out, expected)
    assert whole == published(out) and 10 <= len(whole) < len(expected)
    runs.finish(out)
    assert contents(out) == expected


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 kB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mount is not permitted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(tmp_path, cache, expected, small_disk):
    """One message; what fitted is whole, and the sweep goes on when there is room."""
    runs = Runs(tmp_path, cache, SMALL)
    out = small_disk / "run"
    process = runs.start(out)
    assert process.wait(timeout=300) == 2
    process.communicate()
    errors = (tmp_path / "stderr").read_text()
    assert f"out: got {out}, where gamekl cannot write (No space left on device)" in errors
    assert "Traceback" not in errors
    whole = check_whole_so_far(out, expected)
    assert 0 < len(whole) < len(expected)
    subprocess.run(["mount", "-o", "remount,size=40m", str(small_disk)], check=True)
    assert f"{len(expected) - len(whole)} shards made" in runs.finish(out)
    assert contents(out) == expected
