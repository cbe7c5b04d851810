"""A table of results, by columns: to be read, and for pandas, LaTeX and CSV. Loads no jax."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

from gamekl.core.names import printed_names
from gamekl.core.report.text import aligned, csv_text, latex_text

# Rows that are printed.
MOST_PRINTED = 40


@dataclass(frozen=True, repr=False)
class ResultTable:
    """A table of results. ``print`` shows it.

    Attributes:
        columns: lists of equal lengths by name: of texts, numbers, fractions, or pairs and the like of numbers.
        title: what it is of, in a line.

    Raises:
        ValueError: columns of different lengths.
    """

    columns: Mapping[str, Sequence[Any]]
    title: str = ""

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns: got lengths {lengths}, takes one for all")

    def __len__(self) -> int:
        """How many rows it has."""
        return len(next(iter(self.columns.values()), ()))

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows, without the names of the columns."""
        return list(zip(*self.columns.values(), strict=True))

    def __repr__(self) -> str:
        """The title and the first rows, numbers with six digits."""
        rows = [printed_names(self.columns), *(tuple(map(_told, row)) for row in self.rows[:MOST_PRINTED])]
        left = len(self) - MOST_PRINTED
        lines = [self.title, *aligned(rows), f"and {left:,} rows more" if left > 0 else ""]
        return "\n".join(filter(None, lines))

    def select(self, *columns: str) -> "ResultTable":
        """The table with these columns, in this order.

        Raises:
            ValueError: there is no such column.
        """
        unknown = [name for name in columns if name not in self.columns]
        if unknown or not columns:
            raise ValueError(f"columns: got {unknown or 'none'}, takes names of {', '.join(self.columns)}")
        return ResultTable({name: self.columns[name] for name in columns}, self.title)

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame``; fractions become floats, pairs stay.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("pandas: got no such package, takes pip install pandas") from error
        return pandas.DataFrame({name: list(map(_number, column)) for name, column in self.columns.items()})

    def to_csv(self, path: str | PathLike[str] | None = None) -> str:
        """The text of the table as CSV, every number with all of its digits; fractions become floats.

        Args:
            path: of a file to write it to; or None.

        Raises:
            OSError: the file cannot be written.
        """
        return _written(csv_text(self.columns, (map(_number, row) for row in self.rows)), path)

    def to_latex(self, path: str | PathLike[str] | None = None, *, digits: int = 4, booktabs: bool = True) -> str:
        r"""The table as a ``tabular`` of LaTeX; texts are escaped, numbers are set as formulae.

        Args:
            path: of a file to write it to; or None.
            digits: of numbers, significant ones.
            booktabs: lines of the package ``booktabs``; otherwise ``\hline``.

        Raises:
            ValueError: `digits` is no whole number >= 1.
            OSError: the file cannot be written.
        """
        if isinstance(digits, bool) or not isinstance(digits, int) or digits < 1:
            raise ValueError(f"digits: got {digits!r}, takes a whole number >= 1")
        top, middle, bottom = (r"\toprule", r"\midrule", r"\bottomrule") if booktabs else (r"\hline",) * 3
        texts = (any(isinstance(value, str) for value in column) for column in self.columns.values())
        kinds = "".join("l" if text else "r" for text in texts)
        head = " & ".join(map(latex_text, printed_names(self.columns)))
        body = (" & ".join(_in_latex(value, digits) for value in row) for row in self.rows)
        lines = [rf"\begin{{tabular}}{{{kinds}}}", top, rf"{head} \\", middle]
        return _written("\n".join([*lines, *(rf"{line} \\" for line in body), bottom, r"\end{tabular}", ""]), path)


def _written(text: str, path: str | PathLike[str] | None) -> str:
    """The text, which is also written to a file where there is a path."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8", newline="")
    return text


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Fraction) else value


def _told(value: Any) -> str:
    """A value as it is printed."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_told, value))})"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # no -0
    return printed_names([value])[0] if isinstance(value, str) and value else str(value)


def _in_latex(value: Any, digits: int) -> str:
    if isinstance(value, str):
        return latex_text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return f"${', '.join(_formula(entry, digits) for entry in value)}$"
    return "--" if value is None or value != value else f"${_formula(value, digits)}$"


def _formula(value: Any, digits: int) -> str:
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return r"\text{NaN}" if math.isnan(value) else rf"{'-' * (value < 0)}\infty"
    number, exponent, power = f"{value + 0.0:.{digits}g}".partition("e")
    return rf"{number} \cdot 10^{{{int(power)}}}" if exponent else number
