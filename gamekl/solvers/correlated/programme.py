"""Linear programmes over policies, on the host: max gain . x, of all x with rows @ x <= limits.

HiGHS takes tolerances for absolute, and entries below 1e-9 for 0. So rows and columns are scaled to geometric means of
1 first: a row of small units, or a column that one huge payoff forbids, then does not hide the others. What was found
is proved by its multipliers, since for any alpha >= 0, any number u and any such x

    gain . x  <=  u + excess . x,        excess = gain - alpha @ rows + alpha . limits - u.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

# Rounds of scaling; then HiGHS's tolerances, the least that it takes.
ROUNDS = 4
HIGHS = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
# A row that is broken, and a gain that is missed, by less than this of their sizes.
TOLERANCE = 1e-9


class Programme(NamedTuple):
    """What a linear programme gave.

    Attributes:
        policy: x; NaN if none was found.
        multipliers: alpha, >= 0.
        bound: what no x can exceed, proved by them; infinite without.
        num_steps: pivots.
    """

    policy: Float[np.ndarray, " action"]
    multipliers: Float[np.ndarray, " row"]
    bound: float
    num_steps: int


def _factors(index: np.ndarray, logs: np.ndarray, size: int) -> np.ndarray:
    """1 over the geometric mean of entries with these logarithms, by row or by column; 1 where there are none."""
    count = np.maximum(np.bincount(index, minlength=size), 1)
    return np.exp(-np.bincount(index, logs, minlength=size) / count)


def typical(entries: np.ndarray) -> float:
    """The geometric mean of the sizes of entries that are not 0; 1 without any."""
    sizes = np.abs(entries[entries != 0])
    return float(np.exp(np.mean(np.log(sizes)))) if sizes.size else 1.0


def _caps(rows: Any, limits: np.ndarray) -> np.ndarray:
    """What no probability can exceed: a huge entry of one row leaves no more than the row's entries below 0 allow."""
    entries = rows.tocoo()
    row, column = entries.coords
    room = limits + np.bincount(row, np.maximum(-entries.data, 0), minlength=len(limits))
    caps = np.ones(rows.shape[1])
    above = entries.data > 0
    np.minimum.at(caps, column[above], np.maximum(room[row[above]], 0) / entries.data[above])
    return caps


def maximize(gain: np.ndarray, rows: Any, limits: np.ndarray, *, is_possible: bool = False) -> Programme:
    """Solve max gain . x over policies x with rows @ x <= limits.

    Args:
        gain: shape ``[action]``.
        rows: ``[row, action]``, dense or sparse.
        limits: ``[row]``.
        is_possible: whether it is known that there is such a policy.
    """
    from scipy.optimize import linprog
    from scipy.sparse import coo_array, csr_array, vstack

    rows = csr_array(rows)
    matrix = coo_array(vstack([coo_array(gain[None]), coo_array(rows), coo_array(np.ones((1, len(gain))))]))
    row, column = matrix.coords
    logs = np.log(np.abs(matrix.data))
    by_row, by_column = np.ones(len(limits) + 2), np.ones(len(gain))
    for _ in range(ROUNDS):
        by_row *= _factors(row, logs + np.log(by_row[row] * by_column[column]), len(by_row))
        by_column *= _factors(column, logs + np.log(by_row[row] * by_column[column]), len(by_column))
    scaled = csr_array(
        (matrix.data * by_row[row] * by_column[column], (row, column)), shape=(len(by_row), len(by_column))
    )

    def attempt(options: dict[str, Any]) -> Any:
        gains, sums = -scaled[:1].toarray()[0], scaled[-1:]
        return linprog(gains, scaled[1:-1], limits * by_row[1:-1], sums, by_row[-1:], method="highs", options=options)

    found = attempt(HIGHS)
    if found.x is None and is_possible:
        found = attempt({"presolve": False})
    if found.x is None:
        return Programme(np.full(len(gain), np.nan), np.zeros(len(limits)), np.inf, int(found.nit))
    policy = np.maximum(found.x, 0) * by_column
    policy /= policy.sum()
    multipliers = np.maximum(-found.ineqlin.marginals, 0) * by_row[1:-1] / by_row[0]
    slack = limits - rows @ policy > TOLERANCE * (abs(rows) @ policy + np.abs(limits))
    caps, value = _caps(rows, limits), gain @ policy

    def missed(alpha: np.ndarray) -> float:
        excess = np.maximum(gain - alpha @ rows + alpha @ limits - value, 0)
        return float(min(excess.max(), excess @ caps))

    # HiGHS's multipliers of rows that do not bind are rounding, mostly.
    multipliers = min(multipliers, np.where(slack, 0, multipliers), key=missed)
    return Programme(policy, multipliers, float(value + missed(multipliers)), int(found.nit))


def is_impossible(rows: np.ndarray) -> bool:
    """Whether it is proved that no policy x has rows @ x <= 0: some mixture of the rows is positive everywhere."""
    # An action more, with which all rows hold, and the least probability of it.
    apart = np.array([typical(row) for row in rows])
    gain = np.append(np.zeros(rows.shape[1]), -1.0)
    return maximize(gain, np.column_stack([rows, -apart]), np.zeros(len(rows))).bound < -TOLERANCE
