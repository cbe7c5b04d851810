"""A sweep's shards, from statistics to gaps, against their number.

    python benchmarks/bench_sweep.py [--quick] [--out benchmarks/results]

100 games of three players with three actions each (payoffs U[0, 1]), uniform references at temperature 0.2, uniform
behavior, Gaussian noise 1, 10 sample sizes over three decades and 10, 100 and 1,000 seeds: 10^4, 10^5 and 10^6 solves.
Each number has a process of its own, in which `run_sweep`'s engine of threads, one a processor, draws statistics,
estimates, solves, measures the gaps in the true games and hands over the bytes of shards, which are published in a
results folder. The plan and one shard, for which everything is compiled, come before the clock. Peak memory is what the
process holds more than it did before that shard; the budget is --memory's default for each thread.
"""

import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from common import digits, facts, num_processors, options, peak_memory, save, table, worker
from matplotlib.figure import Figure

from gamekl.experiment.run.engines import threads
from gamekl.experiment.run.forecast import MEMORY, plan_sweep
from gamekl.experiment.run.plan import make_chunks
from gamekl.experiment.run.shards import Work, make_shard
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.load import parse_config

GAMES, SIZES = 100, 10


class Measured(NamedTuple):
    """Of one number of seeds."""

    seeds: int
    shards: int
    seconds: float
    failed: int
    memory: int

    @property
    def solves(self) -> int:
        return GAMES * SIZES * self.seeds


def measure(seeds: int) -> Measured:
    """Plan and compile, then run every chunk."""
    game = {"kind": "uniform", "num_actions": [3, 3, 3], "num_games": GAMES}
    family = {"label": "3x3x3", "game": game, "temperatures": [0.2], "num_samples": {"first": 10_000, "points": SIZES}}
    config = parse_config({"name": "bench", "num_seeds": seeds, "family": [family]})
    plan = plan_sweep(config)
    work, chunks = Work.of(config, plan), make_chunks(plan)
    before, failed = peak_memory(), 0
    make_shard(work, chunks[0])
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.open(config.canonical())
        start = time.perf_counter()
        for chunk, shard in threads()(work, iter(chunks), lambda origin: None):
            store.write_shard(chunk.name, shard.content, shard.rows, shard.origin)
            failed += shard.failed
        seconds = time.perf_counter() - start
    return Measured(seeds, len(chunks), seconds, failed, peak_memory() - before)


def draw(found: Sequence[Measured]) -> Figure:
    figure = Figure(figsize=(3.25, 2.6), layout="constrained")
    axes = figure.subplots()
    solves, seconds = (np.array([getattr(entry, name) for entry in found]) for name in ("solves", "seconds"))
    axes.loglog(solves, seconds, "o-", label="measured")
    axes.loglog(solves, seconds[-1] * solves / solves[-1], ":", color="0.4", label="proportional")
    axes.axhline(60, color="0.7", linewidth=0.8)
    axes.annotate("one minute", (solves[0], 60), textcoords="offset points", xytext=(0, 2), color="0.4", fontsize=7)
    axes.set_xlabel("solves, from statistics to gaps")
    axes.set_ylabel("seconds")
    axes.legend()
    return figure


def main() -> None:
    given = options(__doc__)
    found = []
    for seeds in (2, 5, 10) if given.quick else (10, 100, 1000):
        with worker() as executor:
            found.append(executor.submit(measure, seeds).result())
        print(f"{found[-1].solves:,} solves: {found[-1].seconds:.1f} s")
    budget = f"{MEMORY * num_processors() * 1024:,.0f} MiB for {num_processors()} threads"
    rows = [
        [
            f"{entry.solves:,}",
            entry.shards,
            digits(entry.seconds),
            digits(1e6 * entry.seconds / entry.solves),
            entry.failed,
            f"{entry.memory / 2**20:,.0f}",
        ]
        for entry in found
    ]
    ratio = found[-1].seconds / found[-1].solves / (found[-2].seconds / found[-2].solves)
    text = [
        "# Sweeps: statistics, estimates, solves, gaps, shards",
        "",
        facts(),
        "",
        table(["solves", "shards", "seconds", "us a solve", "failed", "memory, MiB"], rows),
        "",
        f"A solve of the last costs {digits(ratio)} times one of the row above. Memory is above that of the process "
        f"before the first shard; the budget is {budget}.",
    ]
    print("\n".join(text))
    save(given.out, "bench_sweep", "\n".join(text), lambda: draw(found))


if __name__ == "__main__":
    main()
