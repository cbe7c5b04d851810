"""The equations of an equilibrium in which all players of a symmetric game play alike, in the logits of one policy.

With z the logits of all, pi = softmax(z), and q(a) what action a is worth if the m - 1 others play pi,

    F(z, beta) = z - log pi0 - beta q(pi) / tau,
    dF/dz = I - K,    K = beta (m - 1) (H - q 1^T) diag(pi) / tau,    H(a, b) = E r(a, c) if one other plays b.

They are those of the normal form (`core.kernels.system`) on the profiles in which all play alike: A unknowns, not m A.
There its own derivative has the blocks I on the diagonal and -K / (m - 1) beside it: on changes that all players share
it is I - K; on those that add up to none over the players, which are m - 1 times as many, I + K / (m - 1) (derived). So
where det(I + K / (m - 1)) = 0 branches leave on which players differ, and the equations of one policy do not see it.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gamekl.core.kernels import lanes, tables
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.system import GameEquations, LogitSystem, Vector, level
from gamekl.core.policies import centre
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.counts import chances, expected, moments, within
from gamekl.core.symmetric.game import LogitGame, SymmetricGame

Columns = Float[Array, "logits r lane"]
Lane = Float[Array, " lane"]


class SymmetricLinearization(NamedTuple):
    """F and its derivatives at one point of each lane.

    Attributes:
        policy: pi, which all play, shape ``[logits, lane]``.
        mask: 1 on the reference's support, likewise.
        residual: F, shape ``[logits, lane]``.
        slope: dF/dbeta, shape ``[logits, lane]``.
        coupling: K, shape ``[logits, logits, lane]``.
    """

    policy: Vector
    mask: Vector
    residual: Vector
    slope: Vector
    coupling: Columns

    def jacobian(self) -> Columns:
        """The matrix dF/dz."""
        return jnp.eye(len(self.residual), dtype=self.residual.dtype)[:, :, None] - self.coupling

    def level(self, joined: Columns) -> Columns:
        """The columns shifted, on the support, to mean 0 under the policy."""
        return level(joined, self.policy, self.mask, (len(self.policy),))

    def solve(self, right: Columns, weight: Lane) -> tuple[Columns, lanes.Determinant, Lane]:
        """Solve dF/dz x = right; also the determinant of dF/dz, and the weight for a matrix like this.

        As for a normal form a multiple of 1 pi^T is added, which shifts the solution and no more; it is about as large
        as the entries of K, the square of which is the weight.
        """
        shift = jnp.sqrt(weight)
        table = jnp.concatenate([self.jacobian() + self.policy * shift, right], axis=1)
        solution, determinant = lanes.solve(table, [1 + shift])
        size = lanes.largest(lanes.largest(jnp.abs(self.coupling)))
        return self.level(solution), determinant, (1 + size) ** 2


class SymmetricSystem(GameEquations):
    """The equations of a symmetric game: one table ``[action, count]`` (and ``lane``).

    Attributes:
        num_players: m.
    """

    num_players: int = eqx.field(static=True, kw_only=True)

    @classmethod
    def of(cls, game: SymmetricGame, regularizer: Regularizer) -> "SymmetricSystem":
        """The equations of one game, centred, without a lane axis; game and regularizer in one floating dtype."""
        (mask,), (anchor,), (temperature,) = regularizer.masks, regularizer.log_reference, regularizer.temperatures
        payoffs = centre(game.payoffs.T, mask).T / temperature
        low, high = tables.ends(game.payoffs[..., None], mask[:, None])
        inside = within(mask[:, None], game.num_players)
        scale = tables.supported_range(low, high, inside)[0] / temperature
        return cls(
            payoffs=(payoffs,),
            anchor=centre(anchor, mask),
            mask=mask.astype(game.dtype),
            scale=scale,
            pace=1 / jnp.where(scale > 0, scale, 1),
            num_players=game.num_players,
        )

    @property
    def players(self) -> int:
        """How many players there are."""
        return self.num_players

    def expected(self, tables: Sequence[Array], z: Vector, policy: Vector) -> list[Vector]:
        """What each action is worth by these tables, if all others play alike."""
        return [expected(tables[0], chances(z, policy, self.num_players))]

    def linearize(self, z: Vector, beta: Lane) -> SymmetricLinearization:
        """F, dF/dz and dF/dbeta at (z, beta)."""
        logs, policy = materialize(self.normalized, z)
        linear = self.linearize_at(logs, policy, beta)
        return linear._replace(residual=linear.residual + z - logs)

    def linearize_at(self, z: Vector, policy: Vector, beta: Lane) -> SymmetricLinearization:
        """F, dF/dz and dF/dbeta at (z, beta), where z is normalized, from the chances of each count."""
        others = self.num_players - 1
        weights = materialize(partial(chances, num_players=self.num_players), z, policy)
        if others == 0:
            push, coupling = self.payoffs[0][:, 0], jnp.zeros((len(z), *z.shape), dtype=z.dtype)
        else:
            sums = materialize(partial(moments, num_players=self.num_players), self.payoffs[0], weights)
            push = lanes.total(jnp.swapaxes(sums, 0, 1)) / others
            coupling = (sums - push[:, None] * (others * policy)) * beta
        return SymmetricLinearization(policy, self.mask, z - self.anchor - beta * push, -push, coupling)


def single_equations(game: LogitGame, regularizer: Regularizer) -> GameEquations:
    """The equations of one game, centred, in a single lane."""
    alike = isinstance(game, SymmetricGame)
    system = SymmetricSystem.of(game, regularizer) if alike else LogitSystem.of(game, regularizer)
    return jax.tree.map(lambda leaf: leaf[..., None], system)
