"""The library's queue of lanes beside plain loops, which run until their slowest game is done.

Equations, steps and certificates of the plain loops are the library's own; they differ in nothing but layout and when
they stop.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from common import digits, middle, uniform_batch

import gamekl as gk
from gamekl.core.kernels.batching import in_blocks
from gamekl.core.kernels.platforms import CPU
from gamekl.solvers.nash.ladder import Options, Solver
from gamekl.solvers.nash.prepare import make_nash_problem
from gamekl.solvers.nash.queue import Task, Traced, num_lanes, solve_alone, solve_tasks
from gamekl.solvers.nash.solve import MAX_STEPS

SEED = 0
OPTIONS = Options(MAX_STEPS)
HARD = 0.01  # the fraction of the mixed games at the low temperature


def _vmapped(tasks: Task, max_steps: int, width: int) -> Traced:
    """A loop for one game under ``jax.vmap``: what one writes first."""
    alone = jax.vmap(lambda task: solve_alone(jax.tree.map(lambda leaf: leaf[None], task), max_steps))(tasks)
    return jax.tree.map(lambda leaf: leaf[:, 0], alone)


def _lanes(tasks: Task, max_steps: int, width: int) -> Traced:
    """The library's layout, with as many lanes as there are games: none is ever refilled."""
    return solve_tasks(tasks, max_steps, width=tasks.usable.shape[0], joined=True)


def _blocks(tasks: Task, max_steps: int, width: int) -> Traced:
    """The same in blocks that stay in cache, each of which runs until its own slowest game is done.

    The number of games is a multiple of `width`.
    """
    blocks = jax.tree.map(lambda leaf: leaf.reshape(-1, width, *leaf.shape[1:]), tasks)
    traced = jax.lax.map(lambda block: solve_tasks(block, max_steps, width=width, joined=True), blocks)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), traced)


@partial(jax.jit, static_argnames="loop")
def _solve(games: gk.NormalFormGame, regularizers: gk.Regularizer, loop: Any) -> gk.Solution:
    problems = jax.vmap(lambda game, regularizer: make_nash_problem(game, regularizer, None, None))(games, regularizers)
    width = num_lanes(CPU, games)

    def each(function: Callable[..., Any], *batch: Any) -> Any:
        return in_blocks(function, width, *batch)

    solver = Solver(each, partial(loop, width=width), OPTIONS)
    return solver.solve(problems)


PLAIN = ("one plain loop, vmapped", "one plain loop, in lanes")
CONTENDERS = {
    "driver": gk.solve_nash_batch,
    "vmap(solve_nash)": jax.jit(jax.vmap(gk.solve_nash)),
    PLAIN[0]: partial(_solve, loop=_vmapped),
    PLAIN[1]: partial(_solve, loop=_lanes),
    "plain loops, in blocks of lanes": partial(_solve, loop=_blocks),
}


@cache
def family(name: str, games: int):
    """Games that are alike, or a few hard ones among easy ones, at places drawn with the seed."""
    temperatures = np.full(games, 0.1)
    if name == "mixed":
        temperatures[:] = 0.5
        temperatures[np.random.default_rng(SEED).choice(games, round(HARD * games), replace=False)] = 0.005
    return uniform_batch((10, 10), temperatures, games, SEED)


def contend(family_name: str, games: int, name: str) -> tuple[float, np.ndarray, np.ndarray, bool]:
    """Seconds for the batch, policies of all players side by side, corrections, and whether all converged."""
    arguments = family(family_name, games)
    start = time.perf_counter()
    solution = jax.block_until_ready(CONTENDERS[name](*arguments))
    seconds = time.perf_counter() - start
    converged = bool(np.all(np.asarray(solution.status) == gk.Status.converged))
    policy = np.concatenate([np.exp(np.asarray(entry)) for entry in solution.log_policy], axis=1)
    return seconds, policy, np.asarray(solution.num_steps), converged


def compare_loops(single: Executor, games: int, rounds: int, quick: bool) -> tuple[list[list], float]:
    """Rows of the table of the driver beside plain loops, and the faster plain loop's time, in that of the driver."""
    rows, ratios = [], []
    names = [name for name in CONTENDERS if not quick or name in ("driver", PLAIN[1])]
    for name, contenders in {"alike": [] if quick else names[:2], "mixed": names}.items():
        first = {entry: single.submit(contend, name, games, entry).result() for entry in contenders}
        times = {entry: [] for entry in contenders}
        for _ in range(rounds):
            for entry in contenders:
                times[entry].append(single.submit(contend, name, games, entry).result()[0])
        for entry, (_, policy, num_steps, converged) in first.items():
            ratio = middle(times[entry]) / middle(times["driver"])
            apart = np.abs(policy - first["driver"][1]).max()
            row = [name, entry, digits(middle(times[entry]) / games * 1e6)]
            row += [f"{digits(min(times[entry]) / games * 1e6)} to {digits(max(times[entry]) / games * 1e6)}"]
            row += [f"{ratio:.2f}", f"{num_steps.mean():.1f}, {num_steps.max()}"]
            row += ["yes" if converged else "no", f"{apart:.1e}"]
            print(*row, sep=" | ", flush=True)
            rows.append(row)
            ratios += [ratio] if entry in PLAIN else []
    return rows, min(ratios)
