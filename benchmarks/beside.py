"""This checkout beside earlier commits of gamekl, and beside Gambit, in turn and in one run.

    python benchmarks/beside.py [COMMIT...] [--python PYTHON] [--gambit PYTHON] [--only "10 x 10"] [--out FOLDER]

Each commit gets a worktree of its own for as long as the script runs, and processes that load gamekl from there, by
PYTHON where the commit needs another one. Contenders take turns in every round: what else the machine does falls on
all of them. The script compares batches and single games once compiled; `bench_compile.py` compares first calls with
the same machinery.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

# What a worker needs is loaded there: Gambit's may have no jax, and an earlier commit's is not ours.
HERE = Path(__file__).parent
RESIDUAL = 1e-9
SEED = 0
MOST_FOR_GAMBIT = 40
# Least seconds of a contender's turn: what a single call of a few milliseconds takes is mostly waking up.
TURN = 0.2


class Tree(NamedTuple):
    """Sources of gamekl, and the interpreter that runs them."""

    name: str
    path: Path
    python: str


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A worktree of a commit of this repository, removed at the end."""

    def git(*words: str) -> None:
        command = ["git", "-C", str(HERE.parent), "worktree", *words]
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603

    with TemporaryDirectory() as folder:
        path = Path(folder) / "tree"
        git("add", "--detach", str(path), commit)
        try:
            yield path
        finally:
            git("remove", "--force", str(path))


@contextmanager
def trees(commits: Sequence[str], python: str | None = None) -> Iterator[list[Tree]]:
    """This checkout, and the commits beside it; `python` runs the commits, this interpreter all else."""
    with ExitStack() as stack:
        others = [Tree(commit, stack.enter_context(worktree(commit)), python or sys.executable) for commit in commits]
        yield [Tree("this", HERE.parent, sys.executable), *others]


def environment(path: Path) -> dict[str, str]:
    """Variables with which a process loads gamekl from a folder, and computes on the CPU."""
    settings = {"PYTHONPATH": os.pathsep.join([str(path), str(HERE)]), "JAX_PLATFORMS": "cpu"}
    return os.environ | settings


