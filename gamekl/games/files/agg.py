"""Gambit's action graph games, ``.agg``, and their Bayesian kind, ``.bagg``, as tables.

A player's action is a node of a graph; what it pays depends on the values of the node's neighbours only: of an action
node, how many players chose it, and of a function node, what a function makes of those that lead to it. Formats:
https://gambitproject.readthedocs.io; A. X. Jiang, K. Leyton-Brown and N. Bhat, "Action-Graph Games", Games and
Economic Behavior 71 (2011). The parser is our own; joint actions are counted before any is made.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import log10, prod

import numpy as np

from gamekl.core.names import Names, numbered
from gamekl.games.files.agg_functions import Function, ancestors
from gamekl.games.files.limits import refuse
from gamekl.games.files.table import Table
from gamekl.games.files.text import MAX_PLAYERS, floats

MAX_CONFIGURATIONS = 1 << 26
_TOKEN = re.compile(r"\s*+(?:#[^\n]*+\s*+)*+(?P<token>[\[\]]|[^\s\[\]#]++)")
_WHOLE = re.compile("[+-]?[0-9]{1,9}")


class _Reader:
    """Tokens of either format: whole numbers, numbers and brackets; lines that begin with # are comments."""

    def __init__(self, kind: str, content: str) -> None:
        self.kind = kind
        if content.split(None, 1)[:1] != [f"#{kind.upper()}"]:
            raise ValueError(f"{kind}: got {content[:20]!r}, takes a first line '#{kind.upper()}'")
        self._tokens = self._read(content)

    @staticmethod
    def _read(content: str) -> Iterator[str]:
        position = 0
        while match := _TOKEN.match(content, position):
            position = match.end()
            yield match["token"]

    def take(self, what: str) -> str:
        token = next(self._tokens, None)
        if token is None:
            raise ValueError(f"{self.kind}: the file ends where {what} should be")
        return token

    def whole(self, what: str, least: int = 0, most: int = 10**9) -> int:
        token = self.take(what)
        if not _WHOLE.fullmatch(token) or not least <= int(token) <= most:
            raise ValueError(f"{self.kind}: got {token[:40]!r}, takes {what}, {least} to {most}")
        return int(token)

    def wholes(self, count: int, what: str, least: int = 0, most: int = 10**9) -> list[int]:
        return [self.whole(what, least, most) for _ in range(count)]

    def bracketed(self, count: int, what: str) -> list[int]:
        self.literal("[")
        numbers = self.wholes(count, what, least=-(10**9))
        self.literal("]")
        return numbers

    def literal(self, text: str) -> None:
        token = self.take(repr(text))
        if token != text:
            raise ValueError(f"{self.kind}: got {token[:40]!r}, takes {text!r}")

    def number(self, what: str) -> float:
        return next(floats(self.kind, [self.take(what)]))

    def end(self) -> None:
        token = next(self._tokens, None)
        if token is not None:
            raise ValueError(f"{self.kind}: got {token[:40]!r}, takes nothing after the last payoff")

    def nodes(self, size: int, actions: int) -> list[int]:
        """A set of action nodes, in ascending order."""
        nodes = self.wholes(size, "an action node", most=actions - 1)
        if sorted(set(nodes)) != nodes:
            raise ValueError(f"{self.kind}: got action nodes {nodes[:20]}, takes different ones in ascending order")
        return nodes


@dataclass
class _Graph:
    """The players' action nodes, and what the neighbours of a node come to in each joint action."""

    sets: list[list[int]]
    neighbours: list[list[int]]
    functions: list[Function]
    counts: list[dict[int, int]] = field(init=False)  # by how many ways each action node leads to a function node

    def __post_init__(self) -> None:
        self.counts = ancestors(self.neighbours, self.functions)

    def configurations(self, player: int, action: int) -> np.ndarray:
        """The values of the neighbours of a player's action, shape ``[neighbour, *actions of the others]``.

        The player's own axis stays, of length 1.
        """
        node = self.sets[player][action]
        sets = [[node] if other == player else own for other, own in enumerate(self.sets)]
        shape = [len(own) for own in sets]
        values = np.zeros((len(self.neighbours[node]), *shape), dtype=np.int64)
        actions = len(self.neighbours) - len(self.functions)
        for row, neighbour in zip(values, self.neighbours[node], strict=True):
            if neighbour < actions:
                function, counts = Function(), {neighbour: 1}
            else:
                function, counts = self.functions[neighbour - actions], self.counts[neighbour - actions]
            own = [np.array([function.of_one(chosen, counts) for chosen in entry]) for entry in sets]
            row[...] = function.of_all(np.ix_(*own))
        return values


