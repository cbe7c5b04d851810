"""Classes of hypotheses of one-shot games: any payoffs at all in a range, and payoffs linear in features.

**Tables.** A hypothesis is any table f of payoffs in [low, high], one for each player, and its loss the sum of squares
(f(a) - r)^2 over the rewards r that were seen, less the least such sum of any table. With N the visits of a and rbar
the mean of its rewards the supremum moves only the entry at a:

    U(a) = sup_{low <= x <= high} w x - eta N [(x - rbar)^2 - (c - rbar)^2],    c = rbar clipped to [low, high],

at x = rbar + w / (2 eta N), clipped: U = rbar + 1 / (4 eta N) for w = 1 where nothing is clipped, and
high - eta N (high - rbar)^2 where x is but rbar is not (derived, MATH E; c corrects means outside of the range). In a
context of probability w, which pays w f to the whole, each context is a block of its own.

**Linear.** r_i(a) = phi(a)^T theta_i with loss |theta - theta_hat|^2 in the metric Lambda = ridge + sum phi phi^T,
theta_hat being the ridge estimate: U_i(a) = phi^T theta_hat + phi^T Lambda^-1 phi / (4 eta) (derived: the supremum of a
concave quadratic); there is no clipping. Contexts would share theta, so that there are none.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.games import ContextualGame, NormalFormGame, as_float_array, require_normal_form
from gamekl.core.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite, validate
from gamekl.learning.mamex import Hypotheses, Payoffs
from gamekl.offline.pessimism import check_nonnegative

Scalar = Array | float | int
Tables = tuple[Float[Array, "block *choices"], Float[Array, "block player *choices"]]


def optimistic_entry(
    mean: Array, count: Array, eta: Scalar, low: Scalar, high: Scalar, weight: Array | float = 1.0
) -> Array:
    """sup over x in [low, high] of w x - eta N [(x - rbar)^2 - (c - rbar)^2] (derived, MATH E).

    Args:
        mean: rbar, payoff units; does not matter where nothing was seen.
        count: N.
        eta: what a unit of loss costs; > 0.
        low: least payoff.
        high: largest payoff.
        weight: w, > 0.

    Returns:
        Payoff units, of the arguments' common shape.
    """
    price = eta * count
    nearest = jnp.clip(mean, low, high)
    best = jnp.where(price > 0, jnp.clip(mean + weight / (2 * jnp.where(price > 0, price, 1)), low, high), high)
    return weight * best - price * ((best - mean) ** 2 - (nearest - mean) ** 2)


def _checked(game: Any) -> ContextualGame:
    """The game with contexts: a normal-form game has one."""
    if isinstance(game, NormalFormGame):
        game = ContextualGame(game.payoffs[None], jnp.ones(1, game.dtype))
    elif not isinstance(game, ContextualGame):
        raise TypeError(f"game: got {type(game).__name__}, takes a NormalFormGame or a ContextualGame")
    if is_concrete(game):
        validate(game)
    return game


def _broad(context_probs: Array, like: Array) -> Array:
    return context_probs.reshape(-1, *[1] * (like.ndim - 1)).astype(like.dtype)


class _OneShot(Hypotheses):
    """What classes of one-shot games share: contexts come by known chances, and rewards with Gaussian noise.

    Attributes:
        game: the true game.
        noise: standard deviation of a reward, payoff units.
    """

    game: ContextualGame
    noise: Array

    @property
    def truth(self) -> Payoffs:
        return self.game.payoffs * _broad(self.game.context_probs, self.game.payoffs)

    def _happens(self, key: Array, choice: Int[Array, "block player"]) -> tuple[Array, tuple[Array, ...], Array]:
        """The context, the joint action in it, and each player's reward."""
        context_key, reward_key = jax.random.split(key)
        context = jax.random.categorical(context_key, jnp.log(self.game.context_probs))
        joint = tuple(choice[context])
        paid = self.game.payoffs[(context, slice(None), *joint)]
        return context, joint, paid + self.noise * jax.random.normal(reward_key, paid.shape, paid.dtype)


