"""Results by name: who won, by what was played, by column or by name."""

import numpy as np
import pyarrow as pa
import pytest
from log_helpers import write

import gamekl as gk

ARENA = gk.offline.LogSchema(player=[{"action": "model_a"}, {"action": "model_b"}], outcome="winner")
# Chatbot Arena's columns, and how far the first model is preferred.
BATTLES = [
    ("gpt", "llama", "model_a", 1.0),
    ("llama", "claude", "tie", 0.5),
    ("claude", "gpt", "model_b", 0.0),
    ("gpt", "claude", "tie (bothbad)", 0.5),
    ("claude", "llama", "both_bad", 0.5),
    ("claude", "gpt", "tie (inconsistent)", 0.5),
    ("llama", "llama", "model_b", 0.0),
]


def battles(rows=BATTLES, **more):
    first, second, winner = ([row[column] for row in rows] for column in range(3))
    return {"model_a": first, "model_b": second, "winner": winner, "turn": list(range(len(rows)))} | more


def read(tmp_path, columns, schema=ARENA, suffix=".csv", **options):
    return gk.offline.read_log(write(tmp_path / f"log{suffix}", columns), schema, **options)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_the_arena_is_read_as_it_is(tmp_path, suffix):
    """As preferences that someone has worked out."""
    log = read(tmp_path, battles(), suffix=suffix)
    worked_out = gk.offline.LogSchema(player=ARENA.player, preference="p")
    expected = read(tmp_path, battles(p=[row[3] for row in BATTLES]), worked_out, suffix)
    assert log.actions == expected.actions == (("claude", "gpt", "llama"), ("claude", "gpt", "llama"))
    np.testing.assert_array_equal(log.groups.counts, expected.groups.counts)
    np.testing.assert_array_equal(log.groups.reward_sums, expected.groups.reward_sums)
    np.testing.assert_array_equal(log.noise, expected.noise)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("winners", [["x", "z", "draw"], [1, 3, 0], [1.0, 3.0, 0.0]])
def test_the_winner_may_be_what_was_played(tmp_path, suffix, winners):
    labels = ["x", "y", "z"] if winners[0] == "x" else [1, 2, 3]
    columns = {"a": [labels[0], labels[1], labels[0]], "b": [labels[1], labels[2], labels[2]], "won": winners}
    ties = {} if winners[0] == "x" else {"ties": [0]}
    schema = gk.offline.LogSchema(player=[{"action": "a"}, {"action": "b"}], outcome="won", **ties)
    log = read(tmp_path, columns, schema, suffix)
    np.testing.assert_array_equal(log.statistics.reward_sums[0], [[1.0, 0.5], [0.0, 0.0]])
    np.testing.assert_array_equal(log.statistics.reward_sums[1], [[0.0, 0.5], [0.0, 1.0]])


def test_the_winner_may_be_a_player(tmp_path):
    """By name, as in chess; and a listed tie takes the place of the usual ones."""
    columns = {"e": ["e4", "d4", "e4"], "f": ["c5", "c5", "e5"], "result": ["white", "black", "1/2-1/2"]}
    players = [{"name": "white", "action": "e"}, {"name": "black", "action": "f"}]
    schema = gk.offline.LogSchema(player=players, outcome="result", ties=["1/2-1/2"])
    log = read(tmp_path, columns, schema)
    np.testing.assert_array_equal(log.statistics.reward_sums[0], [[0.0, 0.0], [1.0, 0.5]])
    with pytest.raises(ValueError, match="outcome: got 'draw' in column 'result', data row 3 of .*ties '1/2-1/2'"):
        read(tmp_path, columns | {"result": ["white", "black", "draw"]}, schema)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_results_may_be_columns_of_their_own(tmp_path, suffix):
    """As in the Arena's set of 55,000 battles."""
    marks = {
        f"winner_{name}": [int(row[3] == won) for row in BATTLES] for name, won in (("a", 1), ("b", 0), ("tie", 0.5))
    }
    three = gk.offline.LogSchema(player=ARENA.player, outcome=list(marks))
    expected = read(tmp_path, battles(), suffix=suffix)
    np.testing.assert_array_equal(
        read(tmp_path, battles(**marks), three, suffix).groups.reward_sums, expected.groups.reward_sums
    )
    two = gk.offline.LogSchema(player=ARENA.player, outcome=list(marks)[:2])
    message = r"^outcome.0: got 0, 0 of \['winner_a', 'winner_b'\] in column 'winner_a', data row 2 .*that add up to 1"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, battles(**marks), two, suffix)
    with pytest.raises(
        ValueError, match="outcome.2: got 2.0 in column 'winner_tie', data row 1 of .*numbers from 0 to 1"
    ):
        read(tmp_path, battles(**marks | {"winner_tie": [2] * 7}), three, suffix)


UNKNOWN = {
    "another model": (
        ("gpt", "llama", "claude"),
        "got 'claude' in column 'winner', data row 2 .*takes 'gpt', 'llama', 'm",
    ),
    "both played it": (
        ("gpt", "gpt", "gpt"),
        "got 'gpt', which may mean two things .*takes 'model_a', 'model_b', or one",
    ),
    "another case": (("gpt", "llama", "Model_A"), "got 'Model_A' in column 'winner', data row 2"),
    "nothing": (("gpt", "llama", None), "got nothing in column 'winner', data row 2"),
    "a model called tie": (
        ("tie", "llama", "tie"),
        "got 'tie', which may mean two things beside the actions 'tie', 'lla",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_unknown_outcomes(tmp_path, case):
    row, message = UNKNOWN[case]
    with pytest.raises(ValueError, match=f"^outcome: {message}"):
        read(tmp_path, pa.table(battles([BATTLES[0], row])), suffix=".parquet")


def test_contexts_weights_and_symmetry_go_with_outcomes(tmp_path):
    columns = battles([*BATTLES[:5], BATTLES[6]], n=[2, 4, 6, 8, 10, 12], lang=["en", "de", "en", "de", "en", "de"])
    schema = gk.offline.LogSchema(player=ARENA.player, outcome="winner", weight="n", context="lang", symmetric=True)
    log = read(tmp_path, columns, schema)
    claude, gpt, llama = range(3)
    assert log.contexts == ("de", "en")
    assert log.statistics.counts[1, gpt, llama] == log.statistics.counts[1, llama, gpt] == 2
    assert log.statistics.reward_sums[1, 0, gpt, claude] == 6 and log.statistics.reward_sums[1, 1, claude, gpt] == 6
    assert log.statistics.reward_sums[0, 0, llama, llama] == 12 and log.statistics.counts[0, llama, llama] == 24
