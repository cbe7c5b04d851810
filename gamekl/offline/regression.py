"""Payoff regression: data to an estimated game, which is a game like any other."""

import logging
from functools import reduce

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.offline.dataset import Dataset, statistics_from_dataset
from gamekl.offline.statistics import Statistics

logger = logging.getLogger("gamekl")


class Estimate(eqx.Module):
    """An estimated game and how much data stands behind it.

    Attributes:
        game: the estimated game.
        counts: rows seen for each joint action, shape ``[*actions]``.
    """

    game: NormalFormGame
    counts: Float[Array, "*actions"]


def _check_counts(statistics: Statistics) -> None:
    counts = np.asarray(statistics.counts)
    if statistics.reward_sums.shape[1:] != counts.shape:
        raise ValueError(
            f"reward_sums: got shape {statistics.reward_sums.shape}, takes [player, *actions], actions {counts.shape}"
        )
    bad = np.argwhere(~(counts >= 0) | ~np.isfinite(counts))
    if len(bad):
        raise ValueError(f"counts{bad[0].tolist()}: got {counts[tuple(bad[0])]}, takes finite numbers >= 0")
    if counts.sum() == 0:
        raise ValueError("counts: got an empty dataset, takes at least one row")


def _check_masked(statistics: Statistics, regularizer: Regularizer) -> None:
    # numpy, here and above: inside ``jit`` even concrete arrays would be traced by jax.numpy.
    allowed = reduce(np.logical_and.outer, [~np.isneginf(entry) for entry in regularizer.log_reference])
    if allowed.shape != statistics.counts.shape:
        raise ValueError(f"log_reference: got references of actions {allowed.shape}, takes {statistics.counts.shape}")
    found = np.argwhere(~allowed & (np.asarray(statistics.counts) > 0))
    if len(found):
        raise ValueError(
            f"counts{found[0].tolist()}: got {float(statistics.counts[tuple(found[0])]):g} rows on a masked action, "
            "takes none where the reference is 0"
        )


def estimate(
    data: Statistics | Dataset, *, prior_mean: float | int = 0.0, regularizer: Regularizer | None = None
) -> Estimate:
    """Tabular least squares: the mean reward of each cell (MATH A1).

    A joint action that the log never saw gets `prior_mean` and keeps count 0, which is reported by a warning in the
    log ``gamekl`` and is no error: coverage studies need it.

    Args:
        data: statistics, or the rows.
        prior_mean: estimate of unvisited cells, payoff units.
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
    sums = statistics.reward_sums
    counts = statistics.counts
    means = sums / jnp.where(counts > 0, counts, 1).astype(sums.dtype)
    # NaN counts (too many rows for the precision) must not pass as unvisited cells.
    payoffs = jnp.where(counts == 0, jnp.asarray(prior_mean, sums.dtype), means)
    payoffs = jnp.where(jnp.isnan(counts), jnp.nan, payoffs)
    return Estimate(NormalFormGame(payoffs), counts)
