"""The equilibrium of most entropy, or nearest to a reference, among all of a two-player game; of more the path's limit.

All equilibria are in maximal Nash subsets, products of a face of each player's best-response polyhedron. There the sum
of both players' entropies is largest where each one's is, so that it is a concave problem on each face; of several
subsets the best is taken. The optimal policies of a zero-sum game are one such product.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import entr

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, check_profile, is_concrete
from gamekl.core.validation import validate
from gamekl.solvers.driver import Device, in_chunks, with_rows
from gamekl.solvers.exact.certificate import check_batch, check_two_players, is_zero_sum, solution_of
from gamekl.solvers.exact.extreme.divergence import Nearest, nearest
from gamekl.solvers.exact.extreme.enumeration import enumerate_two_players
from gamekl.solvers.exact.extreme.equilibria import NashEquilibria
from gamekl.solvers.exact.extreme.polyhedra import TooLargeError
from gamekl.solvers.exact.many.limit import limit_of_path
from gamekl.solvers.exact.optimal import EntropySolution, Given, optima_of_batch, optima_of_game
from gamekl.solvers.exact.vertices import num_lanes
from gamekl.solvers.solution import Status, raise_unless_all_converged

# A zero-sum game with more vertices is not enumerated.
MOST_EXACT = 20_000
# Subsets whose best are as near as this, nats, are told apart by their order.
TIED = 1e-10


def _best_of_subsets(found: NashEquilibria, references: Sequence[np.ndarray]) -> tuple[Nearest, Nearest] | None:
    """The policies of both players nearest to the references; None if all are infinitely far."""
    row, column = found.payoffs
    earned = column, tuple(zip(*row, strict=True))
    known: dict[tuple[int, tuple[int, ...]], Nearest | None] = {}

    def of_player(player: int, numbers: tuple[int, ...]) -> Nearest | None:
        key = player, numbers
        if key not in known:
            vertices = [found.vertices[player][number] for number in numbers]
            known[key] = nearest(vertices, earned[player], references[player])
        return known[key]

    played = [np.array([[share > 0 for share in vertex] for vertex in own]) for own in found.vertices]

    def bound(subset: Any) -> float:
        """No policy on these actions is nearer."""
        used = (np.any(own[list(numbers)], axis=0) for own, numbers in zip(played, subset.vertices, strict=True))
        weights = (np.exp(log_weights[here]).sum() for log_weights, here in zip(references, used, strict=True))
        return -sum(float(np.log(weight)) if weight else -np.inf for weight in weights)

    bounds = list(map(bound, found.subsets))
    best = np.inf
    reached: dict[int, tuple[float, tuple[Nearest, Nearest]]] = {}
    for number in sorted(range(len(bounds)), key=bounds.__getitem__):
        if bounds[number] > best + TIED or np.isinf(bounds[number]):
            break
        first, second = (of_player(player, own) for player, own in enumerate(found.subsets[number].vertices))
        if first is not None and second is not None:
            total = first.divergence + second.divergence
            reached[number] = total, (first, second)
            best = min(best, total)
    return next((both for _, (total, both) in sorted(reached.items()) if total <= best + TIED), None)


def _enumerated(
    game: NormalFormGame, references: Sequence[np.ndarray], rationals: str, max_vertices: int
) -> EntropySolution:
    """From all equilibria; `references` are logarithms.

    A game that is zero-sum to rounding is taken for one: its equilibria are not to fall apart.
    """
    row = game.payoffs[0]
    exact = NormalFormGame(jnp.stack([row, -row])) if is_zero_sum(np.asarray(game.payoffs)) else game
    found = enumerate_two_players(exact, rationals, max_vertices)
    both = _best_of_subsets(found, references)
    if both is None:
        raise ValueError("log_reference: got one whose actions have no equilibrium of this game, takes one that has")
    payoffs = np.asarray(game.payoffs)
    x, y = (entry.policy for entry in both)
    solution = solution_of(payoffs.astype(np.float64), x, y, np.asarray(len(found.subsets)), payoffs.dtype)
    dtype = payoffs.dtype
    return EntropySolution(
        log_policy=solution.log_policy,
        gap=solution.gap,
        residual=solution.residual,
        num_steps=solution.num_steps,
        status=solution.status,
        path=solution.path,
        entropy=jnp.asarray([np.sum(entr(policy)) for policy in (x, y)], dtype),
        divergence=jnp.asarray([entry.divergence for entry in both], dtype),
        duality_gap=jnp.asarray([entry.gap for entry in both], dtype),
    )


def max_entropy_nash(
    game: NormalFormGame,
    log_reference: Profile | None = None,
    *,
    rationals: str = "simplest",
    max_vertices: int = 200_000,
) -> EntropySolution:
    """The Nash equilibrium of most entropy of two players without regularisation, or the nearest to a reference.

    Of all equilibria it is the one with the largest sum of both players' entropies, or, with a reference, the least sum
    of KL(policy || reference). In zero-sum games that is the limit of regularised equilibria as a temperature that both
    players share goes to 0.

    Of a concrete game all equilibria are enumerated on the host (`enumerate_nash`), so that it is exact to rounding; of
    several that are as good the first is returned. Where a zero-sum game has more than `MOST_EXACT` vertices, and under
    ``jax.jit`` and ``jax.vmap``, where the game must be zero-sum, it is found in lanes to some 1e-9 nats
    (`max_entropy_nash_batch`), and the status is to be looked at.

    Of three and more players, where that one is not known, it is the limit of the logit path from the reference as a
    temperature that all share goes to 0, a `PathLimit`: the path's last point, solved for on its support without a
    temperature, with a certified epsilon. It is not proven to have most entropy, and may have less than others.

    Args:
        game: of two players; concrete if of more.
        log_reference: each player's, ``[actions_i]``, logarithms of probabilities; uniform if None. Where it is -inf
            nothing is to be played.
        rationals: what payoffs stand for, as of `enumerate_nash`.
        max_vertices: as of `enumerate_nash`.

    Returns:
        A solution as of `solve_nash_exact`, which also tells the entropies, the divergences from the reference, and by
        how much they could be better. `num_steps` counts maximal Nash subsets, or pivots and steps; there `residual` is
        the Nash gap over the payoffs' range, and `Status.invalid_input` says that a game was not zero-sum. Of more
        players a `PathLimit`.

    Raises:
        TypeError: another kind of game.
        ValueError: one player, or more than two of a traced game; of a concrete game also bad payoffs, a bad reference
            or one that allows no equilibrium, or too large a game.

    Source: derived here; that zero-sum games are convex, von Neumann (1928).
    """
    require_normal_form(game)
    several = game.num_players > 2 and is_concrete(game, log_reference)
    if not several:
        check_two_players(game)
    references = _references(log_reference, game.num_actions, ())
    given = Given(game.payoffs, references)
    if not is_concrete(given):
        return optima_of_game(jax.tree.map(lambda leaf: jnp.asarray(leaf, game.dtype), given))
    validate(game)
    hosted = [np.asarray(entry, dtype=np.float64) for entry in references]
    if several:
        return limit_of_path(game, hosted, rationals)
    if not is_zero_sum(np.asarray(game.payoffs)):
        return _enumerated(game, hosted, rationals, max_vertices)
    try:
        return _enumerated(game, hosted, rationals, min(max_vertices, MOST_EXACT))
    except TooLargeError:
        return jax.tree.map(lambda leaf: leaf[0], _in_chunks(jax.tree.map(lambda leaf: np.asarray(leaf)[None], given)))


def _references(log_reference: Profile | None, num_actions: Sequence[int], stage: tuple[int, ...]) -> Any:
    if log_reference is None:
        log_reference = [np.full((*stage, size), -math.log(size)) for size in num_actions]
    return check_profile("log_reference", log_reference, num_actions, log=True, stage=stage)


def _solve_chunk(payoffs: Any, first: Any, second: Any) -> EntropySolution:
    return optima_of_batch(Given(payoffs, (first, second)))


def _in_chunks(given: Given, devices: Sequence[Device] | None = None) -> EntropySolution:
    """Of zero-sum games with a leading axis, in numpy's arrays."""
    batch = given.payoffs, *given.log_reference
    return in_chunks(_solve_chunk, batch, lambda platform: num_lanes(platform, given.payoffs), devices, True)


