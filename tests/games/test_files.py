import struct
import time
import tracemalloc
import zipfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gamekl as gk

PAYOFF_VARIANT = """NFG 1 R "Selten (IJGT, 75), Figure 2, normal form"
{ "Player 1" "Player 2" } { 3 2 }

1 1 0 2 0 2 1 1 0 3 2 0
"""
# Gambit's manual prints this game; the first player's strategy runs fastest.
SELTEN = [[[1, 1], [0, 0], [0, 2]], [[1, 1], [2, 3], [2, 0]]]

OUTCOME_VARIANT = """NFG 1 R "named" { "Row" "Column" }

{ { "top" "middle {}" "bottom, last" }
{ "left" "right" }
}
"A comment, with { braces } and \\"quotes\\""

{
{ "best for both" 10, 5/2 }
{ "" -1 .5 }
{ "three" 1e-1 2.5e1 }
}
1 0 2 3 2 1
"""
NAMED = [[[10, 0.1], [0, -1], [-1, 10]], [[2.5, 25], [0, 0.5], [0.5, 2.5]]]

THREE_PLAYERS = """NFG 1 D "" { "1" "2" "3" } { 2 1 3 }
1 10 100  2 20 200  3 30 300  4 40 400  5 50 500  6 60 600"""


def save_zip(path, name, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)


