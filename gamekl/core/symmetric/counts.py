"""How the others of a symmetric game spread over the actions, and what a policy makes of that.

When n = m - 1 others play the policy pi alike, they take actions in numbers c = (c_1..c_A) with chance

    w(c) = n! prod_k pi_k^c_k / c_k! = s(n) prod_k exp(-D_k) / s(c_k),    s(c) = c! (e / c)^c,
    D_k = c_k log(c_k / (n pi_k)) - c_k + n pi_k >= 0,

as the D_k sum to n KL(c / n || pi): what Loader, "Fast and accurate computation of binomial probabilities"
(2000), has for two actions. No factor exceeds 1, so that one is 0 only where the chance is, however small probabilities
are and however many the others; and where the chance is not small, exponents are not large, and round by little.

A derivative needs no other chances: what action a is worth if one of the others plays b, H(a, b), has

    n pi_b H(a, b) = sum_c c_b w(c) r(a, c),

since c_b w(c) is n pi_b times the chance that n - 1 others make up c less one b (derived).
"""

import itertools
import math
from fractions import Fraction
from functools import lru_cache, partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.platforms import CPU, Platform, by_platform

Lanes = Float[Array, "actions lane"]

# Rows of counts; each action has a payoff for each.
MOST_COUNTS = 2**22
# From here on Stirling's series has all digits, and before it a fraction.
FEWEST_OF_SERIES = 300


