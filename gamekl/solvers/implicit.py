"""Derivatives of an equilibrium by the implicit function theorem.

At a regular solution F(z, theta) = 0 has dz/dtheta = -(dF/dz)^-1 dF/dtheta (MATH I3): one linear solve, whatever the
solver did to find z.
"""

import logging

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Array, ArrayLike, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.system import Linearization, LogitSystem, split, to_logits

logger = logging.getLogger("gamekl")

# Relative errors of a derivative are about this large at worst before it is reported.
WORST_ERROR = 1e-4


@jax.custom_jvp
def attach(
    log_policy: tuple[Float[Array, " _"], ...], game: NormalFormGame, regularizer: Regularizer, solved: Bool[Array, ""]
) -> tuple[Float[Array, " _"], ...]:
    """The equilibrium of the game, with its derivatives with respect to payoffs, references and temperature.

    Args:
        log_policy: the equilibrium, as a constant.
        game: the game.
        regularizer: references and temperatures.
        solved: whether it is the equilibrium.

    Returns:
        `log_policy`. Where dF/dz is nearly singular there, or it is not solved, taking a derivative logs a warning.
    """
    del game, regularizer, solved
    return log_policy


@attach.defjvp
def _attach_jvp(primals: tuple, tangents: tuple) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    log_policy, game, regularizer, solved = primals
    log_policy = attach(log_policy, game, regularizer, solved)  # so that derivatives of the derivative are right
    masks = regularizer.masks
    z = to_logits(log_policy, masks)

    def linearize(game: NormalFormGame, regularizer: Regularizer) -> Linearization:
        return LogitSystem.single(game, regularizer).linearize(z[:, None], jnp.ones((1,), dtype=z.dtype))

    _, push = jax.jvp(lambda *arguments: linearize(*arguments).residual[:, 0], (game, regularizer), tangents[1:3])
    jacobian = linearize(game, regularizer).jacobian()[..., 0]
    inverse = jnp.linalg.inv(jacobian)
    condition = jnp.linalg.norm(jacobian, ord=jnp.inf) * jnp.linalg.norm(inverse, ord=jnp.inf)
    regular = condition * jnp.finfo(z.dtype).eps < WORST_ERROR
    _report(jax.lax.stop_gradient(~(regular & solved)))
    change = split(-inverse @ push, [mask.size for mask in masks])
    return log_policy, tuple(
        jnp.where(mask, part - jnp.sum(jnp.exp(entry) * part), 0)
        for mask, part, entry in zip(masks, change, log_policy, strict=True)
    )


@custom_vmap
def _report(doubtful: Bool[Array, "*batch"]) -> Array:
    """Count a batch's unreliable derivatives, and log a warning if there are any."""
    count = jnp.sum(doubtful, dtype=jnp.int32)
    jax.debug.callback(_warn, count)
    return count


@_report.def_vmap
def _report_batch(size: int, in_batched: list[bool], doubtful: Bool[Array, "*batch"]) -> tuple[Array, bool]:
    del size, in_batched
    return _report(doubtful), False


def _warn(count: ArrayLike) -> None:
    if count:
        logger.warning(
            "derivative of an equilibrium: in %d game(s) it was not found, or dF/dz is nearly singular, as at a fold "
            "of the logit path; the derivative there is of no worth",
            count,
        )
