"""Tables of payoffs from files, by their suffix: Gambit's tables, trees and action graphs, spreadsheets, archives.

All parsers are our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for. Loads no jax but for archives.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gamekl.core.names import Names, numbered
from gamekl.games.files.table import Table
from gamekl.games.files.text import read_text

R = TypeVar("R")
# Whose function makes a table of a file's text, and what the file should be.
TEXTS = {
    ".nfg": ("nfg", "nfg_table", ".nfg payoff file"),
    ".efg": ("efg", "efg_table", ".efg game"),
    ".agg": ("agg", "agg_table", ".agg game"),
    ".bagg": ("agg", "bagg_table", ".bagg game"),
    ".csv": ("csv_tables", "csv_table", ".csv payoff file"),
}
SUFFIXES = (*TEXTS, ".npz")


def read_as(path: str | PathLike[str], suffix: str, make: Callable[[Table], R]) -> R:
    """What is made of the table in a file that is read as one with a suffix, whatever it is called.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no payoffs, or nothing can be made of them; the message names the file.
    """
    if suffix == ".npz":
        from gamekl.core.arrays import read_arrays

        parse, what = _npz_table, ".npz payoff file"
        content: Any = read_arrays(path, what)
    else:
        module, function, what = TEXTS[suffix]
        content = read_text(path)
        parse = getattr(import_module(f"gamekl.games.files.{module}"), function)
    try:
        return make(parse(content))
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable {what}: {error}") from error


def load_as(path: str | PathLike[str], make: Callable[[Table], R]) -> R:
    """What is made of the table in a file, which is read by its suffix.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has another suffix, holds no payoffs, or nothing can be made of them; the message names the file.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path: got {path}, takes a file that ends in {', '.join(SUFFIXES)}")
    try:
        return read_as(path, suffix, make)
    except OSError as error:
        raise type(error)(f"path: got {path}, takes a payoff file that can be read ({error.strerror})") from error


def _npz_table(arrays: Mapping[str, np.ndarray]) -> Table:
    if "payoffs" in arrays:
        payoffs = _real("payoffs", arrays["payoffs"])
        names = Names.of_arrays(arrays)
        if names is not None and payoffs.ndim:
            names.check(payoffs.shape[1:])
        return Table(payoffs, names)
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) != 1 or {len(shape) for shape in shapes.values()} != {len(arrays)}:
        spelled = ", ".join(f"{name} {shape}" for name, shape in list(shapes.items())[:9])
        raise ValueError(
            f"it holds no array named 'payoffs' [player, *actions], nor one [*actions] for each player, but {spelled}"
        )
    numbered_arrays = [f"arr_{number}" for number in range(len(arrays))]
    if set(arrays) == set(numbered_arrays):
        return Table(np.stack([_real(name, arrays[name]) for name in numbered_arrays]))
    payoffs = np.stack([_real(name, array) for name, array in arrays.items()])
    return Table(payoffs, Names(tuple(arrays), tuple(map(numbered, payoffs.shape[1:]))))


def _real(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name}: got dtype {array.dtype}, takes real numbers")
    return array
