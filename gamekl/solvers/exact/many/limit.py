"""Where the logit path leads as the temperature goes to 0, for any number of players."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.special import entr, rel_entr

from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.exact.certificate import no_path
from gamekl.solvers.exact.many.candidates import Candidate, judged, read_game
from gamekl.solvers.exact.many.exactly import ExactGame
from gamekl.solvers.exact.many.indifference import Supports, from_roots, system_of, whole
from gamekl.solvers.exact.many.roots import System, newton, solve_least_squares
from gamekl.solvers.exact.optimal import EntropySolution
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.solution import Solution, Status

# Temperatures to which the path is followed, of the least range of a player's payoffs: the first at which it ends well.
ENDS = (1e-5, 1e-4, 1e-3)
# Shares below which an action may be out of the limit's support, and how far from the path's end the limit may be.
SHARES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
NEAR = 0.05
# What a player may gain in an equilibrium, of the payoffs' range.
CONVERGED = 1e-8


class PathLimit(EntropySolution):
    """The limit of the logit path as the temperature goes to 0, which is not proven to be of most entropy.

    It is what the path's last point, at `path.temperature`, comes to when it is solved for on its support without a
    temperature. That the path goes nowhere else below that temperature is not proven.

    Attributes:
        epsilon: what a player could gain at most, payoff units, rounded up: it is an epsilon-equilibrium.
        regular: whether it is proven that one equilibrium is where this is, and that it is isolated and stays while
            payoffs change a little.
        distance: the most that a share differs by from that of the path's last point.
    """

    epsilon: Float[Array, ""] = eqx.field(kw_only=True)
    regular: Bool[Array, ""] = eqx.field(kw_only=True)
    distance: Float[Array, ""] = eqx.field(kw_only=True)


def solution_at(game: NormalFormGame, policy: Sequence[np.ndarray], rationals: str, num_steps: int) -> Solution:
    """A profile of policies as a `Solution`, in the payoffs' dtype."""
    payoffs = np.asarray(game.payoffs)
    return _solution(game, judged(read_game(payoffs, rationals), policy, np.inf, False), num_steps)


def _solution(game: NormalFormGame, found: Candidate, num_steps: int) -> Solution:
    size = float(np.max(np.ptp(np.asarray(game.payoffs, np.float64).reshape(game.num_players, -1), axis=1)))
    residual = found.epsilon / (size or 1)
    gap = jnp.asarray(found.gaps, game.dtype)
    with np.errstate(divide="ignore"):
        log_policy = tuple(jnp.asarray(np.log(own), game.dtype) for own in found.policy)
    return Solution(
        log_policy=log_policy,
        gap=gap,
        residual=jnp.asarray(residual, game.dtype),
        num_steps=jnp.asarray(num_steps, jnp.int32),
        status=jnp.asarray(Status.converged if residual <= CONVERGED else Status.not_converged, jnp.int32),
        path=no_path(gap),
    )


def _on_support(
    game: ExactGame, differences: Sequence[np.ndarray], end: Sequence[np.ndarray], least: float
) -> list[Candidate]:
    """The equilibria near the path's end on the actions that have at least so much of a share there."""
    num_actions = tuple(map(len, end))
    support: Supports = tuple(tuple(np.flatnonzero(own >= min(least, own.max())).tolist()) for own in end)
    start = [own[list(actions)][None] for own, actions in zip(end, support, strict=True)]
    start = tuple(own / own.sum() for own in start)
    systems, one = System(system_of(differences, support)[None]), np.zeros(1, int)
    if systems.num_unknowns == 0:
        pure = whole([own[0] for own in start], support, num_actions)
        return [judged(game, pure, 0.0, bool(systems.tables.max(initial=-np.inf) < 0))]
    found = list(from_roots(game, newton(systems, one, start), [support], num_actions))
    found = [entry for entry in found if np.isfinite(entry.error)]
    if not found:  # Of a set of equilibria the nearest one.
        near = [own[0] for own in solve_least_squares(systems, one, start)]
        if min(float(own.min()) for own in near) > 0:
            found = [judged(game, whole(near, support, num_actions), np.inf, False)]
    return found


