"""What a plain value is, such as a TOML or JSON file has. Loads no jax."""

from collections.abc import Sequence
from typing import Any, TypeGuard


def is_table(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether it is a table."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)


def is_row(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether it is a list, or a tuple: one that is checked already."""
    return isinstance(value, list | tuple)
