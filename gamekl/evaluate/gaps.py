"""Gaps of joint policies, and the field's summaries of the players' gaps.

`regularized_gap` and `nash_gap` themselves are in `core.response`.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core import deviations, stages
from gamekl.core.games import ContextualGame, Game, MarkovGame, NormalFormGame
from gamekl.core.policies import Profile, outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import nash_gap, staged_profile
from gamekl.core.symmetric.game import SymmetricGame
from gamekl.core.validation import joint_behavior


def nash_conv(game: Game | SymmetricGame, log_policy: Profile) -> Float[Array, ""]:
    """NashConv: the sum of the players' Nash gaps (OpenSpiel's definition).

    Args:
        game: the game in which the gaps are measured.
        log_policy: one log-policy ``[actions_i]`` for each player, ``[*stage, actions_i]`` in games in stages.

    Returns:
        A scalar, payoff units; 0 at a Nash equilibrium.

    Raises:
        ValueError: the profile does not fit the game, or (where concrete) a policy is none.
    """
    gaps = nash_gap(game, log_policy)
    return jnp.sum(gaps) * (game.num_players if isinstance(game, SymmetricGame) else 1)


def exploitability(game: Game | SymmetricGame, log_policy: Profile) -> Float[Array, ""]:
    """The mean of the players' Nash gaps (OpenSpiel's definition).

    Args:
        game: the game in which the gaps are measured.
        log_policy: one log-policy ``[actions_i]`` for each player, ``[*stage, actions_i]`` in games in stages.

    Returns:
        A scalar, payoff units; 0 at a Nash equilibrium.

    Raises:
        ValueError: the profile does not fit the game, or (where concrete) a policy is none.
    """
    return jnp.mean(nash_gap(game, log_policy))


def occupancies(game: ContextualGame | MarkovGame, policy: Any) -> Float[Array, "*stage"]:
    """The probability of each stage: of each context, or at each step of each state.

    Args:
        game: a contextual or Markov game.
        policy: joint distributions ``[*stage, *actions]``, or one policy (probabilities) ``[*stage, actions_i]`` for
            each player.

    Returns:
        Shape ``[*stage]``; less than 1 in all at a step before which episodes may end.

    Raises:
        ValueError: the policies do not fit the game, or (where concrete) are no distributions.
    """
    return stages.occupancies(game, joint_behavior(game, policy, "policy").astype(game.dtype))


def policy_value(
    game: ContextualGame | MarkovGame, log_policy: Profile, *, regularizer: Regularizer | None = None
) -> Float[Array, " player"]:
    """What each player earns from the start of a game in stages, exactly.

    Args:
        game: a contextual or Markov game.
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.
        regularizer: where given, each player pays its KL terms at every stage.

    Returns:
        Shape ``[player]``, payoff units.

    Raises:
        ValueError: the profile or the regularizer does not fit the game.
    """
    profile = staged_profile("log_policy", game, log_policy, log=True)
    joint = outer(tuple(jnp.exp(entry) for entry in profile))
    if regularizer is None:
        return stages.policy_values(game, joint, jnp.zeros((*game.stage_shape, game.num_players), game.dtype))
    regularizer.check_fits(game)
    return stages.policy_values(game, joint, stages.policy_cost(regularizer.astype(game.dtype), profile))


def _masks(game: NormalFormGame, regularizer: Regularizer | None) -> Sequence[Array] | None:
    if regularizer is None:
        return None
    Regularizer.require(regularizer)
    regularizer.check_fits(game)
    return regularizer.masks


def cce_gap(
    game: NormalFormGame, joint_policy: Any, *, regularizer: Regularizer | None = None
) -> Float[Array, " player"]:
    """What each player could gain by one action in place of all that a joint policy recommends.

    Args:
        game: the game.
        joint_policy: probabilities ``[*actions]``, or one policy (probabilities) for each player.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        Shape ``[player]``, payoff units; below 0 where no one action gains anything.

    Raises:
        ValueError: `joint_policy` has another shape or is no distribution.
    """
    sigma = joint_behavior(game, joint_policy, "joint_policy").astype(game.dtype)
    return deviations.coarse_gap(game, sigma, _masks(game, regularizer))


def ce_gap(
    game: NormalFormGame, joint_policy: Any, *, regularizer: Regularizer | None = None
) -> Float[Array, " player"]:
    """What each player could gain by an action of its own for each that a joint policy recommends.

    Args:
        game: the game.
        joint_policy: probabilities ``[*actions]``, or one policy (probabilities) for each player.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        Shape ``[player]``, payoff units, summed over recommendations; >= 0 but for rounding.

    Raises:
        ValueError: `joint_policy` has another shape or is no distribution.
    """
    sigma = joint_behavior(game, joint_policy, "joint_policy").astype(game.dtype)
    return deviations.gap(game, sigma, _masks(game, regularizer))
