"""The true games of a family, with all that is needed to sample, solve or play them."""

import hashlib
import math
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from gamekl import games, rules
from gamekl.core.games import NormalFormGame
from gamekl.core.policies import outer
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import check_noise, joint_behavior, validate
from gamekl.experiment.schema.cases import Tuning
from gamekl.experiment.schema.config import FamilyConfig, SweepConfig
from gamekl.experiment.schema.learners import LeadConfig, OnlineConfig
from gamekl.experiment.schema.parts import DRAWN, GameConfig, RuleConfig
from gamekl.games.featured import Featured
from gamekl.offline.behavior import behavior_with_concentrability
from gamekl.preference.joint_comparisons import independent_pairs, unilateral_pairs
from gamekl.solvers.nash.exact import check_enumerable
from gamekl.solvers.play.rules.anchored import Stepped
from gamekl.stackelberg.commit.quantal import quantal_stackelberg
from gamekl.stackelberg.follower import check_commitment

# Of keys: a seed means the same numbers whatever jax's default is, or is set to.
RANDOM = "threefry2x32"


class Setting(NamedTuple):
    """One true game with all that is needed to sample and solve it.

    Attributes:
        game: the true game.
        regularizer: at one temperature; at temperature 1 for unregularised solvers, which do not use it.
        behavior: joint distribution of the logged actions, ``[*stage, *actions]``; of pairs of them that are compared,
            ``[*actions, *actions]``, where the estimate is from preferences; of a leader the policies that it
            announced, ``[strategy, leader]``.
        features: of contexts, or of contexts and joint actions; None where the estimate needs none.
        models: transitions of a finite class of Markov games, ``[model, horizon, state, *actions, next_state]``, or
            None.
    """

    game: Any
    regularizer: Regularizer
    behavior: Array
    features: Array | None
    models: Array | None = None


def family_key(config: SweepConfig, family: FamilyConfig) -> Array:
    """The family's own stream of random numbers, whatever stands beside it in the config."""
    digest = hashlib.sha256(family.label.encode()).digest()
    key = jax.random.key(config.seed, impl=RANDOM)
    for start in range(0, 16, 4):
        key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4]))
    return key


def make_games(key: Array, config: GameConfig) -> list[Any]:
    """The games of a family, in float64; those with features as a `Featured`."""
    if config.kind == "file":
        return [games.load_game(str(config.path))]
    constructor = getattr(games, config.kind)
    parameters: dict[str, Any] = dict(config.parameters)
    if config.kind in ("contextual", "markov"):
        parameters["family"] = getattr(games, config.rewards or "uniform")
    try:
        if config.kind in DRAWN:
            keys = jax.random.split(key, config.num_games)
            return [constructor(entry, config.num_actions, **parameters) for entry in keys]
        return [constructor(**parameters)]
    except (TypeError, ValueError) as error:
        if not config.parameters:
            raise ValueError(f"game: got what makes no game of kind {config.kind!r} ({error})") from error
        raise ValueError(f"game.parameters: got {config.parameters} for kind {config.kind!r} ({error})") from error


# By the names that a config has for them.
RULES: dict[str, type[Stepped]] = {
    "mmd": rules.MMD,
    "nash_md": rules.NashMD,
    "inpo": rules.INPO,
    "egpo": rules.EGPO,
    "nash_mp": rules.NashMP,
    "spo": rules.SPO,
    "onpo": rules.ONPO,
    "mnpo": rules.MNPO,
    "mpo": rules.MPO,
    "extragradient": rules.Extragradient,
    "halpern": rules.Halpern,
    "aog": rules.AOG,
}
PAIRS = {"unilateral": unilateral_pairs, "independent": independent_pairs}


def make_rule(config: RuleConfig, temperature: float | None) -> tuple[rules.Rule, Any]:
    """The rule at a temperature, and what is proven of its KL (`gamekl.rules.Proven`), if anything is.

    The proofs are for values that are told.
    """
    kind = RULES[config.name]
    if config.step_size == "proven":
        known = kind.proven(cast(float, temperature))
        return known.rule, known.kl if config.num_queries is None else None
    step_size = cast(float, temperature if config.step_size == "temperature" else config.step_size)
    if config.name == "mpo":
        return rules.MPO(step_size, cast(int, config.magnet_rounds)), None
    return kind(step_size), None


