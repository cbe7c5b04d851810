"""Logs of a follower's actions: which of finitely many leader's policies was announced, and what was the response.

In each row the leader announces the policy x_k, k ~ behavior, plays a ~ x_k, the follower responds by b ~ nu_{x_k}, and
the leader may see a reward around r_l(a, b). What learning needs of n rows are counts of (k, b), and counts and reward
sums of (a, b): given n these are multinomial, and sums, so that 10^8 rows cost what ten cost.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.validation import check_distribution, check_finite, check_noise, refuse
from gamekl.offline.draws import draw_rows, sample_counts, sample_sums
from gamekl.stackelberg.follower import check_commitment, respond


class Responses(Shown):
    """How often each action of the follower was the response to each policy of the leader, and what the leader earned.

    Attributes:
        strategies: x_k, the leader's policies (probabilities), shape ``[*stage, strategy, leader]``.
        counts: how often b was the response to x_k, numbers >= 0, shape ``[*stage, strategy, follower]``.
        visits: how often (a, b) was played, shape ``[*stage, leader, follower]``; None where no rewards were seen.
        reward_sums: of the leader's rewards there, payoff units, same shape; None likewise.

    Raises:
        ValueError: the shapes do not fit each other, or (on concrete arrays) a strategy is no policy, or a number is
            negative or not finite.
    """

    strategies: Float[Array, "*stage strategy leader"] = eqx.field(converter=partial(as_float_array, "strategies"))
    counts: Float[Array, "*stage strategy follower"] = eqx.field(converter=partial(as_float_array, "counts"))
    visits: Float[Array, "*stage leader follower"] | None = None
    reward_sums: Float[Array, "*stage leader follower"] | None = None

    def __check_init__(self) -> None:
        shape = self.strategies.shape
        if len(shape) < 2 or min(shape) < 1:
            raise ValueError(f"strategies: got shape {shape}, takes [*stage, strategy, leader], none of them 0")
        if self.counts.shape[:-1] != shape[:-1] or self.counts.shape[-1] < 1:
            raise ValueError(f"counts: got shape {self.counts.shape}, takes [*stage, strategy, follower], {shape[:-1]}")
        if (self.visits is None) != (self.reward_sums is None):
            raise ValueError("reward_sums: got rewards or visits alone, takes both or none")
        cells = (*shape[:-2], shape[-1], self.counts.shape[-1])
        for name, table in (("visits", self.visits), ("reward_sums", self.reward_sums)):
            if table is not None and table.shape != cells:
                raise ValueError(f"{name}: got shape {table.shape}, takes [*stage, leader, follower] = {cells}")
        if is_concrete(self.strategies):
            check_distribution("strategies", np.asarray(self.strategies), (-1,))
        for name, table in (("counts", self.counts), ("visits", self.visits)):
            if table is not None and is_concrete(table):
                check_finite(name, np.asarray(table))
                refuse(name, np.asarray(table), np.asarray(table) < 0, "numbers >= 0")
        if self.reward_sums is not None and is_concrete(self.reward_sums):
            check_finite("reward_sums", np.asarray(self.reward_sums))


@eqx.filter_jit
def _draw(
    key: Array, chances: Array, strategies: Array, payoffs: Array | None, noise: Array | str | None, num_samples: Array
) -> tuple[Array, Array | None, Array | None]:
    response_key, reward_key = jax.random.split(key)
    chances = chances.astype(num_samples.dtype)
    if payoffs is None or noise is None:
        return sample_counts(response_key, num_samples, chances), None, None
    joint = strategies.astype(chances.dtype)[:, :, None] * chances[:, None]
    counts = sample_counts(response_key, num_samples, joint)
    visits = counts.sum(axis=0)
    return counts.sum(axis=1), visits, sample_sums(reward_key, visits, payoffs[None], noise)[0]


def _chances(
    game: NormalFormGame, regularizer: Regularizer, strategies: Any, behavior: Any
) -> tuple[Float[Array, "strategy leader"], Float[Array, "strategy follower"]]:
    """The policies, and how likely each is announced and responded to by each action, after checks."""
    check_commitment(game, regularizer)
    announced, weights = as_float_array("strategies", strategies), as_float_array("behavior", behavior)
    leader = game.num_actions[0]
    if announced.ndim != 2 or announced.shape[1] != leader or not len(announced):
        raise ValueError(f"strategies: got shape {announced.shape}, takes [strategy, leader] with {leader} actions")
    if weights.shape != announced.shape[:1]:
        raise ValueError(f"behavior: got shape {weights.shape}, takes [strategy] = {announced.shape[:1]}")
    for field, table in (("strategies", announced), ("behavior", weights)):
        if is_concrete(table):
            check_distribution(field, np.asarray(table), (-1,))
    regularizer, announced = regularizer.astype(game.dtype), announced.astype(game.dtype)
    responses = respond(announced, game.payoffs[1] / regularizer.temperatures[1], regularizer.log_reference[1])
    return announced, weights.astype(game.dtype)[:, None] * jnp.exp(responses)


def expected_responses(
    game: NormalFormGame,
    regularizer: Regularizer,
    strategies: ArrayLike | Sequence[Any],
    behavior: ArrayLike | Sequence[Any],
    num_samples: ArrayLike = 1.0,
) -> Responses:
    """What `num_samples` rows show on average, rewards too: a log from which the truth is learnt.

    Args:
        game: the true game.
        regularizer: the follower's reference and temperature.
        strategies: x_k, shape ``[strategy, leader]``.
        behavior: how often each is announced, a distribution ``[strategy]``.
        num_samples: how many rows.

    Returns:
        `Responses` with the expectations of all counts and sums.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, or a strategy is no policy.
    """
    announced, chances = _chances(game, regularizer, strategies, behavior)
    counts = jnp.asarray(num_samples, game.dtype) * chances
    visits = jnp.matmul(announced.T, counts, precision=PRECISION)
    return Responses(announced, counts, visits, visits * game.payoffs[0])


def sample_responses(
    key: Array,
    game: NormalFormGame,
    regularizer: Regularizer,
    strategies: ArrayLike | Sequence[Any],
    behavior: ArrayLike | Sequence[Any],
    num_samples: ArrayLike,
    noise: ArrayLike | str | None = None,
) -> Responses:
    """Draw what `num_samples` rows show, exactly in law, at a cost that does not depend on their number.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game, leader and follower; numbers get its dtype.
        regularizer: the follower's reference and temperature.
        strategies: x_k, shape ``[strategy, leader]``.
        behavior: how often each is announced, a distribution ``[strategy]``.
        num_samples: how many rows, >= 1; may be traced, then with the limits of `sample_statistics`.
        noise: standard deviation of the leader's rewards, or "bernoulli"; None where no rewards are seen.

    Returns:
        `Responses`: how often each action answered each policy, and what the leader earned if `noise` is given.

    Raises:
        TypeError: `game` is no `NormalFormGame`.
        ValueError: there are not two players, a strategy is no policy, or an option is bad.
    """
    announced, chances = _chances(game, regularizer, strategies, behavior)
    if noise is not None:
        check_noise(noise, NormalFormGame(game.payoffs[0].reshape(1, -1)))  # the leader's alone
    payoffs = None if noise is None else game.payoffs[0]
    spread = noise if noise is None or isinstance(noise, str) else jnp.asarray(noise, game.dtype)
    drawn = draw_rows(_draw, num_samples, key, chances, announced, payoffs, spread)
    return Responses(announced, *jax.tree.map(lambda leaf: leaf.astype(game.dtype), drawn))


def _actions(field: str, values: Any, rows: int, size: int) -> np.ndarray:
    found = np.asarray(values)
    if found.shape != (rows,) or not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"{field}: got {found.dtype} of shape {found.shape}, takes integers [row] = ({rows},)")
    refuse(field, found, (found < 0) | (found >= size), f"0 to {size - 1}")
    return found


def count_responses(
    strategies: ArrayLike | Sequence[Any],
    announced: ArrayLike | Sequence[Any],
    responses: ArrayLike | Sequence[Any],
    num_responses: int,
    *,
    played: ArrayLike | Sequence[Any] | None = None,
    rewards: ArrayLike | Sequence[Any] | None = None,
) -> Responses:
    """Count the rows of a log of a follower's actions.

    Args:
        strategies: x_k, shape ``[strategy, leader]``.
        announced: k of each row, integers from 0, shape ``[row]``.
        responses: b of each row, integers from 0.
        num_responses: how many actions the follower has.
        played: a of each row; with `rewards` only.
        rewards: the leader's reward of each row, payoff units; with `played` only.

    Returns:
        `Responses`: how often each action answered each policy, and what the leader earned if rewards are given.

    Raises:
        ValueError: no rows, columns that do not fit, or an entry out of range; the message names column and row.
    """
    table = as_float_array("strategies", strategies)
    if table.ndim != 2:
        raise ValueError(f"strategies: got shape {table.shape}, takes [strategy, leader]")
    rows = np.size(announced)
    if not rows:
        raise ValueError("announced: got no rows, takes at least one")
    if (played is None) != (rewards is None):
        raise ValueError("rewards: got rewards or played actions alone, takes both or none")
    kinds, leader = table.shape
    which, response = (
        _actions("announced", announced, rows, kinds),
        _actions("responses", responses, rows, num_responses),
    )
    counts = np.zeros((kinds, num_responses))
    np.add.at(counts, (which, response), 1)
    if played is None:
        return Responses(table, jnp.asarray(counts, table.dtype))
    own, earned = _actions("played", played, rows, leader), np.asarray(rewards, dtype=float)
    if earned.shape != (rows,):
        raise ValueError(f"rewards: got shape {earned.shape}, takes [row] = ({rows},)")
    check_finite("rewards", earned)
    visits, sums = np.zeros((2, leader, num_responses))
    np.add.at(visits, (own, response), 1)
    np.add.at(sums, (own, response), earned)
    return Responses(table, *(jnp.asarray(entry, table.dtype) for entry in (counts, visits, sums)))
