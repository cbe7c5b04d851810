"""The roads of the ladder: guesses good and bad, limits, folded paths, float32, large games."""

import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import LogitPath, assert_policies, dirichlet_regularizer, log
from scipy.optimize import brentq
from scipy.special import logit, logsumexp

import gamekl as gk

# Guesses and limits


def test_the_solution_of_a_nearby_game_is_a_good_guess():
    for seed in range(10):
        game = gk.games.uniform(jax.random.key(seed), (3, 3))
        noise = 1e-3 * jax.random.normal(jax.random.key(1), game.payoffs.shape)
        nearby = gk.NormalFormGame(game.payoffs + noise)
        regularizer = gk.Regularizer.uniform(game, 0.05)
        cold = gk.solve_nash(game, regularizer)
        warm = gk.solve_nash(game, regularizer, initial=gk.solve_nash(nearby, regularizer).log_policy)
        assert warm.path.crossings == 0
        assert warm.num_steps <= 6 < cold.num_steps
        assert_policies(warm.policy, cold.policy)


@pytest.mark.parametrize("start, expected", [(0.96, 0.9536661583), (0.53, 0.5), (0.05, 0.0463338417)])
def test_a_guess_near_another_equilibrium_stays_there(start, expected):
    """The equilibria of coordination at temperature 0.3, of which only p = 0.5 is on the path."""
    game = gk.games.coordination()
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.3), initial=log(*[[start, 1 - start]] * 2))
    np.testing.assert_allclose(solution.policy[0][0], expected, atol=1e-9)
    assert solution.path.crossings == solution.path.bifurcations == 0


@pytest.mark.parametrize("guess", [[-40.0, 0.0, -40.0], [-np.inf, -np.inf, 0.0], [np.nan, np.nan, np.nan]], ids=str)
def test_a_guess_that_leads_nowhere_is_left_for_the_path(guess):
    for seed in range(5):
        game = gk.games.uniform(jax.random.key(seed), (3, 3))
        regularizer = gk.Regularizer.uniform(game, 0.05)
        solution = gk.solve_nash(game, regularizer, initial=[np.array(guess)] * 2)
        assert solution.path.crossings == 1
        assert_policies(solution.policy, gk.solve_nash(game, regularizer).policy, atol=1e-12)


@pytest.mark.parametrize("max_steps", [2, 4, 8])
def test_a_solve_that_was_stopped_tells_the_temperature_that_it_reached(max_steps):
    game = gk.games.uniform(jax.random.key(0), (3, 3))
    regularizer = gk.Regularizer.uniform(game, [0.01, 0.02])
    stopped = gk.solve_nash(game, regularizer, max_steps=max_steps, throw=False)
    assert stopped.status == gk.Status.max_steps
    assert stopped.num_steps == max_steps
    assert stopped.path.crossings == 0
    reached = stopped.path.temperature
    assert np.all(reached > regularizer.temperatures)
    np.testing.assert_allclose(reached[1] / reached[0], 2, rtol=1e-12)
    there = gk.solve_nash(game, gk.Regularizer(regularizer.log_reference, reached))
    assert_policies(stopped.policy, there.policy, atol=1e-3)


# Folds


def folded_games(shape, temperature, size):
    """Random games with references, of which the path turns back in temperature, and their solutions."""

    def one(key):
        game = gk.games.uniform(key, shape)
        return game, dirichlet_regularizer(jax.random.fold_in(key, 1), game, temperature)

    batch = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), size))
    solution = gk.solve_nash_batch(*batch, throw=True)
    for index in np.flatnonzero(solution.path.folds):
        yield jax.tree.map(lambda leaf, index=index: leaf[index], (*batch, solution))


@pytest.fixture(scope="module")
def folded():
    two, three = list(folded_games((3, 3), 0.03, 600)), list(folded_games((2, 3, 2), 0.03, 300))
    assert len(two) >= 10
    assert len(three) >= 10
    return two[:10] + three[:10]


def test_folded_paths_are_followed_to_their_first_crossing(folded):
    for game, regularizer, solution in folded:
        policy, folds = LogitPath(game, regularizer).first_crossing()
        assert_policies(solution.policy, policy, atol=1e-8)
        assert solution.path.folds == folds
        assert solution.path.crossings == 1


def test_gambit_follows_the_folded_paths_to_the_same_point(folded):
    """With payoffs r_i + tau log reference_i, as in test_oracles."""
    gambit_helpers.pygambit()
    for game, regularizer, solution in folded[:2] + folded[-2:]:
        theirs = gambit_helpers.logit(game.payoffs, float(regularizer.temperature), regularizer.log_reference)
        assert_policies(solution.policy, theirs, atol=1e-8)


# Precision and size


@pytest.mark.parametrize("kappa", [1e2, 1e3, 1e4, 1e5])
def test_float32_is_right_or_says_that_it_failed(kappa):
    """Its default tolerance is 16 eps (1 + kappa), kappa = R / tau, but at most 1e-3."""
    games = jax.vmap(lambda key: gk.games.uniform(key, (3, 3), dtype=jnp.float32))(
        jax.random.split(jax.random.key(0), 600)
    )
    anchors = jax.vmap(lambda game: gk.Regularizer.uniform(game, 1 / kappa))(games)
    rough = gk.solve_nash_batch(games, anchors)
    fine = gk.solve_nash_batch(*jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (games, anchors)))
    good = np.asarray(rough.status) == gk.Status.converged
    assert np.asarray(rough.residual)[good].max() <= 1e-3
    assert kappa > 1e4 or good.mean() > 0.97
    p, q = (np.asarray(entry, dtype=float) for entry in rough.policy)
    values = np.einsum("gij,gj->gi", games.payoffs[:, 0], q), np.einsum("gij,gi->gj", games.payoffs[:, 1], p)
    for ours, value, exact in zip((p, q), values, fine.policy, strict=True):
        response = np.exp(value * kappa - logsumexp(value * kappa, axis=1, keepdims=True))
        assert np.abs(ours - response)[good].max() <= 32 * np.finfo(np.float32).eps * (1 + kappa)
        other = np.flatnonzero(good & (np.abs(ours - exact).max(axis=1) > 0.05))
        assert kappa > 1e4 or np.all(np.asarray(rough.path.bifurcations)[other] > 0)
        assert kappa > 1e4 or all(is_undecided(games.payoffs[game], 1 / kappa) for game in other)


