"""The policy of most entropy, or nearest to a reference, among the mixtures of some vertices of a polyhedron.

The mixtures of the vertices of a face of a best-response polyhedron are the face itself,

    {x : x_i = 0 for i not in S, s_j(x) = 0 for j in T, s_j(x) >= 0 for others},      s_j(x) = (b_t - b_j)^T x,

where b_j is what the opponent earns by action j, T are its best responses at all of the vertices, with t among them,
and S are the actions played in any vertex. The mean of the vertices is in its interior, and x = mean + N z, where the
columns of N span what the equations leave, found in rational numbers. So KL(x || reference) is minimised over z, by a
primal-dual interior-point method that ends with Newton's method on the constraints that are tight.

KL is convex: no mixture has a lower one than at x by more than the largest (x - v)^T grad KL(x) over the vertices v,
which is the certificate.

Derived here; the certificate is that of Frank and Wolfe (1956).
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gamekl.solvers.exact.extreme.equilibria import earnings
from gamekl.solvers.exact.extreme.rationals import Row, reduced

MAX_STEPS = 200
# The part of the complementarity that a step is to leave, and the part of the way to the boundary that it may go.
CENTRING, TO_BOUNDARY = 0.1, 0.99
# Complementarity at which constraints are told apart, and steps of Newton's method behind.
SMALL, POLISHINGS = 1e-14, 4


class Nearest(NamedTuple):
    """A policy, and how good it is.

    Attributes:
        policy: shape ``[action]``.
        divergence: KL(policy || reference), nats.
        gap: by how much another mixture's may be less, nats.
    """

    policy: Float[np.ndarray, " action"]
    divergence: float
    gap: float


class Face(NamedTuple):
    """A face around its centre: the actions played are x = centre + basis z, and the slacks room + slope z >= 0."""

    centre: Float[np.ndarray, " played"]
    basis: Float[np.ndarray, "played z"]
    room: Float[np.ndarray, " row"]
    slope: Float[np.ndarray, "row z"]


def _null_space(rows: Sequence[Row], size: int) -> Float[np.ndarray, "size free"]:
    """An orthonormal basis of what rational equations leave: its dimension is exact."""
    left, pivots = reduced(rows, size)
    free = [column for column in range(size) if column not in pivots]
    basis = np.zeros((size, len(free)))
    for index, column in enumerate(free):
        basis[column, index] = 1
        basis[pivots, index] = [-float(row[column]) for row in left]
    return np.linalg.qr(basis)[0]


def _face(vertices: Sequence[Row], earned: Sequence[Row], played: Sequence[int]) -> Face:
    count = len(vertices)
    columns = [tuple(earned[action][other] for action in played) for other in range(len(earned[0]))]
    worth = [earnings(columns, tuple(vertex[action] for action in played)) for vertex in vertices]
    lacking = [[max(row) - entry for entry in row] for row in worth]
    mean = [sum(column, Fraction(0)) / count for column in zip(*lacking, strict=True)]
    best = mean.index(0)
    slacks = [tuple(b - a for a, b in zip(column, columns[best], strict=True)) for column in columns]
    equations = [row for row, room in zip(slacks, mean, strict=True) if not room and any(row)]
    basis = _null_space([(Fraction(1),) * len(played), *equations], len(played))
    centre = np.array([float(sum((v[action] for v in vertices), Fraction(0)) / count) for action in played])
    sizes = [max(map(abs, row)) for row in slacks]
    rows = [(row, room, size) for row, room, size in zip(slacks, mean, sizes, strict=True) if room]
    room = np.array([float(room / size) for _, room, size in rows])
    slope = np.array([[float(entry / size) for entry in row] for row, _, size in rows]).reshape(len(rows), len(played))
    slope = slope @ basis
    moving = np.any(np.abs(slope) > 1e-14, axis=1)
    return Face(centre, basis, room[moving], slope[moving])


def _length(value: np.ndarray, change: np.ndarray) -> float:
    """The part of a step that leaves positive numbers positive."""
    falls = change < 0
    return float(min(1.0, TO_BOUNDARY * np.min(-value[falls] / change[falls], initial=np.inf)))


def _approach(face: Face, log_reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The point z, and multipliers of the slacks, by the interior-point method."""
    centre, basis, room, slope = face
    z, slack = np.zeros(basis.shape[1]), room
    multiplier = 0.1 / slack
    for _ in range(MAX_STEPS):
        x = centre + basis @ z
        mu = slack @ multiplier / max(1, len(slack))
        gradient = basis.T @ (np.log(x) - log_reference)
        bend = (basis.T / x) @ basis + (slope.T * (multiplier / slack)) @ slope
        right = gradient - slope.T @ (CENTRING * mu / slack)
        step = -np.linalg.lstsq(bend, right, rcond=None)[0]
        moved = slope @ step
        multiplier_step = (CENTRING * mu - multiplier * moved) / slack - multiplier
        length = min(_length(x, basis @ step), _length(slack, moved))
        # Towards the boundary the logarithm bends much: no step is to be worse than Newton's method can tell.
        length = min(length, 1 / (1 + float(np.max(np.abs(basis @ step) / x, initial=0)) / 4))
        z = z + length * step
        multiplier = multiplier + _length(multiplier, multiplier_step) * multiplier_step
        slack = room + slope @ z
        if np.min(slack, initial=1) <= 0 or (mu <= SMALL and np.max(np.abs(basis @ step) / x, initial=0) <= 1e-9):
            break
    return z, multiplier


