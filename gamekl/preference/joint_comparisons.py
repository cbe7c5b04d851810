"""Payoffs of a general-sum game out of comparisons of joint actions.

Each comparison shows all players two joint actions a and a', and player i prefers the first with probability

    P_i(a preferred to a') = sigma(r_i(a) - r_i(a')),

independently of the others: for each player the Bradley-Terry model, whose candidates are the joint actions (Zhang,
Wang, Cui, Zhou, Kakade and Du, arXiv 2409.00717, study equilibria from such data alone). It leaves open a constant of
each player's payoffs, which no equilibrium knows of: the estimate has mean 0. Deviations of one player at a time must
be covered, so what is compared matters: `unilateral_pairs` differ in one player's action.
"""

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.status import FitStatus
from gamekl.core.validation import Behavior, check_finite, check_nonnegative, joint_behavior, refuse
from gamekl.offline.bradley_terry import MAX_STEPS, check_bounded, fit_rewards
from gamekl.offline.comparisons import (
    Comparisons,
    both_ways,
    check_any,
    count_comparisons,
    draw_wins,
    pair_chances,
)
from gamekl.offline.regression import Estimate

# A million pairs; a fit then solves systems of a thousand equations.
MOST_JOINT_ACTIONS = 1024


class JointComparisons(Comparisons):
    """How often each player preferred each joint action to each other.

    Attributes:
        wins: shape ``[player, joint, joint]``, joint actions numbered in the order of ``reshape(-1)``; numbers >= 0, 0
            on the diagonal.
        num_actions: how many actions each player has; static.

    Raises:
        ValueError: the shape is not that of these actions, or (on concrete arrays) an entry is negative, not finite, or
            of a joint action that was compared to itself.
    """

    num_actions: tuple[int, ...] = eqx.field(static=True, converter=lambda sizes: tuple(int(size) for size in sizes))

    def __check_init__(self) -> None:
        joint = _joint_size(self.num_actions)
        if self.wins.shape != (len(self.num_actions), joint, joint):
            takes = (len(self.num_actions), joint, joint)
            raise ValueError(f"wins: got shape {self.wins.shape}, takes [player, joint, joint] = {takes}")

    @property
    def visits(self) -> Float[Array, "*actions"]:
        """How many comparisons showed each joint action (by the first player's answers), shape ``[*actions]``."""
        return self.counts[0].sum(axis=0).reshape(self.num_actions)


def _joint_size(num_actions: Sequence[int]) -> int:
    joint = math.prod(num_actions)
    if not 2 <= joint <= MOST_JOINT_ACTIONS:
        raise ValueError(f"num_actions: got {joint} joint actions, takes 2 to {MOST_JOINT_ACTIONS} to compare in pairs")
    return joint


def independent_pairs(
    game: NormalFormGame, behavior: Behavior, other: Behavior | None = None
) -> Float[Array, "*first_and_second"]:
    """Pairs of joint actions drawn independently of each other, given that they differ.

    Args:
        game: gives players and actions.
        behavior: of the first, a joint distribution ``[*actions]`` or one policy for each player.
        other: of the second; the same if None.

    Returns:
        The distribution of the pairs, shape ``[*actions, *actions]``.

    Raises:
        ValueError: bad behaviors, or none but equal pairs.
    """
    require_normal_form(game)
    _joint_size(game.num_actions)
    first = joint_behavior(game, behavior).ravel()
    second = first if other is None else joint_behavior(game, other, "other").ravel()
    return _normalized(game, first[:, None] * second)


def unilateral_pairs(game: NormalFormGame, behavior: Behavior) -> Float[Array, "*first_and_second"]:
    """Pairs that differ in one player's action: a joint action, a player, and another action of that player.

    The joint action is drawn from the behavior, the player and its other action uniformly. With a behavior of full
    support they cover each player's deviations from every profile.

    Args:
        game: gives players and actions.
        behavior: a joint distribution ``[*actions]`` or one policy for each player.

    Returns:
        The distribution of the pairs, shape ``[*actions, *actions]``.

    Raises:
        ValueError: a bad behavior, or no player has a choice.
    """
    require_normal_form(game)
    _joint_size(game.num_actions)
    first = joint_behavior(game, behavior).ravel()
    places = np.indices(game.num_actions).reshape(game.num_players, -1)
    differ = places[:, :, None] != places[:, None]  # [player, first, second]
    alone = differ & (differ.sum(axis=0) == 1)
    ways = alone.sum(axis=2, keepdims=True)
    return _normalized(game, first[:, None] * jnp.asarray((alone / np.maximum(ways, 1)).sum(axis=0), first.dtype))


def _normalized(game: NormalFormGame, chances: Float[Array, "first second"]) -> Float[Array, "*first_and_second"]:
    chances = jnp.where(jnp.eye(len(chances), dtype=bool), 0, chances)
    mass = chances.sum()
    if is_concrete(mass) and not float(mass) > 0:
        raise ValueError("behavior: got one joint action alone, takes at least two to compare")
    return (chances / mass).reshape(*game.num_actions, *game.num_actions)


