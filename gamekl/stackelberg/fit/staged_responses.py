"""Episodes with a leader that announces its policy for all stages, and a follower that responds to it.

In each episode the leader announces x_k, k ~ behavior, for all stages. At each stage that is reached, a context c ~ rho
or the states of a Markov game, it plays a ~ x_k(. | h, s), the follower responds by b ~ nu_k(. | h, s), and the next
state is s' ~ P_h(. | s, a, b). What learning needs are counts of (stage, k, b), and of (stage, a, b, s') with sums of
the leader's rewards. They are drawn step by step: visits of (s, k) are multinomial given those of the step before, then
(a, b) given visits, rewards and next states given those; so that 10^8 episodes cost what ten cost.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, StagedGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.validation import check_distribution, check_finite, check_noise, check_transitions, refuse
from gamekl.offline.draws import draw_rows, sample_sums, split_counts
from gamekl.stackelberg.fit.responses import Responses
from gamekl.stackelberg.follower import check_commitment
from gamekl.stackelberg.staged_follower import Respond

# From a key, counts ``[group]`` and chances ``[group, cell]`` to counts ``[group, cell]``.
Split = Callable[[Array, Array, Array], Array]


class Episodes(Shown):
    """What a log of episodes tells.

    Attributes:
        responses: how the follower responded at each stage, and what the leader earned there; ``[*stage, ...]``.
        moves: how often each next state followed, shape ``[horizon, state, leader, follower, next_state]``; None of a
            contextual game.

    Raises:
        ValueError: the shapes do not fit each other, or (on concrete arrays) a number is negative or not finite.
    """

    responses: Responses
    moves: Float[Array, "horizon state leader follower next_state"] | None

    def __check_init__(self) -> None:
        cells = (*self.responses.strategies.shape[:-2], self.responses.strategies.shape[-1])
        cells = (*cells, self.responses.counts.shape[-1])
        if self.moves is None:
            if len(cells) != 3:
                raise ValueError(f"moves: got None beside responses of cells {cells}, takes it of [context] alone")
            return
        expected = (*cells, cells[1])
        if len(cells) != 4 or self.moves.shape != expected:
            takes = f"[horizon, state, leader, follower, next_state] = {expected}"
            raise ValueError(f"moves: got shape {self.moves.shape}, takes {takes}")
        if is_concrete(self.moves):
            moves = np.asarray(self.moves)
            check_finite("moves", moves)
            refuse("moves", moves, moves < 0, "numbers >= 0")

    @property
    def stage_probs(self) -> Float[Array, " stage"]:
        """The share of each context, or first state, among all rows, shape ``[stage]``."""
        counts = self.responses.counts
        visits = (counts if self.moves is None else counts[0]).sum(axis=(1, 2))
        return visits / visits.sum()

    @property
    def transitions(self) -> Float[Array, "horizon state leader follower next_state"]:
        """The share of each next state among all visits of (h, s, a, b); 0 where there were none.

        There an episode ends. Shape ``[horizon, state, leader, follower, next_state]``.

        Raises:
            ValueError: the game was contextual.
        """
        if self.moves is None:
            raise ValueError("moves: got None, as of a contextual game, takes counts of a Markov game's")
        total = self.moves.sum(axis=-1, keepdims=True)
        return jnp.where(total > 0, self.moves / jnp.where(total > 0, total, 1), 0)


class _Plays(NamedTuple):
    """The law of what happens at each stage, [context] or [horizon, state].

    Attributes:
        first: how often each context or first state is met together with each announced policy.
        joint: of what leader and follower play.
        rewards: the leader's.
        transitions: of a Markov game.
    """

    first: Float[Array, "state strategy"]
    joint: Float[Array, "*stage strategy leader follower"]
    rewards: Float[Array, "*stage leader follower"]
    transitions: Float[Array, "horizon state leader follower next_state"] | None


def _expected(_: Array, counts: Array, chances: Array) -> Array:
    return counts[:, None] * chances


@eqx.filter_jit
def _draw(split: Split, key: Array, plays: _Plays, noise: Array | str, num_samples: Array) -> tuple[Array, ...]:
    """Draw counts ``[*stage, strategy, follower]``, visits, reward sums and, of a Markov game, moves."""
    first, joint, rewards, transitions = jax.tree.map(lambda leaf: leaf.astype(num_samples.dtype), plays)
    first_key, step_key = jax.random.split(key)
    begun = split(first_key, num_samples[None], first.reshape(1, -1)).reshape(first.shape)

    def play(key: Array, seen: Array, joint: Array, rewards: Array) -> tuple[Array, tuple[Array, Array, Array]]:
        """Cells ``[state, strategy, leader, follower]``, and what is told of them."""
        action_key, reward_key = jax.random.split(key)
        cells = split(action_key, seen.ravel(), joint.reshape(seen.size, -1)).reshape(joint.shape)
        visits = cells.sum(axis=1)
        return cells, (cells.sum(axis=2), visits, sample_sums(reward_key, visits, rewards[None], noise)[0])

    if transitions is None:
        return play(step_key, begun, joint, rewards)[1]

    def step(seen: Array, inputs: tuple[Array, Array, Array, Array]) -> tuple[Array, tuple[Array, ...]]:
        key, joint, rewards, transitions = inputs
        play_key, move_key = jax.random.split(key)
        cells, told = play(play_key, seen, joint, rewards)
        chances = jnp.broadcast_to(transitions[:, None], (*cells.shape, len(seen)))
        moved = split(move_key, cells.ravel(), chances.reshape(cells.size, -1)).reshape(chances.shape)
        return moved.sum(axis=(0, 2, 3)).T, (*told, moved.sum(axis=1))

    return jax.lax.scan(step, begun, (jax.random.split(step_key, len(joint)), joint, rewards, transitions))[1]


def _plays(
    game: StagedGame, regularizer: Regularizer, strategies: Any, behavior: Any, response: Respond
) -> tuple[Array, _Plays]:
    """The policies and the law, after checks."""
    check_commitment(game, regularizer, ContextualGame, MarkovGame)
    if not callable(response):
        raise TypeError(f"response: got {response!r}, takes a function, as `myopic_response` is one")
    announced, weights = as_float_array("strategies", strategies), as_float_array("behavior", behavior)
    stage, leader = game.stage_shape, game.num_actions[0]
    if announced.ndim != len(stage) + 2 or (*announced.shape[:-2], announced.shape[-1]) != (*stage, leader):
        takes = f"[*stage, strategy, leader] with stages {stage} and {leader} actions"
        raise ValueError(f"strategies: got shape {announced.shape}, takes {takes}")
    if weights.shape != announced.shape[-2:-1]:
        raise ValueError(f"behavior: got shape {weights.shape}, takes [strategy] = {announced.shape[-2:-1]}")
    transitions = game.transitions if isinstance(game, MarkovGame) else None
    first, name = (
        (game.initial_probs, "initial_probs") if isinstance(game, MarkovGame) else (game.context_probs, "context_probs")
    )
    for field, table in (("strategies", announced), ("behavior", weights), (name, first)):
        if is_concrete(table):
            check_distribution(field, np.asarray(table), (-1,))
    if transitions is not None and is_concrete(transitions):
        check_transitions(np.asarray(transitions))
    announced = announced.astype(game.dtype)
    log_responses = jax.vmap(lambda policy: response(game, regularizer, policy), in_axes=-2, out_axes=-2)(announced)
    joint = announced[..., None] * jnp.exp(log_responses)[..., None, :]
    begin = first.astype(game.dtype)[:, None] * weights.astype(game.dtype)
    return announced, _Plays(begin, joint, jnp.moveaxis(game.table, -3, 0)[0], transitions)


def _episodes(announced: Array, drawn: tuple[Array, ...], dtype: Any) -> Episodes:
    counts, visits, sums, *moves = (leaf.astype(dtype) for leaf in drawn)
    return Episodes(Responses(announced, counts, visits, sums), moves[0] if moves else None)


def expected_episodes(
    game: StagedGame,
    regularizer: Regularizer,
    strategies: ArrayLike | Sequence[Any],
    behavior: ArrayLike | Sequence[Any],
    response: Respond,
    num_samples: ArrayLike = 1.0,
) -> Episodes:
    """What `num_samples` episodes show on average, rewards too: a log from which the truth is learnt.

    Args:
        game: the true game, a `ContextualGame` or a `MarkovGame`.
        regularizer: the follower's references and temperature.
        strategies: x_k, the policies that are announced, shape ``[*stage, strategy, leader]``.
        behavior: how often each is announced, a distribution ``[strategy]``.
        response: how the follower responds: `myopic_response` or `farsighted_response`.
        num_samples: how many episodes.

    Returns:
        `Episodes` with the expectations of all counts and sums.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: there are not two players, a strategy is no policy, or the game's chances are none.
    """
    announced, plays = _plays(game, regularizer, strategies, behavior, response)
    n = jnp.asarray(num_samples, game.dtype)
    drawn = _draw(_expected, jax.random.key(0), plays, jnp.zeros((), game.dtype), n)
    return _episodes(announced, drawn, game.dtype)


def sample_episodes(
    key: Array,
    game: StagedGame,
    regularizer: Regularizer,
    strategies: ArrayLike | Sequence[Any],
    behavior: ArrayLike | Sequence[Any],
    response: Respond,
    num_samples: ArrayLike,
    noise: ArrayLike | str,
) -> Episodes:
    """Draw what `num_samples` episodes show, exactly in law, at a cost that does not depend on their number.

    Args:
        key: a jax random key, typed or legacy.
        game: the true game, a `ContextualGame` or a `MarkovGame`; numbers get its dtype.
        regularizer: the follower's references and temperature.
        strategies: x_k, the policies that are announced, shape ``[*stage, strategy, leader]``.
        behavior: how often each is announced, a distribution ``[strategy]``.
        response: how the follower answers: `myopic_response` or `farsighted_response`.
        num_samples: how many episodes, >= 1; may be traced, then with the limits of `sample_statistics`.
        noise: standard deviation of the leader's rewards, or "bernoulli".

    Returns:
        `Episodes`: counts of responses, of next states, and the leader's reward sums.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: there are not two players, a strategy is no policy, the game's chances are none, or an option is
            bad.
    """
    announced, plays = _plays(game, regularizer, strategies, behavior, response)
    check_noise(noise, NormalFormGame(plays.rewards.reshape(1, -1)))  # the leader's alone
    spread = noise if isinstance(noise, str) else jnp.asarray(noise, game.dtype)
    drawn = draw_rows(_draw, num_samples, split_counts, key, plays, spread)
    return _episodes(announced, drawn, game.dtype)
