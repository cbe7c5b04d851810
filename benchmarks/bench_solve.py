"""Time to solve games, beside Gambit's logit tracer on the same games, in the same run, at the same residual.

    python benchmarks/bench_solve.py [--quick] [--out benchmarks/results]

Gambit's tracer is tuned (`first_step=.3, max_accel=2`, three times as fast as its defaults) and runs in a process of
its own on one processor; only its call is timed, not the making of its games. gamekl runs in two other processes, on
one processor and on all; its time is that from payoffs in memory to certified answers in memory. The three take turns,
and a figure is the median over the rounds; without pygambit the other two do. A game counts as failed if
sup |policy - best response| exceeds 1e-9.

A second part compares gamekl with itself on one processor: its driver of batches, ``jax.vmap(solve_nash)``, and plain
loops over the same equations and steps that run until the slowest game is done. A third has one game, a cold process
and the memory of a big batch.
"""

import functools
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import jax
import numpy as np
from common import digits, facts, middle, options, peak_memory, residuals, save, table, uniform_batch, worker
from loops import HARD, compare_loops
from matplotlib.figure import Figure

import gamekl as gk
from gamekl.experiment.show.plot import COLOURS
from gamekl.games.gambit import make_table

jax.config.update("jax_enable_x64", True)

TOLERANCE = 1e-9
SEED = 0
COLD = """
import time
start = time.perf_counter()
import jax, numpy
jax.config.update("jax_enable_x64", True)
import gamekl as gk
game = gk.NormalFormGame(numpy.random.default_rng(0).uniform(size=(2, 10, 10)))
regularizer = gk.Regularizer.uniform(game, 0.1)
ready = time.perf_counter()
jax.block_until_ready(gk.solve_nash(game, regularizer))
print(ready - start, time.perf_counter() - ready, flush=True)
"""


class Case(NamedTuple):
    """Games of one kind: how many gamekl solves, the first few of which Gambit solves too."""

    shape: tuple[int, ...]
    temperature: float
    games: int
    common: int

    @property
    def name(self) -> str:
        return f"{' x '.join(map(str, self.shape))}, temperature {self.temperature:g}"


class Result(NamedTuple):
    """Seconds a game, residual of each game, and the policies of the common games, ``[game, actions]`` by player."""

    seconds: float
    residual: np.ndarray
    policy: list[np.ndarray]


def all_cases(quick: bool) -> list[Case]:
    if quick:
        return [Case((10, 10), 0.1, 256, 5)]
    kinds = [((10, 10), 0.1), ((5, 5, 5), 0.1), ((10, 10), 0.01)]
    return [*(Case(shape, tau, 2**14, 100) for shape, tau in kinds), Case((100, 100), 0.1, 3, 3)]


@functools.cache
def batch(case: Case):
    return uniform_batch(case.shape, case.temperature, case.games, SEED)


def payoffs(case: Case) -> np.ndarray:
    return np.asarray(batch(case)[0].payoffs)[: case.common]


def gambit(case: Case, payoffs: np.ndarray) -> Result:
    import pygambit  # only its own process needs it

    games = [make_table(pygambit, entry) for entry in payoffs]
    points = []
    start = time.perf_counter()
    for game in games:
        try:
            points += pygambit.qre.logit_solve_lambda(game, lam=[1 / case.temperature], first_step=0.3, max_accel=2)
        except RuntimeError:
            points.append(None)
    seconds = (time.perf_counter() - start) / len(games)
    policy = [np.full((len(games), size), np.nan) for size in case.shape]
    for index, (game, point) in enumerate(zip(games, points, strict=True)):
        if point is not None:
            for player, entry in zip(game.players, policy, strict=True):
                entry[index] = [share for _, share in point.profile[player]]
    return Result(seconds, residuals(payoffs, case.temperature, policy), policy)


def gamekl(case: Case, refine: str | None) -> Result:
    """All games in one batch, or, where there are few, one by one."""
    games, regularizers = batch(case)
    if case.games > 10:
        start = time.perf_counter()
        solution = jax.block_until_ready(gk.solve_nash_batch(games, regularizers, refine=refine))
        seconds = time.perf_counter() - start
    else:
        one = [jax.tree.map(lambda leaf, i=i: leaf[i], (games, regularizers)) for i in range(case.games)]
        start = time.perf_counter()
        solutions = [jax.block_until_ready(gk.solve_nash(*pair, refine=refine, throw=False)) for pair in one]
        seconds = time.perf_counter() - start
        solution = gk.stack(solutions)
    policy = [np.exp(np.asarray(entry)) for entry in solution.log_policy]
    residual = residuals(np.asarray(games.payoffs), case.temperature, policy)
    residual[np.asarray(solution.status) != gk.Status.converged] = np.inf
    return Result(seconds / case.games, residual, [entry[: case.common] for entry in policy])


