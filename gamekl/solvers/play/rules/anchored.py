"""First-order rules: how a player's next policy follows from the values that its actions have had.

Logits are kept as the drift from the log-reference, u in log pi = log pi0 + u + const, and values q in nats (payoffs
over temperature), so that temperatures appear in step sizes only. A rule has `init` and `step`, and tells how its
rounds are to be averaged and what is known of the average; `solvers.play.loop` is the only loop over rules.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.games import OneShotGame
from gamekl.core.policies import is_concrete, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import show
from gamekl.solvers.play.products import AnchoredGame, Play, Profiles

WEIGHTINGS = ("uniform", "linear")


def as_schedule(step_size: ArrayLike | Callable[..., Any]) -> Callable[..., Any]:
    """A step size as a schedule that is a pytree, be it a number or a schedule of optax.

    Raises:
        ValueError: the number is not positive.
    """
    if isinstance(step_size, jax.tree_util.Partial):  # in another one its arrays would no longer be leaves
        return step_size
    if callable(step_size):
        return jax.tree_util.Partial(step_size)
    if np.ndim(step_size) or jnp.result_type(step_size).kind not in "fiu":
        raise ValueError(f"step_size: got {step_size!r}, takes a number > 0 or a schedule; jax.vmap takes several")
    if is_concrete(step_size) and not 0 < float(np.asarray(step_size)) < np.inf:
        raise ValueError(f"step_size: got {step_size!r}, takes a finite number > 0 or a schedule")
    return jax.tree_util.Partial(_constant, jnp.asarray(step_size, float))


def _constant(step_size: Array, round: Array) -> Array:
    del round
    return step_size


class Proven(NamedTuple):
    """A rule with steps for which a rate is proven where two players' payoffs are preferences.

    Attributes:
        rule: the method.
        kl: from the KL of the start from the equilibrium and the rounds made, to what that KL is at most; nats.
    """

    rule: "Rule"
    kl: Callable[[Any, Any], Array]
    __repr__ = show


def falling(rule: "Rule", factor: ArrayLike) -> Proven:
    """The rule as `Proven`, with a KL that falls by a factor in every round."""
    return Proven(rule, jax.tree_util.Partial(_falling, jnp.asarray(factor, float)))


def _falling(factor: Array, start: ArrayLike, rounds: ArrayLike) -> Array:
    return jnp.asarray(start) * factor ** jnp.asarray(rounds, factor.dtype)


class Rule(eqx.Module):
    """A first-order method, by which each player's next policy follows from what its actions have earned.

    Attributes:
        weighting: of its rounds, one of `WEIGHTINGS`.
        evaluations: how often it asks for values in a round.
        anchored: whether it heads for the anchored equilibrium; else the reference is only where it begins.
    """

    evaluations: ClassVar[int] = 1
    anchored: ClassVar[bool] = True

    weighting: str = eqx.field(static=True, default="uniform", kw_only=True)

    def init(self, game: AnchoredGame) -> Any:
        """The state before the first round, by default a drift: none, the references are played."""
        return jnp.zeros_like(game.log_reference)

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with the steps of its proof, where payoffs are preferences, which are in [0, 1].

        Args:
            temperature: preference per nat.

        Returns:
            The rule, and the bound on its KL from the equilibrium (theory G).

        Raises:
            ValueError: nothing is proven of how single rounds approach the anchored equilibrium.
        """
        del temperature
        raise ValueError(f"rule: got {cls.__name__}, of whose single rounds nothing is proven; takes another")

    @abstractmethod
    def step(self, game: AnchoredGame, state: Any, round: Int[Array, " lane"], /) -> tuple[Any, Play]:
        """The state after a round, which is counted from 1, and what was played in it."""

    def check_fits(self, game: OneShotGame) -> None:
        """Raise ``ValueError`` where the method makes no sense for a game of this shape."""
        del game

    def bound(
        self, span: Float[Array, " player"], regularizer: Regularizer, rounds: Int[Array, "*rounds 1"]
    ) -> Float[Array, "*rounds player"] | None:
        """A bound on that gap of the averaged joint policy that this rule makes small, payoff units, or None.

        Args:
            span: each player's payoff range R_i.
            regularizer: of the game that is played, unbatched.
            rounds: how many there were.
        """
        del span, regularizer, rounds
        return None


