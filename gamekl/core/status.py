"""How a computation ended, as a number that says it in words."""

import enum
import operator


class Code(enum.IntEnum):
    """An integer with a name; the entry of an integer array gives its member too, on every Python."""

    @classmethod
    def _missing_(cls, value: object) -> "Code | None":
        # Before 3.13 enum finds an array's entry, which has no hash, by comparing; since then it does not.
        if isinstance(value, int) or not hasattr(value, "__index__"):
            return None
        return cls(operator.index(value))  # pyright: ignore[reportArgumentType]


class StatusBase(Code):
    """A code with a `message`; members are written ``name = number, message``."""

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


class Status(StatusBase):
    """How a solve ended; `message` says it in words."""

    converged = 0, "what was asked for was found"
    max_steps = 1, "the step limit was reached first"
    path_failed = 2, "the logit path met a singular point that it could not pass"
    not_converged = 3, "the answer stayed above the tolerance, or is not finite"
    nonfinite_input = 4, "a payoff, reference or temperature is NaN or infinite"
    invalid_input = (
        5,
        "a temperature or a number of rounds is not positive, a reference does not sum to one, or P + P^T is not 1",
    )
    too_few_digits = (
        6,
        "payoffs so large beside the temperature leave their dtype too few digits; float64 (refine='float64') has more",
    )
    unproven = 7, "solved, but it could not be proven that this is on the principal branch"
