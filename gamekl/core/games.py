"""What a game is.

Players i = 1..m choose actions a_i in A_i; the joint action a = (a_1..a_m) pays player i the amount r_i(a), in
payoff units. Every player maximises. Axis order is player order. Each object is ONE game: a batch is the same type
under ``jax.vmap``, or made by `stack` for the batch drivers. Nothing infers a batch from shapes, because three
stacked two-player games look like one three-player game.
"""

import copy
from abc import abstractmethod
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.arrays import as_float_array, players_last, stacked
from gamekl.core.names import Named, Names, named, names_of
from gamekl.core.show import Shown

T = TypeVar("T")
G = TypeVar("G", bound="_Game")


def _floats(field: str) -> Any:
    return eqx.field(converter=partial(as_float_array, field))


def _require(condition: bool, field: str, got: Any, takes: str) -> None:
    if not condition:
        raise ValueError(f"{field}: got shape {tuple(got)}, takes {takes}")


class _Game(Named, Shown):
    """What all games have: a table of payoffs ``[*stage, player, *actions]``."""

    stage_axes: ClassVar[int] = 0
    stage_names: ClassVar[tuple[str, ...]] = ()

    def headline(self) -> str:
        """Players, actions and stages; of stacked games how many there are."""
        axes = self.stage_axes
        shape = self.table.shape
        # The player axis says how many action axes there are; more axes before it are of a batch.
        first = next((k for k in range(len(shape) - axes) if shape[k + axes] == len(shape) - k - axes - 1), None)
        if first is None:
            return f"table {list(shape)}"
        batch = f"batch {list(shape[:first])} of games of " if first else ""
        actions = " x ".join(map(str, shape[first + axes + 1 :]))
        stages = ", ".join(f"{size} {name}" for size, name in zip(shape[first:], self.stage_names, strict=False))
        return f"{batch}{shape[first + axes]} players, {actions} actions" + (f", {stages}" if stages else "")

    @property
    @abstractmethod
    def table(self) -> Array:
        """The payoffs or rewards, shape ``[*stage, player, *actions]``."""

    @property
    def stage_shape(self) -> tuple[int, ...]:
        """The stage axes: none, ``(context,)`` or ``(horizon, state)``."""
        return tuple(self.table.shape[: self.stage_axes])

    @property
    def num_players(self) -> int:
        """How many players there are."""
        return self.table.shape[self.stage_axes]

    @property
    def num_actions(self) -> tuple[int, ...]:
        """How many actions each player has."""
        return tuple(self.table.shape[self.stage_axes + 1 :])

    @property
    def roles(self) -> tuple[int, ...]:
        """How many actions each role has, for which a profile has one policy: here each player is its own."""
        return self.num_actions

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the payoffs or rewards."""
        return self.table.dtype

    def with_names(self: G, names: Names) -> G:
        """The same game, with these names of players and actions.

        Raises TypeError where they are no `Names`, ValueError where there is not one for each player and action.
        """
        if not isinstance(names, Names):
            raise TypeError(f"names: got {type(names).__name__}, takes gamekl.Names(players, actions)")
        names.check(self.num_actions, self.stage_shape[0] if self.stage_names == ("contexts",) else None)
        return named(copy.copy(self), names)

    def _check_table(self, field: str, axes: str) -> None:
        shape = self.table.shape
        players = self.stage_axes  # where the player axis stands, if the shape is right
        _require(
            len(shape) >= players + 2 and shape[players] == len(shape) - players - 1,
            field,
            shape,
            f"[{axes}] with as many action axes as players{players_last(field, shape, players)}",
        )
        _require(min(shape) >= 1, field, shape, "at least one entry on every axis")


class NormalFormGame(_Game):
    """A game in normal form: a table of each player's payoffs over joint actions.

    Attributes:
        payoffs: r_i(a_1..a_m), shape ``[player, *actions]``, payoff units.

    Raises:
        ValueError: the shape does not have one leading entry per action axis.
    """

    payoffs: Float[Array, "player *actions"] = _floats("payoffs")

    def __check_init__(self) -> None:
        self._check_table("payoffs", "player, *actions")

    @property
    def table(self) -> Array:
        """The payoffs, shape ``[player, *actions]``."""
        return self.payoffs


class PolymatrixGame(_Game):
    """A game of pairs: r_i(a) = sum over the other players j of r_ij(a_i, a_j).

    It takes memory for pairs of players and not for joint actions, so that hundreds may play.

    Attributes:
        payoffs: r_ij(a_i, a_j), shape ``[player, player, actions, actions]``, payoff units; 0 where i = j. All players
            have the same number of actions; a reference of -inf takes some away.

    Raises:
        ValueError: the shape is another.
    """

    payoffs: Float[Array, "player player actions actions"] = _floats("payoffs")

    def __check_init__(self) -> None:
        shape = self.payoffs.shape
        _require(
            len(shape) == 4 and shape[0] == shape[1] and shape[2] == shape[3] and min(shape) >= 1,
            "payoffs",
            shape,
            "[player, player, actions, actions], all players with the same actions",
        )

    @property
    def table(self) -> Array:
        """The payoffs of pairs, shape ``[player, player, actions, actions]``."""
        return self.payoffs

    @property
    def num_actions(self) -> tuple[int, ...]:
        """How many actions each player has."""
        return (self.payoffs.shape[-1],) * self.num_players

    def headline(self) -> str:
        """Players and actions; of stacked games how many there are."""
        *batch, players, _, _, actions = self.payoffs.shape
        return (f"batch {batch} of games of " if batch else "") + f"{players} players, {actions} actions each"

    def normal_form(self) -> NormalFormGame:
        """The same game as a table over joint actions, ``actions ** player`` for each player."""
        players = range(self.num_players)
        payoffs = [jnp.zeros(self.num_actions, dtype=self.dtype) for _ in players]
        for i in players:
            for j in players:
                if i != j:
                    pair = self.payoffs[i, j] if i < j else self.payoffs[i, j].T
                    payoffs[i] += jnp.expand_dims(pair, [player for player in players if player not in (i, j)])
        return named(NormalFormGame(jnp.stack(payoffs)), self.names)


class ContextualGame(_Game):
    """One normal-form game for each context; all players see the context before they act.

    Attributes:
        payoffs: shape ``[context, player, *actions]``, payoff units.
        context_probs: distribution rho of the contexts, shape ``[context]``.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    payoffs: Float[Array, "context player *actions"] = _floats("payoffs")
    context_probs: Float[Array, " context"] = _floats("context_probs")
    stage_axes: ClassVar[int] = 1
    stage_names: ClassVar[tuple[str, ...]] = ("contexts",)

    def __check_init__(self) -> None:
        self._check_table("payoffs", "context, player, *actions")
        _require(
            self.context_probs.shape == self.stage_shape,
            "context_probs",
            self.context_probs.shape,
            f"[context] = {self.stage_shape}",
        )

    @property
    def table(self) -> Array:
        """The payoffs, shape ``[context, player, *actions]``."""
        return self.payoffs


