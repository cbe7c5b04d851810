"""First-order rules of the family that learns from preferences.

As in `rules`, u = log pi - log pi0 is the drift, q values in nats and a = eta tau, where eta is a step size in nats per
payoff unit. The rules were proposed for one policy that plays against itself in a symmetric preference game; each is
written here for any number of players, and says what it is known to do, and where. Of zero-sum games, and of payoffs
that are preferences (which moves values by at most 1/2 in l1-sup norm):

    rule       drift after a round                                       what it comes to
    MMD        (u + a q) / (1 + a)                                       anchored equilibrium, KL falls by 1 / (1 + a)
    INPO       (1 - b) u + b q, b = eta tau: MMD with a = b / (1 - b)    likewise
    NashMD     w + a q(w), w = (1 - a) u                                 a bias that falls with the step
    EGPO       (1 - a) u + a q(h), h = (1 - a) u + a q                   anchored equilibrium, KL falls by 1 - a
    NashMP     (u + a q(h)) / (1 + a), h = (u + a q) / (1 + a)           anchored equilibrium, KL falls by 1 / (1 + a)
    SPO        u + a q                                                   averages of play: unregularised equilibrium
    ONPO       v + a q after v <- v + a q                                averages of play: unregularised equilibrium
    MNPO       mean of the others' log-policies, + a q                   averages of play, of equal players
    MPO        MMD towards a magnet that is moved to u every so often    unregularised equilibrium

MMD itself is in `rules.anchored`; rates of the KL are derived, theory G. Nothing is known where payoffs are
general-sum, beyond `gamekl.gamd`'s averages.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Int

from gamekl.core.games import OneShotGame
from gamekl.core.policies import is_concrete
from gamekl.solvers.play.products import AnchoredGame, Play, Profiles
from gamekl.solvers.play.rules.anchored import Proven, Stepped, falling

Rounds = Int[Array, " lane"]


def _slowing(temperature: Array, round: Array) -> Array:
    return 2 / (temperature * (round + 2))


def _slow(temperature: Array, start: ArrayLike, rounds: ArrayLike) -> Array:
    del start
    return 8 / (temperature**2 * (jnp.asarray(rounds, temperature.dtype) + 1))


class NashMD(Stepped):
    """Nash mirror descent: a step from the geometric mixture with the reference, against that mixture.

    With a constant step it keeps a bias (derived, theory G). With steps 2 / (tau (t + 2)) the KL to the equilibrium is
    at most 8 / (tau^2 (T + 1)), which is recalled, and very loose.

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Munos et al., "Nash Learning from Human Feedback" (arXiv 2312.00886).
    """

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with steps 2 / (tau (t + 2)), and the bound that is recalled of it (theory G)."""
        tau = jnp.asarray(temperature, float)
        return Proven(cls(jax.tree_util.Partial(_slowing, tau)), jax.tree_util.Partial(_slow, tau))

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift after a step from the mixture, and what was played."""
        pace = self.pace(game, round)
        mixed = (1 - pace) * drift
        return mixed + pace * game.play(mixed).values, game.play(drift)


class INPO(Stepped):
    """Iterative Nash policy optimisation: mirror descent on the regularised loss.

    It is `gamekl.rules.MMD` with the step eta / (1 - eta tau) (derived, theory G).

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Zhang et al. (arXiv 2407.00617). The step size is the inverse of the paper's eta'.
    """

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with steps 4 tau / (1 + 4 tau^2), by which the KL falls by 1 / (1 + 4 tau^2) a round (theory G)."""
        kept = 1 / (1 + 4 * jnp.square(temperature))
        return falling(cls(4 * temperature * kept), kept)

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift (1 - a) u + a q after a round, a = eta tau, and what was played."""
        play, pace = game.play(drift), self.pace(game, round)
        return (1 - pace) * drift + pace * play.values, play


class EGPO(Stepped):
    """Extragradient preference optimisation: the second of two steps from one place, against the first.

    In preference games the KL to the equilibrium falls by 1 - eta tau a round for eta <= 1 / (tau + 3) (derived, theory
    G).

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Zhou, Fazel and Du (arXiv 2503.08942).
    """

    evaluations = 2

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with steps 1 / (tau + 3), by which the KL falls by 1 - tau / (tau + 3) a round (theory G)."""
        step_size = 1 / (jnp.asarray(temperature, float) + 3)
        return falling(cls(step_size), 1 - step_size * temperature)

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift (1 - a) u + a q(h) after a round, a = eta tau and h the first step's end, and what was played."""
        play, pace = game.play(drift), self.pace(game, round)
        base = (1 - pace) * drift
        return base + pace * game.again().play(base + pace * play.values).values, play


