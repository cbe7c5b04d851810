"""Symmetric games that are logged once a pair, and logs that look like it."""

import numpy as np
import pytest
from log_helpers import PLAYERS, write

import gamekl as gk

NAMES = ["rock", "paper", "scissors", "well"]


@pytest.fixture(scope="module")
def logged():
    """Pairs in the order of their names."""
    rng = np.random.default_rng(0)
    first, second = np.sort(rng.integers(0, 4, (2, 400)), axis=0)
    payoffs = np.array([[0, -1, 1, -1], [1, 0, -1, 1], [-1, 1, 0, -1], [1, -1, 1, 0]])
    rewards = payoffs[first, second] + rng.normal(0, 0.1, 400)
    names = np.array(NAMES)
    return {"a": names[first], "b": names[second], "r": rewards, "s": -rewards, "match": np.arange(400) // 4}


def exchanged(columns):
    """Each row and the one with roles exchanged."""
    both = columns | {"a": columns["b"], "b": columns["a"], "r": columns["s"], "s": columns["r"]}
    return {name: np.concatenate([columns[name], both[name]]) for name in columns}


def read(path, columns, player=PLAYERS, **schema):
    return gk.offline.read_log(write(path, columns), gk.offline.LogSchema(player=player, **schema))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_each_row_tells_of_both_orders(tmp_path, logged, suffix):
    """As if each were there twice; and both stay in one group."""
    ours = read(tmp_path / f"ours{suffix}", logged, symmetric=True, group="match")
    theirs = read(tmp_path / f"theirs{suffix}", exchanged(logged), group="match")
    assert ours.actions == theirs.actions and (ours.num_rows, ours.num_plays) == (400, 400)
    np.testing.assert_allclose(ours.groups.counts, theirs.groups.counts)
    np.testing.assert_allclose(ours.groups.reward_sums, theirs.groups.reward_sums, atol=1e-12)
    np.testing.assert_allclose(ours.noise, theirs.noise)
    payoffs = np.asarray(gk.offline.estimate(ours).game.payoffs)
    np.testing.assert_allclose(payoffs[0], payoffs[1].T, atol=1e-12)


def test_both_players_share_labels(tmp_path, logged):
    late = {name: values[logged["b"] != "rock"] for name, values in logged.items()}  # the second never plays the first
    log = read(tmp_path / "log.csv", late, symmetric=True)
    assert log.actions[0] == log.actions[1] == tuple(sorted(NAMES))
    listed = [entry | {"actions": NAMES} for entry in PLAYERS]
    assert read(tmp_path / "log.csv", late, listed, symmetric=True).actions == (tuple(NAMES), tuple(NAMES))
    with pytest.raises(ValueError, match="player.1.actions: got other labels than player.0.actions, takes the same"):
        read(tmp_path / "log.csv", late, [listed[0], PLAYERS[1]], symmetric=True)
    with pytest.raises(ValueError, match="symmetric: got true for 1 players, takes it for two"):
        read(tmp_path / "log.csv", late, PLAYERS[:1], symmetric=True)


def cells(*pairs):
    first, second = zip(*pairs, strict=True)
    return {"a": first, "b": second, "r": [1.0] * len(first), "s": [0.0] * len(first)}


HALF_SEEN = {
    "a tournament": cells("xy", "xz", "yz"),
    "with matches against oneself": cells("xx", "xy", "xz", "yz", "yy", "zz"),
    "some pairs only": cells("xy", "zx", "xx", "yz", "wx"),
    "two labels": cells("xx", "xy", "yy"),
}
SEEN = {
    "both orders": cells("xy", "yx", "xz", "yz"),
    "other labels": cells("xp", "xq", "yp"),
    "one shared label": cells("xp", "xx"),
    "no pairs": cells("xx", "yy"),
    "one pair": cells("xy"),
}


@pytest.mark.parametrize("case", HALF_SEEN)
def test_logs_of_one_order(tmp_path, case):
    log = read(tmp_path / "log.csv", HALF_SEEN[case])
    with pytest.raises(
        ValueError, match="symmetric: got a log with .., .. and never .*takes true in the schema for a game"
    ):
        gk.offline.check_orders(log)
    for symmetric in (True, False):
        gk.offline.check_orders(read(tmp_path / "log.csv", HALF_SEEN[case], symmetric=symmetric))


@pytest.mark.parametrize("case", SEEN)
def test_logs_of_both_orders(tmp_path, case):
    gk.offline.check_orders(read(tmp_path / "log.csv", SEEN[case]))


def test_contexts_are_looked_at_together(tmp_path):
    columns = cells("xy", "xz", "yz") | {"day": [1, 1, 2]}
    with pytest.raises(ValueError, match="got a log with .x, y. and never .y, x., and so for all 3 pairs that it has"):
        gk.offline.check_orders(read(tmp_path / "log.csv", columns, context="day"))
    back = cells("xy", "xz", "yz", "yx") | {"day": [1, 1, 2, 2]}
    gk.offline.check_orders(read(tmp_path / "log.csv", back, context="day"))


def test_half_a_table_is_solved_as_the_whole_one(tmp_path, logged):
    """By one policy for both, in which rock, that a well swallows, is rare."""
    log = read(tmp_path / "log.parquet", logged, symmetric=True)
    anchor = gk.Regularizer([np.full(4, np.log(0.25))] * 2, 0.2)
    solution = gk.gane(gk.offline.estimate(log), anchor)
    np.testing.assert_allclose(solution.policy[0], solution.policy[1], atol=1e-6)
    assert np.argmin(solution.policy[0]) == log.actions[0].index("rock")
