"""From comparisons to chosen responses, through `gk.preference` alone."""

import jax
import numpy as np
import pytest

import gamekl as gk


def test_every_name_is_there():
    assert all(hasattr(gk.preference, name) for name in gk.preference.__all__)


def test_comparisons_choose_the_winner():
    """Prompt 0: response 2 wins all its comparisons. Prompt 1 has no third response."""
    rows = [(0, 2, 0, 1), (0, 2, 1, 1), (0, 0, 1, 0.5), (0, 1, 2, 0), (1, 0, 1, 0), (1, 1, 0, 1)]
    comparisons = gk.offline.count_comparisons(*zip(*rows, strict=True))
    estimate = gk.offline.estimate_preferences(comparisons, smoothing=0.5)
    mask = np.array([[True, True, True], [True, True, False]])
    found = gk.preference.nash_policies(estimate.preferences, np.zeros((2, 3)), 0.1, mask=mask, throw=True)
    np.testing.assert_array_equal(found.chosen, [2, 1])
    assert np.all(found.win_rate > 0.5)
    assert found.policy[1, 2] == 0


def test_more_comparisons_bring_the_policy_of_the_truth():
    """Rock, paper, scissors of unequal strength: no response beats all others, and the policy mixes."""
    truth = np.array([[0.5, 0.8, 0.3], [0.2, 0.5, 0.9], [0.7, 0.1, 0.5]])
    reference = np.log([[0.2, 0.3, 0.5]])
    pairs = (1 - np.eye(3)) / 6
    expected = gk.preference.nash_policies(truth[None], reference, 0.05).policy
    for num_samples, apart in [(10**4, 0.03), (10**8, 5e-4)]:
        drawn = gk.offline.sample_comparisons(jax.random.key(0), truth, pairs, num_samples)
        estimated = gk.offline.estimate_preferences(drawn).preferences[None]
        found = gk.preference.nash_policies(estimated, reference, 0.05)
        np.testing.assert_allclose(found.policy, expected, atol=apart)


@pytest.mark.parametrize("rule", [gk.rules.NashMP(2.0), gk.rules.EGPO(0.3)], ids=lambda rule: type(rule).__name__)
def test_self_play_comes_to_the_same_policy(rule):
    truth = np.array([[0.5, 0.8, 0.3], [0.2, 0.5, 0.9], [0.7, 0.1, 0.5]])
    reference = np.log([0.2, 0.3, 0.5])
    expected = gk.preference.nash_policies(truth[None], reference[None], 0.2, tol=1e-20)
    found = gk.preference.self_play(truth, reference, 0.2, rule, num_rounds=1000)
    np.testing.assert_allclose(np.exp(found.log_policy[0]), expected.policy[0], atol=1e-9)
