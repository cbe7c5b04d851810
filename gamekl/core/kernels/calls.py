"""Where XLA's compiler is to store what it has computed, and what it is to compile as one function.

XLA fuses cheap operations into their uses, and its compiler for CPUs does so for every one of them, so that a long
calculation with many results is repeated for each. And it makes a function of its own of every fusion, each of which
takes time to compile and to call; from jax 0.12 on it makes one of a whole loop over little data. Before, a call may be
marked as such a function, which is compiled once and stored what it returns: that serves both ends.

What is marked may hold no reductions and no calls of libraries, which XLA cannot compile there: sums over actions are
written out term by term (`core.kernels.lanes`). With several processors, XLA of jax 0.10.2 may share a marked function
out among them by one that it then does not find: what is marked is to be tried on such a machine.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.xla_metadata import set_xla_metadata

from gamekl.core.kernels.platforms import CPU, Platform, by_platform
from gamekl.core.policies import is_concrete

T = TypeVar("T")

# From here on XLA's compiler for CPUs keeps barriers until it has fused what lies between them, and compiles a loop
# over little data as one function by itself.
KEEPS_BARRIERS = jax.__version_info__ >= (0, 11)
JOINS_LOOPS = jax.__version_info__ >= (0, 12)


# Whether what is traced is part of one function.
_JOINED: ContextVar[bool] = ContextVar("joined", default=False)
ZERO = np.zeros((), np.float32)


def at_once() -> bool:
    """Whether jax computes now, and does not trace a program: what is to be stored then would be compiled each time."""
    return is_concrete(jax.lax.neg(ZERO))


def _call(function: Callable[..., T], *arguments: Any) -> T:
    leaves, structure = jax.tree.flatten(jax.jit(lambda *given: function(*given))(*arguments))
    # A mark on any result is one on the call that returns it.
    leaves = [set_xla_metadata(leaf, inlineable="false", xla_cpu_small_call="true") for leaf in leaves]
    return jax.tree.unflatten(structure, leaves)


def as_one_function(function: Callable[..., T], *arguments: Any) -> T:
    """The results of ``function(*arguments)``, which XLA's compiler for CPUs makes one function of.

    Args:
        function: what to compute: loops over little data, without library calls or reductions of floating-point
            numbers.
        arguments: what to compute it from; all that is traced is to be among these.
    """
    if JOINS_LOOPS or at_once():
        return function(*arguments)

    def joined(platform: Platform, *given: Any) -> T:
        if platform is not CPU:
            return function(*given)
        token = _JOINED.set(True)
        try:
            return _call(function, *given)
        finally:
            _JOINED.reset(token)

    return by_platform(joined, *arguments)


def materialize(function: Callable[..., T], *arguments: Any, on_accelerators: bool = True) -> T:
    """The results of ``function(*arguments)``, stored: nothing that uses them computes them anew.

    Args:
        function: what to compute.
        arguments: what to compute it from.
        on_accelerators: whether it is to have a kernel of its own there, too, which costs a launch.
    """
    if not on_accelerators:

        def by_kind(platform: Platform, *given: Any) -> T:
            return stored(platform, function, *given) if platform is CPU else function(*given)

        return by_platform(by_kind, *arguments)
    if KEEPS_BARRIERS:
        return stored(CPU, function, *arguments)
    return by_platform(lambda platform, *given: stored(platform, function, *given), *arguments)


def stored(platform: Platform | None, function: Callable[..., T], *arguments: Any) -> T:
    """As `materialize`, in what is traced for a platform already; where that is None, nothing is stored."""
    if platform is None or at_once():
        return function(*arguments)
    if platform is CPU and not KEEPS_BARRIERS:
        return (_call if _JOINED.get() else _in_conditional)(function, *arguments)
    return jax.lax.optimization_barrier(function(*arguments))


def _in_conditional(function: Callable[..., T], *arguments: Any) -> T:
    traced_once = jax.jit(lambda *given: function(*given))

    def never(*arguments: Any) -> T:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(traced_once, *arguments))

    unknown = jax.lax.optimization_barrier(True)  # to the compiler
    return jax.lax.cond(unknown, traced_once, never, *arguments)
