"""Payoff files as text: encoding, tokens and numbers, none of which costs more than its length.

Gambit's formats for tables (``.nfg``) and trees (``.efg``) have the same tokens: braces, strings in double quotes, and
words, with commas as one likes.
"""

import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from math import inf
from os import PathLike
from pathlib import Path

MAX_FILE_BYTES = 1 << 30
MAX_PLAYERS = 63  # an array of jax has at most 64 axes
MAX_DIGITS = 4300  # as many as Python turns into an integer
MAX_BITS = 1 << 12  # of numerators and denominators, where numbers are added and multiplied as they stand

# Possessive quantifiers: no character is looked at twice, however the text is broken.
_TOKEN = re.compile(
    r'\s*+(?:(?P<text>"[^"\\]*+(?:\\.[^"\\]*+)*+")|(?P<brace>[{}])|(?P<word>[^\s{}",]++))\s*+,?', re.DOTALL
)
_ESCAPED = re.compile(r'\\(["\\])')


def read_text(path: str | PathLike[str]) -> str:
    """The text of a file in UTF-8, with or without a byte-order mark, or else in Latin-1, as old Gambit wrote titles.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger than 1 GiB; the message names it.
    """
    size = Path(path).stat().st_size
    if size > MAX_FILE_BYTES:
        raise ValueError(f"path: got {path} of {size} bytes, takes at most {MAX_FILE_BYTES}")
    content = Path(path).read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _tokens(kind: str, content: str) -> Iterator[str]:
    position, end = 0, len(content.rstrip())
    while position < end:
        match = _TOKEN.match(content, position)
        if match is None:
            got = content[position : position + 20]
            raise ValueError(f"{kind}: got {got!r} at {position}, takes a brace, a number or a closed string")
        position = match.end()
        yield match["text"] or match["brace"] or match["word"]


class Reader:
    """Tokens with one token of look-ahead and errors that say where the file ends.

    Attributes:
        kind: of the file, with which messages begin.
        head: the next token, None at the end.
    """

    def __init__(self, kind: str, content: str) -> None:
        """Read `content` from its start."""
        self.kind = kind
        self._tokens = _tokens(kind, content)
        self.head = next(self._tokens, None)

    def take(self, expected: str) -> str:
        """Take the next token; an error names what was expected in place of the end."""
        token = self.head
        if token is None:
            raise ValueError(f"{self.kind}: the file ends where {expected} should be")
        self.head = next(self._tokens, None)
        return token

    def rest(self) -> Iterator[str]:
        """All tokens that are left."""
        return chain(() if self.head is None else (self.head,), self._tokens)

    def refusal(self, token: str, takes: str) -> ValueError:
        """The error that a token is not what it should be."""
        return ValueError(f"{self.kind}: got {token[:40]!r}, takes {takes}")

    def literal(self, text: str) -> None:
        """Take that token and no other."""
        token = self.take(repr(text))
        if token != text:
            raise self.refusal(token, repr(text))

    def string(self, expected: str) -> str:
        """Take the next token, a string, and return it without its quotes."""
        return self._unquoted(self.take(expected), expected)

    def _unquoted(self, token: str, expected: str) -> str:
        if not token.startswith('"'):
            raise self.refusal(token, f"{expected} in double quotes")
        return _ESCAPED.sub(r"\1", token[1:-1]) if "\\" in token else token[1:-1]

    def group(self, expected: str) -> Iterator[str]:
        """Take the tokens up to a closing brace, and the brace."""
        while self.head != "}":
            yield self.take(expected)
        self.literal("}")

    def strings(self, expected: str) -> list[str]:
        """Take the strings up to a closing brace, and the brace."""
        tokens = list(self.group(expected))
        return [self._unquoted(token, expected) for token in tokens]

    def prologue(self, version: str) -> tuple[str, list[str]]:
        """What a file begins with: its kind, the version, R or D; then the game's title and the players' names."""
        name = self.kind.upper()
        self.literal(name)
        self.literal(version)
        if self.take("R or D") not in ("R", "D"):
            raise ValueError(f"{self.kind}: the header takes '{name} {version} R' or '{name} {version} D'")
        title = self.string("the game's title")
        self.literal("{")
        players = self.strings("a player's name")
        if not 1 <= len(players) <= MAX_PLAYERS:
            raise ValueError(f"{self.kind}: got {len(players)} players, takes 1 to {MAX_PLAYERS}")
        return title, players

    def comment(self) -> None:
        """Skip a string if there is one."""
        if self.head is not None and self.head.startswith('"'):
            self.string("a comment")


_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:e[+-]?[0-9]++)?|[+-]?(?:nan|inf(?:inity)?)", re.ASCII | re.IGNORECASE
)
_RATIONAL = re.compile(r"([+-]?[0-9]++)/(0*+[1-9][0-9]*+)")
# Digits and exponents that no product of two numbers turns into work.
_SHORT = re.compile(
    r"[+-]?(?:[0-9]{1,999}+(?:\.[0-9]{0,999}+)?|\.[0-9]{1,999}+)(?:e[+-]?0*+[0-9]{1,3}+)?", re.ASCII | re.IGNORECASE
)


def floats(kind: str, tokens: Iterable[str]) -> Iterator[float]:
    """Decimals and rationals as the nearest floats."""
    for token in tokens:
        decimal = len(token) <= MAX_DIGITS and _DECIMAL.fullmatch(token)
        yield float(token) if decimal else _rational(kind, token)


def _rational(kind: str, token: str) -> float:
    match = _RATIONAL.fullmatch(token) if len(token) <= MAX_DIGITS else None
    if match is None:
        raise ValueError(f"{kind}: got {token[:40]!r}, takes a number such as 1, -0.5, 1e-3 or 2/3")
    numerator, denominator = map(int, match.groups())
    try:
        return numerator / denominator
    except OverflowError:
        return inf if numerator > 0 else -inf


def exact(kind: str, token: str) -> Fraction:
    """The fraction that a decimal or rational stands for."""
    if len(token) <= MAX_DIGITS and (_SHORT.fullmatch(token) or _RATIONAL.fullmatch(token)):
        return checked_bits(kind, Fraction(token))
    raise ValueError(f"{kind}: got {token[:40]!r}, takes a number such as 1, -0.5, 1e-3 or 2/3")


def checked_bits(kind: str, value: Fraction) -> Fraction:
    """Return a fraction as it is, unless its digits alone would be work."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ValueError(f"{kind}: got numbers of more than {MAX_BITS} binary digits, takes shorter ones")
    return value
