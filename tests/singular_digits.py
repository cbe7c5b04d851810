"""Folds and branching points of logit paths in 50 digits, for tests and benchmarks: extended systems, written anew.

F(z, lambda) = z - lambda C q(softmax(z)) with z the logits of all players, q what actions are worth, and C taking off
each player's mean; references are uniform. At a fold F = 0, F_z v = 0, v0 v = 1. Where another branch crosses the path
F + mu psi0 = 0, psi F_z = 0, psi F_lambda = 0, psi psi0 = 1, which is regular at pitchforks and transcritical points
(Moore, "The numerical treatment of non-trivial bifurcation points", 1980), and mu comes out as 0.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath
import numpy as np

DIGITS = 50
# More that it works in: central differences, in steps of the cube root of what these resolve, make Newton's matrix.
GUARD = 50
STEP = -(DIGITS + GUARD) // 3
MOST_STEPS = 12
# What counts as 0 of a number that would be of order 1, when it comes from a null vector in float64.
NOTHING = 1e-9

_exp: Any = np.frompyfunc(mpmath.exp, 1, 1)
_mpf: Any = np.frompyfunc(lambda entry: mpmath.mpf(float(entry)), 1, 1)


class Root(NamedTuple):
    """A singular point.

    Attributes:
        precision: lambda, 1 / temperature.
        policies: of the players, joined.
        kind: "fold", "pitchfork" or "transcritical", from the derivatives there.
        converged: whether Newton's last step was smaller than 1e-45, and mu too.
    """

    precision: float
    policies: np.ndarray
    kind: str
    converged: bool


class _System:
    """F and its derivatives."""

    def __init__(self, payoffs: np.ndarray) -> None:
        self.shape = payoffs.shape[1:]
        self.ends = np.cumsum([0, *self.shape])
        self.payoffs = _mpf(payoffs)

    def parts(self, z: np.ndarray) -> list[np.ndarray]:
        return [z[start:end] for start, end in zip(self.ends[:-1], self.ends[1:], strict=True)]

    def policies(self, z: np.ndarray) -> list[np.ndarray]:
        weights = [_exp(part - max(part)) for part in self.parts(z)]
        return [weight / weight.sum() for weight in weights]

    def __call__(self, z: np.ndarray, precision: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """F, F_z and F_lambda."""
        policies, players = self.policies(z), range(len(self.shape))
        slope, values = _mpf(np.eye(len(z))), np.zeros(len(z), object)
        for own in players:
            rows = slice(self.ends[own], self.ends[own + 1])
            value = np.zeros(self.shape[own], object)
            for other in players:
                if other == own:
                    continue
                pair = np.moveaxis(self.payoffs[own], (own, other), (0, 1))
                for third in reversed([third for third in players if third not in (own, other)]):
                    pair = pair @ policies[third]
                value = pair @ policies[other]
                moved = (pair - value[:, None]) * policies[other]
                moved = moved - moved.sum(axis=0) / len(moved)
                slope[rows, self.ends[other] : self.ends[other + 1]] -= precision * moved
            values[rows] = value - value.sum() / len(value)
        return z - precision * values, slope, -values

    def bend(self, z: np.ndarray, precision: Any, way: np.ndarray) -> np.ndarray:
        """The derivative of F_z along a way."""
        step = mpmath.mpf(10) ** STEP
        return (self(z + step * way, precision)[1] - self(z - step * way, precision)[1]) / (2 * step)


def _newton(equations: Callable, unknown: np.ndarray) -> tuple[np.ndarray, bool]:
    """Newton's method on what returns a residual and a matrix."""
    for _ in range(MOST_STEPS):
        off, matrix = equations(unknown)
        try:
            step = mpmath.lu_solve(mpmath.matrix(matrix.tolist()), mpmath.matrix(off.tolist()))
        except ZeroDivisionError:
            return unknown, False
        unknown = unknown - np.array(list(step), object)
        if max(map(abs, step)) < mpmath.mpf(10) ** (5 - DIGITS):
            return unknown, True
    return unknown, False


def _start(system: _System, log_policies: Sequence[np.ndarray], precision: float) -> tuple[np.ndarray, Any]:
    logits = [_mpf(entry) for entry in log_policies]
    return np.concatenate([part - part.sum() / len(part) for part in logits]), mpmath.mpf(precision)


