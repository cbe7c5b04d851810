"""The averaged joint policy of a run, sigma = sum_t w_t (pi_1^t x ... x pi_m^t), summed up as the run goes on.

What the gaps need are averages of single players' policies and values, so memory does not grow with rounds, and with
joint actions only while there are few of them. All averages are running means, which keep float32 good over any number
of rounds.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core import lanes
from gamekl.core.anchored import AnchoredGame, Play, Profiles, Totals, joint
from gamekl.solvers.loop import Block

# The joint policy is kept as a table up to so many joint actions, and beyond that as so many of its rounds.
LARGEST_TABLE = 10**6
ROUNDS_KEPT = 1000


class Averages(NamedTuple):
    """Over the rounds, in one game, in nats.

    Attributes:
        values: of each action, sum_t w_t q_i^t(a), shape ``[player, actions, lane]``.
        earned: sum_t w_t <pi_i^t, q_i^t>, shape ``[player, lane]``.
        pairs: what action a' would have earned in place of a, sum_t w_t pi_i^t(a) q_i^t(a'), shape
            ``[player, actions, actions, lane]``.
    """

    values: Profiles
    earned: Totals
    pairs: Float[Array, "player actions actions lane"]


class Kept(NamedTuple):
    """Rounds that stand for all: each for a stretch of rounds, of which it was the last.

    Attributes:
        policy: shape ``[kept, player, actions, lane]``.
        weight: of its stretch, shape ``[kept, lane]``.
    """

    policy: Float[Array, "kept player actions lane"]
    weight: Float[Array, "kept lane"]


class Summary(NamedTuple):
    """Of all rounds so far.

    Attributes:
        weight: sum_t w_t before it is normalised, shape ``[lane]``.
        cost: sum_t w_t KL(pi_i^t || reference), shape ``[player, lane]``, nats.
        marginals: sum_t w_t pi_i^t, shape ``[player, actions, lane]``.
        solved: averages in the game that is played.
        target: averages in another game, or None.
        mixture: the table over joint actions, shape ``[joint, lane]``, or the rounds kept.
    """

    weight: Float[Array, " lane"]
    cost: Totals
    marginals: Profiles
    solved: Averages
    target: Averages | None
    mixture: Float[Array, "joint lane"] | Kept


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
    zeros = jnp.zeros_like(game.log_reference)
    players, actions, width = zeros.shape
    blank = Averages(zeros, zeros[:, 0], jnp.zeros((players, actions, actions, width), zeros.dtype))
    if math.prod(num_actions) <= LARGEST_TABLE:
        mixture = jnp.zeros((math.prod(num_actions), width), zeros.dtype)
    else:
        mixture = Kept(
            jnp.zeros((ROUNDS_KEPT, *zeros.shape), zeros.dtype), jnp.zeros((ROUNDS_KEPT, width), zeros.dtype)
        )
    target_blank = None if target is None else blank
    return Summary(zeros[0, 0], zeros[:, 0], zeros, blank, target_blank, mixture)


def observe(
    summary: Summary,
    block: Block,
    game: AnchoredGame,
    target: AnchoredGame | None,
    weighting: str,
    limit: Array,
    num_actions: tuple[int, ...],
) -> Summary:
    """Add a block of rounds to a summary.

    Args:
        summary: of the rounds before.
        block: the rounds.
        game: in which they were played.
        target: another game in which to average too, or None.
        weighting: w_t = 1 or w_t = t.
        limit: how many rounds there will be, shape ``[lane]``.
        num_actions: of each player, without padding.
    """
    play = block.play
    raw = block.round.astype(summary.weight.dtype) if weighting == "linear" else jnp.ones_like(play.policy[:, 0, 0])
    raw = jnp.where(block.made, raw, 0)
    weight = summary.weight + lanes.total(raw)
    safe = jnp.where(weight > 0, weight, 1)
    old, share = summary.weight / safe, raw / safe

    def mean(before: Array, values: Array) -> Array:
        return old * before + lanes.contract(values, share, 0)

    def add(averages: Averages, values: Array) -> Averages:
        shared = play.policy * share[:, None, None]
        pairs = jax.vmap(lanes.matmul, in_axes=1)(jnp.moveaxis(shared, 0, 2).swapaxes(0, 1), values)
        return Averages(
            values=mean(averages.values, values),
            earned=mean(averages.earned, jnp.sum(play.policy * values, axis=2)),
            pairs=old * averages.pairs + pairs,
        )

    return Summary(
        weight=weight,
        cost=mean(summary.cost, jax.vmap(game.cost)(play.policy)),
        marginals=mean(summary.marginals, play.policy),
        solved=add(summary.solved, play.values),
        target=add(summary.target, jax.vmap(target.values)(play.policy)) if target and summary.target else None,
        mixture=_keep(summary.mixture, block, raw, limit)
        if isinstance(summary.mixture, Kept)
        else old * summary.mixture + _table(play, share, num_actions),
    )


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


def gaps(game: AnchoredGame, averages: Averages, cost: Totals) -> Gaps:
    """The gaps in the game in which the averages were taken (MATH B3)."""
    regularized = game.soft_most(averages.values) - (averages.earned - cost)
    best = jnp.where(game.mask[:, None], averages.pairs, -jnp.inf).max(axis=2)
    stay = jnp.einsum("paal->pal", averages.pairs)
    gains = jnp.where(game.mask, best - stay, 0)
    return Gaps(
        regularized_cce=regularized * game.temperature,
        cce=(game.most(averages.values) - averages.earned) * game.temperature,
        ce=gains.sum(axis=1) * game.temperature,
    )
