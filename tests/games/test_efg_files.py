"""Gambit's game trees, read by ourselves: what the format says, what strategies there are, and what is refused."""

import time

import numpy as np
import pytest
from efg_helpers import centipede, independent_choices

import gamekl as gk

HEADER = 'EFG 2 R "a game" { "Ann" "Bob" } ""\n'


def read(body, header=HEADER):
    return gk.games.parse_efg(header + body)


# Bob does not know what Ann did, and the second node of his set leaves its description out.
SIMULTANEOUS = """
p "" 1 1 "Ann's" { "up" "down" } 0
p "" 2 1 "Bob's" { "left" "right" } 0
t "" 1 "ul" { 1, -1 }
t "" 2 "ur" { 2.5 1/3 }
p "" 2 1 0
t "" 3 "dl" { 3 3 }
t "" 1
"""


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("R", "D"), HEADER.replace('""', ""), "\n " + HEADER])
@pytest.mark.parametrize("newline", ["\n", "\r\n", " "])
def test_spellings(header, newline):
    game = gk.games.parse_efg((header + SIMULTANEOUS).replace("\n", newline))
    np.testing.assert_array_equal(game.payoffs, [[[1, 2.5], [3, 1]], [[-1, 1 / 3], [3, -1]]])
    assert game.names.players == ("Ann", "Bob") and game.names.title == "a game"
    assert game.names.actions == (("up", "down"), ("left", "right"))


def test_a_set_may_be_described_again():
    again = SIMULTANEOUS.replace("2 1 0", '2 1 "Bob\'s" { "left" "right" } 0').replace("1\n", '1 "ul" { 1 -1.0 }\n', 1)
    np.testing.assert_array_equal(read(again).payoffs, read(SIMULTANEOUS).payoffs)


def test_outcomes_on_the_way_add_up():
    """The root pays 100 and 200, Bob's node -1 and 0; the number of a set or an outcome may be any."""
    game = read(
        """p "" 1 -7 "" { "stop" "go" } 900000001 "root" { 100 200 }
        t "" 0
        p "" 2 1 "" { "l" "r" } 2 "fee" { -1 0 }
        t "" 2
        t "" -3 "end" { 1/2 3 }"""
    )
    np.testing.assert_array_equal(game.payoffs, [[[100, 100], [98, 99.5]], [[200, 200], [200, 203]]])


def test_chance_is_exact():
    """Expectations are the floats next to the exact ones, however their terms would round."""
    draws = " ".join(f'"{draw}" 0.1' for draw in range(10))
    ends = "\n".join(f't "" {draw + 1} "" {{ 1 {10**17 * (-1) ** draw + (draw == 9)} }}' for draw in range(10))
    game = read(f'p "" 1 1 "" {{ "a" "b" }} 0\nc "" 1 "" {{ {draws} }} 0\n{ends}\nt "" 0')
    np.testing.assert_array_equal(game.payoffs, [[[1.0], [0.0]], [[0.1], [0.0]]])


def test_chance_may_be_nested_and_impossible():
    game = read(
        """c "" 1 "" { "x" 1/3 "y" 2/3 } 0
        c "" 1 0
        t "" 1 "" { 9 0 }
        t "" 0
        c "" 2 "" { "never" 0 "always" 1 } 0
        p "" 2 1 "" { "l" "r" } 0
        t "" 0
        t "" 0
        t "" 2 "" { 27 1 }"""
    )
    np.testing.assert_array_equal(game.payoffs, [[[19, 19]], [[2 / 3, 2 / 3]]])
    assert game.names.actions == (("*",), ("l", "r"))