def _make_regularizer(key: Array, family: FamilyConfig, game: Any, temperature: Any) -> Regularizer:
    """The family's references for a game; `key` draws them."""
    if family.lead is not None:
        temperature = (family.lead.anchor, temperature)
    if family.reference == "uniform":
        return Regularizer.uniform(game, temperature)
    if family.reference == "normal":
        keys = jax.random.split(key, game.num_players)
        if family.game.kind == "preference":  # one policy plays against itself
            keys = keys[jnp.zeros(2, int)]
        sizes = zip(keys, game.num_actions, strict=True)
        return Regularizer(
            [jax.nn.log_softmax(jax.random.normal(entry, (size,))) for entry, size in sizes], temperature
        )
    with np.errstate(divide="ignore"):
        return Regularizer([np.log(np.asarray(row)) for row in family.reference], temperature)


def _make_behavior(family: FamilyConfig, tuning: Tuning, game: Any, regularizer: Regularizer) -> Array:
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


def _check_rule(config: RuleConfig, temperature: float | None, game: Any) -> None:
    rule, _ = make_rule(config, temperature)
    rule.check_fits(game)
    if config.num_queries is not None and not np.all((np.asarray(game.payoffs) >= 0) & (np.asarray(game.payoffs) <= 1)):
        raise ValueError(f"rule.num_queries: got {config.num_queries} for payoffs outside of [0, 1], takes it for wins")


# Of an interior policy, the least probability; of a vertex, what its own lacks at most.
INTERIOR, VERTEX = 0.05, 1e-6


def _is_kept(config: LeadConfig, game: NormalFormGame, regularizer: Regularizer) -> bool:
    """Whether a leader's best policy is where the family wants it."""
    if config.optimum == "any":
        return True
    policy = quantal_stackelberg(game, regularizer).policy[0]
    return float(policy.min()) >= INTERIOR if config.optimum == "interior" else float(policy.max()) >= 1 - VERTEX


def _lead(family: FamilyConfig, game: Any, regularizer: Regularizer) -> list[Setting]:
    """The game with the policies that its leader announces, if it is kept."""
    config = cast(LeadConfig, family.lead)
    check_commitment(game, regularizer)
    size = game.num_actions[0]
    announced = config.lean * np.eye(size) + (1 - config.lean) / size
    return [Setting(game, regularizer, jnp.asarray(announced), None)] if _is_kept(config, game, regularizer) else []


def _learn(family: FamilyConfig, key: Array, game: Any, features: Array | None) -> Setting:
    """The true game of those that learn online, with their hypotheses; `key` draws the models beside the true one."""
    config, models = cast(OnlineConfig, family.online), None
    if family.game.kind == "doors":
        models = jnp.stack([model.transitions for model in game])
        game = game[cast(int, config.truth)]
    elif family.game.kind == "markov":
        others = make_games(key, family.game.model_copy(update={"num_games": cast(int, config.num_models)}))
        models = jnp.stack([*(model.transitions for model in others[1:]), game.transitions])
    validate(game)
    uniform = jnp.full((*game.stage_shape, *game.num_actions), 1 / math.prod(game.num_actions))
    return Setting(game, Regularizer.uniform(game, 1.0), uniform, features, models)


def make_settings(config: SweepConfig, family: FamilyConfig, tuning: Tuning) -> list[Setting]:
    """The family's games at one temperature and concentrability, in float64, checked."""
    settings, temperature = [], tuning.temperature
    key = jax.random.fold_in(family_key(config, family), 0)
    if family.game.seed is not None:
        key = jax.random.key(family.game.seed, impl=RANDOM)
    for number, made in enumerate(make_games(key, family.game)):
        game, features = made if isinstance(made, Featured) else (made, None)
        drawn = jax.random.fold_in(jax.random.fold_in(key, family.game.num_games), number)
        if family.online is not None:
            settings.append(_learn(family, drawn, game, features))
            continue
        regularizer = _make_regularizer(drawn, family, game, temperature or 1.0)
        if family.lead is not None:
            settings += _lead(family, game, regularizer)
            continue
        validate(game, regularizer)
        check_noise(family.noise, game)
        if family.rule is not None:
            _check_rule(family.rule, temperature, game)
        if family.solver == "exact":
            check_enumerable(cast(NormalFormGame, game))
        behavior = _make_behavior(family, tuning, game, regularizer)
        if family.estimator == "preferences":
            behavior = PAIRS[family.pairs](game, behavior)
        settings.append(Setting(game, regularizer, behavior, None if family.estimator == "tabular" else features))
    if not settings:
        raise ValueError(
            f"lead.optimum: got no game whose best policy is so out of {family.game.num_games}, takes some"
        )
    return settings
