"""From TOML to checked values: all faults at once, each with its key path. Loads no jax."""

import difflib
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import pydantic

M = TypeVar("M", bound=pydantic.BaseModel)


class ConfigError(ValueError):
    """Values that do not fit a schema; the message has one line for each fault."""


def _known_keys(model: Any, location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table in which the last key of `location` stands."""
    for key in location[:-1]:
        if isinstance(key, str) and key in model.model_fields:
            annotation = model.model_fields[key].annotation
            for kind in (annotation, *getattr(annotation, "__args__", ())):
                model = kind if hasattr(kind, "model_fields") else model
    return list(model.model_fields)


def _fault(error: Any, model: type[pydantic.BaseModel]) -> str:
    location = error["loc"]
    path = ".".join(str(part) for part in location if not str(part).startswith(("constrained-", "literal[", "tuple[")))
    got = repr(error["input"])
    got = got if len(got) <= 80 else got[:77] + "..."
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, location)
        close = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"{path}: got an unknown key; {hint}takes {', '.join(known)}"
    if error["type"] == "missing":
        return f"{path}: got nothing, takes a value"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{path}: {message}" if path else message
    return f"{path}: got {got}, takes: {message}"


def _merged(faults: list[str]) -> list[str]:
    """One line for a value that is none of several things."""
    told: dict[str, str] = {}
    for fault in faults:
        got, _, takes = fault.partition(", takes: ")
        told[got] = f"{told[got]}; or {takes}" if got in told else fault
    return list(told.values())


def config_error(error: pydantic.ValidationError, model: type[pydantic.BaseModel], name: str) -> ConfigError:
    """What pydantic found, one line for each fault, with its key path; `name` is what the values are called."""
    entries = error.errors(include_url=False)
    # A list whose entries are at fault counts as too short for pydantic, which is no news.
    inner = {entry["loc"][:-depth] for entry in entries for depth in range(1, len(entry["loc"]))}
    told = [entry for entry in entries if not (entry["type"] == "too_short" and entry["loc"] in inner)]
    faults = "\n".join(f"  {line}" for line in _merged([_fault(entry, model) for entry in told]))
    return ConfigError(f"{name}:\n{faults}")


def parse(model: type[M], values: dict[str, Any], name: str) -> M:
    """Check plain values against a model; `name` is what errors call them.

    Raises:
        ConfigError: one line for each fault, with its key path, what was got and what is taken.
    """
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise config_error(error, model, name) from None


def read_toml(path: str | PathLike[str], name: str) -> dict[str, Any]:
    """The values of a TOML file; `name` is what errors call it.

    Raises:
        ConfigError: the file is no TOML, or cannot be read.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{name}: got {path}, takes a TOML file ({error})") from error
