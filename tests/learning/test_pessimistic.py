"""The pessimistic baselines, against linear programmes, brute force over policies, and the hard pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import gamekl as gk
from gamekl.games.hard_games import hard_pair
from gamekl.learning.pessimistic import bellman_consistent, bellman_consistent_cce, pnvi, strategy_wise
from gamekl.offline import Estimate, estimate, sample_statistics
from gamekl.offline.pessimism import lower_confidence

HARD_RANGE = ([0, -1], [1, 0])  # of the row player [0, 1], of the column player [-1, 0]


# Pessimistic Nash value iteration


def matrix_value(payoffs):
    """The value of a zero-sum game to its row player: max v with x^T payoffs >= v."""
    rows, columns = payoffs.shape
    solved = scipy.optimize.linprog(
        np.append(np.zeros(rows), -1),
        A_ub=np.column_stack([-payoffs.T, np.ones(columns)]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0)[None],
        b_eq=[1],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return -solved.fun


@pytest.mark.parametrize("actions", [(3, 2), (6, 6)], ids=str)  # supports enumerated, and linear programmes
def test_pnvi_by_a_recursion_of_linear_programmes(actions):
    rng = np.random.default_rng(0)
    horizon, states, (low, high), (scale, noise) = 2, 3, (-1.0, 1.0), (1.5, 0.3)
    row = rng.uniform(-1, 1, (horizon, states, *actions))
    moves = rng.dirichlet(np.ones(states), (horizon, states, *actions))
    moves[0, 1, 0, 1] = 0  # here the episode ends
    counts = rng.poisson(2.0, (horizon, states, *actions)).astype(float)
    assert (counts == 0).any()
    initial = np.array([0.5, 0.3, 0.2])
    found = pnvi(
        Estimate(gk.MarkovGame(np.stack([row, -row], axis=2), moves, initial), jnp.asarray(counts)),
        scale=scale,
        noise=noise,
        payoff_range=(low, high),
    )
    below, above = np.zeros(states), np.zeros(states)
    for step in (1, 0):
        left = horizon - step
        ends = []
        for sign, limit, ahead in ((-1, low * left, below), (1, high * left, above)):
            q = row[step] + sign * scale * noise * horizon / np.sqrt(np.maximum(counts[step], 1))
            q = np.clip(q + moves[step] @ ahead, low * left, high * left)
            ends.append(np.where(counts[step] == 0, limit, q))
        below, above = (np.array([matrix_value(q) for q in side]) for side in ends)
        np.testing.assert_allclose(found.low[step], below, atol=1e-9)
        np.testing.assert_allclose(found.high[step], above, atol=1e-9)
        mu, nu = (np.exp(np.asarray(entry[step])) for entry in found.log_policy)
        # Optimal policies need not be unique, but each guarantees the value.
        np.testing.assert_allclose(np.einsum("sa,sab->sb", mu, ends[0]).min(axis=1), below, atol=1e-9)
        np.testing.assert_allclose(np.einsum("sb,sab->sa", nu, ends[1]).max(axis=1), above, atol=1e-9)
    assert float(found.surrogate) == pytest.approx(initial @ (above - below))


def test_pnvi_keeps_the_games_stage_axes():
    game = gk.games.zero_sum(jax.random.key(0), (2, 3))
    once = pnvi(Estimate(game, jnp.full((2, 3), 9.0)), scale=0.5, payoff_range=(-1, 1))
    assert [entry.shape for entry in once.log_policy] == [(2,), (3,)] and once.low.shape == ()
    contexts = gk.ContextualGame(jnp.stack([game.payoffs] * 4), np.full(4, 1 / 4))
    often = pnvi(Estimate(contexts, jnp.full((4, 2, 3), 9.0)), scale=0.5, payoff_range=(-1, 1))
    assert [entry.shape for entry in often.log_policy] == [(4, 2), (4, 3)] and often.high.shape == (4,)
    np.testing.assert_allclose(often.high, jnp.full(4, once.high), atol=1e-12)
    np.testing.assert_allclose(often.surrogate, once.surrogate, atol=1e-12)


def test_pnvi_takes_the_mean_of_both_players_logs():
    rng = np.random.default_rng(0)
    first, second, counts = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), jnp.full((2, 3), 9.0)
    half = (first - second) / 2
    both = [gk.NormalFormGame(np.stack(pair)) for pair in ((first, second), (half, -half), (half + 5, 5 - half))]
    ranges = [(-9, 9), (-9, 9), (-4, 14)]
    values = [pnvi(Estimate(g, counts), scale=1, payoff_range=r).low for g, r in zip(both, ranges, strict=True)]
    np.testing.assert_allclose(values, [values[0]] * 3, atol=1e-9)


def test_pnvi_bounds_the_gap_of_a_markov_game():
    game = gk.games.markov(jax.random.key(0), (3, 3), num_states=3, horizon=2, family=gk.games.zero_sum)
    uniform = [np.full((2, 3, 3), 1 / 3)] * 2
    for seed in range(5):
        data = sample_statistics(jax.random.key(seed), game, uniform, 500, 0.5)
        found = pnvi(estimate(data), scale=3, noise=0.5, payoff_range=(-1, 1))
        assert 0 <= float(gk.nash_gap(game, found.log_policy).sum()) <= float(found.surrogate)


@pytest.mark.slow
def test_pnvi_on_matching_pennies_pays_for_pessimism():
    """sqrt(n) E[gap], the players' together: flat in n, and larger with the bonus where counts differ (theory A8)."""
    logs, shares = 3_000, np.array([[0.55, 0.15], [0.15, 0.15]])
    pennies = gk.games.matching_pennies().payoffs
    truth = gk.ContextualGame(jnp.stack([pennies] * logs), np.full(logs, 1 / logs))

    def scaled_gap(n, shares, scale):
        noise = np.random.default_rng(0).normal(size=(logs, 2, 2)) / np.sqrt(n * shares)
        row = np.asarray(pennies[0]) + noise
        contexts = gk.ContextualGame(np.stack([row, -row], axis=1), np.full(logs, 1 / logs))
        counts = jnp.broadcast_to(jnp.asarray(n * shares), row.shape)
        found = pnvi(Estimate(contexts, counts), scale=scale, payoff_range=(-5, 5))
        return np.sqrt(n) * float(gk.nash_gap(truth, found.log_policy).sum())

    for n in (1e4, 1e6):
        found = [scaled_gap(n, shares, scale) for scale in (0, 1, 2)]
        np.testing.assert_allclose(found, [1.87, 1.93, 2.10], rtol=0.03)
        even = [scaled_gap(n, np.full((2, 2), 1 / 4), scale) for scale in (0, 2)]
        np.testing.assert_allclose(even, [2 * np.sqrt(2 / np.pi)] * 2, rtol=0.03)  # even counts: the bonus does nothing


