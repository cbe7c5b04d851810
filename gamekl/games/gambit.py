"""What pygambit 16.7 and 17 call by different names.

Version 17 knows players, strategies and actions by their labels, and has classes for tables and for trees. Where both
can say something in the text of a file, it is read from there.
"""

from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import numpy as np

from gamekl.games.nfg import nfg_text

MAX_LEVELS = 1 << 12  # Gambit writes a tree with stack that grows with its depth, some 1.5 kB a level


def written(write: Callable[[BytesIO], None]) -> str:
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


def is_tree(pygambit: Any, game: Any) -> bool:
    """Whether a game has moves in turn, and is no table."""
    return isinstance(game, pygambit.ExtensiveGame) if hasattr(pygambit, "ExtensiveGame") else game.is_tree


def count_table(game: Any) -> list[int]:
    """How many strategies each player of a table has."""
    if hasattr(game, "get_strategies"):
        return [len(game.get_strategies(player)) for player in game.players]
    return [len(player.strategies) for player in game.players]


def reaches(pygambit: Any, game: Any, level: int) -> bool:
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
