"""Engines differ in where chunks are computed, and in nothing else."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from gamekl.experiment.run import engines
from gamekl.experiment.run.shards import make_shard
from gamekl.experiment.run.store import Store, StoreError
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import parse_config

# Of solvers whose constants are not predicted, which would take longer than the sweep.
FAMILIES = [
    {
        "label": "pennies",
        "solver": "lcb",
        "scales": [1.0],
        "game": {"kind": "matching_pennies"},
        "reference": [[0.9, 0.1], [0.3, 0.7]],
        "temperatures": [0.5, 1.0],
        "num_samples": {"first": 1000, "decades": 1, "points": 3},
    },
    {
        "label": "exact",
        "solver": "exact",
        "game": {"kind": "matching_pennies"},
        "num_samples": {"first": 1000, "decades": 1, "points": 3},
    },
]
SHARDS = 2 * 3 * 2 + 3 * 2


def config(**changes):
    return parse_config({"name": "e", "seed": 8, "num_seeds": 30, "seeds_per_chunk": 15, "family": FAMILIES, **changes})


def contents(root):
    return {path.name: path.read_bytes() for path in (root / "shards").iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The shards of one thread."""
    root = tmp_path_factory.mktemp("threads")
    assert run_sweep(config(), root, engine=engines.threads(1)) == (SHARDS, SHARDS, 0)
    return contents(root)


def test_more_threads(expected, tmp_path):
    assert run_sweep(config(), tmp_path, engine=engines.threads(3)) == (SHARDS, SHARDS, 0)
    assert contents(tmp_path) == expected


def workers_of(pid):
    """Processes that compute; among the children there is also the one that tracks resources."""
    return [child for child in psutil.Process(pid).children() if "spawn_main" in " ".join(child.cmdline())]


def test_processes_and_one_that_dies(expected, tmp_path):
    """A killed worker costs its chunk's time, no more."""
    killed = []

    def kill():
        while not list(tmp_path.glob("shards/*.parquet")):
            time.sleep(0.01)
        victim = workers_of(os.getpid())[0]
        victim.send_signal(signal.SIGKILL)
        killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    assert run_sweep(config(), tmp_path, engine=engines.processes(2)) == (SHARDS, SHARDS, 0)
    killer.join()
    assert killed and contents(tmp_path) == expected
    assert not workers_of(os.getpid())


def test_parts(expected, tmp_path):
    """Three parts, two of them at once, make the whole, and a part that is done is not done again."""
    seconds = [threading.Thread(target=run_sweep, args=(config(), tmp_path), kwargs={"part": (k, 3)}) for k in (3, 1)]
    for second in seconds:
        second.start()
    for second in seconds:
        second.join()
    assert 0 < len(contents(tmp_path)) < SHARDS
    assert run_sweep(config(), tmp_path, part=(2, 3)).missing == 0
    assert contents(tmp_path) == expected
    assert run_sweep(config(), tmp_path, part=(2, 3)).made == 0
    assert run_sweep(config(), tmp_path) == (SHARDS, 0, 0)


@pytest.mark.parametrize("part", [(0, 3), (4, 3), (1, 0)])
def test_no_such_part(tmp_path, part):
    with pytest.raises(ValueError, match=f"chunk: got {part[0]}/{part[1]}, takes K/N with K from 1 to N"):
        run_sweep(config(), tmp_path, part=part)


def test_stop(expected, tmp_path):
    """What is under way is kept; the rest is left for the next run."""
    stop = threading.Event()

    def one_by_one(work, chunks, meet):
        for done, entry in enumerate(engines.threads(1)(work, chunks, meet)):
            if done == 4:
                stop.set()
            yield entry

    outcome = run_sweep(config(), tmp_path, engine=one_by_one, stop=stop)
    assert outcome.planned == SHARDS and 5 <= outcome.made <= 6 and outcome.missing == SHARDS - outcome.made
    assert contents(tmp_path).items() <= expected.items()
    assert run_sweep(config(), tmp_path) == (SHARDS, outcome.missing, 0)
    assert contents(tmp_path) == expected


def test_an_engine_that_fails_keeps_what_is_done(expected, tmp_path):
    def failing(work, chunks, meet):
        for done, entry in enumerate(engines.threads(1)(work, chunks, meet)):
            if done == 3:
                raise engines.EngineError("engine: no more")
            yield entry

    with pytest.raises(engines.EngineError, match="no more"):
        run_sweep(config(), tmp_path, engine=failing)
    assert len(contents(tmp_path)) == 3
    assert run_sweep(config(), tmp_path) == (SHARDS, SHARDS - 3, 0)
    assert contents(tmp_path) == expected


