"""Lower every program for each platform and print what came of it, a `lowering.process.Lowered`, as JSON.

Usage: JAX_ENABLE_X64=1 python -m lowering float64
"""

import gc
import json
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import jax

from lowering.jitted import note_what_is_traced, reached

note_what_is_traced()  # before gamekl is loaded

from lowering.process import Lowered  # noqa: E402
from lowering.programs import PROGRAMS  # noqa: E402

PLATFORMS = ("cuda", "tpu")


def calls_of(call: Callable[..., Any], arguments: tuple[Any, ...]) -> dict[str, dict[str, int]]:
    """How often each platform's program calls what is not XLA's own."""
    both = jax.jit(call)  # is traced once
    texts = {name: jax.export.export(both, platforms=[name])(*arguments).mlir_module() for name in PLATFORMS}
    return {name: Counter(re.findall(r"custom_call @([\w.$]+)", text)) for name, text in texts.items()}


def each(function: Callable[..., Any], given: Mapping[str, Any], errors: dict[str, str]) -> dict[str, Any]:
    """What a function makes of all, but for those where it fails."""
    found = {}
    for name, arguments in given.items():
        try:
            found[name] = function(*arguments)
        except Exception:
            errors[name] = traceback.format_exc(limit=-5)
    return found


def main(dtype: str) -> None:
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    gc.freeze()
    gc.set_threshold(200_000)  # tracing makes many objects, and few cycles
    errors: dict[str, str] = {}
    programs = {name: (program,) for name, program in PROGRAMS[dtype].items()}
    given = each(lambda program: program.given(), programs, errors)
    jax.clear_caches()  # what only made the inputs does not count as reached
    reached.clear()
    calls = each(calls_of, given, errors)
    found = Lowered(jax.__version__, calls, errors, sorted(reached))
    json.dump(found._asdict(), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
