"""The columns of a CSV file, batch by batch. Loads no jax.

Commas between columns, names in the first line, quotes doubled within quotes, where line breaks may be, too. Quotes
that do not match would swallow rows, and every reader would see other ones: such a file is refused.
"""

import csv as standard
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, types

# Bytes of the file for each row of a batch; the least for a batch, and the most that one row may have.
ROW_BYTES, SMALLEST_BLOCK, LARGEST_BLOCK = 64, 2**16, 2**30
ROW_TOO_LONG = "straddling object"
# What stands in CSV files, without quotes, where there is no value; R writes the first, SQL the second and the last,
# Python the third.
MISSING = ("NA", "NULL", "None", "\\N")
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
QUOTE, LINE_FEED = b'"\n'
SCANNED_AT_ONCE = 2**22


def _input(path: Path) -> Any:
    """The bytes of a file; pyarrow itself would not know gzip by .GZ."""
    return pa.input_stream(path, compression="gzip" if path.suffix.lower() == ".gz" else None)


def is_empty(path: Path) -> bool:
    """Whether a file has no byte, or line breaks alone, as pandas writes where there are no columns."""
    with _input(path) as file:
        start = file.read(SMALLEST_BLOCK)
    return len(start) < SMALLEST_BLOCK and not start.strip()


class _Lines(io.RawIOBase):
    """A file whose lines are counted as it is read, and whose last one ends as the others do.

    Attributes:
        count: how many lines were read.
    """

    def __init__(self, path: Path) -> None:
        """Open the file; no line is counted yet."""
        self._file = _input(path)
        self._last = LINE_FEED
        self.count = 0

    def readable(self) -> bool:
        """Whether the file can be read, as it always can."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, all that are left if it is negative."""
        content = self._file.read(size)
        if len(content) < size and (content[-1] if content else self._last) != LINE_FEED:
            content += self._file.read(1) or b"\n"  # at its end; pyarrow knows no header without one
        if content:
            self.count += int(np.count_nonzero(np.frombuffer(content, np.uint8) == LINE_FEED))
            self._last = content[-1]
        return content

    def close(self) -> None:
        """Close this reader and the file under it."""
        self._file.close()
        super().close()


