"""From problems to what is traced: equations in lanes, and what is known of them beforehand."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.kernels import lanes, tables
from gamekl.core.kernels.lanes import lanes_first, lanes_last
from gamekl.core.kernels.system import GameEquations, LogitSystem
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.counts import within
from gamekl.core.symmetric.game import LogitGame, SymmetricGame
from gamekl.core.symmetric.system import SymmetricSystem
from gamekl.solvers.nash.queue import Task
from gamekl.solvers.solution import Status, input_status


class NashProblem(NamedTuple):
    """What is to be solved; in a batch every leaf has a leading axis.

    Attributes:
        game: the game.
        regularizer: references and temperatures, in the game's dtype.
        guess: log-policies to try first, where `guessed`.
        guessed: whether there is a guess.
        tol: bound on the residual; NaN for the default.
    """

    game: LogitGame
    regularizer: Regularizer
    guess: tuple[Float[Array, "*batch _"], ...]
    guessed: Bool[Array, "*batch"]
    tol: Float[Array, "*batch"]


def make_nash_problem(
    game: LogitGame,
    regularizer: Regularizer,
    initial: tuple[Array, ...] | None,
    tol: float | int | Float[Array, ""] | None,
) -> NashProblem:
    """The problem in the game's dtype; the default tolerance is asked for where `tol` is None."""
    regularizer = regularizer.astype(game.dtype)
    return NashProblem(
        game=game,
        regularizer=regularizer,
        guess=regularizer.log_reference if initial is None else tuple(entry.astype(game.dtype) for entry in initial),
        guessed=jnp.asarray(initial is not None),
        tol=jnp.asarray(jnp.nan if tol is None else tol, dtype=game.dtype),
    )


class Prepared(NamedTuple):
    """A batch of problems in lanes.

    Attributes:
        system: their equations, payoffs counted from the best one for each choice of the others.
        levelled: for each role its payoffs shifted so that, whatever the others do, its own range is centred at 0,
            payoff units, its own axis first.
        temperatures: of each role, ``[role, lane]``, payoff units per nat.
        wrong: `Status.converged`, or what is wrong with the input.
    """

    system: GameEquations
    levelled: list[Float[Array, "..."]]
    temperatures: Float[Array, "role lane"]
    wrong: Int[Array, " lane"]


def _tables(game: LogitGame, masks: tables.Masks) -> tuple[list[tables.Table], list[Bool[Array, "..."]]]:
    """For each role its payoffs, own actions first, and which choices of the others are on their supports."""
    if isinstance(game, SymmetricGame):
        return [game.payoffs], [within(masks[0], game.num_players)]
    others = [[entry for other, entry in enumerate(masks) if other != player] for player in range(len(masks))]
    return tables.own_first(game.payoffs), [tables.inside(entries) for entries in others]


def prepare(problems: NashProblem) -> Prepared:
    """The problems of a batch, side by side in lanes."""
    game, regularizer = lanes_last((problems.game, problems.regularizer))
    payoffs = game.payoffs
    masks = regularizer.masks
    temperatures = jnp.broadcast_to(regularizer.temperature, (len(masks), payoffs.shape[-1]))
    topped, levelled, ranges = [], [], []
    for player, (table, inside, mask) in enumerate(zip(*_tables(game, masks), masks, strict=True)):
        low, high = tables.ends(table, mask)
        topped.append(tables.shifted(table, high, mask) / temperatures[player])
        levelled.append(tables.shifted(table, low + (high - low) / 2, mask))
        ranges.append(tables.supported_range(low, high, inside) / temperatures[player])
    anchor = [jnp.where(mask, entry, 0) for entry, mask in zip(regularizer.log_reference, masks, strict=True)]
    scale = lanes.largest(jnp.stack(ranges))
    symmetric = isinstance(game, SymmetricGame)
    kind = partial(SymmetricSystem, num_players=game.num_players) if symmetric else LogitSystem
    system = kind(
        payoffs=tuple(topped),
        anchor=jnp.concatenate(anchor),
        mask=jnp.concatenate(masks).astype(payoffs.dtype),
        scale=scale,
        pace=1 / jnp.where(scale > 0, scale, 1),
    )
    totals = jnp.stack([lanes.total(jnp.exp(entry)) for entry in regularizer.log_reference])
    return Prepared(system, levelled, temperatures, input_status(tables.all_finite(payoffs), temperatures, totals))


def _surely_unique(system: GameEquations, masks: tuple[Bool[Array, "_ lane"], ...]) -> Bool[Array, " lane"]:
    """Whether a quick certificate proves that the equilibrium is unique (`gamekl.evaluate` has sharper ones).

    Best responses contract if (m - 1) kappa < 2 (theory A9.1). Two players' game is monotone if, with U_i = r_i / tau_i
    centred over both players' actions, |U_1| |U_2| + <U_1, U_2> < 8 in the Frobenius norm: that is theory A9.2 with
    the best weights of the players, and zero-sum games have 0 there (derived).
    """
    unique = (system.players - 1) * system.scale < 2
    if len(masks) == 2:
        first, second = (
            tables.doubly_centred(table, own, other)
            for table, own, other in zip(system.payoffs, masks, reversed(masks), strict=True)
        )
        sizes, others = tables.sum_of(first * first), tables.sum_of(second * second)
        products = tables.sum_of(first * jnp.swapaxes(second, 0, 1))
        norms = jnp.sqrt(sizes * others)
        rounding = first[..., 0].size * jnp.finfo(norms.dtype).eps * norms
        unique |= norms + products + rounding < 8
    return unique


def make_tasks(problems: NashProblem, dtype: Any) -> Task:
    """What is to be traced of a batch of problems, with a leading axis, in a dtype."""
    prepared = prepare(problems)
    system, masks = prepared.system, lanes_last(problems.regularizer.masks)
    guess = [jnp.where(mask, entry, 0) for entry, mask in zip(lanes_last(problems.guess), masks, strict=True)]
    task = Task(
        system=system,
        guess=jnp.concatenate(guess),
        guessed=problems.guessed,
        free=_surely_unique(system, masks),
        usable=prepared.wrong == Status.converged,
    )
    return lanes_first(jax.tree.map(lambda leaf: leaf if leaf.dtype == bool else leaf.astype(dtype), task))
