"""The sweep: every chunk of a plan becomes a shard, in whatever runs that takes."""

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import gamekl
from gamekl.experiment.run.engines import Engine, threads
from gamekl.experiment.run.forecast import MEMORY, plan_sweep
from gamekl.experiment.run.origin import Origin, differences
from gamekl.experiment.run.plan import Chunk, check_files, check_part, make_chunks, part_of
from gamekl.experiment.run.progress import Progress
from gamekl.experiment.run.shards import Work
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import Plan
from gamekl.experiment.schema.config import SweepConfig

logger = logging.getLogger("gamekl")


class Outcome(NamedTuple):
    """What a run of a sweep came to.

    Attributes:
        planned: shards, of the part that was asked for.
        made: how many of them this run made.
        missing: how many of them are still to be made, because it was interrupted.
    """

    planned: int
    made: int
    missing: int


def run_sweep(
    config: SweepConfig,
    out: str | Path,
    *,
    engine: Engine | None = None,
    memory: float = MEMORY,
    part: tuple[int, int] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Run a sweep, or what is left of it: planned chunks less the verified shards.

    Counts and predicted constants are float64, games and solver have the config's dtype, whatever jax's x64 mode. What
    is made by other versions, or on another device, than shards that are there is told in the log `gamekl`.

    Args:
        config: the sweep.
        out: results folder.
        engine: of `gamekl.experiment.run.engines`; `threads` if None. The results do not depend on it.
        memory: GiB that a chunk may take; chunks that an earlier run planned stay as they are.
        part: (k, n) for the k-th of n parts, k from 1; several parts may run at once, on several machines that share
            the folder.
        stop: once it is set, no chunk is begun any more; those under way are finished and kept.

    Raises:
        StoreError: the folder was made by another config or is in use.
        ValueError: a family whose games, behavior or sample sizes cannot be had; a payoff file that has changed.
        KeyboardInterrupt: `stop` was set while the plan was made.
        EngineError: workers cannot be had, or die.
    """
    check_part(part)
    store = Store(out)
    with store.share() if part else store.lock():
        store.open(config.canonical(), alone=part is None)
        if part is None:
            store.clear()
        plan = store.plan() or store.write_plan(plan_sweep(config, memory, stop=stop))
        check_files(plan.files)
        whole, damaged = store.verified()
        chunks = part_of(make_chunks(plan), part)
        missing = [chunk for chunk in chunks if chunk.name not in whole]
        for chunk in missing:
            if chunk.name in damaged:
                logger.warning("shard %s is damaged or gone; it is made anew", chunk.name)
                store.log("damaged", shard=chunk.name)
        made = _run_chunks(config, plan, missing, store, engine or threads(), stop or threading.Event())
    return Outcome(len(chunks), made, len(missing) - made)


def _until(stop: threading.Event, chunks: list[Chunk]) -> Iterator[Chunk]:
    for chunk in chunks:
        if stop.is_set():
            return
        yield chunk


class _Witness:
    """Tells where what makes shards now and what made the others differ."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = self._shards()
        self._met: list[Origin] = []

    def _shards(self) -> Counter[Origin]:
        shards: Counter[Origin] = Counter()
        for run in self._store.runs():
            shards[run.origin] += run.shards
        return shards

    def meet(self, here: Origin) -> None:
        """Before a worker's first shard, or with it."""
        if here not in self._met:
            self._tell(self._known, here)
            self._known.setdefault(here, 0)
            self._met.append(here)

    def end(self) -> None:
        """Other parts of the sweep may have begun meanwhile."""
        new = {other: shards for other, shards in self._shards().items() if other not in self._known}
        if self._met:
            self._tell(new, self._met[0])

    def _tell(self, there: Mapping[Origin, int], here: Origin) -> None:
        kinds: Counter[str] = Counter()
        for other, shards in there.items():
            kinds[differences(other, here)] += shards
        del kinds[""]
        for kind, shards in kinds.items():
            whose = "1 shard is" if shards == 1 else f"{shards:,} shards are" if shards else "other workers are"
            logger.warning(
                "%s: %s of other versions or devices (%s); last digits may differ", self._store.root, whose, kind
            )


def _run_chunks(
    config: SweepConfig, plan: Plan, chunks: list[Chunk], store: Store, engine: Engine, stop: threading.Event
) -> int:
    """How many were made."""
    if not chunks:
        return 0
    work = Work.of(config, plan)
    witness = _Witness(store)
    made = 0
    store.log("start", chunks=len(chunks), gamekl=gamekl.__version__, config_sha256=config.digest())
    with (
        Progress(len(chunks), "shards") as progress,
        closing(engine(work, _until(stop, chunks), witness.meet)) as shards,
    ):
        for chunk, shard in shards:
            witness.meet(shard.origin)
            store.write_shard(chunk.name, shard.content, shard.rows, shard.origin)
            store.log("shard", shard=chunk.name, failed=shard.failed)
            case = plan.cases[chunk.case]
            made += 1
            size = case.num_samples[chunk.point]
            progress.advance(f"{case.label}, n = {size}" if size else case.label)
    witness.end()
    store.log("end" if made == len(chunks) else "interrupted", made=made)
    return made
