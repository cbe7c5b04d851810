"""How games, data and results are shown: a headline and a line for each field, never pages of numbers.

Few numbers are shown rounded, many by their shape and range, log-policies as the probabilities that they are, a status
by its name, a batch by how many of its parts ended how. What is traced has a shape alone.
"""

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gamekl.core.status import StatusBase

LINES, COLUMNS = 15, 100
# Numbers that are shown one by one; fields that have a line each, of a tuple of arrays; entries that are looked at.
FEW, PARTS, MOST = 12, 6, 2**20
# A value that is no longer than this shares its line with others.
SHORT = 30


class Shown(eqx.Module):
    """A module that is shown for reading.

    Attributes:
        status_type: what the numbers of a field ``status`` stand for.
    """

    status_type: ClassVar[type[StatusBase] | None] = None

    def __repr__(self) -> str:
        """A headline and a line for each field."""
        return show(self)

    def headline(self) -> str:
        """What stands behind the type's name, where all leaves are arrays; a status is told by itself."""
        return ""

    def notes(self) -> Iterator[str]:
        """Sentences that stand below the fields, where all leaves are arrays whose numbers are there."""
        yield from ()


def is_shown_by_shape(value: Any) -> bool:
    """Whether an array's numbers cannot be had: it is traced, or was given away."""
    return isinstance(value, Tracer) or (isinstance(value, jax.Array) and value.is_deleted())


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | jax.Array)


def _headline(value: Any) -> str:
    leaves = jax.tree.leaves(value, is_leaf=lambda leaf: leaf is None)
    return value.headline() if isinstance(value, Shown) and all(map(_is_array, leaves)) else ""


def _notes(value: Any) -> Iterator[str]:
    leaves = jax.tree.leaves(value)
    if isinstance(value, Shown) and all(map(_is_array, leaves)) and not any(map(is_shown_by_shape, leaves)):
        yield from value.notes()


def _abstract(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}"


def _axes(annotation: Any) -> str:
    """The names of an array's axes, where its annotation has them: [player, *actions]."""
    parts = (annotation, *get_args(annotation))
    names = next((part.dim_str.split() for part in parts if hasattr(part, "dim_str")), [])
    return f"[{', '.join(names)}] = " if names and "_" not in names and "..." not in names else ""


def _number(value: Any) -> str:
    return str(value) if isinstance(value, bool | np.bool_) else f"{value:.4g}"


def _range(values: np.ndarray) -> str:
    """The least and the largest of many numbers, as text."""
    if values.dtype == bool:
        return f"{np.count_nonzero(values):,} of {values.size:,} true"
    known = values[~np.isnan(values)] if np.issubdtype(values.dtype, np.inexact) else values
    text = f"from {_number(known.min())} to {_number(known.max())}" if known.size else ""
    return text + (f" ({values.size - known.size:,} NaN)" if known.size < values.size else "")


def _array(value: Any, annotation: Any) -> str:
    """An array as text: its numbers, or what there is to say of them."""
    if is_shown_by_shape(value) or jnp.issubdtype(value.dtype, jax.dtypes.extended):
        return _abstract(value)
    if value.size > MOST:
        return f"{_axes(annotation)}{list(value.shape)}"
    values = np.asarray(value)
    if values.ndim == 0:
        return _number(values[()])
    if values.size > FEW or values.size == 0:
        return f"{_axes(annotation)}{list(values.shape)} {_range(values)}".rstrip()
    if values.ndim == 1:
        return " ".join(map(_number, values))
    text = np.array2string(values, formatter={"all": _number}, separator=" ", max_line_width=COLUMNS)
    return " ".join(text.split())


def text_of(value: Any, annotation: Any = None) -> str:
    """A value in one line, however much there is of it."""
    if _is_array(value):
        text = _array(value, annotation)
    elif isinstance(value, float):
        text = _number(value)
    elif isinstance(value, Shown):
        facts = [f"{name} {text}" for name, text in _fields(value)]
        text = f"{type(value).__name__}: {_headline(value)}" if _headline(value) else ", ".join(facts)
    elif isinstance(value, tuple | list) and not hasattr(value, "_fields"):
        text = f"({', '.join(map(text_of, value[: FEW + 1]))})"
    else:
        text = repr(value)
    return textwrap.shorten(text, COLUMNS, placeholder=" ...")