def sample_joint_comparisons(
    key: Array, game: NormalFormGame, pairs: ArrayLike, num_samples: ArrayLike
) -> JointComparisons:
    """Draw what `num_samples` comparisons of joint actions show, exactly in law; each asks every player.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game; answers get its dtype.
        pairs: distribution of the pairs that are compared, shape ``[*actions, *actions]``, as `unilateral_pairs` and
            `independent_pairs` make it; the order of a pair does not matter.
        num_samples: how many comparisons, >= 1; may be traced. In float32, wins above 2^24 are rounded.

    Returns:
        `JointComparisons`, how often each player preferred each joint action to each other.

    Raises:
        ValueError: bad pairs, more than 1024 joint actions, payoffs that are not finite, or a bad number.
    """
    require_normal_form(game)
    joint, table = _joint_size(game.num_actions), as_float_array("pairs", pairs)
    if table.shape != (*game.num_actions, *game.num_actions):
        takes = (*game.num_actions, *game.num_actions)
        raise ValueError(f"pairs: got shape {table.shape}, takes [*actions, *actions] = {takes}")
    if is_concrete(game):
        check_finite("payoffs", np.asarray(game.payoffs))
    payoffs = game.payoffs.reshape(game.num_players, joint)
    first, second = np.triu_indices(joint, 1)
    chances = jax.nn.sigmoid(payoffs[:, first] - payoffs[:, second])
    won, lost = draw_wins(key, chances, pair_chances("pairs", table.reshape(joint, joint)), num_samples)
    return JointComparisons(both_ways(won, lost, joint), game.num_actions)


def count_joint_comparisons(
    first: ArrayLike | Sequence[Any],
    second: ArrayLike | Sequence[Any],
    wins: ArrayLike | Sequence[Any],
    num_actions: Sequence[int],
) -> JointComparisons:
    """Count the rows of a log of comparisons of joint actions.

    Args:
        first: a joint action of each row, integers from 0, shape ``[row, player]``.
        second: the other joint action.
        wins: each player's answer, 1 where it preferred the first, 0 where the second, in between for ties and
            probabilities, shape ``[row, player]``.
        num_actions: how many actions each player has.

    Returns:
        `JointComparisons`, how often each player preferred each joint action to each other.

    Raises:
        ValueError: no rows, shapes that do not fit, an entry out of range or NaN, or equal joint actions in a row.
    """
    joint, shape = _joint_size(num_actions), (len(np.atleast_1d(first)), len(num_actions))
    if not shape[0]:
        raise ValueError("first: got no rows, takes at least one comparison")
    cells = []
    for name, values in [("first", first), ("second", second)]:
        table = np.asarray(values)
        if table.shape != shape or not np.issubdtype(table.dtype, np.integer):
            takes = f"integers [row, player] = {shape}"
            raise ValueError(f"{name}: got {table.dtype} of shape {table.shape}, takes {takes}")
        refuse(name, table, (table < 0) | (table >= np.asarray(num_actions)), f"below {tuple(num_actions)}, from 0")
        cells.append(np.ravel_multi_index(tuple(table.T), tuple(num_actions)))
    refuse("second", np.asarray(second), cells[0] == cells[1], "another joint action than first")
    answers = np.asarray(wins)
    if answers.shape != shape:
        raise ValueError(f"wins: got shape {answers.shape}, takes [row, player] = {shape}")
    refuse("wins", answers, ~((answers >= 0) & (answers <= 1)), "numbers from 0 to 1")
    rows, players = shape
    ones, others = (np.repeat(entry, players) for entry in cells)
    who = np.tile(np.arange(players), rows)  # each player is a prompt of its own
    found = count_comparisons(who, ones, others, answers.ravel(), num_prompts=players, num_candidates=joint)
    return JointComparisons(found.wins, tuple(num_actions))


def estimate_payoffs(
    comparisons: JointComparisons, *, penalty: ArrayLike = 0.0, max_steps: int = MAX_STEPS
) -> Estimate:
    """Estimate every player's payoffs by maximum likelihood, as a game to solve: ``gk.gane(estimate, regularizer)``.

    It may be transformed by ``jax.jit`` and ``jax.vmap``; there, payoffs are NaN where no finite maximiser exists.

    Args:
        comparisons: the data.
        penalty: of |r_i|^2 / 2 beside the log-likelihood, payoff units^-2; >= 0, may be traced. With one, joint
            actions that were never compared get the mean, 0.
        max_steps: Newton steps before giving up; static.

    Returns:
        An `Estimate`: a game of which each player's payoffs have mean 0, in payoff units (the log-odds of
        preferences), and how many comparisons showed each joint action.

    Raises:
        TypeError: `comparisons` is something else.
        ValueError: no comparisons, a bad penalty, or (where concrete) a likelihood without a finite maximiser, with the
            player and the groups of joint actions that are to blame.

    Source: the Bradley-Terry model of each player; the setting is that of Zhang et al. (arXiv 2409.00717).
    """
    check_any(comparisons)
    if not isinstance(comparisons, JointComparisons):
        raise TypeError(f"comparisons: got {type(comparisons).__name__}, takes JointComparisons")
    check_nonnegative(penalty=penalty)
    actions, wins = comparisons.num_actions, comparisons.wins
    mask = jnp.ones(wins.shape[:-1], dtype=bool)
    found = fit_rewards(wins, mask, penalty, max_steps)
    check_bounded(
        found.status,
        wins,
        mask,
        lambda player: f"comparisons of player {player[0]}",
        lambda joint: tuple(int(action) for action in np.unravel_index(joint, actions)),
    )
    rewards = jnp.where((found.status == FitStatus.converged)[:, None], found.rewards, jnp.nan)
    return Estimate(NormalFormGame(rewards.reshape(-1, *actions)), comparisons.visits)
