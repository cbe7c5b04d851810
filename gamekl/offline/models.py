"""Least squares on cells: what regression makes of the rows of one step.

The rows of a step enter by their cells c (context or state, and joint action): N(c) rows whose targets (the players'
rewards, and in a Markov game which state came next) sum up to Y(c). A model estimates the targets' means by

    argmin_f sum_c N(c) |f(c) - Y(c) / N(c)|^2 + penalty,

over all functions of the cell (`Tabular`), linear ones (`Ridge`, `ActionRidge`) or those of a finite class
(`FiniteClass`) (theory A1). Fitting rewards and next states linearly gives the numbers of least-squares value
iteration, whose targets r + V(s') are linear in both, whatever V (derived).
"""

import math
from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.arrays import as_float_array
from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame
from gamekl.core.kernels.lanes import PRECISION, solve_positive
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite

Targets = Float[Array, "step target cell"]


class Model(eqx.Module):
    """A class of functions of the cell, with a way to fit them.

    Attributes:
        keeps_distributions: whether fits of next states are always distributions.
    """

    keeps_distributions: ClassVar[bool] = False

    @abstractmethod
    def check(self, stage: tuple[int, ...], actions: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the model is of games with this shape."""

    @abstractmethod
    def fit(self, counts: Float[Array, "step cell"], sums: Targets, prior: Float[Array, "step target"]) -> Targets:
        """Estimate the means of all targets in all cells.

        Args:
            counts: rows in each cell.
            sums: of the targets over these rows.
            prior: means where the model has nothing to say.
        """


class Tabular(Model):
    """Every cell on its own: the mean of its rows, the prior where there are none."""

    def check(self, stage: tuple[int, ...], actions: tuple[int, ...]) -> None:
        """Do nothing: the model fits games of any shape."""
        del stage, actions

    def fit(self, counts: Float[Array, "step cell"], sums: Targets, prior: Float[Array, "step target"]) -> Targets:
        """The mean of each cell's rows; the prior where it has none."""
        there = counts[:, None] > 0
        means = sums / jnp.where(there, counts[:, None], 1).astype(sums.dtype)
        return jnp.where(there, means, prior[..., None])


class Linear(Model):
    """A model that is linear in given features, with a penalty on the weights.

    Attributes:
        features: an array whose last axis they are.
        penalty: of the weights' squares, beside the sum of squares over rows; >= 0.

    Raises:
        ValueError: a feature that is not finite, or a penalty below 0.
    """

    features: Float[Array, "*where feature"] = eqx.field(converter=partial(as_float_array, "features"))
    penalty: Float[Array, ""] = eqx.field(converter=partial(as_float_array, "penalty"), default=1.0)

    def __check_init__(self) -> None:
        if is_concrete(self.features, self.penalty):
            check_finite("features", np.asarray(self.features))
            if not (self.penalty.ndim == 0 and 0 <= float(self.penalty) < np.inf):
                raise ValueError(f"penalty: got {self.penalty}, takes a number >= 0")


class Ridge(Linear):
    """Ridge regression on features of the cell, r(c) = theta . phi(c), with one theta for all stages of a step.

    Attributes:
        features: phi, shape ``[*stage, *actions, feature]``.
        penalty: of |theta|^2, beside the sum of squares over rows; >= 0. At 0 the features seen must be independent.

    Raises:
        ValueError: a feature that is not finite, or a penalty below 0.
    """

    def check(self, stage: tuple[int, ...], actions: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless there is one feature vector for each cell."""
        if self.features.shape[:-1] != (*stage, *actions):
            raise ValueError(
                f"features: got shape {self.features.shape}, takes [*stage, *actions, feature] with "
                f"{(*stage, *actions)} before the last axis"
            )

    def fit(self, counts: Float[Array, "step cell"], sums: Targets, prior: Float[Array, "step target"]) -> Targets:
        """Solve the normal equations; NaN where they are singular."""
        del prior
        features = self.features.reshape(*counts.shape, -1).astype(sums.dtype)
        weighted = features * counts[..., None].astype(sums.dtype)
        product = jnp.einsum("hcd,hce->hde", weighted, features, precision=PRECISION)
        right = jnp.einsum("hcd,htc->hdt", features, sums, precision=PRECISION)
        weights = _solve_ridge(product, right, self.penalty)
        return jnp.einsum("hcd,hdt->htc", features, weights, precision=PRECISION)


class ActionRidge(Linear):
    """Ridge regression on features of the stage, r(s, a) = theta_a . (1, x(s)), with weights for each joint action.

    The numbers are those of `Ridge` with the features of `per_action`, at a small part of the cost.

    Attributes:
        features: x, shape ``[*stage, feature]``.
        penalty: of |theta_a|^2, beside the sum of squares over rows; >= 0.

    Raises:
        ValueError: a feature that is not finite, or a penalty below 0.
    """

    def check(self, stage: tuple[int, ...], actions: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless there is one feature vector for each stage."""
        del actions
        if self.features.shape[:-1] != stage:
            raise ValueError(
                f"features: got shape {self.features.shape}, takes [*stage, feature] with {stage} before the last axis"
            )

    def fit(self, counts: Float[Array, "step cell"], sums: Targets, prior: Float[Array, "step target"]) -> Targets:
        """Solve the normal equations of each joint action; NaN where they are singular."""
        del prior
        inputs = with_constant(self.features).reshape(len(counts), -1, self.features.shape[-1] + 1).astype(sums.dtype)
        seen = counts.reshape(*inputs.shape[:2], -1).astype(sums.dtype)
        totals = sums.reshape(*sums.shape[:2], *seen.shape[1:])
        product = jnp.einsum("hsa,hsi,hsj->haij", seen, inputs, inputs, precision=PRECISION)
        right = jnp.einsum("hsi,htsa->hait", inputs, totals, precision=PRECISION)
        weights = _solve_ridge(product, right, self.penalty)
        return jnp.einsum("hsi,hait->htsa", inputs, weights, precision=PRECISION).reshape(sums.shape)


def with_constant(features: Float[Array, "*stage feature"]) -> Float[Array, "*stage constant_and_feature"]:
    """The features with a constant before them, (1, x)."""
    return jnp.concatenate([jnp.ones_like(features[..., :1]), features], axis=-1)


def per_action(
    features: Float[Array, "*stage feature"], num_actions: tuple[int, ...]
) -> Float[Array, "*stage_and_actions block"]:
    """Features for `Ridge` that say what `ActionRidge` does: (1, x(s)) in the joint action's own place, 0 elsewhere.

    Args:
        features: x, shape ``[*stage, feature]``.
        num_actions: of each player.

    Returns:
        Features of stages and joint actions, shape ``[*stage, *actions, (feature + 1) * joint actions]``.
    """
    joint = math.prod(num_actions)
    blocks = jnp.eye(joint, dtype=features.dtype)[:, :, None] * with_constant(features)[..., None, None, :]
    return blocks.reshape(*features.shape[:-1], *num_actions, -1)


def _solve_ridge(
    product: Float[Array, "*system feature feature"], right: Float[Array, "*system feature target"], penalty: Array
) -> Float[Array, "*system feature target"]:
    product += penalty.astype(product.dtype) * jnp.eye(product.shape[-1], dtype=product.dtype)
    return solve_positive(product, right)


class FiniteClass(Model):
    """Take the candidate game with the least sum of squares for the estimate.

    Squares are of rewards and, in Markov games, of next states' indicators. What follows the last step does not count:
    no episode shows it.

    Attributes:
        candidates: games of the data's kind, stacked (`gamekl.stack`).
    """

    candidates: Any
    keeps_distributions: ClassVar[bool] = True

    def __check_init__(self) -> None:
        if not isinstance(self.candidates, NormalFormGame | ContextualGame | MarkovGame):
            raise TypeError(f"candidates: got {type(self.candidates).__name__}, takes games stacked by gamekl.stack")

    def _num_players(self) -> int:
        return self.candidates.table.shape[self.candidates.stage_axes + 1]

    def _cells(self) -> tuple[int, ...]:
        """Shape of the counts, ``[*stage, *actions]``."""
        axes = self.candidates.stage_axes + 1
        return (*self.candidates.table.shape[1:axes], *self.candidates.table.shape[axes + 1 :])

    def check(self, stage: tuple[int, ...], actions: tuple[int, ...]) -> None:
        """Raise ``ValueError`` unless the candidates have this shape."""
        if self._cells() != (*stage, *actions):
            raise ValueError(
                f"candidates: got games with cells {self._cells()}, takes stacked games with {(*stage, *actions)}"
            )

    def fit(self, counts: Float[Array, "step cell"], sums: Targets, prior: Float[Array, "step target"]) -> Targets:
        """The targets of the best candidate, of several the first."""
        del prior
        axes = self.candidates.stage_axes
        flat = jax.vmap(lambda game: as_targets(game.table, axes, getattr(game, "transitions", None)))
        targets = flat(self.candidates).astype(sums.dtype)
        rows = counts[:, None].astype(sums.dtype)
        means = sums / jnp.where(rows > 0, rows, 1)
        weights = jnp.broadcast_to(rows, sums.shape).at[-1, self._num_players() :].set(0)
        # Up to what no candidate changes.
        losses = jnp.sum(weights * (targets - means) ** 2, axis=(1, 2, 3))
        return targets[jnp.argmin(losses)]


def as_targets(table: Float[Array, "*stage_player_and_actions"], stage_axes: int, transitions: Array | None) -> Targets:
    """The targets of a game, flat and step by step: its rewards and, of a Markov game, its chances of next states."""
    players = table.shape[stage_axes]
    steps = 1 if transitions is None else table.shape[0]
    rewards = jnp.moveaxis(table, stage_axes, 0).reshape(players, steps, -1).swapaxes(0, 1)
    if transitions is None:
        return rewards
    moves = transitions.reshape(steps, -1, transitions.shape[-1])
    return jnp.concatenate([rewards, jnp.swapaxes(moves, 1, 2).astype(rewards.dtype)], axis=1)
