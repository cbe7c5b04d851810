"""Sweeps that go on under other versions, or on other devices: what is told, and what stays."""

import json
import logging
import threading

import numpy as np
import pyarrow as pa
import pytest

from gamekl.experiment.run import engines, shards
from gamekl.experiment.run.manifest import Manifest, _checksum
from gamekl.experiment.run.origin import Origin, Run, differences, mixture
from gamekl.experiment.run.shards import origin
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.load import parse_config

THERE = Origin("0.1.0", "0.10.2", "0.10.2", "2.4.6", "1.17.1", "0.13.8", "0.2.8", "22.0", "3.11.7", "cpu", "one", 1)
SAMPLES = {"first": 1000, "decades": 1, "points": 2}
EXACT = {"label": "exact", "solver": "exact", "game": {"kind": "matching_pennies"}, "num_samples": SAMPLES}


def config():
    return parse_config({"name": "o", "seed": 8, "num_seeds": 30, "seeds_per_chunk": 15, "family": [EXACT]})


def doctor(store, **changes):
    """The manifest as if another kind of worker had made the shards; fields of value None are taken out."""
    for path in store.manifest.folder.iterdir():
        lines = []
        for text in path.read_bytes().splitlines():
            line = json.loads(text.rpartition(b" ")[0])
            if "run" in line:
                told = line["run"] | changes
                line = {"run": {name: fact for name, fact in told.items() if fact is not None}}
            content = json.dumps(line).encode()
            lines.append(content + b" " + _checksum(content) + b"\n")
        path.write_bytes(b"".join(lines))


@pytest.fixture
def begun(tmp_path):
    """A sweep of four shards of which the first two are made."""
    assert run_sweep(config(), tmp_path, engine=engines.threads(1), part=(1, 2)).made == 2
    return Store(tmp_path)


@pytest.mark.parametrize("name", [name for name in Origin._fields if name not in ("pyarrow", "python")])
def test_what_numbers_hang_on(name):
    here = THERE._replace(**{name: 2 if name == "devices" else "other"})
    assert differences(THERE, here) == f"{name} {getattr(THERE, name)} there, {getattr(here, name)} here"
    assert mixture([Run(THERE, 3), Run(here, 1_000)]) == (
        f"3 by {name} {getattr(THERE, name)}; 1,000 by {name} {getattr(here, name)}"
    )


@pytest.mark.parametrize("name", ["pyarrow", "python"])
def test_what_they_do_not_hang_on(name):
    here = THERE._replace(**{name: "other"})
    assert differences(THERE, here) == mixture([Run(THERE, 3), Run(here, 1)]) == ""


def test_a_mixture_of_three():
    """Runs of one kind are added up, and those that left nothing are not named."""
    runs = [
        Run(THERE, 2),
        Run(THERE._replace(jax="0.12.0.1", scipy=None), 5),
        Run(THERE._replace(python="3.12"), 4),
        Run(THERE._replace(device="other"), 0),
    ]
    assert mixture(runs) == "6 by jax 0.10.2, scipy 1.17.1; 5 by jax 0.12.0.1, scipy not recorded"
    assert mixture([]) == mixture(runs[:1]) == ""


def test_this_process():
    found = origin(3)
    assert all(found) and found.devices == 3 and found.numpy == np.__version__ and found.pyarrow == pa.__version__
    assert Origin.read(json.loads(json.dumps(found._asdict()))) == found
    assert Origin.read({"jax": "0.9", "of a later gamekl": 1}) == Origin(jax="0.9")


def test_under_equal_versions_nothing_is_told(begun, caplog):
    doctor(begun, pyarrow="21.0", python="3.14.0")
    assert run_sweep(config(), begun.root).made == 2
    assert caplog.messages == [] and mixture(begun.runs()) == ""
    assert [run.shards for run in begun.runs()] == [2, 2]


def test_other_versions_are_told_before_anything_is_made(begun, caplog, monkeypatch):
    """And the sweep goes on: to the same numbers here, because in truth nothing has changed."""
    doctor(begun, jax="0.9.1", scipy="1.15.3")
    made = shards.make_shard
    told = []
    monkeypatch.setattr(engines, "make_shard", lambda *work: told.append(list(caplog.messages)) or made(*work))
    here = origin()
    assert run_sweep(config(), begun.root).made == 2
    message = (
        f"{begun.root}: 2 shards are of other versions or devices (jax 0.9.1 there, {here.jax} here, scipy 1.15.3 "
        f"there, {here.scipy} here); last digits may differ"
    )
    assert told == [[message]] * 2 and caplog.messages == [message]
    assert mixture(begun.runs()) == (f"2 by jax 0.9.1, scipy 1.15.3; 2 by jax {here.jax}, scipy {here.scipy}")
    caplog.clear()
    assert run_sweep(config(), begun.root).made == 0  # nothing is added
    assert caplog.messages == []


def test_the_manifest_of_an_older_gamekl(begun, caplog):
    """It has no line for scipy and others; that is said, and all else is as it was."""
    doctor(begun, jaxlib=None, scipy=None, equinox=None, optax=None, device="cpu")
    assert begun.runs()[0].origin.scipy is None and len(begun.verified()[0]) == 2
    assert run_sweep(config(), begun.root) == (4, 2, 0)
    [message] = caplog.messages
    assert f"2 shards are of other versions or devices (jaxlib not recorded there, {origin().jaxlib} here" in message


def test_workers_of_two_kinds(tmp_path, caplog):
    """Of which none has made anything yet."""

    def two(work, chunks, meet):
        meet(THERE)
        meet(THERE._replace(device="two"))
        assert len(caplog.messages) == 1
        for chunk, shard in engines.threads(1)(work, chunks, lambda origin: None):
            yield chunk, shard._replace(origin=THERE._replace(device="two" if chunk.first_seed else "one"))

    run_sweep(config(), tmp_path, engine=two)
    assert caplog.messages == [
        f"{tmp_path}: other workers are of other versions or devices (device one there, two here); last digits may "
        "differ"
    ]
    assert mixture(Store(tmp_path).runs()) == "2 by device one; 2 by device two"


def test_parts_at_the_same_time(tmp_path, caplog):
    """What began meanwhile is told at the end."""
    other = threading.Thread(target=run_sweep, args=(config(), tmp_path), kwargs={"part": (2, 2)})

    def elsewhere(work, chunks, meet):
        meet(THERE)
        other.start()
        other.join()
        for chunk, shard in engines.threads(1)(work, chunks, lambda origin: None):
            yield chunk, shard._replace(origin=THERE)

    with caplog.at_level(logging.WARNING):
        run_sweep(config(), tmp_path, engine=elsewhere, part=(1, 2))
    assert [message for message in caplog.messages if "2 shards are of other versions" in message] == caplog.messages
    assert len(caplog.messages) == 1 and f"device {origin().device} there, one here" in caplog.messages[0]
    assert Manifest(tmp_path / "manifest").runs(None) == Store(tmp_path).runs()
