"""The parametric self-dual simplex method (Dantzig 1963, section 11-3), from any basis, for one linear programme.

A dictionary basic = right - table @ others need be neither feasible nor optimal. Right sides and reduced costs get mu
times positive numbers, so that all are >= 0 for large mu, and each exchange of a variable lets mu fall further, to 0.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels.lanes import PRECISION
from gamekl.solvers.correlated.pivots import MOST_PIVOTS, rounding

# A right side or a reduced cost that is 0, but for rounding.
ZERO = {jnp.dtype("float32"): 3e-4, jnp.dtype("float64"): 4e-10}
# Numbers are combined in vectors of this length, or longer ones so that they are no more than these.
LEAST_WIDTH = 32
MOST_PARTS = 16

Scalar = Float[Array, ""]


def pick(values: Array, index: Array) -> Array:
    """One entry, or row."""
    return jax.lax.dynamic_index_in_dim(values, index, 0, keepdims=False)


def column_of(table: Float[Array, "row column"], index: Array) -> Float[Array, " row"]:
    """One column."""
    return jax.lax.dynamic_index_in_dim(table, index, 1, keepdims=False)


def one_hot(index: Array, size: int) -> Bool[Array, "*index size"]:
    """Where an index is, among so many."""
    return index[..., None] == jnp.arange(size, dtype=index.dtype)


def _fold(combine: Callable[[Array, Array], Array], values: Float[Array, " n"], beyond: float) -> Scalar:
    """The values combined, in vectors: as a reduction of floating-point numbers XLA for CPUs takes one by one."""
    width = max(LEAST_WIDTH, -(-len(values) // MOST_PARTS))
    padded = jnp.pad(values, (0, -len(values) % width), constant_values=beyond)
    return jax.lax.reduce(
        reduce(combine, jnp.split(padded, len(padded) // width)), padded.dtype.type(beyond), combine, (0,)
    )


def _largest(values: Float[Array, " n"]) -> tuple[Scalar, Int[Array, ""]]:
    """The largest of some values, and the first place where it is."""
    most = jax.lax.optimization_barrier(_fold(jax.lax.max, values, -np.inf))
    places = jnp.arange(len(values), dtype=jnp.int32)
    return most, jnp.min(jnp.where(values == most, places, len(values) - 1))


class Path(NamedTuple):
    """A dictionary on its way.

    Attributes:
        table: as in the module.
        edges: right sides, then reduced costs.
        slopes: what mu is multiplied with in each.
        names: of rows, then of columns.
        row: whose variable leaves.
        column: whose variable enters.
        done: whether there is nothing to be exchanged.
        num_steps: exchanges.
    """

    table: Float[Array, "row column"]
    edges: Float[Array, " row_and_column"]
    slopes: Float[Array, " row_and_column"]
    names: Int[Array, " row_and_column"]
    row: Int[Array, ""]
    column: Int[Array, ""]
    done: Bool[Array, ""]
    num_steps: Int[Array, ""]


def _next(path: Path) -> Path:
    """The exchange by which mu falls next: what it would turn negative first leaves, or enters."""
    table, edges, slopes, names = path[:4]
    (rows, cells), small = table.shape, rounding(table)
    fixed = names == rows - 1 + cells
    # A right side below 0, or a reduced cost, comes to be so where mu falls to this.
    until = jnp.where((edges < -ZERO[edges.dtype]) & (slopes > small) & ~fixed, -edges / slopes, 0)
    mu, first = _largest(until)
    leaves = first < rows
    row, column = jnp.minimum(first, rows - 1), jnp.maximum(first - rows, 0)
    line = jnp.concatenate(
        [jnp.where(leaves, 0, column_of(table, column)), jnp.where(leaves, -pick(table, row), 0)], axis=0
    )
    room = jnp.where((line > small) & ~fixed, jnp.maximum(edges + mu * slopes, 0) / line, jnp.inf)
    least, second = _largest(-room)
    return path._replace(
        row=jnp.where(leaves, row, second),
        column=jnp.where(leaves, second - rows, column),
        done=~((mu > 0) & (least > -jnp.inf)),
    )


def _exchanged(path: Path) -> Path:
    """The exchange of the row's variable for the column's."""
    table, edges, slopes, names, row, column, _, num_steps = path
    rows, cells = table.shape
    across, down = pick(table, row), column_of(table, column)
    inverse = 1 / pick(across, column)
    here, there = one_hot(row, rows), one_hot(column, cells)
    across = jnp.where(there, inverse, across * inverse)
    down = jnp.where(here, -1, down)
    across, down, inverse = jax.lax.optimization_barrier((across, down, inverse))
    table = jnp.where(here[:, None] | there, 0, table) - down[:, None] * across

    chosen, lines = jnp.concatenate([here, there]), jnp.concatenate([down, across])
    is_row = np.arange(rows + cells) < rows

    def move(values: Array) -> Array:
        by = jnp.where(is_row, pick(values, row) * inverse, pick(values, rows + column))
        return jnp.where(chosen, 0, values) - lines * by

    swapped = jnp.where(is_row, pick(names, rows + column), pick(names, row))
    names = jnp.where(chosen, swapped, names)
    moved = jax.lax.optimization_barrier((table, move(edges), move(slopes), names))
    return _next(
        path._replace(table=moved[0], edges=moved[1], slopes=moved[2], names=moved[3], num_steps=num_steps + 1)
    )


def _slopes(size: int) -> np.ndarray:
    """Numbers between 1/2 and 1 that are spread evenly."""
    return 0.5 + 0.5 * np.modf((np.sqrt(5) - 1) / 2 * np.arange(1, size + 1))[0]


def posed(table: Array, right: Array, names: Array, goal: Float[Array, " cell"]) -> Path:
    """A dictionary with the reduced costs of a goal, for large mu."""
    (rows, cells), zero = table.shape, jnp.zeros((), jnp.int32)
    prices = jnp.where(names < cells, goal[jnp.minimum(names, cells - 1)], 0)
    costs = jnp.matmul(prices[:rows], table, precision=PRECISION) - prices[rows:]
    slopes = jnp.asarray(_slopes(rows + cells), goal.dtype)
    return Path(table, jnp.concatenate([right, costs]), slopes, names, zero, zero, zero > 0, zero)


def optimize(path: Path) -> Path:
    """Exchange until mu is 0."""
    most = MOST_PIVOTS * sum(path.table.shape)
    return jax.lax.while_loop(lambda path: ~path.done & (path.num_steps < most), _exchanged, _next(path))
