"""Small logs by every writer at hand: each is read right, or refused for its reason; none is misread.

The truth is a table of rows in memory. `EXPECTED` names, for a writer and a kind of labels, the reason of a refusal.
"""

import csv
import itertools
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from log_helpers import PLAIN, group_by

import gamekl as gk

KINDS = {
    "words": ["rock", "paper", "scissors"],
    "integers": [10, 9, -3],
    "numbers and words": ["10", "J", "pass"],
    "leading zeros": ["007", "7", "008"],
    "commas and quotes": ['say "so"', "a,b", '"'],
    "spaces": [" x", "y ", "Ünïc ödé 石"],
    "line breaks": ["one\ntwo", "x,1,1,1\ny", "\r\n"],
}
QUOTED, BROKEN = ("commas and quotes",), ("line breaks",)


def logged(kind, num_rows=40):
    rng = np.random.default_rng(0)
    columns = {
        "a": rng.choice(np.array(KINDS[kind], object), num_rows),
        "b": rng.choice(np.array(["p", "q"], object), num_rows),
    }
    columns |= {name: rng.integers(-20, 20, num_rows) / 4 for name in "rs"}
    return pd.DataFrame(columns)


def check(log, frame):
    """Labels and sums are those of the rows."""
    expected = sorted(set(frame["a"])), sorted(set(frame["b"]))
    assert log.num_rows == len(frame) and tuple(map(list, log.actions)) == expected
    counts, sums = group_by([frame["a"], frame["b"]], [frame["r"], frame["s"]], expected)
    np.testing.assert_array_equal(log.statistics.counts, counts)
    np.testing.assert_allclose(log.statistics.reward_sums, sums, atol=1e-9)


def pandas(**options):
    return lambda frame, path: frame.to_csv(path, **{"index": False} | options)


def python(**options):
    def write(frame, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, **options).writerows([list(frame), *frame.itertuples(index=False)])

    return write


def arrow(**options):
    return lambda frame, path: pa.csv.write_csv(
        pa.Table.from_pandas(frame, preserve_index=False), path, pa.csv.WriteOptions(**options)
    )


def polars(**options):
    def write(frame, path):
        module = pytest.importorskip("polars")
        columns = frame.astype(object).where(frame.notna(), None).to_dict("list")
        module.DataFrame(columns).write_csv(path, **options)

    return write


def like_r(end="\n", row_names=True):
    """As write.csv of R: texts in quotes, rows with their numbers, a column of which has no name."""

    def text(value):
        return str(value) if isinstance(value, float | int) else '"' + value.replace('"', '""') + '"'

    def write(frame, path):
        rows = [frame.columns, *frame.itertuples(index=False)]
        names = ["", *range(1, len(rows))] if row_names else None
        lines = [[*([text(str(names[k]))] if names else []), *map(text, row)] for k, row in enumerate(rows)]
        path.write_bytes("".join(",".join(line) + end for line in lines).encode())

    return write


