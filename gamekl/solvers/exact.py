"""Unregularised Nash equilibria, on the host: the baseline that pays 1/sqrt(n).

Two-player zero-sum games of any size by linear programming; other two-player games by support enumeration, which is
exponential in the smaller number of actions.
"""

import math
from itertools import combinations

import jax.numpy as jnp
import numpy as np
import scipy.optimize

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import validate
from gamekl.solvers.solution import PathSummary, Solution, Status

MAX_SUPPORT_PAIRS = 200_000
# A gap below this, over the payoffs' range, is rounding.
EQUILIBRIUM_GAP = 1e-10


def _gaps(row: np.ndarray, column: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Nash gaps ``[..., player]`` of profiles (x, y), with leading axes broadcast."""
    row_values = (row @ y[..., None])[..., 0]
    column_values = (np.swapaxes(column, -1, -2) @ x[..., None])[..., 0]
    row_gap = row_values.max(axis=-1) - (x * row_values).sum(axis=-1)
    return np.stack([row_gap, column_values.max(axis=-1) - (y * column_values).sum(axis=-1)], axis=-1)


def _zero_sum(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal policies of a zero-sum game, by two linear programmes: max v with x^T R >= v, and min w with R y <= w."""

    def optimal(payoffs: np.ndarray) -> np.ndarray:
        actions, opponent = payoffs.shape
        solved = scipy.optimize.linprog(
            c=np.append(np.zeros(actions), -1.0),
            A_ub=np.column_stack([-payoffs.T, np.ones(opponent)]),
            b_ub=np.zeros(opponent),
            A_eq=np.append(np.ones(actions), 0.0)[None],
            b_eq=[1.0],
            bounds=[(0, None)] * actions + [(None, None)],
            method="highs",
        )
        policy = np.maximum(solved.x[:-1], 0) if solved.success else np.full(actions, 1 / actions)
        return policy / policy.sum()

    return optimal(row), optimal(-row.T)


def _indifferent(payoffs: np.ndarray) -> np.ndarray:
    """Policies y with ``payoffs @ y`` constant and sum 1, shape ``[..., k]``; NaN where singular or negative."""
    size = payoffs.shape[-1]
    bordered = np.zeros((*payoffs.shape[:-2], size + 1, size + 1))
    bordered[..., :size, :size] = payoffs
    bordered[..., :size, size] = -1
    bordered[..., size, :size] = 1
    regular = np.abs(np.linalg.det(bordered)) > 1e-300
    bordered[~regular] = np.eye(size + 1)
    right = np.zeros((*payoffs.shape[:-2], size + 1, 1))
    right[..., size, 0] = 1
    policy = np.linalg.solve(bordered, right)[..., :size, 0]
    usable = regular & (policy.min(axis=-1) > -1e-9) & np.isfinite(policy).all(axis=-1)
    policy = np.where(usable[..., None], np.maximum(policy, 0), np.nan)
    return policy / policy.sum(axis=-1, keepdims=True)


def support_equilibria(row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first equilibrium of each game by support size, then lexicographically, for a batch of two-player games.

    Supports of equal size suffice even in degenerate games: the limit of a lexicographic pivoting path is a pair of
    nonsingular submatrices of one size, perhaps with some zero probabilities, which are allowed here.

    Args:
        row: payoffs of the row player, ``[game, actions_1, actions_2]``, range about 1.
        column: payoffs of the column player, likewise.

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
                block = np.ix_(open_games, first, second)
                tried[open_games] += 1
                here_x, here_y = np.zeros((len(open_games), rows)), np.zeros((len(open_games), columns))
                here_x[:, first] = _indifferent(np.swapaxes(column[block], 1, 2))
                here_y[:, second] = _indifferent(row[block])
                gaps = _gaps(row[open_games], column[open_games], here_x, here_y)
                found = gaps.max(axis=-1) <= EQUILIBRIUM_GAP  # False for NaN
                x[open_games[found]], y[open_games[found]] = here_x[found], here_y[found]
                open_games = open_games[~found]
    return x, y, tried


def _levelled(payoffs: np.ndarray) -> np.ndarray:
    """Payoffs ``[..., actions_1, actions_2]`` shifted and scaled to [-1/2, 1/2]."""
    low = payoffs.min(axis=(-2, -1), keepdims=True)
    size = payoffs.max(axis=(-2, -1), keepdims=True) - low
    return (payoffs - low) / np.where(size > 0, size, 1) - 0.5


def support_pairs(rows: int, columns: int) -> int:
    """How many pairs of supports of equal size there are."""
    return sum(math.comb(rows, size) * math.comb(columns, size) for size in range(1, min(rows, columns) + 1))


def check_enumerable(game: NormalFormGame) -> bool:
    """Whether a game is zero-sum up to a shift.

    Raises:
        ValueError: it has not two players, or is neither zero-sum nor small enough for support enumeration.
    """
    if game.num_players != 2:
        raise ValueError(f"game: got {game.num_players} players, takes 2 for an unregularised equilibrium")
    row, column = np.asarray(game.payoffs, dtype=np.float64)
    if np.ptp(row + column) <= 1e-12 * max(np.ptp(row), np.ptp(column)):
        return True
    pairs = support_pairs(*game.num_actions)
    if pairs > MAX_SUPPORT_PAIRS:
        raise ValueError(
            f"game: got a general-sum game of {game.num_actions[0]} x {game.num_actions[1]} actions with {pairs} "
            f"pairs of supports, takes at most {MAX_SUPPORT_PAIRS}; solve_nash at a small temperature has no limit"
        )
    return False


def solve_nash_exact(game: NormalFormGame) -> Solution:
    """An unregularised Nash equilibrium of a two-player game, on the host in float64.

    Zero-sum games (up to a shift) go to a linear programme; others to support enumeration, up to about 8 x 8, where
    of several equilibria the one with the smallest support, then the lexicographically first, is returned.

    Returns:
        A solution whose `gap` is the Nash gap, whose `residual` is the largest gap over the payoffs' range, and whose
        `path` is empty (temperature 0, no crossings).

    Raises:
        ValueError: not two players, bad payoffs, or a general-sum game too large to enumerate.
    """
    require_normal_form(game)
    validate(game)
    zero_sum = check_enumerable(game)
    row, column = np.asarray(game.payoffs, dtype=np.float64)
    if zero_sum:
        x, y = _zero_sum(_levelled(row))
        tried = 1
    else:
        x, y, tried = (entry[0] for entry in support_equilibria(_levelled(row)[None], _levelled(column)[None]))
    return _solution(np.stack([row, column]), x, y, np.asarray(tried), game.payoffs.dtype)


def solve_two_player_batch(payoffs: np.ndarray) -> Solution:
    """Support enumeration for many small two-player games at once, on the host in float64.

    Args:
        payoffs: shape ``[*batch, 2, actions_1, actions_2]``, finite.

    Returns:
        As `solve_nash_exact`, every leaf with the batch axes, in the payoffs' dtype.
    """
    batch, shape = payoffs.shape[:-3], payoffs.shape[-2:]
    values = np.asarray(payoffs, dtype=np.float64)
    rows, columns = (_levelled(values[..., player, :, :]).reshape(-1, *shape) for player in range(2))
    x, y, tried = support_equilibria(rows, columns)
    return _solution(values, x.reshape(*batch, -1), y.reshape(*batch, -1), tried.reshape(batch), payoffs.dtype)


def _solution(payoffs: np.ndarray, x: np.ndarray, y: np.ndarray, tried: np.ndarray, dtype: np.dtype) -> Solution:
    """Host arrays with leading batch axes as a `Solution` in `dtype`."""
    gap = np.maximum(_gaps(payoffs[..., 0, :, :], payoffs[..., 1, :, :], x, y), 0)
    ranges = np.ptp(payoffs, axis=(-2, -1))
    residual = np.max(gap / np.where(ranges > 0, ranges, 1), axis=-1)
    status = np.where(residual <= 1e-8, Status.converged, Status.not_converged)  # NaN is not converged
    with np.errstate(divide="ignore"):
        log_policy = tuple(jnp.asarray(np.log(entry), dtype=dtype) for entry in (x, y))
    none = jnp.zeros(residual.shape, dtype=jnp.int32)
    return Solution(
        log_policy=log_policy,
        gap=jnp.asarray(gap, dtype=dtype),
        residual=jnp.asarray(residual, dtype=dtype),
        num_steps=jnp.asarray(tried, dtype=jnp.int32),
        status=jnp.asarray(status, dtype=jnp.int32),
        path=PathSummary(temperature=jnp.zeros(gap.shape, dtype=dtype), folds=none, bifurcations=none, crossings=none),
    )
