"""Preferences, steps of thinking, and a leader with its follower."""

from functools import partial

import jax.numpy as jnp

import gamekl as gk
from gamekl.preference import policies as prompts
from gamekl.stackelberg.commit.quantal import make_leader_problem
from gamekl.stackelberg.learn.rates import _constant
from lowering.inputs import (
    ANCHOR,
    CONTEXTS,
    GAME,
    KEY,
    MARKOV,
    NUMBER,
    SIZE,
    anchors,
    batch,
    made,
    program,
    table,
    whole,
)

offline, preference, stackelberg = gk.offline, gk.preference, gk.stackelberg
CANDIDATES = 3
PAIRS = table(SIZE, CANDIDATES, CANDIDATES)
WINS = made(offline.Comparisons, PAIRS)


def prompt_set(preferences, log_reference, temperature, max_steps):
    """What the kernels of `nash_policies` take."""
    return prompts._Prompts(
        preferences=preferences,
        log_reference=log_reference,
        temperature=temperature,
        tol=temperature,
        max_steps=max_steps,
    )


PROMPTS = made(prompt_set, PAIRS, table(SIZE, CANDIDATES), table(SIZE), whole(SIZE))


def self_played(preferences, log_reference, temperature):
    return preference.self_play(
        preferences, log_reference, temperature, gk.rules.MMD(0.1), num_rounds=(3, 10), throw=False
    )


PREFERENCES = {
    "offline.bradley_terry_preferences": program(offline.bradley_terry_preferences, table(SIZE, CANDIDATES)),
    "offline.estimate_preferences": program(offline.estimate_preferences, WINS),
    "offline.fit_bradley_terry": program(offline.fit_bradley_terry, WINS),
    "offline.fit_bradley_terry, vmap": batch(offline.fit_bradley_terry, WINS),
    "offline.sample_comparisons": program(
        offline.sample_comparisons, KEY, PAIRS, table(SIZE, CANDIDATES, CANDIDATES), NUMBER
    ),
    "preference.nash_policies, newton": program(prompts._by_newton, PROMPTS),
    "preference.nash_policies": program(prompts._by_path, PROMPTS, table(SIZE, CANDIDATES)),
    "preference.self_play": program(self_played, table(3, 3), table(3), NUMBER),
    "preference.self_play, vmap": batch(self_played, table(3, 3), table(3), NUMBER),
}


def problem(estimate, anchor):
    """What is planned, with what its estimate does not know."""
    return make_leader_problem(
        estimate.game, anchor, None, (estimate.fit.covariance, estimate.variances, jnp.asarray(1.0))
    )


ESTIMATION = {
    "estimation.level_k": program(gk.estimation.level_k, GAME, num_levels=3),
    "estimation.cognitive_hierarchy": program(gk.estimation.cognitive_hierarchy, GAME, NUMBER),
    "estimation.cognitive_hierarchy, vmap": batch(gk.estimation.cognitive_hierarchy, GAME, NUMBER),
}

LEADER, ANNOUNCED, OFTEN = table(2), table(4, 2), table(4)
RESPONSES = made(partial(stackelberg.sample_responses, num_samples=100, noise=1.0), KEY, GAME, ANCHOR, ANNOUNCED, OFTEN)
ESTIMATE = made(stackelberg.estimate_follower, RESPONSES, ANCHOR)
PROBLEM = made(problem, ESTIMATE, ANCHOR)
quiet = {"throw": False}

LEADING = {
    "stackelberg.quantal_response": program(stackelberg.quantal_response, GAME, ANCHOR, LEADER),
    "stackelberg.leader_value": program(stackelberg.leader_value, GAME, ANCHOR, LEADER),
    "stackelberg.quantal_stackelberg": program(stackelberg.quantal_stackelberg, GAME, ANCHOR, **quiet),
    "stackelberg.quantal_stackelberg, vmap": batch(stackelberg.quantal_stackelberg, GAME, ANCHOR, **quiet),
    "stackelberg.sample_responses": program(
        stackelberg.sample_responses, KEY, GAME, ANCHOR, ANNOUNCED, OFTEN, NUMBER, NUMBER
    ),
    "stackelberg.expected_responses": program(stackelberg.expected_responses, GAME, ANCHOR, ANNOUNCED, OFTEN),
    "stackelberg.fit_responses": program(stackelberg.fit_responses, RESPONSES),
    "stackelberg.fit_responses, vmap": batch(stackelberg.fit_responses, RESPONSES),
    "stackelberg.estimate_follower": program(stackelberg.estimate_follower, RESPONSES, ANCHOR),
    "stackelberg.pessimistic_commitment": program(
        stackelberg.pessimistic_commitment, ESTIMATE, ANCHOR, NUMBER, **quiet
    ),
    "stackelberg.optimistic_commitment": program(stackelberg.optimistic_commitment, ESTIMATE, ANCHOR, NUMBER, **quiet),
    "stackelberg.likelihood_commitment": program(
        stackelberg.likelihood_commitment, RESPONSES, ESTIMATE, ANCHOR, NUMBER, **quiet
    ),
    "stackelberg.value_band": program(stackelberg.value_band, ESTIMATE, ANCHOR, LEADER),
    "stackelberg.predicted_constant": program(_constant, PROBLEM, table(1, 2)),
    "stackelberg.lead_online": program(stackelberg.lead_online, KEY, GAME, ANCHOR, num_rounds=4, scale=1.0, noise=1.0),
}


