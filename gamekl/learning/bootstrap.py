"""How far the equilibrium of a log would move, had the log been another one of its kind: bootstrap bands.

A log's rows are in G disjoint groups, G_1..G_G. A resample draws G of them with replacement, adds up their counts and
reward sums, and goes through all that the log itself goes through: cell means, and the equilibrium of the game that
they make. The band of a number at level 1 - 2 a runs from the a' to the 1 - a' quantile of what it is in the resamples,

    a' = Phi(sqrt(G / (G - 1)) t_{G-1}^{-1}(a)),

the expanded percentile interval (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015): plain percentiles
would be too narrow for few groups, by the factor that a z is narrower than a t with a variance that divides by G.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, NormalFormGame
from gamekl.core.policies import kl
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import action_values
from gamekl.core.validation import check_regularizer, check_whole
from gamekl.offline.logs import Log
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import ContextualStatistics, Statistics
from gamekl.solvers.batch import solve_nash_batch
from gamekl.solvers.nash import MAX_STEPS, gane
from gamekl.solvers.solution import Solution, Status
from gamekl.solvers.staged import StagedSolution

# Payoffs of all resamples together, 512 MiB in float64; copies come on top.
MOST_PAYOFFS = 2**26


class Band(eqx.Module):
    """A number of the log's own equilibrium, and the band around it.

    Attributes:
        point: in the log itself.
        lower: where the band begins, same shape.
        upper: where it ends.
    """

    point: Float[np.ndarray, "..."]
    lower: Float[np.ndarray, "..."]
    upper: Float[np.ndarray, "..."]


class Bootstrap(eqx.Module):
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
        num_failed: those whose equilibrium was not found; the bands are those of the others, NaN if there are fewer
            than two.
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


def bootstrap(
    log: Any,
    regularizer: Regularizer,
    key: Any,
    *,
    num_resamples: int = 200,
    level: float | int = 0.95,
    prior_mean: float | int = 0.0,
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
    - of few groups: 20 and more are good, fewer have wide and uncertain bands;
    - where the equilibrium jumps: at low temperatures a resample may follow another branch, and a band then joins both;
    - of anything that the log does not vary: references and temperature are what they are, also where the references
      were taken from the log, and a band says nothing of the distance to an unregularised equilibrium.

    Bands are for one number each; all of them together hold less often.

    Args:
        log: a `Log`, as `gamekl.offline.read_log` makes it.
        regularizer: references, ``[*stage, actions_i]`` for each player, and temperature.
        key: a jax random key.
        num_resamples: at least 4 / (1 - level), so that the quantiles are inside of what is drawn.
        level: of the bands, above 0 and below 1.
        prior_mean: estimate of cells without rows, payoff units.
        tol: of the solver, as for `solve_nash`.
        max_steps: of the solver.

    Returns:
        A `Bootstrap`. Its solution's `status` is to be looked at: nothing is raised where no equilibrium was found.

    Raises:
        ValueError: the log has a single group, an option is not right, or the regularizer does not fit the log.
        TypeError: `log` is no `Log`.
    """
    if not isinstance(log, Log):
        raise TypeError(f"log: got {type(log).__name__}, takes a Log (gamekl.offline.read_log makes it)")
    Regularizer.require(regularizer)
    check_whole(num_resamples=num_resamples)
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, takes a number above 0 and below 1")
    least = int(np.ceil(4 / (1 - level)))
    if num_resamples < least:
        raise ValueError(f"num_resamples: got {num_resamples}, takes at least {least} for level {level}")
    if log.num_groups < 2:
        raise ValueError("log: got all rows in one group, takes at least two groups (num_groups of read_log)")
    if num_resamples * log.statistics.reward_sums.size > MOST_PAYOFFS:
        most = MOST_PAYOFFS // log.statistics.reward_sums.size
        raise ValueError(f"num_resamples: got {num_resamples}, takes at most {most} for a log of so many cells")
    found = estimate(log.statistics, prior_mean=prior_mean, regularizer=regularizer)
    check_regularizer(found.game, regularizer)
    solution = gane(found, regularizer, tol=tol, max_steps=max_steps, throw=False)
    games = _estimates(_resample(log, key, num_resamples), float(prior_mean)).game
    log_policy, solved = _solve(games.table, regularizer, tol, max_steps)
    point = _measure(found.game, regularizer, solution.log_policy)
    drawn = _measure_all(games, regularizer, log_policy)
    tail = _tail(level, log.num_groups)
    policy, values, value, regularized = jax.tree.map(partial(_band, solved=solved, tail=tail), point, drawn)
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


def _resample(log: Log, key: Any, num_resamples: int) -> Statistics | ContextualStatistics:
    """Statistics with a leading axis of resamples, added up in float64 on the host."""
    groups = log.num_groups
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), dtype=jnp.uint32)))
    times = rng.multinomial(groups, np.full(groups, 1 / groups), num_resamples).astype(float)
    return jax.tree.map(
        lambda leaf: (times @ leaf.reshape(groups, -1)).reshape(num_resamples, *leaf.shape[1:]), log.groups
    )


@partial(jax.jit, static_argnames="prior_mean")
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


@jax.jit
def _measure(game: NormalFormGame | ContextualGame, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> Any:
    """Policies, action values, and each player's value without and with its KL."""
    regularizer = regularizer.astype(game.dtype)
    policy = tuple(jnp.exp(entry) for entry in log_policy)
    values = action_values(game, policy)
    value = jnp.stack([jnp.sum(own * worth, axis=-1) for own, worth in zip(policy, values, strict=True)], axis=-1)
    cost = jnp.stack([kl(*pair) for pair in zip(log_policy, regularizer.log_reference, strict=True)], axis=-1)
    regularized = value - cost * regularizer.temperatures
    if isinstance(game, ContextualGame):
        value, regularized = (jnp.tensordot(game.context_probs, entry, axes=1) for entry in (value, regularized))
    return policy, values, value, regularized


@jax.jit
def _measure_all(games: Any, regularizer: Regularizer, log_policy: tuple[Array, ...]) -> Any:
    return jax.vmap(_measure, in_axes=(0, None, 0))(games, regularizer, log_policy)


def _tail(level: float, groups: int) -> float:
    """a' of the module."""
    t = scipy.stats.t.ppf((1 - level) / 2, groups - 1)
    return float(scipy.stats.norm.cdf(np.sqrt(groups / (groups - 1)) * t))


def _band(point: Array, drawn: Array, *, solved: np.ndarray, tail: float) -> Band:
    kept = np.asarray(drawn)[solved]
    if len(kept) < 2:
        kept = np.full((2, *point.shape), np.nan)
    # Of n draws the k-th stands for k / (n + 1), so that the expected coverage is right.
    lower, upper = np.quantile(kept, [tail, 1 - tail], axis=0, method="weibull")
    return Band(np.asarray(point), lower, upper)
