"""Values that are not told but asked for: each action is tried against what the others play, and wins or not.

A query is one action of one player against one draw of the others' actions, and is won with the probability that the
payoffs say, which are in [0, 1]: for preferences, one comparison. The wins of n queries for one action are binomial
with the action's value, whatever the draws of the others in between; so values are drawn from their exact law without
drawing any action.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from gamekl.solvers.play.products import AnchoredGame, Play, Profiles
from gamekl.solvers.play.rules.anchored import Rule

Keys = Key[Array, " lane"]


class AskedGame(AnchoredGame):
    """A game whose values are estimates.

    Attributes:
        chances: the game in probabilities to win, neither scaled nor centred.
        keys: of this evaluation, one for each lane.
        num_queries: for each action.
    """

    chances: AnchoredGame
    keys: Keys
    num_queries: int = eqx.field(static=True)

    def values(self, policy: Profiles) -> Profiles:
        """Estimates of the values, from the wins of `num_queries` queries for each action."""

        def wins(key: Array, chance: Float[Array, "player actions"]) -> Array:
            draws = jax.random.uniform(key, (self.num_queries, *chance.shape), chance.dtype)
            return jnp.mean(draws < chance, axis=0, dtype=chance.dtype)

        rates = jax.vmap(wins, in_axes=(0, -1), out_axes=-1)(self.keys, self.chances.values(policy))
        return jnp.where(self.mask, rates / self.temperature[:, None], 0)

    def again(self) -> "AskedGame":
        """The same game with fresh keys, so that a second evaluation draws anew."""
        fresh = jax.vmap(lambda key: jax.random.fold_in(key, 1))(self.keys)
        return eqx.tree_at(lambda game: game.keys, self, fresh)


class Asking(Rule):
    """A rule that is told wins in place of values; its rounds are recorded with the values.

    Attributes:
        rule: the method.
        chances: the game in probabilities to win, neither scaled nor centred.
        keys: of the run, one for each lane.
        num_queries: for each action in each evaluation.
    """

    rule: Rule
    chances: AnchoredGame
    keys: Keys
    num_queries: int = eqx.field(static=True)

    def init(self, game: AnchoredGame) -> Any:
        """The state of the rule before the first round."""
        return self.rule.init(game)

    def step(self, game: AnchoredGame, state: Any, round: Int[Array, " lane"], /) -> tuple[Any, Play]:
        """The state after a round in which values were asked for, and what was played, with the true values."""
        keys = jax.vmap(jax.random.fold_in)(self.keys, round)
        shared = {name: getattr(game, name) for name in ("log_reference", "mask", "temperature")}
        asked = AskedGame(**shared, chances=self.chances, keys=keys, num_queries=self.num_queries)
        state, play = self.rule.step(asked, state, round)
        return state, game.play_policy(play.policy)
