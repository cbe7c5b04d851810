"""Answers in rational numbers to small games of two players, for tests and benchmarks.

Every float is a rational number, so that these are what the floats given ask for, whatever their sizes.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product

import numpy as np

Row = list[Fraction]


def exactly(table: np.ndarray) -> list[Row]:
    """A matrix of floats."""
    return [[Fraction(float(entry)) for entry in row] for row in table]


def _pivot(rows: list[Row], at: int, column: int) -> None:
    rows[at] = [entry / rows[at][column] for entry in rows[at]]
    for index, row in enumerate(rows):
        if index != at and row[column]:
            rows[index] = [a - row[column] * b for a, b in zip(row, rows[at], strict=True)]


def solve(matrix: list[Row], right: Row) -> Row | None:
    """By Gauss and Jordan; None where singular."""
    rows = [[*row, entry] for row, entry in zip(matrix, right, strict=True)]
    for column in range(len(rows)):
        at = next((index for index in range(column, len(rows)) if rows[index][column]), None)
        if at is None:
            return None
        rows[column], rows[at] = rows[at], rows[column]
        _pivot(rows, column, column)
    return [row[-1] for row in rows]


def maximize(gain: Row, rows: list[Row]) -> Row | None:
    """The policy x of most gain . x with rows @ x <= 0, by the simplex method with Bland's rule; None if there is none.

    Where several are best it is one of them.
    """
    size, count = len(gain), len(rows)
    one, zero = Fraction(1), Fraction(0)
    table = [[*row, *(one if i == k else zero for k in range(count)), zero, zero] for i, row in enumerate(rows)]
    table.append([*[one] * size, *[zero] * count, one, one])
    basis = list(range(size, size + count + 1))

    def improve(worth: Row) -> None:
        while True:
            paid = [(worth[b], row) for b, row in zip(basis, table, strict=True) if worth[b]]
            entering = next(
                (
                    column
                    for column in range(size + count)
                    if column not in basis and worth[column] > sum((w * row[column] for w, row in paid), zero)
                ),
                None,
            )
            if entering is None:
                return
            ratios = [(row[-1] / row[entering], basis[i], i) for i, row in enumerate(table) if row[entering] > 0]
            at = min(ratios)[2]
            _pivot(table, at, entering)
            basis[at] = entering

    improve([*[zero] * (size + count), -one])
    if any(b == size + count and row[-1] for b, row in zip(basis, table, strict=True)):
        return None
    improve([*gain, *[zero] * (count + 1)])
    policy = [zero] * size
    for b, row in zip(basis, table, strict=True):
        if b < size:
            policy[b] = row[-1]
    return policy


def nash(payoffs: np.ndarray, supports: Sequence[Sequence[int]]) -> list[Row] | None:
    """The equilibrium with just these supports, of equal size; None if there is none, or more than one."""
    tables = [exactly(payoffs[0]), exactly(payoffs[1].T)]
    policies = []
    for table, own, other in zip(reversed(tables), supports, reversed(supports), strict=True):
        # What the other one is indifferent to.
        rows = [[table[b][a] - table[other[0]][a] for a in own] for b in other[1:]]
        found = solve([*rows, [Fraction(1)] * len(own)], [*[Fraction(0)] * len(rows), Fraction(1)])
        if found is None or min(found) < 0:
            return None
        policies.append([found[own.index(a)] if a in own else Fraction(0) for a in range(len(table[0]))])
    for table, own, other in zip(tables, supports, reversed(policies), strict=True):
        values = [sum(a * b for a, b in zip(row, other, strict=True)) for row in table]
        if max(values) > values[own[0]]:
            return None
    return policies


def strong_commitment(payoffs: np.ndarray) -> tuple[Row, int]:
    """A leader's best policy against a follower that responds best, and the response to it."""
    own, others = map(exactly, payoffs)
    best: tuple[Fraction, Row, int] | None = None
    for b in range(len(own[0])):
        rows = [[row[c] - row[b] for row in others] for c in range(len(own[0])) if c != b]
        gain = [row[b] for row in own]
        policy = maximize(gain, rows)
        if policy is not None:
            value = sum((g * x for g, x in zip(gain, policy, strict=True)), Fraction(0))
            if best is None or value > best[0]:
                best = value, policy, b
    assert best is not None
    return best[1], best[2]


def gains(payoffs: np.ndarray, concept: str) -> list[Row]:
    """What each deviation brings in each joint action, of "ce" or "cce"; joint actions in the order of a table."""
    tables = list(map(exactly, payoffs))
    shape = payoffs.shape[1:]
    found = []
    for player, table in enumerate(tables):
        for told, done in product(range(shape[player]), repeat=2):
            row = []
            for joint in product(*map(range, shape)):
                other = (done, joint[1]) if player == 0 else (joint[0], done)
                moves = concept == "cce" or joint[player] == told
                row.append(table[other[0]][other[1]] - table[joint[0]][joint[1]] if moves else Fraction(0))
            if (concept == "ce" and told != done) or (concept == "cce" and told == 0):
                found.append(row)
    return found


def welfare(payoffs: np.ndarray, concept: str) -> Row:
    """The joint policy of an equilibrium with the greatest sum of payoffs."""
    first, second = map(exactly, payoffs)
    total = [a + b for one, two in zip(first, second, strict=True) for a, b in zip(one, two, strict=True)]
    found = maximize(total, gains(payoffs, concept))
    assert found is not None
    return found


def _vertices(opponent: list[Row]) -> list[tuple[Row, frozenset[int]]]:
    """Of {(x, v) : x >= 0, sum x = 1, v >= what the opponent earns by each action}, with labels, from all bases.

    Args:
        opponent: payoffs, a row for each own action. Labels are own actions that are not played, then best responses.
    """
    own, other = len(opponent), len(opponent[0])
    columns = [list(column) for column in zip(*opponent, strict=True)]
    found = {}
    for basis in combinations(range(own + other), own):
        rows = [
            [Fraction(int(k == label)) for k in range(own)] + [Fraction(0)]
            if label < own
            else [*columns[label - own], Fraction(-1)]
            for label in basis
        ]
        point = solve([*rows, [Fraction(1)] * own + [Fraction(0)]], [Fraction(0)] * own + [Fraction(1)])
        if point is None or min(point[:-1]) < 0:
            continue
        x, level = point[:-1], point[-1]
        slacks = [level - sum((a * b for a, b in zip(x, column, strict=True)), Fraction(0)) for column in columns]
        if min(slacks) >= 0:
            found[tuple(x)] = frozenset(k for k, entry in enumerate([*x, *slacks]) if not entry)
    return [(list(x), labels) for x, labels in found.items()]


def extreme_equilibria(row: list[Row], column: list[Row]) -> set[tuple[tuple[Fraction, ...], tuple[Fraction, ...]]]:
    """All pairs of vertices with all labels, of payoffs in rational numbers; for small games, from all bases."""
    own, other = len(row), len(row[0])
    ys = [
        (y, {label + own if label < other else label - other for label in labels})
        for y, labels in _vertices([list(entry) for entry in zip(*row, strict=True)])
    ]
    return {
        (tuple(x), tuple(y))
        for x, labels in _vertices(column)
        for y, others in ys
        if labels | others == set(range(own + other))
    }
