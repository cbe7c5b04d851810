"""Payoff files: both variants of .nfg as they are spelt, and what is written is read again."""

import struct
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nfg_helpers import NAMED, OUTCOME_VARIANT, PAYOFF_VARIANT, SELTEN, THREE_PLAYERS, finite, shapes

import gamekl as gk
from gamekl.core.names import Names


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


def test_only_games_that_can_be_read_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"payoffs\[0, 1\]: got nan"):
        gk.games.write_nfg(gk.NormalFormGame([[1.0, np.nan]]), tmp_path / "game.nfg")
    assert not (tmp_path / "game.nfg").exists()


@pytest.mark.parametrize("text", [PAYOFF_VARIANT, OUTCOME_VARIANT, THREE_PLAYERS])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_spellings_of_a_text_file(tmp_path, text, encoding, newline):
    path = tmp_path / "game.nfg"
    path.write_text(text, encoding=encoding, newline=newline)
    np.testing.assert_array_equal(gk.games.load_game(path).payoffs, gk.games.parse_nfg(text).payoffs)


def test_names_are_written(tmp_path):
    """And read again, but for quotes and backslashes, which Gambit misreads."""
    path = tmp_path / "game.nfg"
    game = gk.games.parse_nfg(OUTCOME_VARIANT)
    gk.games.write_nfg(game, path)
    again = gk.games.load_game(path)
    assert again.names == game.names
    np.testing.assert_array_equal(again.payoffs, game.payoffs)
    gk.games.write_nfg(game.with_names(Names(('"A"', "B\\"), (("1", "2", "3"), ("", "x")), "t")), path, title="other")
    names = gk.games.load_game(path).names
    assert names == Names(("'A'", "B/"), (("1", "2", "3"), ("_1", "x")), "other")


def test_titles_in_latin_1(tmp_path):
    """As Gambit of old wrote them; the names are read, too."""
    path = tmp_path / "latin.nfg"
    path.write_bytes(OUTCOME_VARIANT.replace("named", "Sélten").replace("Row", "Ré").encode("latin-1"))
    game = gk.games.load_game(path)
    np.testing.assert_array_equal(game.payoffs, NAMED)
    assert game.names.title == "Sélten" and game.names.players == ("Ré", "Column")


def test_nfg_too_large(tmp_path):
    path = tmp_path / "large.nfg"
    with open(path, "wb") as file:
        file.truncate(2**30 + 1)  # a hole: takes no room on the disk
    with pytest.raises(ValueError, match=r"path: got .*large\.nfg of 1073741825 bytes, takes at most 1073741824"):
        gk.games.load_game(path)


@pytest.mark.parametrize("name", ["none.nfg", "none.npz"])
def test_no_file(tmp_path, name):
    message = rf"^path: got .*{name}, takes a payoff file that can be read \(No such file or directory\)$"
    with pytest.raises(FileNotFoundError, match=message):
        gk.games.load_game(tmp_path / name)


def test_folder(tmp_path):
    (tmp_path / "game.nfg").mkdir()
    with pytest.raises(IsADirectoryError, match=r"^path: got .*game\.nfg, takes a payoff file that can be read \(Is a"):
        gk.games.load_game(tmp_path / "game.nfg")


@pytest.mark.parametrize("name", ["game", "game.txt", "game.nfg.gz", "game.npy"])
def test_suffix(tmp_path, name):
    (tmp_path / name).write_text(PAYOFF_VARIANT)
    with pytest.raises(ValueError, match=rf"path: got .*{name}, takes a file that ends in \.nfg, \.efg, \.agg, "):
        gk.games.load_game(tmp_path / name)
