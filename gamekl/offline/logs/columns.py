"""Columns of a log's files, of whatever type, as labels or numbers. Loads no jax.

Labels are texts here, indices into a dictionary: of whole numbers, decimals, truth values, dates, times and UUIDs those
that a CSV file would have. Numbers are float64. Rows of data are counted from 1 in messages.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute
from pyarrow import types

# Its functions are made when it is loaded, and no type checker sees them.
compute: Any = pyarrow.compute

# A quote as Spark and MySQL write it within texts.
ESCAPED = '\\"'
DECIMAL_COMMA = re.compile("[-+]?[0-9]*,[0-9]+")
# Of a time of day that has whole seconds: pyarrow writes as many digits as its unit has.
NO_FRACTION = r"\.0+$"


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
    def bounds(self) -> tuple[float, float]:
        """The least and the largest number that its values may be."""
        if self.field == "preference" or self.field.startswith("outcome."):
            return (0.0, 1.0)
        return (0.0 if self.field == "weight" else -np.inf, np.inf)

    @property
    def is_number(self) -> bool:
        """Whether it has numbers, and not labels."""
        return self.field in ("preference", "weight") or self.field.endswith("reward") or self.field[:8] == "outcome."

    @property
    def takes(self) -> str:
        """What its values may be."""
        if not self.is_number:
            return "strings or integers"
        low, high = self.bounds
        return "numbers from 0 to 1" if high == 1 else f"finite numbers{' >= 0' * (low == 0)}"

    def error(self, got: str, takes: str, row: int | None = None) -> ValueError:
        """``field: got ..., takes ...``, with the place; `row` counts from 0."""
        where = "" if row is None else f"data row {row + 1} of "
        return ValueError(f"{self.field}: got {got} in column {self.column!r}, {where}{self.path}, takes {takes}")

    def bad_number(self, text: str, row: int | None) -> ValueError:
        """The error that a text is no number; `row` counts from 0."""
        if not text.strip():
            return self.error("nothing", "a value in each row", row)
        hint, instead = "", ""
        if self.field == "preference":
            instead = " (or, for results by name, outcome in the schema in place of preference)"
        if text == self.column:
            hint = " (the header a second time?)"
        elif DECIMAL_COMMA.fullmatch(text.strip()):
            hint = " (a decimal comma?)"
        return self.error(f"{text!r}{hint}", f"numbers{instead}", row)


class Batch(NamedTuple):
    """Some rows of a log.

    Attributes:
        columns: by field of the schema: `Labels`, or float64 numbers.
        origins: where each row is: the number of its file times 2^40, and its number there, both from 0.
        names: of the columns, by field.
        paths: of the files.
    """

    columns: dict[str, Any]
    origins: np.ndarray
    names: dict[str, str]
    paths: list[Path]

    def error(self, field: str, got: str, takes: str, row: int) -> ValueError:
        """What is wrong with a column in one of these rows."""
        file, number = divmod(int(self.origins[row]), 2**40)
        return Place(field, self.names[field], self.paths[file]).error(got, takes, number)

    def text(self, field: str, row: int) -> str:
        """The label of a row."""
        found: Labels = self.columns[field]
        return found.texts[int(found.indices[row])].as_py()

    def take(self, rows: np.ndarray) -> "Batch":
        """Some of the rows, as a mask or by number."""
        columns = {
            field: Labels(found.indices[rows], found.texts) if isinstance(found, Labels) else found[rows]
            for field, found in self.columns.items()
        }
        return self._replace(columns=columns, origins=self.origins[rows])


def is_text(kind: pa.DataType) -> bool:
    """Whether the values of a type are texts."""
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _whole(column: Any) -> Any:
    """A column as one array, without a type of its own over that which is stored."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.storage if isinstance(column, pa.ExtensionArray) and not _is_uuid(column.type) else column


def _is_uuid(kind: pa.DataType) -> bool:
    return getattr(kind, "extension_name", None) == "arrow.uuid"


def _filled(place: Place, column: Any, first: int) -> None:
    """Raise where a row has no value."""
    if column.null_count:
        raise place.error("nothing", "a value in each row", first + int(np.argmin(column.is_valid())))


def element(place: Place, column: Any, index: int, first: int) -> Any:
    """The entry of each row's list."""
    column = _whole(column)
    _filled(place, column, first)
    sizes = np.asarray(compute.list_value_length(column))
    if np.any(sizes <= index):
        row = int(np.argmax(sizes <= index))
        raise place.error(f"a list of {sizes[row]}", f"lists of {index + 1} or more", first + row)
    return compute.list_element(column, index)


