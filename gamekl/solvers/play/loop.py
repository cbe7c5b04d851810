"""The loop over first-order rules, for games side by side in lanes.

Rounds are made in blocks. What a block has played is summed up after it, by products of matrices, and only then it is
asked who has finished: a question in every round would cost more than the rounds themselves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gamekl.solvers.play.products import AnchoredGame, Play
from gamekl.solvers.play.rules.anchored import Rule

S = TypeVar("S")

# Rounds in a block.
BLOCK = 16


class Run(NamedTuple):
    """Where a rule has come to.

    Attributes:
        round: rounds made, shape ``[lane]``.
        state: the rule's, before the next round.
    """

    round: Int[Array, " lane"]
    state: Any


class Block(NamedTuple):
    """What a block of rounds has played; every array has a leading axis over its rounds.

    Attributes:
        play: the rounds.
        round: their numbers, from 1, shape ``[block, lane]``.
        made: False where the lane had finished before the round, which then does not count, shape ``[block, lane]``.
    """

    play: Play
    round: Int[Array, "block lane"]
    made: Bool[Array, "block lane"]


def start(rule: Rule, game: AnchoredGame) -> Run:
    """The run of a rule before the first round."""
    return Run(jnp.zeros(game.log_reference.shape[-1:], dtype=jnp.int32), rule.init(game))


def iterate(
    rule: Rule,
    game: AnchoredGame,
    run: Run,
    summary: S,
    limit: Int[Array, " lane"],
    observe: Callable[[S, Block], S],
    finished: Callable[[S], Bool[Array, " lane"]],
) -> tuple[Run, S]:
    """Play until every lane has made `limit` rounds, or has `finished` at the end of a block.

    Args:
        rule: the method.
        game: with a lane axis.
        run: from where to go on.
        summary: of the rounds so far.
        limit: how many rounds there are to be in all.
        observe: adds a block to a summary.
        finished: tells from the summary which lanes need no more rounds.

    Returns:
        Where the rule has come to, and the summary of all rounds.
    """

    def running(run: Run, summary: S) -> Bool[Array, " lane"]:
        return (run.round < limit) & ~finished(summary)

    def play_block(carry: tuple[Run, S]) -> tuple[Run, S]:
        run, summary = carry
        last = jnp.where(running(run, summary), limit, run.round)

        def play_round(run: Run, _: None) -> tuple[Run, Play]:
            state, play = rule.step(game, run.state, run.round + 1)
            kept = jax.tree.map(lambda after, before: jnp.where(run.round < last, after, before), state, run.state)
            return Run(run.round + 1, kept), play

        after, plays = jax.lax.scan(play_round, run, length=BLOCK)
        rounds = run.round + 1 + jnp.arange(BLOCK, dtype=jnp.int32)[:, None]
        summary = observe(summary, Block(plays, rounds, rounds <= last))
        return Run(jnp.minimum(after.round, jnp.maximum(last, run.round)), after.state), summary

    return jax.lax.while_loop(lambda carry: jnp.any(running(*carry)), play_block, (run, summary))
