"""What labels are: one rule for CSV and Parquet, here as a table."""

import datetime
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gamekl as gk

IDS = [uuid.UUID(int=index) for index in (7, 2**100)]
DAY, NOON = datetime.date(2024, 1, 31), datetime.datetime(2024, 1, 31, 12, 0, 5)
# What is written, and the labels that it stands for.
TAKEN = {
    "integers": ([10, 9, -3], (-3, 9, 10)),
    "integers as texts": (["10", "9", "-3"], (-3, 9, 10)),
    "integers as floats": ([10.0, 9.0, -3.0], (-3, 9, 10)),
    "integers as float texts": (["10.0", "9.0", "9"], (9, 10)),
    "integers as decimals": ([Decimal("10"), Decimal("9"), Decimal("9")], (9, 10)),
    "decimals that are whole": ([Decimal("10.00"), Decimal("9.00")], (9, 10)),
    "beyond 2^53": ([2**53 + 1, 2**53], (2**53, 2**53 + 1)),
    "beyond 2^63": (pa.array([2**63 + 1, 5], pa.uint64()), (5, 2**63 + 1)),
    "beyond 2^64, as texts": ([str(10**30), "-1"], (-1, 10**30)),
    "large floats": ([2.0, 1e15, 2.0**53 - 1], (2, 10**15, 2**53 - 1)),
    "powers": (["1e+06", "1.5e6"], (1_000_000, 1_500_000)),
    "minus zero": ([-0.0, 1.0, 0.0], (0, 1)),
    "truth values": ([True, False], ("False", "True")),
    "truth values as texts": (["true", "TRUE", "false"], ("False", "True")),
    "words": (["rock", "paper"], ("paper", "rock")),
    "numbers and words": (["10", "J", "pass"], ("10", "J", "pass")),
    "floats and words": (["1.0", "J"], ("1.0", "J")),
    "truth values and words": (["true", "perhaps"], ("perhaps", "true")),
    "leading zeros": (["007", "8"], ("007", "8")),
    "signs": (["+", "-"], ("+", "-")),
    "spaces around": ([" x", "x"], (" x", "x")),
    "spaces around numbers": ([" 1", "2"], (" 1", "2")),
    "line breaks": (["x\ny", "z"], ("x\ny", "z")),
    "quotes and commas": (['say "so"', "a,b"], ("a,b", 'say "so"')),
    "other alphabets": (["石", "Ünïc"], ("Ünïc", "石")),
    "dates": ([DAY], ("2024-01-31",)),
    "times of day": ([NOON.time()], ("12:00:05",)),
    "dates and times": ([NOON], ("2024-01-31 12:00:05",)),
    "midnights": (pa.array([datetime.datetime(2024, 1, 31)] * 2), ("2024-01-31",)),
    "midnights and others": ([datetime.datetime(2024, 1, 31), NOON], ("2024-01-31 00:00:00", "2024-01-31 12:00:05")),
    "parts of seconds": ([NOON.replace(microsecond=250_000)], ("2024-01-31 12:00:05.25",)),
    "nanoseconds": (pa.array([10**9 + 1], pa.timestamp("ns")), ("1970-01-01 00:00:01.000000001",)),
    "zones": (pa.array([NOON], pa.timestamp("us", "UTC")), ("2024-01-31 12:00:05+00:00",)),
    "texts of moments": (["2024-01-31T12:00:05.000", "2024-01-31"], ("2024-01-31 00:00:00", "2024-01-31 12:00:05")),
    "moments and words": (["2024-01-31T12:00:05", "later"], ("2024-01-31T12:00:05", "later")),
    "UUIDs": (pa.array([entry.bytes for entry in IDS], pa.uuid()), tuple(map(str, IDS))),
    "bytes that are texts": ([b"x", b"y"], ("x", "y")),
    "halves": (pa.array(np.array([1, 2], np.float16)), (1, 2)),
}
REFUSED = {
    "fractions": (
        [0.5, 1.0],
        "got '0.5' in column 'a', takes strings or integers; player.0.actions in the schema takes",
    ),
    "fractions as texts": (["0.5", "1"], "got '0.5' in column 'a', takes strings or integers"),
    "decimals": ([Decimal("0.50")], "got '0.50' in column 'a', takes strings or integers"),
    "fractions as powers": (["1e-3", "1"], "got '1e-3' in column 'a', takes strings or integers"),
    # From 2^53 on doubles are not all whole numbers. DuckDB 2.0.1 stores sums of integers, of 128 bits, as doubles in
    # Parquet files, and exactly in CSV files (findings/duckdb_sums_in_parquet.sh).
    "rounded floats": ([2.0, 2.0**53 + 2], r"got '900719925474099[^']*', a floating-point number that other"),
    "large powers": ([1e300, 2.0], r"got '1e\+300'[^']* in column 'a',.* takes strings or integers"),
    "a word for no number": (["nan", "x"], "got 'nan' in column 'a', takes strings or integers"),
    "nothing": (["x", None], "got nothing in column 'a', data row 2 of"),
    "no float": (pa.array([1.0, None]), "got nothing in column 'a', data row 2 of"),
    "nothing at all": (pa.nulls(2), "got nothing in column 'a', data row 1 of"),
}
# Texts that pyarrow's writer of CSV would not write as others do.
AS_OTHERS = (bool, uuid.UUID, datetime.time, datetime.datetime)


