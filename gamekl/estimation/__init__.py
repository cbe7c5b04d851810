"""Estimation: how rational players are, from what they did.

Counts of play of one or several games are fitted by quantal response equilibria along the games' paths (`fit_qre`),
with standard errors, intervals, tests and bootstrap samples.
"""

from gamekl.estimation.bootstrap import Bootstrap, bootstrap
from gamekl.estimation.fit import fit_qre
from gamekl.estimation.logit_curve import LogitCurve
from gamekl.estimation.play import Play, play_of_rows
from gamekl.estimation.qre_fit import GroupFit, QreFit
from gamekl.estimation.ratios import RatioTest, nested_test, uniform_test

__all__ = [
    "Bootstrap",
    "GroupFit",
    "LogitCurve",
    "Play",
    "QreFit",
    "RatioTest",
    "bootstrap",
    "fit_qre",
    "nested_test",
    "play_of_rows",
    "uniform_test",
]