CSV = {
    "pandas": pandas(),
    "pandas, all in quotes": pandas(quoting=csv.QUOTE_ALL),
    "pandas, texts in quotes": pandas(quoting=csv.QUOTE_NONNUMERIC),
    "pandas, CRLF": pandas(lineterminator="\r\n"),
    "pandas, mark": pandas(encoding="utf-8-sig"),
    "pandas, index": pandas(index=True),
    "pandas, few digits": pandas(float_format="%.2f"),
    "pandas, powers": pandas(float_format="%.6e"),
    "pandas, columns in another order": lambda frame, path: frame[["s", "b", "r", "a"]].to_csv(path, index=False),
    "pandas, semicolons": pandas(sep=";", decimal=","),
    "pandas, tabs": pandas(sep="\t"),
    "pandas, decimal commas": pandas(decimal=","),
    "pandas, UTF-16": pandas(encoding="utf-16"),
    "pandas, Latin-1": lambda frame, path: frame.to_csv(path, index=False, encoding="latin-1", errors="replace"),
    "pandas, escapes": pandas(doublequote=False, escapechar="\\"),
    "pandas, no names": pandas(header=False),
    "Python": python(),
    "Python, Unix": python(dialect="unix"),
    "Python, tabs": python(dialect="excel-tab"),
    "Python, no quotes": python(quoting=csv.QUOTE_NONE, escapechar="\\"),
    "pyarrow": arrow(),
    "pyarrow, all in quotes": arrow(quoting_style="all_valid"),
    "polars": polars(),
    "polars, mark": polars(include_bom=True),
    "polars, all in quotes": polars(quote_style="always"),
    "polars, texts in quotes": polars(quote_style="non_numeric"),
    "polars, CRLF": polars(line_terminator="\r\n"),
    "polars, bars": polars(separator="|"),
    "R": like_r(),
    "R, CRLF": like_r("\r\n"),
    "R, no row names": like_r(row_names=False),
}
ALL = tuple(KINDS)
EXPECTED = {
    "pandas, semicolons": {ALL: "with semicolons between columns, takes commas"},
    "pandas, tabs": {ALL: "with tabs between columns, takes commas"},
    "Python, tabs": {ALL: "with tabs between columns, takes commas"},
    "polars, bars": {ALL: "with bars between columns, takes commas"},
    "pandas, decimal commas": {
        ALL: r"player.0.reward: got '-?[0-9]+,[0-9]+' \(a decimal comma\?\) in column 'r', data row"
    },
    "pandas, UTF-16": {ALL: "in UTF-16, takes UTF-8"},
    "pandas, Latin-1": {("spaces",): "takes a file that can be read to its end .*invalid UTF8"},
    "pandas, escapes": {
        QUOTED: r"player.0.action: got .. in column 'a', data row 1 of .*takes doubled quotes in their place"
    },
    "pandas, no names": {ALL: "player.0.action: got 'a', takes a column of .*, which has"},
    "Python, no quotes": {
        (*QUOTED, *BROKEN): "takes a file that can be read to its end .*Expected 4 columns|the header"
    },
}


@pytest.mark.parametrize(("writer", "kind"), list(itertools.product(CSV, KINDS)))
@pytest.mark.parametrize("suffix", [".csv"])
def test_csv(tmp_path, writer, kind, suffix):
    frame = logged(kind)
    CSV[writer](frame, tmp_path / f"log{suffix}")
    reason = next((text for kinds, text in EXPECTED.get(writer, {}).items() if kind in kinds), None)
    if reason is None:
        check(gk.offline.read_log(tmp_path / f"log{suffix}", PLAIN), frame)
    else:
        with pytest.raises(ValueError, match=reason):
            gk.offline.read_log(tmp_path / f"log{suffix}", PLAIN)


VERSIONS = [
    {"version": version, "data_page_version": page} for version in ("1.0", "2.4", "2.6") for page in ("1.0", "2.0")
]
COMPRESSIONS = [{"compression": name} for name in ("none", "snappy", "gzip", "zstd", "lz4", "brotli")]
ENCODINGS = [
    {"use_dictionary": False},
    {"use_dictionary": ["a"], "dictionary_pagesize_limit": 20},
    {"use_dictionary": False, "column_encoding": {"b": "DELTA_BYTE_ARRAY", "r": "BYTE_STREAM_SPLIT"}},
    {"use_dictionary": False, "column_encoding": {"b": "DELTA_LENGTH_BYTE_ARRAY"}},
]
SHAPES = [
    {"row_group_size": 7},
    {"data_page_size": 32, "write_batch_size": 3},
    {"store_schema": False},
    {"write_statistics": False},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "options", [*VERSIONS, *COMPRESSIONS, *ENCODINGS, *SHAPES], ids=lambda options: re.sub("\\W+", " ", str(options))
)
def test_parquet(tmp_path, options, kind):
    frame = logged(kind)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pq.write_table(table, tmp_path / "log.parquet", **options)
    check(gk.offline.read_log(tmp_path / "log.parquet", PLAIN, batch_rows=11), frame)


TYPES = {
    "words": [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int8(), pa.string())],
    "integers": [
        pa.int8(),
        pa.int64(),
        pa.float32(),
        pa.float64(),
        pa.decimal128(20, 3),
        pa.string(),
        pa.large_string(),
    ],
}