class Worker:
    """A process that answers every line with one line of JSON."""

    def __init__(self, tree: Tree, script: str, *arguments: str) -> None:
        command = [tree.python, script, *arguments]
        self.name = tree.name
        self.process = subprocess.Popen(  # noqa: S603
            command, env=environment(tree.path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> Any:
        """What it says next."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, line: str) -> Any:
        """What it answers."""
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait()


class Case(NamedTuple):
    """Games of one kind, payoffs U[0, 1] and uniform references; a few are solved one by one."""

    shape: tuple[int, ...]
    temperature: float
    games: int

    @property
    def name(self) -> str:
        shape = " x ".join(map(str, self.shape))
        return f"{self.games:,} games {shape}, temperature {self.temperature:g}"

    def payoffs(self, games: int) -> np.ndarray:
        """Of the first games, ``[game, player, *actions]``."""
        return np.random.default_rng(SEED).uniform(size=(games, len(self.shape), *self.shape))


def all_cases(games: int) -> list[Case]:
    kinds = [((2, 2), 0.1), ((3, 3), 0.1), ((2, 2, 2), 0.1), ((5, 5, 5), 0.1), ((10, 10), 0.1), ((10, 10), 0.01)]
    large = [Case((size, size), 0.1, number) for size, number in ((100, 8), (200, 4), (400, 2))]
    return [*(Case(shape, temperature, games) for shape, temperature in kinds), *large]


def _solver(case: Case) -> Callable[[], Any]:
    import jax

    import gamekl as gk

    jax.config.update("jax_enable_x64", True)
    games = jax.vmap(gk.NormalFormGame)(case.payoffs(case.games))
    anchors = jax.vmap(lambda game: gk.Regularizer.uniform(game, case.temperature))(games)
    if case.games > MOST_FOR_GAMBIT:
        return lambda: jax.block_until_ready(gk.solve_nash_batch(games, anchors))
    pairs = [jax.tree.map(lambda leaf, place=place: leaf[place], (games, anchors)) for place in range(case.games)]
    return lambda: gk.stack([jax.block_until_ready(gk.solve_nash(*pair, throw=False)) for pair in pairs])


def _failed(case: Case, solution: Any) -> int:
    from common import residuals

    policies = [np.exp(np.asarray(entry)) for entry in solution.log_policy]
    found = residuals(case.payoffs(case.games), case.temperature, policies)
    return int(np.sum(~(found <= RESIDUAL) | (np.asarray(solution.status) != 0)))


def _gambit(case: Case) -> Callable[[], int]:
    """What solves the first games by Gambit's tuned tracer, and says how many it could not solve."""
    pygambit: Any = import_module("pygambit")  # 16.7, which pyright may see, cannot read games
    players = " ".join(f'"{player}"' for player in range(len(case.shape)))
    games = []
    for payoffs in case.payoffs(case.games)[:MOST_FOR_GAMBIT]:
        cells = " ".join(map(repr, payoffs.transpose().ravel().tolist()))
        text = f'NFG 1 R "" {{ {players} }} {{ {" ".join(map(str, case.shape))} }}\n\n{cells}\n'
        games.append(pygambit.read_nfg(StringIO(text)))

    def solve() -> int:
        failed = 0
        for game in games:
            try:
                found = pygambit.qre.logit_solve_lambda(game, lam=[1 / case.temperature], first_step=0.3, max_accel=2)
                failed += not found
            except RuntimeError:
                failed += 1
        return failed

    return solve


class Measured(NamedTuple):
    """Microseconds a game that one waits for, and that processors work; how many games failed."""

    wall: float
    processor: float
    failed: int


def work(contender: str, games: int) -> None:
    """Take the name of a case on a line, then solve it for a while for each line with a dot."""
    cases: dict[str, Case] = {case.name: case for case in all_cases(games)}
    solve, failed, count = print, 0, 0
    for line in map(str.strip, sys.stdin):
        if line in cases:
            case = cases[line]
            count = min(case.games, MOST_FOR_GAMBIT) if contender == "gambit" else case.games
            solve = _gambit(case) if contender == "gambit" else _solver(case)
            answer = solve()
            failed = answer if contender == "gambit" else _failed(case, answer)
        wall, processor, calls = time.perf_counter(), time.process_time(), 0
        while not calls or time.perf_counter() - wall < TURN:
            solve()
            calls += 1
        clocks = time.perf_counter() - wall, time.process_time() - processor
        print(json.dumps([*(1e6 * seconds / count / calls for seconds in clocks), failed]), flush=True)


def in_turns(workers: Sequence[Worker], name: str, rounds: int) -> list[Measured]:
    """Medians over rounds in which the workers take turns, a first one apart."""
    for worker in workers:
        worker.ask(name)
    turns = [[Measured(*worker.ask(".")) for worker in workers] for _ in range(rounds)]
    return [
        Measured(median(each.wall for each in own), median(each.processor for each in own), own[0].failed)
        for own in zip(*turns, strict=True)
    ]


def compare(workers: Sequence[Worker], cases: Sequence[Case], rounds: int) -> Iterator[list[str]]:
    """A row for each case; the first worker is ours."""
    from common import digits

    for case in cases:
        ours, *others = in_turns(workers, case.name, rounds)
        row = [case.name, *(digits(value) for value in ours[:2]), str(ours.failed)]
        for other in others:
            row += [digits(other.wall), digits(other.processor), str(other.failed)]
            row += [f"{other.wall / ours.wall:.2f}", f"{other.processor / ours.processor:.2f}"]
        print(*row, sep=" | ", flush=True)
        yield row


def parse(description: str | None) -> argparse.ArgumentParser:
    """The arguments of all scripts that compare with commits."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="of the commits; this interpreter if not given")
    parser.add_argument("--only", default="", help="cases whose names have this in them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to write the table; nowhere if not given")
    return parser


def main() -> None:
    parser = parse(__doc__)
    parser.add_argument("commits", nargs="*")
    parser.add_argument("--gambit", default=sys.executable, help="an interpreter with pygambit; 'none' leaves it out")
    parser.add_argument("--games", type=int, default=4096, help="of a batch")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.games)
        return
    from common import facts, table

    script = __file__
    with trees(options.commits, options.python) as found, ExitStack() as stack:
        workers = [Worker(tree, script, "--work", "gamekl", "--games", str(options.games)) for tree in found]
        if options.gambit != "none" and (options.gambit != sys.executable or find_spec("pygambit")):
            tree = Tree("Gambit", HERE.parent, options.gambit)
            workers.append(Worker(tree, script, "--work", "gambit", "--games", str(options.games)))
        for worker in workers:
            stack.callback(worker.close)
        header = ["us a game", "this", "this, processor", "failed"]
        for worker in workers[1:]:
            header += [worker.name, f"{worker.name}, processor", "failed", f"{worker.name} / this", "ratio, processor"]
        print(*header, sep=" | ", flush=True)
        cases = [case for case in all_cases(options.games) if options.only in case.name]
        rows = list(compare(workers, cases, options.rounds))
    told = f"{facts()}; medians of {options.rounds} rounds in turn. Batches by `solve_nash_batch`, few games one by one"
    told += f" by `solve_nash`; Gambit's tuned tracer solves at most {MOST_FOR_GAMBIT} of them. A game failed if "
    told += f"sup abs(policy - best response) exceeds {RESIDUAL:g}, or by its status."
    text = "\n\n".join(["# Beside earlier commits", told, table(header, rows)])
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "beside.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