def one_game(calls: int) -> float:
    """Median seconds of a call from Python, once compiled."""
    game = gk.games.uniform(jax.random.key(SEED), (10, 10))
    regularizer = gk.Regularizer.uniform(game, 0.1)
    times = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        jax.block_until_ready(gk.solve_nash(game, regularizer))
        times.append(time.perf_counter() - start)
    return middle(times[1:])


def memory(games: int) -> tuple[int, int, int]:
    """Bytes of the payoffs, and this process's peak before and after solving them."""
    drawn = np.random.default_rng(SEED).uniform(size=(games, 2, 10, 10))
    batch = jax.vmap(gk.NormalFormGame)(drawn)
    regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1))(batch)
    size = drawn.nbytes
    del drawn
    before = peak_memory()
    gk.solve_nash_batch(batch, regularizers, throw=True)
    return size, before, peak_memory()


GAMBIT = "Gambit, tuned"
HAS_GAMBIT = find_spec("pygambit") is not None
SOLVERS = {  # processors, refine
    "gamekl, one processor": (1, None),
    "gamekl, one processor, refined": (1, "float64"),
    "gamekl, all processors": (None, None),
    "gamekl, all processors, refined": (None, "float64"),
}


def compare(case: Case, workers: dict, rounds: int) -> tuple[list[list], dict[str, float]]:
    """Rows of the table beside Gambit, and microseconds a game by solver."""
    drawn, _ = (workers[count].submit(payoffs, case).result() for count in (1, None))
    first, results = {}, {name: [] for name in [GAMBIT] * HAS_GAMBIT + [*SOLVERS]}
    for name, (count, refine) in SOLVERS.items():
        start = time.perf_counter()
        workers[count].submit(gamekl, case, refine).result()
        first[name] = time.perf_counter() - start
    for _ in range(rounds):
        if HAS_GAMBIT:
            results[GAMBIT].append(workers[GAMBIT].submit(gambit, case, drawn).result())
        for name, (count, refine) in SOLVERS.items():
            results[name].append(workers[count].submit(gamekl, case, refine).result())
    micros = {name: middle([result.seconds for result in found]) * 1e6 for name, found in results.items()}
    rows = []
    for name, found in results.items():
        times = [result.seconds * 1e6 for result in found]
        residual, policy = found[-1].residual, found[-1].policy
        row = [case.name, name, len(residual), digits(micros[name]), f"{digits(min(times))} to {digits(max(times))}"]
        row.append(digits(micros[GAMBIT] / micros[name]) if HAS_GAMBIT else "")
        row += [int(np.sum(~(residual <= TOLERANCE))), f"{residual.max():.1e}"]
        if name in first:
            theirs = results[GAMBIT][-1].policy if HAS_GAMBIT else []
            away = [np.abs(a - b).max() for a, b in zip(policy, theirs, strict=HAS_GAMBIT)]
            row.append(f"{max(away):.1e}" if away else "")
            row.append(f"{max(first[name] - micros[name] * 1e-6 * case.games, 0):.1f}")
        else:
            row += ["", ""]
        print(*row, sep=" | ", flush=True)
        rows.append(row)
    return rows, micros


