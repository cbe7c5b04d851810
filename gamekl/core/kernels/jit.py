"""``jax.jit`` for functions that call kernels.

jax keeps what it traced of a jitted function, and kernels are traced for the platform that is meant where they are
called (`core.kernels.platforms`): so that belongs to what a function is kept by.
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from typing import Any

import jax
import numpy as np

from gamekl.core.kernels.platforms import Platform, for_platform, meant, quick_options
from gamekl.core.policies import is_concrete

ZERO = np.zeros((), np.float32)


def jit(
    function: Callable[..., Any], *, static_argnames: str | Sequence[str] = (), quick: bool = False
) -> Callable[..., Any]:
    """A jitted function.

    Args:
        function: the function.
        static_argnames: as for ``jax.jit``.
        quick: whether compilation is what one waits for, where the function is called at once and not inside of another
            program: it then has `platforms.quick_options`.
    """
    static = [static_argnames] if isinstance(static_argnames, str) else [*static_argnames]

    @wraps(function)
    def known(*arguments: Any, on: Platform | None, **keywords: Any) -> Any:
        return for_platform(on, function, *arguments, **keywords)

    own = signature(function)
    keyword = Parameter("on", Parameter.KEYWORD_ONLY)
    known.__dict__["__signature__"] = own.replace(parameters=[*own.parameters.values(), keyword])

    @cache
    def compiled(at_once: bool) -> Callable[..., Any]:
        options = quick_options() if at_once else {}
        if at_once and not options:
            return compiled(False)
        return jax.jit(known, static_argnames=[*static, "on"], compiler_options=options or None)

    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        at_once = quick and is_concrete(arguments, keywords)
        at_once = at_once and is_concrete(jax.lax.neg(ZERO))  # not inside of somebody's jit
        return compiled(at_once)(*arguments, on=meant(), **keywords)

    return call
