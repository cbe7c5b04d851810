"""Logs of several files: folders as other tools write them, hive partitions, and parts without rows."""

import gzip
import os
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from log_helpers import CONTEXTS, PLAIN, PLAYERS, assert_same, write

import gamekl as gk

COLUMNS = {"a": ["x", "y", "x", "y"], "b": ["p", "p", "q", "q"], "r": [1.0, 2, 3, 4], "s": [1.0, 2, 3, 5]}


@pytest.fixture
def whole(tmp_path):
    return gk.offline.read_log(write(tmp_path / "whole.parquet", COLUMNS), PLAIN)


def by_hive(folder, columns, key, suffix=".parquet"):
    """A folder for each value, as DuckDB and Spark write it: without the column."""
    frame = pd.DataFrame(columns)
    for value, part in frame.groupby(key, dropna=False):
        name = "__HIVE_DEFAULT_PARTITION__" if pd.isna(value) else quote(str(value), safe="")
        path = folder / f"{key}={name}"
        path.mkdir(parents=True)
        write(path / f"part-0{suffix}", pa.Table.from_pandas(part.drop(columns=key), preserve_index=False))
    return folder


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".csv.gz"])
@pytest.mark.parametrize("key", list(COLUMNS))
def test_a_column_may_be_the_name_of_folders(tmp_path, whole, suffix, key):
    """Of actions or of rewards; by the folder, and by its files one by one."""
    folder = by_hive(tmp_path / "hive", COLUMNS, key, suffix)
    assert_same(gk.offline.read_log(folder, PLAIN).statistics, whole.statistics)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert_same(gk.offline.read_log(files, PLAIN).statistics, whole.statistics)
    columns = [name for name in PLAIN.columns.values() if name != key]
    assert len(files) == len(set(COLUMNS[key])) and len(columns) == 3


def test_files_may_be_named_from_within_their_folder(tmp_path, whole, monkeypatch):
    by_hive(tmp_path / "hive", COLUMNS, "a")
    monkeypatch.chdir(tmp_path / "hive" / "a=x")
    found = gk.offline.read_log(["part-0.parquet", "../a=y/part-0.parquet"], PLAIN)
    assert_same(found.statistics, whole.statistics)


@pytest.mark.parametrize("field", ["context", "group", "weight", "preference"])
def test_partitions_may_be_anything_that_columns_are(tmp_path, field):
    columns = COLUMNS | {"z": [0.0, 0.0, 1.0, 1.0]}
    players = [{"action": "a"}, {"action": "b"}] if field == "preference" else PLAYERS
    schema = gk.offline.LogSchema(player=players, **{field: "z"})
    ours = gk.offline.read_log(by_hive(tmp_path / "hive", columns, "z"), schema)
    theirs = gk.offline.read_log(write(tmp_path / "log.csv", columns), schema)
    assert (ours.contexts, ours.num_values) == (theirs.contexts, theirs.num_values)
    assert_same(ours.statistics, theirs.statistics)


def test_names_of_folders_are_decoded(tmp_path):
    odd = ["y/z é", "a=b", "100%", " "]
    columns = {name: values * 1 for name, values in COLUMNS.items()} | {"a": odd}
    assert gk.offline.read_log(by_hive(tmp_path / "ours", columns, "a"), PLAIN).actions[0] == tuple(sorted(odd))
    part = ds.partitioning(pa.schema([("a", pa.string())]), flavor="hive")
    ds.write_dataset(pa.table(columns), tmp_path / "theirs", format="parquet", partitioning=part)
    assert gk.offline.read_log(tmp_path / "theirs", PLAIN).actions[0] == tuple(sorted(odd))


def test_what_is_in_the_file_comes_first(tmp_path, whole):
    """polars writes the column, too, with its type."""
    polars = pytest.importorskip("polars")
    frame, folder = polars.DataFrame(COLUMNS), tmp_path / "hive"
    if hasattr(polars, "PartitionBy"):
        frame.write_parquet(polars.PartitionBy(folder, key="a"), mkdir=True)
    else:
        frame.write_parquet(folder, partition_by="a")
    assert {path.parent.name for path in folder.rglob("*.parquet")} == {"a=x", "a=y"}
    assert_same(gk.offline.read_log(folder, PLAIN).statistics, whole.statistics)


def test_a_partition_without_a_value(tmp_path):
    folder = by_hive(tmp_path / "hive", COLUMNS | {"a": ["x", None, "x", "y"]}, "a")
    with pytest.raises(
        ValueError, match="player.0.action: got nothing in column 'a', data row 1 of .*DEFAULT_PARTITION__/part"
    ):
        gk.offline.read_log(folder, PLAIN)


def test_a_file_without_the_partition_of_others(tmp_path):
    folder = by_hive(tmp_path / "hive", COLUMNS, "a")
    (folder / "a=x").rename(folder / "c=x")
    message = "player.0.action: got 'a', takes a column of .*c=x/part-0.parquet, which has 'b', 'r', 's' and the hive"
    with pytest.raises(ValueError, match=f"{message} partitions 'c'"):
        gk.offline.read_log(folder, PLAIN)