def cold_start(runs: int) -> tuple[float, float, float]:
    """Median seconds of a new process up to its answer: in all, to import and make a game, and for the first answer."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", COLD], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
            answer = process.stdout.readline()
            times.append((time.perf_counter() - start, *map(float, answer.split())))
    return tuple(middle(column) for column in zip(*times, strict=True))


def draw(figures: dict[str, dict[str, float]], caption: str) -> Figure:
    """Bars of microseconds a game; a white line marks the time with refine="float64"."""
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.subplots()
    shown = {GAMBIT: "0.6", "gamekl, one processor": COLOURS[0], "gamekl, all processors": COLOURS[2]}
    for index, micros in enumerate(figures.values()):
        for offset, (name, colour) in enumerate(shown.items()):
            if name not in micros:
                continue
            place = index * 4 + offset
            axes.barh(place, micros[name], color=colour, height=0.85, label=name if index == 0 else None)
            ratio = "" if name == GAMBIT or GAMBIT not in micros else f"   (x {digits(micros[GAMBIT] / micros[name])})"
            most = max(micros[name], micros.get(f"{name}, refined", 0))
            axes.annotate(f"  {digits(micros[name])}{ratio}", (most, place), va="center", fontsize=6)
            if name != GAMBIT:
                axes.plot(micros[f"{name}, refined"], place, "|", color="black", ms=7, mew=0.8)
    axes.plot([], [], "|", color="black", label='the same with refine="float64"')
    axes.set(xscale="log", yticks=[4 * index + 1 for index in range(len(figures))], yticklabels=list(figures))
    axes.set(xlabel="microseconds a game")
    figure.suptitle(caption, fontsize=6)
    low = min(min(micros.values()) for micros in figures.values())
    axes.set_xlim(low / 3, max(max(micros.values()) for micros in figures.values()) * 8)
    axes.invert_yaxis()
    handles, labels = axes.get_legend_handles_labels()  # lines come first
    axes.legend(
        [*handles[1:], handles[0]],
        [*labels[1:], labels[0]],
        frameon=False,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.15),
        ncols=2,
    )
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    given = options(__doc__)
    rounds = given.rounds
    games = 256 if given.quick else 4096
    rows, figures = [], {}
    with worker(1) as oracle, worker(1) as single, worker() as whole:
        workers = {GAMBIT: oracle, 1: single, None: whole}
        for case in all_cases(given.quick):
            found, figures[case.name] = compare(case, workers, rounds)
            rows += found
        loops, plain = compare_loops(single, games, rounds, given.quick)
        call = whole.submit(one_game, 50 if given.quick else 300).result()
        machine = whole.submit(facts).result()
    cold = cold_start(1 if given.quick else 5)
    held = 2_000 if given.quick else 100_000
    with worker() as fresh:
        size, before, peak = fresh.submit(memory, held).result()
    oracle_used = "Gambit is not installed"
    if HAS_GAMBIT:
        oracle_used = f"Gambit {version('pygambit')} solves the first of gamekl's games"
    header = ["case", "solver", "games", "us a game", "least to most", "Gambit / this", "failed", "largest residual"]
    header += ["largest difference from Gambit", "compilation, s"]
    loop_header = ["games", "solver", "us a game", "least to most", "this / driver", "corrections: mean, most"]
    loop_header += ["all converged", "difference from driver"]
    text = "\n\n".join(
        [
            "# Time to solve games",
            f"{machine}; medians of {rounds} rounds, seed {SEED}.",
            "## Beside Gambit",
            f"Payoffs U[0, 1], uniform references. {oracle_used}; "
            "100 x 100 are solved one by one with `solve_nash`, the others with `solve_nash_batch`. "
            '"Refined" is `refine="float64"`. '
            f"A game counts as failed if sup abs(policy - best response) exceeds {TOLERANCE:g}.",
            table(header, rows),
            "## Games of different length, on one processor",
            f'{games} games 10 x 10. "alike": all at temperature 0.1. "mixed": {round(HARD * games)} at temperature '
            "0.005, the others at 0.5. A plain loop runs until its slowest game is done.",
            table(loop_header, loops),
            f"On mixed games the faster of the single plain loops takes {plain:.2f} times as long as the driver.",
            "## One game, a cold process, memory",
            f"- One call of `solve_nash` from Python, 10 x 10, compiled: {call * 1e3:.2f} ms.\n"
            f"- A new process, from its start to its first answer: {cold[0]:.1f} s; of which {cold[1]:.1f} s to import "
            f"and make the game, {cold[2]:.1f} s to compile and solve.\n"
            f"- `solve_nash_batch` on {held:,} games 10 x 10, whose payoffs take {size / 2**20:.0f} MiB: the process "
            f"holds at most {peak / 2**20:.0f} MiB, and before the call {before / 2**20:.0f} MiB.",
        ]
    )
    print(text)
    save(given.out, "bench_solve", text, lambda: draw(figures, f"{machine}, residual below {TOLERANCE:g}"))


if __name__ == "__main__":
    main()