def agg_table(content: str) -> Table:
    """The table of the game in the text of an ``.agg`` file.

    Raises:
        ValueError: it is truncated or malformed, or has more than 2^20 joint actions.
    """
    reader = _Reader("agg", content)
    players, actions, functions = _header(reader)
    sizes = reader.wholes(players, "the size of an action set", least=1)
    refuse("agg", "an action graph game", [log10(size) for size in sizes])
    sets = [reader.nodes(size, actions) for size in sizes]
    return Table(_payoffs(reader, sets, actions, functions))


def bagg_table(content: str) -> Table:
    """The table of the Bayesian game in the text of a ``.bagg`` file: each type of each player is a player.

    What one earns is the expectation over the types of the other players, given one's own type.

    Raises:
        ValueError: it is truncated or malformed, or has more than 2^20 joint actions, of types or of players.
    """
    reader = _Reader("bagg", content)
    players, actions, functions = _header(reader)
    types = reader.wholes(players, "a number of types", least=1)
    if sum(types) > MAX_PLAYERS:
        raise ValueError(f"bagg: got {types} types, takes at most {MAX_PLAYERS} in all")
    chances = [[reader.number("the chance of a type") for _ in range(count)] for count in types]
    for own in chances:
        if min(own) < 0 or not abs(sum(own) - 1) <= 1e-6:
            raise ValueError(f"bagg: got chances {own} of a player's types, takes numbers >= 0 that sum to one")
    sizes = [reader.wholes(count, "the size of an action set", least=1) for count in types]
    refuse("bagg", "a Bayesian action graph game", [log10(size) for own in sizes for size in own])
    sets = [[reader.nodes(size, actions) for size in own] for own in sizes]
    unions = [sorted(set().union(*own)) for own in sets]
    refuse("bagg", "an action graph game", [log10(len(union)) for union in unions])
    payoffs = _payoffs(reader, unions, actions, functions)
    places = [[np.searchsorted(union, nodes) for nodes in own] for union, own in zip(unions, sets, strict=True)]
    names = tuple(f"player {player + 1}, type {kind + 1}" for player in range(players) for kind in range(types[player]))
    table = np.stack(
        [
            _expected(payoffs[player], places, chances, player, kind)
            for player in range(players)
            for kind in range(types[player])
        ]
    )
    return Table(table, Names(names, tuple(map(numbered, table.shape[1:]))))


def _expected(
    payoffs: np.ndarray, places: list[list[np.ndarray]], chances: list[list[float]], player: int, kind: int
) -> np.ndarray:
    """What a player's type earns, shape ``[*actions of types]``, of its payoffs ``[*actions of players]``."""
    axis = 0
    for other, (own, weights) in enumerate(zip(places, chances, strict=True)):
        if other == player:
            weights = [float(entry == kind) for entry in range(len(own))]
        sizes = [len(entry) for entry in own]
        before, after = payoffs.shape[:axis], payoffs.shape[axis + 1 :]
        total = np.zeros((*before, *sizes, *after))
        for number, (entry, weight) in enumerate(zip(own, weights, strict=True)):
            alone = [size if number == index else 1 for index, size in enumerate(sizes)]
            total += weight * np.take(payoffs, entry, axis=axis).reshape(*before, *alone, *after)
        payoffs, axis = total, axis + len(own)
    return payoffs


def _header(reader: _Reader) -> tuple[int, int, int]:
    players = reader.whole("a number of players", least=1, most=MAX_PLAYERS)
    return players, reader.whole("a number of action nodes", least=1), reader.whole("a number of function nodes")