def npy(header, data=b""):
    """A .npy file with whatever header."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def test_payoff_variant():
    game = gk.games.parse_nfg(PAYOFF_VARIANT)
    assert game.num_actions == (3, 2)
    np.testing.assert_array_equal(game.payoffs, SELTEN)


def test_outcome_variant():
    game = gk.games.parse_nfg(OUTCOME_VARIANT)
    np.testing.assert_array_equal(game.payoffs, NAMED)


def test_three_players():
    payoffs = np.asarray(gk.games.parse_nfg(THREE_PLAYERS).payoffs)
    assert payoffs.shape == (3, 2, 1, 3)
    np.testing.assert_array_equal(payoffs[0, :, 0, :], [[1, 3, 5], [2, 4, 6]])
    np.testing.assert_array_equal(payoffs[2], 100 * payoffs[0])


@pytest.mark.parametrize("header", ["NFG 1 R", "NFG 1 D", "NFG\n1\tR", "  NFG 1 R"])
@pytest.mark.parametrize("sizes", ["{ 2 }", "{2}", '{ { "a" "b" } }', '{{"a","b"}}', '{ 2 } ""', '{ 2 } "say { 3 }"'])
@pytest.mark.parametrize("numbers", ["4 -2.5", "4,-2.5", "4 ,\n -25e-1 ,", "8/2 -5/2", "+4.0 -.25E+1\n\n"])
def test_spellings(header, sizes, numbers):
    game = gk.games.parse_nfg(f'{header} "t" {{ "only" }} {sizes} {numbers}')
    np.testing.assert_array_equal(game.payoffs, [[4, -2.5]])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/3", 1 / 3),
        ("-22/7", -22 / 7),
        ("123456789012345678901/3", float(Fraction(123456789012345678901, 3))),
        ("1e-320", 1e-320),
        ("0.1", 0.1),
        ("-0", -0.0),
        ("1e308", 1e308),
        ("5.", 5.0),
        ("007", 7.0),
        ("-0/3", 0.0),
        ("+1/3", 1 / 3),
        ("9" * 400 + "/" + "7" * 400, 9 / 7),
        ("1/" + "9" * 400, 0.0),
        (f"1/{2**1074}", 5e-324),
        (f"1/{2**1075}", 0.0),
        (f"{2**54 + 1}/2", 2.0**53),
        ("0." + "0" * 1500 + "1", 0.0),
        ("1e-999999999999999999999", 0.0),
    ],
)
def test_numbers(text, value):
    read = float(gk.games.parse_nfg(f'NFG 1 R "" {{ "a" }} {{ 1 }} {text}').payoffs[0, 0])
    assert struct.pack("d", read) == struct.pack("d", value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype(dtype, tmp_path):
    (tmp_path / "game.nfg").write_text(PAYOFF_VARIANT)
    np.savez(tmp_path / "game.npz", payoffs=np.array(SELTEN))
    for name in ("game.nfg", "game.npz"):
        game = gk.games.load_game(tmp_path / name, dtype=dtype)
        assert game.payoffs.dtype == jnp.dtype(dtype)
        np.testing.assert_array_equal(game.payoffs, SELTEN)


finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(lambda sizes: (len(sizes), *sizes))


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(np.float64, shapes, elements=finite), st.text(st.characters(codec="utf-8")))
@example(np.array([[5e-324, -0.0, 0.1, 1.7976931348623157e308]]), 'a "title" { \\')
def test_round_trip(tmp_path_factory, payoffs, title):
    path = tmp_path_factory.mktemp("round") / "game.nfg"
    gk.games.write_nfg(gk.NormalFormGame(payoffs), path, title=title)
    again = np.asarray(gk.games.load_game(path).payoffs)
    assert again.shape == payoffs.shape and again.tobytes() == payoffs.tobytes()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, shapes, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_round_trip_float32(tmp_path_factory, payoffs):
    path = tmp_path_factory.mktemp("round") / "game.nfg"
    gk.games.write_nfg(gk.NormalFormGame(payoffs), path)
    assert np.asarray(gk.games.read_nfg(path, dtype="float32").payoffs).tobytes() == payoffs.tobytes()


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, shapes, elements=finite))
def test_pygambit_reads_what_we_write(tmp_path_factory, payoffs):
    pygambit = pytest.importorskip("pygambit")
    path = tmp_path_factory.mktemp("oracle") / "game.nfg"
    gk.games.write_nfg(gk.NormalFormGame(payoffs), path, title='1 "quoted" { title }')
    tables = pygambit.read_nfg(path).to_arrays()
    assert len(tables) == len(payoffs)
    for table, expected in zip(tables, payoffs, strict=True):
        np.testing.assert_array_equal(table.astype(float), expected)


def test_only_games_that_can_be_read_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"payoffs\[0, 1\]: got nan"):
        gk.games.write_nfg(gk.NormalFormGame([[1.0, np.nan]]), tmp_path / "game.nfg")
    assert not (tmp_path / "game.nfg").exists()


@pytest.mark.parametrize("value", [1e-7, 1e16, -2.5e300, 1 / 3])
def test_pygambit_reads_large_and_small(tmp_path, value):
    pygambit = pytest.importorskip("pygambit")
    gk.games.write_nfg(gk.NormalFormGame([[value, 1.0]]), tmp_path / "game.nfg")
    assert [float(entry) for entry in pygambit.read_nfg(tmp_path / "game.nfg").to_arrays()[0]] == [value, 1.0]


@pytest.mark.parametrize("title", ["back\\slash", "ends in \\", '"', "\\"])
def test_pygambit_reads_any_title(tmp_path, title):
    pygambit = pytest.importorskip("pygambit")
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg", title=title)
    tables = pygambit.read_nfg(tmp_path / "game.nfg").to_arrays()
    np.testing.assert_array_equal(np.array(tables, dtype=float), gk.games.chicken().payoffs)


def gambits(theirs):
    """Gambit's payoffs, each rational as the nearest float; a joint action without an outcome pays nothing."""
    sizes = [len(player.strategies) for player in theirs.players]
    payoffs = np.zeros((len(sizes), *sizes))
    for cell in np.ndindex(*sizes):
        if outcome := theirs[cell]:
            payoffs[(slice(None), *cell)] = [float(Fraction(outcome[player])) for player in theirs.players]
    return payoffs


def test_every_game_of_gambits_catalog():
    """Its .nfg files are in the outcome variant; its game trees are written in the payoff variant."""
    pygambit = pytest.importorskip("pygambit")
    catalog = Path(pygambit.__file__).parent / "catalog_data"
    tables, trees = sorted(catalog.rglob("*.nfg")), sorted(catalog.rglob("*.efg"))
    assert len(tables) >= 6 and len(trees) >= 30
    for path in tables:
        np.testing.assert_array_equal(gk.games.load_game(path).payoffs, gambits(pygambit.read_nfg(path)))
    for path in trees:
        theirs = pygambit.read_efg(path)
        np.testing.assert_array_equal(gk.games.parse_nfg(theirs.to_nfg()).payoffs, gambits(theirs))