def test_strategies_say_what_they_do():
    """Ann moves again where she went on and Bob did not stop; two of her sets are led to by other moves of hers."""
    game = read(
        """p "" 1 1 "" { "out" "in" } 0
        p "" 1 2 "" { "a" "b" } 0
        t "" 1 "" { 1 0 }
        t "" 2 "" { 2 0 }
        p "" 2 1 "" { "l" "r" } 0
        t "" 3 "" { 3 0 }
        p "" 1 3 "" { "c" "c" "" } 0
        t "" 4 "" { 4 0 }
        t "" 5 "" { 5 0 }
        t "" 6 "" { 6 0 }"""
    )
    assert game.names.actions == (("out/a", "out/b", "in/c_1", "in/c_2", "in/_1"), ("l", "r"))
    np.testing.assert_array_equal(game.payoffs[0], [[1, 1], [2, 2], [3, 4], [3, 5], [3, 6]])


def test_strategies_are_merged_where_their_own_moves_never_lead():
    """The centipede: 2^20 plans for each player, of which 21 differ; they are counted without making any."""
    payoffs = np.asarray(gk.games.parse_efg(centipede(40)).payoffs)
    assert payoffs.shape == (2, 21, 21)
    # The first strategy stops at once, the last never; the end comes at the earlier stop.
    first, second = np.meshgrid(2 * np.arange(21), 2 * np.arange(21) + 1, indexing="ij")
    stop = np.minimum(first, second)
    np.testing.assert_array_equal(payoffs[0], np.where(stop < 40, stop, 7))
    np.testing.assert_array_equal(payoffs[1], np.where(stop < 40, 1 / 3, 8))


def test_a_player_who_forgets():
    """Ann forgets what she did first, and, at the same node, that she was there: she does the same again."""
    one, other = 't "" 1 "" { 1 0 }\nt "" 2 "" { 2 0 }', 't "" 3 "" { 3 0 }\nt "" 4 "" { 4 0 }'
    forgets = read(f'p "" 1 1 "" {{ "L" "R" }} 0\np "" 1 2 "" {{ "l" "r" }} 0\n{one}\np "" 1 2 0\n{other}')
    np.testing.assert_array_equal(forgets.payoffs[0], [[1], [2], [3], [4]])
    assert forgets.names.actions[0] == ("L/l", "L/r", "R/l", "R/r")
    driver = read('p "" 1 1 "" { "on" "off" } 0\np "" 1 1 0\nt "" 1 "" { 1 0 }\nt "" 2 "" { 4 0 }\nt "" 3 "" { 0 0 }')
    np.testing.assert_array_equal(driver.payoffs[0], [[1], [0]])


def test_names_are_told_apart():
    game = read('p "" 1 1 "" { "x" "x" "" } 0\nt "" 0\nt "" 0\nt "" 0', 'EFG 2 R "" { "A" "A" "" "A_1" }')
    assert game.names.players == ("A_2", "A_3", "_1", "A_1")
    assert game.names.actions[0] == ("x_1", "x_2", "_1")
    quoted = read('t "" 0', 'EFG 2 R "\\"a\\" \\\\" { "b\\n" }')
    assert quoted.names.title == '"a" \\' and quoted.names.players == ("b\\n",)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "game.EFG"
    path.write_text(HEADER.replace("Ann", "Zoé") + SIMULTANEOUS, encoding=encoding)
    game = gk.games.load_game(path, dtype="float32")
    assert game.names.players == ("Zoé", "Bob") and game.dtype == np.float32
    np.testing.assert_array_equal(game.payoffs, gk.games.read_efg(path, dtype="float32").payoffs)


def test_trees_may_be_deep():
    """2,000 moves in a row, of one action each, and a chain of chance whose numbers stay short."""
    moves = "\n".join(f'p "" 1 {turn} "" {{ "on" }} 0' for turn in range(2_000))
    assert gk.games.parse_efg(f'{HEADER}{moves}\nt "" 1 "" {{ 1 2 }}').num_actions == (1, 1)
    same = 'c "" 1 "" { "a" 1 } 0\n' + 'c "" 1 0\n' * 2_000
    np.testing.assert_array_equal(read(same + 't "" 1 "" { 1 2 }').payoffs, [[[1]], [[2]]])
    assert gk.games.parse_efg(centipede(1000)).num_actions == (501, 501)


