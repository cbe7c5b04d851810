"""How far the equilibrium of a log, or what a profile earns there, would move, had the log been another of its kind.

Each resample of the log's groups (`bands` says how they are drawn, and how they make a band) goes through all that the
log itself goes through: cell means, the game that they make, and its equilibrium.
"""

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gamekl.core.games import ContextualGame, NormalFormGame
from gamekl.core.kernels.jit import jit
from gamekl.core.policies import Profile, kl
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import action_values, staged_profile
from gamekl.core.show import Shown
from gamekl.core.validation import check_regularizer
from gamekl.learning.bands import Band, band, checked_tail, resample
from gamekl.offline.logs.sides import unseen_mean
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import ContextualStatistics, Statistics
from gamekl.solvers.batch import solve_nash_batch
from gamekl.solvers.nash.solve import MAX_STEPS, gane
from gamekl.solvers.solution import Solution, Status
from gamekl.solvers.staged import StagedSolution


class Bootstrap(Shown):
    """The anchored equilibrium of a log, with bands. Stage axes are none, or ``[context]``.

    Attributes:
        estimate: the estimated game and its counts.
        solution: its equilibrium, that of `gane`.
        policy: one band ``[*stage, actions_i]`` for each player, probabilities.
        action_values: what each action earns against the others' equilibrium policies, one band ``[*stage, actions_i]``
            for each player, payoff units.
        value: what each player earns by the equilibrium, shape ``[player]``, payoff units; the mean over contexts.
        regularized_value: the same less temperature times its KL to the reference.
        level: of the bands.
        num_resamples: how many resamples there were.
        num_failed: those whose equilibrium was not found; the bands are those of the others, NaN if too few are left.
        num_groups: from how many groups each was drawn.
    """

    estimate: Estimate
    solution: Solution | StagedSolution
    policy: tuple[Band, ...]
    action_values: tuple[Band, ...]
    value: Band
    regularized_value: Band
    level: float
    num_resamples: int
    num_failed: int
    num_groups: int
    status_type: ClassVar = Status

    @property
    def status(self) -> Int[Array, "*batch"]:
        """A `Status` value, of the log's own equilibrium; `num_failed` tells of the resamples'."""
        return self.solution.status


class ProfileBootstrap(Shown):
    """What a given profile earns in the game of a log, with bands. Stage axes are none, or ``[context]``.

    Attributes:
        estimate: the estimated game and its counts.
        action_values: what each action earns against the others' policies, one band ``[*stage, actions_i]`` for each
            player, payoff units.
        value: what each player earns by the profile, shape ``[player]``, payoff units; the mean over contexts.
        level: of the bands.
        num_resamples: how many resamples there were.
        num_groups: from how many groups each was drawn.
    """

    estimate: Estimate
    action_values: tuple[Band, ...]
    value: Band
    level: float
    num_resamples: int
    num_groups: int


def bootstrap(
    log: Any,
    regularizer: Regularizer,
    key: Any,
    *,
    num_resamples: int = 200,
    level: float | int = 0.95,
    prior_mean: float | int | None = None,
    tol: float | int | None = None,
    max_steps: int = MAX_STEPS,
) -> Bootstrap:
    """Solve a log's estimated game for its anchored equilibrium, with bootstrap bands by resampling groups of rows.

    What is resampled are the log's groups. Where the schema names a column of groups, such as matches, rows that share
    a group may depend on each other as they like; groups must be independent draws of one law. Without it each row is
    taken to be independent of the others: rows that belong together then make the bands too narrow.

    A band is honest, that is, covers the number of the game that was logged about as often as `level` says, where that
    number is nearly linear in the cells' means over the range of the resamples. It is not

    - of cells that few groups have seen: their resamples repeat the same few rows. A cell that the log never saw is
      `prior_mean` in every resample, and no band knows what it might pay; a cell that a resample misses is
      `prior_mean` there;
    - of few groups: 20 and more are good, fewer have wide and uncertain bands, and take more resamples;
    - where the equilibrium jumps: at low temperatures a resample may follow another branch, and a band then joins both;
    - of anything that the log does not vary: references and temperature are what they are, also where the references
      were taken from the log, and a band says nothing of the distance to an unregularised equilibrium.

    Bands are for one number each; all of them together hold less often.

    Args:
        log: a `Log`, as `gamekl.offline.read_log` makes it.
        regularizer: references, ``[*stage, actions_i]`` for each player, and temperature.
        key: a jax random key.
        num_resamples: enough that the ends of the bands are inside of what is drawn: at level 0.95 at least 45 for 64
            groups, 174 for 8, 1,048 for 5.
        level: of the bands, above 0 and below 1.
        prior_mean: estimate of cells without rows, payoff units; if None 0, and 1/2 in a log of preferences.
        tol: bound on the solver's residual; the default is that of `solve_nash`.
        max_steps: most Newton corrections of the solver.

    Returns:
        A `Bootstrap`. Its solution's `status` is to be looked at: nothing is raised where no equilibrium was found.

    Raises:
        ValueError: the log has too few groups for the level or cannot tell its actions from each other, an option is
            not right, or the regularizer does not fit.
        TypeError: `log` is no `Log`.
    """
    Regularizer.require(regularizer)
    tail = checked_tail(log, num_resamples, level)
    found = estimate(log, prior_mean=prior_mean, regularizer=regularizer)
    check_regularizer(found.game, regularizer)
    solution = gane(found, regularizer, tol=tol, max_steps=max_steps, throw=False)
    games = _estimates(resample(log, key, num_resamples), unseen_mean(log, prior_mean)).game
    log_policy, solved = _solve(games.table, regularizer, tol, max_steps)
    point = _measure(found.game, regularizer, solution.log_policy)
    drawn = _measure_all(games, regularizer, log_policy)
    policy, values, value, regularized = jax.tree.map(partial(band, solved=solved, tail=tail), point, drawn)
    return Bootstrap(
        estimate=found,
        solution=solution,
        policy=policy,
        action_values=values,
        value=value,
        regularized_value=regularized,
        level=float(level),
        num_resamples=num_resamples,
        num_failed=int(np.sum(~solved)),
        num_groups=log.num_groups,
    )


