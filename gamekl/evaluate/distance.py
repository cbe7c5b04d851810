"""How far a profile is from the equilibrium, known without knowing the equilibrium.

With pi* the equilibrium, delta_i = pi_i - pi_i*, x_i = |delta_i|_1, d_i = log pi_i - log BR_i(pi), weights w and kappa
as in `evaluate.monotone`, and J_i = KL(pi_i || pi_i*) + KL(pi_i* || pi_i) (derived, theory I5):

    sum_i w_i gap_i          >=  sum_i w_i tau_i (KL(pi_i || pi_i*) - kappa x_i^2)
    sum_i w_i tau_i <delta_i, d_i>  >=  sum_i w_i tau_i (J_i - kappa x_i^2)

The first holds as player i gains at least u_i(pi_i*, pi_-i) - u_i(pi), and pi* is optimal to first order; the second is
monotonicity between the two profiles. Pinsker's inequality, x_i^2 <= 2 KL_i and x_i^2 <= J_i, and
<delta_i, d_i> <= x_i span(d_i) / 2 turn them into

    kappa < 1/2:  sum_i w_i tau_i KL(pi_i || pi_i*)  <=  sum_i w_i gap_i / (1 - 2 kappa)
    kappa < 1:    sum_i w_i tau_i J_i                <=  sum_i w_i tau_i span(d_i)^2 / (2 - 2 kappa)^2

and where the contraction matrix K has radius < 1, x <= (I - K)^-1 |BR(pi) - pi|_1 entry by entry.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.one_shot import best_response, payoff_range, regularized_gap
from gamekl.core.policies import Profile, check_profile, normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.evaluate.certificates import contraction_matrix
from gamekl.evaluate.couplings import fitted, on_support, spectral_radius
from gamekl.evaluate.monotone import monotone_ratio


class DistanceBound(Shown):
    """Bounds on the distance of a profile pi to the equilibrium pi*; infinite where no bound is proven.

    Attributes:
        l1: for each player a bound on |pi_i - pi_i*|_1, shape ``[player]``; finite only where the equilibrium is
            certified to be the only one. 2 is the greatest distance there is, so bounds above 2 say nothing.
        kl: a bound on sum_i KL(pi_i || pi_i*), nats; finite only where the equilibrium is certified, too.
        gap: the regularised gap of each player, rounded upwards, shape ``[player]``, payoff units: pi is an
            epsilon-equilibrium of the regularised game for this epsilon, whatever the game is.
    """

    l1: Float[Array, " player"]
    kl: Float[Array, ""]
    gap: Float[Array, " player"]


def distance_bound(game: NormalFormGame, regularizer: Regularizer, log_policy: Profile) -> DistanceBound:
    """Bound the distance from a profile to the equilibrium, which need not be known, from how well the players respond.

    Zero-sum games have kappa = 0: sum_i KL(pi_i || pi_i*) <= Gap / tau at every temperature. All bounds allow for the
    rounding of their own arithmetic, a few units of (sum of action counts) R_i / tau_i in the response's logits.

    Args:
        game: the game, any number of players.
        regularizer: references and temperatures.
        log_policy: one log-policy ``[actions_i]`` for each player, normalised here.

    Returns:
        A `DistanceBound`: in l1 and in KL, and the regularised gaps.

    Raises:
        TypeError: the game is no `NormalFormGame`.
        ValueError: the regularizer or profile does not fit it.

    Source: theory I5 (derived).
    """
    regularizer = fitted(game, regularizer)
    return _distance_bound(game, regularizer, check_profile("log_policy", log_policy, game.num_actions, log=True))


@jit
def _distance_bound(game: NormalFormGame, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> DistanceBound:
    levelled, temperatures, _ = on_support(game, regularizer)
    log_policy = tuple(normalize(entry.astype(game.dtype)) for entry in log_policy)
    response = best_response(levelled, regularizer, log_policy)
    rounding = _rounding(levelled, regularizer, log_policy)
    played = [support(entry) for entry in log_policy]
    masks = [support(entry) for entry in regularizer.log_reference]
    covered = jnp.all(jnp.stack([jnp.all(mask | ~play) for mask, play in zip(masks, played, strict=True)]))
    residual = jnp.stack([jnp.sum(jnp.abs(jnp.exp(b) - jnp.exp(p))) for b, p in zip(response, log_policy, strict=True)])
    gap = regularized_gap(levelled, regularizer, log_policy) + temperatures * rounding
    span = jnp.stack([_span(p, b, mask) for p, b, mask in zip(log_policy, response, masks, strict=True)])

    weights, ratio = monotone_ratio(game, regularizer)
    scale = weights * temperatures
    first = _guarded(jnp.sum(weights * gap), 1 - 2 * ratio)
    second = _guarded(jnp.sum(scale * (span + 2 * rounding) ** 2), jnp.maximum(2 - 2 * ratio, 0) ** 2)
    # From the first: w_i tau_i KL_i is at most the sum, and x_i^2 <= 2 KL_i; from the second, x_i^2 <= J_i.
    monotone = jnp.sqrt(jnp.minimum(2 * first, second) / scale)
    contraction = _neumann(contraction_matrix(game, regularizer), residual + 2 * rounding)
    slack = 1 + 32 * len(weights) * jnp.finfo(game.dtype).eps
    return DistanceBound(
        l1=jnp.where(covered, jnp.fmin(monotone, contraction) * slack, jnp.inf),
        kl=jnp.where(covered, jnp.minimum(first, second) / jnp.min(scale) * slack, jnp.inf),
        gap=gap * slack,
    )


def _rounding(game: NormalFormGame, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> Array:
    """What rounding may add to a logit of each player's response or policy, shape ``[player]``, nats."""
    logarithms = (*regularizer.log_reference, *log_policy)
    largest = [jnp.max(jnp.where(jnp.isneginf(entry), 0, jnp.abs(entry))) for entry in logarithms]
    references, policies = jnp.stack(largest).reshape(2, -1)
    payoffs = payoff_range(game) / regularizer.temperature * (sum(game.num_actions) + 8)
    return jnp.finfo(game.dtype).eps * (payoffs + references + policies + max(game.num_actions) + 8)


