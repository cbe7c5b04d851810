"""Behaviors: who plays what while the data is logged, and how well that covers unilateral deviations.

A behavior mu is a joint distribution over actions, ``[*actions]``, or a tuple of per-player policies (probabilities),
whose product it then is. Unilateral concentrability of a profile pi under mu (Cui and Du 2022, Definition 3.2):

    C(pi) = max_a e(a) / mu(a),    e(a) = max_i [a_i in the support] prod_{j != i} pi_j(a_j),

the worst ratio over all unilateral deviations (derived form, theory A5). With pi the reference it can be computed
before anything is solved.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame, require_normal_form
from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import Profile, check_profile, outer, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.stages import cell_chances
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

    It is the largest ratio of a joint action's probability under a unilateral deviation to that under the behavior.
    In a Markov game both sides are probabilities of a state and joint action at a step, and a deviation is to any
    Markov policy (theory C2); in a contextual game C is the largest of any context that occurs.

    Args:
        game: gives players, actions and, of a Markov game, transitions.
        behavior: joint distribution ``[*stage, *actions]``, or a tuple of policies.
        log_policy: the profile whose deviations must be covered: a reference or an equilibrium.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        C >= 1, dimensionless, a scalar.

    Raises:
        ValueError: a behavior, profile or regularizer that does not fit the game.

    Source: Cui and Du (2022), Definition 3.2, in the form of theory A5.
    """
    return stage_concentrability(game, behavior, log_policy, regularizer=regularizer).max()


def stage_concentrability(
    game: NormalFormGame | StagedGame,
    behavior: Behavior,
    log_policy: Profile,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, "*stage"]:
    """Unilateral concentrability of a profile under a behavior, stage by stage.

    Args:
        game: gives players, actions and, of a Markov game, transitions.
        behavior: joint distribution ``[*stage, *actions]``, or a tuple of policies.
        log_policy: the profile whose deviations must be covered: a reference or an equilibrium.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        C of each stage, dimensionless, shape ``[*stage]``; 0 at stages to which no deviation leads, infinite where one
        meets no data.

    Raises:
        ValueError: a behavior, profile or regularizer that does not fit the game.

    Source: Cui and Du (2022), Definition 3.2, in the form of theory A5.
    """
    joint = joint_behavior(game, behavior)
    reached = _envelope(game, log_policy, regularizer)
    seen = joint if isinstance(game, NormalFormGame) else cell_chances(game, joint.astype(game.dtype))
    reached = reached.astype(seen.dtype)
    ratios = jnp.where(reached > 0, reached / jnp.where(seen > 0, seen, 1), 0)
    ratios = jnp.where((reached > 0) & (seen <= 0), jnp.inf, ratios)
    return ratios.max(axis=tuple(range(-game.num_players, 0)))


def _envelope(
    game: NormalFormGame | StagedGame, log_policy: Profile, regularizer: Regularizer | None
) -> Float[Array, "*stage_and_actions"]:
    """The largest probability with which a unilateral deviation reaches each stage and joint action."""
    if isinstance(game, NormalFormGame):
        return envelope(game, log_policy, regularizer)
    if regularizer is not None:
        regularizer.check_fits(game)
    profile = check_profile("log_policy", log_policy, game.num_actions, log=True, stage=game.stage_shape)
    masks = tuple(jnp.ones_like(entry, dtype=bool) for entry in profile) if regularizer is None else regularizer.masks
    return _reached(game, profile, masks)


@jit
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


