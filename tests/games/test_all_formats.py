"""One game in every way that the formats have to say it, and files that say something else or nothing: none is misread.

The game: two players of 2 and 3 actions; the first earns 1 to 6, row by row, the second ten times as much.
"""

import numpy as np
import pytest

import gamekl as gk

FIRST = np.arange(1.0, 7.0).reshape(2, 3)
GAME = np.stack([FIRST, 10 * FIRST])
TURNED = np.stack([10 * FIRST.T, FIRST.T])  # the same with the players exchanged
PAYS = "1 10  4 40  2 20  5 50  3 30  6 60"  # of an .nfg: the first player's action runs fastest
NFG = 'NFG 1 R "g" { "A" "B" }'
OUTCOMES = "{ " + " ".join(f'{{ "o{n}" {n}, {10 * n} }}' for n in range(1, 7)) + " }"
OTHER = '{ { "no" 9 9 } ' + OUTCOMES[2:]
EFG = 'EFG 2 R "g" { "A" "B" } '
A_SET, B_SET = '"a" { "u" "d" } 0\n', '"b" { "l" "m" "r" } 0\n'


def ends(fee=0, step=1):
    """The six ends, which pay `fee` more, and both players in turn or, by a step of -1, the other way round."""
    pays = [[(number + fee) * scale for scale in (1, 10)][::step] for number in range(1, 7)]
    return [f't "" {number} "e{number}" {{ {one} {two} }}\n' for number, (one, two) in enumerate(pays, start=1)]


def a_first(ends, first=1, second=2):
    """The tree in which the player of two actions begins, unseen."""
    above, below = "".join(ends[:3]), "".join(ends[3:])
    return f'p "" {first} 1 {A_SET}p "" {second} 1 {B_SET}{above}p "" {second} 1 0\n{below}'


ENDS = ends()
A_FIRST = a_first(ENDS)
B_FIRST = f'p "" 2 1 {B_SET}' + "".join(
    f'p "" 1 1 {A_SET if column == 0 else "0"} {ENDS[column]}{ENDS[column + 3]}' for column in range(3)
)
CSV = "A,B,payoff A,payoff B\n" + "".join(f"{'ud'[n // 3]},{'lmr'[n % 3]},{n + 1},{10 * n + 10}\n" for n in range(6))
LINES = CSV.splitlines()


def columns(*order):
    """The rows with their columns in another order."""
    return "\n".join(",".join(line.split(",")[column] for column in order) for line in LINES)


PAIRS = "A\\B,l,m,r\nu,{1 10},{2 20},{3 30}\nd,{4 40},{5 50},{6 60}\n".replace("{", '"(').replace("}", ')"')
# Nodes 0 and 1 are A's, 2 to 4 are B's; A's look at B's, B's at A's.
ROWS = ["1 3\n[1 0 0] {0}\n[0 1 0] {1}\n[0 0 1] {2}", "1 2\n[1 0] {0}\n[0 1] {1}"]
AGG = "#AGG\n2 5 0\n2 3\n0 1\n2 3 4\n3 2 3 4\n3 2 3 4\n2 0 1\n2 0 1\n2 0 1\n"
NODES = [*(ROWS[0].format(*row) for row in FIRST), *(ROWS[1].format(*10 * column) for column in FIRST.T)]
SORTED = ["0 3 2 1", "0 6 5 4", "0 40 10", "0 50 20", "0 60 30"]  # configurations ascend: 001, 010, 100
BAGG = "#BAGG\n2 5 0\n1 1\n1\n1\n2 3\n0 1\n2 3 4\n" + AGG.partition("2 3 4\n")[2]

