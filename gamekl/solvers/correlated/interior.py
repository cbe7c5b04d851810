"""A primal-dual interior-point method for joint policies, for one problem; batches by ``jax.vmap``.

    minimise f(x)    over probabilities x with G x <= e,

where f is convex and a sum over cells. With multipliers alpha of the rows and z of x >= 0, slacks s = e - G x, and mu
the mean of alpha s and x z, each step of Newton's method solves the conditions of optimality for a smaller mu: first
for 0, to see how far that would lead, then for the mu that this suggests (Mehrotra 1992). The linear system is that of
`solvers.correlated.constraints`.

Whatever alpha >= 0 the method ends with, the minimum of f(y) + alpha^T (G y - e') over all probabilities y is a lower
bound of f where G y <= e', in closed form for both f. With e' the larger of e and G x the answer x itself is among
those: so it comes with a certificate of its own, how far f(x) may be from the least, and how far G x exceeds e.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.solvers.correlated.constraints import Constraints

# Steps go this part of the way to the boundary.
TO_BOUNDARY = 0.995
# Rows are to hold to this part of the tolerance: multipliers may be large.
EXACTNESS = 1e-3


class Objective(NamedTuple):
    """f(x) = sum_c [x_c log(x_c / prior_c) + linear_c x_c], or with x_c^2 / 2 in place of the entropy.

    Attributes:
        entropic: the entropy, or the squares; static.
        prior: where it is 0, x is 0 too, shape ``[cell]``.
        linear: shape ``[cell]``.
    """

    entropic: bool
    prior: Float[Array, " cell"]
    linear: Float[Array, " cell"]

    def value(self, x: Float[Array, " cell"]) -> Float[Array, ""]:
        """The objective f(x)."""
        played = x > 0
        ratio = jnp.where(played, x, 1) / jnp.where(played, self.prior, 1)
        curved = x * jnp.log(ratio) if self.entropic else x**2 / 2
        return jnp.sum(jnp.where(self.prior > 0, curved + self.linear * x, 0))

    def slope(self, x: Float[Array, " cell"]) -> Float[Array, " cell"]:
        """The derivative of f at x."""
        prior = jnp.where(self.prior > 0, self.prior, 1)
        return (jnp.log(x / prior) + 1 if self.entropic else x) + self.linear

    def curvature(self, x: Float[Array, " cell"]) -> Float[Array, " cell"]:
        """The second derivatives of f at x, by cell."""
        return 1 / x if self.entropic else jnp.ones_like(x)

    def least(self, price: Float[Array, " cell"]) -> Float[Array, ""]:
        """The minimum of f(x) + price x over probabilities x on the prior's support."""
        cost = self.linear + price
        inside = self.prior > 0
        if self.entropic:
            return -jax.nn.logsumexp(jnp.where(inside, jnp.log(jnp.where(inside, self.prior, 1)) - cost, -jnp.inf))
        # The projection of -cost onto the simplex: x = max(level - cost, 0).
        ordered = jnp.sort(jnp.where(inside, cost, jnp.inf))
        count = jnp.arange(1, len(ordered) + 1, dtype=cost.dtype)
        finite = jnp.isfinite(ordered)
        levels = (1 + jnp.cumsum(jnp.where(finite, ordered, 0))) / count
        level = jnp.min(jnp.where(finite, levels, jnp.inf))
        x = jnp.where(inside, jnp.maximum(level - jnp.where(inside, cost, 0), 0), 0)
        return self.value(x) + jnp.sum(jnp.where(inside, price * x, 0))


class State(NamedTuple):
    """A point of the method.

    Attributes:
        x: probabilities, shape ``[cell]``.
        slack: shape ``[row]``.
        alpha: multipliers of the rows, shape ``[row]``.
        z: multipliers of x >= 0, shape ``[cell]``.
        level: multiplier of sum x = 1.
        num_steps: steps made.
        gap: f(x) less the lower bound; never below 0 but for rounding.
        violation: how far G x exceeds e.
        stuck: whether rounding left no step to make.
    """

    x: Float[Array, " cell"]
    slack: Float[Array, " row"]
    alpha: Float[Array, " row"]
    z: Float[Array, " cell"]
    level: Float[Array, ""]
    num_steps: Int[Array, ""]
    gap: Float[Array, ""]
    violation: Float[Array, ""]
    stuck: Bool[Array, ""]


