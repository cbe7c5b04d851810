"""Payoff files: Gambit's strategic form ``.nfg`` (both variants) and numpy's ``.npz``.

The parser is our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for. Format: https://gambitproject.readthedocs.io, "The strategic game (.nfg)
file format".
"""

import re
from collections.abc import Iterator
from fractions import Fraction
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.arrays import read_arrays
from gamekl.core.games import NormalFormGame
from gamekl.core.validation import check_finite

MAX_FILE_BYTES = 1 << 30
MAX_PLAYERS = 64
MAX_NUMBERS = 1 << 27

_TOKEN = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<brace>[{}])|(?P<word>[^\s{}",]+))\s*,?', re.DOTALL)


def _tokens(content: str) -> Iterator[str]:
    position, end = 0, len(content.rstrip())
    while position < end:
        match = _TOKEN.match(content, position)
        if match is None:
            raise ValueError(f"nfg: got {content[position : position + 20]!r} at {position}, takes a closed string")
        position = match.end()
        yield match["text"] or match["brace"] or match["word"]


class _Reader:
    """Tokens with one token of look-ahead and errors that say where the file ends."""

    def __init__(self, content: str) -> None:
        self._tokens = _tokens(content)
        self.head = next(self._tokens, None)

    def take(self, expected: str) -> str:
        token = self.head
        if token is None:
            raise ValueError(f"nfg: the file ends where {expected} should be")
        self.head = next(self._tokens, None)
        return token

    def literal(self, text: str) -> None:
        token = self.take(repr(text))
        if token != text:
            raise ValueError(f"nfg: got {token[:40]!r}, takes {text!r}")

    def string(self, expected: str) -> str:
        token = self.take(expected)
        if not token.startswith('"'):
            raise ValueError(f"nfg: got {token[:40]!r}, takes {expected} in double quotes")
        return token[1:-1]

    def until_brace(self, expected: str) -> list[str]:
        items = []
        while self.head != "}":
            items.append(self.take(expected))
        self.literal("}")
        return items


_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE
)
_RATIONAL = re.compile(r"[+-]?[0-9]+/0*[1-9][0-9]*")


def _number(token: str) -> float:
    if len(token) <= 400:
        if _DECIMAL.fullmatch(token):
            return float(token)
        if _RATIONAL.fullmatch(token):
            return float(Fraction(token))
    raise ValueError(f"nfg: got {token[:40]!r}, takes a number such as 1, -0.5, 1e-3 or 2/3")


def _game(payoffs: np.ndarray, dtype: Any) -> NormalFormGame:
    """The game of payoffs that are finite also after they are cast."""
    game = NormalFormGame(jnp.asarray(payoffs, dtype=dtype or float))
    check_finite("payoffs", np.asarray(game.payoffs))
    return game


def _count(token: str, expected: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise ValueError(f"nfg: got {token[:40]!r}, takes {expected}")
    return int(token)


def _sizes(reader: _Reader, players: int) -> list[int]:
    """Numbers of strategies, given as numbers or as nested lists of names."""
    reader.literal("{")
    sizes = []
    while reader.head != "}":
        if reader.head == "{":
            reader.literal("{")
            sizes.append(len(reader.until_brace("a strategy's name")))
        else:
            sizes.append(_count(reader.take("a number of strategies"), "a number of strategies >= 1"))
    reader.literal("}")
    if len(sizes) != players or min(sizes, default=0) < 1:
        raise ValueError(f"nfg: got numbers of strategies {sizes}, takes one >= 1 for each of {players} players")
    if players * prod(sizes) > MAX_NUMBERS:
        raise ValueError(f"nfg: got {players} x {sizes} payoffs, takes at most {MAX_NUMBERS} numbers")
    return sizes


def _outcome_payoffs(reader: _Reader, players: int, cells: int) -> np.ndarray:
    """The outcome variant: a table of outcomes, then for each cell the number of its outcome; 0 pays nothing."""
    reader.literal("{")
    outcomes = [np.zeros(players)]
    while reader.head == "{":
        reader.literal("{")
        reader.string("an outcome's name")
        payoffs = [_number(token) for token in reader.until_brace("a payoff")]
        if len(payoffs) != players:
            raise ValueError(f"nfg: got {len(payoffs)} payoffs in outcome {len(outcomes)}, takes {players}")
        outcomes.append(np.array(payoffs))
    reader.literal("}")
    indices = np.array([_outcome_index(token, len(outcomes)) for token in _exactly(reader, cells, "outcome numbers")])
    return np.array(outcomes)[indices].reshape(-1)


def _outcome_index(token: str, outcomes: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", token) or int(token) >= outcomes:
        raise ValueError(f"nfg: got outcome number {token[:40]!r}, takes 0 to {outcomes - 1}")
    return int(token)


def _exactly(reader: _Reader, count: int, what: str) -> list[str]:
    tokens = []
    while reader.head is not None and len(tokens) <= count:
        tokens.append(reader.take(what))
    if len(tokens) != count:
        got = "more" if len(tokens) > count else len(tokens)
        raise ValueError(f"nfg: got {got} {what}, takes {count}")
    return tokens


def parse_nfg(content: str, *, dtype: Any = None) -> NormalFormGame:
    """Parse the text of an ``.nfg`` file, payoff or outcome variant.

    Raises:
        ValueError: the text is truncated, malformed, or of an absurd size; the message says where.
    """
    reader = _Reader(content)
    reader.literal("NFG")
    reader.literal("1")
    if reader.take("R or D") not in ("R", "D"):
        raise ValueError("nfg: the header takes 'NFG 1 R' or 'NFG 1 D'")
    reader.string("the game's title")
    reader.literal("{")
    names = reader.until_brace("a player's name")
    if not 1 <= len(names) <= MAX_PLAYERS:
        raise ValueError(f"nfg: got {len(names)} players, takes 1 to {MAX_PLAYERS}")
    players = len(names)
    sizes = _sizes(reader, players)
    if reader.head is not None and reader.head.startswith('"'):
        reader.string("a comment")
    if reader.head == "{":
        numbers = _outcome_payoffs(reader, players, prod(sizes))
    else:
        numbers = np.array([_number(token) for token in _exactly(reader, players * prod(sizes), "payoffs")])
    # In the file the first player's strategy runs fastest, and a cell holds all players' payoffs.
    payoffs = numbers.reshape(*reversed(sizes), players).transpose()
    return _game(payoffs, dtype)


def read_nfg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read an ``.nfg`` file; raises ``ValueError`` as `parse_nfg` does."""
    size = Path(path).stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"path: got {path} of {size} bytes, takes at most {MAX_FILE_BYTES}")
    try:
        content = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"path: got {path}, which is no UTF-8 text ({error})") from error
    return parse_nfg(content, dtype=dtype)


def write_nfg(game: NormalFormGame, path: str | PathLike[str], *, title: str = "gamekl") -> None:
    """Write a game in the payoff variant; numbers are written so that reading them gives the same bits."""
    payoffs = np.asarray(game.payoffs)
    players = " ".join(f'"Player {index + 1}"' for index in range(game.num_players))
    sizes = " ".join(str(size) for size in game.num_actions)
    cells = payoffs.transpose().reshape(-1, game.num_players)
    body = "\n".join(" ".join(repr(float(value)).replace("e+", "e") for value in cell) for cell in cells)
    quoted = title.replace("\\", "/").replace('"', "'")  # Gambit cannot read a title that ends in a backslash
    Path(path).write_text(f'NFG 1 R "{quoted}"\n{{ {players} }} {{ {sizes} }}\n\n{body}\n', encoding="utf-8")


def read_npz(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the array ``payoffs`` ``[player, *actions]`` of an ``.npz`` file (never pickled objects)."""
    arrays = read_arrays(path, ".npz payoff file")
    if "payoffs" not in arrays:
        raise ValueError(f"path: got {path}, which is no readable .npz payoff file: it holds no array named 'payoffs'")
    payoffs = arrays["payoffs"]
    if payoffs.dtype.kind not in "iuf":
        raise ValueError(f"payoffs: got dtype {payoffs.dtype}, takes real numbers")
    return _game(payoffs, dtype)


def load_game(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from a payoff file, ``.nfg`` or ``.npz`` by its suffix."""
    readers = {".nfg": read_nfg, ".npz": read_npz}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ValueError(f"path: got {path}, takes a file that ends in .nfg or .npz")
    return readers[suffix](path, dtype=dtype)
