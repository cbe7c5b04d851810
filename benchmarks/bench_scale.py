"""How the time to solve a game grows with actions, players and the batch, beside what the machine could do at most.

    python benchmarks/bench_scale.py [--quick] [--dtype float32] [--largest 1000000] [--processors 1] [--out FOLDER]
    python benchmarks/bench_scale.py --settings [--dtype float32] [--largest 1000000] [--out FOLDER]

Payoffs U[0, 1], uniform references, temperature 0.1, through `solve_nash_batch` on all local devices: from payoffs in
memory to certified answers in memory; medians of several calls, compilation apart.

The limits are measured in the same run, with all processors or on the device: multiply-adds per second of a loop that
stays in registers and of a matrix product (the larger counts), and bytes per second of a triad on arrays that no cache
holds. The arithmetic limit is the time for a game's multiply-adds at that rate; the memory limit is the time to read
its payoffs from memory at each correction, which caches may beat. What a correction takes is counted by formula
(`multiply_adds`), whatever the implementation does beyond it: exponentials, tangents and tests are not counted.

With --settings, on an accelerator only: solves a second by the lanes and the chunks of `gamekl.core.kernels.platforms`.
"""

import argparse
import itertools
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, digits, facts, middle, num_failed, num_processors, save, table, time_solves, uniform_batch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from settings import report_settings

from gamekl.experiment.show.plot import COLOURS

jax.config.update("jax_enable_x64", True)

TEMPERATURE = 0.1
ACTIONS = (2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
PLAYERS = (2, 3, 4, 5, 6)
# On a number before it is stored: as many chains of multiply-adds as hide their latency, and their length.
CHAINS, CHAIN_LENGTH = 8, 8


class Limits(NamedTuple):
    """What the machine can do in a second: multiply-adds in a loop and in a matrix product; bytes from memory."""

    loop: float
    matmul: float
    memory: float

    @property
    def arithmetic(self) -> float:
        return max(self.loop, self.matmul)


class Measured(NamedTuple):
    """A case's figures; times in microseconds a game."""

    shape: tuple[int, ...]
    games: int
    micros: float
    spread: tuple[float, float]
    compilation: float
    corrections: float
    failed: int
    multiply_adds: float
    arithmetic: float
    memory: float

    @property
    def row(self) -> list[Any]:
        low, high = map(digits, self.spread)
        return [
            " x ".join(map(str, self.shape)),
            self.games,
            digits(self.micros),
            f"{low} to {high}",
            f"{1e6 / self.micros:,.0f}",
            f"{self.corrections:.1f}",
            self.failed,
            digits(self.multiply_adds),
            digits(self.arithmetic),
            digits(self.memory),
            f"{self.arithmetic / self.micros:.1%}",
            f"{self.compilation:.1f}",
        ]


HEADER = ["actions", "games", "us a game", "least to most", "games a second", "corrections", "failed"]
HEADER += ["multiply-adds", "arithmetic limit, us", "memory limit, us", "of peak", "compilation, s"]


def multiply_adds(shape: tuple[int, ...]) -> float:
    """Of one Newton correction; n_i actions for player i, N = prod n, f the largest n, R = sum n - f.

    - expectations over all but two players, for each ordered pair (i, j): the payoffs are contracted with one policy
      after another, so N + N / n_k + ... for the players k that are summed out (none for two players);
    - action values: n_i n_j for each i and one j;
    - the Jacobian's blocks: n_i n_j for each ordered pair;
    - Schur complement on all but the largest player, whose block is the identity: R^2 f, and 4 R f for two right sides;
    - LU elimination and two right sides: R^3 / 3 + 2 R^2.
    """
    players = range(len(shape))
    total = 0.0
    for i, j in itertools.permutations(players, 2):
        size = math.prod(shape)
        for k in reversed(players):
            if k not in (i, j):
                total += size
                size //= shape[k]
        total += shape[i] * shape[j]
    total += sum(shape[i] * shape[i - 1] for i in players)
    first = max(shape)
    rest = sum(shape) - first
    return total + rest**2 * first + 4 * rest * first + rest**3 / 3 + 2 * rest**2


def rate(function: Any, arguments: list[tuple], work: float) -> float:
    """`work` done by each call, per second: one thread for each tuple of arguments, best of three."""

    def call(given: tuple) -> None:
        jax.block_until_ready(function(*given))

    best = math.inf
    with ThreadPoolExecutor(len(arguments)) as pool:
        list(pool.map(call, arguments))
        for _ in range(3):
            start = time.perf_counter()
            list(pool.map(call, arguments))
            best = min(best, time.perf_counter() - start)
    return work * len(arguments) / best


def measure_limits(dtype: str, quick: bool) -> Limits:
    """Measure them; a CPU needs a thread for each processor, other devices one."""
    on_cpu = jax.default_backend() == "cpu"
    threads = num_processors() if on_cpu else 1
    size, loops = (2**10, 2**14) if on_cpu else (2**21, 2**10)
    order, large = (1024, 2**24) if on_cpu else (8192, 2**27)
    if quick:
        loops, order, large = loops // 8, order // 2, large // 4

    @jax.jit
    def multiply_add(x, factor, term):
        def chains(_, x):
            parts = [x + index for index in range(CHAINS)]
            for _ in range(CHAIN_LENGTH):
                parts = [part * factor + term for part in parts]
            return sum(parts)

        return jax.lax.fori_loop(0, loops, chains, x)

    matmul = jax.jit(lambda a, b: jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST))
    triad = jax.jit(lambda a, b, factor: a + factor * b)
    half = jnp.asarray(0.5, dtype)
    numbers = [jnp.full(size, index, dtype) for index in range(threads)]
    square = jnp.ones((order, order), dtype)
    arrays = [(jnp.full(large, index, dtype), jnp.ones(large, dtype), half) for index in range(threads)]
    return Limits(
        loop=rate(multiply_add, [(x, half, half) for x in numbers], size * loops * CHAINS * CHAIN_LENGTH),
        matmul=rate(matmul, [(square, square)], order**3),
        memory=rate(triad, arrays, 3 * large * jnp.dtype(dtype).itemsize),
    )


