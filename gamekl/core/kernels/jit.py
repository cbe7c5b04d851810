"""``jax.jit`` for functions that call kernels.

jax keeps what it traced of a jitted function, and kernels are traced for the platform that is meant where they are
called (`core.kernels.platforms`): so that belongs to what a function is kept by.
"""

from collections.abc import Callable, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from typing import Any

import jax

from gamekl.core.kernels.calls import at_once
from gamekl.core.kernels.platforms import Platform, for_platform, meant, platform_of, quick_options
from gamekl.core.policies import is_concrete


def _platform_of(given: Any) -> Platform | None:
    """The kind of machine on which all arrays are; None where they are on several kinds, or are not jax's."""
    arrays = [leaf for leaf in jax.tree.leaves(given) if isinstance(leaf, jax.Array)]
    platforms = {platform_of(device) for leaf in arrays for device in leaf.devices()}
    return platforms.pop() if len(platforms) == 1 else None


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
    def compiled(for_now: bool) -> Callable[..., Any]:
        options = quick_options() if for_now else {}
        if for_now and not options:
            return compiled(False)
        return jax.jit(known, static_argnames=[*static, "on"], compiler_options=options or None)

    @wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        now = is_concrete(arguments, keywords) and at_once()
        # What is called at once is for the machine that its arrays are on: nothing is traced for others.
        platform = meant() or (_platform_of((arguments, keywords)) if now else None)
        return compiled(quick and now)(*arguments, on=platform, **keywords)

    return call
