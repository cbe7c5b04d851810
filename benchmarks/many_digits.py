"""Answers in 50 digits (mpmath), from answers in float64: what those are to be measured by.

Games have two players of three actions each. What is found solves the problem whose numbers are the given floats.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import common  # noqa: F401  (makes the helpers of the tests known)
import mpmath
import numpy as np
from exact_answers import maximize

DIGITS = 50
# Log-probabilities below this are of actions that are not played.
UNPLAYED = -30
# Of a probability, and of what a row comes to over its size, that may be 0.
SMALL = 1e-4
MOST_STEPS = 60
MOST_SETS = 40

mpmath.mp.dps = DIGITS


def _policy(logits: Sequence[Any]) -> list[Any]:
    top = max(logits)
    weights = [mpmath.exp(entry - top) for entry in logits]
    return [weight / sum(weights) for weight in weights]


def _response(payoffs: np.ndarray, z: list[Any], temperatures: Sequence[Any]) -> tuple[list[Any], Any]:
    """Values over temperatures, and their derivatives by logits."""
    policies = [_policy(z[:3]), _policy(z[3:])]
    values, slopes = [], mpmath.zeros(6)
    for player, other in ((0, 1), (1, 0)):
        table = payoffs[player] if player == 0 else payoffs[player].T
        for action in range(3):
            row = [mpmath.mpf(float(entry)) / temperatures[player] for entry in table[action]]
            value = sum(entry * chance for entry, chance in zip(row, policies[other], strict=True))
            values.append(value)
            for column in range(3):
                slopes[3 * player + action, 3 * other + column] = policies[other][column] * (row[column] - value)
    return values, slopes


def _centred(values: list[Any]) -> list[Any]:
    return [value - sum(values[3 * (i // 3) : 3 * (i // 3) + 3]) / 3 for i, value in enumerate(values)]


def equilibrium(payoffs: np.ndarray, z: Sequence[Any], temperatures: Sequence[Any]) -> list[Any] | None:
    """Logits of the regularised equilibrium, uniform references, that Newton's method meets from z; None if none."""
    z = [mpmath.mpf(entry) for entry in z]
    for _ in range(MOST_STEPS):
        values, slopes = _response(payoffs, z, temperatures)
        slopes = mpmath.matrix([_centred(list(slopes[:, column])) for column in range(6)]).T
        residual = mpmath.matrix([a - b for a, b in zip(_centred(z), _centred(values), strict=True)])
        step = mpmath.lu_solve(mpmath.eye(6) - slopes, -residual)
        z = [a + b for a, b in zip(_centred(z), step, strict=True)]
        if max(abs(entry) for entry in step) < mpmath.mpf(10) ** (10 - DIGITS) * (1 + max(map(abs, z))):
            return z
    return None


def policies(z: Sequence[Any]) -> np.ndarray:
    """Of both players, one after the other."""
    return np.array([float(entry) for part in (z[:3], z[3:]) for entry in _policy(part)])


def colder_equilibrium(
    payoffs: np.ndarray, log_policy: Sequence[np.ndarray], before: int, decade: int
) -> list[np.ndarray] | None:
    """Log-policies ``[1, action]``, rounded to float64, at temperature 10^-decade, from those at 10^-before."""
    z: list[Any] | None = [mpmath.mpf(float(entry)) for entry in np.concatenate(log_policy)]
    for power in range(before + 1, decade + 1):
        temperature = mpmath.mpf(10) ** -power
        z = equilibrium(payoffs, [10 * entry if entry < UNPLAYED else entry for entry in z], [temperature] * 2)
        if z is None:
            return None
    return [np.array([[float(mpmath.log(entry)) for entry in _policy(part)]]) for part in (z[:3], z[3:])]


def _joint(alpha: Any, rows: Any) -> list[Any]:
    return _policy([-sum(alpha[r] * rows[r, cell] for r in range(rows.rows)) for cell in range(rows.cols)])


def _dual(alpha: Any, rows: Any) -> Any:
    exponents = [-sum(alpha[r] * rows[r, cell] for r in range(rows.rows)) for cell in range(rows.cols)]
    return max(exponents) + mpmath.log(sum(mpmath.exp(entry - max(exponents)) for entry in exponents))


def _tight(rows: Any, alpha: Any) -> Any:
    """Multipliers with which all these rows are 0, by Newton's method on the dual of the greatest entropy."""
    count, cells = rows.rows, rows.cols
    for _ in range(MOST_STEPS):
        x = _joint(alpha, rows)
        reached = mpmath.matrix([sum(rows[r, c] * x[c] for c in range(cells)) for r in range(count)])
        sizes = [sum(abs(rows[r, c]) * x[c] for c in range(cells)) for r in range(count)]
        if all(abs(a) <= mpmath.mpf(10) ** (15 - DIGITS) * size for a, size in zip(reached, sizes, strict=True)):
            return alpha
        gram = mpmath.matrix(count, count)
        for r in range(count):
            for s in range(count):
                gram[r, s] = sum(rows[r, c] * rows[s, c] * x[c] for c in range(cells)) - reached[r] * reached[s]
            gram[r, r] *= 1 + mpmath.mpf(10) ** (8 - DIGITS)  # Rows may depend on each other.
        try:
            step = mpmath.lu_solve(gram, reached)
        except ZeroDivisionError:  # Some multipliers have no end.
            return None
        # The dual, a logarithm of a sum of exponentials, is convex: it must fall.
        fall = sum(reached[r] * step[r] for r in range(count))
        while _dual(alpha + step, rows) > _dual(alpha, rows) - fall / 10:
            step, fall = step / 2, fall / 2
            if fall < mpmath.mpf(10) ** (-2 * DIGITS):
                return None
        alpha = alpha + step
    return None