def as_numbers(place: Place, column: Any, first: int) -> np.ndarray:
    """A column of numbers, as float64.

    Raises:
        ValueError: a value is missing, is no number, or none that the field takes.
    """
    column = _whole(column)
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    _filled(place, column, first)
    kind = column.type
    if is_text(kind):
        numbers = _parsed(place, column, first)
    elif types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_boolean(kind):
        numbers = np.asarray(column.cast(pa.float64(), safe=False))
    elif len(column) == 0:
        numbers = np.zeros(0)
    else:
        raise _bad_type(place, kind, "numbers")
    low, high = place.bounds
    good = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
    if not good.all():
        row = int(np.argmin(good))
        raise place.error(f"{numbers[row]}", place.takes, first + row)
    return numbers


def _parsed(place: Place, column: Any, first: int) -> np.ndarray:
    """Numbers, or true and false, that are stored as texts."""
    column = compute.utf8_trim_whitespace(column.cast(pa.string()))
    truths = compute.is_in(compute.utf8_lower(column), value_set=pa.array(["true", "false"]))
    if truths.true_count == len(column):
        return np.asarray(compute.equal(compute.utf8_lower(column), "true")).astype(float)
    try:
        return np.asarray(column.cast(pa.float64()))
    except pa.ArrowInvalid:
        for row, text in enumerate(column):
            try:
                text.cast(pa.float64())
            except pa.ArrowInvalid:
                raise place.bad_number(text.as_py(), first + row) from None
        raise


def _bad_type(place: Place, kind: pa.DataType, takes: str) -> ValueError:
    if types.is_nested(kind):
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        entry = f" ('{place.column}[0]' names the first entry of a list)" if lists else ""
        return place.error(f"nested values ({kind})", f"{takes}, one in each row{entry}")
    return place.error(f"values of type {kind}", takes)


def rounded_float(text: str) -> str:
    """What is said of a float so large that other whole numbers would be the same one."""
    return f"{text!r}, a floating-point number that other whole numbers would be stored as, too,"


def as_labels(place: Place, column: Any, first: int, *, is_csv: bool) -> Labels:
    """A column of labels.

    Args:
        place: of the column.
        column: of pyarrow.
        first: the number of its first row, for messages.
        is_csv: whether it is of a CSV file, in which an empty text is nothing, and quotes are doubled and not escaped.

    Raises:
        ValueError: a value is missing, or the type is none of labels.
    """
    column = _whole(column)
    _filled(place, column, first)
    if types.is_floating(column.type):
        # From here on floats are not all whole numbers, and one may have been another: DuckDB writes sums so.
        gaps = 2.0 ** (np.finfo(column.type.to_pandas_dtype()).nmant + 1)
        column = column.cast(pa.float64())
        values = np.asarray(column)
        if np.isnan(values).any():
            raise place.error("nothing", "a value in each row", first + int(np.argmax(np.isnan(values))))
        rounded = np.abs(values) >= gaps
        if rounded.any():
            row = int(np.argmax(rounded))
            raise place.error(rounded_float(str(values[row])), place.takes, first + row)
    if _is_uuid(column.type):
        column = pa.array([str(entry) for entry in column.to_pylist()], pa.string())
    if types.is_nested(column.type):
        raise _bad_type(place, column.type, place.takes)
    if types.is_string_view(column.type):
        column = column.cast(pa.string())
    if not types.is_dictionary(column.type):
        column = column.dictionary_encode()
    indices, texts = np.asarray(column.indices), _texts(place, column.dictionary, first)
    if is_csv:
        for bad, got in ((compute.equal(texts, ""), "nothing"), (compute.match_substring(texts, ESCAPED), ESCAPED)):
            rows = np.asarray(bad)[indices] if bad.true_count else np.zeros(1, bool)
            if rows.any():
                takes = "a value in each row" if got == "nothing" else "doubled quotes in their place"
                raise place.error(got, takes, first + int(np.argmax(rows)))
    return Labels(indices, texts)


def _texts(place: Place, values: Any, first: int) -> pa.Array:
    """The texts of values of some type, as a CSV file would have them."""
    kind = values.type
    if types.is_boolean(kind):
        return compute.if_else(values, "True", "False")
    if types.is_binary(kind) or types.is_large_binary(kind):
        try:
            return values.cast(pa.string())
        except pa.ArrowInvalid:
            raise place.error("bytes that are no text", place.takes) from None
    if types.is_time(kind):
        return compute.replace_substring_regex(values.cast(pa.string()), NO_FRACTION, "")
    plain = (is_text, types.is_integer, types.is_floating, types.is_decimal, types.is_date, types.is_timestamp)
    if not (types.is_null(kind) or any(test(kind) for test in plain)):
        raise _bad_type(place, kind, place.takes)
    return values.cast(pa.string())
