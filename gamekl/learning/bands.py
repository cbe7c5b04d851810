"""From a log's groups to resamples, and from resamples to bands.

A log's rows are in G disjoint groups. A resample draws G of them with replacement and adds up their counts and reward
sums. The band of a number at level 1 - 2 a runs from the a' to the 1 - a' quantile of what it is in the resamples,

    a' = Phi(sqrt(G / (G - 1)) t_{G-1}^{-1}(a)),

the expanded percentile interval (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015): plain percentiles
would be too narrow for few groups, by the factor that a z is narrower than a t with a variance that divides by G.

Of n resamples the k-th number stands for the quantile k / (n + 1), so that the expected coverage is right: a band takes
n >= 1 / a' - 1. And it takes a' >= G^-G, the chance of a resample that is one of the groups alone, G times over: a
quantile further out would be beyond all that can be drawn (both derived).
"""

import math
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float

from gamekl.core.show import Shown
from gamekl.core.validation import check_whole
from gamekl.offline.logs.log import Log
from gamekl.offline.statistics import ContextualStatistics, Statistics

# Payoffs of all resamples together, 512 MiB in float64; copies come on top.
MOST_PAYOFFS = 2**26


class Band(Shown):
    """A number that follows from the log, and the band around it.

    Attributes:
        point: what it is in the log itself.
        lower: where the band begins, same shape.
        upper: where it ends, same shape.
    """

    point: Float[np.ndarray, "..."]
    lower: Float[np.ndarray, "..."]
    upper: Float[np.ndarray, "..."]


def _tail(level: float, groups: int) -> float:
    """The quantile a' of the module, at which a band begins."""
    t = scipy.stats.t.ppf((1 - level) / 2, groups - 1)
    return float(scipy.stats.norm.cdf(np.sqrt(groups / (groups - 1)) * t))


def _fewest_draws(tail: float) -> int:
    """The least number of resamples n that the module asks for."""
    return math.ceil(1 / tail) - 1


def checked_tail(log: Any, num_resamples: int, level: float | int) -> float:
    """The quantile a' of the module, at which a band begins, after checks.

    Raises:
        ValueError: the log has too few groups for the level, or too few or too many resamples are asked for.
        TypeError: `log` is no `Log`.
    """
    if not isinstance(log, Log):
        raise TypeError(f"log: got {type(log).__name__}, takes a Log (gamekl.offline.read_log makes it)")
    check_whole(num_resamples=num_resamples)
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, takes a number above 0 and below 1")
    groups = log.num_groups
    fewest = next(size for size in count(2) if _tail(level, size) >= size**-size)
    if groups < fewest:
        got = f"its rows in {groups} group{'s' if groups > 1 else ''}"
        if log.weight is not None and log.group is None:
            got += f" (weights {log.weight!r} that are not whole, or too large, take a column of groups in the schema)"
        raise ValueError(f"log: got {got}, takes at least {fewest} groups for level {level}")
    tail = _tail(level, groups)
    least = _fewest_draws(tail)
    if num_resamples < least:
        raise ValueError(
            f"num_resamples: got {num_resamples}, takes at least {least} for level {level} and {groups} groups"
        )
    size = log.statistics.reward_sums.size
    if num_resamples * size > MOST_PAYOFFS:
        most = MOST_PAYOFFS // size
        raise ValueError(f"num_resamples: got {num_resamples}, takes at most {most} for a log of so many cells")
    return tail


def resample(log: Log, key: Any, num_resamples: int) -> Statistics | ContextualStatistics:
    """Statistics with a leading axis of resamples, added up in float64 on the host."""
    groups = log.num_groups
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), dtype=jnp.uint32)))
    times = rng.multinomial(groups, np.full(groups, 1 / groups), num_resamples).astype(float)
    return jax.tree.map(
        lambda leaf: (times @ leaf.reshape(groups, -1)).reshape(num_resamples, *leaf.shape[1:]), log.groups
    )


def band(point: Array, drawn: Array, *, solved: np.ndarray, tail: float) -> Band:
    """The band of numbers ``[...]``, `drawn` with a leading axis of resamples, of which those that are `solved` count.

    NaN where that leaves fewer than the level takes.
    """
    kept = np.asarray(drawn)[solved]
    if len(kept) < _fewest_draws(tail):
        kept = np.full((2, *point.shape), np.nan)
    lower, upper = np.quantile(kept, [tail, 1 - tail], axis=0, method="weibull")
    return Band(np.asarray(point), lower, upper)
