"""Classes of hypotheses of one-shot games: any payoffs at all in a range, and payoffs linear in features.

**Tables.** A hypothesis is any table f of payoffs in [low, high], one for each player, and its loss the sum of squares
(f(a) - r)^2 over the rewards r that were seen, less the least such sum of any table. With N the visits of a and rbar
the mean of its rewards the supremum moves only the entry at a:

    U(a) = sup_{low <= x <= high} w x - eta N [(x - rbar)^2 - (c - rbar)^2],    c = rbar clipped to [low, high],

at x = rbar + w / (2 eta N), clipped: U = rbar + 1 / (4 eta N) for w = 1 where nothing is clipped, and
high - eta N (high - rbar)^2 where x is but rbar is not (derived, theory E; c corrects means outside of the range). In a
context of probability w, which pays w f to the whole, each context is a block of its own.

**Linear.** r_i(c, a) = phi(c, a)^T theta_i with loss |theta - theta_hat|^2 in the metric Lambda = ridge + sum phi
phi^T, theta_hat being the ridge estimate. Contexts share theta, so that they are no blocks: a choice is a pure policy,
from contexts to actions, and for each of them, which are enumerated,

    U_i(a) = psi^T theta_hat + psi^T Lambda^-1 psi / (4 eta),        psi = sum_c w_c phi(c, a(c))

(derived: the supremum of a concave quadratic); there is no clipping. Without contexts psi is phi.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.games import ContextualGame, NormalFormGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite, check_nonnegative, validate
from gamekl.online.loop import drawn
from gamekl.online.mamex import LARGEST_SET, Hypotheses, Payoffs, every_policy

Scalar = Array | float | int
Tables = tuple[Float[Array, "block *choices"], Float[Array, "block player *choices"]]


def optimistic_entry(
    mean: Array, count: Array, eta: Scalar, low: Scalar, high: Scalar, weight: Array | float = 1.0
) -> Array:
    """The optimistic payoff of a cell: sup over x in [low, high] of w x - eta N [(x - rbar)^2 - (c - rbar)^2].

    Here c is the mean rbar, clipped to the range.

    Args:
        mean: rbar, payoff units; does not matter where nothing was seen.
        count: N.
        eta: what a unit of loss costs; > 0.
        low: least payoff.
        high: largest payoff.
        weight: w, > 0.

    Returns:
        Payoff units, of the arguments' common shape.

    Source: theory E (derived).
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
        """The true payoffs times the chance of their context, shape ``[context, player, *actions]``."""
        return self.game.payoffs * _broad(self.game.context_probs, self.game.payoffs)

    def _happens(self, key: Array, actions: Int[Array, "context player"]) -> tuple[Array, tuple[Array, ...], Array]:
        """The context, the joint action in it of those for all contexts, and each player's reward."""
        context, reward_key = jnp.zeros((), int), key
        if self.game.context_probs.size > 1:
            context_key, reward_key = jax.random.split(key)
            context = drawn(jax.random.uniform(context_key, (), self.game.dtype), self.game.context_probs)
        joint = tuple(actions[context])
        paid = self.game.payoffs[(context, slice(None), *joint)]
        return context, joint, paid + self.noise * jax.random.normal(reward_key, paid.shape, paid.dtype)


class TabularPayoffs(_OneShot):
    """The class of all tables of payoffs in [low, high].

    Attributes:
        game: the true game; a `NormalFormGame` is one of a single context.
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        low: least payoff of a hypothesis.
        high: largest payoff of a hypothesis.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: bad values, or a true payoff out of the range, so that the class lacks the truth.
    """

    low: Array
    high: Array

    def __init__(
        self, game: NormalFormGame | ContextualGame, *, noise: ArrayLike, low: ArrayLike = 0.0, high: ArrayLike = 1.0
    ) -> None:
        """Take the true game, the noise, and the range of payoffs."""
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

    @property
    def teaches_one_cell(self) -> bool:
        """Whether what happens after a choice changes nothing but the payoffs of that choice: it does not."""
        return True

    def begin(self) -> Tables:
        """The visits and the sums of rewards before the first round, all 0."""
        payoffs = self.game.payoffs
        return jnp.zeros(payoffs[:, 0].shape, payoffs.dtype), jnp.zeros_like(payoffs)

    def _means(self, seen: Tables) -> tuple[Array, Array]:
        counts = seen[0][:, None]
        return counts, jnp.where(counts > 0, seen[1] / jnp.maximum(counts, 1), (self.low + self.high) / 2)

    def optimistic(self, seen: Tables, eta: Float[Array, ""]) -> Payoffs:
        """The optimistic entries of all cells, times the chance of their context (theory E)."""
        counts, means = self._means(seen)
        weights = _broad(self.game.context_probs, means)
        return optimistic_entry(means, counts, eta, self.low, self.high, weights)

    def fitted(self, seen: Tables) -> Payoffs:
        """The means of all cells, clipped; the middle of the range where nothing was seen."""
        means = self._means(seen)[1]
        return _broad(self.game.context_probs, means) * jnp.clip(means, self.low, self.high)

    def observe(self, key: Array, seen: Tables, choice: Int[Array, "block player"]) -> Tables:
        """Draw a context, play its joint action, and add the rewards to visits and sums."""
        context, joint, rewards = self._happens(key, choice)
        counts, sums = seen
        return counts.at[(context, *joint)].add(1), sums.at[(context, slice(None), *joint)].add(rewards)


