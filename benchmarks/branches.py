"""Are the answers on the principal branch? Families of games where that is hard to keep to, beside proofs.

    python benchmarks/branches.py [--games 1000] [--rates 2 10 50 0] [--steps 200000] [--traced 20] [--beside TREE]
    python benchmarks/branches.py --files FOLDER

Each family (`tests/families.py`) is drawn anew, and solved at temperatures 1 / rate with uniform references, as by
default and with `certify_path=True`; a rate of 0 stands for one drawn for each game, log-uniformly from 1 to 50.
Answers differ where any probability does by more than 1e-6; they do so silently where the default one is `converged`
and counts no bifurcation. Where nothing is proven, the game is traced by `LogitPath` of the tests, in small steps in
numpy, up to so many games of a row; where that leads elsewhere, a longer proof decides, or else much smaller steps, as
small ones may jump, too. Every game with a silent difference is listed. The exit status is 1 if there is one. Times
may be taken beside those of another tree of gamekl, such as a worktree of an earlier commit, in turn. With `--files`
the games are those of a folder's files, such as the ones in Gambit's repository, each player's payoffs from 0 to 1.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, digits, facts, table
from families import FAMILIES
from helpers import LogitPath

import gamekl as gk
from gamekl.solvers.nash.ladder import PROOF_STEPS

jax.config.update("jax_enable_x64", True)

SAME = 1e-6
DRAWN = 1.0, 50.0
# Longest step in numpy; what is to decide has so many times the steps of a proof, or steps shorter by so much.
STEP, PATIENCE, SHORTER = 0.005, 20, 0.1
# Joint actions of a file's game; steps of larger ones take several ms.
LARGEST = 10_000


def distances(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> np.ndarray:
    """The largest difference of a probability, by game."""
    return np.max([np.abs(np.asarray(a - b)).max(axis=-1) for a, b in zip(ours, theirs, strict=True)], axis=0)


def drawn(rate: float, number: int) -> np.ndarray:
    """A rate for each game."""
    low, high = np.log(DRAWN)
    return np.exp(np.random.default_rng(2).uniform(low, high, number)) if rate == 0 else np.full(number, rate)


def traced(game: gk.NormalFormGame, regularizer: gk.Regularizer, longest: float = STEP) -> list[np.ndarray] | None:
    """By small steps in numpy; None where that meets a singular point."""
    try:
        return LogitPath(game, regularizer).first_crossing(longest=longest)[0]
    except (AssertionError, np.linalg.LinAlgError):
        return None


TIMER = """
import sys, time
import jax
import numpy as np
import gamekl as gk
jax.config.update("jax_enable_x64", True)
drawn = np.load(sys.argv[1])
games = jax.vmap(gk.NormalFormGame)(jax.numpy.asarray(drawn["payoffs"]))
for rates in drawn["rates"]:
    regularizers = jax.vmap(lambda game, rate: gk.Regularizer.uniform(game, 1 / rate))(games, rates)
    times = []
    for _ in range(6):
        start = time.process_time()
        jax.block_until_ready(gk.solve_nash_batch(games, regularizers))
        times.append(time.process_time() - start)
    print(min(times[1:]))
