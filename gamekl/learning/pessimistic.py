"""Pessimistic methods that are more than an edit of an estimate: the baselines that regularisation does without.

Each brackets what policies earn, by the estimates r_hat and P_hat and the counts N. With c the scale, sigma the noise
and H the horizon,

    PNVI, two players, zero-sum         Q_low  = r_hat + P_hat V_low  - b,   mu = the maximiser's part of NE(Q_low),
                                        Q_high = r_hat + P_hat V_high + b,   nu = the minimiser's part of NE(Q_high),
                                        b = c sigma H / sqrt(N),             V_low, V_high the values;
    strategy-wise bonus, one shot       min over product pi of  sum_i max_{a_i} [u_high_i(a_i, pi_-i) - u_low_i(pi)];
    Bellman-consistent, one shot        min over pi of          max_i max_{a_i} [u_high_i(a_i, pi_-i) - u_low_i(pi)],

with the brackets u_high and u_low of `learning.surrogates`. What the log never saw may pay anything in the range of
payoffs: there PNVI takes the lowest and the highest value possible, to which it clips the rest too. In its source,
where b = c H sqrt(iota / max(N, 1)) and rewards are in [0, 1], the clip comes to the same once c sqrt(iota) >= 1.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import MarkovGame
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import check_nonnegative, check_whole
from gamekl.learning.surrogates import Brackets, Minimum, brackets, over_joint, over_profiles, plug_in
from gamekl.offline.pessimism import as_range, check_estimate
from gamekl.offline.regression import Estimate
from gamekl.solvers.exact.solve import solve_two_player_batch


class PessimisticValues(Shown):
    """What pessimistic Nash value iteration returns; values are those of the zero-sum game (r_1 - r_2) / 2.

    Attributes:
        log_policy: mu and nu, one log-policy ``[*stage, actions_i]`` for each player.
        low: V_low from each stage on, the first player's, shape ``[*stage]``, payoff units.
        high: V_high, of the same shape and unit.
        surrogate: the mean of high - low at the start, payoff units. Where the brackets hold it bounds the sum of both
            players' Nash gaps in that game.
    """

    log_policy: tuple[Float[Array, "*stage _"], ...]
    low: Float[Array, "*stage"]
    high: Float[Array, "*stage"]
    surrogate: Float[Array, ""]


class PessimisticProfile(Shown):
    """A profile, and the surrogate that it minimises.

    Attributes:
        log_policy: one log-policy ``[actions_i]`` for each player.
        surrogate: the least value found, payoff units. Where the brackets hold it bounds the Nash gap in the true game:
            of all players together (`strategy_wise`), of the worst one (`bellman_consistent`).
        start_surrogates: the least value from each start, shape ``[start]``; they differ where there are local minima.
        last_improvement: by how much the surrogate still fell over the last tenth of the steps, payoff units.
    """

    log_policy: tuple[Float[Array, "*batch _"], ...]
    surrogate: Float[Array, "*batch"]
    start_surrogates: Float[Array, "*batch start"]
    last_improvement: Float[Array, "*batch"]


class PessimisticJoint(Shown):
    """A joint policy, and the surrogate that it minimises.

    Attributes:
        joint_policy: probabilities, shape ``[*actions]``.
        surrogate: the least value found, payoff units. Where the brackets hold it bounds the worst player's coarse
            correlated gap in the true game.
        start_surrogates: the least value from each start, shape ``[start]``; the problem is convex, so that they differ
            only by what the descents have left to do.
        last_improvement: by how much the surrogate still fell over the last tenth of the steps, payoff units.
    """

    joint_policy: Float[Array, "*batch_and_actions"]
    surrogate: Float[Array, "*batch"]
    start_surrogates: Float[Array, "*batch start"]
    last_improvement: Float[Array, "*batch"]


def pnvi(estimate: Estimate, *, scale: ArrayLike, payoff_range: Any, noise: ArrayLike = 1.0) -> PessimisticValues:
    """Pessimistic Nash value iteration for a two-player zero-sum game, on the host.

    The players' rewards are taken to be opposite up to a constant and the log's noise, so that those of the zero-sum
    game are (r_1 - r_2) / 2: player 1's where they are exactly opposite, the mean of both logs where each has noise of
    its own. Many logs of one game are done at once as the contexts of one `ContextualGame`.

    Args:
        estimate: of a normal-form, contextual or Markov game; concrete.
        scale: c of the module's formula, the c sqrt(iota) of the source; dimensionless.
        payoff_range: (low, high) of one reward, each a number or one for each player, payoff units. With k steps left
            a value lies between min(low, k low) and max(high, k high), as episodes may end before the last step.
        noise: sigma, payoff units. The source has 1, for rewards in [0, 1].

    Returns:
        `PessimisticValues`, policies and values with the game's stage axes.

    Raises:
        TypeError: `estimate` is no `Estimate`, or is traced.
        ValueError: there are not two players, or an option is bad.

    Source: the method is that of Cui and Du (2022) by name and bonus; the rest of it is recalled, theory D.
    """
    check_estimate(estimate)
    check_nonnegative(scale=scale, noise=noise)
    game = estimate.game
    if game.num_players != 2:
        raise ValueError(f"estimate.game: got {game.num_players} players, takes a two-player zero-sum game")
    if not is_concrete(estimate, scale, noise, payoff_range):
        raise TypeError("estimate: got traced arrays, takes concrete ones: pnvi works on the host")
    low, high = (np.asarray(end, dtype=np.float64) for end in as_range(payoff_range, game))
    lowest, highest = (low[0] - high[1]) / 2, (high[0] - low[1]) / 2
    table = np.asarray(game.table, dtype=np.float64)
    stage = (1,) * (2 - len(game.stage_shape)) + game.stage_shape  # [horizon, state]
    rewards = ((table[..., 0, :, :] - table[..., 1, :, :]) / 2).reshape(*stage, *game.num_actions)
    moves = np.zeros((*rewards.shape, stage[1]))
    if isinstance(game, MarkovGame):
        moves = np.asarray(game.transitions, dtype=np.float64)
    counts = np.asarray(estimate.counts, dtype=np.float64).reshape(rewards.shape)
    width = float(np.asarray(scale)) * float(np.asarray(noise)) * stage[0]
    bonus = width / np.sqrt(np.maximum(counts, 1))
    values = np.zeros((stage[0] + 1, 2, stage[1]))  # V_low and V_high
    log_policy = [np.zeros((*stage, size)) for size in game.num_actions]
    for step in reversed(range(stage[0])):
        left = stage[0] - step
        bounds = min(lowest, left * lowest), max(highest, left * highest)
        sides = []
        for sign, end, ahead in zip((-1, 1), bounds, values[step + 1], strict=True):
            known = np.clip(rewards[step] + moves[step] @ ahead + sign * bonus[step], *bounds)
            sides.append(np.where(counts[step] == 0, end, known))
        mixed, values[step] = _solve_zero_sum(np.stack(sides), game.dtype)
        log_policy[0][step], log_policy[1][step] = mixed[0][0], mixed[1][1]
    initial = {1: "context_probs", 2: "initial_probs"}.get(len(game.stage_shape))
    first = np.ones(1) if initial is None else np.asarray(getattr(game, initial), dtype=np.float64)
    shaped = [jnp.asarray(entry.reshape(*game.stage_shape, -1), dtype=game.dtype) for entry in log_policy]
    below, above = (jnp.asarray(values[:-1, side].reshape(game.stage_shape), dtype=game.dtype) for side in range(2))
    surrogate = jnp.asarray(first @ (values[0, 1] - values[0, 0]), dtype=game.dtype)
    return PessimisticValues(tuple(shaped), below, above, surrogate)


def _solve_zero_sum(row: np.ndarray, dtype: Any) -> tuple[list[np.ndarray], np.ndarray]:
    """Optimal log-policies ``[*batch, actions_i]`` and values ``[*batch]``; `row` is ``[*batch, actions, actions]``."""
    found = solve_two_player_batch(np.stack([row, -row], axis=-3).astype(dtype))
    log_policy = [np.asarray(entry, dtype=np.float64) for entry in found.log_policy]
    x, y = (np.exp(entry) for entry in log_policy)
    return log_policy, np.einsum("...a,...ab,...b->...", x, row, y)


def _as_profile(found: Minimum) -> PessimisticProfile:
    log_policy = tuple(jnp.log(entry) for entry in found.policy)
    return PessimisticProfile(log_policy, found.value, found.start_values, found.last_improvement)


def strategy_wise(
    estimate: Estimate,
    *,
    scale: ArrayLike,
    payoff_range: Any,
    noise: ArrayLike = 1.0,
    num_steps: int = 1_000,
    num_starts: int = 16,
) -> PessimisticProfile:
    """The strategy-wise bonus: a profile that minimises the sum of the gaps that its brackets allow.

    It may be transformed by ``jax.jit`` and ``jax.vmap``, with everything but `num_steps` and `num_starts` traced. The
    problem is not convex; what is returned is the best point of `num_starts` descents.

    Args:
        estimate: of a normal-form game, any number of players.
        scale: c, dimensionless: sqrt(2 iota) for a confidence of 1 - 2 exp(-iota) in the bracket of one policy.
        payoff_range: (low, high) of what unseen cells may pay, each a number or one for each player, payoff units.
        noise: sigma, the standard deviation of a reward, payoff units.
        num_steps: of each descent.
        num_starts: how many; the first is from the estimate's regularised equilibrium at a small temperature, the
            second from uniform play.

    Returns:
        A `PessimisticProfile`.

    Raises:
        TypeError: `estimate` is not one of a normal-form game.
        ValueError: an option is bad.

    Source: derived, theory D; a bonus for the whole strategy in place of the cells' is the idea of the method's
    abstract.
    """
    bounds = brackets(estimate, scale, payoff_range, noise)
    check_whole(num_steps=num_steps, num_starts=num_starts)
    return _as_profile(over_profiles(bounds, Brackets.total, plug_in(estimate.game), num_steps, num_starts))


def bellman_consistent(
    estimate: Estimate,
    *,
    scale: ArrayLike,
    payoff_range: Any,
    noise: ArrayLike = 1.0,
    num_steps: int = 1_000,
    num_starts: int = 16,
) -> PessimisticProfile:
    """Bellman-consistent pessimism in a game of one shot: the profile with the least worst gap that is possible.

    It may be transformed by ``jax.jit`` and ``jax.vmap``, with everything but `num_steps` and `num_starts` traced. The
    problem is not convex; what is returned is the best point of `num_starts` descents.

    Args:
        estimate: of a normal-form game, any number of players.
        scale: c, dimensionless: the squared loss of the version space exceeds its least by at most c^2 sigma^2.
        payoff_range: (low, high) of what unseen cells may pay, each a number or one for each player, payoff units.
        noise: sigma, the standard deviation of a reward, payoff units.
        num_steps: of each descent.
        num_starts: how many; the first is from the estimate's regularised equilibrium at a small temperature, the
            second from uniform play.

    Returns:
        A `PessimisticProfile`.

    Raises:
        TypeError: `estimate` is not one of a normal-form game.
        ValueError: an option is bad.

    Source: arXiv 2302.02571 (abstract); its form for one step and an ellipsoid is derived, theory D.
    """
    bounds = brackets(estimate, scale, payoff_range, noise)
    check_whole(num_steps=num_steps, num_starts=num_starts)
    return _as_profile(over_profiles(bounds, Brackets.worst, plug_in(estimate.game), num_steps, num_starts))


def bellman_consistent_cce(
    estimate: Estimate,
    *,
    scale: ArrayLike,
    payoff_range: Any,
    noise: ArrayLike = 1.0,
    num_steps: int = 1_000,
    num_starts: int = 16,
) -> PessimisticJoint:
    """Bellman-consistent pessimism in a game of one shot, over joint policies as coarse correlated equilibria.

    The joint policy has the least worst gap that is possible, where a deviation meets the others' part of it. The
    problem is convex. It may be transformed as `bellman_consistent` may.

    Args:
        estimate: of a normal-form game, any number of players.
        scale: c, dimensionless: the squared loss of the version space exceeds its least by at most c^2 sigma^2.
        payoff_range: (low, high) of what unseen cells may pay, each a number or one for each player, payoff units.
        noise: sigma, the standard deviation of a reward, payoff units.
        num_steps: of each descent.
        num_starts: how many descents.

    Returns:
        A `PessimisticJoint`.

    Raises:
        TypeError: `estimate` is not one of a normal-form game.
        ValueError: an option is bad.

    Source: arXiv 2302.02571 (abstract); its form for one step and an ellipsoid is derived, theory D.
    """
    bounds = brackets(estimate, scale, payoff_range, noise)
    check_whole(num_steps=num_steps, num_starts=num_starts)
    found = over_joint(bounds, Brackets.worst, plug_in(estimate.game), num_steps, num_starts)
    joint_policy = found.policy[0].reshape(bounds.variances.shape)
    return PessimisticJoint(joint_policy, found.value, found.start_values, found.last_improvement)