def minimize(
    objective: Objective,
    rows: Constraints,
    limits: Float[Array, " row"],
    allowed: Bool[Array, " row"],
    tol: Float[Array, ""],
    max_steps: int | Int[Array, ""],
    multipliers: float = 1.0,
) -> State:
    """Minimise f(x) over probabilities x with G x <= e, by the method of the module.

    Args:
        objective: f.
        rows: G, of about unit size.
        limits: e.
        allowed: rows that are to hold; the others are as if they were not there.
        tol: bound on `gap` and `violation`.
        max_steps: most steps.
        multipliers: alpha of the first point, of each row.

    Returns:
        The last point; its x sums to one.
    """
    inside = objective.prior > 0
    dtype = limits.dtype
    count = jnp.sum(allowed).astype(dtype) + jnp.sum(inside).astype(dtype)

    def combine(alpha: Array) -> Array:
        return jnp.where(inside, rows.combine(jnp.where(allowed, alpha, 0)), 0)

    def measured(state: State) -> State:
        x = state.x / jnp.sum(state.x)
        reached, price = rows.apply(x), combine(state.alpha)
        kept = jnp.sum(jnp.where(allowed, state.alpha * jnp.maximum(limits, reached), 0))
        return state._replace(
            gap=objective.value(x) - (objective.least(price) - kept),
            violation=jnp.max(jnp.where(allowed, jnp.maximum(reached - limits, 0), 0)),
        )

    def step(state: State) -> State:
        x, slack, alpha, z, level = state[:5]
        dual = jnp.where(inside, objective.slope(x) + combine(alpha) + level - z, 0)
        primal = jnp.where(allowed, rows.apply(x) + slack - limits, 0)
        mass = jnp.sum(x) - 1
        spread = jnp.where(inside, 1 / (objective.curvature(x) + z / jnp.where(inside, x, 1)), 0)
        solve = rows.reduced(spread, jnp.where(allowed, slack / alpha, jnp.inf))
        level_x, level_alpha = solve(inside.astype(dtype), jnp.zeros_like(alpha))

        def direction(complement: Array, complement_x: Array) -> tuple[Array, Array, Array, Array, Array]:
            push = jnp.where(inside, -dual - complement_x / jnp.where(inside, x, 1), 0)
            dx, dalpha = solve(push, jnp.where(allowed, primal - complement / alpha, 0))
            up = (jnp.sum(dx) + mass) / jnp.sum(level_x)
            dx, dalpha = dx - up * level_x, dalpha - up * level_alpha
            dslack = jnp.where(allowed, (-complement - slack * dalpha) / alpha, 0)
            dz = jnp.where(inside, (-complement_x - z * dx) / jnp.where(inside, x, 1), 0)
            return dx, dslack, dalpha, dz, up

        def room(value: Array, change: Array) -> Array:
            return jnp.min(jnp.where(change < 0, -value / jnp.where(change < 0, change, -1), jnp.inf))

        def lengths(move: tuple[Array, ...], part: float) -> tuple[Array, Array]:
            dx, dslack, dalpha, dz, _ = move
            primal_length = jnp.minimum(room(jnp.where(inside, x, 1), dx), room(slack, dslack))
            dual_length = jnp.minimum(room(alpha, dalpha), room(jnp.where(z > 0, z, 1), dz))
            return jnp.minimum(1, part * primal_length), jnp.minimum(1, part * dual_length)

        mu = (jnp.sum(jnp.where(allowed, alpha * slack, 0)) + jnp.sum(x * z)) / count
        ahead = direction(alpha * slack, x * z)
        primal_length, dual_length = lengths(ahead, 1.0)
        dx, dslack, dalpha, dz, _ = ahead
        then = jnp.sum(jnp.where(allowed, (alpha + dual_length * dalpha) * (slack + primal_length * dslack), 0))
        then = (then + jnp.sum((x + primal_length * dx) * (z + dual_length * dz))) / count
        target = mu * (then / mu) ** 3
        move = direction(alpha * slack + dalpha * dslack - target, x * z + dx * dz - target)
        primal_length, dual_length = lengths(move, TO_BOUNDARY)
        if objective.entropic:  # the slope of the entropy joins both
            primal_length = dual_length = jnp.minimum(primal_length, dual_length)
        dx, dslack, dalpha, dz, up = move
        moved = state._replace(
            x=x + primal_length * dx,
            slack=slack + primal_length * dslack,
            alpha=alpha + dual_length * dalpha,
            z=z + dual_length * dz,
            level=level + dual_length * up,
            num_steps=state.num_steps + 1,
        )
        moved = measured(moved)
        bad = ~jnp.isfinite(moved.level) | jnp.isnan(moved.gap)
        return jax.tree.map(lambda old, new: jnp.where(bad, old, new), state, moved)._replace(stuck=bad)

    def unfinished(state: State) -> Bool[Array, ""]:
        exact = jnp.maximum(EXACTNESS * tol, 16 * jnp.finfo(dtype).eps)
        done = (state.gap <= tol) & (state.violation <= exact)
        return ~done & (state.num_steps < max_steps) & ~state.stuck

    share = jnp.where(inside, 1 / jnp.sum(inside).astype(dtype), 0)
    x = objective.prior / jnp.sum(objective.prior) if objective.entropic else share
    ones = jnp.ones_like(limits)
    infinite = jnp.full((), jnp.inf, dtype)
    zero, none = jnp.zeros((), dtype), jnp.zeros((), jnp.int32)
    start = State(x, ones, multipliers * ones, share, zero, none, infinite, infinite, jnp.array(False))
    end = jax.lax.while_loop(unfinished, step, start)
    return end._replace(x=end.x / jnp.sum(end.x))
