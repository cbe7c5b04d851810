"""From keys to gaps: sample, estimate, solve and evaluate in the true game, for all games and seeds of a chunk at once.

Sample sizes, temperatures and seeds are traced, so one compilation serves the whole axis of each.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.response import nash_gap, regularized_gap
from gamekl.experiment.config import FamilyConfig
from gamekl.experiment.plan import Setting
from gamekl.offline.draws import Noise
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import sample_statistics
from gamekl.solvers.exact import solve_two_player_batch
from gamekl.solvers.history import History, gamd_history, multiplicative_weights_history
from gamekl.solvers.nash import gane


def _for_games_and_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map over the games of a family (keys and settings), then over seeds (keys alone)."""
    return jax.vmap(jax.vmap(function, in_axes=(0, None)), in_axes=(0, 0))


def _estimate_one(key: Array, setting: Setting, num_samples: Array, noise: Noise) -> Estimate:
    return estimate(sample_statistics(key, setting.game, setting.behavior, num_samples, noise))


@eqx.filter_jit
def estimate_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> Estimate:
    """Estimates from data of their own, ``[game, seed]``."""
    return _for_games_and_seeds(partial(_estimate_one, num_samples=num_samples, noise=noise))(keys, settings)


@eqx.filter_jit
def gane_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> dict[str, Array]:
    """Estimate, solve and evaluate in the true game; every result is ``[game, seed]``."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = _estimate_one(key, setting, num_samples, noise)
        solution = gane(found, setting.regularizer, throw=False)
        true_gap = regularized_gap(setting.game, setting.regularizer, solution.log_policy)
        return {
            "regularized_gap": true_gap.sum(),
            "regularized_gap_max": true_gap.max(),
            "nash_gap": nash_gap(setting.game, solution.log_policy, regularizer=setting.regularizer).sum(),
            "solver_gap": solution.gap.sum(),
            "residual": solution.residual,
            "num_steps": solution.num_steps,
            "status": solution.status,
            "unvisited": jnp.sum(found.counts == 0).astype(jnp.int32),
        }

    return _for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def _nash_gaps(settings: Setting, log_policy: tuple[Array, ...]) -> Array:
    return _for_games_and_seeds(lambda policy, setting: nash_gap(setting.game, policy).sum())(log_policy, settings)


def exact_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> dict[str, Array]:
    """As `gane_batch`, with the unregularised plug-in equilibrium, found on the host."""
    found = estimate_batch(keys, settings, num_samples, noise)
    solution = solve_two_player_batch(np.asarray(found.game.payoffs))
    return {
        "nash_gap": _nash_gaps(settings, solution.log_policy),
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
    rounds = history.num_steps.shape
    return {
        **{name: jnp.maximum(gap, 0).sum(axis=-1) for name, gap in gaps.items()},
        "exceeded": jnp.any(made_small > bound, axis=-1).astype(jnp.int32),
        "num_steps": history.num_steps,
        "status": jnp.full(rounds, history.status),
        "unvisited": jnp.full(rounds, jnp.sum(found.counts == 0).astype(jnp.int32)),
    }


@eqx.filter_jit
def gamd_batch(
    keys: Array, settings: Setting, num_samples: Array, noise: Noise, num_steps: Array, weighting: str
) -> dict[str, Array]:
    """As `gane_batch`, with the joint policies that GAMD plays; every result is ``[game, seed, checkpoint]``."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = _estimate_one(key, setting, num_samples, noise)
        options = {"num_steps": num_steps, "evaluate_on": setting.game, "throw": False}
        history = gamd_history(found.game, setting.regularizer, weighting=weighting, **options)
        return _of_joint_policies(found, history, history.regularized_cce_gap_estimated)

    return _for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def weights_batch(
    keys: Array, settings: Setting, num_samples: Array, noise: Noise, num_steps: Array
) -> dict[str, Array]:
    """As `gamd_batch`, with unregularised multiplicative weights."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = _estimate_one(key, setting, num_samples, noise)
        options = {"num_steps": num_steps, "evaluate_on": setting.game, "throw": False}
        history = multiplicative_weights_history(found.game, setting.regularizer, **options)
        return _of_joint_policies(found, history, history.cce_gap_estimated)

    return _for_games_and_seeds(one)(keys, settings)


def compute(
    family: FamilyConfig, case: dict[str, Any], keys: Array, settings: Setting, num_samples: int
) -> dict[str, Array]:
    """What the shards' columns of results are to hold, by name.

    Args:
        family: of the case.
        case: the plan's entry.
        keys: ``[game, seed]``.
        settings: the case's, with a leading axis.
        num_samples: rows of data.

    Returns:
        Arrays ``[game, seed]``, or ``[game, seed, checkpoint]`` of families that play. Gaps are summed over players;
        those of a joint policy count where they are positive.
    """
    noise = "bernoulli" if family.noise == "bernoulli" else jnp.asarray(family.noise)
    data = (keys, settings, jnp.asarray(float(num_samples)), noise)
    if family.solver == "gane":
        return gane_batch(*data)
    if family.solver == "exact":
        return exact_batch(*data)
    rounds = jnp.asarray(case["num_steps"], dtype=jnp.int32)
    if family.solver == "gamd":
        return gamd_batch(*data, rounds, family.weighting)
    return weights_batch(*data, rounds)
