"""The columns of a user's Parquet and CSV files, batch by batch, checked. Loads no jax.

A batch holds every column that a schema names: those of labels as indices into a dictionary of texts, those of numbers
as float64. Rows of data are counted from 1 in messages.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, types

from gamekl.offline.log_schema import LogSchema

# Read ahead from a file, bytes a column: without it a whole row group would be held.
READ_AHEAD = 2**20
# Bytes of a CSV file for each row of a batch, and the least for a batch.
ROW_BYTES, SMALLEST_BLOCK = 64, 2**16
BAD_NUMBER = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: invalid value '(.*)'")

UNREADABLE_IN_DICTIONARIES = re.compile(r"Not yet implemented: DecodeArrow of DictAccumulator")
# What stands in CSV files, without quotes, where there is no value; R writes the first, SQL the second and the last,
# Python the third.
MISSING = ("NA", "NULL", "None", "\\N")

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


class Labels(NamedTuple):
    """A column of labels: row k has ``texts[indices[k]]``; some texts may be those of no row."""

    indices: np.ndarray
    texts: pa.Array


class Place(NamedTuple):
    """A column that a schema names, in one file.

    Attributes:
        field: of the schema.
        column: its name in the file.
        path: of the file.
    """

    field: str
    column: str
    path: Path

    @property
    def takes(self) -> str:
        """What its values may be."""
        return "numbers" if self.field == "preference" or self.field.endswith(".reward") else "strings or integers"

    def error(self, got: str, takes: str, row: int | None = None) -> ValueError:
        """``field: got ..., takes ...``, with the place; `row` counts from 0."""
        where = "" if row is None else f"data row {row + 1} of "
        return ValueError(f"{self.field}: got {got} in column {self.column!r}, {where}{self.path}, takes {takes}")


class Batch(NamedTuple):
    """Some rows of one file.

    Attributes:
        first: the number of the first row in its file, from 0.
        columns: by field: `Labels`, or float64 numbers.
        places: of the columns, by field.
        kinds: by field, what a column is: "integers", "strings", "numbers", or "text" of CSV's labels, which may be
            either of the first two.
    """

    first: int
    columns: dict[str, Any]
    places: dict[str, Place]
    kinds: dict[str, str]


class _Source(NamedTuple):
    """An open file: the names of its columns, what those asked for are, and its batches."""

    names: list[str]
    kinds: dict[str, str]
    batches: Iterator[Any]


def as_paths(paths: Paths) -> list[Path]:
    """The files, each of which is there, once, and of a known kind.

    Raises:
        ValueError: no file, a folder, the same twice, or of another kind.
        FileNotFoundError: there is no such file.
    """
    found = [Path(entry) for entry in ([paths] if isinstance(paths, str | PathLike) else paths)]
    if not found:
        raise ValueError("paths: got none, takes at least one file")
    seen: dict[tuple[int, int], Path] = {}
    for path in found:
        if path.is_dir():
            raise ValueError(f"paths: got the folder {path}, takes files: {path}/*.parquet in a shell")
        if not path.exists():
            raise FileNotFoundError(f"paths: got {path}, takes a file that is there")
        if not path.name.lower().endswith((".parquet", ".csv", ".csv.gz")):
            raise ValueError(f"paths: got {path}, takes a file that ends in .parquet, .csv or .csv.gz")
        facts = path.stat()  # links are the file that they lead to
        other = seen.setdefault((facts.st_dev, facts.st_ino), path)
        if other is not path:
            twice = f"{path} twice" if other == path else f"{other} and {path}, which are one file"
            raise ValueError(f"paths: got {twice}, takes each file once")
    return found


def _check_type(place: Place, kind: pa.DataType) -> str:
    """What the column is; raises where that does not suit its field."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_nested(kind):
        raise place.error(f"nested values ({kind})", f"{place.takes}, one in each row")
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    numbers = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind)
    if place.takes == "numbers" and numbers:
        return "numbers"
    if place.takes != "numbers" and (texts or types.is_integer(kind)):
        return "strings" if texts else "integers"
    raise place.error(f"values of type {kind}", place.takes)


def _check_header(places: Sequence[Place], names: Sequence[str], path: Path) -> None:
    """Raise unless each column is there, once."""
    for place in places:
        found = list(names).count(place.column)
        if found == 0:
            shown = ", ".join(map(repr, names[:10])) + (" and more" if len(names) > 10 else "")
            raise ValueError(f"{place.field}: got {place.column!r}, takes a column of {path}, which has {shown}")
        if found > 1:
            raise ValueError(f"{place.field}: got {found} columns {place.column!r} in {path}, takes names that differ")


def _places(schema: LogSchema, path: Path) -> dict[str, Place]:
    """The columns that a schema names, by field."""
    named = {entry.field: entry.column for entry in schema.label_columns} | schema.number_columns
    named |= {} if schema.group is None else {"group": schema.group}
    return {field: Place(field, column, path) for field, column in named.items()}


