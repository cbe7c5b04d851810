"""A user's log on disk, streamed into statistics in one pass.

Rows (x, a, r), a context where there are any, a joint action and the players' rewards, are added up by cell (x, a) and
group g(row), into counts N_g(x, a) and reward sums S_g(x, a). The groups are disjoint parts of the log, from which a
bootstrap resamples: a row belongs to the group that a hash of its number in the log says, or of its value in the group
column, so that rows that depend on each other stay together. Hashes are the same on every machine.

The residual variance of player i's rewards is, with any constant c (one close to the rewards keeps the digits),

    sigma_i^2 = [sum_rows (r_i - c)^2 - sum_cells (S_i - c N)^2 / N] / (n - visited cells)            (derived).
"""

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.games import ContextualGame, NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown, show
from gamekl.core.validation import check_whole
from gamekl.offline.behavior import concentrability
from gamekl.offline.log_files import Batch, Paths, as_paths, read_batches
from gamekl.offline.log_labels import check_kinds, hash_texts, in_order, mix, number, warn_of_twins
from gamekl.offline.log_schema import Label, LabelColumn, LogSchema
from gamekl.offline.statistics import ContextualStatistics, Statistics

logger = logging.getLogger("gamekl")

# Of all tables together: (1 + players) x groups x cells float64 numbers, 32 MiB.
MOST_ENTRIES = 2**22
# Fewer groups than this are kept only where they are asked for: bands of fewer are poor.
FEWEST_GROUPS = 16
MOST_GROUPS = 2**16
# Values of the column of groups that are counted.
MOST_VALUES = 2**16


class LogCoverage(NamedTuple):
    """How well a log covers its cells and the deviations from two references, before anything is solved.

    Attributes:
        fewest: rows of the rarest cell.
        median: rows of the middle one.
        most: rows of the commonest one.
        missing: the cells that the log never saw, shape ``[*stage, *actions]``.
        of_behavior: unilateral concentrability of the product of the behavior's marginals under the log's frequencies
            (deviations stay on actions that it plays), dimensionless; of contexts the worst.
        of_uniform: the same of uniform play; infinite where a cell is missing.
    """

    fewest: float
    median: float
    most: float
    missing: Bool[np.ndarray, "*cells"]
    of_behavior: float
    of_uniform: float
    __repr__ = show


class Log(Shown):
    """A log, added up; float64 on the host whatever jax's x64 mode is.

    Attributes:
        groups: `Statistics` or `ContextualStatistics` with a leading axis ``[group]``, disjoint parts of the log; those
            without rows are left out.
        noise: standard deviation of the rewards of each player around their cell's mean, shape ``[player]``, payoff
            units; NaN where no cell has two rows.
        players: what they are called.
        actions: the labels of each player's actions, in the order of the tables.
        contexts: the labels of the contexts, or None.
        num_rows: how many rows there are.
        group: the column whose values keep rows together, or None.
        num_values: how many values it has, 65,536 where there are more; None without it.
        preference: the column whose numbers the rewards p and 1 - p are, or None.
    """

    groups: Any
    noise: Float[np.ndarray, " player"]
    players: tuple[str, ...] = eqx.field(static=True)
    actions: tuple[tuple[Label, ...], ...] = eqx.field(static=True)
    contexts: tuple[Label, ...] | None = eqx.field(static=True)
    num_rows: int = eqx.field(static=True)
    group: str | None = eqx.field(static=True)
    num_values: int | None = eqx.field(static=True)
    preference: str | None = eqx.field(static=True, default=None)

    @property
    def num_groups(self) -> int:
        """How many groups have rows."""
        return len(self.groups.counts)

    @property
    def statistics(self) -> Statistics | ContextualStatistics:
        """Of the whole log."""
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), self.groups)

    @property
    def behavior(self) -> Float[np.ndarray, "*cells"]:
        """How often each joint action was played, ``[*actions]`` or ``[context, *actions]``.

        In a context without rows it is uniform.
        """
        counts = self.statistics.counts
        actions = tuple(range(-len(self.actions), 0))
        totals = counts.sum(axis=actions, keepdims=True)
        uniform = 1 / math.prod(map(len, self.actions))
        return np.where(totals > 0, counts / np.where(totals > 0, totals, 1), uniform)

    @property
    def marginals(self) -> tuple[Float[np.ndarray, "*stage _"], ...]:
        """How often each player played its actions, one array ``[actions_i]`` or ``[context, actions_i]`` for each."""
        joint, axes = self.behavior, range(-len(self.actions), 0)
        return tuple(joint.sum(axis=tuple(other for other in axes if other != axis)) for axis in axes)

    def coverage(self) -> LogCoverage:
        """How well the log covers its cells and deviations."""
        counts = np.asarray(self.statistics.counts)
        with jax.enable_x64(True):
            found = [float(entry) for entry in _concentrability(counts, self.behavior, self.marginals)]
        fewest, median, most = np.quantile(counts, [0, 0.5, 1])
        return LogCoverage(float(fewest), float(median), float(most), np.equal(counts, 0), *found)


