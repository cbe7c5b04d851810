"""A finite class of models as hypotheses of a Markov game of finite horizon.

A pure policy of a player names an action for each step and state: there are A_i^(H S), and a choice of the whole is one
joint policy out of their product, which is enumerated. With n hypotheses, the values V_{i,f}^a of all of them and all
joint policies are computed once, and each supremum is a maximum.

A model f is a game with transitions P_f; rewards and first states are known. Its loss

    L(f) = - sum over what was seen of log P_f(s' | s, a)

is less that of the likeliest (arXiv 2310.06243, by its reviews).
"""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import MarkovGame, stack
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.validation import validate
from gamekl.online.mamex import LARGEST_SET, Hypotheses, Payoffs, every_policy


def pure_policies(
    num_actions: Sequence[int], horizon: int, num_states: int, *, limit: int = LARGEST_SET
) -> tuple[Int[Array, "policy horizon state"], ...]:
    """Every pure policy of each player: the action at each step and state, the last state's changing fastest.

    Args:
        num_actions: of each player.
        horizon: how many steps.
        num_states: how many states there are.
        limit: most pure joint policies.

    Returns:
        For each player actions of shape ``[policy, horizon, state]``.

    Raises:
        ValueError: there are more joint ones than `limit`.
    """
    joint = math.prod(num_actions) ** (horizon * num_states)
    if joint > limit:
        raise ValueError(
            f"num_actions: got {joint:,} pure joint policies of {horizon} steps and {num_states} states, takes at most "
            f"{limit:,}; OptimisticStages plans stage by stage and has no limit"
        )
    return tuple(entry.reshape(-1, horizon, num_states) for entry in every_policy(num_actions, horizon * num_states))


def joint_plans(game: MarkovGame, limit: int) -> Int[Array, "joint player horizon state"]:
    """Every pure joint policy, in the order of choices."""
    policies = pure_policies(game.num_actions, *game.stage_shape, limit=limit)
    picked = np.indices([len(entry) for entry in policies]).reshape(len(policies), -1)
    return jnp.stack([entry[index] for entry, index in zip(policies, picked, strict=True)], axis=1)


def _under(plan: Int[Array, "player horizon state"], game: MarkovGame) -> tuple[Array, Array]:
    """The rewards ``[horizon, state, player]`` and transitions ``[horizon, state, next_state]`` of a joint policy."""
    steps, states = np.indices(game.stage_shape)
    actions = tuple(plan)
    return jnp.moveaxis(game.rewards, 2, -1)[(steps, states, *actions)], game.transitions[(steps, states, *actions)]


def _value(plan: Int[Array, "player horizon state"], game: MarkovGame) -> Float[Array, "horizon state player"]:
    """What each player earns from each step and state on, under a pure joint policy."""
    rewards, transitions = _under(plan, game)

    def step(ahead: Array, here: tuple[Array, Array]) -> tuple[Array, Array]:
        value = here[0] + jnp.matmul(here[1], ahead, precision=PRECISION)
        return value, value

    return jax.lax.scan(step, jnp.zeros_like(rewards[0]), (rewards, transitions), reverse=True)[1]


def start_values(plans: Int[Array, "joint player horizon state"], game: MarkovGame) -> Float[Array, "joint player"]:
    """The values V_i^a from the first state's distribution, payoff units."""
    first = jax.vmap(_value, (0, None))(plans, game)[:, 0]
    return jnp.einsum("jsi,s->ji", first, game.initial_probs.astype(game.dtype), precision=PRECISION)


def action_values(plan: Int[Array, "player horizon state"], game: MarkovGame) -> Float[Array, "..."]:
    """The action values Q of a pure joint policy, shape ``[horizon, state, player, *actions]``, payoff units."""
    values = _value(plan, game)
    ahead = jnp.concatenate([values[1:], jnp.zeros_like(values[:1])])
    actions = jax.vmap(lambda moves, after: jnp.tensordot(moves, after, axes=1, precision=PRECISION))
    return game.rewards + jnp.moveaxis(actions(game.transitions, ahead), -1, 2)


def trajectory(key: Array, game: MarkovGame, plan: Int[Array, "player horizon state"]) -> Int[Array, " horizon"]:
    """The states that an episode under a pure joint policy goes through."""
    _, transitions = _under(plan, game)
    first_key, key = jax.random.split(key)
    first = jax.random.categorical(first_key, jnp.log(game.initial_probs))

    def step(state: Array, entry: tuple[Array, Array]) -> tuple[Array, Array]:
        moves, key = entry
        return jax.random.categorical(key, jnp.log(moves[state])), state

    return jax.lax.scan(step, first, (transitions, jax.random.split(key, len(transitions))))[1]


