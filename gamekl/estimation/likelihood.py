"""The logarithm of the likelihood along the curves: where it is largest, and where it is above a level.

It is linear in log-policies, so that on each segment it is a polynomial like these, and its coefficients are counts
times theirs: of many samples at once in one product of matrices.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.polynomial import chebyshev

from gamekl.estimation.pieces import basis
from gamekl.estimation.segments import Segments

# Places of each segment at which it is looked at, both ends among them, and steps of Newton's method from the best.
LOOKS = np.linspace(-1, 1, 41)
STEPS = 8
# Behind an end: the u beside it, at an end of 1.
INSIDE = 0.99
# Differences of likelihoods, beside the largest, that are rounding.
NOISE = 1e-12
# What is so near to an end is at it.
ROUNDING = 1e-6
# Samples at a time, so that tables stay in the cache; and in one product, so small that BLAS does it in one thread:
# where processors are busy its threads wait a hundred times as long for each other as the product takes.
AT_A_TIME, IN_A_PRODUCT = 256, 16


class Maxima(NamedTuple):
    """The largest likelihood of each of several samples.

    Attributes:
        segment: where it is, shape ``[sample]``.
        u: its place there.
        rationality: likewise.
        value: the log-likelihood there, without the multinomial coefficient.
    """

    segment: Int[np.ndarray, " sample"]
    u: Float[np.ndarray, " sample"]
    rationality: Float[np.ndarray, " sample"]
    value: Float[np.ndarray, " sample"]

    def first(self, number: int) -> "Maxima":
        """The first ones."""
        return Maxima(*(entry[:number] for entry in self))


class Slopes(NamedTuple):
    """The log-likelihood's derivatives by log(rationality) at a place; NaN at a fold or where rationality is 0."""

    first: float
    second: float


