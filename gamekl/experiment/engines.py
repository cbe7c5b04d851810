"""Where chunks are computed: in threads, in processes of this machine, on all of its devices, on a Dask cluster.

An engine takes the work and its chunks and yields them with their shards, in any order. It takes a chunk from the
iterator only when a worker is free (or nearly so), so a caller that stops the iterator gets what is under way and no
more. Equal chunks give equal bytes in every engine; over several devices, equal up to the last digits.
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
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from gamekl.experiment.plan import Chunk
from gamekl.experiment.shards import Shard, Work, make_shard
from gamekl.solvers.driver import processors

logger = logging.getLogger("gamekl")

# So often a chunk may be under way in a worker that dies, before it is held to be the cause.
TRIES = 3
# Seconds in which a scheduler is to answer.
PATIENCE = 10


class EngineError(RuntimeError):
    """Workers that cannot be had, or that die; the message says what helps."""


Shards = Generator[tuple[Chunk, Shard], None, None]
Engine = Callable[[Work, Iterator[Chunk]], Shards]


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


def threads(num_workers: int | None = None) -> Engine:
    """Threads of this process, by default one for each processor where jax computes on them, else one."""
    workers = num_workers or (processors() if jax.default_backend() == "cpu" else 1)

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
        with futures.ThreadPoolExecutor(workers) as pool:
            for chunk, done in _as_completed(lambda chunk: pool.submit(make_shard, work, chunk), chunks, workers):
                yield chunk, done.result()

    return run


def devices() -> Engine:
    """This process, with the games of each chunk spread over all its devices."""
    mesh = Mesh(np.array(jax.local_devices()), ("games",))

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
        for chunk in chunks:
            yield chunk, make_shard(work, chunk, mesh)

    return run


def _begin_worker() -> None:
    """A worker leaves Control-C to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
    """Processes of this machine, by default one for each processor; where one dies, its chunk is tried again.

    The engine raises `EngineError` when workers die over one chunk again and again.
    """
    workers = num_workers or processors()
    spawn = multiprocessing.get_context("spawn")

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
        tries: Counter[Chunk] = Counter()
        again: deque[Chunk] = deque()
        lost: list[Chunk] = []

        def source() -> Iterator[Chunk]:
            """What a whole pool takes; a broken one takes no more."""
            while not lost and (chunk := again.popleft() if again else next(chunks, None)) is not None:
                yield chunk

        while True:
            with futures.ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker) as pool:
                for chunk, done in _as_completed(partial(_submit, pool, work), source(), workers):
                    try:
                        shard = done.result()
                    except BrokenProcessPool:
                        lost.append(chunk)
                    else:
                        yield chunk, shard
            if not lost:
                return
            tries.update(lost)
            logger.warning("a worker died; %d chunks are tried again", len(lost))
            worst, times = tries.most_common(1)[0]
            if times == TRIES:
                raise EngineError(
                    f"engine: workers died {times} times over shard {worst.name} and others; takes less memory for a "
                    "chunk (--memory) or fewer workers (--workers)"
                )
            again.extend(lost)
            lost.clear()

    return run


def dask(scheduler: str) -> Engine:
    """The workers of a Dask cluster, each of which needs gamekl installed; they may come, go and die.

    Args:
        scheduler: its address, ``tcp://host:port``.

    Raises:
        EngineError: Dask is not installed. The engine raises it where no scheduler or no worker answers, or where
            workers die over one chunk again and again.
    """
    try:
        import distributed
    except ImportError as error:
        raise EngineError("engine: got 'dask', which needs Dask: pip install 'gamekl[cluster]'") from error

    def connect() -> Any:
        client = None
        try:
            client = distributed.Client(scheduler, timeout=PATIENCE, set_as_default=False)
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            if client is not None:
                client.close()
            raise EngineError(
                f"scheduler: got {scheduler!r}, where no Dask scheduler with workers answers ({error}); takes the "
                "address that `dask scheduler` prints, such as tcp://host:8786"
            ) from error
        return client

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
        with connect() as client:
            try:
                yield from compute(client, work, chunks)
            except (distributed.KilledWorker, futures.CancelledError, OSError) as error:
                raise EngineError(f"engine: the Dask cluster lost work ({error}); the same command goes on") from error

    def compute(client: Any, work: Work, chunks: Iterator[Chunk]) -> Shards:
        sent: dict[str, Chunk] = {}
        completed = distributed.as_completed(loop=client.loop)

        def submit(chunk: Chunk) -> None:
            future = client.submit(make_shard, work, chunk, pure=False)
            sent[future.key] = chunk
            completed.add(future)

        def fill() -> None:
            """Enough that no worker waits, also if more of them come."""
            while len(sent) < 2 * sum(client.nthreads().values()) + 2 and (chunk := next(chunks, None)) is not None:
                submit(chunk)

        fill()
        for future in completed:
            yield sent.pop(future.key), future.result()
            fill()

    return run
