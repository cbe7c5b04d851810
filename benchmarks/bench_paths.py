"""Paths beside Gambit's tracer: the same points, and time; many starts beside scipy's.

    python benchmarks/bench_paths.py [--gambit PYTHON] [--quick] [--rounds N] [--out benchmarks/results]

PYTHON has pygambit, 16.7 or later; this interpreter if not given. Points agree if no probability differs by more than
1e-6 as Gambit returns them, and by more than 1e-8 when Newton's method has improved them (`solve_nash`, from there).
Gambit's tuned tracer asks for the same temperatures at once, and works on a few of the games. scipy's `root` starts
from the same logits, on the same equations, on a few of the games.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

CLOSE, SAME = 1e-6, 1e-8
TUNED = {"first_step": 0.3, "max_accel": 2}
SHAPES = (2, 2), (3, 3), (5, 5), (10, 10), (2, 2, 2), (3, 3, 3)


def read_nfg(payoffs: np.ndarray) -> Any:
    """In Gambit's interpreter: the game."""
    pygambit: Any = import_module("pygambit")
    players = " ".join(f'"{player}"' for player in range(len(payoffs)))
    cells = " ".join(map(repr, payoffs.transpose().ravel().tolist()))
    text = f'NFG 1 R "" {{ {players} }} {{ {" ".join(map(str, payoffs.shape[1:]))} }}\n\n{cells}\n'
    return pygambit.read_nfg(StringIO(text))


def gambit(file: str) -> None:
    """In Gambit's interpreter: its points of the games in a file, and seconds of the processor a game."""
    pygambit: Any = import_module("pygambit")
    payoffs, precisions = pickle.loads(Path(file).read_bytes())  # noqa: S301
    found, took = [], 0.0
    for table in payoffs:
        game = read_nfg(table)
        start = time.process_time()
        points = pygambit.qre.logit_solve_lambda(game, lam=list(precisions), **TUNED)
        took += time.process_time() - start
        shares = [[[float(share) for _, share in point.profile[player]] for player in game.players] for point in points]
        found.append(shares)
    Path(file).write_bytes(pickle.dumps((pygambit.__version__, found, took / len(payoffs))))


