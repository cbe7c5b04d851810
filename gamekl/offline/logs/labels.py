"""Labels of a log: texts to numbers, in an order of their own, and to hashes that are the same on every machine.

A label is a text or an integer, and how a file stores it does not matter: Parquet's numbers count as the texts that a
CSV file would have. Where the schema lists the labels of a column, they are those. Otherwise all that were found say:

- all are whole numbers, of any size (``7``, ``-3``, and ``7.0`` or ``1e+15``, as floats are written): integers, and 7
  and 7.0 are one; a float that is not the only whole number stored as it, from 2^53 on, is an error;
- all are true or false, in any writing: ``"False"`` and ``"True"``;
- all are dates, with times of day or without: texts such as ``2024-01-31 12:00:05``, the date alone where all are
  midnight, as pandas writes them;
- all are numbers and some are not whole, or there is a ``nan``: no labels, an error;
- else texts as they stand: ``10, J, pass``, ``007``, and texts with spaces around them, of which a warning tells
  where that is all in which two differ.
"""

import logging
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from gamekl.core.names import Label
from gamekl.offline.logs.columns import Batch, Labels, compute, rounded_float
from gamekl.offline.logs.schema import LabelColumn

logger = logging.getLogger("gamekl")

WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))(?:\.0*)?")
WHOLE_FLOAT = r"^(-?(?:0|[1-9][0-9]*))\.0*$"
POWER = re.compile(r"-?[0-9]\.?[0-9]*e\+?[0-9]{1,2}")
# From here on Python writes whole floats as powers, too.
LARGEST_POWER = 1e16
# As floats are written.
FLOAT = re.compile("[.e]")
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?i:inf|infinity|nan)")
DIGITS = re.compile("[0-9]+")
MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?(Z|[-+][0-9]{2}(?::?[0-9]{2})?)?)?"
)
MIDNIGHT = " 00:00:00"
TRUTHS = {text: text.capitalize() for text in ("true", "True", "TRUE", "false", "False", "FALSE")}


def _whole(text: str) -> str | None:
    """The digits of a whole number, however it is written; None for anything else."""
    found = WHOLE.fullmatch(text)
    if found is not None:
        return "0" if found[1] == "-0" else found[1]
    if POWER.fullmatch(text) is not None and abs(value := float(text)) < LARGEST_POWER and value.is_integer():
        return str(int(value))
    return None


def canonical(text: str) -> str:
    """The text of which all writings of a whole number, of a truth value or of a date and time are one."""
    whole = _whole(text)
    if whole is not None:
        return whole
    moment = MOMENT.fullmatch(text)
    return TRUTHS.get(text, text) if moment is None else _canonical_moment(*moment.groups())


def _canonical_moment(date: str, time: str | None, fraction: str | None, zone: str | None) -> str:
    """A date and time, where there is none midnight, with a zone, where there is one, in hours and minutes."""
    zone = "" if zone is None else "+00:00" if zone == "Z" else zone
    if zone and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:] or '00'}"
    return f"{date}{MIDNIGHT if time is None else f' {time}'}{(fraction or '').rstrip('.0')}{zone}"