def check_models(models: Sequence[MarkovGame], truth: int) -> MarkovGame:
    """The models as one stack, after checks."""
    if not len(models):
        raise ValueError("models: got none, takes at least one: the class is empty")
    for index, model in enumerate(models):
        if not isinstance(model, MarkovGame):
            raise TypeError(f"models[{index}]: got {type(model).__name__}, takes a MarkovGame")
        if is_concrete(model):
            validate(model)
            if not np.all(np.asarray(model.transitions).any(axis=-1)):
                raise ValueError(f"models[{index}]: got transitions that end the episode, takes rows that sum to 1")
    if not 0 <= truth < len(models):
        raise ValueError(f"truth: got {truth}, takes the number of one of {len(models)} models")
    stacked = stack(models)
    if is_concrete(stacked):
        for field in ("rewards", "initial_probs"):
            values = np.asarray(getattr(stacked, field))
            if np.any(values != values[:1]):
                raise ValueError(f"models: got several {field}, takes one for all: only transitions are learnt")
    return stacked


class FiniteClass(Hypotheses):
    """What finite classes of hypotheses of a Markov game share.

    Attributes:
        game: the true game.
        plans: every pure joint policy, shape ``[joint, player, horizon, state]``, in the order of choices.
    """

    game: MarkovGame
    plans: Int[Array, "joint player horizon state"]

    @property
    def _choices(self) -> tuple[int, ...]:
        horizon, states = self.game.stage_shape
        return tuple(size ** (horizon * states) for size in self.game.num_actions)

    def _shaped(self, values: Float[Array, "joint player"]) -> Payoffs:
        return jnp.moveaxis(values, 0, -1).reshape(1, -1, *self._choices)

    def _plan(self, choice: Int[Array, "1 player"]) -> Int[Array, "player horizon state"]:
        return self.plans[jnp.ravel_multi_index(tuple(choice[0]), self._choices, mode="clip")]


class FiniteModels(FiniteClass):
    """A class of finitely many models of a Markov game, one of which is true.

    Attributes:
        log_moves: log P_f, shape ``[model, horizon, state, *actions, next_state]``.
        values: V_{i,f}^a, shape ``[model, joint, player]``, payoff units.
        index: the true model's.

    Raises:
        TypeError: a model is no `MarkovGame`.
        ValueError: no model, models that differ by more than transitions, or more joint policies than `limit`.
    """

    log_moves: Float[Array, "..."]
    values: Float[Array, "model joint player"]
    index: int = eqx.field(static=True)

    def __init__(self, models: Sequence[MarkovGame], truth: int = 0, *, limit: int = LARGEST_SET) -> None:
        """Take the models, the number of the true one, and the most pure joint policies that are enumerated."""
        stacked = check_models(models, truth)
        self.game, self.index = models[truth], truth
        self.plans = joint_plans(self.game, limit)
        self.log_moves = jnp.log(stacked.transitions)
        self.values = jax.vmap(start_values, (None, 0))(self.plans, stacked)

    @property
    def truth(self) -> Payoffs:
        """The true model's values of pure joint policies, shape ``[1, player, *choices]``, payoff units."""
        return self._shaped(self.values[self.index])

    def begin(self) -> Float[Array, " model"]:
        """The log-likelihoods before the first round, all 0."""
        return jnp.zeros(len(self.values), self.values.dtype)

    def optimistic(self, seen: Float[Array, " model"], eta: Float[Array, ""]) -> Payoffs:
        """The largest value of any model, eta times how much less likely it is than the likeliest one taken off."""
        return self._shaped(jnp.max(self.values + eta * (seen - seen.max())[:, None, None], axis=0))

    def fitted(self, seen: Float[Array, " model"]) -> Payoffs:
        """The values of the likeliest model."""
        return self._shaped(self.values[jnp.argmax(seen)])

    def observe(self, key: Array, seen: Float[Array, " model"], choice: Int[Array, "1 player"]) -> Array:
        """Play an episode, and add what it tells to the log-likelihoods."""
        plan = self._plan(choice)
        states = trajectory(key, self.game, plan)
        steps = jnp.arange(len(states) - 1)
        actions = tuple(plan[:, steps, states[:-1]])
        told = self.log_moves[(slice(None), steps, states[:-1], *actions, states[1:])]
        return seen + told.sum(axis=1)
