"""Action graph games: what the nodes' neighbours come to, types, and what is refused."""

import io
import time

import gambit_helpers
import numpy as np
import pytest

import gamekl as gk
from gamekl.games.files.agg import agg_table, bagg_table

# Three players go to the bar or stay at home; whoever goes likes one other there and no more.
BAR = """#AGG
# players, action nodes, function nodes
3 2 0
2 2 2
0 1
0 1
0 1
# neighbours: both look at the bar only
1 0
1 0

# payoffs by how many are at the bar, one to three; and none to two
0 1 3 -2
1 3
[0] 0
[ 2 ] 1/2 [1] 0.25
"""


def test_the_bar():
    payoffs = agg_table(BAR).payoffs
    assert payoffs.shape == (3, 2, 2, 2)
    np.testing.assert_array_equal(payoffs[:, 0, 0, 0], [-2, -2, -2])
    np.testing.assert_array_equal(payoffs[:, 0, 1, 0], [3, 0.5, 3])
    np.testing.assert_array_equal(payoffs[:, 1, 1, 0], [0.25, 0.25, 1])
    np.testing.assert_array_equal(payoffs[:, 1, 1, 1], [0, 0, 0])


FUNCTIONS = {
    # What two players' pairs of actions (0, 0), (0, 1), (1, 0), (1, 1) come to where 0 and 1 lead to the function.
    "0": [2, 2, 2, 2],
    "1": [1, 1, 1, 1],
    "2": [0, 1, 1, 1],
    "3": [0, 0, 0, 1],
    "10 0 [2 5 0]": [4, 7, 7, 10],
    "10 1 [2 5 0]": [6, 9, 9, 12],  # each player adds the default
    "11 0 [0 3 0]": [0, 1, 1, 1],
    "12 9 [2 5 0]": [2, 5, 5, 5],
    "13 9 [2 5 0]": [2, 2, 2, 5],
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions(function):
    """What a function comes to is what both players are paid: its value's place among its values, in order."""
    values = sorted(set(FUNCTIONS[function]))
    rows = " ".join(f"[{value}] {value}" for value in values)
    used = f"1 {len(values)} {rows}"
    text = f"#AGG\n2 3 1\n2 2\n0 1 0 1\n1 3\n1 3\n0\n2 0 1\n{function}\n{used}\n{used}\n0"
    np.testing.assert_array_equal(agg_table(text).payoffs.reshape(2, 4), [FUNCTIONS[function]] * 2)


@pytest.mark.parametrize(("function", "expected"), [("2", [4, 0]), ("12 7 [5 6 0]", [7, 5]), ("0", [0, 1])])
def test_functions_that_nothing_leads_to(function, expected):
    """The one player's node 0 leads to the function, 1 does not; S + P, or the default, stands for none."""
    rows = " ".join(f"[{value}] {value}" for value in {*expected})
    text = f"#AGG\n1 3 1\n2\n0 1\n1 3\n1 3\n0\n1 0\n{function}\n1 2 {rows}\n1 2 {rows}\n0"
    np.testing.assert_array_equal(agg_table(text).payoffs, [expected[::-1]])


def test_functions_of_functions_count_ways():
    """Node 0 leads to the sum 2 directly and through the sum 1, so that it counts twice."""
    text = "#AGG\n1 1 2\n1\n0\n1 2\n1 0\n2 0 1\n0\n0\n1 1 [2] 7"
    np.testing.assert_array_equal(agg_table(text).payoffs, [[7]])


def bayesian(chances):
    """Two players of nodes 0 and 1, paid by how many are at 0; the first's types may be bound to one node each."""
    return f"#BAGG\n2 2 0\n2 1\n{chances}\n1\n1 1 2\n0\n1\n0 1\n1 0\n1 0\n0 10 20\n0 30 40"


def test_types():
    """Agents are the first player's types at nodes 0 and 1, and the second player, who averages over them."""
    table = bagg_table(bayesian("1/4 0.75"))
    assert table.names.players == ("player 1, type 1", "player 1, type 2", "player 2, type 1")
    np.testing.assert_allclose(
        table.payoffs[:, 0, 0], [[20, 10], [40, 30], [0.25 * 20 + 0.75 * 10, 0.25 * 40 + 0.75 * 30]]
    )


def drawn(rng):
    """The text of a random game in which all nodes are used and have neighbours: pygambit dies of some others."""
    players, actions, functions = (int(rng.integers(low, high)) for low, high in ((1, 4), (1, 4), (0, 3)))
    sets = [list(range(actions)) for _ in range(players)]
    kinds = [int(rng.choice([0, 1, 2, 3, 10, 11, 12, 13])) for _ in range(functions)]
    lines = ["#AGG", f"{players} {actions} {functions}", " ".join([str(actions)] * players)]
    lines += [" ".join(map(str, own)) for own in sets]
    for node in range(actions + functions):
        pool = rng.permutation(actions + functions if node < actions else actions)
        chosen = pool[: rng.integers(1, len(pool) + 1)]
        lines.append(" ".join(map(str, [len(chosen), *chosen])))
    weights = [f"{rng.integers(4)} [{' '.join(map(str, rng.integers(0, 5, actions)))}]" for _ in kinds]
    lines += [f"{kind} {weight}" if kind >= 10 else str(kind) for kind, weight in zip(kinds, weights, strict=True)]
    return "\n".join(lines)


def test_random_games_are_as_gambits(monkeypatch):
    """60 of them, with all kinds of functions; payoffs in the order of configurations, or each beside its own."""
    pygambit, rng = gambit_helpers.pygambit(), np.random.default_rng(3)
    rows = []

    def remember(reader, found, width):
        rows.append(found)
        return np.zeros(len(found))

    for _ in range(60):
        text = drawn(rng)
        with monkeypatch.context() as patched:  # what configurations there are
            patched.setattr("gamekl.games.files.agg._node_payoffs", remember)
            rows.clear()
            agg_table(text)
        for found in rows:
            pays = rng.integers(-99, 99, len(found))
            pairs = "\n".join(f"[{' '.join(map(str, row))}] {pay}" for row, pay in zip(found, pays, strict=True))
            text += "\n0 " + " ".join(map(str, pays)) if rng.random() < 0.5 else f"\n1 {len(found)}\n{pairs}"
        theirs = pygambit.read_agg(io.StringIO(text + "\n"))
        np.testing.assert_array_equal(agg_table(text).payoffs, gambit_helpers.payoffs_of(theirs))


@pytest.mark.parametrize("cut", range(0, len(BAR.strip()) - 3, 4))
def test_truncated_anywhere(cut):
    with pytest.raises(ValueError, match="^agg: "):
        agg_table(BAR.strip()[:cut])


ONE = "#AGG\n1 1 1\n1\n0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got '', takes a first line '#AGG'"),
        (bayesian("0.5 0.5"), "takes a first line '#AGG'"),
        ("#AGG\n0 1 0", "got '0', takes a number of players, 1 to 63"),
        ("#AGG\n1 1.5 0", "got '1.5', takes a number of action nodes"),
        ("#AGG\n2 2 0\n2 0", "got '0', takes the size of an action set, 1 to"),
        ("#AGG\n2 2 0\n1 1\n0 2", "got '2', takes an action node, 0 to 1"),
        ("#AGG\n1 2 0\n2\n1 0", r"got action nodes \[1, 0\], takes different ones in ascending order"),
        ("#AGG\n1 2 0\n2\n1 1", r"got action nodes \[1, 1\], takes different ones in ascending order"),
        ("#AGG\n63 2 0\n" + "2 " * 63, "got an action graph game with 2 x .* pure strategies, takes at most 1048576"),
        ("#AGG\n2 999999999 0\n999999999 2", "got an action graph game with 999999999 x 2 pure strategies"),
        ("#AGG\n1 1 0\n1\n0\n1 5", "got '5', takes a neighbour, 0 to 0"),
        (ONE + "0\n1 0\n7", "got a function of type 7, takes 0 to 3 and 10 to 13"),
        (ONE + "0\n1 1\n0", "got function 1 that leads to itself, takes no circles"),
        ("#AGG\n1 1 2\n1\n0\n0\n1 2\n1 1\n0\n0", "got function 1 that leads to itself"),
        ("#AGG\n1 1 2\n1\n0\n0\n1 2\n1 0\n0\n1", "got functions 2 and 1 in a row, takes one kind"),
        (ONE + "0\n1 0\n11 -1 [1]", "got weights or a default below 0"),
        (ONE + "0\n1 0\n10 0 1", r"got '1', takes '\['"),
        (ONE + "0\n1 0\n10 0 [1 2]", r"got '2', takes '\]'"),
        (BAR.replace("0 1 3 -2", "2 1 3 -2"), "got a payoff function of type 2, takes 0 or 1"),
        (BAR.replace("0 1 3 -2", "0 1 3 x"), "got 'x', takes a number such as"),
        (BAR.replace("[1] 0.25", "[2] 0.25"), r"got configuration \[2\] again"),
        (BAR.replace("[1] 0.25", "[7] 0.25"), r"got no payoff for configuration \[1\]"),
        (BAR + " 5", "got '5', takes nothing after the last payoff"),
        (
            "#AGG\n1 1 40\n1\n0\n1 40\n1 0\n" + "".join(f"2 {n} {n}\n" for n in range(1, 40)) + "0 " * 40,
            "by 1048576 ways",
        ),
    ],
)
def test_refused(text, message):
    start = time.process_time()
    with pytest.raises(ValueError, match=f"^agg: .*{message}"):
        agg_table(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BAR, "takes a first line '#BAGG'"),
        (bayesian("0.5 0.6"), r"got chances \[0.5, 0.6\] of a player's types, takes numbers >= 0 that sum to one"),
        (bayesian("-1 2"), "takes numbers >= 0 that sum to one"),
        ("#BAGG\n3 2 0\n30 30 4", r"got types \[30, 30, 4\]|got \[30, 30, 4\] types, takes at most 63 in all"),
        (bayesian("0.5 0.5")[:-2], "got 'x'|the file ends where a payoff should be"),
    ],
)
def test_types_refused(text, message):
    with pytest.raises(ValueError, match=f"^bagg: .*{message}"):
        bagg_table(text)


def test_files(tmp_path):
    (tmp_path / "bar.agg").write_text(BAR, encoding="utf-8-sig")
    (tmp_path / "types.bagg").write_bytes(bayesian("0.5 0.5").replace("#BAGG", "#BAGG caf\xe9").encode("latin-1"))
    np.testing.assert_array_equal(gk.games.load_game(tmp_path / "bar.agg").payoffs, agg_table(BAR).payoffs)
    assert gk.games.load_game(tmp_path / "types.bagg").num_actions == (1, 1, 2)
    (tmp_path / "bar.agg").write_text("#AGG")
    with pytest.raises(ValueError, match=r"^path: got .*bar\.agg, which is no readable \.agg game: agg: the file ends"):
        gk.games.load_game(tmp_path / "bar.agg")
