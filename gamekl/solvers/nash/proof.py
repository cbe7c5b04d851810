"""The logit path once more, in steps of which each is proven, so that it cannot have left the principal branch.

Let G = 0 stand for the equations F(z, s) = 0 of `path`, w = (z, s), all norms sup norms. At a point w of the path, and
with a row c, let A be the matrix DG(w) with c below it. If every row of DG changes by at most rho g within a ball of
radius rho about w, then q = rho | |A^-1| g | bounds | A^-1 (DG(v) - DG(w)) | there, and for q < 1 Newton's method with
A contracts that ball: it holds exactly one solution of G(v) = 0, c (v - w) = h for each h with

    |A^-1 e| |h| + |A^-1 G(w)| <= (1 - q) rho,    e = (0, ..., 0, 1),

and these solutions form one smooth curve, along which dv/dh differs from A^-1 e by at most q / (1 - q) |A^-1 e|. A
corrected point with such an h is thus on the curve through w, whatever other branches there are (the theorem of Newton
and Kantorovich along a curve; derived). Where s cannot reach kappa along the curve, it does not cross beta = 1; where
ds/dh > 0 on all of it, it crosses once, and a solution within the ball at beta = 1 is that crossing.

What is to be known of the game is g. With r_i(a) the payoffs in nats, u_i their averages over the others' play and V =
sum_j v_j(a_j), |v_j| <= 1, the first derivative of u_i(a) along V is the covariance of r_i(a) and V, the second along V
and V' the third cumulant of r_i(a), V and V'. Let h_i(a) be half of the range of r_i(a) and d_j = 4 p (1 - p), p the
probability that j does not play its likeliest action, or 1/2 if that is less: no function bounded by 1 has a larger
variance or mean deviation. With D_i = sum_j d_j the first is at most h_i(a) D_i, the second at most 2 h_i(a) D_i, so

    g_i(a) = 2 h_i(a) D_i (beta + 1 / kappa),

where beta and the odds p / (1 - p) are the largest of the ball: rho / kappa more, and e^(2 rho) as large (derived).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gamekl.core.kernels import lanes
from gamekl.core.kernels.system import Linearization, LogitSystem, Vector, split
from gamekl.solvers.nash.trace import FAILED, FOUND, RUNNING, STOPPED, Count, Flag, Lane, Point, choose, plus

# Largest radius of a ball, in nats; policies change by a factor of e^(2 rho) in it.
LARGEST_RADIUS = 0.25
# The fraction of the longest proven step that is taken; the crossing itself may lie a little farther.
STRIDE = 0.9
# Chord corrections of a step; each divides the error by 1 / q or more, q <= 1/2.
CORRECTIONS = 4
# An inverse whose product with the matrix is farther from the identity proves nothing.
WORST_INVERSE = 0.1
# Rounding errors of F, in eps (1 + kappa).
NOISE = 8.0
# Steps that must be so much shorter than the longest proven ones to tell whether beta = 1 is met, are given up.
SHORTEST = 1e-9


class Ball(NamedTuple):
    """A ball that holds one curve of solutions only, by lane.

    Attributes:
        centre: w.
        row: c.
        radius: rho.
        longest: largest c (v - w) for which that is proven.
    """

    centre: Point
    row: Point
    radius: Lane
    longest: Lane

    def covers(self, point: Point) -> Flag:
        """Whether a solution is on that curve, ahead of the centre."""
        away = plus(point, self.centre, -jnp.ones_like(self.radius))
        ahead = lanes.dot(self.row.z, away.z) + self.row.s * away.s
        near = jnp.maximum(lanes.largest(jnp.abs(away.z)), jnp.abs(away.s)) <= self.radius
        return near & (ahead >= 0) & (ahead <= self.longest)


class Proof(NamedTuple):
    """How far the path is proven, by lane.

    Attributes:
        ball: about the last point.
        trial: the next point; where `phase` is FOUND, one close to the crossing of beta = 1, which `ball` covers.
        narrowing: how much smaller than it might be the ball is, so that it can be told whether it holds a crossing.
        margin: the least 1 / |A^-1| so far: by how much DG would have to change for another branch to cross the path.
        phase: RUNNING, FOUND, FAILED (nothing can be proven) or STOPPED (too many steps).
        num_steps: steps made.
        folds: turning points in beta that were passed.
    """

    ball: Ball
    trial: Point
    narrowing: Lane
    margin: Lane
    phase: Count
    num_steps: Count
    folds: Count


def half_ranges(system: LogitSystem) -> Vector:
    """The half ranges h_i(a) of the module's formulae, over what the others may play."""
    masks, found = [part > 0 for part in split(system.mask, system.sizes)], []
    for player, table in enumerate(system.payoffs):
        highest, lowest = table, table
        others = [mask for other, mask in enumerate(masks) if other != player]
        for axis, mask in reversed(list(enumerate(others, start=1))):  # later axes first
            played = mask.reshape(1, *(1,) * (axis - 1), *mask.shape[:1], *(1,) * (highest.ndim - axis - 2), -1)
            highest = jnp.max(jnp.where(played, highest, -jnp.inf), axis=axis)
            lowest = jnp.min(jnp.where(played, lowest, jnp.inf), axis=axis)
        found.append((highest - lowest) / 2)
    return jnp.concatenate(found)