class NashMP(Stepped):
    """Nash mirror prox: two proximal steps from one place, the second against the first.

    In preference games the KL to the equilibrium falls by 1 / (1 + eta tau) a round for eta <= 1 / L = 2 (derived,
    theory G).

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Tiapkin et al., "Accelerating Nash Learning from Human Feedback via Mirror Prox" (arXiv 2505.19731).
    """

    evaluations = 2

    @classmethod
    def proven(cls, temperature: ArrayLike) -> Proven:
        """The rule with steps 2, by which the KL falls by 1 / (1 + 2 tau) a round (theory G)."""
        return falling(cls(2.0), 1 / (1 + 2 * jnp.asarray(temperature, float)))

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift (u + a q(h)) / (1 + a), with a = eta tau and h the first step's end, and what was played."""
        play, pace = game.play(drift), self.pace(game, round)
        half = (drift + pace * play.values) / (1 + pace)
        return (drift + pace * game.again().play(half).values) / (1 + pace), play


class SPO(Stepped):
    """Multiplicative weights against oneself, without an anchor; where it starts is all that the reference is for.

    The averages of T rounds have a gap of the order sqrt(log A / T), A being how many actions there are (theory G); the
    rounds themselves may go round in circles, or away.

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Swamy et al. (arXiv 2401.04056) and Wu et al., SPPO (arXiv 2405.00675).
    """

    anchored = False

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift u + a q after a round, a = eta tau, and what was played."""
        play = game.play(drift)
        return drift + self.pace(game, round) * play.values, play


class Optimistic(NamedTuple):
    """The state of `ONPO`: the sum of all steps so far, and with the last one repeated."""

    summed: Profiles
    drift: Profiles


class ONPO(Stepped):
    """Optimistic multiplicative weights: the last values count twice.

    The averages of T rounds have a gap of the order log A / T, A being how many actions there are.

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Zhang et al. (arXiv 2502.16852).
    """

    anchored = False

    def init(self, game: AnchoredGame) -> Optimistic:
        """No steps yet: the references are played."""
        return Optimistic(*[super().init(game)] * 2)

    def step(self, game: AnchoredGame, state: Optimistic, round: Rounds, /) -> tuple[Optimistic, Play]:
        """The state after a round, with the last step counted twice, and what was played."""
        play = game.play(state.drift)
        moved = self.pace(game, round) * play.values
        summed = state.summed + moved
        return Optimistic(summed, summed + moved), play


class MNPO(Stepped):
    """Multiplayer preference optimisation: each goes on from the geometric mean of the others' policies.

    The step is by the mean value against them. It is for players who are alike; between two it is `SPO`.

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.

    Source: Wu et al., "Multiplayer Nash Preference Optimization" (arXiv 2509.23102).
    """

    anchored = False

    def check_fits(self, game: OneShotGame) -> None:
        """Raise ``ValueError`` unless all players have equally many actions."""
        if len(set(game.num_actions)) > 1:
            raise ValueError(f"game: got actions {game.num_actions}, takes players with the same actions for MNPO")

    def step(self, game: AnchoredGame, drift: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The drift after a round, the mean of the others' log-policies + a q with a = eta tau, and what was played."""
        play = game.play(drift)
        logits = jnp.where(game.mask, game.log_reference + drift, 0)
        others = (logits.sum(axis=0) - logits) / max(len(logits) - 1, 1) if len(logits) > 1 else logits
        level = jnp.where(game.mask, others - game.log_reference, 0)
        return level + self.pace(game, round) * play.values, play


class Magnetic(NamedTuple):
    """The state of `MPO`: the drift, and the magnet's."""

    drift: Profiles
    magnet: Profiles


class MPO(Stepped):
    """Anchored mirror descent whose reference is moved to where it is, after every so many rounds.

    Each equilibrium of the inner game is nearer to an unregularised one of the zero-sum game than the magnet was.

    Attributes:
        step_size: eta, nats per payoff unit, a number or an optax schedule of the round counted from 0.
        magnet_rounds: between two moves, a whole number >= 1.

    Source: Wang et al., "Magnetic Preference Optimization" (arXiv 2410.16714) and Liu et al., COMAL (arXiv 2410.23223).
    """

    magnet_rounds: Int[Array, ""] = eqx.field(converter=jnp.asarray)

    anchored = False

    def __check_init__(self) -> None:
        if is_concrete(self.magnet_rounds) and not np.all(np.asarray(self.magnet_rounds) >= 1):
            raise ValueError(f"magnet_rounds: got {self.magnet_rounds}, takes a whole number >= 1")

    def init(self, game: AnchoredGame) -> Magnetic:
        """The references as policy and as magnet."""
        return Magnetic(*[super().init(game)] * 2)

    def step(self, game: AnchoredGame, state: Magnetic, round: Rounds, /) -> tuple[Magnetic, Play]:
        """The state after a step towards the magnet, which every `rounds` rounds is moved, and what was played."""
        play, pace = game.play(state.drift), self.pace(game, round)
        drift = (state.drift + pace * (state.magnet + play.values)) / (1 + pace)
        return Magnetic(drift, jnp.where(round % self.magnet_rounds == 0, drift, state.magnet)), play
