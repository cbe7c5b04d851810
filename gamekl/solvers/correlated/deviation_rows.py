"""What deviations gain, as rows of a program over joint policies that are never written down.

All follows from each player's table r of payoffs, own action first, other players' joint actions o second. A row of
"ce" (for a recommended action a and another b) lives on the cells of one recommended action only,

    r(b, o) - r(a, o)    at (a, o),

a row of "cce" (for an action b) is what they sum to over a. Neither changes by what a table has for all own actions
alike. All arrays have one lane for each problem on their last axis.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from gamekl.core.deviations import difference
from gamekl.core.kernels import cholesky
from gamekl.core.kernels.calls import stored
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.kernels.platforms import Platform
from gamekl.solvers.correlated.constraints import Cells, Constraints, Rows, Solve, by_rows, total, typical

Table = Float[Array, "own others lane"]
# Sums of more products than these are not written out.
LARGEST_SUM = 64


def _written_out(term: Callable[[int], Array], count: int) -> Array:
    """The sum of terms, one after another."""
    return sum(map(term, range(1, count)), term(0))


def _outer_products(a: Float[Array, "a b i lane"], b: Float[Array, "a b j lane"]) -> Float[Array, "a i j lane"]:
    """The sums over b of outer products."""
    return _written_out(lambda k: a[:, k, :, None] * b[:, k, None], a.shape[1])


def products(a: Float[Array, "i *more k lane"], b: Float[Array, "k j lane"]) -> Float[Array, "i *more j lane"]:
    """The product of two matrices in every lane, of which the first may have further axes."""
    size, _, lanes = b.shape
    if lanes == 1:
        return jnp.matmul(a[..., 0], b[..., 0], precision=PRECISION)[..., None]
    if size > LARGEST_SUM:
        return jnp.einsum("...kl,kjl->...jl", a, b, precision=PRECISION)
    return _written_out(lambda k: a[..., k, :][..., None, :] * b[k], size)


def _along(weights: Float[Array, "*more k lane"]) -> Float[Array, "*more lane"]:
    """The sum over the last axis but lanes, written out."""
    return _written_out(lambda k: weights[..., k, :], weights.shape[-2])


def _turned(a: Array) -> Array:
    return jnp.swapaxes(a, 0, 1)


class DeviationRows(Constraints):
    """The gains of deviations from joint policies.

    Attributes:
        payoffs: shape ``[player, *actions, lane]``.
    """

    payoffs: Float[Array, "player *actions lane"]

    @property
    def num_actions(self) -> tuple[int, ...]:
        """How many actions each player has."""
        return self.payoffs.shape[1:-1]

    def own_first(self, cells: Shaped[Array, "cell *more lane"], player: int) -> Shaped[Array, "..."]:
        """What cells have, by a player's own action and all others'."""
        sizes, more = self.num_actions, cells.shape[1:]
        turned = jnp.moveaxis(cells.reshape(*sizes, *more), player, 0)
        return turned.reshape(sizes[player], -1, *more)

    def by_cell(self, table: Float[Array, "..."], player: int) -> Float[Array, "cell *more lane"]:
        """The inverse of `own_first`."""
        others = [size for other, size in enumerate(self.num_actions) if other != player]
        turned = jnp.moveaxis(table.reshape(len(table), *others, *table.shape[2:]), 0, player)
        return turned.reshape(-1, *table.shape[2:])

    def tables(self) -> list[Table]:
        """Each player's payoffs, own action first."""
        flat = self.payoffs.reshape(len(self.payoffs), -1, self.payoffs.shape[-1])
        return [self.own_first(table, player) for player, table in enumerate(flat)]

    def changes(self) -> list[Float[Array, "a b others lane"]]:
        """What each player gains by b in place of a."""
        return [difference(table[None], table[:, None]) for table in self.tables()]

    def split(self, rows: Float[Array, "row *more lane"], counts: Sequence[int]) -> list[Array]:
        """The rows of each player."""
        return [rows[end - count : end] for end, count in zip(np.cumsum(counts), counts, strict=True)]


