"""Nash equilibria of three and more players, profile of supports by profile of supports."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.solvers.exact.extreme.polyhedra import TooLargeError
from gamekl.solvers.exact.many.candidates import Candidate, judged, read_game
from gamekl.solvers.exact.many.cells import Cells, roots_of
from gamekl.solvers.exact.many.exactly import ExactGame
from gamekl.solvers.exact.many.found import FoundEquilibria
from gamekl.solvers.exact.many.indifference import Supports, from_roots, system_of, whole
from gamekl.solvers.exact.many.limit import end_of_path
from gamekl.solvers.exact.many.roots import System, solve_least_squares
from gamekl.solvers.exact.many.supports import num_profiles, supports

# Most cells of one profile of supports that are looked at; and of those that are left, how many are tried.
MOST_CELLS = 200_000
TRIED = 8
# What a player may gain in a candidate of which nothing is proven, of the payoffs' range; and how far apart, in some
# share, those are that stand for a set of equilibria.
GOOD = 1e-9
SPREAD = 0.25


def _from_cells(
    game: ExactGame,
    systems: System,
    cells: Cells,
    profiles: Sequence[Supports],
    num_actions: Sequence[int],
    size: float,
) -> Iterator[Candidate]:
    """Candidates in cells of which nothing is known, from some of each system's."""
    for system in np.unique(cells.system):
        here = np.flatnonzero(cells.system == system)
        some = cells.of(here[np.unique(np.linspace(0, len(here) - 1, TRIED).astype(int))])
        policy = solve_least_squares(systems, some.system, tuple(own.mean(axis=1) for own in some.corners))
        kept: list[Candidate] = []
        for number in range(len(some.system)):
            shares = [own[number] for own in policy]
            if min(float(own.min()) for own in shares) >= -GOOD:
                found = judged(game, whole(shares, profiles[system], num_actions), np.inf, False)
                if found.epsilon <= GOOD * size and all(found.away(other) > SPREAD for other in kept):
                    kept.append(found)
        yield from kept


def _merged(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Candidates that differ, those that are proven or better first."""
    kept: list[Candidate] = []
    for one in sorted(candidates, key=lambda one: (not one.regular, one.exact is None, one.error, one.epsilon)):
        if not any(map(one.is_like, kept)):
            kept.append(one)
    return kept


def enumerate_supports(game: NormalFormGame, rationals: str, max_supports: int) -> FoundEquilibria:
    """What `enumerate_nash` finds of three or more players.

    Raises:
        TooLargeError: more profiles of supports than that.
    """
    payoffs = np.asarray(game.payoffs)
    num_actions = payoffs.shape[1:]
    count = num_profiles(num_actions)
    if count > max_supports:
        raise TooLargeError(f"max_supports: got a game of {count:,} profiles of supports, takes {max_supports:,}")
    exact = read_game(payoffs, rationals)
    # Tables of floats have the order of those of rational numbers.
    tables = [np.moveaxis(np.asarray(table), player, 0) for player, table in enumerate(payoffs)]
    by_sizes: dict[tuple[int, ...], list[Supports]] = {}
    for support in supports(tables):
        by_sizes.setdefault(tuple(map(len, support)), []).append(support)
    differences = [exact.differences(player) for player in range(len(payoffs))]
    size = float(np.max(np.ptp(payoffs.reshape(len(payoffs), -1), axis=1)))
    candidates: list[Candidate] = []
    unsettled: list[Supports] = []
    for sizes, profiles in by_sizes.items():
        systems = System(np.stack([system_of(differences, support) for support in profiles]))
        if max(sizes) == 1:
            # All rows are numbers, and their signs are exact.
            worse = systems.tables.max(axis=tuple(range(1, systems.tables.ndim)), initial=-np.inf)
            for number in np.flatnonzero(worse <= 0):
                pure = whole([np.ones(1)] * len(sizes), profiles[number], num_actions)
                candidates.append(judged(exact, pure, 0.0, bool(worse[number] < 0)))
            continue
        roots, cells = roots_of(systems, MOST_CELLS)
        candidates += from_roots(exact, roots, profiles, num_actions)
        candidates += _from_cells(exact, systems, cells, profiles, num_actions, size)
        unsettled += [profiles[number] for number in np.unique(cells.system)]
    if unsettled:
        uniform = [np.full(size, -math.log(size)) for size in num_actions]
        end = end_of_path(game, exact, uniform)
        candidates += [end.best] if end.best is not end.last else []
    return _collected(candidates, num_actions, sum(map(len, by_sizes.values())), unsettled)


def _collected(
    candidates: Sequence[Candidate], num_actions: Sequence[int], num_supports: int, unsettled: Sequence[Supports]
) -> FoundEquilibria:
    """The result, with equilibria in an order that follows from the policies."""
    ordered = sorted(_merged(candidates), key=lambda one: tuple(map(float, np.concatenate(one.policy))), reverse=True)
    policy = [np.array([one.policy[player] for one in ordered]) for player in range(len(num_actions))]
    return FoundEquilibria(
        policy=tuple(own.reshape(-1, size) for own, size in zip(policy, num_actions, strict=True)),
        fractions=tuple(one.exact for one in ordered),
        epsilon=np.array([one.epsilon for one in ordered]),
        error=np.array([one.error for one in ordered]),
        regular=np.array([one.regular for one in ordered], dtype=bool),
        values=np.array([one.values for one in ordered]).reshape(-1, len(num_actions)),
        num_supports=num_supports,
        unsettled=tuple(unsettled),
    )