def test_a_folder_of_spark(tmp_path, whole):
    """With marks and checksums beside the parts, which may be nested."""
    table, folder = pa.table(COLUMNS), tmp_path / "spark"
    (folder / "day=1").mkdir(parents=True)
    pq.write_table(table.slice(0, 1), folder / "part-00000-c000.snappy.parquet", compression="snappy")
    pq.write_table(table.slice(1, 3), folder / "day=1" / "part-00001-c000.snappy.parquet", compression="snappy")
    for name in ("_SUCCESS", ".part-00000-c000.snappy.parquet.crc", "._SUCCESS.crc", "day=1/.part-00001.parquet.crc"):
        (folder / name).write_bytes(b"crc")
    (folder / "_temporary").mkdir()
    pq.write_table(table, folder / "_temporary" / "part-00002.parquet")
    assert_same(gk.offline.read_log(folder, PLAIN).statistics, whole.statistics)
    assert_same(gk.offline.read_log(str(folder), PLAIN).groups, gk.offline.read_log([folder], PLAIN).groups)


def test_other_files_are_left_out_with_a_warning(tmp_path, whole, caplog):
    folder = tmp_path / "log"
    folder.mkdir()
    write(folder / "log.csv", COLUMNS)
    (folder / "log.toml").write_text("")
    assert_same(gk.offline.read_log(folder, PLAIN).statistics, whole.statistics)
    assert caplog.messages == [f"paths: left out log.toml in {folder}, which is no log"]


@pytest.mark.parametrize(
    ("name", "kind"), [("_delta_log", "Delta Lake"), ("metadata/v1.metadata.json", "Iceberg"), (".hoodie", "Hudi")]
)
def test_tables_with_versions_are_refused(tmp_path, name, kind):
    (tmp_path / name).mkdir(parents=True)
    write(tmp_path / "part-0.parquet", COLUMNS)
    with pytest.raises(ValueError, match=f"paths: got the folder .*, a table of {kind}, takes plain files"):
        gk.offline.read_log(tmp_path, PLAIN)


def test_two_kinds_in_a_folder_are_refused(tmp_path):
    """They may well be one log twice."""
    for suffix in (".parquet", ".csv"):
        write(tmp_path / f"log{suffix}", COLUMNS)
    with pytest.raises(ValueError, match="with Parquet and CSV files, takes the files one by one"):
        gk.offline.read_log(tmp_path, PLAIN)
    with pytest.raises(ValueError, match=r"paths: got .*log.csv twice, takes each file once"):
        os.remove(tmp_path / "log.parquet")
        gk.offline.read_log([tmp_path, tmp_path / "log.csv"], PLAIN)


# What a part without rows may look like.
EMPTY = {
    "header.csv": b"a,b,r,s\n",
    "header without its end.csv": b"a,b,r,s",
    "header.csv.gz": gzip.compress(b"a,b,r,s\n"),
    "nothing.csv": b"",
    "nothing of pandas.csv": b"\n",
    "line breaks alone.csv.gz": gzip.compress(b"\r\n" * 20),
    "nothing.csv.gz": gzip.compress(b""),
    "typed.parquet": pa.table({"a": pa.array([], pa.string()), **{name: pa.array([], pa.float64()) for name in "brs"}}),
    "untyped.parquet": pa.table({name: pa.nulls(0) for name in "abrs"}),
    "row groups.parquet": pa.table({name: pa.array(values)[:0] for name, values in COLUMNS.items()}),
}


def empty(tmp_path, name):
    content = EMPTY[name]
    if isinstance(content, pa.Table):
        pq.write_table(content, tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("place", [0, 1])
def test_parts_without_rows(tmp_path, whole, caplog, name, place):
    paths = [write(tmp_path / "log.parquet", COLUMNS)]
    paths.insert(place, empty(tmp_path, name))
    assert_same(gk.offline.read_log(paths, PLAIN).groups, whole.groups)
    assert bool(caplog.messages) == name.startswith(("nothing", "line breaks"))
    with pytest.raises(
        ValueError, match=r"^paths: got .*, takes (at least one row|a file that can be read to its end)"
    ):
        gk.offline.read_log(empty(tmp_path, name), PLAIN)


def test_line_breaks_before_the_header(tmp_path, whole):
    write(tmp_path / "log.csv", COLUMNS)
    (tmp_path / "log.csv").write_bytes(b"\n" * 20 + (tmp_path / "log.csv").read_bytes())
    (tmp_path / "none.csv").write_text("a,b,r,s\n")
    found = gk.offline.read_log([tmp_path / "log.csv", tmp_path / "none.csv"], PLAIN)
    assert_same(found.statistics, whole.statistics)


def test_parts_without_rows_have_their_columns(tmp_path):
    (tmp_path / "none.csv").write_text("a,b,r\n")
    with pytest.raises(ValueError, match="player.1.reward: got 's', takes a column of .*none.csv, which has"):
        gk.offline.read_log([write(tmp_path / "log.parquet", COLUMNS), tmp_path / "none.csv"], PLAIN)
    with pytest.raises(ValueError, match=r"paths: got .*b.csv, .*a.csv without rows, takes at least one row"):
        gk.offline.read_log([write(tmp_path / f"{name}.csv", {k: [] for k in "abrs"}) for name in "ba"], PLAIN)


def test_an_empty_parquet_file_is_damaged(tmp_path):
    """It is never without a byte."""
    (tmp_path / "none.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match="paths: got .*none.parquet, takes a file that can be read to its end"):
        gk.offline.read_log([write(tmp_path / "log.parquet", COLUMNS), tmp_path / "none.parquet"], PLAIN)


def test_contexts_of_partitions_keep_their_list(tmp_path):
    columns = {name: np.array([0, 1]) for name in "abrsx"}
    assert gk.offline.read_log(by_hive(tmp_path / "hive", columns, "x"), CONTEXTS).contexts == (0, 1)
