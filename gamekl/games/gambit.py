"""What pygambit 16.7 and 17 call by different names, and how many strategies a game has, counted before any is made.

Version 17 knows players, strategies and actions by their labels, and has classes for tables and for trees. Where both
can say something in the text of a file, it is read from there.
"""

from collections import defaultdict
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import numpy as np

from gamekl.games.files import nfg_text

MAX_LEVELS = 1 << 12  # Gambit writes a tree with stack that grows with its depth, some 1.5 kB a level

_Move = tuple[int, int, int]  # player, information set, action; each player's sets have numbers of their own


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


def count_tree(game: Any) -> tuple[list[int], int]:
    """How many reduced strategies each player of a tree has (without perfect recall, at most), and how many nodes.

    With perfect recall a player's information sets are a forest: a strategy takes an action in each set that follows
    what it did before, so that the numbers multiply over those sets and add over the actions in each.
    """
    # After the header and a blank line: a node a line, from the root on, depth first.
    lines = written(game.to_efg).rstrip("\n").rpartition("\n\n")[2].split("\n")
    sets: dict[tuple[int, int], tuple[int, _Move | None]] = {}  # number of actions, and what the player did before
    paths: list[dict[int, _Move]] = [{}]  # each player's last move on the way to the nodes that are still to come
    for line in lines:
        last = paths.pop()
        if line.startswith("t"):
            continue
        # Quotes inside of a string follow a backslash, so that a space and a quote begin one: the node's, the set's
        # and the actions' names, and that of an outcome if there is one.
        _, node, _, *names = line.split(' "')
        count = len(names) - (not line.endswith("} 0"))
        if line.startswith("c"):
            paths += [last] * count
            continue
        player, number = map(int, node.split()[-2:])
        sets.setdefault((player, number), (count, last.get(player)))
        paths += [last | {player: (player, number, action)} for action in reversed(range(count))]
    counts: defaultdict[_Move | int, int] = defaultdict(lambda: 1)  # after a move of the player's, or from the start
    perfect_recall = game.is_perfect_recall
    for (player, number), (count, before) in reversed(sets.items()):
        total = sum(counts[player, number, action] for action in range(count))
        counts[before if perfect_recall and before else player] *= total
    return [counts[player] for player in range(1, len(game.players) + 1)], len(lines)
