"""Logs of comparisons of candidates whose strength is known: they rank them rightly, or are refused with the remedy."""

import jax
import numpy as np
import pyarrow as pa
import pytest
from log_helpers import read_with

import gamekl as gk

NAMES = np.array(["ace", "bea", "cat", "dan", "eve"])  # in the order of strength
STRENGTH = np.array([2.0, 1.0, 0.0, -1.0, -2.0])
PREFERENCE = 'preference = "won"\nplayer = [{ action = "a" }, { action = "b" }]'
REWARDS = 'player = [{ action = "a", reward = "r" }, { action = "b", reward = "s" }]'
REMEDY = r"takes symmetric = true in the schema .*outcome = \"winner\""


def tournament(num_rows=2_000, seed=0):
    """Pairs in random order, and whether the first one won, by Bradley and Terry's law."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, [[5], [4]], (2, num_rows))
    second += second >= first
    return first, second, rng.random(num_rows) < 1 / (1 + np.exp(STRENGTH[second] - STRENGTH[first]))


def turned(first, second, won, turn):
    """The same comparisons with some rows the other way round."""
    return np.where(turn, second, first), np.where(turn, first, second), won ^ turn


def columns(first, second, won, **more):
    return {"a": NAMES[first], "b": NAMES[second], "won": won.astype(float), **more}


def winners_first(first, second, won):
    return turned(first, second, won, ~won)


def losers_first(first, second, won):
    return turned(first, second, won, won)


def in_order_of_name(first, second, won):
    return turned(first, second, won, first > second)


def nearly_all_winners_first(first, second, won):
    return turned(first, second, won, ~won & (np.arange(len(won)) % 10 > 0))


def test_a_fair_log_ranks_by_strength_and_takes_unseen_pairs_for_even(tmp_path, caplog):
    log = read_with(tmp_path, columns(*tournament()), text=PREFERENCE)
    estimate = gk.offline.estimate(log)
    row, column = np.asarray(estimate.game.payoffs)
    np.testing.assert_allclose(row + column, 1, rtol=1e-15)
    np.testing.assert_array_equal(np.diag(row), 0.5)  # nobody met themselves
    assert "5 of 25 joint actions have no data; their payoffs are estimated as prior_mean = 0.5" in caplog.text
    anchor = gk.Regularizer.uniform(estimate.game, 0.5)
    found = gk.learning.bootstrap(log, anchor, jax.random.key(0))
    for policy in found.solution.policy:
        assert np.argsort(-policy).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(found.estimate.game.payoffs, estimate.game.payoffs)


@pytest.mark.parametrize(
    "order", [winners_first, losers_first, in_order_of_name, nearly_all_winners_first], ids=lambda order: order.__name__
)
def test_a_log_whose_order_tells_the_winner_is_refused(tmp_path, order):
    log = read_with(tmp_path, columns(*order(*tournament())), text=PREFERENCE)
    with pytest.raises(
        ValueError,
        match="^preference: got shares that do not sum to 1 over .* first beside .*" + REMEDY,
    ):
        gk.offline.estimate(log)
    anchor = gk.Regularizer([np.full(len(labels), -np.log(len(labels))) for labels in log.actions], 0.5)
    with pytest.raises(ValueError, match="^preference: got shares"):
        gk.learning.bootstrap(log, anchor, jax.random.key(0))


def test_the_shares_that_are_told_are_those_of_the_rows(tmp_path):
    log = read_with(tmp_path, {"a": ["x"] * 300, "b": ["x", "y", "y"] * 100, "won": [0.5, 1, 1] * 100}, text=PREFERENCE)
    told = "x first beside y: 1 in 200 rows; y first beside x: 1/2, of which there is no row"
    with pytest.raises(ValueError, match=f"got shares .*{told}"):
        gk.offline.estimate(log)
    log = read_with(tmp_path, {"a": ["x"] * 300, "b": ["x", "x", "x"] * 100, "won": [0.25] * 300}, text=PREFERENCE)
    with pytest.raises(ValueError, match=r"got shares .*\(x first beside x: 0.25 in 300 rows\)"):
        gk.offline.estimate(log)


def test_each_context_is_compared_on_its_own(tmp_path):
    """Winners stand first in the second context only."""
    first, second, won = tournament(4_000)
    late = np.arange(4_000) >= 3_000
    found = turned(first, second, won, late & ~won)
    text = f'context = "x"\n{PREFERENCE}'
    log = read_with(tmp_path, columns(*found, x=np.where(late, "late", "early")), text=text)
    with pytest.raises(ValueError, match="preference: got shares"):
        gk.offline.estimate(log)
    log = read_with(tmp_path, columns(first, second, won, x=np.where(late, "late", "early")), text=text)
    assert gk.offline.estimate(log).game.payoffs.shape == (2, 2, 5, 5)


def test_fair_logs_are_hardly_ever_refused(tmp_path):
    """The bound says 1e-6 of logs; with few rows a pair is often seen one way only."""
    for seed in range(30):
        log = read_with(tmp_path, columns(*tournament(60 + 200 * (seed % 2), seed)), text=PREFERENCE)
        gk.offline.estimate(log)


def test_what_is_chosen_from_other_actions_is_no_comparison_of_candidates(tmp_path):
    """A kicker and a keeper: shares of the first one's wins, of any kind."""
    rng = np.random.default_rng(0)
    kick, dive = rng.integers(0, 2, (2, 500))
    rows = {
        "a": np.array(["high", "low"])[kick],
        "b": np.array(["left", "right"])[dive],
        "won": (rng.random(500) < 0.8) * 1.0,
    }
    assert gk.offline.estimate(read_with(tmp_path, rows, text=PREFERENCE)).game.num_actions == (2, 2)


