"""What is no .nfg file is refused, and costs no more than its length."""

import time
import tracemalloc

import numpy as np
import pytest
from nfg_helpers import OUTCOME_VARIANT, PAYOFF_VARIANT, THREE_PLAYERS

import gamekl as gk


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
        ('NFG 1 R "" { "a" } { 2 } 1 ' + "9" * 4301, "got '9+', takes a number"),
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


@pytest.mark.parametrize("dtype", ["int32", bool, "complex64", "float16", "double trouble", 3])
def test_payoffs_are_floats(dtype):
    with pytest.raises(ValueError, match=r"dtype: got .*, takes 'float32' or 'float64'"):
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
