"""Learning a game while playing it, by one optimistic objective and an equilibrium oracle (MAMEX).

In round k = 1..K, for each pure joint policy a and player i,

    U_i^k(a) = sup_{f in F} V_{i,f}^a - eta L_i^{k-1}(f, a),        pi^k in EQ(U^k),

where F holds hypotheses of the game, V_{i,f}^a is what i earns by a if f is true, L the loss of f on what was seen, and
EQ one equilibrium of the game that pays U^k: Nash, correlated or coarse correlated (`solvers.correlated.pivots`). One
joint policy drawn from pi^k is played, and what happens is added to what was seen (`online.loop`, where regret is
defined). (Algorithm: arXiv 2310.06243, by its reviews. Classes of hypotheses and what their suprema come to:
`online.tables`, `online.models` and `online.values`.)

Hypotheses may fall into blocks that neither share payoffs nor pay together but by addition, as contexts do: then every
block has an equilibrium of its own, and all of them together are one of the whole.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.platforms import CPU, Platform, by_platform
from gamekl.core.policies import is_concrete
from gamekl.online.loop import Learner, Planned, check_concept, drawn
from gamekl.solvers.correlated.follow import Vertex, follow, nowhere, table_size
from gamekl.solvers.correlated.pivots import gains_of, oracle

Payoffs = Float[Array, "block player *choices"]
Joint = Float[Array, "block *choices"]
# Most pure joint policies that are enumerated, where no other limit is given.
LARGEST_SET = 10_000
# Dictionaries of so many entries are followed from round to round, one run after another; smaller ones are made anew,
# for many runs side by side.
FOLLOWED_FROM = 1_000


def every_policy(num_actions: Sequence[int], num_stages: int) -> tuple[Int[Array, "policy stage"], ...]:
    """Every pure policy of each player: its action in each stage, the last stage's changing fastest."""
    found = (np.indices((size,) * num_stages).reshape(num_stages, -1).T for size in num_actions)
    return tuple(jnp.asarray(entry, int) for entry in found)


class Hypotheses(eqx.Module):
    """A class F of hypotheses of a game, and the true game, from which is drawn what happens.

    A choice is a pure policy of a player in a block; every block has the same players and choices.
    """

    @property
    @abstractmethod
    def truth(self) -> Payoffs:
        """What pure joint policies earn in the true game, V_i^a, shape ``[block, player, *choices]``, payoff units."""

    @property
    def teaches_one_cell(self) -> bool:
        """Whether what happens after a choice changes nothing but the payoffs of that choice."""
        return False

    @abstractmethod
    def begin(self) -> Any:
        """What was seen before the first round: nothing."""

    @abstractmethod
    def optimistic(self, seen: Any, eta: Float[Array, ""]) -> Payoffs:
        """The optimistic payoffs sup_f V_{i,f}^a - eta L_i(f, a), up to a constant of each block and player."""

    @abstractmethod
    def fitted(self, seen: Any) -> Payoffs:
        """The payoffs V_{i,f}^a for the hypothesis f of least loss."""

    @abstractmethod
    def observe(self, key: Array, seen: Any, choice: Int[Array, "block player"]) -> Any:
        """Play one joint policy in the true game, and add what happens to what was seen."""


class Rule(eqx.Module):
    """How the payoffs whose equilibrium is played follow from what was seen."""

    @abstractmethod
    def payoffs(self, hypotheses: Hypotheses, seen: Any) -> Payoffs:
        """The payoffs of the game to be solved."""

    @abstractmethod
    def mix(self, joint: Joint) -> Joint:
        """What is played in place of that game's equilibrium."""


class Optimism(Rule):
    """The rule of MAMEX: play the equilibrium of the optimistic payoffs U.

    Attributes:
        eta: what a unit of loss costs, payoff units; > 0. May be traced.

    Raises:
        ValueError: `eta` is not a finite number > 0.

    Source: arXiv 2310.06243, by its reviews.
    """

    eta: Array

    def __init__(self, eta: ArrayLike) -> None:
        if np.shape(eta) or (is_concrete(eta) and not 0 < np.asarray(eta, dtype=float) < np.inf):
            raise ValueError(f"eta: got {eta!r}, takes a finite number > 0")
        self.eta = jnp.asarray(eta, float)

    def payoffs(self, hypotheses: Hypotheses, seen: Any) -> Payoffs:
        """The optimistic payoffs U of the hypotheses."""
        return hypotheses.optimistic(seen, self.eta.astype(hypotheses.truth.dtype))

    def mix(self, joint: Joint) -> Joint:
        """The equilibrium itself."""
        return joint


class Greed(Rule):
    """The rule without optimism, for comparison: play the equilibrium of the hypothesis of least loss.

    With some probability a uniform joint policy is played in its place.

    Attributes:
        exploration: that probability: 0 is greedy, 1 explores uniformly throughout. May be traced.

    Raises:
        ValueError: `exploration` is no number from 0 to 1.
    """

    exploration: Array

    def __init__(self, exploration: ArrayLike = 0.0) -> None:
        if is_concrete(exploration) and not np.all(np.abs(np.asarray(exploration, dtype=float) - 0.5) <= 0.5):
            raise ValueError(f"exploration: got {exploration!r}, takes a number from 0 to 1")
        self.exploration = jnp.asarray(exploration, float)

    def payoffs(self, hypotheses: Hypotheses, seen: Any) -> Payoffs:
        """The payoffs for the hypothesis of least loss."""
        return hypotheses.fitted(seen)

    def mix(self, joint: Joint) -> Joint:
        """The equilibrium, mixed with uniform play by `exploration`."""
        part = self.exploration.astype(joint.dtype)
        return (1 - part) * joint + part * len(joint) / joint.size


