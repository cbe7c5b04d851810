"""What policies lose, in whole numbers of any size, so that nothing is rounded."""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

# Shares with a larger denominator are not taken for rational numbers.
MOST_DENOMINATOR = 10_000
# Payoffs in units in which all are whole, as objects of Python's.
Whole = np.ndarray


def whole_numbers(table: np.ndarray) -> tuple[Whole, int]:
    """Rational numbers times their least common denominator, and that."""
    under = math.lcm(*(entry.denominator for entry in table.ravel()))
    scaled = [entry.numerator * (under // entry.denominator) for entry in table.ravel()]
    return np.array(scaled, dtype=object).reshape(table.shape), under


class ExactGame:
    """A game's payoffs as rational numbers.

    Attributes:
        payoffs: ``[player, *actions]``, of `Fraction`.
    """

    def __init__(self, payoffs: np.ndarray) -> None:
        """Of payoffs as rational numbers."""
        self.payoffs = payoffs
        self._whole = [whole_numbers(table) for table in payoffs]

    def differences(self, player: int) -> np.ndarray:
        """What an action brings more than another one, ``[other, action, *others' actions]``, nearest floats."""
        whole, under = self._whole[player]
        own = np.moveaxis(whole, player, 0)
        more = own[None] - own[:, None]
        return np.array([entry / under for entry in more.ravel()], dtype=np.float64).reshape(more.shape)

    def judge(self, policies: Sequence[Sequence[Fraction]]) -> tuple[list[Fraction], list[Fraction]]:
        """What each player could gain, and what it earns, of policies that sum to 1."""
        shares = [whole_numbers(np.array(own, dtype=object)) for own in policies]
        scale = math.prod(under for _, under in shares)
        gains, earned = [], []
        for player, (whole, under) in enumerate(self._whole):
            rows = whole
            for other in reversed(range(len(shares))):
                if other != player:
                    rows = np.tensordot(rows, shares[other][0], axes=(other, 0))
            per_action = scale // shares[player][1] * under
            best, mine = max(rows.tolist()), np.dot(rows, shares[player][0])
            earned.append(Fraction(int(mine), scale * under))
            gains.append(Fraction(int(best), per_action) - earned[-1])
        return gains, earned


def read_policies(policies: Sequence[np.ndarray]) -> tuple[tuple[Fraction, ...], ...] | None:
    """The policies of small denominators that are next to these; None where they do not sum to 1."""
    read = tuple(tuple(Fraction(float(share)).limit_denominator(MOST_DENOMINATOR) for share in own) for own in policies)
    return read if all(sum(own) == 1 for own in read) else None


def normalized(policies: Sequence[np.ndarray]) -> list[list[Fraction]]:
    """Policies of floats, each divided by its exact sum."""
    exact = [[Fraction(float(share)) for share in own] for own in policies]
    return [[share / sum(own) for share in own] for own in exact]


def rounded_up(value: Fraction) -> float:
    """The least float that is not below a number >= 0."""
    near = float(value)
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)
