"""Learning a game while playing it."""

from gamekl.online.decoupling import decoupling
from gamekl.online.loop import Learner, OnlinePlay, play_online
from gamekl.online.mamex import Greed, Hypotheses, Mamex, Optimism, step_size
from gamekl.online.models import FiniteModels, pure_policies
from gamekl.online.stages import OptimisticStages
from gamekl.online.tables import LinearPayoffs, TabularPayoffs, optimistic_entry
from gamekl.online.values import FiniteValues, values_of_models

__all__ = [
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
    "TabularPayoffs",
    "decoupling",
    "optimistic_entry",
    "play_online",
    "pure_policies",
    "step_size",
    "values_of_models",
]
