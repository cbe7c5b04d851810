"""Folds and branching points that `trace_batch` reports, beside extended systems in 50 digits and Gambit's points.

    python benchmarks/singular_points.py [--gambit PYTHON] [--quick] [--out benchmarks/results]

PYTHON has pygambit 17; this interpreter if not given. Each fold, pitchfork and transcritical point is improved by
Newton's method in 50 digits (`tests/singular_digits.py`), which also tells its kind. Points where several branches
cross are counted only.

Gambit's `logit_solve_branch` gives a list of points. The k-th fold lies in its bracket where the k-th extremum of
lambda in that list is of the same sort, lambda of the fold lies beyond it, by no more than lambda changes to the two
points beside it, and no probability lies farther from the extremum's than that of the farther of the two. Where others
cross a path of mirror images, Gambit leaves it on the way: lambda of the first crossing lies between those of Gambit's
last point that is its own mirror image to 1e-6, and the first that is not to 1e-2.
"""

import pickle
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_paths import SHAPES, batch_of, read_nfg, work_in

TEMPERATURE, SAME = 0.02, 1e-8
# Gambit's own error, of lambda and probabilities.
ERROR = 1e-6
IMAGE, NO_IMAGE = 1e-6, 1e-2
KINDS = "fold", "pitchfork", "transcritical", "multiple"


class Family(NamedTuple):
    """Games of a kind.

    Attributes:
        name: of the kind.
        payoffs: ``[game, player, *actions]``.
        image: probabilities, joined, are on a path of mirror images if these places change nothing; None: no such path.
    """

    name: str
    payoffs: np.ndarray
    image: list[int] | None = None


def gambit(file: str) -> None:
    """In Gambit's interpreter: lambda and joined probabilities of its points of the games in a file."""
    pygambit: Any = import_module("pygambit")
    found = []
    for payoffs in pickle.loads(Path(file).read_bytes()):  # noqa: S301
        game = read_nfg(payoffs)
        points = pygambit.qre.logit_solve_branch(game)
        shares = [[float(share) for player in game.players for _, share in point.profile[player]] for point in points]
        found.append((np.array([point.lam for point in points]), np.array(shares)))
    Path(file).write_bytes(pickle.dumps((pygambit.__version__, found)))


def alike(table: np.ndarray, players: int) -> np.ndarray:
    """Payoffs of players to whom the others are alike, each like the first, from tables ``[game, own, *others]``."""
    others = [(0, 1, *(2 + other for other in order)) for order in permutations(range(players - 1))]
    table = np.mean([table.transpose(order) for order in others], axis=0)
    return np.stack([np.moveaxis(table, 1, 1 + player) for player in range(players)], axis=1)


def with_block(random: np.random.Generator, games: int) -> np.ndarray:
    """4 x 4, in which the last three actions are worth the same wherever the other one mixes its last three evenly."""
    payoffs = random.uniform(size=(games, 2, 4, 4))
    payoffs[:, :, 1:, 0] = payoffs[:, :, 1:2, 0]
    payoffs[:, :, 0, 1:] = payoffs[:, :, 0, 1:2]
    block = payoffs[:, :, 1:, 1:]
    block += random.uniform(size=(games, 2, 1, 1)) - block.mean(axis=3, keepdims=True)
    payoffs[:, 1] = payoffs[:, 1].swapaxes(1, 2).copy()
    return payoffs


