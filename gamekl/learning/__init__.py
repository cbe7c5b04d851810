"""Methods in which estimating and solving alternate, or whose solver must know how uncertain the estimate is."""

from gamekl.learning.bands import Band
from gamekl.learning.bootstrap import Bootstrap, ProfileBootstrap, bootstrap, bootstrap_profile
from gamekl.learning.mamex import Greed, Hypotheses, Mamex, Optimism, step_size
from gamekl.learning.mamex_decoupling import decoupling
from gamekl.learning.mamex_loop import Learner, OnlinePlay, play_online
from gamekl.learning.mamex_markov import FiniteModels, pure_policies
from gamekl.learning.mamex_stages import OptimisticStages
from gamekl.learning.mamex_tables import LinearPayoffs, TabularPayoffs, optimistic_entry
from gamekl.learning.mamex_values import FiniteValues, values_of_models
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
    "FiniteModels",
    "FiniteValues",
    "Greed",
    "Hypotheses",
    "Learner",
    "LinearPayoffs",
    "Mamex",
    "OnlinePlay",
    "Optimism",
    "OptimisticStages",
    "PessimisticJoint",
    "PessimisticProfile",
    "PessimisticValues",
    "ProfileBootstrap",
    "TabularPayoffs",
    "bellman_consistent",
    "bellman_consistent_cce",
    "bootstrap",
    "bootstrap_profile",
    "decoupling",
    "fit_stages",
    "optimistic_entry",
    "play_online",
    "pnvi",
    "pure_policies",
    "step_size",
    "strategy_wise",
    "values_of_models",
]