class TabularPayoffs(_OneShot):
    """All tables of payoffs in [low, high].

    Attributes:
        game: the true game; a `NormalFormGame` is one of a single context.
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        low: least payoff of a hypothesis.
        high: largest.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: bad values, or a true payoff out of the range, so that the class lacks the truth.
    """

    low: Array
    high: Array

    def __init__(
        self, game: NormalFormGame | ContextualGame, *, noise: ArrayLike, low: ArrayLike = 0.0, high: ArrayLike = 1.0
    ) -> None:
        self.game = _checked(game)
        check_nonnegative(noise=noise)
        self.noise, self.low, self.high = (jnp.asarray(entry, self.game.dtype) for entry in (noise, low, high))
        if is_concrete(self.low, self.high) and not bool(self.low <= self.high):
            raise ValueError(f"low, high: got {low!r} and {high!r}, takes low <= high: the class is empty")
        if is_concrete(game, self.low, self.high):
            least, largest = float(self.game.payoffs.min()), float(self.game.payoffs.max())
            if least < float(self.low) or largest > float(self.high):
                raise ValueError(
                    f"payoffs: got {least:.6g} to {largest:.6g}, takes values in [low, high] = "
                    f"[{float(self.low):.6g}, {float(self.high):.6g}]"
                )

    def begin(self) -> Tables:
        """Visits and sums of rewards."""
        payoffs = self.game.payoffs
        return jnp.zeros(payoffs[:, 0].shape, payoffs.dtype), jnp.zeros_like(payoffs)

    def _means(self, seen: Tables) -> tuple[Array, Array]:
        counts = seen[0][:, None]
        return counts, jnp.where(counts > 0, seen[1] / jnp.maximum(counts, 1), (self.low + self.high) / 2)

    def optimistic(self, seen: Tables, eta: Float[Array, ""]) -> Payoffs:
        counts, means = self._means(seen)
        weights = _broad(self.game.context_probs, means)
        return optimistic_entry(means, counts, eta, self.low, self.high, weights)

    def fitted(self, seen: Tables) -> Payoffs:
        """Means, clipped; the middle of the range where nothing was seen."""
        means = self._means(seen)[1]
        return _broad(self.game.context_probs, means) * jnp.clip(means, self.low, self.high)

    def observe(self, key: Array, seen: Tables, choice: Int[Array, "block player"]) -> Tables:
        context, joint, rewards = self._happens(key, choice)
        counts, sums = seen
        return counts.at[(context, *joint)].add(1), sums.at[(context, slice(None), *joint)].add(rewards)


Fit = tuple[Float[Array, "feature feature"], Float[Array, "feature player"]]


class LinearPayoffs(_OneShot):
    """Payoffs linear in features, of a game without contexts.

    Attributes:
        game: the true game, as one of a single context.
        features: phi, shape ``[*actions, feature]``.
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        ridge: what a unit of |theta|^2 adds to the loss; > 0.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: bad values, or features of another shape or with entries that are not finite.
    """

    features: Float[Array, "*actions_and_feature"]
    ridge: Array

    def __init__(self, game: NormalFormGame, features: ArrayLike, *, noise: ArrayLike, ridge: ArrayLike = 1.0) -> None:
        require_normal_form(game)
        self.game = _checked(game)
        check_nonnegative(noise=noise, ridge=ridge)
        if is_concrete(ridge) and not np.all(np.asarray(ridge) > 0):
            raise ValueError(f"ridge: got {ridge!r}, takes a number > 0")
        self.features = as_float_array("features", features).astype(game.dtype)
        shape = self.features.shape
        if shape[:-1] != game.num_actions or not shape[-1]:
            raise ValueError(f"features: got shape {shape}, takes [*actions, feature] = {game.num_actions} + (d,)")
        if is_concrete(self.features):
            check_finite("features", np.asarray(self.features))
        self.noise, self.ridge = (jnp.asarray(entry, game.dtype) for entry in (noise, ridge))

    def begin(self) -> Fit:
        """Lambda^-1 and sum phi r."""
        size, dtype = self.features.shape[-1], self.game.dtype
        return jnp.eye(size, dtype=dtype) / self.ridge, jnp.zeros((size, self.game.num_players), dtype)

    def fitted(self, seen: Fit) -> Payoffs:
        return jnp.moveaxis(_times(self.features, _times(*seen)), -1, 0)[None]

    def optimistic(self, seen: Fit, eta: Float[Array, ""]) -> Payoffs:
        spread = jnp.sum(_times(self.features, seen[0]) * self.features, axis=-1)
        return self.fitted(seen) + spread / (4 * eta)

    def observe(self, key: Array, seen: Fit, choice: Int[Array, "block player"]) -> Fit:
        _, joint, rewards = self._happens(key, choice)
        inverse, total = seen
        phi = self.features[joint]
        against = _times(inverse, phi)
        inverse = inverse - against[:, None] * against / (1 + jnp.sum(phi * against))
        return inverse, total + phi[:, None] * rewards


def _times(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=PRECISION)