# The surrogates of brackets


def nash_methods(found, regularizer):
    """A profile by each method for the Nash equilibrium."""
    yield "GANE", gk.gane(found, regularizer).log_policy
    yield "LCB", gk.gane(lower_confidence(found, 1.0), regularizer).log_policy
    yield "PNVI", pnvi(found, scale=1, payoff_range=HARD_RANGE).log_policy
    yield "strategy-wise", strategy_wise(found, scale=1, payoff_range=HARD_RANGE).log_policy
    yield "Bellman-consistent", bellman_consistent(found, scale=1, payoff_range=HARD_RANGE).log_policy


def hard_log(behavior, n, seed):
    """A log of M1, with noise as large as the payoffs."""
    return estimate(sample_statistics(jax.random.key(seed), hard_pair()[0], behavior, n, 1.0))


def test_no_method_solves_both_games_of_the_hard_pair_from_the_diagonal():
    """A theorem about the games; whatever is played has a gap of 1/2 or more in one of them."""
    found = hard_log(np.diag([0.5, 0.5]), 10**6, 0)
    regularizer = gk.Regularizer.uniform(found.game, 0.02)
    for _, log_policy in nash_methods(found, regularizer):
        assert max(float(gk.nash_gap(game, log_policy).sum()) for game in hard_pair()) >= 0.5 - 1e-9
    joints = [gk.gamd(found.game, regularizer, num_rounds=1_000).joint_policy]
    joints.append(bellman_consistent_cce(found, scale=1, payoff_range=HARD_RANGE).joint_policy)
    for joint in joints:
        assert max(float(gk.evaluate.cce_gap(game, joint).sum()) for game in hard_pair()) >= 0.5 - 1e-9


