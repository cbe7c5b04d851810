"""Parquet files: entries of lists, and columns of all types beside those of the log."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from log_helpers import PLAIN, assert_same, play, read_with, write

import gamekl as gk

LISTS = gk.offline.LogSchema(
    player=[{"action": "acts[0]", "reward": "rews[0]"}, {"action": "acts[1]", "reward": "rews[1]"}]
)
ACTIONS, REWARDS = [["x", "p"], ["y", "q"], ["x", "q"]], [[1.0, 0.0], [0.0, 1.0], [2.0, 3.0]]


def read(tmp_path, columns, schema=LISTS, **options):
    return gk.offline.read_log(write(tmp_path / "log.parquet", columns, **options), schema)


@pytest.mark.parametrize("actions", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 2)])
@pytest.mark.parametrize("rewards", [pa.list_(pa.float64()), pa.list_(pa.float32(), 2), pa.large_list(pa.int8())])
def test_entries_of_lists(tmp_path, actions, rewards):
    """As multi-agent datasets have joint actions and rewards, of one length or of several."""
    columns = {"acts": pa.array(ACTIONS, actions), "rews": pa.array(REWARDS).cast(rewards)}
    log = read(tmp_path, columns)
    assert log.actions == (("x", "y"), ("p", "q"))
    np.testing.assert_array_equal(log.statistics.reward_sums, [[[1, 2], [0, 0]], [[0, 3], [0, 1]]])


def test_lists_may_be_longer_than_needed(tmp_path):
    columns = {"acts": [["x", "p", "-"], ["y", "q"], ["x", "q", "-", "-"]], "rews": REWARDS}
    assert read(tmp_path, columns).num_rows == 3


SHORT = {
    "too short": (
        [["x", "p"], ["y"], ["x", "q"]],
        "player.1.action: got a list of 1 in column 'acts.1.', data row 2 of .*2 or m",
    ),
    "empty": (
        [[], ["y", "q"], ["x", "q"]],
        "player.0.action: got a list of 0 in column 'acts.0.', data row 1 of .*1 or more",
    ),
    "no list": ([["x", "p"], ["x", "p"], None], "player.0.action: got nothing in column 'acts.0.', data row 3 of"),
    "no entry": (
        [["x", "p"], ["x", None], ["x", "p"]],
        "player.1.action: got nothing in column 'acts.1.', data row 2 of",
    ),
    "texts": (
        ["xp", "yq", "xq"],
        "player.0.action: got 'acts.0.', takes an entry of a column of lists of Parquet, and 'acts' of",
    ),
    "lists of lists": (
        [[["x"], ["p"]]] * 3,
        r"player.0.action: got nested values \(list<element: string>\) in column 'acts.0.'",
    ),
}


@pytest.mark.parametrize("case", SHORT)
def test_bad_lists(tmp_path, case):
    actions, message = SHORT[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        read(tmp_path, {"acts": actions, "rews": REWARDS})


def test_csv_has_no_lists_but_columns_of_such_names(tmp_path):
    """As pandas writes flattened lists."""
    columns = {
        f"{name}[{player}]": [row[player] for row in rows]
        for name, rows in (("acts", ACTIONS), ("rews", REWARDS))
        for player in range(2)
    }
    log = gk.offline.read_log(write(tmp_path / "log.csv", columns), LISTS)
    assert_same(log.statistics, read(tmp_path, {"acts": ACTIONS, "rews": REWARDS}).statistics)
    (tmp_path / "log.csv").write_text('acts,rews\n"[x, p]","[1, 0]"\n')
    with pytest.raises(
        ValueError, match="player.0.action: got 'acts.0.', takes an entry of a column of lists of Parquet"
    ):
        gk.offline.read_log(tmp_path / "log.csv", LISTS)


def test_a_whole_list_is_no_action(tmp_path):
    schema = gk.offline.LogSchema(player=[{"action": "acts", "reward": "rews[0]"}])
    with pytest.raises(
        ValueError, match=r"got nested values \(list.*, one in each row \('acts\[0\]' names the first entry"
    ):
        read(tmp_path, {"acts": ACTIONS, "rews": REWARDS}, schema)


BESIDE = {
    "decimal128": pa.array([Decimal("1." + "0" * 30)] * 3, pa.decimal128(38, 30)),
    "decimal256": pa.array([Decimal(10) ** 60] * 3, pa.decimal256(70, 0)),
    "duration": pa.array([datetime.timedelta(1)] * 3),
    "map": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"x": 1, "y": [{"z": 2}]}] * 3),
    "bytes": pa.array([b"\xff\xfe"] * 3),
    "fixed bytes": pa.array([b"\xff\xfe"] * 3, pa.binary(2)),
    "null": pa.nulls(3),
    "uuid": pa.array([bytes(16)] * 3, pa.uuid()),
    "json": pa.array(['{"a": 1}'] * 3, pa.json_()),
}
# Those that are labels, too.
AS_LABELS = ("decimal128", "decimal256", "uuid", "json")


@pytest.mark.parametrize("kind", BESIDE)
def test_columns_beside_do_not_matter(tmp_path, kind):
    """And are told with their type where they are named and are no labels."""
    columns = {"a": ["x", "y", "x"], "b": ["p", "q", "q"], "r": [1.0, 2.0, 3.0], "s": [0.0, 0.0, 1.0]}
    table = pa.table(columns | {"z": BESIDE[kind]})
    expected = read(tmp_path, columns, PLAIN)
    assert_same(read(tmp_path, table, PLAIN).groups, expected.groups)
    named = gk.offline.LogSchema(player=PLAIN.player, context="z")
    if kind in AS_LABELS:
        assert len(read(tmp_path, table, named).contexts) == 1
        return
    got = {"null": "nothing", "bytes": "bytes that are no text"}.get(
        kind, f"(nested values|values of type) .?{table['z'].type}"[:46]
    )
    got = got.replace("[", ".").replace("<", ".")
    with pytest.raises(ValueError, match=f"^context: got {got}"):
        read(tmp_path, table, named)


def test_types_that_pyarrow_lacks(tmp_path):
    """It reads no column beside polars' Int128; we do."""
    polars = pytest.importorskip("polars")
    columns = {"a": ["x", "y"], "b": ["p", "q"], "r": [1.0, 2.0], "s": [0.0, 0.0]}
    polars.DataFrame(columns).with_columns(z=polars.lit(1).cast(polars.Int128)).write_parquet(tmp_path / "odd.parquet")
    log = gk.offline.read_log(tmp_path / "odd.parquet", PLAIN)
    assert_same(log.groups, read(tmp_path, columns, PLAIN).groups)
    with pytest.raises(ValueError, match=r"context: got values of type fixed_size_binary\[16\] in column 'z'"):
        gk.offline.read_log(tmp_path / "odd.parquet", gk.offline.LogSchema(player=PLAIN.player, context="z"))


@pytest.mark.parametrize(
    "options",
    [
        {"use_dictionary": False},
        {"compression": "zstd"},
        {"version": "1.0"},
        {"data_page_version": "2.0"},
        {"row_group_size": 7},
        {"store_schema": False},
        {"use_byte_stream_split": ["my_score"], "use_dictionary": False},
        {"write_page_index": True},
    ],
)
def test_ways_of_storing_do_not_matter(tmp_path, options):
    columns = play(300)
    assert_same(read_with(tmp_path, columns, options=options).groups, read_with(tmp_path, columns).groups)


def test_old_readers_wrote_texts_as_bytes(tmp_path):
    columns = {
        "a": pa.array([b"x", b"y"]),
        "b": pa.array([b"p", b"q"], pa.large_binary()),
        "r": [1.0, 2.0],
        "s": [0.0, 0.0],
    }
    assert read(tmp_path, columns, PLAIN, store_schema=False).actions == (("x", "y"), ("p", "q"))
    assert pq.read_schema(tmp_path / "log.parquet").field("b").type == pa.binary()
