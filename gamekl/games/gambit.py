"""Games to and from Gambit's `pygambit`, 16.7 and 17. Axis order is player order, here and there.

Version 17 knows players, strategies and actions by their labels, and has classes for tables and for trees. Where both
can say something in the text of a file, it is read from there.
"""

from collections.abc import Callable
from io import BytesIO, StringIO
from math import log10
from typing import Any

import numpy as np

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import validate
from gamekl.games.files.efg import efg_table
from gamekl.games.files.game_text import make_game
from gamekl.games.files.limits import MAX_LEVELS, refuse
from gamekl.games.files.nfg import nfg_table, nfg_text
from gamekl.games.files.table import Table
from gamekl.games.tools import tool


def _written(write: Callable[[BytesIO], None]) -> str:
    """What Gambit writes; the title of a game that was read from a file may be in any encoding."""
    buffer = BytesIO()
    write(buffer)
    return buffer.getvalue().decode("utf-8", "replace")


def make_table(pygambit: Any, payoffs: np.ndarray) -> Any:
    """The table of payoffs ``[player, *actions]``, the quicker way.

    In 17 ``StrategicGame.from_arrays`` looks up every label of every joint action; 16.7 takes time that grows with the
    square of a text to read it.
    """
    if hasattr(pygambit, "StrategicGame"):
        return pygambit.read_nfg(StringIO(nfg_text(payoffs)))
    # Gambit reads no exponents with a plus, but integers of any length.
    spelled = [int(value) if value.is_integer() else value for value in payoffs.ravel().tolist()]
    return pygambit.Game.from_arrays(*np.array(spelled, dtype=object).reshape(payoffs.shape))


def _is_tree(pygambit: Any, game: Any) -> bool:
    """Whether a game has moves in turn, and is no table."""
    return isinstance(game, pygambit.ExtensiveGame) if hasattr(pygambit, "ExtensiveGame") else game.is_tree


def _count_table(game: Any) -> list[int]:
    """How many strategies each player of a table has."""
    if hasattr(game, "get_strategies"):
        return [len(game.get_strategies(player)) for player in game.players]
    return [len(player.strategies) for player in game.players]


def _reaches(pygambit: Any, game: Any, level: int) -> bool:
    """Whether a tree has a node that `level` moves lead to, the root's level being 0."""
    if hasattr(game, "root"):
        nodes = [game.root]
        for _ in range(level):
            nodes = [child for node in nodes for child in node.children]
        return bool(nodes)
    try:
        game.get_actions(pygambit.H.path(*[...] * level, "\0"))
    except KeyError:  # a node there has no such action
        return True
    except ValueError:  # there is no node to ask
        return False
    raise AssertionError("no label holds a control character")


def to_pygambit(game: NormalFormGame, *, title: str = "gamekl") -> Any:
    """The game as a ``pygambit.Game`` in strategic form.

    Payoffs become the shortest decimals that read as the same floats; only -0 becomes 0.

    Args:
        game: of at most 2^20 joint actions, as pygambit takes some 10 to 20 microseconds for each payoff.
        title: of the game, ASCII as pygambit 16.7 demands.

    Raises:
        ImportError: pygambit is not installed.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite, too many of them, or a title that is not ASCII.
    """
    pygambit = tool("pygambit", "gambit")
    require_normal_form(game)
    validate(game)
    refuse("game", f"a game of shape {game.num_actions}", [log10(size) for size in game.num_actions])
    if not title.isascii():
        raise ValueError(f"title: got {title!r}, takes ASCII, as pygambit 16.7 demands")
    theirs = make_table(pygambit, np.asarray(game.payoffs, dtype=np.float64))
    theirs.title = title
    return theirs


def from_pygambit(game: Any, *, dtype: Any = None) -> NormalFormGame:
    """The strategic form of a Gambit game, each rational payoff as the nearest float.

    Of a game tree it is Gambit's reduced form: strategies of a player that differ only where the player's own moves
    never lead are one action. What merely pays the same stays apart; `merge_equivalent` merges that, too.

    Args:
        game: a ``pygambit.Game``, a table or a tree.
        dtype: of the payoffs; the default float if None.

    Raises:
        ImportError: pygambit is not installed.
        TypeError: `game` is no ``pygambit.Game``.
        ValueError: no players, a payoff beyond the largest float, a tree of more than 4,096 moves in a row, or too many
            strategies, which are counted before Gambit makes them.
    """
    pygambit = tool("pygambit", "gambit")
    if not isinstance(game, pygambit.Game):
        raise TypeError(f"game: got {type(game).__name__}, takes a pygambit.Game")
    if not len(game.players):
        raise ValueError("game: got no players, takes at least one")
    if _is_tree(pygambit, game):
        if _reaches(pygambit, game, MAX_LEVELS + 1):
            raise ValueError(f"game: got a pygambit tree of more moves in a row, takes at most {MAX_LEVELS}")
        try:
            return make_game(efg_table(_written(game.to_efg)), dtype)
        except ValueError as error:
            raise ValueError(f"game: got a pygambit tree that has no strategic form here: {error}") from error
    refuse("game", "a pygambit table", [log10(count) for count in _count_table(game)])
    table = nfg_table(_written(game.to_nfg))
    if not np.isfinite(table.payoffs).all():
        raise ValueError(f"payoffs: got one beyond {np.finfo(float).max:.3g}, takes finite numbers")
    return make_game(Table(table.payoffs + 0.0, table.names), dtype)  # a rational knows no -0
