"""Preferences: from comparisons to policies that no other is preferred to.

Comparisons are counted, or drawn, and estimated pair by pair or by rewards; `nash_policies` then finds the
regularised Nash policy over the responses to each prompt, and `self_play` follows a rule of `gamekl.rules` round by
round.
"""

from gamekl.preference.joint_comparisons import (
    JointComparisons,
    count_joint_comparisons,
    estimate_payoffs,
    independent_pairs,
    sample_joint_comparisons,
    unilateral_pairs,
)
from gamekl.preference.policies import NashPolicies, nash_policies
from gamekl.preference.rates import predicted_preference_constant
from gamekl.preference.trajectory_comparisons import (
    TrajectoryComparisons,
    estimate_rewards,
    sample_trajectory_comparisons,
)
from gamekl.solvers.play.follow import self_play

__all__ = [
    "JointComparisons",
    "NashPolicies",
    "TrajectoryComparisons",
    "count_joint_comparisons",
    "estimate_payoffs",
    "estimate_rewards",
    "independent_pairs",
    "nash_policies",
    "predicted_preference_constant",
    "sample_joint_comparisons",
    "sample_trajectory_comparisons",
    "self_play",
    "unilateral_pairs",
]