class Likelihood:
    """The log-likelihood on segments."""

    def __init__(self, segments: Segments) -> None:
        """Take the policies."""
        self.segments = segments
        self._table = np.stack([segment.coefficients for segment in segments.segments])
        looked = self._table @ basis(LOOKS)
        self._looked = np.moveaxis(looked, 1, 0).reshape(looked.shape[1], -1)

    def _coefficients(self, counts: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "segment node"]:
        return np.einsum("c,pcn->pn", counts, self._table)

    def _values(self, counts: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "segment look"]:
        return (counts @ self._looked).reshape(-1, len(LOOKS))

    def rationality(self, segment: Int[np.ndarray, " place"], u: Float[np.ndarray, " place"]) -> np.ndarray:
        """The rationality of places."""
        x = np.zeros(len(u))
        for row in np.unique(segment):
            here = segment == row
            x[here] = self.segments.segments[row].piece.place(u[here])
        return self.segments.rationality(x)

    def maximize(self, counts: Float[np.ndarray, "sample cell"]) -> Maxima:
        """The largest likelihood of each sample."""
        parts = [self._maximize(counts[start : start + AT_A_TIME]) for start in range(0, len(counts), AT_A_TIME)]
        segment, u, value = (np.concatenate(entries) for entries in zip(*parts, strict=True))
        return Maxima(segment, u, self.rationality(segment, u), value)

    def _maximize(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        samples = np.arange(len(counts))
        parts = range(0, len(counts), IN_A_PRODUCT)
        values = np.concatenate([counts[start : start + IN_A_PRODUCT] @ self._looked for start in parts])
        found = []
        # A maximum beside a joint may belong to the segment before it or to that behind.
        for _ in range(2):
            # The first of equals, so that a flat likelihood has its maximum at the lowest rationality.
            segment, look = np.divmod(np.argmax(values, axis=1), len(LOOKS))
            own = np.einsum("sc,scn->sn", counts, self._table[segment])
            found.append((segment, *refine(own, look)))
            values.reshape(len(counts), -1, len(LOOKS))[samples, segment] = -np.inf
        second = found[1][2] > found[0][2]
        segment, u, value = (np.where(second, *pair) for pair in zip(found[1], found[0], strict=True))
        return segment, u, value

    def range(self, counts: Float[np.ndarray, " cell"]) -> float:
        """How much the log-likelihood changes over all."""
        return float(np.ptp(self._values(counts)))

    def at_end(self, counts: Float[np.ndarray, " cell"]) -> float:
        """The largest where the curves end."""
        every = self.segments.segments
        rows = [row for row, segment in enumerate(every) if segment.piece.high == every[-1].piece.high]
        return float(np.max(self._values(counts)[rows, -1]))

    def peaks(self, counts: Float[np.ndarray, " cell"]) -> Maxima:
        """All local maxima of a sample, the highest first."""
        given, values = self._coefficients(counts), self._values(counts)
        padded = np.pad(values, ((0, 0), (1, 1)), constant_values=-np.inf)
        noise = NOISE * (1 + np.abs(values).max())
        rises, falls = padded[:, 1:-1] > padded[:, :-2] + noise, padded[:, 1:-1] >= padded[:, 2:] - noise
        rows, looks = np.nonzero(rises & falls)
        u, value = refine(given[rows], looks)
        u = np.where(np.abs(u) > 1 - ROUNDING, np.sign(u), u)
        ends = [self._end(row, place) for row, place in zip(rows.tolist(), u.tolist(), strict=True)]
        kept: dict[float, int] = {}
        for number in np.argsort(-value, kind="stable").tolist():
            if np.isnan(ends[number]):
                kept[float(-number - 1)] = number
            # At a joint: a maximum, unless another segment there goes on to a larger value.
            elif not any(self._rises(own, ends[number], float(value[number]), row) for row, own in enumerate(given)):
                kept.setdefault(ends[number], number)
        order = np.array(list(kept.values()), int)
        return Maxima(rows[order], u[order], self.rationality(rows[order], u[order]), value[order])

    def _end(self, row: int, u: float) -> float:
        """The x of a place at a segment's end; NaN inside."""
        piece = self.segments.segments[row].piece
        return {-1.0: piece.low, 1.0: piece.high}.get(u, np.nan)

    def _rises(self, own: np.ndarray, end: float, value: float, row: int) -> bool:
        """Whether a segment with an end there, and this value at it, rises from it."""
        piece = self.segments.segments[row].piece
        sides = [side for side, own_end in ((-1.0, piece.low), (1.0, piece.high)) if own_end == end]
        close = 1e-8 * (1 + abs(value))
        # Where the variable is made for a fold of another stretch, the slope at the end is 0.
        pairs = [chebyshev.chebval(np.array([side, side * INSIDE]), own) for side in sides]
        return any(abs(at - value) < close and beside > at for at, beside in pairs)

    def above(self, counts: Float[np.ndarray, " cell"], level: float) -> list[tuple[float, float]]:
        """The ranges of rationality where some segment's likelihood is at least so large, ascending."""
        ranges: list[tuple[float, float]] = []
        for row, own in enumerate(self._coefficients(counts)):
            crossings = _crossings(own, level)
            cuts = np.concatenate([[-1.0], crossings, [1.0]])
            middles = (cuts[:-1] + cuts[1:]) / 2
            inside = chebyshev.chebval(middles, own) >= level
            for low, high, there in zip(cuts[:-1], cuts[1:], inside, strict=True):
                if there:
                    ends = self.rationality(np.array([row, row]), np.array([low, high]))
                    ranges.append((float(ends[0]), float(ends[1])))
        return _union(ranges)

    def slopes(self, counts: Float[np.ndarray, " cell"], segment: int, u: float) -> Slopes:
        """Derivatives at a place."""
        own = counts @ self._table[segment]
        first, second = _by_log_rationality(
            self.segments, segment, u, [(chebyshev.chebval(u, chebyshev.chebder(own, m=order))) for order in (1, 2)]
        )
        return Slopes(float(first), float(second))

    def scores(self, segment: int, u: float) -> Float[np.ndarray, " cell"]:
        """The derivative of each log-policy by log(rationality) at a place."""
        own = self._table[segment].T
        rates = [chebyshev.chebval(u, chebyshev.chebder(own, m=order)) for order in (1, 2)]
        return np.asarray(_by_log_rationality(self.segments, segment, u, rates)[0])


def _by_log_rationality(segments: Segments, segment: int, u: float, rates: list) -> tuple:
    """From derivatives by u to such by log(rationality)."""
    piece = segments.segments[segment].piece
    x = float(piece.place(np.array([u]))[0])
    slope, bend = (float(rate[0]) for rate in piece.slopes(np.array([u])))
    with np.errstate(all="ignore"):
        by_x = rates[0] / np.float64(slope)
        twice = (rates[1] - by_x * bend) / np.float64(slope) ** 2
    # x = log(1 + rationality scale), so that dx / dlog(rationality) = 1 - exp(-x).
    share = -np.expm1(-x)
    return by_x * share, twice * share**2 + by_x * share * np.exp(-x)


def refine(
    given: Float[np.ndarray, "row node"], looks: Int[np.ndarray, " row"]
) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """The largest values of polynomials around the places that they were looked at: the place, and the value."""
    low, high = LOOKS[np.maximum(looks - 1, 0)], LOOKS[np.minimum(looks + 1, len(LOOKS) - 1)]
    first, second = (chebyshev.chebder(given, m=order, axis=1) for order in (1, 2))
    u = LOOKS[looks].copy()
    for _ in range(STEPS):
        slope, bend = _at(first, u), _at(second, u)
        low, high = np.where(slope > 0, u, low), np.where(slope < 0, u, high)
        with np.errstate(all="ignore"):
            newton = u - slope / bend
        inside = (bend < 0) & (newton >= low) & (newton <= high)
        u = np.where(slope == 0, u, np.where(inside, newton, (low + high) / 2))
    return u, _at(given, u)


def _at(given: Float[np.ndarray, "row node"], u: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    return np.einsum("rn,rn->r", given, chebyshev.chebvander(u, given.shape[1] - 1))


def _crossings(own: Float[np.ndarray, " node"], level: float) -> Float[np.ndarray, " crossing"]:
    """Where a polynomial has a value, inside of -1 to 1, ascending."""
    shifted = own.copy()
    shifted[0] -= level
    if np.abs(shifted[0]) > np.abs(shifted[1:]).sum():
        return np.zeros(0)
    trimmed = np.trim_zeros(shifted, "b")
    if len(trimmed) < 2:
        return np.zeros(0)
    roots = chebyshev.chebroots(trimmed)
    real = roots[np.abs(roots.imag) < 1e-8].real
    return np.sort(real[(real > -1) & (real < 1)])


def _union(ranges: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Ranges that do not meet, ascending."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] * (1 + 1e-9) + 1e-300:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found
