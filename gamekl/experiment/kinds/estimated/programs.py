"""From keys to gaps: sample, estimate, solve and evaluate in the true game, for all games and seeds of a chunk at once.

Sample sizes, temperatures and seeds are traced, so one compilation serves the whole axis of each.
"""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.response import nash_gap, regularized_gap
from gamekl.experiment.kinds.computing import named
from gamekl.experiment.kinds.estimated.estimates import Data
from gamekl.experiment.kinds.setting import Setting, for_games_and_seeds, map_arrays
from gamekl.experiment.schema.metrics import METRICS
from gamekl.learning.pessimistic import pnvi
from gamekl.offline.pessimism import lower_confidence
from gamekl.offline.regression import Estimate
from gamekl.solvers.exact.solve import solve_two_player_batch
from gamekl.solvers.nash.solve import gane
from gamekl.solvers.play.history import History, gamd_history, multiplicative_weights_history
from gamekl.solvers.solution import Status


@eqx.filter_jit
def estimate_batch(keys: Array, settings: Setting, data: Data) -> Estimate:
    """Estimates from data of their own, ``[game, seed]``."""
    return for_games_and_seeds(data.estimate)(keys, settings)


def _of_profiles(data: Data, setting: Setting, found: Estimate, log_policy: Any) -> dict[str, Array]:
    """What a profile comes to in the true game."""
    true_gap = regularized_gap(setting.game, setting.regularizer, log_policy)
    return {
        **_measured(data, setting, log_policy),
        "regularized_gap": true_gap.sum(),
        "regularized_gap_max": true_gap.max(),
        "nash_gap": nash_gap(setting.game, log_policy, regularizer=setting.regularizer).sum(),
        "unvisited": jnp.sum(found.counts == 0).astype(jnp.int32),
    }


def _measured(data: Data, setting: Setting, log_policy: Any) -> dict[str, Array]:
    """The metrics that measure any profile."""
    measures = {name: named(METRICS[name].measure or "") for name in data.measures}
    return {name: measure(setting.game, setting.regularizer, log_policy) for name, measure in measures.items()}


