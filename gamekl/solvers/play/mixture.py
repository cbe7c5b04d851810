"""The averaged joint policy of a run, sigma = sum_t w_t (pi_1^t x ... x pi_m^t), summed up as the run goes on.

All gaps follow from what an action a' would have earned each time that a was played,

    M_i(a, a') = sum_t w_t pi_i^t(a) q_i^t(a'),

and from what the policies cost. With few joint actions sigma is summed up as a table, from which M_i follows in any
game; with many, or where payoffs are of pairs, M_i itself is. So memory grows neither with rounds nor, then, with joint
actions. Averages are running means that keep what rounding takes from them, so that float32 stays good over millions of
rounds.
"""

import math
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.kernels import lanes
from gamekl.core.policies import marginals
from gamekl.solvers.play.loop import Block
from gamekl.solvers.play.products import AnchoredGame, AnchoredNormalForm, Play, Profiles, Totals, joint

# The joint policy is kept as a table up to so many joint actions, and beyond that as so many of its rounds.
LARGEST_TABLE = 10**6
ROUNDS_KEPT = 1000

Pairs = Float[Array, "player actions actions lane"]


class Kept(NamedTuple):
    """Rounds that stand for all: each for a stretch of rounds, of which it was the last.

    Attributes:
        policy: shape ``[kept, player, actions, lane]``.
        weight: of its stretch, shape ``[kept, lane]``.
    """

    policy: Float[Array, "kept player actions lane"]
    weight: Float[Array, "kept lane"]


class Mean(NamedTuple):
    """A running mean.

    Attributes:
        value: the mean.
        lost: what rounding has taken from it so far (Kahan's compensated summation); None in float64, which needs none.
    """

    value: Float[Array, "..."]
    lost: Float[Array, "..."] | None

    @staticmethod
    def zeros(shape: tuple[int, ...], dtype: Any) -> "Mean":
        """The mean of nothing, zeros of a shape."""
        return Mean(jnp.zeros(shape, dtype), None if dtype == jnp.float64 else jnp.zeros(shape, dtype))

    def add(self, part: Float[Array, "..."], share: Float[Array, " lane"]) -> "Mean":
        """The mean with new values, which are given times their weights; `share` is the sum of these weights."""
        change = part - share * self.value
        if self.lost is None:
            return Mean(self.value + change, None)
        change += self.lost
        value = self.value + change
        return Mean(value, change - (value - self.value))


class Streams(NamedTuple):
    """What is summed up beside rounds or a table from which it would not follow.

    Attributes:
        marginals: sum_t w_t pi_i^t, shape ``[player, actions, lane]``.
        solved: M_i in the game that is played, nats.
        target: M_i in another game, or None.
    """

    marginals: Mean
    solved: Mean
    target: Mean | None


class Summary(NamedTuple):
    """What is summed up of all rounds so far.

    Attributes:
        round: the last one, shape ``[lane]``.
        cost: sum_t w_t KL(pi_i^t || reference), shape ``[player, lane]``, nats.
        mixture: the table over joint actions, shape ``[joint, lane]``, or the rounds kept.
        streams: None where everything follows from the table.
    """

    round: Int[Array, " lane"]
    cost: Mean
    mixture: Mean | Kept
    streams: Streams | None

    def pairs(self, game: AnchoredGame, target: AnchoredGame | None) -> tuple[Pairs, Pairs]:
        """The sums M_i in the game to measure in, and in the game that is played."""
        if self.streams is not None:
            solved = self.streams.solved.value
            return solved if self.streams.target is None else self.streams.target.value, solved
        table = cast(Mean, self.mixture).value
        solved = cast(AnchoredNormalForm, game).pairs(table)
        return solved if target is None else cast(AnchoredNormalForm, target).pairs(table), solved

    def marginals(self, num_actions: tuple[int, ...]) -> list[Float[Array, "_ lane"]]:
        """The averaged policy sum_t w_t pi_i^t of each player, without padding."""
        if self.streams is not None:
            return [self.streams.marginals.value[player, :size] for player, size in enumerate(num_actions)]
        table = cast(Mean, self.mixture).value.reshape(*num_actions, -1)
        return list(marginals(table, len(num_actions)))


class Gaps(NamedTuple):
    """What each player could gain by leaving the joint policy, payoff units, shape ``[player, lane]``.

    Attributes:
        regularized_cce: by one policy in place of all recommendations, each side paying for its KL.
        cce: by one action in place of all recommendations.
        ce: by an action for each recommendation.
    """

    regularized_cce: Totals
    cce: Totals
    ce: Totals


