"""Log-log slopes of an error against the sample size, with bootstrap intervals over seeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gamekl.core.show import show


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
    __repr__ = show


def _slopes(log_n: np.ndarray, log_means: np.ndarray) -> np.ndarray | np.floating:
    centred = log_n - log_n.mean()
    return log_means @ centred / (centred @ centred)


def bootstrap_means(rng: np.random.Generator, errors: np.ndarray, resamples: int) -> np.ndarray:
    """The means of resampled errors ``[seed]``, shape ``[resample]``."""
    size = len(errors)
    return np.array([errors[rng.integers(0, size, size)].mean() for _ in range(resamples)])


def _check(sizes: np.ndarray, values: Sequence[np.ndarray], resamples: int, level: float) -> None:
    if sizes.ndim != 1 or len(np.unique(sizes)) < 2 or not np.all(sizes > 0):
        raise ValueError(f"num_samples: got {sizes.tolist()}, takes at least two different numbers > 0")
    if len(values) != len(sizes) or any(entry.ndim != 1 or len(entry) < 2 for entry in values):
        raise ValueError(
            f"errors: got shapes {[entry.shape for entry in values]}, takes two or more seeds for each of "
            f"{len(sizes)} n"
        )
    if any(not np.all((entry >= 0) & np.isfinite(entry)) for entry in values):
        raise ValueError("errors: got a negative or infinite number or NaN, takes finite numbers >= 0")
    if not (resamples >= 1 and 0 < level < 1):
        raise ValueError(f"resamples, level: got {resamples} and {level}, takes at least 1, and a level in (0, 1)")
    means = [entry.mean() for entry in values]
    if not np.all(np.asarray(means) > 0):
        raise ValueError(f"errors: got means {means}, takes means > 0 for a log-log slope")


def _fit(sizes: np.ndarray, means: np.ndarray, resampled: np.ndarray, level: float) -> Rate:
    log_sizes = np.log(sizes)
    slope = float(_slopes(log_sizes, np.log(means)))
    # A resample of mostly zero errors may have mean 0; the least positive number stands for it.
    slopes = _slopes(log_sizes, np.log(np.maximum(resampled, np.finfo(np.float64).tiny)))
    low, high = np.quantile(slopes, [(1 - level) / 2, (1 + level) / 2])
    return Rate(slope, float(low), float(high), float(np.log(means).mean() - slope * log_sizes.mean()))


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

    Returns:
        A `Rate`: the slope, its interval, and the logarithm of the constant.

    Raises:
        ValueError: shapes that do not fit, fewer than two sample sizes or seeds, or a mean that is not positive.
    """
    n = np.asarray(num_samples, dtype=np.float64)
    values = [np.asarray(entry, dtype=np.float64) for entry in errors]
    _check(n, values, resamples, level)
    rng = np.random.default_rng(seed)
    resampled = np.stack([bootstrap_means(rng, entry, resamples) for entry in values], axis=1)
    return _fit(n, np.array([entry.mean() for entry in values]), resampled, level)


def fit_paired_rate(
    num_rounds: Sequence[float | int] | np.ndarray,
    errors: np.ndarray,
    *,
    seed: int,
    resamples: int = 1_000,
    level: float = 0.95,
) -> Rate:
    """Fit the slope of the mean error over seeds against the size on log-log axes; each size has the same seeds.

    That is so of runs that are measured after several rounds. The interval is a bootstrap over whole seeds; `fit_rate`
    is for sizes with seeds of their own.

    Args:
        num_rounds: the sizes, rounds of play or whatever a run was measured after, at least two different ones.
        errors: shape ``[size, seed]``, >= 0; a bootstrap sample takes whole seeds.
        seed: of the bootstrap.
        resamples: how many bootstrap samples.
        level: of the percentile interval.

    Returns:
        A `Rate`: the slope, its interval, and the logarithm of the constant.

    Raises:
        ValueError: shapes that do not fit, fewer than two sizes or seeds, or a mean that is not positive.
    """
    rounds, values = np.asarray(num_rounds, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    _check(rounds, list(values), resamples, level)
    rng = np.random.default_rng(seed)
    count = values.shape[1]
    resampled = np.array([values[:, rng.integers(0, count, count)].mean(axis=1) for _ in range(resamples)])
    return _fit(rounds, values.mean(axis=1), resampled, level)
