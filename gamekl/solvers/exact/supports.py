"""Two-player games by support enumeration, on the host: exponential in the smaller number of actions."""

import math
from itertools import combinations

import numpy as np

from gamekl.solvers.exact.certificate import own_first, regret, solution_of
from gamekl.solvers.solution import Solution

# A regret below this is rounding, where supports are enumerated.
FOUND = 1e-10


def _indifferent(table: np.ndarray) -> np.ndarray:
    """Policies y with ``table @ y`` constant and sum 1, shape ``[..., k]``; NaN where singular or negative.

    The row without large entries is taken from the others, and each of these differences has its own scale.
    """
    size = table.shape[-1]
    calmest = np.argmin(np.max(np.abs(table), axis=-1), axis=-1)[..., None, None]
    system = table - np.take_along_axis(table, calmest, axis=-2)
    largest = np.max(np.abs(system), axis=-1, keepdims=True)
    system = system / np.where(largest > 0, largest, 1)
    np.put_along_axis(system, calmest, 1.0, axis=-2)
    regular = np.linalg.det(system) != 0
    system[~regular] = np.eye(size)
    right = np.zeros((*table.shape[:-1], 1))
    np.put_along_axis(right, calmest, 1.0, axis=-2)
    policy = np.zeros(right.shape)
    for _ in range(2):  # The second time for the digits of small probabilities, which huge payoffs ask for.
        policy += np.linalg.solve(system, right - system @ policy)
    policy = policy[..., 0]
    usable = regular & (policy.min(axis=-1) > -1e-9) & np.isfinite(policy).all(axis=-1)
    policy = np.where(usable[..., None], np.maximum(policy, 0), np.nan)
    return policy / policy.sum(axis=-1, keepdims=True)


def support_equilibria(row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first equilibrium of each game by support size, then lexicographically, for a batch of two-player games.

    Supports of equal size suffice even in degenerate games: the limit of a lexicographic pivoting path is a pair of
    nonsingular submatrices of one size, perhaps with some zero probabilities, which are allowed here.

    Args:
        row: payoffs of the row player, ``[game, actions_1, actions_2]``.
        column: payoffs of the column player, its own actions first, ``[game, actions_2, actions_1]``.

    Returns:
        x ``[game, actions_1]``, y ``[game, actions_2]`` and the number of support pairs tried ``[game]``; NaN where
        none was found.
    """
    games, rows, columns = row.shape
    x, y = np.full((games, rows), np.nan), np.full((games, columns), np.nan)
    tried = np.zeros(games, dtype=np.int32)
    open_games = np.arange(games)
    for size in range(1, min(rows, columns) + 1):
        for first in combinations(range(rows), size):
            for second in combinations(range(columns), size):
                if not len(open_games):
                    return x, y, tried
                tried[open_games] += 1
                here_x, here_y = np.zeros((len(open_games), rows)), np.zeros((len(open_games), columns))
                here_x[:, first] = _indifferent(column[np.ix_(open_games, second, first)])
                here_y[:, second] = _indifferent(row[np.ix_(open_games, first, second)])
                regrets = regret(row[open_games], here_x, here_y), regret(column[open_games], here_y, here_x)
                found = np.maximum(*regrets) <= FOUND  # False for NaN
                x[open_games[found]], y[open_games[found]] = here_x[found], here_y[found]
                open_games = open_games[~found]
    return x, y, tried


def support_pairs(rows: int, columns: int) -> int:
    """How many pairs of supports of equal size there are."""
    return sum(math.comb(rows, size) * math.comb(columns, size) for size in range(1, min(rows, columns) + 1))


def solve_by_supports(payoffs: np.ndarray) -> Solution:
    """Equilibria of one or many small two-player games by support enumeration, in float64.

    Args:
        payoffs: shape ``[*batch, 2, actions_1, actions_2]``, finite.

    Returns:
        A `Solution` as of `solve_nash_exact`, every leaf with the batch axes, in the payoffs' dtype.
    """
    batch = payoffs.shape[:-3]
    values = np.asarray(payoffs, dtype=np.float64)
    row, column = (table.reshape(-1, *table.shape[-2:]) for table in own_first(values))
    x, y, tried = support_equilibria(row, column)
    return solution_of(values, x.reshape(*batch, -1), y.reshape(*batch, -1), tried.reshape(batch), payoffs.dtype)
