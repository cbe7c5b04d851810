"""How good a profile is, whether it is the only equilibrium, and how fast the error falls."""

from gamekl.evaluate.certificates import (
    Uniqueness,
    contraction_matrix,
    monotone_margin,
    small_gain_margin,
    uniqueness,
)
from gamekl.evaluate.distance import DistanceBound, distance_bound
from gamekl.evaluate.fit import Rate, fit_paired_rate, fit_rate
from gamekl.evaluate.gaps import cce_gap, ce_gap, exploitability, nash_conv, occupancies, policy_value
from gamekl.evaluate.rates import first_sample_size, predicted_constant
from gamekl.evaluate.symmetry import symmetry_determinant

__all__ = [
    "DistanceBound",
    "Rate",
    "Uniqueness",
    "cce_gap",
    "ce_gap",
    "contraction_matrix",
    "distance_bound",
    "exploitability",
    "first_sample_size",
    "fit_paired_rate",
    "fit_rate",
    "monotone_margin",
    "nash_conv",
    "occupancies",
    "policy_value",
    "predicted_constant",
    "small_gain_margin",
    "symmetry_determinant",
    "uniqueness",
]
