"""Many games, few lanes: each lane traces one game's path, and takes the next game when it has finished.

A loop over a whole batch would run until its slowest game is done. Here finished lanes are written out and refilled as
soon as there are enough of them, so every step works on a nearly full set of unfinished games that stays in cache. The
number of lanes is fixed, and lanes do not see each other: a game's numbers depend neither on its neighbours nor on the
size of the batch.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.batching import fitting_lanes
from gamekl.core.kernels.lanes import materialize, writes_out
from gamekl.core.kernels.platforms import Platform
from gamekl.solvers.nash import path
from gamekl.solvers.nash.equations import Equations

# A vector loop over fewer lanes is short: there are so many in as much as ROOM times the budget, but never fewer than
# half of them (measured: 6x6x6, 20x20 and 24x24 take .72 to .78 of the time with 16).
LONG_LOOP = 64
ROOM = 4
FEWEST_LANES_OF_LARGE_GAMES = 4
# Finished lanes wait until this fraction of all has finished.
REFILL = 0.25


class Task(NamedTuple):
    """A game to solve; in a batch every leaf has a leading axis.

    Attributes:
        system: its equations.
        guess: logits to try first, where `guessed`.
        guessed: whether there is a guess.
        free: whether its equilibrium is known to be unique.
        usable: False where the input cannot be solved.
    """

    system: Equations
    guess: Float[Array, "*batch logits"]
    guessed: Bool[Array, "*batch"]
    free: Bool[Array, "*batch"]
    usable: Bool[Array, "*batch"]


class Traced(NamedTuple):
    """Where a game's tracer ended.

    Attributes:
        z: log-policies, joined: of the equilibrium, or of the last point of the path.
        beta: the fraction of the inverse temperature that was reached.
        phase: a phase of `path.Trace`.
        guessed: whether the answer came from the guess.
        num_steps: corrections made.
        folds: turning points passed.
        bifurcations: branching points passed.
        spread: of the pivots of dF/dz at the last correction.
    """

    z: Float[Array, "*batch logits"]
    beta: Float[Array, "*batch"]
    phase: Int[Array, "*batch"]
    guessed: Bool[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    folds: Int[Array, "*batch"]
    bifurcations: Int[Array, "*batch"]
    spread: Float[Array, "*batch"]


class _Lanes(NamedTuple):
    """What the lanes work on: the row of each one's task, the task, its state; the first row that waits; the ends."""

    row: Int[Array, " lane"]
    task: Task
    trace: path.Trace
    waiting: Int[Array, ""]
    traced: Traced


def num_lanes(platform: Platform, games: NormalFormGame) -> int:
    """How many games like these (a batch, with a leading axis) are traced at once."""
    fitting = fitting_lanes(platform, games.payoffs)
    if not writes_out(games.payoffs.shape[2:]):
        return max(FEWEST_LANES_OF_LARGE_GAMES, fitting)
    roomy = platform._replace(lane_bytes=ROOM * platform.lane_bytes)
    return max(LONG_LOOP // 2, fitting, min(LONG_LOOP, fitting_lanes(roomy, games.payoffs)))


def _traced(task: Task, trace: path.Trace) -> Traced:
    found = trace.phase == path.FOUND
    return Traced(
        z=jnp.where(found, trace.trial.z, trace.here.point.z),
        beta=jnp.where(found, 1, trace.here.point.s / task.system.scale),
        phase=trace.phase,
        guessed=trace.guess,
        num_steps=trace.num_steps,
        folds=trace.folds,
        bifurcations=trace.bifurcations,
        spread=trace.spread,
    )


def _start(task: Task) -> path.Trace:
    return path.start(task.system, task.guess, task.guessed, task.free, task.usable)


def solve_alone(task: Task, max_steps: int) -> Traced:
    """Solve one task in a lane of its own, at a fraction of the queue's compilation; leaves have no leading axis."""
    task = jax.tree.map(lambda leaf: leaf[..., None], task)
    trace = jax.lax.while_loop(
        lambda trace: trace.phase[0] == path.RUNNING,
        lambda trace: path.advance(task.system, trace, max_steps),
        _start(task),
    )
    return jax.tree.map(lambda leaf: leaf[..., 0], _traced(task, trace))


def solve_tasks(tasks: Task, width: int, max_steps: int) -> Traced:
    """Solve a batch of tasks, `width` at a time; every leaf of either has a leading axis."""
    size = tasks.usable.shape[0]

    def blank(struct: jax.ShapeDtypeStruct) -> Array:
        return jnp.zeros(struct.shape, struct.dtype)

    def load(row: Int[Array, " lane"]) -> Task:
        task = jax.tree.map(lambda leaf: jnp.moveaxis(leaf[jnp.minimum(row, size - 1)], 0, -1), tasks)
        return task._replace(usable=task.usable & (row < size))

    def refill(lanes: _Lanes) -> _Lanes:
        done = lanes.trace.phase != path.RUNNING
        written = jnp.where(done, lanes.row, size)
        traced = jax.tree.map(
            lambda all_games, lane: all_games.at[written].set(jnp.moveaxis(lane, -1, 0), mode="drop"),
            lanes.traced,
            _traced(lanes.task, lanes.trace),
        )
        taken = jnp.cumsum(done, dtype=jnp.int32)
        row = jnp.where(done, jnp.minimum(lanes.waiting + taken - 1, size), lanes.row)
        task = materialize(load, row)
        trace = _start(task)
        task, trace = jax.tree.map(lambda new, old: jnp.where(done, new, old), (task, trace), (lanes.task, lanes.trace))
        return _Lanes(row, task, trace, lanes.waiting + taken[-1], traced)

    def work(lanes: _Lanes) -> _Lanes:
        lanes = refill(lanes)
        idle_limit = jnp.where(lanes.waiting < size, max(1, int(REFILL * width)), width)

        def busy(trace: path.Trace) -> Bool[Array, ""]:
            return jnp.sum(trace.phase != path.RUNNING, dtype=jnp.int32) < idle_limit

        trace = jax.lax.while_loop(busy, lambda trace: path.advance(lanes.task.system, trace, max_steps), lanes.trace)
        return lanes._replace(trace=trace)

    empty = jnp.full((width,), size, dtype=jnp.int32)
    task = jax.tree.map(blank, jax.eval_shape(load, empty))
    trace = jax.tree.map(blank, jax.eval_shape(_start, task))
    traced = jax.tree.map(
        lambda struct: jnp.zeros((size, *struct.shape[:-1]), struct.dtype), jax.eval_shape(_traced, task, trace)
    )
    lanes = _Lanes(empty, task, trace._replace(phase=trace.phase + path.FAILED), jnp.int32(0), traced)
    lanes = jax.lax.while_loop(lambda lanes: (lanes.waiting < size) | jnp.any(lanes.row < size), work, lanes)
    return lanes.traced
