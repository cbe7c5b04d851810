"""The constant of the 1/n rate that theory predicts, and the n from which to expect it.

For the equilibrium of a game estimated from n rows, with cell variances sigma_i^2(a) and behavior mu,

    n E[gap_i] -> D_i / (2 tau_i),    D_i = sum_{a_i} pi_i (1 - pi_i) sum_{a_-i} pi_-i(a_-i)^2 sigma_i^2(a) / mu(a)

at the true equilibrium pi (derived, theory A6). It holds on a regular branch, for D > 0 and rows enough.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import Game, NormalFormGame, StagedGame
from gamekl.core.kernels.system import to_logits
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import cell_chances
from gamekl.core.symmetric.system import single_equations
from gamekl.core.validation import Behavior, check_finite, check_noise, joint_behavior
from gamekl.evaluate.staged_rates import as_markov, largest_leverage, staged_constant, with_steps

# An equilibrium whose dF/dz has a smaller singular value is treated as a branching point.
SINGULAR_BELOW = 1e-3


def cell_variances(game: Game, noise: float | int | str) -> Float[Array, "*stage_player_and_actions"]:
    """The variance of one reward in each cell, shape ``[*stage, player, *actions]``, payoff units squared."""
    if isinstance(noise, str):
        return game.table * (1 - game.table)
    return jnp.full_like(game.table, noise**2)


def effective_dimension(
    game: NormalFormGame,
    policy: Sequence[Float[Array, " _"]],
    behavior: Float[Array, "*actions"],
    noise: float | int | str,
) -> Float[Array, " player"]:
    """D_i of the module's formula, ``[player]``, payoff units squared; infinite where a needed cell has no data."""
    variances = cell_variances(game, noise)
    dimensions = []
    for player in range(game.num_players):
        spread = policy[player] * (1 - policy[player])
        factors = [spread if index == player else entry**2 for index, entry in enumerate(policy)]
        needed = outer(factors) * variances[player]
        terms = jnp.where(needed > 0, needed / jnp.where(behavior > 0, behavior, 1), 0)
        dimensions.append(jnp.sum(jnp.where((needed > 0) & (behavior <= 0), jnp.inf, terms)))
    return jnp.stack(dimensions)


def predicted_constant(
    game: NormalFormGame | StagedGame,
    regularizer: Regularizer,
    solution: Any,
    behavior: Behavior,
    noise: float | int | str,
    *,
    features: ArrayLike | None = None,
) -> Float[Array, " player"]:
    """The limit of n E[gap_i] for the estimated game's equilibrium, D_i / (2 tau_i), as the number of rows n grows.

    In contextual and Markov games, of n rows or episodes, and of linear estimates it is that of
    `evaluate.staged_rates`.

    Args:
        game: the true game.
        regularizer: references and temperatures.
        solution: the true game's equilibrium, from `solve_nash`.
        behavior: joint distribution ``[*stage, *actions]``, or one policy for each player.
        noise: standard deviation of the rewards, payoff units, or "bernoulli".
        features: of the linear estimate (`gamekl.offline.Ridge`), shape ``[*stage, *actions, feature]``, in which the
            game must be linear; None for the tabular estimate.

    Returns:
        The constant of each player, shape ``[player]``, payoff units.

    Raises:
        TypeError: `solution` is no solution.
        ValueError: bad arguments, a solution that did not converge, or the formula does not apply: D is 0 (no noise
            reaches the equilibrium, so the gap falls faster than 1/n) or infinite (a needed cell gets no data), or the
            branch is singular (at the equilibrium, or a bifurcation lies on the way to it, so that estimated games
            lead elsewhere).

    Source: theory A6 (derived).
    """
    if not (hasattr(solution, "log_policy") and hasattr(solution, "status")):
        raise TypeError(f"solution: got {type(solution).__name__}, takes what solve_nash returns")
    joint = joint_behavior(game, behavior)
    regularizer.check_fits(game)
    check_noise(noise, game)
    check_converged(solution)
    if features is None and isinstance(game, NormalFormGame):
        policy = [jnp.exp(entry) for entry in solution.log_policy]
        constant = effective_dimension(game, policy, joint.astype(game.dtype), noise) / (2 * regularizer.temperatures)
    else:
        constant = staged_constant(
            as_markov(game),
            regularizer.astype(game.dtype),
            tuple(with_steps(game, entry) for entry in solution.log_policy),
            with_steps(game, getattr(solution, "values", jnp.zeros(game.num_players, game.dtype))),
            with_steps(game, joint.astype(game.dtype)),
            with_steps(game, cell_variances(game, noise)),
            None if features is None else with_steps(game, check_features(game, features)),
        )
    _check_dimension(game, np.asarray(constant * 2 * regularizer.temperatures), features is not None)
    if isinstance(game, NormalFormGame):
        check_branch(game, regularizer, solution)
    return constant


