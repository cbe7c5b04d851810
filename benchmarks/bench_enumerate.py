"""All equilibria of two-player games beside other tools.

Games with whole payoffs, most of them degenerate, beside lrslib's `lrsnash` where it is on the path (its
payoffs must be whole numbers or fractions: it misreads decimals) and Gambit's `enummixed_solve` in rational numbers.
Every set of extreme equilibria is compared, in fractions. A process of lrsnash takes a game from a file and prints all
it finds; that is counted, as it is for whoever calls it.

What is counted is processor time, on one processor, in turns.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import common
import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np

import gamekl as gk

SIZES = (2, 4, 6, 8)
GAMES, LARGE = 75, (10, 12, 14)
# Of Gambit, whose time grows with the square of the numbers of vertices, larger games are not asked.
LARGEST_OF_GAMBIT = 8

Profiles = set[tuple[tuple[Fraction, ...], ...]]


def drawn(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A game of whole payoffs: few values and so many ties, zero-sum, an indifferent player, actions that are alike."""
    kind = rng.integers(6)
    payoffs = rng.integers(0, rng.choice([2, 3, 5, 1000]), (2, *shape)).astype(float)
    if kind == 0:
        payoffs[1] = -payoffs[0]
    elif kind == 1:
        payoffs[rng.integers(2)] = 1
    elif kind == 2:
        payoffs[:, -1] = payoffs[:, 0]
    return payoffs


def by_us(payoffs: np.ndarray) -> Profiles:
    found = cast(gk.NashEquilibria, gk.enumerate_nash(gk.NormalFormGame(jnp.asarray(payoffs))))
    return set(found.rational_policies)


def by_lrsnash(payoffs: np.ndarray, path: Path) -> Profiles:
    """Blocks of the column player's vertices, "2", and behind them those of the row player that fit all of them."""
    tables = ["\n".join(" ".join(f"{entry:.0f}" for entry in row) for row in table) for table in payoffs]
    path.write_text("\n\n".join([" ".join(map(str, payoffs.shape[1:])), *tables]) + "\n")
    command = ["lrsnash", str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    found: Profiles = set()
    for block in "\n".join(line for line in told.splitlines() if line[:1] != "*").split("\n\n"):
        lines = [line.split() for line in block.splitlines() if line.strip()]
        xs, ys = ([tuple(map(Fraction, line[1:-1])) for line in lines if line[0] == player] for player in "12")
        found |= {(x, y) for x in xs for y in ys}
    return found


def by_gambit(theirs: Any) -> Profiles:
    equilibria = gambit_helpers.pygambit().nash.enummixed_solve(theirs, rational=True).equilibria
    return {
        tuple(tuple(Fraction(share) for _, share in profile[player]) for player in theirs.players)
        for profile in equilibria
    }


def seconds_of(call: Callable[[], Any]) -> tuple[Any, float]:
    """A result, and the processor time of this process and of those that it waited for."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    start = used()
    found = call()
    return found, used() - start


def _enumeration(size: int, games: list[np.ndarray], rounds: int, folder: Path) -> list[str]:
    contenders: dict[str, Callable[[int], Profiles]] = {"gamekl": lambda k: by_us(games[k])}
    if shutil.which("lrsnash"):
        contenders["lrsnash"] = lambda k: by_lrsnash(games[k], folder / "game")
    if size <= LARGEST_OF_GAMBIT:
        tables = [gambit_helpers.table(*payoffs.astype(int)) for payoffs in games]
        contenders["Gambit"] = lambda k: by_gambit(tables[k])
    times: dict[str, list[float]] = {name: [] for name in contenders}
    different, count = 0, 0
    for turn in range(rounds):
        spent = dict.fromkeys(contenders, 0.0)
        for k in range(len(games)):
            found = {}
            for name, call in contenders.items():
                found[name], seconds = seconds_of(lambda call=call, k=k: call(k))
                spent[name] += seconds
            if not turn:
                different += any(entry != found["gamekl"] for entry in found.values())
                count += len(found["gamekl"])
        for name, seconds in spent.items():
            times[name].append(seconds / len(games))
    middle = {name: 1e3 * common.middle(entry) for name, entry in times.items()}
    told = [common.digits(middle[name]) if name in middle else "-" for name in ("gamekl", "lrsnash", "Gambit")]
    return [f"{len(games)} of {size} x {size}", f"{count:,}", str(different), *told]


def main() -> None:
    """Print a table, and write it."""
    jax.config.update("jax_enable_x64", True)
    options = common.options(__doc__)
    rng = np.random.default_rng(0)
    sizes = SIZES if options.quick else (*SIZES, *LARGE)
    games = {
        size: [drawn(rng, (size, size)) for _ in range(5 if options.quick or size in LARGE else GAMES)]
        for size in sizes
    }
    with common.processors(1), tempfile.TemporaryDirectory() as folder:
        rows = [_enumeration(size, entry, options.rounds, Path(folder)) for size, entry in games.items()]
    header = ("games", "extreme equilibria", "games that differ", "gamekl, ms a game", "lrsnash", "Gambit")
    text = "\n\n".join(
        [
            common.facts(),
            "All extreme equilibria; processor time of one processor.",
            common.table(header, rows),
        ]
    )
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_enumerate.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
