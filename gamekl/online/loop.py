"""Rounds of a learner that plays while it learns.

In round k = 1..K a learner plans a joint policy pi^k from what it has seen, plays it once in the true game, and adds
what happens to what it has seen. Its regret is

    Reg(K) = sum_k sum_i max_dev V_i^{dev o pi^k} - V_i^{pi^k}

in the true game, with deviations as the concept has them, and to stay among them: otherwise rounds of a coarse
correlated equilibrium that beats every single deviation would make up for others.
"""

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import in_turn
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import check_whole
from gamekl.solvers.correlated.pivots import CONCEPTS
from gamekl.solvers.solution import Status

# A gain is rounding up to this power of eps, relative to the largest payoff.
CERTIFIED = 0.45


class Planned(Shown):
    """A joint policy, and how good it is in the game that was solved for it.

    Attributes:
        joint_policy: pi^k, shape ``[*stage, *choices]``.
        oracle_gap: the most that a player could gain in that game, payoff units.
        scale: the largest of that game's payoffs.
        known: what planning the next round takes over from this one.
    """

    joint_policy: Float[Array, "..."]
    oracle_gap: Float[Array, ""]
    scale: Float[Array, ""]
    known: Any = None


class Learner(eqx.Module):
    """A player of all sides that plans, plays and learns, and the true game, from which is drawn what happens."""

    @abstractmethod
    def begin(self) -> Any:
        """What was seen before the first round: nothing."""

    @property
    def plans_in_turn(self) -> bool:
        """Whether runs side by side are faster one after another, on CPUs."""
        return False

    def prepare(self) -> Any:
        """What planning the first round takes over: nothing."""
        return None

    @abstractmethod
    def plan(self, seen: Any, known: Any = None) -> Planned:
        """The joint policy pi^k for the next round, from what was seen, and what was known of the round before."""

    @abstractmethod
    def play(self, key: Array, seen: Any, joint_policy: Float[Array, "..."]) -> Any:
        """Play a joint policy once in the true game, and add what happens to what was seen."""

    @abstractmethod
    def regret(self, joint_policy: Float[Array, "..."]) -> Float[Array, ""]:
        """Sum over players of what each could gain in the true game by leaving it or staying, payoff units."""


class OnlinePlay(Shown):
    """What learning online cost.

    Attributes:
        regret: of each round, payoff units, shape ``[round]``; 0 after the last.
        oracle_gap: the most that a player could have gained in any game that was solved, payoff units.
        uncertified: in how many rounds that was more than rounding.
        joint_policy: of the last round, shape ``[*stage, *choices]``.
        seen: what was seen.
    """

    regret: Float[Array, "*batch round"]
    oracle_gap: Float[Array, "*batch"]
    uncertified: Int[Array, "*batch"]
    joint_policy: Float[Array, "..."]
    seen: Any
    status_type: ClassVar = Status

    @property
    def status(self) -> Int[Array, "*batch"]:
        """A `Status` value: `Status.converged` where every round's equilibrium is certified."""
        return jnp.where(self.uncertified == 0, Status.converged, Status.not_converged).astype(jnp.int32)

    @property
    def cumulative(self) -> Float[Array, "*batch round"]:
        """Reg after each round, payoff units."""
        return jnp.cumsum(self.regret, axis=-1)


def init(learner: Learner, most_rounds: int) -> OnlinePlay:
    """What a run has before its first round, with room for so many rounds."""
    planned = jax.eval_shape(lambda: learner.plan(learner.begin()))
    dtype = planned.joint_policy.dtype
    return OnlinePlay(
        regret=jnp.zeros(most_rounds, dtype),
        oracle_gap=jnp.zeros((), dtype),
        uncertified=jnp.zeros((), jnp.int32),
        joint_policy=jnp.zeros(planned.joint_policy.shape, dtype),
        seen=learner.begin(),
    )


