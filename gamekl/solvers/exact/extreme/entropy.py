"""The equilibrium of most entropy, or nearest to a reference, among all of a two-player game.

All equilibria are in maximal Nash subsets, products of a face of each player's best-response polyhedron. There the sum
of both players' entropies is largest where each one's is, so that it is a concave problem on each face; of several
subsets the best is taken. The optimal policies of a zero-sum game are one such product.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.solvers.exact.certificate import solution_of
from gamekl.solvers.exact.extreme.divergence import Nearest, nearest
from gamekl.solvers.exact.extreme.enumeration import enumerate_nash
from gamekl.solvers.exact.extreme.equilibria import NashEquilibria
from gamekl.solvers.solution import Solution

# Subsets whose best are as near as this, nats, are told apart by their order.
TIED = 1e-10


class EntropySolution(Solution):
    """An unregularised equilibrium, with how much entropy its policies have.

    Attributes:
        entropy: of each player's policy, nats.
        divergence: KL(policy || reference) of each player, nats.
        duality_gap: by how much each player's divergence may be above the least in its maximal Nash subset, nats.
    """

    entropy: Float[Array, " player"] = eqx.field(kw_only=True)
    divergence: Float[Array, " player"] = eqx.field(kw_only=True)
    duality_gap: Float[Array, " player"] = eqx.field(kw_only=True)


def _log_references(game: NormalFormGame, log_reference: Sequence[Any] | None) -> list[np.ndarray]:
    """Checked, in float64, with exponentials that sum to 1."""
    sizes = game.num_actions
    if log_reference is None:
        return [np.full(size, -np.log(size)) for size in sizes]
    given = [np.asarray(entry, dtype=np.float64) for entry in log_reference]
    shapes = [entry.shape for entry in given]
    if shapes != [(size,) for size in sizes]:
        raise ValueError(f"log_reference: got shapes {shapes}, takes {[(size,) for size in sizes]}")
    for player, entry in enumerate(given):
        if not abs(np.exp(entry).sum() - 1) < 1e-6:  # also of NaN
            got = np.exp(entry).sum()
            raise ValueError(f"log_reference[{player}]: got probabilities that sum to {got:g}, takes 1")
    return [entry - np.log(np.exp(entry).sum()) for entry in given]


def _best_of_subsets(found: NashEquilibria, references: list[np.ndarray]) -> tuple[Nearest, Nearest] | None:
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


def max_entropy_nash(
    game: NormalFormGame,
    log_reference: Sequence[Float[Array, " actions_i"]] | None = None,
    *,
    rationals: str = "simplest",
    max_vertices: int = 200_000,
) -> EntropySolution:
    """The Nash equilibrium of most entropy of a two-player game without regularisation, or the nearest to a reference.

    Of all equilibria (`enumerate_nash`) it is the one with the largest sum of both players' entropies, or, with a
    reference, the least sum of KL(policy || reference): what of several that are as good comes first there. In
    zero-sum games that is the limit of regularised equilibria as a temperature that both share goes to 0. The work is
    done on the host in float64, from sets of equilibria in rational numbers.

    Args:
        game: of two players, concrete.
        log_reference: each player's, ``[actions_i]``, logarithms of probabilities; uniform if None. Where it is -inf
            nothing is to be played.
        rationals: what payoffs stand for, as of `enumerate_nash`.
        max_vertices: as of `enumerate_nash`.

    Returns:
        A solution as of `solve_nash_exact`, which also tells the entropies, the divergences from the reference, and by
        how much they could be better; `num_steps` counts maximal Nash subsets.

    Raises:
        TypeError: another kind of game, or a traced one.
        ValueError: not two players, bad payoffs, a bad reference or one that allows no equilibrium, or a game that is
            too large.

    Source: derived here; that zero-sum games are convex, von Neumann (1928).
    """
    found = enumerate_nash(game, rationals=rationals, max_vertices=max_vertices)
    references = _log_references(game, log_reference)
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
        entropy=jnp.asarray([0 - np.sum(policy[policy > 0] * np.log(policy[policy > 0])) for policy in (x, y)], dtype),
        divergence=jnp.asarray([entry.divergence for entry in both], dtype),
        duality_gap=jnp.asarray([entry.gap for entry in both], dtype),
    )
