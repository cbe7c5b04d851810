"""The most that deviations might gain, by brackets of what policies earn; and how such a surrogate is minimised.

For a joint policy pi, the estimate r_hat and the counts N, with a cell seen where N > 0,

    u_high/low_i(pi) = sum_seen pi(a) r_hat_i(a)  +/-  c sigma sqrt(sum_seen pi(a)^2 / N(a))  +  sum_unseen pi(a) end_i.

Of a cell that the log never saw nothing is known but the range of payoffs: end_i is high_i or low_i. Counted as seen
once, as max(N, 1) in the sources does for rewards in [0, 1] and c >= 1, its width would depend on c and on the noise,
and with little of them an unseen cell would look known.

The brackets are the extremes of <pi, f> over {f: sum_seen N (f - r_hat_i)^2 <= c^2 sigma^2, f in the range on unseen
cells}, by Cauchy and Schwarz: the ellipsoidal version space. u_high_i is convex in a deviation's policy (a norm plus a
linear function), so that its maximum over deviations is at a pure action (derived, theory D).

A surrogate F is minimised over logits z, pi = softmax(z). It has kinks, where maxima change hands, and over profiles
local minima. From each of several starts Adam's steps follow the natural gradient g - <pi, g>, g = dF/dpi: that is the
gradient in z less its factor pi, which would let it vanish on the way to a pure policy (derived: the Fisher matrix of a
softmax takes the one to the other). In g, maxima are softened to t log sum exp(x / t), and t falls together with the
steps' size. The point of the least F itself, of all steps and starts, is kept.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import payoff_range as range_of
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_nonnegative
from gamekl.offline.pessimism import as_range, check_estimate
from gamekl.offline.regression import Estimate
from gamekl.solvers.nash.solve import solve_nash

# Chosen on random games of 2x2 to 10x10 actions with payoffs in [0, 1]: 1000 steps come within 2e-5 of the least F over
# joint policies, where it is convex (by an interior-point method).
STEP_SIZE = 0.3
SOFTNESS = 0.01  # t over the size of payoffs
FALLS_TO = 1e-3  # both
# Adam is free of the payoffs' units as long as gradients are larger than this.
ADAM_EPS = 1e-12
# Of the plug-in equilibrium that is the first start, over the payoffs' range.
START_TEMPERATURE = 0.05
# The share of uniform play in that start, which keeps its logits moderate.
START_MIX = 0.02

Policies = tuple[Float[Array, " _"], ...]


class Brackets(eqx.Module):
    """What the version space says of every cell.

    Attributes:
        low: the estimate where seen, the lowest payoff elsewhere, shape ``[player, *actions]``.
        high: the estimate where seen, the highest payoff elsewhere.
        variances: c^2 sigma^2 / N where seen, 0 elsewhere, shape ``[*actions]``.
        size: about how far payoffs lie apart, the least of what the range and the estimate say, payoff units.
    """

    low: Float[Array, "player *actions"]
    high: Float[Array, "player *actions"]
    variances: Float[Array, "*actions"]
    size: Float[Array, ""]

    def gains(self, joint: Float[Array, "*actions"]) -> list[Float[Array, " _"]]:
        """u_high_i(a', pi_-i) - u_low_i(pi) of each player and action a' under a joint policy pi."""
        spread = _root(jnp.sum(self.variances * joint**2))
        found = []
        for player, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            others = joint.sum(axis=player).ravel()

            def against(table: Array, weights: Array, player: int = player) -> Array:
                rows = jnp.moveaxis(table, player, 0).reshape(table.shape[player], -1)
                return jnp.matmul(rows, weights, precision=PRECISION)

            most = against(high, others) + _root(against(self.variances, others**2))
            found.append(most - (jnp.sum(low * joint) - spread))
        return found

    def total(self, joint: Float[Array, "*actions"], softness: Float[Array, ""]) -> Float[Array, ""]:
        """The sum over players of the largest gain; a softness above 0 makes it smooth."""
        return jnp.sum(jnp.stack([_peak(gains, softness) for gains in self.gains(joint)]))

    def worst(self, joint: Float[Array, "*actions"], softness: Float[Array, ""]) -> Float[Array, ""]:
        """The largest gain of any player; a softness above 0 makes it smooth."""
        return _peak(jnp.concatenate(self.gains(joint)), softness)


Surrogate = Callable[[Brackets, Float[Array, "*actions"], Float[Array, ""]], Float[Array, ""]]


def _peak(values: Float[Array, " _"], softness: Float[Array, ""]) -> Float[Array, ""]:
    """The maximum of the values, made smooth by a softness above 0."""
    hard = softness == 0
    divisor = jnp.where(hard, 1, softness)
    return jnp.where(hard, jnp.max(values), divisor * jax.nn.logsumexp(values / divisor))


def _root(squares: Array) -> Array:
    """The square root, with derivative 0 at 0."""
    return jnp.where(squares == 0, 0, jnp.sqrt(jnp.where(squares == 0, 1, squares)))


def brackets(estimate: Estimate, scale: ArrayLike, payoff_range: Any, noise: ArrayLike) -> Brackets:
    """The brackets of a normal-form estimate, arguments checked."""
    check_estimate(estimate)
    require_normal_form(estimate.game, "estimate.game")
    check_nonnegative(scale=scale, noise=noise)
    game = estimate.game
    low, high = (end.reshape(-1, *[1] * game.num_players) for end in as_range(payoff_range, game))
    size = jnp.minimum(jnp.max(high - low), jnp.max(range_of(game)))
    counts = estimate.counts.astype(game.dtype)
    unseen = counts == 0
    width = jnp.asarray(scale, dtype=game.dtype) * jnp.asarray(noise, dtype=game.dtype)
    return Brackets(
        low=jnp.where(unseen, low, game.payoffs),
        high=jnp.where(unseen, high, game.payoffs),
        variances=jnp.where(unseen, 0, width**2 / jnp.where(unseen, 1, counts)),
        size=size,
    )


@jit
def plug_in(game: NormalFormGame) -> Policies:
    """The estimate's regularised equilibrium at a small temperature, uniform where there is none."""
    size = jnp.max(range_of(game))
    temperature = START_TEMPERATURE * jnp.where(size > 0, size, 1)
    found = solve_nash(game, Regularizer.uniform(game, temperature), throw=False).policy
    return tuple(jnp.where(jnp.all(jnp.isfinite(part)), part, 1 / len(part)) for part in found)


class Minimum(NamedTuple):
    """The best point that a minimisation found.

    Attributes:
        policy: probabilities, one array for each simplex.
        value: F there; infinite if F was NaN at every step.
        start_values: the least F that was met from each start, shape ``[start]``.
        last_improvement: by how much `value` still fell over the last tenth of the steps, from the start that won.
    """

    policy: Policies
    value: Float[Array, ""]
    start_values: Float[Array, " start"]
    last_improvement: Float[Array, ""]


MOST_DIMENSIONS = scipy.stats.qmc.Sobol.MAXDIM


def _spread_starts(sizes: tuple[int, ...], num_starts: int) -> np.ndarray:
    """Logits of points that spread evenly over the simplices, ``[start, sum of sizes]``; the first is uniform play.

    Of Sobol's points u, after the point 0: normalised, -log u of a uniform u is uniform on the simplex.
    """
    if sum(sizes) > MOST_DIMENSIONS:
        raise ValueError(
            f"estimate.game: got {sum(sizes):,} probabilities to choose, takes at most {MOST_DIMENSIONS:,}"
        )
    points = scipy.stats.qmc.Sobol(sum(sizes), scramble=False).random_base2(num_starts.bit_length())
    return np.log(-np.log(points[1 : num_starts + 1]))


def _minimize(
    objective: Callable[[Policies, Float[Array, ""]], Float[Array, ""]],
    softness: Float[Array, ""],
    start: Policies,
    num_steps: int,
    num_starts: int,
) -> Minimum:
    """Minimise F, a function of probabilities and softness, from a guess, from uniform play, and from points all over.

    The softness that is given is the first; that of F itself is 0.
    """
    sizes = tuple(len(entry) for entry in start)
    cuts = np.cumsum(sizes)[:-1].tolist()
    dtype = start[0].dtype
    guess = [jnp.log((1 - START_MIX) * entry + START_MIX / len(entry)) for entry in start]
    spread = jnp.asarray(_spread_starts(sizes, num_starts - 1), dtype=dtype)
    starts = jnp.concatenate([jnp.concatenate(guess)[None], spread])
    rule = optax.adam(optax.exponential_decay(STEP_SIZE, num_steps, FALLS_TO), eps=ADAM_EPS)
    falling = softness * jnp.asarray(FALLS_TO ** (np.arange(num_steps) / num_steps), dtype=dtype)

    def policies(logits: Array) -> Policies:
        return tuple(jax.nn.softmax(part) for part in jnp.split(logits, cuts))

    def descend(logits: Array) -> tuple[Array, Array]:
        def step(carry: tuple[Any, ...], soft: Array) -> tuple[tuple[Any, ...], Array]:
            logits, state, best, least = carry
            policy = policies(logits)
            value, slopes = objective(policy, jnp.zeros_like(soft)), jax.grad(objective)(policy, soft)
            better = value < least
            best, least = jnp.where(better, logits, best), jnp.where(better, value, least)
            natural = [slope - jnp.sum(part * slope) for part, slope in zip(policy, slopes, strict=True)]
            with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer's power
                update, state = rule.update(jnp.concatenate(natural), state)
            return (optax.apply_updates(logits, update), state, best, least), least

        first = (logits, rule.init(logits), logits, jnp.asarray(jnp.inf, dtype=dtype))
        (_, _, best, _), history = jax.lax.scan(step, first, falling)
        return best, history

    best, history = jax.vmap(descend)(starts)
    winner = jnp.argmin(history[:, -1])
    value = history[winner, -1]
    earlier = history[winner, num_steps - 1 - num_steps // 10]
    return Minimum(policies(best[winner]), value, history[:, -1], earlier - value)


@eqx.filter_jit
def over_profiles(bounds: Brackets, surrogate: Surrogate, start: Policies, num_steps: int, num_starts: int) -> Minimum:
    """Minimise a surrogate over product policies, from a profile of probabilities."""

    def objective(policy: Policies, softness: Array) -> Array:
        return surrogate(bounds, outer(policy), softness)

    return _minimize(objective, SOFTNESS * bounds.size, start, num_steps, num_starts)


@eqx.filter_jit
def over_joint(bounds: Brackets, surrogate: Surrogate, start: Policies, num_steps: int, num_starts: int) -> Minimum:
    """Minimise a surrogate over joint policies, from a profile; the minimum's only policy is over all joint actions."""

    def objective(policy: Policies, softness: Array) -> Array:
        return surrogate(bounds, policy[0].reshape(bounds.variances.shape), softness)

    return _minimize(objective, SOFTNESS * bounds.size, (outer(start).ravel(),), num_steps, num_starts)