def _polish(face: Face, log_reference: np.ndarray, z: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """The point after Newton's method on the slacks that are 0 and the stationarity of the rest."""
    centre, basis, room, slope = face
    tight = multiplier > room + slope @ z
    rows, price = slope[tight], multiplier[tight]
    for _ in range(POLISHINGS):
        x = centre + basis @ z
        if np.min(x) <= 0:
            break
        system = np.block([[(basis.T / x) @ basis, -rows.T], [rows, np.zeros((len(rows), len(rows)))]])
        right = np.concatenate([basis.T @ (np.log(x) - log_reference) - rows.T @ price, room[tight] + rows @ z])
        step = np.linalg.lstsq(system, -right, rcond=None)[0]
        z, price = z + step[: len(z)], price + step[len(z) :]
    return z


def nearest(
    vertices: Sequence[Row], earned: Sequence[Row], log_reference: Float[np.ndarray, " action"]
) -> Nearest | None:
    """The mixture of the vertices of a face with the least KL from a reference; None if all are infinitely far.

    Args:
        vertices: policies, ``[vertex][action]``.
        earned: what the opponent earns, ``[action][action of the opponent]``.
        log_reference: need not be normalised; where it is -inf nothing is to be played.
    """
    vertices = [
        v for v in vertices if all(np.isfinite(a) or not share for a, share in zip(log_reference, v, strict=True))
    ]
    if not vertices:
        return None
    played = [action for action in range(len(vertices[0])) if any(v[action] for v in vertices)]
    own = log_reference[played]
    corners = np.array([[float(v[action]) for action in played] for v in vertices])

    def judged(x: np.ndarray) -> Nearest:
        x = np.maximum(x, 0)
        x = x / x.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.log(x) - own
            paid = np.where(x > 0, x * slope, 0)
            gap = float(paid.sum() - np.min(np.where(corners > 0, corners * slope, 0).sum(axis=1)))
        policy = np.zeros(len(log_reference))
        policy[played] = x
        return Nearest(policy, float(paid.sum()), max(gap, 0.0))

    if len(vertices) == 1:
        return judged(corners[0])
    face = _face(vertices, earned, played)
    z, multiplier = _approach(face, own)
    candidates = [judged(face.centre + face.basis @ z)]
    polished = _polish(face, own, z, multiplier)
    if (
        np.min(face.centre + face.basis @ polished) > 0
        and np.min(face.room + face.slope @ polished, initial=0) >= -1e-13
    ):
        candidates.append(judged(face.centre + face.basis @ polished))
    return min(candidates, key=lambda found: found.gap)
