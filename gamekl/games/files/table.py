"""What every file of payoffs comes to: a table and the names in it."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.names import Names
from gamekl.core.validation import check_finite

MAX_NUMBERS = 1 << 27


@dataclass(frozen=True)
class Table:
    """A game as it was read.

    Attributes:
        payoffs: ``[player, *actions]``.
        names: in the game; None where the file has none.
    """

    payoffs: np.ndarray
    names: Names | None = None

    def game(self, dtype: Any) -> NormalFormGame:
        """The game of payoffs that are finite also after they are cast."""
        try:
            known = dtype is None or jnp.dtype(dtype).name in ("float32", "float64")
        except TypeError:
            known = False
        if not known:
            raise ValueError(f"dtype: got {dtype!r}, takes 'float32' or 'float64'")
        game = NormalFormGame(jnp.asarray(self.payoffs, dtype=dtype or float))
        check_finite("payoffs", np.asarray(game.payoffs))
        return game if self.names is None else game.with_names(self.names)