def _named(name: str, value: Any) -> tuple[str, Any]:
    """A field by name and value, with probabilities in place of their logarithms."""
    if "log_" not in name or not _is_array(value) or is_shown_by_shape(value) or value.size > MOST:
        return name, value
    with np.errstate(over="ignore"):
        return name.replace("log_", ""), np.exp(np.asarray(value))


def _annotations(value: Any) -> dict[str, Any]:
    """The fields of a module or a named tuple, and what they are."""
    if dataclasses.is_dataclass(value):
        return {field.name: field.type for field in dataclasses.fields(value)}
    return {name: type(value).__annotations__.get(name) for name in value._fields}


def _fields(value: Any) -> Iterator[tuple[str, str]]:
    """Name and text of each field; a few arrays in a tuple have a name each."""
    for name, annotation in _annotations(value).items():
        found = getattr(value, name, None)
        statuses = _statuses(value, name)
        if found is None or (name == "status" and statuses):  # that stands in the headline
            continue
        if isinstance(found, tuple) and 0 < len(found) <= PARTS and all(map(_is_array, found)):
            for index, part in enumerate(found):
                shorter, part = _named(name, part)
                yield f"{shorter}[{index}]", text_of(part)
        else:
            shorter, found = _named(name, found)
            yield shorter, statuses or text_of(found, annotation)


def _status_name(kind: type[StatusBase], number: int) -> str:
    return kind(number).name if number in set(kind) else str(number)


def _statuses(value: Any, name: str) -> str:
    """How it ended, by name; of many parts, how often. Nothing of what is no status."""
    status, kind = getattr(value, name, None), getattr(value, "status_type", None)
    if kind is None or not name.endswith("status") or not _is_array(status) or is_shown_by_shape(status):
        return ""
    numbers = np.asarray(status)
    if not numbers.ndim:
        number = int(numbers)
        return f"{_status_name(kind, number)}" + (f" ({kind(number).message})" if number in set(kind) else "")
    told = Counter(numbers.ravel().tolist()).most_common()
    axes = _axes(_annotations(value).get(name)).strip("[]= *")
    counts = ", ".join(f"{count:,} {_status_name(kind, number)}" for number, count in told)
    return f"{axes} {list(numbers.shape)}: {counts}"


def _lines(value: Any) -> Iterator[str]:
    """Below the headline: numbers in a row, other values under each other, short ones only while there is room."""
    fields = list(_fields(value))
    room = LINES - 3 > len(fields)

    def is_short(name: str, text: str) -> bool:
        return "[" not in name and len(text) <= SHORT and (" " not in text or not room)

    rest = [field for field in fields if not is_short(*field)]
    width = max((len(name) for name, _ in rest), default=0)
    yield from (f"{name:<{width}}  {text}" for name, text in rest)
    row = ", ".join(f"{name} {text}" for name, text in fields if is_short(name, text))
    yield from textwrap.wrap(row, COLUMNS - 2)
    for note in _notes(value):
        yield from textwrap.wrap(note, COLUMNS - 2)


def _cut(line: str) -> str:
    return line if len(line) <= COLUMNS else line[: COLUMNS - 4] + " ..."


def show(self: Any) -> str:
    """A `Shown` or a named tuple in at most 15 lines of 100 letters; may serve as ``__repr__``."""
    told = "; ".join(filter(None, [_headline(self), _statuses(self, "status")]))
    lines = [type(self).__name__ + (f": {told}" if told else ""), *(f"  {line}" for line in _lines(self))]
    if len(lines) > LINES:
        lines[LINES - 1 :] = [f"  and {len(lines) - LINES + 1} lines more"]
    return "\n".join(map(_cut, lines))