def responded(response, make, stage):
    """Episodes of a follower."""
    return made(
        partial(stackelberg.sample_episodes, response=response, num_samples=100, noise=1.0),
        KEY,
        make,
        anchors(make),
        table(*stage, 4, 2),
        table(4),
    )


myopic, farsighted = stackelberg.myopic_response, stackelberg.farsighted_response
CONTEXT_ANCHOR, MARKOV_ANCHOR = anchors(CONTEXTS), anchors(MARKOV)
MYOPIC, AHEAD = responded(myopic, CONTEXTS, (3,)), responded(farsighted, MARKOV, (2, 3))
STAGED = made(stackelberg.estimate_farsighted, AHEAD, MARKOV_ANCHOR)

LEADING_STAGES = {
    "stackelberg.myopic_response": program(myopic, MARKOV, MARKOV_ANCHOR, table(2, 3, 2)),
    "stackelberg.farsighted_response": program(farsighted, MARKOV, MARKOV_ANCHOR, table(2, 3, 2)),
    "stackelberg.staged_leader_value": program(
        partial(stackelberg.staged_leader_value, response=farsighted), MARKOV, MARKOV_ANCHOR, table(2, 3, 2)
    ),
    "stackelberg.contextual_stackelberg": program(
        stackelberg.contextual_stackelberg, CONTEXTS, CONTEXT_ANCHOR, **quiet
    ),
    "stackelberg.myopic_stackelberg": program(stackelberg.myopic_stackelberg, MARKOV, MARKOV_ANCHOR, **quiet),
    "stackelberg.stagewise_stackelberg": program(stackelberg.stagewise_stackelberg, MARKOV, MARKOV_ANCHOR, **quiet),
    "stackelberg.farsighted_stackelberg": program(stackelberg.farsighted_stackelberg, MARKOV, MARKOV_ANCHOR, **quiet),
    "stackelberg.farsighted_stackelberg, vmap": batch(
        stackelberg.farsighted_stackelberg, MARKOV, MARKOV_ANCHOR, **quiet
    ),
    "stackelberg.sample_episodes": program(
        partial(stackelberg.sample_episodes, response=farsighted, noise=1.0, num_samples=100),
        KEY,
        MARKOV,
        MARKOV_ANCHOR,
        table(2, 3, 4, 2),
        table(4),
    ),
    "stackelberg.expected_episodes": program(
        partial(stackelberg.expected_episodes, response=myopic),
        CONTEXTS,
        CONTEXT_ANCHOR,
        table(3, 4, 2),
        table(4),
    ),
    "stackelberg.estimate_myopic": program(stackelberg.estimate_myopic, MYOPIC, CONTEXT_ANCHOR),
    "stackelberg.estimate_farsighted": program(stackelberg.estimate_farsighted, AHEAD, MARKOV_ANCHOR),
    "stackelberg.fit_farsighted": program(
        lambda log, game: stackelberg.fit_farsighted(log.responses, game.transitions), AHEAD, MARKOV
    ),
    "stackelberg.pessimistic_stages": program(stackelberg.pessimistic_stages, STAGED, MARKOV_ANCHOR, NUMBER, **quiet),
    "stackelberg.staged_value_band": program(stackelberg.staged_value_band, STAGED, MARKOV_ANCHOR, table(2, 3, 2)),
}

ON_HOST = {
    "stackelberg.count_responses": "counts what was read",
    "stackelberg.strong_stackelberg": "solves linear programmes on the host",
}

PROGRAMS = {**PREFERENCES, **ESTIMATION, **LEADING, **LEADING_STAGES}