def work_in(python: str, script: str, work: Any) -> Any:
    """What a script makes of the work in a file, called with `--work FILE` in Gambit's interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "games")
        file.write_bytes(pickle.dumps(work))
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        subprocess.run([python, script, "--work", str(file)], check=True, env=clean)  # noqa: S603
        return pickle.loads(file.read_bytes())  # noqa: S301


def ask_gambit(python: str, payoffs: np.ndarray, temperatures: np.ndarray) -> tuple[str, list, float]:
    """Its version, its points ``[game][temperature][player]``, and its seconds a game."""
    return work_in(python, __file__, (list(payoffs), 1 / temperatures))


def batch_of(payoffs: np.ndarray, temperature: float) -> tuple[Any, Any]:
    import jax

    import gamekl as gk

    games = jax.vmap(gk.NormalFormGame)(jax.numpy.asarray(payoffs))
    return games, jax.vmap(partial(gk.Regularizer.uniform, temperature=temperature))(games)


def agreement(python: str, number: int) -> list[list[str]]:
    """Rows of shapes: how many points agree."""
    import gamekl as gk

    rows, temperatures = [], np.geomspace(1, 0.05, 20)
    for shape in SHAPES:
        payoffs = np.random.default_rng(len(rows)).uniform(size=(number, len(shape), *shape))
        version, theirs, _ = ask_gambit(python, payoffs, temperatures)
        games, anchors = batch_of(payoffs, temperatures[-1])
        asked = np.broadcast_to(temperatures, (number, len(temperatures)))
        paths = gk.trace_batch(games, anchors, temperatures=asked, max_points=128)
        off, better = np.zeros(asked.shape), np.zeros(asked.shape)
        for place, temperature in enumerate(temperatures):
            at = [np.array([game[place][player] for game in theirs]) for player in range(len(shape))]
            mine = [np.asarray(entry)[:, place] for entry in paths.policy]
            off[:, place] = np.max([np.abs(a - b).max(axis=1) for a, b in zip(mine, at, strict=True)], axis=0)
            with np.errstate(divide="ignore"):
                start = tuple(np.maximum(np.log(entry), -700) for entry in at)
            improved = gk.solve_nash_batch(*batch_of(payoffs, temperature), initial=start)
            closer = [np.asarray(entry) for entry in improved.policy]
            better[:, place] = np.max([np.abs(a - b).max(axis=1) for a, b in zip(mine, closer, strict=True)], axis=0)
        failed = int(np.sum(np.asarray(paths.status) != 0))
        counts = [off.size, int(np.sum(off > CLOSE)), int(np.sum(better > SAME)), failed]
        name = " x ".join(map(str, shape))
        rows.append([name, *map(str, counts), f"{off.max():.1e}", f"{better.max():.1e}", version])
        print(*rows[-1], sep=" | ", flush=True)
    return rows


def row_of(name: str, mine: float, failed: str, first: float, peer: str, theirs: float) -> list[str]:
    """A row of times: ours and the peer's, seconds a game; the first call's seconds."""
    return [name, f"{mine * 1e6:.0f}", failed, f"{first:.1f}", peer, f"{theirs * 1e6:.0f}", f"{theirs / mine:.0f}"]


def traced(python: str, games: int, few: int, rounds: int) -> list[str]:
    """10 x 10 at 50 temperatures."""
    import jax
    from common import middle

    import gamekl as gk

    temperatures = np.geomspace(1, 0.1, 50)
    payoffs = np.random.default_rng(0).uniform(size=(games, 2, 10, 10))
    batch, asked = batch_of(payoffs, 0.1), np.broadcast_to(temperatures, (games, 50))
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        paths = jax.block_until_ready(gk.trace_batch(*batch, temperatures=asked))
        times.append((time.perf_counter() - start) / games)
    version, _, theirs = ask_gambit(python, payoffs[:few], temperatures)
    failed = int(np.sum(np.asarray(paths.status) != 0))
    mine, first = middle(times[1:]), times[0] * games
    name = f"trace, {games:,} games 10 x 10, 50 temperatures"
    return row_of(name, mine, str(failed), first, f"pygambit {version}", theirs)


def found(games: int, few: int, rounds: int) -> list[str]:
    """5 x 5 at temperature .05 from 64 starts."""
    import jax
    import scipy
    from common import middle
    from scipy.optimize import root

    import gamekl as gk
    from gamekl.solvers.equilibria.starts import make_starts

    temperature, starts, key = 0.05, 64, jax.random.key(0)
    payoffs = np.random.default_rng(0).uniform(size=(games, 2, 5, 5))
    batch, times = batch_of(payoffs, temperature), []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        many = jax.block_until_ready(gk.find_equilibria_batch(*batch, key, num_starts=starts, max_equilibria=16))
        times.append((time.perf_counter() - start) / games)
    keys = jax.random.split(key, games)
    start, missed, hers = time.process_time(), 0, 0
    for row in range(few):
        game, anchor = jax.tree.map(lambda leaf, row=row: leaf[row], batch)
        logits = np.asarray(make_starts(game, anchor, keys[row], starts))
        first, second = payoffs[row] / temperature

        def residual(z: np.ndarray, first: np.ndarray = first, second: np.ndarray = second) -> np.ndarray:
            x, y = (np.exp(part - part.max()) for part in (z[:5], z[5:]))
            u, v = first @ (y / y.sum()), second.T @ (x / x.sum())
            return z - np.concatenate([u - u.mean(), v - v.mean()])

        begun = time.process_time()
        ends = [root(residual, z) for z in logits]
        hers += time.process_time() - begun
        for end in ends:
            if end.success and np.abs(residual(end.x)).max() < 1e-9:
                policy = np.concatenate([np.exp(part) / np.exp(part).sum() for part in (end.x[:5], end.x[5:])])
                number = min(int(many.number[row]), 16)
                mine = np.concatenate([np.asarray(entry)[row, :number] for entry in many.policy], axis=1)
                missed += np.abs(mine - policy).max(axis=1).min() > 1e-6
    mine, failed = middle(times[1:]), int(np.sum(np.asarray(many.status) != 0))
    name = f"find_equilibria, {games:,} games 5 x 5, 64 starts"
    theirs = hers / few
    told = f"{failed} (scipy's roots missed: {missed})"
    return row_of(name, mine, told, times[0] * games, f"scipy {scipy.__version__}", theirs)


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        gambit(sys.argv[2])
        return
    import jax
    from common import facts, parser_beside_gambit, table

    jax.config.update("jax_enable_x64", True)
    parser = parser_beside_gambit(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    few = 4 if options.quick else 40
    same = agreement(options.gambit, few)
    speed = [traced(options.gambit, 256 if options.quick else 4_096, few, options.rounds)]
    print(*speed[-1], sep=" | ", flush=True)
    speed.append(found(256 if options.quick else 10_000, few // 4, options.rounds))
    print(*speed[-1], sep=" | ", flush=True)
    header = ["games", "points", f"off by > {CLOSE:g}", f"improved, by > {SAME:g}", "paths failed", "most", "improved"]
    times = ["what", "us a game", "failed", "first call, s", "peer", "us a game", "ratio"]
    text = f"# Paths and many starts\n\n{facts()}; medians of {options.rounds} rounds, wall time of ours on all "
    text += "processors, processor time of the peer's.\n\n"
    text += table([*header, "pygambit"], same) + "\n\n" + table(times, speed) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_paths.md").write_text(text)


if __name__ == "__main__":
    main()
