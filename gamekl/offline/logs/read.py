"""A user's log on disk, streamed into statistics in one pass; `sums` has what is added up."""

import logging
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gamekl.core.validation import check_whole
from gamekl.offline.logs.files import read_batches
from gamekl.offline.logs.folders import Paths, as_files
from gamekl.offline.logs.labels import warn_of_twins
from gamekl.offline.logs.log import Log
from gamekl.offline.logs.schema import LogSchema
from gamekl.offline.logs.sums import LogSums
from gamekl.offline.statistics import ContextualStatistics, Statistics

logger = logging.getLogger("gamekl")

MOST_GROUPS = 2**16


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
        TypeError: `schema` is no `LogSchema`.
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
    """The statistics in numpy arrays, in which float64 survives where jax's x64 mode is off."""
    kind = ContextualStatistics if axes else Statistics
    empty = kind(jnp.zeros((1,) * (tables.ndim - 2)), jnp.zeros((1,) * (tables.ndim - 1)))
    sums = np.ascontiguousarray(np.moveaxis(tables[1:], 0, 1 + axes))
    return jax.tree.unflatten(jax.tree.structure(empty), [np.ascontiguousarray(tables[0]), sums])
