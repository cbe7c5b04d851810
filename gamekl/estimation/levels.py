"""Players who think a few steps ahead: level-k, and the Poisson cognitive hierarchy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, xlogy
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import action_values
from gamekl.solvers.solution import whole_number

# Actions whose values differ by less than so many eps of the largest payoff are equally good.
TIED = 64.0
MOST_LEVELS = 64

Policies = tuple[Float[Array, " _"], ...]


class CognitiveHierarchy(NamedTuple):
    """What players do who think a Poisson number of steps.

    Attributes:
        policy: of each player, averaged over its levels, ``[actions_i]``.
        levels: of each player by its level, ``[level, actions_i]``.
        shares: of the levels, shape ``[level]``.
    """

    policy: Policies
    levels: tuple[Float[Array, "level _"], ...]
    shares: Float[Array, " level"]


def level_k(game: NormalFormGame, num_levels: int, *, log_reference: Any = None) -> tuple[Float[Array, "level _"], ...]:
    """What players of level 0, 1, 2 and so on do: level k plays best against level k - 1, and level 0 the reference.

    Actions that are equally good, but for rounding errors, are played equally often.

    Args:
        game: in normal form.
        num_levels: the highest level.
        log_reference: of each player ``[actions_i]``, what `Regularizer` takes; uniform if None. Actions that it masks
            are not played at any level.

    Returns:
        Of each player its policies, ``[level, actions_i]``, level 0 first.

    Raises:
        TypeError: another kind of game.
        ValueError: references that do not fit, or a `num_levels` below 1.

    Source: Stahl and Wilson, "Experimental evidence on players' models of other players" (1994); Nagel, "Unraveling in
    guessing games" (1995).
    """
    start, best = _opening(game, log_reference)
    whole_number("num_levels", num_levels, 1)

    def think(policy: Policies, _: None) -> tuple[Policies, Policies]:
        found = best(policy)
        return found, found

    _, higher = jax.lax.scan(think, start, None, length=num_levels)
    return tuple(jnp.concatenate([first[None], rest]) for first, rest in zip(start, higher, strict=True))


def cognitive_hierarchy(
    game: NormalFormGame,
    mean: float | int | Float[Array, ""],
    *,
    num_levels: int = MOST_LEVELS,
    log_reference: Any = None,
) -> CognitiveHierarchy:
    """What players do who think a Poisson number of steps: level k plays best against all lower levels.

    It believes them to be as frequent, beside each other, as they are. Level 0 plays the reference, and actions that
    are equally good, but for rounding errors, are played equally often.

    Args:
        game: in normal form.
        mean: of the number of steps, a scalar >= 0.
        num_levels: the highest level; the shares are those of the Poisson distribution up to it, scaled to 1. With 64
            less than 1e-14 is cut off up to a mean of 20.
        log_reference: of each player ``[actions_i]``, what `Regularizer` takes; uniform if None. Actions that it masks
            are not played at any level.

    Returns:
        The policies, those of each level, and the levels' shares.

    Raises:
        TypeError: another kind of game.
        ValueError: references that do not fit, a concrete `mean` that is negative or not finite, or a `num_levels`
            below 1.

    Source: Camerer, Ho and Chong, "A cognitive hierarchy model of games" (2004), section II.
    """
    start, best = _opening(game, log_reference)
    whole_number("num_levels", num_levels, 1)
    average = jnp.asarray(mean, dtype=game.dtype)
    if average.shape != ():
        raise ValueError(f"mean: got shape {average.shape}, takes a scalar")
    if is_concrete(average) and not 0 <= float(average) < float("inf"):
        raise ValueError(f"mean: got {mean!r}, takes a number >= 0")
    steps = jnp.arange(num_levels + 1, dtype=game.dtype)
    shares = jax.nn.softmax(xlogy(steps, average) - gammaln(steps + 1))

    def think(state: tuple[Policies, Array], share: Array) -> tuple[tuple[Policies, Array], Policies]:
        lower, weight = state
        found = best(tuple(entry / weight for entry in lower))
        return (tuple(entry + share * own for entry, own in zip(lower, found, strict=True)), weight + share), found

    lowest = tuple(shares[0] * entry for entry in start)
    (total, _), higher = jax.lax.scan(think, (lowest, shares[0]), shares[1:])
    levels = tuple(jnp.concatenate([first[None], rest]) for first, rest in zip(start, higher, strict=True))
    return CognitiveHierarchy(total, levels, shares)


def _opening(game: NormalFormGame, log_reference: Any) -> tuple[Policies, Callable[[Policies], Policies]]:
    """What level 0 does, and the best answers to policies."""
    require_normal_form(game)
    anchor = Regularizer.uniform(game, 1.0) if log_reference is None else Regularizer(list(log_reference), 1.0)
    anchor.check_fits(game)
    anchor = anchor.astype(game.dtype)
    tied = TIED * jnp.finfo(game.dtype).eps * jnp.max(jnp.abs(game.payoffs))

    def best(policy: Policies) -> Policies:
        found = []
        for values, mask in zip(action_values(game, policy), anchor.masks, strict=True):
            top = jnp.max(jnp.where(mask, values, -jnp.inf))
            good = (mask & (values >= top - tied)).astype(values.dtype)
            found.append(good / jnp.sum(good))
        return tuple(found)

    return tuple(jnp.exp(entry) for entry in anchor.log_reference), best
