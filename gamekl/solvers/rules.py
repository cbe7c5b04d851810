"""First-order rules: how a player's next policy follows from the values that its actions have had.

Logits are kept as the drift from the log-reference, u in log pi = log pi0 + u + const, and values q in nats (payoffs
over temperature), so that temperatures appear in step sizes only. A rule has `init` and `step`; `solvers.loop` is the
only loop over them.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.anchored import AnchoredGame, Play, Profiles

WEIGHTINGS = ("uniform", "linear")


class Rule(eqx.Module):
    """A first-order method."""

    def init(self, game: AnchoredGame) -> Profiles:
        """The drift before the first round: none, the references are played."""
        return jnp.zeros_like(game.log_reference)

    @abstractmethod
    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"]) -> tuple[Profiles, Play]:
        """The drift after a round, which is counted from 1, and what was played in it."""


class DualAveraging(Rule):
    """Anchored mirror descent whose steps sum up to weights w_t: with W_t = w_1 + ... + w_t and a unit more,

        uniform   w_t = 1, steps 1 / (tau t):    log pi^t = log pi0 + sum_{s<t} q^s / t + const
        linear    w_t = t:                       log pi^t = log pi0 + sum_{s<t} s q^s / (t (t + 1) / 2) + const

    which is smoothed fictitious play (derived, MATH B1 and B2).
    """

    weighting: str = eqx.field(static=True)

    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"]) -> tuple[Profiles, Play]:
        play = game.play(drift)
        time = round.astype(drift.dtype)
        if self.weighting == "uniform":
            return (time * drift + play.values) / (time + 1), play
        return (time * drift + 2 * time / (time + 1) * play.values) / (time + 2), play


class MirrorDescent(Rule):
    """Anchored mirror descent: pi^{t+1} = argmax <q^t, p> - KL(p || pi0) - KL(p || pi^t) / (eta tau).

    Attributes:
        step_size: the round, counted from 0, to eta, nats per payoff unit; an optax schedule.
    """

    step_size: Callable[[Float[Array, " lane"]], Any]

    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"]) -> tuple[Profiles, Play]:
        play = game.play(drift)
        pace = (jnp.asarray(self.step_size((round - 1).astype(drift.dtype)), drift.dtype) * game.temperature)[:, None]
        return (drift + pace * play.values) / (1 + pace), play


def mirror_descent(step_size: float | Float[Array, ""] | Callable[..., Any]) -> MirrorDescent:
    """The rule for a number, which may be traced, or for a schedule."""
    if callable(step_size):
        return MirrorDescent(jax.tree_util.Partial(step_size))
    return MirrorDescent(jax.tree_util.Partial(_constant, jnp.asarray(step_size, float)))


def _constant(step_size: Array, round: Array) -> Array:
    del round
    return step_size