def _require_number(field: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{field}: got {value!r}, takes a whole number >= 1")


def num_counts(num_players: int, num_actions: int) -> int:
    """In how many ways the others may spread over the actions: C(m + A - 2, A - 1).

    Raises:
        ValueError: not a whole number >= 1 of players and of actions.
    """
    _require_number("num_players", num_players)
    _require_number("num_actions", num_actions)
    return math.comb(num_players + num_actions - 2, num_actions - 1)


def opponent_counts(num_players: int, num_actions: int) -> np.ndarray:
    """How many of a player's opponents take each action, for each way in which they may spread over the actions.

    Args:
        num_players: m, the player itself among them.
        num_actions: A.

    Returns:
        Whole numbers, shape ``[count, action]``: all rows that sum to m - 1, in lexicographic order, from
        (0, .., 0, m - 1) to (m - 1, 0, .., 0). That is the order of the second axis of `SymmetricGame.payoffs`.

    Raises:
        ValueError: not a whole number >= 1 of players and of actions, or more than 2^22 rows.
    """
    size = num_counts(num_players, num_actions)
    if size > MOST_COUNTS:
        raise ValueError(
            f"num_players, num_actions: got {num_players} and {num_actions}, of which the others have {size:,} counts; "
            f"takes at most {MOST_COUNTS:,}"
        )
    return _table(int(num_players) - 1, int(num_actions)).copy()


@lru_cache(maxsize=32)
def _table(others: int, num_actions: int) -> np.ndarray:
    # Bars among stars: between two bars there are as many stars as others take that action.
    bars = list(itertools.combinations(range(others + num_actions - 1), num_actions - 1))
    places = np.array(bars, dtype=np.int32).reshape(len(bars), num_actions - 1)
    return np.diff(places, axis=1, prepend=-1, append=others + num_actions - 1) - 1


@lru_cache(maxsize=32)
def joint_counts(num_players: int, num_actions: int) -> np.ndarray:
    """The row of `opponent_counts` for each joint action of the others, shape ``[actions, ..., actions]``."""
    others = num_players - 1
    joint = np.indices((num_actions,) * others).reshape(others, num_actions**others)
    left, row = np.full(joint.shape[1], others), np.zeros(joint.shape[1], dtype=np.int64)
    for action in range(num_actions - 1):
        taken, later = (joint == action).sum(axis=0), num_actions - action - 1
        ways = np.array([math.comb(number + later, later) for number in range(others + 1)])
        row += ways[left] - ways[left - taken]  # rows that have fewer of this action, and before it the same
        left -= taken
    return row.reshape((num_actions,) * others)


@lru_cache(maxsize=32)
def _sizes(others: int) -> np.ndarray:
    """s(c) = c! (e / c)^c for c = 0..n."""

    def size(count: int) -> float:
        if count < FEWEST_OF_SERIES:
            return float(Fraction(math.factorial(count), max(count, 1) ** count)) * math.exp(count)
        terms = 1 / 12, 1 / 288, -139 / 51840, -571 / 2488320
        return math.sqrt(2 * math.pi * count) * (1 + sum(term / count**k for k, term in enumerate(terms, start=1)))

    return np.array([size(count) for count in range(others + 1)])


def _factors(log_policy: Lanes, policy: Lanes, others: int) -> Float[Array, "actions number lane"]:
    """exp(-D_k) / s(c_k) for each action and number c_k = 0..n of those who take it; 0 where nobody does."""
    number, sizes = np.arange(others + 1), _sizes(others)
    shares = np.log(np.maximum(number, 1) / max(others, 1))
    number, shares, weights = (
        jnp.asarray(column[:, None], dtype=policy.dtype) for column in (number, shares, 1 / sizes)
    )
    policy, log_policy = policy[:, None], log_policy[:, None]
    factors = weights * jnp.exp(number * (log_policy - shares) + number - others * policy)
    return jnp.where((policy > 0) | (number == 0), factors, 0)


def chances(log_policy: Lanes, policy: Lanes, num_players: int) -> Float[Array, "count lane"]:
    """The chances w(c) of what the others do, by rows of `opponent_counts`.

    Args:
        log_policy: logarithms of the policy, any finite numbers where it is 0.
        policy: the policy, which all play.
        num_players: m.
    """
    others = num_players - 1
    factors = materialize(partial(_factors, others=others), log_policy, policy)
    product = jnp.asarray(_sizes(others)[-1], dtype=policy.dtype)
    for factor, taken in zip(factors, _table(others, len(policy)).T, strict=True):
        product = product * factor[taken]
    return product


def _dot(left: Float[Array, "i count lane"], right: Float[Array, "count j lane"]) -> Float[Array, "i j lane"]:
    """The product of matrices with long inner sides, in every lane; on CPUs in blocks that are written out."""
    size, lane = right.shape[0], right.shape[-1]
    if lane < lanes.FEWEST_LANES or size <= lanes.LARGEST_UNROLLED:
        return lanes.matmul(left, right)

    def multiply(platform: Platform, left: Array, right: Array) -> Array:
        if platform is not CPU:
            return jnp.sum(left[:, :, None] * right[None], axis=1)
        block = lanes.LARGEST_UNROLLED
        full = size // block * block

        def add(index: Array, total: Array) -> Array:
            rows = partial(jax.lax.dynamic_slice_in_dim, start_index=index * block, slice_size=block)
            return total + lanes.matmul(rows(left, axis=1), rows(right, axis=0))

        total = jax.lax.fori_loop(0, full // block, add, jnp.zeros((len(left), *right.shape[1:]), right.dtype))
        return total + lanes.matmul(left[:, full:], right[full:]) if full < size else total

    return by_platform(multiply, left, right)


def expected(payoffs: Float[Array, "actions count lane"], chances: Float[Array, "count lane"]) -> Lanes:
    """What each action is worth, q(a) = sum_c w(c) r(a, c)."""
    return _dot(payoffs, chances[:, None])[:, 0]


def moments(
    payoffs: Float[Array, "actions count lane"], chances: Float[Array, "count lane"], num_players: int
) -> Float[Array, "actions actions lane"]:
    """The sums sum_c c_b w(c) r(a, c) = n pi_b H(a, b) for all a and b; over all b they add up to n q(a)."""
    table = jnp.asarray(_table(num_players - 1, len(payoffs))[:, :, None], dtype=payoffs.dtype)
    return _dot(payoffs, table * chances[:, None])


def within(mask: Bool[Array, "actions lane"], num_players: int) -> Bool[Array, "count lane"]:
    """In which rows of `opponent_counts` nobody takes an action that is masked."""
    table = _table(num_players - 1, len(mask))
    inside = [entry | (taken[:, None] == 0) for entry, taken in zip(mask, table.T, strict=True)]
    return reduce(jnp.logical_and, inside)
