"""How players respond, and what they lose by not responding, in every kind of game.

`core.one_shot` has the definitions for one stage, `core.stages` the dynamic programmes that join stages: in contextual
games gaps are averaged over contexts, in Markov games a player who deviates does so at all steps, and gaps are measured
from the initial distribution. In symmetric games all
play one policy, and what is found is one player's.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core import one_shot, stages
from gamekl.core.games import ContextualGame, Game, MarkovGame, NormalFormGame
from gamekl.core.policies import Profile, check_profile
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import SymmetricGame
from gamekl.core.validation import check_regularizer


def staged_profile(field: str, game: Game, profile: Profile, *, log: bool) -> tuple[Float[Array, "*stage _"], ...]:
    """The profile as arrays in the game's dtype, checked."""
    checked = check_profile(field, profile, game.num_actions, log=log, stage=game.stage_shape)
    return tuple(entry.astype(game.dtype) for entry in checked)


def action_values(game: Game | SymmetricGame, policy: Profile) -> tuple[Float[Array, "*stage _"], ...]:
    """The expected payoff of each action of each player, against the others' policies.

    Args:
        game: a one-shot, contextual or Markov game. In a Markov game all players follow the policies afterwards.
        policy: probabilities, one array ``[*stage, actions_i]`` for each player.

    Returns:
        For each player q_i, shape ``[*stage, actions_i]``, payoff units.

    Raises:
        ValueError: the policies do not fit the game, or (where concrete) do not sum to one.
        TypeError: `policy` is no sequence of arrays.
    """
    if not isinstance(game, ContextualGame | MarkovGame):
        return one_shot.action_values(game, policy)
    profile = staged_profile("policy", game, policy, log=False)

    def visit(stage: NormalFormGame, entry: Any) -> tuple[Array, tuple[Array, ...]]:
        values = tuple(
            one_shot.expected_payoffs(payoffs, entry, (player,)) for player, payoffs in enumerate(stage.payoffs)
        )
        return jnp.stack([jnp.sum(own * value) for own, value in zip(entry, values, strict=True)]), values

    return stages.visit_stages(game, visit, profile)[1]


def best_response(
    game: Game | SymmetricGame, regularizer: Regularizer, log_policy: Profile
) -> tuple[Float[Array, "*stage _"], ...]:
    """Each player's best response to the others' policies, ``log softmax(log_reference + q / temperature)``.

    Args:
        game: a one-shot, contextual or Markov game. In a Markov game q_i is what the actions are worth if the player
            responds best later on, too.
        regularizer: references and temperatures.
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.

    Returns:
        One log-policy ``[*stage, actions_i]`` for each player; -inf on masked actions.

    Raises:
        ValueError: the regularizer or the profile does not fit the game, or (where concrete) a policy is none.
        TypeError: `log_policy` is no sequence of arrays.
    """
    if not isinstance(game, ContextualGame | MarkovGame):
        return one_shot.best_response(game, regularizer, log_policy)
    profile = staged_profile("log_policy", game, log_policy, log=True)
    check_regularizer(game, regularizer)
    return stages.respond(game, regularizer.astype(game.dtype), profile)[1].log_policy


def regularized_gap(
    game: Game | SymmetricGame, regularizer: Regularizer, log_policy: Profile
) -> Float[Array, " player"]:
    """What each player could gain in the regularised game by its best response, KL costs counted.

    In one shot gap_i = temperature_i KL(pi_i || BR_i). In stages a player deviates at all of them, and the gap is
    measured from the start.

    The value is >= 0, finite for every policy on the references' support (pure ones too), and infinite off it. Near
    an equilibrium it is good to about eps^2 R^2 / (2 temperature), the square of what a difference of values reaches.

    Args:
        game: the one-shot, contextual or Markov game in which the gap is measured.
        regularizer: references and temperatures.
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.

    Returns:
        The gap of each player, shape ``[player]``, payoff units.

    Raises:
        ValueError: the regularizer or the profile does not fit the game, or (where concrete) a policy is none.
        TypeError: `log_policy` is no sequence of arrays.

    Source: theory A3 and I4, in stages theory C2 (derived).
    """
    if not isinstance(game, ContextualGame | MarkovGame):
        return one_shot.regularized_gap(game, regularizer, log_policy)
    profile = staged_profile("log_policy", game, log_policy, log=True)
    check_regularizer(game, regularizer)
    _, response = stages.respond(game, regularizer.astype(game.dtype), profile)
    return stages.total_gap(game, profile, response.gap)


def nash_gap(
    game: Game | SymmetricGame, log_policy: Profile, *, regularizer: Regularizer | None = None
) -> Float[Array, " player"]:
    """What each player could gain by its best unregularised deviation, from the start and at all stages.

    In one shot that is max_a q_i(a) - <pi_i, q_i>, with q_i the values of the actions against the others' policies.

    Args:
        game: the one-shot, contextual or Markov game in which the gap is measured.
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        The gap of each player, shape ``[player]``, payoff units; >= 0 for policies on that support.

    Raises:
        ValueError: the regularizer or the profile does not fit the game, or (where concrete) a policy is none.
        TypeError: `log_policy` is no sequence of arrays.
    """
    if not isinstance(game, ContextualGame | MarkovGame):
        return one_shot.nash_gap(game, log_policy, regularizer=regularizer)
    profile = staged_profile("log_policy", game, log_policy, log=True)
    masks = tuple(jnp.ones_like(entry, dtype=bool) for entry in profile)
    if regularizer is not None:
        regularizer.check_fits(game)
        masks = regularizer.masks
    _, response = stages.respond_greedily(game, masks, profile)
    return stages.total_gap(game, profile, response.gap)
