"""Estimation: how rational players are, from what they did.

Counts of play of one or several games are fitted by quantal response equilibria along the games' paths (`fit_qre`),
with standard errors, intervals, tests and bootstrap samples. `level_k` and `cognitive_hierarchy` are what players do
who think a few steps ahead.
"""

from gamekl.estimation.bootstrap import Bootstrap, bootstrap
from gamekl.estimation.fit import fit_qre
from gamekl.estimation.levels import CognitiveHierarchy, cognitive_hierarchy, level_k
from gamekl.estimation.logit_curve import LogitCurve, ResponseCurve
from gamekl.estimation.play import Play, play_of_rows
from gamekl.estimation.qre_fit import GroupFit, QreFit
from gamekl.estimation.ratios import RatioTest, nested_test, uniform_test

__all__ = [
    "Bootstrap",
    "CognitiveHierarchy",
    "GroupFit",
    "LogitCurve",
    "Play",
    "QreFit",
    "RatioTest",
    "ResponseCurve",
    "bootstrap",
    "cognitive_hierarchy",
    "fit_qre",
    "level_k",
    "nested_test",
    "play_of_rows",
    "uniform_test",
]
