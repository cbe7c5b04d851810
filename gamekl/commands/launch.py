"""`gamekl sweep`: from flags to an engine, and what is said when a signal stops it."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from gamekl.experiment.run import cluster, engines
from gamekl.experiment.run.forecast import forecast
from gamekl.experiment.run.sweep import run_sweep
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.show.forecast import format_forecast

# Seconds within which one stop may be signalled twice: to the process, and to its group.
SAME_SIGNAL = 1.0


class Launch(NamedTuple):
    """How a sweep is to be run.

    Attributes:
        engine: "threads", "processes", "devices" or "dask".
        workers: threads or processes.
        scheduler: of "dask".
        chunk: "K/N", or None for all.
        memory: GiB that a chunk may take.
    """

    engine: str
    workers: int | None
    scheduler: str | None
    chunk: str | None
    memory: float

    def check(self) -> None:
        """Raise ``ValueError`` unless the flags fit each other."""
        if self.workers is not None and (self.workers < 1 or self.engine not in ("threads", "processes")):
            raise ValueError(
                f"workers: got {self.workers} with engine {self.engine!r}, takes a number >= 1, with threads or "
                "processes only"
            )
        if (self.engine == "dask") != (self.scheduler is not None):
            raise ValueError(
                f"scheduler: got {self.scheduler!r} with engine {self.engine!r}, takes an address with dask only"
            )
        if not self.memory > 0:
            raise ValueError(f"memory: got {self.memory}, takes a number of GiB > 0")
        if self.chunk is not None and not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", self.chunk):
            raise ValueError(f"chunk: got {self.chunk!r}, takes K/N with K from 1 to N")

    @property
    def part(self) -> tuple[int, int] | None:
        """The numbers K and N of `chunk`, or None for all."""
        if self.chunk is None:
            return None
        k, n = map(int, self.chunk.split("/"))
        return k, n

    def make_engine(self) -> engines.Engine:
        """Make the engine that the flags ask for."""
        if self.engine == "dask":
            return cluster.dask(str(self.scheduler))
        if self.engine == "devices":
            return engines.devices()
        return (engines.threads if self.engine == "threads" else engines.processes)(self.workers)


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Control-C or a scheduler's SIGTERM sets the event; a second one, not just after it, ends the process at once."""
    stop, first = threading.Event(), 0.0

    def handle(number: int, frame: object) -> None:
        nonlocal first
        del number, frame
        if not stop.is_set():
            first = time.monotonic()
            print("\nthe chunks under way are finished and kept; once more stops at once", file=sys.stderr, flush=True)
            stop.set()
        elif time.monotonic() - first > SAME_SIGNAL:
            os._exit(1)

    kept = {number: signal.signal(number, handle) for number in engines.SIGNALS}
    try:
        yield stop
    except KeyboardInterrupt as error:
        raise SystemExit("interrupted while the sweep was planned; nothing is begun") from error
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def launch(config: SweepConfig, out: Path, how: Launch) -> None:
    """Run the sweep, or what is left of it, and say what was made.

    Raises:
        ValueError: flags do not fit each other, or the config's families cannot be had.
        SystemExit: it was interrupted; the message says how it goes on.
    """
    how.check()
    options = {"engine": how.make_engine(), "memory": how.memory, "part": how.part}
    with _stopped_by_signals() as stop:
        outcome = run_sweep(config, out, stop=stop, **options)
    if outcome.missing:
        raise SystemExit(
            f"interrupted; {outcome.missing} of {outcome.planned} shards are missing: the same command goes on from "
            f"what {out} holds"
        )
    if outcome.made:
        print(f"{outcome.made} shards made, {outcome.planned - outcome.made} were there: {out}")
    else:
        print(f"all {outcome.planned} shards are there already: {out}")


def preview(config: SweepConfig, how: Launch) -> None:
    """Print what the sweep comes to on this machine, and make nothing."""
    how.check()
    workers = how.workers or (engines.default_workers() if how.engine in ("threads", "processes") else 1)
    with _stopped_by_signals() as stop:
        print(format_forecast(forecast(config, how.memory, part=how.part, stop=stop), workers))
