"""What depends on the kind of machine that a program is made for.

That is the platform of the lowering, which need not be the host's: a program may be exported for a GPU by a machine
that has none. So nothing here asks for jax's default backend; `by_platform` traces a kernel for each kind, and the
lowering takes the one that it is for.
"""

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import jax

R = TypeVar("R")


class Platform(NamedTuple):
    """How kernels are cut for one kind of machine.

    Attributes:
        lane_bytes: of the payoffs of all games that are worked on side by side.
        most_lanes: of those games.
        games_a_lane: that the host hands over at a time.
        pivots: unknowns that are eliminated in one pass over a table.
    """

    lane_bytes: int
    most_lanes: int
    games_a_lane: int
    pivots: int


# The number of lanes follows from the size of the games alone: of other numbers XLA makes loops and kernels that round
# otherwise, and a game's bits would depend on its batch's size. A chunk has several games for each lane, so that lanes
# are refilled more often than they run dry.
#
# On a CPU, lanes are what the second-level cache of one core holds, and a vector loop over fewer than 64 is short.
CPU = Platform(
    lane_bytes=2**17,
    most_lanes=128,
    games_a_lane=64,
    pivots=1,
)
# Measured on an H200 (benchmarks/README.md): kernels take microseconds to launch, which 10 MB of payoffs make up for,
# and what the kernels of a step hand on to each other, some three times as much, should stay in a cache of 50 MB.
ACCELERATOR = Platform(
    lane_bytes=2**24,
    most_lanes=2**14,
    games_a_lane=16,
    pivots=5,
)


def platform_of(device: Any) -> Platform:
    """The kind of a ``jax.Device``."""
    return CPU if device.platform == "cpu" else ACCELERATOR


_MEANT: ContextVar[Platform | None] = ContextVar("meant", default=None)


def meant() -> Platform | None:
    """The platform for which alone something is traced, if there is one."""
    return _MEANT.get()


def for_platform(platform: Platform | None, function: Callable[..., R], *arguments: Any, **keywords: Any) -> R:
    """The result of a function, in which `by_platform` takes this platform: nothing is traced for others.

    jax is not to keep what it traces of the function for another platform: see `core.kernels.jit`.
    """
    token = _MEANT.set(platform)
    try:
        return function(*arguments, **keywords)
    finally:
        _MEANT.reset(token)


def by_platform(function: Callable[..., R], *arguments: Any) -> R:
    """The result of ``function(platform, *arguments)`` for the platform that the program is lowered for."""
    platform = meant()
    if platform is not None:
        return function(platform, *arguments)
    cpu, other = (partial(for_platform, platform, partial(function, platform)) for platform in (CPU, ACCELERATOR))
    return jax.lax.platform_dependent(*arguments, cpu=cpu, default=other)


@cache
def known_option(option: str, value: Any) -> dict[str, Any]:
    """The option for ``jax.jit``, if this XLA has it."""
    try:
        jax.jit(lambda: 0.0).lower().compile(compiler_options={option: value})
    except jax.errors.JaxRuntimeError:
        return {}
    return {option: value}


def quick_options() -> dict[str, Any]:
    """Options for ``jax.jit`` with which programs for CPUs are compiled sooner, if this XLA knows them, else none.

    XLA's older emitters halve the compilation of a single game; they are gone since jax 0.11 (see `core.kernels.calls`
    for what is done from jax 0.12 on).
    """
    return known_option("xla_cpu_use_fusion_emitters", False)


def wide_options() -> dict[str, Any]:
    """Options for ``jax.jit`` with which loops over lanes take whole vector registers, where a CPU has them so wide.

    By default XLA uses half of them, which is .8 of the speed (measured).
    """
    return known_option("xla_cpu_prefer_vector_width", 512)
