"""Other people's tools, none of which is needed to import gamekl."""

import importlib
from typing import Any


def tool(name: str, extra: str) -> Any:
    """Import the package of that name.

    Raises:
        ImportError: it is not installed; the message says how to.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name}: got no such package, takes pip install 'gamekl[{extra}]'") from error