class Recommended(DeviationRows):
    """The gains of correlated equilibria (`core.deviations.gains`); steps solve systems of the size of the cells."""

    def _by_player(self, alpha: Float[Array, "row *more lane"]) -> list[Float[Array, "a b *more lane"]]:
        counts = [size**2 for size in self.num_actions]
        parts = zip(self.split(alpha, counts), self.num_actions, strict=True)
        return [part.reshape(size, size, *alpha.shape[1:]) for part, size in parts]

    def apply(self, x: Float[Array, "cell *more lane"]) -> Float[Array, "row *more lane"]:
        """The product G x."""
        found = []
        for player, table in enumerate(self.tables()):
            played = jnp.moveaxis(self.own_first(x, player), 1, -2)
            pairs = products(played, _turned(table))
            own = jnp.stack([pairs[a, ..., a, :] for a in range(len(table))])
            gains = jnp.moveaxis(pairs - own[..., None, :], -2, 1)
            found.append(gains.reshape(-1, *gains.shape[2:]))
        return jnp.concatenate(found)

    def stir(self, x: Cells) -> Rows:
        """The product |G| x."""
        found = []
        for player, changes in enumerate(self.changes()):
            stirred = jnp.sum(jnp.abs(changes) * self.own_first(x, player)[:, None], axis=2)
            found.append(stirred.reshape(-1, stirred.shape[-1]))
        return jnp.concatenate(found)

    def combine(self, alpha: Float[Array, "row *more lane"]) -> Float[Array, "cell *more lane"]:
        """The product G^T alpha."""
        found = 0
        for player, (table, weights) in enumerate(zip(self.tables(), self._by_player(alpha), strict=True)):
            weights = jnp.moveaxis(weights, 1, -2)
            price = products(weights, table)
            both = table.reshape(len(table), *[1] * (price.ndim - 3), *table.shape[1:])
            price = price - _along(weights)[..., None, :] * both
            found = found + self.by_cell(jnp.moveaxis(price, -2, 1), player)
        return jnp.asarray(found)

    def sizes(self) -> Rows:
        """A typical entry of each row, in size."""
        found = [typical(changes, (2,)) for changes in self.changes()]
        return jnp.concatenate([sizes.reshape(-1, sizes.shape[-1]) for sizes in found])

    def reduced(self, spread: Cells, softness: Rows, platform: Platform | None) -> Solve:
        """The solver of a step's linear system, by factors of a matrix of the size of the cells."""
        moving = spread > 0
        stiffness = 1 / softness
        diagonal = 1 / jnp.where(moving, spread, 1)
        blocks = stored(platform, self._blocks, stiffness)
        gram = jnp.where(moving[:, None] & moving, self._joined(blocks), 0)
        here = jnp.eye(len(spread), dtype=bool)[..., None]
        factor = cholesky.factor(gram + jnp.where(here, diagonal, 0), platform)

        def solve(push: Array, right: Array) -> tuple[Array, Array]:
            pushed = push - self.combine(right * stiffness[:, None])
            dx = cholesky.solve(factor, jnp.where(moving[:, None], pushed, 0))
            return dx, (self.apply(dx) + right) * stiffness[:, None]

        return solve

    def _blocks(self, stiffness: Rows) -> list[Float[Array, "_ _ _ lane"]]:
        """The parts of G^T diag(stiffness) G that one player's rows make, for each recommended action."""
        found = []
        for changes, weights in zip(self.changes(), self._by_player(stiffness), strict=True):
            weighted = changes * weights[:, :, None]
            if stiffness.shape[-1] == 1:
                block = jnp.einsum("abc,abd->acd", weighted[..., 0], changes[..., 0], precision=PRECISION)[..., None]
            else:
                block = _outer_products(weighted, changes)
            found.append(block)
        return found

    def _joined(self, blocks: list[Float[Array, "_ _ _ lane"]]) -> Float[Array, "cell cell lane"]:
        """The sum of what all players' blocks are among pairs of cells."""
        cells, lanes = math.prod(self.num_actions), blocks[0].shape[-1]
        if lanes > 1:
            return _written_out(lambda player: self._spread_out(blocks[player], player), len(blocks))
        numbers = jnp.arange(cells)[:, None]
        found = jnp.zeros((cells, cells), blocks[0].dtype)
        for player, block in enumerate(blocks):
            here = self.own_first(numbers, player)[..., 0]
            found = found.at[here[:, :, None], here[:, None, :]].add(block[..., 0], unique_indices=True)
        return found[..., None]

    def _spread_out(self, blocks: Float[Array, "a others others lane"], player: int) -> Float[Array, "cell cell lane"]:
        """Blocks where they belong among all pairs of cells."""
        own, lanes, cells = len(blocks), blocks.shape[-1], math.prod(self.num_actions)
        here = jnp.eye(own, dtype=bool)[:, None, :, None, None]
        every = jnp.where(here, blocks[:, :, None], 0).reshape(own, -1, cells, lanes)
        # The last axes are a player's own action and all others', as the first two are.
        every = self.by_cell(every, player)
        turned = every.reshape(cells, own, -1, lanes)
        return self.by_cell(jnp.moveaxis(turned, 0, 2), player)