def test_every_method_solves_it_from_three_cells():
    first, _ = hard_pair()
    regularizer = gk.Regularizer.uniform(first, 0.02)
    three, few, many = np.array([[1, 1], [1, 0]]) / 3, {}, {}
    for gaps, n, seeds in ((few, 12, 40), (many, 3_000, 10)):
        for seed in range(seeds):
            found = hard_log(three, n, seed)
            for name, log_policy in nash_methods(found, regularizer):
                gaps.setdefault(name, []).append(float(gk.nash_gap(first, log_policy).sum()))
            joint = bellman_consistent_cce(found, scale=1, payoff_range=HARD_RANGE).joint_policy
            gaps.setdefault("Bellman-consistent CCE", []).append(float(gk.evaluate.cce_gap(first, joint).sum()))
            joint = gk.gamd(found.game, regularizer, num_rounds=1_000).joint_policy
            gaps.setdefault("GAMD", []).append(float(gk.evaluate.cce_gap(first, joint).sum()))
    assert len(few) == 7
    for name in few:
        assert np.mean(few[name]) > 0.03, name
        assert abs(np.mean(many[name])) < 1e-3, name


# Bad input


def test_bad_estimates():
    two = Estimate(gk.games.matching_pennies(), jnp.ones((2, 2)))
    three = Estimate(gk.games.uniform(jax.random.key(0), (2, 2, 2)), jnp.ones((2, 2, 2)))
    stages = Estimate(gk.ContextualGame(np.zeros((1, 2, 2, 2)), np.ones(1)), jnp.ones((1, 2, 2)))
    with pytest.raises(ValueError, match="estimate.game: got 3 players, takes a two-player zero-sum game"):
        pnvi(three, scale=1, payoff_range=(0, 1))
    with pytest.raises(TypeError, match="estimate: got traced arrays, takes concrete ones"):
        jax.jit(lambda scale: pnvi(two, scale=scale, payoff_range=(-1, 1)).low)(1.0)
    for solve in (strategy_wise, bellman_consistent):
        with pytest.raises(TypeError, match="estimate.game: got ContextualGame, takes a NormalFormGame"):
            solve(stages, scale=1, payoff_range=(0, 1))


@pytest.mark.parametrize("solve", [pnvi, strategy_wise, bellman_consistent])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": -1}, "scale: got -1, takes a finite number >= 0"),
        ({"noise": np.nan}, "noise: got nan, takes a finite number >= 0"),
        ({"payoff_range": (1, 0)}, r"payoff_range: got \(1, 0\), takes \(low, high\)"),
        ({"payoff_range": ([0, 0, 0], 1)}, r"payoff_range: got shapes \[\(3,\), \(\)\], takes \(low, high\)"),
    ],
)
def test_bad_options(solve, options, message):
    found = Estimate(gk.games.matching_pennies(), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=message):
        solve(found, **({"scale": 1, "payoff_range": (-1, 1)} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 0}, "num_steps: got 0, takes a whole number >= 1"),
        ({"num_starts": True}, "num_starts: got True, takes a whole number >= 1"),
    ],
)
def test_bad_descents(options, message):
    found = Estimate(gk.games.matching_pennies(), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=message):
        bellman_consistent(found, scale=1, payoff_range=(-1, 1), **options)
