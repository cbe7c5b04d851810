"""From TOML to a sweep's config, all faults at once, each with its key path; and back. Loads no jax."""

import json
import math
import re
from os import PathLike
from typing import Any

from gamekl.core.schema import ConfigError, parse, read_toml
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.schema.plain import is_list, is_table

__all__ = ["ConfigError", "config_toml", "load_config", "parse_config"]


def parse_config(values: dict[str, Any]) -> SweepConfig:
    """Check a config given as plain values.

    Raises:
        ConfigError: one line for each fault, with its key path, what was got and what is taken.
    """
    return parse(SweepConfig, values, "config")


def load_config(path: str | PathLike[str], **overrides: Any) -> SweepConfig:
    """Read a TOML file; top-level keys in `overrides` that are not None take the place of the file's.

    Raises:
        ConfigError: the file is no TOML or does not fit the schema.
    """
    return parse_config(
        read_toml(path, "config") | {key: value for key, value in overrides.items() if value is not None}
    )


def _value(value: Any) -> str:
    """A value as TOML writes it."""
    if is_table(value):
        return f"{{ {', '.join(_pairs(value))} }}"
    if is_list(value):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _pairs(values: dict[str, Any]) -> list[str]:
    keys = ((key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)) for key in values)
    pairs = zip(keys, values.values(), strict=True)
    return [f"{key} = {_value(value)}" for key, value in pairs if value is not None and value != [] and value != {}]


def config_toml(config: SweepConfig) -> str:
    """The config as TOML that `gamekl sweep` takes, defaults filled in."""
    values = config.canonical()
    families = ("\n".join(["[[family]]", *_pairs(family)]) for family in values.pop("family"))
    return "\n\n".join(["\n".join(_pairs(values)), *families]) + "\n"
