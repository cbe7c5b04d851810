"""Games, solvers and what is said of their answers."""

import math
from functools import partial

import jax
import jax.numpy as jnp

import gamekl as gk
from gamekl.evaluate.staged_rates import staged_constant
from gamekl.solvers import batch as batches
from gamekl.solvers.correlated import welfare
from gamekl.solvers.equilibria import batch as found
from gamekl.solvers.equilibria import find as equilibria
from gamekl.solvers.exact import solve as exact
from gamekl.solvers.exact import vertices
from gamekl.solvers.exact.extreme import entropy
from gamekl.solvers.nash.ladder import Options
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.paths import batch as traced
from gamekl.solvers.paths import requests as paths
from lowering.inputs import (
    ALIKE,
    ANCHOR,
    CONTEXTS,
    GAME,
    JOINT,
    KEY,
    LARGE,
    MARKOV,
    PAIRWISE,
    POLICY,
    SELF,
    SIZES,
    STAGES,
    THREE,
    anchors,
    batch,
    many,
    policies,
    program,
    staged,
    table,
    whole,
)


def posed_and_certified(game):
    """What `solve_welfare` does on the device, before and after its linear programme."""
    zero, steps = jnp.zeros((), game.dtype), jnp.zeros((), jnp.int32)
    posed = welfare._pose(game, zero, concept="ce")
    x = jnp.full(math.prod(game.num_actions), 1 / math.prod(game.num_actions), game.dtype)
    return welfare._certified(posed, x, jnp.zeros_like(posed.limits), zero, zero, zero + 1, steps, concept="ce")


CLASSICS = (
    "chicken",
    "coordination",
    "donation",
    "doors",
    "hard_pair",
    "matching_pennies",
    "perturbed_rock_paper_scissors",
    "prisoners_dilemma",
    "rock_paper_scissors",
    "shapley",
)
DRAWN = ("normal", "polymatrix", "potential", "uniform", "zero_sum")
FEATURED = ("context_linear", "linear", "smooth")

GAMES = {
    **{f"games.{name}": program(getattr(gk.games, name)) for name in CLASSICS},
    **{f"games.{name}": program(getattr(gk.games, name), KEY, num_actions=SIZES) for name in DRAWN},
    **{
        f"games.{name}": program(getattr(gk.games, name), KEY, num_actions=SIZES, num_contexts=3, num_features=2)
        for name in FEATURED
    },
    "games.covariant": program(gk.games.covariant, KEY, num_actions=SIZES, correlation=0.5),
    "games.preference": program(gk.games.preference, KEY, num_actions=(3, 3)),
    "games.contextual": program(gk.games.contextual, KEY, num_actions=SIZES, num_contexts=3),
    "games.markov": program(gk.games.markov, KEY, num_actions=SIZES, num_states=3, horizon=2),
    "games.uniform_symmetric": program(gk.games.uniform_symmetric, KEY, num_players=6, num_actions=4),
    "stack": program(lambda *games: gk.stack(games), GAME, GAME),
}

RESPONSES = {
    "action_values": program(gk.action_values, GAME, POLICY),
    "best_response": program(gk.best_response, GAME, ANCHOR, POLICY),
    "regularized_gap": program(gk.regularized_gap, GAME, ANCHOR, POLICY),
    "nash_gap": program(gk.nash_gap, GAME, POLICY),
    "nash_gap, polymatrix": program(gk.nash_gap, PAIRWISE, policies(PAIRWISE)),
    "nash_conv": program(gk.nash_conv, GAME, POLICY),
    "nash_conv, symmetric": program(gk.nash_conv, ALIKE, policies(ALIKE)),
    "regularized_gap, symmetric": program(gk.regularized_gap, ALIKE, anchors(ALIKE), policies(ALIKE)),
    "exploitability": program(gk.exploitability, GAME, POLICY),
    **{
        f"{name}, {kind}": program(getattr(gk, name), make, anchors(make), policies(make))
        for name in ("best_response", "regularized_gap")
        for kind, (make, _) in STAGES.items()
    },
    **{f"nash_gap, {kind}": program(gk.nash_gap, make, policies(make)) for kind, (make, _) in STAGES.items()},
}

options = {"throw": False}
solve = partial(solve_nash, **options)


def slope(game, regularizer):
    """Of an equilibrium, by the payoffs."""
    return jax.grad(lambda payoffs: solve(gk.NormalFormGame(payoffs), regularizer).log_policy[0][0])(game.payoffs)


def symmetric_slope(game, regularizer):
    """Of an equilibrium in which all play alike, by the payoffs."""

    def first(payoffs):
        return solve(gk.SymmetricGame(payoffs, game.num_players), regularizer).log_policy[0][0]

    return jax.grad(first)(game.payoffs)


def key_words():
    """The keys of a batch, as the host hands them over."""
    return jax.eval_shape(lambda: jax.random.key_data(jax.random.split(jax.random.key(0), 7)))