def _payoffs(reader: _Reader, sets: list[list[int]], actions: int, functions: int) -> np.ndarray:
    """The rest of a file, from the graph on: the payoffs ``[player, *actions]``."""
    neighbours = []
    for _ in range(actions + functions):
        count = reader.whole("a number of neighbours", most=actions + functions)
        neighbours.append(reader.wholes(count, "a neighbour", most=actions + functions - 1))
    graph = _Graph(sets, neighbours, [_function(reader, actions, functions) for _ in range(functions)])
    sizes = [len(own) for own in sets]
    largest = len(sets) * max(map(len, neighbours), default=0) * prod(sizes)
    if largest > MAX_CONFIGURATIONS:
        raise ValueError(f"{reader.kind}: got {largest} values of neighbours, takes at most {MAX_CONFIGURATIONS}")
    payoffs = np.zeros((len(sets), *sizes))
    for node in range(actions):
        where = [(player, own.index(node)) for player, own in enumerate(sets) if node in own]
        found = [graph.configurations(player, action) for player, action in where]
        flat = [values.reshape(len(values), int(np.prod(values.shape[1:]))).T for values in found]
        rows, inverse = _distinct(flat, len(neighbours[node]))
        numbers = _node_payoffs(reader, rows, len(neighbours[node]))
        parts = np.split(inverse, np.cumsum([len(entry) for entry in flat]))  # and nothing after the last
        for (player, action), values, part in zip(where, found, parts[:-1], strict=True):
            cell = [slice(None)] * len(sets)
            cell[player] = slice(action, action + 1)
            payoffs[player, *cell] = numbers[part].reshape(values.shape[1:])
    reader.end()
    return payoffs


def _distinct(flat: list[np.ndarray], width: int) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """The different configurations, in lexicographic order, and which of them each is."""
    if not flat:
        return [], np.zeros(0, dtype=int)
    together = np.concatenate(flat)
    if not width:
        return [()], np.zeros(len(together), dtype=int)
    spans = [int(span) for span in np.ptp(together, axis=0) + 1]
    if prod(spans) < 1 << 62:  # a number for each configuration, in the same order: ten times as fast
        steps = np.array([prod(spans[place + 1 :]) for place in range(width)])
        numbers = (together - together.min(axis=0)) @ steps
        _, index, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        rows = together[index]
    else:
        rows, inverse = np.unique(together, axis=0, return_inverse=True)
    return list(map(tuple, rows.tolist())), inverse.reshape(-1)


def _function(reader: _Reader, actions: int, functions: int) -> Function:
    kind = reader.whole("the type of a function")
    if kind in (0, 1, 2, 3):
        return Function(kind, actions + functions if kind > 1 else 0)
    if kind not in (10, 11, 12, 13):
        raise ValueError(f"{reader.kind}: got a function of type {kind}, takes 0 to 3 and 10 to 13")
    default = reader.whole("a default value", least=-(10**9))
    weights = tuple(reader.bracketed(actions, "a weight"))
    if kind == 11 and min(default, *weights) < 0:
        raise ValueError(f"{reader.kind}: got weights or a default below 0, takes none for functions of type 11")
    return Function(kind, default, weights)


def _node_payoffs(reader: _Reader, rows: Sequence[tuple[int, ...]], width: int) -> np.ndarray:
    """What the node pays in each configuration: in their order, or each beside its payoff."""
    kind = reader.whole("the type of a payoff function")
    if kind == 0:
        return np.array([reader.number("a payoff") for _ in rows])
    if kind != 1:
        raise ValueError(f"{reader.kind}: got a payoff function of type {kind}, takes 0 or 1")
    known: dict[tuple[int, ...], float] = {}
    for _ in range(reader.whole("a number of configurations")):
        key = tuple(reader.bracketed(width, "the value of a neighbour"))
        if key in known:
            raise ValueError(f"{reader.kind}: got configuration {list(key)[:20]} again, takes each once")
        known[key] = reader.number("a payoff")
    missing = next((row for row in rows if row not in known), None)
    if missing is not None:
        raise ValueError(f"{reader.kind}: got no payoff for configuration {list(missing)[:20]}, takes one for each")
    return np.array([known[row] for row in rows])
