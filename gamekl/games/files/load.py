"""Games from files, by their suffix: Gambit's tables, trees and action graphs, spreadsheets, and numpy's archives.

All parsers are our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for.
"""

from functools import partial
from os import PathLike
from typing import Any

from gamekl.core.games import NormalFormGame
from gamekl.games.files.game_text import make_game
from gamekl.games.files.tables import load_as, read_as


def read_nfg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from Gambit's ``.nfg``, UTF-8 with or without a byte-order mark, or Latin-1 (see `parse_nfg`).

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is truncated, malformed, or of an absurd size; the message names the file.
    """
    return read_as(path, ".nfg", partial(make_game, dtype=dtype))


def read_efg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the reduced strategic form of a tree from Gambit's ``.efg`` (see `parse_efg`), encoded as in `read_nfg`.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is truncated or malformed, or its tree is too large; the message names the file.
    """
    return read_as(path, ".efg", partial(make_game, dtype=dtype))


def read_agg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read an action graph game from Gambit's ``.agg``, as a table of at most 2^20 joint actions.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: no action graph game, or one too large; the message names the file.
    """
    return read_as(path, ".agg", partial(make_game, dtype=dtype))


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
    return read_as(path, ".bagg", partial(make_game, dtype=dtype))


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
    return read_as(path, ".csv", partial(make_game, dtype=dtype))


def read_npz(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the payoffs in an ``.npz`` file (never pickled objects).

    They are an array ``payoffs`` ``[player, *actions]``, with the names that `write_npz` writes beside it, if there are
    any; or else all arrays that there are, one ``[*actions]`` for each
    player, by the players' names in their order in the file, or ``arr_0``, ``arr_1``, ... by number.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or holds no payoffs; the message names the file.
    """
    return read_as(path, ".npz", partial(make_game, dtype=dtype))


def load_game(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from a file, by its suffix: ``.nfg``, ``.efg``, ``.agg``, ``.bagg``, ``.csv`` or ``.npz``.

    Args:
        path: of the file.
        dtype: of the payoffs; jax's default float where it is None.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has another suffix, or holds no payoffs; the message names the file.
    """
    return load_as(path, partial(make_game, dtype=dtype))
