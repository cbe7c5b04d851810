"""Policies of several games at one rationality, as polynomials by pieces of the curves."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gamekl.core.kernels.curves import PolicyCurve
from gamekl.estimation.pieces import NUM_NODES, Piece, basis, coefficients, fineness

# The longest piece at first, and the shortest, in x; how small last coefficients have to be, as a power of the dtype's
# eps; and from which size on they are rounding, if halving a piece twice does not make them so much smaller.
LONGEST, SHORTEST = 0.5, 1e-5
FINE_POWER, NOISE_POWER = 0.75, 0.3
HALVED = 0.1
# Of the last rationality, relative.
ROUNDING = 1e-9
# Most combinations of stretches of folded curves at one rationality.
MOST_COMBINATIONS = 256


class Segment(NamedTuple):
    """One piece of rationalities on one stretch of each game's curve.

    Attributes:
        piece: of x = log(1 + lambda scale).
        stretches: which time each curve comes to these rationalities, from 0.
        coefficients: of each log-policy, game by game, ``[cell, node]``.
    """

    piece: Piece
    stretches: tuple[int, ...]
    coefficients: Float[np.ndarray, "cell node"]

    def log_policies(self, u: float) -> Float[np.ndarray, " cell"]:
        """The log-policies at u."""
        return (self.coefficients @ basis(np.array([u])))[:, 0]


class Segments(NamedTuple):
    """All of them up to where the curves go.

    Attributes:
        segments: from low to high rationality.
        scale: payoff units.
        end: the last rationality.
        turns: rationalities at which a curve turns, ascending.
        reason: why it is not as far as was asked for, or empty.
    """

    segments: tuple[Segment, ...]
    scale: float
    end: float
    turns: Float[np.ndarray, " turn"]
    reason: str

    def rationality(self, x: Float[np.ndarray, " point"]) -> Float[np.ndarray, " point"]:
        """The rationality of x."""
        return np.expm1(x) / self.scale

    def is_end(self, rationality: Float[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
        """Whether rationalities are the last one, but for rounding."""
        return rationality >= self.end * (1 - ROUNDING)


def _first_pieces(turns: Sequence[float], last: float) -> list[Piece]:
    ends = [0.0, *turns, last]
    pieces = []
    for number, (low, high) in enumerate(itertools.pairwise(ends)):
        parts = max(1, int(np.ceil((high - low) / LONGEST)))
        cuts = np.linspace(low, high, parts + 1)
        for part, (start, stop) in enumerate(itertools.pairwise(cuts)):
            opens, closes = number > 0 and part == 0, number < len(turns) and part == parts - 1
            pieces.append(Piece(float(start), float(stop), opens, closes))
    return pieces


def _stretches(values: tuple[np.ndarray, ...]) -> np.ndarray | None:
    """Coefficients ``[stretch, cell, node]`` of a curve on a piece, of values ``[node, crossing, actions_i]``.

    None where the curve comes there more often at some nodes than at others, without stretches where it never comes.
    """
    joined = np.concatenate(values, axis=2)
    there = np.all(np.isfinite(joined) | np.isneginf(joined), axis=2)
    count = int(there[0].sum())
    if not np.array_equal(there, np.broadcast_to(np.arange(there.shape[1]) < count, there.shape)):
        return None
    finite = np.where(np.isfinite(joined[:, :count]), joined[:, :count], 0)  # what is masked is never played
    return coefficients(np.moveaxis(finite, 0, -1))


def build_segments(curves: Sequence[PolicyCurve], end: float, eps: float) -> Segments:
    """The policies of several games up to a rationality.

    Args:
        curves: of the games.
        end: the rationality.
        eps: of the dtype in which they are solved.

    Raises:
        ValueError: too many combinations of stretches, or a curve that cannot be followed.
    """
    scale = max((curve.scale for curve in curves), default=0.0) or 1.0
    turns = [curve.turns(end) for curve in curves]
    shortest = min(turns, key=lambda found: found.end)
    end = shortest.end
    places = np.unique(np.concatenate([found.rationalities for found in turns]))
    places = places[places < end]
    first = _first_pieces(np.log1p(places * scale).tolist(), float(np.log1p(end * scale)))
    pending = [(piece, np.inf, np.inf) for piece in first]
    fine, noise = eps**FINE_POWER, eps**NOISE_POWER
    done: list[Segment] = []
    lost: list[float] = []
    while pending:
        nodes = np.expm1(np.concatenate([piece.nodes() for piece, *_ in pending])) / scale
        values = [curve.at(nodes, end) for curve in curves]
        coarse = []
        for number, (piece, before, half_before) in enumerate(pending):
            rows = slice(number * NUM_NODES, (number + 1) * NUM_NODES)
            found = [_stretches(tuple(part[rows] for part in game)) for game in values]
            if any(own is not None and len(own) == 0 for own in found):
                lost.append(piece.low)
                continue
            last = max(np.inf if own is None else max(map(fineness, own)) for own in found)
            rounding = last < noise and last > HALVED * before
            if last > fine and not rounding and piece.high - piece.low > SHORTEST:
                coarse.extend((half, half_before, last) for half in piece.halves())
                continue
            if any(own is None for own in found):
                lost.append(piece.low)
                continue
            done.extend(_combined(piece, [own for own in found if own is not None]))
        pending = coarse
    if lost:
        at = np.expm1(min(lost)) / scale
        raise ValueError(f"games: got paths that are lost near rationality {at:.6g}, takes max_rationality below")
    done.sort(key=lambda segment: (segment.piece.low, segment.stretches))
    return Segments(tuple(done), scale, end, places, shortest.reason)


def _combined(piece: Piece, found: Sequence[np.ndarray]) -> list[Segment]:
    """A segment for each combination of the curves' stretches."""
    counts = list(map(len, found))
    if np.prod(counts) > MOST_COMBINATIONS:
        raise ValueError(
            f"games: got {' x '.join(map(str, counts))} stretches of folded paths at one rationality, takes at most "
            f"{MOST_COMBINATIONS} combinations; max_rationality cuts them"
        )
    return [
        Segment(piece, stretches, np.concatenate([own[stretch] for own, stretch in zip(found, stretches, strict=True)]))
        for stretches in itertools.product(*map(range, counts))
    ]
