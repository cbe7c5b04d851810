"""The equations of a regularised Nash equilibrium, in logits.

Unknowns are z_i, the logits of player i, joined into one vector z. With pi_i = softmax(z_i) and beta in [0, 1] the
fraction of the inverse temperature in force,

    F_i(z, beta) = z_i - log pi0_i - beta q_i(pi) / tau_i,
    dF_i/dz_j = [i = j] - K_ij,    K_ij = beta (H_ij - q_i 1^T) diag(pi_j) / tau_i for i != j, K_ii = 0,
    H_ij(a_i, a_j) = E_others r_i.

F(z, 1) = 0 is the equilibrium; F(z, 0) = 0 is the reference (theory I1). Masked actions keep z = 0 and an identity row.

What shifts all of a player's logits by one number changes no policy, and nor does what shifts its payoffs for one
choice of the others: F is to be 0 up to such shifts. Either payoffs and log-references are centred over the player's
support; then z is centred, too, and F = 0 as it stands. Or payoffs count from the best one for each choice of the
others, where one of -1e9 takes no digits from the rest; then z is kept at log pi (`LogitSystem.normalized`), which is
small for actions that are played however large payoffs are, and solutions at mean 0 under pi (`Linearization.level`).
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame
from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import materialize
from gamekl.core.kernels.tables import action_values
from gamekl.core.one_shot import scaled_payoffs, supported_range
from gamekl.core.policies import centre, normalize
from gamekl.core.regularizer import Regularizer

Vector = Float[Array, "logits lane"]

# With more players the sums over others' actions are so many that their compilation counts.
MANY_PLAYERS = 6


class Linearization(NamedTuple):
    """F and its derivatives at one point of each lane.

    Attributes:
        policy: pi_i of all i, joined, shape ``[logits, lane]``.
        mask: 1 on the references' support, likewise.
        residual: F, shape ``[logits, lane]``.
        slope: dF/dbeta, shape ``[logits, lane]``.
        couplings: K_ij for all i and all j != i, each ``[actions_i, actions_j, lane]``.
    """

    policy: Vector
    mask: Vector
    residual: Vector
    slope: Vector
    couplings: tuple[tuple[Float[Array, "..."], ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many actions each player has."""
        if len(self.couplings) == 1:
            return (self.residual.shape[0],)
        return tuple(row[0].shape[0] for row in self.couplings)

    def _block(self, i: int, j: int) -> Float[Array, "actions_i actions_j lane"]:
        if i == j:
            return jnp.zeros((self.sizes[i], self.sizes[i], self.residual.shape[-1]), dtype=self.residual.dtype)
        return self.couplings[i][j - (j > i)]

    def _blocks(self, rows: list[int], columns: list[int]) -> Float[Array, "rows columns lane"]:
        lines = [jnp.concatenate([self._block(i, j) for j in columns], axis=1) for i in rows]
        return jnp.concatenate(lines, axis=0)

    def jacobian(self) -> Float[Array, "logits logits lane"]:
        """The matrix dF/dz, assembled."""
        players = list(range(len(self.couplings)))
        size = self.residual.shape[0]
        return jnp.eye(size, dtype=self.residual.dtype)[:, :, None] - self._blocks(players, players)

    def _shifts(self, players: list[int], weight: Float[Array, " lane"]) -> Float[Array, "rows columns lane"]:
        """The term weight 1 pi_i^T of these players, on the diagonal of blocks; a single row where all are alike."""
        policy = [part * weight for part in split(self.policy, self.sizes)]
        if len(players) == 1:
            return policy[players[0]][None]
        lines = []
        for i in players:
            line = jnp.concatenate([policy[j] if i == j else jnp.zeros_like(policy[j]) for j in players], axis=0)
            lines.append(jnp.broadcast_to(line, (self.sizes[i], *line.shape)))
        return jnp.concatenate(lines, axis=0)

    def _levelled(self, part: Array, player: int) -> Float[Array, "_ r lane"]:
        """`part` of a player's logits, levelled."""
        policy, mask = (split(joined, self.sizes)[player] for joined in (self.policy, self.mask))
        return _levelled(part, policy, mask)

    def level(self, joined: Float[Array, "logits r lane"]) -> Float[Array, "logits r lane"]:
        """The columns with each player's part shifted, on its support, to mean 0 under its policy."""
        return level(joined, self.policy, self.mask, self.sizes)

    def solve(
        self, right: Float[Array, "logits r lane"], weight: Float[Array, " lane"]
    ) -> tuple[Float[Array, "logits r lane"], lanes.Determinant, Float[Array, " lane"]]:
        """Solve dF/dz x = right; also the determinant of dF/dz, and the weight for a matrix like this.

        The player with the most actions is eliminated first, for free: its diagonal block is the identity.

        A shift of all logits of a player moves no policy: K 1 = 0, and beside the entries of K, which are as large as
        payoffs over the temperature, the 1 that dF/dz has for that direction drowns in rounding errors. So a multiple
        of 1 pi^T, about as large, is added: that shifts the solution, and no more (derived); the shift is undone.
        """
        sizes = self.sizes
        if len(sizes) == 1:
            return right, lanes.Determinant.of(jnp.ones((1, right.shape[-1]), dtype=right.dtype)), weight
        first = sizes.index(max(sizes))
        rest = [player for player in range(len(sizes)) if player != first]
        parts = split(right, sizes)
        up, across = self._blocks(rest, [first]), self._blocks([first], rest)
        shifts = self._shifts(rest, weight)
        schur = jnp.eye(up.shape[0], dtype=right.dtype)[:, :, None] + shifts - lanes.matmul(up, across)
        if len(rest) > 1:
            schur = schur - self._blocks(rest, rest)
        reduced = jnp.concatenate([parts[player] for player in rest], axis=0) + lanes.matmul(up, parts[first])
        table = jax.lax.optimization_barrier(jnp.concatenate([schur, reduced], axis=1))
        own_shifts = jnp.concatenate([split(self.policy, sizes)[player] for player in rest], axis=0) * weight
        diagonal = table.reshape(-1, table.shape[-1])[:: table.shape[1] + 1] - own_shifts
        shifted, determinant = lanes.solve(table, [1 + weight] * len(rest))
        found = [
            self._levelled(part, player)
            for player, part in zip(rest, split(shifted, [sizes[player] for player in rest]), strict=True)
        ]
        own = parts[first] + lanes.matmul(across, jnp.concatenate(found, axis=0))
        found.insert(first, self._levelled(own, first))
        return jnp.concatenate(found, axis=0), determinant, lanes.largest(jnp.abs(diagonal))