def _solved(data: Data, setting: Setting, found: Estimate) -> dict[str, Array]:
    solution = gane(found, setting.regularizer, throw=False)
    return {
        **_of_profiles(data, setting, found, solution.log_policy),
        "solver_gap": solution.gap.sum(),
        "residual": solution.residual,
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


@eqx.filter_jit
def gane_batch(keys: Array, settings: Setting, data: Data) -> dict[str, Array]:
    """Estimate, solve and evaluate in the true game; every result is ``[game, seed]``."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        return _solved(data, setting, data.estimate(key, setting))

    return for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def neural_batch(keys: Array, settings: Setting, data: Data) -> dict[str, Array]:
    """Do what `gane_batch` does, one dataset after another: a network has work for all processors, and needs memory."""

    def one(place: Array) -> dict[str, Array]:
        setting = map_arrays(lambda leaf: leaf[place[0]], settings)
        return _solved(data, setting, data.estimate(keys[place[0], place[1]], setting))

    grid = jnp.stack(jnp.indices(keys.shape), axis=-1)
    found = cast(dict[str, Array], jax.lax.map(one, grid.reshape(-1, 2)))  # pyright: ignore[reportUnknownMemberType]
    return map_arrays(lambda leaf: leaf.reshape(keys.shape), found)


@eqx.filter_jit
def lower_confidence_batch(keys: Array, settings: Setting, data: Data, scale: Array) -> dict[str, Array]:
    """Solve for the regularised equilibrium of lower confidence bounds; results as of `gane_batch`."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        return _solved(data, setting, lower_confidence(data.estimate(key, setting), scale, data.spread))

    return for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def surrogate_batch(
    keys: Array, settings: Setting, data: Data, scale: Array, payoff_range: Array, minimize: Callable[..., Any]
) -> dict[str, Array]:
    """Find profiles that minimise a pessimistic surrogate; results as of `gane_batch`, without `solver_gap`."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = data.estimate(key, setting)
        profile = minimize(found, scale=scale, payoff_range=payoff_range, noise=data.spread)
        return {
            **_of_profiles(data, setting, found, profile.log_policy),
            "status": jnp.where(jnp.isfinite(profile.surrogate), Status.converged, Status.not_converged),
        }

    return for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def _measure_profiles(
    data: Data, settings: Setting, found: Estimate, log_policy: tuple[Array, ...]
) -> dict[str, Array]:
    def one(solved: tuple[Estimate, Any], setting: Setting) -> dict[str, Array]:
        return _of_profiles(data, setting, *solved)

    return for_games_and_seeds(one)((found, log_policy), settings)


def pnvi_batch(keys: Array, settings: Setting, data: Data, scale: Array, payoff_range: Array) -> dict[str, Array]:
    """Run pessimistic Nash value iteration, on the host; results as of `gane_batch`, without `solver_gap`."""
    found = estimate_batch(keys, settings, data)
    policies: list[tuple[Array, ...]] = []
    for index in np.ndindex(keys.shape):
        alone = map_arrays(lambda leaf: leaf[index], found)  # noqa: B023
        policies.append(pnvi(alone, scale=scale, payoff_range=payoff_range, noise=data.spread).log_policy)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves).reshape(*keys.shape, *leaves[0].shape), *policies)
    measured = _measure_profiles(data, settings, found, stacked)
    return {**measured, "status": jnp.zeros(keys.shape, jnp.int32)}


@eqx.filter_jit
def _unregularized(data: Data, settings: Setting, log_policy: tuple[Array, ...]) -> dict[str, Array]:
    def one(policy: tuple[Array, ...], setting: Setting) -> dict[str, Array]:
        return {"nash_gap": nash_gap(setting.game, policy).sum(), **_measured(data, setting, policy)}

    return for_games_and_seeds(one)(log_policy, settings)


def exact_batch(keys: Array, settings: Setting, data: Data) -> dict[str, Array]:
    """Find the unregularised plug-in equilibrium, on the host, and evaluate it; every result is ``[game, seed]``."""
    found = estimate_batch(keys, settings, data)
    solution = solve_two_player_batch(np.asarray(found.game.payoffs))
    return {
        **_unregularized(data, settings, solution.log_policy),
        "solver_gap": solution.gap.sum(axis=-1),
        "residual": solution.residual,
        "num_steps": solution.num_steps,
        "status": solution.status,
        "unvisited": jnp.sum(found.counts == 0, axis=(2, 3)).astype(jnp.int32),
    }


def _of_joint_policies(found: Estimate, history: History, made_small: Array) -> dict[str, Array]:
    """What a run of many rounds came to, each ``[checkpoint]``; `made_small` is the gap that the bound is on."""
    bound = cast(Array, history.bound)
    gaps = {
        "regularized_cce_gap": history.regularized_cce_gap,
        "cce_gap": history.cce_gap,
        "ce_gap": history.ce_gap,
        "solver_gap": made_small,
        "bound": bound,
    }
    rounds = history.num_rounds.shape
    return {
        **{name: jnp.maximum(gap, 0).sum(axis=-1) for name, gap in gaps.items()},
        "exceeded": jnp.any(made_small > bound, axis=-1).astype(jnp.int32),
        "num_rounds": history.num_rounds,
        "status": jnp.full(rounds, history.status),
        "unvisited": jnp.full(rounds, jnp.sum(found.counts == 0).astype(jnp.int32)),
    }


@eqx.filter_jit
def gamd_batch(keys: Array, settings: Setting, data: Data, num_rounds: Array, weighting: str) -> dict[str, Array]:
    """Play GAMD in the estimates and measure its joint policies; every result is ``[game, seed, checkpoint]``."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = data.estimate(key, setting)
        options: dict[str, Any] = {"num_rounds": num_rounds, "evaluate_on": setting.game, "throw": False}
        history = gamd_history(found.game, setting.regularizer, weighting=weighting, **options)
        return _of_joint_policies(found, history, history.regularized_cce_gap_estimated)

    return for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def weights_batch(keys: Array, settings: Setting, data: Data, num_rounds: Array) -> dict[str, Array]:
    """Play unregularised multiplicative weights in the estimates; results as of `gamd_batch`."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = data.estimate(key, setting)
        options: dict[str, Any] = {"num_rounds": num_rounds, "evaluate_on": setting.game, "throw": False}
        history = multiplicative_weights_history(found.game, setting.regularizer, **options)
        return _of_joint_policies(found, history, history.cce_gap_estimated)

    return for_games_and_seeds(one)(keys, settings)
