"""From TOML to checked values: all faults at once, each with its key path. Loads no jax."""

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import groupby
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic_core import CoreSchema, core_schema

from gamekl.core.names import meant

M = TypeVar("M", bound=pydantic.BaseModel)


class ConfigError(ValueError):
    """Values that do not fit a schema; the message has one line for each fault."""


# What is taken where pydantic finds a fault of some type, in the terms of its context.
TAKES = {
    "literal_error": "{expected}",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "finite_number": "a finite number",
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "an integer"),
    "bool_type": "true or false",
    "string_type": "a string",
    "string_too_short": "a string of {min_length} or more letters",
    "string_too_long": "a string of up to {max_length} letters",
    # The one pattern that there is, that of a run's name.
    "string_pattern_mismatch": "letters, digits, '.', '_' and '-', the first a letter or digit",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of up to {max_length}",
    "missing": "a value",
}
# What the entries of a list are called, and of which types an example may be.
ENTRIES = {float: ("numbers", (float, int)), int: ("integers", (int,)), tuple: ("lists", ())}
FEW = 2  # names that are told from each other at a glance


class Chosen:
    """A mark of an annotation: which model takes a value follows from the value."""

    def __init__(self, choose: Callable[[Any], type[pydantic.BaseModel]]) -> None:
        """Let `choose` say it; what it raises is the value's fault."""
        self.choose = choose

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """The chosen model's own faults are those of the value."""
        del handler

        def check(value: Any) -> pydantic.BaseModel:
            return value if isinstance(value, source) else self.choose(value).model_validate(value)

        def plain(value: pydantic.BaseModel, info: Any) -> Any:
            return value.model_dump(mode=info.mode)

        written = core_schema.plain_serializer_function_ser_schema(plain, info_arg=True)
        return core_schema.no_info_plain_validator_function(check, serialization=written)


class _Fault(NamedTuple):
    location: tuple[int | str, ...]
    message: str
    meant: str | None = None
    takes: str | None = None


def _alternatives(annotation: Any) -> list[Any]:
    """What a value may be, one by one."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [entry for part in get_args(annotation) for entry in _alternatives(part) if entry is not NoneType]
    return [annotation]


def _fields(annotation: Any) -> dict[str, Any]:
    """The annotation of each key of the table that a value may be; none if it may be no table."""
    tables = [part for part in _alternatives(annotation) if hasattr(part, "model_fields")]
    return {key: field.annotation for table in tables for key, field in table.model_fields.items()}


def _entries(annotation: Any, kind: type) -> tuple[Any, ...]:
    """The arguments of the list or table that a value may be; none if it may be none."""
    return next((get_args(part) for part in _alternatives(annotation) if get_origin(part) is kind), ())


def _chosen(annotation: Any, value: Any) -> Any:
    """The model that takes a value, where that follows from the value."""
    marks = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for mark in marks:
        if isinstance(mark, Chosen):
            with suppress(ValueError):
                return mark.choose(value)
    return annotation


def _walk(model: Any, location: tuple[int | str, ...], values: Any) -> tuple[tuple[int | str, ...], Any]:
    """The keys alone, without the names of alternatives that pydantic puts between them; the annotation there."""
    keys: list[int | str] = []
    annotation: Any = model
    value: Any = values
    for key in location:
        fields, entries = _fields(annotation), _entries(annotation, dict)
        if isinstance(key, int):
            annotation = _entries(annotation, tuple)[0]
        elif key in fields or entries:
            annotation = fields[key] if key in fields else entries[-1]
        else:
            continue
        keys.append(key)
        try:
            value = value[key]
        except (TypeError, LookupError):
            value = None
        annotation = _chosen(annotation, value)
    return tuple(keys), annotation


def _list_of(annotation: Any, got: Any, key: int | str) -> str:
    """The list that is taken there, with an example if nothing else is taken."""
    entries = _entries(annotation, tuple)
    [entry, *_] = _alternatives(entries[0])
    if _fields(entry):
        return f"a list of tables, each under [[{key}]]"
    name, types = ENTRIES.get(get_origin(entry) or entry, ("strings", (str,)))
    if entries[-1] is not Ellipsis:
        return f"a list of {len(entries)} {name}"
    alone = type(got) in types and len(_alternatives(annotation)) == 1
    return f"a list of {name}, such as [{got!r}]" if alone else f"a list of {name}"


def _fault(error: Any, model: type[pydantic.BaseModel], values: Any) -> _Fault:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "extra_forbidden":
        location, annotation = _walk(model, error["loc"][:-1], values)
        key, known = error["loc"][-1], _fields(annotation)
        return _Fault((*location, key), "got an unknown key", meant(key, known), ", ".join(known))
    location, annotation = _walk(model, error["loc"], values)
    if kind == "value_error":  # says itself what is taken
        return _Fault(location, error["msg"].removeprefix("Value error, "))
    got = "nothing" if kind == "missing" else "a table" if isinstance(value, dict) else repr(value)
    close, takes = None, error["msg"]
    if kind == "tuple_type":
        takes = _list_of(annotation, value, location[-1])
    elif kind in ("model_type", "dict_type") or (kind == "missing" and _fields(annotation)):
        takes = " of ".join(filter(None, ("a table", ", ".join(_fields(annotation)))))
    elif kind in TAKES:
        whole = {key: int(entry) for key, entry in context.items() if isinstance(entry, float) and entry.is_integer()}
        takes = TAKES[kind].format(**context | whole)
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        close = meant(value, names) if len(names) > FEW else None
    return _Fault(location, f"got {got if len(got) <= 80 else got[:77] + '...'}", close, takes)


def _list_at(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where the innermost list lies that has the value, or the lists in it."""
    while location and isinstance(location[-1], int):
        location = location[:-1]
    return location


