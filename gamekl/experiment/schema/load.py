"""From TOML to a sweep's config: all faults at once, each with its key path. Loads no jax."""

from os import PathLike
from typing import Any

from gamekl.core.schema import ConfigError, parse, read_toml
from gamekl.experiment.schema.config import SweepConfig

__all__ = ["ConfigError", "load_config", "parse_config"]


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
