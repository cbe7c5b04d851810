"""Every kind of benchmark under several versions of jax, in turn: time to compile, and to run.

    python benchmarks/versions.py PYTHON PYTHON... [--rounds 5] [--only solve] [--out FOLDER]

Each PYTHON is an interpreter of an environment with its own jax and what gamekl needs; gamekl is this checkout. A case
goes through all of them before the next one begins, twice. Times are what the process waits, on all processors: of a
first call less a later one (the least of the turns), and of later calls (the median). Ratios are to the first
interpreter.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np
from beside import Tree, Worker
from common import RESULTS, digits, facts, table

HERE = Path(__file__).parent
TURNS = 2


def cases() -> dict[str, Callable[[], Callable[[], Any]]]:
    """What makes the data of each case, and returns the call that is timed; named by the benchmark that it is of."""
    import bench_gamd
    import bench_learning
    import bench_preference
    import bench_staged
    import jax
    import jax.numpy as jnp
    from common import uniform_batch

    import gamekl as gk
    from gamekl.experiment.run.forecast import plan_sweep
    from gamekl.experiment.run.plan import make_chunks
    from gamekl.experiment.run.shards import Work, make_shard
    from gamekl.experiment.schema.load import parse_config

    jax.config.update("jax_enable_x64", True)

    def mapped(function: Callable[..., Any], *batch: Any) -> Callable[[], Any]:
        program = jax.jit(jax.vmap(function))
        return lambda: program(*batch)

    def batch(shape: tuple[int, ...], temperature: float, size: int, dtype: str = "float64") -> Callable[[], Any]:
        given = jax.tree.map(np.asarray, uniform_batch(shape, temperature, size, dtype=dtype))
        return lambda: gk.solve_nash_batch(*given)

    def single(*shape: int) -> Callable[[], Any]:
        game, anchor = jax.tree.map(lambda leaf: leaf[0], uniform_batch(shape, 0.1, 1))
        return lambda: gk.solve_nash(game, anchor)

    def rounds(dtype: str) -> Callable[[], Any]:
        given = uniform_batch((10, 10), 0.1, 4096, dtype=dtype)
        return lambda: gk.gamd_batch(*given, num_rounds=500)

    def correlated(concept: str, objective: str) -> Callable[[], Any]:
        games, _ = uniform_batch((4, 4), 0.1, 256)
        return mapped(lambda game: gk.solve_correlated(game, concept=concept, objective=objective, throw=False), games)

    def prompts(size: int, number: int) -> Callable[[], Any]:
        data = bench_preference.draw(bench_preference.Case(size, 0.1, number))
        return lambda: gk.preference.nash_policies(*data, 0.1)

    def online(size: int, concept: str) -> Callable[[], Any]:
        case = bench_learning.Play(size, concept, 4, 8, 200)
        data = jnp.asarray(bench_learning.payoffs(size, 4)), jax.random.split(jax.random.key(1), 8)
        return lambda: bench_learning._playing(case)(*data)

    def lead() -> Callable[[], Any]:
        program, draws = bench_learning._leading(4), jnp.asarray(bench_learning._draws(4, 64))
        return lambda: program(draws)

    def staged(markov: bool) -> Callable[[], Any]:
        case = bench_staged.Case((3, 3), (3, 4) if markov else (16,), 128, 128)
        program = jax.jit(jax.vmap(bench_staged.whole, in_axes=(0, 0, None)))
        return lambda: program(*bench_staged.chunks(case)[0], jnp.asarray(1e4))

    def statistics() -> Callable[[], Any]:
        game, keys = gk.games.uniform(jax.random.key(0), (10, 10)), jax.random.split(jax.random.key(1), 1000)
        behavior = jnp.full((10, 10), 0.01)
        return mapped(lambda key: gk.offline.sample_statistics(key, game, behavior, 1e6, 1.0), keys)

    def follow() -> Callable[[], Any]:
        rule = gk.rules.EGPO(0.3)
        given = uniform_batch((10, 10), 0.1, 1024)
        return mapped(lambda game, anchor: gk.follow(game, anchor, rule, num_rounds=200, throw=False), *given)

    def first_order() -> Callable[[], Any]:
        given = uniform_batch((4, 3), 0.2, 256)
        return mapped(lambda game, anchor: gk.sos_md(game, anchor, num_rounds=500, tol=0.1, throw=False), *given)

    def loops() -> Callable[[], Any]:
        games, _ = uniform_batch((10, 10), 0.1, 256)
        program = bench_gamd.plain_loop(500)
        return lambda: program(games)

    def gaps() -> Callable[[], Any]:
        games, _ = uniform_batch((10, 10), 0.1, 4096)
        joints = jax.random.dirichlet(jax.random.key(1), jnp.ones(100), (4096,)).reshape(4096, 10, 10)
        return mapped(gk.evaluate.cce_gap, games, joints)

    def shard() -> Callable[[], Any]:
        game = {"kind": "uniform", "num_actions": [3, 3, 3], "num_games": 10}
        family = {"label": "3x3x3", "game": game, "temperatures": [0.2], "num_samples": {"first": 10_000, "points": 10}}
        config = parse_config({"name": "versions", "num_seeds": 10, "family": [family]})
        plan = plan_sweep(config)
        work, chunk = Work.of(config, plan), make_chunks(plan)[0]
        return lambda: make_shard(work, chunk).content

    return {
        "solve: one game 2 x 2": lambda: single(2, 2),
        "solve: one game 10 x 10": lambda: single(10, 10),
        "solve: one game 3 x 3 x 3": lambda: single(3, 3, 3),
        "solve: one game 50 x 50": lambda: single(50, 50),
        "solve: one game 200 x 200": lambda: single(200, 200),
        "solve: 16,384 games 2 x 2": lambda: batch((2, 2), 0.1, 2**14),
        "solve: 16,384 games 3 x 3": lambda: batch((3, 3), 0.1, 2**14),
        "solve: 4,096 games 10 x 10": lambda: batch((10, 10), 0.1, 2**12),
        "solve: 4,096 games 10 x 10, float32": lambda: batch((10, 10), 0.1, 2**12, "float32"),
        "solve: 2,048 games 10 x 10, temperature .01": lambda: batch((10, 10), 0.01, 2**11),
        "solve: 4,096 games 5 x 5 x 5": lambda: batch((5, 5, 5), 0.1, 2**12),
        "scale: 4,096 games 2 x 2 x 2 x 2 x 2": lambda: batch((2,) * 5, 0.1, 2**12),
        "scale: 256 games 30 x 30": lambda: batch((30, 30), 0.1, 2**8),
        "scale: 16 games 100 x 100": lambda: batch((100, 100), 0.1, 2**4),
        "gamd: gamd_batch, float64": lambda: rounds("float64"),
        "gamd: gamd_batch, float32": lambda: rounds("float32"),
        "gamd: plain loop": loops,
        "gamd: CCE, Gini": lambda: correlated("cce", "gini"),
        "gamd: CE, entropy": lambda: correlated("ce", "entropy"),
        "gamd: CCE gaps": gaps,
        "gamd: SOS-MD": first_order,
        "preference: 4,096 prompts of 16": lambda: prompts(16, 2**12),
        "preference: 1,024 prompts of 64": lambda: prompts(64, 2**10),
        "preference: EGPO": follow,
        "learning: MAMEX, Nash, 3 x 3": lambda: online(3, "nash"),
        "learning: MAMEX, CE, 3 x 3": lambda: online(3, "ce"),
        "learning: MAMEX, CCE, 5 x 5": lambda: online(5, "cce"),
        "learning: a leader's fit and plan": lead,
        "staged: contextual": lambda: staged(False),
        "staged: Markov": lambda: staged(True),
        "statistics: 1,000 logs": statistics,
        "sweep: a shard of 1,000 solves": shard,
    }


def work(rounds: int) -> None:
    """Measure each case that is named on a line of the input; print its times as JSON."""
    import jax

    from gamekl.solvers import driver

    every = cases()
    print(json.dumps(jax.__version__), flush=True)
    for line in sys.stdin:
        call = every[line.strip()]()
        driver._compiled.cache_clear()
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            jax.block_until_ready(call())
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)
        jax.clear_caches()


def measure(worker: Worker, name: str) -> tuple[float, float]:
    """Seconds to compile a case, and to run it."""
    first, *later = worker.ask(name)
    return max(first - median(later), 0), median(later)


class Compared(NamedTuple):
    """A case's seconds to compile and to run, one number for each worker."""

    name: str
    compile: list[float]
    run: list[float]

    @property
    def row(self) -> list[str]:
        """A row of the table."""
        first_calls = [sum(pair) for pair in zip(self.compile, self.run, strict=True)]
        row = [self.name, *map(digits, self.compile), *ratios(self.compile)]
        return [*row, *(digits(1e3 * each) for each in self.run), *ratios(self.run), *ratios(first_calls)]