@pytest.mark.parametrize("value", [(1.0, 1.0), (1.0, -1.0), (0.1, 0.0)])
def test_rewards_that_never_differ_are_refused(tmp_path, value):
    first, second, won = winners_first(*tournament())
    rewards = {"r": np.full(len(won), value[0]), "s": np.full(len(won), value[1])}
    log = read_with(tmp_path, columns(first, second, won, **rewards), text=REWARDS)
    told = rf"^reward: got one number in all rows \({value[0]:g} for player 1, {value[1]:g} for player 2\)"
    with pytest.raises(ValueError, match=f"{told}.*{REMEDY.removeprefix('takes ')}"):
        gk.offline.estimate(log)


def test_one_player_may_be_indifferent(tmp_path):
    rewards = {"r": np.random.default_rng(0).normal(size=300), "s": np.ones(300)}
    log = read_with(tmp_path, columns(*tournament(300), **rewards), text=REWARDS)
    np.testing.assert_array_equal(gk.offline.estimate(log, prior_mean=1).game.payoffs[1], 1)


def test_preferences_that_are_all_even_say_so(tmp_path):
    first, second, _ = tournament(100)
    log = read_with(tmp_path, {"a": NAMES[first], "b": NAMES[second], "won": np.full(100, 0.5)}, text=PREFERENCE)
    np.testing.assert_array_equal(gk.offline.estimate(log).game.payoffs, 0.5)


def test_scores_in_the_order_of_who_won_are_warned_of(tmp_path, caplog):
    """There may be games in which one side always earns more, so they are not refused."""
    first, second, won = tournament()
    rng = np.random.default_rng(1)
    scores = {"r": 3 + rng.random(len(won)), "s": 1 + rng.random(len(won))}
    gk.offline.estimate(read_with(tmp_path, columns(*winners_first(first, second, won), **scores), text=REWARDS))
    assert "player 1 earns more than player 2 in every cell, whichever of two actions it plays" in caplog.text
    caplog.clear()
    swapped = {"r": scores["s"], "s": scores["r"]}
    gk.offline.estimate(read_with(tmp_path, columns(*losers_first(first, second, won), **swapped), text=REWARDS))
    assert "player 2 earns more than player 1" in caplog.text
    caplog.clear()
    sides = REWARDS + "\nsymmetric = false\n"  # who says that the sides differ is believed
    gk.offline.estimate(read_with(tmp_path, columns(*losers_first(first, second, won), **swapped), text=sides))
    assert "earns more" not in caplog.text
    fair = {"r": np.where(won, scores["r"], scores["s"]), "s": np.where(won, scores["s"], scores["r"])}
    gk.offline.estimate(read_with(tmp_path, pa.table(columns(first, second, won, **fair)), text=REWARDS))
    assert "earns more" not in caplog.text


def test_no_other_number_is_taken_for_pairs_that_never_met(tmp_path):
    log = read_with(tmp_path, columns(*tournament()), text=PREFERENCE)
    with pytest.raises(ValueError, match="prior_mean: got 0 for a log of preferences, takes 0.5"):
        gk.offline.estimate(log, prior_mean=0)
    assert gk.offline.estimate(log, prior_mean=0.5).game.payoffs[0, 0, 0] == 0.5