def changes(system: LogitSystem, halves: Vector, z: Vector, beta: Lane) -> Vector:
    """The bounds g of the module's formulae, by logit, beta + 1 / kappa or more being given as `beta`."""
    spreads = []
    for part, mask in zip(split(z, system.sizes), split(system.mask, system.sizes), strict=True):
        weights = mask * jnp.exp(part - jnp.max(jnp.where(mask > 0, part, -jnp.inf), axis=0))
        odds = (jnp.sum(weights, axis=0) - 1) * jnp.exp(2 * LARGEST_RADIUS)  # the likeliest action has weight 1
        rest = jnp.minimum(odds / (1 + odds), 0.5)
        spreads.append(4 * rest * (1 - rest))
    others = [
        jnp.broadcast_to(sum(spreads) - own, (size, *own.shape))
        for own, size in zip(spreads, system.sizes, strict=True)
    ]
    return 2 * halves * jnp.concatenate(others) * beta


def _step(system: LogitSystem, halves: Vector, proof: Proof, max_steps: int) -> Proof:
    """One proven step in every running lane."""
    kappa, here, row = system.scale, proof.trial, proof.ball.row
    size, eps = here.z.shape[0], jnp.finfo(kappa.dtype).eps

    def linearize(point: Point) -> Linearization:
        return system.linearize(point.z, point.s * system.pace)

    linear = linearize(here)
    upper = jnp.concatenate([linear.jacobian(), (linear.slope * system.pace)[:, None]], axis=1)
    matrix = jnp.concatenate([upper, jnp.concatenate([row.z, row.s[None]])[None]], axis=0)
    identity = jnp.broadcast_to(jnp.eye(size + 1, dtype=kappa.dtype)[:, :, None], matrix.shape)
    inverse, _ = lanes.solve(jnp.concatenate([matrix, identity], axis=1))
    error = jnp.max(jnp.sum(jnp.abs(lanes.matmul(matrix, inverse) - identity), axis=1), axis=0)
    exact = 1 / jnp.where(error < WORST_INVERSE, 1 - error, jnp.nan)  # |A^-1| <= |inverse| / (1 - error)
    sizes = jnp.abs(inverse)

    def norm(bounds: Vector) -> Lane:
        """A bound on the sup norm of A^-1 times anything within these bounds."""
        return jnp.max(jnp.sum(sizes[:, :size] * bounds[None], axis=1), axis=0) * exact

    off = norm(jnp.abs(linear.residual) + NOISE * eps * (1 + kappa))
    direction = inverse[:, size]
    speed = jnp.max(jnp.abs(direction), axis=0) * exact
    rate = norm(changes(system, halves, here.z, (here.s + 1 + LARGEST_RADIUS) * system.pace))
    radius = jnp.minimum(LARGEST_RADIUS, 0.5 / jnp.where(rate > 0, rate, 1)) * proof.narrowing
    q = radius * rate
    longest = ((1 - q) * radius - off) / speed
    ball = Ball(here, row, radius, longest)

    # Where s surely stays below kappa, or surely climbs.
    doubt = q / (1 - q) * speed
    clear = here.s + 2 * off + longest * (direction[size] + doubt) < kappa
    climbs = direction[size] > doubt
    ahead = (kappa - here.s) / jnp.where(climbs, direction[size], 1)
    final = climbs & ~clear & (ahead <= STRIDE * longest)
    along = Point(direction[:size], direction[size])

    def correct(_: Any, point: Point) -> Point:
        change = -jnp.sum(inverse[:, :size] * linearize(point).residual[None], axis=1)
        return Point(point.z + change[:size], point.s + change[size])

    trial = plus(here, along, jnp.where(final, ahead, STRIDE * longest))
    trial = jax.lax.fori_loop(0, CORRECTIONS, correct, trial)
    passed = (clear | (climbs & (trial.s < kappa))) & ball.covers(trial) & (trial.s >= 0)

    running = proof.phase == RUNNING
    num_steps = proof.num_steps + running.astype(jnp.int32)
    narrowing = jnp.where(passed, jnp.minimum(1, 2 * proof.narrowing), proof.narrowing / 2)
    phase = jnp.where(num_steps >= max_steps, STOPPED, RUNNING)
    phase = jnp.where((narrowing < SHORTEST) | ~(longest > 0), FAILED, phase)
    phase = jnp.where(final & (longest > 0), FOUND, phase)
    unit = 1 / jnp.sqrt(lanes.dot(direction, direction))
    ahead_of = Point(along.z * unit, along.s * unit)
    new = Proof(
        ball=ball._replace(row=choose(phase == FOUND, row, choose(passed, ahead_of, row))),
        trial=choose(passed | final, trial, here),
        narrowing=narrowing,
        margin=jnp.minimum(proof.margin, 1 / (jnp.max(jnp.sum(sizes, axis=1), axis=0) * exact)),
        phase=phase.astype(jnp.int32),
        num_steps=num_steps,
        folds=proof.folds + (passed & (along.s * row.s < 0)).astype(jnp.int32),
    )
    return choose(running, new, proof)


def prove(system: LogitSystem, usable: Flag, max_steps: int) -> Proof:
    """Trace the path of each lane to its first crossing of beta = 1, as far as it can be proven.

    Args:
        system: the equations, with a lane axis.
        usable: False where the input cannot be solved; nothing is proven there.
        max_steps: most steps of a lane.
    """
    halves = half_ranges(system)
    zero, rest = jnp.zeros_like(system.scale), jnp.zeros_like(system.anchor)
    start = Point(system.anchor, zero)
    count = jnp.zeros(zero.shape, dtype=jnp.int32)
    proof = Proof(
        ball=Ball(start, Point(rest, zero + 1), zero, zero),
        trial=start,
        narrowing=zero + 1,
        margin=jnp.full_like(zero, jnp.inf),
        phase=jnp.where(usable, RUNNING, FAILED).astype(jnp.int32),
        num_steps=count,
        folds=count,
    )
    return jax.lax.while_loop(
        lambda proof: jnp.any(proof.phase == RUNNING),
        lambda proof: _step(system, halves, proof, max_steps),
        proof,
    )
