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

offline, learning = gk.offline, gk.learning
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
COMPARED = made(partial(offline.sample_joint_comparisons, num_samples=100), KEY, GAME, table(*SIZES, *SIZES))
TRAJECTORIES = made(partial(offline.sample_trajectory_comparisons, num_samples=20), KEY, MARKOV, table(2, 3, *SIZES))


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
    "offline.independent_pairs": program(offline.independent_pairs, GAME, JOINT),
    "offline.unilateral_pairs": program(offline.unilateral_pairs, GAME, JOINT),
    "offline.sample_joint_comparisons": program(
        offline.sample_joint_comparisons, KEY, GAME, table(*SIZES, *SIZES), NUMBER
    ),
    "offline.estimate_payoffs": program(offline.estimate_payoffs, COMPARED, penalty=0.1),
    "offline.sample_trajectory_comparisons": program(
        offline.sample_trajectory_comparisons, KEY, MARKOV, table(2, 3, *SIZES), num_samples=20
    ),
    "offline.estimate_rewards": program(offline.estimate_rewards, TRAJECTORIES),
}

GANE = {
    "gane": program(partial(gk.gane, throw=False), ESTIMATE, ANCHOR),
    "gane, vmap": batch(partial(gk.gane, throw=False), ESTIMATE, ANCHOR),
}


def play(learner, num_rounds=5):
    """Rounds of a learner that is made of what is given."""
    return lambda key, *given: learning.play_online(key, learner(*given), num_rounds)


def tabular(rule, concept):
    def call(game):
        return learning.Mamex(learning.TabularPayoffs(game, noise=0.3), rule(0.1), concept)

    return play(call)


def linear(game, features):
    return learning.Mamex(learning.LinearPayoffs(game, features, noise=0.3), learning.Optimism(0.1), "cce")


def of_models(game, other):
    models = [game, gk.MarkovGame(game.rewards, other.transitions, game.initial_probs)]
    return learning.Mamex(learning.FiniteModels(models), learning.Optimism(0.1), "cce")


def of_values(game, other):
    models = [game, gk.MarkovGame(game.rewards, other.transitions, game.initial_probs)]
    tables = learning.values_of_models(models)
    return learning.Mamex(learning.FiniteValues(game, tables, noise=0.3), learning.Optimism(0.1), "cce")


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
    "learning.decoupling": program(learning.decoupling, FEATURES, num_rounds=5),
    "learning.optimistic_entry": program(learning.optimistic_entry, JOINT, JOINT, NUMBER, NUMBER, NUMBER),
    "learning.pure_policies": program(learning.pure_policies, num_actions=(2, 2), horizon=2, num_states=2),
    "learning.step_size": program(learning.step_size, NUMBER, NUMBER),
    "learning.values_of_models": program(lambda *models: learning.values_of_models(models), SMALL, SMALL),
    **{
        f"learning.play_online, {concept}": program(tabular(learning.Optimism, concept), KEY, GAME)
        for concept in ("nash", "ce", "cce")
    },
    "learning.play_online, greed": program(tabular(learning.Greed, "cce"), KEY, GAME),
    "learning.play_online, vmap": batch(tabular(learning.Optimism, "cce"), KEY, GAME),
    "learning.play_online, linear": program(play(linear), KEY, GAME, FEATURES),
    "learning.play_online, models": program(play(of_models), KEY, SMALL, SMALL),
    "learning.play_online, values": program(play(of_values), KEY, SMALL, SMALL),
    "learning.play_online, stages": program(
        play(partial(learning.OptimisticStages, noise=0.3, scale=1.0)), KEY, MARKOV
    ),
}

ON_HOST = {
    "offline.behavior_with_concentrability": "searches for a mixture on the host",
    "offline.check_orders": "looks at what was read",
    "offline.count_comparisons": "counts what was read, whose size decides the shapes",
    "offline.count_joint_comparisons": "counts what was read",
    "offline.load_log_schema": "reads a file",
    "offline.read_log": "reads files",
    "learning.pnvi": "solves linear programmes on the host",
}

PROGRAMS = {**DATA, **GANE, **LEARNING}
