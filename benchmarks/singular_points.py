"""Folds and branching points that `trace_batch` reports, beside extended systems in 50 digits and Gambit's points.

    python benchmarks/singular_points.py [--gambit PYTHON] [--quick] [--out benchmarks/results]

PYTHON has pygambit 17; this interpreter if not given. Each fold, pitchfork and transcritical point is improved by
Newton's method in 50 digits (`tests/singular_digits.py`), which also tells its kind. Points where several branches
cross are counted only.

Gambit's `logit_solve_branch` gives a list of points; `brackets.py` says when a fold or crossing lies in its bracket.

A path that comes to a pitchfork as one of its prongs turns just there: a fold beside the crossing is that, and no root
of the extended system of folds, which is singular there. These are counted on their own.
"""

import pickle
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from bench_paths import SHAPES, batch_of, read_nfg, work_in
from brackets import NO_IMAGE, SAME, Point, branching_in_bracket, folds_in_brackets, is_beside, is_same

TEMPERATURE = 0.02
# Of Gambit's tracer, for random games: with its default it goes past pairs of folds that are close to each other. Where
# branches cross it may go on for ever with these.
SHORT_STEPS = {"first_step": 0.001, "max_accel": 1.005}
# Random games of a shape, besides those with folds, that Gambit is asked for.
ASKED = 200
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
    games, steps = pickle.loads(Path(file).read_bytes())  # noqa: S301
    for payoffs in games:
        game = read_nfg(payoffs)
        points = pygambit.qre.logit_solve_branch(game, **steps)
        shares = [[float(share) for player in game.players for _, share in point.profile[player]] for point in points]
        found.append((np.array([point.lam for point in points]), np.array(shares)))
    Path(file).write_bytes(pickle.dumps((pygambit.__version__, found)))


def alike(table: np.ndarray, players: int) -> np.ndarray:
    """Payoffs of players to whom the others are alike, each like the first, from tables ``[game, own, *others]``."""
    others = [(0, 1, *(2 + other for other in order)) for order in permutations(range(players - 1))]
    table = np.mean([table.transpose(order) for order in others], axis=0)
    return np.stack([np.moveaxis(table, 1, 1 + player) for player in range(players)], axis=1)


def families(games: int) -> Iterator[Family]:
    import common  # noqa: F401  (makes the helpers of the tests known)
    from singular_digits import with_even_block

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
    yield Family("4 x 4 with an even block", with_even_block(random, few), [0, 2, 3, 1, 4, 6, 7, 5])
    for size in (2, 3, 4):
        image = np.roll(np.arange(2 * size).reshape(2, size), 1, axis=1).ravel().tolist()
        yield Family(f"identity, {size} x {size}", np.stack([np.eye(size)] * 2)[None], image)


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
    asked = sorted({point.game for point in points} | set(range(ASKED if family.image is None else 0)))
    asked = [game for game in asked if game < len(family.payoffs)]
    steps = SHORT_STEPS if family.image is None else {}
    version, theirs = work_in(python, __file__, ([family.payoffs[game] for game in asked], steps))
    all_found: list[bool | None] = []
    for game, branch in zip(asked, theirs, strict=True):
        mine, left = [point for point in points if point.game == game], 0
        if family.image is None:
            found, left = folds_in_brackets(mine, branch, 1 / TEMPERATURE)
        elif mine[0].kind == "fold":  # It says nothing of mirror images.
            continue
        else:
            found = [branching_in_bracket(mine[0].precision, family.image, branch)]
        where = f"{family.name}, game {game}"
        notes += [
            f"{where}: {point.kind} at lambda {point.precision:.9g} not in Gambit's bracket"
            for point, inside in zip(mine, found, strict=False)
            if inside is False
        ]
        if left:
            notes.append(f"{where}: {left} of Gambit's extrema are no folds here")
        all_found += found
    inside, missed = all_found.count(True), all_found.count(None)
    told = f"{inside} of {len(all_found) - missed}"
    return told + (f", {missed} not left" if missed else ""), version