def bootstrap_profile(
    log: Any,
    log_policy: Profile,
    key: Any,
    *,
    num_resamples: int = 200,
    level: float | int = 0.95,
    prior_mean: float | int | None = None,
) -> ProfileBootstrap:
    """What a given profile earns in a log's estimated game, with bootstrap bands by resampling groups of rows.

    The resamples are those of `bootstrap` for the same key, but the profile stays what it is, and nothing is solved.
    What it earns is linear in the cells' means, so the bands are honest at any temperature. They say nothing of how the
    profile was found: one that was chosen for what it earns in this log earns less elsewhere.

    Args:
        log: a `Log`, as `gamekl.offline.read_log` makes it.
        log_policy: one log-policy ``[*stage, actions_i]`` for each player.
        key: a jax random key.
        num_resamples: enough that the ends of the bands are inside of what is drawn: at level 0.95 at least 45 for 64
            groups, 174 for 8, 1,048 for 5.
        level: of the bands, above 0 and below 1.
        prior_mean: estimate of cells without rows, payoff units; if None 0, and 1/2 in a log of preferences.

    Returns:
        A `ProfileBootstrap`.

    Raises:
        ValueError: the log has too few groups for the level or cannot tell its actions from each other, an option is
            not right, or the profile does not fit.
        TypeError: `log` is no `Log`.
    """
    tail = checked_tail(log, num_resamples, level)
    found = estimate(log, prior_mean=prior_mean)
    policy = tuple(jnp.exp(entry) for entry in staged_profile("log_policy", found.game, log_policy, log=True))
    games = _estimates(resample(log, key, num_resamples), unseen_mean(log, prior_mean)).game
    point, drawn = _earn(found.game, policy), _earn_all(games, policy)
    keep = partial(band, solved=np.ones(num_resamples, bool), tail=tail)
    values, value = jax.tree.map(keep, point, drawn)
    return ProfileBootstrap(found, values, value, float(level), num_resamples, log.num_groups)


@partial(jit, static_argnames="prior_mean")
def _estimates(resampled: Statistics | ContextualStatistics, prior_mean: float) -> Estimate:
    return jax.vmap(partial(estimate, prior_mean=prior_mean))(resampled)


def _solve(
    tables: Float[Array, "resample ..."], regularizer: Regularizer, tol: Any, max_steps: int
) -> tuple[tuple[Array, ...], np.ndarray]:
    """Log-policies ``[resample, *stage, actions_i]`` of all games, and which of them were found at all stages."""
    players = len(regularizer.log_reference)
    lead, one = tables.shape[: -players - 1], tables.shape[-players - 1 :]
    size = int(np.prod(lead))
    references = tuple(
        jnp.broadcast_to(entry, (*lead, entry.shape[-1])).reshape(size, -1) for entry in regularizer.log_reference
    )
    temperatures = jnp.broadcast_to(regularizer.temperature, (size, *regularizer.temperature.shape))
    games = jax.vmap(NormalFormGame)(tables.reshape(size, *one))
    solution = solve_nash_batch(games, jax.vmap(Regularizer)(references, temperatures), tol=tol, max_steps=max_steps)
    solved = np.all(np.asarray(solution.status).reshape(lead[0], -1) == Status.converged, axis=1)
    return tuple(entry.reshape(*lead, -1) for entry in solution.log_policy), np.asarray(solved)


def _mean(game: NormalFormGame | ContextualGame, values: Array) -> Array:
    """The mean over contexts, where there are any."""
    return jnp.tensordot(game.context_probs, values, axes=1) if isinstance(game, ContextualGame) else values


def _worth(policy: tuple[Array, ...], values: tuple[Array, ...]) -> Array:
    """What each player earns, ``[*stage, player]``."""
    return jnp.stack([jnp.sum(own * worth, axis=-1) for own, worth in zip(policy, values, strict=True)], axis=-1)


@jit
def _earn(game: NormalFormGame | ContextualGame, policy: tuple[Array, ...]) -> Any:
    """Action values, and each player's value."""
    values = action_values(game, policy)
    return values, _mean(game, _worth(policy, values))


@jit
def _earn_all(games: Any, policy: tuple[Array, ...]) -> Any:
    return jax.vmap(_earn, in_axes=(0, None))(games, policy)


@jit
def _measure(game: NormalFormGame | ContextualGame, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> Any:
    """Policies, action values, and each player's value without and with its KL."""
    regularizer = regularizer.astype(game.dtype)
    policy = tuple(jnp.exp(entry) for entry in log_policy)
    values, value = _earn(game, policy)
    cost = jnp.stack([kl(*pair) for pair in zip(log_policy, regularizer.log_reference, strict=True)], axis=-1)
    return policy, values, value, value - _mean(game, cost) * regularizer.temperatures


@jit
def _measure_all(games: Any, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> Any:
    return jax.vmap(_measure, in_axes=(0, None, 0))(games, regularizer, log_policy)
