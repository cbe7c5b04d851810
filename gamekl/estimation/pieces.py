"""Functions of rationality by pieces, each a polynomial of Chebyshev's in a variable in which it is smooth.

At a fold of the path policies change like the square root of the distance from the fold's rationality. So a piece of
rationalities that ends at a fold has a variable u in which rationality is a parabola there, and policies are smooth
functions of u up to both ends (derived; theory, "Policies by rationality").
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.polynomial import chebyshev

# Chebyshev's points of a piece, which lie inside; none is at a fold.
NUM_NODES = 16
_ANGLES = (np.arange(NUM_NODES) + 0.5) * np.pi / NUM_NODES
NODES = -np.cos(_ANGLES)
# From values at the nodes to coefficients.
_TO_COEFFICIENTS = np.linalg.inv(chebyshev.chebvander(NODES, NUM_NODES - 1))


class Piece(NamedTuple):
    """A range of x = log(1 + lambda scale), and how it is run through by u from -1 to 1.

    Attributes:
        low: its lower end.
        high: its upper end.
        turns_low: whether the curve turns at the lower end.
        turns_high: likewise.
    """

    low: float
    high: float
    turns_low: bool = False
    turns_high: bool = False

    def place(self, u: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
        """The x of u."""
        return self.low + (self.high - self.low) * self._share(u, 0)

    def slopes(self, u: Float[np.ndarray, " point"]) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
        """The first and the second derivative of x by u."""
        length = self.high - self.low
        return length * self._share(u, 1), length * self._share(u, 2)

    def _share(self, u: Float[np.ndarray, " point"], order: int) -> Float[np.ndarray, " point"]:
        """The share of the piece below u, or a derivative of it."""
        if self.turns_low and self.turns_high:
            angle = np.pi / 4 * (1 + u)
            return (np.sin(angle) ** 2, np.pi / 4 * np.sin(2 * angle), np.pi**2 / 8 * np.cos(2 * angle))[order]
        if self.turns_low:
            return (((1 + u) / 2) ** 2, (1 + u) / 2, np.full_like(u, 0.5))[order]
        if self.turns_high:
            return (1 - ((1 - u) / 2) ** 2, (1 - u) / 2, np.full_like(u, -0.5))[order]
        return ((1 + u) / 2, np.full_like(u, 0.5), np.zeros_like(u))[order]

    def halves(self) -> tuple["Piece", "Piece"]:
        """Two pieces of it."""
        middle = float(self.place(np.zeros(1))[0])
        return self._replace(high=middle, turns_high=False), self._replace(low=middle, turns_low=False)

    def nodes(self) -> Float[np.ndarray, " node"]:
        """The x of the nodes."""
        return self.place(NODES)


def coefficients(values: Float[np.ndarray, "... node"]) -> Float[np.ndarray, "... node"]:
    """Of the polynomials that have these values at the nodes, by Chebyshev's polynomials."""
    return values @ _TO_COEFFICIENTS.T


def fineness(given: Float[np.ndarray, "row node"]) -> float:
    """The size of the last coefficients of polynomials, beside the largest or 1: about the error that they leave."""
    size = np.maximum(1, np.abs(given).max(axis=-1, keepdims=True))
    return float(np.max(np.abs(given[:, -3:]) / size, initial=0.0))


def basis(u: Float[np.ndarray, " point"], order: int = 0) -> Float[np.ndarray, "node point"]:
    """Values of the polynomials, or of a derivative of theirs, at u: what coefficients are to be multiplied by."""
    rows = np.eye(NUM_NODES)
    found = chebyshev.chebder(rows, m=order) if order else rows
    return chebyshev.chebval(u, found)
