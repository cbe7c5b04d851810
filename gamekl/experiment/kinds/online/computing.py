"""Learning games while playing them, over games, seeds and numbers of rounds."""

import math
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.games import MarkovGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.validation import validate
from gamekl.experiment.kinds.computing import Program
from gamekl.experiment.kinds.online.schema import Online
from gamekl.experiment.kinds.setting import Drawn, Setting, drawn_games, for_games_and_seeds, make_games
from gamekl.experiment.schema.cases import Case, Prediction, Tuning
from gamekl.online.loop import play_online
from gamekl.online.mamex import Greed, Hypotheses, Mamex, Optimism, Rule
from gamekl.online.models import FiniteModels
from gamekl.online.tables import LinearPayoffs, TabularPayoffs
from gamekl.online.values import FiniteValues, values_of_models
from gamekl.solvers.solution import Status


class Known(eqx.Module):
    """What is known of the hypotheses beside the setting.

    Attributes:
        kind: the class, "tabular", "linear", "models" or "values".
        noise: of rewards.
        payoff_range: of tables.
        truth: the true model's number, of those that have models.
    """

    kind: str = eqx.field(static=True)
    noise: Array
    payoff_range: Array
    truth: int = eqx.field(static=True)

    def hypotheses(self, setting: Setting) -> Hypotheses:
        """The class itself, with the true game."""
        game = setting.game
        if self.kind == "tabular":
            return TabularPayoffs(game, noise=self.noise, low=self.payoff_range[0], high=self.payoff_range[1])
        if self.kind == "linear":
            return LinearPayoffs(game, cast(Array, setting.features), noise=self.noise)
        models = [MarkovGame(game.rewards, moves, game.initial_probs) for moves in cast(Array, setting.extra)]
        if self.kind == "models":
            return FiniteModels(models, self.truth)
        return FiniteValues(game, values_of_models(models), noise=self.noise)

    def learner(self, setting: Setting, rule: Rule, concept: str) -> Mamex:
        """Who plays.

        Raises:
            ValueError: of concrete settings, the class lacks the truth or is too large, or has no such equilibrium.
        """
        return Mamex(self.hypotheses(setting), rule, concept)


@eqx.filter_jit
def online_batch(
    keys: Array, settings: Setting, known: Known, rule: Rule, concept: str, num_rounds: Array, most_rounds: int
) -> dict[str, Array]:
    """Play so many rounds of each game, once for each seed; every result is ``[game, seed]``.

    Args:
        keys: of the play, ``[game, seed]``.
        settings: the true games.
        known: what is known of them.
        rule: what is made of that.
        concept: the equilibrium that is played.
        num_rounds: K.
        most_rounds: of any run that this program is for.
    """

    def one(key: Array, setting: Setting) -> dict[str, Any]:
        found = play_online(key, known.learner(setting, rule, concept), num_rounds, most_rounds=most_rounds)
        return {
            "regret": found.regret.sum(),
            "solver_gap": found.oracle_gap,
            "num_rounds": num_rounds.astype(jnp.int32),
            "status": jnp.where(found.uncertified == 0, Status.converged, Status.not_converged),
            "unvisited": jnp.zeros((), jnp.int32),
        }

    return for_games_and_seeds(one)(keys, settings)


# Regret grows as the root of the rounds.
EXPECTED = Prediction(0.5)


def _setting(family: Online, drawn: Drawn) -> Setting:
    """The true game, with the models of which it is one."""
    config, game, models = family.online, drawn.game, None
    if family.game.kind == "doors":
        models = jnp.stack([model.transitions for model in game])
        game = game[cast(int, config.truth)]
    elif family.game.kind == "markov":
        others = make_games(drawn.key, family.game.model_copy(update={"num_games": cast(int, config.num_models)}))
        models = jnp.stack([*(model.transitions for model in others[1:]), game.transitions])
    validate(game)
    uniform = jnp.full((*game.stage_shape, *game.num_actions), 1 / math.prod(game.num_actions))
    return Setting(game, Regularizer.uniform(game, 1.0), uniform, drawn.features, models)


def make_settings(family: Online, tuning: Tuning, key: Array) -> list[Setting]:
    """The true games, which must be such as can be learnt so."""
    del tuning
    settings = [_setting(family, drawn) for drawn in drawn_games(key, family.game)]
    known, rule = _known(family), _rule(family, family.sizes(EXPECTED)[0])
    for setting in settings:
        known.learner(setting, rule, family.online.concept)
    return settings


def predict(family: Online, tuning: Tuning, settings: list[Setting]) -> Prediction:
    """The rate that is proven, up to logarithms; its constant is not known."""
    del family, tuning, settings
    return EXPECTED


def _known(family: Online) -> Known:
    config = family.online
    return Known(
        kind=config.hypotheses,
        noise=jnp.asarray(family.noise),
        payoff_range=jnp.asarray(family.payoff_range or (0.0, 1.0)),
        truth=config.truth if config.truth is not None else (config.num_models or 1) - 1,
    )


def _rule(family: Online, num_rounds: int) -> Rule:
    config = family.online
    if config.exploration is not None:
        return Greed(config.exploration)
    unit = config.eta or (1.0 if config.hypotheses == "models" else 1 / (2 * family.noise))
    return Optimism(unit / math.sqrt(num_rounds))


def make_program(family: Online, case: Case, num_samples: int) -> Program:
    """Play so many rounds."""
    played = jnp.asarray(num_samples), case.num_samples[-1]
    return Program(online_batch, (_known(family), _rule(family, num_samples), family.online.concept, *played))
