"""The anchor: a reference policy for each player, and the price of leaving it.

Player i maximises r_i(pi) - temperature_i * KL(pi_i || reference_i). Each player pays its own KL only: this is the
convention of the whole library. Adding the opponents' KL to r_i would change neither equilibria nor gaps.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import Game
from gamekl.core.policies import support
from gamekl.core.show import Shown
from gamekl.core.symmetric.game import SymmetricGame


class Regularizer(Shown):
    """The references and temperatures of all players.

    Player i maximises its payoff less temperature_i KL(policy_i || reference_i).

    Attributes:
        log_reference: one array ``[*stage, actions_i]`` for each player, logarithms of the reference policy; -inf
            masks an action, which is then never played. In a `SymmetricGame` one for all players, who share it.
        temperature: payoff units per nat, a scalar or one for each player ``[player]``; positive. With uniform
            references the equilibrium is the logit quantal response equilibrium of lambda = 1 / temperature.

    Raises:
        ValueError: the temperature's shape fits neither, or the references have no or different stage axes.
    """

    log_reference: tuple[Float[Array, "*stage _"], ...]
    temperature: Float[Array, ""] | Float[Array, " player"]

    def __init__(self, log_reference: Sequence[Any], temperature: Any) -> None:
        """Take any sequence of arrays and any number or array; the temperature gets the references' dtype."""
        self.log_reference = tuple(
            as_float_array(f"log_reference[{index}]", entry) for index, entry in enumerate(log_reference)
        )
        if not self.log_reference:
            raise ValueError("log_reference: got no player, takes one array for each player")
        self.temperature = as_float_array("temperature", temperature).astype(self.log_reference[0].dtype)

    def __check_init__(self) -> None:
        players = len(self.log_reference)
        if self.temperature.shape not in ((), (players,)):
            raise ValueError(
                f"temperature: got shape {self.temperature.shape}, takes a scalar or [player] = ({players},)"
            )
        for index, entry in enumerate(self.log_reference):
            if entry.ndim < 1 or entry.shape[-1] < 1 or entry.shape[:-1] != self.log_reference[0].shape[:-1]:
                raise ValueError(
                    f"log_reference[{index}]: got shape {entry.shape}, takes [*stage, actions] "
                    "with at least one action and the stage axes of the other players"
                )

    @classmethod
    def uniform(cls, game: Game | SymmetricGame, temperature: Any) -> "Regularizer":
        """Uniform references for every player (or role), stage and action of `game`, in the game's dtype."""
        if not hasattr(game, "roles"):
            raise TypeError(f"game: got {type(game).__name__}, takes a game, such as a NormalFormGame")
        shapes = [(*game.stage_shape, size) for size in game.roles]
        return cls([jnp.full(shape, -math.log(shape[-1]), dtype=game.dtype) for shape in shapes], temperature)

    @property
    def temperatures(self) -> Float[Array, " player"]:
        """The temperature of each player, shape ``[player]``."""
        return jnp.broadcast_to(self.temperature, (len(self.log_reference),))

    @property
    def masks(self) -> tuple[Bool[Array, "*stage _"], ...]:
        """Each player's support: the actions that its reference plays."""
        return tuple(support(entry) for entry in self.log_reference)

    def astype(self, dtype: Any) -> "Regularizer":
        """The same regularizer in another floating dtype (solvers use the payoffs')."""
        return Regularizer([entry.astype(dtype) for entry in self.log_reference], self.temperature.astype(dtype))

    @staticmethod
    def require(value: Any, field: str = "regularizer") -> None:
        """Raise ``TypeError`` unless `value` is a `Regularizer`."""
        if not isinstance(value, Regularizer):
            raise TypeError(f"{field}: got {type(value).__name__}, takes a Regularizer")

    def check_fits(self, game: Game | SymmetricGame) -> None:
        """Raise ``ValueError`` unless the references have the game's players, actions and stages."""
        if len(self.log_reference) != len(game.roles):
            alike = isinstance(game, SymmetricGame)
            takes = "one that all players share" if alike else f"one for each of the game's {game.num_players}"
            raise ValueError(f"log_reference: got references of {len(self.log_reference)} players, takes {takes}")
        for index, (entry, size) in enumerate(zip(self.log_reference, game.roles, strict=True)):
            if entry.shape != (*game.stage_shape, size):
                raise ValueError(
                    f"log_reference[{index}]: got shape {entry.shape}, takes {(*game.stage_shape, size)} for this game"
                )
