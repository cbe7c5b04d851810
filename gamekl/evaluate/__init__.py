"""How good a profile is, and how fast the error falls."""

from gamekl.evaluate.fit import Rate, fit_rate
from gamekl.evaluate.gaps import exploitability, nash_conv
from gamekl.evaluate.rates import first_sample_size, predicted_constant

__all__ = ["Rate", "exploitability", "first_sample_size", "fit_rate", "nash_conv", "predicted_constant"]
