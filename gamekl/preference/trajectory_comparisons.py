"""Rewards of a Markov game out of comparisons of episodes.

Each comparison shows all players two episodes, and player i prefers the first with probability

    sigma(R_i(first) - R_i(second)),    R_i(episode) = sum_h r_i(h, s_h, a_h),

independently of the others (the setting of Zhang, Wang, Cui, Zhou, Kakade and Du, arXiv 2409.00717). No reward is seen.
With c_k(h, s, a) the visits of pair k's first episode less those of its second, the log-odds are z_k = c_k . r_i, and

    r_i = argmax sum_k [w_k log sigma(z_k) + (1 - w_k) log sigma(-z_k)] - penalty / 2 |r_i|^2.

The data know r only up to directions that no pair moves, c_k . d = 0 for all k: a constant of each step, and whatever
pairs of these episodes have in common. There the penalty chooses the least rewards; where the pairs cover what the
equilibrium and deviations from it do, such directions change neither. Transitions come from the same episodes.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import MarkovGame
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import Behavior, check_finite, check_nonnegative, check_whole, refuse
from gamekl.offline.bradley_terry import MAX_STEPS
from gamekl.offline.dataset import ENDED, MarkovDataset
from gamekl.offline.logistic import Slopes, maximize
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.rows import sample_dataset

# Rewards of a player: a fit solves systems of so many equations.
MOST_CELLS = 4096


class TrajectoryComparisons(Shown):
    """Pairs of episodes and which of them each player preferred.

    Attributes:
        first: an episode of each pair; its rewards do not count.
        second: the other episode.
        wins: 1 where the player preferred the first, 0 where the second, in between for ties and probabilities, shape
            ``[pair, player]``.

    Raises:
        ValueError: episodes of different games or numbers, shapes that do not fit, or (on concrete arrays) an answer
            outside of 0 to 1.
        TypeError: the episodes are no `MarkovDataset`.
    """

    first: MarkovDataset
    second: MarkovDataset
    wins: Float[Array, "pair player"] = eqx.field(converter=partial(as_float_array, "wins"))

    def __check_init__(self) -> None:
        for name, entry in [("first", self.first), ("second", self.second)]:
            if not isinstance(entry, MarkovDataset):
                raise TypeError(f"{name}: got {type(entry).__name__}, takes a MarkovDataset")
        kinds = [(entry.states.shape, entry.num_actions, entry.num_states) for entry in (self.first, self.second)]
        if kinds[0] != kinds[1]:
            raise ValueError(f"second: got episodes of (shape, actions, states) {kinds[1]}, takes {kinds[0]}")
        expected = (self.first.states.shape[0], len(self.first.num_actions))
        if self.wins.shape != expected:
            raise ValueError(f"wins: got shape {self.wins.shape}, takes [pair, player] = {expected}")
        if is_concrete(self.wins):
            wins = np.asarray(self.wins)
            refuse("wins", wins, ~((wins >= 0) & (wins <= 1)), "numbers from 0 to 1")


def sample_trajectory_comparisons(
    key: Array, game: MarkovGame, behavior: Behavior, num_samples: int | float, *, other: Behavior | None = None
) -> TrajectoryComparisons:
    """Draw pairs of independent episodes and the players' answers; the episodes' rewards are not shown.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game.
        behavior: of the first episodes, a joint distribution ``[horizon, state, *actions]`` or one policy
            ``[horizon, state, actions_i]`` for each player.
        num_samples: how many pairs, a whole number >= 1; static.
        other: behavior of the second episodes; the same if None.

    Returns:
        `TrajectoryComparisons`: pairs of episodes and which of them each player preferred.

    Raises:
        TypeError: `game` is no `MarkovGame`.
        ValueError: a bad behavior or number, or rewards that are not finite.
    """
    if not isinstance(game, MarkovGame):
        raise TypeError(f"game: got {type(game).__name__}, takes a MarkovGame")
    if is_concrete(game):
        check_finite("rewards", np.asarray(game.rewards))
    first_key, second_key, answer_key = jax.random.split(key, 3)
    first = sample_dataset(first_key, game, behavior, num_samples, 0.0)
    second = sample_dataset(second_key, game, behavior if other is None else other, num_samples, 0.0)
    log_odds = first.rewards.sum(axis=1) - second.rewards.sum(axis=1)
    wins = jax.random.bernoulli(answer_key, jax.nn.sigmoid(log_odds)).astype(log_odds.dtype)
    unseen = [eqx.tree_at(lambda data: data.rewards, data, jnp.zeros_like(data.rewards)) for data in (first, second)]
    return TrajectoryComparisons(unseen[0], unseen[1], wins)


def _visits(data: MarkovDataset) -> tuple[Array, Array]:
    """The cell (step, state, joint action) of each step, ``[episode, horizon]``, and whether it was played."""
    played = data.states != ENDED
    horizon, shape = data.states.shape[1], (data.num_states, *data.num_actions)
    columns = (
        jnp.where(played, data.states, 0).astype(jnp.int32),
        *jnp.moveaxis(data.actions.astype(jnp.int32), -1, 0),
    )
    cells = jnp.ravel_multi_index(columns, shape, mode="clip")
    return cells + math.prod(shape) * jnp.arange(horizon, dtype=jnp.int32), played


@partial(jit, static_argnames="max_steps")
def _fit(comparisons: TrajectoryComparisons, penalty: Array, max_steps: int) -> tuple[Array, Array]:
    """Rewards ``[player, cell]``, and whether they were found; players are the lanes."""
    first, second, wins = comparisons.first, comparisons.second, comparisons.wins
    visits = [_visits(data) for data in (first, second)]
    cells = jnp.concatenate([cell for cell, _ in visits], axis=1)
    signs = jnp.concatenate([visits[0][1].astype(wins.dtype), -visits[1][1].astype(wins.dtype)], axis=1)[..., None]
    size = first.states.shape[1] * first.num_states * math.prod(first.num_actions)

    def log_odds(x: Array) -> Array:
        return jnp.sum(signs * x[cells], axis=1)

    def derivatives(x: Array) -> Slopes:
        z = log_odds(x)
        pull = wins * jax.nn.sigmoid(-z) - (1 - wins) * jax.nn.sigmoid(z)
        gradient = jnp.zeros_like(x).at[cells].add(signs * pull[:, None]) - penalty * x
        weights = jax.nn.sigmoid(z) * jax.nn.sigmoid(-z)
        products = signs[:, :, None] * signs[:, None] * weights[:, None, None]
        curvature = penalty * jnp.eye(size, dtype=x.dtype)[..., None]
        curvature = jnp.broadcast_to(curvature, (size, *x.shape)).at[cells[:, :, None], cells[:, None]].add(products)
        return Slopes(gradient, curvature)

    def widest(move: Array) -> Array:
        return jnp.max(jnp.abs(log_odds(move)), axis=0)

    start = jnp.zeros((size, wins.shape[1]), wins.dtype)
    fit = maximize(derivatives, widest, start, jnp.all(jnp.isfinite(wins), axis=0), max_steps)
    return fit.x.T, fit.converged


def estimate_rewards(
    comparisons: TrajectoryComparisons, *, penalty: ArrayLike = 0.01, max_steps: int = MAX_STEPS
) -> Estimate:
    """Estimate every player's rewards by penalised maximum likelihood, and transitions from the same episodes.

    Args:
        comparisons: the data.
        penalty: of |r_i|^2 / 2 beside the log-likelihood, that of a Gaussian prior with variance 1 / penalty, payoff
            units^-2; > 0: it decides what no pair tells. Steps and joint actions that no episode visits pay 0 then,
            and the episode ends there.
        max_steps: Newton steps before giving up; static.

    Returns:
        An `Estimate` of a Markov game, with rewards in payoff units (the log-odds of preferences) and how often each
        cell was visited. Under ``jax.jit`` or ``jax.vmap``, rewards are NaN where the fit failed.

    Raises:
        TypeError: `comparisons` is something else.
        ValueError: a bad penalty, or more than 4096 rewards of a player.
        RuntimeError: the fit took all its steps (on concrete arrays).

    Source: the setting is that of Zhang et al. (arXiv 2409.00717); the fit is derived, in `offline.logistic`.
    """
    if not isinstance(comparisons, TrajectoryComparisons):
        raise TypeError(f"comparisons: got {type(comparisons).__name__}, takes TrajectoryComparisons")
    check_nonnegative(penalty=penalty)
    if is_concrete(penalty) and not float(np.asarray(penalty)) > 0:
        raise ValueError(f"penalty: got {penalty!r}, takes a number > 0")
    check_whole(max_steps=max_steps)
    first, second = comparisons.first, comparisons.second
    cells = first.states.shape[1] * first.num_states * math.prod(first.num_actions)
    if cells > MOST_CELLS:
        raise ValueError(f"comparisons: got {cells} rewards of each player, takes at most {MOST_CELLS}")
    dtype = comparisons.wins.dtype
    both = MarkovDataset(
        jnp.concatenate([first.states, second.states]),
        jnp.concatenate([first.actions, second.actions]),
        jnp.zeros((2 * len(first.states), *first.rewards.shape[1:]), dtype),
        first.num_actions,
        first.num_states,
    )
    found = estimate(both)
    rewards, converged = _fit(comparisons, jnp.asarray(penalty, dtype), max_steps)
    if is_concrete(converged) and not np.all(np.asarray(converged)):
        raise RuntimeError(f"max_steps: got {max_steps}, and the fit of the rewards takes more")
    rewards = jnp.where(converged[:, None], rewards, jnp.nan)
    steps, players = found.game.stage_shape, found.game.num_players
    table = jnp.moveaxis(rewards.reshape(players, *steps, *first.num_actions), 0, 2)
    return eqx.tree_at(lambda one: one.game.rewards, found, table)
