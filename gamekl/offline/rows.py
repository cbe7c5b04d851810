"""Rows drawn one by one, and rows added up to statistics."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame
from gamekl.core.policies import is_concrete
from gamekl.core.validation import Behavior, check_noise, joint_behavior
from gamekl.offline.dataset import ENDED, AnyDataset, ContextualDataset, Dataset, MarkovDataset
from gamekl.offline.draws import Noise, check_whole, in_float64
from gamekl.offline.statistics import AnyStatistics, ContextualStatistics, MarkovStatistics, Statistics


def _invert(edges: Float[Array, " cell"], draw: Float[Array, ""]) -> Int[Array, ""]:
    """The cell in which a uniform draw falls; 0 where no cell has mass."""
    last = jnp.searchsorted(edges, edges[-1])  # the last cell with mass, should a draw round up to the total
    return jnp.minimum(jnp.searchsorted(edges, draw * edges[-1], side="right"), last).astype(jnp.int32)


def _rewards(key: Array, means: Float[Array, "row player"], noise: Array | str) -> Float[Array, "row player"]:
    if isinstance(noise, str):
        hits = jax.random.bernoulli(key, means).astype(means.dtype)
        return jnp.where((means >= 0) & (means <= 1), hits, jnp.nan)
    return means + noise.astype(means.dtype) * jax.random.normal(key, means.shape, means.dtype)


def _unravel(cells: Int[Array, " row"], shape: tuple[int, ...]) -> Int[Array, "row axis"]:
    return jnp.stack(jnp.unravel_index(cells, shape), axis=1).astype(jnp.int32)


@eqx.filter_jit
def _draw_rows(
    key: Array,
    table: Float[Array, "*cells player"],
    joint: Float[Array, "*cells"],
    num_samples: int,
    noise: Array | str,
) -> tuple[Array, Array]:
    """Draw cells ``[row, axis]`` and rewards ``[row, player]``."""
    cell_key, reward_key = jax.random.split(key)
    # Inverse transform: a row costs one uniform draw and a binary search, not one draw for each cell.
    draws = jax.random.uniform(cell_key, (num_samples,), joint.dtype)
    cells = jax.vmap(_invert, in_axes=(None, 0))(jnp.cumsum(joint.ravel()), draws)
    rewards = _rewards(reward_key, table.reshape(-1, table.shape[-1])[cells], noise)
    return _unravel(cells, joint.shape), rewards


@eqx.filter_jit
def _draw_episodes(
    key: Array, game: MarkovGame, joint: Array, num_samples: int, noise: Array | str
) -> tuple[Array, Array, Array]:
    """Draw states ``[episode, horizon]``, actions and rewards ``[episode, horizon, player]``."""
    horizon, num_states = game.stage_shape
    first_key, *step_keys = jax.random.split(key, horizon + 1)
    choose = jax.vmap(lambda table, row, draw: _invert(table[row], draw), in_axes=(None, 0, 0))
    first = jax.vmap(_invert, in_axes=(None, 0))(
        jnp.cumsum(game.initial_probs), jax.random.uniform(first_key, (num_samples,), game.dtype)
    )

    def step(here: Array, inputs: tuple[Array, Array, Array, Array]) -> tuple[Array, tuple[Array, Array, Array]]:
        step_key, rewards, transitions, policy = inputs
        action_key, reward_key, move_key = jax.random.split(step_key, 3)
        policy = jnp.cumsum(policy.reshape(num_states, -1), axis=1)
        actions = choose(policy, here, jax.random.uniform(action_key, here.shape, policy.dtype))
        cells = here * policy.shape[1] + actions
        means = jnp.moveaxis(rewards, 1, -1).reshape(-1, game.num_players)[cells]
        moves = jnp.cumsum(transitions.reshape(-1, num_states), axis=1)
        there = choose(moves, cells, jax.random.uniform(move_key, here.shape, moves.dtype))
        over = (here == ENDED) | (moves[cells, -1] <= 0)
        earned = jnp.where((here == ENDED)[:, None], 0, _rewards(reward_key, means, noise))
        return jnp.where(over, ENDED, there), (here, _unravel(actions, game.num_actions), earned)

    inputs = (jnp.stack(step_keys), game.rewards, game.transitions, joint)
    _, found = jax.lax.scan(step, first, inputs)
    states, actions, rewards = (jnp.swapaxes(entry, 0, 1) for entry in found)
    return states, actions, rewards


def sample_dataset(
    key: Array,
    game: NormalFormGame | StagedGame,
    behavior: Behavior,
    num_samples: int | float,
    noise: Noise,
) -> Any:
    """Draw the rows of a log: independent joint actions from the behavior, rewards around the payoffs.

    Of a Markov game they are episodes; with ``noise=0`` and players' policies for `behavior` their rewards are rollouts
    of these policies. The statistics of these rows have the law of what `sample_statistics` draws directly (but for the
    next states of the last step, which no episode has).

    Args:
        key: a jax random key, typed or legacy.
        game: the true game, normal-form, contextual or Markov; rewards get its dtype.
        behavior: joint distribution ``[*stage, *actions]`` or a tuple of policies ``[*stage, actions_i]``.
        num_samples: how many rows or episodes, a whole number >= 1; static.
        noise: standard deviation of Gaussian rewards (payoff units), independent across players, or "bernoulli" for
            0/1 rewards whose means are the payoffs.

    Returns:
        `Dataset`, `ContextualDataset` or `MarkovDataset`, as the game is.

    Raises:
        ValueError: bad behavior, noise or number of rows.
    """
    joint = joint_behavior(game, behavior)
    check_noise(noise, game)
    check_whole(num_samples)
    spread = "bernoulli" if isinstance(noise, str) else jnp.asarray(noise, dtype=float)
    size = int(num_samples)
    if isinstance(game, MarkovGame):
        found = _draw_episodes(key, game, joint, size, spread)
        return MarkovDataset(*found, game.num_actions, game.stage_shape[1])
    if isinstance(game, ContextualGame):
        weights = game.context_probs.astype(joint.dtype).reshape(-1, *[1] * game.num_players)
        cells, rewards = _draw_rows(key, jnp.moveaxis(game.payoffs, 1, -1), weights * joint, size, spread)
        return ContextualDataset(cells[:, 0], cells[:, 1:], rewards, game.num_actions, len(game.context_probs))
    actions, rewards = _draw_rows(key, jnp.moveaxis(game.payoffs, 0, -1), joint, size, spread)
    return Dataset(actions, rewards, game.num_actions)


def _cells(columns: tuple[Array, ...], shape: tuple[int, ...]) -> Int[Array, " row"]:
    return jnp.ravel_multi_index(tuple(entry.astype(jnp.int32) for entry in columns), shape, mode="clip")


def _add_up(
    cells: Int[Array, " row"], rewards: Float[Array, "row player"], shape: tuple[int, ...]
) -> tuple[Float[Array, "*cells"], Float[Array, "player *cells"]]:
    """Counts and sums of the rows; cells that are too large count for nothing."""
    size, players = math.prod(shape), rewards.shape[1]
    counts = jnp.zeros(size, dtype=jnp.int32).at[cells].add(1, mode="drop").astype(float)
    # Added one by one, a million float32 rewards would lose three digits.
    sums = jnp.zeros((players, size), dtype=float).at[:, cells].add(rewards.T.astype(float), mode="drop")
    return counts.reshape(shape), sums.reshape(players, *shape).astype(rewards.dtype)


@eqx.filter_jit
def _count(dataset: Dataset) -> Statistics:
    cells = _cells(tuple(dataset.actions.T), dataset.num_actions)
    return Statistics(*_add_up(cells, dataset.rewards, dataset.num_actions))


@eqx.filter_jit
def _count_contexts(dataset: ContextualDataset) -> ContextualStatistics:
    shape = (dataset.num_contexts, *dataset.num_actions)
    counts, sums = _add_up(_cells((dataset.contexts, *dataset.actions.T), shape), dataset.rewards, shape)
    return ContextualStatistics(counts, jnp.moveaxis(sums, 0, 1))


@eqx.filter_jit
def _count_episodes(dataset: MarkovDataset, mine: Array) -> MarkovStatistics:
    """Statistics of those steps of the episodes that are `mine`, ``[horizon, episode]``."""
    states, shape = dataset.num_states, (dataset.num_states, *dataset.num_actions)
    ahead = jnp.pad(dataset.states[:, 1:], ((0, 0), (0, 1)), constant_values=ENDED)
    none = math.prod(shape) * states  # larger than any cell

    def step(entry: tuple[Array, ...]) -> tuple[Array, Array, Array]:
        here, actions, rewards, there, mine = entry
        cells = _cells((here, *actions.T), shape)
        seen = mine & (here != ENDED)
        counts, sums = _add_up(jnp.where(seen, cells, none), rewards, shape)
        moves = jnp.where(seen & (there != ENDED), cells * states + there.astype(jnp.int32), none)
        moved, _ = _add_up(moves, rewards[:, :0], (*shape, states))
        return counts, jnp.moveaxis(sums, 0, 1), moved

    steps = (dataset.states.T, *(jnp.swapaxes(part, 0, 1) for part in (dataset.actions, dataset.rewards)), ahead.T)
    counts, sums, moved = jax.lax.map(step, (*steps, mine))
    first, _ = _add_up(dataset.states[:, 0], dataset.rewards[:, 0, :0], (states,))
    return MarkovStatistics(counts, sums, moved, first)


def check_split(episodes: int, horizon: int) -> None:
    """Raise ``ValueError`` unless every step can have an episode of its own."""
    if episodes < horizon:
        raise ValueError(f"split: got {episodes} episodes of {horizon} steps, takes at least as many episodes")


def statistics_from_dataset(dataset: AnyDataset, *, split: bool = False) -> AnyStatistics:
    """Add rows up to counts and reward sums, in float64 (under ``jit``, in what jax's x64 mode allows).

    Args:
        dataset: rows, rows with contexts, or episodes.
        split: count step h (from 0) of a Markov game in the episodes h, h + horizon, ... only: no episode then counts
            twice, so that what is estimated at a step is independent of what is behind it.

    Returns:
        `Statistics`, `ContextualStatistics` or `MarkovStatistics`, as the rows are.

    Raises:
        ValueError: `split` of rows without steps, or of fewer episodes than steps.
    """
    call: Any = in_float64 if is_concrete(dataset) else lambda function, *arguments: function(*arguments)
    if isinstance(dataset, MarkovDataset):
        episodes, horizon = dataset.states.shape
        if split:
            check_split(episodes, horizon)
        own = np.arange(episodes) % horizon == np.arange(horizon)[:, None]
        return call(_count_episodes, dataset, jnp.asarray(own if split else np.ones_like(own)))
    if split:
        raise ValueError(f"split: got a {type(dataset).__name__}, takes episodes (a MarkovDataset)")
    return call(_count if isinstance(dataset, Dataset) else _count_contexts, dataset)
