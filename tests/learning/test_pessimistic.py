"""The pessimistic baselines, against linear programmes, brute force over policies, and the hard pair."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import gamekl as gk
from gamekl.games.hard_pair import hard_pair
from gamekl.learning.pessimistic import bellman_consistent, pnvi, strategy_wise
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


def test_pnvi_on_matching_pennies_pays_for_pessimism():
    """sqrt(n) E[gap], the players' together: flat in n, and larger with the bonus where counts differ (MATH A8)."""
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


def bracket(found, joint, scale, ends, player, sign):
    """u_high (sign 1) or u_low (-1) of joint policies ``[..., *actions]``, as written in `learning.surrogates`."""
    counts, axes = np.asarray(found.counts), tuple(range(-found.counts.ndim, 0))
    seen = counts > 0
    payoffs = np.where(seen, found.game.payoffs[player], ends[sign > 0])
    width = np.sqrt((joint**2 * np.where(seen, 1 / np.maximum(counts, 1), 0)).sum(axis=axes))
    return (joint * payoffs).sum(axis=axes) + sign * scale * width


def gains(found, joint, scale, ends):
    """For each player the largest u_high of a deviation to one action, less u_low, of joint policies."""
    players, result = found.game.num_players, []
    for player in range(players):
        axis = player - players
        others = np.broadcast_to(joint.sum(axis=axis, keepdims=True), joint.shape)
        deviations = []
        for action in range(joint.shape[axis]):
            chosen = np.zeros(joint.shape[axis])
            chosen[action] = 1
            moved = others * chosen.reshape([-1] + [1] * (-axis - 1))
            deviations.append(bracket(found, moved, scale, ends, player, 1))
        result.append(np.max(deviations, axis=0) - bracket(found, joint, scale, ends, player, -1))
    return np.stack(result)


def simplex(size, parts):
    """All distributions whose probabilities are multiples of 1 / parts."""
    cuts = itertools.combinations(range(parts + size - 1), size - 1)
    rows = [np.diff([-1, *cut, parts + size - 1]) - 1 for cut in cuts]
    return np.array(rows) / parts


def some_logs(shape, number, unseen):
    """Estimates of random games, the last cell unseen in half of them if asked for."""
    for seed in range(number):
        rng = np.random.default_rng(seed)
        payoffs = rng.uniform(size=(len(shape), *shape))
        if seed % 3 == 0 and len(shape) == 2:
            payoffs[1] = 1 - payoffs[0]
        counts = rng.poisson(20.0, shape) + 1.0
        if unseen and seed % 2:
            counts[(-1,) * len(shape)] = 0
        yield Estimate(gk.NormalFormGame(payoffs), jnp.asarray(counts)), (0.1, 0.5, 2.0)[seed % 3]


METHODS = {"strategy-wise": (strategy_wise, np.sum), "bellman-consistent": (bellman_consistent, np.max)}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("shape", "parts"), [((2, 2), (200, 200)), ((2, 3), (60, 60))], ids=str)
def test_no_profile_on_a_grid_does_better(method, shape, parts):
    solve, combine = METHODS[method]
    for found, scale in some_logs(shape, 8, unseen=True):
        answer = solve(found, scale=scale, payoff_range=(0, 1))
        policy = [np.exp(np.asarray(entry)) for entry in answer.log_policy]
        reached = combine(gains(found, np.multiply.outer(*policy), scale, (0, 1)), axis=0)
        assert float(answer.surrogate) == pytest.approx(reached, abs=1e-10)
        grids = [simplex(size, k) for size, k in zip(shape, parts, strict=True)]
        joint = np.einsum("xa,yb->xyab", *grids)
        assert reached <= combine(gains(found, joint, scale, (0, 1)), axis=0).min() + 1e-4
        assert 0 <= float(answer.last_improvement) < 1e-3
        assert float(answer.start_surrogates.min()) == float(answer.surrogate)


def test_no_joint_policy_on_a_grid_does_better():
    for found, scale in some_logs((2, 2), 8, unseen=True):
        answer = bellman_consistent(found, scale=scale, payoff_range=(0, 1), concept="cce")
        assert float(answer.joint.sum()) == pytest.approx(1)
        reached = gains(found, np.asarray(answer.joint), scale, (0, 1)).max()
        assert float(answer.surrogate) == pytest.approx(reached, abs=1e-10)
        grid = simplex(4, 30).reshape(-1, 2, 2)
        assert reached <= gains(found, grid, scale, (0, 1)).max(axis=0).min() + 1e-4
        profile = bellman_consistent(found, scale=scale, payoff_range=(0, 1))
        assert reached <= float(profile.surrogate) + 1e-4  # product policies are joint policies
        starts = np.asarray(answer.start_surrogates)
        assert np.ptp(starts) < 5e-3  # convex: no start is caught elsewhere


