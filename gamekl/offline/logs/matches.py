"""The long layout: rows of one player each, joined to plays by their match. Loads no jax.

Rows of a match may be apart and in any order. What is held is the rows of matches that lack a player, up to
`MOST_OPEN`, and 8 bytes for each match that is complete, so that none is found twice.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from gamekl.offline.logs.columns import Batch, Labels
from gamekl.offline.logs.labels import canonical, hash_texts
from gamekl.offline.logs.schema import LogSchema

MOST_OPEN = 2**21


class _Known:
    """Hashes, in sorted runs, each more than twice as long as the next, so that adding stays cheap."""

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> None:
        """Count more hashes as known."""
        run = np.sort(hashes)
        while self._runs and len(self._runs[-1]) <= 2 * len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        self._runs.append(run)

    def has(self, hashes: np.ndarray) -> np.ndarray:
        """Which of these are known."""
        found = np.zeros(len(hashes), bool)
        for run in filter(len, self._runs):
            at = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            found |= run[at] == hashes
        return found


def _joined(first: Any, second: Any) -> Any:
    """Two parts of a column as one; texts that no row of the first has are left behind."""
    if not isinstance(first, Labels):
        return np.concatenate([first, second])
    texts = [entry.texts.take(pa.array(entry.indices)) for entry in (first, second)]
    encoded = pa.concat_arrays(texts).dictionary_encode()
    return Labels(np.asarray(encoded.indices), encoded.dictionary)


def _concatenate(first: Batch | None, second: Batch) -> Batch:
    if first is None:
        return second
    columns = {field: _joined(column, second.columns[field]) for field, column in first.columns.items()}
    return second._replace(columns=columns, origins=np.concatenate([first.origins, second.origins]))


def _roles(batch: Batch, schema: LogSchema) -> np.ndarray:
    """Which player each row is of."""
    found: Labels = batch.columns["role"]
    names = {canonical(name): code for code, name in enumerate(schema.names)}
    codes = np.array([names.get(canonical(text), -1) for text in found.texts.to_pylist()])[found.indices]
    if np.any(codes < 0):
        row = int(np.argmax(codes < 0))
        takes = f"the players' names in the schema: {', '.join(map(repr, schema.names))}"
        raise batch.error("role", f"the unknown player {batch.text('role', row)!r}", takes, row)
    return codes


def _plays(batch: Batch, rows: np.ndarray, schema: LogSchema) -> Batch:
    """The plays of complete matches, whose rows are ``[match, player]``."""
    columns = {"match": batch.columns["match"]}
    for field in schema.shared_columns:
        column = batch.columns[field]
        values = column.indices if isinstance(column, Labels) else column
        differ = np.any(values[rows] != values[rows[:, :1]], axis=1)
        if differ.any():
            row = int(rows[np.argmax(differ)].max())
            match = batch.text("match", row)
            raise batch.error(
                field, f"another value than before for match {match!r}", "one for all rows of a match", row
            )
        columns[field] = column
    shared = Batch(columns, batch.origins, batch.names, batch.paths).take(rows[:, 0])
    for player in range(rows.shape[1]):
        own = batch.take(rows[:, player])
        shared.columns[f"player.{player}.action"] = own.columns["action"]
        if schema.reward is not None:
            shared.columns[f"player.{player}.reward"] = own.columns["reward"]
    return shared


def join_matches(batches: Iterator[Batch], schema: LogSchema) -> Iterator[Batch]:
    """The plays of the matches, each when its last row has been read.

    Raises:
        ValueError: a role is unknown, a match has a player twice or not at all, values of rows that belong together
            differ, or too many matches lack a player at once.
    """
    held: Batch | None = None
    done, players = _Known(), len(schema.player)
    for batch in batches:
        held = _concatenate(held, batch)
        codes = _roles(held, schema)
        found: Labels = held.columns["match"]
        hashes = hash_texts(found.texts)[found.indices]
        order = np.lexsort((held.origins, codes, hashes))
        same = hashes[order][1:] == hashes[order][:-1]
        again = order[1:][same & (codes[order][1:] == codes[order][:-1])]
        again = np.append(again, np.flatnonzero(done.has(hashes)))
        if len(again):
            row = int(again[np.argmin(held.origins[again])])
            got = f"player {held.text('role', row)!r} a second time in match {held.text('match', row)!r}"
            raise held.error("match", got, "each player once in a match", row)
        starts = np.flatnonzero(np.append(True, ~same))
        sizes = np.diff(np.append(starts, len(order)))
        whole = starts[sizes == players]
        if len(whole):
            done.add(hashes[order[whole]])
            yield _plays(held, order[whole[:, None] + np.arange(players)], schema)
        held = held.take(np.sort(order[np.repeat(sizes < players, sizes)]))
        if len(held.origins) > MOST_OPEN:
            got = f"{len(held.origins):,} rows of matches that lack a player, such as {held.text('match', 0)!r},"
            raise held.error("match", got, f"up to {MOST_OPEN:,}: rows of a match that are closer together", 0)
    if held is not None and len(held.origins):
        mine = [row for row in range(len(held.origins)) if held.text("match", row) == held.text("match", 0)]
        there = ", ".join(repr(held.text("role", row)) for row in mine)
        got = f"a match {held.text('match', 0)!r} with {there} alone"
        takes = f"one row for each of the players {', '.join(map(repr, schema.names))}"
        raise held.error("match", got, takes, 0)
