"""What a sweep will take, told before it is run, against what it then takes; few shapes, because each is compiled."""

import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from shell_helpers import run

from gamekl.experiment.run import forecast as module
from gamekl.experiment.run import progress
from gamekl.experiment.run.forecast import forecast, plan_sweep
from gamekl.experiment.run.plan import make_chunks
from gamekl.experiment.run.shards import Compiled, Work, compile_program
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import config_toml, parse_config
from gamekl.experiment.show.forecast import format_forecast

SAMPLES = {"first": 100, "decades": 1, "points": 2}
GANE = {"label": "gane", "game": {"kind": "matching_pennies"}, "temperatures": [0.5, 1.0], "num_samples": SAMPLES}
EXACT = {"label": "exact", "solver": "exact", "game": {"kind": "matching_pennies"}, "num_samples": SAMPLES}
NEURAL = {
    "label": "network",
    "estimator": "neural",
    "game": {"kind": "context_linear", "num_actions": [2, 2], "parameters": {"num_contexts": 3, "num_features": 2}},
    "temperatures": [0.5, 1.0],
    "num_samples": {"first": 20, "decades": 0.5, "points": 3},
}
# 30 seeds in chunks of 7: the fifth chunk has 2.
RAGGED = {"name": "ragged", "seed": 3, "num_seeds": 30, "seeds_per_chunk": 7, "family": [GANE, EXACT]}
GIB = 2**30


def sweep(**changes):
    return parse_config({**RAGGED, **changes})


def all_chunks(config, **options):
    plan = plan_sweep(config, **options)
    return Work.of(config, plan), make_chunks(plan)


def test_dry_run(capsys, tmp_path, monkeypatch):
    """A line for each case while it is planned and timed; then a table; and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(config_toml(sweep(family=[GANE])))
    status, out, err = run(capsys, "sweep", "config.toml", "--dry-run", "--workers", "1")
    assert status == 0
    names = ["gane (τ=0.5)", "gane (τ=1)"]
    assert err.splitlines() == [
        f"{work} case {number} of 2: {name}" for work in ("planning", "timing") for number, name in enumerate(names, 1)
    ]
    header, *rows, _, summary = out.splitlines()
    assert header.startswith("game ") and len(rows) == 2
    for name, row in zip(names, rows, strict=True):
        cells = [cell.strip() for cell in row.split("  ") if cell]
        assert cells[:4] == [name, "1 x 30 x 2", "10", "7"] and cells[4].endswith(" MiB") and cells[5].endswith(" s")
    # The temperature is traced, so there is one program for each of two widths.
    assert summary.startswith("20 shards; programs to compile: 2 (planned and compiled in ")
    status, out, err = run(capsys, "sweep", "config.toml", "--dry-run", "--chunk", "2/2")
    assert status == 0 and "\n\n10 shards; programs to compile: 2 (" in out
    assert names[0] not in out and out.splitlines()[1].startswith(names[1])
    assert err.splitlines()[-1] == "timing case 1 of 1: gane (τ=1)"
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_programs_are_those_of_all_chunks(monkeypatch):
    """As many as there are different keys when each chunk's program is compiled."""
    monkeypatch.setattr(module, "_time", lambda work, chunk: 0.0)
    config = sweep(family=[GANE])
    work, chunks = all_chunks(config)
    keys = {compile_program(work, chunk.case, chunk.point, chunk.num_seeds).key for chunk in chunks}
    assert forecast(config).programs == len(keys) == 2


@pytest.fixture
def measured(monkeypatch):
    """Programs that take 3 GiB and 1 more for each seed, and a second for each; what is compiled is noted."""
    compiled = []

    def compile_one(work, number, point, num_seeds):
        compiled.append((number, point, num_seeds))
        on_host = json.loads(work.cases)[number]["solver"] == "exact"
        return Compiled(f"of {num_seeds}", (3 + num_seeds) * GIB, on_host)

    monkeypatch.setattr(module, "compile_program", compile_one)
    monkeypatch.setattr(module, "make_shard", lambda work, chunk: None)
    monkeypatch.setattr(module, "_time", lambda work, chunk: float(chunk.num_seeds))
    return compiled


@pytest.mark.parametrize("width", [7, 10])
def test_programs_of_networks(measured, width):
    """One for each sample size and width; both temperatures have the same. No more is compiled than one a case."""
    found = forecast(sweep(family=[NEURAL], seeds_per_chunk=width))
    assert found.programs == 3 * (1 if 30 % width == 0 else 2)
    assert measured == [(0, 2, width), (1, 2, width)]