LABELS = ['"', 'a "quoted" one', "\\", "back\\slash", 'ends in \\"', "ends in \\", "{ 1 2 }", "1/2", ",", "'", '\\" {']


UNICODE = "T\u0131tle \u7b56\U0001f3b2\u2028"


def drawn_label(rng):
    return f"{rng.choice(LABELS)} {rng.integers(10**9)}{rng.choice(LABELS)}"


def drawn_payoff(rng):
    whole = int(rng.integers(-(10**12), 10**12) // 10 ** rng.integers(0, 13))
    kinds = [
        whole,
        Fraction(whole, int(rng.integers(1, 10**6))),
        Fraction(whole**20, 3**40 + 1),
        Decimal(whole).scaleb(-int(rng.integers(0, 15))),
        Decimal(whole).scaleb(-int(rng.integers(0, 330))),
        float(rng.normal()),
    ]
    return kinds[rng.integers(len(kinds))]


def drawn_table(rng, pygambit):
    """2 to 5 players; now and then a joint action without an outcome."""
    theirs = pygambit.Game.new_table(rng.integers(1, 5, size=rng.integers(2, 6)).tolist())
    for player in theirs.players:
        for strategy in player.strategies:
            strategy.label = drawn_label(rng)
    for outcome in list(theirs.outcomes):
        if rng.random() < 0.1:
            theirs.delete_outcome(outcome)
            continue
        outcome.label = drawn_label(rng)
        for player in theirs.players:
            outcome[player] = drawn_payoff(rng)
    return theirs


def drawn_tree(rng, pygambit):
    """2 or 3 players who move in turn and see nothing; Gambit writes trees in the payoff variant."""
    players = ["one", "two", "three"][: rng.integers(2, 4)]
    theirs = pygambit.Game.new_tree(players=players)
    for player in players:
        ends = [node for node in theirs.nodes if node.is_terminal]
        theirs.append_move(ends, player, [str(action) for action in range(rng.integers(2, 5))])
    for number, node in enumerate([node for node in theirs.nodes if node.is_terminal]):
        payoffs = [drawn_payoff(rng) for _ in players]
        theirs.set_outcome(node, theirs.add_outcome(str(number), payoffs=payoffs))
    return theirs


@pytest.mark.parametrize("draw", [drawn_table, drawn_tree])
def test_we_read_what_pygambit_writes(draw):
    """250 games of each kind. pygambit 16.7 takes no names beyond ASCII, so we put those into what it wrote."""
    pygambit = pytest.importorskip("pygambit")
    rng = np.random.default_rng(6)
    for _ in range(250):
        theirs = draw(rng, pygambit)
        for player in theirs.players:
            player.label = drawn_label(rng)
        theirs.title, theirs.description = drawn_label(rng) + "TITLE", drawn_label(rng) + "COMMENT"
        text, expected = theirs.to_nfg(), gambits(theirs)
        for ours in (text, text.replace("TITLE", UNICODE).replace('"1"', f'"{UNICODE}"')):
            np.testing.assert_array_equal(gk.games.parse_nfg(ours).payoffs, expected)


@pytest.mark.parametrize("text", [PAYOFF_VARIANT, OUTCOME_VARIANT, THREE_PLAYERS])
def test_truncated_anywhere(text):
    """Cut at every byte: what stays is no game, until the last number is whole up to a digit."""
    text = text.rstrip()
    last = max(text.rfind(" "), text.rfind("\n")) + 1
    gk.games.parse_nfg(text)
    for end in range(last + 1):
        with pytest.raises(ValueError, match=r"^nfg: "):
            gk.games.parse_nfg(text[:end])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file ends where 'NFG' should be"),
        ("EFG 1 R", "got 'EFG', takes 'NFG'"),
        ("NFG 2 R", "got '2', takes '1'"),
        ('NFG 1 X ""', "takes 'NFG 1 R' or 'NFG 1 D'"),
        ("NFG 1 R title", "got 'title', takes the game's title in double quotes"),
        ('NFG 1 R "open', "takes a brace, a number or a closed string"),
        ('NFG 1 R "" { "a" },, { 1 } 1', "got ', { 1 } 1' at 19, takes a brace"),
        ('NFG 1 R "" "a"', "takes '{'"),
        ('NFG 1 R "" { } { } 1', "got 0 players, takes 1 to 63"),
        ('NFG 1 R "" { ' + '"p" ' * 64 + "} { " + "1 " * 64 + "}", "got 64 players, takes 1 to 63"),
        ('NFG 1 R "" { a } { 2 } 1 2', "got 'a', takes a player's name in double quotes"),
        ('NFG 1 R "" { "a" { } { 2 } 1 2', "got '{', takes a player's name in double quotes"),
        ('NFG 1 R "" { "a" } { { 1 2 } } 1 2', "got '1', takes a strategy's name in double quotes"),
        ('NFG 1 R "" { "a" } { 1 ' + "1 " * 10**5 + "} 1", r"got numbers of strategies \[1, 1\], takes one >= 1"),
        ('NFG 1 R "" { "a" "b" } { 2 } 1 2', r"got numbers of strategies \[2\], takes one >= 1 for each of 2 players"),
        ('NFG 1 R "" { "a" } { 2 2 } 1 2', r"got numbers of strategies \[2, 2\], takes one >= 1 for each of 1 players"),
        ('NFG 1 R "" { "a" } { { } } 1', r"got numbers of strategies \[0\], takes one >= 1"),
        ('NFG 1 R "" { "a" } { 0 } ', "got '0', takes a number of strategies >= 1"),
        ('NFG 1 R "" { "a" } { -2 } 1 2', "got '-2', takes a number of strategies >= 1"),
        ('NFG 1 R "" { "a" } { 2.0 } 1 2', "got '2.0', takes a number of strategies >= 1"),
        ('NFG 1 R "" { "a" } { two } 1 2', "got 'two', takes a number of strategies >= 1"),
        ('NFG 1 R "" { "a" } { 2 } 1', "got 1 payoffs, takes 2"),
        ('NFG 1 R "" { "a" } { 2 }', "got 0 payoffs, takes 2"),
        ('NFG 1 R "" { "a" } { 2 } 1 2 3', "got more payoffs, takes 2"),
        ('NFG 1 R "" { "a" } { 2 } 1 2 "late"', "got more payoffs, takes 2"),
        ('NFG 1 R "" { "a" } { 2 } 1 x', "got 'x', takes a number"),
        ('NFG 1 R "" { "a" } { 2 } 1 "2"', "takes a number"),
        ('NFG 1 R "" { "a" } { 2 } 1 1/0', "got '1/0', takes a number"),
        ('NFG 1 R "" { "a" } { 2 } 1 1.5/2', "got '1.5/2', takes a number"),
        ('NFG 1 R "" { "a" } { 2 } 1 0x10', "got '0x10', takes a number"),
        ('NFG 1 R "" { "a" } { 2 } 1 ' + "9" * 2001, "got '9+', takes a number"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 } } 1', "got 1 outcome numbers, takes 2"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 } } 1 1 1', "got more outcome numbers, takes 2"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 } } 1 2', "got outcome number '2', takes 0 to 1"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 } } 1 -1', "got outcome number '-1', takes 0 to 1"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 2 } } 1 1', "got 2 payoffs in outcome 1, takes 1"),
        ('NFG 1 R "" { "a" } { 2 } { { "o" 1 } { "p" } } 1 2', "got 0 payoffs in outcome 2, takes 1"),
        ('NFG 1 R "" { "a" } { 2 } { { 1 } } 1 1', "takes an outcome's name in double quotes"),
    ],
)
def test_malformed(text, message):
    with pytest.raises(ValueError, match=f"^nfg: .*{message}"):
        gk.games.parse_nfg(text)