find = partial(gk.find_equilibria, num_starts=4, max_equilibria=3, **options)
ROOM = {"max_crossings": 2, "max_points": 16, "max_folds": 2}
PATHS = paths.Options(max_steps=100, crosses=True, **ROOM)
FINDS = equilibria.Options(num_starts=4, max_equilibria=3, max_steps=100)

BRANCHES = {
    "trace": program(partial(gk.trace, at_branching="cross", **ROOM, **options), GAME, ANCHOR),
    "trace_batch": program(traced._trace_chunk, many(GAME), many(ANCHOR), table(7, 2), options=PATHS),
    "find_equilibria": program(
        partial(gk.find_equilibria, num_starts=4, max_equilibria=3, **options), GAME, ANCHOR, KEY
    ),
    "find_equilibria_batch": program(found._find_chunk, many(GAME), many(ANCHOR), key_words, options=FINDS),
}

SOLVERS = {
    "solve_nash": program(solve, GAME, ANCHOR),
    "solve_nash, vmap": batch(solve, GAME, ANCHOR),
    "solve_nash, vmap of 3 players": batch(solve, THREE, anchors(THREE)),
    "solve_nash, vmap of 30 actions": batch(solve, LARGE, anchors(LARGE)),
    "solve_nash, vmap of derivatives": batch(slope, GAME, ANCHOR),
    "solve_nash, symmetric": program(solve, ALIKE, anchors(ALIKE)),
    "solve_nash, vmap of symmetric": batch(solve, ALIKE, anchors(ALIKE)),
    "solve_nash, vmap of symmetric derivatives": batch(symmetric_slope, ALIKE, anchors(ALIKE)),
    "solve_nash, certify_path": program(partial(solve, certify_path=True), GAME, ANCHOR),
    "solve_nash, vmap of certify_path": batch(partial(solve, certify_path=True), GAME, ANCHOR),
    "solve_nash, initial": program(
        lambda game, anchor, start: solve(game, anchor, initial=start), GAME, ANCHOR, POLICY
    ),
    **staged("solve_nash", solve),
    "solve_nash_batch": program(
        batches._solve_chunk, many(GAME), many(ANCHOR), initial=None, tol=None, options=Options(100)
    ),
    "solve_nash_batch, plain paths": program(
        batches._solve_plain_chunk, many(GAME), many(ANCHOR), initial=None, tol=None, options=Options(100, refine=True)
    ),
    "solve_nash_batch, plain paths of symmetric": program(
        batches._solve_plain_chunk,
        many(ALIKE),
        many(anchors(ALIKE)),
        initial=None,
        tol=None,
        options=Options(100, refine=True),
    ),
    **BRANCHES,
    "solve_nash_exact": program(gk.solve_nash_exact, GAME),
    "solve_nash_exact, vmap": batch(gk.solve_nash_exact, GAME),
    "max_entropy_nash": program(gk.max_entropy_nash, GAME),
    "max_entropy_nash, vmap": batch(gk.max_entropy_nash, GAME),
    "max_entropy_nash_batch": program(entropy._solve_chunk, table(7, 2, *SIZES), *(table(7, size) for size in SIZES)),
    "solve_nash_exact, vmap of 30 actions": batch(gk.solve_nash_exact, LARGE),
    **{
        f"solve_nash_exact_batch, {find.__name__}": program(
            exact._solve_chunk, table(7, 2, *SIZES), whole(7), find=find
        )
        for find in (vertices.zero_sum, vertices.pivots)
    },
    "gamd": program(gk.gamd, GAME, ANCHOR, num_rounds=10, **options),
    "gamd, vmap": batch(gk.gamd, GAME, ANCHOR, num_rounds=10, **options),
    **staged("gamd", gk.gamd, num_rounds=10, **options),
    "gamd_batch": program(
        batches._play_chunk,
        many(GAME),
        many(ANCHOR),
        whole(7),
        step_size=None,
        tol=None,
        evaluate_on=None,
        weighting="uniform",
    ),
    "gamd_history": program(gk.gamd_history, GAME, ANCHOR, num_rounds=(3, 10), **options),
    "gamd_history, vmap": batch(gk.gamd_history, GAME, ANCHOR, num_rounds=(3, 10), **options),
    "multiplicative_weights": program(gk.multiplicative_weights, GAME, ANCHOR, num_rounds=10, **options),
    "multiplicative_weights_history": program(
        gk.multiplicative_weights_history, GAME, ANCHOR, num_rounds=(3, 10), **options
    ),
    "sos_md": program(gk.sos_md, GAME, ANCHOR, num_rounds=10, **options),
    "sos_md, vmap": batch(gk.sos_md, GAME, ANCHOR, num_rounds=10, **options),
    **staged("sos_md", gk.sos_md, num_rounds=10, **options),
    **{
        f"solve_correlated, {concept} {objective}": program(
            gk.solve_correlated, GAME, concept=concept, objective=objective, **options
        )
        for concept in ("ce", "cce")
        for objective in ("entropy", "gini")
    },
    "solve_correlated, vmap": batch(gk.solve_correlated, GAME, **options),
    "solvers.welfare, but for the programme": program(posed_and_certified, GAME),
}


