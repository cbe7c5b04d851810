"""What the module beside it computes; imported where a sweep is run."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import gamekl as gk
from gamekl.experiment.kinds.computing import Program
from gamekl.experiment.kinds.setting import Setting, drawn_games, for_games_and_seeds, make_regularizer
from gamekl.experiment.schema.cases import Prediction


class Slow(gk.rules.MMD):
    """Mirror descent, with half of its steps."""

    def pace(self, game, round):
        return super().pace(game, round) / 2


def welfare_loss(game, regularizer, log_policy):
    """Payoff units."""
    del regularizer
    total = game.payoffs.sum(axis=0)
    rows, columns = map(jnp.exp, log_policy)
    return total.max() - rows @ total @ columns


def shrunk(key, setting, data):
    """Cell means drawn to 0 by one row."""
    found = gk.offline.estimate(data.statistics(key, setting))
    payoffs = found.game.payoffs * found.counts / (found.counts + 1)
    return gk.offline.Estimate(game=gk.NormalFormGame(payoffs), counts=found.counts)


def make_settings(family, tuning, key):
    settings = []
    for drawn in drawn_games(key, family.game):
        regularizer = make_regularizer(family, drawn, tuning.temperature)
        rows, columns = gk.solve_nash(drawn.game, regularizer).policy
        settings.append(Setting(drawn.game, regularizer, jnp.outer(rows, columns), None))
    return settings


def marginals(joint):
    return [joint.sum(axis=1), joint.sum(axis=0)]


def predict(family, tuning, settings):
    """Of shares of n rows the squared errors sum to (1 - sum p^2) / n."""
    policies = [policy for setting in settings for policy in marginals(setting.behavior)]
    return Prediction(-1.0, float(np.mean([1 - np.sum(policy**2) for policy in policies])) * 2)


@eqx.filter_jit
def imitate_batch(keys, settings, num_samples, prior):
    def one(key, setting):
        counts = gk.offline.sample_statistics(key, setting.game, setting.behavior, num_samples, 0.0).counts
        errors = []
        for seen, policy in zip(marginals(counts), marginals(setting.behavior), strict=True):
            shares = (seen + prior) / (num_samples + prior * len(seen))
            errors.append(jnp.sum((shares - policy) ** 2))
        return {
            "imitation_error": sum(errors),
            "status": jnp.zeros((), jnp.int32),
            "unvisited": jnp.sum(counts == 0).astype(jnp.int32),
        }

    return for_games_and_seeds(one)(keys, settings)


def make_program(family, case, num_samples):
    return Program(imitate_batch, (jnp.asarray(float(num_samples)), jnp.asarray(family.prior)))
