"""Payoffs as spreadsheets write them: a row for each joint action, or a table of pairs."""

import numpy as np
import pytest

import gamekl as gk

ROWS = """Ann,Bob,payoff Ann,payoff Bob
stop,left,1,2
stop,right,0,1/3
go,left,-1.5,0
go,right,2,1e1
"""
PAIRS = """Ann \\ Bob,left,right
stop,"(1, 2)","(0, 1/3)"
go,"(-1.5, 0)","(2, 1e1)"
"""
PAYOFFS = [[[1, 0], [-1.5, 2]], [[2, 1 / 3], [0, 10]]]


def written(tmp_path, text, **options):
    path = tmp_path / "game.csv"
    path.write_text(text, **options)
    return path


def read(tmp_path, text, **options):
    return gk.games.load_game(written(tmp_path, text, **options))


@pytest.mark.parametrize("text", [ROWS, PAIRS])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_both_forms(tmp_path, text, encoding, newline):
    game = read(tmp_path, text.replace("Ann", "Zoé"), encoding=encoding, newline=newline)
    np.testing.assert_array_equal(game.payoffs, PAYOFFS)
    assert game.names.players == ("Zoé", "Bob")
    assert game.names.actions == (("stop", "go"), ("left", "right"))


@pytest.mark.parametrize(
    "text",
    [
        ROWS.replace(",", ";"),
        ROWS.replace(",", "\t"),
        ROWS.replace(",", " , "),
        ROWS.replace("\n", "\n\n").replace("go,left", '"go","left"'),
        ROWS.replace("payoff Ann,payoff Bob", "Ann,Bob"),
        ROWS.replace("payoff Ann,payoff Bob", "Payoff_ann,bob payoffs"),
        ROWS.replace("payoff Ann,payoff Bob", "payoff(Ann),payoff: Bob"),
        "Ann,Bob,payoff Bob,payoff Ann\nstop,left,2,1\nstop,right,1/3,0\ngo,left,0,-1.5\ngo,right,10,2\n",
        PAIRS.replace(",", ";", 2).replace(',"', ";").replace('"', ""),
        PAIRS.replace(",", "\t", 2).replace(',"', "\t").replace('"', ""),
        PAIRS.replace("(", "").replace(")", ""),
        PAIRS.replace(", ", ","),
        PAIRS.replace(", ", " | ").replace("(", "").replace(")", ""),
        PAIRS.replace(", ", " ").replace("(", "").replace(")", ""),
        PAIRS.replace(", ", ";"),
    ],
)
def test_spellings(tmp_path, text):
    game = read(tmp_path, text)
    np.testing.assert_array_equal(game.payoffs, PAYOFFS)
    assert game.names.actions == (("stop", "go"), ("left", "right"))


def test_rows_in_any_order(tmp_path):
    """Actions are in the order in which they first appear, and a player's payoffs are those under the player's name."""
    game = read(tmp_path, "b,a,payoff a,payoff b\n2,x,12,21\n1,x,11,22\n1,y,13,24\n2,y,14,23\n")
    assert game.names.players == ("b", "a") and game.names.actions == (("2", "1"), ("x", "y"))
    np.testing.assert_array_equal(game.payoffs, [[[21, 23], [22, 24]], [[12, 14], [11, 13]]])


def test_one_player_and_three(tmp_path):
    alone = read(tmp_path, "Ann,payoff\nup,1\ndown,2\n")
    np.testing.assert_array_equal(alone.payoffs, [[1, 2]])
    cells = [(a, b, c) for a in "xyz" for b in "lr" for c in "01"]
    rows = "\n".join(f"{a},{b},{c},{n},{n * 10},{n * 100}" for n, (a, b, c) in enumerate(cells))
    three = read(tmp_path, f"A,B,C,payoff A,payoff B,payoff C\n{rows}")
    np.testing.assert_array_equal(
        three.payoffs, np.arange(12).reshape(3, 2, 2) * np.reshape([1, 10, 100], (3, 1, 1, 1))
    )


