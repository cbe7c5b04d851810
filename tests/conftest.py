"""Float64, strict dtype promotion, shapes checked at run time, and programs compiled once, in all tests."""

import ctypes
import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

install_import_hook("gamekl", "beartype.beartype")

# What one process has compiled serves the others, those that tests start too, and itself when it has forgotten it.
# The folder is this run's own, made by the first process, which hands its environment on, or that of scripts/test.sh,
# which serves its other Pythons with the same jax.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    compiled = tempfile.TemporaryDirectory(prefix="gamekl-compiled-", ignore_cleanup_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
os.environ["GAMEKL_CACHE"] = str(Path(os.environ["JAX_COMPILATION_CACHE_DIR"], "shell"))

# As in pyproject.toml, for the processes that tests start.
os.environ.setdefault("PYTHONWARNINGS", "error::DeprecationWarning")

import jax  # noqa: E402

# Tracing makes many objects and few cycles. At Python's own threshold a tenth of the time goes into looking for those.
gc.set_threshold(200_000, 50, 100)

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")

# Bytes of compiled programs, which take 2 to 20 MB each, and up to 400 mappings, of which Linux lets a process have
# 65,530. Tests of one file share programs, so it is better to forget between files.
MOST_AFTER_A_FILE, MOST_AFTER_A_TEST = 3 << 27, 3 << 28


def resident_memory():
    """In bytes; 0 where the system does not tell."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def forget():
    """What jax and this package have compiled."""
    jax.clear_caches()
    for name, module in list(sys.modules.items()):
        if name.startswith("gamekl."):
            for kept in list(vars(module).values()):
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()
    gc.collect()
    # glibc keeps what is freed, for each of its arenas.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(scope="session")
def forget_beyond():
    """Forgets when there is so much more than there was after the last time; more than that would not go anyway."""
    least = resident_memory()

    def act(most):
        nonlocal least
        if resident_memory() > least + most:
            forget()
            least = resident_memory()

    return act


@pytest.fixture(autouse=True, scope="module")
def forget_after_a_file(forget_beyond):
    yield
    forget_beyond(MOST_AFTER_A_FILE)


@pytest.fixture(autouse=True)
def forget_after_a_test(forget_beyond):
    yield
    forget_beyond(MOST_AFTER_A_TEST)
