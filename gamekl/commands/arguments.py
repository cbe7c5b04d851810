"""What the shell is given for a command, read into a dataclass; what is mistyped is told in one line. Loads no jax.

Help is tyro's, which is loaded for that alone: it takes a tenth of a second, like all else of a small command.
"""

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

from gamekl.core.names import meant

T = TypeVar("T")


class Mark(enum.Enum):
    """What is special about a field: ``Annotated[type, mark]``; the values are tyro's names."""

    POSITIONAL = "Positional"  # it has no flag
    ALONE = "FlagCreatePairsOff"  # a flag without its negation
    FLAT = "OmitArgPrefixes"  # the fields of a dataclass, without its name


FIGURES, TABLES = (".svg", ".pdf", ".png"), (".csv",)
KINDS = {int: "a whole number", float: "a number"}


class _Argument(NamedTuple):
    """A flag, or what has no flag: its name, what it may be, and whether it must be there, or may be denied."""

    name: str
    kind: Any
    many: bool
    is_positional: bool
    is_required: bool
    is_alone: bool

    @property
    def is_list(self) -> bool:
        """Whether it is numbers in one word, with commas between."""
        return self.many and self.kind in KINDS


def _kind(annotation: Any) -> Any:
    """What a value may be: without marks, and without None."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(_kind(part) for part in get_args(annotation) if part is not NoneType)
    return annotation


def _name(field: Any) -> str:
    """The name of a field for those who give it: ``lambda_`` is ``lambda``, which no field may be called."""
    return field.name.rstrip("_")


def _arguments(kind: Any) -> Iterator[_Argument]:
    for field in dataclasses.fields(kind):
        one = _kind(field.type)
        if dataclasses.is_dataclass(one):
            yield from _arguments(one)
            continue
        many = get_origin(one) is tuple
        given = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        marks = get_args(field.type) if get_origin(field.type) is Annotated else ()
        kind_of_one = _kind(get_args(one)[0]) if many else one
        yield _Argument(_name(field), kind_of_one, many, Mark.POSITIONAL in marks, not given, Mark.ALONE in marks)


def _takes(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    return KINDS.get(kind, "a value")


def _value(argument: _Argument, value: str) -> Any:
    kind, close = argument.kind, None
    if get_origin(kind) is Literal:
        bad, close = value not in get_args(kind), meant(value, get_args(kind))
    else:
        try:
            return kind(value)
        except ValueError:
            bad = True
    if bad:
        told = f"; did you mean {close!r}? takes" if close else ", takes"
        raise ValueError(f"{argument.name}: got {value!r}{told} {_takes(kind)}")
    return value


def _read(kind: type, given: Sequence[str]) -> dict[str, Any]:
    """The values by name; raises ``ValueError`` that names the first flag or value that is wrong."""
    arguments = list(_arguments(kind))
    flags = {argument.name.replace("_", "-"): argument for argument in arguments if not argument.is_positional}
    places = [argument for argument in arguments if argument.is_positional]
    told: dict[str, Any] = {}
    free: list[str] = []
    rest = list(given)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            free.append(word)
            continue
        name, equals, value = word[2:].replace("_", "-").partition("=")
        positive = name.removeprefix("no-") if name not in flags else name
        denied = positive != name
        if positive not in flags or (denied and (flags[positive].kind is not bool or flags[positive].is_alone)):
            close = meant(name, flags)
            hint = f"; did you mean '--{close}'?" if close else ","
            raise ValueError(f"--{name}: got an unknown flag{hint} takes {', '.join(f'--{flag}' for flag in flags)}")
        argument = flags[positive]
        if argument.kind is bool:
            if equals:
                raise ValueError(f"{argument.name}: got {value!r}, takes --{name} alone")
            told[argument.name] = not denied
            continue
        values = [word.partition("=")[2]] if equals else []
        goes_on = argument.many and not argument.is_list
        while rest and not rest[0].startswith("--") and (goes_on or not values):
            values.append(rest.pop(0))
        if argument.is_list:
            values = [part for value in values for part in value.split(",")]
        if not values:
            raise ValueError(f"{argument.name}: got nothing behind --{name}, takes {_takes(argument.kind)}")
        found = tuple(_value(argument, value) for value in values)
        told[argument.name] = found if argument.many else found[0]
    if not any(place.many for place in places) and len(free) > len(places):
        taken = ", ".join(place.name for place in places)
        raise ValueError(f"{free[len(places)]}: got one word too many, takes {taken} and flags")
    for argument in [*places[len(free) :], *flags.values()]:
        if argument.is_required and argument.name not in told:
            what = (
                "a file or folder here"
                if argument.is_positional
                else f"--{argument.name.replace('_', '-')} and a value"
            )
            raise ValueError(f"{argument.name}: got none, takes {what}")
    for place, word in zip(places, free, strict=False):
        told[place.name] = tuple(_value(place, each) for each in free) if place.many else _value(place, word)
    return told


def _build(kind: type[T], values: dict[str, Any]) -> T:
    """The dataclass of the values, with those in it, and with defaults."""
    own = {}
    for field in dataclasses.fields(kind):  # pyright: ignore[reportArgumentType]
        one = _kind(field.type)
        if hasattr(one, "__dataclass_fields__"):
            own[field.name] = _build(one, values)
        elif _name(field) in values:
            own[field.name] = values[_name(field)]
    return kind(**own)


def _marked_for_tyro(kind: Any) -> None:
    """Put tyro's own marks in the place of ours, in a class of which nothing but help is wanted any more."""
    import tyro

    for field in dataclasses.fields(kind):
        if get_origin(field.type) is Annotated:
            one, mark = get_args(field.type)
            field.type = kind.__annotations__[field.name] = Annotated[one, getattr(tyro.conf, mark.value)]
        elif get_origin(field.type) is tuple and _kind(get_args(field.type)[0]) in KINDS:
            shown = tyro.conf.arg(name=_name(field), metavar="NUMBER,...")
            field.type = kind.__annotations__[field.name] = Annotated[field.type, shown]
        if dataclasses.is_dataclass(one := _kind(field.type)):
            _marked_for_tyro(one)


def read_arguments(kind: type[T], prog: str, given: Sequence[str]) -> T:
    """Read the arguments of a command into a dataclass; ``--help`` prints what there is and ends.

    Raises:
        ValueError: one line that names the flag or value that is wrong, what was got and what is taken.
    """
    if {"-h", "--help"}.intersection(given):
        import tyro

        _marked_for_tyro(kind)
        return tyro.cli(kind, prog=prog, args=["--help"])
    return _build(kind, _read(kind, given))


def check_file(field: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Raise ``ValueError`` unless a file, if there is to be one, can be written and ends in one of these."""
    if path is None:
        return
    if path.suffix.lower() not in suffixes:
        *others, last = suffixes
        takes = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{field}: got {path}, takes a file that ends in {takes}")
    if path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"{field}: got {path}, takes a file in a folder that is there")


def enable_x64() -> None:
    """Compute in float64; loads jax."""
    import jax

    jax.config.update("jax_enable_x64", True)
