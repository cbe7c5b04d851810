"""The averaged joint policy of a run, sigma = sum_t w_t (pi_1^t x ... x pi_m^t), summed up as the run goes on.

All gaps follow from what an action a' would have earned each time that a was played,

    M_i(a, a') = sum_t w_t pi_i^t(a) q_i^t(a'),

and from what the policies cost. With few joint actions sigma is summed up as a table, from which M_i follows in any
game; with many, or where payoffs are of pairs, M_i itself is. So memory grows neither with rounds nor, then, with joint
actions. Averages are running means, which keep float32 good over any number of rounds.
"""

import math
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core import lanes
from gamekl.core.anchored import AnchoredGame, AnchoredNormalForm, Play, Profiles, Totals, joint
from gamekl.core.policies import marginals
from gamekl.solvers.loop import Block

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


class Streams(NamedTuple):
    """What is summed up beside rounds or a table from which it would not follow.

    Attributes:
        marginals: sum_t w_t pi_i^t, shape ``[player, actions, lane]``.
        solved: M_i in the game that is played, nats.
        target: M_i in another game, or None.
    """

    marginals: Profiles
    solved: Pairs
    target: Pairs | None


class Summary(NamedTuple):
    """Of all rounds so far.

    Attributes:
        weight: sum_t w_t before it is normalised, shape ``[lane]``.
        cost: sum_t w_t KL(pi_i^t || reference), shape ``[player, lane]``, nats.
        mixture: the table over joint actions, shape ``[joint, lane]``, or the rounds kept.
        streams: None where everything follows from the table.
    """

    weight: Float[Array, " lane"]
    cost: Totals
    mixture: Float[Array, "joint lane"] | Kept
    streams: Streams | None

    def pairs(self, game: AnchoredGame, target: AnchoredGame | None) -> tuple[Pairs, Pairs]:
        """M_i in the game to measure in, and in the game that is played."""
        if self.streams is not None:
            solved = self.streams.solved
            return solved if self.streams.target is None else self.streams.target, solved
        table = cast(Array, self.mixture)
        solved = cast(AnchoredNormalForm, game).pairs(table)
        return solved if target is None else cast(AnchoredNormalForm, target).pairs(table), solved

    def marginals(self, num_actions: tuple[int, ...]) -> list[Float[Array, "_ lane"]]:
        """sum_t w_t pi_i^t of each player, without padding."""
        if self.streams is not None:
            return [self.streams.marginals[player, :size] for player, size in enumerate(num_actions)]
        table = cast(Array, self.mixture).reshape(*num_actions, -1)
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
    zeros = jnp.zeros(game.mask.shape, game.temperature.dtype)
    players, actions, width = zeros.shape
    weight, cost = zeros[0, 0], zeros[:, 0]
    few = math.prod(num_actions) <= LARGEST_TABLE
    table = jnp.zeros((math.prod(num_actions) if few else 0, width), zeros.dtype)
    if few and isinstance(game, AnchoredNormalForm):
        return Summary(weight, cost, table, None)
    kept = Kept(jnp.zeros((ROUNDS_KEPT, *zeros.shape), zeros.dtype), jnp.zeros((ROUNDS_KEPT, width), zeros.dtype))
    blank = jnp.zeros((players, actions, actions, width), zeros.dtype)
    return Summary(weight, cost, table if few else kept, Streams(zeros, blank, None if target is None else blank))


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
    raw = block.round.astype(summary.weight.dtype) if weighting == "linear" else jnp.ones_like(play.cost[:, 0])
    raw = jnp.where(block.made, raw, 0)
    weight = summary.weight + lanes.total(raw)
    safe = jnp.where(weight > 0, weight, 1)
    old, share = summary.weight / safe, raw / safe

    def mean(before: Array, values: Array) -> Array:
        return old * before + lanes.contract(values, share, 0)

    def add(pairs: Pairs, values: Array) -> Pairs:
        shared = jnp.moveaxis(play.policy * share[:, None, None], 0, 2)  # [player, actions, block, lane]
        return old * pairs + jax.vmap(lanes.matmul, in_axes=(0, 1))(shared, values)

    streams = summary.streams
    if streams is not None:
        streams = Streams(
            marginals=mean(streams.marginals, play.policy),
            solved=add(streams.solved, play.values),
            target=None
            if target is None or streams.target is None
            else add(streams.target, jax.vmap(target.values)(play.policy)),
        )
    mixture = summary.mixture
    if isinstance(mixture, Kept):
        mixture = _keep(mixture, block, raw, limit)
    else:
        mixture = old * mixture + _table(play, share, num_actions)
    return Summary(weight, mean(summary.cost, play.cost), mixture, streams)


def _table(play: Play, share: Array, num_actions: tuple[int, ...]) -> Array:
    """The block's joint policy, as one product of two halves of the players."""
    half = len(num_actions) // 2

    def halves(policy: Profiles) -> tuple[Array, Array]:
        players = [policy[player, :size] for player, size in enumerate(num_actions)]
        return joint(players[:half], policy), joint(players[half:], policy)

    first, second = jax.vmap(halves)(play.policy)
    first = jnp.moveaxis(first * share[:, None], 0, 1)
    return lanes.matmul(first, second).reshape(-1, share.shape[-1])


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
    """The gaps in the game in which the pairs' earnings were summed up (MATH B3)."""
    values = pairs.sum(axis=1)
    stay = jnp.einsum("paal->pal", pairs)
    earned = stay.sum(axis=1)
    best = jnp.where(game.mask[:, None], pairs, -jnp.inf).max(axis=2)
    return Gaps(
        regularized_cce=(game.soft_most(values) - (earned - cost)) * game.temperature,
        cce=(game.most(values) - earned) * game.temperature,
        ce=jnp.sum(jnp.where(game.mask, best - stay, 0), axis=1) * game.temperature,
    )
