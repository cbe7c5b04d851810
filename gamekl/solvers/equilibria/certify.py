"""What is known of an equilibrium: a ball in which it is the only one, its index, its stability."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels import lanes
from gamekl.core.kernels.system import LogitSystem, Vector
from gamekl.solvers.nash.proof import LARGEST_RADIUS, NOISE, WORST_INVERSE, changes
from gamekl.solvers.nash.trace import Lane

# The ball's radius times the rate of change of the equations' derivative; where it reaches 1 nothing is proven.
CONTRACTION = 0.99
# What sums and products of the bounds themselves round, at most.
OUTWARD = 1 + 1e-8
# Newton's corrections before an equilibrium is certified; it may have been found in float32.
POLISHING = 3
# Squarings after which a spectral radius that is not told from 1 never will be: it differs by less than about 1e-6.
SQUARINGS = 20


class Certificate(NamedTuple):
    """What is known of one point in each lane.

    Attributes:
        z: the point, logits centred on the support.
        error: no farther from it, in nats of any centred logit, is the equilibrium; infinite where none is proven.
        radius: no farther from it there is only that one; 0 where none is proven.
        sign: that of det dF/dz.
        stable: 1 where the equilibrium attracts logit response dynamics nearby, -1 where it does not, 0 where that
            could not be told.
        flows: the same for the natural-gradient flow.
    """

    z: Vector
    error: Lane
    radius: Lane
    sign: Lane
    stable: Lane
    flows: Lane


def _attracts(matrix: Float[Array, "n n lane"]) -> Lane:
    """1 where all eigenvalues of a matrix have negative real parts, -1 where one's is positive, 0 where in doubt.

    Those are the matrices whose Cayley transforms have all eigenvalues within the unit circle: powers of these tell.
    """
    size = matrix.shape[0]
    scale = jnp.max(jnp.sum(jnp.abs(matrix), axis=1), axis=0)
    scaled = matrix / jnp.where(scale > 0, scale, 1)
    identity = jnp.broadcast_to(jnp.eye(size, dtype=matrix.dtype)[:, :, None], matrix.shape)
    power, _ = lanes.solve(jnp.concatenate([identity - scaled, identity + scaled], axis=1))
    eps = jnp.finfo(matrix.dtype).eps

    def goes_on(state: tuple[Array, Array, Lane, Lane]) -> Array:
        number, _, _, told = state
        return (number < SQUARINGS) & jnp.any(told == 0)

    def square(state: tuple[Array, Array, Lane, Lane]) -> tuple[Array, Array, Lane, Lane]:
        number, power, log, told = state
        norm = jnp.max(jnp.abs(power), axis=(0, 1))
        power = power / jnp.where(norm > 0, norm, 1)
        log = log + jnp.log(norm)
        # No eigenvalue of a power is larger than its norm, and one is no less than the mean, its trace by the size.
        trace = jnp.abs(lanes.total(power.reshape(size**2, -1)[:: size + 1]))
        inside = log + math.log(2 * size) < 0
        outside = (log + jnp.log(trace) > math.log(2 * size)) & (trace > jnp.sqrt(eps))
        told = jnp.where(told != 0, told, inside.astype(told.dtype) - outside.astype(told.dtype))
        return number + 1, lanes.matmul(power, power), 2 * log, told

    zero = jnp.zeros_like(scale)
    return jax.lax.while_loop(goes_on, square, (jnp.int32(0), power, zero, zero))[-1]


def certify(system: LogitSystem, halves: Vector, temperatures: Float[Array, "player lane"], z: Vector) -> Certificate:
    """What can be proven of points close to equilibria.

    Args:
        system: the equations, centred (`LogitSystem.of`), in lanes.
        halves: the half ranges of their payoffs (`proof.half_ranges`).
        temperatures: of the players.
        z: centred logits.
    """
    one, eps = jnp.ones_like(system.scale), jnp.finfo(z.dtype).eps

    def polish(_: Array, z: Vector) -> Vector:
        linear = system.linearize(z, one)
        solved, _, _ = linear.solve(linear.level(-linear.residual[:, None]), one)
        return centred(system, z + solved[:, 0])

    z = jax.lax.fori_loop(0, POLISHING, polish, z)
    linear = system.linearize(z, one)
    matrix = linear.jacobian()
    identity = jnp.broadcast_to(jnp.eye(len(z), dtype=z.dtype)[:, :, None], matrix.shape)
    inverse, determinant = lanes.solve(jnp.concatenate([matrix, identity], axis=1))
    off = jnp.max(jnp.sum(jnp.abs(lanes.matmul(matrix, inverse) - identity), axis=1), axis=0)
    exact = OUTWARD / jnp.where(off < WORST_INVERSE, 1 - off, jnp.nan)
    sizes = jnp.abs(inverse)

    def norm(bounds: Vector) -> Lane:
        return jnp.max(jnp.sum(sizes * bounds[None], axis=1), axis=0) * exact

    residual = norm(jnp.abs(linear.residual) + NOISE * eps * (1 + system.scale))
    rate = norm(changes(system, halves, z, one))
    radius = jnp.minimum(LARGEST_RADIUS, CONTRACTION / jnp.where(rate > 0, rate, 1))
    # Within twice the residual the contraction is at most this; there the equilibrium lies.
    within = 2 * residual * rate
    error = residual / jnp.where(within < 0.5, 1 - within, jnp.nan) * OUTWARD
    proven = (error <= 2 * residual * OUTWARD) & (error < radius)
    pull = (identity - matrix) - identity
    own = jnp.concatenate(
        [jnp.broadcast_to(tau, (size, *tau.shape)) for tau, size in zip(temperatures, system.sizes, strict=True)]
    )
    stable, flows = jnp.split(_attracts(jnp.concatenate([pull, own[:, None] * pull], axis=-1)), 2)
    return Certificate(
        z=z,
        error=jnp.where(proven, error, jnp.inf),
        radius=jnp.where(proven, radius, 0),
        sign=determinant.sign,
        stable=stable,
        flows=flows,
    )


def centred(system: LogitSystem, z: Vector) -> Vector:
    """Logits with mean 0 over each player's support."""
    parts, start = [], 0
    for size in system.sizes:
        part, mask = z[start : start + size], system.mask[start : start + size]
        parts.append((part - lanes.total(part * mask) / lanes.total(mask)) * mask)
        start += size
    return jnp.concatenate(parts)
