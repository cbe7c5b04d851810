"""The rows G of a program over joint policies, and the linear system of each step of `solvers.correlated.interior`.

The system is

    dx / spread + G^T dalpha = push,        G dx - softness * dalpha = -right.

Either dx is eliminated, which leaves a system of the size of G's rows, or dalpha, which leaves one of the size of its
cells. All arrays have one lane for each problem on their last axis; rows of deviations, of which G need not be written
down, are in `solvers.correlated.deviation_rows`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels import cholesky
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.kernels.platforms import Platform

Cells = Float[Array, "cell lane"]
Rows = Float[Array, "row lane"]
# From push and right, ``[cell, right, lane]`` and ``[row, right, lane]``, to dx and dalpha.
Solve = Callable[[Float[Array, "cell right lane"], Float[Array, "row right lane"]], tuple[Array, Array]]

# How much the largest entry of a row counts beside the geometric mean of those that are not 0. Without it, rows with a
# huge entry are too unlike others for float32; with more, they hold too roughly where that entry does not matter.
LARGEST_COUNTS = 0.25


def total(values: Float[Array, "n *more lane"]) -> Float[Array, "*more lane"]:
    """The sum along the first axis."""
    return jnp.sum(values, axis=0)


def largest(values: Float[Array, "n *more lane"]) -> Float[Array, "*more lane"]:
    """The maximum along the first axis."""
    return jnp.max(values, axis=0)


def typical(values: Float[Array, "..."], axes: tuple[int, ...]) -> Float[Array, "..."]:
    """A typical size of the numbers along some axes that are not 0, most of all the geometric mean; 1 without any."""
    sizes = jnp.abs(values)
    some = sizes > 0
    # From 1 to below 2, and the power of 2 that they are multiplied by: one logarithm of a product, not many.
    fractions, powers = jnp.frexp(jnp.where(some, sizes, 1))
    fractions, powers = 2 * fractions, (powers - 1).astype(sizes.dtype)
    if math.prod(sizes.shape[axis] for axis in axes) < jnp.finfo(sizes.dtype).maxexp:
        logs = jnp.log(jnp.prod(fractions, axis=axes))
    else:
        logs = jnp.sum(jnp.log(fractions), axis=axes)
    count = jnp.sum(some, axis=axes, dtype=sizes.dtype)
    mean = (logs + math.log(2) * jnp.sum(powers, axis=axes)) / jnp.maximum(count, 1)
    most = jnp.log(jnp.max(sizes, axis=axes))
    return jnp.exp(jnp.where(count > 0, (1 - LARGEST_COUNTS) * mean + LARGEST_COUNTS * most, 0))


class Constraints(eqx.Module):
    """The rows G of a program over joint policies, as a linear operator."""

    @abstractmethod
    def apply(self, x: Cells) -> Rows:
        """The product G x."""

    @abstractmethod
    def stir(self, x: Cells) -> Rows:
        """The product |G| x: what a row of G x would come to if nothing cancelled."""

    @abstractmethod
    def combine(self, alpha: Rows) -> Cells:
        """The product G^T alpha."""

    @abstractmethod
    def sizes(self) -> Rows:
        """A typical entry of each row, in size: nearer to the geometric mean than to the largest, which may be huge."""

    @abstractmethod
    def reduced(self, spread: Cells, softness: Rows, platform: Platform | None) -> Solve:
        """The solver of a step's linear system.

        Args:
            spread: >= 0; where it is 0, dx is 0.
            softness: > 0; where it is infinite, dalpha is 0.
            platform: that it is made for; None, in a single lane, if unknown.
        """


def by_rows(
    gram: Float[Array, "row row lane"],
    apply: Callable[[Array], Array],
    combine: Callable[[Array], Array],
    spread: Cells,
    softness: Rows,
    platform: Platform | None,
) -> Solve:
    """The solver of a step's linear system, by factors of a matrix of the size of the rows.

    Args:
        gram: G diag(spread) G^T, of the rows whose softness is finite.
        apply: the product G x, of ``[cell, right, lane]``.
        combine: the product G^T alpha, of ``[row, right, lane]``.
        spread: as for `Constraints.reduced`.
        softness: as for `Constraints.reduced`.
        platform: as for `Constraints.reduced`.
    """
    finite = jnp.isfinite(softness)
    diagonal = jnp.where(finite, softness, 1)
    here = jnp.eye(len(softness), dtype=bool)[..., None]
    factor = cholesky.factor(gram + jnp.where(here, diagonal[:, None], 0), platform)

    def solve(push: Array, right: Array) -> tuple[Array, Array]:
        pushed = apply(spread[:, None] * push) + right
        dalpha = cholesky.solve(factor, jnp.where(finite[:, None], pushed, 0))
        return spread[:, None] * (push - combine(dalpha)), dalpha

    return solve


class ByRows(Constraints):
    """Any rows G, given as matrices.

    Attributes:
        matrix: G.
    """

    matrix: Float[Array, "row cell lane"]

    def _times(self, matrix: Float[Array, "row cell lane"], x: Float[Array, "cell *more lane"]) -> Array:
        if x.shape[-1] == 1:
            return jnp.matmul(matrix[..., 0], x[..., 0], precision=PRECISION)[..., None]
        return jnp.einsum("rcl,c...l->r...l", matrix, x, precision=PRECISION)

    def _transposed(self, matrix: Float[Array, "row cell lane"]) -> Callable[[Array], Array]:
        return lambda alpha: self._times(jnp.swapaxes(matrix, 0, 1), alpha)

    def apply(self, x: Cells) -> Rows:
        """The product G x."""
        return self._times(self.matrix, x)

    def stir(self, x: Cells) -> Rows:
        """The product |G| x."""
        return self._times(jnp.abs(self.matrix), x)

    def combine(self, alpha: Rows) -> Cells:
        """The product G^T alpha."""
        return self._transposed(self.matrix)(alpha)

    def sizes(self) -> Rows:
        """A typical entry of each row, in size."""
        return typical(self.matrix, (1,))

    def reduced(self, spread: Cells, softness: Rows, platform: Platform | None) -> Solve:
        """The solver of a step's linear system, by factors of a matrix of the size of the rows."""
        finite = jnp.isfinite(softness)
        rows = jnp.where(finite[:, None], self.matrix, 0)
        gram = self._times(rows * spread, jnp.swapaxes(rows, 0, 1))
        return by_rows(gram, lambda x: self._times(rows, x), self._transposed(rows), spread, softness, platform)


class Equilibrated(Constraints):
    """Rows divided by units of their own.

    Attributes:
        rows: as they were.
        units: > 0.
    """

    rows: Constraints
    units: Rows

    def apply(self, x: Cells) -> Rows:
        """The product G x, of the divided rows."""
        return self.rows.apply(x) / self.units

    def stir(self, x: Cells) -> Rows:
        """The product |G| x, of the divided rows."""
        return self.rows.stir(x) / self.units

    def combine(self, alpha: Rows) -> Cells:
        """The product G^T alpha, of the divided rows."""
        return self.rows.combine(alpha / self.units)

    def sizes(self) -> Rows:
        """A typical entry of each divided row, in size."""
        return self.rows.sizes() / self.units

    def reduced(self, spread: Cells, softness: Rows, platform: Platform | None) -> Solve:
        """The solver of a step's linear system, that of the rows as they were, in other units."""
        inner = self.rows.reduced(spread, softness * self.units**2, platform)
        units = self.units[:, None]

        def solve(push: Array, right: Array) -> tuple[Array, Array]:
            dx, dalpha = inner(push, right * units)
            return dx, dalpha * units

        return solve
