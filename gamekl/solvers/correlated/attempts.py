"""Equilibria of many games in lanes: the program of each, and that it is solved again in finer units where need be.

What is outside of lanes has one leading axis for games; in lanes, it is the last.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels import cholesky
from gamekl.core.kernels.batching import fitting_lanes, in_blocks, sharing_lanes
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.platforms import CPU, Platform, by_platform
from gamekl.core.kernels.refill import Method, solve_in_turns, solve_side_by_side
from gamekl.core.policies import support
from gamekl.solvers.correlated import interior
from gamekl.solvers.correlated.constraints import Equilibrated
from gamekl.solvers.correlated.deviation_rows import LARGEST_SUM
from gamekl.solvers.correlated.gain_rows import (
    allowed_rows,
    centred,
    count_gains,
    finer,
    gain_rows,
    holds,
    owners,
    rescaled,
)

# Of the rows, to begin with: of random games the slowest of 1,000 takes 10 steps in place of 16 with the smaller ones
# ("cce", 10 x 10, maximum Gini), but about one more where there is a row for each pair of actions ("ce").
MULTIPLIERS = {"cce": 0.1, "ce": 1.0}

# What a lane holds for each joint action, beside the matrix of its steps.
NUMBERS_A_CELL = 32
# What the lanes hold is as much as this many times the platform's budget.
ROOM = 16
MOST_LANES = 32
FEWEST_GAMES = 8


class Kind(NamedTuple):
    """What all games of a batch have in common; static."""

    concept: str
    objective: str
    max_steps: int


class Given(NamedTuple):
    """A game and what is asked of it, as for `solve_correlated`; in a batch, every leaf has a leading axis."""

    game: NormalFormGame
    log_reference: tuple[Float[Array, "*batch _"], ...]
    epsilon: Float[Array, "*batch player"]
    welfare_weight: Float[Array, "*batch"]
    tol: Float[Array, "*batch"]


class Posed(NamedTuple):
    """A game's program.

    Attributes:
        payoffs: rescaled, and what is the same for all own actions taken off; shape ``[player, *actions]``.
        scale: what they are to be multiplied by, shape ``[player]``.
        log_prior: by joint action.
        linear: the objective's linear part.
        allowance: what each gain may come to, in the units of `payoffs`.
        allowed: rows that are to hold.
        units: what each row is measured by.
        tol: the tolerance.
    """

    payoffs: Float[Array, "..."]
    scale: Float[Array, "*batch player"]
    log_prior: Float[Array, "*batch cell"]
    linear: Float[Array, "*batch cell"]
    allowance: Float[Array, "*batch row"]
    allowed: Bool[Array, "*batch row"]
    units: Float[Array, "*batch row"]
    tol: Float[Array, "*batch"]


class Attempt(NamedTuple):
    """A solution, and whether to solve again with rows in finer units, because some were only broken too seldom."""

    x: Float[Array, "*batch cell"]
    objective: Float[Array, "*batch"]
    gap: Float[Array, "*batch"]
    violation: Float[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    units: Float[Array, "*batch row"]
    good: Bool[Array, "*batch"]
    again: Bool[Array, "*batch"]


def _pose(kind: Kind, batch: Given) -> Posed:
    """The programs of a batch."""

    def one(given: Given) -> Posed:
        scaled, scale = rescaled(given.game)
        masks = [support(entry) for entry in given.log_reference]
        log_prior = jnp.zeros((), scaled.dtype)
        for part in given.log_reference:
            log_prior = log_prior[..., None] + part
        if kind.objective == "gini":
            log_prior = jnp.where(log_prior > -jnp.inf, 0.0, -jnp.inf)
        owner = owners(given.game, kind.concept)
        return Posed(
            payoffs=centred(scaled.payoffs),
            scale=scale,
            log_prior=log_prior.ravel(),
            linear=-given.welfare_weight * given.game.payoffs.sum(axis=0).ravel(),
            allowance=given.epsilon[owner] / scale[owner],
            allowed=allowed_rows(masks, kind.concept),
            units=jnp.ones(len(owner), scaled.dtype),
            tol=given.tol,
        )

    posed = jax.vmap(one)(batch)
    rows = gain_rows(jnp.moveaxis(posed.payoffs, 0, -1), kind.concept)
    return posed._replace(units=lanes_first(rows.sizes()))


class _Task(NamedTuple):
    """A program, its rows in units of this attempt, and how many steps are left."""

    posed: Posed
    units: Float[Array, "*batch row"]
    left: Int[Array, "*batch"]


def _objective(kind: Kind, posed: Posed) -> interior.Objective:
    return interior.Objective(kind.objective == "entropy", posed.log_prior, posed.linear)


def _problem(kind: Kind, platform: Platform | None, task: _Task) -> interior.Problem:
    rows = Equilibrated(gain_rows(task.posed.payoffs, kind.concept), task.units)
    limits, tol = task.posed.allowance / task.units, task.posed.tol
    objective, multipliers = _objective(kind, task.posed), MULTIPLIERS[kind.concept]
    return interior.Problem(objective, rows, limits, task.posed.allowed, tol, task.left, multipliers, platform)


def _method(kind: Kind, platform: Platform | None) -> Method[_Task, interior.State]:
    problem = partial(_problem, kind, platform)
    return Method(
        start=lambda task: interior.start(problem(task)),
        step=lambda task, state: interior.step(problem(task), state),
        running=lambda task, state: interior.running(problem(task), state),
        result=lambda _, state: (state.x / jnp.sum(state.x, axis=0), state.gap, state.num_steps),
    )


def _judge(kind: Kind, posed: Posed, last: Attempt, found: tuple[Array, Array, Array]) -> Attempt:
    """What came of an attempt, in a batch; what need not be solved again is left as it was."""
    posed, last, (x, gap, num_steps) = lanes_last((posed, last, found))
    rows = Equilibrated(gain_rows(posed.payoffs, kind.concept), posed.units)
    limits, policy = posed.allowance / posed.units, x.reshape(*posed.payoffs.shape[1:-1], -1)
    good, disobeyed, above = holds(rows, limits, posed.allowed, policy, posed.tol, kind.concept)
    units = jnp.minimum(last.units, finer(posed.units, disobeyed, policy, kind.concept))
    made = last.num_steps + num_steps
    objective = _objective(kind, posed)
    scale = posed.scale[owners(NormalFormGame(posed.payoffs[..., 0]), kind.concept)]
    after = Attempt(
        x=x,
        objective=objective.value(x, objective.bend(x)),
        gap=gap,
        violation=jnp.max(above * posed.units * scale, axis=0),
        num_steps=made,
        units=units,
        good=good,
        again=~good & jnp.any(units < last.units / 2, axis=0) & (made < kind.max_steps),
    )
    return lanes_first(jax.tree.map(lambda old, new: jnp.where(last.again, new, old), last, after))


def _attempts(
    kind: Kind, batch: Given, blocks: Callable[..., Any], minimize: Callable[[_Task], Any]
) -> tuple[Posed, Attempt]:
    """Solve a batch, again and again where need be."""
    posed = blocks(lambda block: _pose(kind, block), batch)
    number = jnp.zeros_like(posed.tol)
    none, yes = jnp.zeros(number.shape, jnp.int32), jnp.ones(number.shape, bool)
    first = Attempt(jnp.zeros_like(posed.linear), number, number, number, none, posed.units, ~yes, yes)

    def attempt(last: Attempt) -> Attempt:
        left = jnp.where(last.again, kind.max_steps - last.num_steps, 0)
        found = minimize(_Task(posed, last.units, left))
        return blocks(lambda *block: _judge(kind, *block), posed, last, found)

    return posed, jax.lax.while_loop(lambda last: jnp.any(last.again), attempt, first)


def _num_lanes(kind: Kind, platform: Platform, game: NormalFormGame) -> int:
    """How many games like this one are worked on at once; 1 where the library does better one by one."""
    rows, cells = count_gains(game, kind.concept)
    size = rows if kind.concept == "cce" else cells
    if platform is CPU and not (cholesky.in_tiles(size, MOST_LANES) and cells <= LARGEST_SUM * min(game.num_actions)):
        return 1
    numbers = np.broadcast_to(np.zeros((), game.dtype), (1, NUMBERS_A_CELL * cells + size**2))
    return min(MOST_LANES, fitting_lanes(platform._replace(lane_bytes=ROOM * platform.lane_bytes), numbers))


def solver(kind: Kind) -> Callable[[Given], tuple[Posed, Attempt]]:
    """The function that solves a game; under ``jax.vmap`` in lanes, or one by one where there are few or large ones."""

    def alone(given: Given) -> tuple[Posed, Attempt]:
        def minimize(task: _Task) -> Any:
            return lanes_first(solve_side_by_side(_method(kind, None), lanes_last(task)))

        batch = jax.tree.map(lambda leaf: leaf[None], given)
        found = _attempts(kind, batch, lambda function, *block: function(*block), minimize)
        return jax.tree.map(lambda leaf: leaf[0], found)

    def together(batch: Given) -> tuple[Posed, Attempt]:
        def on(platform: Platform, batch: Given) -> tuple[Posed, Attempt]:
            width = _num_lanes(kind, platform, NormalFormGame(batch.game.payoffs[0]))
            if width == 1 or len(batch.tol) < FEWEST_GAMES:
                return jax.lax.map(alone, batch)
            return _attempts(
                kind,
                batch,
                lambda function, *block: in_blocks(function, width, *block),
                lambda tasks: solve_in_turns(_method(kind, platform), tasks, width),
            )

        return by_platform(on, batch)

    return sharing_lanes(alone, together)
