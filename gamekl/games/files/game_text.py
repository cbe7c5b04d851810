"""Games from the texts of Gambit's files, and to files."""

from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import check_finite
from gamekl.games.files.efg import efg_table
from gamekl.games.files.nfg import nfg_table, nfg_text
from gamekl.games.files.table import Table


def make_game(table: Table, dtype: Any) -> NormalFormGame:
    """The game of a table whose payoffs are finite also after they are cast."""
    try:
        known = dtype is None or jnp.dtype(dtype).name in ("float32", "float64")
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"dtype: got {dtype!r}, takes 'float32' or 'float64'")
    game = NormalFormGame(jnp.asarray(table.payoffs, dtype=dtype or float))
    check_finite("payoffs", np.asarray(game.payoffs))
    return game if table.names is None else game.with_names(table.names)


def parse_nfg(content: str, *, dtype: Any = None) -> NormalFormGame:
    """Parse the text of an ``.nfg`` file, payoff or outcome variant.

    Decimals and rationals become the nearest float. The title and the names of players and strategies are the game's
    `names`; those that are empty or repeated are numbered.

    Args:
        content: the text.
        dtype: of the payoffs; jax's default where it is None.

    Raises:
        ValueError: the text is truncated, malformed, or of an absurd size; the message says where.
    """
    return make_game(nfg_table(content), dtype)


def parse_efg(content: str, *, dtype: Any = None) -> NormalFormGame:
    """Parse the text of an ``.efg`` file: the reduced strategic form of its tree, in Gambit's order of strategies.

    Strategies that differ only where the player's own moves never lead are one action; what merely pays the same stays
    apart (`merge_equivalent` merges that, too). Each payoff, an expectation over chance, is the float next to the exact
    one. An action's name in `names` is what the strategy does: its moves, set by set.

    Args:
        content: the text.
        dtype: of the payoffs; jax's default where it is None.

    Raises:
        ValueError: the text is truncated or malformed, or the tree has more than 200,000 nodes or 2^20 joint
            strategies, which are counted before any is made; the message says where.
    """
    return make_game(efg_table(content), dtype)


def _finite_payoffs(game: NormalFormGame) -> np.ndarray:
    require_normal_form(game)
    payoffs = np.asarray(game.payoffs)
    check_finite("payoffs", payoffs)
    return payoffs


def write_nfg(game: NormalFormGame, path: str | PathLike[str], *, title: str | None = None) -> None:
    """Write a game in the payoff variant; numbers are written so that reading them gives the same bits.

    Args:
        game: with its names, if it has any; quotes and backslashes in them, which Gambit misreads, become ' and /.
        path: of the file.
        title: of the game; that of its names if None, "gamekl" if there is none.

    Raises:
        OSError: the file cannot be written.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite.
    """
    payoffs = _finite_payoffs(game)
    known = "gamekl" if game.names is None else game.names.title
    Path(path).write_text(nfg_text(payoffs, known if title is None else title, game.names), encoding="utf-8")


def write_npz(game: NormalFormGame, path: str | PathLike[str]) -> None:
    """Write a game as numpy's archive, which `read_npz` reads: the same bits, dtype and names.

    Args:
        game: with its names, if it has any.
        path: of the file.

    Raises:
        OSError: the file cannot be written.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite.
    """
    payoffs = _finite_payoffs(game)
    names: dict[str, Any] = {} if game.names is None else game.names.arrays()
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, payoffs=payoffs, **names)
