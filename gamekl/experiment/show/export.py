"""What of a run is there, and all of it as one table."""

import io
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from gamekl.core.report.text import csv_text
from gamekl.experiment.run.origin import Run, mixture
from gamekl.experiment.run.plan import make_chunks
from gamekl.experiment.run.publish import publish
from gamekl.experiment.run.store import OtherVersionError, Store, StoreError
from gamekl.experiment.schema.cases import Plan
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.schema.load import ConfigError, parse_config

AGAIN = "gamekl sweep with the same config and folder makes"
NAMED = 5  # how many damaged shards are named


class Stock(NamedTuple):
    """What of a run can be read.

    Attributes:
        config: that made it; None if it cannot be read.
        plan: that follows from it; None if there is none, or it cannot be read.
        planned: how many shards there are to be; None if that is not known.
        whole: the names of the verified shards, in order.
        damaged: the names of those that are damaged or gone, in order.
        faults: why config or plan cannot be read.
        runs: what made the shards.
    """

    config: SweepConfig | None
    plan: Plan | None
    planned: int | None
    whole: list[str]
    damaged: list[str]
    faults: list[str]
    runs: list[Run]

    @property
    def state(self) -> str:
        """In one word: "damaged", "unfinished" or "complete"."""
        if self.damaged or self.faults:
            return "damaged"
        return "complete" if len(self.whole) == self.planned else "unfinished"

    @property
    def notices(self) -> list[str]:
        """What whoever uses the run must know first: one line for each thing that is amiss."""
        told = [f"damaged: {fault}" for fault in self.faults]
        if self.damaged:
            named = ", ".join(self.damaged[:NAMED]) + (", ..." if len(self.damaged) > NAMED else "")
            told.append(f"damaged: {len(self.damaged):,} shards are damaged or gone ({named}); {AGAIN} them anew")
        if len(self.whole) != self.planned:
            planned = "an unknown number of" if self.planned is None else f"{self.planned:,}"
            there = f"{len(self.whole):,} of {planned} planned shards are there"
            told.append(f"unfinished: {there}, and all results rest on these alone; {AGAIN} the rest")
        if mixed := mixture(self.runs):
            told.append(f"mixed: shards of several versions or devices, so last digits may differ: {mixed}")
        return told


def take_stock(store: Store) -> Stock:
    """Read config and plan and verify every shard, whatever is damaged.

    Raises:
        StoreError: config or plan cannot be read, and no shard either; or another version made them.
    """
    faults: list[str] = []

    def attempt(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except OtherVersionError:
            raise
        except (StoreError, ConfigError) as error:
            faults.append(str(error))
            return None

    plan = attempt(store.plan)
    config = attempt(lambda: parse_config(store.config()))
    whole, damaged = store.verified()
    if faults and not whole:
        raise StoreError(faults[0])
    planned = len(make_chunks(plan)) if config is not None and plan is not None else None
    return Stock(config, plan, planned, sorted(whole), sorted(damaged), faults, store.runs())


def check_paths(store: Store, out: Path, *suffixes: str) -> None:
    """Before anything is read: that there may be a run, and that `out` can be a file with one of the suffixes.

    Raises:
        StoreError: the run is no folder.
        ValueError: `out` is a folder, is in none that is there, or ends otherwise.
    """
    if not store.root.is_dir():
        raise StoreError(f"run: got {store.root}, which is no folder; takes one made by gamekl sweep")
    if out.suffix not in suffixes or out.is_dir():
        raise ValueError(f"out: got {out}, takes a file that ends in {' or '.join(suffixes)}")
    if not out.parent.is_dir():
        raise ValueError(f"out: got {out}, takes a file in a folder that is there")


def write_file(out: Path, content: bytes) -> None:
    """Write a file wholly or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        publish(out, content)
    except OSError as error:
        raise StoreError(
            f"out: got {out}, where gamekl cannot write ({error.strerror or error}); takes a file in a folder with "
            "room and permission"
        ) from error


def read_shards(store: Store, names: list[str]) -> pa.Table:
    """Shards as one table, text as plain strings; of facts in which the shards differ the metadata hold all."""
    tables = store.tables(names)
    facts: dict[bytes, set[bytes]] = {}
    for table in tables:
        for key, value in (table.schema.metadata or {}).items():
            facts.setdefault(key, set()).add(value)
    joined = pa.concat_tables(tables, promote_options="default")
    plain = pa.schema(
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in joined.schema
    )
    return joined.cast(plain).replace_schema_metadata({key: b", ".join(sorted(facts[key])) for key in sorted(facts)})


def _csv(table: pa.Table) -> bytes:
    # Not pyarrow's own writer: its 1.0 is "1", after which polars takes no 0.5.
    batches = table.to_batches(max_chunksize=10_000)
    rows = (zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches)
    return csv_text(table.column_names, chain.from_iterable(rows)).encode()


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def _with_numbers(table: pa.Table) -> pa.Table:
    """The columns that have a value in some row."""
    return table.select([name for name in table.column_names if table.column(name).null_count < table.num_rows])


def export(store: Store, out: Path, *, drop_empty: bool = False) -> tuple[int, Stock]:
    """Write all shards of a run as one table, wholly or not at all.

    Args:
        store: of the run.
        out: a file that ends in ``.parquet`` or ``.csv``. Parquet's metadata have what the shards' have: the version of
            the schema (``gamekl_schema``), of gamekl, the config's hash and the dtype. What a solver does not have is
            null, in CSV empty (polars finds a column's type by ``infer_schema_length=None``).
            `gamekl.experiment.schema.columns` says what the columns mean.
        drop_empty: leave out the columns that have no value in any row.

    Returns:
        How many rows it has, and what there is of the run.

    Raises:
        StoreError: the run is no folder, a shard is damaged, or there is none; or the file cannot be written.
        ValueError: a file that ends otherwise, or in no folder that is there.
    """
    check_paths(store, out, ".parquet", ".csv")
    stock = take_stock(store)
    if stock.damaged or not stock.whole:
        raise StoreError(f"run: got {store.root}, takes a run with whole shards; {'; '.join(stock.notices)}")
    table = read_shards(store, stock.whole)
    table = _with_numbers(table) if drop_empty else table
    write_file(out, (_csv if out.suffix == ".csv" else _parquet)(table))
    return table.num_rows, stock