def _concentrability(counts: np.ndarray, behavior: np.ndarray, marginals: tuple[np.ndarray, ...]) -> list[Any]:
    """Of the product of the marginals, and of uniform play."""
    players = len(marginals)
    if counts.ndim > players:
        visits = counts.sum(axis=tuple(range(1, counts.ndim)))
        nothing = jnp.zeros((len(counts), players, *counts.shape[1:]))
        game = ContextualGame(nothing, jnp.asarray(visits / visits.sum()))
    else:
        game = NormalFormGame(jnp.zeros((players, *counts.shape)))
    anchor = Regularizer([jnp.log(jnp.asarray(entry)) for entry in marginals], 1.0)
    anchors = (anchor, Regularizer.uniform(game, 1.0))
    return [concentrability(game, behavior, one.log_reference, regularizer=one) for one in anchors]


def _with_room(tables: np.ndarray, batch: Batch, columns: tuple[LabelColumn, ...], known: list[Any]) -> np.ndarray:
    """The tables ``[quantity, group, *cells]`` with room for all known labels, in fewer groups where needed."""
    cells = tuple(map(len, known))
    if cells == tables.shape[2:]:
        return tables
    quantities, groups = tables.shape[:2]
    entries = quantities * math.prod(cells)
    # Halves are joined: a row's group is its hash modulo their number, a power of two.
    while entries * groups > MOST_ENTRIES and groups > FEWEST_GROUPS:
        groups //= 2
        tables = tables.reshape(quantities, 2, groups, *tables.shape[2:]).sum(axis=1)
    if entries * groups > MOST_ENTRIES:
        widest = int(np.argmax(cells))
        place, some = batch.places[columns[widest].field], ", ".join(map(repr, list(known[widest])[-3:]))
        raise place.error(
            f"{cells[widest]} labels (such as {some}), so that there are {math.prod(cells)} cells in {groups} groups",
            f"at most {MOST_ENTRIES // quantities} cells times groups: a column of few labels, or a smaller num_groups",
            batch.first,
        )
    larger = np.zeros((quantities, groups, *cells))
    larger[(..., *(slice(size) for size in tables.shape[2:]))] = tables
    return larger


class _Sums(NamedTuple):
    """What the rows so far add up to.

    Attributes:
        tables: counts and each player's reward sums, ``[quantity, group, *cells]``.
        centres: the first row's rewards, ``[player]``.
        squares: sums of (reward - centre)^2, ``[player]``.
        num_rows: how many rows.
        values: hashes of the values of the column of groups, sorted.
    """

    tables: np.ndarray
    centres: np.ndarray
    squares: np.ndarray
    num_rows: int
    values: np.ndarray


def _add(sums: _Sums, batch: Batch, schema: LogSchema, known: list[dict[str, int]]) -> _Sums:
    """Add rows; the tables change in place."""
    columns = schema.label_columns
    codes = [number(batch, column, labels) for column, labels in zip(columns, known, strict=True)]
    tables, rows = _with_room(sums.tables, batch, columns, known), len(codes[0])
    rewards = [batch.columns[field] for field in schema.number_columns]
    if schema.preference is not None:
        rewards.append(1 - rewards[0])
    values = sums.values
    if schema.group is None:
        hashes = mix(np.arange(sums.num_rows, sums.num_rows + rows, dtype=np.uint64))
    else:
        found = batch.columns["group"]
        of_texts = hash_texts(found.texts)
        hashes = of_texts[found.indices]
        if len(values) < MOST_VALUES:
            used = np.zeros(len(of_texts), bool)
            used[found.indices] = True
            values = np.union1d(values, of_texts[used])[:MOST_VALUES]
    cells = (hashes & np.uint64(tables.shape[1] - 1)).astype(np.int64)
    for size, code in zip(tables.shape[2:], codes, strict=True):
        cells = cells * size + code
    centres = sums.centres if sums.num_rows else np.array([reward[0] for reward in rewards])
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found at the end
        np.add.at(tables[0].reshape(-1), cells, 1.0)
        for table, reward in zip(tables[1:], rewards, strict=True):
            np.add.at(table.reshape(-1), cells, reward)
        squares = [np.square(reward - centre).sum() for reward, centre in zip(rewards, centres, strict=True)]
        return _Sums(tables, centres, sums.squares + squares, sums.num_rows + rows, values)