def measure(shape: tuple[int, ...], games: int, limits: Limits, dtype: str, rounds: int) -> Measured:
    """Solve a batch several times."""
    batch = uniform_batch(shape, TEMPERATURE, games, dtype=dtype)
    solution, times = time_solves(batch, rounds)
    micros = [1e6 * entry / games for entry in times[1:]]
    corrections = float(np.mean(np.asarray(solution.num_steps)))
    counted = corrections * multiply_adds(shape)
    read = corrections * batch[0].payoffs.nbytes / games
    found = Measured(
        shape=shape,
        games=games,
        micros=middle(micros),
        spread=(min(micros), max(micros)),
        compilation=max(times[0] - middle(times[1:]), 0),
        corrections=corrections,
        failed=num_failed(solution),
        multiply_adds=counted,
        arithmetic=1e6 * counted / limits.arithmetic,
        memory=1e6 * read / limits.memory,
    )
    print(*found.row, sep=" | ", flush=True)
    return found


def num_games(shape: tuple[int, ...], quick: bool) -> int:
    """A batch that takes a second or so."""
    budget, most = (1e8, 2**13) if jax.default_backend() == "cpu" else (1e10, 2**17)
    if quick:
        budget, most = budget / 16, most / 16
    return int(min(most, max(16, budget / multiply_adds(shape))))


def draw_panel(axes: Axes, groups: dict[str, tuple[list[float], list[Measured]]], label: str) -> None:
    """Times, and both limits as lines of the same colour."""
    for colour, (name, (places, cases)) in zip(COLOURS, groups.items(), strict=False):
        axes.plot(places, [case.micros for case in cases], "o-", ms=3, color=colour, label=name)
        axes.plot(places, [case.arithmetic for case in cases], "--", lw=0.8, color=colour)
        axes.plot(places, [case.memory for case in cases], ":", lw=0.8, color=colour)
    axes.set(xscale="log", yscale="log", xlabel=label)
    axes.legend(frameon=False, loc="upper right" if "batch" in label else "upper left")
    axes.spines[["top", "right"]].set_visible(False)


