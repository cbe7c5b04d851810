"""Payoff regression: data to an estimated game, which is a game like any other."""

import logging
from os import PathLike
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, EstimatedMarkovGame, MarkovGame, NormalFormGame
from gamekl.core.names import named
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.offline.dataset import AnyDataset, ContextualDataset
from gamekl.offline.logs.log import Log
from gamekl.offline.logs.sides import check_sides, unseen_mean
from gamekl.offline.models import Linear, Model, Tabular, as_targets
from gamekl.offline.neural import Neural
from gamekl.offline.rows import statistics_from_dataset
from gamekl.offline.statistics import AnyStatistics, ContextualStatistics, MarkovStatistics

logger = logging.getLogger("gamekl")


class Estimate(Shown):
    """An estimated game and how much data stands behind it.

    Attributes:
        game: the estimated game, of the kind that was played.
        counts: rows seen for each joint action, shape ``[*stage, *actions]``.
    """

    game: Any
    counts: Float[Array, "*stage_and_actions"]


def _num_stages(statistics: AnyStatistics) -> int:
    """How many stage axes there are."""
    return {ContextualStatistics: 1, MarkovStatistics: 2}.get(type(statistics), 0)


def _check_counts(statistics: AnyStatistics) -> None:
    counts, axes = np.asarray(statistics.counts), _num_stages(statistics)
    stage, actions = counts.shape[:axes], counts.shape[axes:]
    if statistics.reward_sums.shape != (*stage, len(actions), *actions):
        raise ValueError(
            f"reward_sums: got shape {statistics.reward_sums.shape}, takes {(*stage, len(actions), *actions)} beside "
            f"counts {counts.shape}"
        )
    if isinstance(statistics, MarkovStatistics):
        for name, shape in [("transition_counts", (*counts.shape, stage[1])), ("initial_counts", stage[1:])]:
            if getattr(statistics, name).shape != shape:
                raise ValueError(f"{name}: got shape {getattr(statistics, name).shape}, takes {shape}")
        _check_numbers("transition_counts", np.asarray(statistics.transition_counts))
        _check_numbers("initial_counts", np.asarray(statistics.initial_counts))
        if np.sum(statistics.initial_counts) == 0:
            raise ValueError("initial_counts: got none, takes at least one first state")
    _check_numbers("counts", counts)
    if counts.sum() == 0:
        raise ValueError("counts: got an empty dataset, takes at least one row")


def _check_numbers(field: str, counts: np.ndarray) -> None:
    bad = np.argwhere(~(counts >= 0) | ~np.isfinite(counts))
    if len(bad):
        raise ValueError(f"{field}{bad[0].tolist()}: got {counts[tuple(bad[0])]}, takes finite numbers >= 0")


def _check_masked(statistics: AnyStatistics, regularizer: Regularizer) -> None:
    # numpy, here and above: inside ``jit`` even concrete arrays would be traced by jax.numpy.
    axes = _num_stages(statistics)
    stage, actions = statistics.counts.shape[:axes], statistics.counts.shape[axes:]
    shapes, takes = [entry.shape for entry in regularizer.log_reference], [(*stage, size) for size in actions]
    if shapes != takes:
        raise ValueError(f"log_reference: got references of actions {shapes}, takes {takes}")
    allowed = np.ones(stage, dtype=bool)
    for player, entry in enumerate(regularizer.log_reference):
        allowed = allowed[..., None] & ~np.isneginf(entry).reshape(*stage, *[1] * player, -1)
    found = np.argwhere(~allowed & (np.asarray(statistics.counts) > 0))
    if len(found):
        raise ValueError(
            f"counts{found[0].tolist()}: got {float(statistics.counts[tuple(found[0])]):g} rows on a masked action, "
            "takes none where the reference is 0"
        )


