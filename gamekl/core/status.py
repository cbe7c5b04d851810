"""How a computation ended, as a number that says it in words."""

import enum


class Ending(enum.IntEnum):
    """An integer with a `message`; members are written ``name = number, message``."""

    message: str

    def __new__(cls, value: int, message: str) -> "Ending":
        """An integer that carries its message."""
        ending = int.__new__(cls, value)
        ending._value_ = value
        ending.message = message
        return ending
