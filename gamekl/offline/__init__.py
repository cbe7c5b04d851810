"""Game and behavior to data to estimated game."""

from gamekl.core.validation import joint_behavior
from gamekl.offline.behavior import behavior_with_concentrability, concentrability
from gamekl.offline.dataset import Dataset, sample_dataset, statistics_from_dataset
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import ContextualStatistics, MarkovStatistics, Statistics, sample_statistics

__all__ = [
    "ContextualStatistics",
    "Dataset",
    "Estimate",
    "MarkovStatistics",
    "Statistics",
    "behavior_with_concentrability",
    "concentrability",
    "estimate",
    "joint_behavior",
    "sample_dataset",
    "sample_statistics",
    "statistics_from_dataset",
]
