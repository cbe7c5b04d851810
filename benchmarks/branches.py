"""Are the answers on the principal branch? Families of games where that is hard to keep to, beside proofs.

    python benchmarks/branches.py [--games 1000] [--rates 2 10 50] [--steps 200000] [--traced 20] [--beside TREE]

Each family (`tests/families.py`) is drawn anew, and solved at temperatures 1 / rate with uniform references, as by
default and with `certify_path=True`. Answers differ where any probability does by more than 1e-6; they do so silently
where the default one is `converged` and counts no bifurcation. Where nothing is proven, the game is traced by
`LogitPath` of the tests, in small steps in numpy, up to so many games of a row; where that leads elsewhere, a longer
proof decides, as small steps may jump, too. Every game with a silent difference is listed. The exit status is 1 if
there is one. Times may be taken beside those of another tree of gamekl, such as a worktree of an earlier commit, in
turn.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, digits, facts, table
from families import FAMILIES
from helpers import LogitPath

import gamekl as gk
from gamekl.solvers.ladder import PROOF_STEPS

jax.config.update("jax_enable_x64", True)

SAME = 1e-6
# Of a proof that is to decide.
PATIENCE = 20


def distances(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> np.ndarray:
    """The largest difference of a probability, by game."""
    return np.max([np.abs(np.asarray(a - b)).max(axis=-1) for a, b in zip(ours, theirs, strict=True)], axis=0)


def traced(game: gk.NormalFormGame, regularizer: gk.Regularizer) -> list[np.ndarray] | None:
    """By small steps in numpy; None where that meets a singular point."""
    try:
        return LogitPath(game, regularizer).first_crossing(longest=0.005)[0]
    except (AssertionError, np.linalg.LinAlgError):
        return None


TIMER = """
import sys, time
import jax
import numpy as np
import gamekl as gk
jax.config.update("jax_enable_x64", True)
games = jax.vmap(gk.NormalFormGame)(jax.numpy.asarray(np.load(sys.argv[1])))
regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 1 / float(sys.argv[2])))(games)
times = []
for _ in range(6):
    start = time.process_time()
    jax.block_until_ready(gk.solve_nash_batch(games, regularizers))
    times.append(time.process_time() - start)
print(min(times[1:]))
"""


def seconds(tree: Path, payoffs: np.ndarray, rate: float) -> float:
    """The least of processor time to solve a batch with the gamekl of a folder, of five times."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "payoffs.npy"
        np.save(file, payoffs)
        asked = [sys.executable, "-c", TIMER, str(file), repr(rate)]
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        ran = subprocess.run(asked, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
        return float(ran.stdout)


def row(
    name: str, rate: float, number: int, max_steps: int, most_traced: int, beside: Path | None
) -> tuple[list[str], list[str]]:
    """One of the table, and the games with silent differences."""
    payoffs = FAMILIES[name](np.random.default_rng(1), number)
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 1 / rate))(games)
    found = gk.solve_nash_batch(games, regularizers)
    trees = [Path(__file__).parents[1]] + ([beside] if beside else [])
    took = [seconds(tree, payoffs, rate) for tree in trees]
    proof = gk.solve_nash_batch(games, regularizers, certify_path=True, max_steps=-(-max_steps // PROOF_STEPS))
    solved, proven = (np.asarray(solution.status) == gk.Status.converged for solution in (found, proof))
    told = np.asarray(found.path.bifurcations) > 0
    differs = (distances(found.policy, proof.policy) > SAME) & proven
    checked = 0
    for index in np.flatnonzero(solved & ~proven & ~told)[:most_traced]:
        game, regularizer, ours = jax.tree.map(lambda leaf, at=index: leaf[at], (games, regularizers, found.policy))
        policy = traced(game, regularizer)
        if policy is not None:
            checked += 1
            differs[index] = distances(ours, tuple(policy)) > SAME
        if differs[index]:
            longer = -(-PATIENCE * max_steps // PROOF_STEPS)
            patient = gk.solve_nash(game, regularizer, certify_path=True, max_steps=longer, throw=False)
            if patient.status == gk.Status.converged:
                differs[index] = distances(ours, patient.policy) > SAME
    silent = differs & solved & ~told
    folds = proven & solved & ~differs & ~told & (np.asarray(found.path.folds) != np.asarray(proof.path.folds))
    steps, margins = np.asarray(proof.num_steps), np.asarray(proof.path.margin)[proven]
    cells = [
        name,
        f"{rate:g}",
        f"{proven.sum():,}",
        f"{(solved & ~proven & ~told).sum():,}, {checked}",
        f"{(~solved).sum():,}",
        f"{told.sum():,}",
        f"{(differs & told).sum():,}",
        f"{silent.sum():,}",
        f"{folds.sum():,}",
        f"{np.mean(found.num_steps):.0f}",
        *(digits(entry / number * 1e6) for entry in took),
        f"{np.median(steps):,.0f}, {steps.max():,}",
        f"{margins.min():.1e}" if len(margins) else "",
    ]
    return cells, [f"{name}, rate {rate:g}, game {index}" for index in np.flatnonzero(silent)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 10.0, 50.0])
    parser.add_argument("--steps", type=int, default=200_000, help="most of a proof")
    parser.add_argument("--traced", type=int, default=20, help="most games of a row to be traced in numpy")
    parser.add_argument("--only", default="", help="families whose name has this in it")
    parser.add_argument("--beside", type=Path, help="a folder with another gamekl, whose times are shown, too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    header = ["family", "rate", "proven", "not proven, of which traced", "not solved", "bifurcations told"]
    header += ["of which on another branch", "silently on another branch", "other folds", "corrections"]
    header += ["us a game"] + (["us a game there"] if options.beside else [])
    header += ["steps of a proof: median, most", "least margin"]
    title = (
        f"{facts()}; {options.games:,} games a row, proofs of up to {options.steps:,} steps; times are those of the "
        "default, of the processors, without compilation."
    )
    rows, silent = [], []
    options.out.mkdir(parents=True, exist_ok=True)
    for name in FAMILIES:
        for rate in options.rates:
            if options.only in name:
                cells, bad = row(name, rate, options.games, options.steps, options.traced, options.beside)
                rows.append(cells)
                silent += bad
                print(*cells, *bad, sep=" | ", flush=True)
                jax.clear_caches()
                parts = ["# The principal branch, where it is hard to keep to", title, table(header, rows)]
                parts += ["Silently on another branch: " + "; ".join(silent)] if silent else []
                # After every row: the whole takes an hour.
                (options.out / "branches.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return int(bool(silent))


if __name__ == "__main__":
    sys.exit(main())