class DualAveraging(Rule):
    """Respond to what the actions have earned so far, averaged with weights and anchored to the reference.

    With weights w_t of the rounds and values q in nats,

        log pi^t = log pi0 + sum_{s<t} w_s q^s / W_t + const,      W_t = w_1 + ... + w_t

        uniform   w_t = 1, W_t = t                 smoothed fictitious play: mirror descent with steps 1 / (tau t)
        linear    w_t = t, W_t = t (t + 1) / 2     a play of its own

    (derived, theory B1). The bound is on the regularised coarse gap (theory B2).
    """

    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"], /) -> tuple[Profiles, Play]:
        """The drift after a round, by a running mean, and what was played."""
        play = game.play(drift)
        time = round.astype(drift.dtype)
        if self.weighting == "uniform":
            return drift + (play.values - drift) / (time + 1), play
        return drift + (time / (time + 1) * play.values - drift) * (2 / (time + 2)), play

    def bound(self, span: Array, regularizer: Regularizer, rounds: Array) -> Array:
        """The bound on the regularised coarse gap after these rounds, payoff units (theory B2)."""
        time, curvature = rounds.astype(span.dtype), span**2 / regularizer.temperatures
        return curvature * ((1 + jnp.log(time)) / (8 * time) if self.weighting == "uniform" else 1 / (2 * (time + 1)))


class MultiplicativeWeights(Rule):
    """Multiplicative weights (Hedge) with falling steps, without an anchor.

    With eta_t = 2 sqrt(L_i / t) / R_i and L_i = -log min pi0_i, log pi^t = log pi0 + eta_t sum_{s<t} q^s + const.
    Whoever plays so has an unregularised coarse gap of at most R_i sqrt(L_i / T) after T rounds: L_i / eta_T for the
    best action, and eta_t R_i^2 / 8 for each round (derived; the classic argument for Hedge with falling step sizes).

    Attributes:
        pace: tau_i sqrt(t) eta_t, shape ``[player]``.
    """

    anchored = False

    pace: Float[Array, "*lane player"]

    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"], /) -> tuple[Profiles, Play]:
        """The drift after a round, and what was played."""
        play = game.play(drift)
        time = round.astype(drift.dtype)
        return (jnp.sqrt(time) * drift + self.pace.T[:, None] * play.values) / jnp.sqrt(time + 1), play

    def bound(self, span: Array, regularizer: Regularizer, rounds: Array) -> Array:
        """The bound R_i sqrt(L_i / T) on the coarse gap after T rounds, payoff units."""
        return span * jnp.sqrt(_surprise(regularizer) / rounds.astype(span.dtype))


def _surprise(regularizer: Regularizer) -> Float[Array, " player"]:
    """The greatest surprise, -log of the least positive probability, of each reference."""
    return jnp.stack([jnp.max(jnp.where(support(entry), -entry, 0)) for entry in regularizer.log_reference])


class Stepped(Rule):
    """A rule with step sizes.

    Attributes:
        step_size: the round, counted from 0, to eta, nats per payoff unit; an optax schedule, or made from a number.

    Raises:
        ValueError: a number that is not positive.
    """

    step_size: Callable[[Float[Array, " lane"]], Any] = eqx.field(converter=as_schedule)

    def pace(self, game: AnchoredGame, round: Int[Array, " lane"]) -> Float[Array, "player 1 lane"]:
        """The number eta tau of this round, by which a step is measured in nats."""
        rounds = (round - 1).astype(game.log_reference.dtype)
        return (jnp.asarray(self.step_size(rounds), rounds.dtype) * game.temperature)[:, None]


class MMD(Stepped):
    """Anchored mirror descent: pi^{t+1} = argmax <q^t, p> - KL(p || pi0) - KL(p || pi^t) / (eta tau), q in nats.

    In monotone games the KL to the equilibrium falls by 1 / (1 + eta tau) a round where eta <= tau / L^2; preferences
    have L = 1/2 (derived, theory G).

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Raises:
        ValueError: a number that is not positive.

    Source: Sokota et al., magnetic mirror descent (arXiv 2206.05825).
    """

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with steps 4 tau, by which the KL falls by 1 / (1 + 4 tau^2) a round (theory G)."""
        return falling(cls(4 * temperature), 1 / (1 + 4 * jnp.square(temperature)))

    def step(self, game: AnchoredGame, drift: Profiles, round: Int[Array, " lane"], /) -> tuple[Profiles, Play]:
        """The drift (u + a q) / (1 + a) after a round, a = eta tau, and what was played."""
        play = game.play(drift)
        pace = self.pace(game, round)
        return (drift + pace * play.values) / (1 + pace), play


def anchored(weighting: str, step_size: float | Float[Array, ""] | Callable[..., Any] | None) -> Rule:
    """Anchored mirror descent: the play that belongs to the weighting, or with step sizes of one's own.

    Raises:
        ValueError: there is no such weighting, or the step size is not positive.
    """
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting: got {weighting!r}, takes one of {', '.join(map(repr, WEIGHTINGS))}")
    return DualAveraging(weighting=weighting) if step_size is None else MMD(step_size, weighting=weighting)


def hedge(span: Float[Array, " player"], regularizer: Regularizer) -> MultiplicativeWeights:
    """Multiplicative weights for players whose payoffs have ranges `span`."""
    flat = span <= 0
    pace = 2 * jnp.sqrt(_surprise(regularizer)) * regularizer.temperatures / jnp.where(flat, 1, span)
    return MultiplicativeWeights(jnp.where(flat, 0, pace))
