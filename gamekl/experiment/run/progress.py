"""Progress on stderr: a bar on a terminal, else a line every few seconds. Loads no jax."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import rich.console
import rich.progress

SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts steps done, with rate and time left."""

    def __init__(self, total: int, unit: str) -> None:
        """`unit` is what is counted, in the plural."""
        self._total, self._unit, self._done = total, unit, 0
        self._start = self._last = time.monotonic()
        self._first = self._start
        self._bar = None
        if sys.stderr.isatty():
            columns = (
                rich.progress.BarColumn(),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TimeElapsedColumn(),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.description}"),
            )
            self._bar = rich.progress.Progress(*columns, console=rich.console.Console(stderr=True))
            self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> "Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, what: str) -> None:
        """One step more is done; `what` says which."""
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, advance=1, description=what)
            return
        now = time.monotonic()
        if self._done == 1:
            self._first = now
        if now - self._last >= SECONDS_BETWEEN_LINES or self._done == self._total:
            # The first step has all the compiling, which is no measure of the others.
            steps, taken = (1, now - self._start) if self._done == 1 else (self._done - 1, now - self._first)
            rate = steps / max(taken, 1e-9)
            left = (self._total - self._done) / rate
            print(
                f"{self._done}/{self._total} {self._unit}, {rate:.1f}/s, {left:.0f} s left: {what}",
                file=sys.stderr,
                flush=True,
            )
            self._last = now


def announced(work: str, names: Sequence[str], stop: threading.Event | None) -> Iterator[int]:
    """Number cases, and say which of them is begun with.

    Raises:
        KeyboardInterrupt: `stop` is set.
    """
    for number, name in enumerate(names):
        if stop is not None and stop.is_set():
            raise KeyboardInterrupt
        print(f"{work} case {number + 1} of {len(names)}: {name}", file=sys.stderr, flush=True)
        yield number
