"""Sufficient statistics of logged play, drawn exactly in law at a cost that does not depend on the sample size.

n rows (a, r) with a ~ mu and r_i ~ noise around r_i(a) enter the tabular estimate only through the count N(a) of each
joint action and the sum of its rewards. N is multinomial(n, mu); given N, a sum is Gaussian with mean N r_i and
variance N sigma^2, or Binomial(N, r_i). So 10^12 rows cost what ten cost.

Of a Markov game with a behavior the counts are drawn step by step: visits of states are multinomial given those of the
step before, then joint actions given visits, rewards and next states given joint actions.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import has_float64
from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import Behavior, check_noise, joint_behavior
from gamekl.offline.draws import (
    MAX_DRAWN_IN_FLOAT32,
    MAX_EXACT,
    Noise,
    check_num_samples,
    in_float64,
    sample_counts,
    sample_sums,
    split_counts,
)


class Statistics(Shown):
    """Counts and reward sums of a log of a normal-form game, all that the tabular estimate needs of it.

    Attributes:
        counts: rows seen for each joint action, whole numbers, shape ``[*actions]``.
        reward_sums: sum of each player's rewards over these rows, shape ``[player, *actions]``, payoff units.
    """

    counts: Float[Array, "*actions"]
    reward_sums: Float[Array, "player *actions"]


class ContextualStatistics(Shown):
    """Counts and reward sums of a log of a contextual game.

    Attributes:
        counts: rows seen, shape ``[context, *actions]``.
        reward_sums: sum of each player's rewards over them, shape ``[context, player, *actions]``, payoff units.
    """

    counts: Float[Array, "context *actions"]
    reward_sums: Float[Array, "context player *actions"]


class MarkovStatistics(Shown):
    """Counts and reward sums of a log of a Markov game, and where the episodes went.

    Attributes:
        counts: times seen, shape ``[horizon, state, *actions]``.
        reward_sums: sum of each player's rewards, shape ``[horizon, state, player, *actions]``, payoff units.
        transition_counts: shape ``[horizon, state, *actions, next_state]``; their sum over next states is `counts`
            unless episodes ended there.
        initial_counts: first states, shape ``[state]``.
    """

    counts: Float[Array, "horizon state *actions"]
    reward_sums: Float[Array, "horizon state player *actions"]
    transition_counts: Float[Array, "horizon state *actions next_state"]
    initial_counts: Float[Array, " state"]


AnyStatistics = Statistics | ContextualStatistics | MarkovStatistics


@eqx.filter_jit
def _draw(key: Array, payoffs: Array, joint: Array, num_samples: Array, noise: Array | str) -> tuple[Array, Array]:
    """Draw counts ``[*cells]`` and sums ``[player, *cells]``, by joint action, or by context and joint action."""
    count_key, reward_key = jax.random.split(key)
    counts = sample_counts(count_key, num_samples, joint.astype(num_samples.dtype))
    return counts, sample_sums(reward_key, counts, payoffs, noise).astype(payoffs.dtype)


@eqx.filter_jit
def _draw_episodes(
    key: Array, game: MarkovGame, joint: Array, num_samples: Array, noise: Array | str
) -> MarkovStatistics:
    states, actions = game.stage_shape[1], game.num_actions
    first_key, *step_keys = jax.random.split(key, game.stage_shape[0] + 1)
    dtype = num_samples.dtype
    initial = sample_counts(first_key, num_samples, game.initial_probs.astype(dtype))

    def step(visits: Array, inputs: tuple[Array, Array, Array, Array]) -> tuple[Array, tuple[Array, Array, Array]]:
        step_key, rewards, transitions, policy = inputs
        action_key, reward_key, move_key = jax.random.split(step_key, 3)
        counts = split_counts(action_key, visits, policy.astype(dtype).reshape(states, -1))
        cells = counts.reshape(states, *actions)
        sums = jnp.moveaxis(sample_sums(reward_key, cells, jnp.moveaxis(rewards, 1, 0), noise), 0, 1)
        moved = split_counts(move_key, counts.ravel(), transitions.astype(dtype).reshape(-1, states))
        return moved.sum(axis=0), (cells, sums.astype(rewards.dtype), moved.reshape(states, *actions, states))

    inputs = (jnp.stack(step_keys), game.rewards, game.transitions, joint)
    _, (counts, sums, moved) = jax.lax.scan(step, initial, inputs)
    return MarkovStatistics(counts, sums, moved, initial)


def sample_statistics(
    key: Array,
    game: NormalFormGame | ContextualGame | MarkovGame,
    behavior: Behavior,
    num_samples: ArrayLike,
    noise: Noise,
) -> Any:
    """Draw the statistics of `num_samples` logged rows, or episodes of a Markov game, exactly in law.

    Counts are drawn in float64. Where jax's x64 mode is off they come back as float32, so at most 2^24 rows; and under
    ``jit`` or ``vmap``, where float64 is then out of reach, at most 2^17, beyond which the counts are NaN.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game; sums get its dtype.
        behavior: joint distribution ``[*stage, *actions]`` or a tuple of policies ``[*stage, actions_i]``.
        num_samples: how many rows or episodes, >= 1; may be traced.
        noise: standard deviation of Gaussian rewards (payoff units), independent across players, or "bernoulli" for
            0/1 rewards whose means are the payoffs.

    Returns:
        `Statistics`, `ContextualStatistics` or `MarkovStatistics`, as the game is.

    Raises:
        ValueError: bad behavior, noise or number of rows (where concrete).
    """
    joint = joint_behavior(game, behavior)
    check_noise(noise, game)
    if not isinstance(noise, str):
        noise = jnp.asarray(noise, dtype=float)
    if is_concrete(key, game, joint, num_samples, noise):
        check_num_samples(num_samples, MAX_EXACT[jnp.zeros(()).dtype])
        return _sample(key, game, joint, float(np.asarray(num_samples)), noise, in_float64)
    most = MAX_EXACT[jnp.dtype("float64")] if has_float64() else MAX_DRAWN_IN_FLOAT32
    check_num_samples(num_samples, most)
    n = jnp.asarray(num_samples, dtype=joint.dtype)
    n = jnp.where(n <= most, n, jnp.nan)
    return _sample(key, game, joint, n, noise, lambda function, *arguments: function(*arguments))


def _sample(key: Array, game: Any, joint: Array, num_samples: Any, noise: Any, call: Any) -> Any:
    if isinstance(game, MarkovGame):
        return call(_draw_episodes, key, game, joint, num_samples, noise)
    if isinstance(game, ContextualGame):
        probs = game.context_probs.astype(joint.dtype).reshape(-1, *[1] * game.num_players)
        counts, sums = call(_draw, key, jnp.moveaxis(game.payoffs, 1, 0), probs * joint, num_samples, noise)
        return ContextualStatistics(counts, jnp.moveaxis(sums, 0, 1))
    return Statistics(*call(_draw, key, game.payoffs, joint, num_samples, noise))
