"""Leaders that learn from a follower's actions, over games, seeds and sample sizes."""

from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.policies import centre, support
from gamekl.experiment.kinds.computing import Program
from gamekl.experiment.kinds.lead.schema import Lead, LeadConfig
from gamekl.experiment.kinds.setting import Setting, drawn_games, for_games_and_seeds, make_regularizer
from gamekl.experiment.schema.cases import Case, Prediction, Tuning
from gamekl.solvers.solution import SolveError
from gamekl.stackelberg.commit.quantal import payoff_scale, quantal_stackelberg
from gamekl.stackelberg.fit.responses import sample_responses
from gamekl.stackelberg.follower import check_commitment, committed_value
from gamekl.stackelberg.learn.leader import estimate_follower, pessimistic_commitment, value_band
from gamekl.stackelberg.learn.rates import predicted_constant

# Times eps and the payoffs' range: less is nothing.
ROUNDING = 2.0
# Of an interior policy, the least probability; of a vertex, what its own lacks at most.
INTERIOR, VERTEX = 0.05, 1e-6


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
        eps = cast(Any, jnp.finfo(game.dtype)).eps
        small = ROUNDING * eps * payoff_scale(game.payoffs, regularizer.temperatures)
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


def _is_kept(config: LeadConfig, setting: Setting) -> bool:
    """Whether a leader's best policy is where the family wants it."""
    if config.optimum == "any":
        return True
    policy = quantal_stackelberg(setting.game, setting.regularizer).policy[0]
    return float(policy.min()) >= INTERIOR if config.optimum == "interior" else float(policy.max()) >= 1 - VERTEX


def make_settings(family: Lead, tuning: Tuning, key: Array) -> list[Setting]:
    """The games that are kept, with the policies that their leaders announce."""
    config = family.lead
    settings: list[Setting] = []
    for drawn in drawn_games(key, family.game):
        regularizer = make_regularizer(family, drawn, (config.anchor, tuning.temperature))
        check_commitment(drawn.game, regularizer)
        size = drawn.game.num_actions[0]
        announced = config.lean * np.eye(size) + (1 - config.lean) / size
        setting = Setting(drawn.game, regularizer, jnp.asarray(announced), None)
        settings += [setting] if _is_kept(config, setting) else []
    if not settings:
        got = family.game.num_games
        raise ValueError(f"lead.optimum: got no game whose best policy is so out of {got}, takes some")
    return settings


def predict(family: Lead, tuning: Tuning, settings: list[Setting]) -> Prediction:
    """The rate at which a leader's policy becomes the best one, if that is interior."""
    noise = family.noise if family.lead.rewards == "logged" else None
    try:
        constants = [
            predicted_constant(
                entry.game,
                entry.regularizer,
                entry.behavior,
                np.full(len(entry.behavior), 1 / len(entry.behavior)),
                noise,
                scale=tuning.scale or 0.0,
            )
            for entry in settings
        ]
    except (ValueError, SolveError) as error:
        return Prediction(-1.0, remark=str(error))
    mean = float(np.mean(constants))
    if mean > np.finfo(float).eps:
        return Prediction(-1.0, mean)
    return Prediction(0.0, remark="the best policy is a vertex: what is lost falls faster than any power of n")


def make_program(family: Lead, case: Case, num_samples: int) -> Program:
    """Fit the follower, plan and evaluate."""
    logged = family.lead.rewards == "logged"
    noise = (family.noise if isinstance(family.noise, str) else jnp.asarray(family.noise)) if logged else None
    scale = None if case.scale is None else jnp.asarray(case.scale)
    return Program(lead_batch, (jnp.asarray(float(num_samples)), noise, scale, jnp.asarray(family.lead.level)))
