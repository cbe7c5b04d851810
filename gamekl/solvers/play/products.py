"""Games side by side in lanes, by products alone: what first-order methods are made of.

A profile is one array ``[player, actions, lane]``, in which players with fewer actions than others are padded. Payoffs
are in nats, C r_i / tau_i, where C subtracts the mean over the player's own actions on its reference's support: that
changes neither responses nor gaps. Actions that are masked or padding have policy 0 and value 0.
"""

import math
from abc import abstractmethod
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import OneShotGame, PolymatrixGame
from gamekl.core.kernels import lanes
from gamekl.core.one_shot import level_payoffs, scaled_payoffs
from gamekl.core.policies import centre, padded, support
from gamekl.core.regularizer import Regularizer

Profiles = Float[Array, "player actions lane"]
Totals = Float[Array, "player lane"]


class Play(NamedTuple):
    """One round: the players' policies, the values of their actions against them, and what the policies cost in nats.

    Attributes:
        policy: probabilities, shape ``[player, actions, lane]``.
        values: shape ``[player, actions, lane]``, nats.
        cost: KL(policy || reference), shape ``[player, lane]``, nats.
    """

    policy: Profiles
    values: Profiles
    cost: Totals


class AnchoredGame(eqx.Module):
    """A game with references and temperatures.

    Attributes:
        log_reference: shape ``[player, actions]`` (and ``lane``); -inf where masked or padding.
        mask: the reference's support, shape ``[player, actions]`` (and ``lane``).
        temperature: payoff units per nat, shape ``[player]`` (and ``lane``).
    """

    log_reference: Float[Array, "player actions *lane"]
    mask: Bool[Array, "player actions *lane"]
    temperature: Float[Array, "player *lane"]

    @abstractmethod
    def values(self, policy: Profiles) -> Profiles:
        """The value of each action against the others' policies, up to a number for each player, in nats."""

    def play(self, drift: Profiles) -> Play:
        """The round in which each player's logits lie `drift` above its log-reference."""
        logits = self.log_reference + drift
        top = logits.max(axis=1)
        weights = jnp.exp(logits - top[:, None])
        mass = weights.sum(axis=1)
        policy = weights / mass[:, None]
        cost = jnp.sum(policy * drift, axis=1) - top - jnp.log(mass)
        return Play(policy, self.values(policy), cost)

    def play_policy(self, policy: Profiles) -> Play:
        """The round in which these policies are played."""
        cost = jnp.where(policy > 0, policy * (jnp.log(jnp.where(policy > 0, policy, 1)) - self.log_reference), 0)
        return Play(policy, self.values(policy), cost.sum(axis=1))

    def again(self) -> "AnchoredGame":
        """The game for a second evaluation in one round: the same, unless values are drawn."""
        return self

    def log_policy(self, drift: Profiles) -> Profiles:
        """The log-policies of logits that lie `drift` above the log-references; -inf where masked or padding."""
        return self.log_reference + drift - self.soft_most(drift)[:, None]

    def gaps(self, drift: Profiles) -> tuple[Totals, Totals]:
        """The regularised gaps and the Nash gaps of a drift's profile, shape ``[player, lane]``, payoff units."""
        play = self.play(drift)
        excess = (drift - self.soft_most(drift)[:, None]) - (play.values - self.soft_most(play.values)[:, None])
        regularized = jnp.sum(jnp.where(self.mask, play.policy * excess, 0), axis=1)  # KL(policy || best response)
        best = self.most(play.values) - jnp.sum(play.policy * play.values, axis=1)
        return jnp.maximum(regularized, 0) * self.temperature, best * self.temperature

    def most(self, values: Profiles) -> Totals:
        """The greatest value of an action, shape ``[player, lane]``."""
        return jnp.where(self.mask, values, -jnp.inf).max(axis=1)

    def soft_most(self, values: Profiles) -> Totals:
        """The value of a best response, max_p <p, values> - KL(p || reference), shape ``[player, lane]``, nats.

        It is log sum reference exp(values).
        """
        logits = self.log_reference + values
        top = logits.max(axis=1)
        return top + jnp.log(jnp.exp(logits - top[:, None]).sum(axis=1))