def test_surrogates_bound_the_gaps_of_every_game_in_the_version_space():
    """Three players; and in a game at the edge of the space a deviation gains just what its bracket says."""
    (found, scale), *_ = some_logs((2, 2, 2), 1, unseen=False)
    counts = np.array(found.counts)
    counts[1, 1, 0] = 0
    found = Estimate(found.game, jnp.asarray(counts))
    total = strategy_wise(found, scale=scale, payoff_range=(0, 1))
    worst = bellman_consistent(found, scale=scale, payoff_range=(0, 1))
    rng = np.random.default_rng(0)
    for _ in range(100):
        errors = rng.normal(size=(3, 2, 2, 2)) * (counts > 0)
        sizes = np.sqrt((counts * errors**2).sum(axis=(1, 2, 3), keepdims=True))
        payoffs = np.asarray(found.game.payoffs) + scale * errors / sizes
        payoffs = np.where(counts > 0, payoffs, rng.integers(0, 2, counts.shape))
        game = gk.NormalFormGame(payoffs)
        assert float(gk.nash_gap(game, total.log_policy).sum()) <= float(total.surrogate)
        assert float(gk.nash_gap(game, worst.log_policy).max()) <= float(worst.surrogate)
    joint = rng.dirichlet(np.ones(8)).reshape(2, 2, 2)
    seen, inverse = counts > 0, np.where(counts > 0, 1 / np.maximum(counts, 1), 0)
    step = joint * inverse
    edge = np.asarray(found.game.payoffs[0]) + scale * step / np.sqrt((counts * step**2).sum())
    assert (counts * (edge - np.asarray(found.game.payoffs[0])) ** 2).sum() == pytest.approx(scale**2)
    value = (joint * np.where(seen, edge, 1)).sum()
    assert value == pytest.approx(float(bracket(found, joint, scale, (0, 1), 0, 1)))


def test_the_worst_gap_is_bounded_with_high_probability():
    game = gk.games.uniform(jax.random.key(0), (2, 2))
    for seed in range(20):
        found = estimate(sample_statistics(jax.random.key(seed), game, np.full((2, 2), 1 / 4), 200, 0.5))
        answer = strategy_wise(found, scale=3, noise=0.5, payoff_range=(0, 1))
        assert float(gk.nash_gap(game, answer.log_policy).sum()) <= float(answer.surrogate)
        answer = bellman_consistent(found, scale=3, noise=0.5, payoff_range=(0, 1), concept="cce")
        assert float(gk.evaluate.cce_gap(game, answer.joint).max()) <= float(answer.surrogate)


def test_estimates_and_scales_may_be_mapped():
    logs = [found for found, _ in some_logs((2, 2), 4, unseen=True)]
    scales = jnp.asarray([0.1, 0.3, 1.0, 3.0])
    mapped = jax.jit(jax.vmap(lambda found, scale: strategy_wise(found, scale=scale, payoff_range=(0, 1))))(
        gk.stack(logs), scales
    )
    for index, found in enumerate(logs):
        alone = strategy_wise(found, scale=float(scales[index]), payoff_range=(0, 1))
        np.testing.assert_allclose(mapped.surrogate[index], alone.surrogate, atol=1e-5)


def test_payoffs_in_other_units_give_the_same_policies():
    found, scale = next(some_logs((2, 2), 1, unseen=True))
    answer = strategy_wise(found, scale=scale, payoff_range=(0, 1))
    small = Estimate(gk.NormalFormGame(found.game.payoffs * 1e-6), found.counts)
    scaled = strategy_wise(small, scale=scale, noise=1e-6, payoff_range=(0, 1e-6))
    assert float(scaled.surrogate) == pytest.approx(1e-6 * float(answer.surrogate), rel=1e-4)


def test_nan_payoffs_are_not_hidden():
    found = Estimate(gk.NormalFormGame(np.full((2, 2, 2), np.nan)), jnp.ones((2, 2)))
    assert np.isinf(strategy_wise(found, scale=1, payoff_range=(0, 1)).surrogate)


# The hard pair


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
    joints = [gk.gamd(found.game, regularizer, num_steps=1_000).joint()]
    joints.append(bellman_consistent(found, scale=1, payoff_range=HARD_RANGE, concept="cce").joint)
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
            joint = bellman_consistent(found, scale=1, payoff_range=HARD_RANGE, concept="cce").joint
            gaps.setdefault("Bellman-consistent CCE", []).append(float(gk.evaluate.cce_gap(first, joint).sum()))
            joint = gk.gamd(found.game, regularizer, num_steps=1_000).joint()
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
        ({"concept": "ce"}, "concept: got 'ce', takes 'ne' or 'cce'"),
    ],
)
def test_bad_descents(options, message):
    found = Estimate(gk.games.matching_pennies(), jnp.ones((2, 2)))
    with pytest.raises(ValueError, match=message):
        bellman_consistent(found, scale=1, payoff_range=(-1, 1), **options)