def _null(matrix: np.ndarray) -> np.ndarray:
    """The left singular vector of the least singular value, in float64."""
    return _mpf(np.linalg.svd(matrix.astype(float))[0][:, -1])


def _root(system: _System, z: np.ndarray, precision: Any, converged: bool) -> Root:
    _, slope, pace = system(z, precision)
    left, right = _null(slope), _null(slope.T)
    curved = system.bend(z, precision, right) @ right
    crossed = abs(left @ pace) < NOTHING * (1 + mpmath.sqrt(pace @ pace))
    even = abs(left @ curved) < NOTHING * (1 + mpmath.sqrt(curved @ curved))
    kind = ("pitchfork" if even else "transcritical") if crossed else "fold"
    policies = np.concatenate(system.policies(z)).astype(float)
    return Root(float(precision), policies, kind, converged)


def fold(payoffs: np.ndarray, log_policies: Sequence[np.ndarray], precision: float) -> Root:
    """The fold near a point of a game with payoffs ``[player, *actions]``."""
    with mpmath.workdps(DIGITS + GUARD):
        system = _System(payoffs)
        z, precision = _start(system, log_policies, precision)
        size = len(z)
        norm = _null(system(z, precision)[1].T)

        def equations(unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z, v, precision = unknown[:size], unknown[size:-1], unknown[-1]
            off, slope, pace = system(z, precision)
            pushed = slope @ v
            matrix = _mpf(np.zeros((2 * size + 1,) * 2))
            matrix[:size, :size], matrix[:size, -1] = slope, pace
            matrix[size:-1, :size], matrix[size:-1, -1] = system.bend(z, precision, v), (pushed - v) / precision
            matrix[size:-1, size:-1], matrix[-1, size:-1] = slope, norm
            return np.array([*off, *pushed, norm @ v - 1], object), matrix

        unknown, converged = _newton(equations, np.array([*z, *norm, precision], object))
        return _root(system, unknown[:size], unknown[-1], converged)


def branching(payoffs: np.ndarray, log_policies: Sequence[np.ndarray], precision: float) -> Root:
    """The point near a point at which another branch crosses, of a game with payoffs ``[player, *actions]``."""
    with mpmath.workdps(DIGITS + GUARD):
        system = _System(payoffs)
        z, precision = _start(system, log_policies, precision)
        size = len(z)
        _, slope, pace = system(z, precision)
        norm = _null(np.concatenate([slope, pace[:, None]], axis=1))
        ways = _mpf(np.eye(size))

        def equations(unknown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            z, psi, precision, unfolding = unknown[:size], unknown[size:-2], unknown[-2], unknown[-1]
            off, slope, pace = system(z, precision)
            pulled = psi @ slope
            mixed = (pulled - psi) / precision
            matrix = _mpf(np.zeros((2 * size + 2,) * 2))
            matrix[:size, :size], matrix[:size, -2], matrix[:size, -1] = slope, pace, norm
            matrix[size:-2, :size] = np.array([psi @ system.bend(z, precision, way) for way in ways])
            matrix[size:-2, -2], matrix[size:-2, size:-2] = mixed, slope.T
            matrix[-2, :size], matrix[-2, size:-2], matrix[-1, size:-2] = mixed, pace, norm
            return np.array([*(off + unfolding * norm), *pulled, psi @ pace, psi @ norm - 1], object), matrix

        unknown, converged = _newton(equations, np.array([*z, *norm, precision, mpmath.mpf(0)], object))
        converged = converged and abs(unknown[-1]) < mpmath.mpf(10) ** (5 - DIGITS)
        return _root(system, unknown[:size], unknown[-2], bool(converged))


def with_even_block(random: np.random.Generator, size: int) -> np.ndarray:
    """4 x 4 games in which the last three actions are worth the same wherever the other mixes its last three evenly.

    Payoffs are of 20 bits, so that this is exact.
    """
    payoffs = np.rint(2.0**20 * random.uniform(size=(size, 2, 4, 4)))
    payoffs[:, :, 1:, 0] = payoffs[:, :, 1:2, 0]
    block = payoffs[:, :, 1:, 1:]
    block[..., 2] += block[:, :, :1].sum(axis=3) - block.sum(axis=3)
    payoffs[:, 1] = payoffs[:, 1].swapaxes(1, 2).copy()
    return payoffs / 2**20