def draw(actions: list[Measured], players: list[Measured], batches: list[Measured], title: str) -> Figure:
    """Three panels: actions, players, batch."""
    figure = Figure(figsize=(8.2, 3.1), layout="constrained")
    panels = figure.subplots(1, 3)
    draw_panel(panels[0], {"two players": ([case.shape[0] for case in actions], actions)}, "actions of each player")
    groups = {}
    for size in sorted({case.shape[0] for case in players}, reverse=True):
        found = [case for case in players if case.shape[0] == size]
        groups[f"{size} actions"] = ([len(case.shape) for case in found], found)
    draw_panel(panels[1], groups, "players")
    draw_panel(panels[2], {"10 x 10": ([case.games for case in batches], batches)}, "games in the batch")
    for axes, cases in ((panels[0], actions), (panels[1], players)):
        ticks = sorted({case.shape[0] if cases is actions else len(case.shape) for case in cases})
        axes.set_xticks([tick for tick in ticks if tick not in (8, 15)], minor=False)
        axes.set_xticks([], minor=True)
        axes.set_xticklabels([str(tick) for tick in ticks if tick not in (8, 15)])
    panels[0].set_ylabel("microseconds a game")
    limits = {"--": "arithmetic limit", ":": "limit of reading the payoffs from memory at each correction"}
    lines = [Line2D([], [], ls=style, lw=0.8, color="0.4", label=name) for style, name in limits.items()]
    figure.legend(handles=lines, frameon=False, loc="outside lower center", ncols=2)
    figure.suptitle(title, fontsize=7)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few, small cases")
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--largest", type=int, help="largest batch; default 10^6 on a GPU, 10^5 on a CPU")
    parser.add_argument("--processors", type=int, help="use so many processors only")
    parser.add_argument("--settings", action="store_true", help="by lanes and chunks, in place of all else")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.processors and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.processors])  # before jax counts them
    on_cpu = jax.default_backend() == "cpu"
    largest = options.largest or (10**3 if options.quick else 10**5 if on_cpu else 10**6)
    rounds = 2 if options.quick else 3
    if options.settings and on_cpu:
        parser.error("--settings: got a CPU, takes a GPU or a TPU")
    if options.settings:
        report_settings(options.dtype, TEMPERATURE, options.largest, rounds, options.out)
        return
    limits = measure_limits(options.dtype, options.quick)
    rates = (
        f"Multiply-adds a second: {limits.loop:.3g} in a loop, {limits.matmul:.3g} in a matrix product. "
        f"Memory: {limits.memory / 1e9:.3g} GB/s."
    )
    print(facts(options.dtype), rates, sep="\n")

    def run(shape: tuple[int, ...], games: int) -> Measured:
        return measure(shape, games, limits, options.dtype, rounds)

    def sized(shape: tuple[int, ...]) -> Measured:
        return run(shape, num_games(shape, options.quick))

    # First what a machine may be asked for in little time. Quick, every other power.
    powers = [10**power for power in range(math.ceil(math.log10(largest)))][:: 2 if options.quick else 1]
    batches = [run((10, 10), games) for games in (*powers, largest)]
    actions = [sized((size, size)) for size in (ACTIONS[1:5:3] if options.quick else ACTIONS)]
    several = [(size,) * players for size in (3, 2) for players in (PLAYERS[:2] if options.quick else PLAYERS)]
    players = [sized(shape) for shape in several if not options.quick or shape[0] == 2]
    sections = [
        "# How the time to solve a game grows",
        f"{facts(options.dtype)}; medians of {rounds} calls of `solve_nash_batch`, temperature {TEMPERATURE}. {rates}",
        "The arithmetic limit is the time for the multiply-adds of all corrections at the larger of the two rates, and "
        '"of peak" compares with it; they are counted by formula, exponentials and tests are not. The memory limit is '
        "the time to read the payoffs from memory at each correction, which caches may beat.",
    ]
    for title, cases in {"Actions": actions, "Players": players, "Batch": batches}.items():
        sections += [f"## {title}", table(HEADER, [case.row for case in cases])]
    text = "\n\n".join(sections)
    print(text)
    name = "bench_scale" if on_cpu else f"bench_scale_{jax.default_backend()}"
    name += "" if options.dtype == "float64" else f"_{options.dtype}"
    save(options.out, name, text, lambda: draw(actions, players, batches, facts(options.dtype)))


if __name__ == "__main__":
    main()
