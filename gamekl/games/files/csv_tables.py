r"""Payoffs as spreadsheets write them, ``.csv``, in either of two forms.

A row for each joint action: a column of actions for each player, under the player's name, then as many columns of
payoffs, under ``payoff NAME``, in any order:

    Ann,Bob,payoff Ann,payoff Bob
    stop,left,1,2
    stop,right,0,1/3
    go,left,0,0
    go,right,2,1

Or a table of two players, whose cells are pairs, and whose corner may name them:

    Ann \ Bob,left,right
    stop,"(1, 2)","(0, 1/3)"
    go,"(0, 0)","(2, 1)"

Columns are divided by commas, semicolons or tabs. What may be read in two ways is refused.
"""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from itertools import product
from math import prod

import numpy as np

from gamekl.core.names import Names, distinct
from gamekl.games.files.table import MAX_NUMBERS, Table
from gamekl.games.files.text import MAX_PLAYERS, floats

_TAKES = (
    "takes a header such as Ann,Bob,payoff Ann,payoff Bob and a row for each joint action, or a table of two players "
    "with cells such as (1, 2)"
)
# "1,5" is no pair: it may be one and a half.
_PAIR = re.compile(r"([^\s,;|()]++)(?:,\s++|\s*+[;|]\s*+|\s++)([^\s,;|()]++)")
_BRACKETED = re.compile(r"\(\s*+([^\s,;|()]++)(?:\s*+[,;|]\s*+|\s++)([^\s,;|()]++)\s*+\)")
_PAYOFF = re.compile(r"(?<![^\W_])payoffs?(?![^\W_])", re.IGNORECASE)


def csv_table(content: str) -> Table:
    """The table in the text of a ``.csv`` file.

    Raises:
        ValueError: it has neither form, or a joint action is missing or there twice.
    """
    try:
        marks = [mark for mark in "\t;," if len(next(_read(content.lstrip(), mark), [])) > 1] or [","]
        tables = [[[cell.strip() for cell in row] for row in _read(content, mark)] for mark in marks]
    except csv.Error as error:
        raise ValueError(f"csv: got {error}, {_TAKES}") from error
    tables = [[row for row in table if any(row)] for table in tables]
    lines = next((table for table in tables if len(set(map(len, table))) == 1), tables[0])
    if len(lines) < 2 or len(lines[0]) < 2:
        raise ValueError(f"csv: got {len(lines)} rows of {len(lines[0]) if lines else 0} columns, {_TAKES}")
    for number, row in enumerate(lines[1:], start=2):
        if len(row) != len(lines[0]):
            raise ValueError(f"csv: got {len(row)} columns in row {number}, takes {len(lines[0])}, as in the header")
    pairs = len(lines[0]) > 2 and all(_pair(cell) for row in lines[1:] for cell in row[1:])
    return _pairs(lines[0], lines[1:]) if pairs else _rows(lines[0], lines[1:])


def _read(content: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(StringIO(content, newline=""), delimiter=delimiter)


def _pair(cell: str) -> re.Match[str] | None:
    return _PAIR.fullmatch(cell) or _BRACKETED.fullmatch(cell)


def _pairs(header: list[str], rows: list[list[str]]) -> Table:
    """A table of two players."""
    numbers = (number for row in rows for cell in row[1:] if (found := _pair(cell)) for number in found.groups())
    payoffs = np.array(list(floats("csv", numbers))).reshape(len(rows), len(header) - 1, 2)
    corner = [name.strip() for name in re.split(r"[\\/]", header[0])]
    players = distinct(corner) if len(corner) == 2 and all(corner) else ("row", "column")
    return Table(np.moveaxis(payoffs, -1, 0), Names(players, (distinct(row[0] for row in rows), distinct(header[1:]))))


def _rows(header: list[str], rows: list[list[str]]) -> Table:
    """A row for each joint action."""
    if len(header) % 2 or len(header) > 2 * MAX_PLAYERS:
        raise ValueError(f"csv: got {len(header)} columns, {_TAKES}")
    count = len(header) // 2
    order = _payoff_columns(header[:count], header[count:])
    actions: list[dict[str, int]] = [{} for _ in range(count)]
    cells: dict[tuple[int, ...], int] = {}
    for number, row in enumerate(rows):
        joint = tuple(own.setdefault(label, len(own)) for own, label in zip(actions, row[:count], strict=True))
        if "" in row[:count] or joint in cells:
            fault = "no action" if "" in row[:count] else f"{', '.join(row[:count])} again"
            raise ValueError(f"csv: got {fault} in row {number + 2}, takes each joint action once")
        cells[joint] = number
    sizes = list(map(len, actions))
    if prod(sizes) != len(rows):
        missing = next(joint for joint in product(*(own.values() for own in actions)) if joint not in cells)
        names = ", ".join(list(own)[action] for own, action in zip(actions, missing, strict=True))
        raise ValueError(f"csv: got no row for {names}, takes all {prod(sizes)} joint actions of {sizes} actions")
    if count * len(rows) > MAX_NUMBERS:
        raise ValueError(f"csv: got {count} x {sizes} payoffs, takes at most {MAX_NUMBERS} numbers")
    payoffs = np.zeros((count, *sizes))
    numbers = np.array(list(floats("csv", (row[count + column] for row in rows for column in order))))
    payoffs[:, *np.array(list(cells)).T] = numbers.reshape(len(rows), count).T
    return Table(payoffs, Names(tuple(header[:count]), tuple(map(tuple, actions))))


def _payoff_columns(players: list[str], columns: list[str]) -> list[int]:
    """Which of the columns of payoffs is each player's."""
    plain = [f"payoff {player}" for player in players]
    if sorted(columns) == sorted(plain) and len(set(players)) == len(players):
        return list(map(columns.index, plain))
    spelled = [player.casefold() for player in players]
    bare = [
        column.casefold() if column.casefold() in spelled else _PAYOFF.sub("", column).strip(" _-:().").casefold()
        for column in columns
    ]
    if len(players) == 1 and bare == [""]:
        bare = spelled
    if sorted(bare) != sorted(spelled) or len(set(spelled)) < len(spelled) or not all(spelled):
        raise ValueError(f"csv: got columns {', '.join([*players, *columns])[:200]}, {_TAKES}")
    return [bare.index(player) for player in spelled]
