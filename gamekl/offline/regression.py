"""Payoff regression: data to an estimated game, which is a game like any other."""

import logging
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.offline.dataset import Dataset, statistics_from_dataset
from gamekl.offline.statistics import ContextualStatistics, MarkovStatistics, Statistics

logger = logging.getLogger("gamekl")

AnyStatistics = Statistics | ContextualStatistics | MarkovStatistics


class Estimate(eqx.Module):
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
    _check_numbers("counts", counts)
    if counts.sum() == 0:
        raise ValueError("counts: got an empty dataset, takes at least one row")


def _check_numbers(field: str, counts: np.ndarray) -> None:
    bad = np.argwhere(~(counts >= 0) | ~np.isfinite(counts))
    if len(bad):
        raise ValueError(f"{field}{bad[0].tolist()}: got {counts[tuple(bad[0])]}, takes finite numbers >= 0")


def _check_masked(statistics: AnyStatistics, regularizer: Regularizer) -> None:
    # numpy, here and above: inside ``jit`` even concrete arrays would be traced by jax.numpy.
    stage = statistics.counts.shape[: _num_stages(statistics)]
    allowed = np.ones(stage, dtype=bool)
    for player, entry in enumerate(regularizer.log_reference):
        allowed = allowed[..., None] & ~np.isneginf(entry).reshape(*stage, *[1] * player, -1)
    if allowed.shape != statistics.counts.shape:
        raise ValueError(f"log_reference: got references of actions {allowed.shape}, takes {statistics.counts.shape}")
    found = np.argwhere(~allowed & (np.asarray(statistics.counts) > 0))
    if len(found):
        raise ValueError(
            f"counts{found[0].tolist()}: got {float(statistics.counts[tuple(found[0])]):g} rows on a masked action, "
            "takes none where the reference is 0"
        )


def estimate(
    data: AnyStatistics | Dataset, *, prior_mean: float | int = 0.0, regularizer: Regularizer | None = None
) -> Estimate:
    """Tabular least squares: the mean reward of each cell (MATH A1), and how often each next state followed.

    A joint action that the log never saw gets `prior_mean` and keeps count 0, which is reported by a warning in the
    log ``gamekl`` and is no error: coverage studies need it. In a Markov game it pays `prior_mean` for every step that
    is left, and the episode ends there. (Regression of rewards plus next values on the cells, which needs no model,
    comes to the same numbers.)

    Args:
        data: statistics, or the rows.
        prior_mean: estimate of unvisited cells, payoff units a step.
        regularizer: where given, rows on actions that it masks are an error (on concrete arrays).

    Raises:
        ValueError: empty data, bad counts, or rows on masked actions.
    """
    if not (np.ndim(prior_mean) == 0 and np.isfinite(prior_mean)):
        raise ValueError(f"prior_mean: got {prior_mean!r}, takes a finite number")
    statistics = statistics_from_dataset(data) if isinstance(data, Dataset) else data
    if is_concrete(statistics, regularizer):
        _check_counts(statistics)
        if regularizer is not None:
            _check_masked(statistics, regularizer)
        unvisited = int(np.sum(np.asarray(statistics.counts) == 0))
        if unvisited:
            logger.warning(
                "%d of %d joint actions have no data; their payoffs are estimated as prior_mean = %g",
                unvisited,
                statistics.counts.size,
                prior_mean,
            )
    counts = statistics.counts
    if isinstance(statistics, ContextualStatistics):
        payoffs = _means(statistics, prior_mean)
        visits = counts.sum(axis=tuple(range(1, counts.ndim)))
        return Estimate(ContextualGame(payoffs, (visits / visits.sum()).astype(payoffs.dtype)), counts)
    if isinstance(statistics, MarkovStatistics):
        return Estimate(_markov(statistics, prior_mean), counts)
    return Estimate(NormalFormGame(_means(statistics, prior_mean)), counts)


def _means(statistics: AnyStatistics, prior: Any) -> Float[Array, "..."]:
    """Mean rewards, the prior where there are none; NaN where there is no count."""
    sums = statistics.reward_sums
    counts = jnp.expand_dims(statistics.counts, _num_stages(statistics))
    means = sums / jnp.where(counts > 0, counts, 1).astype(sums.dtype)
    # NaN counts (too many rows for the precision) must not pass as unvisited cells.
    payoffs = jnp.where(counts == 0, jnp.asarray(prior, sums.dtype), means)
    return jnp.where(jnp.isnan(counts), jnp.nan, payoffs)


def _markov(statistics: MarkovStatistics, prior_mean: float | int) -> MarkovGame:
    horizon = statistics.counts.shape[0]
    left = jnp.arange(horizon, 0, -1, dtype=statistics.reward_sums.dtype)
    rewards = _means(statistics, prior_mean * left.reshape(-1, *[1] * (statistics.reward_sums.ndim - 1)))
    counts = statistics.counts[..., None]
    transitions = statistics.transition_counts / jnp.where(counts > 0, counts, 1)
    initial = statistics.initial_counts / statistics.initial_counts.sum()
    return MarkovGame(rewards, transitions.astype(rewards.dtype), initial.astype(rewards.dtype))