def _span(log_policy: Array, response: Array, mask: Array) -> Array:
    """Largest less smallest of log pi - log BR over the support; infinite where pi leaves some of it unplayed."""
    inside = mask & support(log_policy)
    deviation = jnp.where(inside, log_policy, 0) - jnp.where(inside, response, 0)
    top = jnp.max(jnp.where(inside, deviation, -jnp.inf))
    low = jnp.min(jnp.where(inside, deviation, jnp.inf))
    return jnp.where(jnp.any(mask & ~inside), jnp.inf, top - low)


def _guarded(numerator: Array, denominator: Array) -> Array:
    """The quotient, or infinity where the denominator is not positive (or NaN)."""
    good = denominator > 0
    return jnp.where(good, numerator / jnp.where(good, denominator, 1), jnp.inf)


def _neumann(matrix: Array, residual: Array) -> Array:
    """An upper bound on (I - K)^-1 residual for K >= 0 of radius < 1 and residual > 0; infinite otherwise.

    The solution of the linear system is tested and not trusted: the inverse is nonnegative, so every x with
    (I - K) x >= theta residual, theta > 0, bounds it by x / theta.
    """
    eps = jnp.finfo(matrix.dtype).eps
    solved = jnp.linalg.solve(jnp.eye(len(matrix), dtype=matrix.dtype) - matrix, residual)
    moved = jnp.matmul(matrix, solved, precision=PRECISION)
    lost = (len(matrix) + 4) * eps * (jnp.abs(solved) + jnp.abs(moved))
    theta = jnp.minimum(jnp.min((solved - moved - lost) / residual), 1)
    proven = (spectral_radius(matrix) < 1) & (theta > 0)
    return jnp.where(proven, solved / jnp.where(proven, theta, 1), jnp.inf)
