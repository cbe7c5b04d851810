"""The equations of a regularised Nash equilibrium, in centred logits.

Unknowns are z_i, the logits of player i less their mean over the reference's support, joined into one vector z. With
pi_i = softmax(z_i), C the centring and beta in [0, 1] the fraction of the inverse temperature in force,

    F_i(z, beta) = z_i - C log pi0_i - beta C q_i(pi) / tau_i,
    dF_i/dz_j = [i = j] - beta C (H_ij - q_i 1^T) diag(pi_j) / tau_i,    H_ij(a_i, a_j) = E_others r_i.

F(z, 1) = 0 is the equilibrium; F(z, 0) = 0 is the reference (MATH I1). Masked actions keep z = 0 and an identity row.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import centre, normalize, support
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import expected_payoffs, level_payoffs, payoff_range

Vector = Float[Array, " logits"]


class Linearization(NamedTuple):
    """F and its derivatives at one point.

    Attributes:
        residual: F, shape ``[logits]``.
        jacobian: dF/dz, shape ``[logits, logits]``.
        slope: dF/dbeta, shape ``[logits]``.
    """

    residual: Vector
    jacobian: Float[Array, "logits logits"]
    slope: Vector


class LogitSystem(eqx.Module):
    """The equations of one game and regularizer.

    Attributes:
        game: with levelled payoffs.
        temperatures: shape ``[player]``.
        anchor: centred log-references, joined, shape ``[logits]``.
        masks: each player's support.
    """

    game: NormalFormGame
    temperatures: Float[Array, " player"]
    anchor: Vector
    masks: tuple[Bool[Array, " _"], ...]

    def __init__(self, game: NormalFormGame, regularizer: Regularizer) -> None:
        """Both in one floating dtype."""
        self.game = level_payoffs(game)
        self.temperatures = regularizer.temperatures
        self.masks = tuple(support(entry) for entry in regularizer.log_reference)
        centred = [centre(entry, mask) for entry, mask in zip(regularizer.log_reference, self.masks, strict=True)]
        self.anchor = jnp.concatenate(centred)

    def scale(self) -> Float[Array, ""]:
        """max_i R_i / tau_i: how far from the reference the payoffs can drive the logits, in nats."""
        return jnp.max(payoff_range(self.game) / self.temperatures)

    def split(self, z: Vector) -> list[Float[Array, " _"]]:
        """The players' parts of a joined vector."""
        ends = [sum(self.game.num_actions[: player + 1]) for player in range(self.game.num_players)]
        return jnp.split(z, ends[:-1])

    def log_policy(self, z: Vector) -> tuple[Float[Array, " _"], ...]:
        """The profile of joined logits; -inf on masked actions."""
        return tuple(
            normalize(jnp.where(mask, part, -jnp.inf)) for part, mask in zip(self.split(z), self.masks, strict=True)
        )

    def logits(self, log_policy: tuple[Float[Array, " _"], ...]) -> Vector:
        """Joined centred logits of a profile on the references' support."""
        return jnp.concatenate([centre(part, mask) for part, mask in zip(log_policy, self.masks, strict=True)])

    def pair_values(self, policy: list[Array], i: int, j: int) -> Float[Array, "actions_i actions_j"]:
        """H_ij, the payoffs of player i against player j, averaged over all others."""
        block = expected_payoffs(self.game.payoffs[i], policy, (i, j))
        return block if i < j else block.T

    def linearize(self, z: Vector, beta: Float[Array, ""]) -> Linearization:
        """F, dF/dz and dF/dbeta at (z, beta), from one expectation for each pair of players."""
        players = range(self.game.num_players)
        policy = [jnp.exp(entry) for entry in self.log_policy(z)]
        pushes, rows = [], []
        for i in players:
            others = [j for j in players if j != i]
            pairs = {j: self.pair_values(policy, i, j) for j in others}
            # q_i follows from any one of the pairs.
            values = jnp.sum(pairs[others[0]] * policy[others[0]], axis=1) if others else self.game.payoffs[i]
            pushes.append(centre(values, self.masks[i]) / self.temperatures[i])
            row = []
            for j in players:
                if j == i:
                    row.append(jnp.eye(policy[i].size, dtype=z.dtype))
                else:
                    slopes = (pairs[j] - values[:, None]) * policy[j] / self.temperatures[i]
                    row.append(-beta * centre(slopes.T, self.masks[i]).T)
            rows.append(jnp.concatenate(row, axis=1))
        push = jnp.concatenate(pushes)
        return Linearization(z - self.anchor - beta * push, jnp.concatenate(rows, axis=0), -push)
