"""Payoffs as rational numbers: what the floats are, or what they were most likely written as.

Every float is a rational number, a whole number times a power of 2. But 0.1 and 1/3 are none of these, so that a game
that was written in decimals or fractions has lost its ties: 0.1 + 0.2 and 0.3 are apart as floats.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np

Row = tuple[Fraction, ...]
Rows = tuple[Row, ...]
READINGS = ("simplest", "exact")

# The largest denominator, and most digits of a decimal, that a float of so many bits is taken to stand for. Of random
# numbers fewer than one in some hundred rounds to the like.
MOST_DENOMINATOR = {64: 10**6, 32: 10**2}
MOST_DIGITS = {64: 12, 32: 5}


def simplest_between(low: Fraction, high: Fraction, most: int) -> Fraction | None:
    """The fraction of least denominator strictly between two numbers with no whole number among them, 0 <= low < high.

    The continued fractions of both agree up to a place; there it takes the least number that fits. None if the
    denominator is larger than `most`.
    """
    (a, b), (c, d) = low.as_integer_ratio(), high.as_integer_ratio()
    (before, under_before), (last, under) = (0, 1), (1, 0)
    while under <= most:
        whole = a // b
        fits = (whole + 1) * d < c  # d is 0 where no bound is above
        term = whole + 1 if fits else whole
        (before, under_before), (last, under) = (last, under), (term * last + before, term * under + under_before)
        if fits:
            return Fraction(last, under) if under <= most else None
        (a, b), (c, d) = (d, c - whole * d), (b, a - whole * b)
    return None


def simplest(value: np.floating) -> Fraction:
    """The number that a float was most likely written as.

    That is the fraction of least denominator that rounds to it, if the denominator is at most 10^6 (10^2 of a float of
    32 bits); else the shortest decimal that rounds to it, if it has at most 12 digits (5); else the float itself.
    """
    own = Fraction(float(value))
    if own.denominator == 1:
        return own
    bits, size = 8 * value.dtype.itemsize, np.abs(value)
    # Exclusive: at the ends a tie may be rounded either way.
    below, above = (Fraction(float(np.nextafter(size, value.dtype.type(end)))) for end in (0, np.inf))
    found = simplest_between((abs(own) + below) / 2, (abs(own) + above) / 2, MOST_DENOMINATOR[bits])
    if found is not None:
        return found if own > 0 else -found
    written = Decimal(str(value))
    return Fraction(written) if len(written.as_tuple().digits) <= MOST_DIGITS[bits] else own


def check_reading(rationals: str) -> None:
    """Raise ``ValueError`` unless there is such a reading."""
    if rationals not in READINGS:
        raise ValueError(f"rationals: got {rationals!r}, takes one of {', '.join(map(repr, READINGS))}")


def read_payoffs(table: np.ndarray, rationals: str) -> Rows:
    """A matrix of finite floats as rational numbers.

    Args:
        table: of float64, or another dtype of floats.
        rationals: "simplest" for what they were most likely written as (`simplest`), "exact" for what they are.
    """
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    read = simplest if rationals == "simplest" else lambda value: Fraction(float(value))
    return tuple(tuple(read(entry) for entry in row) for row in table)


def reduced(rows: Sequence[Row], size: int) -> tuple[list[list[Fraction]], list[int]]:
    """The reduced echelon form of the matrix of some rows of this size, without rows of 0, and its pivots' columns."""
    left = [list(row) for row in rows]
    pivots: list[int] = []
    for column in range(size):
        at = next((index for index in range(len(pivots), len(left)) if left[index][column]), None)
        if at is None:
            continue
        here = len(pivots)
        left[here], left[at] = left[at], left[here]
        left[here] = [entry / left[here][column] for entry in left[here]]
        for index, row in enumerate(left):
            if index != here and row[column]:
                left[index] = [a - row[column] * b for a, b in zip(row, left[here], strict=True)]
        pivots.append(column)
    return left[: len(pivots)], pivots