def as_csv(values):
    """As pandas and Python write them."""
    found = [None if entry is None else entry for entry in values]
    found = [entry.decode() if isinstance(entry, bytes) else entry for entry in found]
    found = [str(entry) if isinstance(entry, AS_OTHERS) else entry for entry in found]
    return pd.DataFrame({"a": found, "r": 1.0})


def read(path):
    return gk.offline.read_log(path, gk.offline.LogSchema(player=[{"action": "a", "reward": "r"}]))


def as_files(tmp_path, values):
    """The same log as CSV and as Parquet, with dictionaries and without."""
    column = values if isinstance(values, pa.Array) else pa.array(values)
    table = pa.table({"a": column, "r": np.ones(len(column))})
    pq.write_table(table, tmp_path / "log.parquet")
    pq.write_table(table, tmp_path / "plain.parquet", use_dictionary=False, store_schema=False)
    as_csv(column.to_pylist()).to_csv(tmp_path / "log.csv", index=False)
    return [tmp_path / name for name in ("log.parquet", "plain.parquet", "log.csv")]


@pytest.mark.parametrize("case", TAKEN)
def test_a_log_is_read_alike(tmp_path, case):
    values, labels = TAKEN[case]
    paths = as_files(tmp_path, values)
    if case == "halves":
        paths = [paths[0], paths[2]]
    for path in paths:
        log = read(path)
        assert log.actions == (labels,), path
        assert log.statistics.counts.sum() == log.num_rows == len(values)
    both = read(paths)
    assert both.actions == (labels,)
    np.testing.assert_array_equal(both.statistics.counts, len(paths) * log.statistics.counts)


@pytest.mark.parametrize("case", REFUSED)
def test_a_log_is_refused_alike(tmp_path, case):
    values, message = REFUSED[case]
    for path in as_files(tmp_path, values):
        with pytest.raises(ValueError, match=f"^player.0.action: {message}"):
            read(path)


@pytest.mark.parametrize(
    "values", [[1.5, 2.0, 2.0], ["1.5", "2.0", "2"], [Decimal("1.5"), Decimal("2.0"), Decimal("2.0")]]
)
def test_labels_that_the_schema_lists_have_no_rule(tmp_path, values):
    """They are found in any writing."""
    columns = [{"action": "a", "reward": "r", "actions": ["2", "1.5", "true"]}]
    for path in as_files(tmp_path, values):
        log = gk.offline.read_log(path, gk.offline.LogSchema(player=columns))
        assert log.actions == (("2", "1.5", "true"),)
        np.testing.assert_array_equal(log.statistics.counts, [2, 1, 0])
    for path in as_files(tmp_path, [True, True]):
        log = gk.offline.read_log(path, gk.offline.LogSchema(player=columns))
        np.testing.assert_array_equal(log.statistics.counts, [0, 0, 2])


def test_writings_of_one_label_share_a_cell(tmp_path):
    """Wherever they are found: rewards, noise and groups are those of integers written one way."""
    rng = np.random.default_rng(0)
    actions, rewards = rng.integers(0, 3, 60), rng.normal(size=60)
    once = tmp_path / "once.csv"
    group = actions % 2
    pd.DataFrame({"a": actions, "r": rewards, "g": group}).to_csv(once, index=False)
    mixed, groups = ([f"{entry}{'.0' * (row % 2)}" for row, entry in enumerate(found)] for found in (actions, group))
    pd.DataFrame({"a": mixed, "r": rewards, "g": groups}).to_csv(tmp_path / "mixed.csv", index=False)
    columns = gk.offline.LogSchema(player=[{"action": "a", "reward": "r"}], group="g")
    ours, theirs = (gk.offline.read_log(path, columns) for path in (tmp_path / "mixed.csv", once))
    assert ours.actions == theirs.actions == ((0, 1, 2),) and ours.num_values == theirs.num_values == 2
    np.testing.assert_allclose(ours.groups.reward_sums, theirs.groups.reward_sums)
    np.testing.assert_allclose(ours.noise, theirs.noise)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_numbers_may_be_texts_in_parquet(tmp_path, kind):
    """As they are in CSV."""
    pq.write_table(pa.table({"a": ["x", "y"], "r": pa.array(["1.5", " -2e3"]).cast(kind)}), tmp_path / "log.parquet")
    np.testing.assert_array_equal(read(tmp_path / "log.parquet").statistics.reward_sums, [[1.5, -2000.0]])
    pq.write_table(pa.table({"a": ["x", "y"], "r": pa.array(["1.5", "1,5"]).cast(kind)}), tmp_path / "log.parquet")
    with pytest.raises(
        ValueError, match=r"player.0.reward: got '1,5' \(a decimal comma\?\) in column 'r', data row 2 of"
    ):
        read(tmp_path / "log.parquet")


def test_floats_of_half_the_digits_are_rounded_sooner(tmp_path):
    """In float32 2^24 + 1 is 2^24."""
    for values, taken in (([2.0, 2.0**24 - 1], True), ([2.0, 2.0**24], False)):
        pq.write_table(pa.table({"a": pa.array(values, pa.float32()), "r": [1.0, 1.0]}), tmp_path / "log.parquet")
        if taken:
            assert read(tmp_path / "log.parquet").actions == ((2, 2**24 - 1),)
            continue
        with pytest.raises(ValueError, match=r"^player.0.action: got '16777216.0', a floating.* data row 2 of"):
            read(tmp_path / "log.parquet")
