"""The logit path from the reference, by pseudo-arclength continuation.

The solutions of F(z, beta) = 0 (see `core.system`) form a path that starts at the reference, beta = 0. It may fold
back in beta, so it is traced by its own arclength in w = (z, kappa beta), kappa = max_i R_i / tau_i: in these
coordinates it becomes straight where the policies have settled. Its first crossing of beta = 1 is the equilibrium that
`solve_nash` returns: the principal branch, that of Turocy (2005) and of Gambit's logit tracer where the reference is
uniform (MATH I2).

Each step predicts with the two last tangents and corrects by two Newton steps in the hyperplane through the
prediction; the second factorisation also yields the new tangent. A step is refused, and a shorter one tried, when the
corrections show that the prediction was not close to the path: so the tracer does not jump between branches.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.system import LogitSystem, Vector

# Largest first correction, in nats of any logit, of a step that is accepted; and the size that steps aim at.
MAX_CORRECTION = 0.5
AIM_CORRECTION = 0.1
# Largest second correction: it leaves the new point so close to the path that the tangent there is right.
MAX_SECOND_CORRECTION = 0.003
# Least cosine between the tangents at both ends of a step.
MIN_COSINE = 0.7
FIRST_STEP = 0.3
GROWTH = 3.0
SHRINK = 0.3
# A path that asks for shorter steps than this (in units of eps) has met a singular point that it cannot pass.
SHORTEST_STEP = 64.0
# Points of a step at which its interpolant is compared with the end of the path.
PROBES = 16


class Point(NamedTuple):
    """A point of the path: w = (z, kappa beta) and the unit tangent there."""

    w: Float[Array, " w"]
    tangent: Float[Array, " w"]


class Trace(NamedTuple):
    """State of the tracer.

    Attributes:
        start: the last point accepted before `end`.
        end: the last accepted point.
        length: arclength from `start` to `end`.
        step: arclength of the next step.
        bend: derivative of the tangent with respect to the arclength, by a difference.
        num_steps: steps tried.
        folds: turning points in beta that were passed.
        orientation: sign of det [dF/dw; tangent]; folds keep it, and it flips where another branch crosses the path.
        bifurcations: such crossings that were passed.
        crossed: whether the crossing of beta = 1 lies between `start` and `end`.
        failed: whether the step became too short.
    """

    start: Point
    end: Point
    length: Float[Array, ""]
    step: Float[Array, ""]
    bend: Float[Array, " w"]
    num_steps: Int[Array, ""]
    folds: Int[Array, ""]
    orientation: Float[Array, ""]
    bifurcations: Int[Array, ""]
    crossed: Bool[Array, ""]
    failed: Bool[Array, ""]


def _bordered(system: LogitSystem, w: Vector, border: Vector, kappa: Array) -> tuple[Array, Array]:
    """[dF/dw; border] and F at w."""
    linear = system.linearize(w[:-1], w[-1] / kappa)
    top = jnp.concatenate([linear.jacobian, linear.slope[:, None] / kappa], axis=1)
    return jnp.concatenate([top, border[None]], axis=0), linear.residual


def _determinant_sign(lu: Array, pivots: Array) -> Array:
    swaps = jnp.sum(pivots != jnp.arange(pivots.size, dtype=pivots.dtype))
    return jnp.prod(jnp.sign(jnp.diagonal(lu))) * jnp.where(swaps % 2 == 0, 1, -1).astype(lu.dtype)


def _unit(vector: Array) -> Array:
    return vector / jnp.linalg.norm(vector)


def interpolate(trace: Trace, fraction: Float[Array, ""]) -> Float[Array, " w"]:
    """The cubic through `start` and `end` with their tangents, at a fraction in [0, 1] of the length between."""
    t = fraction
    return (
        (1 + 2 * t) * (1 - t) ** 2 * trace.start.w
        + t * (1 - t) ** 2 * trace.length * trace.start.tangent
        + t**2 * (3 - 2 * t) * trace.end.w
        - t**2 * (1 - t) * trace.length * trace.end.tangent
    )


def _first_point(system: LogitSystem, kappa: Array) -> Point:
    """The reference, with the tangent in which beta grows; dF/dz is the identity there."""
    slope = system.linearize(system.anchor, jnp.zeros_like(kappa)).slope
    tangent = _unit(jnp.append(-slope / kappa, jnp.ones_like(kappa)))
    return Point(jnp.append(system.anchor, jnp.zeros_like(kappa)), tangent)


def _step(system: LogitSystem, kappa: Array, trace: Trace) -> Trace:
    end = trace.end
    eps = jnp.finfo(kappa.dtype).eps
    # Do not run far past the end of the path.
    ahead = jnp.where(end.tangent[-1] > 0, (1.05 * kappa - end.w[-1]) / end.tangent[-1], jnp.inf)
    h = jnp.minimum(trace.step, ahead)
    predicted = end.w + h * end.tangent + h**2 / 2 * trace.bend
    last_row = jnp.zeros_like(predicted).at[-1].set(1)

    matrix, residual = _bordered(system, predicted, end.tangent, kappa)
    first = -jnp.linalg.solve(matrix, jnp.append(residual, 0))
    corrected = predicted + first
    matrix, residual = _bordered(system, corrected, end.tangent, kappa)
    factors = jax.scipy.linalg.lu_factor(matrix)
    solved = jax.scipy.linalg.lu_solve(factors, jnp.stack([-jnp.append(residual, 0), last_row], axis=1))
    orientation = _determinant_sign(*factors)
    second, tangent = solved[:, 0], _unit(solved[:, 1])
    point = Point(corrected + second, tangent)

    first_size, second_size = jnp.max(jnp.abs(first)), jnp.max(jnp.abs(second))
    sound = (first_size <= MAX_CORRECTION) & (second_size <= MAX_SECOND_CORRECTION)
    sound &= (jnp.dot(tangent, end.tangent) >= MIN_COSINE) & jnp.all(jnp.isfinite(point.w))

    # The end must be met cleanly: on the way up, and not by a tip of the path that only the interpolant sees.
    candidate = trace._replace(start=end, end=point, length=h)
    probes = jnp.linspace(0, 1, PROBES, dtype=h.dtype)
    peak = jnp.max(jax.vmap(lambda fraction: interpolate(candidate, fraction)[-1])(probes))
    crossed = (peak >= kappa) | (point.w[-1] >= kappa)
    clean = (point.w[-1] >= kappa) & (end.tangent[-1] > 0) & (tangent[-1] > 0)
    shortest = SHORTEST_STEP * eps * (1 + kappa)
    accepted = sound & (~crossed | clean | (h <= jnp.sqrt(shortest)))

    aim = jnp.cbrt(AIM_CORRECTION / jnp.maximum(first_size, AIM_CORRECTION / GROWTH**3))
    step = jnp.where(accepted, h * jnp.clip(aim, SHRINK, GROWTH), h * SHRINK)
    return Trace(
        start=_select(accepted, end, trace.start),
        end=_select(accepted, point, end),
        length=jnp.where(accepted, h, trace.length),
        step=step,
        bend=jnp.where(accepted, (tangent - end.tangent) / h, trace.bend),
        num_steps=trace.num_steps + 1,
        folds=trace.folds + (accepted & (tangent[-1] * end.tangent[-1] < 0)).astype(jnp.int32),
        orientation=jnp.where(accepted, orientation, trace.orientation),
        bifurcations=trace.bifurcations + (accepted & (orientation != trace.orientation)).astype(jnp.int32),
        crossed=accepted & crossed,
        failed=~accepted & (step < shortest),
    )


def _select(condition: Array, this: Point, other: Point) -> Point:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, other)


def trace_path(system: LogitSystem, skip: Bool[Array, ""], max_steps: int) -> Trace:
    """Trace the logit path from the reference until it first crosses beta = 1.

    Args:
        system: the equations.
        skip: do nothing (the answer is known, or the input is not finite).
        max_steps: most steps tried.

    Returns:
        The final state; `Trace.crossed` tells whether the crossing was met.
    """
    kappa = jnp.maximum(system.scale(), jnp.finfo(system.anchor.dtype).tiny ** 0.5)
    first = _first_point(system, kappa)
    zero = jnp.zeros_like(kappa)
    count = jnp.zeros((), dtype=jnp.int32)
    trace = Trace(
        start=first,
        end=first,
        length=zero,
        step=FIRST_STEP + zero,
        bend=jnp.zeros_like(first.w),
        num_steps=count,
        folds=count,
        orientation=zero + 1,
        bifurcations=count,
        crossed=skip,
        failed=jnp.zeros_like(skip),
    )
    return jax.lax.while_loop(
        lambda trace: ~trace.crossed & ~trace.failed & (trace.num_steps < max_steps),
        lambda trace: _step(system, kappa, trace),
        trace,
    )


def crossing(trace: Trace, kappa: Float[Array, ""]) -> Vector:
    """The logits where the interpolant of the last step first crosses kappa, by bisection."""

    def halve(_: Any, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = (low + high) / 2
        above = interpolate(trace, middle)[-1] >= kappa
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    zero = jnp.zeros_like(kappa)
    low, _ = jax.lax.fori_loop(0, 30, halve, (zero, zero + 1))
    return interpolate(trace, low)[:-1]
