"""Learning games while playing them, over games, seeds and numbers of rounds."""

from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from gamekl.core.games import MarkovGame
from gamekl.experiment.kinds.pipeline import for_games_and_seeds
from gamekl.experiment.kinds.settings import Setting
from gamekl.online.loop import play_online
from gamekl.online.mamex import Hypotheses, Mamex, Rule
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
        models = [MarkovGame(game.rewards, moves, game.initial_probs) for moves in cast(Array, setting.models)]
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
            "num_steps": num_rounds.astype(jnp.int32),
            "status": jnp.where(found.uncertified == 0, Status.converged, Status.not_converged),
            "unvisited": jnp.zeros((), jnp.int32),
        }

    return for_games_and_seeds(one)(keys, settings)
