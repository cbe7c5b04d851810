"""All equilibria of two-player games, and those of most entropy, beside other tools.

Enumeration: games with whole payoffs, most of them degenerate, beside lrslib's `lrsnash` where it is on the path (its
payoffs must be whole numbers or fractions: it misreads decimals) and Gambit's `enummixed_solve` in rational numbers.
Every set of extreme equilibria is compared, in fractions. A process of lrsnash takes a game from a file and prints all
it finds; that is counted, as it is for whoever calls it.

Most entropy: batches of zero-sum games, many with several equilibria, beside two convex programmes a game by cvxpy's
Clarabel. What is counted is processor time, on one processor, in turns.
"""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

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
SHAPES, BATCH, ALONE = ((3, 3), (5, 5), (8, 8), (10, 10)), 2_048, 50

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
    return set(gk.enumerate_nash(gk.NormalFormGame(jnp.asarray(payoffs))).rational_policies)


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


def _seconds(call: Callable[[], Any]) -> tuple[Any, float]:
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
                found[name], seconds = _seconds(lambda call=call, k=k: call(k))
                spent[name] += seconds
            if not turn:
                different += any(entry != found["gamekl"] for entry in found.values())
                count += len(found["gamekl"])
        for name, seconds in spent.items():
            times[name].append(seconds / len(games))
    middle = {name: 1e3 * common.middle(entry) for name, entry in times.items()}
    told = [common.digits(middle[name]) if name in middle else "-" for name in ("gamekl", "lrsnash", "Gambit")]
    return [f"{len(games)} of {size} x {size}", f"{count:,}", str(different), *told]


def _by_cvxpy(payoffs: np.ndarray, value: float) -> list[np.ndarray]:
    import cvxpy

    found = []
    for table, level in ((payoffs[0], value), (payoffs[1].T, -value)):
        x = cvxpy.Variable(len(table))
        problem = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(cvxpy.entr(x))), [table.T @ x >= level, cvxpy.sum(x) == 1])
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        found.append(x.value)
    return found


def _most_entropy(shape: tuple[int, int], batch: int, rounds: int) -> list[str]:
    rng = np.random.default_rng(0)
    payoffs = rng.integers(-1, 2, (batch, *shape)).astype(float)
    payoffs[::4] = rng.normal(size=payoffs[::4].shape)
    payoffs[1::4, -1] = payoffs[1::4, 0]
    payoffs = np.stack([payoffs, -payoffs], axis=1)
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    found = gk.max_entropy_nash_batch(games)
    x, y = (np.asarray(policy) for policy in found.policy)
    values = np.einsum("ga,gab,gb->g", x, payoffs[:, 0], y)
    times: dict[str, list[float]] = {"batch": [], "cvxpy": []}
    theirs: list[Any] = []
    for _ in range(rounds):
        _, seconds = _seconds(lambda: jax.block_until_ready(gk.max_entropy_nash_batch(games)))
        times["batch"].append(1e6 * seconds / batch)
        theirs, seconds = _seconds(
            lambda: [_by_cvxpy(*given) for given in zip(payoffs[:ALONE], values[:ALONE], strict=True)]
        )
        times["cvxpy"].append(1e6 * seconds / len(theirs))
    apart = [
        max(np.abs(ours[k] - policy).max() for ours, policy in zip((x, y), both, strict=True) if policy is not None)
        for k, both in enumerate(theirs)
        if any(policy is not None for policy in both)
    ]
    middle = {name: common.middle(entry) for name, entry in times.items()}
    loss = np.max(np.asarray(found.gap).max(axis=1) / np.maximum(np.ptp(payoffs[:, 0], axis=(1, 2)), 1e-300))
    return [
        f"{shape[0]} x {shape[1]}",
        common.digits(middle["batch"]),
        common.digits(middle["cvxpy"]),
        common.digits(middle["cvxpy"] / middle["batch"]),
        str(common.num_failed(found)),
        f"{loss:.1e}",
        f"{float(np.max(found.duality_gap)):.1e}",
        f"{np.quantile(apart, 0.5):.1e}, {np.max(apart):.1e}",
    ]


def main() -> None:
    """Print two tables, and write them."""
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
        batch = 128 if options.quick else BATCH
        others = [_most_entropy(shape, batch, options.rounds) for shape in SHAPES[: 2 if options.quick else None]]
    header = ("games", "extreme equilibria", "games that differ", "gamekl, ms a game", "lrsnash", "Gambit")
    second = ("games", "batch, us a game", "cvxpy", "times", "failures", "loss", "duality gap", "apart: median, most")
    text = "\n\n".join(
        [
            common.facts(),
            "All extreme equilibria; processor time of one processor.",
            common.table(header, rows),
            f"Most entropy, batches of {batch:,} zero-sum games; the loss is the Nash gap over the payoffs' range, and "
            "apart how far policies are from cvxpy's.",
            common.table(second, others),
        ]
    )
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_enumerate.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
