"""What single rounds of a first-order rule come to, and their averages.

`gamekl.gamd` and its like measure averaged joint policies, which are coarse correlated equilibria. Here the policies of
single rounds are measured, as Nash equilibria of the anchored and of the original game, and by their KL from a known
solution; and the profile of each player's averaged policy, which solves zero-sum games.
"""

from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gamekl.core.show import Shown
from gamekl.solvers.play.loop import Block, iterate, start
from gamekl.solvers.play.products import AnchoredGame, Play, Profiles
from gamekl.solvers.play.rules.anchored import Rule
from gamekl.solvers.solution import Status


class Trajectory(Shown):
    """What a rule came to after several numbers of rounds; payoff units, each ``[checkpoint, player]``.

    Attributes:
        num_rounds: the checkpoints, shape ``[checkpoint]``; after 0 rounds the references are played.
        num_queries: evaluations made for each player's every action, or comparisons where values are asked for, up to
            the checkpoint, shape ``[checkpoint]``.
        regularized_gap: of the last round's profile in the anchored game.
        nash_gap: of the last round's profile, without regularisation, on the references' support.
        average_nash_gap: the same of the profile of the players' policies averaged over all rounds.
        kl: KL(target || policy) in nats, or None where there is no target.
        log_policy: after the last checkpoint, ``[actions_i]`` for each player.
        first: after how many rounds the regularised gaps first sum up to `tol` or less; -1 if never.
        first_kl: after how many the KL does to `kl_tol` or less; -1 if never, None where there is no target.
        status: `Status.converged`; `Status.not_converged` if numbers are not finite; or what is wrong with the input.
    """

    num_rounds: Int[Array, "*batch checkpoint"]
    num_queries: Int[Array, "*batch checkpoint"]
    regularized_gap: Float[Array, "*batch checkpoint player"]
    nash_gap: Float[Array, "*batch checkpoint player"]
    average_nash_gap: Float[Array, "*batch checkpoint player"]
    kl: Float[Array, "*batch checkpoint player"] | None
    log_policy: tuple[Float[Array, "*batch _"], ...]
    first: Int[Array, "*batch"]
    first_kl: Int[Array, "*batch"] | None
    status: Int[Array, "*batch"]
    status_type: ClassVar = Status


class Measured(NamedTuple):
    """What was measured at the checkpoints so far, ``[checkpoint, player, lane]``."""

    regularized_gap: Array
    nash_gap: Array
    average_nash_gap: Array
    kl: Array


class Record(NamedTuple):
    """What is kept of all rounds so far.

    Attributes:
        measured: at the checkpoints.
        average: of all policies, shape ``[player, actions, lane]``.
        policy: of the last round, likewise.
        first: as in `Trajectory`, ``[lane]``, like the next.
        first_kl: of zeros where there is no target.
    """

    measured: Measured
    average: Profiles
    policy: Profiles
    first: Int[Array, " lane"]
    first_kl: Int[Array, " lane"]


def _divergence(target: Profiles, policy: Profiles) -> Array:
    """The KL from a target, shape ``[player, lane]``, as a sum of terms that are all positive, so that none cancel."""
    positive = target > 0
    ratio = jnp.where(positive, policy, 1) / jnp.where(positive, target, 1)
    off = ratio - 1
    series = off**2 * (1 / 2 - off * (1 / 3 - off * (1 / 4 - off / 5)))
    excess = jnp.where(jnp.abs(off) < 1e-3, series, off - jnp.log(ratio))
    return jnp.sum(jnp.where(positive, target * excess, policy), axis=1)


def _regularized_gap(game: AnchoredGame, play: Play) -> Array:
    """The regularised gap of a round, shape ``[player, lane]``, payoff units."""
    mean = jnp.sum(play.policy * play.values, axis=1)
    return jnp.maximum(game.soft_most(play.values) - (mean - play.cost), 0) * game.temperature


def _nash_gap(game: AnchoredGame, policy: Profiles, values: Profiles) -> Array:
    return (game.most(values) - jnp.sum(policy * values, axis=1)) * game.temperature


def follow_lanes(
    rule: Rule,
    game: AnchoredGame,
    limits: Int[Array, "checkpoint lane"],
    target: Profiles | None,
    tol: Float[Array, " lane"],
    kl_tol: Float[Array, " lane"],
) -> Record:
    """Follow a rule in games side by side.

    Args:
        rule: the method.
        game: with a lane axis.
        limits: the checkpoints, increasing.
        target: of `Trajectory.kl`.
        tol: of `Trajectory.first`.
        kl_tol: of `Trajectory.first_kl`.
    """
    players, _, lane = game.log_reference.shape
    blank = jnp.full((len(limits), players, lane), jnp.nan, game.log_reference.dtype)
    nothing = jnp.zeros_like(game.log_reference)

    def divergence(policy: Profiles) -> Array:
        return jnp.zeros(policy.shape[::2], policy.dtype) if target is None else _divergence(target, policy)

    def add(record: Record, block: Block) -> Record:
        policies, made = block.play.policy, block.made[:, None, None]
        rounds = block.round[:, None, None].astype(policies.dtype)
        before = (rounds[0] - 1) * record.average
        played = jnp.where(made, policies, 0)
        regularized, kl = jax.vmap(partial(_regularized_gap, game))(block.play), jax.vmap(divergence)(policies)
        earlier = block.round - 1  # before the t-th round there were t - 1
        here = (earlier[None] == limits[:, None]) & block.made[None]  # [checkpoint, block, lane]

        def earliest(known: Array, value: Array, bound: Array) -> Array:
            """The first round at which a total is small enough, if it was not known before."""
            hit = block.made & (value.sum(axis=1) <= bound)
            found = jnp.where(hit.any(axis=0), earlier[0] + jax.lax.argmax(hit, 0, jnp.int32), -1)
            return jnp.where(known >= 0, known, found)

        def enter(kept: Array, fresh: Array) -> Array:
            """The block's rounds that are checkpoints."""
            chosen = jnp.take_along_axis(fresh, jnp.argmax(here, axis=1)[:, None], axis=0)
            return jnp.where(here.any(axis=1)[:, None], chosen, kept)

        def measure() -> Measured:
            averages = (before + jnp.cumsum(played, axis=0)) / rounds
            nash = jax.vmap(partial(_nash_gap, game))
            of_averages = nash(averages, jax.vmap(game.values)(averages))
            fresh = Measured(regularized, nash(policies, block.play.values), of_averages, kl)
            return Measured(*map(enter, record.measured, fresh))

        count = jnp.sum(block.made, axis=0)
        last = jnp.maximum(count - 1, 0)[None, None, None]
        total = before + played.sum(axis=0)
        return Record(
            jax.lax.cond(here.any(), measure, lambda: record.measured),
            total / jnp.maximum(rounds[0] - 1 + count.astype(policies.dtype), 1),
            jnp.where(block.made[0], jnp.take_along_axis(policies, last, axis=0)[0], record.policy),
            earliest(record.first, regularized, tol),
            earliest(record.first_kl, kl, kl_tol),
        )

    unknown = jnp.full(lane, -1, jnp.int32)
    empty = Record(Measured(blank, blank, blank, blank), nothing, nothing, unknown, unknown)
    never = jnp.zeros(lane, dtype=bool)
    _, record = iterate(rule, game, start(rule, game), empty, limits[-1] + 1, add, lambda _: never)
    return record