def ratios(times: list[float]) -> list[str]:
    """Of all times to the first, which is 0 where nothing was compiled."""
    return [f"{each / times[0]:.2f}" if times[0] else "-" for each in times[1:]]


def compare(workers: list[Worker], names: list[str]) -> Iterator[Compared]:
    """Each case with all workers in turn."""
    for name in names:
        turns = [[measure(worker, name) for worker in workers] for _ in range(TURNS)]
        least = np.min(turns, axis=0)  # [worker, compile or run]
        found = Compared(name, *least.T.tolist())
        print(*found.row, sep=" | ", flush=True)
        yield found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases whose names begin so")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.work:
        work(options.rounds)
        return
    if len(options.pythons) < 2:
        parser.error("takes two interpreters or more")
    workers = [
        Worker(Tree(python, HERE.parent, python), __file__, "--work", "--rounds", str(options.rounds))
        for python in options.pythons
    ]
    versions = [worker.read() for worker in workers]
    names = [name for name in cases() if name.startswith(options.only)]
    header = ["case"]
    for what in ("compile, {}, s", "run, {}, ms"):
        header += [*map(what.format, versions), *("ratio" for _ in versions[1:])]
    header += ["ratio of a first call" for _ in versions[1:]]
    found = list(compare(workers, names))
    means = [
        f"{versions[index]} {math.exp(fmean(math.log(case.run[index] / case.run[0]) for case in found)):.2f}"
        for index in range(1, len(workers))
    ]
    text = "\n\n".join(
        [
            "# Under several versions of jax",
            f"{facts()}; the least of {TURNS} turns, with medians of {options.rounds} runs in each; ratios to jax "
            f"{versions[0]}. Geometric mean of the ratios of runs: {', '.join(means)}.",
            table(header, [case.row for case in found]),
        ]
    )
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "versions.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