def _upward(value: float, dtype: jnp.dtype) -> np.ndarray:
    """The least number of a dtype that is not below a value."""
    rounded = np.asarray(value, dtype)
    return np.asarray(np.nextafter(rounded, np.asarray(np.inf, dtype)) if float(rounded) < value else rounded)


class PathEnd(NamedTuple):
    """The end of a path.

    Attributes:
        path: the solution at the lowest temperature.
        last: its policies.
        best: the equilibrium without a temperature that is near to them; `last` if none was found.
    """

    path: Solution
    last: Candidate
    best: Candidate


def end_of_path(game: NormalFormGame, exact: ExactGame, log_reference: Sequence[np.ndarray]) -> PathEnd:
    """Follow the logit path to a low temperature, and look for the equilibrium there."""
    ranges = np.ptp(np.asarray(game.payoffs, np.float64).reshape(game.num_players, -1), axis=1)
    size = np.min(ranges[ranges > 0], initial=np.max(ranges) or 1)

    def follow(temperature: float) -> Solution:
        refine = "float64" if game.dtype != jnp.float64 else None
        regularizer = Regularizer([np.asarray(own, game.dtype) for own in log_reference], game.dtype.type(temperature))
        return solve_nash(game, regularizer, refine=refine, throw=False)

    paths = (follow(share * size) for share in ENDS)
    path = next((path for path in paths if int(path.status) == Status.converged), None) or follow(size)
    end = [np.asarray(own, np.float64) for own in path.policy]
    differences = [exact.differences(player) for player in range(game.num_players)]
    last = judged(exact, [own / own.sum() for own in end], np.inf, False)
    found = [entry for least in SHARES for entry in _on_support(exact, differences, last.policy, least)]
    good = [entry for entry in found if entry.epsilon <= CONVERGED * np.max(ranges) and entry.away(last) <= NEAR]
    return PathEnd(path, last, min(good, key=lambda entry: (not entry.regular, entry.away(last)), default=last))


def limit_of_path(game: NormalFormGame, log_reference: Sequence[np.ndarray], rationals: str) -> PathLimit:
    """The limit of the logit path from a reference, with a temperature that all players share, as it goes to 0.

    Args:
        game: concrete, any number of players.
        log_reference: each player's, ``[actions_i]``.
        rationals: what payoffs stand for, as of `enumerate_nash`.
    """
    exact = read_game(np.asarray(game.payoffs), rationals)
    path, last, best = end_of_path(game, exact, log_reference)
    if game.dtype != jnp.float64:  # what is returned is rounded, and judged as it is
        with np.errstate(divide="ignore"):
            rounded = [np.exp(np.log(own).astype(game.dtype).astype(np.float64)) for own in best.policy]
        best = judged(exact, rounded, best.error, best.regular)
    solution = _solution(game, best, int(path.num_steps))
    entropy = np.array([np.sum(entr(own)) for own in best.policy])
    divergence = jnp.asarray(
        [np.sum(rel_entr(own, np.exp(weights))) for own, weights in zip(best.policy, log_reference, strict=True)],
        game.dtype,
    )
    return PathLimit(
        log_policy=solution.log_policy,
        gap=solution.gap,
        residual=solution.residual,
        num_steps=solution.num_steps,
        status=solution.status,
        path=path.path,
        entropy=jnp.asarray(entropy, game.dtype),
        divergence=divergence,
        # No policy is nearer than 0.
        duality_gap=divergence,
        epsilon=jnp.asarray(_upward(best.epsilon, game.dtype)),
        regular=jnp.asarray(best.regular),
        distance=jnp.asarray(best.away(last), game.dtype),
    )
