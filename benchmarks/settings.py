"""How many games an accelerator solves in a second by its lanes and the chunks that the host hands over.

On the device: ``vmap(solve_nash)`` of one chunk that lies in its memory. From the host: `solve_nash_batch`, from
payoffs in the host's memory to answers there. Both settings follow from `gamekl.core.kernels.platforms.ACCELERATOR`,
which is replaced for each pair; what has been compiled is forgotten in between. Games as in `bench_scale`, 10 x 10.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import jax
import numpy as np
from common import digits, facts, middle, num_failed, save, table, time_solves, uniform_batch
from matplotlib.figure import Figure

import gamekl as gk
from gamekl.core.kernels import platforms
from gamekl.experiment.show.plot import COLOURS
from gamekl.solvers import driver

LANES = (2**10, 2**12, 2**14, 2**16)
CHUNKS = (2**15, 2**17, 2**19)
# The driver cuts a batch into four chunks or more for each device.
GAMES = 4 * max(CHUNKS)
HEADER = ["lanes", "games a chunk", "on the device, games a second", "from the host", "least to most"]
HEADER += ["corrections", "failed", "compilation, s"]


class Setting(NamedTuple):
    """Lanes, games a chunk, and the games that were solved in a second, one number for each call."""

    lanes: int
    chunk: int
    rates: list[float]


def rate_on_device(batch: Any, size: int, rounds: int) -> float:
    """Games a second of the first games of a batch, in the device's memory."""
    batch = jax.device_put(jax.tree.map(lambda leaf: leaf[:size], batch))
    solve = jax.jit(jax.vmap(lambda game, anchor: gk.solve_nash(game, anchor, throw=False)))
    solution, times = time_solves(batch, rounds, solve)
    return len(solution.status) / middle(times[1:])


@contextmanager
def accelerator(lanes: int, chunk: int) -> Iterator[None]:
    """Programs for accelerators with so many lanes, and chunks of so many games at most."""
    changed = platforms.ACCELERATOR._replace(lane_bytes=2**40, most_lanes=lanes, games_a_lane=max(chunk // lanes, 1))
    with patch.object(platforms, "ACCELERATOR", changed):
        driver._compiled.cache_clear()
        jax.clear_caches()
        yield


def draw(found: list[Setting], title: str) -> Figure:
    """Games a second by lanes, a line for each size of chunks."""
    figure = Figure(figsize=(4.2, 3), layout="constrained")
    axes = figure.subplots()
    for colour, chunk in zip(COLOURS, CHUNKS, strict=False):
        kept = [entry for entry in found if entry.chunk == chunk]
        places, rates = [entry.lanes for entry in kept], [middle(entry.rates) for entry in kept]
        axes.plot(places, rates, "o-", ms=3, color=colour, label=f"{chunk:,} games a chunk")
    axes.set(xscale="log", xticks=LANES, xticklabels=[f"{lanes:,}" for lanes in LANES], xlabel="lanes")
    axes.set_xticks([], minor=True)
    axes.set_ylabel("games a second")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, fontsize=7)
    return figure


def report_settings(dtype: str, temperature: float, games: int | None, rounds: int, out: Path) -> None:
    """Measure each pair, and write table and figure."""
    batch = jax.tree.map(np.asarray, uniform_batch((10, 10), temperature, games or GAMES, dtype=dtype))
    found, rows = [], []
    for lanes, chunk in itertools.product(LANES, CHUNKS):
        with accelerator(lanes, chunk):
            resident = rate_on_device(batch, chunk, rounds)
            solution, times = time_solves(batch, rounds)
        rates = [len(solution.status) / seconds for seconds in times[1:]]
        found.append(Setting(lanes, chunk, rates))
        row = [lanes, chunk, digits(resident), digits(middle(rates)), f"{digits(min(rates))} to {digits(max(rates))}"]
        row += [f"{np.mean(np.asarray(solution.num_steps)):.1f}", num_failed(solution)]
        rows.append([*row, f"{max(times[0] - middle(times[1:]), 0):.1f}"])
        print(*rows[-1], sep=" | ", flush=True)
    text = "\n\n".join(
        [
            "# Lanes and chunks of an accelerator",
            f"{facts(dtype)}; medians of {rounds} calls; from the host {games or GAMES:,} games 10 x 10, on the device "
            f"one chunk, temperature {temperature}.",
            table(HEADER, rows),
        ]
    )
    print(text)
    name = f"bench_settings_{jax.default_backend()}" + ("" if dtype == "float64" else f"_{dtype}")
    save(out, name, text, lambda: draw(found, facts(dtype)))
