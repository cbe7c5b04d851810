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
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

import gamekl
from gamekl.experiment.plan import Chunk
from gamekl.experiment.shards import Shard, Work, make_shard
from gamekl.solvers.driver import processors

logger = logging.getLogger("gamekl")

# So often a chunk may be under way in a worker that dies, before it is held to be the cause.
TRIES = 3
# Seconds in which a scheduler is to answer.
PATIENCE = 10
# What asks a sweep to stop.
SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


def default_workers() -> int:
    """One for each processor where jax computes on them, else one."""
    return processors() if jax.default_backend() == "cpu" else 1


def threads(num_workers: int | None = None) -> Engine:
    """Threads of this process, `default_workers` if None."""
    workers = num_workers or default_workers()

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


class _Worker(SpawnProcess):
    """A process that leaves signals to its parent: they are sent to both, and the chunk under way is to be finished."""

    terminate = SpawnProcess.kill  # a pool that has broken ends its workers by a signal that these ignore

    def start(self) -> None:
        """As a process that no signal reaches until it has begun to ignore them."""
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

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
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


def _version() -> str:
    return gamekl.__version__


def dask(scheduler: str) -> Engine:
    """The workers of a Dask cluster, which like its scheduler need gamekl installed; they may come, go and die.

    Args:
        scheduler: its address, ``tcp://host:port``.

    Raises:
        EngineError: Dask is not installed. The engine raises it where no scheduler or no worker answers, or one
            has another gamekl, or workers die over one chunk again and again.
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

    def check(client: Any) -> None:
        """Without gamekl a worker would lose whatever it is sent, again and again."""
        answers = client.run(_version, on_error="return")
        try:
            answers["the scheduler"] = client.run_on_scheduler(_version)
        except Exception as error:  # whatever it met when it looked for gamekl
            answers["the scheduler"] = error
        for place, answer in answers.items():
            if answer != _version():
                raise EngineError(
                    f"scheduler: got {scheduler!r}, where {place} has gamekl {answer}; takes a scheduler and workers "
                    f"that all have gamekl {_version()}"
                )

    def run(work: Work, chunks: Iterator[Chunk]) -> Shards:
        with connect() as client:
            check(client)
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