THE_GAME = {
    "payoffs.nfg": f"{NFG} {{ 2 3 }} {PAYS}",
    "real.nfg": f"{NFG} {{ 2 3 }} {PAYS}".replace("NFG 1 R", "NFG 1 D"),
    "one_line.nfg": f"{NFG}{{2 3}}{PAYS}",
    "commas.nfg": f"{NFG} {{ 2, 3 }} {PAYS.replace('  ', ', ')}",
    "comment.nfg": f'{NFG} {{ 2 3 }} "a comment: {{ 3 2 }}" {PAYS}',
    "names.nfg": f'{NFG} {{ {{ "u" "d" }} {{ "l" "m" "r" }} }} {PAYS}',
    "names_and_numbers.nfg": f'{NFG} {{ {{ "u" "d" }} 3 }} {PAYS}',
    "repeated_names.nfg": f'{NFG} {{ {{ "u" "u" }} {{ "" "" "u" }} }} {PAYS}',
    "repeated_players.nfg": f"{NFG} {{ 2 3 }} {PAYS}".replace('"B"', '"A"'),
    "decimals.nfg": f"{NFG} {{ 2 3 }} {PAYS.replace('10', '1.0e1').replace('4 ', '4. ')}",
    "rationals.nfg": f"{NFG} {{ 2 3 }} {PAYS.replace('60', '120/2')}",
    "outcomes.nfg": f"{NFG} {{ 2 3 }} {OUTCOMES} 1 4 2 5 3 6",
    "outcomes_of_names.nfg": f'{NFG} {{ {{ "u" "d" }} {{ "l" "m" "r" }} }} "" {OUTCOMES} 1 4 2 5 3 6',
    "other_order.nfg": f"{NFG} {{ 2 3 }} {OTHER} 2 5 3 6 4 7",
    "a_first.efg": EFG + A_FIRST,
    "b_first.efg": EFG + B_FIRST,
    "real.efg": (EFG + A_FIRST).replace("EFG 2 R", "EFG 2 D"),
    "comment.efg": f'{EFG}"p 1 {{ }}"\n{A_FIRST}',
    "commas.efg": EFG + A_FIRST.replace(" 10 }", ", 10 }"),
    "one_line.efg": EFG + A_FIRST.replace("\n", " "),
    "described_again.efg": EFG + A_FIRST.replace("2 1 0\n", f"2 1 {B_SET}"),
    "names.efg": EFG + A_FIRST.replace('p ""', 'p "node"').replace('t ""', 't "end"'),
    "chance_of_one.efg": f'{EFG}c "" 1 "" {{ "sure" 1 }} 0\n{A_FIRST}',
    "chance_of_two.efg": f'{EFG}c "" 1 "" {{ "x" .5 "y" 1/2 }} 0\n{A_FIRST}'
    + 'p "" 1 1 0 p "" 2 1 0 t "" 1 t "" 2 t "" 3 p "" 2 1 0 t "" 4 t "" 5 t "" 6',
    "never.efg": f'{EFG}c "" 1 "" {{ "x" 1 "y" 0 }} 0\n{A_FIRST} t "" 7 "" {{ 1e9 1e9 }}',
    "on_the_way.efg": f'{EFG}c "" 1 "" {{ "x" 1 }} 8 "fee" {{ -1 -10 }}\n{a_first(ends(fee=1))}',
    "rows.csv": CSV,
    "semicolons.csv": CSV.replace(",", ";"),
    "tabs.csv": CSV.replace(",", "\t"),
    "columns_turned.csv": columns(0, 1, 3, 2),
    "rows_turned.csv": "\n".join([LINES[0], LINES[1], LINES[4], LINES[2], LINES[5], LINES[3], LINES[6]]),
    "pairs.csv": PAIRS,
    "bare_pairs.csv": PAIRS.replace("(", "").replace(")", ""),
    "mapped.agg": AGG + "\n".join(NODES),
    "sorted.agg": AGG + "\n".join(SORTED),
    "comments.agg": "#AGG of\n# two\n" + AGG[5:] + "# payoffs\n" + "\n# next\n".join(NODES),
    "mapped.bagg": BAGG + "\n".join(NODES),
    "sorted.bagg": BAGG + "\n".join(SORTED),
}
TURNED_GAME = {
    "sizes.nfg": f"{NFG} {{ 3 2 }} 10 1  20 2  30 3  40 4  50 5  60 6",
    "players.efg": EFG + a_first(ends(step=-1), first=2, second=1),
    "columns.csv": columns(1, 0, 2, 3),
}
ARRAYS = {
    "payoffs.npz": {"payoffs": GAME},
    "with_others.npz": {"payoffs": GAME, "gap": np.zeros(2)},
    "whole.npz": {"payoffs": GAME.astype(np.int16)},
    "numbered.npz": {"arr_0": GAME[0], "arr_1": GAME[1]},
    "numbered_backwards.npz": {"arr_1": GAME[1], "arr_0": GAME[0]},
    "named.npz": {"z": GAME[0], "a": GAME[1]},
}


def load(tmp_path, name, content):
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_text(content, encoding="utf-8")
    return gk.games.load_game(path)


@pytest.mark.parametrize("name", [*THE_GAME, *ARRAYS])
def test_read(tmp_path, name):
    np.testing.assert_array_equal(load(tmp_path, name, (THE_GAME | ARRAYS)[name]).payoffs, GAME)


@pytest.mark.parametrize("name", TURNED_GAME)
def test_read_turned(tmp_path, name):
    np.testing.assert_array_equal(load(tmp_path, name, TURNED_GAME[name]).payoffs, TURNED)


@pytest.mark.parametrize("name", THE_GAME)
def test_another_suffix_is_another_format(tmp_path, name):
    """No content is guessed at: what a file holds is what its name says, or it is refused."""
    for suffix in {"nfg", "efg", "agg", "bagg", "csv", "npz"} - {name.rpartition(".")[2]}:
        with pytest.raises(ValueError, match=rf"^path: got .*other\.{suffix}, which is no readable \.{suffix} "):
            load(tmp_path, f"other.{suffix}", THE_GAME[name])