def max_entropy_nash_batch(
    games: NormalFormGame,
    log_reference: Profile | None = None,
    *,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> EntropySolution:
    """The Nash equilibrium of most entropy, or the nearest to a reference, of each of a batch of two-player games.

    It works on concrete arrays, from the host, in float64. Zero-sum games are solved in lanes: the policies may lose
    1e-10 of the payoffs' range, and gain or lose some 1e-9 nats by it. All other games, and those that rounding spoils,
    go one by one to `max_entropy_nash`.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        log_reference: each player's, ``[batch, actions_i]``; uniform if None.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise if a game was not solved. Otherwise `EntropySolution.status` tells, for each game.

    Returns:
        The solutions, in the payoffs' dtype; every leaf has the leading axis.

    Raises:
        TypeError: the games are traced.
        ValueError: their shape, or that of the references, is not that of a batch of two-player games.
        SolveError: (``throw``) a game was not solved.
    """
    check_batch(games, "max_entropy_nash")
    batch, _, *num_actions = games.payoffs.shape
    references = _references(log_reference, num_actions, (batch,))
    given = jax.tree.map(np.asarray, Given(games.payoffs, references))
    solutions = _in_chunks(given, devices)
    for row in np.flatnonzero(~np.isin(solutions.status, (Status.converged, Status.nonfinite_input))):
        payoffs, hosted = jax.tree.map(lambda leaf, row=row: leaf[row], given)
        try:
            found = _enumerated(NormalFormGame(payoffs), hosted, "simplest", MOST_EXACT)
        except ValueError:  # the status says that there is no answer
            continue
        solutions = with_rows(solutions, row, found)
    if throw:
        raise_unless_all_converged(solutions)
    return jax.device_put(solutions)
