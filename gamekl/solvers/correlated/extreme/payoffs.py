"""What two players can earn: all joint policies, coarse correlated, correlated and Nash equilibria, and their picture.

matplotlib is loaded when a figure is drawn.
"""

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.names import Names
from gamekl.solvers.correlated.extreme.corners import CorrelatedPolytope, Point, convex_hull
from gamekl.solvers.correlated.extreme.polytope import correlated_polytope
from gamekl.solvers.exact.extreme.enumeration import enumerate_two_players
from gamekl.solvers.exact.extreme.equilibria import NashEquilibria

FIGURES = (".svg", ".pdf", ".png")


class PayoffSpace(NamedTuple):
    """Sets of payoffs of two players, payoff units; polygons by their corners, counterclockwise.

    Attributes:
        names: of players and actions.
        outcomes: what each joint action earns, the second player's action changing fastest.
        hull: what joint policies earn.
        coarse: what coarse correlated equilibria earn.
        correlated: what correlated equilibria earn.
        nash: what the extreme Nash equilibria earn.
        mixed: whether some of these may be mixed, so that there are more.
        pure: of each joint action, whether it is a Nash equilibrium.
    """

    names: Names
    outcomes: Float[np.ndarray, "joint player"]
    hull: Float[np.ndarray, "corner player"]
    coarse: Float[np.ndarray, "corner player"]
    correlated: Float[np.ndarray, "corner player"]
    nash: Float[np.ndarray, "equilibrium player"]
    mixed: bool
    pure: Bool[np.ndarray, " joint"]

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the joint actions."""
        return tuple(map(", ".join, itertools.product(*self.names.actions)))


def _corners(points: tuple[Point, ...]) -> Float[np.ndarray, "corner player"]:
    return np.array(points, dtype=np.float64)


def payoff_space(
    names: Names, correlated: CorrelatedPolytope, coarse: CorrelatedPolytope, nash: NashEquilibria
) -> PayoffSpace:
    """What two players can earn, from their equilibria of each kind."""
    outcomes = tuple(zip(*correlated.payoffs, strict=True))
    # Each pure equilibrium is an extreme one.
    pure = np.zeros(correlated.num_actions, dtype=bool)
    for first, second in nash.rational_policies:
        if max(first) == max(second) == 1:
            pure[first.index(Fraction(1)), second.index(Fraction(1))] = True
    return PayoffSpace(
        names=names,
        outcomes=np.array(outcomes, dtype=np.float64),
        hull=_corners(convex_hull(outcomes)),
        coarse=_corners(coarse.polygon),
        correlated=_corners(correlated.polygon),
        nash=np.unique(nash.values, axis=0),
        mixed=any(len(own) > 1 for subset in nash.subsets for own in subset.vertices),
        pure=pure.ravel(),
    )


def payoff_figure(
    game: NormalFormGame,
    path: str | Path | None = None,
    *,
    names: Names | None = None,
    rationals: str = "simplest",
    max_vertices: int = 10_000,
) -> Any:
    """The picture of what two players can earn in equilibria of each kind, one player's payoff against the other's.

    It has the payoffs of all joint actions and their hull, the polygons of coarse correlated and of correlated
    equilibria, and the extreme Nash equilibria. Of players with two actions each the two polygons are one.

    Args:
        game: of two players, concrete; small enough for `correlated_polytope`.
        path: where to write it as .svg, .pdf or .png; None not to.
        names: of players and actions; the game's own, or numbers, if None.
        rationals: what its payoffs stand for, as `enumerate_nash` takes it.
        max_vertices: as `correlated_polytope` takes it.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        TypeError: another kind of game, or a traced one.
        ValueError: not two players, bad payoffs, too large a game, names that do not fit, or no such kind of file.
    """
    require_normal_form(game)
    if game.num_players != 2:
        raise ValueError(f"game: got {game.num_players} players, takes 2")
    if path is not None and Path(path).suffix.lower() not in FIGURES:
        raise ValueError(f"path: got {path}, takes a file that ends in .svg, .pdf or .png")
    names = game.names or Names.of_numbers(game.num_actions) if names is None else names
    names.check(game.num_actions)
    correlated, coarse = (
        correlated_polytope(game, concept=concept, rationals=rationals, max_vertices=max_vertices)
        for concept in ("ce", "cce")
    )
    space = payoff_space(names, correlated, coarse, enumerate_two_players(game, rationals, max_vertices))
    from gamekl.solvers.correlated.extreme.panel import draw_payoffs

    return draw_payoffs(space, None if path is None else Path(path))
