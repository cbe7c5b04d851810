"""Does gamekl return the point at which Gambit's logit tracer first meets lambda = 1 / temperature? 576 random games.

    python benchmarks/gambit_agreement.py [--games 8] [--out benchmarks/results]

Payoffs U[0, 1], uniform references, float64; 8 games for each size and temperature. Gambit runs with its own settings
(`logit_solve_lambda`). Two policies agree if no probability differs by more than 1e-7. Where they do not, Newton's
method at that lambda improves Gambit's policy, and the tests' own tracer (`LogitPath`: other unknowns, small steps)
says which point comes first. The table of the installed version of pygambit goes under its heading; what other versions
have left in the file stays.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import pygambit
from common import RESULTS, digits, facts, residuals, table, uniform_batch

import gamekl as gk
from gamekl.games.gambit import make_table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from helpers import LogitPath, rows

jax.config.update("jax_enable_x64", True)

SHAPES = [(size,) * 2 for size in (2, 3, 5, 10)] + [(size,) * 3 for size in (2, 3, 5, 10)]
SHAPES += [(size,) * 4 for size in (2, 3, 4, 5)]
TEMPERATURES = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02]
CLOSE = 1e-7
SAME = 1e-9
AGREE, ROUGH, OTHER, FAILED = "agree", "Gambit is off", "another point", "Gambit fails"


@dataclass
class Seen:
    """One game: how the two compare, and how far each is from its own best response."""

    verdict: str
    difference: float
    residual: float
    gambits_residual: float
    seconds: float
    words: str = ""


def gambits(payoffs: np.ndarray, temperature: float) -> tuple[list[np.ndarray] | None, float]:
    """Its policies (None where it raises), and its seconds."""
    game = make_table(pygambit, payoffs)
    start = time.perf_counter()
    try:
        (point,) = pygambit.qre.logit_solve_lambda(game, lam=[1 / temperature])
    except RuntimeError:
        return None, time.perf_counter() - start
    seconds = time.perf_counter() - start
    return [np.array([float(share) for _, share in point.profile[player]]) for player in game.players], seconds


def apart(ours, theirs) -> float:
    return max(float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True))


def judge(game, regularizer, ours, payoffs: np.ndarray, temperature: float) -> Seen:
    theirs, seconds = gambits(payoffs, temperature)
    mine = residuals(payoffs[None], temperature, [entry[None] for entry in ours])[0]
    if theirs is None:
        return Seen(FAILED, np.nan, mine, np.nan, seconds)
    other = residuals(payoffs[None], temperature, [entry[None] for entry in theirs])[0]
    difference = apart(ours, theirs)
    seen = Seen(AGREE, difference, mine, other, seconds)
    if difference <= CLOSE:
        return seen
    path = LogitPath(game, regularizer)
    better = path.improve(theirs)
    seen.verdict = ROUGH if better is not None and apart(ours, better) <= SAME else OTHER
    first, _ = path.first_crossing()
    seen.words = f"; the third tracer is {apart(first, ours):.1e} from gamekl, {apart(first, theirs):.1e} from Gambit"
    return seen


def pitchfork() -> str:
    """Coordination with identity payoffs, where the symmetric path is crossed by another at lambda = 2."""
    game, temperature = gk.games.coordination(), 0.25
    ours = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    theirs, _ = gambits(np.asarray(game.payoffs), temperature)
    told = "raises" if theirs is None else f"gives {theirs[0][0]:.4f}"
    return (
        f"At a pitchfork (2 x 2 coordination, identity payoffs, lambda = 4) gamekl goes straight on and says so: "
        f"{float(ours.policy[0][0]):.4f}, bifurcations = {int(ours.path.bifurcations)}. This version of Gambit {told}."
    )


def save(file: Path, heading: str, text: str) -> None:
    """Write the section, beside those under other headings."""
    title, *sections = file.read_text().split("\n## ") if file.exists() else ["# gamekl and Gambit's first crossing\n"]
    sections = [section for section in sections if not section.startswith(heading + "\n")]
    sections = sorted([*sections, f"{heading}\n\n{text}\n"], reverse=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n## ".join([title, *sections]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    lines, told, total, bifurcations = [], [], Counter(), 0
    temperatures = np.repeat(TEMPERATURES, options.games)
    for index, shape in enumerate(SHAPES):
        games, regularizers = uniform_batch(shape, temperatures, len(temperatures), seed=index)
        solution = gk.solve_nash_batch(games, regularizers, throw=True)
        payoffs, folds = np.asarray(games.payoffs), np.asarray(solution.path.folds)
        seen = [
            judge(rows(games, i), rows(regularizers, i), rows(solution.policy, i), payoffs[i], float(tau))
            for i, tau in enumerate(temperatures)
        ]
        count = Counter(entry.verdict for entry in seen)
        total += count
        bifurcations += int(np.sum(solution.path.bifurcations))
        millis = [1e3 * entry.seconds for entry in seen]
        lines.append(
            [
                " x ".join(map(str, shape)),
                len(seen),
                *(count[verdict] for verdict in (AGREE, ROUGH, OTHER, FAILED)),
                int((folds > 0).sum()),
                f"{max((e.difference for e in seen if e.verdict in (AGREE, ROUGH)), default=np.nan):.1e}",
                f"{max(entry.residual for entry in seen):.1e}",
                f"{np.nanmax([entry.gambits_residual for entry in seen]):.1e}",
                f"{digits(np.median(millis))}, {digits(max(millis))}",
            ]
        )
        print(*lines[-1], sep="\t", flush=True)
        told += [
            f"- {' x '.join(map(str, shape))}, temperature {tau:g}, game {i} of seed {index}: {entry.verdict}, "
            f"difference {entry.difference:.1e}, residuals {entry.residual:.1e} and {entry.gambits_residual:.1e}, "
            f"{folds[i]} folds{entry.words}"
            for i, (tau, entry) in enumerate(zip(temperatures, seen, strict=True))
            if entry.verdict != AGREE
        ]
    header = ["actions", "games", AGREE, ROUGH, OTHER, FAILED, "folded", "largest difference at the same point"]
    header += ["largest residual", "of Gambit", "Gambit, ms a game: median, most"]
    text = [
        f"{facts()}; seed of a row: its place, from 0",
        table(header, lines),
        f"{total[AGREE]} of {total.total()} agree to {CLOSE:g}. In {total[ROUGH]} Gambit's policy is further off, and "
        f"agrees to {SAME:g} after Newton's method: its corrector may stop after a step of 1e-4 (`c_tol`, path.cc)."
        f" In {total[OTHER]} the two are at different points. In {total[FAILED]} Gambit raises.",
        f"{pitchfork()} The paths of the random games pass {bifurcations} such points.",
        "\n".join(told),
    ]
    save(options.out / "gambit_agreement.md", f"pygambit {pygambit.__version__}", "\n\n".join(filter(None, text)))
    return int(total[OTHER] + total[FAILED] > 0)


if __name__ == "__main__":
    sys.exit(main())
