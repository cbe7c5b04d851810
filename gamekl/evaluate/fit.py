"""Log-log slopes of an error against the sample size, with bootstrap intervals over seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rate(NamedTuple):
    """A power law error = constant * n^slope, fitted by least squares to log mean error against log n.

    Attributes:
        slope: the exponent.
        low: lower end of its bootstrap interval over seeds.
        high: upper end.
        intercept: log of the constant.
    """

    slope: float
    low: float
    high: float
    intercept: float


def _slopes(log_n: np.ndarray, log_means: np.ndarray) -> np.ndarray | np.floating:
    centred = log_n - log_n.mean()
    return log_means @ centred / (centred @ centred)


def bootstrap_means(rng: np.random.Generator, errors: np.ndarray, resamples: int) -> np.ndarray:
    """Means of resampled errors ``[seed]``, shape ``[resample]``."""
    size = len(errors)
    return np.array([errors[rng.integers(0, size, size)].mean() for _ in range(resamples)])


def fit_rate(
    num_samples: Sequence[float | int] | np.ndarray,
    errors: Sequence[np.ndarray] | np.ndarray,
    *,
    seed: int,
    resamples: int = 1_000,
    level: float = 0.95,
) -> Rate:
    """Fit the slope of the mean error over seeds against n on log-log axes, with a bootstrap interval over seeds.

    Each n is resampled by itself, as its datasets are its own.

    Args:
        num_samples: the sample sizes, at least two different ones.
        errors: for each sample size the errors of its independent seeds, >= 0.
        seed: of the bootstrap.
        resamples: how many bootstrap samples.
        level: of the percentile interval.

    Raises:
        ValueError: shapes that do not fit, fewer than two sample sizes or seeds, or a mean that is not positive.
    """
    n = np.asarray(num_samples, dtype=np.float64)
    values = [np.asarray(entry, dtype=np.float64) for entry in errors]
    if n.ndim != 1 or len(np.unique(n)) < 2 or not np.all(n > 0):
        raise ValueError(f"num_samples: got {n.tolist()}, takes at least two different numbers > 0")
    if len(values) != len(n) or any(entry.ndim != 1 or len(entry) < 2 for entry in values):
        raise ValueError(
            f"errors: got shapes {[entry.shape for entry in values]}, takes two or more seeds for each of {len(n)} n"
        )
    if any(not np.all((entry >= 0) & np.isfinite(entry)) for entry in values):
        raise ValueError("errors: got a negative or infinite number or NaN, takes finite numbers >= 0")
    if not (resamples >= 1 and 0 < level < 1):
        raise ValueError(f"resamples, level: got {resamples} and {level}, takes at least 1, and a level in (0, 1)")
    means = np.array([entry.mean() for entry in values])
    if not np.all(means > 0):
        raise ValueError(f"errors: got means {means.tolist()}, takes means > 0 for a log-log slope")
    log_n = np.log(n)
    slope = float(_slopes(log_n, np.log(means)))
    rng = np.random.default_rng(seed)
    resampled = np.stack([bootstrap_means(rng, entry, resamples) for entry in values], axis=1)
    # A resample of mostly zero errors may have mean 0; the least positive number stands for it.
    slopes = _slopes(log_n, np.log(np.maximum(resampled, np.finfo(np.float64).tiny)))
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    return Rate(slope, float(low), float(high), float(np.log(means).mean() - slope * log_n.mean()))
