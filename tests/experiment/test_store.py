"""A results folder: what is kept, and what is noticed."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gamekl.experiment.run import store as store_module
from gamekl.experiment.run.manifest import Manifest
from gamekl.experiment.run.origin import Origin, Run
from gamekl.experiment.run.publish import publish
from gamekl.experiment.run.store import Store, StoreError
from gamekl.experiment.schema.cases import Case, Curve, Plan

CONFIG = {"name": "tiny", "seed": 1, "family": [{"label": "a", "noise": 1.0}, {"label": "b", "noise": 0.5}]}
ORIGIN = Origin("0", "0.10.2", devices=1)


def parquet(first=0, rows=8):
    """A shard's content."""
    seeds = range(first, first + rows)
    table = pa.table({"seed": pa.array(seeds, pa.int32()), "gap": [0.5**row for row in range(rows)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue()


@pytest.fixture
def store(tmp_path):
    """A folder with three shards."""
    made = Store(tmp_path / "run")
    made.open(CONFIG)
    for index, name in enumerate(("a", "b", "c")):
        made.write_shard(name, parquet(8 * index), 8, ORIGIN)
    return made


def files(store):
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def manifest(store):
    [path] = store.manifest.folder.iterdir()
    return path


def told(store):
    """The lines of the manifest, less their checksums."""
    return [json.loads(line.rpartition(" ")[0]) for line in manifest(store).read_text().splitlines()]


def test_publish(tmp_path):
    publish(tmp_path / "file", b"one")
    publish(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_publish_syncs_the_file_then_renames_then_syncs_the_folder(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def recorded_replace(source, target):
        assert source.parent == target.parent  # a rename within one folder is atomic
        assert source.read_bytes() == b"content"
        calls.append(("replace", str(source)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    publish(tmp_path / "file", b"content")
    temporary = calls[0][1]
    assert calls == [("fsync", temporary), ("replace", temporary), ("fsync", str(tmp_path))]


def test_crash_before_the_rename(store, monkeypatch):
    """Nothing is published, and the manifest does not know of it."""
    before = files(store)

    def crash(source, target):
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(StoreError, match=r"cannot write \(power cut\)"):
        store.write_shard("d", parquet(24), 8, ORIGIN)
    monkeypatch.undo()
    assert not store.shard_path("d").exists()
    assert store.verified() == ({"a", "b", "c"}, set())
    assert files(store) == before
    assert store.read().num_rows == 24


def test_crash_keeps_what_was_there(tmp_path, monkeypatch):
    def crash(source, target):
        raise OSError("power cut")

    publish(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        publish(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_crash_between_shard_and_manifest(store, monkeypatch):
    """The shard lies there whole, but does not count before the manifest has its checksum; it is then replaced."""

    def crash(*_, **__):
        raise StoreError("cannot write (power cut)")

    monkeypatch.setattr(Manifest, "enter", crash)
    with pytest.raises(StoreError, match=r"cannot write \(power cut\)"):
        store.write_shard("d", parquet(24), 8, ORIGIN)
    monkeypatch.undo()
    assert store.shard_path("d").exists()
    store.open(CONFIG)
    assert store.verified() == ({"a", "b", "c"}, set())
    assert store.read().num_rows == 24
    store.write_shard("d", parquet(24), 8, ORIGIN)
    assert store.read().num_rows == 32


def test_leftovers_of_a_kill_are_cleared(store):
    before = files(store)
    (store.shards / ".d.parquet.123.tmp").write_bytes(b"half")
    (store.root / ".plan.json.99.tmp").write_bytes(b"{")
    store.clear()
    assert files(store) == before


def test_read(store):
    found = store.read()
    assert found["seed"].to_pylist() == list(range(24))
    assert found["gap"].to_pylist() == [0.5**row for row in range(8)] * 3


def test_manifest_has_checksum_and_rows(store):
    run, first, *_ = told(store)
    assert run == {"run": ORIGIN._asdict()}
    assert first["shard"] == "a" and first["rows"] == 8
    assert first["sha256"] == hashlib.sha256(store.shard_path("a").read_bytes()).hexdigest()


def test_runs_in_order_of_time(store):
    """A run may have workers of several kinds; a shard that is made anew counts for what made it last."""
    one, other = ORIGIN._replace(jax="0.11.2"), ORIGIN._replace(jax="0.12.0.1")
    later = Store(store.root)
    for name, origin in (("d", one), ("e", other), ("f", one), ("a", other)):
        later.write_shard(name, parquet(), 8, origin)
    assert Store(store.root).runs() == [Run(ORIGIN, 2), Run(one, 2), Run(other, 2)]
    Store(store.root).write_shard("g", parquet(), 8, other)
    assert Store(store.root).runs() == [Run(ORIGIN, 2), Run(one, 2), Run(other, 2), Run(other, 1)]
    assert len(list(store.manifest.folder.iterdir())) == 3


def test_a_worker_whose_line_is_spoilt(store):
    """What made a shard is not guessed."""
    other = ORIGIN._replace(jax="0.12.0.1")
    store.write_shard("d", parquet(), 8, other)
    store.write_shard("e", parquet(), 8, ORIGIN)
    lines = manifest(store).read_bytes().splitlines(keepends=True)
    assert [b'"run"' in line for line in lines] == [True, False, False, False, True, False, True, False]
    manifest(store).write_bytes(b"".join([*lines[:4], lines[4].replace(b"0.12", b"0.10"), *lines[5:]]))
    assert store.runs() == [Run(ORIGIN, 4), Run(Origin(), 1)]


def test_reopening_changes_nothing(store):
    before = {name: (store.root / name).read_bytes() for name in files(store)}
    store.open(CONFIG)
    assert {name: (store.root / name).read_bytes() for name in files(store)} == before


def test_other_config_is_refused(store):
    before = files(store)
    other = {"name": "tiny", "seed": 2, "family": [{"label": "a", "noise": 1.0}, {"label": "b", "noise": 0.25}]}
    with pytest.raises(StoreError, match="made by another config") as caught:
        store.open(other)
    message = str(caught.value)
    assert "seed (there 1, here 2)" in message
    assert "family.1.noise (there 0.5, here 0.25)" in message
    assert "family.0" not in message and "name" not in message
    assert files(store) == before
    assert store.config() == CONFIG


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"family": [{"label": "a", "noise": 1.0}]}, "family"),
        ({"extra": None, "more": 1}, "more"),
        ({"seed": None}, "seed"),
        ({"family": [{"label": "a", "noise": "bernoulli"}, {"label": "b", "noise": 0.5}]}, "family.0.noise"),
    ],
)
def test_other_shapes_of_config_are_refused(store, change, named):
    with pytest.raises(StoreError, match=f"made by another config: .*{named} "):
        store.open({**CONFIG, **change})


def test_config_with_an_infinite_number(tmp_path):
    config = {"concentrability": float("inf")}
    Store(tmp_path).open(config)
    Store(tmp_path).open(config)
    assert Store(tmp_path).config() == config


def test_shards_without_a_config_are_refused(store):
    (store.root / "config.json").unlink()
    with pytest.raises(StoreError, match=r"has shards but no config\.json; takes a new folder"):
        store.open(CONFIG)


@pytest.mark.parametrize("name", ["config.json", "plan.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_damaged_json(store, name, content):
    (store.root / name).write_bytes(content)
    with pytest.raises(StoreError, match=f"{name} is damaged"):
        store.config() if name == "config.json" else store.plan()


CASE = Case(
    family=0,
    label="pennies",
    panel="pennies",
    metrics=("regularized_gap",),
    curves=(Curve.of("regularized_gap", "num_samples", 2, constant=0.1),),
    solver="gane",
    temperature=0.5,
    concentrability=float("inf"),
    scale=None,
    num_games=1,
    num_seeds=2,
    num_samples=(10, 100),
    num_rounds=(),
    slope=-1.0,
    constant=0.1 + 0.2,
    remark=None,
)
PLAN = Plan(cases=(CASE,), files={})


def test_plan(store):
    assert store.plan() is None
    written = store.write_plan(PLAN)
    assert Store(store.root).plan() == written == PLAN


def test_the_first_of_two_plans_stays(store):
    """Runs of parts of a sweep may all begin by planning."""
    first = store.write_plan(PLAN)
    assert Store(store.root).write_plan(Plan(cases=(), files={})) == first


def test_one_damaged_byte_of_the_plan(store):
    """None passes for the plan that was made."""
    made = store.write_plan(PLAN)
    path = store.root / "plan.json"
    content = path.read_bytes()
    for position in range(len(content)):
        flip(path, position)
        try:
            assert store.plan() == made  # white space
        except StoreError as error:
            assert "damaged" in str(error) or "has schema" in str(error)
        path.write_bytes(content)


def test_plan_of_a_newer_version(store):
    store.write_plan(PLAN)
    path = store.root / "plan.json"
    path.write_text(path.read_text().replace('"schema": 7', '"schema": 8'))
    with pytest.raises(StoreError, match=r"plan.json has schema 8, this gamekl takes 7; use the gamekl that made it"):
        store.plan()


def test_plan_whose_cases_say_something_else(store):
    """It is whole, but of a gamekl that said more or less of a case."""
    content = {"schema": store_module.SCHEMA_VERSION, **PLAN.model_dump(mode="json")}
    del content["cases"][0]["remark"]
    content["sha256"] = store_module._digest(content)
    (store.root / "plan.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"plan.json is of another gamekl \(cases.0.remark\); use the"):
        store.plan()


@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_torn_last_line(store, cut):
    """A kill cut the last line short: its shard counts as not made, until another run has made it anew."""
    content = manifest(store).read_bytes()
    manifest(store).write_bytes(content[:-cut])
    assert store.verified() == (({"a", "b"} if cut > 1 else {"a", "b", "c"}), set())
    later = Store(store.root)
    later.write_shard("c", parquet(16), 8, ORIGIN)
    assert later.verified() == ({"a", "b", "c"}, set())
    assert later.read().num_rows == 24


def test_manifest_torn_in_the_middle(store):
    """Lines that cannot be read count as not written; the others stay."""
    lines = manifest(store).read_bytes().splitlines(keepends=True)
    manifest(store).write_bytes(b"".join([lines[0], lines[1], b'{"sha', lines[2], b"\x00\xff\n", lines[3]]))
    assert store.verified() == ({"a", "c"}, set())


def test_one_damaged_byte_of_the_manifest(store):
    """Whichever byte it is, the shard of its line counts as not made, and the others stay."""
    content = manifest(store).read_bytes()
    for position in range(len(content)):
        flip(manifest(store), position)
        whole, damaged = store.verified()
        assert whole <= {"a", "b", "c"} and len(whole) >= 1 and not damaged
        manifest(store).write_bytes(content)


def test_damage_is_noticed(store):
    """One flipped bit at any of many places, the first and last byte among them."""
    path = store.shard_path("b")
    content = path.read_bytes()
    for position in sorted({0, 1, len(content) - 1, len(content) - 5, *range(0, len(content), 37)}):
        flip(path, position)
        assert store.verified() == ({"a", "c"}, {"b"})
        with pytest.raises(StoreError, match=r"run: 1 shards of .* are damaged or gone, b among them"):
            store.read()
        path.write_bytes(content)
    assert store.verified() == ({"a", "b", "c"}, set())


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", "longer", "swapped"])
def test_other_damage_is_noticed(store, damage):
    path = store.shard_path("b")
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        new = {"empty": b"", "cut": content[:-1], "longer": content + b"\x00"}
        path.write_bytes(new.get(damage, store.shard_path("a").read_bytes()))
    assert store.verified() == ({"a", "c"}, {"b"})
    with pytest.raises(StoreError, match="b among them; run gamekl sweep with the same config again"):
        store.read()
    store.write_shard("b", parquet(8), 8, ORIGIN)
    assert path.read_bytes() == content
    assert store.read().num_rows == 24


def test_stray_files_are_not_read(store):
    (store.shards / "zz.parquet").write_bytes(store.shard_path("a").read_bytes())
    assert store.verified() == ({"a", "b", "c"}, set())
    assert store.read().num_rows == 24


@pytest.mark.parametrize("made", [True, False])
def test_empty_folder(tmp_path, made):
    root = tmp_path / "run"
    if made:
        root.mkdir()
    store = Store(root)
    assert store.verified() == (set(), set())
    assert store.plan() is None
    with pytest.raises(StoreError, match="has no finished shard; takes a folder made by gamekl sweep"):
        store.read()
    with pytest.raises(StoreError, match=r"has no config\.json; takes a folder made by gamekl sweep"):
        store.config()
    assert root.exists() == made  # asking makes nothing


def test_events_have_times(store):
    store.log("start", chunks=3)
    store.log("end")
    first, second = [json.loads(line) for line in (store.root / "events.jsonl").read_text().splitlines()]
    assert first["event"] == "start" and first["chunks"] == 3 and second["event"] == "end"
    assert first["time"] <= second["time"]


HOLD = """
import sys, time
from gamekl.experiment.run.store import Store
with Store(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(600)
"""


def test_lock_of_another_process(tmp_path):
    """A second process is refused at once; the lock goes with the process that held it, however that ends."""
    root = tmp_path / "run"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=r"out: got .*run, which another run is using"), Store(root).lock():
            pytest.fail("the lock was given twice")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with Store(root).lock():
        pass


def test_shared_locks(tmp_path):
    """Parts of a sweep hold a folder together; what needs it alone is refused, and the other way round."""
    one, other = Store(tmp_path), Store(tmp_path)
    with one.share(), other.share():
        with pytest.raises(StoreError, match="another run is using"), Store(tmp_path).lock():
            pytest.fail("the lock was given")
    with one.lock(), pytest.raises(StoreError, match="another run is using"), other.share():
        pytest.fail("the lock was given")


def test_many_flips_and_cuts(tmp_path):
    """500 flipped bits and 500 truncations at random places: nothing damaged passes, nothing else is refused."""
    store = Store(tmp_path)
    store.open(CONFIG)
    names = [f"{index:03d}" for index in range(12)]
    for index, name in enumerate(names):
        store.write_shard(name, parquet(index, rows=4), 4, ORIGIN)
    rng = random.Random(3)  # noqa: S311
    for trial in range(1000):
        name = rng.choice(names)
        path = store.shard_path(name)
        content = path.read_bytes()
        place = rng.randrange(len(content))
        bent = content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
        path.write_bytes(bent if trial % 2 else content[:place])
        assert store.verified() == (set(names) - {name}, {name})
        with pytest.raises(StoreError, match=f"{name} among them"):
            store.read()
        path.write_bytes(content)
    assert store.read().num_rows == 48
