"""What the shell is given for a command, read by tyro; what is mistyped is told in one line first. Loads no jax."""

import dataclasses
from collections.abc import Iterator, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import tyro

from gamekl.core.schema import meant

T = TypeVar("T")
KINDS = {int: "a whole number", float: "a number"}


class _Argument(NamedTuple):
    """A flag, or what has no flag: its name, what it may be, and whether it must be there."""

    name: str
    kind: Any
    many: bool
    is_positional: bool
    is_required: bool


def _kind(annotation: Any) -> Any:
    """What a value may be: without marks of tyro, and without None."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(_kind(part) for part in get_args(annotation) if part is not NoneType)
    return annotation


def _arguments(kind: Any) -> Iterator[_Argument]:
    for field in dataclasses.fields(kind):
        one = _kind(field.type)
        if dataclasses.is_dataclass(one):
            yield from _arguments(one)
            continue
        many = get_origin(one) is tuple
        given = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        marks = get_args(field.type) if get_origin(field.type) is Annotated else ()
        positional = tyro.conf.Positional in marks
        yield _Argument(field.name, _kind(get_args(one)[0]) if many else one, many, positional, not given)


def _takes(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    return KINDS.get(kind, "a value")


def _check_value(argument: _Argument, value: str) -> None:
    kind, close = argument.kind, None
    if get_origin(kind) is Literal:
        bad, close = value not in get_args(kind), meant(value, get_args(kind))
    else:
        try:
            bad = kind in KINDS and kind(value) is None
        except ValueError:
            bad = True
    if bad:
        told = f"; did you mean {close!r}? takes" if close else ", takes"
        raise ValueError(f"{argument.name}: got {value!r}{told} {_takes(kind)}")


def _check(kind: type, given: Sequence[str]) -> None:
    """Raise ``ValueError`` that names the first flag or value that is wrong."""
    arguments = list(_arguments(kind))
    flags = {argument.name.replace("_", "-"): argument for argument in arguments if not argument.is_positional}
    places = [argument for argument in arguments if argument.is_positional]
    told, free = set(), []
    rest = list(given)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            free.append(word)
            continue
        name, equals, value = word[2:].replace("_", "-").partition("=")
        positive = name.removeprefix("no-") if name not in flags else name
        if positive not in flags or (positive != name and flags[positive].kind is not bool):
            close = meant(name, flags)
            hint = f"; did you mean '--{close}'?" if close else ","
            raise ValueError(f"--{name}: got an unknown flag{hint} takes {', '.join(f'--{flag}' for flag in flags)}")
        argument = flags[positive]
        told.add(argument.name)
        if argument.kind is bool:
            if equals:
                raise ValueError(f"{argument.name}: got {value!r}, takes --{name} alone")
            continue
        values = [word.partition("=")[2]] if equals else []
        while rest and not rest[0].startswith("--") and (argument.many or not values):
            values.append(rest.pop(0))
        if not values:
            raise ValueError(f"{argument.name}: got nothing behind --{name}, takes {_takes(argument.kind)}")
        for value in values:
            _check_value(argument, value)
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


def read_arguments(kind: type[T], prog: str, given: Sequence[str]) -> T:
    """Read the arguments of a command into a dataclass; ``--help`` prints what there is and ends.

    Raises:
        ValueError: one line that names the flag or value that is wrong, what was got and what is taken.
    """
    if not {"-h", "--help"}.intersection(given):
        _check(kind, given)
    return tyro.cli(kind, prog=prog, args=given)


def enable_x64() -> None:
    """Compute in float64; loads jax."""
    import jax

    jax.config.update("jax_enable_x64", True)
