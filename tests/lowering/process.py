"""All programs of a dtype, lowered in a process of its own: there functions are jitted anew, and it is the default."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import gamekl as gk

PACKAGE, TESTS = Path(gk.__file__).parent, Path(__file__).parents[1]


class Lowered(NamedTuple):
    """What came of them.

    Attributes:
        jax: the version.
        calls: of each program, for each platform, how often it calls what is not XLA's own.
        errors: why programs could not be lowered.
        reached: the jitted functions that were traced.
    """

    jax: str
    calls: dict[str, dict[str, dict[str, int]]]
    errors: dict[str, str]
    reached: list[str]


def lower(dtype: str) -> Lowered:
    """Those of "float32" or "float64"."""
    folders = os.pathsep.join([str(PACKAGE.parent), str(TESTS)])
    settings = {"PYTHONPATH": folders, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": str(int(dtype == "float64"))}
    command = [sys.executable, "-m", "lowering", dtype]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return Lowered(**json.loads(done.stdout))
