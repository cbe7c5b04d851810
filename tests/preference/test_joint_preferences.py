"""Payoffs of general-sum games out of comparisons of joint actions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.special import expit

import gamekl as gk
from gamekl.offline import fit_bradley_terry
from gamekl.preference import (
    JointComparisons,
    count_joint_comparisons,
    estimate_payoffs,
    independent_pairs,
    sample_joint_comparisons,
    unilateral_pairs,
)

GAME = gk.games.uniform(jax.random.key(0), (2, 3))
POLICIES = [np.array([0.3, 0.7]), np.array([0.2, 0.5, 0.3])]


def test_unilateral_pairs_by_definition():
    """A joint action of the behavior, one of the players that have a choice, another action of this player."""
    game = gk.games.uniform(jax.random.key(1), (2, 1, 3))
    policies = [POLICIES[0], np.ones(1), POLICIES[1]]
    expected = np.zeros((2, 1, 3, 2, 1, 3))
    for first in itertools.product(range(2), range(1), range(3)):
        chance = policies[0][first[0]] * policies[2][first[2]]
        for player, size in ((0, 2), (2, 3)):
            for other in set(range(size)) - {first[player]}:
                second = (*first[:player], other, *first[player + 1 :])
                expected[first + second] += chance / 2 / (size - 1)
    np.testing.assert_allclose(unilateral_pairs(game, policies), expected, atol=1e-15)


def test_independent_pairs_by_definition():
    mu = np.multiply.outer(*POLICIES).ravel()
    nu = np.full(6, 1 / 6)
    for other, second in ((None, mu), (nu.reshape(2, 3), nu)):
        expected = np.multiply.outer(mu, second) * (1 - np.eye(6))
        found = np.asarray(independent_pairs(GAME, POLICIES, other)).reshape(6, 6)
        np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-15)


def test_drawn_answers_have_the_law_of_rows():
    """Given the counts each player's wins are binomial, the players' independent of each other; totals are exact."""
    pairs, n = unilateral_pairs(GAME, POLICIES), 10**5
    keys = jax.random.split(jax.random.key(0), 2_000)
    drawn = jax.vmap(lambda key: sample_joint_comparisons(key, GAME, pairs, n))(keys)
    first, second = np.triu_indices(6, 1)
    counts, wins = np.asarray(drawn.counts)[..., first, second], np.asarray(drawn.wins)[..., first, second]
    np.testing.assert_array_equal(counts[:, 0], counts[:, 1])  # all players are asked the same
    np.testing.assert_array_equal(counts[:, 0].sum(axis=1), n)
    table = np.asarray(pairs).reshape(6, 6)
    shares = (table + table.T)[first, second]
    compared = shares > 0
    np.testing.assert_array_equal(counts[:, 0].any(axis=0), compared)
    np.testing.assert_allclose(counts[:, 0].mean(axis=0) / n, shares, atol=1e-4)
    payoffs = np.asarray(GAME.payoffs).reshape(2, 6)
    chances = expit(payoffs[:, first] - payoffs[:, second])
    z = ((wins - counts * chances) / np.sqrt(np.maximum(counts * chances * (1 - chances), 1)))[..., compared]
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z[:, 0].ravel(), z[:, 1].ravel())[0, 1]) < 5 / np.sqrt(z[:, 0].size)


def test_expected_answers_give_the_payoffs_back_but_for_a_constant():
    payoffs = 3 * np.asarray(GAME.payoffs).reshape(2, 6)
    wins = 50 * expit(payoffs[:, :, None] - payoffs[:, None]) * (1 - np.eye(6))
    found = estimate_payoffs(JointComparisons(wins, (2, 3)))
    centred = payoffs - payoffs.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found.game.payoffs, centred.reshape(2, 2, 3), atol=1e-12)
    np.testing.assert_allclose(found.counts, np.full((2, 3), 250.0))
    game = gk.NormalFormGame(3 * GAME.payoffs)
    regularizer = gk.Regularizer.uniform(game, 0.3)
    learned, true = gk.gane(found, regularizer), gk.solve_nash(game, regularizer)
    for mine, theirs in zip(learned.policy, true.policy, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


def test_each_player_is_a_bradley_terry_model():
    drawn = sample_joint_comparisons(jax.random.key(2), GAME, unilateral_pairs(GAME, POLICIES), 5_000)
    found = estimate_payoffs(drawn)
    for player in range(2):
        alone = fit_bradley_terry(gk.offline.Comparisons(drawn.wins[player]))
        np.testing.assert_allclose(found.game.payoffs[player].ravel(), alone.rewards, atol=1e-12)
    many = sample_joint_comparisons(jax.random.key(2), GAME, unilateral_pairs(GAME, POLICIES), 10**13)
    centred = GAME.payoffs - GAME.payoffs.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(estimate_payoffs(many).game.payoffs, centred, atol=1e-4)


def test_players_and_actions_are_only_labels():
    drawn = sample_joint_comparisons(jax.random.key(2), GAME, unilateral_pairs(GAME, POLICIES), 5_000)
    wins = np.asarray(drawn.wins).reshape(2, 2, 3, 2, 3)
    found = estimate_payoffs(drawn).game.payoffs
    turned = wins[::-1].transpose(0, 2, 1, 4, 3).reshape(2, 6, 6)  # the second player first
    np.testing.assert_allclose(
        estimate_payoffs(JointComparisons(turned, (3, 2))).game.payoffs, found[::-1].transpose(0, 2, 1), atol=1e-12
    )


def test_rows_are_counted():
    rng = np.random.default_rng(0)
    first, second = (np.stack([rng.integers(0, 2, 40), rng.integers(0, 3, 40)], axis=1) for _ in range(2))
    differ = np.any(first != second, axis=1)
    first, second = first[differ], second[differ]
    answers = rng.choice([0.0, 0.5, 1.0], (len(first), 2))
    expected = np.zeros((2, 2, 3, 2, 3))
    for one, two, answer in zip(first, second, answers, strict=True):
        for player in range(2):
            expected[(player, *one, *two)] += answer[player]
            expected[(player, *two, *one)] += 1 - answer[player]
    found = count_joint_comparisons(first, second, answers, (2, 3))
    np.testing.assert_allclose(found.wins, expected.reshape(2, 6, 6))
    np.testing.assert_allclose(found.visits, sum(expected[0].sum(axis=axes) for axes in ((0, 1), (2, 3))))
    for change, message in [
        ({"wins": np.full((len(first), 2), np.nan)}, r"wins\[0, 0\]: got nan, takes numbers from 0 to 1"),
        ({"second": first}, r"second\[0\]: got \[.*\], takes another joint action than first"),
        ({"second": second[:3]}, r"second: got int64 of shape \(3, 2\), takes integers \[row, player\]"),
        ({"first": first + np.array([0, 2])}, r"first\[\d+, 1\]: got \d, takes below \(2, 3\), from 0"),
        ({"wins": answers[:, 0]}, r"wins: got shape .*, takes \[row, player\]"),
        ({"first": [], "second": [], "wins": []}, "first: got no rows, takes at least one comparison"),
    ]:
        rows = {"first": first, "second": second, "wins": answers, **change}
        with pytest.raises(ValueError, match=message):
            count_joint_comparisons(**rows, num_actions=(2, 3))


def test_groups_without_a_way_are_named_as_joint_actions():
    """Only the second player's deviations were compared: nothing leads from one action of the first to the other."""
    rows = [([a, b], [a, (b + 1) % 3]) for a in range(2) for b in range(3)]
    first, second = (np.array([row[index] for row in rows] * 2) for index in range(2))
    answers = np.repeat([[1.0, 1.0], [0.0, 0.0]], len(rows), axis=0)
    apart = count_joint_comparisons(first, second, answers, (2, 3))
    message = (
        r"comparisons of player 0: got 2 groups .*: "
        r"\[\(0, 0\), \(0, 1\), \(0, 2\)\], \[\(1, 0\), \(1, 1\), \(1, 2\)\]; takes wins .*, or penalty > 0"
    )
    with pytest.raises(ValueError, match=message):
        estimate_payoffs(apart)
    np.testing.assert_allclose(estimate_payoffs(apart, penalty=0.1).game.payoffs, 0, atol=1e-9)
    payoffs = jax.jit(lambda wins: estimate_payoffs(JointComparisons(wins, (2, 3))).game.payoffs)(apart.wins)
    assert np.all(np.isnan(payoffs))