@pytest.mark.parametrize(
    ("kind", "type_"), [(kind, entry) for kind, entries in TYPES.items() for entry in entries], ids=str
)
@pytest.mark.parametrize("store_schema", [True, False])
def test_types(tmp_path, kind, type_, store_schema):
    frame = logged(kind)
    plain = pa.array(frame["a"])
    if pa.types.is_decimal(type_):
        plain = plain.cast(pa.decimal128(22, 0))
    column = plain.dictionary_encode().cast(type_) if pa.types.is_dictionary(type_) else plain.cast(type_)
    table = pa.table({"a": column, **{name: pa.array(frame[name]) for name in "brs"}})
    pq.write_table(table, tmp_path / "log.parquet", store_schema=store_schema)
    check(gk.offline.read_log(tmp_path / "log.parquet", PLAIN), frame)


# What stands for no value, by the writer, and whether it is seen as such or as a word.
NOTHING = {
    "pandas": (pandas(), "got nothing"),
    "pandas, all in quotes": (pandas(quoting=csv.QUOTE_ALL), "got nothing"),
    "pandas, NA": (pandas(na_rep="NA"), "got nothing"),
    "pandas, NULL": (pandas(na_rep="NULL"), "got nothing"),
    "pandas, MySQL": (pandas(na_rep="\\N"), "got nothing"),
    "pandas, nan": (pandas(na_rep="nan"), "got 'nan'"),
    "Python": (lambda frame, path: python()(frame.replace({np.nan: None}), path), "got nothing"),
    "Python, words": (
        lambda frame, path: python()(frame.astype(object).where(frame.notna(), "None"), path),
        "got nothing",
    ),
    "pyarrow": (arrow(), "got nothing"),
    "polars": (polars(), "got nothing"),
    "Parquet": (lambda frame, path: pq.write_table(pa.Table.from_pandas(frame), path), "got nothing"),
}


@pytest.mark.parametrize("writer", NOTHING)
@pytest.mark.parametrize("column", ["a", "r"])
def test_missing_values(tmp_path, writer, column):
    """Wherever one is, the row is told."""
    write, got = NOTHING[writer]
    frame = logged("words")
    frame.loc[23, column] = None
    path = tmp_path / ("log.parquet" if writer == "Parquet" else "log.csv")
    write(frame, path)
    field = {"a": "player.0.action", "r": "player.0.reward"}[column]
    where = "" if got == "got 'nan'" and column == "a" else ", data row 24 of"
    got = "got nan" if got == "got 'nan'" and column == "r" else got
    with pytest.raises(ValueError, match=f"^{field}: {got} in column '{column}'{where}"):
        gk.offline.read_log(path, PLAIN)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("layout", ["parts", "partitions", "long", "weights"])
def test_layouts(tmp_path, kind, suffix, layout):
    frame = logged(kind)
    schema = PLAIN
    parts = {"log": frame}
    if layout == "parts":
        parts = {f"part-{start}": frame[start : start + 13] for start in (0, 13, 26, 39)} | {"part-40": frame[:0]}
    elif layout == "partitions":
        parts = {f"b={value}/part": part.drop(columns="b") for value, part in frame.groupby("b")}
    elif layout == "long":
        sides = [frame[[action, reward]].set_axis(["move", "score"], axis=1) for action, reward in ("ar", "bs")]
        both = pd.concat([side.assign(seat=seat, game=frame.index) for seat, side in zip("ab", sides, strict=True)])
        both["move"] = both["move"].astype(str)
        parts = {"log": both.sample(frac=1, random_state=0)}
        columns = {"match": "game", "role": "seat", "action": "move", "reward": "score"}
        schema = gk.offline.LogSchema(layout="long", **columns, player=[{"name": "a"}, {"name": "b"}])
    elif layout == "weights":
        weighted = frame.groupby(["a", "b", "r", "s"], sort=False).size().reset_index(name="n")
        parts = {"log": weighted}
        schema = gk.offline.LogSchema(player=PLAIN.player, weight="n")
        assert len(weighted) <= len(frame)
    for name, part in parts.items():
        path = tmp_path / "log" / f"{name}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".parquet":
            pq.write_table(pa.Table.from_pandas(part, preserve_index=False), path)
        else:
            part.to_csv(path, index=False)
    log = gk.offline.read_log(tmp_path / "log", schema)
    if layout == "weights":
        assert log.num_plays == len(frame)
        log = gk.offline.read_log(tmp_path / "log", gk.offline.LogSchema(player=PLAIN.player))
        frame = weighted
    check(log, frame)
