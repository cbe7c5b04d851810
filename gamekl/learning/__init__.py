"""Methods in which estimating and solving alternate, or whose solver must know how uncertain the estimate is."""

from gamekl.learning.bootstrap import Band, Bootstrap, bootstrap
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
    "bellman_consistent",
    "bellman_consistent_cce",
    "bootstrap",
    "fit_stages",
    "pnvi",
    "strategy_wise",
]
