"""Where chunks are computed: in threads, in processes of this machine, on all of its devices; `cluster` has Dask.

An engine takes the work and its chunks and yields them with their shards, in any order; the third argument is called
with what a worker is before it makes its first. A chunk is taken from the iterator only when a worker is free (or
nearly so), so a caller that stops the iterator gets what is under way and no more. Equal chunks give equal bytes in
every engine; over several devices, equal up to the last digits.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import Chunk
from gamekl.experiment.run.shards import Shard, Work, make_shard, origin
from gamekl.solvers.driver import processors

logger = logging.getLogger("gamekl")

# So often a chunk may be under way in a worker that dies, before it is held to be the cause.
TRIES = 3
# What asks a sweep to stop.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class EngineError(RuntimeError):
    """Workers that cannot be had, or that die; the message says what helps."""


Shards = Generator[tuple[Chunk, Shard], None, None]
Engine = Callable[[Work, Iterator[Chunk], Callable[[Origin], None]], Shards]


def _as_completed(
    submit: Callable[[Chunk], futures.Future[Shard]], chunks: Iterator[Chunk], most: int
) -> Iterator[tuple[Chunk, futures.Future[Shard]]]:
    """Chunks as they are done, with `most` of them under way."""
    pending: dict[futures.Future[Shard], Chunk] = {}
    while True:
        while len(pending) < most and (chunk := next(chunks, None)) is not None:
            pending[submit(chunk)] = chunk
        if not pending:
            return
        for done in futures.wait(pending, return_when=futures.FIRST_COMPLETED).done:
            yield pending.pop(done), done


def default_workers() -> int:
    """One for each processor where jax computes on them, else one."""
    return processors() if jax.default_backend() == "cpu" else 1


def threads(num_workers: int | None = None) -> Engine:
    """Threads of this process, `default_workers` if None."""
    workers = num_workers or default_workers()

    def run(work: Work, chunks: Iterator[Chunk], meet: Callable[[Origin], None]) -> Shards:
        meet(origin())
        with futures.ThreadPoolExecutor(workers) as pool:
            for chunk, done in _as_completed(lambda chunk: pool.submit(make_shard, work, chunk), chunks, workers):
                yield chunk, done.result()

    return run


def devices() -> Engine:
    """This process, with the games of each chunk spread over all its devices."""
    mesh = Mesh(np.array(jax.local_devices()), ("games",))

    def run(work: Work, chunks: Iterator[Chunk], meet: Callable[[Origin], None]) -> Shards:
        meet(origin(mesh.size))
        for chunk in chunks:
            yield chunk, make_shard(work, chunk, mesh)

    return run


class _Worker(SpawnProcess):
    """A process that leaves signals to its parent: they are sent to both, and the chunk under way is to be finished."""

    terminate = SpawnProcess.kill  # a pool that has broken ends its workers by a signal that these ignore

    def start(self) -> None:
        """Start, with all signals blocked until the process has begun to ignore them."""
        resource_tracker.ensure_running()  # which undoes the mask, if it comes after it
        kept = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, kept)


class _Workers(SpawnContext):
    Process = _Worker


def _begin_worker() -> None:
    """A worker ignores its parent's signals, and does not outlive it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _submit(pool: futures.ProcessPoolExecutor, work: Work, chunk: Chunk) -> futures.Future[Shard]:
    """A pool that has broken refuses work; here that is a result like any other."""
    try:
        return pool.submit(make_shard, work, chunk)
    except BrokenProcessPool as error:
        failed: futures.Future[Shard] = futures.Future()
        failed.set_exception(error)
        return failed


def processes(num_workers: int | None = None) -> Engine:
    """Processes of this machine, `default_workers` if None; where one dies, its chunk is tried again.

    The engine raises `EngineError` when workers die at their start, or over one chunk again and again.
    """
    workers = num_workers or default_workers()

    def run(work: Work, chunks: Iterator[Chunk], meet: Callable[[Origin], None]) -> Shards:
        meet(origin())
        tries: Counter[Chunk] = Counter()
        again: deque[Chunk] = deque()
        lost: list[Chunk] = []
        begun = False

        def source() -> Iterator[Chunk]:
            """What a whole pool takes; a broken one takes no more."""
            while not lost and (chunk := again.popleft() if again else next(chunks, None)) is not None:
                yield chunk

        while True:
            with futures.ProcessPoolExecutor(workers, mp_context=_Workers(), initializer=_begin_worker) as pool:
                for chunk, done in _as_completed(partial(_submit, pool, work), source(), workers):
                    try:
                        shard = done.result()
                    except BrokenProcessPool:
                        lost.append(chunk)
                    else:
                        begun = True
                        yield chunk, shard
            if not lost:
                return
            tries.update(lost)
            logger.warning("a worker died; %d chunks are tried again", len(lost))
            worst, times = tries.most_common(1)[0]
            if times == TRIES and not begun:
                raise EngineError(
                    f"engine: workers died {times} times before any shard was made; takes a script whose work stands "
                    'under if __name__ == "__main__", less memory for a chunk (--memory) or fewer workers (--workers)'
                )
            if times == TRIES:
                raise EngineError(
                    f"engine: workers died {times} times over shard {worst.name} and others; takes less memory for a "
                    "chunk (--memory) or fewer workers (--workers)"
                )
            again.extend(lost)
            lost.clear()

    return run
