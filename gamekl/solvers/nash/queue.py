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

from gamekl.core.kernels.batching import fitting_lanes
from gamekl.core.kernels.calls import as_one_function, materialize
from gamekl.core.kernels.lanes import lanes_first, lanes_last, writes_out
from gamekl.core.kernels.platforms import Platform
from gamekl.core.symmetric.game import LogitGame, SymmetricGame
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
        plain: whether the path is plain (`path.Trace`).
    """

    z: Float[Array, "*batch logits"]
    beta: Float[Array, "*batch"]
    phase: Int[Array, "*batch"]
    guessed: Bool[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    folds: Int[Array, "*batch"]
    bifurcations: Int[Array, "*batch"]
    spread: Float[Array, "*batch"]
    plain: Bool[Array, "*batch"]


class _Lanes(NamedTuple):
    """What the lanes work on: the row of each one's task, the task, and its state; and the first row that waits."""

    row: Int[Array, " lane"]
    task: Task
    trace: path.Trace
    waiting: Int[Array, ""]


class _Records(NamedTuple):
    """`Traced` in two tables, as writing takes about as long for a row as for a number."""

    numbers: Float[Array, "rows columns"]
    counts: Int[Array, "rows columns"]

    @classmethod
    def of(cls, traced: Traced) -> "_Records":
        """The records of all lanes, as rows."""
        counts = traced.phase, traced.guessed, traced.num_steps, traced.folds, traced.bifurcations, traced.plain
        return cls(
            numbers=jnp.concatenate([traced.z, traced.beta[None], traced.spread[None]]).T,
            counts=jnp.stack([count.astype(jnp.int32) for count in counts], axis=1),
        )

    def traced(self) -> Traced:
        """What was recorded, with a leading axis."""
        phase, guessed, num_steps, folds, bifurcations, plain = self.counts.T
        return Traced(
            z=self.numbers[:, :-2],
            beta=self.numbers[:, -2],
            phase=phase,
            guessed=guessed != 0,
            num_steps=num_steps,
            folds=folds,
            bifurcations=bifurcations,
            spread=self.numbers[:, -1],
            plain=plain != 0,
        )


def sizes_of(games: LogitGame) -> tuple[int, ...]:
    """How many actions each role has in games of a batch, with a leading axis."""
    return games.roles if isinstance(games, SymmetricGame) else games.payoffs.shape[2:]


def num_lanes(platform: Platform, games: LogitGame) -> int:
    """How many games like these (a batch, with a leading axis) are traced at once."""
    fitting = fitting_lanes(platform, games.payoffs)
    if not writes_out(sizes_of(games)):
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
        plain=found & trace.plain,
    )


def _start(task: Task) -> path.Trace:
    return path.start(task.system, task.guess, task.guessed, task.free, task.usable)


def solve_alone(task: Task, max_steps: int) -> Traced:
    """Solve a batch of one task, in a lane of its own, at a fraction of the queue's compilation."""
    task = lanes_last(task)
    trace = jax.lax.while_loop(
        lambda trace: trace.phase[0] == path.RUNNING,
        lambda trace: path.advance(task.system, trace, max_steps),
        _start(task),
    )
    return lanes_first(_traced(task, trace))


def solve_tasks(tasks: Task, max_steps: int, *, width: int, joined: bool) -> Traced:
    """Solve a batch of tasks, `width` at a time; every leaf of either has a leading axis.

    Args:
        tasks: the tasks.
        max_steps: most corrections for a task.
        width: the number of lanes.
        joined: whether nothing is left to libraries, so that all work in lanes may be compiled as one function.
    """
    size = tasks.usable.shape[0]

    def blank(struct: jax.ShapeDtypeStruct) -> Array:
        return jnp.zeros(struct.shape, struct.dtype)

    def load(tasks: Task, row: Int[Array, " lane"]) -> Task:
        task = jax.tree.map(lambda leaf: jnp.moveaxis(leaf[jnp.minimum(row, size - 1)], 0, -1), tasks)
        return task._replace(usable=task.usable & (row < size))

    def refill(tasks: Task, lanes: _Lanes) -> _Lanes:
        done = lanes.trace.phase != path.RUNNING
        taken = jnp.cumsum(done, dtype=jnp.int32)
        row = jnp.where(done, jnp.minimum(lanes.waiting + taken - 1, size), lanes.row)
        task = materialize(load, tasks, row)
        trace = _start(task)
        task, trace = jax.tree.map(lambda new, old: jnp.where(done, new, old), (task, trace), (lanes.task, lanes.trace))
        return _Lanes(row, task, trace, lanes.waiting + taken[-1])

    def turn(tasks: Task, lanes: _Lanes) -> _Lanes:
        lanes = refill(tasks, lanes)
        idle_limit = jnp.where(lanes.waiting < size, max(1, int(REFILL * width)), width)

        def busy(trace: path.Trace) -> Bool[Array, ""]:
            return jnp.sum(trace.phase != path.RUNNING, dtype=jnp.int32) < idle_limit

        trace = jax.lax.while_loop(busy, lambda trace: path.advance(lanes.task.system, trace, max_steps), lanes.trace)
        return lanes._replace(trace=trace)

    def work(state: tuple[_Lanes, _Records]) -> tuple[_Lanes, _Records]:
        lanes, records = state
        lanes = as_one_function(turn, tasks, lanes) if joined else turn(tasks, lanes)
        row = jnp.where(lanes.trace.phase != path.RUNNING, lanes.row, size)
        ended = _Records.of(_traced(lanes.task, lanes.trace))
        return lanes, jax.tree.map(lambda table, rows: table.at[row].set(rows, mode="drop"), records, ended)

    def unfinished(state: tuple[_Lanes, _Records]) -> Bool[Array, ""]:
        lanes, _ = state
        return (lanes.waiting < size) | jnp.any(lanes.trace.phase == path.RUNNING)

    empty = jnp.full((width,), size, dtype=jnp.int32)
    task = jax.tree.map(blank, jax.eval_shape(load, tasks, empty))
    trace = jax.tree.map(blank, jax.eval_shape(_start, task))
    trace = trace._replace(phase=trace.phase + path.FAILED)
    ends = jax.eval_shape(lambda task, trace: _Records.of(_traced(task, trace)), task, trace)
    records = jax.tree.map(lambda table: jnp.zeros((size, table.shape[1]), table.dtype), ends)
    _, records = jax.lax.while_loop(unfinished, work, (_Lanes(empty, task, trace, jnp.int32(0)), records))
    return records.traced()
