"""Many problems, few lanes: each lane works on one problem, and takes the next when that is done.

A loop over a whole batch would run until its slowest problem is done. Here finished lanes are written out and refilled
as soon as there are enough of them, so every step works on a nearly full set of unfinished problems that stays in
cache. The number of lanes is fixed, and lanes do not see each other: a problem's numbers depend neither on its
neighbours nor on the size of the batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

T = TypeVar("T")
S = TypeVar("S")

# Finished lanes wait until this fraction of all has finished.
REFILL = 0.25


@dataclass(frozen=True)
class Method(Generic[T, S]):
    """How problems are solved step by step; all arrays have their lanes last.

    Attributes:
        start: from problems to states.
        step: from problems and states to states; those that are not running it must leave as they are.
        running: from problems and states to which lanes are not done.
        result: from problems and states to what is kept.
        entry: from problems and states, after each step, to what is written into the journal, and as which entry of the
            lane's problem.
    """

    start: Callable[[T], S]
    step: Callable[[T, S], S]
    running: Callable[[T, S], Bool[Array, " lane"]]
    result: Callable[[T, S], Any]
    entry: Callable[[T, S], tuple[Any, Int[Array, " lane"]]] | None = None


class _Lanes(NamedTuple):
    """The row of each lane's problem, the problem, its state; the first row that waits; the results; the journal."""

    row: Int[Array, " lane"]
    problem: Any
    state: Any
    waiting: Int[Array, ""]
    found: Any
    journal: Any


def solve_side_by_side(method: Method, problems: Any) -> Any:
    """Solve problems all at once, each in a lane of its own; of problems and results lanes are last."""
    state = jax.lax.while_loop(
        lambda state: jnp.any(method.running(problems, state)),
        lambda state: method.step(problems, state),
        method.start(problems),
    )
    return method.result(problems, state)


def solve_in_turns(method: Method, problems: Any, width: int) -> Any:
    """Solve a batch of problems, `width` at a time; every leaf of problems and results has a leading axis."""
    return solve_with_journal(method, problems, width, ())[0]


def solve_with_journal(method: Method, problems: Any, width: int, journal: T) -> tuple[Any, T]:
    """The same, and a journal of what happened on the way.

    Args:
        method: with an `entry` for the journal, if that has any leaves.
        problems: with a leading axis.
        width: the number of lanes.
        journal: with axes of problems and of entries in front; entries beyond the last are dropped.

    Returns:
        The results and the journal.
    """
    size = jax.tree.leaves(problems)[0].shape[0]

    def blank(struct: jax.ShapeDtypeStruct) -> Array:
        return jnp.zeros(struct.shape, struct.dtype)

    def load(row: Array) -> Any:
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf[jnp.minimum(row, size - 1)], 0, -1), problems)

    def done(lanes: _Lanes) -> Array:
        return (lanes.row >= size) | ~method.running(lanes.problem, lanes.state)

    def refill(lanes: _Lanes) -> _Lanes:
        free = done(lanes)
        written = jnp.where(free, lanes.row, size)
        found = jax.tree.map(
            lambda every, lane: every.at[written].set(jnp.moveaxis(lane, -1, 0), mode="drop"),
            lanes.found,
            method.result(lanes.problem, lanes.state),
        )
        taken = jnp.cumsum(free, dtype=jnp.int32)
        row = jnp.where(free, jnp.minimum(lanes.waiting + taken - 1, size), lanes.row)
        problem = load(row)
        fresh = (problem, method.start(problem))
        problem, state = jax.tree.map(lambda new, old: jnp.where(free, new, old), fresh, (lanes.problem, lanes.state))
        return _Lanes(row, problem, state, lanes.waiting + taken[-1], found, lanes.journal)

    def step(lanes: _Lanes, state: S, journal: T) -> tuple[S, T]:
        state = method.step(lanes.problem, state)
        if method.entry is None:
            return state, journal
        entry, place = method.entry(lanes.problem, state)
        return state, jax.tree.map(
            lambda every, lane: every.at[lanes.row, place].set(jnp.moveaxis(lane, -1, 0), mode="drop"), journal, entry
        )

    def work(lanes: _Lanes) -> _Lanes:
        lanes = refill(lanes)
        idle_limit = jnp.where(lanes.waiting < size, max(1, int(REFILL * width)), width)
        state, journal = jax.lax.while_loop(
            lambda carry: jnp.sum(done(lanes._replace(state=carry[0])), dtype=jnp.int32) < idle_limit,
            lambda carry: step(lanes, *carry),
            (lanes.state, lanes.journal),
        )
        return lanes._replace(state=state, journal=journal)

    empty = jnp.full((width,), size, dtype=jnp.int32)
    problem = jax.tree.map(blank, jax.eval_shape(load, empty))
    state = jax.tree.map(blank, jax.eval_shape(method.start, problem))
    found = jax.tree.map(
        lambda struct: jnp.zeros((size, *struct.shape[:-1]), struct.dtype),
        jax.eval_shape(method.result, problem, state),
    )
    lanes = _Lanes(empty, problem, state, jnp.int32(0), found, journal)
    lanes = jax.lax.while_loop(lambda lanes: (lanes.waiting < size) | jnp.any(lanes.row < size), work, lanes)
    return lanes.found, lanes.journal
