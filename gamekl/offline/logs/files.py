"""The rows of a log's files, batch by batch, checked. Loads no jax.

A batch holds every column that a schema names, by field: labels as indices into a dictionary of texts, numbers as
float64. A column is one of the file, one entry of a column of lists, or the name of a folder (`folders`).
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from gamekl.offline.logs.columns import Batch, Place, as_labels, as_numbers, element
from gamekl.offline.logs.csv_file import CsvFile, is_empty
from gamekl.offline.logs.folders import LogFile
from gamekl.offline.logs.matches import join_matches
from gamekl.offline.logs.outcomes import preferences
from gamekl.offline.logs.parquet_file import ParquetFile
from gamekl.offline.logs.schema import LogSchema

logger = logging.getLogger("gamekl")

BAD_NUMBER = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: invalid value '(.*)'", re.DOTALL
)
ENTRY = re.compile(r"(.+)\[(0|[1-9][0-9]*)\]")


class _Found(NamedTuple):
    """Where the values of a field are: a column of the file, perhaps an entry of its lists, or one value for all."""

    place: Place
    name: str | None
    entry: int | None = None
    value: str | None = None

    def read(self, rows: Any, first: int, is_csv: bool) -> Any:
        """`Labels` or numbers, of a batch of pyarrow's."""
        if self.name is None:
            column = pa.repeat(pa.scalar(self.value, pa.string()), rows.num_rows)
        else:
            column = rows.column(self.name)
        if self.entry is not None:
            column = element(self.place, column, self.entry, first)
        if self.place.is_number:
            return as_numbers(self.place, column, first)
        return as_labels(self.place, column, first, is_csv=is_csv)


def _find(place: Place, file: ParquetFile | CsvFile, partitions: dict[str, str | None]) -> _Found:
    """Raise unless the column is there, once."""
    times = file.names.count(place.column)
    if times > 1:
        where = f"{times} columns {place.column!r} in {place.path}"
        raise ValueError(f"{place.field}: got {where}, takes names that differ")
    if times:
        return _Found(place, place.column)
    if place.column in partitions:
        return _Found(place, None, value=partitions[place.column])
    entry = ENTRY.fullmatch(place.column)
    if entry is not None and entry[1] in file.names:
        if file.names.count(entry[1]) == 1 and file.holds_lists(entry[1]):
            return _Found(place, entry[1], int(entry[2]))
        raise ValueError(
            f"{place.field}: got {place.column!r}, takes an entry of a column of lists of Parquet, and {entry[1]!r} of "
            f"{place.path} is none"
        )
    meant = next((name for name in file.names if name.strip().casefold() == place.column.strip().casefold()), None)
    hint = "" if meant is None else f" (which is not {meant!r})"
    shown = ", ".join(map(repr, file.names[:10])) + (" and more" if len(file.names) > 10 else "")
    beside = f" and the hive partitions {', '.join(map(repr, partitions))}" if partitions else ""
    raise ValueError(
        f"{place.field}: got {place.column!r}{hint}, takes a column of {place.path}, which has {shown}{beside}"
    )


def _unreadable(path: Path, places: Sequence[Place], names: Sequence[str], error: Exception) -> ValueError:
    """What is wrong with a file that cannot be read to its end."""
    bad = BAD_NUMBER.search(str(error))
    place = None if bad is None else next((place for place in places if place.column == names[int(bad[1])]), None)
    if bad is None or place is None:
        reason = str(error).partition("\n")[0]
        return ValueError(f"paths: got {path}, takes a file that can be read to its end ({reason})")
    return place.bad_number(bad[3], None if bad[2] is None else int(bad[2]) - 2)


def _read_file(number: int, files: Sequence[LogFile], schema: LogSchema, batch_rows: int) -> Iterator[Batch]:
    """The rows of one of the files; of several a CSV file may have no byte, as Spark writes where it has no rows."""
    path, partitions = files[number]
    places = [Place(field, column, path) for field, column in schema.columns.items()]
    names = schema.columns | {entry.field: entry.column for entry in schema.label_columns} | schema.reward_columns
    paths, first, header = [file.path for file in files], 0, []
    try:
        if files[number].is_parquet:
            file = ParquetFile(path)
        elif len(files) > 1 and is_empty(path):
            logger.warning("paths: left out %s, which is empty", path)
            return
        else:
            known = {str(label) for column in schema.label_columns for label in column.labels or ()}
            file = CsvFile(path, list(schema.columns.values()), known)
        header = file.names
        found = [_find(place, file, partitions) for place in places]
        labels = list(dict.fromkeys(entry.name for entry in found if entry.name and not entry.place.is_number))
        numbers = list(dict.fromkeys(entry.name for entry in found if entry.name and entry.name not in labels))
        for rows in file.batches(labels, numbers, batch_rows):
            rows.validate(full=True)  # the entries of a damaged file may point anywhere
            if rows.num_rows:
                columns = {entry.place.field: entry.read(rows, first, file.is_csv) for entry in found}
                origins = np.arange(first, first + rows.num_rows) + number * 2**40
                yield Batch(columns, origins, names, paths)
            first += rows.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, places, header, error) from error


def read_batches(files: Sequence[LogFile], schema: LogSchema, batch_rows: int) -> Iterator[Batch]:
    """The plays of a log, of which each has the fields of the wide layout, and a preference in place of an outcome.

    Args:
        files: those of `as_files`.
        schema: which columns are read.
        batch_rows: about how many rows are read at a time.

    Raises:
        ValueError: a file is damaged; a column is missing, doubled or of another type; a value is missing, or is none
            that its field takes; a match has not each of its players once.
    """
    batches = (batch for number in range(len(files)) for batch in _read_file(number, files, schema, batch_rows))
    if schema.layout == "long":
        batches = join_matches(batches, schema)
    for batch in batches:
        if schema.outcome is not None:
            batch.columns["preference"] = preferences(batch, schema)
        yield batch if schema.weight is None else batch.take(batch.columns["weight"] > 0)