Fit = tuple[Float[Array, "feature feature"], Float[Array, "feature player"]]


class LinearPayoffs(_OneShot):
    """The class of payoffs that are linear in features; where the true ones are not, regret may grow linearly.

    Whether they are is not checked.

    Attributes:
        game: the true game; a `NormalFormGame` is one of a single context.
        features: phi, shape ``[context, *actions, feature]``; ``[*actions, feature]`` is taken for a `NormalFormGame`.
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        ridge: what a unit of |theta|^2 adds to the loss; > 0.
        policies: every pure policy of each player.
        mixed: psi of every pure joint policy.

    Raises:
        TypeError: `game` is of another kind.
        ValueError: bad values, features of another shape or with entries that are not finite, or more pure joint
            policies than `limit`.
    """

    features: Float[Array, "*context_actions_feature"]
    ridge: Array
    policies: tuple[Int[Array, "policy context"], ...]
    mixed: Float[Array, "*choices_and_feature"]

    def __init__(
        self,
        game: NormalFormGame | ContextualGame,
        features: ArrayLike,
        *,
        noise: ArrayLike,
        ridge: ArrayLike = 1.0,
        limit: int = LARGEST_SET,
    ) -> None:
        """Take the true game, features, noise and ridge, and the most pure joint policies that are enumerated."""
        self.game = _checked(game)
        check_nonnegative(noise=noise, ridge=ridge)
        if is_concrete(ridge) and not np.all(np.asarray(ridge) > 0):
            raise ValueError(f"ridge: got {ridge!r}, takes a number > 0")
        table = as_float_array("features", features).astype(game.dtype)
        contextual = isinstance(game, ContextualGame)
        takes = self.game.stage_shape * contextual + game.num_actions
        if table.shape[:-1] != takes or not table.shape[-1]:
            axes = "context, *actions" if contextual else "*actions"
            raise ValueError(f"features: got shape {table.shape}, takes [{axes}, feature] = {takes} + (d,)")
        if is_concrete(table):
            check_finite("features", np.asarray(table))
        (contexts,) = self.game.stage_shape
        joint = math.prod(game.num_actions) ** contexts
        if joint > limit:
            raise ValueError(
                f"num_actions: got {joint:,} pure joint policies of {contexts} contexts, takes at most {limit:,}; "
                "TabularPayoffs has no limit"
            )
        self.noise, self.ridge = (jnp.asarray(entry, game.dtype) for entry in (noise, ridge))
        self.features = table.reshape(contexts, *game.num_actions, -1)
        self.policies = every_policy(game.num_actions, contexts)
        self.mixed = self._over_contexts(self.features)

    def _over_contexts(self, table: Float[Array, "context *actions_and_more"]) -> Float[Array, "*choices_and_more"]:
        """The sum over contexts of w_c table(c, a(c)), for every pure joint policy."""
        picked = (
            weight.astype(table.dtype) * entry[jnp.ix_(*(policy[:, context] for policy in self.policies))]
            for context, (weight, entry) in enumerate(zip(self.game.context_probs, table, strict=True))
        )
        return functools.reduce(jnp.add, picked)

    @property
    def truth(self) -> Payoffs:
        """The true values of pure joint policies, shape ``[1, player, *choices]``, payoff units."""
        return jnp.moveaxis(self._over_contexts(jnp.moveaxis(self.game.payoffs, 1, -1)), -1, 0)[None]

    def begin(self) -> Fit:
        """The inverse Lambda^-1 and the sum of phi r before the first round."""
        size, dtype = self.features.shape[-1], self.game.dtype
        return jnp.eye(size, dtype=dtype) / self.ridge, jnp.zeros((size, self.game.num_players), dtype)

    def fitted(self, seen: Fit) -> Payoffs:
        """The values psi^T theta_hat by the ridge estimate."""
        return jnp.moveaxis(_times(self.mixed, _times(*seen)), -1, 0)[None]

    def optimistic(self, seen: Fit, eta: Float[Array, ""]) -> Payoffs:
        """The values by the ridge estimate, with psi^T Lambda^-1 psi / (4 eta) added."""
        spread = jnp.sum(_times(self.mixed, seen[0]) * self.mixed, axis=-1)
        return self.fitted(seen) + spread / (4 * eta)

    def observe(self, key: Array, seen: Fit, choice: Int[Array, "1 player"]) -> Fit:
        """Draw a context, play its joint action, and update Lambda^-1 and the sum of phi r."""
        actions = jnp.stack([policy[index] for policy, index in zip(self.policies, choice[0], strict=True)], axis=-1)
        context, joint, rewards = self._happens(key, actions)
        inverse, total = seen
        phi = self.features[(context, *joint)]
        against = _times(inverse, phi)
        inverse = inverse - against[:, None] * against / (1 + jnp.sum(phi * against))
        return inverse, total + phi[:, None] * rewards


def _times(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=PRECISION)
