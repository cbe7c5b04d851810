"""Who plays what, as a TOML file has it: one policy for each player, or a table of all joint actions. Loads no jax."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from gamekl.core.names import meant
from gamekl.experiment.schema.plain import is_row

NAMES = ("uniform", "reference")
TAKES = (
    "'uniform', 'reference', one policy for each player, each of which sums to 1, such as [[0.5, 0.5], [0.2, 0.8]], or "
    "a table [*actions] of joint probabilities, which sums to 1"
)
LONGEST = 60  # of what a message repeats
SLACK = 1e-9  # of sums


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _leaves(value: Any, place: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Whatever is no list, with its place."""
    if not is_row(value):
        yield place, value
        return
    for index, entry in enumerate(value):
        yield from _leaves(entry, (*place, index))


def _is_chance(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of nested lists; None where they are no table."""
    if not is_row(value):
        return ()
    inner = {_shape(entry) for entry in value}
    if len(inner) != 1 or None in inner:
        return None
    return (len(value), *(inner.pop() or ()))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if is_row(value) else float(value)


def _total(values: Any) -> float:
    return math.fsum(leaf for _, leaf in _leaves(values))


def _are_policies(value: Sequence[Any]) -> bool:
    """Lists of numbers, each of which sums to 1; the table of two players sums to 1 as a whole."""
    flat = all(is_row(row) and _shape(row) == (len(row),) for row in value)
    return flat and all(abs(_total(row) - 1) <= SLACK for row in value)


def parse_behavior(value: Any) -> Any:
    """A name, or nested tuples of probabilities.

    Raises:
        ValueError: it is neither; one line, whatever is wrong in how many places.
    """
    if isinstance(value, str) and value not in NAMES:
        close = meant(value, NAMES)
        raise ValueError(f"got {value!r}{f'; did you mean {close!r}?' if close else ','} takes {TAKES}")
    if isinstance(value, str):
        return value
    if not is_row(value) or not value:
        raise ValueError(f"got {_shown(value)}, takes {TAKES}")
    wrong = [(place, leaf) for place, leaf in _leaves(value) if not _is_chance(leaf)]
    if wrong:
        (place, leaf), more = wrong[0], f" ({len(wrong)} such entries)" if len(wrong) > 1 else ""
        where = ".".join(map(str, place))
        raise ValueError(f"got {_shown(leaf)} at {where}{more}, takes probabilities from 0 to 1 there")
    if _are_policies(value):
        return _frozen(value)
    if _shape(value) is None:
        raise ValueError(f"got {_shown(value)}, lists of several lengths or depths, takes {TAKES}")
    if abs(_total(value) - 1) > SLACK:
        sums = f", whose rows sum to {', '.join(f'{_total(row):g}' for row in value[:5])}" if len(value) > 1 else ""
        raise ValueError(f"got {_shown(value)} with a sum of {_total(value):g}{sums}, takes {TAKES}")
    return _frozen(value)


def check_behavior(behavior: tuple[Any, ...], num_actions: Sequence[int]) -> None:
    """Raise ``ValueError`` unless it is one of players with so many actions."""
    sizes, shape = list(num_actions), _shape(behavior)
    if list(shape or ()) == sizes and abs(_total(behavior) - 1) <= SLACK:
        return
    if _are_policies(behavior):
        got = [len(row) for row in behavior]
        if got != sizes:
            raise ValueError(f"behavior: got policies of {got} actions, takes {sizes}, one policy for each player")
        return
    raise ValueError(
        f"behavior: got a table of shape {list(shape or ())}, takes {sizes}, or one policy for each player"
    )
