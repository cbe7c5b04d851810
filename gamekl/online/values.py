"""A finite class of values as hypotheses of a Markov game: nothing is known of rewards and transitions.

A hypothesis f is a table Q_f of what each player earns from every step, state and joint action on, for each pure joint
policy a behind them. Its loss is the squared Bellman error less the least that any hypothesis' values at the same step
have against the same targets:

    L_i(f, a) = sum_h [ E_h(f, f) - min_g E_h(g, f) ],
    E_h(g, f) = sum over what was seen of (Q_{g,h}(s, u) - r_i - Q_{f,h+1}(s', a(s')))^2.

That L is small for the truth takes a complete class: one that holds the Bellman image of each hypothesis. (Loss: arXiv
2310.06243, by its reviews; how sums of counts and of rewards give it is derived.)
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gamekl.core.arrays import as_float_array
from gamekl.core.games import MarkovGame
from gamekl.core.kernels.lanes import PRECISION
from gamekl.core.policies import is_concrete
from gamekl.core.validation import check_finite, check_nonnegative
from gamekl.online.mamex import LARGEST_SET, Payoffs
from gamekl.online.models import FiniteClass, action_values, check_models, joint_plans, start_values, trajectory

Sums = tuple[Float[Array, "horizon cell next_state"], Float[Array, "player horizon cell"]]


def values_of_models(models: Sequence[MarkovGame], *, limit: int = LARGEST_SET) -> Float[Array, "..."]:
    """The action values of Markov games: a class of `FiniteValues`, complete for two steps if rewards are the same.

    Args:
        models: with the same rewards and first states.
        limit: most pure joint policies.

    Returns:
        Shape ``[model, joint, horizon, state, player, *actions]``, payoff units.

    Raises:
        TypeError: a model is no `MarkovGame`.
        ValueError: no model, or more joint policies than `limit`.
    """
    stacked = check_models(models, 0)
    plans = joint_plans(models[0], limit)
    return jax.vmap(jax.vmap(action_values, (0, None)), (None, 0))(plans, stacked)


class FiniteValues(FiniteClass):
    """A class of finitely many tables of values. Whether the true ones are among them is not checked.

    Attributes:
        noise: standard deviation of the Gaussian noise of rewards, payoff units.
        tables: Q_f, shape ``[hypothesis, joint, player, horizon, cell]``, a cell being a state and a joint action.
        values: V_f at each state under the joint policy, shape ``[hypothesis, joint, player, horizon, state]``.
        earned: the true V_i^a, shape ``[joint, player]``.

    Raises:
        TypeError: `game` is no `MarkovGame`.
        ValueError: an empty class, tables of another shape, or more joint policies than `limit`.
    """

    noise: Array
    tables: Float[Array, "hypothesis joint player horizon cell"]
    values: Float[Array, "hypothesis joint player horizon state"]
    earned: Float[Array, "joint player"]

    def __init__(self, game: MarkovGame, tables: ArrayLike, *, noise: ArrayLike, limit: int = LARGEST_SET) -> None:
        """Take the true game, the hypotheses' tables of action values, and the noise of rewards.

        Args:
            game: the true game.
            tables: shape ``[hypothesis, joint, horizon, state, player, *actions]``, such as `values_of_models` makes.
            noise: standard deviation of a reward, payoff units.
            limit: most pure joint policies that are enumerated.
        """
        check_models([game], 0)
        check_nonnegative(noise=noise)
        self.game, self.noise = game, jnp.asarray(noise, game.dtype)
        self.plans = joint_plans(game, limit)
        table = as_float_array("tables", tables).astype(game.dtype)
        takes = (len(self.plans), *game.rewards.shape)
        if table.ndim != len(takes) + 1 or table.shape[1:] != takes or not len(table):
            raise ValueError(
                f"tables: got shape {table.shape}, takes [hypothesis, joint, horizon, state, player, *actions] = "
                f"(1 or more, {', '.join(map(str, takes))})"
            )
        if is_concrete(table):
            check_finite("tables", np.asarray(table))
        horizon, states = game.stage_shape
        table = jnp.moveaxis(table, 4, 2)  # [hypothesis, joint, player, horizon, state, *actions]
        steps, places = np.indices((horizon, states))

        def follow(plan: Array, table: Array) -> Array:
            return table[(slice(None), slice(None), steps, places, *plan)]

        self.values = jax.vmap(follow, (0, 1), 1)(self.plans, table)
        self.tables = table.reshape(*table.shape[:4], -1)
        self.earned = start_values(self.plans, game)

    @property
    def truth(self) -> Payoffs:
        """The true values of pure joint policies, shape ``[1, player, *choices]``, payoff units."""
        return self._shaped(self.earned)

    def begin(self) -> Sums:
        """The counts of next states and the sums of rewards before the first round, all 0."""
        _, _, players, horizon, cells = self.tables.shape
        states = self.game.stage_shape[1]
        dtype = self.game.dtype
        return jnp.zeros((horizon, cells, states), dtype), jnp.zeros((players, horizon, cells), dtype)

    def losses(self, seen: Sums) -> Float[Array, "hypothesis joint player"]:
        """The losses L_i(f, a) of what was seen, payoff units squared."""
        moves, sums = seen
        visits = moves.sum(axis=-1)
        ahead = jnp.concatenate([self.values[..., 1:, :], jnp.zeros_like(self.values[..., :1, :])], axis=-2)
        targets = sums + jnp.einsum("hcs,fjihs->fjihc", moves, ahead, precision=PRECISION)
        squares = jnp.sum(visits * self.tables**2, axis=-1)  # [g, joint, player, horizon]
        crossed = jnp.einsum("gjihc,fjihc->gfjih", self.tables, targets, precision=PRECISION)
        errors = squares[:, None] - 2 * crossed  # up to what no g changes
        own = jnp.moveaxis(jnp.diagonal(errors), -1, 0)
        return jnp.sum(own - errors.min(axis=0), axis=-1)

    def _starts(self) -> Float[Array, "hypothesis joint player"]:
        return jnp.matmul(self.values[..., 0, :], self.game.initial_probs.astype(self.game.dtype), precision=PRECISION)

    def optimistic(self, seen: Sums, eta: Float[Array, ""]) -> Payoffs:
        """The largest value of any hypothesis, eta times its loss taken off."""
        return self._shaped(jnp.max(self._starts() - eta * self.losses(seen), axis=0))

    def fitted(self, seen: Sums) -> Payoffs:
        """The values of the hypothesis of least loss, for each joint policy and player."""
        best = jnp.argmin(self.losses(seen), axis=0)
        return self._shaped(jnp.take_along_axis(self._starts(), best[None], axis=0)[0])

    def observe(self, key: Array, seen: Sums, choice: Int[Array, "1 player"]) -> Sums:
        """Play an episode, and add what happens to counts and sums."""
        plan = self._plan(choice)
        move_key, reward_key = jax.random.split(key)
        states = trajectory(move_key, self.game, plan)
        steps = jnp.arange(len(states))
        actions = tuple(plan[:, steps, states])
        cells = jnp.ravel_multi_index(
            (states, *actions), (self.game.stage_shape[1], *self.game.num_actions), mode="clip"
        )
        paid = self.game.rewards[(steps, states, slice(None), *actions)]
        paid = paid + self.noise * jax.random.normal(reward_key, paid.shape, paid.dtype)
        moves, sums = seen
        # What follows the last step does not matter: state 0 stands for it.
        following = jnp.concatenate([states[1:], jnp.zeros_like(states[:1])])
        return moves.at[steps, cells, following].add(1), sums.at[:, steps, cells].add(paid.T)
