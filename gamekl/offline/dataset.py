"""The logged rows themselves: rows, rows with contexts, and episodes."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.arrays import as_float_array, own
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.validation import check_finite, show_place

ENDED = -1  # the state of an episode that is over


def _check_range(field: str, values: Any, low: int, sizes: Sequence[int] | int) -> None:
    """Raise unless each entry is `low` or more, and below its size."""
    found = np.asarray(values)
    outside = np.argwhere((found < low) | (found >= np.array(sizes)))
    if len(outside):
        index = outside[0]
        most = sizes[index[-1]] if isinstance(sizes, Sequence) else sizes
        raise ValueError(f"{field}{show_place(index)}: got {found[tuple(index)]}, takes {low} to {most - 1}")


def _integers(field: str, values: Any) -> Array:
    """Whole numbers, all rows or episodes of one length."""
    if not hasattr(values, "dtype"):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ValueError(f"{field}: {_uneven(values)}") from error
    array = jnp.asarray(own(field, values))
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{field}: got dtype {array.dtype}, takes integers")
    return array


def _uneven(values: Any) -> str:
    """What is wrong with nested sequences of unequal lengths."""
    lengths = [np.size(entry) if np.ndim(entry) < 2 else len(entry) for entry in values]
    odd = next((index for index, length in enumerate(lengths) if length != max(lengths)), None)
    if odd is None:
        return "got nested sequences of unequal lengths, takes an array"
    return (
        f"got an episode {odd} of {lengths[odd]} steps beside one of {max(lengths)}, takes episodes of one length (a "
        f"game that ended early has state {ENDED} from then on)"
    )


def _check_shapes(
    actions: Array, rewards: Array, num_actions: tuple[int, ...], axes: str, leading: tuple[int, ...]
) -> None:
    expected = (*leading, len(num_actions))
    for field, array in [("actions", actions), ("rewards", rewards)]:
        if array.shape != expected:
            raise ValueError(f"{field}: got shape {array.shape}, takes [{axes}, player] = {expected}")
    if 0 in leading:
        raise ValueError("actions: got an empty dataset, takes at least one row")


def _sizes(values: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(size) for size in values)


class Dataset(Shown):
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

    def __init__(self, actions: Any, rewards: Any, num_actions: Sequence[int]) -> None:
        """Take any arrays of integers and numbers."""
        self.actions = _integers("actions", actions)
        self.rewards = as_float_array("rewards", rewards)
        self.num_actions = _sizes(num_actions)

    def __check_init__(self) -> None:
        _check_shapes(self.actions, self.rewards, self.num_actions, "row", self.actions.shape[:1])
        if is_concrete(self.actions, self.rewards):
            _check_range("actions", self.actions, 0, self.num_actions)
            check_finite("rewards", np.asarray(self.rewards))


class ContextualDataset(Shown):
    """Rows of logged play, each in a context.

    Attributes:
        contexts: the context of each row, shape ``[row]``, integers from 0. Where every row has its own, with features
            of its own, they are 0, 1, 2...
        actions: shape ``[row, player]``, integers from 0.
        rewards: shape ``[row, player]``, payoff units.
        num_actions: how many actions each player has; static.
        num_contexts: how many contexts there are, with data or without; static.

    Raises:
        ValueError: no rows, shapes that do not fit, or (on concrete arrays) a context or an action out of range, or a
            reward that is not finite.
    """

    contexts: Int[Array, " row"]
    actions: Int[Array, "row player"]
    rewards: Float[Array, "row player"]
    num_actions: tuple[int, ...] = eqx.field(static=True)
    num_contexts: int = eqx.field(static=True)

    def __init__(
        self, contexts: Any, actions: Any, rewards: Any, num_actions: Sequence[int], num_contexts: int
    ) -> None:
        """Take any arrays of integers and numbers."""
        self.contexts = _integers("contexts", contexts)
        self.actions = _integers("actions", actions)
        self.rewards = as_float_array("rewards", rewards)
        self.num_actions = _sizes(num_actions)
        self.num_contexts = int(num_contexts)

    def __check_init__(self) -> None:
        if self.contexts.ndim != 1:
            raise ValueError(f"contexts: got shape {self.contexts.shape}, takes [row]")
        _check_shapes(self.actions, self.rewards, self.num_actions, "row", self.contexts.shape)
        if is_concrete(self.contexts, self.actions, self.rewards):
            _check_range("contexts", self.contexts, 0, self.num_contexts)
            _check_range("actions", self.actions, 0, self.num_actions)
            check_finite("rewards", np.asarray(self.rewards))


class MarkovDataset(Shown):
    """Episodes of a Markov game.

    Attributes:
        states: where each step began, shape ``[episode, horizon]``, integers from 0; -1 from the step on before which
            the game ended. Whatever stands in the actions and rewards of those steps becomes 0.
        actions: shape ``[episode, horizon, player]``, integers from 0.
        rewards: shape ``[episode, horizon, player]``, payoff units.
        num_actions: how many actions each player has; static.
        num_states: how many states there are; static.

    Raises:
        ValueError: no episodes, episodes of unequal lengths, shapes that do not fit, or (on concrete arrays) a state or
            an action out of range, a reward that is not finite, or a state after the end.
    """

    states: Int[Array, "episode horizon"]
    actions: Int[Array, "episode horizon player"]
    rewards: Float[Array, "episode horizon player"]
    num_actions: tuple[int, ...] = eqx.field(static=True)
    num_states: int = eqx.field(static=True)

    def __init__(self, states: Any, actions: Any, rewards: Any, num_actions: Sequence[int], num_states: int) -> None:
        """Take any arrays of integers and numbers."""
        self.states = _integers("states", states)
        self.actions = _integers("actions", actions)
        self.rewards = as_float_array("rewards", rewards)
        self.num_actions = _sizes(num_actions)
        self.num_states = int(num_states)
        if self.states.shape == self.actions.shape[:-1] == self.rewards.shape[:-1]:  # else an error follows
            over = (self.states == ENDED)[..., None]
            self.actions = jnp.where(over, 0, self.actions).astype(self.actions.dtype)
            self.rewards = jnp.where(over, 0, self.rewards)

    def __check_init__(self) -> None:
        if self.states.ndim != 2:
            raise ValueError(f"states: got shape {self.states.shape}, takes [episode, horizon]")
        _check_shapes(self.actions, self.rewards, self.num_actions, "episode, horizon", self.states.shape)
        if is_concrete(self.states, self.actions, self.rewards):
            _check_range("states", self.states, ENDED, self.num_states)
            _check_range("actions", self.actions, 0, self.num_actions)
            check_finite("rewards", np.asarray(self.rewards))
            self._check_ends()

    def _check_ends(self) -> None:
        states = np.asarray(self.states)
        wrong = np.argwhere((states[:, :-1] == ENDED) & (states[:, 1:] != ENDED))
        if len(wrong):
            episode, step = wrong[0]
            raise ValueError(
                f"states[{episode}, {step + 1}]: got {states[episode, step + 1]} after the end, takes {ENDED} there"
            )
        if np.any(states[:, 0] == ENDED):
            episode = int(np.argmax(states[:, 0] == ENDED))
            raise ValueError(f"states[{episode}, 0]: got {ENDED}, takes a state: an episode has at least one step")


AnyDataset = Dataset | ContextualDataset | MarkovDataset