def _forced_zeros(rows: list[list[Fraction]], x: np.ndarray) -> set[int]:
    """Cells that are 0 in all policies x with rows @ x <= 0."""
    zeros = set(np.flatnonzero(x < SMALL).tolist())
    while zeros:
        policy = maximize([Fraction(int(cell in zeros)) for cell in range(len(x))], rows)
        some = {cell for cell in zeros if policy and policy[cell] > 0}
        if not some:
            return zeros
        zeros -= some
    return zeros


def most_entropy(rows: list[list[Fraction]], x: np.ndarray) -> np.ndarray | None:
    """The policy of most entropy with rows @ x <= 0, from one near it: the rows that bind are looked for from there.

    Multipliers are finite once the cells that must be 0 are left out, and of either sign for rows that must be 0.
    """
    zeros = _forced_zeros(rows, x)
    cells = [cell for cell in range(len(x)) if cell not in zeros]
    near = x[cells] / x[cells].sum()
    floats = np.array(rows, float)[:, cells]
    exact = mpmath.matrix([[mpmath.mpf(row[c].numerator) / row[c].denominator for c in cells] for row in rows])
    binding = [r for r, row in enumerate(floats) if np.any(row) and row @ near >= -SMALL * (np.abs(row) @ near)]
    free = set()
    for r in binding:
        lowest = maximize([-entry for entry in rows[r]], rows)
        if lowest and sum(a * b for a, b in zip(rows[r], lowest, strict=True)) == 0:
            free.add(r)
    for _ in range(MOST_SETS):
        part = mpmath.matrix(len(binding), len(cells))
        for index, r in enumerate(binding):
            part[index, :] = exact[r, :]
        alpha: Any = []
        if binding:
            basis = np.column_stack([floats[binding].T, np.ones(len(cells))])
            scale = np.abs(basis).max(axis=0)
            weight = np.sqrt(near)  # What is hardly played tells little.
            logs = -np.log(np.maximum(near, 1e-300))
            start = np.linalg.lstsq(weight[:, None] * basis / scale, weight * logs, rcond=None)[0] / scale
            alpha = _tight(part, mpmath.matrix([mpmath.mpf(float(entry)) for entry in start[:-1]]))
            if alpha is None:
                return None
        found = _joint(alpha, part) if binding else [mpmath.mpf(1) / len(cells)] * len(cells)
        wrong = [index for index, r in enumerate(binding) if r not in free and alpha[index] < 0]
        if wrong:
            binding.pop(min(wrong, key=lambda index: alpha[index]))
            continue
        over = {}
        for r in range(len(rows)):
            terms = [exact[r, c] * found[c] for c in range(len(cells))]
            over[r] = sum(terms) / (sum(map(abs, terms)) or 1)
        most = max(over, key=lambda r: over[r])
        if over[most] <= mpmath.mpf(10) ** (20 - DIGITS):
            full = np.zeros(len(x))
            full[cells] = [float(entry) for entry in found]
            return full
        binding.append(most)
    return None


def commitment(payoffs: np.ndarray, log_policy: np.ndarray, temperatures: Sequence[float]) -> np.ndarray | None:
    """The leader's policy near this one at which its value is stationary, uniform references; None if none is met."""
    own, other = ([[mpmath.mpf(float(entry)) for entry in row] for row in table] for table in payoffs)
    leader, follower = map(mpmath.mpf, temperatures)
    best = int(np.argmax(log_policy))
    rest = [a for a in range(3) if a != best]

    def policy(logs: Sequence[Any]) -> list[Any]:
        full = [mpmath.mpf(0)] * 3
        for action, entry in zip(rest, logs, strict=True):
            full[action] = entry
        return _policy(full)

    def slope(*logs: Any) -> list[Any]:
        x = policy(logs)
        response = _policy([sum(x[a] * other[a][b] for a in range(3)) / follower for b in range(3)])
        earned = [sum(x[a] * own[a][b] for a in range(3)) for b in range(3)]
        values = []
        for a in range(3):
            mean = sum(response[b] * other[a][b] for b in range(3))
            values.append(
                sum(response[b] * (own[a][b] + earned[b] * (other[a][b] - mean) / follower) for b in range(3))
            )
        return [entry - (values[a] - values[best]) / leader for a, entry in zip(rest, logs, strict=True)]

    found = mpmath.matrix([mpmath.mpf(float(log_policy[a] - log_policy[best])) for a in rest])
    nearby = mpmath.mpf(10) ** (-DIGITS // 2)
    for _ in range(MOST_STEPS):  # mpmath's own may halve a step for ever.
        value, change = mpmath.matrix(slope(*found)), mpmath.matrix(len(rest), len(rest))
        for column in range(len(rest)):
            moved = found.copy()
            moved[column] += nearby
            change[:, column] = (mpmath.matrix(slope(*moved)) - value) / nearby
        try:
            step = mpmath.lu_solve(change, -value)
        except ZeroDivisionError:
            return None
        found += step
        if max(abs(entry) for entry in step) < mpmath.mpf(10) ** (20 - DIGITS) * (1 + max(map(abs, found))):
            break
    else:
        return None
    return np.array([float(entry) for entry in policy(list(found))])
