"""From TOML to a sweep's config: all faults at once, each with its key path. Loads no jax."""

import difflib
import tomllib
from os import PathLike
from pathlib import Path
from typing import Any

import pydantic

from gamekl.experiment.config import SweepConfig


class ConfigError(ValueError):
    """A config that does not fit the schema; the message has one line for each fault."""


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table in which the last key of `location` stands."""
    model: Any = SweepConfig
    for key in location[:-1]:
        if isinstance(key, str) and key in model.model_fields:
            annotation = model.model_fields[key].annotation
            for kind in (annotation, *getattr(annotation, "__args__", ())):
                model = kind if hasattr(kind, "model_fields") else model
    return list(model.model_fields)


def _fault(error: Any) -> str:
    location = error["loc"]
    path = ".".join(str(part) for part in location if not str(part).startswith(("constrained-", "literal[", "tuple[")))
    got = repr(error["input"])
    got = got if len(got) <= 80 else got[:77] + "..."
    if error["type"] == "extra_forbidden":
        known = _known_keys(location)
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


def parse_config(values: dict[str, Any]) -> SweepConfig:
    """Check a config given as plain values.

    Raises:
        ConfigError: one line for each fault, with its key path, what was got and what is taken.
    """
    try:
        return SweepConfig.model_validate(values)
    except pydantic.ValidationError as error:
        entries = error.errors(include_url=False)
        # A list whose entries are at fault counts as too short for pydantic, which is no news.
        inner = {entry["loc"][:-depth] for entry in entries for depth in range(1, len(entry["loc"]))}
        told = [entry for entry in entries if not (entry["type"] == "too_short" and entry["loc"] in inner)]
        faults = "\n".join(f"  {line}" for line in _merged([_fault(entry) for entry in told]))
        raise ConfigError(f"config:\n{faults}") from None


def load_config(path: str | PathLike[str], **overrides: Any) -> SweepConfig:
    """Read a TOML file; top-level keys in `overrides` that are not None take the place of the file's.

    Raises:
        ConfigError: the file is no TOML or does not fit the schema.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config: got {path}, takes a TOML file ({error})") from error
    return parse_config(values | {key: value for key, value in overrides.items() if value is not None})
