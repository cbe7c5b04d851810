"""Behaviors: who plays what while the data is logged, and how well that covers unilateral deviations.

A behavior mu is a joint distribution over actions, ``[*actions]``, or a tuple of per-player policies (probabilities),
whose product it then is. Unilateral concentrability of a profile pi under mu (Cui and Du 2022, Definition 3.2):

    C(pi) = max_a e(a) / mu(a),    e(a) = max_i [a_i in the support] prod_{j != i} pi_j(a_j),

the worst ratio over all unilateral deviations (derived form, MATH A5). With pi the reference it can be computed
before anything is solved.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, check_profile, outer, support
from gamekl.core.regularizer import Regularizer
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
    game: NormalFormGame,
    behavior: Behavior,
    log_policy: Profile,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, ""]:
    """Unilateral concentrability C of a profile under a behavior; infinite where a deviation meets no data.

    Args:
        game: gives players and actions.
        behavior: joint distribution ``[*actions]``, or a tuple of policies.
        log_policy: the profile whose deviations must be covered: a reference or an equilibrium.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        C >= 1, dimensionless, a scalar.
    """
    joint = joint_behavior(game, behavior)
    reached = envelope(game, log_policy, regularizer).astype(joint.dtype)
    ratios = jnp.where(reached > 0, reached / jnp.where(joint > 0, joint, 1), 0)
    return jnp.max(jnp.where((reached > 0) & (joint <= 0), jnp.inf, ratios))


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