@pytest.mark.parametrize("number", ["1_000", "\u0661", "1e5_0", "1_0/3", "\u0131nf"])
def test_numbers_that_only_python_knows(number):
    with pytest.raises(ValueError, match=f"nfg: got '{number}', takes a number"):
        gk.games.parse_nfg(f'NFG 1 R "" {{ "a" }} {{ 1 }} {number}')


@pytest.mark.parametrize(
    "number", ["nan", "NaN", "inf", "-Infinity", "1e999", "9" * 400 + "/1", "-" + "9" * 400 + "/3"]
)
@pytest.mark.parametrize("form", ["{{ 1 2 }} 1 2 3 {}", '{{ 1 2 }} {{ {{ "o" 1 2 }} {{ "p" 3 {} }} }} 1 2'])
def test_not_finite(number, form):
    with pytest.raises(ValueError, match=r"^payoffs\[1, 0, 1\]: got (nan|inf|-inf) .*, takes finite numbers"):
        gk.games.parse_nfg('NFG 1 R "" { "a" "b" } ' + form.format(number))


def test_too_large_for_the_dtype(tmp_path):
    """A number that only float64 can hold must not become infinite on the way to float32."""
    text = 'NFG 1 R "" { "a" } { 2 } 1 -1e39'
    np.savez(tmp_path / "game.npz", payoffs=np.array([[1, -1e39]]))
    assert float(gk.games.parse_nfg(text).payoffs[0, 1]) == -1e39
    with pytest.raises(ValueError, match=r"^payoffs\[0, 1\]: got -"):
        gk.games.parse_nfg(text, dtype="float32")
    with pytest.raises(ValueError, match=r"game\.npz, which is .*: payoffs\[0, 1\]: got -"):
        gk.games.load_game(tmp_path / "game.npz", dtype="float32")