def _told(faults: list[_Fault]) -> Iterator[str]:
    """One line for a value that is none of several things, and none if the fault is within it; one for each list."""
    within = {fault.location[:-depth] for fault in faults for depth in range(1, len(fault.location))}
    found: list[_Fault] = []
    for location, group in groupby(faults, key=lambda fault: fault.location):
        alike = list(group)
        if location not in within:
            taken = " or ".join(dict.fromkeys(fault.takes for fault in alike if fault.takes))
            found.append(alike[0]._replace(takes=taken))
    lists: dict[Any, list[_Fault]] = {}
    for fault in found:
        place = _list_at(fault.location)
        entry = fault.takes and place != fault.location
        own = None if entry else fault.location
        lists.setdefault((place, own, fault.meant, fault.takes), []).append(fault)
    for fault, *more in lists.values():
        line = ": ".join(filter(None, (".".join(map(str, fault.location)), fault.message)))
        line += f" ({1 + len(more)} such entries)" if more else ""
        if fault.takes:
            line += f"; did you mean {fault.meant!r}? takes {fault.takes}" if fault.meant else f", takes {fault.takes}"
        yield line


def config_error(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], values: Any, name: str
) -> ConfigError:
    """What pydantic found, one line for each fault, with its key path; `name` is what the values are called."""
    faults = [_fault(entry, model, values) for entry in error.errors(include_url=False)]
    return ConfigError("\n  ".join([f"{name}:", *_told(faults)]))


def parse(model: type[M], values: dict[str, Any], name: str) -> M:
    """Check plain values against a model; `name` is what errors call them.

    Raises:
        ConfigError: one line for each fault, with its key path, what was got and what is taken.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise config_error(error, model, values, name) from None


def read_toml(path: str | PathLike[str], name: str) -> dict[str, Any]:
    """The values of a TOML file; `name` is what errors call it.

    Raises:
        ConfigError: the file is no TOML, or cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{name}: got {path}, takes a TOML file ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: got {path}, takes a TOML file ({error})") from error