class MarkovGame(_Game):
    """A tabular Markov game of finite horizon.

    Attributes:
        rewards: shape ``[horizon, state, player, *actions]``, payoff units.
        transitions: P_h(s' | s, a), shape ``[horizon, state, *actions, next_state]``; where all are 0, the episode
            ends. Those of the last step do not matter.
        initial_probs: distribution of the first state, shape ``[state]``.

    Raises:
        ValueError: the shapes do not fit each other.
    """

    rewards: Float[Array, "horizon state player *actions"] = _floats("rewards")
    transitions: Float[Array, "horizon state *actions next_state"] = _floats("transitions")
    initial_probs: Float[Array, " state"] = _floats("initial_probs")
    stage_axes: ClassVar[int] = 2
    stage_names: ClassVar[tuple[str, ...]] = ("steps", "states")

    def __check_init__(self) -> None:
        self._check_table("rewards", "horizon, state, player, *actions")
        states = self.stage_shape[1:]
        expected = (*self.stage_shape, *self.num_actions, *states)
        _require(
            self.transitions.shape == expected,
            "transitions",
            self.transitions.shape,
            f"[horizon, state, *actions, next_state] = {expected}",
        )
        _require(self.initial_probs.shape == states, "initial_probs", self.initial_probs.shape, f"[state] = {states}")

    @property
    def table(self) -> Array:
        """The rewards, shape ``[horizon, state, player, *actions]``."""
        return self.rewards


class EstimatedMarkovGame(MarkovGame):
    """A Markov game out of an estimate.

    A row of its transitions may sum to less than one, the rest being the chance that the episode ends; a linear
    estimate's may be negative and sum to anything. It can be solved, but not always played; gaps in it are those of its
    own backward recursion, where each player's best response is taken stage by stage.
    """


Game = NormalFormGame | PolymatrixGame | ContextualGame | MarkovGame
OneShotGame = NormalFormGame | PolymatrixGame


def require_one_shot(game: Any) -> None:
    """Raise ``TypeError`` unless `game` is a `NormalFormGame` or a `PolymatrixGame`."""
    if not isinstance(game, NormalFormGame | PolymatrixGame):
        hint = " (its attribute `game`)" if hasattr(game, "game") else ""
        raise TypeError(f"game: got {type(game).__name__}, takes a NormalFormGame or a PolymatrixGame{hint}")


StagedGame = ContextualGame | MarkovGame


def require_normal_form(game: Any, field: str = "game", takes: str = "a NormalFormGame") -> None:
    """Raise ``TypeError`` unless `game` is a `NormalFormGame`."""
    if not isinstance(game, NormalFormGame):
        more = "; its normal_form() is one" if hasattr(game, "normal_form") else ""
        raise TypeError(f"{field}: got {type(game).__name__}, takes {takes}{more}")


def stack(objects: Iterable[T]) -> T:
    """Stack games, regularizers, estimates or any other gamekl objects of one type and shape along a new leading axis.

    The result has the type of its parts and is meant for ``jax.vmap`` and the batch drivers; its own properties (such
    as ``num_players``) do not know of the new axis.

    Args:
        objects: at least one.

    Returns:
        One object, whose arrays have the axis before all others, with the names that all of them have.

    Raises:
        ValueError: nothing to stack, or the objects differ in type or shape.
    """
    objects = list(objects)
    if not objects:
        raise ValueError("objects: got an empty sequence, takes at least one object")
    structures = {jax.tree.structure(entry) for entry in objects}
    shapes = {tuple(jnp.shape(leaf) for leaf in jax.tree.leaves(entry)) for entry in objects}
    if len(structures) > 1 or len(shapes) > 1:
        raise ValueError(f"objects: got different types or shapes {sorted(map(str, shapes))}, takes all of one kind")
    return named(jax.tree.map(lambda *leaves: stacked(leaves), *objects), names_of(*objects))
