"""Columns of logs: of which types labels and rewards may be, and how others are refused with their place."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from log_helpers import PREFERENCE, TOML, assert_same, changed, play, read_with, schema, write

import gamekl as gk


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    "won", [[1.0, 0.25, 0.5], [True, False, True], [1, 0, 1], ["1", "0.25", "0"], ["True", "False", "True"]]
)
def test_preferences(tmp_path, suffix, won):
    columns = {"mine": ["a", "b", "a"], "yours": ["c", "c", "c"], "won": won}
    log = read_with(tmp_path, columns, suffix, PREFERENCE)
    first, second, third = (float(entry == "True" if entry in ("True", "False") else entry) for entry in won)
    np.testing.assert_allclose(
        log.statistics.reward_sums[:, :, 0], [[first + third, second], [2 - first - third, 1 - second]]
    )
    np.testing.assert_allclose(log.noise, [abs(first - third) / 2**0.5] * 2)


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint16(), pa.int64(), pa.uint64(), pa.dictionary(pa.int8(), pa.int32())]
)
@pytest.mark.parametrize("text", [pa.large_string(), pa.string_view(), pa.dictionary(pa.int16(), pa.large_string())])
def test_types_of_labels(tmp_path, kind, text):
    columns = {"mine": pa.array(["x", "y", "x"]).cast(text) if not pa.types.is_dictionary(text) else None}
    if columns["mine"] is None:  # with an entry that no row has, and one twice
        columns["mine"] = pa.DictionaryArray.from_arrays(
            pa.array([1, 2, 3], pa.int16()), pa.array(["z", "x", "y", "x"])
        )
    whole = pa.array([7, 30, 7])
    columns["yours"] = whole.cast(pa.int32()).dictionary_encode() if pa.types.is_dictionary(kind) else whole.cast(kind)
    columns |= {"my_score": [1.0, 2.0, 4.0], "your_score": [0.0, 0.0, 0.0]}
    log = read_with(tmp_path, columns)
    assert log.actions == (("x", "y"), (7, 30))
    assert_same(log.statistics.reward_sums[0], np.array([[5.0, 0.0], [0.0, 2.0]]))


@pytest.mark.parametrize(
    "scores",
    [
        pa.array([1, 2, 4], pa.int8()),
        pa.array([1, 2, 4], pa.uint64()),
        pa.array(np.array([1, 2, 4], np.float16)),
        pa.array([1, 2, 4], pa.float32()),
        pa.array([Decimal("1.00"), Decimal("2.00"), Decimal("4.00")]),
        pa.array([1.0, 2.0, 4.0]).dictionary_encode(),
    ],
    ids=lambda scores: str(scores.type),
)
def test_types_of_rewards(tmp_path, scores):
    columns = {"mine": ["x", "y", "x"], "yours": [7, 30, 7], "my_score": scores, "your_score": [True, False, True]}
    log = read_with(tmp_path, columns)
    np.testing.assert_array_equal(log.statistics.reward_sums, [[[5, 0], [0, 2]], [[2, 0], [0, 0]]])


def test_labels_of_csv(tmp_path):
    """Integers where all are; as they are written where the schema lists strings."""
    columns = {"mine": ["1", "02", "x"], "yours": ["1", "2", "2"], "my_score": [1, 1, 1], "your_score": [0, 0, 0]}
    listed = TOML.replace('"my_score"', '"my_score"\nactions = ["x", "1", "02"]')
    log = read_with(tmp_path, columns, ".csv", listed)
    assert log.actions == (("x", "1", "02"), (1, 2))
    np.testing.assert_array_equal(log.statistics.counts, [[0, 1], [1, 0], [0, 1]])
    quoted = tmp_path / "quoted.csv"
    quoted.write_text('\ufeffmine,yours,my_score,your_score,more\r\n"NA","null",1e0,-2.5,?\r\n')
    assert gk.offline.read_log(quoted, schema(tmp_path)).actions == (("NA",), ("null",))


NESTED = pa.array([[1], [2], [3]])
BAD_COLUMNS = {
    "missing column": (changed(mine=None), "player.0.action: got 'mine', takes a column of .*, which has 'yours', "),
    "float actions": (
        changed(mine=[0.5, 1, 2]),
        "player.0.action: got '0.5' in column 'mine', takes strings or integers",
    ),
    "actions of bytes": (changed(mine=[b"a", b"b", b"\xff"]), "player.0.action: got bytes that are no text in column"),
    "durations": (
        changed(mine=np.array([1, 2, 3], "m8[s]")),
        r"player.0.action: got values of type duration.s. in col",
    ),
    "nested action": (changed(yours=NESTED), "player.1.action: got nested values .*takes strings or integers, one"),
    "nested reward": (changed(my_score=NESTED), "player.0.reward: got nested values .*takes numbers, one in each row"),
    "strings for rewards": (
        changed(my_score=["a", "b", "c"]),
        "player.0.reward: got 'a' in column 'my_score', data row 1 of",
    ),
    "dates for rewards": (changed(my_score=np.array([1, 2, 3], "M8[s]")), "player.0.reward: got values of type time"),
    "nothing but nulls": (changed(mine=pa.nulls(3)), "player.0.action: got nothing in column 'mine', data row 1 of"),
    "null action": (changed(mine=["x", None, "y"]), "player.0.action: got nothing in column 'mine', data row 2 of"),
    "null in a dictionary": (
        changed(mine=pa.array(["x", "y", None]).dictionary_encode()),
        "player.0.action: got nothing in column 'mine', data row 3 of .*, takes a value in each row",
    ),
    "null reward": (
        changed(your_score=[1, 2, None]),
        "player.1.reward: got nothing in column 'your_score', data row 3",
    ),
    "NaN reward": (changed(my_score=[1, np.nan, 2]), "player.0.reward: got nan .*data row 2 .*takes finite numbers"),
    "infinite reward": (changed(my_score=[np.inf, 1, 2]), "player.0.reward: got inf in column 'my_score', data row 1"),
    "overflow of a sum": (changed(my_score=[1e308, 1, 1e308]), "reward: got numbers whose sums or squares overflow"),
    "overflow of a square": (changed(my_score=[0, 1e200, 1]), "reward: got numbers whose sums or squares overflow"),
}


@pytest.mark.parametrize("case", BAD_COLUMNS)
def test_bad_columns(tmp_path, case):
    columns, message = BAD_COLUMNS[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        read_with(tmp_path, columns)


def test_doubled_column_of_parquet(tmp_path):
    table = pa.table(changed())
    doubled = table.append_column("mine", pa.array([1, 2, 3]))
    with pytest.raises(ValueError, match="player.0.action: got 2 columns 'mine' in .*, takes names that differ"):
        read_with(tmp_path, doubled)


def test_files_that_differ(tmp_path):
    table = schema(tmp_path)
    good = write(tmp_path / "good.parquet", changed())
    less = write(tmp_path / "less.parquet", changed(your_score=None))
    with pytest.raises(ValueError, match=r"player.1.reward: got 'your_score', takes a column of .*less\.parquet"):
        gk.offline.read_log([good, less], table)


def test_how_files_store_labels_does_not_matter(tmp_path):
    """They are one label if a CSV file would have the same text."""
    stored = {
        "a.parquet": [1, 2, 1],
        "b.parquet": ["1", "2", "1"],
        "c.parquet": [1.0, 2.0, 1.0],
        "d.parquet": [Decimal("1"), Decimal("2"), Decimal("1")],
        "e.csv": [1.0, 2.0, 1.0],
    }
    paths = [write(tmp_path / name, changed(yours=values)) for name, values in stored.items()]
    log = gk.offline.read_log(paths, schema(tmp_path))
    assert log.actions == (("x", "y"), (1, 2))
    np.testing.assert_array_equal(log.statistics.counts, [[10, 0], [0, 5]])
    beside = write(tmp_path / "f.csv", changed(yours=["a", "2", "2"]))
    log = gk.offline.read_log([*paths[:2], beside], schema(tmp_path))
    assert log.actions == (("x", "y"), ("1", "2", "a"))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (
            '["y"]',
            "player.0.action: got the unknown label 'x' in column 'mine', data row 1 of .*player.0.actions .*: 'y'",
        ),
        ('["x"]', "player.0.action: got the unknown label 'y' in column 'mine', data row 2 of"),
        ("[1, 2]", "player.0.action: got the unknown label 'x' in column 'mine', data row 1 of"),
    ],
)
def test_unknown_labels(tmp_path, actions, message):
    text = TOML.replace('"my_score"', f'"my_score"\nactions = {actions}')
    with pytest.raises(ValueError, match=f"^{message}"):
        read_with(tmp_path, changed(), text=text)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_strings_in_the_schema_and_integers_in_the_log(tmp_path, suffix):
    text = TOML.replace('"your_score"', '"your_score"\nactions = ["2", "1"]')
    assert read_with(tmp_path, changed(), suffix, text).actions[1] == ("2", "1")


def test_the_first_unknown_label_is_named_in_its_row(tmp_path):
    columns = play(1_000)
    columns["mine"] = columns["mine"].astype(object)
    columns["mine"][[777, 900]] = "late", "later"
    text = TOML.replace('"my_score"', '"my_score"\nactions = ["rock", "paper", "a,b", "Ünïc\\nöde"]')
    with pytest.raises(ValueError, match="the unknown label 'late' in column 'mine', data row 778 of"):
        read_with(tmp_path, columns, text=text, batch_rows=50)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("won", "got"), [([1, 1.5, 0], "1.5"), ([1, -0.1, 0], "-0.1"), ([1, np.nan, 0], "nan"), ([1, np.inf, 0], "inf")]
)
def test_bad_preferences(tmp_path, suffix, won, got):
    columns = {"mine": ["x", "y", "x"], "yours": [1, 2, 1], "won": won}
    with pytest.raises(ValueError, match=f"^preference: got {got} in column 'won', data row 2 of .*from 0 to 1"):
        read_with(tmp_path, columns, suffix, PREFERENCE)


def test_too_many_labels(tmp_path):
    """Such as a column of numbers in place of actions; with fewer groups there is room for more."""
    rng = np.random.default_rng(0)
    columns = {"mine": rng.integers(0, 10**9, 60_000), "yours": rng.integers(0, 9, 60_000)}
    columns |= {"my_score": rng.normal(size=60_000), "your_score": rng.normal(size=60_000)}
    with pytest.raises(ValueError, match=r"player.0.action: got \d+ labels .such as '\d+', .*takes at most \d+ cells"):
        read_with(tmp_path, columns)
    assert read_with(tmp_path, columns, num_groups=1).statistics.counts.sum() == 60_000


def test_labels_that_are_almost_the_same_are_told_of(tmp_path, caplog):
    """They stay two, and those that the schema lists are meant."""
    columns = changed(mine=["Rock", "rock", "paper"], yours=[1, 2, 11])
    assert read_with(tmp_path, columns).actions[0] == ("Rock", "paper", "rock")
    assert caplog.messages == [
        "player.0.action: got labels 'Rock' and 'rock' in column 'mine', which differ only in case or spaces, "
        "and are taken for two"
    ]
    caplog.clear()
    read_with(tmp_path, changed(mine=[" x", "x\t", "X"]), ".csv")
    assert "labels ' x' and 'X'" in caplog.text and "(2 such pairs)" in caplog.text
    caplog.clear()
    read_with(tmp_path, columns, text=TOML.replace('"my_score"', '"my_score"\nactions = ["rock", "Rock", "paper"]'))
    read_with(tmp_path, changed())
    assert not caplog.messages
