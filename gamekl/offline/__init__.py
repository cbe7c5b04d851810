"""Game and behavior to data to estimated game.

What reads files is loaded on first use, as it needs pyarrow and pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gamekl.core.status import FitStatus
from gamekl.core.validation import joint_behavior
from gamekl.offline.behavior import behavior_with_concentrability, concentrability, stage_concentrability
from gamekl.offline.bradley_terry import BradleyTerryFit, bradley_terry_preferences, fit_bradley_terry
from gamekl.offline.comparisons import (
    Comparisons,
    PreferenceEstimate,
    count_comparisons,
    estimate_preferences,
    sample_comparisons,
)
from gamekl.offline.coverage import Coverage, coverage
from gamekl.offline.dataset import ContextualDataset, Dataset, MarkovDataset
from gamekl.offline.logs.log import Log
from gamekl.offline.logs.sides import check_orders
from gamekl.offline.models import ActionRidge, FiniteClass, Ridge, per_action
from gamekl.offline.neural import Neural, NeuralFit
from gamekl.offline.pessimism import lower_confidence
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.rows import sample_dataset, statistics_from_dataset
from gamekl.offline.statistics import ContextualStatistics, MarkovStatistics, Statistics, sample_statistics

if TYPE_CHECKING:
    from gamekl.offline.logs.read import read_log
    from gamekl.offline.logs.schema import LogSchema, load_log_schema

_HOMES = {"LogSchema": "schema", "load_log_schema": "schema", "read_log": "read"}

__all__ = [
    "ActionRidge",
    "BradleyTerryFit",
    "Comparisons",
    "ContextualDataset",
    "ContextualStatistics",
    "Coverage",
    "Dataset",
    "Estimate",
    "FiniteClass",
    "FitStatus",
    "Log",
    "LogSchema",
    "MarkovDataset",
    "MarkovStatistics",
    "Neural",
    "NeuralFit",
    "PreferenceEstimate",
    "Ridge",
    "Statistics",
    "behavior_with_concentrability",
    "bradley_terry_preferences",
    "check_orders",
    "concentrability",
    "count_comparisons",
    "coverage",
    "estimate",
    "estimate_preferences",
    "fit_bradley_terry",
    "joint_behavior",
    "load_log_schema",
    "lower_confidence",
    "per_action",
    "read_log",
    "sample_comparisons",
    "sample_dataset",
    "sample_statistics",
    "stage_concentrability",
    "statistics_from_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gamekl.offline' has no attribute {name!r}")
    return getattr(import_module(f"gamekl.offline.logs.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
