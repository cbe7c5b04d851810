"""Derivatives of an equilibrium by the implicit function theorem.

At a regular solution F(z, theta) = 0 has dz/dtheta = -(dF/dz)^-1 dF/dtheta (theory I3): one linear solve, whatever the
solver did to find z.
"""

import sys
import warnings
from functools import partial
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.kernels.jit import jit
from gamekl.core.kernels.system import split, to_logits
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import LogitGame
from gamekl.core.symmetric.system import single_equations

# Relative errors of a derivative are about this large at worst where it is said to be of worth.
WORST_ERROR = 1e-4


# Whose lines are between the user's and ours.
LIBRARIES = ("gamekl", "jax", "jaxlib", "equinox", "jaxtyping", "beartype", "contextlib", "functools", "optax")
_told: set[tuple[str, int]] = set()


class DerivativeWarning(UserWarning):
    """A derivative was taken of an equilibrium that is not `Solution.differentiable`; told once for each line."""


def _users_frame() -> FrameType:
    """The frame of the user's own line, or the outermost."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in LIBRARIES:
        frame = frame.f_back
    return frame


def _warn_once() -> None:
    """Warn once for each line of the user's, unless all warnings are asked for or are errors.

    Python's own memory of what was told is lost whenever anybody changes a filter, as jax does while it compiles.
    """
    frame = _users_frame()
    place = frame.f_code.co_filename, frame.f_lineno
    action = next((entry[0] for entry in warnings.filters if issubclass(DerivativeWarning, entry[2])), "default")
    if action not in ("always", "error"):
        if place in _told:
            return
        _told.add(place)
    warnings.warn_explicit(
        "derivative of an equilibrium that was not found, or where dF/dz is nearly singular, as at a fold of the "
        "logit path: it is of no worth (Solution.differentiable tells, under jit and vmap too); told once a line",
        DerivativeWarning,
        *place,
    )


@jax.custom_jvp
def attach(
    log_policy: tuple[Float[Array, " _"], ...], game: LogitGame, regularizer: Regularizer, good: Bool[Array, ""]
) -> tuple[Float[Array, " _"], ...]:
    """The equilibrium of the game, with its derivatives with respect to payoffs, references and temperature.

    Args:
        log_policy: the equilibrium, as a constant.
        game: the game.
        regularizer: references and temperatures.
        good: whether derivatives are of worth there. Where that is known to be False when one is taken, outside of
            ``jit`` and ``vmap``, a `DerivativeWarning` says so.

    Returns:
        `log_policy`, with derivatives of 0 where dF/dz has no inverse.
    """
    del game, regularizer, good
    return log_policy


@attach.defjvp
def _attach_jvp(primals: tuple, tangents: tuple) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    log_policy, game, regularizer, good = primals
    if is_concrete(good) and not good:
        _warn_once()
    log_policy = attach(log_policy, game, regularizer, good)  # so that derivatives of the derivative are right
    return log_policy, _tangent(log_policy, game, regularizer, *tangents[1:3])


@partial(jit, quick=True)
def _tangent(
    log_policy: tuple[Array, ...],
    game: LogitGame,
    regularizer: Regularizer,
    game_tangent: LogitGame,
    regularizer_tangent: Regularizer,
) -> tuple[Array, ...]:
    masks = regularizer.masks
    z = to_logits(log_policy, masks)
    ones = jnp.ones((1,), dtype=z.dtype)

    def linearize(game: LogitGame, regularizer: Regularizer) -> Any:
        return single_equations(game, regularizer).linearize(z[:, None], ones)

    # Where the input is not finite there is nothing to differentiate, and NaN times no change would still be NaN.
    game, regularizer = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(leaf), 1, leaf), (game, regularizer))
    tangent = game_tangent, regularizer_tangent
    _, push = jax.jvp(lambda *given: linearize(*given).residual[:, 0], (game, regularizer), tangent)
    inverse = jnp.linalg.inv(linearize(game, regularizer).jacobian()[..., 0])
    # Where there is none, 0 in its place: a lane that is masked must not make the gradient of what is shared NaN.
    inverse = jnp.where(jnp.all(jnp.isfinite(inverse)), inverse, 0)
    change = split(-inverse @ push, [mask.size for mask in masks])
    return tuple(
        jnp.where(mask, part - jnp.sum(jnp.exp(entry) * part), 0)
        for mask, part, entry in zip(masks, change, log_policy, strict=True)
    )
