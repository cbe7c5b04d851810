"""What an unregularised equilibrium of two players is worth, from the payoffs alone: on the host, and in lanes."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels import lanes
from gamekl.core.kernels.calls import stored
from gamekl.core.kernels.platforms import Platform
from gamekl.core.policies import is_concrete
from gamekl.solvers.solution import PathSummary, Solution, Status

# A regret (`regret`) below this is rounding.
CONVERGED = 1e-8


def check_two_players(game: NormalFormGame) -> None:
    """Raise ``ValueError`` unless a game has two players."""
    if game.num_players != 2:
        raise ValueError(f"game: got {game.num_players} players, takes 2 for an unregularised equilibrium")


def check_batch(games: NormalFormGame, alone: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless these are concrete two-player games with a leading axis.

    Args:
        games: as they were given.
        alone: the function that solves one of them, also under ``jit``.
    """
    require_normal_form(games, "games", "a NormalFormGame with a leading axis, as gamekl.stack([...]) makes it")
    if not is_concrete(games):
        raise TypeError(f"games: got traced arrays, takes concrete ones; under jit or vmap use jax.vmap({alone})")
    shape = games.payoffs.shape
    if len(shape) != 4 or shape[1] != 2:
        raise ValueError(
            f"games.payoffs: got shape {shape}, takes [batch, 2, actions_1, actions_2], as gamekl.stack([...]) makes it"
        )


def is_zero_sum(payoffs: Float[np.ndarray, "*batch 2 actions_1 actions_2"]) -> Bool[np.ndarray, "*batch"]:
    """Whether games are zero-sum up to a shift."""
    row, column = np.moveaxis(np.asarray(payoffs, dtype=np.float64), -3, 0)
    off, *ranges = (np.ptp(table, axis=(-2, -1)) for table in (row + column, row, column))
    return np.asarray(off <= 1e-12 * np.maximum(*ranges))


def own_first(payoffs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each player's payoffs, its own actions first: ``[..., actions_i, actions of the other]``.

    For each action of the other they are shifted to a median of 0, which changes no equilibrium, so that one huge
    payoff does not hide how the others differ.
    """
    row, column = payoffs[..., 0, :, :], np.swapaxes(payoffs[..., 1, :, :], -1, -2)
    return row - np.median(row, axis=-2, keepdims=True), column - np.median(column, axis=-2, keepdims=True)


def _values(table: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What each action brings against the other's policy, ``[..., actions_i]``."""
    return (table @ other[..., None])[..., 0]


def regret(table: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest probability of an action times what another one brings more, over how far the two are apart.

    That is the mean size of what their payoffs differ by, so that each deviation is judged on its own scale. NaN for
    policies that are.
    """
    worst = np.where(np.isnan(_values(table, other).sum(axis=-1) + own.sum(axis=-1)), np.nan, 0.0)
    for action in range(table.shape[-2]):
        if not np.any(own[..., action] > 0):
            continue
        more = table - table[..., action : action + 1, :]
        gain, apart = _values(more, other), _values(np.abs(more), other)
        share = np.max(gain / np.where(apart > 0, apart, 1), axis=-1)
        worst = np.maximum(worst, own[..., action] * share)
    return np.asarray(worst)


def solution_of(payoffs: np.ndarray, x: np.ndarray, y: np.ndarray, tried: np.ndarray, dtype: np.dtype) -> Solution:
    """Host arrays with leading batch axes as a `Solution` in `dtype`."""
    gaps, regrets = [], []
    for table, own, other in zip(own_first(payoffs), (x, y), (y, x), strict=True):
        values = _values(table, other)
        gaps.append(np.maximum(values.max(axis=-1) - (own * values).sum(axis=-1), 0))
        regrets.append(regret(table, own, other))
    gap, residual = np.stack(gaps, axis=-1), np.maximum(*regrets)
    status = np.where(residual <= CONVERGED, Status.converged, Status.not_converged)  # NaN is not converged
    with np.errstate(divide="ignore"):
        log_policy = tuple(jnp.asarray(np.log(entry), dtype=dtype) for entry in (x, y))
    return Solution(
        log_policy=log_policy,
        gap=jnp.asarray(gap, dtype=dtype),
        residual=jnp.asarray(residual, dtype=dtype),
        num_steps=jnp.asarray(tried, dtype=jnp.int32),
        status=jnp.asarray(status, dtype=jnp.int32),
        path=no_path(jnp.asarray(gap, dtype=dtype)),
    )


def no_path(gap: Float[Array, "*batch player"]) -> PathSummary:
    """Of an equilibrium without a temperature."""
    none = jnp.zeros(gap.shape[:-1], dtype=jnp.int32)
    return PathSummary(temperature=jnp.zeros_like(gap), folds=none, bifurcations=none, crossings=none)


def judge(
    table: Float[Array, "own other lane"],
    own: Float[Array, "own lane"],
    other: Float[Array, "other lane"],
    platform: Platform | None,
) -> tuple[Float[Array, " lane"], Float[Array, " lane"]]:
    """In lanes: what a player could gain, payoff units, and its `regret`."""

    def add(action: Array, state: tuple[Array, Array]) -> tuple[Array, Array]:
        """What one action of the other adds to how much more each of the own brings than each other one."""
        values = jax.lax.dynamic_index_in_dim(table, action, 1, keepdims=False)
        share = jax.lax.dynamic_index_in_dim(other, action, 0, keepdims=False)
        more = values[:, None] - values[None]
        return state[0] + share * more, state[1] + share * jnp.abs(more)

    def worst(own: Array, gain: Array, apart: Array) -> tuple[Array, Array]:
        shares = own * lanes.largest(gain / jnp.where(apart > 0, apart, 1))
        return jnp.maximum(lanes.largest(lanes.contract(gain, own, 1)), 0), lanes.largest(shares)

    none = jnp.zeros((len(own), *own.shape), own.dtype)
    gain, apart = jax.lax.fori_loop(0, len(other), add, (none, none))
    return stored(platform, worst, own, gain, apart)
