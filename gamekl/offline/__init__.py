"""Game and behavior to data to estimated game."""

from gamekl.core.validation import joint_behavior
from gamekl.offline.behavior import behavior_with_concentrability, concentrability, stage_concentrability
from gamekl.offline.coverage import Coverage, coverage
from gamekl.offline.dataset import ContextualDataset, Dataset, MarkovDataset
from gamekl.offline.log_schema import LogSchema, load_log_schema
from gamekl.offline.logs import Log, read_log
from gamekl.offline.models import ActionRidge, FiniteClass, Ridge, per_action
from gamekl.offline.neural import Neural, NeuralFit
from gamekl.offline.pessimism import lower_confidence
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.rows import sample_dataset, statistics_from_dataset
from gamekl.offline.statistics import ContextualStatistics, MarkovStatistics, Statistics, sample_statistics

__all__ = [
    "ActionRidge",
    "ContextualDataset",
    "ContextualStatistics",
    "Coverage",
    "Dataset",
    "Estimate",
    "FiniteClass",
    "Log",
    "LogSchema",
    "MarkovDataset",
    "MarkovStatistics",
    "Neural",
    "NeuralFit",
    "Ridge",
    "Statistics",
    "behavior_with_concentrability",
    "concentrability",
    "coverage",
    "estimate",
    "joint_behavior",
    "load_log_schema",
    "lower_confidence",
    "per_action",
    "read_log",
    "sample_dataset",
    "sample_statistics",
    "stage_concentrability",
    "statistics_from_dataset",
]
