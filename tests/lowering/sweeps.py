"""What sweeps compute, over games and seeds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import gamekl as gk
from gamekl.experiment.kinds import computing
from gamekl.experiment.kinds.estimated import programs
from gamekl.experiment.kinds.estimated.estimates import Data
from gamekl.experiment.kinds.follow import computing as follow
from gamekl.experiment.kinds.lead import computing as lead
from gamekl.experiment.kinds.online import computing as online
from gamekl.experiment.kinds.setting import Setting
from gamekl.learning import pessimistic
from lowering.inputs import (
    CONTEXTS,
    GAME,
    KEY,
    NUMBER,
    POLICY,
    SELF,
    SIZES,
    anchors,
    made,
    many,
    program,
    table,
    whole,
)

GAMES, SEEDS = 3, 2
KEYS = many(many(KEY, SEEDS), GAMES)


def settings(make, behavior=None, features=None):
    """The games of a family."""
    logged = behavior or table(*SIZES)
    return many(lambda: Setting(make(), anchors(make)(), logged(), features and features()), GAMES)


def data(estimator="tabular", num_rows=None):
    """How it is drawn, and what is estimated from it."""
    return made(lambda number: Data(number, number, number, estimator, num_rows), NUMBER)


PLAIN, DATA = settings(GAME), data()
ESTIMATES = made(lambda *given: programs.estimate_batch(*given), KEYS, PLAIN, DATA)
PROFILES = many(many(POLICY, SEEDS), GAMES)


def following(keys, settings):
    known = gk.rules.NashMD.proven(0.1)
    tols = jnp.asarray(1e-6), jnp.asarray(1e-10)
    return follow.follow_batch(keys, settings, known.rule, known.kl, tols, (3, 10), None)


def learning(keys, settings):
    known = online.Known("tabular", jnp.asarray(0.3), jnp.asarray((0.0, 1.0)), 0)
    rule = gk.online.Optimism(0.1)
    return online.online_batch(keys, settings, known, rule, "cce", jnp.asarray(5), 5)


def spread(*given):
    """Over the devices of a mesh, here one."""
    mesh = Mesh(np.array(jax.devices()[:1]), ("games",))
    return computing.on_devices(programs.estimate_batch, mesh)(*given)


PROGRAMS = {
    "experiment.gane_batch": program(programs.gane_batch, KEYS, PLAIN, DATA),
    "experiment.on_devices": program(spread, KEYS, PLAIN, DATA),
    "experiment.neural_batch": program(
        programs.neural_batch, KEYS, settings(CONTEXTS, table(3, *SIZES), table(3, 2)), data("neural", 20)
    ),
    "experiment.lower_confidence_batch": program(programs.lower_confidence_batch, KEYS, PLAIN, DATA, NUMBER),
    "experiment.surrogate_batch": program(
        partial(programs.surrogate_batch, minimize=pessimistic.strategy_wise), KEYS, PLAIN, DATA, NUMBER, table(2)
    ),
    "experiment.pnvi_batch": program(programs._measure_profiles, DATA, PLAIN, ESTIMATES, PROFILES),
    "experiment.exact_batch": program(programs._unregularized, DATA, PLAIN, PROFILES),
    "experiment.gamd_batch": program(programs.gamd_batch, KEYS, PLAIN, DATA, whole(2), weighting="uniform"),
    "experiment.weights_batch": program(programs.weights_batch, KEYS, PLAIN, DATA, whole(2)),
    "experiment.follow_batch": program(following, KEYS, settings(SELF, table(3, 3))),
    "experiment.lead_batch": program(
        lead.lead_batch, KEYS, settings(GAME, table(4, 2)), NUMBER, NUMBER, NUMBER, NUMBER
    ),
    "experiment.online_batch": program(learning, KEYS, PLAIN),
}
