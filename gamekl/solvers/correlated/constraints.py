"""The rows G of a program over joint policies, and the linear system of each step of `solvers.correlated.interior`.

The system is

    dx / spread + G^T dalpha = push,        G dx - softness * dalpha = -right.

Either dx is eliminated, which leaves a system of the size of G's rows (`ByRows`), or dalpha, which leaves one of the
size of its cells (`ByCells`). For correlated equilibria of two players that one is smaller, and made without writing
down G: each of its rows lives on the cells of one recommended action only.
"""

import math
from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.deviations import difference, own_first, pairs_of
from gamekl.core.games import NormalFormGame
from gamekl.core.kernels.lanes import PRECISION, in_turn

Cells = Float[Array, " cell"]
Rows = Float[Array, " row"]
Solve = Callable[[Cells, Rows], tuple[Cells, Rows]]

# How much the largest entry of a row counts beside the geometric mean of those that are not 0. Without it, rows with a
# huge entry are too unlike others for float32; with more, they hold too roughly where that entry does not matter.
LARGEST_COUNTS = 0.25
# Added to the matrix, relative to its diagonal, so that dependent rows do no harm.
RIDGE = 1e-14


def _factor_one(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The lower Cholesky factor."""
    return jnp.linalg.cholesky(matrix + jnp.diag(RIDGE * jnp.diagonal(matrix)))


def _solve_one(factor: Float[Array, "n n"], right: Float[Array, " n"]) -> Float[Array, " n"]:
    return jax.scipy.linalg.cho_solve((factor, True), right)


def _factor(matrix: Array) -> Array:
    return in_turn(_factor_one)(matrix)


def _solve(factor: Array, right: Array) -> Array:
    return in_turn(_solve_one)(factor, right)


def _typical(rows: Float[Array, "*row cell"]) -> Float[Array, "*row"]:
    """A typical entry of each row, in size; 1 for rows of zeros."""
    sizes = jnp.abs(rows)
    logs = jnp.log(jnp.where(sizes > 0, sizes, 1))
    mean = jnp.sum(logs, axis=-1) / jnp.maximum(jnp.sum(sizes > 0, axis=-1, dtype=rows.dtype), 1)
    most = jnp.max(jnp.where(sizes > 0, logs, -jnp.inf), axis=-1)
    return jnp.exp(jnp.where(jnp.isfinite(most), (1 - LARGEST_COUNTS) * mean + LARGEST_COUNTS * most, 0))


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
    def reduced(self, spread: Cells, softness: Rows) -> Solve:
        """The solver of a step's linear system, a function from push and right to dx and dalpha.

        Args:
            spread: >= 0; where it is 0, dx is 0.
            softness: > 0; where it is infinite, dalpha is 0.
        """


class ByRows(Constraints):
    """Any rows G, given as a matrix.

    Attributes:
        matrix: G.
    """

    matrix: Float[Array, "row cell"]

    def apply(self, x: Cells) -> Rows:
        """The product G x."""
        return jnp.matmul(self.matrix, x, precision=PRECISION)

    def stir(self, x: Cells) -> Rows:
        """The product |G| x."""
        return jnp.matmul(jnp.abs(self.matrix), x, precision=PRECISION)

    def combine(self, alpha: Rows) -> Cells:
        """The product G^T alpha."""
        return jnp.matmul(alpha, self.matrix, precision=PRECISION)

    def sizes(self) -> Rows:
        """A typical entry of each row, in size."""
        return _typical(self.matrix)

    def reduced(self, spread: Cells, softness: Rows) -> Solve:
        """The solver of a step's linear system, by Cholesky's factor of a matrix of the size of the rows."""
        finite = jnp.isfinite(softness)
        rows = jnp.where(finite[:, None], self.matrix, 0)
        gram = jnp.matmul(rows * spread, rows.T, precision=PRECISION)
        factor = _factor(gram + jnp.diag(jnp.where(finite, softness, 1)))

        def solve(push: Cells, right: Rows) -> tuple[Cells, Rows]:
            reached = jnp.matmul(rows, spread * push, precision=PRECISION)
            dalpha = _solve(factor, jnp.where(finite, reached + right, 0))
            return spread * (push - jnp.matmul(dalpha, rows, precision=PRECISION)), dalpha

        return solve


class ByCells(Constraints):
    """The gains of correlated equilibria (`core.deviations.gains`), without their matrix.

    Attributes:
        game: whose joint actions are the cells.
    """

    game: NormalFormGame

    def apply(self, x: Cells) -> Rows:
        """The product G x."""
        found = pairs_of(self.game, x.reshape(self.game.num_actions))
        return jnp.concatenate([(pairs - jnp.diagonal(pairs)[:, None]).ravel() for pairs in found])

    def stir(self, x: Cells) -> Rows:
        """The product |G| x."""
        found, policy = [], x.reshape(self.game.num_actions)
        for player, changes in enumerate(self._changes()):
            played = jnp.moveaxis(policy, player, 0).reshape(len(changes), 1, -1)
            found.append(jnp.sum(jnp.abs(changes) * played, axis=2).ravel())
        return jnp.concatenate(found)

    def _changes(self) -> list[Float[Array, "a b others"]]:
        tables = [own_first(self.game, player) for player in range(self.game.num_players)]
        return [difference(table[None], table[:, None]) for table in tables]

    def combine(self, alpha: Rows) -> Cells:
        """The product G^T alpha."""
        total, first = jnp.zeros(self.game.num_actions, alpha.dtype), 0
        for player, size in enumerate(self.game.num_actions):
            table = own_first(self.game, player)
            weights = alpha[first : first + size**2].reshape(size, size)
            price = jnp.matmul(weights, table, precision=PRECISION) - weights.sum(axis=1)[:, None] * table
            total += self._cells(price, player)
            first += size**2
        return total.ravel()

    def sizes(self) -> Rows:
        """A typical entry of each row, in size."""
        return jnp.concatenate([_typical(changes).ravel() for changes in self._changes()])

    def reduced(self, spread: Cells, softness: Rows) -> Solve:
        """The solver of a step's linear system, by Cholesky's factor of a matrix of the size of the cells."""
        moving = spread > 0
        gram = self._gram(1 / softness)
        gram = jnp.where(moving[:, None] & moving, gram, 0)
        factor = _factor(gram + jnp.diag(1 / jnp.where(moving, spread, 1)))

        def solve(push: Cells, right: Rows) -> tuple[Cells, Rows]:
            pushed = jnp.where(moving, push - self.combine(right / softness), 0)
            dx = _solve(factor, pushed)
            return dx, (self.apply(dx) + right) / softness

        return solve

    def _cells(self, values: Float[Array, "own others *more"], player: int) -> Float[Array, "*actions_and_more"]:
        """A table with a player's own axis first as one of joint actions."""
        others = [size for other, size in enumerate(self.game.num_actions) if other != player]
        return jnp.moveaxis(values.reshape(values.shape[0], *others, *values.shape[2:]), 0, player)

    def _gram(self, weights: Rows) -> Float[Array, "cell cell"]:
        """The matrix G^T diag(weights) G."""
        cells = math.prod(self.game.num_actions)
        numbers = jnp.arange(cells).reshape(self.game.num_actions)
        total, first = jnp.zeros((cells, cells), weights.dtype), 0
        for player, size in enumerate(self.game.num_actions):
            table = own_first(self.game, player)
            against = table[None] - table[:, None]  # [recommended, other action, others]
            weighted = against * weights[first : first + size**2].reshape(size, size, 1)
            blocks = jnp.einsum("abc,abd->acd", weighted, against, precision=PRECISION)
            here = jnp.moveaxis(numbers, player, 0).reshape(table.shape)
            total = total.at[here[:, :, None], here[:, None, :]].add(blocks, unique_indices=True)
            first += size**2
        return total


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

    def reduced(self, spread: Cells, softness: Rows) -> Solve:
        """The solver of a step's linear system, that of the rows as they were, in other units."""
        inner = self.rows.reduced(spread, softness * self.units**2)

        def solve(push: Cells, right: Rows) -> tuple[Cells, Rows]:
            dx, dalpha = inner(push, right * self.units)
            return dx, dalpha * self.units

        return solve
