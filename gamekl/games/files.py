"""Games from files, by their suffix: Gambit's ``.nfg``, and numpy's ``.npz``.

All parsers are our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for.
"""

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from gamekl.core.arrays import read_arrays
from gamekl.core.games import NormalFormGame
from gamekl.games.efg import efg_table
from gamekl.games.nfg import nfg_table
from gamekl.games.table import Table
from gamekl.games.text import read_text


def _read(path: str | PathLike[str], table: Callable[[str], Table], what: str, dtype: Any) -> NormalFormGame:
    content = read_text(path)
    try:
        return table(content).game(dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable {what}: {error}") from error


def read_nfg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read an ``.nfg`` file, UTF-8 with or without a byte-order mark, or Latin-1.

    Raises:
        OSError: the file cannot be read.
        ValueError: as of `parse_nfg`; the message names the file.
    """
    return _read(path, nfg_table, ".nfg payoff file", dtype)


def read_efg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the reduced strategic form of a tree from Gambit's ``.efg`` (see `parse_efg`), encoded as in `read_nfg`.

    Raises:
        OSError: the file cannot be read.
        ValueError: as of `parse_efg`; the message names the file.
    """
    return _read(path, efg_table, ".efg game", dtype)


def read_npz(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the array ``payoffs`` ``[player, *actions]`` of an ``.npz`` file (never pickled objects).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or holds no payoffs; the message names the file.
    """
    arrays = read_arrays(path, ".npz payoff file")
    try:
        if "payoffs" not in arrays:
            raise ValueError("it holds no array named 'payoffs'")
        payoffs = arrays["payoffs"]
        if payoffs.dtype.kind not in "iuf":
            raise ValueError(f"payoffs: got dtype {payoffs.dtype}, takes real numbers")
        return Table(payoffs).game(dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable .npz payoff file: {error}") from error


def load_game(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from a payoff file, ``.nfg`` or ``.npz`` by its suffix.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has another suffix, or holds no payoffs; the message names the file.
    """
    readers = {".nfg": read_nfg, ".efg": read_efg, ".npz": read_npz}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ValueError(f"path: got {path}, takes a file that ends in .nfg or .npz")
    try:
        return readers[suffix](path, dtype=dtype)
    except OSError as error:
        raise type(error)(f"path: got {path}, takes a payoff file that can be read ({error.strerror})") from error