def _levelled(
    part: Float[Array, "_ r lane"], policy: Float[Array, "_ lane"], mask: Float[Array, "_ lane"]
) -> Float[Array, "_ r lane"]:
    return (part - lanes.total(part * policy[:, None], once=True)) * mask[:, None]


def level(
    joined: Float[Array, "logits r lane"], policy: Vector, mask: Vector, sizes: tuple[int, ...]
) -> Float[Array, "logits r lane"]:
    """The columns with each player's part shifted, on its support, to mean 0 under its policy."""
    parts = zip(*(split(entry, sizes) for entry in (joined, policy, mask)), strict=True)
    return jnp.concatenate([_levelled(*part) for part in parts], axis=0)


def split(joined: Float[Array, "logits *rest"], sizes: tuple[int, ...] | list[int]) -> list[Float[Array, "_ *rest"]]:
    """The players' parts of a joined array."""
    return jnp.split(joined, [sum(sizes[:player]) for player in range(1, len(sizes))], axis=0)


class GameEquations(eqx.Module):
    """The equations of one game and regularizer; the methods work on several at once, each in a lane.

    Attributes:
        payoffs: for each role (in a normal form, each player) r_i / tau_i, in nats, shifted as the module says; its own
            actions on the first axis, then what the others do, and maybe ``lane``; 0 for its masked actions.
        anchor: log-references, centred or not, joined, shape ``[logits]`` (and ``lane``).
        mask: 1 on the references' support, 0 elsewhere, shape ``[logits]`` (and ``lane``).
        scale: kappa = max_i R_i / tau_i, shape ``[]`` (and ``lane``): how far from the reference the payoffs can
            drive the logits, in nats.
        pace: 1 / kappa, or 1 where no payoff matters, shape ``[]`` (and ``lane``).
    """

    payoffs: tuple[Float[Array, "..."], ...]
    anchor: Float[Array, "*logits"]
    mask: Float[Array, "*logits"]
    scale: Float[Array, "*lane"]
    pace: Float[Array, "*lane"]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many actions each role has."""
        return tuple(entry.shape[0] for entry in self.payoffs)

    @property
    @abstractmethod
    def players(self) -> int:
        """How many players there are."""

    @property
    def first_step(self) -> float:
        """Up to s = 2 / (m - 1) best responses contract (theory A9.1): no step of this length can leave the branch."""
        return 2 / max(self.players - 1, 1)

    @abstractmethod
    def expected(self, tables: Sequence[Array], z: Vector, policy: Vector) -> list[Float[Array, "_ lane"]]:
        """What each action of each role is worth by these tables, where all play normalized logits z, `policy`."""

    @abstractmethod
    def linearize_at(self, z: Vector, policy: Vector, beta: Float[Array, " lane"]) -> Any:
        """F, dF/dz and dF/dbeta at (z, beta), where the policies of z are known."""

    def linearize(self, z: Vector, beta: Float[Array, " lane"]) -> Any:
        """F, dF/dz and dF/dbeta at (z, beta)."""
        return self.linearize_at(z, materialize(self.normalized, z)[1], beta)

    def normalized(self, z: Vector) -> tuple[Vector, Vector]:
        """The logits z as log-policies, and the policies of all roles; both 0 where masked."""
        logs, policy = [], []
        for part, mask in zip(split(z, self.sizes), split(self.mask, self.sizes), strict=True):
            top = part - lanes.largest(part, once=True)
            weights = jnp.exp(top) * mask
            total = lanes.total(weights, once=True)
            logs.append((top - jnp.log(total)) * mask)
            policy.append(weights / total)
        return jnp.concatenate(logs), jnp.concatenate(policy)


class LogitSystem(GameEquations):
    """The equations of a normal form: its tables have the own axis moved to the front, then the others in order."""

    @classmethod
    def of(cls, game: NormalFormGame, regularizer: Regularizer) -> "LogitSystem":
        """The equations of one game, centred, without a lane axis; game and regularizer in one floating dtype."""
        temperatures = regularizer.temperatures
        masks = regularizer.masks
        anchor = [centre(entry, mask) for entry, mask in zip(regularizer.log_reference, masks, strict=True)]
        scale = jnp.max(supported_range(game, masks) / temperatures)
        return cls(
            payoffs=scaled_payoffs(game, regularizer),
            anchor=jnp.concatenate(anchor),
            mask=jnp.concatenate(masks).astype(game.dtype),
            scale=scale,
            pace=1 / jnp.where(scale > 0, scale, 1),
        )

    @property
    def players(self) -> int:
        """How many players there are."""
        return len(self.payoffs)

    def expected(self, tables: Sequence[Array], z: Vector, policy: Vector) -> list[Float[Array, "_ lane"]]:
        """What each action of each player is worth by these tables, against the others' policies."""
        return action_values(tables, split(policy, self.sizes))

    def linearize_at(self, z: Vector, policy: Vector, beta: Float[Array, " lane"]) -> Linearization:
        """F, dF/dz and dF/dbeta at (z, beta), from one expectation for each pair of players."""
        if len(self.sizes) == 1:
            residual = z - self.anchor - beta * self.payoffs[0]
            return Linearization(policy, self.mask, residual, -self.payoffs[0], ((),))
        players = tuple(split(policy, self.sizes))
        if len(self.sizes) == 2:
            pairs = tuple((block,) for block in self.payoffs)
        else:
            pairs = materialize(self._pair_values, players)
        push = materialize(self._action_values, pairs, players)
        couplings = materialize(self._couplings, pairs, push, players, beta)
        return Linearization(policy, self.mask, z - self.anchor - beta * push, -push, couplings)

    def _others(self, player: int) -> list[int]:
        return [other for other in range(len(self.sizes)) if other != player]

    def _pair_values(self, policy: tuple[Array, ...]) -> tuple[tuple[Float[Array, "..."], ...], ...]:
        """H_ij for all i and all j != i, each ``[actions_i, actions_j, lane]``: averages over all other players."""
        rows = []
        for i in range(len(policy)):
            row = []
            for j in self._others(i):
                block = self.payoffs[i]
                for axis, player in reversed(list(enumerate(self._others(i), start=1))):  # later axes first
                    if player != j:
                        block = lanes.contract(block, policy[player], axis, len(policy) > MANY_PLAYERS)
                row.append(block)
            rows.append(tuple(row))
        return tuple(rows)

    def _action_values(self, pairs: tuple[tuple[Array, ...], ...], policy: tuple[Array, ...]) -> Vector:
        """q_i of all i, joined, each from any one of player i's pairs."""
        return jnp.concatenate([lanes.contract(row[0], policy[self._others(i)[0]], 1) for i, row in enumerate(pairs)])

    def _couplings(
        self, pairs: tuple[tuple[Array, ...], ...], push: Vector, policy: tuple[Array, ...], beta: Array
    ) -> tuple[tuple[Array, ...], ...]:
        """K_ij for all i and all j != i."""
        return tuple(
            tuple((pair - values[:, None]) * (policy[j] * beta) for j, pair in zip(self._others(i), row, strict=True))
            for i, (row, values) in enumerate(zip(pairs, split(push, self.sizes), strict=True))
        )


def to_logits(log_policy: tuple[Array, ...], masks: Sequence[Bool[Array, " _"]]) -> Float[Array, " logits"]:
    """Joined centred logits of a profile on the references' support."""
    return jnp.concatenate([centre(part, mask) for part, mask in zip(log_policy, masks, strict=True)])


def to_log_policy(z: Float[Array, " logits"], masks: Sequence[Bool[Array, " _"]]) -> tuple[Float[Array, " _"], ...]:
    """The profile of joined logits; -inf on masked actions."""
    parts = split(z, [mask.size for mask in masks])
    return tuple(normalize(jnp.where(mask, part, -jnp.inf)) for part, mask in zip(parts, masks, strict=True))
