"""What single rounds of a first-order rule come to, and their averages.

`gamekl.gamd` and its like measure averaged joint policies, which are coarse correlated equilibria. Here the policies of
single rounds are measured, as Nash equilibria of the anchored and of the original game, and by their KL from a known
solution; and the profile of each player's averaged policy, which solves zero-sum games.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.anchored import AnchoredGame, Profiles
from gamekl.solvers.loop import Block, iterate, start
from gamekl.solvers.rules import Rule


class Trajectory(eqx.Module):
    """What a rule came to after several numbers of rounds; payoff units, each ``[checkpoint, player]``.

    Attributes:
        num_steps: the checkpoints, shape ``[checkpoint]``; after 0 rounds the references are played.
        num_queries: evaluations made for each player's every action, or comparisons where values are asked for, up to
            the checkpoint, shape ``[checkpoint]``.
        regularized_gap: of the last round's profile in the anchored game.
        nash_gap: of the last round's profile, without regularisation, on the references' support.
        average_nash_gap: of the profile of the players' policies averaged over all rounds, likewise.
        kl: KL(target || policy) in nats, or None where there is no target.
        log_policy: after the last checkpoint, ``[actions_i]`` for each player.
        first: after how many rounds the regularised gaps first sum up to `tol` or less; -1 if never.
        status: `Status.converged`; `Status.not_converged` if numbers are not finite; or what is wrong with the input.
    """

    num_steps: Int[Array, "*batch checkpoint"]
    num_queries: Int[Array, "*batch checkpoint"]
    regularized_gap: Float[Array, "*batch checkpoint player"]
    nash_gap: Float[Array, "*batch checkpoint player"]
    average_nash_gap: Float[Array, "*batch checkpoint player"]
    kl: Float[Array, "*batch checkpoint player"] | None
    log_policy: tuple[Float[Array, "*batch _"], ...]
    first: Int[Array, "*batch"]
    status: Int[Array, "*batch"]


class Measured(NamedTuple):
    """At the checkpoints so far, ``[checkpoint, player, lane]``."""

    regularized_gap: Array
    nash_gap: Array
    average_nash_gap: Array
    kl: Array


class Record(NamedTuple):
    """Of all rounds so far.

    Attributes:
        measured: at the checkpoints.
        average: of all policies, shape ``[player, actions, lane]``.
        policy: of the last round, likewise.
        first: as in `Trajectory`, ``[lane]``.
    """

    measured: Measured
    average: Profiles
    policy: Profiles
    first: Int[Array, " lane"]


def _divergence(target: Profiles, policy: Profiles) -> Array:
    """KL(target || policy), shape ``[player, lane]``, as a sum of terms that are all positive, so that none cancel."""
    positive = target > 0
    ratio = jnp.where(positive, policy, 1) / jnp.where(positive, target, 1)
    near = jnp.abs(ratio - 1) < 0.5
    logarithm = jnp.where(near, jnp.log1p(jnp.where(near, ratio - 1, 0)), jnp.log(ratio))
    terms = jnp.where(positive, target * (ratio - 1 - logarithm), policy)
    return jnp.sum(terms, axis=1)


def _gaps(game: AnchoredGame, policy: Profiles) -> tuple[Array, Array]:
    """Regularised and not, shape ``[player, lane]``, payoff units."""
    play = game.play_policy(policy)
    mean = jnp.sum(policy * play.values, axis=1)
    regularized = game.soft_most(play.values) - (mean - play.cost)
    return jnp.maximum(regularized, 0) * game.temperature, (game.most(play.values) - mean) * game.temperature


def follow_lanes(
    rule: Rule,
    game: AnchoredGame,
    limits: Int[Array, "checkpoint lane"],
    target: Profiles | None,
    tol: Float[Array, " lane"],
) -> Record:
    """Follow a rule in games side by side.

    Args:
        rule: the method.
        game: with a lane axis.
        limits: the checkpoints, increasing.
        target: of `Trajectory.kl`.
        tol: of `Trajectory.first`.
    """
    players, _, lane = game.log_reference.shape
    blank = jnp.full((len(limits), players, lane), jnp.nan, game.log_reference.dtype)
    nothing = jnp.zeros_like(game.log_reference)

    def measure(policy: Profiles, average: Profiles) -> Measured:
        regularized, unregularized = _gaps(game, policy)
        kl = jnp.zeros_like(regularized) if target is None else _divergence(target, policy)
        return Measured(regularized, unregularized, _gaps(game, average)[1], kl)

    def add(record: Record, block: Block) -> Record:
        policies, made = block.play.policy, block.made[:, None, None]
        rounds = block.round[:, None, None].astype(policies.dtype)
        sums = (rounds[0] - 1) * record.average + jnp.cumsum(jnp.where(made, policies, 0), axis=0)
        averages = sums / rounds
        measured = jax.vmap(measure)(policies, averages)
        steps = block.round - 1  # before the t-th round there were t - 1
        hit = block.made & (measured.regularized_gap.sum(axis=1) <= tol)
        found = jnp.where(hit.any(axis=0), steps[0] + jax.lax.argmax(hit, 0, jnp.int32), -1)

        def enter(kept: Array, fresh: Array) -> Array:
            """The block's rounds that are checkpoints."""
            here = (steps[None] == limits[:, None]) & block.made[None]  # [checkpoint, block, lane]
            chosen = jnp.take_along_axis(fresh, jnp.argmax(here, axis=1)[:, None], axis=0)
            return jnp.where(here.any(axis=1)[:, None], chosen, kept)

        last = jnp.maximum(jnp.sum(block.made, axis=0) - 1, 0)
        any_made = block.made[0]

        def final(kept: Array, fresh: Array) -> Array:
            return jnp.where(any_made, jnp.take_along_axis(fresh, last[None, None, None], axis=0)[0], kept)

        return Record(
            Measured(*map(enter, record.measured, measured)),
            final(record.average, averages),
            final(record.policy, policies),
            jnp.where(record.first >= 0, record.first, found),
        )

    empty = Record(Measured(blank, blank, blank, blank), nothing, nothing, jnp.full(lane, -1, jnp.int32))
    never = jnp.zeros(lane, dtype=bool)
    _, record = iterate(rule, game, start(rule, game), empty, limits[-1] + 1, add, lambda _: never)
    return record