def _parquet(path: Path, places: Sequence[Place], batch_rows: int, known: set[str]) -> _Source:
    del known
    header = pq.read_schema(path)
    _check_header(places, header.names, path)
    kinds = {place.field: _check_type(place, header.field(place.column).type) for place in places}
    texts = [place.column for place in places if kinds[place.field] == "strings"]
    columns = list(dict.fromkeys(place.column for place in places))

    def batches(in_dictionaries: list[str]) -> Iterator[Any]:
        file = pq.ParquetFile(
            path,
            pre_buffer=False,  # it would hold all columns of a row group at once
            buffer_size=READ_AHEAD,
            read_dictionary=in_dictionaries,
            page_checksum_verification=True,
        )
        return file.iter_batches(batch_size=batch_rows, columns=columns)

    return _Source(header.names, kinds, _with_or_without(batches, texts))


def _with_or_without(batches: Callable[[list[str]], Iterator[Any]], texts: list[str]) -> Iterator[Any]:
    """Batches with texts in dictionaries, or, where they are stored as differences, plain: pyarrow 26 cannot else."""
    done = 0
    try:
        for batch in batches(texts):
            yield batch
            done += 1
    except OSError as error:
        if not UNREADABLE_IN_DICTIONARIES.search(str(error)):
            raise
        yield from islice(batches([]), done, None)


def _csv(path: Path, places: Sequence[Place], batch_rows: int, known: set[str]) -> _Source:
    with csv.open_csv(_stream(path)) as reader:
        header = reader.schema
    _check_header(places, header.names, path)
    kinds = {place.field: "numbers" if place.takes == "numbers" else "text" for place in places}
    asked = {}
    for place in places:
        truths = types.is_boolean(header.field(place.column).type)  # so are true and false understood
        number = pa.bool_() if truths else pa.float64()
        asked[place.column] = number if place.takes == "numbers" else pa.dictionary(pa.int32(), pa.string())
    missing = [word for word in MISSING if word not in known]
    return _Source(header.names, kinds, _blocks(path, asked, missing, max(SMALLEST_BLOCK, ROW_BYTES * batch_rows)))


def _stream(path: Path) -> Any:
    """The text of a CSV file; pyarrow itself would not know gzip by .GZ."""
    return pa.input_stream(path, compression="gzip" if path.suffix.lower() == ".gz" else None)


def _blocks(path: Path, asked: dict[str, pa.DataType], missing: list[str], block_size: int) -> Iterator[Any]:
    """The columns of a CSV file that are asked for, with their types."""
    yield from csv.open_csv(
        _stream(path),
        # In one thread errors know their row; two are no faster.
        read_options=csv.ReadOptions(use_threads=False, block_size=block_size),
        convert_options=csv.ConvertOptions(
            column_types=asked,
            include_columns=list(asked),
            null_values=["", *missing],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # "NA" is a label, then
        ),
    )


def _column(place: Place, column: Any, first: int, kind: str) -> Any:
    """One column of a batch: `Labels`, or float64 numbers that are finite."""
    if column.null_count:
        raise place.error("nothing", "a value in each row", first + int(np.argmin(column.is_valid())))
    if place.takes == "numbers":
        if types.is_dictionary(column.type):
            column = column.dictionary_decode()
        numbers = np.asarray(column.cast(pa.float64(), safe=False))
        good, takes = np.isfinite(numbers), "finite numbers"
        if place.field == "preference":
            good, takes = (numbers >= 0) & (numbers <= 1), "numbers from 0 to 1"
        if not good.all():
            row = int(np.argmin(good))
            raise place.error(f"{numbers[row]}", takes, first + row)
        return numbers
    if types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices, texts = np.asarray(column.indices), column.dictionary.cast(pa.string())
    blank = texts.index("").as_py() if kind == "text" else -1  # in quotes; Parquet tells it from nothing
    if blank >= 0 and np.any(indices == blank):
        raise place.error("nothing", "a value in each row", first + int(np.argmax(indices == blank)))
    return Labels(indices, texts)


def _unreadable(path: Path, places: Sequence[Place], names: Sequence[str], error: Exception) -> ValueError:
    """What is wrong with a file that cannot be read to its end."""
    bad = BAD_NUMBER.search(str(error))
    place = None if bad is None else next((place for place in places if place.column == names[int(bad[1])]), None)
    if bad is None or place is None:
        reason = str(error).partition("\n")[0]
        return ValueError(f"paths: got {path}, takes a file that can be read to its end ({reason})")
    again = " (the header a second time?)" if bad[3] == place.column else ""
    return place.error(f"{bad[3]!r}{again}", place.takes, None if bad[2] is None else int(bad[2]) - 2)


def read_batches(path: Path, schema: LogSchema, batch_rows: int) -> Iterator[Batch]:
    """The rows of one file.

    Args:
        path: one of `as_paths`.
        schema: which columns are read.
        batch_rows: about how many rows a batch has.

    Raises:
        ValueError: the file is damaged; a column is missing, doubled or of another type; a value is missing, or is no
            number that its field takes.
    """
    places = _places(schema, path)
    names, first = [], 0
    try:
        opened = _parquet if path.suffix.lower() == ".parquet" else _csv
        known = {str(label) for column in schema.label_columns for label in column.labels or ()}
        names, kinds, batches = opened(path, list(places.values()), batch_rows, known)
        for rows in batches:
            rows.validate(full=True)  # the entries of a damaged file may point anywhere
            found = {
                field: _column(place, rows.column(place.column), first, kinds[field]) for field, place in places.items()
            }
            yield Batch(first, found, places, kinds)
            first += rows.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, list(places.values()), names, error) from error
