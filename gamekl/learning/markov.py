"""Backward induction over logged episodes: fit the values of a step's joint actions, solve its stages, go back a step.

From the last step to the first, with V_i the values that the solver found for the step behind,

    y_i = r_i + V_i(h + 1, s'),    Q_i(h, ., .) = a regression of y_i on (s, a),    V_i(h, s) = value of Q(h, s, .)

by the solver (derived, theory C1). For cells and for linear models this comes to the numbers of
`gamekl.offline.estimate` with the same solver, because their fits are linear in y; it is for models whose fits are
not, such as `Neural` and `FiniteClass`.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gamekl.core.games import ContextualGame, MarkovGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.offline.dataset import ENDED, ContextualDataset, MarkovDataset
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.rows import check_split
from gamekl.offline.statistics import ContextualStatistics, MarkovStatistics
from gamekl.solvers.nash.solve import solve_nash

Values = Float[Array, "state player"]


def _of_statistics(data: MarkovStatistics, step: int, ahead: Values) -> ContextualStatistics:
    """The step's cells, with the values of next states added to the rewards."""
    moved = jnp.tensordot(data.transition_counts[step].astype(ahead.dtype), ahead, axes=1)  # [state, *actions, player]
    sums = data.reward_sums[step] + jnp.moveaxis(moved, -1, 1).astype(data.reward_sums.dtype)
    return ContextualStatistics(data.counts[step], sums)


def _of_episodes(data: MarkovDataset, step: int, ahead: Values, episodes: slice) -> ContextualDataset | None:
    """The step's rows of some episodes, with the values of next states added to the rewards; None if all had ended."""
    states = np.asarray(data.states[episodes])
    there = states[:, step] != ENDED
    if not there.any():
        return None
    rewards = np.array(data.rewards[episodes, step])[there]
    if step + 1 < states.shape[1]:
        following = states[there, step + 1]
        rewards += np.where((following != ENDED)[:, None], np.asarray(ahead)[following], 0).astype(rewards.dtype)
    actions = np.asarray(data.actions[episodes, step])[there]
    return ContextualDataset(states[there, step], actions, rewards, data.num_actions, data.num_states)


def _unseen(shape: tuple[int, ...], prior_mean: float | int, dtype: Any) -> Estimate:
    """The estimate of a step that no episode reached, with counts of this shape."""
    payoffs = jnp.full((shape[0], len(shape) - 1, *shape[1:]), prior_mean, dtype)
    return Estimate(ContextualGame(payoffs, jnp.full(shape[0], 1 / shape[0], dtype)), jnp.zeros(shape))


def fit_stages(
    data: MarkovDataset | MarkovStatistics,
    regularizer: Regularizer,
    models: Callable[[int], Any] | None = None,
    *,
    solve: Callable[[ContextualGame, Regularizer], Any] = solve_nash,
    prior_mean: float | int = 0.0,
    split: bool = False,
) -> Estimate:
    """Fit a Markov game's action values step by step, each with the values of the step behind.

    Args:
        data: episodes, which neural models need, or statistics.
        regularizer: references and temperatures with the axes ``[horizon, state]``.
        models: from the step (0 is the first) to the model of its contextual game (`Ridge`, `FiniteClass`, `Neural`, or
            None for cells), whose contexts are the states.
        solve: the solver of a step's stages, from its game and regularizer to a solution with `values`: `solve_nash`,
            or `sos_md` or `gamd` with their options filled in.
        prior_mean: of cells without data where there is no model, and of steps that no episode reached, payoff units a
            step.
        split: of episodes only: step h is fitted to the episodes h, h + horizon, ... alone.

    Returns:
        An `Estimate` whose rewards at (h, s) are Q(h, s, .), and where no transition is left: what comes after is in
        the rewards. The same solver finds the same policies in its game.

    Raises:
        ValueError: data, models and regularizer do not fit; statistics to be split.
        SolveError: a stage was not solved.

    Source: theory C1 (derived).
    """
    Regularizer.require(regularizer)
    rows = isinstance(data, MarkovDataset)
    if rows and not is_concrete(data):
        raise TypeError("data: got traced episodes, takes concrete ones, or statistics")
    if models is not None and not callable(models):
        raise TypeError(f"models: got a {type(models).__name__}, takes a function from the step to its model")
    if not rows and (split or not isinstance(data, MarkovStatistics)):
        raise ValueError(f"data, split: got {type(data).__name__} and {split}, takes episodes, or statistics unsplit")
    horizon, states = (data.states.shape[1], data.num_states) if rows else data.counts.shape[:2]
    sizes = data.num_actions if rows else data.counts.shape[2:]
    shapes = [np.shape(entry) for entry in regularizer.log_reference]
    if shapes != [(horizon, states, size) for size in sizes]:
        raise ValueError(
            f"log_reference: got shapes {shapes}, takes [horizon, state, actions_i] = "
            f"{[(horizon, states, size) for size in sizes]}"
        )
    if isinstance(data, MarkovDataset) and split:
        check_split(len(data.states), horizon)
    ahead = jnp.zeros((states, len(sizes)), data.rewards.dtype if rows else data.reward_sums.dtype)
    payoffs, counts, first = [], [], jnp.ones(states) / states
    for step in reversed(range(horizon)):
        here = Regularizer([entry[step] for entry in regularizer.log_reference], regularizer.temperature)
        episodes = slice(step, None, horizon) if split else slice(None)
        seen = _of_episodes(data, step, ahead, episodes) if rows else _of_statistics(data, step, ahead)
        prior = prior_mean * (horizon - step)
        if seen is None or (is_concrete(seen) and isinstance(seen, ContextualStatistics) and not seen.counts.any()):
            fitted = _unseen((states, *sizes), prior, ahead.dtype)
        else:
            fitted = estimate(seen, prior_mean=prior) if models is None else estimate(seen, model=models(step))
        payoffs.append(fitted.game.payoffs)
        counts.append(fitted.counts)
        ahead, first = solve(fitted.game, here).values, fitted.game.context_probs
    rewards = jnp.stack(payoffs[::-1])
    ends = jnp.zeros((horizon, states, *sizes, states), rewards.dtype)
    return Estimate(MarkovGame(rewards, ends, first), jnp.stack(counts[::-1]))
