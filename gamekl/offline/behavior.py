"""Behaviors: who plays what while the data is logged, and how well that covers unilateral deviations.

A behavior mu is a joint distribution over actions, ``[*actions]``, or a tuple of per-player policies (probabilities),
whose product it then is. Unilateral concentrability of a profile pi under mu (Cui and Du 2022, Definition 3.2):

    C(pi) = max_a e(a) / mu(a),    e(a) = max_i [a_i in the support] prod_{j != i} pi_j(a_j),

the worst ratio over all unilateral deviations (derived form, MATH A5). With pi the reference it can be computed
before anything is solved.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import MarkovGame, NormalFormGame, StagedGame, require_normal_form
from gamekl.core.lanes import PRECISION
from gamekl.core.policies import Profile, check_profile, outer, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import occupancies
from gamekl.core.validation import Behavior, joint_behavior


def envelope(
    game: NormalFormGame, log_policy: Profile, regularizer: Regularizer | None = None
) -> Float[Array, "*actions"]:
    """e(a), the largest probability with which a unilateral deviation can reach a; 0 off the references' support."""
    require_normal_form(game)
    policy = [jnp.exp(entry) for entry in check_profile("log_policy", log_policy, game.num_actions, log=True)]
    reached = jnp.zeros(game.num_actions, dtype=policy[0].dtype)
    for player in range(game.num_players):
        free = [jnp.ones_like(part) if index == player else part for index, part in enumerate(policy)]
        reached = jnp.maximum(reached, outer(free))
    if regularizer is None:
        return reached
    regularizer.check_fits(game)
    return jnp.where(outer([support(entry).astype(float) for entry in regularizer.log_reference]) > 0, reached, 0)


def concentrability(
    game: NormalFormGame | StagedGame,
    behavior: Behavior,
    log_policy: Profile,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, ""]:
    """Unilateral concentrability C of a profile under a behavior; infinite where a deviation meets no data.

    In a Markov game both sides are probabilities of a state and joint action at a step, and a deviation is to any
    Markov policy (MATH C2); in a contextual game C is the largest of any context that occurs.

    Args:
        game: gives players, actions and, of a Markov game, transitions.
        behavior: joint distribution ``[*stage, *actions]``, or a tuple of policies.
        log_policy: the profile whose deviations must be covered: a reference or an equilibrium.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        C >= 1, dimensionless, a scalar.
    """
    joint = joint_behavior(game, behavior)
    if regularizer is not None:
        regularizer.check_fits(game)
    if isinstance(game, NormalFormGame):
        return _worst_ratio(envelope(game, log_policy, regularizer), joint)
    profile = check_profile("log_policy", log_policy, game.num_actions, log=True, stage=game.stage_shape)
    masks = tuple(jnp.ones_like(entry, dtype=bool) for entry in profile) if regularizer is None else regularizer.masks
    visits = occupancies(game, joint.astype(game.dtype))
    seen = visits.reshape(*visits.shape, *[1] * game.num_players) * joint
    return _worst_ratio(_reached(game, profile, masks), seen)


def _worst_ratio(reached: Array, seen: Array) -> Float[Array, ""]:
    reached = reached.astype(seen.dtype)
    ratios = jnp.where(reached > 0, reached / jnp.where(seen > 0, seen, 1), 0)
    return jnp.max(jnp.where((reached > 0) & (seen <= 0), jnp.inf, ratios))


@jax.jit
def _reached(
    game: StagedGame, log_policy: tuple[Array, ...], masks: tuple[Array, ...]
) -> Float[Array, "*stage_and_actions"]:
    """The largest probability with which a unilateral deviation reaches each stage and joint action."""
    policy = [jnp.exp(entry).astype(game.dtype) for entry in log_policy]
    allowed = outer([mask.astype(game.dtype) for mask in masks])
    most = jnp.zeros_like(allowed)
    for player in range(game.num_players):
        others = outer([jnp.ones_like(part) if index == player else part for index, part in enumerate(policy)])
        if isinstance(game, MarkovGame):
            stages = _visits_at_most(game, player, others * allowed, masks[player])
        else:
            stages = game.context_probs
        most = jnp.maximum(most, stages.reshape(*stages.shape, *[1] * game.num_players) * others)
    return most * allowed


def _visits_at_most(
    game: MarkovGame, player: int, others: Float[Array, "horizon state *actions"], mask: Array
) -> Float[Array, "horizon state"]:
    """The largest probability with which a player's deviations bring the game to each step and state.

    A dynamic programme for each of them: the best chance, from each earlier state, of being there in time.
    """
    horizon, states = game.stage_shape
    rest = tuple(axis for axis in range(2, game.num_players + 2) if axis != player + 2)
    # What the player's action makes of the next state, the others following their policies.
    moves = jnp.sum(game.transitions * others[..., None], axis=rest)  # [horizon, state, own action, next_state]

    def chance(target: int) -> Float[Array, " state"]:
        def step(chances: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
            here, open_actions = inputs
            ahead = jnp.matmul(here, chances, precision=PRECISION)  # [state, own action, target state]
            return jnp.where(open_actions[..., None], ahead, 0).max(axis=1), None

        there = jnp.eye(states, dtype=game.dtype)
        chances, _ = jax.lax.scan(step, there, (moves[:target], mask[:target]), reverse=True)
        return game.initial_probs.astype(game.dtype) @ chances

    return jnp.stack([chance(target) for target in range(horizon)])


def behavior_with_concentrability(
    game: NormalFormGame,
    log_policy: Profile,
    concentrability: float | int,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, "*actions"]:
    """A behavior under which the profile's unilateral concentrability is exactly what is asked for.

    The least possible value is C_min = sum_a e(a), reached by mu proportional to e. Above it, the cell k = argmax e
    gets mu(k) = e(k) / C (nothing for C infinite) and the rest is spread in proportion to e (derived, MATH A7).

    Args:
        game: gives players and actions.
        log_policy: the profile whose deviations are to be covered.
        concentrability: the C asked for, at least C_min; may be infinite.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        A joint distribution, shape ``[*actions]``.

    Raises:
        ValueError: C is below C_min.
    """
    reached = envelope(game, log_policy, regularizer)
    least = float(reached.sum())
    # Asking for C_min itself must not fail on the rounding of the caller's sum.
    if not concentrability >= least * (1 - 1e-9):
        raise ValueError(f"concentrability: got {concentrability}, takes at least C_min = {least} for this profile")
    flat = reached.ravel()
    rarest = jnp.argmax(flat)
    rare_mass = flat[rarest] / max(concentrability, least)
    others = flat.at[rarest].set(0)
    total = others.sum()
    if float(total) == 0:  # a single cell in all
        return reached / least
    return (others / total * (1 - rare_mass)).at[rarest].set(rare_mass).reshape(game.num_actions)
