"""What `find_equilibria` returns."""

from collections.abc import Iterator
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.policies import is_concrete
from gamekl.core.show import Shown
from gamekl.core.status import Status


class Equilibria(Shown):
    """Regularised equilibria that were found of a game; behind the first `number` there is padding.

    The first is that of `solve_nash`, where that was found; the others come as the starts led to them. Found is not
    all: `unique` says where there can be no other, and `incomplete` where one is surely missing.

    Attributes:
        log_policy: one array ``[equilibrium, actions_i]`` for each player; NaN in padding.
        gap: regularised gap of each player, shape ``[equilibrium, player]``, payoff units.
        residual: sup |policy - best response|, a probability, shape ``[equilibrium]``.
        error: no farther, in nats of any logit centred on the reference's support, is the equilibrium itself, in exact
            arithmetic; infinite where that could not be proven, as at folds. Shape ``[equilibrium]``.
        radius: no farther, likewise, there is only this one; 0 where nothing is proven.
        index: the sign of det(1 - D BR) on the references' support, 1 or -1. The indices of all equilibria sum to 1
            where all are regular (Poincare and Hopf; theory H1).
        stable: 1 where the equilibrium attracts the logit best-response dynamics dpi/dt = BR(pi) - pi nearby, -1 where
            it does not, 0 where that could not be told.
        flows: the same for the natural-gradient flow dz/dt = q - temperature (z - z0).
        divergence: KL of each player's policy from its reference, shape ``[equilibrium, player]``, nats.
        welfare: the sum of the players' payoffs, shape ``[equilibrium]``, payoff units.
        hits: how many starts led there, shape ``[equilibrium]``.
        number: how many were found; where there are more than there is room for, the last are not kept.
        lost: how many starts led nowhere.
        unique: whether it is proven that there is one equilibrium only.
        incomplete: whether one or more are surely missing: all that were found are regular, and their indices do not
            sum to 1. A missing pair of indices 1 and -1 shows in no sum, nor does one that is not regular.
        status: a `Status` value: of `solve_nash`, for the first.
    """

    log_policy: tuple[Float[Array, "*batch equilibrium _"], ...]
    gap: Float[Array, "*batch equilibrium player"]
    residual: Float[Array, "*batch equilibrium"]
    error: Float[Array, "*batch equilibrium"]
    radius: Float[Array, "*batch equilibrium"]
    index: Float[Array, "*batch equilibrium"]
    stable: Float[Array, "*batch equilibrium"]
    flows: Float[Array, "*batch equilibrium"]
    divergence: Float[Array, "*batch equilibrium player"]
    welfare: Float[Array, "*batch equilibrium"]
    hits: Int[Array, "*batch equilibrium"]
    number: Int[Array, "*batch"]
    lost: Int[Array, "*batch"]
    unique: Bool[Array, "*batch"]
    incomplete: Bool[Array, "*batch"]
    status: Int[Array, "*batch"]
    status_type: ClassVar = Status

    @property
    def policy(self) -> tuple[Float[Array, "*batch equilibrium _"], ...]:
        """The probabilities, one array ``[equilibrium, actions_i]`` for each player."""
        return tuple(jnp.exp(entry) for entry in self.log_policy)

    def notes(self) -> Iterator[str]:
        """What the number of equilibria is worth."""
        if is_concrete(self.number) and self.number.ndim == 0:
            if bool(self.unique):
                yield "it is proven that there is no other"
            elif bool(self.incomplete):
                yield "at least one more is surely missing: the indices do not sum to 1"
            else:
                yield "found, which may not be all"