def _cover(
    reached: Float[Array, "stage cell"], visits: Float[Array, " stage"], asked: Float[Array, " stage"]
) -> tuple[Float[Array, "stage cell"], Float[Array, " stage"]]:
    """The behavior at each stage whose largest reached / (visits mu) is what is asked for, and the least that can be.

    Where nothing is reached, the behavior is uniform.
    """
    total = reached.sum(axis=1)
    least = jnp.where(total > 0, total / jnp.where(visits > 0, visits, 0), 0)
    rarest = jnp.arange(reached.shape[1]) == jnp.argmax(reached, axis=1)[:, None]
    most = reached.max(axis=1)
    # A single cell takes all.
    rare_mass = jnp.where(most < total, most / (jnp.where(visits > 0, visits, 1) * jnp.maximum(asked, least)), 1)
    others = jnp.where(rarest, 0, reached)
    rest = others.sum(axis=1)
    spread = others * ((1 - rare_mass) / jnp.where(rest > 0, rest, 1))[:, None]
    return jnp.where((total > 0)[:, None], jnp.where(rarest, rare_mass[:, None], spread), 1 / reached.shape[1]), least


def behavior_with_concentrability(
    game: NormalFormGame | StagedGame,
    log_policy: Profile,
    concentrability: ArrayLike,
    *,
    regularizer: Regularizer | None = None,
) -> Float[Array, "*stage_and_actions"]:
    """A behavior under which the profile's unilateral concentrability is exactly what is asked for, at every stage.

    The least possible value is C_min = sum_a e(a), reached by mu proportional to e. Above it, the cell k = argmax e
    gets mu(k) = e(k) / C (nothing for C infinite) and the rest is spread in proportion to e (derived, theory A7). In a
    Markov game e(h, s, .) over the behavior's own chance to be in s takes the place of e, from the first step to the
    last; where no deviation leads, the behavior is uniform. (Where deviations reach a single joint
    action of a state, no behavior can make C larger there than it is at least.)

    Args:
        game: gives players, actions and, of a Markov game, transitions.
        log_policy: the profile whose deviations are to be covered.
        concentrability: the C asked for, at least C_min; may be infinite; a number or ``[*stage]``.
        regularizer: where given, deviations stay on its references' support.

    Returns:
        Joint distributions, shape ``[*stage, *actions]``.

    Raises:
        ValueError: C is below C_min, which the message names.
    """
    asked = np.asarray(concentrability, dtype=float)
    if asked.shape not in ((), game.stage_shape):
        raise ValueError(f"concentrability: got shape {asked.shape}, takes a number or [*stage] = {game.stage_shape}")
    reached = _envelope(game, log_policy, regularizer)
    if not isinstance(game, MarkovGame):
        visits = game.context_probs if isinstance(game, ContextualGame) else jnp.ones(1, reached.dtype)
        return _covered(game, reached, visits, asked, ()).reshape(reached.shape)
    steps, visits = [], game.initial_probs.astype(reached.dtype)
    asked = np.broadcast_to(asked, game.stage_shape)
    for step in range(game.stage_shape[0]):
        steps.append(_covered(game, reached[step], visits, asked[step], (step,)))
        visits = jnp.einsum("s,sa,sat->t", visits, steps[-1], game.transitions[step].reshape(*steps[-1].shape, -1))
    return jnp.stack(steps).reshape(reached.shape)


def _covered(
    game: NormalFormGame | StagedGame, reached: Array, visits: Array, asked: np.ndarray, step: tuple[int, ...]
) -> Float[Array, "stage cell"]:
    """The behavior of a step's stages, ``[stage, cell]``."""
    rows = jnp.broadcast_to(jnp.asarray(asked, reached.dtype), visits.shape)
    behavior, least = _cover(reached.reshape(len(visits), -1), visits.astype(reached.dtype), rows)
    # Asking for C_min itself must not fail on the rounding of the caller's sum.
    slack = max(1e-9, 16 * float(jnp.finfo(least.dtype).eps))
    low = np.flatnonzero(~(np.asarray(rows) >= np.asarray(least) * (1 - slack)))
    if len(low):
        stage = (*step, int(low[0])) if game.stage_shape else ()
        place = f" at stage {list(stage)}" if stage else " for this profile"
        raise ValueError(
            f"concentrability: got {float(rows[low[0]])}, takes at least C_min = {float(least[low[0]])}{place}"
        )
    return behavior