@pytest.mark.parametrize("memory", [4.0, 4.5, 7.0, 12.9, 13.0, 30.0, 32.999, 33.0])
def test_seeds_for_memory(measured, memory):
    """As few parts as fit; where all do not, two or three more programs tell how many do."""
    plan = plan_sweep(sweep(family=[EXACT], seeds_per_chunk=None), memory)
    seeds = plan.cases[0].seeds_per_chunk
    parts = next(parts for parts in range(1, 31) if 3 + -(-30 // parts) <= memory)
    assert seeds == -(-30 // parts)
    assert [entry[2] for entry in measured[:2]] == ([30, 1] if memory < 33 else [30]) and len(measured) <= 3


def test_memory_for_not_one_seed(measured):
    with pytest.raises(
        ValueError, match=r"memory: got 3\.9 GiB, but a single seed of all games of 'exact' takes 4 GiB"
    ):
        plan_sweep(sweep(family=[EXACT], seeds_per_chunk=None), 3.9)
    assert [entry[2] for entry in measured] == [30, 1]


def test_chunks_stay_within_memory():
    """Of real programs."""
    config = sweep(family=[EXACT], seeds_per_chunk=None)
    work, chunks = all_chunks(config)
    assert [chunk.num_seeds for chunk in chunks] == [30, 30]  # in a GiB, one chunk for each sample size
    least, most = (compile_program(work, 0, 1, seeds).memory for seeds in (1, 30))
    budget = least + 0.3 * (most - least)
    work, chunks = all_chunks(config, memory=budget / GIB)
    assert sum(chunk.num_seeds for chunk in chunks) == 2 * 30 and len(chunks) >= 2 * 3
    for seeds in {chunk.num_seeds for chunk in chunks}:
        assert compile_program(work, 0, 1, seeds).memory <= budget


def test_ragged_chunks_have_the_results_of_whole_ones(tmp_path):
    tables = []
    for name, width in (("ragged", 7), ("whole", 30)):
        run_sweep(sweep(family=[GANE], seeds_per_chunk=width), tmp_path / name)
        table = Store(tmp_path / name).read()
        tables.append(table.sort_by([(key, "ascending") for key in ("case", "num_samples", "game", "seed")]))
    ragged, whole = tables
    assert ragged.num_rows == whole.num_rows == 2 * 2 * 30
    for name in ("case", "label", "temperature", "num_samples", "game", "seed", "status", "unvisited"):
        assert ragged[name].to_pylist() == whole[name].to_pylist()
    for name in ("regularized_gap", "nash_gap"):  # up to the rounding of batched sums
        np.testing.assert_allclose(ragged[name].to_numpy(), whole[name].to_numpy(), rtol=1e-6, atol=1e-14)


def test_what_the_host_needs_is_not_counted(measured):
    """And the table says so."""
    gane, _, exact = forecast(sweep()).cases
    assert (gane.on_host, exact.on_host) == (False, True)
    table = format_forecast(forecast(sweep()), 2).splitlines()
    assert ["and the host's" in line for line in table[1:4]] == [False, False, True]
    assert table[-1].startswith("the host's: what a solver needs there beside what is compiled")
    assert "host" not in format_forecast(forecast(sweep(family=[GANE])), 2)


@pytest.mark.parametrize("parts", [2, 3, 7, pytest.param(40, marks=pytest.mark.slow)])
def test_parts_sum_to_the_whole(measured, parts):
    """Shards and seconds; a part of no shards comes to nothing."""
    whole = forecast(sweep())
    found = [forecast(sweep(), part=(k, parts)) for k in range(1, parts + 1)]
    for case in whole.cases:
        mine = [entry for part in found for entry in part.cases if entry.case == case.case]
        assert sum(entry.chunks for entry in mine) == case.chunks == 2 * 5
        assert sum(entry.seconds for entry in mine) == pytest.approx(case.seconds) == 2 * 30
    sizes = [sum(entry.chunks for entry in part.cases) for part in found]
    assert max(sizes) - min(sizes) <= 1
    assert [part.programs == 0 for part in found] == [size == 0 for size in sizes]
    assert all(f"{size} shards; " in format_forecast(part, 2) for size, part in zip(sizes, found, strict=True))


@pytest.mark.parametrize("part", [(0, 3), (4, 3)])
def test_no_such_part(measured, part):
    with pytest.raises(ValueError, match=rf"chunk: got {part[0]}/3, takes K/N with K from 1 to N"):
        forecast(sweep(), part=part)
    assert not measured


def test_stopped(measured, capsys):
    stop = threading.Event()
    stop.set()
    for act in (forecast, plan_sweep):
        with pytest.raises(KeyboardInterrupt):
            act(sweep(), stop=stop)
    assert not measured and capsys.readouterr().err == ""


def test_time_left_is_without_the_first_step(monkeypatch, capsys):
    """The first step has the compiling: 100 s here, the others 10 s each."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    with progress.Progress(5, "shards") as shown:
        for taken in (100, 10, 10):
            clock.now += taken
            shown.advance("x")
    assert [line.split(", ")[2] for line in capsys.readouterr().err.splitlines()] == [
        "400 s left: x",
        "30 s left: x",
        "20 s left: x",
    ]
