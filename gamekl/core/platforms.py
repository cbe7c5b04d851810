"""What depends on the kind of machine that a program is made for.

That is the platform of the lowering, which need not be the host's: a program may be exported for a GPU by a machine
that has none. So nothing here asks for jax's default backend; `by_platform` traces a kernel for each kind, and the
lowering takes the one that it is for.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar

import jax

R = TypeVar("R")


class Platform(NamedTuple):
    """How kernels are cut for one kind of machine.

    Attributes:
        lane_bytes: of the payoffs of all games that are worked on side by side.
        most_lanes: of those games, where a first-order rule is followed or answers are certified.
        most_traced: of those games, where paths are traced.
        fits_batch: whether a batch of fewer games has fewer lanes.
        largest_chunk: games that the host hands over at a time.
        pivots: unknowns that are eliminated in one pass over a table, at most 3.
        saves_divisions: whether a pivot's row is divided and stored first, rather than every entry at the end.
    """

    lane_bytes: int
    most_lanes: int
    most_traced: int
    fits_batch: bool
    largest_chunk: int
    pivots: int
    saves_divisions: bool


# Lanes are what the second-level cache of one core holds, and a vector loop over fewer than 64 of them is short. Their
# number is fixed, because XLA may compile short loops otherwise, and bits would depend on the batch's size. A chunk is
# some 64 times as many, so that lanes are refilled more often than they run dry.
CPU = Platform(
    lane_bytes=2**17,
    most_lanes=128,
    most_traced=64,
    fits_batch=False,
    largest_chunk=2**12,
    pivots=1,
    saves_divisions=True,
)
# Every operation is a launch of some microseconds, which 2^14 lanes of float64 keep an H200 busy for; the state of a
# 10 x 10 game in a lane is some 5 kB, so these are 80 MB. Elimination is bound by launches and by memory, and repeats
# divisions for nothing.
ACCELERATOR = Platform(
    lane_bytes=2**28,
    most_lanes=2**14,
    most_traced=2**14,
    fits_batch=True,
    largest_chunk=2**17,
    pivots=3,
    saves_divisions=False,
)


def platform_of(device: Any) -> Platform:
    """The kind of a ``jax.Device``."""
    return CPU if device.platform == "cpu" else ACCELERATOR


def by_platform(function: Callable[..., R], *arguments: Any) -> R:
    """``function(platform, *arguments)`` for the platform that the program is lowered for."""
    return jax.lax.platform_dependent(*arguments, cpu=partial(function, CPU), default=partial(function, ACCELERATOR))


@cache
def quick_options(**options: bool) -> dict[str, bool]:
    """Options for ``jax.jit`` with which programs for CPUs are compiled sooner, if this XLA knows them, else none.

    XLA's older emitters halve the compilation of a single game; they are gone since jax 0.11.

    Args:
        options: others to be tried.
    """
    wanted = options or {"xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0.0).lower().compile(compiler_options=dict(wanted))
    except jax.errors.JaxRuntimeError:
        return {}
    return wanted
