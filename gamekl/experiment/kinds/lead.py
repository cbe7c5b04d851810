"""Leaders that learn from a follower's actions, over games, seeds and sample sizes."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.policies import centre, support
from gamekl.experiment.kinds.pipeline import for_games_and_seeds
from gamekl.experiment.kinds.settings import Setting
from gamekl.stackelberg.commit.quantal import payoff_scale, quantal_stackelberg
from gamekl.stackelberg.fit.responses import sample_responses
from gamekl.stackelberg.follower import committed_value
from gamekl.stackelberg.learn.leader import estimate_follower, pessimistic_commitment, value_band

# Times eps and the payoffs' range: less is nothing.
ROUNDING = 2.0


@eqx.filter_jit
def lead_batch(
    keys: Array, settings: Setting, num_samples: Array, noise: Any, scale: Array | None, level: Array
) -> dict[str, Array]:
    """Fit the follower, plan and evaluate in the true game; every result is ``[game, seed]``.

    Args:
        keys: of the logs, ``[game, seed]``.
        settings: the games, and the policies that are announced.
        num_samples: rows of each log.
        noise: of the leader's rewards; None where its payoffs are known.
        scale: how many standard errors a pessimistic plan takes off; None for the plug-in.
        level: of the band of the plan's value.
    """

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        game, regularizer, announced = setting.game, setting.regularizer, setting.behavior
        often = jnp.full(len(announced), 1 / len(announced))
        log = sample_responses(key, game, regularizer, announced, often, num_samples, noise)
        told = {"leader_payoffs": game.payoffs[0]} if noise is None else {"noise": noise}
        estimate = estimate_follower(log, regularizer, **told)
        if scale is None:
            plan = quantal_stackelberg(estimate.game, regularizer, throw=False)
        else:
            plan = pessimistic_commitment(estimate, regularizer, scale, throw=False)
        best = quantal_stackelberg(game, regularizer, throw=False)
        value = committed_value(plan.policy[0], game, regularizer)
        band = value_band(estimate, regularizer, plan.policy[0], level)
        lost = best.value - value
        small = ROUNDING * jnp.finfo(game.dtype).eps * payoff_scale(game.payoffs[0], regularizer.temperatures[0])
        wrong = estimate.game.payoffs[1] - centre(game.payoffs[1], support(regularizer.log_reference[1]))
        return {
            "suboptimality": jnp.where(lost > small, lost, 0),
            "follower_error": jnp.sqrt(jnp.mean(wrong**2)),
            "coverage": ((band.lower <= value) & (value <= band.upper)).astype(game.dtype),
            "solver_gap": plan.gap,
            "residual": estimate.fit.residual,
            "num_steps": plan.num_steps,
            "status": plan.status,
            "unvisited": jnp.sum(log.counts.sum(axis=0) == 0).astype(jnp.int32),
        }

    return for_games_and_seeds(one)(keys, settings)