def estimate(
    data: AnyStatistics | AnyDataset | Log,
    *,
    model: Any = None,
    prior_mean: float | int | None = None,
    split: bool = False,
    regularizer: Regularizer | None = None,
) -> Estimate:
    """Estimate a game from data by least squares.

    Each cell is the mean of its rewards, and how often each next state followed; or a model of them is fitted. Without
    a model, a joint action that the log never saw gets `prior_mean` and keeps count 0, which is reported by a
    warning in the log ``gamekl`` and is no error: coverage studies need it. In a Markov game it pays `prior_mean` for
    every step that is left, and the episode ends there. (Regression of rewards plus next values, which needs no model
    of the game, comes to the same numbers, for cells and linear models.)

    A log of preferences whose rows are in the order of who won, or of candidates, is refused (`offline.logs.sides`).

    Args:
        data: statistics, the rows, or a log that `read_log` has read.
        model: `Ridge`, `ActionRidge`, `FiniteClass` or, of rows with contexts, `Neural`; tabular if None. A linear one
            may give a Markov game negative transitions.
        prior_mean: estimate of unvisited cells where there is no model, payoff units a step; if None 0, and 1/2 in a
            log of preferences, which takes no other.
        split: of episodes only: estimate each step from episodes of its own (see `statistics_from_dataset`).
        regularizer: where given, rows on actions that it masks are an error (on concrete arrays).

    Returns:
        An `Estimate`: a game of the kind that was played, and how many rows each cell has. Out of a `Log` the game has
        its names of players, actions and contexts.

    Raises:
        ValueError: empty data, bad counts, a model of other games, rows on masked actions, or a log that cannot tell
            its actions from each other.
        TypeError: data or a model of another kind, or a neural model of anything but rows with contexts.

    Source: theory A1 (derived).
    """
    if not isinstance(data, AnyStatistics | AnyDataset | Log):
        hint = " (gamekl.offline.read_log reads a file)" if isinstance(data, str | PathLike) else ""
        raise TypeError(f"data: got {type(data).__name__}, takes statistics, a dataset or a Log{hint}")
    if prior_mean is not None and not (np.ndim(prior_mean) == 0 and np.isfinite(prior_mean)):
        raise ValueError(f"prior_mean: got {prior_mean!r}, takes a finite number")
    if isinstance(data, Log):
        check_sides(data)
        given = unseen_mean(data, prior_mean) if model is None else prior_mean
        found = estimate(data.statistics, model=model, prior_mean=given, split=split, regularizer=regularizer)
        return Estimate(named(found.game, data.names), found.counts)
    prior_mean = 0.0 if prior_mean is None else prior_mean
    if not isinstance(model, Model | Neural | None):
        raise TypeError(f"model: got {model!r}, takes a Ridge, an ActionRidge, a FiniteClass, a Neural, or None")
    if model is not None and prior_mean != 0:
        raise ValueError(f"prior_mean: got {prior_mean!r} beside a model, takes it for cells alone")
    rows = isinstance(data, AnyDataset)
    if split and not rows:
        raise ValueError(f"split: got {type(data).__name__}, takes episodes (a MarkovDataset)")
    statistics = statistics_from_dataset(data, split=split) if rows else _on_device(data)
    if is_concrete(statistics, regularizer):
        _check_counts(statistics)
        if regularizer is not None:
            _check_masked(statistics, regularizer)
        if model is None:
            _warn_of_unvisited(statistics, prior_mean)
    if isinstance(model, Neural):
        if not isinstance(data, ContextualDataset):
            raise TypeError(
                f"data: got {type(data).__name__} for a neural model, takes rows with contexts (a ContextualDataset; "
                "gamekl.learning.fit_stages fits Markov games step by step)"
            )
        return Estimate(ContextualGame(model.fit(data), _frequencies(statistics)), statistics.counts)
    model = Tabular() if model is None else model
    axes = _num_stages(statistics)
    model.check(statistics.counts.shape[:axes], statistics.counts.shape[axes:])
    found = Estimate(_fit(statistics, model, prior_mean), statistics.counts)
    if isinstance(model, Linear) and is_concrete(found) and np.any(np.isnan(found.game.table)):
        raise ValueError(
            f"penalty: got {float(model.penalty):g} with features that depend on each other in the data, takes more"
        )
    return found


def _on_device(statistics: AnyStatistics) -> AnyStatistics:
    """The statistics of a log on disk, which are numpy's, as jax's."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, statistics)


def _warn_of_unvisited(statistics: AnyStatistics, prior_mean: float | int) -> None:
    unvisited = int(np.sum(np.asarray(statistics.counts) == 0))
    if unvisited:
        logger.warning(
            "%d of %d joint actions have no data; their payoffs are estimated as prior_mean = %g%s",
            unvisited,
            statistics.counts.size,
            prior_mean,
            " a step" if isinstance(statistics, MarkovStatistics) else "",
        )


def _frequencies(statistics: AnyStatistics) -> Float[Array, " stage"]:
    """How often each context, or each first state, was seen, as probabilities."""
    if isinstance(statistics, MarkovStatistics):
        visits = statistics.initial_counts
    else:
        visits = statistics.counts.sum(axis=tuple(range(1, statistics.counts.ndim)))
    return (visits / visits.sum()).astype(statistics.reward_sums.dtype)


def _fit(statistics: AnyStatistics, model: Model, prior_mean: float | int) -> Any:
    """The estimated game: its targets' sums as those of a game, flat for the model, and back again."""
    dtype, axes = statistics.reward_sums.dtype, _num_stages(statistics)
    shape = statistics.counts.shape
    players = len(shape) - axes
    steps = shape[0] if isinstance(statistics, MarkovStatistics) else 1
    counts = statistics.counts.reshape(steps, -1)
    sums = as_targets(statistics.reward_sums, axes, getattr(statistics, "transition_counts", None))
    left = prior_mean * jnp.arange(steps, 0, -1, dtype=dtype)[:, None]
    prior = jnp.concatenate([jnp.tile(left, (1, players)), jnp.zeros((steps, sums.shape[1] - players), dtype)], axis=1)
    means = model.fit(counts, sums, prior)
    # NaN counts (too many rows for the precision) must not pass as unvisited cells.
    means = jnp.where(jnp.isnan(counts[:, None]), jnp.nan, means)
    stage, actions = shape[:axes], shape[axes:]
    table = jnp.moveaxis(means[:, :players].swapaxes(0, 1).reshape(players, *shape), 0, axes)
    if isinstance(statistics, MarkovStatistics):
        moves = jnp.swapaxes(means[:, players:], 1, 2).reshape(*stage, *actions, stage[1])
        kind = MarkovGame if model.keeps_distributions else EstimatedMarkovGame
        return kind(table, moves, _frequencies(statistics))
    if isinstance(statistics, ContextualStatistics):
        return ContextualGame(table, _frequencies(statistics))
    return NormalFormGame(table)