class AnchoredNormalForm(AnchoredGame):
    """A `NormalFormGame` with references and temperatures, as first-order methods take it.

    Attributes:
        tables: C r_i / tau_i for each player, shape ``[*actions]`` (and ``lane``), the player's own axis first.
    """

    tables: tuple[Float[Array, "..."], ...]

    def values(self, policy: Profiles) -> Profiles:
        """The value of each action, by contracting the player's table with the others' policies."""
        sizes = [table.shape[0] for table in self.tables]
        rows = []
        for player, table in enumerate(self.tables):
            others = [policy[other, :size] for other, size in enumerate(sizes) if other != player]
            half = len(others) // 2
            block = table.reshape(
                table.shape[0],
                math.prod(table.shape[1 : 1 + half]),
                math.prod(table.shape[1 + half : -1]),
                table.shape[-1],
            )
            # In two products, each with a large table: the second half of the others first.
            block = lanes.contract(block, joint(others[half:], policy), 2)
            row = lanes.contract(block, joint(others[:half], policy), 1)
            rows.append(jnp.pad(row, ((0, policy.shape[1] - row.shape[0]), (0, 0))))
        return jnp.stack(rows)

    def pairs(self, table: Float[Array, "joint lane"]) -> Float[Array, "player actions actions lane"]:
        """What action a' would earn each time that a joint policy lets a player play a, ``[player, a, a', lane]``."""
        sizes = [own.shape[0] for own in self.tables]
        joint = table.reshape(*sizes, -1)
        blocks = []
        for player, own in enumerate(self.tables):
            played = jnp.moveaxis(joint, player, 0).reshape(sizes[player], -1, joint.shape[-1])
            payoffs = own.reshape(sizes[player], -1, joint.shape[-1]).swapaxes(0, 1)
            spare = max(sizes) - sizes[player]
            blocks.append(jnp.pad(lanes.matmul(played, payoffs), ((0, spare), (0, spare), (0, 0))))
        return jnp.stack(blocks)


class AnchoredSymmetric(AnchoredGame):
    """One player in a symmetric game of two, against itself.

    Attributes:
        table: C r / tau, own action by the opponent's, shape ``[actions, actions]`` (and ``lane``).
    """

    table: Float[Array, "own others *lane"]

    def values(self, policy: Profiles) -> Profiles:
        """The value of each action against the policy itself."""
        return lanes.contract(self.table, policy[0], 1)[None]


class AnchoredPolymatrix(AnchoredGame):
    """A `PolymatrixGame` with references and temperatures, as first-order methods take it.

    Attributes:
        table: C r_ij / tau_i as one matrix, shape ``[player * actions, player * actions]`` (and ``lane``).
    """

    table: Float[Array, "own others *lane"]

    def values(self, policy: Profiles) -> Profiles:
        """The value of each action, by one product of the matrix with all policies."""
        return lanes.contract(self.table, policy.reshape(-1, policy.shape[-1]), 1).reshape(policy.shape)


def joint(policies: list[Float[Array, "_ lane"]], like: Profiles) -> Float[Array, "joint lane"]:
    """The joint policy of several players who play independently, joint actions in player order; 1 of no players."""
    product = jnp.ones((1, like.shape[-1]), dtype=like.dtype)
    for policy in policies:
        product = (product[:, None] * policy[None]).reshape(-1, product.shape[-1])
    return product


def anchor(game: OneShotGame, regularizer: Regularizer) -> AnchoredGame:
    """A game with its regularizer as first-order methods take it, without a lane axis; both in one floating dtype."""
    references = padded(regularizer.log_reference, -jnp.inf)
    mask, temperatures = support(references), regularizer.temperatures
    levelled = level_payoffs(game, regularizer.masks)
    shared = {"log_reference": references, "mask": mask, "temperature": temperatures}
    if isinstance(levelled, PolymatrixGame):
        own = jax.vmap(centre)(jnp.moveaxis(levelled.payoffs, 2, -1), mask)  # [player, other, other's action, action]
        table = jnp.moveaxis(own / temperatures[:, None, None, None], -1, 1)
        size = mask.size
        return AnchoredPolymatrix(table=table.reshape(size, size), **shared)
    return AnchoredNormalForm(tables=scaled_payoffs(levelled, regularizer), **shared)


def unscaled(game: OneShotGame, regularizer: Regularizer) -> AnchoredGame:
    """The game of `anchor` with values in payoff units, of which nothing is subtracted."""
    references = padded(regularizer.log_reference, -jnp.inf)
    units = jnp.ones_like(regularizer.temperatures)
    shared = {"log_reference": references, "mask": support(references), "temperature": units}
    if isinstance(game, PolymatrixGame):
        return AnchoredPolymatrix(table=jnp.moveaxis(game.payoffs, 1, 2).reshape(references.size, -1), **shared)
    tables = tuple(jnp.moveaxis(payoffs, player, 0) for player, payoffs in enumerate(game.payoffs))
    return AnchoredNormalForm(tables=tables, **shared)


def against_itself(
    payoffs: Float[Array, "actions actions"], log_reference: Float[Array, " actions"], temperature: Float[Array, ""]
) -> AnchoredSymmetric:
    """A symmetric game of two in which both play one policy, as first-order methods take it.

    The payoffs' first axis is the own action.
    """
    mask = support(log_reference)
    table = centre(payoffs.T, mask).T / temperature
    return AnchoredSymmetric(log_reference[None], mask[None], temperature[None], table)


def unscaled_against_itself(payoffs: Float[Array, "actions actions"], log_reference: Array) -> AnchoredSymmetric:
    """The game of `against_itself` with values in payoff units, of which nothing is subtracted."""
    return AnchoredSymmetric(log_reference[None], support(log_reference)[None], jnp.ones(1, payoffs.dtype), payoffs)