def families(games: int) -> Iterator[Family]:
    for seed, shape in enumerate(SHAPES):
        payoffs = np.random.default_rng(seed).uniform(size=(games, len(shape), *shape))
        yield Family(" x ".join(map(str, shape)), payoffs)
    random, few = np.random.default_rng(len(SHAPES)), max(games // 10, 2)
    for players, size in ((2, 2), (2, 3), (2, 4), (2, 6), (3, 2), (3, 3)):
        payoffs = alike(random.uniform(size=(few, *[size] * players)), players)
        image = np.roll(np.arange(players * size), size).tolist()
        yield Family(f"symmetric, {players} players, {size} actions", payoffs, image)
    both = random.uniform(size=(few, 2, 3, 3, 2))
    payoffs = np.stack([both[:, 0], both[:, 0].swapaxes(1, 2), both[:, 1] + both[:, 1].swapaxes(1, 2)], axis=1)
    yield Family("3 x 3 x 2, the first two alike", payoffs, [3, 4, 5, 0, 1, 2, 6, 7])
    yield Family("4 x 4 with an even block", with_block(random, few), [0, 2, 3, 1, 4, 6, 7, 5])
    for size in (2, 3, 4):
        image = np.roll(np.arange(2 * size).reshape(2, size), 1, axis=1).ravel().tolist()
        yield Family(f"identity, {size} x {size}", np.stack([np.eye(size)] * 2)[None], image)


def extrema(precisions: np.ndarray) -> np.ndarray:
    """Where lambda turns."""
    rises = np.sign(np.diff(precisions))
    return 1 + np.flatnonzero(rises[1:] * rises[:-1] < 0)


def fold_in_bracket(precision: float, policies: np.ndarray, at: int, theirs: tuple[np.ndarray, np.ndarray]) -> bool:
    lambdas, shares = theirs
    beside = [at - 1, at + 1]
    turn = np.sign(lambdas[at] - lambdas[at - 1])
    beyond, room = turn * (precision - lambdas[at]), np.abs(lambdas[beside] - lambdas[at]).max()
    off, wide = np.abs(policies - shares[at]), np.abs(shares[beside] - shares[at])
    near = -ERROR * precision <= beyond <= room + ERROR * precision
    return bool(near and off.max() <= wide.max() + ERROR)


def branching_in_bracket(precision: float, image: list[int], theirs: tuple[np.ndarray, np.ndarray]) -> bool | None:
    """None where Gambit does not leave the path."""
    lambdas, shares = theirs
    away = np.abs(shares - shares[:, image]).max(axis=1)
    if not (away > NO_IMAGE).any():
        return None
    first = int(np.argmax(away > NO_IMAGE))
    last = int(np.flatnonzero(away[:first] <= IMAGE)[-1])
    bracket = lambdas[last : first + 1]
    return bool(bracket.min() * (1 - ERROR) <= precision <= bracket.max() * (1 + ERROR))


class Point(NamedTuple):
    game: int
    kind: str
    precision: float
    log_policies: list[np.ndarray]


def points_of(paths: Any) -> list[Point]:
    kinds = np.asarray(paths.points.kind)
    precisions = 1 / np.asarray(paths.points.temperature)[..., 0]
    logs = [np.asarray(entry) for entry in paths.points.log_policy]
    return [
        Point(int(game), KINDS[kinds[game, place] - 1], precisions[game, place], [entry[game, place] for entry in logs])
        for game, place in np.argwhere((kinds > 0) & (kinds <= len(KINDS)))
    ]


def in_brackets(python: str, family: Family, points: list[Point], notes: list[str]) -> tuple[str, str]:
    """How many folds lie in Gambit's brackets, or how many first crossings, and its version."""
    told = sorted({point.game for point in points})
    version, theirs = work_in(python, __file__, [family.payoffs[game] for game in told])
    inside = outside = stayed = 0
    for game, (lambdas, shares) in zip(told, theirs, strict=True):
        mine = [point for point in points if point.game == game]
        if family.image is None:
            places = extrema(lambdas)
            past = np.flatnonzero(lambdas > 1 / TEMPERATURE)
            places = places[places < past[0]] if len(past) else places
            if len(places) != len(mine):
                notes.append(f"{family.name}, game {game}: {len(mine)} folds, {len(places)} of Gambit's")
            pairs = zip(mine, places, strict=False)
            found: list[bool | None] = [
                fold_in_bracket(point.precision, np.exp(np.concatenate(point.log_policies)), place, (lambdas, shares))
                for point, place in pairs
            ]
            found += [False] * (len(mine) - len(found))
        elif mine[0].kind == "fold":  # Not told apart from Gambit's own by mirror images.
            continue
        else:
            found = [branching_in_bracket(mine[0].precision, family.image, (lambdas, shares))]
        notes += [
            f"{family.name}, game {game}: {mine[k].kind} at lambda {mine[k].precision!r} not in Gambit's bracket"
            for k, ok in enumerate(found)
            if ok is False
        ]
        inside, outside = inside + found.count(True), outside + found.count(False)
        stayed += found.count(None)
    return f"{inside} of {inside + outside}" + (f", {stayed} not left" if stayed else ""), version


def study(python: str, family: Family, at_branching: str, notes: list[str]) -> list[str]:
    """A row."""
    import singular_digits

    import gamekl as gk

    paths = gk.trace_batch(*batch_of(family.payoffs, TEMPERATURE), at_branching=at_branching)
    points = points_of(paths)
    counts = [sum(point.kind == kind for point in points) for kind in KINDS]
    off, astray, failed, strange = [0.0], [0.0], 0, 0
    for point in points:
        if point.kind == "multiple":
            continue
        solve = singular_digits.fold if point.kind == "fold" else singular_digits.branching
        root = solve(family.payoffs[point.game], point.log_policies, point.precision)
        where = f"{family.name}, game {point.game}, {at_branching}: {point.kind} at lambda {point.precision!r}"
        if not root.converged:
            failed += 1
            notes.append(f"{where}: Newton's method did not converge")
            continue
        off.append(abs(root.precision / point.precision - 1))
        astray.append(np.abs(root.policies - np.exp(np.concatenate(point.log_policies))).max())
        if off[-1] > SAME:
            notes.append(f"{where}: its root at {root.precision!r}")
        if root.kind != point.kind:
            strange += 1
            notes.append(f"{where}: its root is a {root.kind}")
    bracket, version = "", ""
    if at_branching == "stay" and points:
        bracket, version = in_brackets(python, family, points, notes)
    bad = int(np.sum(np.asarray(paths.status) != 0))
    row = [family.name, at_branching, len(family.payoffs), bad, *counts, sum(entry > SAME for entry in off), failed]
    row += [strange, f"{max(off):.1e}", f"{max(astray):.1e}", bracket, version]
    print(*row, sep=" | ", flush=True)
    return list(map(str, row))


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        gambit(sys.argv[2])
        return
    import jax
    from common import RESULTS, facts, table

    jax.config.update("jax_enable_x64", True)
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--gambit", default=sys.executable)
    parser.add_argument("--quick", action="store_true", help="a smoke test: few games")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    notes: list[str] = []
    rows = []
    for family in families(100 if options.quick else 1_000):
        for at_branching in ("stay",) if family.image is None else ("stay", "cross"):
            rows.append(study(options.gambit, family, at_branching, notes))
    header = ["games", "at branching", "number", "paths failed", "folds", "pitchforks", "transcritical", "multiple"]
    header += [f"off by > {SAME:g}", "not converged", "of another kind", "most", "most, probability"]
    text = f"# Folds and branching points in 50 digits\n\n{facts()}; payoffs uniform on [0, 1], down to temperature "
    text += f'{TEMPERATURE}. "most": relative difference of lambda; "in brackets": folds, or first crossings, in '
    text += "Gambit's.\n\n" + table([*header, "in brackets", "pygambit"], rows) + "\n"
    text += "\nDifferences one by one:\n\n" + "".join(f"- {note}\n" for note in notes) if notes else ""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "singular_points.md").write_text(text)
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
