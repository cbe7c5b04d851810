"""The logged rows themselves."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import NormalFormGame, as_float_array, require_normal_form
from gamekl.core.policies import is_concrete
from gamekl.core.validation import Behavior, check_noise, joint_behavior
from gamekl.offline.draws import Noise, check_whole, in_float64
from gamekl.offline.statistics import Statistics


class Dataset(eqx.Module):
    """Rows of logged play.

    Attributes:
        actions: the joint action of each row, shape ``[row, player]``, integers from 0.
        rewards: the reward of each player in each row, shape ``[row, player]``, payoff units.
        num_actions: how many actions each player has; static.

    Raises:
        ValueError: no rows, shapes that do not fit, or (on concrete arrays) an action out of range or a reward that is
            not finite.
    """

    actions: Int[Array, "row player"]
    rewards: Float[Array, "row player"]
    num_actions: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, actions: Array | np.ndarray, rewards: Array | np.ndarray, num_actions: Sequence[int]) -> None:
        """Take any arrays of integers and numbers."""
        self.actions = jnp.asarray(actions)
        self.rewards = as_float_array("rewards", rewards)
        self.num_actions = tuple(int(size) for size in num_actions)

    def __check_init__(self) -> None:
        players = len(self.num_actions)
        if self.actions.ndim != 2 or self.actions.shape[1] != players:
            raise ValueError(f"actions: got shape {self.actions.shape}, takes [row, player] with {players} players")
        if not jnp.issubdtype(self.actions.dtype, jnp.integer):
            raise ValueError(f"actions: got dtype {self.actions.dtype}, takes integers")
        if self.rewards.shape != self.actions.shape:
            raise ValueError(f"rewards: got shape {self.rewards.shape}, takes [row, player] = {self.actions.shape}")
        if self.actions.shape[0] == 0:
            raise ValueError("actions: got an empty dataset, takes at least one row")
        if is_concrete(self.actions, self.rewards):
            self._check_values()

    def _check_values(self) -> None:
        actions, rewards = np.asarray(self.actions), np.asarray(self.rewards)
        outside = np.argwhere((actions < 0) | (actions >= np.array(self.num_actions)))
        if len(outside):
            row, player = outside[0]
            raise ValueError(
                f"actions[{row}, {player}]: got {actions[row, player]}, takes 0 to {self.num_actions[player] - 1}"
            )
        infinite = np.argwhere(~np.isfinite(rewards))
        if len(infinite):
            row, player = infinite[0]
            raise ValueError(f"rewards[{row}, {player}]: got {rewards[row, player]}, takes finite numbers")


@eqx.filter_jit
def _draw(key: Array, payoffs: Array, joint: Array, num_samples: int, noise: Array | str) -> tuple[Array, Array]:
    action_key, reward_key = jax.random.split(key)
    # Inverse transform: a row costs one uniform draw and a binary search, not one draw for each cell.
    edges = jnp.cumsum(joint.ravel())
    draws = jax.random.uniform(action_key, (num_samples,), joint.dtype) * edges[-1]
    last = jnp.searchsorted(edges, edges[-1])  # the last cell with mass, should a draw round up to the total
    cells = jnp.minimum(jnp.searchsorted(edges, draws, side="right"), last)
    means = payoffs.reshape(payoffs.shape[0], -1)[:, cells].T
    if isinstance(noise, str):
        rewards = jax.random.bernoulli(reward_key, means).astype(means.dtype)
    else:
        normals = jax.random.normal(reward_key, means.shape, means.dtype)
        rewards = means + noise.astype(means.dtype) * normals
    return jnp.stack(jnp.unravel_index(cells, joint.shape), axis=1).astype(jnp.int32), rewards


def sample_dataset(
    key: Array, game: NormalFormGame, behavior: Behavior, num_samples: int | float, noise: Noise
) -> Dataset:
    """Draw the rows of a log: independent joint actions from the behavior, rewards around the payoffs.

    The arguments are those of `sample_statistics`, with `num_samples` static; the statistics of these rows have the
    law of what that function draws directly.

    Raises:
        ValueError: bad behavior, noise or number of rows.
    """
    require_normal_form(game)
    joint = joint_behavior(game, behavior)
    check_noise(noise, game)
    check_whole(num_samples)
    spread = "bernoulli" if isinstance(noise, str) else jnp.asarray(noise, dtype=float)
    actions, rewards = _draw(key, game.payoffs, joint, int(num_samples), spread)
    return Dataset(actions, rewards, game.num_actions)


@eqx.filter_jit
def _count(actions: Array, rewards: Array, num_actions: tuple[int, ...]) -> Statistics:
    cells = jnp.ravel_multi_index(tuple(actions.astype(jnp.int32).T), num_actions, mode="clip")
    size = int(np.prod(num_actions))
    counts = jnp.zeros(size, dtype=jnp.int32).at[cells].add(1).astype(float)
    # Added one by one, a million float32 rewards would lose three digits.
    sums = jnp.zeros((len(num_actions), size), dtype=float).at[:, cells].add(rewards.T.astype(float))
    return Statistics(counts.reshape(num_actions), sums.reshape(-1, *num_actions).astype(rewards.dtype))


def statistics_from_dataset(dataset: Dataset) -> Statistics:
    """Counts and reward sums of the rows, added up in float64 (under ``jit``, in what jax's x64 mode allows)."""
    arguments = (dataset.actions, dataset.rewards, dataset.num_actions)
    return in_float64(_count, *arguments) if is_concrete(dataset) else _count(*arguments)
