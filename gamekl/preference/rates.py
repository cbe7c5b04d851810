"""The constant of the 1/n rate of payoffs that are estimated from comparisons of joint actions.

Let n pairs {a, a'} be drawn with chances p(a, a'), and player i prefer the first with probability
sigma(d) with d = r_i(a) - r_i(a'). One comparison tells of its payoffs, up to a constant, the Fisher information

    L_i = sum_{pairs} p(a, a') v_i(a, a') (e_a - e_a') (e_a - e_a')^T,    v_i = sigma(d) sigma(-d),

a weighted Laplacian of the graph of pairs, so that the maximum likelihood estimate's errors have the covariance
L_i^+ / n to first order. What the player would gain follows from them alone, to first order: to what the others' own
errors change it responds as it should. With c_b(a) = (1[a_i = b] - pi_i(a_i)) pi_-i(a_-i) at the true equilibrium pi,

    n E[gap_i] -> D_i / (2 tau_i),    D_i = sum_b pi_i(b) c_b^T L_i^+ c_b

(derived, by the delta method, as theory A6 is for rewards). The entries of each c_b sum to 0, so the constant that
comparisons leave open does not matter; nor does what a graph in several parts leaves open, if each c_b sums to 0 on
every part.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_distribution
from gamekl.evaluate.rates import check_branch, check_converged


def _player_constant(
    payoffs: np.ndarray, policy: list[np.ndarray], player: int, chances: np.ndarray, temperature: float
) -> float:
    """D_i / (2 tau_i), of chances ``[joint, joint]``; infinite where comparisons that are needed are missing."""
    values = payoffs.ravel()
    odds = np.exp(-np.abs(values[:, None] - values))
    weights = (chances + chances.T) * odds / (1 + odds) ** 2
    levels, modes = np.linalg.eigh(np.diag(weights.sum(axis=1)) - weights)
    own = policy[player]
    contrasts = []
    for action, indicator in enumerate(np.eye(len(own))):
        factors = [indicator - own if index == player else entry for index, entry in enumerate(policy)]
        product = factors[0]
        for factor in factors[1:]:
            product = np.multiply.outer(product, factor)
        contrasts.append(np.sqrt(own[action]) * product.ravel())
    shares = np.sum((np.stack(contrasts) @ modes) ** 2, axis=0)
    told = levels > levels[-1] * len(levels) * np.finfo(float).eps
    if np.any(shares[~told] > 1e-12 * np.sum(shares)):
        return np.inf
    return float(np.sum(shares[told] / levels[told])) / (2 * temperature)


def predicted_preference_constant(
    game: NormalFormGame, regularizer: Regularizer, solution: Any, pairs: ArrayLike
) -> Float[Array, " player"]:
    """The limit of n E[gap_i] for the equilibrium of payoffs that are estimated from n comparisons of joint actions.

    Args:
        game: the true game, whose payoff differences are the log-odds of preferences.
        regularizer: references and temperatures.
        solution: the true game's equilibrium, from `solve_nash`.
        pairs: distribution of the pairs that are compared, shape ``[*actions, *actions]``; their order does not matter.

    Returns:
        The constant of each player, shape ``[player]``, payoff units.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: bad arguments, a solution that did not converge, a singular branch, or pairs that leave open what
            the equilibrium needs.

    Source: derived, by the delta method, as theory A6 is for rewards.
    """
    require_normal_form(game)
    table = np.asarray(as_float_array("pairs", pairs), dtype=np.float64)
    if table.shape != (*game.num_actions, *game.num_actions):
        takes = (*game.num_actions, *game.num_actions)
        raise ValueError(f"pairs: got shape {table.shape}, takes [*actions, *actions] = {takes}")
    check_distribution("pairs", table, tuple(range(table.ndim)))
    regularizer.check_fits(game)
    check_converged(solution)
    check_branch(game, regularizer, solution)
    policy = [np.exp(np.asarray(entry, dtype=np.float64)) for entry in solution.log_policy]
    payoffs, joint = np.asarray(game.payoffs, dtype=np.float64), int(np.prod(game.num_actions))
    constants = [
        _player_constant(payoffs[player], policy, player, table.reshape(joint, joint), float(temperature))
        for player, temperature in enumerate(regularizer.temperatures)
    ]
    if not np.all(np.isfinite(constants)):
        raise ValueError(f"pairs: got none of the comparisons that the gap needs (constants {constants}), takes them")
    return jnp.asarray(constants, game.dtype)
