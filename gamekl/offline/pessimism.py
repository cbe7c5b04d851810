"""Pessimism as an edit of an estimate: what is not known well is made worse, and the solver stays the same.

With r_hat_i(a) the estimate of a cell seen N(a) times, and sigma a reward's standard deviation,

    lower confidence bound    r_hat_i(a) - c sigma / sqrt(max(N(a), 1))        for every player i.

Solved as a KL-regularised game this is "LCB inside the KL game". Its regularised gap falls as 1/n like that of the
plain estimate, with a larger constant, as the gap is of second order in any shift of the payoffs of order 1/sqrt(n)
(derived, theory A4 and A8): with the plain estimate's D_i / (2 tau_i), behavior mu and the true equilibrium pi,

    n E[gap_i] -> D_i / (2 tau_i) + c^2 / (2 tau_i) Var_{a_i ~ pi_i}( E_{a_-i ~ pi_-i} sigma / sqrt(mu(a)) ).
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_nonnegative
from gamekl.offline.regression import Estimate


def check_estimate(estimate: Any) -> None:
    """Raise ``TypeError`` unless `estimate` is an `Estimate` of a game that has a table of counts."""
    if not isinstance(estimate, Estimate):
        raise TypeError(f"estimate: got {type(estimate).__name__}, takes an Estimate (offline.estimate makes it)")
    if not isinstance(estimate.game, NormalFormGame | ContextualGame | MarkovGame):
        takes = "a NormalFormGame, ContextualGame or MarkovGame"
        raise TypeError(f"estimate.game: got {type(estimate.game).__name__}, takes {takes}")
    expected = (*estimate.game.stage_shape, *estimate.game.num_actions)
    if estimate.counts.shape != expected:
        raise ValueError(f"estimate.counts: got shape {estimate.counts.shape}, takes [*stage, *actions] = {expected}")


def as_range(payoff_range: Any, game: Any) -> tuple[Float[Array, " player"], Float[Array, " player"]]:
    """What payoffs may be: the lowest and the highest of each player, shape ``[player]``, in the game's dtype.

    Args:
        payoff_range: (low, high), each a number or one for each player.
        game: gives the players and the dtype.

    Raises:
        ValueError: it is no such pair, or (where concrete) not finite, or a low above its high.
    """
    takes = f"(low, high), each a number or one for each of {game.num_players} players, low <= high"
    if not (hasattr(payoff_range, "__len__") and len(payoff_range) == 2):
        raise ValueError(f"payoff_range: got {payoff_range!r}, takes {takes}")
    if any(np.shape(end) not in ((), (game.num_players,)) for end in payoff_range):
        raise ValueError(f"payoff_range: got shapes {[np.shape(end) for end in payoff_range]}, takes {takes}")
    if is_concrete(*payoff_range):
        low, high = (np.asarray(end, dtype=float) for end in payoff_range)
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
            raise ValueError(f"payoff_range: got {payoff_range!r}, takes {takes}, finite")
    low, high = (jnp.broadcast_to(jnp.asarray(end, dtype=game.dtype), (game.num_players,)) for end in payoff_range)
    return low, high


def lower_confidence(estimate: Estimate, scale: ArrayLike, noise: ArrayLike = 1.0) -> Estimate:
    """The estimate with scale * noise / sqrt(max(N, 1)) taken off every player's payoff in each cell.

    In a Markov game it is taken off the rewards, once at each step. It may be transformed by ``jax.jit`` and
    ``jax.vmap``, with `scale` and `noise` traced.

    Args:
        estimate: of a normal-form, contextual or Markov game.
        scale: how many standard deviations of a cell's mean to take off, c of the module's formula; 0 changes nothing.
        noise: standard deviation of a reward, payoff units.

    Returns:
        An `Estimate` of the same shapes, with the same counts.

    Raises:
        TypeError: `estimate` is no `Estimate`.
        ValueError: `scale` or `noise` is no number, or (where concrete) negative or not finite.

    Source: lower confidence bounds of cells, in the KL-regularised game; its rate is derived, theory A4 and A8.
    """
    check_estimate(estimate)
    check_nonnegative(scale=scale, noise=noise)
    game = estimate.game
    width = jnp.asarray(scale, dtype=game.dtype) * jnp.asarray(noise, dtype=game.dtype)
    bonus = width / jnp.sqrt(jnp.maximum(estimate.counts, 1)).astype(game.dtype)
    lowered = game.table - jnp.expand_dims(bonus, game.stage_axes)
    field = "rewards" if isinstance(game, MarkovGame) else "payoffs"
    return eqx.tree_at(lambda edited: getattr(edited.game, field), estimate, lowered)
