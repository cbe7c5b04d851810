"""How a computation ended, as a number that says it in words."""

import enum


class StatusBase(enum.IntEnum):
    """An integer with a `message`; members are written ``name = number, message``."""

    message: str

    def __new__(cls, value: int, message: str) -> "StatusBase":
        """An integer that carries its message."""
        status = int.__new__(cls, value)
        status._value_ = value
        status.message = message
        return status


class FitStatus(StatusBase):
    """How a fit ended; `message` says it in words."""

    converged = 0, "what was asked for was found"
    max_steps = 1, "the step limit was reached first"
    no_maximizer = 2, "the likelihood has no finite maximiser: the data are too few, or too much of one kind"
    not_identified = 3, "what was logged does not vary enough to tell what is fitted"
    nonfinite_input = 4, "a count or a reward is NaN or infinite, or a count negative"
