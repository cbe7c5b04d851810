"""Plays of a log, added up by cell and group.

Rows (x, a, r), a context where there are any, a joint action and the players' rewards, are added up by cell (x, a) and
group g(row), into counts N_g(x, a) and reward sums S_g(x, a). The groups are disjoint parts of the log, from which a
bootstrap resamples: a row belongs to the group that a hash of its number in the log says, or of its value in the group
column, so that rows that depend on each other stay together. Hashes are the same on every machine.

A row of weight w counts as if it were there w times. With a column of groups it adds w to N_g, and w need not be whole;
without one the w rows would each have their own number, so whole weights are spread over the groups as these would be,
and where weights are not whole, or come to more than `MOST_SPREAD`, all rows are one group.

In a symmetric game of two players each row also counts with the two exchanged, in the same group.

The residual variance of player i's rewards is, with any constant c (one close to the rewards keeps the digits),

    sigma_i^2 = [sum_rows (r_i - c)^2 - sum_cells (S_i - c N)^2 / N] / (n - visited cells)            (derived).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gamekl.offline.logs.columns import Batch, Labels
from gamekl.offline.logs.labels import LabelCodes, hash_texts, mix
from gamekl.offline.logs.schema import LogSchema

# Of all tables together: (1 + players) x groups x cells float64 numbers, 32 MiB.
MOST_ENTRIES = 2**22
# Fewer groups than this are kept only where they are asked for: bands of fewer are poor.
FEWEST_GROUPS = 16
# Values of the column of groups that are counted.
MOST_VALUES = 2**16
# Repetitions that are spread over groups one by one, and how many of them at a time.
MOST_SPREAD, SPREAD_AT_ONCE = 2**32, 2**20


class _Part(NamedTuple):
    """Some rows of a batch: a hash for each, which says its group, and how often it counts."""

    rows: np.ndarray | slice
    hashes: np.ndarray
    weights: np.ndarray | float


class LogSums:
    """What the rows so far add up to.

    Attributes:
        tables: counts and each player's reward sums, ``[quantity, group, *cells]``.
        codes: the labels of each axis.
        num_rows: how many rows.
        num_plays: for how many plays they stand: the sum of their weights.
        values: hashes of the values of the column of groups, sorted.
        spread: whether rows are spread over groups; False where their weights do not allow it.
    """

    def __init__(self, schema: LogSchema, num_groups: int) -> None:
        """Begin with no rows, in `num_groups` groups."""
        self._schema, players = schema, len(schema.player)
        self.codes = [LabelCodes(column.labels) for column in schema.label_columns]
        if schema.symmetric:
            self.codes[-1] = self.codes[-2]
        self.tables = np.zeros((1 + players, num_groups, *(0 for _ in self.codes)))
        self._centres = self._squares = np.zeros(players)
        self.num_rows, self.num_plays = 0, 0.0
        self.values = np.zeros(0, np.uint64)
        self.spread = True

    def add(self, batch: Batch) -> None:
        """Add the rows of a batch to the tables.

        Raises:
            ValueError: the schema does not list a label, or there are too many cells.
        """
        axes = zip(self.codes, self._schema.label_columns, strict=True)
        labels = [codes.number(batch, column) for codes, column in axes]
        self._make_room(batch)
        rewards = self._rewards(batch)
        weights = batch.columns.get("weight")
        if not self.num_rows and len(rewards[0]):
            self._centres = np.array([reward[0] for reward in rewards])
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found at the end
            for part in self._parts(batch, weights):
                self._add(part, labels, rewards)
                if self._schema.symmetric:
                    self._add(part, [*labels[:-2], labels[-1], labels[-2]], rewards[::-1])
        self.num_rows += len(rewards[0])
        self.num_plays += len(rewards[0]) if weights is None else float(weights.sum())

    def _rewards(self, batch: Batch) -> list[np.ndarray]:
        if "preference" in batch.columns:
            preference = batch.columns["preference"]
            return [preference, 1 - preference]
        return [batch.columns[field] for field in self._schema.reward_columns]

    def _add(self, part: _Part, labels: list[np.ndarray], rewards: list[np.ndarray]) -> None:
        cells = (part.hashes & np.uint64(self.tables.shape[1] - 1)).astype(np.int64)
        for size, codes in zip(self.tables.shape[2:], labels, strict=True):
            cells = cells * size + codes[part.rows]
        rewards = [reward[part.rows] for reward in rewards]
        np.add.at(self.tables[0].reshape(-1), cells, part.weights)
        for table, reward in zip(self.tables[1:], rewards, strict=True):
            np.add.at(table.reshape(-1), cells, part.weights * reward)
        far = zip(rewards, self._centres, strict=True)
        self._squares = self._squares + [(part.weights * np.square(reward - centre)).sum() for reward, centre in far]

    def _parts(self, batch: Batch, weights: np.ndarray | None) -> Iterator[_Part]:
        """The rows, each in its group, or repeated over several."""
        size, every = len(batch.origins), slice(None)
        if self._schema.together is not None:
            yield _Part(every, self._of_values(batch), 1.0 if weights is None else weights)
            return
        if weights is None:
            yield _Part(every, mix(np.arange(self.num_rows, self.num_rows + size, dtype=np.uint64)), 1.0)
            return
        whole = bool(np.all(weights == np.floor(weights)))
        self.spread = self.spread and whole and self.num_plays + weights.sum() <= MOST_SPREAD
        if not self.spread:
            yield _Part(every, np.zeros(size, np.uint64), weights)
            return
        ends, before = np.cumsum(weights.astype(np.int64)), int(self.num_plays)
        for start in range(0, int(ends[-1]) if size else 0, SPREAD_AT_ONCE):
            times = np.arange(start, min(start + SPREAD_AT_ONCE, int(ends[-1])))
            hashes = mix(times.astype(np.uint64) + np.uint64(before))
            yield _Part(np.searchsorted(ends, times, side="right"), hashes, 1.0)

    def _of_values(self, batch: Batch) -> np.ndarray:
        """Hashes of the values that keep rows together, which are counted."""
        found: Labels = batch.columns[self._schema.together]  # pyright: ignore[reportArgumentType]
        of_texts = hash_texts(found.texts)
        if len(self.values) < MOST_VALUES:
            used = np.zeros(len(of_texts), bool)
            used[found.indices] = True
            self.values = np.union1d(self.values, of_texts[used])[:MOST_VALUES]
        return of_texts[found.indices]

    def _make_room(self, batch: Batch) -> None:
        """Make the tables as large as all known labels ask for, in fewer groups where needed."""
        cells = tuple(map(len, self.codes))
        if cells == self.tables.shape[2:]:
            return
        quantities, groups = self.tables.shape[:2]
        entries = quantities * math.prod(cells)
        # Halves are joined: a row's group is its hash modulo their number, a power of two.
        while entries * groups > MOST_ENTRIES and groups > FEWEST_GROUPS:
            groups //= 2
            self.tables = self.tables.reshape(quantities, 2, groups, *self.tables.shape[2:]).sum(axis=1)
        if entries * groups > MOST_ENTRIES:
            widest = int(np.argmax(cells))
            some = ", ".join(map(repr, self.codes[widest].texts[-3:]))
            size = f"{math.prod(cells)} cells in {groups} groups"
            got = f"{cells[widest]} labels (such as {some}), so that there are {size}"
            most = f"at most {MOST_ENTRIES // quantities} cells times groups"
            takes = f"{most}: a column of few labels, or a smaller num_groups"
            raise batch.error(self._schema.label_columns[widest].field, got, takes, 0)
        larger = np.zeros((quantities, groups, *cells))
        larger[(..., *(slice(size) for size in self.tables.shape[2:]))] = self.tables
        self.tables = larger

    def noise(self, tables: np.ndarray) -> np.ndarray:
        """The residual standard deviations ``[player]``, by the formula of the module; NaN where no cell has two rows.

        A symmetric game's rows count twice, as in the tables, which are those of `ordered`.
        """
        totals = tables.sum(axis=1)
        counts = totals[0].ravel()
        seen = counts > 0
        counts = counts[seen]
        centres = self._centres
        between = (totals[1:].reshape(len(centres), -1)[:, seen] - centres[:, None] * counts) ** 2 / counts
        freedom = counts.sum() - len(counts)
        if freedom <= 0:
            return np.full(len(centres), np.nan)
        return np.sqrt(np.maximum(self._squares - between.sum(axis=1), 0) / freedom)

    def ordered(self) -> tuple[np.ndarray, list[tuple]]:
        """The tables in the order of the labels, groups without rows left out, and the labels of each axis.

        Raises:
            ValueError: what was found in a column are no labels.
        """
        tables = self.tables if self.spread else self.tables.sum(axis=1, keepdims=True)
        tables = tables[:, tables[0].any(axis=tuple(range(1, tables.ndim - 1)))]
        labels = []
        for axis, (codes, column) in enumerate(zip(self.codes, self._schema.label_columns, strict=True), start=2):
            places, found = codes.in_order(column)
            labels.append(found)
            if len(found) == len(places):
                tables = tables.take(np.argsort(places), axis=axis)
                continue
            joined = np.zeros((*tables.shape[:axis], len(found), *tables.shape[axis + 1 :]))
            np.add.at(np.moveaxis(joined, axis, 0), places, np.moveaxis(tables, axis, 0))
            tables = joined
        return tables, labels

    @property
    def overflows(self) -> bool:
        """Whether a sum or square is not finite."""
        return not (np.all(np.isfinite(self.tables)) and np.all(np.isfinite(self._squares)))
