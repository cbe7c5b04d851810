"""What is computed of games that are estimated from data, and what is known of it beforehand."""

import math
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_noise, joint_behavior, validate
from gamekl.evaluate.certificates import uniqueness
from gamekl.evaluate.rates import first_sample_size, predicted_constant
from gamekl.experiment.kinds.computing import Program
from gamekl.experiment.kinds.estimated import programs
from gamekl.experiment.kinds.estimated.estimates import Data
from gamekl.experiment.kinds.estimated.estimators import ESTIMATORS
from gamekl.experiment.kinds.estimated.schema import Estimated, Exact, Gane, Pessimistic, Played
from gamekl.experiment.kinds.setting import Setting, drawn_games, make_regularizer
from gamekl.experiment.schema.cases import Case, Prediction, Tuning
from gamekl.experiment.schema.metrics import METRICS
from gamekl.learning.pessimistic import bellman_consistent, strategy_wise
from gamekl.offline.behavior import behavior_with_concentrability
from gamekl.offline.models import per_action
from gamekl.preference.joint_comparisons import independent_pairs, unilateral_pairs
from gamekl.preference.rates import predicted_preference_constant
from gamekl.solvers.exact.certificate import check_two_players
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.solution import Solution, SolveError
from gamekl.solvers.staged import StagedSolution

PAIRS = {"unilateral": unilateral_pairs, "independent": independent_pairs}


def _make_behavior(family: Estimated, tuning: Tuning, game: Any, regularizer: Regularizer) -> Array:
    """The joint distribution of the logged actions."""
    if tuning.concentrability is not None:
        return behavior_with_concentrability(
            game, regularizer.log_reference, tuning.concentrability, regularizer=regularizer
        )
    if not isinstance(family.behavior, str):
        return joint_behavior(game, family.behavior)
    if family.behavior == "reference":
        return outer([jnp.exp(entry) for entry in regularizer.log_reference])
    return jnp.full((*game.stage_shape, *game.num_actions), 1 / math.prod(game.num_actions))


def make_settings(family: Estimated, tuning: Tuning, key: Array) -> list[Setting]:
    """The games with the behaviors of their logs."""
    settings: list[Setting] = []
    for drawn in drawn_games(key, family.game):
        game = drawn.game
        regularizer = make_regularizer(family, drawn, tuning.temperature or 1.0)
        validate(game, regularizer)
        check_noise(family.noise, game)
        if isinstance(family, Exact):
            check_two_players(cast(NormalFormGame, game))
        behavior = _make_behavior(family, tuning, game, regularizer)
        if ESTIMATORS[family.estimator].compares:
            behavior = PAIRS[family.pairs](game, behavior)
        features = None if family.estimator == "tabular" else drawn.features
        settings.append(Setting(game, regularizer, behavior, features))
    return settings


def predict(family: Estimated, tuning: Tuning, settings: list[Setting]) -> Prediction:
    """The rate of the equilibrium to which the solver comes, if it comes to one."""
    del tuning
    if not family.may_predict:
        return Prediction(-1.0 if family.made_small == "regularized_gap" else -0.5)
    slope = -0.5 if family.rounds else -1.0
    smooth = family.estimator == "ridge" and family.game.kind == "smooth"
    if smooth or not ESTIMATORS[family.estimator].known:
        unknown = f"the constant of a {family.estimator} estimate of this game is not known"
        return Prediction(slope, remark=unknown)
    if family.rounds and not all(uniqueness(entry.game, entry.regularizer).contraction < 1 for entry in settings):
        return Prediction(slope, remark="play may cycle: best responses are not known to contract")
    try:
        found = [_constant(family, entry) for entry in settings]
    except (ValueError, SolveError) as error:
        return Prediction(slope, remark=str(error))
    constants, firsts = zip(*found, strict=True)
    return Prediction(-1.0, float(np.mean(constants)), _round_up(max(firsts)))


def _constant(family: Estimated, setting: Setting) -> tuple[Array, int]:
    """The mean regularised gap times n, and the n from which it may be expected."""
    game, regularizer, behavior, features, _ = setting
    design = features
    if features is not None and family.game.kind != "linear":
        design = per_action(features, game.num_actions)
    solution = cast(Solution | StagedSolution, solve_nash(game, regularizer))
    if ESTIMATORS[family.estimator].compares:
        return predicted_preference_constant(game, regularizer, solution, behavior).sum(), 1
    found = predicted_constant(game, regularizer, solution, behavior, family.noise, features=design)
    return found.sum(), first_sample_size(game, found, regularizer, behavior, features=design)


def _round_up(number: int) -> int:
    """To two significant digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
    return math.ceil(number / unit) * unit


def make_program(family: Estimated, case: Case, num_samples: int) -> Program:
    """Sample, estimate, solve and evaluate."""
    alone = ESTIMATORS[family.estimator].alone
    data = Data(
        num_samples=jnp.asarray(float(num_samples)),
        noise="bernoulli" if family.noise == "bernoulli" else jnp.asarray(family.noise),
        penalty=jnp.asarray(family.penalty),
        estimator=family.estimator,
        num_rows=num_samples if alone else None,
        measures=tuple(name for name in case.metrics if METRICS[name].measure),
    )
    if isinstance(family, Gane):
        return Program(programs.neural_batch if alone else programs.gane_batch, (data,))
    if isinstance(family, Exact):
        return Program(programs.exact_batch, (data,), (programs.estimate_batch, (data,)))
    if isinstance(family, Pessimistic):
        return _pessimistic(family, case, data)
    rounds = jnp.asarray(case.num_rounds, dtype=jnp.int32)
    if cast(Played, family).has_temperatures:
        return Program(programs.gamd_batch, (data, rounds, cast(Played, family).weighting))
    return Program(programs.weights_batch, (data, rounds))


def _pessimistic(family: Pessimistic, case: Case, data: Data) -> Program:
    scale = jnp.asarray(case.scale)
    if family.is_regularized:
        return Program(programs.lower_confidence_batch, (data, scale))
    payoff_range = jnp.asarray(family.payoff_range)
    if family.solver == "pnvi":
        return Program(programs.pnvi_batch, (data, scale, payoff_range), (programs.estimate_batch, (data,)))
    minimize = strategy_wise if family.solver == "strategy_wise" else bellman_consistent
    return Program(programs.surrogate_batch, (data, scale, payoff_range, minimize))
