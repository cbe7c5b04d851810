"""Gambit's strategic form ``.nfg``, both variants.

The parser is our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for. Format: https://gambitproject.readthedocs.io, "The strategic game (.nfg)
file format". Loads no jax.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import prod
from typing import Any

import numpy as np

from gamekl.core.names import Names, distinct, numbered
from gamekl.games.files.table import MAX_NUMBERS, Table
from gamekl.games.files.text import Reader, floats


def _count(token: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise ValueError(f"nfg: got {token[:40]!r}, takes a number of strategies >= 1")
    return int(token)


def _strategies(reader: Reader, players: int) -> list[int | tuple[str, ...]]:
    """Each player's strategies: how many there are, or their names."""
    reader.literal("{")
    strategies: list[int | tuple[str, ...]] = []
    while reader.head != "}" and len(strategies) <= players:
        if reader.head == "{":
            reader.literal("{")
            strategies.append(distinct(reader.strings("a strategy's name")))
        else:
            strategies.append(_count(reader.take("a number of strategies")))
    sizes = list(map(_size, strategies))
    if len(sizes) != players or min(sizes) < 1:
        raise ValueError(f"nfg: got numbers of strategies {sizes}, takes one >= 1 for each of {players} players")
    reader.literal("}")
    if players * prod(sizes) > MAX_NUMBERS:
        raise ValueError(f"nfg: got {players} x {sizes} payoffs, takes at most {MAX_NUMBERS} numbers")
    return strategies


def _size(strategies: int | tuple[str, ...]) -> int:
    return strategies if isinstance(strategies, int) else len(strategies)


def _exactly(
    reader: Reader, count: int, convert: Callable[[Iterable[str]], Iterator[Any]], what: str, dtype: type
) -> np.ndarray:
    """The rest of the file: `count` tokens, converted as they are read."""
    rest = reader.rest()
    values = np.fromiter(convert(islice(rest, count)), dtype)
    more = next(rest, None) is not None
    if more or len(values) < count:
        raise ValueError(f"nfg: got {'more' if more else len(values)} {what}, takes {count}")
    return values


def _floats(tokens: Iterable[str]) -> Iterator[float]:
    return floats("nfg", tokens)


_INDEX = re.compile("[0-9]{1,9}")


def _outcome_payoffs(reader: Reader, players: int, cells: int) -> np.ndarray:
    """The outcome variant: a table of outcomes, then for each cell the number of its outcome; 0 pays nothing."""
    reader.literal("{")
    table = [0.0] * players
    while reader.head == "{":
        reader.literal("{")
        reader.string("an outcome's name")
        payoffs = list(_floats(reader.group("a payoff")))
        if len(payoffs) != players:
            raise ValueError(f"nfg: got {len(payoffs)} payoffs in outcome {len(table) // players}, takes {players}")
        table.extend(payoffs)
    reader.literal("}")
    outcomes = np.array(table).reshape(-1, players)

    def indices(tokens: Iterable[str]) -> Iterator[int]:
        for token in tokens:
            if not _INDEX.fullmatch(token) or int(token) >= len(outcomes):
                raise ValueError(f"nfg: got outcome number {token[:40]!r}, takes 0 to {len(outcomes) - 1}")
            yield int(token)

    return outcomes[_exactly(reader, cells, indices, "outcome numbers", int)]


def nfg_table(content: str) -> Table:
    """The table in the text of an ``.nfg`` file (errors: `game_text.parse_nfg`)."""
    reader = Reader("nfg", content)
    title, players = reader.prologue("1")
    strategies = _strategies(reader, len(players))
    sizes = list(map(_size, strategies))
    reader.comment()
    if reader.head == "{":
        numbers = _outcome_payoffs(reader, len(players), prod(sizes))
    else:
        numbers = _exactly(reader, len(players) * prod(sizes), _floats, "payoffs", float)
    # Only now has the file paid for as many names.
    actions = tuple(numbered(entry) if isinstance(entry, int) else entry for entry in strategies)
    # In the file the first player's strategy runs fastest, and a cell holds all players' payoffs.
    payoffs = numbers.reshape(*reversed(sizes), len(players)).transpose()
    return Table(payoffs, Names(distinct(players), actions, title))


def _quoted(name: str) -> str:
    """The name in double quotes. Gambit reads neither a backslash before the closing one nor what it writes for it."""
    return '"' + name.replace("\\", "/").replace('"', "'") + '"'


def nfg_text(payoffs: np.ndarray, title: str = "gamekl", names: Names | None = None) -> str:
    """The text of an ``.nfg`` file of payoffs ``[player, *actions]``, all of them finite."""
    if names is None:
        players = [f"Player {number}" for number in numbered(len(payoffs))]
        sizes = " ".join(map(str, payoffs.shape[1:]))
    else:
        players = names.players
        sizes = " ".join(f"{{ {' '.join(map(_quoted, own))} }}" for own in names.actions)
    cells = payoffs.transpose().reshape(-1, len(payoffs))
    body = "\n".join(" ".join(repr(float(value)).replace("e+", "e") for value in cell) for cell in cells)
    return f"NFG 1 R {_quoted(title)}\n{{ {' '.join(map(_quoted, players))} }} {{ {sizes} }}\n\n{body}\n"