def empty(game: AnchoredGame, target: AnchoredGame | None, num_actions: tuple[int, ...]) -> Summary:
    """The summary of no rounds."""
    shape, dtype = game.mask.shape, game.temperature.dtype
    players, actions, width = shape
    round, cost = jnp.zeros(width, jnp.int32), Mean.zeros((players, width), dtype)
    few = math.prod(num_actions) <= LARGEST_TABLE
    table = Mean.zeros((math.prod(num_actions) if few else 0, width), dtype)
    if few and isinstance(game, AnchoredNormalForm):
        return Summary(round, cost, table, None)
    kept = Kept(jnp.zeros((ROUNDS_KEPT, *shape), dtype), jnp.zeros((ROUNDS_KEPT, width), dtype))
    pairs = Mean.zeros((players, actions, actions, width), dtype)
    streams = Streams(Mean.zeros(shape, dtype), pairs, None if target is None else pairs)
    return Summary(round, cost, table if few else kept, streams)


def observe(
    summary: Summary,
    block: Block,
    target: AnchoredGame | None,
    weighting: str,
    limit: Array,
    num_actions: tuple[int, ...],
) -> Summary:
    """Add a block of rounds to a summary.

    Args:
        summary: of the rounds before.
        block: the rounds.
        target: another game in which to average too, or None.
        weighting: w_t = 1 or w_t = t.
        limit: how many rounds there will be, shape ``[lane]``.
        num_actions: of each player, without padding.
    """
    play = block.play
    last = jnp.maximum(summary.round, jnp.where(block.made, block.round, 0).max(axis=0))
    time, number = (entry.astype(play.cost.dtype) for entry in (last, block.round))
    raw = jnp.where(block.made, number if weighting == "linear" else 1, 0)
    weight = time * (time + 1) / 2 if weighting == "linear" else time  # of all rounds so far
    each = raw / jnp.where(last > 0, weight, 1)
    share = lanes.total(each)

    def add(mean: Mean, values: Array) -> Mean:
        return mean.add(lanes.contract(values, each, 0), share)

    def add_pairs(mean: Mean, values: Array) -> Mean:
        weighted = jnp.moveaxis(play.policy * each[:, None, None], 0, 2)  # [player, actions, block, lane]
        return mean.add(jax.vmap(lanes.matmul, in_axes=(0, 1))(weighted, values), share)

    streams = summary.streams
    if streams is not None:
        streams = Streams(
            marginals=add(streams.marginals, play.policy),
            solved=add_pairs(streams.solved, play.values),
            target=None
            if target is None or streams.target is None
            else add_pairs(streams.target, jax.vmap(target.values)(play.policy)),
        )
    mixture = summary.mixture
    if isinstance(mixture, Kept):
        mixture = _keep(mixture, block, raw, limit)
    else:
        mixture = mixture.add(_table(play, each, num_actions), share)
    return Summary(last, add(summary.cost, play.cost), mixture, streams)


def _table(play: Play, each: Array, num_actions: tuple[int, ...]) -> Array:
    """The block's joint policy, as one product of two halves of the players."""
    half = len(num_actions) // 2

    def halves(policy: Profiles) -> tuple[Array, Array]:
        players = [policy[player, :size] for player, size in enumerate(num_actions)]
        return joint(players[:half], policy), joint(players[half:], policy)

    first, second = jax.vmap(halves)(play.policy)
    first = jnp.moveaxis(first * each[:, None], 0, 1)
    return lanes.matmul(first, second).reshape(-1, each.shape[-1])


def _keep(kept: Kept, block: Block, raw: Array, limit: Array) -> Kept:
    """Put each round into the row of its stretch, in their order."""
    lane = jnp.arange(limit.shape[0])
    per_row = jnp.maximum(-(-limit // ROUNDS_KEPT), 1)

    def put(kept: Kept, entry: tuple[Array, Array, Array]) -> tuple[Kept, None]:
        policy, number, weight = entry
        row = jnp.where(weight > 0, (number - 1) // per_row, ROUNDS_KEPT)
        return Kept(
            kept.policy.at[row, :, :, lane].set(jnp.moveaxis(policy, -1, 0), mode="drop"),
            kept.weight.at[row, lane].add(weight, mode="drop"),
        ), None

    return jax.lax.scan(put, kept, (block.play.policy, block.round, raw))[0]


def gaps(game: AnchoredGame, pairs: Pairs, cost: Totals) -> Gaps:
    """The gaps in the game in which the pairs' earnings were summed up (theory B3)."""
    values = pairs.sum(axis=1)
    stay = jnp.einsum("paal->pal", pairs)
    earned = stay.sum(axis=1)
    best = jnp.where(game.mask[:, None], pairs, -jnp.inf).max(axis=2)
    return Gaps(
        regularized_cce=(game.soft_most(values) - (earned - cost)) * game.temperature,
        cce=(game.most(values) - earned) * game.temperature,
        ce=jnp.sum(jnp.where(game.mask, best - stay, 0), axis=1) * game.temperature,
    )
