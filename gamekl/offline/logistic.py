"""Maximum likelihood of choices by Newton's method, for many small problems side by side.

With z_k = c_k . x the log-odds of choice k, which went w_k times one way and l_k times the other,

    log-likelihood    L(x) = sum_k [w_k log sigma(z_k) + l_k log sigma(-z_k)] - penalty / 2 |x|^2

is concave. As |sigma''| <= sigma', on a line x + t d its curvature grows by no more than the factor e^(D t) with
D = max_k |c_k . d|. So where d is Newton's step and s = d . grad L,

    L(x + t d) >= L(x) + s [t - (e^(D t) - 1 - D t) / D^2],

of which the right side is greatest at t = log(1 + D) / D: steps of that length rise from everywhere, tend to Newton's
own, and compare no values of L (derived; Sun and Tran-Dinh, Mathematical Programming 178, 2019, have it for all
generalised self-concordant functions).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.lanes import largest, solve

# The residual to which a fit comes before its last step, which squares it as far as the precision goes.
TOLERANCE = {jnp.dtype("float32"): 1e-4, jnp.dtype("float64"): 1e-9}


class Slopes(NamedTuple):
    """Derivatives of L at a point.

    Attributes:
        gradient: of L.
        curvature: of -L, positive definite on the whole space.
    """

    gradient: Float[Array, "n lane"]
    curvature: Float[Array, "n n lane"]

    @property
    def residual(self) -> Float[Array, " lane"]:
        """How far any coordinate alone would move to the maximum, max_i |gradient_i| / curvature_ii, units of x."""
        return largest(jnp.abs(self.gradient) / jnp.einsum("iil->il", self.curvature))


class Fit(NamedTuple):
    """Where the steps ended; `residual` is that of `x`."""

    x: Float[Array, "n lane"]
    residual: Float[Array, " lane"]
    num_steps: Int[Array, " lane"]
    converged: Bool[Array, " lane"]


def maximize(
    derivatives: Callable[[Float[Array, "n lane"]], Slopes],
    widest: Callable[[Float[Array, "n lane"]], Float[Array, " lane"]],
    start: Float[Array, "n lane"],
    usable: Bool[Array, " lane"],
    max_steps: int,
    first: Slopes | None = None,
) -> Fit:
    """Maximise L by the steps of the module, in every lane until its gradient vanishes and then once more.

    Args:
        derivatives: of L at x.
        widest: D of a step.
        start: where to begin.
        usable: which lanes to work on; the others stay where they are.
        max_steps: of each lane.
        first: derivatives at the start of a quadratic whose maximiser is where to begin; a step of its own.
    """
    tol = jnp.asarray(TOLERANCE[start.dtype], start.dtype)

    def busy(state: Fit) -> Bool[Array, " lane"]:
        return usable & (state.residual > tol) & (state.num_steps < max_steps)  # NaN is not busy

    def step(state: Fit) -> Fit:
        slopes, active, begins = derivatives(state.x), busy(state), state.num_steps == 0
        if first is not None:
            slopes = jax.tree.map(lambda given, found: jnp.where(begins, given, found), first, slopes)
        table = jnp.concatenate([slopes.curvature, slopes.gradient[:, None]], axis=1)
        move = solve(table)[0][:, 0]
        reach = widest(move)
        length = jnp.where(reach > 0, jnp.log1p(reach) / jnp.where(reach > 0, reach, 1), 1)
        residual = slopes.residual
        if first is not None:
            length, residual = jnp.where(begins, 1, length), jnp.where(begins, jnp.inf, residual)
        return Fit(
            jnp.where(active, state.x + length * move, state.x),
            jnp.where(active, residual, state.residual),
            state.num_steps + active.astype(jnp.int32),
            state.converged,
        )

    lanes = start.shape[-1:]
    state = Fit(start, jnp.full(lanes, jnp.inf, start.dtype), jnp.zeros(lanes, jnp.int32), jnp.zeros(lanes, bool))
    state = jax.lax.while_loop(lambda state: jnp.any(busy(state)), step, state)
    residual = derivatives(state.x).residual
    return state._replace(residual=residual, converged=usable & (residual <= tol))