def test_refusals():
    wide = gk.games.uniform(jax.random.key(0), (33, 32))
    with pytest.raises(ValueError, match="num_actions: got 1056 joint actions, takes 2 to 1024 to compare in pairs"):
        unilateral_pairs(wide, [np.full(33, 1 / 33), np.full(32, 1 / 32)])
    certain = np.zeros((2, 3))
    certain[0, 1] = 1
    with pytest.raises(ValueError, match="behavior: got one joint action alone, takes at least two to compare"):
        independent_pairs(GAME, certain)
    pairs = unilateral_pairs(GAME, POLICIES)
    with pytest.raises(ValueError, match=r"pairs: got shape \(6, 6\), takes \[\*actions, \*actions\] = \(2, 3, 2, 3\)"):
        sample_joint_comparisons(jax.random.key(0), GAME, pairs.reshape(6, 6), 10)
    with pytest.raises(ValueError, match=r"pairs: got a sum of .*, takes probabilities that sum to 1"):
        sample_joint_comparisons(jax.random.key(0), GAME, 2 * pairs, 10)
    broken = gk.NormalFormGame(GAME.payoffs.at[0, 0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        sample_joint_comparisons(jax.random.key(0), broken, pairs, 10)
    with pytest.raises(ValueError, match=r"wins: got shape \(2, 6, 6\), takes \[player, joint, joint\] = \(2, 4, 4\)"):
        JointComparisons(np.zeros((2, 6, 6)), (2, 2))
    with pytest.raises(ValueError, match="comparisons: got none, takes at least one"):
        estimate_payoffs(JointComparisons(np.zeros((2, 6, 6)), (2, 3)))
