"""All extreme points of the correlated or coarse correlated equilibria of a small game, in rational numbers.

Joint policies x from which no deviation gains (`core.deviations`) are a polytope,

    {x >= 0 : sum x = 1, G x <= 0},

a slice through a cone. Its extreme rays are found by the double description method: of the cone x >= 0 they are the
joint actions, and rows of G are added one by one, always one that most of the rays violate.

Extreme points that are products of policies are Nash equilibria; of two players' correlated equilibria these are all of
the extreme Nash equilibria.

Source: Aumann, "Subjectivity and correlation in randomized strategies" (1974); Moulin and Vial, "Strategically
zero-sum games" (1978); Evangelista and Raghavan, "A note on correlated equilibrium" (1996).
"""

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Shaped

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_whole, validate
from gamekl.solvers.correlated.extreme.corners import CorrelatedPolytope
from gamekl.solvers.correlated.solve import check_problem
from gamekl.solvers.exact.extreme.enumeration import policies
from gamekl.solvers.exact.extreme.polyhedra import Rays, cut, in_integers
from gamekl.solvers.exact.extreme.rationals import check_reading, read_payoffs, reduced

MOST_CELLS = 256


def _gains(payoffs: Shaped[np.ndarray, "player *actions"], concept: str) -> Iterator[Shaped[np.ndarray, " joint"]]:
    """What each deviation gains at each joint action, rational numbers."""
    num_actions = payoffs.shape[1:]
    cells = np.arange(math.prod(num_actions)).reshape(num_actions)
    for player, size in enumerate(num_actions):
        own = np.moveaxis(payoffs[player], player, 0).reshape(size, -1)
        places = np.moveaxis(cells, player, 0).reshape(size, -1)
        for other in range(size):
            gains = own[other] - own
            # Of all recommendations together, or of each by itself.
            for asked in [slice(None)] if concept == "cce" else range(size):
                row = np.full(cells.size, Fraction(0))
                row[places[asked]] = gains[asked]
                yield row


def _limits(payoffs: Shaped[np.ndarray, "player *actions"], concept: str) -> list[tuple[int, ...]]:
    """The gains that may be positive, each once, as whole numbers without a common divisor."""
    rows = (in_integers(tuple(row))[0] for row in _gains(payoffs, concept) if np.any(row > 0))
    return list(dict.fromkeys(map(tuple, rows)))


def _extreme_rays(limits: Sequence[Sequence[int]], cells: int, most: int, what: str) -> Rays:
    """The extreme rays of {x >= 0 : limits @ x <= 0}; slacks are x, then those of the limits."""
    slacks = -np.array(limits, object).reshape(len(limits), cells).T
    labels = np.arange(cells + len(limits))
    rays = Rays.of(np.concatenate([np.identity(cells, int).astype(object), slacks], axis=1), labels < cells)
    while not np.all(rays.added):
        left = np.flatnonzero(~rays.added)
        violated = np.count_nonzero(rays.table[:, left] < 0, axis=0)
        rays = cut(rays, cells - 1, int(left[np.argmax(violated)]), most, what)
    return rays


def _dimension(tight: Bool[np.ndarray, "ray label"], limits: Sequence[Sequence[int]], cells: int) -> int:
    """The dimension of the polytope: one less than that of the cone, on which what is always tight are equations."""
    always: list[int] = np.flatnonzero(np.all(tight, axis=0)).tolist()
    played = [cell for cell in range(cells) if cell not in always]
    equations = [tuple(Fraction(limits[label - cells][cell]) for cell in played) for label in always if label >= cells]
    return len(played) - len(reduced(equations, len(played))[1]) - 1


def correlated_polytope(
    game: NormalFormGame, *, concept: str = "ce", rationals: str = "simplest", max_vertices: int = 10_000
) -> CorrelatedPolytope:
    """All extreme points of the correlated ("ce") or coarse correlated ("cce") equilibria, in rational numbers.

    The equilibria are the mixtures of these. The work is done on the host, in whole numbers of any size: nothing is
    missed and nothing is there twice, degenerate games included.

    Args:
        game: of any number of players, concrete, of at most 256 joint actions.
        concept: "ce", no player gains by an action in place of a recommended one; or "cce", by one in place of all.
        rationals: what its payoffs stand for, "simplest" or "exact", as `enumerate_nash` takes it.
        max_vertices: most extreme points while the deviations are added one by one.

    Raises:
        TypeError: another kind of game, or a traced one.
        ValueError: an option is not known, payoffs are bad, or the game is too large: it names what there was too much
            of.
    """
    check_problem(game, concept, 0.0)
    if not is_concrete(game):
        raise TypeError("game: got traced arrays, takes concrete ones: extreme points are enumerated on the host")
    validate(game)
    check_reading(rationals)
    check_whole(max_vertices=max_vertices)
    cells = math.prod(game.num_actions)
    if cells > MOST_CELLS:
        raise ValueError(f"game: got {cells:,} joint actions, takes at most {MOST_CELLS}")
    payoffs = read_payoffs(np.asarray(game.payoffs).reshape(game.num_players, cells), rationals)
    table = np.array(payoffs, object).reshape(game.num_players, *game.num_actions)
    limits = _limits(table, concept)
    what = f"extreme {'correlated' if concept == 'ce' else 'coarse correlated'} equilibria"
    rays = _extreme_rays(limits, cells, max_vertices, what)
    found = sorted(policies(rays.table[:, :cells], range(len(rays.table))), reverse=True)
    vertices = tuple(policy for _, policy, _ in found)
    dimension = _dimension(rays.tight, limits, cells)
    return CorrelatedPolytope(concept, payoffs, game.num_actions, vertices, dimension)
