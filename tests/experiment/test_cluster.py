"""Dask clusters whose workers come late, die, or are of another kind: real ones, and one that does as it is told."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent import futures

import pytest
from test_engines import SHARDS, config, contents

from gamekl.experiment.run import cluster as clusters
from gamekl.experiment.run import engines
from gamekl.experiment.run.cluster import _Crew, _Lost
from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import Chunk
from gamekl.experiment.run.shards import Shard, Work
from gamekl.experiment.run.store import Store
from gamekl.experiment.run.sweep import run_sweep

HERE = Origin(clusters.gamekl.__version__, "0.10.2", platform="cpu")
WORK = Work("", "", "")
ONE, OTHER, THIRD = (f"tcp://host:{port}" for port in (1, 2, 3))


class Told:
    """A client of a cluster that does as it is told."""

    def __init__(self, *workers):
        self.there = dict.fromkeys(workers, 1)
        self.asked, self.sent = {}, {}  # futures, by worker, and by the number of a chunk
        self.places = {}  # to which a chunk was sent last

    async def nthreads(self):
        return dict(self.there)

    def submit(self, function, *arguments, workers, pure):
        assert not pure
        future = asyncio.get_running_loop().create_future()
        if function is eval:
            [address] = workers
            self.asked[address] = future
        else:
            number = arguments[1].first_seed
            self.sent[number], self.places[number] = future, sorted(workers)
        return future

    def finish(self, number):
        self.sent[number].set_result(Shard(b"", number, 0, HERE))

    def answer(self, address, **changes):
        self.asked[address].set_result(HERE._replace(**changes)._asdict())


async def until(condition):
    """Let what waits go on until something holds."""
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came to that")


def work(number):
    """So many chunks."""
    chunks = iter([Chunk("", 0, 0, first, 1) for first in range(number)])
    return lambda: next(chunks, None)


def play(client, number, script):
    """The numbers of the chunks that a crew has made, in order, and which workers it met, while a script goes on."""
    met = []

    async def both():
        crew = _Crew(client, WORK, work(number), met.append)
        playing = asyncio.ensure_future(script(client))
        found = []
        while (entry := await crew.next()) is not None:
            assert entry[0].first_seed == entry[1].rows
            found.append(entry[1].rows)
        await playing
        return sorted(found)

    return asyncio.run(asyncio.wait_for(both(), 20)), met


@pytest.fixture(autouse=True)
def hurry(monkeypatch, request):
    """Clusters of this file's own do not wait for anything real."""
    if "expected" not in request.fixturenames and "tmp_path" not in request.fixturenames:
        monkeypatch.setattr(clusters, "PAUSE", 0.005)


def test_a_worker_that_does_not_answer_is_sent_nothing():
    async def script(client):
        await until(lambda: len(client.asked) == 2)
        client.answer(ONE)
        await until(lambda: len(client.sent) == 3)
        for chunk in range(3):
            client.finish(chunk)

    client = Told(ONE, OTHER)
    found, met = play(client, 3, script)
    assert found == [0, 1, 2] and met == [HERE]
    assert set(map(tuple, client.places.values())) == {(ONE,)}


@pytest.mark.parametrize("fault", [None, OSError("Stream is closed")])
def test_a_worker_that_dies_while_it_is_asked(fault):
    """It is gone, or the question fails at first; and another one comes."""

    async def script(client):
        await until(lambda: ONE in client.asked)
        if fault:
            first = client.asked[ONE]
            first.set_exception(fault)
            await until(lambda: client.asked[ONE] is not first)
        del client.there[ONE]
        client.there[OTHER] = 1
        await until(lambda: OTHER in client.asked)
        client.answer(OTHER)
        await until(lambda: 0 in client.sent)
        client.finish(0)

    client = Told(ONE)
    assert play(client, 1, script) == ([0], [HERE])
    assert client.places == {0: [OTHER]}