"""


def seconds(tree: Path, payoffs: np.ndarray, rates: list[float]) -> list[float]:
    """The least of processor time to solve a batch with the gamekl of a folder, of five times, for each rate."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawn.npz"
        np.savez(file, payoffs=payoffs, rates=[drawn(rate, len(payoffs)) for rate in rates])
        # In a folder without another gamekl, as Python would take that one.
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        asked = [sys.executable, "-c", TIMER, str(file)]
        ran = subprocess.run(asked, env=environment, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603
        return [float(line) for line in ran.stdout.split()]


class Compared(NamedTuple):
    """Games of one shape, an entry each."""

    proven: np.ndarray
    solved: np.ndarray
    told: np.ndarray
    traced: np.ndarray
    differs: np.ndarray
    folds_differ: np.ndarray
    corrections: np.ndarray
    steps: np.ndarray
    margin: np.ndarray


def compared(payoffs: np.ndarray, rate: float, max_steps: int, most_traced: int) -> Compared:
    """Answers beside proofs, and paths in small steps where there is none."""
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    regularizers = jax.vmap(lambda game, rate: gk.Regularizer.uniform(game, 1 / rate))(games, drawn(rate, len(payoffs)))
    found = gk.solve_nash_batch(games, regularizers)
    proof = gk.solve_nash_batch(games, regularizers, certify_path=True, max_steps=-(-max_steps // PROOF_STEPS))
    solved, proven = (np.asarray(solution.status) == gk.Status.converged for solution in (found, proof))
    told = np.asarray(found.path.bifurcations) > 0
    differs = (distances(found.policy, proof.policy) > SAME) & proven
    checked = np.zeros_like(proven)
    for index in np.flatnonzero(solved & ~proven & ~told)[:most_traced]:
        game, regularizer, ours = jax.tree.map(lambda leaf, at=index: leaf[at], (games, regularizers, found.policy))
        policy = traced(game, regularizer)
        if policy is not None:
            checked[index] = True
            differs[index] = distances(ours, tuple(policy)) > SAME
        if differs[index]:
            longer = -(-PATIENCE * max_steps // PROOF_STEPS)
            patient = gk.solve_nash(game, regularizer, certify_path=True, max_steps=longer, throw=False)
            decided = patient.policy if patient.status == gk.Status.converged else None
            if decided is None and (finer := traced(game, regularizer, SHORTER * STEP)) is not None:
                decided = tuple(finer)
            differs[index] = decided is None or distances(ours, decided) > SAME
    return Compared(
        proven,
        solved,
        told,
        checked,
        differs,
        np.asarray(found.path.folds != proof.path.folds),
        np.asarray(found.num_steps),
        np.asarray(proof.num_steps),
        np.asarray(proof.path.margin),
    )


def by_rate(groups: list[tuple[list[str], np.ndarray]], options: argparse.Namespace) -> list[list[Compared]]:
    """Of each rate, the groups compared. All rates of a group in turn, so that it is compiled for once."""
    found: list[list[Compared]] = [[] for _ in options.rates]
    for _, payoffs in groups:
        for rate, parts in zip(options.rates, found, strict=True):
            left = options.traced - sum(int(part.traced.sum()) for part in parts)
            parts.append(compared(payoffs, rate, options.steps, left))
        jax.clear_caches()
    return found


def row(
    name: str,
    rate: float,
    groups: list[tuple[list[str], np.ndarray]],
    parts: list[Compared],
    took: list[float],
) -> tuple[list[str], list[str]]:
    """One of the table, and the games with silent differences.

    Args:
        name: of the family.
        rate: 1 / temperature.
        groups: games of one shape, with their names.
        parts: what was found, by group.
        took: seconds of all games, of each tree.
    """
    proven, solved, told, checked, differs, folds_differ, corrections, steps, margin = map(
        np.concatenate, zip(*parts, strict=True)
    )
    silent = differs & solved & ~told
    folds = proven & solved & ~differs & ~told & folds_differ
    shown = f"{rate:g}" if rate else "drawn"
    cells = [
        name,
        shown,
        f"{proven.sum():,}",
        f"{(solved & ~proven & ~told).sum():,}, {checked.sum()}",
        f"{(~solved).sum():,}",
        f"{told.sum():,}",
        f"{(differs & told).sum():,}",
        f"{silent.sum():,}",
        f"{folds.sum():,}",
        f"{np.mean(corrections):.0f}",
        *(digits(entry / len(proven) * 1e6) for entry in took),
        f"{np.median(steps):,.0f}, {steps.max():,}",
        f"{margin[proven].min():.1e}" if proven.any() else "",
    ]
    labels = [label for names, _ in groups for label in names]
    return cells, [f"{name}, rate {shown}, game {labels[index]}" for index in np.flatnonzero(silent)]


def family(name: str, number: int) -> list[tuple[list[str], np.ndarray]]:
    """Its games, a group."""
    return [(list(map(str, range(number))), FAMILIES[name](np.random.default_rng(1), number))]


def in_folder(folder: Path) -> list[tuple[list[str], np.ndarray]]:
    """The games of a folder's files, by shape; files that are none, or too large, are named."""
    groups: dict[tuple[int, ...], tuple[list[str], list[np.ndarray]]] = {}
    for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        try:
            payoffs = np.array(gk.games.load_game(file).payoffs)
        except ValueError as error:
            print(error)
            continue
        if payoffs[0].size > LARGEST:
            print(f"{file}: left out, {payoffs[0].size:,} joint actions")
            continue
        axes = tuple(range(1, payoffs.ndim))
        payoffs -= payoffs.min(axis=axes, keepdims=True)
        size = payoffs.max(axis=axes, keepdims=True)
        names, tables = groups.setdefault(payoffs.shape, ([], []))
        names.append(str(file.relative_to(folder)))
        tables.append(payoffs / np.where(size > 0, size, 1))
    return [(names, np.stack(tables)) for names, tables in groups.values()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000)
    parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 10.0, 50.0, 0.0])
    parser.add_argument("--steps", type=int, default=200_000, help="most of a proof")
    parser.add_argument("--traced", type=int, default=20, help="most games of a row to be traced in numpy")
    parser.add_argument("--only", default="", help="families whose name has this in it")
    parser.add_argument("--files", type=Path, help="a folder of games, in place of the families")
    parser.add_argument("--beside", type=Path, help="a folder with another gamekl, whose times are shown, too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    header = ["family", "rate", "proven", "not proven, of which traced", "not solved", "bifurcations told"]
    header += ["of which on another branch", "silently on another branch", "other folds", "corrections"]
    if not options.files:
        header += ["us a game"] + (["us a game there"] if options.beside else [])
    header += ["steps of a proof: median, most", "least margin"]
    if options.files:
        families = {f"files in {options.files.name}": in_folder(options.files)}
    else:
        families = {name: family(name, options.games) for name in FAMILIES if options.only in name}
    number = "files" if options.files else f"{options.games:,} games a row"
    title = (
        f"{facts()}; {number}, proofs of up to {options.steps:,} steps; times are those of the default, of the "
        "processors, without compilation."
    )
    rows, silent = [], []
    options.out.mkdir(parents=True, exist_ok=True)
    trees = [Path(__file__).parents[1]] + ([options.beside] if options.beside else [])
    for name, groups in families.items():
        # Files are too few to be timed.
        took = [[] if options.files else seconds(tree, groups[0][1], options.rates) for tree in trees]
        times = [[entry[index] for entry in took if entry] for index in range(len(options.rates))]
        for rate, parts, spent in zip(options.rates, by_rate(groups, options), times, strict=True):
            cells, bad = row(name, rate, groups, parts, spent)
            rows.append(cells)
            silent += bad
            print(*cells, *bad, sep=" | ", flush=True)
            text = ["# The principal branch, where it is hard to keep to", title, table(header, rows)]
            text += ["Silently on another branch: " + "; ".join(silent)] if silent else []
            # After every family: the whole takes an hour.
            file = "branches_of_files.md" if options.files else "branches.md"
            (options.out / file).write_text("\n\n".join(text) + "\n", encoding="utf-8")
    return int(bool(silent))


if __name__ == "__main__":
    sys.exit(main())
