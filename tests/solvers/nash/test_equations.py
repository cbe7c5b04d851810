"""The tracer follows any system that says what `gamekl.solvers.nash.equations` asks.

Here it is one of games in which all play alike, with one policy for all players, beside the answers for the same games
with a policy each.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import gamekl as gk
from gamekl.core.kernels.lanes import Determinant
from gamekl.solvers.nash import path
from gamekl.solvers.nash.queue import Task, solve_tasks

jax.config.update("jax_enable_x64", True)


class Point(eqx.Module):
    """F and its derivatives, a lane each."""

    policy: Array
    residual: Array
    slope: Array
    matrix: Array  # [lane, logits, logits]

    def level(self, joined):
        return joined - jnp.sum(self.policy[:, None] * joined, axis=0)

    def solve(self, right, weight):
        found = jnp.linalg.solve(self.matrix, jnp.moveaxis(right, -1, 0))
        sign, log = jnp.linalg.slogdet(self.matrix)
        spread = jnp.linalg.cond(self.matrix)
        return self.level(jnp.moveaxis(found, 0, -1)), Determinant(sign, log, spread), weight


class AllAlike(eqx.Module):
    """Player 0's payoffs over temperature, [own, others...] with a lane axis behind, of players who play alike."""

    payoffs: Array
    anchor: Array
    scale: Array

    @property
    def pace(self):
        return 1 / self.scale

    @property
    def first_step(self):
        return 1.0 / (self.payoffs.ndim - 2)

    def normalized(self, z):
        logs = jax.nn.log_softmax(z, axis=0)
        return logs, jnp.exp(logs)

    def linearize_at(self, z, policy, beta):
        def values(logits, payoffs):
            for _ in range(payoffs.ndim - 1):
                payoffs = payoffs @ jax.nn.softmax(logits)
            return payoffs

        push = jax.vmap(values, in_axes=-1, out_axes=-1)(z, self.payoffs)
        moves = jax.vmap(jax.jacfwd(values), in_axes=-1)(z, self.payoffs)
        matrix = jnp.eye(len(z)) - beta[:, None, None] * moves
        return Point(policy, z - self.anchor - beta * push, -push, matrix)


def symmetric(seed, players, size):
    """Payoffs of player 0 that do not care who of the others does what, and the game of all."""
    own = np.random.default_rng(seed).uniform(0, 1, (size,) * players)
    if players == 3:
        own = (own + np.swapaxes(own, 1, 2)) / 2
    axes = range(players)
    game = gk.NormalFormGame(np.stack([np.moveaxis(own, 0, player) for player in axes]))
    return own, game


@pytest.mark.parametrize("players", [2, 3])
@pytest.mark.parametrize("rate", [3.0, 20.0])
def test_games_in_which_all_play_alike(players, rate):
    size, number = 3, 16
    tables, games = zip(*(symmetric(seed, players, size) for seed in range(number)), strict=True)
    spreads = np.array([np.ptp(table) for table in tables])
    system = AllAlike(
        payoffs=jnp.asarray(np.stack(tables)) * rate,
        anchor=jnp.full((number, size), -np.log(size)),
        scale=jnp.asarray(spreads * rate),
    )
    no = jnp.zeros(number, bool)
    tasks = Task(system=system, guess=jnp.zeros((number, size)), guessed=no, free=no, usable=~no)
    found = jax.jit(lambda tasks: solve_tasks(tasks, 1_000, width=8, joined=False))(tasks)
    assert (found.phase == path.FOUND).all() and (found.beta == 1).all()
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *games)
    regularizers = jax.vmap(lambda game: gk.Regularizer.uniform(game, 1 / rate))(batch)
    known = gk.solve_nash_batch(batch, regularizers)
    assert (known.status == gk.Status.converged).all()
    # Where another branch crosses the path, on which they do not, the tracer goes straight on.
    np.testing.assert_allclose(jnp.exp(found.z), known.policy[0], atol=1e-9)
    np.testing.assert_allclose(jnp.exp(found.z), known.policy[1], atol=1e-9)
    np.testing.assert_array_equal(found.folds, known.path.folds)
