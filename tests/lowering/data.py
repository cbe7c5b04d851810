"""Data, estimates, and learning from them or while playing."""

from functools import partial

import gamekl as gk
from gamekl.learning.bootstrap import _earn, _earn_all, _estimates, _measure, _measure_all
from lowering.inputs import (
    ANCHOR,
    GAME,
    JOINT,
    KEY,
    MARKOV,
    NUMBER,
    POLICY,
    SIZES,
    STAGES,
    anchors,
    batch,
    made,
    many,
    policies,
    program,
    table,
)

learning, offline, online, preference = gk.learning, gk.offline, gk.online, gk.preference
KINDS = {"": (GAME, ()), ", contexts": STAGES["contexts"], ", markov": STAGES["markov"]}


def logged(make, stage):
    """Statistics of a game's log."""
    return made(partial(offline.sample_statistics, num_samples=100, noise=1.0), KEY, make, table(*stage, *SIZES))


def rows(make, stage):
    """A game's log, row by row."""
    return made(partial(offline.sample_dataset, num_samples=20, noise=1.0), KEY, make, table(*stage, *SIZES))


LOGS = {kind: logged(make, stage) for kind, (make, stage) in KINDS.items()}
ROWS = {kind: rows(make, stage) for kind, (make, stage) in KINDS.items()}
ESTIMATE = made(offline.estimate, LOGS[""])
FEATURES, CONTEXT_FEATURES = table(*SIZES, 2), table(3, 2)
COMPARED = made(partial(preference.sample_joint_comparisons, num_samples=100), KEY, GAME, table(*SIZES, *SIZES))
TRAJECTORIES = made(partial(preference.sample_trajectory_comparisons, num_samples=20), KEY, MARKOV, table(2, 3, *SIZES))


def modelled(kind, data, features):
    """An estimate by a model with features."""
    return program(lambda data, features: offline.estimate(data, model=kind(features)), data, features)


def neural(key, data, features):
    network = offline.Neural(key, features, num_members=2, width=4, max_steps=10)
    return offline.estimate(data, model=network)


DATA = {
    **{
        f"offline.sample_statistics{kind}": program(
            offline.sample_statistics, KEY, make, table(*stage, *SIZES), NUMBER, NUMBER
        )
        for kind, (make, stage) in KINDS.items()
    },
    "offline.sample_statistics, bernoulli": program(
        offline.sample_statistics, KEY, GAME, JOINT, NUMBER, noise="bernoulli"
    ),
    **{
        f"offline.sample_dataset{kind}": program(
            offline.sample_dataset, KEY, make, table(*stage, *SIZES), num_samples=20, noise=1.0
        )
        for kind, (make, stage) in KINDS.items()
    },
    **{
        f"offline.statistics_from_dataset{kind}": program(offline.statistics_from_dataset, ROWS[kind]) for kind in KINDS
    },
    **{f"offline.estimate{kind}": program(offline.estimate, LOGS[kind]) for kind in KINDS},
    "offline.estimate, ridge": modelled(offline.Ridge, LOGS[""], FEATURES),
    "offline.estimate, ridge of each action": modelled(offline.ActionRidge, LOGS[", contexts"], CONTEXT_FEATURES),
    "offline.estimate, finite class": modelled(offline.FiniteClass, LOGS[""], many(GAME)),
    "offline.estimate, neural": program(neural, KEY, ROWS[", contexts"], CONTEXT_FEATURES),
    "offline.per_action": program(offline.per_action, CONTEXT_FEATURES, num_actions=SIZES),
    "offline.lower_confidence": program(offline.lower_confidence, ESTIMATE, NUMBER, NUMBER),
    "offline.coverage": program(offline.coverage, ESTIMATE, POLICY),
    "offline.joint_behavior": program(offline.joint_behavior, GAME, JOINT),
    **{
        f"offline.concentrability{kind}": program(offline.concentrability, make, table(*stage, *SIZES), policies(make))
        for kind, (make, stage) in KINDS.items()
    },
    "offline.stage_concentrability": program(
        offline.stage_concentrability, MARKOV, table(2, 3, *SIZES), policies(MARKOV)
    ),
    "preference.independent_pairs": program(preference.independent_pairs, GAME, JOINT),
    "preference.unilateral_pairs": program(preference.unilateral_pairs, GAME, JOINT),
    "preference.sample_joint_comparisons": program(
        preference.sample_joint_comparisons, KEY, GAME, table(*SIZES, *SIZES), NUMBER
    ),
    "preference.estimate_payoffs": program(preference.estimate_payoffs, COMPARED, penalty=0.1),
    "preference.sample_trajectory_comparisons": program(
        preference.sample_trajectory_comparisons, KEY, MARKOV, table(2, 3, *SIZES), num_samples=20
    ),
    "preference.estimate_rewards": program(preference.estimate_rewards, TRAJECTORIES),
}