def is_undecided(payoffs, temperature):
    """Whether games within four rounding errors have different principal equilibria.

    Between them lies one whose path another branch crosses, so that the digits do not tell where the path goes.
    """
    off = np.random.default_rng(0).uniform(-4, 4, (64, *payoffs.shape)) * np.finfo(np.float32).eps
    close = jax.vmap(gk.NormalFormGame)(jnp.asarray(np.asarray(payoffs, dtype=float) * (1 + off)))
    found = gk.solve_nash_batch(close, jax.vmap(lambda game: gk.Regularizer.uniform(game, temperature))(close))
    return any(np.ptp(entry, axis=0).max() > 0.05 for entry in found.policy)


def zero_sum(size, dtype=float):
    table = np.random.default_rng(0).random((size, 3, 3))
    return jax.vmap(gk.NormalFormGame)(jnp.asarray(np.stack([table, -table], axis=1), dtype=dtype))


def uniform(games, temperature):
    return jax.vmap(lambda game: gk.Regularizer.uniform(game, temperature))(games)


@pytest.mark.parametrize("temperature", [1e-4, 1e-6, 1e-7, 1e-8])
def test_small_temperatures_are_solved_to_the_digits_that_there_are(temperature):
    """Logits of 10^6 differ by little where two actions are played: their last digits are kept apart."""
    for games in (
        zero_sum(100),
        jax.vmap(lambda key: gk.games.uniform(key, (3, 3)))(jax.random.split(jax.random.key(3), 100)),
    ):
        solutions = gk.solve_nash_batch(games, uniform(games, temperature), throw=True)
        assert np.asarray(solutions.residual).max() <= 1e-15 / temperature + 1e-12
        # The regularised equilibrium is within temperature * log 3 of an exact one.
        gaps = jax.vmap(gk.nash_gap)(games, solutions.log_policy)
        assert np.asarray(gaps).max() <= 1.0001 * temperature * np.log(3)


def test_a_symmetric_game_at_a_small_temperature():
    game = gk.NormalFormGame(np.array([[[1.0, 5.0], [7.0, 2.0]], [[1.0, 7.0], [5.0, 2.0]]]))
    for temperature in (1e-3, 1e-4, 1e-5):
        solution = gk.solve_nash(game, gk.Regularizer.uniform(game, temperature))
        p = brentq(lambda p, tau=temperature: tau * logit(p) - 3 + 9 * p, 0.1, 0.9, xtol=1e-16)
        assert_policies(solution.policy, [[p, 1 - p]] * 2, atol=1e-12)


@pytest.mark.parametrize("temperature", [1e-6, 1e-8, 1e-10])
def test_too_few_digits_are_told(temperature):
    """A tolerance of 16 eps (1 + R / temperature) would exceed 1 in float32."""
    games = zero_sum(40, jnp.float32)
    solutions = gk.solve_nash_batch(games, uniform(games, temperature), max_steps=200)
    status = np.asarray(solutions.status)
    assert np.all(np.asarray(solutions.residual)[status == gk.Status.converged] <= 1e-3)
    assert np.mean(status == gk.Status.too_few_digits) > 0.3
    assert set(status) <= {gk.Status.converged, gk.Status.too_few_digits, gk.Status.max_steps}


@pytest.mark.parametrize("temperature", [1e-4, 1e-5, 1e-6])
def test_residuals_that_may_only_seem_small_are_not_converged(temperature):
    """In float32 a residual of .003 may come out as .0009; measured in float64 they are what is said."""
    payoffs = np.random.default_rng(0).random((1000, 2, 3, 3))
    payoffs[::2, 1] = -payoffs[::2, 0]
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs, dtype=jnp.float32))
    solutions = gk.solve_nash_batch(games, uniform(games, temperature))
    good = np.asarray(solutions.status) == gk.Status.converged
    assert np.mean(good) > {1e-4: 0.99, 1e-5: 0.65, 1e-6: 0.5}[temperature]
    exact = jax.vmap(gk.NormalFormGame)(jnp.asarray(games.payoffs, dtype=jnp.float64))
    # Of the logs as they are, and the temperature as it is in float32.
    log_policy = [jax.nn.log_softmax(entry.astype(jnp.float64), axis=1) for entry in solutions.log_policy]
    anchors = uniform(exact, float(np.float32(temperature)))
    responses = jax.vmap(gk.best_response)(exact, anchors, log_policy)
    for ours, theirs in zip(log_policy, responses, strict=True):
        assert np.abs(np.exp(ours) - np.exp(theirs))[good].max() <= 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2,) * 7, (30, 30), (12, 12, 12), (2, 40), (26, 1, 3), (40,)], ids=str)
def test_large_games(shape):
    for seed in range(3):
        game = gk.games.uniform(jax.random.key(seed), shape)
        regularizer = dirichlet_regularizer(jax.random.key(100 + seed), game, 0.05)
        solution = gk.solve_nash(game, regularizer)
        policy, folds = LogitPath(game, regularizer).first_crossing()
        assert_policies(solution.policy, policy, atol=1e-8)
        assert solution.path.folds == folds
