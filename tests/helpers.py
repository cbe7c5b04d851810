"""What several tests need: random regularizers and the definitions, written out in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

import gamekl as gk


def dirichlet_regularizer(key, game, temperature):
    """References drawn uniformly from the simplex."""
    keys = jax.random.split(key, game.num_players)
    references = [
        jnp.log(jax.random.dirichlet(entry, jnp.ones(size, game.dtype), dtype=game.dtype))
        for entry, size in zip(keys, game.num_actions, strict=True)
    ]
    return gk.Regularizer(references, temperature)


def dirichlet_policy(key, game):
    """A log-policy for each player, drawn uniformly from the simplex."""
    return dirichlet_regularizer(key, game, 1.0).log_reference


def action_values_by_definition(payoffs, policy):
    """q_i(a_i) as a sum over all joint actions."""
    payoffs, policy = np.asarray(payoffs), [np.asarray(entry) for entry in policy]
    values = [np.zeros(len(entry)) for entry in policy]
    for actions in itertools.product(*(range(len(entry)) for entry in policy)):
        for player in range(len(policy)):
            others = [policy[j][a] for j, a in enumerate(actions) if j != player]
            values[player][actions[player]] += payoffs[(player, *actions)] * np.prod(others)
    return values


def log(*rows):
    """Log-policies of probabilities."""
    with np.errstate(divide="ignore"):
        return tuple(jnp.asarray(np.log(np.asarray(row, dtype=float))) for row in rows)
