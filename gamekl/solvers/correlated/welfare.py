"""The best correlated or coarse correlated equilibrium by a linear measure, a linear program (on the host)."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite, validate
from gamekl.solvers.correlated.constraints import ByRows
from gamekl.solvers.correlated.gain_rows import gain_matrix, holds, owners, rescaled
from gamekl.solvers.correlated.programme import maximize, typical
from gamekl.solvers.correlated.solve import CorrelatedEquilibrium, check_problem, conclude
from gamekl.solvers.solution import Status

# Relative to what welfare typically differs from its median by, and to what each deviation typically brings.
TOLERANCE = 1e-6


class _Posed(NamedTuple):
    """A linear programme: rows in units of their own, their limits, those units; the game, rescaled, and by what."""

    game: NormalFormGame
    scale: Float[Array, " player"]
    matrix: Float[Array, "row joint"]
    limits: Float[Array, " row"]
    units: Float[Array, " row"]


@partial(jit, static_argnames="concept", quick=True)
def _pose(game: NormalFormGame, epsilon: Array, concept: str) -> _Posed:
    scaled, scale = rescaled(game)
    matrix = gain_matrix(scaled, concept)
    sizes = ByRows(matrix[..., None]).sizes()[:, 0]
    units = sizes * scale[owners(game, concept)]
    limits = jnp.broadcast_to(epsilon, (game.num_players,))[owners(game, concept)] / units
    return _Posed(scaled, scale, matrix / sizes[:, None], limits, units)


@partial(jit, static_argnames="concept", quick=True)
def _certified(
    posed: _Posed, x: Array, alpha: Array, objective: Array, missed: Array, unit: Array, num_steps: Array, concept: str
) -> CorrelatedEquilibrium:
    rows, limits, policy = ByRows(posed.matrix[..., None]), posed.limits[:, None], x[:, None]
    above = jnp.maximum(rows.apply(policy) - limits, 0)[:, 0]
    gap = missed + alpha @ above
    policy, everything = x.reshape(*posed.game.num_actions, 1), jnp.ones(limits.shape, bool)
    good, *_ = holds(rows, limits, everything, policy, TOLERANCE, concept)
    status = jnp.where((gap <= TOLERANCE) & good[0], Status.converged, Status.not_converged)
    return conclude(
        posed.game,
        posed.scale,
        x,
        None,
        objective=objective,
        duality_gap=gap * unit,
        violation=jnp.max(above * posed.units),
        num_steps=num_steps,
        status=status.astype(jnp.int32),
    )


def _read_welfare(welfare: Any, num_actions: tuple[int, ...]) -> np.ndarray:
    players = len(num_actions)
    takes = f"takes [player] = ({players},) or [*actions] = {num_actions}"
    if not is_concrete(welfare):
        raise TypeError("welfare: got a traced array, takes a concrete one: HiGHS works on the host")
    try:
        found = np.asarray(welfare, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"welfare: got {welfare!r}, {takes}, of numbers") from error
    if found.shape not in ((players,), num_actions):
        raise ValueError(f"welfare: got shape {found.shape}, {takes}")
    check_finite("welfare", found)
    return found


def solve_welfare(
    game: NormalFormGame, *, concept: str = "cce", welfare: Any = None, epsilon: Any = 0.0
) -> CorrelatedEquilibrium:
    """The correlated ("ce") or coarse correlated ("cce") equilibrium with the greatest welfare, a linear measure.

    It is found on the host in float64, by a linear program (HiGHS, through scipy).

    Args:
        game: the game, concrete.
        concept: "cce", no player gains by one action in place of all recommendations; or "ce", by an action for each.
        welfare: weights of the players' payoffs, shape ``[player]``; or what each joint action is worth, a table of
            shape ``[*actions]``. Of any signs: what is to be small has a minus. The sum of all payoffs if None.
        epsilon: what each gain may come to, payoff units, a number or ``[player]``.

    Returns:
        One such equilibrium, a `CorrelatedEquilibrium`; its `objective` is minus its welfare, in units of `welfare`
        (payoff units of a weighted sum).

    Raises:
        TypeError: `game` is no `NormalFormGame`, or it, `welfare` or `epsilon` is traced.
        ValueError: an option is not known, a value or shape is bad, or the game is too large.
    """
    check_problem(game, concept, epsilon)
    worth = _read_welfare(np.ones(game.num_players) if welfare is None else welfare, game.num_actions)
    if not is_concrete(game, epsilon):
        raise TypeError("game, epsilon: got traced arrays, takes concrete ones: HiGHS works on the host")
    validate(game)
    with jax.enable_x64(True):
        double = NormalFormGame(jnp.asarray(game.payoffs, dtype=jnp.float64))
        posed = _pose(double, jnp.asarray(epsilon, dtype=jnp.float64), concept)
        if worth.shape != game.num_actions:
            worth = np.tensordot(worth, np.asarray(double.payoffs), 1)
        worth = worth.ravel()
        moved = worth - np.median(worth)
        unit = typical(moved)
        gain = moved / unit
        found = maximize(gain, np.asarray(posed.matrix), np.asarray(posed.limits), is_possible=True)
        steps = jnp.asarray(found.num_steps, jnp.int32)
        numbers = [float(number) for number in (-worth @ found.policy, found.bound - gain @ found.policy, unit)]
        return _certified(posed, jnp.asarray(found.policy), jnp.asarray(found.multipliers), *numbers, steps, concept)