@pytest.mark.parametrize("dtype", ["int32", bool, "complex64"])
def test_payoffs_are_floats(dtype):
    with pytest.raises(ValueError, match=r"dtype: got .*, takes float32 or float64"):
        gk.games.parse_nfg(PAYOFF_VARIANT, dtype=dtype)


def test_as_many_players_as_axes():
    """An array has at most 64 axes: one of the players, 63 of actions."""
    text = 'NFG 1 R "" {' + '"p" ' * 63 + "} {" + "1 " * 62 + "2 } " + " ".join(map(str, range(126)))
    payoffs = np.asarray(gk.games.parse_nfg(text).payoffs)
    assert payoffs.shape == (63, *[1] * 62, 2)
    np.testing.assert_array_equal(payoffs.reshape(63, 2).T.ravel(), range(126))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("{ 999999999 999999999 }", "takes at most 134217728 numbers"),
        ("{ 1 67108865 }", "takes at most 134217728 numbers"),
        ("{ 99999999999999999999 2 }", "takes a number of strategies >= 1"),
        ("{ 8000 8000 }", "takes (128000000|64000000)"),
    ],
)
@pytest.mark.parametrize("body", ["", "1 2 3 4", '{ { "o" 1 2 } } 1 1 1'])
def test_absurd_sizes_cost_nothing(sizes, message, body):
    """Neither the payoffs nor the index of the cells may be made before the file has paid for them."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"nfg: got .*, {message}"):
            gk.games.parse_nfg(f'NFG 1 R "" {{ "a" "b" }} {sizes} {body}')
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_number_of_a_billion_digits_is_not_computed():
    with pytest.raises(ValueError, match=r"nfg: got '1e999999999/1', takes a number"):
        gk.games.parse_nfg('NFG 1 R "" { "a" } { 1 } 1e999999999/1')


NONSENSE = {
    "braces": '{ "a" } ' + "{" * 200_000,
    "players": "{" + '"a"' * 70_000,
    "empty names": '{ "a" } { { ' + '""' * 100_000,
    "commas": '{ "a" } { 1 } ' + "," * 200_000,
    "whitespace": " " * 200_000 + ",",
    "open string": '"' + "x" * 200_000,
    "open string of quotes": '"' + '\\"' * 100_000,
    "open string of backslashes": '"' + "\\" * 200_001,
    "comment": '{ "a" } { 1 } "' + '\\"' * 100_000 + '"',
    "word": "x" * 200_000,
    "digits": '{ "a" } { 1 } ' + "9" * 200_000,
    "rationals": '{ "a" } { 100 } ' + ("9" * 999 + "/" + "7" * 999 + " ") * 100,
    "exponents": '{ "a" } { 10000 } ' + "1e-999999999999999 " * 10_000,
    "payoffs": '{ "a" } { 99999999 } ' + "1 " * 100_000,
    "outcomes": '{ "a" } { 1 } { ' + '{""1}' * 10_000 + "} 0",
    "outcome of many payoffs": '{ "a" } { 1 } { { ""' + "1 " * 100_000 + "} } 1",
    "players with nothing to do": "{" + '"p" ' * 63 + "} {" + "1 " * 62 + "90000 } {}" + "0 " * 90_000,
}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_costs_its_length(text):
    """No time or memory that the length, some 200 kB, does not pay for, and a message that can be read."""
    start = time.process_time()
    try:
        gk.games.parse_nfg('NFG 1 R "" ' + text)
    except ValueError as error:
        assert len(str(error)) < 200
    assert time.process_time() - start < 5


@pytest.mark.parametrize("text", [PAYOFF_VARIANT, OUTCOME_VARIANT, THREE_PLAYERS])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_spellings_of_a_text_file(tmp_path, text, encoding, newline):
    path = tmp_path / "game.nfg"
    path.write_text(text, encoding=encoding, newline=newline)
    np.testing.assert_array_equal(gk.games.load_game(path).payoffs, gk.games.parse_nfg(text).payoffs)


names = st.text(max_size=3).map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.fractions().map(str),
    st.decimals().map(str),
    st.sampled_from(["1e400", "9" * 400 + "/" + "7" * 400, "1/0", ".5", "5.", "+1", "0x1", "1_0", "\u0661"]),
)
junk = st.one_of(
    names,
    numbers,
    st.sampled_from(
        ["{", "}", ",", '"', "\\", "\x00", "\r\n", "\ufeff", "\ud800", "{ {", "999999999", "NFG", "R", '" "']
    ),
    st.text(max_size=4),
)


@st.composite
def game_files(draw):
    """The tokens of a valid file, in either variant."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    players, cells = len(sizes), int(np.prod(sizes))
    tokens = ["NFG", "1", "R", draw(names), "{", *(draw(names) for _ in sizes), "}", "{"]
    for size in sizes:
        tokens += ["{", *(draw(names) for _ in range(size)), "}"] if draw(st.booleans()) else [str(size)]
    tokens.append("}")
    if draw(st.booleans()):
        tokens.append(draw(names))
    if draw(st.booleans()):
        return tokens + [draw(numbers) for _ in range(players * cells)]
    outcomes = draw(st.integers(0, 3))
    tokens.append("{")
    for _ in range(outcomes):
        tokens += ["{", draw(names), *(draw(numbers) for _ in sizes), "}"]
    return [*tokens, "}", *(str(draw(st.integers(0, outcomes))) for _ in range(cells))]