def test_work_of_workers_that_are_gone_is_sent_again():
    """To those that are left, or come; not while one of those that may have it is there."""

    async def script(client):
        await until(lambda: len(client.asked) == 2)
        client.answer(ONE)
        client.answer(OTHER)
        await until(lambda: client.places.get(1) == [ONE, OTHER])
        first = client.sent[1]
        del client.there[OTHER]
        await asyncio.sleep(0.05)
        assert client.sent[1] is first
        client.there = {THIRD: 1}
        await until(lambda: THIRD in client.asked)
        await asyncio.sleep(0.05)
        assert client.sent[1] is first
        client.answer(THIRD)
        await until(lambda: client.sent[1] is not first)
        client.finish(0)
        client.finish(1)

    client = Told(ONE, OTHER)
    found, _ = play(client, 2, script)
    assert found == [0, 1]
    assert client.places == {0: [THIRD], 1: [THIRD]}


@pytest.mark.parametrize(
    ("answer", "told"), [({"gamekl": "0.0.7"}, "has gamekl 0.0.7"), (None, "has gamekl ModuleNotFoundError: No module")]
)
def test_a_late_worker_with_another_gamekl_is_left_out(answer, told, caplog):
    async def script(client):
        await until(lambda: ONE in client.asked)
        client.answer(ONE)
        await until(lambda: 3 in client.sent)
        client.there[OTHER] = 8
        await until(lambda: OTHER in client.asked)
        if answer:
            client.answer(OTHER, **answer)
        else:
            client.asked[OTHER].set_exception(ModuleNotFoundError("No module named 'gamekl'"))
        await until(lambda: caplog.messages)
        for chunk in range(9):
            await until(lambda: chunk in client.sent)  # noqa: B023
            client.finish(chunk)

    client = Told(ONE)
    found, met = play(client, 9, script)
    assert len(found) == 9 and met == [HERE] and set(map(tuple, client.places.values())) == {(ONE,)}
    [message] = caplog.messages
    assert f"{OTHER} {told}" in message and message.endswith("it is sent nothing")


def test_only_workers_with_another_gamekl():
    async def script(client):
        await until(lambda: len(client.asked) == 2)
        client.answer(ONE, gamekl="0.0.7")
        await asyncio.sleep(0.05)  # the other one may be better
        client.answer(OTHER, gamekl="0.0.8")

    with pytest.raises(engines.EngineError, match=f"{ONE} has gamekl 0.0.7; .*{OTHER} has gamekl 0.0.8; takes"):
        play(Told(ONE, OTHER), 1, script)


def test_nobody_answers(monkeypatch, caplog):
    """One is told, once."""
    monkeypatch.setattr(clusters, "SILENCE", 0.02)

    async def script(client):
        await until(lambda: ONE in client.asked and caplog.messages)
        await asyncio.sleep(0.1)
        client.answer(ONE)
        await until(lambda: 0 in client.sent)
        client.finish(0)

    assert play(Told(ONE), 1, script)[0] == [0]
    assert caplog.messages == ["no worker of the Dask cluster answers; the sweep waits for one"]


@pytest.mark.parametrize("how", ["no connection", "cancelled"])
def test_the_scheduler_is_lost(how):
    """What was sent is still known."""
    client = Told(ONE)

    async def lost():
        raise OSError("Stream is closed")

    async def play_on():
        crew = _Crew(client, WORK, work(2), lambda origin: None)
        waiting = asyncio.ensure_future(crew.next())
        await until(lambda: ONE in client.asked)
        client.answer(ONE)
        await until(lambda: len(client.sent) == 2)
        if how == "cancelled":
            client.sent[0].set_exception(futures.CancelledError("scheduler-connection-lost"))
        else:
            client.nthreads = lost
        with pytest.raises(_Lost):
            await waiting
        return [chunk.first_seed for chunk in crew.under_way]

    assert asyncio.run(asyncio.wait_for(play_on(), 20)) == [0, 1]


