"""The files of a log: folders as Spark, polars, DuckDB and pyarrow write them, and what the names of folders say.

A folder named ``key=value`` (a hive partition) holds the rows whose column ``key`` has that value; the files in it need
not have the column. Loads no jax.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

logger = logging.getLogger("gamekl")

SUFFIXES = (".parquet", ".csv", ".csv.gz")
PARTITION = re.compile("([^=]+)=(.*)")
# What the writers call a partition of rows that have no value.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
# Folders of tables, by what is in them, whose files are not all of the present version.
TABLES = {"_delta_log": "Delta Lake", "metadata/*.metadata.json": "Iceberg", ".hoodie": "Hudi"}

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]


class LogFile(NamedTuple):
    """A file of a log.

    Attributes:
        path: its name.
        partitions: what the names of its folders say, by column; None where there is no value.
    """

    path: Path
    partitions: dict[str, str | None]

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet, and no CSV."""
        return self.path.name.lower().endswith(".parquet")


def _partitions(path: Path) -> dict[str, str | None]:
    """What the names of a file's folders say."""
    found = [PARTITION.fullmatch(part) for part in path.absolute().parent.parts]
    values = {unquote(part[1]): unquote(part[2]) for part in found if part is not None}
    return {key: None if value == NO_VALUE else value for key, value in values.items()}


def _walk(folder: Path) -> Iterator[Path]:
    """The files of a folder, at any depth, in the order of their names, but those that begin with . or _."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry


def _in_folder(folder: Path) -> list[Path]:
    """The files of a log in a folder."""
    for pattern, kind in TABLES.items():
        if any(folder.glob(pattern)):
            takes = "plain files: what it holds may be of earlier versions, too"
            raise ValueError(f"paths: got the folder {folder}, a table of {kind}, takes {takes}")
    kept, others = [], []
    for path in _walk(folder):
        (kept if path.name.lower().endswith(SUFFIXES) else others).append(path)
    if not kept:
        raise ValueError(f"paths: got the folder {folder}, takes one that has .parquet, .csv or .csv.gz files")
    if others:
        logger.warning("paths: left out %s in %s, which %s", *_named(others, folder))
    kinds = {path.name.lower().endswith(".parquet") for path in kept}
    if len(kinds) > 1:
        raise ValueError(f"paths: got the folder {folder} with Parquet and CSV files, takes the files one by one")
    return kept


def _named(paths: list[Path], folder: Path) -> tuple[str, Path, str]:
    """The first of the files, and how the sentence goes on."""
    some = ", ".join(str(path.relative_to(folder)) for path in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return some + more, folder, "is no log" if len(paths) == 1 else "are no logs"


def as_files(paths: Paths) -> list[LogFile]:
    """The files of a log, each of which is there, once, and of a known kind.

    Raises:
        ValueError: no file, a folder that is none of a log, the same file twice, or one of another kind.
        FileNotFoundError: there is no such file.
    """
    given = [Path(entry) for entry in ([paths] if isinstance(paths, str | PathLike) else paths)]
    if not given:
        raise ValueError("paths: got none, takes at least one file")
    found = [path for entry in given for path in (_in_folder(entry) if entry.is_dir() else [entry])]
    seen: dict[tuple[int, int], Path] = {}
    for path in found:
        if not path.exists():
            raise FileNotFoundError(f"paths: got {path}, takes a file that is there")
        if not path.name.lower().endswith(SUFFIXES):
            raise ValueError(f"paths: got {path}, takes a file that ends in .parquet, .csv or .csv.gz")
        facts = path.stat()  # links are the file that they lead to
        other = seen.setdefault((facts.st_dev, facts.st_ino), path)
        if other is not path:
            twice = f"{path} twice" if other == path else f"{other} and {path}, which are one file"
            raise ValueError(f"paths: got {twice}, takes each file once")
    return [LogFile(path, _partitions(path)) for path in found]