def test_as_many_players_as_axes():
    header = 'EFG 2 R "" { ' + '"p" ' * 63 + "}"
    body = 'p "" 63 1 "" { "l" "r" } 0\n' + "".join(f't "" {end} "" {{ {f"{end} " * 63} }}' for end in (1, 2))
    payoffs = np.asarray(read(body, header).payoffs)
    assert payoffs.shape == (63, *[1] * 62, 2)
    np.testing.assert_array_equal(payoffs.reshape(63, 2), [[1, 2]] * 63)


@pytest.mark.parametrize("cut", range(1, len(SIMULTANEOUS.strip()) - 1, 3))
def test_truncated_anywhere(cut):
    with pytest.raises(ValueError, match="^efg: "):
        read(SIMULTANEOUS.strip()[:cut])


TOO_LARGE = "takes at most 1048576 joint strategies, 200000 histories"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file ends where 'EFG' should be"),
        ("NFG 1 R", "got 'NFG', takes 'EFG'"),
        ("EFG 1 R", "got '1', takes '2'"),
        ('EFG 2 X ""', "the header takes 'EFG 2 R' or 'EFG 2 D'"),
        ('EFG 2 R "" { }', "got 0 players, takes 1 to 63"),
        ('EFG 2 R "" { "a" } ""', r"the file ends where a node \(p, c or t\), of 1 that are missing, should be"),
        ('EFG 2 R "" { "a" } x', "got 'x', takes a node: p, c or t"),
        ('EFG 2 R "" { "a" } P "" 1 1', "got 'P', takes a node: p, c or t"),
        (HEADER + 't "" 0 t "" 0', "got 't', takes nothing after the last node of the tree"),
        (HEADER + "t 0", "got '0', takes a node's name in double quotes"),
        (HEADER + 't "" 1.5', "got '1.5', takes the number of an outcome"),
        (HEADER + 't "" 5', "got outcome 5 before it is described"),
        (HEADER + 't "" 0 "null" { 1 2 }', "got outcome 0 with a name, takes it bare"),
        (HEADER + 't "" 1 "" { 1 }', "got 1 payoffs in outcome 1, takes 2"),
        (HEADER + 't "" 1 "" { 1 2 3 }', "got 3 payoffs in outcome 1, takes 2"),
        (HEADER + 't "" 1 "" { 1 x }', "got 'x', takes a number such as"),
        (HEADER + 't "" 1 "" { 1 nan }', "got 'nan', takes a number such as"),
        (HEADER + 't "" 1 "" { 1 1/0 }', "got '1/0', takes a number such as"),
        (HEADER + 't "" 1 "" { 1 1e999999999 }', "got '1e999999999', takes a number such as"),
        (HEADER + 't "" 1 "" { 1 0.' + "9" * 2000 + " }", "takes a number such as"),
        (HEADER + 't "" 1 "" { 1 1/' + "9" * 2000 + " }", "got numbers of more than 4096 binary digits"),
        (HEADER + 'p "" 3 1 "" { "x" } 0', "got '3', takes the number of a player, 1 to 2"),
        (HEADER + 'p "" 0 1 "" { "x" } 0', "got '0', takes the number of a player, 1 to 2"),
        (HEADER + 'p "" 1 one "" { "x" } 0', "got 'one', takes the number of an information set"),
        (HEADER + 'p "" 1 1 0', "got information set 1 of player 1 before it is described"),
        (HEADER + 'p "" 1 1 "" { } 0', "got no actions in information set 1 of player 1"),
        (HEADER + 'c "" 4 "" { } 0', "got no actions in information set 4 of chance"),
        (HEADER + 'c "" 1 "" { "x" } 0', "got '}', takes a number such as"),
        (HEADER + 'c "" 1 "" { "x" 0.333 "y" 0.333 "z" 0.333 } 0', "got chances 333/1000 .* that sum to exactly one"),
        (HEADER + 'c "" 1 "" { "x" -1 "y" 2 } 0', "got chances -1 2 in information set 1 of chance"),
        (HEADER + 'p "" 1 1 "" { "x" "y" } 0 t "" 0', r"the file ends where a node .*, of 1 that are missing"),
        (
            HEADER + 'p "" 1 1 "" { "x" "y" } 0 p "" 1 1 "" { "y" "x" } 0',
            "set 1 of player 1 described anew",
        ),
        (
            HEADER + 'p "" 1 1 "" { "x" "y" } 0 p "" 1 1 "z" { "x" "y" } 0',
            "set 1 of player 1 described anew",
        ),
        (HEADER + 'c "" 1 "" { "x" 1/3 "y" 2/3 } 0 c "" 1 "" { "x" 2/3 "y" 1/3 } 0', "set 1 of chance described anew"),
        (HEADER + 'p "" 1 1 "" { "x" "y" } 0 t "" 1 "" { 1 2 } t "" 1 "" { 1 3 }', "outcome 1 described anew"),
        (HEADER + 'p "" 1 1 "" { "x" "y" } 0 t "" 1 "" { 1 2 } t "" 1 "b" { 1 2 }', "outcome 1 described anew"),
        (
            HEADER + 'c "" 1 "" { "x" 1/3 "y" 2/3 } 0 ' + 'c "" 1 0 ' * 5000,
            "got numbers of more than 4096 binary digits",
        ),
        (independent_choices(30), f"got a tree with 1073741824 pure strategies and 91 histories, {TOO_LARGE}"),
        (independent_choices(100), rf"got a tree with 10\^30.1 pure strategies and 301 histories, {TOO_LARGE}"),
        (
            independent_choices(400),
            rf"got a tree with 10\^120.4 pure strategies and 1201 histories, {TOO_LARGE}",
        ),
    ],
)
def test_refused(text, message):
    start = time.process_time()
    with pytest.raises(ValueError, match=f"^efg: .*{message}"):
        gk.games.parse_efg(text)
    assert time.process_time() - start < 10