@st.composite
def broken_files(draw):
    """Valid files in which tokens are dropped, doubled, swapped and replaced, and then the text is cut or patched."""
    tokens = draw(game_files())
    for _ in range(draw(st.integers(0, 3))):
        place, other = (draw(st.integers(0, len(tokens) - 1)) for _ in range(2))
        swapped = [*tokens[:place], tokens[other], *tokens[place + 1 :]]
        tokens = draw(
            st.sampled_from(
                [swapped, tokens[:place] + tokens[place + 1 :] or ["x"], tokens[:other] + tokens[place:] or ["x"]]
            )
        )
        tokens.insert(place, draw(junk)) if draw(st.booleans()) else None
    text = draw(st.sampled_from([" ", "\n", ", ", "\r\n\t", ""])).join(tokens)
    start = draw(st.integers(0, len(text)))
    end = start + draw(st.sampled_from([0, 0, 0, 1, 5, 1000]))
    return text[:start] + draw(junk) + text[end:] if draw(st.booleans()) else text


def is_read_or_refused(text):
    """A valid game comes out, or a ValueError of ours, within 2 s."""
    start = time.process_time()
    try:
        gk.validate(gk.games.parse_nfg(text))
    except ValueError as error:
        assert str(error).startswith(("nfg: ", "payoffs["))
        assert len(str(error)) < 1000
    assert time.process_time() - start < 2


