"""Optimism stage by stage, for Markov games whose pure joint policies are too many to enumerate.

From the last step to the first, at each state, with means rhat and Phat of what was seen and N visits,

    Qbar_i(h, s, a) = min(rhat_i + Phat Vbar_i(h + 1) + (H - h + 1) scale / sqrt(N), (H - h + 1) high),
    pi(h, s) in EQ(Qbar(h, s)),    Vbar_i(h, s) = E_pi Qbar_i(h, s),

which is optimistic Nash value iteration (Liu, Yu, Bai and Jin 2021, "A Sharp Analysis of Model-based Reinforcement
Learning with Self-Play", by recall, without their lower values and with a constant for their logarithms). It differs
from MAMEX: optimism enters at each stage and adds up over the horizon, instead of once for a whole hypothesis; the
values of different stages need not come from one hypothesis; and the oracle finds equilibria of stages, whose backward
induction is one equilibrium of the whole among many. Its cost grows with H S and not with policies.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import MarkovGame, NormalFormGame
from gamekl.core.policies import is_concrete, sample_joint
from gamekl.core.stages import backward, earned, visit_stages
from gamekl.core.validation import check_nonnegative, check_transitions, validate
from gamekl.online.loop import Learner, Planned, check_concept
from gamekl.solvers.correlated.pivots import gains_of, oracle

Sums = tuple[Float[Array, "horizon state *actions_and_next_state"], Float[Array, "horizon state player *actions"]]


class OptimisticStages(Learner):
    """Optimistic Nash value iteration, with the equilibria of any concept.

    Attributes:
        game: the true game.
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        scale: what the mean of one visit adds for each step to go, payoff units; 0 is greedy. May be traced.
        high: the largest reward, payoff units.
        concept: "nash" (two players), "ce" or "cce". Static.

    Raises:
        TypeError: `game` is no `MarkovGame`.
        ValueError: bad values, a reward above `high`, or a concept that is not known or not for so many players.

    Source: Liu, Yu, Bai and Jin (2021), by recall, without their lower values.
    """

    game: MarkovGame
    noise: Array
    scale: Array
    high: Array
    concept: str = eqx.field(static=True)

    def __init__(
        self, game: MarkovGame, *, noise: ArrayLike, scale: ArrayLike, high: ArrayLike = 1.0, concept: str = "cce"
    ) -> None:
        if not isinstance(game, MarkovGame):
            raise TypeError(f"game: got {type(game).__name__}, takes a MarkovGame")
        check_nonnegative(noise=noise, scale=scale)
        check_concept(concept, game.num_players)
        if is_concrete(game):
            validate(game)
            check_transitions(np.asarray(game.transitions))
        self.game, self.concept = game, concept
        self.noise, self.scale, self.high = (jnp.asarray(entry, game.dtype) for entry in (noise, scale, high))
        if is_concrete(game, self.high) and bool(game.rewards.max() > self.high):
            raise ValueError(f"high: got {high!r}, takes at least the largest reward, {float(game.rewards.max()):.6g}")

    def begin(self) -> Sums:
        """The counts of next states and the sums of rewards before the first round, all 0."""
        return jnp.zeros_like(self.game.transitions), jnp.zeros_like(self.game.rewards)

    def plan(self, seen: Sums, known: None = None) -> Planned:
        """The equilibria of the stages' optimistic action values, from the last step to the first."""
        moves, sums = seen
        visits = moves.sum(axis=-1)
        often = jnp.maximum(visits, 1)
        horizon, states = self.game.stage_shape
        left = jnp.broadcast_to((horizon - jnp.arange(horizon)).astype(visits.dtype)[:, None], (horizon, states))
        spread = jnp.where(visits > 0, self.scale / jnp.sqrt(often), jnp.inf)
        model = MarkovGame(sums / often[:, :, None], moves / often[..., None], self.game.initial_probs)

        def visit(stage: NormalFormGame, entry: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            spread, left = entry
            upper = NormalFormGame(jnp.minimum(stage.payoffs + left * spread, left * self.high))
            joint_policy = oracle(self.concept)(upper.payoffs)
            gap = jnp.max(jnp.maximum(gains_of(self.concept)(upper, joint_policy), 0))
            return earned(upper, joint_policy), (joint_policy, gap)

        _, (joint_policy, gap) = backward(model, visit, (spread, left))
        return Planned(joint_policy, gap.max(), horizon * jnp.abs(self.high))

    def play(self, key: Array, seen: Sums, joint_policy: Float[Array, "..."]) -> Sums:
        """Play an episode in the true game, and add what happens to counts and sums."""
        first_key, key = jax.random.split(key)
        first = jax.random.categorical(first_key, jnp.log(self.game.initial_probs))
        game, sizes = self.game, self.game.num_actions

        def advance(carry: tuple[Array, Sums], entry: tuple[Array, Array]) -> tuple[Any, None]:
            state, (moves, sums) = carry
            step, key = entry
            draw_key, reward_key, move_key = jax.random.split(key, 3)
            joint = tuple(sample_joint(draw_key, joint_policy[step, state].ravel(), sizes, 1)[0])
            paid = game.rewards[(step, state, slice(None), *joint)]
            paid = paid + self.noise * jax.random.normal(reward_key, paid.shape, paid.dtype)
            following = jax.random.categorical(move_key, jnp.log(game.transitions[(step, state, *joint)]))
            moves = moves.at[(step, state, *joint, following)].add(1)
            return (following, (moves, sums.at[(step, state, slice(None), *joint)].add(paid))), None

        steps = jnp.arange(len(game.rewards))
        return jax.lax.scan(advance, (first, seen), (steps, jax.random.split(key, len(steps))))[0][1]

    def regret(self, joint_policy: Float[Array, "..."]) -> Float[Array, ""]:
        """What the players could gain in the true game by leaving the policy, summed up, payoff units.

        Deviations are made at each stage for itself; a best one of the whole is made of such ones.
        """

        def leave(stage: NormalFormGame, joint: Array) -> tuple[Array, None]:
            return earned(stage, joint) + gains_of(self.concept)(stage, joint), None

        def stay(stage: NormalFormGame, joint: Array) -> tuple[Array, None]:
            return earned(stage, joint), None

        gains = visit_stages(self.game, leave, joint_policy)[0] - visit_stages(self.game, stay, joint_policy)[0]
        return jnp.sum(jnp.maximum(gains, 0))
