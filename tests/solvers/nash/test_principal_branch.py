"""The answer is on the principal branch where that is hard to keep to, or something says that it may not be."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from families import FAMILIES
from helpers import LogitPath, assert_policies, assert_solved, rows
from scipy.optimize import brentq
from scipy.special import logit

import gamekl as gk


def batch(payoffs, temperature):
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    return games, jax.vmap(lambda game: gk.Regularizer.uniform(game, temperature))(games)


def distances(ours, theirs):
    return np.max([np.abs(np.asarray(a - b)).max(axis=1) for a, b in zip(ours, theirs, strict=True)], axis=0)


# What other tools gave for these, or a careful tracer (`LogitPath`)


@pytest.mark.parametrize("rate", [1.6, 2.0, 5.0, 10.0])
def test_of_three_places_the_one_worth_more_is_met_at(rate):
    """gambit#492, gambit#1023: 2.1 in place of 2 to player 1 alone."""
    payoffs = np.stack([np.diag([2.1, 2.0, 2.0]), np.diag([2.0, 2.0, 2.0])])
    game = gk.NormalFormGame(payoffs)
    regularizer = gk.Regularizer.uniform(game, 1 / rate)
    solution = gk.solve_nash(game, regularizer)
    assert solution.policy[0][0] > 0.8
    assert_policies(solution.policy, LogitPath(game, regularizer).first_crossing()[0], atol=1e-8)
    assert solution.path.bifurcations == 0


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.1, 0.2])
def test_meeting_at_one_of_three_places_with_noise(noise):
    rng = np.random.default_rng(0)
    games, regularizers = batch(np.eye(3) + noise * rng.random((10, 2, 3, 3)), 0.1)
    solutions = gk.solve_nash_batch(games, regularizers, throw=True)
    for index in range(10):
        path = LogitPath(rows(games, index), rows(regularizers, index))
        assert_policies(rows(solutions, index).policy, path.first_crossing()[0], atol=1e-8)


# Families of games, against proofs


# Every shape takes seconds to compile.
QUICK = re.compile(r"(?!two games).*[^x] ([23]) x \1")
SLOW = {name: [] if QUICK.fullmatch(name) else [pytest.mark.slow] for name in sorted(FAMILIES)}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=marks) for name, marks in SLOW.items()])
def family(request):
    """Thirty games of a family, at temperature 0.1: solved as by default, and with a proof."""
    games, regularizers = batch(FAMILIES[request.param](np.random.default_rng(1), 30), 0.1)
    given = games, regularizers
    return (
        request.param,
        given,
        gk.solve_nash_batch(*given),
        gk.solve_nash_batch(*given, certify_path=True, max_steps=50),
    )


def test_the_default_is_on_the_principal_branch(family):
    name, _, found, proof = family
    proven = np.asarray(proof.status) == gk.Status.converged
    assert np.mean(proven) > (0.1 if name.startswith("anti") else 0.8)  # where proofs take more steps than these
    solved = np.asarray(found.status) == gk.Status.converged
    assert np.mean(solved) > 0.9
    told = np.asarray(found.path.bifurcations) > 0
    ours = proven & solved & ~told
    assert np.all(distances(found.policy, proof.policy)[ours] < 1e-8)
    np.testing.assert_array_equal(np.asarray(found.path.folds)[ours], np.asarray(proof.path.folds)[ours])


def test_what_is_proven_is_a_fixed_point(family):
    _, given, _, proof = family
    for index in np.flatnonzero(np.asarray(proof.status) == gk.Status.converged)[:3]:
        assert_solved(*rows(given, index), rows(proof, index))
        assert 0 < proof.path.margin[index] <= 1
        assert proof.path.crossings[index] == 1


# Little colder than where several branches (nearly) cross the path at once, the last step alone leads past that.
JUST_PAST = [
    ("coordination 3 x 3", 3.3),
    ("coordination 3 x 3", 3.7),
    ("coordination 3 x 3", 4.2),
    ("one place worth more, 3 x 3", 1.6),
    ("one place worth more, 3 x 3", 1.8),
    ("permuted coordination 3 x 3", 3.5),
    ("near circulant 3 x 3", 10.0),
    pytest.param("coordination, 3 x 3 x 3", 5.0, marks=pytest.mark.slow),
    pytest.param("coordination, 3 x 3 x 3", 8.0, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "rate"), JUST_PAST)
def test_the_last_step_leads_past_no_branches(name, rate):
    games, regularizers = batch(FAMILIES[name](np.random.default_rng(3), 400), 1 / rate)
    found = gk.solve_nash_batch(games, regularizers)
    proof = gk.solve_nash_batch(games, regularizers, certify_path=True)
    proven, told = np.asarray(proof.status) == gk.Status.converged, np.asarray(found.path.bifurcations) > 0
    assert np.mean(proven) > 0.95 and np.mean(told) < 0.02
    assert np.all(np.asarray(found.status) == gk.Status.converged)
    assert np.all((distances(found.policy, proof.policy) < 1e-6)[proven & ~told])


# Proofs


def imperfect(perturbation, temperature):
    """Coordination with a place worth a little more: p of tau logit p = (2 + perturbation) p - 1 above 1/2."""
    game = gk.NormalFormGame(gk.games.coordination().payoffs.at[:, 0, 0].add(perturbation))
    first = brentq(lambda p: temperature * logit(p) - (2 + perturbation) * p + 1, 0.5, 1 - 1e-15, xtol=1e-15)
    return game, gk.Regularizer.uniform(game, temperature), first