test_broken_files = settings(max_examples=500, deadline=None)(given(broken_files())(is_read_or_refused))
test_ten_thousand_broken_files = pytest.mark.slow(
    settings(max_examples=10_000, deadline=None)(given(broken_files())(is_read_or_refused))
)


def test_nfg_not_utf8(tmp_path):
    path = tmp_path / "latin.nfg"
    path.write_bytes(PAYOFF_VARIANT.replace("Selten", "Sélten").encode("latin-1"))
    with pytest.raises(ValueError, match=r"path: got .*latin\.nfg, which is no readable \.nfg .*'utf-8'"):
        gk.games.load_game(path)


def test_nfg_too_large(tmp_path):
    path = tmp_path / "large.nfg"
    with open(path, "wb") as file:
        file.truncate(2**30 + 1)  # a hole: takes no room on the disk
    with pytest.raises(ValueError, match=r"path: got .*large\.nfg of 1073741825 bytes, takes at most 1073741824"):
        gk.games.load_game(path)


@pytest.mark.parametrize("name", ["none.nfg", "none.npz"])
def test_no_file(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=name):
        gk.games.load_game(tmp_path / name)


@pytest.mark.parametrize("name", ["game", "game.txt", "game.nfg.gz", "game.npy"])
def test_suffix(tmp_path, name):
    (tmp_path / name).write_text(PAYOFF_VARIANT)
    with pytest.raises(ValueError, match=rf"path: got .*{name}, takes a file that ends in \.nfg or \.npz"):
        gk.games.load_game(tmp_path / name)


@pytest.mark.parametrize(("save", "name"), [(np.savez, "game.npz"), (np.savez_compressed, "game.NPZ")])
def test_npz(tmp_path, save, name):
    payoffs = np.arange(24).reshape(3, 2, 1, 4) / 7
    with open(tmp_path / name, "wb") as file:
        save(file, payoffs=payoffs, other=np.array(["text"]))
    game = gk.games.load_game(tmp_path / name)
    assert game.payoffs.dtype == jnp.float64
    np.testing.assert_array_equal(game.payoffs, payoffs)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", ">f8"])
def test_npz_of_other_real_dtypes(tmp_path, dtype):
    np.savez(tmp_path / "game.npz", payoffs=np.array(SELTEN, dtype=dtype))
    np.testing.assert_array_equal(gk.games.load_game(tmp_path / "game.npz").payoffs, SELTEN)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.ones((2, 2, 2), dtype=complex), "payoffs: got dtype complex128, takes real numbers"),
        (np.ones((2, 2, 2), dtype=bool), "payoffs: got dtype bool, takes real numbers"),
        (np.full((2, 2, 2), "a"), "payoffs: got dtype <U1, takes real numbers"),
        (np.zeros((2, 2, 2), dtype="datetime64[s]"), r"payoffs: got dtype datetime64\[s\], takes real numbers"),
        (np.zeros((2, 2, 2), dtype="timedelta64[s]"), r"payoffs: got dtype timedelta64\[s\], takes real numbers"),
        (np.array([[1, np.nan]]), r"payoffs\[0, 1\]: got nan \(1 such entries\), takes finite numbers"),
        (np.array([[-np.inf, np.nan]]), r"payoffs\[0, 0\]: got -inf \(2 such entries\), takes finite numbers"),
        (np.ones((2, 3)), r"payoffs: got shape \(2, 3\), takes \[player, \*actions\]"),
        (np.ones((3, 2, 2)), r"payoffs: got shape \(3, 2, 2\), takes \[player, \*actions\]"),
        (np.ones((2, 0, 2)), r"payoffs: got shape \(2, 0, 2\), takes at least one"),
        (np.ones(()), r"payoffs: got shape \(\), takes \[player, \*actions\]"),
    ],
)
def test_npz_bad_payoffs(tmp_path, payoffs, message):
    np.savez(tmp_path / "game.npz", payoffs=payoffs)
    with pytest.raises(ValueError, match=message):
        gk.games.load_game(tmp_path / "game.npz")


