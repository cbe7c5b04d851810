"""Equilibria in which all play alike, beside those of normal forms, closed forms and sums in numpy."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, rows, uniform_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

import gamekl as gk

solve = jax.jit(partial(gk.solve_nash, throw=False))


def anchored(key, players, actions, temperature=0.1, masked=False):
    """A random symmetric game and reference."""
    game = gk.games.uniform_symmetric(key, players, actions)
    reference = uniform_rows(jax.random.fold_in(key, 1), (actions,))
    reference = jax.nn.log_softmax(reference.at[0].set(jnp.where(masked, -jnp.inf, reference[0])))
    return game, gk.Regularizer([reference], temperature)


def many(players, actions, size, temperature=0.1, masked=False):
    keys = jax.random.split(jax.random.key(players), size)
    return jax.jit(jax.vmap(lambda key: anchored(key, players, actions, temperature, masked)))(keys)


def values_by_chances(game, policy):
    """q(a) by multinomial chances of scipy."""
    counts = gk.games.opponent_counts(game.num_players, len(policy))
    chances = stats.multinomial.pmf(counts, game.num_players - 1, policy / policy.sum())
    return np.asarray(game.payoffs) @ chances


def assert_fixed_point(game, regularizer, solution, atol=1e-10):
    assert solution.status == gk.Status.converged
    policy = np.asarray(solution.policy[0], dtype=float)
    logits = np.asarray(regularizer.log_reference[0]) + values_by_chances(game, policy) / float(regularizer.temperature)
    response = np.exp(logits - logits.max())
    np.testing.assert_allclose(policy, response / response.sum(), atol=atol)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("players", "temperature"), [(2, 0.1), (2, 0.02), (3, 0.1), (3, 0.02), (4, 0.1)])
def test_they_are_those_of_the_normal_form(players, temperature, masked):
    """Its path stays symmetric unless branches cross it on which players differ: several do so at once from 3 on."""
    games, anchors = many(players, 4, 24, temperature, masked)
    found = gk.solve_nash_batch(games, anchors)
    full = jax.vmap(lambda game: game.normal_form())(games)
    all_alike = jax.vmap(lambda anchor: gk.Regularizer(anchor.log_reference * players, anchor.temperature))(anchors)
    theirs = gk.solve_nash_batch(full, all_alike)
    assert (found.status == gk.Status.converged).all() and (theirs.status == gk.Status.converged).all()
    gaps = jax.jit(jax.vmap(gk.regularized_gap))(full, all_alike, found.log_policy * players)
    assert gaps.max() < 1e-15
    straight = np.asarray(theirs.path.bifurcations == 0)
    assert straight.sum() >= 8
    for policy in theirs.policy:
        np.testing.assert_allclose(found.policy[0][straight], policy[straight], atol=1e-10)
    np.testing.assert_array_equal(found.path.folds[straight], theirs.path.folds[straight])
    if players == 2:  # so that branches cross one at a time
        signs = jax.jit(jax.vmap(gk.evaluate.symmetry_determinant))(games, anchors, found.log_policy)
        np.testing.assert_array_equal(signs < 0, theirs.path.bifurcations % 2 == 1)
    assert [found.gap.shape, found.path.temperature.shape] == [(24, 1), (24, 1)]


def test_twelve_players_by_vmap_by_the_driver_and_alone():
    games, anchors = many(12, 4, 40)
    driven, mapped = gk.solve_nash_batch(games, anchors), jax.jit(jax.vmap(solve))(games, anchors)
    assert (driven.status == gk.Status.converged).all() and (mapped.status == gk.Status.converged).all()
    np.testing.assert_allclose(driven.policy[0], mapped.policy[0], atol=1e-10)
    for index in (0, 39):
        game, anchor = rows(games, index), rows(anchors, index)
        alone = gk.solve_nash(game, anchor)
        np.testing.assert_allclose(alone.policy[0], mapped.policy[0][index], atol=1e-10)
        assert_fixed_point(game, anchor, alone)
        assert alone.gap.max() < 1e-18 and gk.regularized_gap(game, anchor, alone.log_policy).max() < 1e-18


def test_a_bad_game_changes_no_bit_of_its_neighbours():
    games, anchors = many(5, 3, 20)
    beside = jax.tree.map(lambda leaf: leaf.at[1::2].set(jnp.nan), games)
    good, found = (jax.jit(jax.vmap(solve))(batch, anchors) for batch in (games, beside))
    assert_same_bits(rows(good, slice(None, None, 2)), rows(found, slice(None, None, 2)))
    assert (found.status[1::2] == gk.Status.nonfinite_input).all()


def test_thirty_players():
    """4,960 counts; and two actions, where chances are binomial."""
    games, anchors = many(30, 4, 2, 0.2)
    game, anchor = rows(games, 0), rows(anchors, 0)
    assert_fixed_point(game, anchor, gk.solve_nash(game, anchor))
    (game, anchor), number = anchored(jax.random.key(5), 30, 2, 0.05), np.arange(30)
    solution = gk.solve_nash(game, anchor)
    share = float(solution.policy[0][0])
    chances = stats.binom.pmf(number, 29, share)
    np.testing.assert_allclose(
        gk.action_values(game, solution.policy)[0], np.asarray(game.payoffs) @ chances, atol=1e-13
    )
    gain = float(np.diff(np.asarray(game.payoffs) @ chances)[0]) / 0.05
    reference = np.exp(np.asarray(anchor.log_reference[0]))
    np.testing.assert_allclose(share, expit(logit(reference[0]) - gain), atol=1e-10)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 1e-3])
def test_probabilities_that_are_hardly_any(temperature):
    """An action that costs 1 is played with e^(-1 / temperature) of its reference, which 30 players do not notice."""
    game = gk.SymmetricGame.from_function(lambda own, others: jnp.where(own == 0, 0.0, -1.0), 30, 3)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
    np.testing.assert_allclose(solution.log_policy[0][1:] - solution.log_policy[0][0], -1 / temperature, rtol=1e-12)


@pytest.mark.parametrize("players", [1, 2, 7, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_public_goods_in_closed_form(players, dtype):
    """A contribution costs .3 and gives .5 / m to each: P = sigmoid(logit reference - (.3 - .5 / m) / temperature)."""
    share = 0.5 / players
    game = gk.SymmetricGame.from_function(
        lambda own, others: share * others[1] + (share - 0.3) * own.astype(float), players, 2
    )
    game = gk.SymmetricGame(game.payoffs.astype(dtype), players)
    anchor = gk.Regularizer([np.log([0.4, 0.6]).astype(dtype)], 0.1)
    solution = gk.solve_nash(game, anchor)
    assert solution.policy[0].dtype == dtype
    exact = expit(logit(0.6) - (0.3 - share) / 0.1)
    np.testing.assert_allclose(solution.policy[0][1], exact, atol=1e-12 if dtype == "float64" else 2e-6)
    slope = jax.grad(lambda tau: gk.solve_nash(game, gk.Regularizer(anchor.log_reference, tau)).policy[0][1])
    known = exact * (1 - exact) * (0.3 - share) / 0.1**2
    np.testing.assert_allclose(slope(jnp.asarray(0.1, dtype)), known, rtol=1e-10 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("players", [2, 10, 50])
def test_congestion_on_two_roads(players):
    """Costs grow with those on the road: best responses fall in one number, the fixed point of which is bisected."""
    game = gk.SymmetricGame.from_function(
        lambda own, others: jnp.where(own == 0, -1.0 - others[0] / players, -2.0 * (1.0 + others[1]) / players),
        players,
        2,
    )
    payoffs = np.asarray(game.payoffs)

    def excess(share):
        values = payoffs @ stats.binom.pmf(np.arange(players), players - 1, share)
        return expit((values[0] - values[1]) / 0.05) - share

    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.05))
    np.testing.assert_allclose(solution.policy[0][0], brentq(excess, 0, 1, xtol=1e-15), atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    order=st.permutations(range(3)),
    factor=st.floats(0.1, 10),
    shift=st.floats(-100, 100),
)
def test_what_changes_no_equilibrium(seed, order, factor, shift):
    """Actions in another order, payoffs and temperature in another unit, and a bonus for what the others do."""
    players = 5
    game, anchor = anchored(jax.random.key(seed), players, 3, 0.3)
    counts = gk.games.opponent_counts(players, 3)
    rows_of = {tuple(row): index for index, row in enumerate(counts.tolist())}
    moved = [rows_of[tuple(row)] for row in counts[:, np.argsort(order)].tolist()]
    payoffs = np.asarray(game.payoffs)[np.asarray(order)][:, moved] + shift * np.sin(np.arange(len(counts)))
    reference = anchor.log_reference[0][np.asarray(order)]
    found = solve(gk.SymmetricGame(payoffs * factor, players), gk.Regularizer([reference], anchor.temperature * factor))
    known = solve(game, anchor)
    assert found.status == known.status == gk.Status.converged
    np.testing.assert_allclose(found.policy[0], known.policy[0][np.asarray(order)], atol=1e-9)


def score(parameters):
    payoffs, logits, log_temperature = parameters
    regularizer = gk.Regularizer([jax.nn.log_softmax(logits)], jnp.exp(log_temperature))
    (policy,) = gk.solve_nash(gk.SymmetricGame(payoffs, 4), regularizer, throw=False).policy
    return jnp.sum(jnp.sin(3 * jnp.arange(policy.size) + 1) * policy)


def test_derivatives_are_central_differences_and_those_of_the_normal_form():
    point = tuple(jax.random.normal(jax.random.key(seed), shape) for seed, shape in enumerate([(3, 10), (3,), ()]))
    direction = tuple(jax.random.normal(jax.random.key(seed + 9), leaf.shape) for seed, leaf in enumerate(point))
    value, gradient = jax.jit(score), jax.jit(jax.grad(score))(point)
    step = 1e-5
    for part in range(3):
        along = tuple(d * float(k == part) for k, d in enumerate(direction))
        ahead, behind = (value(jax.tree.map(lambda x, d, h=h: x + h * d, point, along)) for h in (step, -step))
        np.testing.assert_allclose(
            jnp.sum(gradient[part] * direction[part]), (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-9
        )
    forward = jax.jvp(value, (point,), (direction,))[1]
    along = sum(jnp.sum(g * d) for g, d in zip(gradient, direction, strict=True))
    np.testing.assert_allclose(forward, along, rtol=1e-10)
    together = jax.vmap(jax.grad(score))(gk.stack([point, direction]))
    np.testing.assert_allclose(together[0][0], gradient[0], rtol=1e-7, atol=1e-9)

    def full(payoffs):
        game = gk.SymmetricGame(payoffs, 4).normal_form()
        reference = jax.nn.log_softmax(point[1])
        policy = gk.solve_nash(game, gk.Regularizer([reference] * 4, jnp.exp(point[2])), throw=False).policy[0]
        return jnp.sum(jnp.sin(3 * jnp.arange(policy.size) + 1) * policy)

    np.testing.assert_allclose(jax.grad(full)(point[0]), gradient[0], atol=1e-9)


def anti_coordination(players):
    return gk.SymmetricGame.from_function(lambda own, others: -1.0 * others[own], players, 2)


@pytest.mark.parametrize("players", [2, 3, 4])
def test_branches_on_which_players_differ_are_told_by_a_determinant(players):
    """K / (m - 1) has the eigenvalue -1 / (2 tau) at even play, so that they leave at tau = 1/2 (derived)."""
    game = anti_coordination(players)
    for temperature in (0.7, 0.3):
        anchor = gk.Regularizer.uniform(game, temperature)
        solution = gk.solve_nash(game, anchor)
        np.testing.assert_allclose(solution.policy[0], 0.5, atol=1e-12)
        assert solution.path.bifurcations == 0
        found = gk.evaluate.symmetry_determinant(game, anchor, solution.log_policy)
        np.testing.assert_allclose(found, 1 - 0.5 / temperature, rtol=1e-12)
        full = gk.solve_nash(game.normal_form(), gk.Regularizer.uniform(game.normal_form(), temperature))
        assert (full.path.bifurcations > 0) == (found < 0)
        np.testing.assert_allclose(full.policy[0], 0.5, atol=1e-9)


def test_the_determinant_is_a_part_of_the_normal_forms():
    """Its own is det(I - K) det(I + K / (m - 1))^(m - 1): checked by differences of best responses in the full game."""
    game, anchor = anchored(jax.random.key(4), 3, 3, 0.2)
    policy = jax.nn.log_softmax(jnp.asarray([0.1, 0.5, -0.4]))
    full, all_alike = game.normal_form(), gk.Regularizer(anchor.log_reference * 3, 0.2)

    def misfit(z):
        logs = [jax.nn.log_softmax(part) for part in z.reshape(3, 3)]
        values = gk.action_values(full, [jnp.exp(entry) for entry in logs])
        parts = [
            part - reference - value / 0.2
            for part, reference, value in zip(z.reshape(3, 3), all_alike.log_reference, values, strict=True)
        ]
        return jnp.concatenate([part - jnp.mean(part) for part in parts]) + jnp.repeat(z.reshape(3, 3).mean(axis=1), 3)

    def alike(z):
        log = jax.nn.log_softmax(z)
        part = z - anchor.log_reference[0] - gk.action_values(game, [jnp.exp(log)])[0] / 0.2
        return part - jnp.mean(part) + jnp.mean(z)

    whole = np.linalg.det(jax.jacfwd(misfit)(jnp.tile(policy, 3)))
    shared = np.linalg.det(jax.jacfwd(alike)(policy))
    found = gk.evaluate.symmetry_determinant(game, anchor, [policy])
    np.testing.assert_allclose(whole, shared * float(found) ** 2, rtol=1e-9)


def test_guesses_precision_and_what_is_refused():
    game, anchor = anchored(jax.random.key(0), 6, 3)
    known = gk.solve_nash(game, anchor)
    guessed = gk.solve_nash(game, anchor, initial=known.log_policy)
    assert guessed.path.crossings == 0 and not guessed.path.left
    np.testing.assert_allclose(guessed.policy[0], known.policy[0], atol=1e-10)
    rough = gk.SymmetricGame(game.payoffs.astype(jnp.float32), 6)
    refined = gk.solve_nash(rough, anchor, refine="float64")
    assert refined.policy[0].dtype == jnp.float64
    np.testing.assert_allclose(refined.policy[0], known.policy[0], atol=1e-5)
    with pytest.raises(ValueError, match="certify_path: got True for a SymmetricGame, takes it for normal forms"):
        gk.solve_nash(game, anchor, certify_path=True)
    with pytest.raises(ValueError, match="certify_path: got True for symmetric games"):
        gk.solve_nash_batch(gk.stack([game]), gk.stack([anchor]), certify_path=True)
    with pytest.raises(ValueError, match=r"games.payoffs: got shape \(3, 21\), takes \[batch, action, count\]"):
        gk.solve_nash_batch(game, gk.stack([anchor]))
    with pytest.raises(ValueError, match="takes one that all players share"):
        gk.solve_nash(game, gk.Regularizer(anchor.log_reference * 6, 0.1))
    with pytest.raises(TypeError, match=r"NormalFormGame \| .*SymmetricGame|takes a NormalFormGame or a SymmetricGame"):
        gk.solve_nash(game.payoffs, anchor)
    with pytest.raises(TypeError, match="SymmetricGame"):
        gk.gamd_batch(gk.stack([game]), gk.stack([anchor]), num_rounds=3)


def test_solutions_are_saved_and_loaded(tmp_path):
    solution = gk.solve_nash(*anchored(jax.random.key(0), 6, 3))
    solution.save(tmp_path / "solution.npz")
    assert_same_bits(gk.load_solution(tmp_path / "solution.npz").log_policy, solution.log_policy)
    assert math.isclose(float(solution.policy[0].sum()), 1)
