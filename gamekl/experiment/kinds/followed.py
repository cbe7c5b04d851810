"""Rules in the true game, round by round, from no data."""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.experiment.kinds.pipeline import for_games_and_seeds
from gamekl.experiment.kinds.settings import Setting
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.play.follow import follow
from gamekl.solvers.play.rules.anchored import Rule
from gamekl.solvers.play.trajectory import Trajectory

# Above this the KL is compared with its bound; below, rounding decides.
ROUNDING = 1e-10


def _of_rounds(found: Trajectory) -> dict[str, Any]:
    """What any rule came to."""
    return {
        "nash_gap": found.nash_gap.sum(axis=-1),
        "average_nash_gap": found.average_nash_gap.sum(axis=-1),
        "num_steps": found.num_rounds,
        "num_queries": found.num_queries,
        "status": found.status,
        "unvisited": 0,
    }


def _of_anchored(found: Trajectory, kl_bound: Callable[..., Array] | None) -> dict[str, Any]:
    """What a rule came to that heads for the anchored equilibrium; its first checkpoint is the start."""
    kl = cast(Array, found.kl).sum(axis=-1)
    results = {
        "regularized_gap": found.regularized_gap.sum(axis=-1),
        "regularized_gap_max": found.regularized_gap.max(axis=-1),
        "kl": kl,
        "first_gap": found.first,
        "first_kl": found.first_kl,
    }
    if kl_bound is None:
        return results
    bound = kl_bound(kl[0], found.num_rounds)
    exceeded = (kl > bound * (1 + 1e-6)) & (kl > ROUNDING)
    return results | {"bound": bound, "exceeded": exceeded.astype(jnp.int32)}


@eqx.filter_jit
def follow_batch(
    keys: Array,
    settings: Setting,
    rule: Rule,
    kl_bound: Callable[..., Array] | None,
    tols: tuple[Array, Array],
    num_steps: tuple[int, ...],
    num_queries: int | None,
) -> dict[str, Array]:
    """Follow a rule in all games of a family; every result is ``[game, seed, checkpoint]``.

    Args:
        keys: of queries, ``[game, seed]``.
        settings: the games.
        rule: the method.
        kl_bound: of `gamekl.rules.Proven`, or None where nothing is proven.
        tols: total regularised gap and KL whose first rounds are looked for.
        num_steps: the checkpoints.
        num_queries: as of `gamekl.follow`.
    """
    rounds = np.asarray((0, *num_steps), dtype=np.int32)

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        target = solve_nash(setting.game, setting.regularizer, throw=False).log_policy if rule.anchored else None
        measured = {"num_rounds": rounds, "target": target, "tol": tols[0], "kl_tol": tols[1]}
        asked = {} if num_queries is None else {"num_queries": num_queries, "key": key}
        found = follow(setting.game, setting.regularizer, rule, **measured, **asked, throw=False)
        results = _of_rounds(found) if found.kl is None else _of_rounds(found) | _of_anchored(found, kl_bound)
        return {name: jnp.broadcast_to(column, rounds.shape)[1:] for name, column in results.items()}

    return for_games_and_seeds(one)(keys, settings)