def step(key: Array, learner: Learner, so_far: OnlinePlay, known: Any, index: Int[Array, ""]) -> tuple[OnlinePlay, Any]:
    """Play round number `index`, from 0: plan, play and learn; also what the next one takes over."""
    planned = learner.plan(so_far.seen, known)
    failed = ~(planned.oracle_gap <= float(jnp.finfo(planned.scale.dtype).eps) ** CERTIFIED * planned.scale)
    after = OnlinePlay(
        regret=so_far.regret.at[index].set(learner.regret(planned.joint_policy)),
        oracle_gap=jnp.maximum(so_far.oracle_gap, planned.oracle_gap),
        uncertified=so_far.uncertified + failed.astype(jnp.int32),
        joint_policy=planned.joint_policy,
        seen=learner.play(key, so_far.seen, planned.joint_policy),
    )
    return after, planned.known


def drawn(share: Float[Array, ""], probs: Float[Array, " entry"]) -> Int[Array, ""]:
    """The place at which the sum of `probs` so far first exceeds this share of it: a draw, where that is uniform.

    Gumbel's noise would take as many random bits and twice as many logarithms as there are entries.
    """
    so_far = jnp.cumsum(probs)
    above = so_far > jnp.minimum(share, 1 - jnp.finfo(probs.dtype).eps) * so_far[-1]
    return jnp.min(jnp.where(above & (probs > 0), jnp.arange(len(probs)), len(probs) - 1))


def _run(key: Array, learner: Learner, num_rounds: Array, most_rounds: int) -> OnlinePlay:
    def play(index: Array, state: tuple[OnlinePlay, Any]) -> tuple[OnlinePlay, Any]:
        return step(jax.random.fold_in(key, index), learner, *state, index)

    return jax.lax.fori_loop(0, num_rounds, play, (init(learner, most_rounds), learner.prepare()))[0]


@partial(jit, static_argnames="most_rounds", quick=True)
def _play(key: Array, learner: Learner, num_rounds: Array, most_rounds: int) -> OnlinePlay:
    if not learner.plans_in_turn:
        return _run(key, learner, num_rounds, most_rounds)
    leaves, tree = jax.tree.flatten((key, learner, num_rounds))

    def run(*leaves: Array) -> OnlinePlay:
        key, learner, num_rounds = jax.tree.unflatten(tree, leaves)
        return _run(key, learner, num_rounds, most_rounds)

    return in_turn(run)(*leaves)


def play_online(key: Array, learner: Any, num_rounds: Any, *, most_rounds: int | None = None) -> OnlinePlay:
    """Let a learner plan, play once and learn from it, for a number of rounds.

    It may be transformed by ``jax.vmap``, over keys and learners.

    Args:
        key: a jax random key, typed or legacy.
        learner: a `Mamex` or an `OptimisticStages`.
        num_rounds: K. May be traced, where `most_rounds` is given: then one compilation serves all, and rounds beyond
            those are played but not recorded.
        most_rounds: the length of what is recorded; `num_rounds` if None. Static.

    Returns:
        An `OnlinePlay`: the regret of each round, payoff units, and what was seen.

    Raises:
        TypeError: `learner` is of another kind.
        ValueError: a number is bad.
    """
    if not isinstance(learner, Learner):
        raise TypeError(f"learner: got {type(learner).__name__}, takes a Mamex or an OptimisticStages")
    if is_concrete(num_rounds):
        num_rounds = np.asarray(num_rounds).item()
        check_whole(num_rounds=num_rounds)
        most_rounds = num_rounds if most_rounds is None else most_rounds
    if most_rounds is None:
        raise ValueError("most_rounds: got None, takes a whole number where num_rounds is traced")
    check_whole(most_rounds=most_rounds)
    if is_concrete(num_rounds) and num_rounds > most_rounds:
        raise ValueError(f"num_rounds: got {num_rounds}, takes at most most_rounds = {most_rounds}")
    return _play(key, learner, jnp.asarray(num_rounds, jnp.int32), most_rounds)


def check_concept(concept: str, num_players: int) -> None:
    """Raise ``ValueError`` unless there is an oracle of the concept for so many players."""
    if concept not in CONCEPTS:
        raise ValueError(f"concept: got {concept!r}, takes one of {', '.join(map(repr, CONCEPTS))}")
    if concept == "nash" and num_players != 2:
        raise ValueError(f"concept: got 'nash' of {num_players} players, takes 'ce' or 'cce' for other than 2")