def test_a_player_who_forgets_is_counted_as_strategies_are_made(monkeypatch):
    """Ann sees 9 sets, each of them after either of two moves that she forgets: 2^10 strategies."""
    monkeypatch.setattr("gamekl.games.files.trees.MAX_STRATEGIES", 1023)
    sees = "\n".join(f'p "" 1 {1 + turn} "" {{ "l" "r" }} 0\nt "" 0\nt "" 0' for turn in range(1, 10))
    draws = " ".join(f'"{turn}" 1/9' for turn in range(9))
    body = f'p "" 1 1 "" {{ "L" "R" }} 0\nc "" 1 "" {{ {draws} }} 0\n{sees}\nc "" 1 0\n{sees}'
    with pytest.raises(ValueError, match="^efg: got a player who forgets with more than 1023 strategies"):
        read(body)


def test_too_many_nodes(monkeypatch):
    monkeypatch.setattr("gamekl.games.files.efg.MAX_HISTORIES", 1000)
    with pytest.raises(ValueError, match="^efg: got a tree of more than 1000 nodes, takes at most that"):
        read('c "" 1 "" { "x" 1 } 0 ' + 'c "" 1 0 ' * 1000)


def test_payoffs_that_are_no_floats():
    for number in ("1e400", "-1e400/1", "1e999"):
        with pytest.raises(ValueError, match=r"payoffs: got one beyond 1.8e\+308, takes finite numbers|takes a number"):
            read(f't "" 1 "" {{ 1 {number} }}')
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got (1e39|inf|1e\+39)"):
        gk.games.parse_efg(HEADER + 't "" 1 "" { 1e39 0 }', dtype="float32")


def test_messages_name_the_file(tmp_path):
    path = tmp_path / "game.efg"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"^path: got .*game\.efg, which is no readable \.efg game: efg: got"):
        gk.games.load_game(path)
    with pytest.raises(FileNotFoundError, match=r"none\.efg"):
        gk.games.read_efg(tmp_path / "none.efg")
