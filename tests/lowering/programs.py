"""All examples, and what is public but no program."""

from lowering import data, sweeps, trunk, wings
from lowering.inputs import Program

# By the public name of what is lowered, and after a comma of what or how.
PUBLIC: dict[str, Program] = {**trunk.PROGRAMS, **data.PROGRAMS, **wings.PROGRAMS}
# Sweeps are computed in float64 alone.
PROGRAMS = {"float32": PUBLIC, "float64": PUBLIC | sweeps.PROGRAMS}
# Public functions that work on the host, and why. The jitted functions that they call have programs of their own.
ON_HOST: dict[str, str] = {**trunk.ON_HOST, **data.ON_HOST, **wings.ON_HOST}
# Jitted functions that compute nothing, and what for.
PROBES: dict[str, str] = {
    "gamekl.core.kernels.platforms.known_option.<locals>.<lambda>": "asks XLA which options it knows",
    "gamekl.commands.programs._find_lapack.<locals>.<lambda>": "lets jax look up the functions of LAPACK",
}
# Those which only call others, which are in programs or public.
CALLERS: dict[str, str] = {
    "gamekl.core.kernels.jit.jit.<locals>.known": "any that is jitted there",
    "gamekl.solvers.driver._run": "chunks of `solve_nash_batch`, `gamd_batch` and `nash_policies`",
    "gamekl.commands.programs.function": "any of `gamekl.commands.computing`",
    "gamekl.commands.computing.nash_gap": "is public",
}