@pytest.mark.parametrize("perturbation", [1e-2, 1e-4, 1e-6])
def test_a_proof_follows_a_pitchfork_that_is_not_quite_one(perturbation):
    game, regularizer, first = imperfect(perturbation, 0.3)
    solution = gk.solve_nash(game, regularizer, certify_path=True)
    np.testing.assert_allclose(solution.policy[0][0], first, atol=1e-8)
    # The branches are about perturbation^(2/3) apart in what dF/dz has for its least eigenvalue (theory J4).
    assert 0.05 < solution.path.margin / perturbation ** (2 / 3) < 10


def test_nothing_is_proven_where_branches_cross():
    for game in (gk.games.coordination(), gk.games.coordination(3), gk.games.chicken()):
        regularizer = gk.Regularizer.uniform(game, 0.1)
        solution = gk.solve_nash(game, regularizer, certify_path=True, throw=False)
        assert solution.status == gk.Status.unproven
        assert solution.path.margin == 0
        assert solution.path.bifurcations >= 1
        with pytest.raises(gk.SolveError, match="could not be proven"):
            gk.solve_nash(game, regularizer, certify_path=True)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 3, 2)], ids=str)
def test_proofs_of_masked_games_with_references_and_temperatures_of_their_own(shape):
    key = jax.random.key(3)
    game = gk.games.normal(key, shape)
    references = [
        jax.nn.log_softmax(jax.random.normal(jax.random.fold_in(key, n), (n,)).at[0].set(-jnp.inf)) for n in shape
    ]
    regularizer = gk.Regularizer(references, jnp.linspace(0.1, 0.3, len(shape)))
    solution = gk.solve_nash(game, regularizer, certify_path=True)
    assert_solved(game, regularizer, solution)
    # A payoff that nobody can get changes nothing.
    never = game.payoffs.at[(slice(None), *(0,) * len(shape))].set(1e3)
    again = gk.solve_nash(gk.NormalFormGame(never), regularizer, certify_path=True)
    assert_policies(again.policy, solution.policy, atol=1e-8)


def test_proofs_in_jit_vmap_stages_and_float32():
    game = gk.games.uniform(jax.random.key(0), (3, 3))
    temperatures = jnp.array([1.0, 0.1, 0.02])

    def solve(temperature):
        return gk.solve_nash(game, gk.Regularizer.uniform(game, temperature), certify_path=True)

    together = jax.jit(jax.vmap(solve))(temperatures)
    for index, temperature in enumerate(temperatures):
        alone = solve(temperature)
        assert_policies(rows(together, index).policy, alone.policy, atol=1e-12)
        np.testing.assert_allclose(together.path.margin[index], alone.path.margin, rtol=1e-6)
    stages = gk.ContextualGame(jnp.stack([game.payoffs, gk.games.coordination(3).payoffs]), jnp.full(2, 0.5))
    solution = gk.solve_nash(stages, gk.Regularizer.uniform(stages, 0.1), certify_path=True, throw=False)
    assert solution.stage_status.tolist() == [gk.Status.converged, gk.Status.unproven]
    single = gk.NormalFormGame(game.payoffs.astype(jnp.float32))
    solution = gk.solve_nash(single, gk.Regularizer.uniform(single, 0.1), certify_path=True)
    assert_policies(solution.policy, rows(together, 1).policy, atol=1e-5)


def test_a_proof_that_takes_too_long_is_none():
    game, regularizer, _ = imperfect(1e-9, 0.3)
    solution = gk.solve_nash(game, regularizer, certify_path=True, max_steps=1, throw=False)
    assert solution.status in (gk.Status.unproven, gk.Status.max_steps)
    assert solution.path.margin == 0


def test_a_proof_takes_no_initial_policy():
    game = gk.games.chicken()
    regularizer = gk.Regularizer.uniform(game, 1.0)
    with pytest.raises(ValueError, match=r"initial: got one with certify_path=True"):
        gk.solve_nash(game, regularizer, initial=regularizer.log_reference, certify_path=True)
    games, regularizers = gk.stack([game]), gk.stack([regularizer])
    with pytest.raises(ValueError, match=r"initial: got one with certify_path=True"):
        gk.solve_nash_batch(games, regularizers, initial=regularizers.log_reference, certify_path=True)


# Where several branches cross at once


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", range(2, 7))
def test_crossings_of_any_number_are_counted(size, sign):
    """dF/dz has the eigenvalue 1 - 1 / (size tau), size - 1 times in each of two kinds."""
    game = gk.NormalFormGame(sign * np.stack([np.eye(size)] * 2))
    before, after = (gk.solve_nash(game, gk.Regularizer.uniform(game, tau / size)) for tau in (1.1, 0.9))
    assert before.path.bifurcations == 0
    assert after.path.bifurcations >= 1
    assert_policies(after.policy, np.full((2, size), 1 / size), atol=1e-8)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_no_constant_is_predicted_where_estimates_jump(size):
    game = gk.games.coordination(size)
    regularizer = gk.Regularizer.uniform(game, 0.1)
    solution = gk.solve_nash(game, regularizer)
    behavior = np.full((size, size), size**-2.0)
    with pytest.raises(ValueError, match="branch"):
        gk.evaluate.predicted_constant(game, regularizer, solution, behavior, noise=1.0)


def test_estimates_of_a_symmetric_game_are_solved_on_their_own_principal_branch():
    game = gk.games.coordination(3)
    regularizer = gk.Regularizer.uniform(game, 0.1)
    for seed in range(5):
        data = gk.offline.sample_dataset(jax.random.key(seed), game, [[1 / 3] * 3] * 2, 20_000, noise=1.0)
        estimate = gk.offline.estimate(data)
        expected, _ = LogitPath(estimate.game, regularizer).first_crossing()
        assert_policies(gk.gane(estimate, regularizer).policy, expected, atol=1e-8)
