"""Merging pure strategies that no payoff tells apart.

Two actions a, b of player i are equivalent if r_j(a, a_-i) = r_j(b, a_-i) for every player j and all joint actions a_-i
of the others. The reduced game keeps one action of each class: the first. A game tree turned into a table is full of
such copies, as plans that differ only where the player's own moves never lead.
"""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, check_profile
from gamekl.core.show import Shown
from gamekl.core.validation import validate


class MergedGame(Shown):
    """A game whose equivalent actions are merged.

    Attributes:
        game: the reduced game, payoff units; its actions are in the order in which the classes first appear, and have
            the names of the first ones.
        maps: for each player, the reduced game's action of each old action, shape ``[actions_i]``.
    """

    game: NormalFormGame
    maps: tuple[Int[Array, " _"], ...]

    def lift(self, policy: Profile) -> tuple[Float[Array, " _"], ...]:
        """The same play in the old game: a class's probability is split evenly among its actions.

        Args:
            policy: probabilities, one array ``[classes_i]`` for each player.

        Returns:
            Probabilities, one array ``[actions_i]`` for each player. Every player's payoffs stay as they are.

        Raises:
            ValueError: no profile of the reduced game.
        """
        checked = check_profile("policy", policy, self.game.num_actions, log=False)
        return tuple(
            (probs / jnp.bincount(classes, length=probs.shape[0]).astype(probs.dtype))[classes]
            for probs, classes in zip(checked, self.maps, strict=True)
        )


def merge_equivalent(game: NormalFormGame, *, tolerance: float | int = 0.0) -> MergedGame:
    """Merge each player's payoff-equivalent actions.

    Args:
        game: of any number of players, concrete.
        tolerance: payoffs that differ by no more than this count as equal, payoff units. An action joins the first
            class whose first action is that near.

    Returns:
        A `MergedGame`: the reduced game, and how its policies are lifted to the old one.

    Raises:
        ValueError: payoffs that are not finite, a tolerance below 0.
        TypeError: `game` is no `NormalFormGame`.
    """
    require_normal_form(game)
    validate(game)
    if not tolerance >= 0:
        raise ValueError(f"tolerance: got {tolerance}, takes a number >= 0, in payoff units")
    payoffs = np.asarray(game.payoffs)
    maps = [_classes(np.moveaxis(payoffs, player + 1, 0), tolerance) for player in range(game.num_players)]
    firsts = [np.unique(classes, return_index=True)[1] for classes in maps]
    reduced = jnp.asarray(payoffs[np.ix_(np.arange(game.num_players), *firsts)])
    merged = NormalFormGame(reduced)
    if game.names is not None:
        own = zip(game.names.actions, firsts, strict=True)
        actions = tuple(tuple(names[first] for first in kept.tolist()) for names, kept in own)
        merged = merged.with_names(replace(game.names, actions=actions))
    return MergedGame(merged, tuple(jnp.asarray(classes) for classes in maps))


def _classes(actions: np.ndarray, tolerance: float | int) -> np.ndarray:
    """The class of each entry of the first axis, numbered as they first appear."""
    rows = actions.reshape(len(actions), -1)
    classes = np.full(len(rows), -1)
    number = 0
    while len(left := np.flatnonzero(classes < 0)):
        near = np.all(np.abs(rows[left] - rows[left[0]]) <= tolerance, axis=1)
        classes[left[near]] = number
        number += 1
    return classes