class Coarse(DeviationRows):
    """The gains of coarse correlated equilibria (`core.deviations.coarse_gains`); steps solve systems of their size."""

    def apply(self, x: Float[Array, "cell *more lane"]) -> Float[Array, "row *more lane"]:
        """The product G x."""
        found = []
        cells = self.payoffs.reshape(len(self.payoffs), x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
        for player, table in enumerate(self.tables()):
            others = jnp.moveaxis(jnp.sum(self.own_first(x, player), axis=0), 0, -2)[None]
            gains = products(others, _turned(table))[0] - total(cells[player] * x)[..., None, :]
            found.append(jnp.moveaxis(gains, -2, 0))
        return jnp.concatenate(found)

    def stir(self, x: Cells) -> Rows:
        """The product |G| x."""
        return jnp.concatenate(
            [
                jnp.sum(jnp.abs(changes) * self.own_first(x, player)[:, None], axis=(0, 2))
                for player, changes in enumerate(self.changes())
            ]
        )

    def combine(self, alpha: Float[Array, "row *more lane"]) -> Float[Array, "cell *more lane"]:
        """The product G^T alpha."""
        found = 0
        for player, (table, weights) in enumerate(zip(self.tables(), self.split(alpha, self.num_actions), strict=True)):
            extra = [1] * (alpha.ndim - 2)
            table = table.reshape(*table.shape[:2], *extra, table.shape[-1])
            # What is reduced is stored, and not computed for every own action.
            price = jnp.sum(weights[:, None] * table, axis=0) - jnp.sum(weights, axis=0) * table
            found = found + self.by_cell(price, player)
        return jnp.asarray(found)

    def sizes(self) -> Rows:
        """A typical entry of each row, in size."""
        return jnp.concatenate([typical(changes, (0, 2)) for changes in self.changes()])

    def reduced(self, spread: Cells, softness: Rows, platform: Platform | None) -> Solve:
        """The solver of a step's linear system, by factors of a matrix of the size of the rows."""
        finite = jnp.isfinite(softness)
        gram = jnp.where(finite[:, None] & finite, stored(platform, self._gram, spread), 0)
        return by_rows(gram, self.apply, self.combine, spread, softness, platform)

    def _gram(self, spread: Cells) -> Float[Array, "row row lane"]:
        """The matrix G diag(spread) G^T.

        Tables less, at each o, their mean over own actions (weighted by `spread`) have the same rows. Then the sum of
        spread (r(b, o) - r(a, o)) (r(c, o) - r(a, o)) over a is

            r(b, o) r(c, o) sum_a spread + sum_a spread r(a, o)^2,

        so that a player's own rows need no sum over a for each pair; and no rounding errors are larger than those of
        the sums of squares themselves.
        """
        centred, weights = [], []
        for player, table in enumerate(self.tables()):
            weight = self.own_first(spread, player)
            mass = jnp.sum(weight, axis=0)
            mean = jnp.sum(weight * table, axis=0) / jnp.where(mass > 0, mass, 1)
            centred.append(table - mean)
            weights.append(mass)
        parts: list[list[Array]] = []
        for i, left in enumerate(centred):
            own = products(left * weights[i], _turned(left))
            weighed = spread * self.by_cell(left, i)
            own = own + total(weighed * self.by_cell(left, i))
            parts.append([_turned(parts[j][i]) for j in range(i)] + [own])
            for j in range(i + 1, len(centred)):
                right = centred[j]
                against = spread * self.by_cell(right, j)
                mixed = products(left, _turned(total(self.own_first(against, i))[None]))
                other = products(right, _turned(total(self.own_first(weighed, j))[None]))
                level = total(weighed * self.by_cell(right, j))
                parts[i].append(self._mixed(spread, left, right, i, j) - mixed - _turned(other) + level)
        return jnp.concatenate([jnp.concatenate(line, axis=1) for line in parts])

    def _mixed(
        self, spread: Cells, left: Float[Array, "own_i _ lane"], right: Float[Array, "own_j _ lane"], i: int, j: int
    ) -> Float[Array, "own_i own_j lane"]:
        """The sums of spread r_i(a, x) r_j(b, x) over cells x, whatever i and j themselves play there."""
        sizes, lanes = self.num_actions, spread.shape[-1]
        rest = math.prod(sizes) // (sizes[i] * sizes[j])
        both = jnp.moveaxis(spread.reshape(*sizes, lanes), (i, j), (0, 1)).reshape(sizes[i], sizes[j], rest, lanes)
        # Of tables, own action first, the other of the two is where it is among the others.
        i_others = [size for k, size in enumerate(sizes) if k != i]
        j_others = [size for k, size in enumerate(sizes) if k != j]
        left = jnp.moveaxis(left.reshape(sizes[i], *i_others, lanes), j, 1).reshape(sizes[i], sizes[j], rest, lanes)
        right = jnp.moveaxis(right.reshape(sizes[j], *j_others, lanes), i + 1, 1)
        right = right.reshape(sizes[j], sizes[i], rest, lanes)
        if lanes == 1:
            at_i = jnp.einsum("ajk,ijk->aik", left[..., 0], both[..., 0], precision=PRECISION)
            return jnp.einsum("aik,bik->ab", at_i, right[..., 0], precision=PRECISION)[..., None]
        at_i = _written_out(lambda k: left[:, None, k] * both[None, :, k], sizes[j])
        return jnp.sum(_written_out(lambda k: at_i[:, None, k] * right[None, :, k], sizes[i]), axis=2)
