"""Unregularised Nash equilibria: the baseline that pays 1/sqrt(n).

One concrete game of two players is solved on the host: zero-sum by linear programming, others by support enumeration
where they are small. Batches, traced games and larger ones are solved by pivots in lanes (`exact.vertices`). Of more
players it is where the logit path leads (`exact.many`).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.validation import validate
from gamekl.solvers.driver import Device, in_chunks, with_rows
from gamekl.solvers.exact.certificate import check_batch, check_two_players, is_zero_sum, solution_of
from gamekl.solvers.exact.extreme.entropy import max_entropy_nash
from gamekl.solvers.exact.extreme.enumeration import enumerate_two_players
from gamekl.solvers.exact.many.enumerate import enumerate_supports
from gamekl.solvers.exact.many.found import FoundEquilibria
from gamekl.solvers.exact.many.limit import solution_at
from gamekl.solvers.exact.programme import optimal_on_host
from gamekl.solvers.exact.supports import solve_by_supports, support_pairs
from gamekl.solvers.exact.vertices import Finder, num_lanes, pivots, solve_games, solve_traced, zero_sum
from gamekl.solvers.solution import Solution, Status, raise_unless_all_converged

# Supports are enumerated up to this for one game, and for each game of a batch that pivots did not solve.
MAX_SUPPORT_PAIRS = 200_000
FEW_SUPPORT_PAIRS = 20_000
# Where all equilibria are looked for.
MOST_VERTICES, MOST_SUPPORTS = 200_000, 10_000
# First labels that are tried, where the path from one does not end in an equilibrium to rounding.
MOST_LABELS = 8


def is_enumerable(game: NormalFormGame) -> bool:
    """Whether a game has few enough supports to try them all."""
    return support_pairs(*game.num_actions) <= MAX_SUPPORT_PAIRS


def _by_supports(game: NormalFormGame) -> Solution:
    if game.num_players > 2:
        return _of_several(game, lambda found, number: -sum(int(np.sum(own[number] > 0)) for own in found.policy))
    if not is_enumerable(game):
        pairs = support_pairs(*game.num_actions)
        raise ValueError(
            f"which: got smallest_support for {pairs:,} pairs of supports, takes it to {MAX_SUPPORT_PAIRS:,}"
        )
    return solve_by_supports(np.asarray(game.payoffs))


def _by_path(game: NormalFormGame) -> Solution:
    check_two_players(game)
    return jax.tree.map(lambda leaf: leaf[0], _solve_rows(np.asarray(game.payoffs)[None], pivots, None))


def _by_welfare(game: NormalFormGame) -> Solution:
    if game.num_players > 2:
        return _of_several(game, lambda found, number: float(np.sum(found.values[number])))
    found = enumerate_two_players(game, "simplest", MOST_VERTICES)
    best = max(range(len(found)), key=lambda number: sum(found.rational_values[number]))
    payoffs = np.asarray(game.payoffs)
    x, y = (policy[best] for policy in found.policy)
    return solution_of(payoffs.astype(np.float64), x, y, np.asarray(len(found)), payoffs.dtype)


def _of_several(game: NormalFormGame, worth: Callable[[FoundEquilibria, int], float]) -> Solution:
    """Of those that are found of three and more players the first of most worth."""
    found = enumerate_supports(game, "simplest", MOST_SUPPORTS)
    if not len(found):
        raise ValueError("game: got one of which no equilibrium was found by supports, takes it with which='any'")
    best = max(range(len(found)), key=lambda number: worth(found, number))
    return solution_at(game, [own[best] for own in found.policy], "simplest", len(found))


CHOICES = {
    "smallest_support": _by_supports,
    "lemke_howson": _by_path,
    "max_entropy": max_entropy_nash,
    "max_welfare": _by_welfare,
}


def solve_nash_exact(game: NormalFormGame, *, which: str = "any") -> Solution:
    """An unregularised Nash equilibrium.

    Of two players, with ``which="any"``, it is at a vertex. A concrete game is solved on the host in float64. Zero-sum
    games (up to a shift) go to a linear programme, and where that is not exact enough, as where payoffs are of very
    unlike sizes, to support enumeration like others, up to about 9 x 9, where of several equilibria the one with the
    smallest support, then the lexicographically first, is returned. Of larger games it is the one at the end of the
    Lemke-Howson path that drops the row player's first action, or, if rounding spoilt that one's end, one of the next.

    Under ``jax.jit`` and ``jax.vmap`` zero-sum games are solved by the simplex method, and all in which its answer is
    no equilibrium of both players' payoffs by that path: `solve_nash_exact_batch` does the same for concrete games. The
    status is to be looked at there. There are no derivatives.

    Of three and more players, in concrete games only, "any" is the limit of the logit path from uniform play, a
    `PathLimit` (`max_entropy_nash`), and others are chosen among what `enumerate_nash` finds.

    Args:
        game: of two players; concrete if of more.
        which: which one to find. "any": as above, what is quickest. "smallest_support": of those with as many actions
            in both supports the one with the fewest, then the lexicographically first; of more players the one with the
            fewest in all supports. "lemke_howson": the one at the end of the path; two players only. "max_entropy":
            `max_entropy_nash`. "max_welfare": of all (`enumerate_nash`) the one with the largest sum of payoffs. All
            but "any" take a concrete game.

    Returns:
        A solution whose `gap` is the Nash gap, whose `residual` is the largest probability of an action times what
        another one would bring more, over the mean size of what the two's payoffs differ by, and whose `path` is empty
        (temperature 0, no crossings). Its `status` is `Status.converged` where the residual is at most 1e-8 (4e-6
        where jax's x64 mode is off in a traced game). Of more players `residual` is the largest gap over the payoffs'
        range.

    Raises:
        TypeError: a traced game with another choice than "any".
        ValueError: one player, or more than two of a traced game or for "lemke_howson"; bad payoffs in a concrete game,
            or too large a game for the choice.
    """
    require_normal_form(game)
    if game.num_players < 3 or not is_concrete(game):
        check_two_players(game)
    if which != "any" and which not in CHOICES:
        raise ValueError(f"which: got {which!r}, takes one of {', '.join(map(repr, ['any', *CHOICES]))}")
    if not is_concrete(game):
        if which != "any":
            raise TypeError(f"which: got {which!r} for a traced game, takes 'any'")
        return solve_traced(game.payoffs)
    validate(game)
    if which != "any":
        return CHOICES[which](game)
    if game.num_players > 2:
        return max_entropy_nash(game)
    payoffs = np.asarray(game.payoffs)
    enumerable = is_enumerable(game)
    if is_zero_sum(payoffs):
        values = payoffs.astype(np.float64)
        solution = solution_of(values, *optimal_on_host(values[0]), np.asarray(1), payoffs.dtype)
        if int(solution.status) == Status.converged or not enumerable:
            return solution
    if enumerable:
        return solve_by_supports(payoffs)
    return solve_two_player_batch(payoffs)


def _solve_chunk(
    payoffs: Float[Array, "game player actions_1 actions_2"], dropped: Int[Array, " game"], find: Finder
) -> Solution:
    return solve_games(find, payoffs, dropped)


def _failed(solutions: Solution) -> Int[np.ndarray, " game"]:
    return np.flatnonzero(np.asarray(solutions.status) == Status.not_converged)


def _solve_rows(payoffs: np.ndarray, find: Finder, devices: Sequence[Device] | None) -> Solution:
    """Solutions by one method, from other labels where the first one's path spoils, else one by one on the host."""

    def solve(payoffs: np.ndarray, label: int) -> Solution:
        batch = payoffs, np.full(len(payoffs), label, dtype=np.int32)
        return in_chunks(_solve_chunk, batch, lambda platform: num_lanes(platform, payoffs), devices, True, find=find)

    solutions = solve(payoffs, 0)
    for label in range(1, min(MOST_LABELS, payoffs.shape[2]) if find is pivots else 1):
        failed = _failed(solutions)
        if not len(failed):
            return solutions
        solutions = with_rows(solutions, failed, solve(payoffs[failed], label))
    if support_pairs(*payoffs.shape[2:]) <= FEW_SUPPORT_PAIRS or find is zero_sum:
        for row in _failed(solutions):
            solutions = with_rows(solutions, row, solve_nash_exact(NormalFormGame(jnp.asarray(payoffs[row]))))
    return solutions


def solve_two_player_batch(
    payoffs: Float[np.ndarray, "*batch 2 actions_1 actions_2"], devices: Sequence[Device] | None = None
) -> Solution:
    """What `solve_nash_exact_batch` finds, of payoffs with any batch axes, which every leaf of the solutions has."""
    *batch, _, first, second = payoffs.shape
    payoffs = payoffs.reshape(-1, 2, first, second)
    finite = np.asarray(np.all(np.isfinite(payoffs), axis=(1, 2, 3)))
    simple = is_zero_sum(np.where(finite[:, None, None, None], payoffs, 0))
    simple = np.where(finite, simple, bool(np.all(simple | ~finite)))  # what has no answer needs no program of its own
    rows, others = np.flatnonzero(simple), np.flatnonzero(~simple)
    if not len(others):
        solutions = _solve_rows(payoffs, zero_sum, devices)
    else:
        solutions = _solve_rows(payoffs if not len(rows) else payoffs[others], pivots, devices)
        if len(rows):
            blank = jax.tree.map(lambda leaf: np.zeros((len(payoffs), *leaf.shape[1:]), leaf.dtype), solutions)
            solutions = with_rows(blank, others, solutions)
            solutions = with_rows(solutions, rows, _solve_rows(payoffs[rows], zero_sum, devices))
    return jax.device_put(jax.tree.map(lambda leaf: np.reshape(leaf, (*batch, *leaf.shape[1:])), solutions))


def solve_nash_exact_batch(
    games: NormalFormGame, *, devices: Sequence[Device] | None = None, throw: bool = False
) -> Solution:
    """An unregularised Nash equilibrium of each of a batch of two-player games, on every processor or device.

    It works on concrete arrays, from the host, in float64 whatever jax's mode; inside of ``jit``,
    ``jax.vmap(solve_nash_exact)`` does. Zero-sum games are solved by the simplex method, others of any size by
    complementary pivoting: of several equilibria that at the end of the path that drops the row player's first action.
    So in general-sum games it need not be the equilibrium that `solve_nash_exact` finds of a single small game. What
    pivots do not solve to rounding, as where payoffs are of very unlike sizes, goes to `solve_nash_exact`.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise if a game was not solved. Otherwise `Solution.status` tells, for each game.

    Returns:
        The solutions, in the payoffs' dtype; every leaf has the leading axis. `num_steps` counts pivots.

    Raises:
        TypeError: the games are traced.
        ValueError: their shape is not that of a batch of two-player games.
        SolveError: (``throw``) a game was not solved.

    Source: Dantzig (1951); Lemke and Howson, "Equilibrium points of bimatrix games" (1964).
    """
    check_batch(games, "solve_nash_exact")
    solutions = solve_two_player_batch(np.asarray(games.payoffs), devices)
    if throw:
        raise_unless_all_converged(solutions)
    return solutions
