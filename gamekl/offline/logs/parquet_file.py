"""The columns of a Parquet file, batch by batch. Loads no jax."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from gamekl.offline.logs.columns import is_text

# Read ahead from a file, bytes a column: without it a whole row group would be held.
READ_AHEAD = 2**20
# Where a file says of which types its columns were, beyond what Parquet knows.
ARROW_TYPES = b"ARROW:schema"
UNREADABLE_IN_DICTIONARIES = re.compile(r"Not yet implemented: DecodeArrow of DictAccumulator")


class ParquetFile:
    """An open Parquet file.

    Attributes:
        names: of its columns.
        is_csv: whether it is CSV.
    """

    is_csv = False

    def __init__(self, path: Path) -> None:
        """Read what the file says of itself."""
        self._path = path
        self._metadata = _metadata(path)
        self._schema = pq.ParquetFile(path, metadata=self._metadata).schema_arrow
        self.names: list[str] = self._schema.names

    def batches(self, labels: Sequence[str], numbers: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """The columns of labels and of numbers, of about `batch_rows` rows at a time."""
        texts = [name for name in labels if is_text(self._schema.field(name).type)]
        columns = [*labels, *numbers]

        def plain_or_not(in_dictionaries: list[str]) -> Iterator[Any]:
            file = pq.ParquetFile(
                self._path,
                metadata=self._metadata,
                pre_buffer=False,  # it would hold all columns of a row group at once
                buffer_size=READ_AHEAD,
                read_dictionary=in_dictionaries,
                page_checksum_verification=True,
            )
            return file.iter_batches(batch_size=batch_rows, columns=columns)

        return _with_or_without(plain_or_not, texts)

    def holds_lists(self, name: str) -> bool:
        """Whether a column has lists."""
        kind = self._schema.field(name).type
        return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _metadata(path: Path) -> pq.FileMetaData:
    """What a file says of itself; without types that pyarrow lacks, such as polars' Int128, if there are such.

    It would else read no column at all.
    """
    try:
        return pq.read_metadata(path)
    except pa.ArrowNotImplementedError:
        with open(path, "rb") as file:
            file.seek(-8, io.SEEK_END)
            size = int.from_bytes(file.read(4), "little")
            file.seek(-8 - size, io.SEEK_END)
            footer = file.read()
        return pq.read_metadata(pa.BufferReader(b"PAR1" + footer.replace(ARROW_TYPES, ARROW_TYPES.lower())))


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