def followed(rule, num_queries=None):
    """A rule that is followed in a game against oneself, where values are told or asked for."""

    def call(game, anchor, key):
        asked = {} if num_queries is None else {"num_queries": num_queries, "key": key}
        return gk.follow(game, anchor, rule(), num_rounds=(3, 10), target=anchor.log_reference, **asked, **options)

    return program(call, SELF, anchors(SELF), KEY)


STEPPED = tuple(name for name, entry in gk.rules.LISTED.items() if not entry.has_magnet)
RULES = {
    **{f"rules.{name}": followed(partial(getattr(gk.rules, name), 0.1)) for name in STEPPED},
    "rules.MPO": followed(lambda: gk.rules.MPO(0.1, 5)),
    "rules.Proven": followed(lambda: gk.rules.NashMD.proven(0.1).rule)._replace(batched=True),
    "rules.Rule": followed(lambda: gk.rules.MMD(lambda round: 1 / (1 + round))),
    "follow": followed(lambda: gk.rules.MMD(0.1), num_queries=4),
    "follow, vmap": followed(lambda: gk.rules.MMD(0.1))._replace(batched=True),
}

CERTIFICATES = {
    "evaluate.cce_gap": program(gk.evaluate.cce_gap, GAME, JOINT),
    "evaluate.ce_gap": program(gk.evaluate.ce_gap, GAME, JOINT),
    "evaluate.contraction_matrix": program(gk.evaluate.contraction_matrix, GAME, ANCHOR),
    "evaluate.distance_bound": program(gk.evaluate.distance_bound, GAME, ANCHOR, POLICY),
    "evaluate.monotone_margin": program(gk.evaluate.monotone_margin, GAME, ANCHOR),
    "evaluate.small_gain_margin": program(gk.evaluate.small_gain_margin, GAME, ANCHOR, POLICY),
    "evaluate.symmetry_determinant": program(gk.evaluate.symmetry_determinant, ALIKE, anchors(ALIKE), policies(ALIKE)),
    "evaluate.uniqueness": program(gk.evaluate.uniqueness, GAME, ANCHOR),
    "evaluate.uniqueness, vmap": batch(gk.evaluate.uniqueness, GAME, ANCHOR),
    **{
        f"evaluate.{name}, {kind}": program(getattr(gk.evaluate, name), make, policies(make))
        for name in ("occupancies", "policy_value")
        for kind, (make, _) in STAGES.items()
    },
    "evaluate.policy_value, KL": program(
        lambda game, policy, anchor: gk.evaluate.policy_value(game, policy, regularizer=anchor),
        CONTEXTS,
        policies(CONTEXTS),
        anchors(CONTEXTS),
    ),
    "evaluate.predicted_constant": program(
        staged_constant,
        MARKOV,
        anchors(MARKOV),
        policies(MARKOV),
        table(2, 3, 2),
        table(2, 3, *SIZES),
        table(2, 3, 2, *SIZES),
        features=None,
    ),
}

ON_HOST = {
    "games.opponent_counts": "is a table of numpy's",
    "rules.LISTED": "a table",
    "rules.Listed": "an entry of it",
    "games.load_game": "reads a file",
    **{f"games.read_{kind}": "reads a file" for kind in ("agg", "bagg", "csv", "efg", "nfg", "npz")},
    **dict.fromkeys(("games.parse_efg", "games.parse_nfg"), "reads a text"),
    **dict.fromkeys(("games.write_nfg", "games.write_npz"), "writes a file"),
    **dict.fromkeys(("games.from_pygambit", "games.to_pygambit"), "asks pygambit"),
    **dict.fromkeys(("games.from_pyspiel", "games.to_pyspiel"), "asks OpenSpiel"),
    "games.merge_equivalent": "compares rows, whose number decides the shapes",
    "load_solution": "reads a file",
    "plot_path": "draws",
    "table": "makes rows of texts and numbers",
    "validate": "raises where values are bad",
    **dict.fromkeys(("enumerate_nash", "correlated_polytope"), "works with Python's whole numbers, and numpy"),
    "payoff_figure": "draws a figure",
    "solve_welfare": "solves a linear programme on the host",
    **dict.fromkeys(("evaluate.fit_rate", "evaluate.fit_paired_rate"), "resamples measured errors with numpy"),
    "evaluate.first_sample_size": "is a number of Python's",
    "preference.predicted_preference_constant": "is computed with numpy, in float64",
}

PROGRAMS = {**GAMES, **RESPONSES, **SOLVERS, **RULES, **CERTIFICATES}