def test_a_corner_without_names(tmp_path):
    game = read(tmp_path, ',l,l\nu,"1, 2","3, 4"\n')
    assert game.names.players == ("row", "column") and game.names.actions == (("u",), ("l_1", "l_2"))
    np.testing.assert_array_equal(game.payoffs, [[[1, 3]], [[2, 4]]])


TAKES = "takes a header such as Ann,Bob,payoff Ann,payoff Bob and a row for each joint action, or a table"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"got 0 rows of 0 columns, {TAKES}"),
        ("Ann,Bob,payoff Ann,payoff Bob", f"got 1 rows of 4 columns, {TAKES}"),
        ("1\n2", f"got 2 rows of 1 columns, {TAKES}"),
        ("Ann,Bob,payoff\nl,r,1", f"got 3 columns, {TAKES}"),
        ("1,2,3,4\n5,6,7,8", f"got columns 1, 2, 3, 4, {TAKES}"),
        ("Ann,Bob,first,second\nl,r,1,2", f"got columns Ann, Bob, first, second, {TAKES}"),
        ("Ann,Bob,payoff Ann,payoff Ann\nl,r,1,2", "got columns Ann, Bob, payoff Ann, payoff Ann"),
        ("Ann,Ann,payoff Ann,payoff Ann\nl,r,1,2", "got columns Ann, Ann"),
        ("payoff Ann,payoff Bob,Ann,Bob\n1,2,l,r", "got columns payoff Ann, payoff Bob, Ann, Bob"),
        (ROWS + "go,right,2,1", r"got go, right again in row 6, takes each joint action once"),
        (
            ROWS.replace("go,left,-1.5,0\n", ""),
            r"got no row for go, left, takes all 4 joint actions of \[2, 2\] actions",
        ),
        (ROWS.replace("go,left", ",left"), "got no action in row 4"),
        (ROWS.replace("2\n", "2,9\n", 1), "got 5 columns in row 2, takes 4, as in the header"),
        (ROWS.replace("-1.5", "x"), "got 'x', takes a number such as 1, -0.5, 1e-3 or 2/3"),
        (ROWS.replace("-1.5", ""), "got '', takes a number"),
        (ROWS.replace("-1.5", "1_0"), "got '1_0', takes a number"),
        (ROWS.replace(",", ";").replace("-1.5", "-1,5"), "got '-1,5', takes a number"),
        (ROWS.replace("-1.5", "nan"), r"payoffs\[0, 1, 0\]: got nan"),
        (",l,r\nu,1,2\nd,3,4", f"got 3 columns, {TAKES}"),
        (",l,r,m\nu,1,2,3\nd,3,4,5", f"got columns , l, r, m, {TAKES}"),
        (";l;r\nu;1,5;2,5\nd;3,5;4,5", f"got 3 columns, {TAKES}"),  # halves, or pairs
        (',l,r\nu,"1, 2","3, 4"\nd,"1, 2",3', f"got 3 columns, {TAKES}"),
        (',l,r\nu,"1, x","3, 4"', "got 'x', takes a number"),
        ("a" * 200_000 + ",b\nl,1", "field larger than field limit|got columns"),
    ],
)
def test_refused(tmp_path, text, message):
    path = written(tmp_path, text, newline="\n")
    with pytest.raises(
        ValueError, match=rf"^path: got .*game\.csv, which is no readable \.csv payoff file: .*{message}"
    ):
        gk.games.read_csv(path)


def test_many_actions_of_few_rows_cost_nothing(tmp_path):
    """As many actions as rows, of each of ten players: 1000^10 joint actions are not made."""
    header = ",".join(map(str, range(10))) + "," + ",".join(f"payoff {player}" for player in range(10))
    rows = "\n".join(",".join([str(row)] * 10 + ["1"] * 10) for row in range(1000))
    with pytest.raises(ValueError, match="csv: got no row for 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, takes all 10"):
        read(tmp_path, f"{header}\n{rows}")
