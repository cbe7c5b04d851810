"""Labels of a log: texts to numbers, in an order of their own, and to hashes that are the same on every machine.

A label is a string or an integer. Parquet says which; in CSV, and beside it, all labels of a column decide together.
"""

import logging
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from gamekl.offline.log_files import Batch, Labels
from gamekl.offline.log_schema import Label, LabelColumn

logger = logging.getLogger("gamekl")

WHOLE = re.compile("0|-?[1-9][0-9]*")


def mix(values: np.ndarray) -> np.ndarray:
    """A hash of 64-bit numbers: the finaliser of splitmix64 (Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def hash_texts(texts: pa.Array) -> np.ndarray:
    """A hash of each text: mix(length), then h to mix(h ^ w) for every 8 bytes w of its UTF-8, little-endian."""
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


def number(batch: Batch, column: LabelColumn, known: dict[str, int]) -> np.ndarray:
    """The number of each row's label; a new label gets one, in `known`, or is an error where the schema lists all."""
    found: Labels = batch.columns[column.field]
    texts = found.texts.to_pylist()
    codes = np.array([known.get(text, -1) for text in texts], dtype=np.int64)
    if np.any(codes < 0):
        rows = np.full(len(texts), -1)
        rows[found.indices[::-1]] = np.arange(len(found.indices))[::-1]  # where each text is first, if anywhere
        new = np.flatnonzero((codes < 0) & (rows >= 0))
        if len(new) and column.labels is not None:
            worst = new[np.argmin(rows[new])]
            shown = ", ".join(map(repr, column.labels[:10])) + (", ..." if len(column.labels) > 10 else "")
            takes = f"the labels of {column.key} in the schema: {shown}"
            row = batch.first + int(rows[worst])
            raise batch.places[column.field].error(f"the unknown label {texts[worst]!r}", takes, row)
        for index in new:
            codes[index] = known.setdefault(texts[index], len(known))
    return codes[found.indices]


def check_kinds(batch: Batch, columns: tuple[LabelColumn, ...], agreed: dict[str, tuple[str, Path]]) -> None:
    """Raise unless the labels of a column are of one kind in all files and in the schema."""
    for column in columns:
        kind, place = batch.kinds[column.field], batch.places[column.field]
        if kind == "text":
            continue
        if column.labels is not None:
            listed = "integers" if isinstance(column.labels[0], int) else "strings"
            if kind != listed:
                raise place.error(kind, f"{listed}, as {column.key} in the schema has them")
        before, where = agreed.setdefault(column.field, (kind, place.path))
        if kind != before:
            raise place.error(kind, f"{before}, as {where} has there")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_order(column: LabelColumn, texts: list[str], kind: str | None) -> tuple[list[int], tuple[Label, ...]]:
    """The order of labels that were found, and themselves; in CSV integers are told from strings by all of them."""
    if column.labels is not None:
        return list(range(len(texts))), column.labels
    odd = next((text for text in texts if not WHOLE.fullmatch(text)), None)
    number = next((text for text in texts if _is_number(text)), None)
    if odd is not None and (kind == "integers" or (kind is None and number is not None)):
        got = f"{odd!r} beside {number!r}" if number not in (None, odd) else repr(odd)
        remedy = f"; {column.key} in the schema takes labels of CSV as they are"
        raise ValueError(f"{column.field}: got {got} in column {column.column!r}, takes strings or integers{remedy}")
    labels = [int(text) for text in texts] if odd is None and kind != "strings" else texts
    order = sorted(range(len(texts)), key=labels.__getitem__)  # pyright: ignore[reportArgumentType]
    return order, tuple(labels[index] for index in order)


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
