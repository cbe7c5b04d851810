"""The surrogates and their minimiser, against grids, other games of the version space and each other."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.learning.pessimistic import bellman_consistent, bellman_consistent_cce, strategy_wise
from gamekl.offline import Estimate, estimate, sample_statistics

HARD_RANGE = ([0, -1], [1, 0])  # of the row player [0, 1], of the column player [-1, 0]


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
        answer = bellman_consistent_cce(found, scale=scale, payoff_range=(0, 1))
        assert float(answer.joint_policy.sum()) == pytest.approx(1)
        reached = gains(found, np.asarray(answer.joint_policy), scale, (0, 1)).max()
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
        answer = bellman_consistent_cce(found, scale=3, noise=0.5, payoff_range=(0, 1))
        assert float(gk.evaluate.cce_gap(game, answer.joint_policy).max()) <= float(answer.surrogate)


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
