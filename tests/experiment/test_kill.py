"""Sweeps that are killed in the middle and resumed: as if nothing had happened, byte for byte."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from gamekl.experiment.store import Store

HEAD = """
name = "killed"
seed = 11
num_seeds = 1000
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
# Temperatures by sample sizes by blocks of seeds.
SHARDS = 2 * 12 * 5 + 12 * 5


# Shells start their background jobs with SIGINT ignored, and their children inherit that.
INTERRUPTIBLE = """
import signal
from gamekl.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main()
"""


class Runs:
    """Sweeps of one config by the command line, in a folder with a compilation cache of its own."""

    def __init__(self, folder, config, program=("-m", "gamekl")):
        self.folder, self.program = folder, program
        (folder / "config.toml").write_text(config)
        self.environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }

    def start(self, out):
        command = [sys.executable, *self.program, "sweep", "config.toml", "--out", str(out)]
        with open(self.folder / "stderr", "ab") as errors:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True
            )

    def finish(self, out):
        """Run to the end; returns what it prints."""
        process = self.start(out)
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, (self.folder / "stderr").read_text()[-2000:]
        return printed

    def stop(self, out, target, delay, number):
        """Send a signal soon after as many shards are published; returns the exit status and what was printed."""
        process = self.start(out)
        try:
            deadline = time.monotonic() + 300
            while process.poll() is None and len(published(out)) < target:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            time.sleep(delay)
            process.send_signal(number)
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


def check_kills(folder, kills, seed):
    runs = Runs(folder, HEAD + GANE + EXACT)
    assert f"{SHARDS} shards made, 0 were there" in runs.finish(folder / "whole")
    expected = contents(folder / "whole")
    rng = random.Random(seed)  # noqa: S311
    out = folder / "killed"
    # Spread over the whole length, in order, because every run goes on where the last one ended.
    length = int(0.85 * SHARDS)
    targets = [0, *(int((index + rng.random()) * length / (kills - 1)) for index in range(kills - 1))]
    killed, before = 0, set()
    for target in targets:
        delay = rng.uniform(0, 2.0 if target == 0 else 0.02)
        status, _ = runs.stop(out, target, delay, signal.SIGKILL)
        assert status in (-signal.SIGKILL, 0)
        killed += status == -signal.SIGKILL
        if out.exists():
            whole = check_whole_so_far(out, expected)
            assert before <= whole  # what was done stays done
            before = whole
    assert killed >= kills - 1  # on a busy machine one may have come too late
    printed = runs.finish(out)
    assert f"{SHARDS - len(before)} shards made, {len(before)} were there" in printed
    found = contents(out)
    assert sorted(found) == sorted(expected)  # no leftovers, none missing
    assert found == expected
    assert Store(out).verified() == ({name.removesuffix(".parquet") for name in expected}, set())
    assert Store(out).read().num_rows == SHARDS * 200
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [".lock", "config.json", "events.jsonl", "manifest.jsonl", "plan.json", "shards"]
    )


def test_four_kills(tmp_path):
    check_kills(tmp_path, kills=4, seed=1)


@pytest.mark.slow
def test_twenty_kills(tmp_path):
    check_kills(tmp_path, kills=20, seed=2)


def test_interrupt(tmp_path):
    """Control-C says how to go on."""
    runs = Runs(tmp_path, HEAD + EXACT, ("-c", INTERRUPTIBLE))
    runs.finish(tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    out = tmp_path / "stopped"
    status, printed = runs.stop(out, 10, 0, signal.SIGINT)
    assert (status, printed) == (1, "")
    errors = (tmp_path / "stderr").read_text()
    assert f"interrupted; the same command goes on from what {out} holds" in errors
    assert "Traceback" not in errors
    assert 9 <= len(check_whole_so_far(out, expected)) < len(expected)  # the tenth may be published but not listed
    runs.finish(out)
    assert contents(out) == expected