def check_features(
    game: NormalFormGame | StagedGame, features: ArrayLike
) -> Float[Array, "*stage_actions_and_feature"]:
    """The features as an array in the game's dtype.

    Raises:
        ValueError: their shape does not fit the game, or one is not finite.
    """
    array = as_float_array("features", features)
    cells = (*game.stage_shape, *game.num_actions)
    if array.shape[:-1] != cells:
        raise ValueError(f"features: got shape {array.shape}, takes [*stage, *actions, feature] with {cells} first")
    check_finite("features", np.asarray(array))
    return array.astype(game.dtype)


def check_converged(solution: Any) -> None:
    """Raise ``ValueError`` unless the solution converged."""
    if int(solution.status) != 0:
        raise ValueError(f"solution: got status {int(solution.status)}, takes a converged solution of the game")


def check_branch(game: NormalFormGame, regularizer: Regularizer, solution: Any) -> None:
    """Raise ``ValueError`` where estimated games may lead to another equilibrium."""
    if int(solution.path.bifurcations):
        raise ValueError(
            "game: got a logit path that passes a bifurcation, takes a regular branch: estimated games lead elsewhere"
        )
    z = to_logits(solution.log_policy, regularizer.masks)[:, None]
    linear = single_equations(game, regularizer).linearize(z, jnp.ones((1,), game.payoffs.dtype))
    least = float(jnp.linalg.svd(linear.jacobian()[..., 0], compute_uv=False)[-1])
    if least < SINGULAR_BELOW:
        raise ValueError(
            f"game: got an equilibrium whose Jacobian has least singular value {least:.1e}, "
            f"takes a regular one (at least {SINGULAR_BELOW})"
        )


def _check_dimension(game: Game, values: np.ndarray, described: bool) -> None:
    scale = float(np.ptp(np.asarray(game.table))) ** 2 or 1.0
    if not values.sum() > 1e-12 * scale:
        raise ValueError(f"noise: got effective dimensions {values.tolist()}, takes D > 0 for a gap that falls as 1/n")
    if described and not np.all(np.isfinite(values)):
        raise ValueError(
            "features: got some that the data cannot tell apart, takes independent ones under the behavior"
        )
    if not np.all(np.isfinite(values)):
        raise ValueError(f"behavior: got none of the data that D needs (D = {values.tolist()}), takes data there")


def first_sample_size(
    game: NormalFormGame | StagedGame,
    constant: Float[Array, " player"],
    regularizer: Regularizer,
    behavior: Behavior,
    *,
    features: ArrayLike | None = None,
) -> int:
    """The number of rows n from which 1/n may be expected: max(10 max_i D_i / tau_i^2, 30 / min mu).

    In games in stages mu is the chance of a stage and joint action; of a linear estimate 1 / mu is the largest
    phi^T E_mu[phi phi^T]^-1 phi (derived).

    Args:
        game: the true game.
        constant: D_i / (2 tau_i), from `predicted_constant`.
        regularizer: references and temperatures.
        behavior: joint distribution ``[*stage, *actions]``, or one policy for each player; cells without mass do not
            count.
        features: of the linear estimate, shape ``[*stage, *actions, feature]``; None for the tabular estimate.

    Returns:
        A whole number of rows, or of episodes in a Markov game.

    Raises:
        ValueError: the behavior or the features do not fit the game.

    Source: theory A8 (derived).
    """
    joint = joint_behavior(game, behavior).astype(game.dtype)
    seen = cell_chances(as_markov(game), with_steps(game, joint))
    described = None if features is None else with_steps(game, check_features(game, features))
    noisy = 10 * float(jnp.max(2 * constant / regularizer.temperatures))
    return math.ceil(max(noisy, 30 * float(largest_leverage(seen, described))))