def refused(path):
    return pytest.raises(ValueError, match=rf"^path: got .*{path.name}, which is no readable \.npz payoff file: ")


def test_npz_without_payoffs(tmp_path):
    path = tmp_path / "game.npz"
    np.savez(path, payoff=np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match=r"path: got .*game\.npz.*: it holds no array named 'payoffs'"):
        gk.games.load_game(path)


def test_npz_of_pickles(tmp_path):
    """Reading must not run what a pickle says."""
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    path = tmp_path / "game.npz"
    np.savez(path, payoffs=np.array([[Trap(), 1.0]], dtype=object))
    with refused(path):
        gk.games.load_game(path)
    assert not ran.exists()


def test_npz_that_is_a_bare_pickle(tmp_path):
    path = tmp_path / "game.npz"
    np.array([[1.0, 2.0]], dtype=object).dump(path)
    with refused(path):
        gk.games.load_game(path)


def test_npz_that_is_an_npy(tmp_path):
    path = tmp_path / "game.npz"
    with open(path, "wb") as file:
        np.save(file, np.ones((2, 2, 2)))
    with refused(path):
        gk.games.load_game(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"NFG 1 R", b"\x00" * 100], ids=["empty", "zip", "nfg", "zeros"]
)
def test_npz_of_nothing(tmp_path, content):
    path = tmp_path / "game.npz"
    path.write_bytes(content)
    with refused(path):
        gk.games.load_game(path)


def test_npz_that_is_a_folder(tmp_path):
    path = tmp_path / "game.npz"
    path.mkdir()
    with refused(path):
        gk.games.load_game(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_truncated_anywhere(tmp_path, save):
    path = tmp_path / "game.npz"
    save(path, payoffs=np.array(SELTEN) / 3)
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        with refused(path):
            gk.games.load_game(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_one_damaged_byte(tmp_path, save):
    """The payoffs are right or refused, whichever byte is hit; the error is always a ValueError."""
    path = tmp_path / "game.npz"
    payoffs = np.array(SELTEN) / 3
    save(path, payoffs=payoffs)
    content = path.read_bytes()
    for position in range(len(content)):
        for flip in (0x01, 0x80, 0xFF):
            path.write_bytes(content[:position] + bytes([content[position] ^ flip]) + content[position + 1 :])
            try:
                game = gk.games.load_game(path)
            except ValueError:
                continue
            np.testing.assert_array_equal(game.payoffs, payoffs)


@pytest.mark.parametrize("shape", ["(2, 1000000, 1000000)", "(1, 999999999999999999)", "(2, -1, 2)"])
def test_npz_with_an_absurd_header(tmp_path, shape):
    """A file of some hundred bytes that claims terabytes."""
    path = tmp_path / "game.npz"
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    save_zip(path, "payoffs.npy", npy(header, b"\x00" * 64))
    with refused(path):
        gk.games.load_game(path)


@pytest.mark.parametrize(
    "header", ["", "{", "None", "{'descr': '<f8'}", "{'descr': 'q9', 'fortran_order': 0, 'shape': 1}"]
)
def test_npz_with_a_bad_header(tmp_path, header):
    path = tmp_path / "game.npz"
    save_zip(path, "payoffs.npy", npy(header))
    with refused(path):
        gk.games.load_game(path)


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x93NUMPY\x09\x00"])
def test_npz_whose_member_is_no_array(tmp_path, content):
    path = tmp_path / "game.npz"
    save_zip(path, "payoffs.npy", content)
    with pytest.raises(ValueError, match=r"game\.npz|payoffs: got dtype"):
        gk.games.load_game(path)
