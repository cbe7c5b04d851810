"""Equilibria at vertices with their certificates, in lanes: what a batch, ``vmap`` and ``jit`` call."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.arrays import has_float64
from gamekl.core.kernels.batching import fitting_lanes, in_blocks, sharing_lanes
from gamekl.core.kernels.lanes import lanes_first
from gamekl.core.kernels.platforms import Platform, by_platform
from gamekl.solvers.exact.certificate import CONVERGED, judge, no_path
from gamekl.solvers.exact.lemke_howson import pivoted_policies
from gamekl.solvers.exact.zero_sum import optimal_policies
from gamekl.solvers.solution import Solution, Status

# Of games so large that few fit the lanes of a platform, so many are worked on, within so many times its budget: a
# vector loop over fewer is short (measured: 30x30 takes half of the time).
LONG_LOOP = 32
ROOM = 8
# Where there is no float64, a residual of so many eps counts as 0.
SINGLE = 32


class Vertex(NamedTuple):
    """A profile and what it is worth; lanes are last, or first in a batch.

    Attributes:
        x: the row player's policy.
        y: the column player's.
        gap: of both players, payoff units.
        residual: the larger `certificate.regret`.
        num_steps: pivots.
    """

    x: Float[Array, "actions_1 lane"]
    y: Float[Array, "actions_2 lane"]
    gap: Float[Array, "player lane"]
    residual: Float[Array, " lane"]
    num_steps: Int[Array, " lane"]


# From payoffs ``[player, actions_1, actions_2, lane]``, the first label to drop, ``[lane]``, and the platform that this
# is traced for (None for a single lane).
Finder = Callable[[Array, Array, Platform | None], Vertex]


def _certified(payoffs: Array, x: Array, y: Array, num_steps: Array, platform: Platform | None) -> Vertex:
    first, first_regret = judge(payoffs[0], x, y, platform)
    second, second_regret = judge(jnp.swapaxes(payoffs[1], 0, 1), y, x, platform)
    return Vertex(x, y, jnp.stack([first, second]), jnp.maximum(first_regret, second_regret), num_steps)


def zero_sum(payoffs: Array, dropped: Array, platform: Platform | None) -> Vertex:
    """By the simplex method, of the zero-sum game of half the payoffs' difference; `dropped` is not used.

    That is the game itself where it is zero-sum up to a shift, and has its equilibria where one player's payoffs are
    the other's times a negative number. The certificate is of the game as given.
    """
    del dropped
    return _certified(payoffs, *optimal_policies((payoffs[0] - payoffs[1]) / 2, platform), platform)


def pivots(payoffs: Array, dropped: Array, platform: Platform | None) -> Vertex:
    """By complementary pivoting."""
    return _certified(payoffs, *pivoted_policies(payoffs[0], payoffs[1], dropped, platform), platform)


def either(payoffs: Array, dropped: Array, platform: Platform | None) -> Vertex:
    """By `zero_sum` where its certificate holds, else by `pivots`, which is called where there is such a lane."""
    found = zero_sum(payoffs, dropped, platform)
    failed = ~(found.residual <= tolerance(payoffs.dtype))

    def again(payoffs: Array, dropped: Array, found: Vertex) -> Vertex:
        others = pivots(payoffs, dropped, platform)
        return jax.tree.map(lambda new, old: jnp.where(failed, new, old), others, found)

    wanted = jnp.any(failed & jnp.isfinite(payoffs.sum(axis=(0, 1, 2))))
    return jax.lax.cond(wanted, again, lambda _, __, found: found, payoffs, dropped, found)


def num_lanes(platform: Platform, payoffs: Array | np.ndarray) -> int:
    """How many games like these (a batch, with a leading axis) are worked on at once."""
    roomy = platform._replace(lane_bytes=ROOM * platform.lane_bytes)
    return max(fitting_lanes(platform, payoffs), min(LONG_LOOP, fitting_lanes(roomy, payoffs)))


def tolerance(dtype: jnp.dtype) -> float:
    """The largest residual that counts as 0, where the work is done in this dtype."""
    return max(CONVERGED, 0 if dtype == jnp.float64 else SINGLE * float(jnp.finfo(dtype).eps))


def _solution(payoffs: Array, vertex: Vertex, dtype: jnp.dtype) -> Solution:
    """Of one game."""
    finite = jnp.all(jnp.isfinite(payoffs))
    converged = jnp.where(vertex.residual <= tolerance(payoffs.dtype), Status.converged, Status.not_converged)
    gap, residual = vertex.gap.astype(dtype), vertex.residual.astype(dtype)
    return Solution(
        log_policy=(jnp.log(vertex.x).astype(dtype), jnp.log(vertex.y).astype(dtype)),
        gap=gap,
        residual=residual,
        num_steps=vertex.num_steps,
        status=jnp.where(finite, converged, Status.nonfinite_input).astype(jnp.int32),
        path=no_path(gap),
    )


def solve_games(
    find: Finder, payoffs: Float[Array, "game player actions_1 actions_2"], dropped: Int[Array, " game"]
) -> Solution:
    """The solutions of a batch of games, in float64 where jax has it; every leaf has a leading axis."""
    dtype = payoffs.dtype
    payoffs = payoffs.astype(jnp.float64 if has_float64() else jnp.float32)

    def work(platform: Platform, payoffs: Array, dropped: Array) -> Vertex:
        def block(payoffs: Array, dropped: Array) -> Vertex:
            found = find(jnp.moveaxis(payoffs, 0, -1), dropped, platform)
            return lanes_first(found)

        return in_blocks(block, num_lanes(platform, payoffs), payoffs, dropped)

    found = by_platform(work, payoffs, dropped)
    return jax.vmap(lambda payoffs, vertex: _solution(payoffs, vertex, dtype))(payoffs, found)


def solve_traced(payoffs: Float[Array, "player actions_1 actions_2"]) -> Solution:
    """The solution of one game; ``jax.vmap`` makes one call of `solve_games` of it."""

    def alone(payoffs: Array) -> Solution:
        work = payoffs.astype(jnp.float64 if has_float64() else jnp.float32)
        found = either(work[..., None], jnp.zeros(1, jnp.int32), None)
        return _solution(work, jax.tree.map(lambda leaf: leaf[..., 0], found), payoffs.dtype)

    def together(payoffs: Array) -> Solution:
        return solve_games(either, payoffs, jnp.zeros(len(payoffs), jnp.int32))

    return sharing_lanes(alone, together)(payoffs)
