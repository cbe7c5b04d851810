"""What is to be traced, and checks of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.nash.prepare import NashProblem
from gamekl.solvers.paths.follow import Direction
from gamekl.solvers.solution import check_options, whole_number


class Options(NamedTuple):
    """The options of `trace`, which are static."""

    max_steps: int
    max_points: int
    max_folds: int
    max_crossings: int
    crosses: bool


# Up to so many temperatures of a single path have one program.
FEW = 8


class Request(NamedTuple):
    """What is to be traced, which fractions of the inverse temperature to report, and the side to turn off to."""

    problem: NashProblem
    fractions: Array | np.ndarray
    direction: Direction


def asked_fractions(
    regularizer: Regularizer, temperatures: Any, batch: int | None = None
) -> tuple[Array | np.ndarray, int]:
    """The fractions of the inverse temperature that were asked for, filled up with NaN, and how many they are.

    Args:
        regularizer: of one game, or of a batch of so many, whose axis is then in front.
        temperatures: as `trace` takes them; in a batch with its axis in front.
        batch: how many games there are.

    Raises:
        ValueError: temperatures of another shape, not positive, below the path's end, or not on its ray.
    """
    end, players = regularizer.temperature, len(regularizer.log_reference)
    xp = np if is_concrete(temperatures, end) else jnp
    ends = xp.asarray(end) if batch else xp.asarray(end)[None]
    asked = ends[:, None] if temperatures is None else xp.asarray(temperatures, dtype=end.dtype)
    asked = asked if batch or temperatures is None else asked[None]
    own = ends.ndim == 2  # each player has one of its own
    fits = asked.ndim == ends.ndim + 1 and len(asked) == len(ends) and asked.shape[1] > 0
    if not fits or (own and asked.shape[2] != players):
        axes = [str(batch)] if batch else []
        takes = ", ".join([*axes, "temperature", *([str(players)] if own else [])])
        shape = asked.shape if batch else asked.shape[1:]
        raise ValueError(f"temperatures: got shape {shape}, takes [{takes}], as the regularizer has it")
    with np.errstate(all="ignore"):  # what is no positive number is told below
        ratios = ends[:, None] / asked
    if xp is np and temperatures is not None:
        _check_rays(np.asarray(ends), np.asarray(asked), np.asarray(ratios))
    fractions = xp.minimum(ratios[..., 0] if own else ratios, 1)
    if temperatures is None:  # whatever it is
        fractions = xp.ones_like(fractions)
    # Of a few lengths only, so that few are compiled; what is not asked for costs nothing but, in batches, memory.
    size = fractions.shape[1]
    room = max(1 << (size - 1).bit_length(), 1 if batch else FEW)
    filling = xp.full((len(fractions), room - size), xp.nan, fractions.dtype)
    filled = xp.concatenate([fractions, filling], axis=1)
    return filled if batch else filled[0], size


def _check_rays(ends: np.ndarray, asked: np.ndarray, ratios: np.ndarray) -> None:
    """Raise ``ValueError`` unless temperatures ``[game, temperature]``, maybe of each player, lie on the paths."""
    eps = float(np.finfo(ends.dtype).eps)
    table, shares = (array.reshape(*array.shape[:2], -1) for array in (asked, ratios))
    with np.errstate(invalid="ignore"):
        good = np.all(np.isfinite(table) & (table > 0), axis=2)
        reached = ~(np.max(shares, axis=2) > 1 + 8 * eps)
        along = ~(np.max(shares, axis=2) - np.min(shares, axis=2) > 16 * eps)
    if np.all(good & reached & along):
        return
    place = tuple(np.argwhere(~(good & reached & along))[0])
    got, end = asked[place].tolist(), ends[place[0]].tolist()
    if not good[place]:
        raise ValueError(f"temperatures: got {got}, takes positive numbers")
    if not reached[place]:
        raise ValueError(f"temperatures: got {got}, takes at least the regularizer's, where the path ends: {end}")
    raise ValueError(
        f"temperatures: got {got}, takes multiples of the regularizer's, {end}: the path lies on their ray"
    )


def make_direction(game: NormalFormGame, direction: Any) -> Direction:
    """The change of a game that was given as a table of payoffs, or as one of each player's log-reference."""
    shape, sizes, dtype = game.payoffs.shape, game.num_actions, game.dtype
    payoffs, references = np.zeros(shape, dtype), tuple(np.zeros(size, dtype) for size in sizes)
    if direction is None:
        return Direction(payoffs, references)
    if isinstance(direction, tuple | list):
        given = tuple(jnp.asarray(entry, dtype) for entry in direction)
        shapes, takes = [entry.shape for entry in given], [(size,) for size in sizes]
        if shapes != takes:
            raise ValueError(f"direction: got shapes {shapes}, takes {takes} (log-references)")
        return _finite(Direction(payoffs, given))
    table = jnp.asarray(direction, dtype)
    if table.shape != shape:
        raise ValueError(
            f"direction: got shape {table.shape}, takes {shape} (payoffs) or one log-reference for each player"
        )
    return _finite(Direction(table, references))


def _finite(direction: Direction) -> Direction:
    if is_concrete(direction) and not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(direction)):
        raise ValueError("direction: got a NaN or an infinite entry, takes finite ones")
    return direction


def make_options(
    at_branching: Any, max_crossings: Any, max_points: Any, max_folds: Any, max_steps: Any, tol: Any = None
) -> Options:
    """The options, checked.

    Raises:
        ValueError: one of them is not known or no whole number.
    """
    check_options(tol, max_steps)
    if at_branching not in ("stay", "cross"):
        raise ValueError(f"at_branching: got {at_branching!r}, takes 'stay' or 'cross'")
    return Options(
        max_steps=int(max_steps),
        max_points=whole_number("max_points", max_points, least=2),
        max_folds=whole_number("max_folds", max_folds),
        max_crossings=whole_number("max_crossings", max_crossings),
        crosses=at_branching == "cross",
    )
