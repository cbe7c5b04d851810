"""Payoffs in .npz files: any real numbers; whatever else is in the file is refused and never run."""

import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from nfg_helpers import SELTEN

import gamekl as gk


def save_zip(path, name, content, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(name, content)


def npy(header, data=b""):
    """A .npy file with whatever header."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


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


def test_npz_with_an_array_for_each_player(tmp_path):
    """By number, whatever their order in the file, or by name in their order there; numbers of any kind."""
    first, second = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.int32), np.array([[0.5, 0, 1], [0, 2, 0]])
    np.savez(tmp_path / "game.npz", first, second)
    game = gk.games.load_game(tmp_path / "game.npz")
    np.testing.assert_array_equal(game.payoffs, [first, second])
    assert game.names is None
    np.savez(tmp_path / "game.npz", arr_1=second, arr_0=first)
    np.testing.assert_array_equal(gk.games.load_game(tmp_path / "game.npz").payoffs, [first, second])
    np.savez(tmp_path / "game.npz", zoe=first, ann=second)
    game = gk.games.load_game(tmp_path / "game.npz")
    np.testing.assert_array_equal(game.payoffs, [first, second])
    assert game.names.players == ("zoe", "ann") and game.names.actions == (("1", "2"), ("1", "2", "3"))
    twelve = [np.full((1,) * 12, float(player)) for player in range(12)]
    np.savez(tmp_path / "game.npz", *twelve)
    np.testing.assert_array_equal(gk.games.load_game(tmp_path / "game.npz").payoffs.ravel(), range(12))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "but $"),
        ({"a": np.ones((2, 2))}, r"but a \(2, 2\)$"),
        ({"a": np.ones((2, 2)), "b": np.ones((2, 3))}, r"but a \(2, 2\), b \(2, 3\)$"),
        ({"a": np.ones((2, 2)), "b": np.ones((2, 2)), "c": np.ones((2, 2))}, r"but a \(2, 2\), b \(2, 2\), c"),
        ({"a": np.ones((2, 2)), "b": np.full((2, 2), "x")}, "b: got dtype <U1, takes real numbers"),
        ({"a": np.ones(2) * np.nan}, r"payoffs\[0, 0\]: got nan"),
        ({"a": np.ones((2, 0)), "b": np.ones((2, 0))}, "takes at least one entry on every axis"),
    ],
)
def test_npz_of_arrays_that_are_no_game(tmp_path, arrays, message):
    path = tmp_path / "game.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=rf"game\.npz, which is no readable \.npz payoff file: .*{message}"):
        gk.games.load_game(path)


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
