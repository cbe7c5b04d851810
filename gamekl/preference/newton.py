"""Newton's method for the regularised Nash policy of one antisymmetric game; batches by ``jax.vmap``.

With A = (P - P^T) / 2, what each response wins against each other, u = log pi - log pi0 (up to a number) the drift
from the reference, and D = diag(pi) - pi pi^T the derivative of pi by u, the solution is where nothing exceeds:

    excess e = u - A pi / tau,    de/du = 1 - A D / tau

A Newton step answers the policy that it predicts: u' = A p / tau with p = pi + D (A p / tau - u). With s = sqrt(pi)
and e centred under pi, that is

    p = pi + s x,    (1 - S) x = -s e,    S = (1 - s s^T) diag(s) A diag(s) (1 - s s^T) / tau

where S is antisymmetric. So 1 - S has no eigenvalue within 1 of 0: every step is well posed, and |e| has no minima but
the solution, at which halving steps until |e| falls must arrive (derived). Systems of that kind are solved by products
alone: residuals obey r_{k+1} = (1 - w_k) r_{k-1} + w_k S r_k, and r_k = 0 after K of them at most (Concus and Golub
1976, Widlund 1978; recalled).

Where tau is small the steps follow tau on its way down: it is halved where |e| is small, and the next step leads from
the solution at the one tau to that at the other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import support

Vector = Float[Array, " candidate"]
Matrix = Float[Array, "candidate candidate"]
Number = Float[Array, ""]

# Preference per nat, from which Newton's method arrives without a path.
WARM = 0.1
# Where |e| in nats is below, the temperature falls to this fraction.
SETTLED = 3.0
COOLING = 0.5
# By which factor the residual of a step's linear system falls, for each unit of a temperature up to `WARM`: over the
# temperature it enters the excess.
EXACTNESS = 0.5
# Of what a step promises to take from |e|, this fraction is to come true.
PROMISE = 0.1


class _Solving(NamedTuple):
    """A linear system: the solution so far and its last change, the last two residuals, and the recurrence."""

    solution: Vector
    change: Vector
    residual: Vector
    before: Vector
    weight: Number
    square: Number
    made: Int[Array, ""]


class _Search(NamedTuple):
    """Where Newton's method is, where it would go and how far of that, and how small the excess has become."""

    drift: Vector
    direction: Vector
    step: Number
    temperature: Number
    excess: Number
    solved: Bool[Array, ""]
    made: Int[Array, ""]


def _dot(left: Array, right: Array) -> Array:
    return jnp.matmul(left, right, precision=PRECISION)


def _predict(advantage: Matrix, tau: Number, policy: Vector, excess: Vector, wanted: Bool[Array, ""]) -> Vector:
    """The policy p that a Newton step predicts, where `wanted`."""
    root = jnp.sqrt(policy)
    right = jnp.where(wanted, -root * (excess - _dot(policy, excess)), 0)
    enough = (EXACTNESS * jnp.minimum(tau, WARM)) ** 2 * _dot(right, right)

    def unfinished(at: _Solving) -> Bool[Array, ""]:
        return (at.square > enough) & (at.made < 2 * len(policy))  # twice, for rounding

    def improve(at: _Solving) -> _Solving:
        values = _dot(advantage, root * at.residual) / tau
        change = at.weight * at.residual - (1 - at.weight) * at.change
        residual = at.weight * root * (values - _dot(policy, values)) + (1 - at.weight) * at.before
        square = _dot(residual, residual)
        weight = 1 / (1 + square / at.square / at.weight)
        return _Solving(at.solution + change, change, residual, at.residual, weight, square, at.made + 1)

    zero, one = jnp.zeros_like(right), jnp.ones_like(enough)
    first = _Solving(zero, zero, right, zero, one, _dot(right, right), jnp.int32(0))
    return policy + root * jax.lax.while_loop(unfinished, improve, first).solution


def solve_drift(
    advantage: Matrix, log_reference: Vector, temperature: Number, tol: Number, max_steps: Int[Array, ""]
) -> tuple[Vector, Int[Array, ""]]:
    """The drift u of the solution softmax(log_reference + u), and how many steps were tried.

    Args:
        advantage: A, antisymmetric, in [-1/2, 1/2]; 0 where masked.
        log_reference: normalised; -inf where masked.
        temperature: tau, preference per nat.
        tol: bound on the gap. Steps end where e, centred under the policy, is >= -1 with tau E e^2 <= tol, as
            gap = tau log E exp(-e) <= (e - 2) tau E e^2 then (derived).
        max_steps: where they end at last; what is returned need not be the solution then.
    """
    mask = support(log_reference)

    def unfinished(at: _Search) -> Bool[Array, ""]:
        return ~at.solved & (at.made < max_steps)

    def advance(at: _Search) -> _Search:
        trial = at.drift + at.step * at.direction
        policy = jax.nn.softmax(log_reference + trial)
        earned = _dot(advantage, policy)
        reached = jnp.linalg.norm(trial - earned / at.temperature)
        taken = reached <= (1 - PROMISE * at.step) * at.excess
        cooled = jnp.maximum(temperature, COOLING * at.temperature)
        tau = jnp.where(taken & (reached <= SETTLED), cooled, at.temperature)
        excess = trial - earned / tau
        deviation = jnp.where(mask, excess - _dot(policy, excess), 0)
        close = (tau * _dot(policy, deviation**2) <= tol) & (deviation.min() >= -1)
        solved = taken & close & (tau == temperature)
        direction = _dot(advantage, _predict(advantage, tau, policy, excess, taken & ~solved)) / tau - trial
        return _Search(
            drift=jnp.where(taken, trial, at.drift),
            direction=jnp.where(taken, direction, at.direction),
            step=jnp.where(taken, jnp.minimum(2 * at.step, 1), at.step / 2),
            temperature=tau,
            excess=jnp.where(taken, jnp.linalg.norm(excess), at.excess),
            solved=solved,
            made=at.made + 1,
        )

    zero, one = jnp.zeros_like(log_reference), jnp.ones_like(temperature)
    warm = jnp.maximum(temperature, WARM)
    first = _Search(zero, zero, one, warm, jnp.inf * one, jnp.asarray(False), jnp.int32(0))
    last = jax.lax.while_loop(unfinished, advance, first)
    return last.drift, last.made
