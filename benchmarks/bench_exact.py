"""Exact equilibria of many games at once, beside a loop over one game after another.

Zero-sum games are compared with scipy's HiGHS, which solves one linear programme for each player; general-sum ones with
Gambit's Lemke-Howson (`lcp_solve`, in floats), where pygambit is installed, and with our own support enumeration.

Run: python benchmarks/bench_exact.py. Processor time, so that the batch's many processors are not an advantage; medians
of rounds in which the contenders take turns. The loops are timed on the first games of each batch.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import common
import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import gamekl as gk
from gamekl.solvers.exact.supports import solve_by_supports

SHAPES = ((3, 3), (10, 10), (30, 30))
GAMES, ALONE = 4_096, 20
LARGEST_ENUMERATED = 6


def _processor_seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    jax.block_until_ready(function())
    return time.process_time() - start


def _highs(row: np.ndarray) -> np.ndarray:
    actions, others = row.shape
    found = scipy.optimize.linprog(
        np.append(np.zeros(actions), -1.0),
        A_ub=np.column_stack([-row.T, np.ones(others)]),
        b_ub=np.zeros(others),
        A_eq=np.append(np.ones(actions), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * actions + [(None, None)],
        method="highs",
    )
    return found.x


def _contenders(payoffs: np.ndarray, zero_sum: bool) -> dict[str, Callable[[], Any]]:
    few = payoffs[:ALONE]
    if zero_sum:
        return {"HiGHS": lambda: [(_highs(game[0]), _highs(game[1].T)) for game in few]}
    found: dict[str, Callable[[], Any]] = {}
    try:
        import pygambit
    except ImportError:
        print("no pygambit")
    else:
        tables = [gambit_helpers.table(*game) for game in few]
        found["Gambit"] = lambda: [
            pygambit.nash.lcp_solve(table, rational=False, stop_after=1, max_depth=0) for table in tables
        ]
    if max(payoffs.shape[2:]) <= LARGEST_ENUMERATED:
        found["supports"] = lambda: [solve_by_supports(game) for game in few]
    return found


def _row(shape: tuple[int, int], zero_sum: bool, size: int, rounds: int) -> list[str]:
    payoffs = np.random.default_rng(0).uniform(size=(size, 2, *shape))
    if zero_sum:
        payoffs[:, 1] = -payoffs[:, 0]
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    calls = {"batch": lambda: gk.solve_nash_exact_batch(games), **_contenders(payoffs, zero_sum)}
    first = _processor_seconds(calls["batch"])
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(_processor_seconds(call) / (size if name == "batch" else len(payoffs[:ALONE])))
    middle = {name: statistics.median(entry) for name, entry in times.items()}
    solutions = gk.solve_nash_exact_batch(games)
    others = ", ".join(
        f"{name} {common.digits(1e6 * time)} us ({common.digits(time / middle['batch'])})"
        for name, time in middle.items()
        if name != "batch"
    )
    return [
        f"{shape[0]} x {shape[1]}, {'zero-sum' if zero_sum else 'general-sum'}",
        common.digits(1e6 * middle["batch"]),
        others,
        str(common.num_failed(solutions)),
        f"{float(np.max(solutions.residual)):.1e}",
        f"{np.mean(solutions.num_steps):.1f}",
        f"{first - middle['batch'] * size:.1f}",
    ]


def main() -> None:
    """Print a table."""
    jax.config.update("jax_enable_x64", True)
    options = common.options(__doc__)
    size = 256 if options.quick else GAMES
    rows = [_row(shape, zero_sum, size, options.rounds) for zero_sum in (True, False) for shape in SHAPES]
    print(common.facts())
    print(f"{size} random games; processor time; in brackets how many times the batch's\n")
    header = ("games", "batch, us a game", "loop, a game", "failures", "residual", "pivots", "first call, s more")
    print(common.table(header, rows))


if __name__ == "__main__":
    main()
