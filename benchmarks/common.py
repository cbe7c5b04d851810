"""What the benchmarks share.

That is processes with a fixed number of processors, games, a residual that owes nothing to the solvers, and how results
are written down.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import gamekl as gk
from gamekl.solvers.driver import processors as num_processors

RESULTS = Path(__file__).parent / "results"
# What benchmarks share with tests: import this module first.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))


@contextmanager
def processors(count: int | None) -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on `count` processors (None: on all that there are).

    A new process must find itself so from the start: libraries count the processors once, when they are loaded.
    """
    if count is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def worker(count: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """A process of its own on `count` processors; it keeps what it has compiled until the end."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        with processors(count):
            executor.submit(num_processors).result()
        yield executor


def uniform_batch(shape: Sequence[int], temperature: Any, size: int, seed: int = 0, dtype: str = "float64") -> Any:
    """Games with payoffs U[0, 1], and uniform references at one temperature or one for each game."""
    keys = jax.random.split(jax.random.key(seed), size)
    games = jax.jit(jax.vmap(lambda key: gk.games.uniform(key, shape, dtype=dtype)))(keys)
    temperatures = jnp.broadcast_to(jnp.asarray(temperature, dtype=dtype), (size,))
    return jax.block_until_ready((games, jax.vmap(gk.Regularizer.uniform)(games, temperatures)))


def time_solves(batch: Any, rounds: int, solve: Callable[..., Any] = gk.solve_nash_batch) -> tuple[Any, list[float]]:
    """Seconds of `rounds` calls of a solver, behind those of a first one that compiles; with the answers."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        solution = jax.block_until_ready(solve(*batch))
        times.append(time.perf_counter() - start)
    return solution, times


def num_failed(solution: Any) -> int:
    """How many games of a batch did not converge."""
    return int(np.sum(np.asarray(solution.status) != gk.Status.converged))


def residuals(payoffs: np.ndarray, temperature: float, policies: Sequence[np.ndarray]) -> np.ndarray:
    """sup |policy - best response| of each game to a uniform reference, in numpy and not by any solver's own code.

    Args:
        payoffs: ``[game, player, *actions]``.
        temperature: of all games.
        policies: ``[game, actions_i]`` for each player.
    """
    worst = np.zeros(len(payoffs))
    for player, policy in enumerate(policies):
        values = np.moveaxis(payoffs[:, player], 1 + player, 1)
        for other in reversed([entry for index, entry in enumerate(policies) if index != player]):
            values = np.einsum("g...a,ga->g...", values, other)
        weights = np.exp((values - values.max(axis=1, keepdims=True)) / temperature)
        response = weights / weights.sum(axis=1, keepdims=True)
        worst = np.maximum(worst, np.abs(policy - response).max(axis=1))
    return worst


def peak_memory() -> int:
    """The most bytes that this process has held.

    Linux's own count, because `ru_maxrss` of a new process there starts at the size of the one that made it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line[:6] == "VmHWM:")
    import resource  # not on every platform

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def facts(dtype: str = "float64") -> str:
    """What the numbers depend on, in one line."""
    device = jax.devices()[0]
    kind = device.device_kind
    cpuinfo = Path("/proc/cpuinfo")
    if device.platform == "cpu" and cpuinfo.exists():
        models = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line[:10] == "model name"]
        kind = f"{kind} ({models[0]})" if models else kind
    return (
        f"gamekl {gk.__version__}, jax {jax.__version__}, {kind}, {dtype}, {num_processors()} processors, "
        f"Python {platform.python_version()}"
    )


def options(description: str | None) -> argparse.Namespace:
    """The command line: quick, rounds (5, or 2 where quick) and out."""
    parser = parser_with_out(description, quick="a smoke test: few games, two rounds")
    parser.add_argument("--rounds", type=int, default=None, help="default: 5, or 2 with --quick")
    found = parser.parse_args()
    found.rounds = found.rounds or (2 if found.quick else 5)
    return found


def parser_with_out(description: str | None, quick: str = "a smoke test: few games") -> argparse.ArgumentParser:
    """The command line of scripts that have a quick way: quick and out."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def parser_beside_gambit(description: str | None) -> argparse.ArgumentParser:
    """The command line of scripts that ask Gambit: its interpreter, quick and out."""
    parser = parser_with_out(description)
    parser.add_argument("--gambit", default=sys.executable)
    return parser


def middle(values: Sequence[float]) -> float:
    """The median: other programs slow some calls down."""
    return statistics.median(values)


def digits(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    if value >= 1e3:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1e-3 else f"{value:.1e}"


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table, aligned to be read as it is."""
    cells = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def save(folder: Path, name: str, text: str, draw: Callable[[], Figure]) -> None:
    """Write ``name.md`` and ``name.svg``."""
    from gamekl.experiment.show.plot import STYLE  # an earlier commit, of which residuals are asked, has it elsewhere

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text.rstrip() + "\n")
    with matplotlib.rc_context(STYLE):
        draw().savefig(folder / f"{name}.svg", metadata={"Date": None})
    print(f"wrote {folder / name}.md and .svg")
