"""A primal-dual interior-point method for joint policies, for many problems side by side: all arrays have lanes last.

    minimise f(x)    over probabilities x with G x <= e,

where f is convex and a sum over cells. With multipliers alpha of the rows and z of x >= 0, slacks s = e - G x, and mu
the mean of alpha s and x z, each step of Newton's method solves the conditions of optimality for a smaller mu: first
for 0, to see how far that would lead, then for the mu that this suggests (Mehrotra 1992). The linear system is that of
`solvers.correlated.constraints`.

Whatever alpha >= 0 the method ends with, the minimum of f(y) + alpha^T (G y - e') over all probabilities y is a lower
bound of f where G y <= e', in closed form for both f. With e' the larger of e and G x the answer x itself is among
those: so it comes with a certificate of its own, how far f(x) may be from the least, and how far G x exceeds e.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.platforms import Platform
from gamekl.solvers.correlated.constraints import Cells, Constraints, Rows, largest, total

# Steps go this part of the way to the boundary.
TO_BOUNDARY = 0.995
# Rows are to hold to this part of the tolerance: multipliers may be large.
EXACTNESS = 1e-3
# Steps of Newton's method for the greatest lower bound, from the multiplier at hand.
LEVELLINGS = 3

Lanes = Float[Array, " lane"]


class Objective(eqx.Module):
    """f(x) = sum_c [x_c log(x_c / prior_c) + linear_c x_c], or with x_c^2 / 2 in place of the entropy.

    Attributes:
        entropic: the entropy, or the squares.
        log_prior: where it is -inf, x is 0.
        linear: shape ``[cell, lane]``.
    """

    entropic: bool = eqx.field(static=True)
    log_prior: Cells
    linear: Cells

    @property
    def inside(self) -> Bool[Array, "cell lane"]:
        """Where x may be above 0."""
        return self.log_prior > -jnp.inf

    def bend(self, x: Cells) -> Cells:
        """The derivative of f at x without its linear part; 0 outside."""
        if not self.entropic:
            return x
        return jnp.where(self.inside, jnp.log(x) - self.log_prior + 1, 0)

    def value(self, x: Cells, bend: Cells) -> Lanes:
        """The objective f(x), from its bend there."""
        curved = bend - 1 if self.entropic else bend / 2
        return total(jnp.where(x > 0, x * (curved + self.linear), 0))

    def least(self, price: Cells, level: Lanes) -> Lanes:
        """A lower bound of f(x) + price x over probabilities x, the minimum where `level` is right.

        Args:
            price: shape ``[cell, lane]``.
            level: a guess of the multiplier of sum x = 1.
        """
        cost = self.linear + price
        if self.entropic:
            return -jax.nn.logsumexp(self.log_prior - cost, axis=0)
        # For any such number, of sum x^2 / 2 + (cost - height) x over all x >= 0, which have x = max(height - cost, 0).
        cost = jnp.where(self.inside, cost, jnp.inf)
        height = -level
        for _ in range(LEVELLINGS):
            above = jnp.maximum(height - cost, 0)
            count = jnp.maximum(total((above > 0).astype(cost.dtype)), 1)
            height = height + (1 - total(above)) / count
        return height - total(jnp.maximum(height - cost, 0) ** 2) / 2


class Problem(eqx.Module):
    """What is to be minimised.

    Attributes:
        objective: f.
        rows: G, of about unit size.
        limits: e.
        allowed: rows that are to hold; the others are as if they were not there.
        tol: bound on `State.gap`, and almost on `State.violation`.
        max_steps: most steps.
        multipliers: alpha of the first point, of each row.
        platform: that steps are made for; None, in a single lane, if unknown.
    """

    objective: Objective
    rows: Constraints
    limits: Rows
    allowed: Bool[Array, "row lane"]
    tol: Lanes
    max_steps: Int[Array, " lane"]
    multipliers: float = eqx.field(static=True)
    platform: Platform | None = eqx.field(static=True)


class State(eqx.Module):
    """A point of the method.

    Attributes:
        x: probabilities, but for a factor.
        bend: of the objective at x.
        slack: shape ``[row, lane]``.
        alpha: multipliers of the rows.
        z: multipliers of x >= 0.
        level: multiplier of sum x = 1.
        reached: G x.
        price: G^T alpha.
        num_steps: steps made.
        gap: f of the probabilities less the lower bound; never below 0 but for rounding.
        violation: how far G x, of the probabilities, exceeds e.
        stuck: whether rounding left no step to make.
    """

    x: Cells
    bend: Cells
    slack: Rows
    alpha: Rows
    z: Cells
    level: Lanes
    reached: Rows
    price: Cells
    num_steps: Int[Array, " lane"]
    gap: Lanes
    violation: Lanes
    stuck: Bool[Array, " lane"]


def _ratio(change: Array, value: Array) -> Lanes:
    """The part of what is left that one whole step would use up, where that is most."""
    return largest(-change / value)


def _length(used: Lanes, part: float) -> Lanes:
    return jnp.where(used > part, part / used, 1)


def start(problem: Problem) -> State:
    """The first points."""
    inside, dtype = problem.objective.inside, problem.limits.dtype
    share = jnp.where(inside, 1 / total(inside.astype(dtype)), 0)
    prior = jnp.exp(problem.objective.log_prior)
    x = prior / total(prior) if problem.objective.entropic else share
    ones = jnp.ones_like(problem.limits)
    alpha = jnp.where(problem.allowed, problem.multipliers * ones, 0)
    infinite = jnp.full(ones.shape[1:], jnp.inf, dtype)
    return State(
        x=x,
        bend=problem.objective.bend(x),
        slack=ones,
        alpha=alpha,
        z=share,
        level=jnp.zeros_like(infinite),
        reached=problem.rows.apply(x),
        price=problem.rows.combine(alpha),
        num_steps=jnp.zeros(ones.shape[1:], jnp.int32),
        gap=infinite,
        violation=infinite,
        stuck=jnp.zeros(ones.shape[1:], bool),
    )


def running(problem: Problem, state: State) -> Bool[Array, " lane"]:
    """Which lanes are not done."""
    exact = jnp.maximum(EXACTNESS * problem.tol, 16 * jnp.finfo(problem.tol.dtype).eps)
    done = (state.gap <= problem.tol) & (state.violation <= exact)
    return ~done & (state.num_steps < problem.max_steps) & ~state.stuck


def _measured(problem: Problem, state: State) -> State:
    """A point with what follows from x, alpha and level."""
    objective, rows = problem.objective, problem.rows
    reached, price = rows.apply(state.x), rows.combine(state.alpha)
    bend, mass = objective.bend(state.x), total(state.x)
    then = reached / mass
    kept = total(state.alpha * jnp.maximum(problem.limits, then))
    # What the probabilities x / mass bend by.
    value = objective.value(state.x / mass, bend - jnp.log(mass) if objective.entropic else bend / mass)
    moved = dict(
        bend=bend,
        reached=reached,
        price=price,
        gap=value - (objective.least(price, state.level) - kept),
        violation=largest(jnp.where(problem.allowed, jnp.maximum(then - problem.limits, 0), 0)),
    )
    return eqx.tree_at(lambda at: [getattr(at, name) for name in moved], state, list(moved.values()))


def step(problem: Problem, state: State) -> State:
    """One step in each lane that is not done."""
    objective, rows, allowed = problem.objective, problem.rows, problem.allowed
    x, slack, alpha, z = state.x, state.slack, state.alpha, state.z
    inside = objective.inside
    count = total(allowed.astype(x.dtype)) + total(inside.astype(x.dtype))
    dual = jnp.where(inside, state.bend + objective.linear + state.price + state.level - z, 0)
    primal = jnp.where(allowed, state.reached + slack - problem.limits, 0)
    mass = total(x) - 1
    some_x, some_alpha = jnp.where(inside, x, 1), jnp.where(allowed, alpha, 1)
    spread = jnp.where(inside, x / ((1 if objective.entropic else some_x) + z), 0)
    solve = rows.reduced(spread, jnp.where(allowed, slack / some_alpha, jnp.inf), problem.platform)

    def pushes(complement: Array, complement_x: Array) -> tuple[Array, Array]:
        return (
            jnp.where(inside, -dual - complement_x / some_x, 0),
            jnp.where(allowed, primal - complement / some_alpha, 0),
        )

    def direction(complement: Array, complement_x: Array, dx: Array, dalpha: Array) -> tuple[Array, ...]:
        up = (total(dx) + mass) / total(level_x)
        dx, dalpha = dx - up * level_x, jnp.where(allowed, dalpha - up * level_alpha, 0)
        dslack = jnp.where(allowed, (-complement - slack * dalpha) / some_alpha, 0)
        dz = jnp.where(inside, (-complement_x - z * dx) / some_x, 0)
        return dx, dslack, dalpha, dz, up

    def used(move: tuple[Array, ...]) -> tuple[Array, Array]:
        dx, dslack, dalpha, dz, _ = move
        primal_used = jnp.maximum(_ratio(dx, some_x), _ratio(dslack, slack))
        dual_used = jnp.maximum(_ratio(dalpha, some_alpha), _ratio(dz, jnp.where(z > 0, z, 1)))
        return primal_used, dual_used

    mu = (total(alpha * slack) + total(x * z)) / count
    push, right = pushes(alpha * slack, x * z)
    ones, nothing = inside.astype(x.dtype), jnp.zeros_like(right)
    both_x, both_alpha = solve(jnp.stack([ones, push], axis=1), jnp.stack([nothing, right], axis=1))
    level_x, level_alpha = both_x[:, 0], both_alpha[:, 0]
    ahead = direction(alpha * slack, x * z, both_x[:, 1], both_alpha[:, 1])
    primal_length, dual_length = (_length(part, 1.0) for part in used(ahead))
    dx, dslack, dalpha, dz, _ = ahead
    then = total((alpha + dual_length * dalpha) * (slack + primal_length * dslack))
    then = (then + total((x + primal_length * dx) * (z + dual_length * dz))) / count
    target = mu * (then / mu) ** 3
    complements = alpha * slack + dalpha * dslack - target, x * z + dx * dz - target
    push, right = pushes(*complements)
    found_x, found_alpha = solve(push[:, None], right[:, None])
    move = direction(*complements, found_x[:, 0], found_alpha[:, 0])
    primal_length, dual_length = (_length(part, TO_BOUNDARY) for part in used(move))
    if objective.entropic:  # the slope of the entropy joins both
        primal_length = dual_length = jnp.minimum(primal_length, dual_length)
    dx, dslack, dalpha, dz, up = move
    moved = State(
        x=x + primal_length * dx,
        bend=state.bend,
        slack=slack + primal_length * dslack,
        alpha=alpha + dual_length * dalpha,
        z=z + dual_length * dz,
        level=state.level + dual_length * up,
        reached=state.reached,
        price=state.price,
        num_steps=state.num_steps + 1,
        gap=state.gap,
        violation=state.violation,
        stuck=state.stuck,
    )
    moved = _measured(problem, moved)
    bad = ~jnp.isfinite(moved.level) | jnp.isnan(moved.gap)
    goes_on = running(problem, state)
    kept = jax.tree.map(lambda old, new: jnp.where(goes_on & ~bad, new, old), state, moved)
    return eqx.tree_at(lambda at: at.stuck, kept, state.stuck | (goes_on & bad))