def step_size(num_rounds: ArrayLike, noise: ArrayLike) -> Float[Array, ""]:
    """The price of loss eta = 1 / (2 noise sqrt(K)), by which the bonus of N visits is noise sqrt(K) / (2 N).

    That bonus is 1 / (4 eta N), in classes whose losses are squares of payoffs, for which this is; where they are
    log-likelihoods, as of `FiniteModels`, eta has the payoffs' unit: about 1 / (2 sqrt(K)) where they are in [0, 1].

    Args:
        num_rounds: K, > 0. May be traced.
        noise: standard deviation of a reward, payoff units, > 0; where there is none, the root of what its variance may
            be taken for.

    Returns:
        A scalar, one over payoff units.

    Raises:
        ValueError: a number that is not above 0.
    """
    for name, value in (("num_rounds", num_rounds), ("noise", noise)):
        if is_concrete(value) and not np.all(np.asarray(value, dtype=float) > 0):
            raise ValueError(f"{name}: got {value!r}, takes a number > 0")
    return 1 / (2 * jnp.asarray(noise, float) * jnp.sqrt(jnp.asarray(num_rounds, float)))


def _follow_blocks(known: Vertex, payoffs: Payoffs) -> tuple[Vertex, Joint]:
    """The equilibria of all blocks; on CPUs one after another, as most of them are as they were."""
    if len(payoffs) == 1:
        return jax.tree.map(lambda leaf: leaf[None], follow(*jax.tree.map(lambda leaf: leaf[0], (known, payoffs))))

    def found(platform: Platform, known: Vertex, payoffs: Payoffs) -> tuple[Vertex, Joint]:
        if platform is CPU:
            return jax.lax.map(lambda block: follow(*block), (known, payoffs))
        return jax.vmap(follow)(known, payoffs)

    return by_platform(found, known, payoffs)


class Mamex(Learner):
    """A learner that plays an equilibrium of what a rule makes of a class of hypotheses.

    Attributes:
        hypotheses: the class, and the true game.
        rule: `Optimism` or `Greed`.
        concept: "nash" (two players; of several equilibria the one to which Lemke and Howson's path leads), "ce" or
            "cce" (those of greatest welfare). Static.

    Raises:
        TypeError: `hypotheses` or `rule` is of another kind.
        ValueError: the concept is not known, or not for so many players.

    Source: arXiv 2310.06243, by its reviews.
    """

    hypotheses: Hypotheses
    rule: Rule
    concept: str = eqx.field(static=True, default="cce")

    def __check_init__(self) -> None:
        for name, kind in (("hypotheses", Hypotheses), ("rule", Rule)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name}: got {type(getattr(self, name)).__name__}, takes a {kind.__name__}")
        check_concept(self.concept, self.hypotheses.truth.shape[1])

    @property
    def plans_in_turn(self) -> bool:
        """Whether equilibria are followed from round to round: one run's dictionary leaves no room for others'."""
        sizes = self.hypotheses.truth.shape[2:]
        return self.concept == "ce" and self.hypotheses.teaches_one_cell and table_size(sizes) >= FOLLOWED_FROM

    def begin(self) -> Any:
        """What the hypotheses have seen before the first round: nothing."""
        return self.hypotheses.begin()

    def prepare(self) -> Vertex | None:
        """No vertex yet, in every block, where equilibria are followed."""
        return jax.vmap(nowhere)(self.hypotheses.truth) if self.plans_in_turn else None

    def plan(self, seen: Any, known: Vertex | None = None) -> Planned:
        """The equilibrium of the rule's payoffs, in every block, as the rule mixes it."""
        payoffs = self.rule.payoffs(self.hypotheses, seen)
        if known is None:
            found = jax.vmap(oracle(self.concept))(payoffs)
        else:
            known, found = _follow_blocks(known, payoffs)
        gap = jnp.max(jnp.maximum(self._gains(payoffs, found), 0))
        return Planned(self.rule.mix(found), gap, jnp.max(jnp.abs(payoffs)), known)

    def play(self, key: Array, seen: Any, joint_policy: Joint) -> Any:
        """Draw a pure joint policy, play it in the true game, and add what happens to what was seen."""
        draw_key, play_key = jax.random.split(key)
        shares = jax.random.uniform(draw_key, joint_policy.shape[:1], joint_policy.dtype)
        cells = jax.vmap(drawn)(shares, joint_policy.reshape(len(joint_policy), -1))
        choice = jnp.stack(jnp.unravel_index(cells, joint_policy.shape[1:]), axis=-1)
        return self.hypotheses.observe(play_key, seen, choice)

    def regret(self, joint_policy: Joint) -> Float[Array, ""]:
        """What the players could gain in the true game by leaving the policy, summed up, payoff units."""
        return jnp.sum(jnp.maximum(self._gains(self.hypotheses.truth, joint_policy).sum(axis=0), 0))

    def _gains(self, payoffs: Payoffs, joint_policy: Joint) -> Float[Array, "block player"]:
        return jax.vmap(lambda table, joint: gains_of(self.concept)(NormalFormGame(table), joint))(
            payoffs, joint_policy
        )
