"""Preferences: from comparisons to policies that no other is preferred to.

Comparisons are counted, or drawn, and estimated pair by pair or by rewards; `nash_policies` then finds the
regularised Nash policy over the responses to each prompt, and `self_play` follows a rule of `gamekl.rules` round by
round.
"""

from gamekl.offline.bradley_terry import BradleyTerryFit, bradley_terry_preferences, fit_bradley_terry
from gamekl.offline.comparisons import (
    Comparisons,
    PreferenceEstimate,
    count_comparisons,
    estimate_preferences,
    sample_comparisons,
)
from gamekl.offline.joint_preferences import (
    JointComparisons,
    count_joint_comparisons,
    estimate_payoffs,
    independent_pairs,
    sample_joint_comparisons,
    unilateral_pairs,
)
from gamekl.offline.trajectory_preferences import (
    TrajectoryComparisons,
    estimate_rewards,
    sample_trajectory_comparisons,
)
from gamekl.solvers.follow import self_play
from gamekl.solvers.preference import NashPolicies, nash_policies

__all__ = [
    "BradleyTerryFit",
    "Comparisons",
    "JointComparisons",
    "NashPolicies",
    "PreferenceEstimate",
    "TrajectoryComparisons",
    "bradley_terry_preferences",
    "count_comparisons",
    "count_joint_comparisons",
    "estimate_payoffs",
    "estimate_preferences",
    "estimate_rewards",
    "fit_bradley_terry",
    "independent_pairs",
    "nash_policies",
    "sample_comparisons",
    "sample_joint_comparisons",
    "sample_trajectory_comparisons",
    "self_play",
    "unilateral_pairs",
]