def study(python: str, family: Family, at_branching: str) -> tuple[list[str], list[str]]:
    """A row, and what differs."""
    import common  # noqa: F401  (makes the helpers of the tests known)
    import jax
    import singular_digits

    import gamekl as gk

    jax.config.update("jax_enable_x64", True)
    notes: list[str] = []
    paths = gk.trace_batch(*batch_of(family.payoffs, TEMPERATURE), at_branching=at_branching)
    points = points_of(paths)
    counts = [sum(point.kind == kind for point in points) for kind in KINDS]
    off, astray, failed, strange, prongs = [0.0], [0.0], 0, 0, 0
    for point in points:
        if point.kind == "multiple":
            continue
        solve = singular_digits.fold if point.kind == "fold" else singular_digits.branching
        root = solve(family.payoffs[point.game], point.log_policies, point.precision)
        where = f"{family.name}, game {point.game}, {at_branching}: {point.kind} at lambda {point.precision:.12g}"
        if not root.converged and point.kind == "fold" and any(is_beside(point, other) for other in points):
            prongs += 1
            continue
        if not root.converged:
            failed += 1
            notes.append(f"{where}: Newton's method did not converge")
            continue
        off.append(abs(root.precision / point.precision - 1))
        astray.append(np.abs(root.policies - np.exp(np.concatenate(point.log_policies))).max())
        if off[-1] > SAME:
            notes.append(f"{where}: its root at {root.precision:.12g}")
        if root.kind != point.kind:
            strange += 1
            notes.append(f"{where}: its root is a {root.kind}")
    again = [one for one, two in pairwise(points) if one.kind != "fold" and two.kind != "fold" and is_same(one, two)]
    notes += [
        f"{family.name}, game {point.game}, {at_branching}: {point.kind} at lambda {point.precision:.12g} again"
        for point in again
    ]
    if at_branching == "stay" and family.image is not None:
        rows, ends = np.arange(len(family.payoffs)), np.asarray(paths.points.count) - 1
        last = np.exp(np.concatenate([np.asarray(entry)[rows, ends] for entry in paths.points.log_policy], axis=1))
        left = np.flatnonzero(np.abs(last - last[:, family.image]).max(axis=1) > NO_IMAGE / 10)
        notes += [f"{family.name}, game {game}, stay: it did not stay on the path of mirror images" for game in left]
    bracket, version = "", ""
    if at_branching == "stay" and (points or family.image is None):
        bracket, version = in_brackets(python, family, points, notes)
    bad = int(np.sum(np.asarray(paths.status) != 0))
    row = [family.name, at_branching, len(family.payoffs), bad, *counts, sum(entry > SAME for entry in off), failed]
    row += [prongs, strange, f"{max(off):.1e}", f"{max(astray):.1e}", bracket, version]
    print(*row, sep=" | ", flush=True)
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    return list(map(str, row)), notes


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        gambit(sys.argv[2])
        return
    from common import facts, parser_beside_gambit, table, worker

    parser = parser_beside_gambit(__doc__)
    options = parser.parse_args()
    rows, notes = [], []
    for family in families(100 if options.quick else 1_000):
        # So many programs are more than one process may keep.
        with worker() as executor:
            for at_branching in ("stay",) if family.image is None else ("stay", "cross"):
                row, differences = executor.submit(study, options.gambit, family, at_branching).result()
                rows.append(row)
                notes += differences
    header = ["games", "at branching", "number", "paths failed", "folds", "pitchforks", "transcritical", "multiple"]
    header += [f"off by > {SAME:g}", "not converged", "folds of prongs", "of another kind", "most", "most, probability"]
    text = f"# Folds and branching points in 50 digits\n\n{facts()}; payoffs uniform on [0, 1], down to temperature "
    text += f'{TEMPERATURE}. "most": relative difference of lambda; "in brackets": folds, or first crossings, in '
    text += "Gambit's.\n\n" + table([*header, "in brackets", "pygambit"], rows) + "\n"
    text += "\nDifferences one by one:\n\n" + "".join(f"- {note}\n" for note in notes) if notes else ""
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "singular_points.md").write_text(text)


if __name__ == "__main__":
    main()
