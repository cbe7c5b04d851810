"""Chunks on a Dask cluster, whose workers, and scheduler, may come, go and die at any time."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

import gamekl
from gamekl.experiment.run.engines import TRIES, Engine, EngineError, Shards
from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import Chunk
from gamekl.experiment.run.shards import Shard, Work, make_shard

logger = logging.getLogger("gamekl")

# Seconds in which a scheduler is to answer.
PATIENCE = 10
# Seconds after which one is told that no worker does: they load jax first.
SILENCE = 60
# Seconds after which to look again who is there, while nothing is done.
PAUSE = 1
# What a worker is. Of builtins only: one that is sent what it cannot load closes, and says nothing.
QUESTION = "__import__('gamekl.experiment.run.shards').experiment.run.shards.origin()._asdict()"


class _Lost(Exception):
    """The scheduler, or what it had been told."""


class _Sent(NamedTuple):
    chunk: Chunk
    workers: list[str]


async def _result(future: Any) -> Any:
    try:
        return await future
    except futures.CancelledError as error:
        raise _Lost(str(error)) from error


def _task(future: Any) -> asyncio.Task[Any]:
    """A task of ours that waits for it; a dropped one drops the future too, and what the cluster does for it."""
    task = asyncio.ensure_future(_result(future))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # asyncio complains of faults unheard
    return task


class _Crew:
    """The workers of a cluster, and what they were sent. Work is only for those that have answered what they are."""

    def __init__(
        self, client: Any, work: Work, take: Callable[[], Chunk | None], meet: Callable[[Origin], None]
    ) -> None:
        self._client, self._work, self._take, self._meet = client, work, take, meet
        self._asked: dict[str, asyncio.Task[dict[str, Any]]] = {}  # by address
        self._threads: dict[str, int] = {}  # of those that are fit, by address
        self._unfit: dict[str, str] = {}  # and what they answered
        self._sent: dict[asyncio.Task[Shard], _Sent] = {}
        self._last = time.monotonic()  # when one was fit
        self._begun = False

    @property
    def under_way(self) -> list[Chunk]:
        """What was sent and is not done."""
        return [sent.chunk for sent in self._sent.values()]

    async def next(self) -> tuple[Chunk, Shard] | None:
        """The next that is done; None after the last one.

        Raises:
            _Lost: the scheduler was lost.
            EngineError: no worker is fit.
        """
        while True:
            await self._look()
            self._send()
            if self._threads and not self._sent:
                return None
            waiting = [task for task in self._asked.values() if not task.done()]
            if not waiting and not self._sent:
                await asyncio.sleep(PAUSE)
                continue
            await asyncio.wait([*waiting, *self._sent], timeout=PAUSE, return_when="FIRST_COMPLETED")
            for task, sent in self._sent.items():
                if task.done():
                    shard = task.result()
                    del self._sent[task]
                    return sent.chunk, shard

    async def dismiss(self) -> None:
        """Wait for nothing any more."""
        for task in (*self._asked.values(), *self._sent):
            task.cancel()

    async def _look(self) -> None:
        """Ask who is new what it is, hear who has answered, forget who is gone."""
        try:
            there = await self._client.nthreads()
        except OSError as error:
            raise _Lost(str(error)) from error
        for gone in self._asked.keys() - there.keys():
            self._asked.pop(gone).cancel()
            self._threads.pop(gone, None)
            self._unfit.pop(gone, None)
        for address, threads in there.items():
            if address not in self._asked:
                asked = self._client.submit(eval, QUESTION, workers=[address], pure=False)
                self._asked[address] = _task(asked)
            elif self._asked[address].done() and address not in self._threads | self._unfit:
                self._hear(address, threads)
        if self._threads:
            self._last, self._begun = time.monotonic(), True
        elif self._unfit.keys() == there.keys() and self._unfit and not self._begun:
            raise EngineError("; ".join(self._unfit.values()))
        elif time.monotonic() - self._last > SILENCE:
            self._last = float("inf")
            logger.warning("no worker of the Dask cluster answers; the sweep waits for one")

    def _hear(self, address: str, threads: int) -> None:
        try:
            origin = Origin.read(self._asked[address].result())
        except _Lost:
            raise
        except OSError:  # it could not be reached
            del self._asked[address]
            return
        except Exception as error:  # whatever it met when it looked for gamekl
            self._refuse(address, f"{type(error).__name__}: {error}")
            return
        if origin.gamekl != gamekl.__version__:
            self._refuse(address, origin.gamekl)
            return
        self._threads[address] = threads
        self._meet(origin)

    def _refuse(self, address: str, answer: str | None) -> None:
        self._unfit[address] = _unfit(address, answer)
        if self._begun:
            logger.warning("%s; it is sent nothing", self._unfit[address])

    def _send(self) -> None:
        """Enough that no worker waits, also if more of them come."""
        for task, sent in list(self._sent.items()):
            if self._threads and not self._threads.keys() & sent.workers and not task.done():
                task.cancel()
                del self._sent[task]
                self._send_one(sent.chunk)
        room = 2 * sum(self._threads.values()) + 2 if self._threads else 0
        while len(self._sent) < room and (chunk := self._take()) is not None:
            self._send_one(chunk)

    def _send_one(self, chunk: Chunk) -> None:
        workers = list(self._threads)
        future = self._client.submit(make_shard, self._work, chunk, workers=workers, pure=False)
        self._sent[_task(future)] = _Sent(chunk, workers)


def _version() -> str:
    return gamekl.__version__


def _unfit(place: str, answer: object) -> str:
    return (
        f"scheduler: got one where {place} has gamekl {answer}; takes a scheduler and workers that all have gamekl "
        f"{gamekl.__version__}"
    )


def dask(scheduler: str) -> Engine:
    """The workers of a Dask cluster, which like its scheduler need gamekl installed; they may come, go and die.

    A worker that has another gamekl, or none, is sent nothing, and the log `gamekl` says so. Where workers, or the
    scheduler, are lost, what they were sent is sent again.

    Args:
        scheduler: its address, ``tcp://host:port``.

    Raises:
        EngineError: Dask is not installed. The engine raises it where no scheduler or no worker answers, or the
            scheduler or all workers have another gamekl, or workers die over one chunk again and again.
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
                client.close()  # pyright: ignore[reportUnknownMemberType]
            raise EngineError(
                f"scheduler: got {scheduler!r}, where no Dask scheduler with workers answers ({error}); takes the "
                "address that `dask scheduler` prints, such as tcp://host:8786"
            ) from error
        return client

    def check(client: Any) -> None:
        """A scheduler loads what workers are sent."""
        try:
            answer = client.run_on_scheduler(_version)
        except Exception as error:  # whatever it met when it looked for gamekl
            answer = error
        if answer != _version():
            raise EngineError(_unfit("the scheduler", answer))

    def run(work: Work, chunks: Iterator[Chunk], meet: Callable[[Origin], None]) -> Shards:
        again: deque[Chunk] = deque()
        lost = 0

        def take() -> Chunk | None:
            return again.popleft() if again else next(chunks, None)

        while True:
            with connect() as client:
                check(client)
                crew = _Crew(client, work, take, meet)
                try:
                    while (found := client.sync(crew.next)) is not None:
                        lost = 0
                        yield found
                    return
                except _Lost as error:
                    lost += 1
                    if lost == TRIES:
                        raise EngineError(f"engine: the scheduler was lost {TRIES} times ({error})") from error
                    logger.warning("the scheduler was lost; %d chunks are sent again", len(crew.under_way))
                    again.extend(crew.under_way)
                except (distributed.KilledWorker, OSError) as error:
                    raise EngineError(
                        f"engine: the Dask cluster lost work ({error}); the same command goes on"
                    ) from error
                finally:
                    client.sync(crew.dismiss)

    return run
