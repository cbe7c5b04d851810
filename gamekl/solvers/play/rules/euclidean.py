"""Monotone solvers in the policies themselves: no logarithms, no anchor, projections on the simplex.

With x a profile of policies, F = -q payoffs' values with the sign turned, P the projection and eta the step in inverse
payoff units, all of them find unregularised equilibria where F is monotone, as in zero-sum games:

    Extragradient   h = P(x - eta F(x)),  x' = P(x - eta F(h))
    Halpern         h = P(b x1 + (1 - b) x - eta F(x)),  x' = P(b x1 + (1 - b) x - eta F(h)),  b = 1 / (t + 1)
    AOG             h = P(x - eta F(h_) + (x1 - x) / (t + 1)),  x' = P(x - eta F(h) + (x1 - x) / (t + 1))

x1 is the profile of the first round, the references; h_ is the h of the round before, whose values are kept (in the
first round there are none). The gap of the last round is of the order 1 / sqrt T for the first and 1 / T for the
others, for steps below 1 / L with L the Lipschitz constant of F in the Euclidean norm (for AOG a part of it).
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from gamekl.solvers.play.products import AnchoredGame, Play, Profiles
from gamekl.solvers.play.rules.anchored import Stepped

Rounds = Int[Array, " lane"]


def project(points: Profiles, mask: Bool[Array, "player actions lane"]) -> Profiles:
    """The nearest policies on the mask, in the Euclidean norm."""
    ordered = -jnp.sort(jnp.where(mask, -points, jnp.inf), axis=1)  # falling, masked entries last
    kept = jnp.isfinite(ordered)
    ranks = jnp.maximum(jnp.cumsum(kept, axis=1), 1).astype(points.dtype)
    levels = (jnp.cumsum(jnp.where(kept, ordered, 0), axis=1) - 1) / ranks
    count = jnp.sum(kept & (ordered > levels), axis=1, keepdims=True)
    level = jnp.take_along_axis(levels, jnp.maximum(count - 1, 0), axis=1)
    return jnp.where(mask, jnp.maximum(points - level, 0), 0)


class _Projected(Stepped):
    """A rule whose state is, or has, a profile of policies."""

    anchored = False

    def init(self, game: AnchoredGame) -> Any:
        return jnp.exp(game.log_reference)

    def moved(self, game: AnchoredGame, policy: Profiles, round: Rounds) -> Profiles:
        """The step -eta F at a profile, shape ``[player, actions, lane]``."""
        return self.pace(game, round) * game.values(policy)


class Extragradient(_Projected):
    """Extragradient: a projected step of the policies by the values that a first step of the same length leads to.

    Attributes:
        step_size: eta, inverse payoff units, a number or an optax schedule of the round counted from 0.

    Raises:
        ValueError: a number that is not positive.

    Source: Korpelevich (1976); its last round: Cai, Oikonomou and Zheng (arXiv 2204.09228).
    """

    evaluations = 2

    def step(self, game: AnchoredGame, policy: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The profile after a round of two projected steps, and what was played."""
        half = project(policy + self.moved(game, policy, round), game.mask)
        return project(policy + self.moved(game.again(), half, round), game.mask), game.play_policy(policy)


class Halpern(_Projected):
    """Extragradient that is drawn back to its first round, ever less.

    Attributes:
        step_size: eta, inverse payoff units, a number or an optax schedule of the round counted from 0.

    Raises:
        ValueError: a number that is not positive.

    Source: Yoon and Ryu, extra anchored gradient (arXiv 2102.07922), after Halpern (1967).
    """

    evaluations = 2

    def step(self, game: AnchoredGame, policy: Profiles, round: Rounds, /) -> tuple[Profiles, Play]:
        """The profile after a round of two projected steps, both drawn back, and what was played."""
        back = (jnp.exp(game.log_reference) - policy) / (round + 1).astype(policy.dtype)
        half = project(policy + back + self.moved(game, policy, round), game.mask)
        return project(policy + back + self.moved(game.again(), half, round), game.mask), game.play_policy(policy)


class Accelerated(NamedTuple):
    """The state of `AOG`: the profile, and the values that were last asked for; none before the first round."""

    policy: Profiles
    values: Profiles


class AOG(_Projected):
    """Accelerated optimistic gradient: one evaluation a round, drawn back to its first round like `Halpern`.

    Attributes:
        step_size: eta, inverse payoff units, a number or an optax schedule of the round counted from 0.

    Raises:
        ValueError: a number that is not positive.

    Source: Cai and Zheng, "Doubly Optimal No-Regret Learning in Monotone Games" (arXiv 2301.13120; recalled).
    """

    def init(self, game: AnchoredGame) -> Accelerated:
        """The references, and no values yet."""
        return Accelerated(super().init(game), jnp.zeros_like(game.log_reference))

    def step(self, game: AnchoredGame, state: Accelerated, round: Rounds, /) -> tuple[Accelerated, Play]:
        """The state after a round with one evaluation, and what was played."""
        policy, pace = state.policy, self.pace(game, round)
        from_here = policy + (jnp.exp(game.log_reference) - policy) / (round + 1).astype(policy.dtype)
        values = game.values(project(from_here + pace * state.values, game.mask))
        return Accelerated(project(from_here + pace * values, game.mask), values), game.play_policy(policy)
