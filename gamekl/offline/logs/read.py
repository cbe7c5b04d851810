"""A user's log on disk, streamed into statistics in one pass (`sums` has what is added up), and what it covers."""

import logging
import math
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
from gamekl.offline.logs.files import read_batches
from gamekl.offline.logs.folders import Paths, as_files
from gamekl.offline.logs.labels import warn_of_twins
from gamekl.offline.logs.schema import Label, LogSchema
from gamekl.offline.logs.sums import LogSums
from gamekl.offline.statistics import ContextualStatistics, Statistics

logger = logging.getLogger("gamekl")

MOST_GROUPS = 2**16


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
        num_rows: how many rows there are, those of weight 0 left out; in the long layout matches.
        num_plays: for how many plays they stand: the sum of their weights.
        weight: the column of weights, or None.
        group: the column whose values keep rows together, which in the long layout may be that of matches; or None.
        num_values: how many values it has, 65,536 where there are more; None without it.
        preference: the column from which the rewards p and 1 - p come, the first one of several; or None.
        symmetric: what the schema says of it. If true the statistics have each play twice, as (a, b) and as (b, a).
    """

    groups: Any
    noise: Float[np.ndarray, " player"]
    players: tuple[str, ...] = eqx.field(static=True)
    actions: tuple[tuple[Label, ...], ...] = eqx.field(static=True)
    contexts: tuple[Label, ...] | None = eqx.field(static=True)
    num_rows: int = eqx.field(static=True)
    num_plays: float = eqx.field(static=True)
    weight: str | None = eqx.field(static=True)
    group: str | None = eqx.field(static=True)
    num_values: int | None = eqx.field(static=True)
    symmetric: bool | None = eqx.field(static=True)
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


def read_log(paths: Paths, schema: Any, *, num_groups: int = 64, batch_rows: int = 2**17) -> Log:
    """Stream a log into statistics, in one pass and in memory that does not grow with its rows.

    Memory goes with the cells: (1 + players) x groups x cells numbers, at most 32 MiB; where there would be more, there
    are fewer groups, down to 16. Labels may appear anywhere in the log. In the long layout there are also the rows of
    matches that lack a player so far, at most two million, and 8 bytes for each match.

    Args:
        paths: one file or several, ``.parquet``, ``.csv`` or ``.csv.gz``, or folders of such, in which files whose
            names begin with ``.`` or ``_`` are left out. A column may also be the name of folders, as in ``season=3/``.
            The statistics do not depend on the order of rows or files; which rows form a group does, unless the schema
            names a column of groups.
        schema: a `LogSchema`, which says what the columns mean; `load_log_schema` reads one.
        num_groups: how many groups rows are put into, a power of two; 1 for statistics alone.
        batch_rows: about how many rows are read at a time.

    Returns:
        A `Log`.

    Raises:
        ValueError: a path, a file, a column or a value is not right, or there are too many cells.
        TypeError: `schema` is none.
    """
    files = as_files(paths)
    if not isinstance(schema, LogSchema):
        raise TypeError(f"schema: got {type(schema).__name__}, takes a LogSchema (load_log_schema reads one)")
    check_whole(num_groups=num_groups, batch_rows=batch_rows)
    if num_groups & (num_groups - 1) or num_groups > MOST_GROUPS:
        raise ValueError(f"num_groups: got {num_groups}, takes a power of two, at most {MOST_GROUPS}")
    sums = LogSums(schema, num_groups)
    for batch in read_batches(files, schema, batch_rows):
        sums.add(batch)
    if not sums.num_rows:
        what = "rows" if schema.weight is None else f"rows with {schema.weight!r} above 0"
        raise ValueError(
            f"paths: got {', '.join(str(file.path) for file in files)} without {what}, takes at least one row"
        )
    if sums.overflows:
        raise ValueError("reward: got numbers whose sums or squares overflow, takes smaller ones")
    kept = sums.tables.shape[1]
    if kept < num_groups:
        logger.warning("num_groups: %d groups of these cells are too large, kept %d", num_groups, kept)
    tables, labels = sums.ordered()
    for entry in zip(schema.label_columns, labels, strict=True):
        warn_of_twins(*entry)
    players = len(schema.player)
    return Log(
        groups=_statistics(tables, len(labels) - players),
        noise=sums.noise(tables),
        players=schema.names,
        actions=tuple(labels[-players:]),
        contexts=None if schema.context is None else labels[0],
        num_rows=sums.num_rows,
        num_plays=sums.num_plays,
        weight=schema.weight,
        group=None if schema.together is None else schema.columns[schema.together],
        num_values=None if schema.together is None else len(sums.values),
        symmetric=schema.symmetric,
        preference=schema.score,
    )


def _statistics(tables: np.ndarray, axes: int) -> Any:
    """Of numpy arrays, in which float64 survives where jax's x64 mode is off."""
    kind = ContextualStatistics if axes else Statistics
    empty = kind(jnp.zeros((1,) * (tables.ndim - 2)), jnp.zeros((1,) * (tables.ndim - 1)))
    sums = np.ascontiguousarray(np.moveaxis(tables[1:], 0, 1 + axes))
    return jax.tree.unflatten(jax.tree.structure(empty), [np.ascontiguousarray(tables[0]), sums])