def read_log(paths: Paths, schema: Any, *, num_groups: int = 64, batch_rows: int = 2**17) -> Log:
    """Stream a log into statistics, in one pass and in memory that does not grow with its rows.

    Memory goes with the cells: (1 + players) x groups x cells numbers, at most 32 MiB; where there would be more, there
    are fewer groups, down to 16. Labels may appear anywhere in the log.

    Args:
        paths: one file or several, ``.parquet``, ``.csv`` or ``.csv.gz``. The statistics do not depend on the order of
            rows or files; which rows form a group does, unless the schema names a column of groups.
        schema: a `LogSchema`, which says what the columns mean; `load_log_schema` reads one.
        num_groups: how many groups rows are put into, a power of two; 1 for statistics alone.
        batch_rows: about how many rows are read at a time.

    Returns:
        A `Log`.

    Raises:
        ValueError: a path, a file, a column or a value is not right, or there are too many cells.
        TypeError: `schema` is none.
    """
    files = as_paths(paths)
    if not isinstance(schema, LogSchema):
        raise TypeError(f"schema: got {type(schema).__name__}, takes a LogSchema (load_log_schema reads one)")
    check_whole(num_groups=num_groups, batch_rows=batch_rows)
    if num_groups & (num_groups - 1) or num_groups > MOST_GROUPS:
        raise ValueError(f"num_groups: got {num_groups}, takes a power of two, at most {MOST_GROUPS}")
    columns, players = schema.label_columns, len(schema.player)
    known = [{str(label): code for code, label in enumerate(column.labels or ())} for column in columns]
    nothing = np.zeros(players)
    empty = np.zeros((1 + players, num_groups, *(0 for _ in columns)))
    sums = _Sums(empty, nothing, nothing, 0, np.zeros(0, np.uint64))
    agreed: dict[str, tuple[str, Path]] = {}
    for batch in (batch for path in files for batch in read_batches(path, schema, batch_rows)):
        check_kinds(batch, columns, agreed)
        sums = _add(sums, batch, schema, known)
    tables = sums.tables
    if not sums.num_rows:
        raise ValueError(f"paths: got {', '.join(map(str, files))} without rows, takes at least one row")
    if not (np.all(np.isfinite(tables)) and np.all(np.isfinite(sums.squares))):
        raise ValueError("reward: got numbers whose sums or squares overflow, takes smaller ones")
    if tables.shape[1] < num_groups:
        logger.warning("num_groups: %d groups of these cells are too large, kept %d", num_groups, tables.shape[1])
    kinds = [agreed.get(column.field, (None,))[0] for column in columns]
    found = [in_order(*entry) for entry in zip(columns, map(list, known), kinds, strict=True)]
    orders, labels = zip(*found, strict=True)
    for entry in zip(columns, labels, strict=True):
        warn_of_twins(*entry)
    occupied = tables[0].any(axis=tuple(range(1, tables.ndim - 1)))
    tables = tables[np.ix_(range(1 + players), occupied, *orders)]
    return Log(
        groups=_statistics(tables, len(columns) - players),
        noise=_noise(tables.sum(axis=1), sums.centres, sums.squares),
        players=schema.names,
        actions=labels[-players:],
        contexts=None if schema.context is None else labels[0],
        num_rows=sums.num_rows,
        group=schema.group,
        num_values=None if schema.group is None else len(sums.values),
        preference=schema.preference,
    )


def _statistics(tables: np.ndarray, axes: int) -> Any:
    """Of numpy arrays, in which float64 survives where jax's x64 mode is off."""
    kind = ContextualStatistics if axes else Statistics
    empty = kind(jnp.zeros((1,) * (tables.ndim - 2)), jnp.zeros((1,) * (tables.ndim - 1)))
    sums = np.ascontiguousarray(np.moveaxis(tables[1:], 0, 1 + axes))
    return jax.tree.unflatten(jax.tree.structure(empty), [np.ascontiguousarray(tables[0]), sums])


def _noise(totals: np.ndarray, centres: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The residual standard deviations, by the formula of the module."""
    counts = totals[0].ravel()
    seen = counts > 0
    counts = counts[seen]
    between = (totals[1:].reshape(len(centres), -1)[:, seen] - centres[:, None] * counts) ** 2 / counts
    freedom = counts.sum() - len(counts)
    return np.sqrt(np.maximum(squares - between.sum(axis=1), 0) / freedom) if freedom else np.full(len(centres), np.nan)
