"""Bradley-Terry fits against scipy, Hunter's MM iteration and closed forms; and when there is no finite maximiser."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.special import log_expit

from gamekl.offline import Comparisons, FitStatus, bradley_terry_preferences, fit_bradley_terry


def some_wins(size, seed=0, prompts=()):
    rng = np.random.default_rng(seed)
    return rng.integers(1, 30, (*prompts, size, size)) * (1.0 - np.eye(size))


def by_scipy(wins, penalty=0.0):
    """argmax sum w_ij log sigma(r_i - r_j) - penalty / 2 |r|^2, with r_0 = 0 where there is no penalty."""
    free = slice(None) if penalty else slice(1, None)

    def loss(x):
        r = np.zeros(len(wins))
        r[free] = x
        z = r[:, None] - r
        pull = wins * np.exp(log_expit(-z))
        gradient = pull.sum(axis=1) - pull.sum(axis=0) - penalty * r
        return penalty / 2 * r @ r - np.sum(wins * log_expit(z)), -gradient[free]

    found = scipy.optimize.minimize(
        loss,
        np.zeros(len(wins))[free],
        jac=True,
        method="L-BFGS-B",
        options={"ftol": 0, "gtol": 1e-10, "maxiter": 9999},
    )
    r = np.zeros(len(wins))
    r[free] = found.x
    return r - r.mean(), -found.fun


def by_mm(wins, rounds=3_000):
    """Hunter (2004), the iteration of Zermelo: gamma_i <- W_i / sum_j n_ij / (gamma_i + gamma_j)."""
    counts, gamma = wins + wins.T, np.ones(len(wins))
    for _ in range(rounds):
        gamma = wins.sum(axis=1) / np.sum(counts / (gamma[:, None] + gamma), axis=1)
        gamma /= gamma.sum()
    return np.log(gamma) - np.log(gamma).mean()


@pytest.mark.parametrize(("won", "lost"), [(3.0, 1.0), (1.0, 10**6), (10**12, 1.0), (0.5, 0.25)])
def test_two_candidates_differ_by_the_log_odds(won, lost):
    fit = fit_bradley_terry(Comparisons([[0.0, won], [lost, 0.0]]))
    np.testing.assert_allclose(fit.rewards, np.log(won / lost) / 2 * np.array([1, -1]), rtol=1e-13)
    assert int(fit.status) == FitStatus.converged and float(fit.residual) < 1e-9


@pytest.mark.parametrize("size", [3, 6, 30])
def test_fits_of_scipy_and_of_the_mm_iteration(size):
    wins = some_wins(size)
    fit = fit_bradley_terry(Comparisons(wins))
    rewards, value = by_scipy(wins)
    np.testing.assert_allclose(fit.rewards, rewards, atol=1e-6)
    np.testing.assert_allclose(fit.rewards, by_mm(wins), atol=1e-12)
    np.testing.assert_allclose(fit.log_likelihood, value, rtol=1e-12)
    assert float(fit.residual) < 1e-12 and int(fit.num_steps) < 12
    assert abs(float(fit.rewards.mean())) < 1e-14


def test_expected_wins_give_the_rewards_back():
    rewards = np.array([3.0, -1.0, 0.5, -2.5])
    preferences = bradley_terry_preferences(rewards)
    np.testing.assert_allclose(preferences[0, 1], 1 / (1 + np.exp(-4.0)))
    wins = 100 * np.asarray(preferences) * (1 - np.eye(4))
    np.testing.assert_allclose(fit_bradley_terry(Comparisons(wins)).rewards, rewards, atol=1e-13)


@pytest.mark.parametrize("penalty", [1e-6, 0.1, 10.0])
def test_a_penalty_bounds_what_wins_alone_do_not(penalty):
    wins = some_wins(5)
    wins[2] = 0  # never wins
    wins[4], wins[:, 4] = 0, 0  # never compared
    fit = fit_bradley_terry(Comparisons(wins), penalty=penalty)
    assert int(fit.status) == FitStatus.converged and abs(float(fit.rewards[4])) < 1e-9
    rewards, _ = by_scipy(wins, penalty)
    gradient = np.asarray(jax.grad(lambda r: jnp.sum(wins * jax.nn.log_sigmoid(r[:, None] - r)))(fit.rewards))
    np.testing.assert_allclose(gradient, penalty * np.asarray(fit.rewards), atol=1e-8)
    if penalty > 1e-3:
        np.testing.assert_allclose(fit.rewards, rewards, atol=1e-6)


def test_new_labels_are_only_labels():
    wins, order = some_wins(5), np.array([3, 0, 4, 1, 2])
    fit, moved = (fit_bradley_terry(Comparisons(entry)) for entry in (wins, wins[np.ix_(order, order)]))
    np.testing.assert_allclose(moved.rewards, fit.rewards[order], atol=1e-13)
    np.testing.assert_allclose(fit_bradley_terry(Comparisons(wins.T)).rewards, -fit.rewards, atol=1e-13)


def test_prompts_side_by_side_under_every_transformation():
    wins = some_wins(4, prompts=(2, 3))
    together = fit_bradley_terry(Comparisons(wins))
    assert together.rewards.shape == (2, 3, 4) and together.status.shape == (2, 3)
    for prompt in np.ndindex(2, 3):
        alone = fit_bradley_terry(Comparisons(wins[prompt]))
        np.testing.assert_allclose(together.rewards[prompt], alone.rewards, atol=1e-13)

    def rewards(wins):
        return fit_bradley_terry(Comparisons(wins)).rewards

    batch = jnp.asarray(wins)
    for function in (jax.jit(rewards), jax.vmap(rewards), jax.vmap(jax.vmap(rewards))):
        np.testing.assert_allclose(function(batch), together.rewards, atol=1e-13)


def test_a_neighbour_changes_no_bit():
    wins = some_wins(4, prompts=(6,))
    fit = jax.jit(lambda wins: fit_bradley_terry(Comparisons(wins)))
    clean = fit(wins)
    for spoiled in (np.nan, np.inf, -1.0):
        dirty = wins.copy()
        dirty[2, 0, 1] = spoiled
        dirty[4, 0] = 0  # never wins
        found = fit(dirty)
        assert found.status.tolist() == [0, 0, FitStatus.nonfinite_input, 0, FitStatus.no_maximizer, 0]
        assert np.all(np.isnan(found.rewards[np.array([2, 4])]))
        others = np.array([0, 1, 3, 5])
        np.testing.assert_array_equal(found.rewards[others], clean.rewards[others])


def test_float32():
    wins = some_wins(6, prompts=(8,))
    wide, narrow = (fit_bradley_terry(Comparisons(wins.astype(dtype))) for dtype in (np.float64, np.float32))
    assert narrow.rewards.dtype == np.float32 and np.all(narrow.status == 0)
    np.testing.assert_allclose(narrow.rewards, wide.rewards, atol=1e-5)


def test_a_mask_leaves_candidates_out():
    wins = some_wins(5, prompts=(2,))
    kept = [np.array([0, 1, 3]), np.array([1, 2, 3, 4])]
    mask = np.zeros((2, 5), dtype=bool)
    for prompt, candidates in enumerate(kept):
        mask[prompt, candidates] = True
    wins = wins * (mask[:, :, None] & mask[:, None])
    fit = fit_bradley_terry(Comparisons(wins), mask=mask)
    for prompt, candidates in enumerate(kept):
        alone = fit_bradley_terry(Comparisons(wins[prompt][np.ix_(candidates, candidates)]))
        np.testing.assert_allclose(fit.rewards[prompt, candidates], alone.rewards, atol=1e-13)
    np.testing.assert_array_equal(np.asarray(fit.rewards)[~mask], 0)
    np.testing.assert_allclose(fit.rewards.sum(axis=1), 0, atol=1e-13)
    mask[1] = [True, False, False, False, False]  # nobody to compare to
    alone = fit_bradley_terry(Comparisons(wins * (mask[:, :, None] & mask[:, None])), mask=mask)
    np.testing.assert_array_equal(alone.status, FitStatus.converged)
    np.testing.assert_array_equal(alone.rewards, np.where(mask[:, :1] & mask[:, 1:2], fit.rewards, 0))


def test_ford_condition_by_all_partitions():
    """A finite maximiser exists iff in every partition some of each part beat some of the other: 600 random graphs."""
    wins = np.random.default_rng(0).random((600, 4, 4)) < 0.4
    wins &= ~np.eye(4, dtype=bool)
    exists = np.ones(len(wins), dtype=bool)
    for chosen in itertools.product([False, True], repeat=4):
        part = np.array(chosen)
        if part.any() and not part.all():
            exists &= wins[:, part][:, :, ~part].any(axis=(1, 2))
    assert 100 < exists.sum() < 500
    status = np.asarray(jax.jit(lambda wins: fit_bradley_terry(Comparisons(wins)).status)(wins.astype(float)))
    np.testing.assert_array_equal(status, np.where(exists, FitStatus.converged, FitStatus.no_maximizer))


def test_the_groups_to_blame_are_named():
    wins = np.zeros((4, 4))
    wins[0, 2] = wins[2, 0] = wins[1, 3] = wins[3, 1] = 2
    with pytest.raises(ValueError) as apart:
        fit_bradley_terry(Comparisons(wins))
    assert str(apart.value) == (
        "comparisons: got 2 groups between which wins lead one way at most: [0, 2], [1, 3]; takes wins that lead from "
        "each to each other, or penalty > 0"
    )
    wins[0, 1] = 5  # one way only
    with pytest.raises(ValueError, match="comparisons: got 2 groups between which wins lead one way at most"):
        fit_bradley_terry(Comparisons(wins))
    wins[3, 0] = 1
    assert int(fit_bradley_terry(Comparisons(wins)).status) == FitStatus.converged
    best = some_wins(3, prompts=(5,))
    best[3, :, 1] = 0  # candidate 1 of prompt 3 always wins
    with pytest.raises(ValueError, match=r"comparisons\[3\]: got 2 groups .*\[0, 2\].*takes wins that lead"):
        fit_bradley_terry(Comparisons(best))


def test_steps_that_run_out():
    fit = fit_bradley_terry(Comparisons([[0.0, 1e9], [1.0, 0.0]]), max_steps=3)
    assert int(fit.status) == FitStatus.max_steps and int(fit.num_steps) == 3
    assert FitStatus(int(fit.status)).message == "the step limit was reached first"


def test_refusals():
    some = Comparisons(some_wins(3))
    for options, message in [
        ({"penalty": -1.0}, "penalty: got -1.0, takes a finite number >= 0"),
        ({"max_steps": 0}, "max_steps: got 0, takes a whole number >= 1"),
        ({"mask": np.ones(2, dtype=bool)}, r"mask: got bool of shape \(2,\), takes booleans"),
        ({"mask": np.ones(3)}, "mask: got float64 of shape"),
        ({"mask": np.array([True, True, False])}, r"wins\[0, 2\]: got .*, takes 0 of candidates that mask leaves out"),
    ]:
        with pytest.raises(ValueError, match=message):
            fit_bradley_terry(some, **options)
    with pytest.raises(ValueError, match="comparisons: got none, takes at least one comparison"):
        fit_bradley_terry(Comparisons(np.zeros((2, 2))))
