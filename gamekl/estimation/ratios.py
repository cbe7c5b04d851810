"""Likelihood ratio tests between fits."""

from typing import NamedTuple

import numpy as np
import scipy.stats

from gamekl.core.status import FitStatus
from gamekl.estimation.qre_fit import QreFit

# Totals of the two fits' counts differ by less than this, beside their size.
SAME = 1e-9


class RatioTest(NamedTuple):
    """A likelihood ratio test.

    Attributes:
        statistic: twice the difference of the log-likelihoods.
        num_parameters: how many more the larger model has.
        p_value: the chance of such a statistic, or a larger one, if the smaller model is right and the play much.
        boundary: whether the smaller model is on the boundary of the larger one, so that the law is a mixture of
            chi-squares.
    """

    statistic: float
    num_parameters: int
    p_value: float
    boundary: bool


def uniform_test(fit: QreFit) -> tuple[RatioTest, ...]:
    """Of each group: is rationality 0, so that play is that of the references?

    Rationality 0 is the end of its range: half of the time the statistic is 0, else it has a chi-square's law.

    Source: Self and Liang, "Asymptotic properties of maximum likelihood estimators and likelihood ratio tests under
    nonstandard conditions" (1987).
    """
    found = []
    for status, best, uniform in zip(fit.status, fit.log_likelihood, fit.uniform_log_likelihood, strict=True):
        statistic = max(0.0, 2 * float(best - uniform))
        p_value = float(scipy.stats.chi2.sf(statistic, 1)) / 2 if statistic > 0 else 1.0
        known = status != FitStatus.not_identified
        found.append(RatioTest(statistic, 1, p_value if known else np.nan, True))
    return tuple(found)


def nested_test(smaller: QreFit, larger: QreFit) -> RatioTest:
    """Have the groups of one fit that are one group of the other the same rationality?

    Args:
        smaller: of the same play with fewer groups, such as ``fit_qre(games, play.pooled())``.
        larger: with more.

    Raises:
        ValueError: fits of other games or other play, or not more groups.
    """
    totals = [np.sum([group.counts for group in fit.groups], axis=0) for fit in (smaller, larger)]
    fits = smaller.play.sizes == larger.play.sizes
    if not fits or np.any(np.abs(totals[0] - totals[1]) > SAME * (1 + totals[0])):
        raise ValueError("smaller: got a fit of other play than larger, takes one of the same")
    more = len(larger.groups) - len(smaller.groups)
    if more < 1:
        raise ValueError(
            f"larger: got {len(larger.groups)} groups, takes more than the {len(smaller.groups)} of smaller"
        )
    statistic = max(0.0, 2 * float(larger.log_likelihood.sum() - smaller.log_likelihood.sum()))
    boundary = any(rationality == 0 for rationality in smaller.rationality)
    return RatioTest(statistic, more, float(scipy.stats.chi2.sf(statistic, more)), boundary)