def mix(values: np.ndarray) -> np.ndarray:
    """A hash of 64-bit numbers: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_texts(texts: pa.Array) -> np.ndarray:
    """A hash of each text: mix(length), then h to mix(h ^ w) for every 8 bytes w of its UTF-8, little-endian.

    A whole number has one hash however it is written.
    """
    if compute.any(compute.match_substring(texts, ".")).as_py():
        texts = compute.replace_substring_regex(texts, WHOLE_FLOAT, r"\1")
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    content = np.concatenate([np.frombuffer(data or b"", np.uint8), np.zeros(8, np.uint8)])
    words = np.ndarray(len(content) - 7, np.dtype("<u8"), content.data, strides=(1,))  # those that begin at each byte
    sizes, longer, at = np.diff(ends), np.arange(len(texts)), 0
    hashes = mix(sizes.astype(np.uint64))
    while len(longer := longer[sizes[longer] > at]):
        beyond = np.uint64(8) * np.maximum(8 - (sizes[longer] - at), 0).astype(np.uint64)
        word = words[ends[longer] + at] << beyond >> beyond
        hashes[longer] = mix(hashes[longer] ^ word)
        at += 8
    return hashes


class LabelCodes:
    """The labels of an axis and their numbers; new ones are added as they are found, unless the schema lists all."""

    def __init__(self, labels: Sequence[Label] | None) -> None:
        """Take those that the schema lists, or None."""
        self.labels = None if labels is None else tuple(labels)
        self.texts = [] if labels is None else [str(label) for label in labels]
        self._codes = {text: code for code, text in enumerate(self.texts)}
        if labels is not None:  # other writings of what is listed
            for text, code in list(self._codes.items()):
                self._codes.setdefault(canonical(text), code)

    def __len__(self) -> int:
        """How many labels there are so far."""
        return len(self.texts)

    def _code(self, text: str) -> int:
        code = self._codes.get(text, -1)
        return self._codes.get(canonical(text), -1) if code < 0 and self.labels is not None else code

    def number(self, batch: Batch, column: LabelColumn) -> np.ndarray:
        """The number of each row's label.

        Raises:
            ValueError: the schema lists all labels, and not this one.
        """
        found: Labels = batch.columns[column.field]
        texts = found.texts.to_pylist()
        codes = np.array([self._code(text) for text in texts], dtype=np.int64)
        if np.any(codes < 0):
            rows = np.full(len(texts), -1)
            rows[found.indices[::-1]] = np.arange(len(found.indices))[::-1]  # where each text is first, if anywhere
            new = np.flatnonzero((codes < 0) & (rows >= 0))
            if len(new) and self.labels is not None:
                row = int(rows[new].min())
                shown = ", ".join(map(repr, self.labels[:10])) + (", ..." if len(self.labels) > 10 else "")
                takes = f"the labels of {column.key} in the schema: {shown}"
                text = batch.text(column.field, row)
                raise batch.error(column.field, f"the unknown label {text!r}", takes, row)
            for index in new:
                codes[index] = self._codes.setdefault(texts[index], len(self.texts))
                if codes[index] == len(self.texts):
                    self.texts.append(texts[index])
        return codes[found.indices]

    def in_order(self, column: LabelColumn) -> tuple[np.ndarray, tuple[Label, ...]]:
        """The place of each number, and the labels of the places, by the rule of the module.

        Raises:
            ValueError: what was found are no labels.
        """
        if self.labels is not None:
            return np.arange(len(self.labels)), self.labels
        labels = _labels(column, self.texts)
        kept = sorted(set(labels))  # pyright: ignore[reportArgumentType]
        places = {label: place for place, label in enumerate(kept)}
        return np.array([places[label] for label in labels], dtype=np.int64), tuple(kept)


def _labels(column: LabelColumn, texts: list[str]) -> list[int] | list[str]:
    """What the texts that were found stand for."""
    whole = [_whole(text) for text in texts]
    if None not in whole:
        rounded = next((text for text in texts if FLOAT.search(text) and abs(float(text)) >= 2.0**53), None)
        if rounded is not None:
            got = f"{rounded_float(rounded)} in column {column.column!r}"
            raise ValueError(f"{column.field}: got {got}, takes strings or integers")
        return [int(text) for text in whole if text is not None]
    if all(text in TRUTHS for text in texts):
        return [TRUTHS[text] for text in texts]
    if all(MOMENT.fullmatch(text) for text in texts):
        moments = [canonical(text) for text in texts]
        days = all(moment.endswith(MIDNIGHT) for moment in moments)
        return [moment.removesuffix(MIDNIGHT) for moment in moments] if days else moments
    unknown = next((text for text in texts if text.lower() == "nan"), None)
    fraction = next((text for text in texts if _whole(text) is None and not DIGITS.fullmatch(text)), None)
    numbers = fraction is not None and all(NUMBER.fullmatch(text) for text in texts)
    if unknown is not None or numbers:
        got = repr(fraction if unknown is None else unknown)
        remedy = f"; {column.key} in the schema takes labels as they are"
        raise ValueError(f"{column.field}: got {got} in column {column.column!r}, takes strings or integers{remedy}")
    return texts


def warn_of_twins(column: LabelColumn, labels: tuple[Label, ...]) -> None:
    """Tell of labels that were found, and not listed, and differ only in case or in the spaces around them."""
    first: dict[str, Label] = {}
    pairs = [(first.setdefault(str(label).strip().casefold(), label), label) for label in labels]
    twins = [pair for pair in pairs if pair[0] is not pair[1]]
    if twins and column.labels is None:
        more = f" ({len(twins)} such pairs)" if len(twins) > 1 else ""
        logger.warning(
            "%s: got labels %r and %r in column %r, which differ only in case or spaces, and are taken for two%s",
            column.field,
            *twins[0],
            column.column,
            more,
        )
