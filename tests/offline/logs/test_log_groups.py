"""Groups of a log: which row is in which, by hashes that are written out here, and how many values they are made of."""

import numpy as np
import pyarrow as pa
import pytest
from log_helpers import TOML, assert_same, changed, group_by, play, read_with

from gamekl.offline.logs import sums


def splitmix(value):
    """The finaliser of splitmix64, with Python's integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
    return value ^ (value >> 31)


def hash_of(text):
    """Its length, then its bytes by eights, with Python's integers."""
    content = text.encode()
    found = splitmix(len(content))
    for start in range(0, len(content), 8):
        found = splitmix(found ^ int.from_bytes(content[start : start + 8], "little"))
    return found


def by_group(columns, groups, labels):
    """Counts and sums of each group that has rows, ``[group, ...]``."""
    parts = [{name: values[groups == group] for name, values in columns.items()} for group in np.unique(groups)]
    found = [group_by((p["mine"], p["yours"]), (p["my_score"], p["your_score"]), labels) for p in parts]
    return tuple(np.stack(entry) for entry in zip(*found, strict=True))


def test_rows_go_to_groups_by_a_hash_of_their_number(tmp_path):
    columns = play()
    log = read_with(tmp_path, columns, num_groups=16)
    groups = np.array([splitmix(row) % 16 for row in range(500)])
    assert log.num_groups == 16
    assert_same(log.groups, by_group(columns, groups, log.actions))


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("names", [["", "ü", "a long name of a match"], [3, -12, 123_456_789_012]])
def test_rows_of_one_match_stay_together(tmp_path, suffix, names):
    """Integers and their texts are one and the same."""
    if suffix == ".csv" and "" in names:
        names = [*names[1:], "b"]  # nothing between two commas is a missing value
    columns = play()
    match = np.array(names)[np.random.default_rng(3).integers(0, 3, 500)]
    log = read_with(tmp_path, columns | {"match": match}, suffix, f'group = "match"\n{TOML}', num_groups=4)
    groups = np.array([hash_of(str(entry)) % 4 for entry in match])
    assert_same(log.groups, by_group(columns, groups, log.actions))
    assert_same(log.statistics, read_with(tmp_path, columns).statistics)


def test_fewer_groups_where_tables_would_be_large(tmp_path, monkeypatch, caplog):
    """Halves are joined, as if the smaller number had been asked for, whenever labels turn up."""
    columns = play(300)
    for name in columns:
        columns[name] = np.sort(columns[name])  # late labels
    wanted = read_with(tmp_path, columns, num_groups=64)
    assert not caplog.records
    monkeypatch.setattr(sums, "MOST_ENTRIES", 3 * 12 * 64 + 11)
    found = read_with(tmp_path, columns, num_groups=1024, batch_rows=10)
    assert_same(found.groups, wanted.groups)
    assert "1024 groups of these cells are too large, kept 64" in caplog.text


@pytest.mark.parametrize("match", [[0.5, np.nan, 2.5], [pa.scalar([1])] * 3, [None, "a", "b"]])
def test_bad_groups(tmp_path, match):
    with pytest.raises(ValueError, match="^group: got (nested values|nothing) "):
        read_with(tmp_path, changed(match=pa.array(match)), text=f'group = "match"\n{TOML}')


@pytest.mark.parametrize("number", [0, -4, 48, 2**17, True])
def test_bad_numbers_of_groups(tmp_path, number):
    with pytest.raises(ValueError, match=f"num_groups: got {number}, takes a (power of two|whole number)"):
        read_with(tmp_path, changed(), num_groups=number)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_values_are_counted(tmp_path, suffix, monkeypatch):
    """Those that rows have, in all batches together, whatever the number of groups; and up to a bound."""
    columns = play(6_000)
    match = np.random.default_rng(4).integers(0, 3_000, 6_000)
    entries = pa.DictionaryArray.from_arrays(pa.array(match, pa.int16()), pa.array([f"m{k}" for k in range(4_000)]))
    columns["match"] = entries if suffix == ".parquet" else match
    options = {"text": f'group = "match"\n{TOML}', "num_groups": 4, "batch_rows": 500}
    found = read_with(tmp_path, columns, suffix, **options)
    assert (found.group, found.num_values, found.num_groups) == ("match", len(set(match.tolist())), 4)
    monkeypatch.setattr(sums, "MOST_VALUES", 100)
    assert read_with(tmp_path, columns, suffix, **options).num_values == 100
    without = read_with(tmp_path, columns, suffix)
    assert (without.group, without.num_values) == (None, None)