def always_dying(work, chunk):
    """Instead of `make_shard`, in a worker."""
    os._exit(1)


def test_workers_that_always_die(monkeypatch, tmp_path):
    monkeypatch.setattr(engines, "make_shard", always_dying)
    with pytest.raises(engines.EngineError, match=r"workers died 3 times before any shard was made; takes a script"):
        run_sweep(config(), tmp_path, engine=engines.processes(2))


def dying_over_the_last(work, chunk):
    """Instead of `make_shard`, in a worker."""
    if (chunk.case, chunk.point, chunk.first_seed) == (2, 2, 15):
        os._exit(1)
    return make_shard(work, chunk)


@pytest.mark.slow
def test_workers_that_die_over_one_chunk(expected, monkeypatch, tmp_path):
    """All others are made."""
    monkeypatch.setattr(engines, "make_shard", dying_over_the_last)
    with pytest.raises(
        engines.EngineError, match=r"workers died 3 times over shard 002-exact-n002-b0001 .*less memory"
    ):
        run_sweep(config(), tmp_path, engine=engines.processes(1))
    assert contents(tmp_path).items() < expected.items() and len(contents(tmp_path)) == SHARDS - 1


# A process of its own, because jax's devices cannot change once they are there. It runs the sweep, and then looks at
# the very program that it ran.
EIGHT = """
import json, sys
import jax
from gamekl.experiment.kinds import computing
from gamekl.experiment.run import engines
from gamekl.experiment.schema.load import parse_config
from gamekl.experiment.run.sweep import run_sweep

calls, original = [], computing.on_devices

def spy(batch, mesh):
    spread = original(batch, mesh)
    return lambda *arguments: calls.append((spread, arguments)) or spread(*arguments)

computing.on_devices = spy
run_sweep(parse_config(json.loads(sys.argv[1])), sys.argv[2], engine=engines.devices())
spread, arguments = calls[0]
with jax.enable_x64(True):
    text = spread.lower(*arguments).compile().compiled.as_text()
words = ("all-reduce", "all-gather", "all-to-all", "collective-permute", "collective-broadcast", "reduce-scatter")
found = [word for word in words if word in text]
print(json.dumps({"rows": arguments[0].shape, "loops": text.count(" while("), "found": found}))
"""


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), pytest.param("float32", 1e-6, marks=pytest.mark.slow)]
)
def test_eight_devices(tmp_path, dtype, tolerance):
    """Games over eight devices: the numbers of one device, and no device waits for another inside the solver."""
    game = {"kind": "uniform", "num_actions": [2, 2], "num_games": 6}
    samples = {"first": 1000, "decades": 1, "points": 2}
    families = [
        {
            "label": "lcb",
            "solver": "lcb",
            "scales": [1.0],
            "game": game,
            "temperatures": [0.5],
            "num_samples": samples,
        },
        {"label": "exact", "solver": "exact", "game": {"kind": "matching_pennies"}, "num_samples": samples},
    ]
    asked = {"name": "e", "num_seeds": 5, "seeds_per_chunk": 5, "dtype": dtype, "family": families}
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = os.environ | {"XLA_FLAGS": flags}
    command = [sys.executable, "-c", EIGHT, json.dumps(asked), str(tmp_path / "eight")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["rows"] == [24, 2]  # a quarter of each game's seeds; three such rows for each device
    assert found["loops"] > 0 and found["found"] == []
    run_sweep(parse_config(asked), tmp_path / "one", engine=engines.threads(1))
    one, eight = contents(tmp_path / "one"), contents(tmp_path / "eight")
    assert one.keys() == eight.keys()
    for name in one:
        here, there = (pq.read_table(io.BytesIO(content)).to_pydict() for content in (one[name], eight[name]))
        for column, values in here.items():
            if values and isinstance(values[0], float):
                np.testing.assert_allclose(there[column], values, rtol=0, atol=tolerance)
            else:
                assert there[column] == values
    assert {run.origin.devices for run in Store(tmp_path / "eight").runs()} == {8}


def test_a_folder_in_use_by_a_part(tmp_path):
    with Store(tmp_path).share(), pytest.raises(StoreError, match="another run is using"):
        run_sweep(config(), tmp_path)
