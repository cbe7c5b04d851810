"""Games from files, by their suffix: Gambit's tables, trees and action graphs, spreadsheets, and numpy's archives.

All parsers are our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for.
"""

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from gamekl.core.arrays import read_arrays
from gamekl.core.games import NormalFormGame
from gamekl.core.names import Names, numbered
from gamekl.games.files.agg import agg_table, bagg_table
from gamekl.games.files.csv_tables import csv_table
from gamekl.games.files.efg import efg_table
from gamekl.games.files.nfg import nfg_table
from gamekl.games.files.table import Table
from gamekl.games.files.text import read_text


def _read(path: str | PathLike[str], table: Callable[[str], Table], what: str, dtype: Any) -> NormalFormGame:
    content = read_text(path)
    try:
        return table(content).game(dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable {what}: {error}") from error


def read_nfg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from Gambit's ``.nfg``, UTF-8 with or without a byte-order mark, or Latin-1 (see `parse_nfg`).

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is truncated, malformed, or of an absurd size; the message names the file.
    """
    return _read(path, nfg_table, ".nfg payoff file", dtype)


def read_efg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the reduced strategic form of a tree from Gambit's ``.efg`` (see `parse_efg`), encoded as in `read_nfg`.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is truncated or malformed, or its tree is too large; the message names the file.
    """
    return _read(path, efg_table, ".efg game", dtype)


def read_agg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read an action graph game from Gambit's ``.agg``, as a table of at most 2^20 joint actions.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: no action graph game, or one too large; the message names the file.
    """
    return _read(path, agg_table, ".agg game", dtype)


def read_bagg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a Bayesian action graph game from Gambit's ``.bagg``, as a table of at most 2^20 joint actions.

    As in Gambit, each type of each player is a player, and earns the expectation over the types of the other players.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: no Bayesian action graph game, or one too large; the message names the file.
    """
    return _read(path, bagg_table, ".bagg game", dtype)


def read_csv(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the payoffs in a ``.csv`` file, encoded as in `read_nfg`.

    It has a row for each joint action: a column of actions for each player, under the player's name, then as many
    columns ``payoff NAME``; or it is a table of two players, whose cells are pairs such as ``(1, 2)``. Actions are in
    the order in which they first appear. Numbers are decimals or rationals, columns divided by commas, semicolons or
    tabs.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has neither form, or a joint action is missing or there twice; the message names the file.
    """
    return _read(path, csv_table, ".csv payoff file", dtype)


def read_npz(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the payoffs in an ``.npz`` file (never pickled objects).

    They are an array ``payoffs`` ``[player, *actions]``; or else all arrays that there are, one ``[*actions]`` for each
    player, by the players' names in their order in the file, or ``arr_0``, ``arr_1``, ... by number.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or holds no payoffs; the message names the file.
    """
    arrays = read_arrays(path, ".npz payoff file")
    try:
        return _npz_table(arrays).game(dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable .npz payoff file: {error}") from error


def _npz_table(arrays: Mapping[str, np.ndarray]) -> Table:
    if "payoffs" in arrays:
        return Table(_real("payoffs", arrays["payoffs"]))
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


READERS = {
    ".nfg": read_nfg,
    ".efg": read_efg,
    ".agg": read_agg,
    ".bagg": read_bagg,
    ".csv": read_csv,
    ".npz": read_npz,
}


def load_game(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from a file, by its suffix: ``.nfg``, ``.efg``, ``.agg``, ``.bagg``, ``.csv`` or ``.npz``.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has another suffix, or holds no payoffs; the message names the file.
    """
    reader = READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise ValueError(f"path: got {path}, takes a file that ends in {', '.join(READERS)}")
    try:
        return reader(path, dtype=dtype)
    except OSError as error:
        raise type(error)(f"path: got {path}, takes a payoff file that can be read ({error.strerror})") from error
