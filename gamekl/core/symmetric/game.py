"""What a symmetric game is: one table of payoffs for all its players, by the counts of what the others do."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import NormalFormGame
from gamekl.core.names import Named, Names, named
from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.symmetric.counts import joint_counts, num_counts, opponent_counts

# Payoffs of a normal form, of all players.
MOST_PAYOFFS = 2**24
# What the one role is called whose players have names of their own.
ROLE = "each player"


class SymmetricGame(Named, Shown):
    """A game in which all players have the same actions and payoffs, and care only how many of the others do what.

    Profiles in which all play alike have one policy, that of the one role that all players have: so have references,
    solutions and gaps.

    Attributes:
        payoffs: r(a, c), what a player earns by action a where the others' counts are c, shape ``[action, count]``,
            payoff units; counts in the order of `gamekl.games.opponent_counts`, C(m + A - 2, A - 1) of them.
        num_players: m, static.

    Raises:
        ValueError: `num_players` is no whole number >= 1, or the second axis is not as long as there are counts.
    """

    payoffs: Float[Array, "action count"]
    num_players: int = eqx.field(static=True)
    stage_axes: ClassVar[int] = 0
    stage_shape: ClassVar[tuple[int, ...]] = ()

    def __init__(self, payoffs: Any, num_players: int) -> None:
        """Take any array."""
        self.payoffs = as_float_array("payoffs", payoffs)
        self.num_players = num_players

    def __check_init__(self) -> None:
        shape = self.payoffs.shape
        num_counts(self.num_players, 1)
        if len(shape) != 2 or shape[0] < 1:
            raise ValueError(f"payoffs: got shape {shape}, takes [action, count]")
        size = num_counts(self.num_players, shape[0])
        if shape[1] != size:
            raise ValueError(
                f"payoffs: got shape {shape}, takes [action, count] = ({shape[0]}, {size}): a payoff for each row of "
                f"gamekl.games.opponent_counts({self.num_players}, {shape[0]})"
            )

    @classmethod
    def from_function(
        cls, function: Callable[[Array, Array], Any], num_players: int, num_actions: int
    ) -> "SymmetricGame":
        """The game whose payoffs a function gives.

        Args:
            function: of a player's own action, an integer, and of how many of the others take each action, floats
                ``[action]``; it returns a payoff, and is vectorised by ``jax.vmap``.
            num_players: how many play, the player itself among them.
            num_actions: how many actions each has.
        """
        counts = jnp.asarray(opponent_counts(num_players, num_actions), dtype=float)
        of_all = jax.vmap(jax.vmap(function, in_axes=(None, 0)), in_axes=(0, None))
        return cls(of_all(jnp.arange(num_actions), counts), num_players)

    @classmethod
    def from_normal_form(cls, game: NormalFormGame, *, tol: float | int = 0.0) -> "SymmetricGame":
        """The symmetric game that a normal form is, which is checked.

        Args:
            game: a normal form with the same number of actions for each player, on concrete arrays.
            tol: most by which payoffs may differ that ought to be the same, payoff units; the first player's, with the
                others in the order of their actions, are taken.

        Names of actions stay where all players have the same.

        Raises:
            ValueError: the players have different actions, or payoffs differ; the message names which.
        """
        if not isinstance(game, NormalFormGame) or not is_concrete(game):
            raise TypeError(f"game: got {type(game).__name__}, takes a NormalFormGame of concrete arrays")
        num_players, num_actions = game.num_players, game.num_actions[0]
        if set(game.num_actions) != {num_actions}:
            raise ValueError(f"game: got {game.num_actions} actions, takes the same number for each player")
        payoffs = np.asarray(game.payoffs)
        own_first = np.stack([np.moveaxis(own, player, 0) for player, own in enumerate(payoffs)])
        rows = joint_counts(num_players, num_actions).ravel()
        _, first = np.unique(rows, return_index=True)
        given = own_first.reshape(num_players, num_actions, -1)
        table = given[0][:, first]
        _refuse_others(given, table[:, rows], rows, first, num_players, num_actions, tol)
        made = cls(table, num_players)
        if game.names is None or len(set(game.names.actions)) > 1:
            return made
        return made.with_names(Names((ROLE,), game.names.actions[:1], game.names.title))

    def with_names(self, names: Names) -> "SymmetricGame":
        """The same game, with these names of the one role and of its actions.

        Raises:
            ValueError: not one name for the role and for each action.
        """
        names.check(self.roles)
        return named(copy.copy(self), names)

    @property
    def table(self) -> Array:
        """The payoffs, shape ``[action, count]``."""
        return self.payoffs

    @property
    def num_actions(self) -> tuple[int, ...]:
        """How many actions each player has."""
        return self.roles * self.num_players

    @property
    def roles(self) -> tuple[int, ...]:
        """How many actions the one role has that all players share."""
        return (self.payoffs.shape[-2],)

    @property
    def dtype(self) -> jnp.dtype:
        """The dtype of the payoffs."""
        return self.payoffs.dtype

    def headline(self) -> str:
        """Players and actions; of stacked games how many there are."""
        *batch, actions, counts = self.payoffs.shape
        alike = f"{self.num_players} players, {actions} actions each, {counts:,} counts of others"
        return (f"batch {batch} of games of " if batch else "") + alike

    def normal_form(self) -> NormalFormGame:
        """The same game as a table over joint actions, ``actions ** player`` for each player.

        Raises:
            ValueError: it would have more than 2^24 payoffs.
        """
        players, (actions,) = self.num_players, self.roles
        size = players * actions**players
        if size > MOST_PAYOFFS:
            raise ValueError(
                f"num_players: got {players} with {actions} actions, {size:,} payoffs in normal form, takes at most "
                f"{MOST_PAYOFFS:,}"
            )
        own = self.payoffs[:, joint_counts(players, actions)]
        made = NormalFormGame(jnp.stack([jnp.moveaxis(own, 0, player) for player in range(players)]))
        if self.names is None:
            return made
        return made.with_names(replace(Names.of_numbers(made.num_actions), actions=self.names.actions * players))


# What has a logit path.
LogitGame = NormalFormGame | SymmetricGame


def _refuse_others(
    given: np.ndarray,
    alike: np.ndarray,
    rows: np.ndarray,
    first: np.ndarray,
    num_players: int,
    num_actions: int,
    tol: float | int,
) -> None:
    """Raise ``ValueError`` where payoffs ``[player, own action, joint action of others]`` are not those of player 0."""
    wrong = np.argwhere(~((given == alike) | (np.abs(given - alike) <= tol)))
    if not len(wrong):
        return

    def place(player: Any, own: Any, joint: Any) -> str:
        others = np.unravel_index(joint, (num_actions,) * (num_players - 1))
        actions = [*map(int, others)]
        actions.insert(player, int(own))
        return f"payoffs{[int(player), *actions]}"

    player, own, joint = wrong[0]
    raise ValueError(
        f"game: got {given[tuple(wrong[0])]} at {place(player, own, joint)} and {alike[own, joint]} at "
        f"{place(0, own, first[rows[joint]])} ({len(wrong):,} entries differ so), takes the same payoff wherever a "
        "player's own action and the counts of the others' are the same"
    )
