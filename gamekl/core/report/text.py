"""Texts of tables: cells under each other, CSV, and LaTeX. Loads no jax."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# What a text may not have in LaTeX, and what stands for it.
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{letter: f"\\{letter}" for letter in "&%$#_"},
}


def csv_text(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """The text of a CSV file, every number with all of its digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells under each other; lines may be of unequal lengths."""
    columns = max(map(len, lines))
    padded = [[*line, *[""] * (columns - len(line))] for line in lines]
    widths = [max(map(len, column)) for column in zip(*padded, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in padded]
    return [row.rstrip() for row in rows]


def latex_text(text: str) -> str:
    """A text in which LaTeX sees no commands; line breaks and the like are spaces."""
    return "".join(LATEX.get(letter, letter) if letter.isprintable() else " " for letter in text)
