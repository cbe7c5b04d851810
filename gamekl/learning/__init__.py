"""Methods in which estimating and solving alternate, or whose solver must know how uncertain the estimate is."""

from gamekl.learning.bands import Band
from gamekl.learning.bootstrap import Bootstrap, ProfileBootstrap, bootstrap, bootstrap_profile
from gamekl.learning.markov import fit_stages
from gamekl.learning.pessimistic import (
    PessimisticJoint,
    PessimisticProfile,
    PessimisticValues,
    bellman_consistent,
    bellman_consistent_cce,
    pnvi,
    strategy_wise,
)

__all__ = [
    "Band",
    "Bootstrap",
    "PessimisticJoint",
    "PessimisticProfile",
    "PessimisticValues",
    "ProfileBootstrap",
    "bellman_consistent",
    "bellman_consistent_cce",
    "bootstrap",
    "bootstrap_profile",
    "fit_stages",
    "pnvi",
    "strategy_wise",
]
