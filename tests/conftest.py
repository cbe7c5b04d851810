"""Float64, strict dtype promotion, and shapes checked at run time, in all tests."""

import gc
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("gamekl", "beartype.beartype")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Linux lets a process map 65,530 pieces of memory, of which every compiled program takes several; beyond that the
# compiler crashes.
MOST_MAPPINGS = 30_000


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Before there are too many of them in one process."""
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and mappings.read_text().count("\n") > MOST_MAPPINGS:
        jax.clear_caches()
        gc.collect()