def test_workers_of_two_kinds_are_met():
    async def script(client):
        await until(lambda: len(client.asked) == 2)
        client.answer(ONE)
        client.answer(OTHER, jax="0.12.0.1")
        await until(lambda: 0 in client.sent)
        client.finish(0)

    assert play(Told(ONE, OTHER), 1, script)[1] == [HERE, HERE._replace(jax="0.12.0.1")]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The shards of threads."""
    root = tmp_path_factory.mktemp("threads")
    run_sweep(config(), root)
    return contents(root)


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as found:
        yield found


def test_dask(expected, tmp_path, cluster):
    assert run_sweep(config(), tmp_path, engine=clusters.dask(cluster.scheduler_address)) == (SHARDS, SHARDS, 0)
    assert contents(tmp_path) == expected
    assert len(Store(tmp_path).runs()) == 1  # both workers are of one kind


def test_a_real_worker_that_dies_while_it_is_asked(expected, tmp_path, cluster, monkeypatch):
    """The first one that is asked; its nanny starts another."""
    marker = tmp_path / "died"
    system, place = "__import__('os')", repr(str(marker))
    dies = f"({system}.mkdir({place}), {system}.kill({system}.getpid(), 9))"
    killed = f"{clusters.QUESTION} if {system}.path.exists({place}) else {dies}"
    monkeypatch.setattr(clusters, "QUESTION", killed)
    out = tmp_path / "run"
    assert run_sweep(config(), out, engine=clusters.dask(cluster.scheduler_address)) == (SHARDS, SHARDS, 0)
    assert marker.exists() and contents(out) == expected


@pytest.mark.slow
def test_twenty_killed_dask_workers(tmp_path, cluster):
    """Spread over the sweep; their nannies start new ones."""
    long = config(num_seeds=4000, seeds_per_chunk=40)
    shards = SHARDS // 2 * 100
    assert run_sweep(long, tmp_path / "whole", engine=engines.threads()).made == shards
    killed, over = [], threading.Event()

    def kill():
        while len(killed) < 20 and not over.is_set():
            done = len(list((tmp_path / "killed").glob("shards/*.parquet")))
            if done > len(killed) * shards / 25:
                running = [nanny.process for nanny in list(cluster.workers.values()) if nanny.process is not None]
                pids = {process.pid for process in running if process.pid is not None} - set(killed)
                if pids:
                    killed.append(pids.pop())
                    os.kill(killed[-1], signal.SIGKILL)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcome = run_sweep(long, tmp_path / "killed", engine=clusters.dask(cluster.scheduler_address))
    finally:
        over.set()
        killer.join()
    assert len(killed) == 20 and outcome == (shards, shards, 0)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_dask_without_gamekl(tmp_path):
    """Workers that lack it would be sent the same work for ever."""
    distributed = pytest.importorskip("distributed")
    (tmp_path / "sitecustomize.py").write_text('import sys; sys.modules["gamekl"] = None')
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", empty.scheduler_address, "--no-dashboard"]
        worker = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            with pytest.raises(engines.EngineError, match=r"tcp://.* has gamekl .*No module named.* takes a scheduler"):
                run_sweep(config(), tmp_path / "run", engine=clusters.dask(empty.scheduler_address))
        finally:
            worker.terminate()
            worker.wait()


def test_no_scheduler(monkeypatch, tmp_path):
    monkeypatch.setattr(clusters, "PATIENCE", 1)
    with pytest.raises(engines.EngineError, match=r"scheduler: got 'tcp://127.0.0.1:9', where no Dask scheduler"):
        run_sweep(config(), tmp_path, engine=clusters.dask("tcp://127.0.0.1:9"))
    assert not contents(tmp_path)


def test_scheduler_without_workers(monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(clusters, "PATIENCE", 2)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        with pytest.raises(engines.EngineError, match="where no Dask scheduler with workers answers"):
            run_sweep(config(), tmp_path, engine=clusters.dask(empty.scheduler_address))


def test_dask_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(engines.EngineError, match=r"needs Dask: pip install 'gamekl\[cluster\]'"):
        clusters.dask("tcp://somewhere:8786")