REFUSED = {
    "too_few.nfg": (THE_GAME["payoffs.nfg"].rpartition(" ")[0], "got 11 payoffs, takes 12"),
    "too_many.nfg": (THE_GAME["payoffs.nfg"] + " 7", "got more payoffs, takes 12"),
    "three_players.nfg": (THE_GAME["payoffs.nfg"].replace('"B"', '"B" "C"'), "takes one >= 1 for each of 3 players"),
    "other_sizes.nfg": (THE_GAME["payoffs.nfg"].replace("{ 2 3 }", "{ 3 3 }"), "got 12 payoffs, takes 18"),
    "no_title.nfg": (THE_GAME["payoffs.nfg"].replace('"g"', ""), "takes the game's title"),
    "no_such_outcome.nfg": (THE_GAME["outcomes.nfg"].replace("1 4 2", "7 4 2"), "got outcome number '7'"),
    "short_outcome.nfg": (THE_GAME["outcomes.nfg"].replace("6, 60", "6"), "got 1 payoffs in outcome 6"),
    "decimal_commas.nfg": (THE_GAME["payoffs.nfg"].replace("10", "1,5"), "got more payoffs, takes 12"),
    "version.efg": (THE_GAME["a_first.efg"].replace("EFG 2", "EFG 1"), "got '1', takes '2'"),
    "no_end.efg": (EFG + A_FIRST.rpartition("t ")[0], "the file ends where a node .* of 1 that are missing"),
    "two_trees.efg": (EFG + A_FIRST + A_FIRST, "got 'p', takes nothing after the last node"),
    "no_player.efg": (THE_GAME["a_first.efg"].replace('p "" 2', 'p "" 3', 1), "got '3', takes the number of a player"),
    "no_set.efg": (THE_GAME["a_first.efg"].replace("2 1 0", "2 2 0"), "got information set 2 of player 2 before"),
    "other_set.efg": (
        THE_GAME["described_again.efg"][::-1].replace('"m"', '"x"', 1)[::-1],
        "player 2 described",
    ),
    "chances.efg": (THE_GAME["chance_of_two.efg"].replace("1/2", "1/3"), "that sum to exactly one"),
    "payoffs.efg": (THE_GAME["a_first.efg"].replace("6 60", "6 60 600"), "got 3 payoffs in outcome 6, takes 2"),
    "missing.csv": (CSV.rpartition("d,r")[0], "got no row for d, r, takes all 6 joint actions"),
    "twice.csv": (CSV.replace("d,r", "d,m"), "got d, m again in row 7"),
    "no_header.csv": (CSV.partition("\n")[2], "got columns u, l, 1, 10, takes a header"),
    "odd.csv": (CSV.replace(",payoff B", "").replace("0\n", "\n"), "columns in row 2|takes a header"),
    "lone_numbers.csv": ("A\\B,l,m,r\nu,1,2,3\nd,4,5,6", "takes a header"),
    "decimal_commas.csv": (CSV.replace(",", ";").replace(";1;", ";1,5;"), "got '1,5', takes a number"),
    "missing.agg": (
        THE_GAME["mapped.agg"].replace("[0 1 0] 2", "[0 1 1] 2"),
        r"no payoff for con.* \[0, 1, 0\]",
    ),
    "too_few.agg": (THE_GAME["sorted.agg"][:-3], "the file ends where a payoff should be"),
    "too_many.agg": (THE_GAME["sorted.agg"] + " 7", "takes nothing after the last payoff"),
    "types.bagg": (THE_GAME["mapped.bagg"].replace("1 1\n1\n1\n", "1 1\n1\n2\n"), "takes numbers >= 0 that sum to one"),
    "players_last.npz": ({"payoffs": np.moveaxis(TURNED, 0, -1)}, r"as in QuantEcon: numpy.moveaxis\(payoffs, -1, 0\)"),
    "no_payoffs.npz": ({"game": GAME}, "holds no array named 'payoffs'"),
    "own_first.npz": ({"a": FIRST, "b": FIRST.T}, r"but a \(2, 3\), b \(3, 2\)"),
    "words.npz": ({"payoffs": GAME.astype(str)}, "takes real numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(tmp_path, name):
    content, message = REFUSED[name]
    with pytest.raises(ValueError, match=rf"^path: got .*{name}, which is no readable .*: .*{message}"):
        load(tmp_path, name, content)


def test_there_are_enough():
    assert len(THE_GAME) + len(TURNED_GAME) + len(ARRAYS) + len(REFUSED) >= 60