GANE = {
    "gane": program(partial(gk.gane, throw=False), ESTIMATE, ANCHOR),
    "gane, vmap": batch(partial(gk.gane, throw=False), ESTIMATE, ANCHOR),
}


def play(learner, num_rounds=5):
    """Rounds of a learner that is made of what is given."""
    return lambda key, *given: online.play_online(key, learner(*given), num_rounds)


def tabular(rule, concept):
    def call(game):
        return online.Mamex(online.TabularPayoffs(game, noise=0.3), rule(0.1), concept)

    return play(call)


def linear(game, features):
    return online.Mamex(online.LinearPayoffs(game, features, noise=0.3), online.Optimism(0.1), "cce")


def of_models(game, other):
    models = [game, gk.MarkovGame(game.rewards, other.transitions, game.initial_probs)]
    return online.Mamex(online.FiniteModels(models), online.Optimism(0.1), "cce")


def of_values(game, other):
    models = [game, gk.MarkovGame(game.rewards, other.transitions, game.initial_probs)]
    tables = online.values_of_models(models)
    return online.Mamex(online.FiniteValues(game, tables, noise=0.3), online.Optimism(0.1), "cce")


SMALL = made(lambda key: gk.games.markov(key, (2, 2), num_states=2, horizon=2), KEY)
PESSIMISM = {"scale": 1.0, "payoff_range": (0.0, 1.0), "num_steps": 10, "num_starts": 3}
RESAMPLED, GAMES, TABLES = many(LOGS[""]), many(GAME), many(POLICY)

LEARNING = {
    "learning.bootstrap, estimates": program(_estimates, RESAMPLED, prior_mean=0.0),
    "learning.bootstrap, point": program(_measure, GAME, ANCHOR, POLICY),
    "learning.bootstrap": program(_measure_all, GAMES, ANCHOR, TABLES),
    "learning.bootstrap_profile, point": program(_earn, GAME, POLICY),
    "learning.bootstrap_profile": program(_earn_all, GAMES, POLICY),
    "learning.fit_stages": program(
        partial(learning.fit_stages, solve=partial(gk.solve_nash, throw=False)), LOGS[", markov"], anchors(MARKOV)
    ),
    "learning.strategy_wise": program(learning.strategy_wise, ESTIMATE, **PESSIMISM),
    "learning.strategy_wise, vmap": batch(learning.strategy_wise, ESTIMATE, **PESSIMISM),
    "learning.bellman_consistent": program(learning.bellman_consistent, ESTIMATE, **PESSIMISM),
    "learning.bellman_consistent_cce": program(learning.bellman_consistent_cce, ESTIMATE, **PESSIMISM),
    "online.decoupling": program(online.decoupling, FEATURES, num_rounds=5),
    "online.optimistic_entry": program(online.optimistic_entry, JOINT, JOINT, NUMBER, NUMBER, NUMBER),
    "online.pure_policies": program(online.pure_policies, num_actions=(2, 2), horizon=2, num_states=2),
    "online.step_size": program(online.step_size, NUMBER, NUMBER),
    "online.values_of_models": program(lambda *models: online.values_of_models(models), SMALL, SMALL),
    **{
        f"online.play_online, {concept}": program(tabular(online.Optimism, concept), KEY, GAME)
        for concept in ("nash", "ce", "cce")
    },
    "online.play_online, greed": program(tabular(online.Greed, "cce"), KEY, GAME),
    "online.play_online, vmap": batch(tabular(online.Optimism, "cce"), KEY, GAME),
    "online.play_online, linear": program(play(linear), KEY, GAME, FEATURES),
    "online.play_online, models": program(play(of_models), KEY, SMALL, SMALL),
    "online.play_online, values": program(play(of_values), KEY, SMALL, SMALL),
    "online.play_online, stages": program(play(partial(online.OptimisticStages, noise=0.3, scale=1.0)), KEY, MARKOV),
}

ON_HOST = {
    "offline.behavior_with_concentrability": "searches for a mixture on the host",
    "offline.check_orders": "looks at what was read",
    "offline.count_comparisons": "counts what was read, whose size decides the shapes",
    "preference.count_joint_comparisons": "counts what was read",
    "offline.load_log_schema": "reads a file",
    "offline.read_log": "reads files",
    "learning.pnvi": "solves linear programmes on the host",
}

PROGRAMS = {**DATA, **GANE, **LEARNING}
