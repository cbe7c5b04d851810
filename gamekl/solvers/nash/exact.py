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
# A regret (`_regret`) below this is rounding, where supports are enumerated; and of any answer.
FOUND = 1e-10
CONVERGED = 1e-8


def _tables(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each player's payoffs, its own actions first: ``[..., actions_i, actions of the other]``.

    For each action of the other they are shifted to a median of 0, which changes no equilibrium, so that one huge
    payoff does not hide how the others differ.
    """
    row, column = payoffs[..., 0, :, :], np.swapaxes(payoffs[..., 1, :, :], -1, -2)
    return row - np.median(row, axis=-2, keepdims=True), column - np.median(column, axis=-2, keepdims=True)


def _values(table: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What each action brings against the other's policy, ``[..., actions_i]``."""
    return (table @ other[..., None])[..., 0]


def _regret(table: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest probability of an action times what another one brings more, over how far the two are apart.

    That is the mean size of what their payoffs differ by, so that each deviation is judged on its own scale. NaN for
    policies that are.
    """
    worst = np.where(np.isnan(_values(table, other).sum(axis=-1) + own.sum(axis=-1)), np.nan, 0.0)
    for action in range(table.shape[-2]):
        if not np.any(own[..., action] > 0):
            continue
        more = table - table[..., action : action + 1, :]
        gain, apart = _values(more, other), _values(np.abs(more), other)
        share = np.max(gain / np.where(apart > 0, apart, 1), axis=-1)
        worst = np.maximum(worst, own[..., action] * share)
    return np.asarray(worst)


def _zero_sum(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Optimal policies of a zero-sum game, by two linear programmes: max v with x^T R >= v, and min w with R y <= w."""
    row = row - np.median(row)
    sizes = np.abs(row[row != 0])
    row = row / np.median(sizes) if sizes.size else row

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
                regret = np.maximum(
                    _regret(row[open_games], here_x, here_y), _regret(column[open_games], here_y, here_x)
                )
                found = regret <= FOUND  # False for NaN
                x[open_games[found]], y[open_games[found]] = here_x[found], here_y[found]
                open_games = open_games[~found]
    return x, y, tried


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

    Zero-sum games (up to a shift) go to a linear programme, and where that is not exact enough, as where payoffs are of
    very unlike sizes, to support enumeration like others, up to about 8 x 8, where of several equilibria the one with
    the smallest support, then the lexicographically first, is returned.

    Args:
        game: of two players, concrete.

    Returns:
        A solution whose `gap` is the Nash gap, whose `residual` is the largest probability of an action times what
        another one would bring more, over the mean size of what the two's payoffs differ by, and whose `path` is empty
        (temperature 0, no crossings).

    Raises:
        ValueError: not two players, bad payoffs, or a general-sum game too large to enumerate.
    """
    require_normal_form(game)
    validate(game)
    zero_sum = check_enumerable(game)
    payoffs = np.asarray(game.payoffs, dtype=np.float64)
    if zero_sum:
        solution = _solution(payoffs, *_zero_sum(payoffs[0]), np.asarray(1), game.payoffs.dtype)
        if int(solution.status) == Status.converged or support_pairs(*game.num_actions) > MAX_SUPPORT_PAIRS:
            return solution
    row, column = _tables(payoffs)
    x, y, tried = (entry[0] for entry in support_equilibria(row[None], column[None]))
    return _solution(payoffs, x, y, np.asarray(tried), game.payoffs.dtype)


def solve_two_player_batch(payoffs: np.ndarray) -> Solution:
    """Support enumeration for many small two-player games at once, on the host in float64.

    Args:
        payoffs: shape ``[*batch, 2, actions_1, actions_2]``, finite.

    Returns:
        A `Solution` like that of `solve_nash_exact`, every leaf with the batch axes, in the payoffs' dtype.
    """
    batch = payoffs.shape[:-3]
    values = np.asarray(payoffs, dtype=np.float64)
    row, column = (table.reshape(-1, *table.shape[-2:]) for table in _tables(values))
    x, y, tried = support_equilibria(row, column)
    return _solution(values, x.reshape(*batch, -1), y.reshape(*batch, -1), tried.reshape(batch), payoffs.dtype)


def _solution(payoffs: np.ndarray, x: np.ndarray, y: np.ndarray, tried: np.ndarray, dtype: np.dtype) -> Solution:
    """Host arrays with leading batch axes as a `Solution` in `dtype`."""
    gaps, regrets = [], []
    for table, own, other in zip(_tables(payoffs), (x, y), (y, x), strict=True):
        values = _values(table, other)
        gaps.append(np.maximum(values.max(axis=-1) - (own * values).sum(axis=-1), 0))
        regrets.append(_regret(table, own, other))
    gap, residual = np.stack(gaps, axis=-1), np.maximum(*regrets)
    status = np.where(residual <= CONVERGED, Status.converged, Status.not_converged)  # NaN is not converged
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
