"""Payoff files: Gambit's strategic form ``.nfg`` (both variants) and numpy's ``.npz``.

The parser is our own and capped: sizes are checked before anything is allocated, so a short file cannot claim memory
or time that its own length does not pay for. Format: https://gambitproject.readthedocs.io, "The strategic game (.nfg)
file format".
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from math import inf, prod
from os import PathLike
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from gamekl.core.arrays import read_arrays
from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.validation import check_finite

MAX_FILE_BYTES = 1 << 30
MAX_PLAYERS = 63  # an array of jax has at most 64 axes
MAX_NUMBERS = 1 << 27
MAX_DIGITS = 4300  # as many as Python turns into an integer

# Possessive quantifiers: no character is looked at twice, however the text is broken.
_TOKEN = re.compile(
    r'\s*+(?:(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+")|(?P<brace>[{}])|(?P<word>[^\s{}",]++))\s*+,?', re.DOTALL
)


def _tokens(content: str) -> Iterator[str]:
    position, end = 0, len(content.rstrip())
    while position < end:
        match = _TOKEN.match(content, position)
        if match is None:
            got = content[position : position + 20]
            raise ValueError(f"nfg: got {got!r} at {position}, takes a brace, a number or a closed string")
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

    def group(self, expected: str) -> Iterator[str]:
        """The tokens up to a closing brace, which is taken, too."""
        while self.head != "}":
            yield self.take(expected)
        self.literal("}")

    def names(self, expected: str) -> int:
        """How many names are in a group."""
        names = list(self.group(expected))
        for name in names:
            if not name.startswith('"'):
                raise ValueError(f"nfg: got {name[:40]!r}, takes {expected} in double quotes")
        return len(names)

    def exactly(
        self, count: int, convert: Callable[[Iterable[str]], Iterator[Any]], what: str, dtype: type
    ) -> np.ndarray:
        """The rest of the file: `count` tokens, converted as they are read."""
        rest = chain(() if self.head is None else (self.head,), self._tokens)
        values = np.fromiter(convert(islice(rest, count)), dtype)
        more = next(rest, None) is not None
        if more or len(values) < count:
            raise ValueError(f"nfg: got {'more' if more else len(values)} {what}, takes {count}")
        return values


_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?|[+-]?(?:nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE
)
_RATIONAL = re.compile(r"([+-]?[0-9]++)/(0*+[1-9][0-9]*+)")


def _numbers(tokens: Iterable[str]) -> Iterator[float]:
    """The nearest floats."""
    for token in tokens:
        decimal = len(token) <= MAX_DIGITS and _DECIMAL.fullmatch(token)
        yield float(token) if decimal else _rational(token)


def _rational(token: str) -> float:
    match = _RATIONAL.fullmatch(token) if len(token) <= MAX_DIGITS else None
    if match is None:
        raise ValueError(f"nfg: got {token[:40]!r}, takes a number such as 1, -0.5, 1e-3 or 2/3")
    numerator, denominator = map(int, match.groups())
    try:
        return numerator / denominator
    except OverflowError:
        return inf if numerator > 0 else -inf


def _count(token: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", token):
        raise ValueError(f"nfg: got {token[:40]!r}, takes a number of strategies >= 1")
    return int(token)


def _sizes(reader: _Reader, players: int) -> list[int]:
    """Numbers of strategies, given as numbers or as nested lists of names."""
    reader.literal("{")
    sizes = []
    while reader.head != "}" and len(sizes) <= players:
        if reader.head == "{":
            reader.literal("{")
            sizes.append(reader.names("a strategy's name"))
        else:
            sizes.append(_count(reader.take("a number of strategies")))
    if len(sizes) != players or min(sizes) < 1:
        raise ValueError(f"nfg: got numbers of strategies {sizes}, takes one >= 1 for each of {players} players")
    reader.literal("}")
    if players * prod(sizes) > MAX_NUMBERS:
        raise ValueError(f"nfg: got {players} x {sizes} payoffs, takes at most {MAX_NUMBERS} numbers")
    return sizes


_INDEX = re.compile("[0-9]{1,9}")


def _outcome_payoffs(reader: _Reader, players: int, cells: int) -> np.ndarray:
    """The outcome variant: a table of outcomes, then for each cell the number of its outcome; 0 pays nothing."""
    reader.literal("{")
    table = [0.0] * players
    while reader.head == "{":
        reader.literal("{")
        reader.string("an outcome's name")
        payoffs = list(_numbers(reader.group("a payoff")))
        if len(payoffs) != players:
            raise ValueError(f"nfg: got {len(payoffs)} payoffs in outcome {len(table) // players}, takes {players}")
        table.extend(payoffs)
    reader.literal("}")
    outcomes = np.array(table).reshape(-1, players)

    def indices(tokens: Iterable[str]) -> Iterator[int]:
        for token in tokens:
            if not _INDEX.fullmatch(token) or int(token) >= len(outcomes):
                raise ValueError(f"nfg: got outcome number {token[:40]!r}, takes 0 to {len(outcomes) - 1}")
            yield int(token)

    return outcomes[reader.exactly(cells, indices, "outcome numbers", int)]


def nfg_payoffs(content: str) -> np.ndarray:
    """The payoffs ``[player, *actions]`` in the text of an ``.nfg`` file; errors as of `parse_nfg`."""
    reader = _Reader(content)
    reader.literal("NFG")
    reader.literal("1")
    if reader.take("R or D") not in ("R", "D"):
        raise ValueError("nfg: the header takes 'NFG 1 R' or 'NFG 1 D'")
    reader.string("the game's title")
    reader.literal("{")
    players = reader.names("a player's name")
    if not 1 <= players <= MAX_PLAYERS:
        raise ValueError(f"nfg: got {players} players, takes 1 to {MAX_PLAYERS}")
    sizes = _sizes(reader, players)
    if reader.head is not None and reader.head.startswith('"'):
        reader.string("a comment")
    if reader.head == "{":
        numbers = _outcome_payoffs(reader, players, prod(sizes))
    else:
        numbers = reader.exactly(players * prod(sizes), _numbers, "payoffs", float)
    # In the file the first player's strategy runs fastest, and a cell holds all players' payoffs.
    return numbers.reshape(*reversed(sizes), players).transpose()


def finite_game(payoffs: np.ndarray, dtype: Any) -> NormalFormGame:
    """The game of payoffs that are finite also after they are cast."""
    try:
        known = dtype is None or jnp.dtype(dtype).name in ("float32", "float64")
    except TypeError:
        known = False
    if not known:
        raise ValueError(f"dtype: got {dtype!r}, takes 'float32' or 'float64'")
    game = NormalFormGame(jnp.asarray(payoffs, dtype=dtype or float))
    check_finite("payoffs", np.asarray(game.payoffs))
    return game


def parse_nfg(content: str, *, dtype: Any = None) -> NormalFormGame:
    """Parse the text of an ``.nfg`` file, payoff or outcome variant.

    Decimals and rationals become the nearest float; names of players, strategies and outcomes are not kept.

    Raises:
        ValueError: the text is truncated, malformed, or of an absurd size; the message says where.
    """
    return finite_game(nfg_payoffs(content), dtype)


def read_nfg(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read an ``.nfg`` file, UTF-8 with or without a byte-order mark.

    Raises:
        OSError: the file cannot be read.
        ValueError: as of `parse_nfg`; the message names the file.
    """
    size = Path(path).stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"path: got {path} of {size} bytes, takes at most {MAX_FILE_BYTES}")
    try:
        return parse_nfg(Path(path).read_text(encoding="utf-8-sig"), dtype=dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable .nfg payoff file: {error}") from error


def nfg_text(payoffs: np.ndarray, title: str = "gamekl") -> str:
    """The text of an ``.nfg`` file of payoffs ``[player, *actions]``, all of them finite."""
    players = " ".join(f'"Player {index + 1}"' for index in range(len(payoffs)))
    sizes = " ".join(str(size) for size in payoffs.shape[1:])
    cells = payoffs.transpose().reshape(-1, len(payoffs))
    body = "\n".join(" ".join(repr(float(value)).replace("e+", "e") for value in cell) for cell in cells)
    quoted = title.replace("\\", "/").replace('"', "'")  # Gambit cannot read a title that ends in a backslash
    return f'NFG 1 R "{quoted}"\n{{ {players} }} {{ {sizes} }}\n\n{body}\n'


def write_nfg(game: NormalFormGame, path: str | PathLike[str], *, title: str = "gamekl") -> None:
    """Write a game in the payoff variant; numbers are written so that reading them gives the same bits.

    Raises:
        OSError: the file cannot be written.
        TypeError: `game` is no `NormalFormGame`.
        ValueError: payoffs that are not finite.
    """
    require_normal_form(game)
    payoffs = np.asarray(game.payoffs)
    check_finite("payoffs", payoffs)
    Path(path).write_text(nfg_text(payoffs, title), encoding="utf-8")


def read_npz(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read the array ``payoffs`` ``[player, *actions]`` of an ``.npz`` file (never pickled objects).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or holds no payoffs; the message names the file.
    """
    arrays = read_arrays(path, ".npz payoff file")
    try:
        if "payoffs" not in arrays:
            raise ValueError("it holds no array named 'payoffs'")
        payoffs = arrays["payoffs"]
        if payoffs.dtype.kind not in "iuf":
            raise ValueError(f"payoffs: got dtype {payoffs.dtype}, takes real numbers")
        return finite_game(payoffs, dtype)
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no readable .npz payoff file: {error}") from error


def load_game(path: str | PathLike[str], *, dtype: Any = None) -> NormalFormGame:
    """Read a game from a payoff file, ``.nfg`` or ``.npz`` by its suffix.

    Raises:
        OSError: the file cannot be read.
        ValueError: it has another suffix, or holds no payoffs; the message names the file.
    """
    readers = {".nfg": read_nfg, ".npz": read_npz}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ValueError(f"path: got {path}, takes a file that ends in .nfg or .npz")
    try:
        return readers[suffix](path, dtype=dtype)
    except OSError as error:
        raise type(error)(f"path: got {path}, takes a payoff file that can be read ({error.strerror})") from error
