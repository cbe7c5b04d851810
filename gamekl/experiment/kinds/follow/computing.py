"""A rule in the true games of a family, round by round."""

import math
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.games import NormalFormGame
from gamekl.core.validation import validate
from gamekl.experiment.kinds.computing import Program, named
from gamekl.experiment.kinds.follow.rules import RULES
from gamekl.experiment.kinds.follow.schema import Follow, RuleConfig
from gamekl.experiment.kinds.setting import Setting, drawn_games, for_games_and_seeds, make_regularizer
from gamekl.experiment.schema.cases import Case, Prediction, Tuning
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
        "num_rounds": found.num_rounds,
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
    num_rounds: tuple[int, ...],
    num_queries: int | None,
) -> dict[str, Array]:
    """Follow a rule in all games of a family; every result is ``[game, seed, checkpoint]``.

    Args:
        keys: of queries, ``[game, seed]``.
        settings: the games.
        rule: the method.
        kl_bound: of `gamekl.rules.Proven`, or None where nothing is proven.
        tols: total regularised gap and KL whose first rounds are looked for.
        num_rounds: the checkpoints.
        num_queries: as of `gamekl.follow`.
    """
    rounds = np.asarray((0, *num_rounds), dtype=np.int32)

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        game: NormalFormGame = setting.game
        target = solve_nash(game, setting.regularizer, throw=False).log_policy if rule.anchored else None
        measured: dict[str, Any] = {"num_rounds": rounds, "target": target, "tol": tols[0], "kl_tol": tols[1]}
        asked: dict[str, Any] = {} if num_queries is None else {"num_queries": num_queries, "key": key}
        found = follow(game, setting.regularizer, rule, **measured, **asked, throw=False)
        results = _of_rounds(found) if found.kl is None else _of_rounds(found) | _of_anchored(found, kl_bound)
        return {name: jnp.broadcast_to(column, rounds.shape)[1:] for name, column in results.items()}

    return for_games_and_seeds(one)(keys, settings)


def make_rule(config: RuleConfig, temperature: float | None) -> tuple[Rule, Callable[..., Array] | None]:
    """The rule at a temperature, and what is proven of its KL (`gamekl.rules.Proven`), if anything is.

    The proofs are for values that are told.
    """
    entry = RULES[config.name]
    kind = named(entry.makes)
    if kind.anchored != entry.anchored:
        raise ValueError(
            f"rule.name: got {config.name!r}, listed as anchored={entry.anchored}, takes what its class says"
        )
    if config.step_size == "proven":
        known = kind.proven(cast(float, temperature))
        return known.rule, known.kl if config.num_queries is None else None
    step_size = cast(float, temperature if config.step_size == "temperature" else config.step_size)
    if config.magnet_rounds is not None:
        return kind(step_size, config.magnet_rounds), None
    return kind(step_size), None


def make_settings(family: Follow, tuning: Tuning, key: Array) -> list[Setting]:
    """The games, to which the rule must be fit."""
    rule, _ = make_rule(family.rule, tuning.temperature)
    settings: list[Setting] = []
    for drawn in drawn_games(key, family.game):
        game = drawn.game
        regularizer = make_regularizer(family, drawn, tuning.temperature or 1.0)
        validate(game, regularizer)
        rule.check_fits(game)
        payoffs = np.asarray(game.payoffs)
        if family.rule.num_queries is not None and not np.all((payoffs >= 0) & (payoffs <= 1)):
            got = family.rule.num_queries
            raise ValueError(f"rule.num_queries: got {got} for payoffs outside of [0, 1], takes it for wins")
        uniform = jnp.full(game.num_actions, 1 / math.prod(game.num_actions))
        settings.append(Setting(game, regularizer, uniform, None))
    return settings


def predict(family: Follow, tuning: Tuning, settings: list[Setting]) -> Prediction:
    """No rate is: what is proven is a bound of each run's own."""
    del family, tuning, settings
    return Prediction(-0.5)


def make_program(family: Follow, case: Case, num_samples: int) -> Program:
    """Follow the rule."""
    del num_samples
    made = make_rule(family.rule, case.temperature)
    tols = jnp.asarray(family.rule.tol), jnp.asarray(family.rule.kl_tol)
    return Program(follow_batch, (*made, tols, case.num_rounds, family.rule.num_queries))