class CsvFile:
    """An open CSV file.

    Attributes:
        names: of its columns.
        is_csv: whether it is CSV.
    """

    is_csv = True

    def __init__(self, path: Path, wanted: Sequence[str], known: set[str]) -> None:
        """Read the first line.

        Args:
            path: of the file.
            wanted: names of columns, of which it should have some.
            known: labels, which stand for themselves even if they look like no value.

        Raises:
            ValueError: it is no CSV file as described above, and it is plain what it is.
        """
        self._path = path
        self._missing = [word for word in MISSING if word not in known]
        with _input(path) as file:
            start = file.read(SMALLEST_BLOCK)
        _check_start(path, start, wanted)
        self._schema: pa.Schema = next(self._growing(2**20, self._header)).schema
        self.names: list[str] = self._schema.names

    def batches(self, labels: Sequence[str], numbers: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
        """The columns of labels and of numbers, of about `batch_rows` rows at a time."""
        asked: dict[str, pa.DataType] = dict.fromkeys(labels, pa.dictionary(pa.int32(), pa.string()))
        for name in numbers:
            truths = types.is_boolean(self._schema.field(name).type)  # so are true and false understood
            asked.setdefault(name, pa.bool_() if truths else pa.float64())
        options = csv.ConvertOptions(
            column_types=asked,
            include_columns=list(asked),
            null_values=["", *self._missing],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,  # "NA" is a label, then
        )
        size = max(SMALLEST_BLOCK, ROW_BYTES * batch_rows)
        yield from self._growing(size, lambda size: self._blocks(size, options))

    def holds_lists(self, name: str) -> bool:
        """Whether a column has lists: CSV has none."""
        return False

    def _header(self, size: int) -> Iterator[pa.RecordBatch]:
        """A batch without rows, of the types that the first block has."""
        with self._reader(_Lines(self._path), size, None) as reader:
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)

    def _reader(self, file: Any, size: int, options: csv.ConvertOptions | None) -> Any:
        return csv.open_csv(
            file,
            # In one thread errors know their row; two are no faster.
            read_options=csv.ReadOptions(use_threads=False, block_size=size),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=options,
        )

    def _blocks(self, size: int, options: csv.ConvertOptions) -> Iterator[pa.RecordBatch]:
        lines, rows = _Lines(self._path), 0
        for batch in self._reader(lines, size, options):
            yield batch
            rows += batch.num_rows
        if lines.count != 1 + rows:  # some line breaks are within quotes
            _check_quotes(self._path)

    def _growing(self, size: int, read: Callable[[int], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        """What is read in blocks of a size, or, where a row is longer than that, in larger ones from there on."""
        done = 0
        while True:
            skipped = 0
            try:
                for batch in read(size):
                    if skipped + batch.num_rows >= done:
                        yield batch.slice(done - skipped) if done > skipped else batch
                    skipped += batch.num_rows
                    done = max(done, skipped)
                return
            except pa.ArrowInvalid as error:
                if ROW_TOO_LONG not in str(error) or size >= LARGEST_BLOCK:
                    _check_quotes(self._path)  # of which this may have come
                    raise
                size = min(8 * size, LARGEST_BLOCK)


def _check_start(path: Path, start: bytes, wanted: Sequence[str]) -> None:
    """Raise where the first line shows that this is another kind of file."""
    takes = "takes a file that can be read to its end"
    if start.startswith(UNICODE_MARKS):
        raise ValueError(f"paths: got {path} in UTF-16, takes UTF-8 (in Excel: save as CSV UTF-8)")
    if b"\0" in start:
        raise ValueError(f"paths: got {path}, {takes} (a CSV file has no zero bytes)")
    line = start.removeprefix(BYTE_ORDER_MARK).lstrip(b"\r\n").split(b"\n")[0].decode(errors="replace").rstrip("\r")

    def found(separator: str) -> bool:
        return any(name.strip().strip('"') in wanted for name in line.split(separator))

    if found(","):
        return
    if line.startswith("#") or re.match("sep=.", line):
        shown = line if len(line) <= 40 else line[:37] + "..."
        raise ValueError(f"paths: got {path} with {shown!r} before the columns' names, takes these in the first line")
    for separator, name in SEPARATORS.items():
        if found(separator):
            decimals = " (and points, not commas, in numbers)" if separator == ";" else ""
            raise ValueError(f"paths: got {path} with {name} between columns, takes commas{decimals}")


def _quotes_match(path: Path) -> bool:
    """Whether each quote that opens is behind a comma or a line break, and each that closes before one.

    Either may be beside another quote. Then all readers agree on the rows.
    """
    beside = np.isin(np.arange(256), list(b'",\n\r'))
    is_open, last = False, LINE_FEED
    with _input(path) as file:
        content = file.read(SCANNED_AT_ONCE).removeprefix(BYTE_ORDER_MARK)
        while content:
            bytes_ = np.frombuffer(content, np.uint8)
            at = np.flatnonzero(bytes_ == QUOTE)
            opening, closing = at[int(is_open) :: 2], at[int(not is_open) :: 2]
            before = bytes_[opening - 1]
            if len(opening) and opening[0] == 0:
                before[0] = last
            behind = bytes_[closing[closing + 1 < len(bytes_)] + 1]
            if last == QUOTE and not is_open:  # that closed, at the end of the bytes before
                behind = np.append(behind, bytes_[0])
            if not (beside[before].all() and beside[behind].all()):
                return False
            is_open, last = bool((len(at) + is_open) % 2), bytes_[-1]
            content = file.read(SCANNED_AT_ONCE)
    return not is_open


def _check_quotes(path: Path) -> None:
    """Raise where a quote is opened and not closed, or closed before other text."""
    if _quotes_match(path):
        return
    # Perhaps there is no more than a quote within a text that has none around it: read it row by row.
    with _input(path) as file, io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="") as text:
        rows = standard.reader(text, strict=True)
        line = 1
        try:
            for _ in rows:
                line = rows.line_num + 1
        except standard.Error as error:
            takes = "doubled quotes within quoted texts" if "expected after" in str(error) else "such as are closed"
            got = f"{path} whose quotes do not match in the row that begins in line {line}"
            raise ValueError(f"paths: got {got}, takes {takes} ({error})") from None
