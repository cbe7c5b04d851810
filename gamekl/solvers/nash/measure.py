"""What the correction of a step along the path says of the step, by lane.

Lengths and sizes count logits by how much they matter (`weights`): where an action is so unlikely that no other player
would notice, its logit follows from the others, and may run far and bend without anything to be told from that.
"""

from typing import NamedTuple

import jax.numpy as jnp

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import Vector
from gamekl.solvers.nash.trace import Flag, Lane, Trace

# Logits count in full as long as the probability matters, times kappa, beside 1, and not at all so many nats below.
FADING = 20.0


class Measure(NamedTuple):
    """What there is to know about a correction before its step is judged, by lane.

    Attributes:
        shift: change of s.
        size: largest change of a logit or of s.
        forward: change of s by arclength along the path through the trial.
        solved: whether the trial already solves the equations at beta = 1, as well as rounding allows.
        cosine: between the tangents at both ends of the step.
        length: distance between both ends of the step.
        level: log |det dF/dz|.
        rise: its mean slope on the step, or on the one before if its end is mended; infinite where the determinant
            changes its sign.
        magnitude: of logits, and about of what they change by where others' change by 1; rounding errors over eps.
        rate: of change of z and log s along the path, at most: of itself dF/dz - 1 changes so fast there, too.
    """

    shift: Lane
    size: Lane
    solved: Flag
    forward: Lane
    cosine: Lane
    length: Lane
    level: Lane
    rise: Lane
    magnitude: Lane
    rate: Lane


def faintest(kappa: Lane) -> Lane:
    """The log-probability below which logits do not count in full."""
    return jnp.log(jnp.finfo(kappa.dtype).eps / (1 + kappa))


def weights(z: Vector, faint: Lane) -> Vector:
    """How much each logit of normalized ones counts: less where no one would notice that the action is played."""
    return jnp.clip(1 + (z - faint) / FADING, 0, 1)


class _Products(NamedTuple):
    """Inner products over the logits that matter, by lane; each is written out, as XLA cannot fuse a table of them."""

    aside: Lane
    ahead: Lane
    steepness: Lane
    extent: Lane
    rate: Lane


def _products(trial: Vector, faint: Lane, tangent: Vector, newton: Vector, drift: Vector) -> _Products:
    matter = weights(trial, faint)
    tangent, sideways, along = tangent * matter, newton * matter, drift * matter
    return _Products(
        aside=lanes.dot(tangent, sideways),
        ahead=lanes.dot(tangent, along),
        steepness=lanes.dot(along, along),
        extent=lanes.dot(tangent, tangent),
        rate=lanes.largest(jnp.abs(tangent)),
    )


def _sizes(
    trial: Vector, faint: Lane, here: Vector, residual: Vector, newton: Vector, drift: Vector, shift: Lane
) -> tuple[Lane, Lane, Lane, Lane]:
    """The largest logit, residual and change of a logit, and the squared length of the step; of logits that matter."""
    matter = weights(trial, faint)
    change = newton + drift * shift
    chord = (trial + change - here) * matter
    counts = jnp.maximum(matter, weights(trial + change, faint))  # what was not played may be now
    farthest, off, size = (lanes.largest(jnp.abs(part) * counts) for part in (trial, residual, change))
    return farthest, off, size, lanes.dot(chord, chord)


def measure_step(
    trace: Trace,
    residual: Vector,
    newton: Vector,
    drift: Vector,
    determinant: lanes.Determinant,
    weight: Lane,
) -> Measure:
    """What the solved linear system, newton and drift = dz/ds, says of the correction that is to be made."""
    here, trial, faint = trace.here, trace.trial, trace.faint
    products = materialize(_products, trial.z, faint, here.tangent.z, newton, drift, on_accelerators=False)
    # In the hyperplane normal to the tangent, or in that of beta = 1.
    shift = jnp.where(trace.final, 0, -products.aside / (here.tangent.s + products.ahead))
    moved = trial.z, faint, here.point.z, residual, newton, drift, shift
    farthest, off, size, chord = materialize(_sizes, *moved, on_accelerators=False)
    magnitude = jnp.maximum(farthest, jnp.sqrt(weight)) + 1
    # The solution itself may be a singular point; then a correction would be a quotient of rounding errors.
    solved = trace.final & (off <= jnp.finfo(weight.dtype).eps * magnitude)
    # The sign of det [dF/dw; tangent] tells forward from backward without looking back.
    forward = determinant.sign * trace.orientation / jnp.sqrt(1 + products.steepness)
    length = jnp.sqrt(chord + (trial.s + shift - here.point.s) ** 2)
    climb = determinant.log - here.level
    rise = jnp.where(forward * here.tangent.s > 0, climb / length, jnp.inf)
    return Measure(
        shift=jnp.where(solved, 0, shift),
        size=jnp.where(solved, 0, jnp.maximum(size, jnp.abs(shift))),
        solved=solved,
        forward=forward,
        cosine=forward * (products.ahead + here.tangent.s) / jnp.sqrt(products.extent + here.tangent.s**2),
        length=length,
        level=determinant.log,
        rise=jnp.where(trace.mending, here.rise + climb / trace.stride, rise),
        magnitude=magnitude,
        rate=products.rate + jnp.abs(here.tangent.s) / (1 + here.point.s),
    )
