"""What can be fitted to play: policies that change with the players' rationality, lambda = 1 / temperature."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


class Turns(NamedTuple):
    """Where a curve is not smooth in rationality.

    Attributes:
        rationalities: at which it turns back (a fold of the path) or leaves for another branch, shape ``[turn]``.
        end: how far it goes: what was asked for, or less.
        reason: why it goes no farther; empty where it goes as far as asked.
    """

    rationalities: Float[np.ndarray, " turn"]
    end: float
    reason: str


@runtime_checkable
class PolicyCurve(Protocol):
    """The policies of a game by rationality; games in normal form, trees and risk-averse players may have one."""

    @property
    def scale(self) -> float:
        """The largest range of a player's payoffs, payoff units."""
        ...

    @property
    def log_start(self) -> tuple[Float[np.ndarray, " _"], ...]:
        """The log-policies at rationality 0, the references, one array ``[actions_i]`` for each policy."""
        ...

    def turns(self, end: float) -> Turns:
        """Where it is not smooth, up to this rationality."""
        ...

    def at(
        self, rationalities: Float[np.ndarray, " point"], end: float
    ) -> tuple[Float[np.ndarray, "point crossing _"], ...]:
        """The log-policies at rationalities up to `end`, each time that the curve comes to them before its end there.

        They are in the curve's order, and NaN where it comes no more.
        """
        ...
