"""What all figures share: sizes, colours, letters, and how a file of one is written."""
# matplotlib leaves its **kwargs without types, so that every method that has them counts as partly unknown.
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PANEL_WIDTH, PANEL_HEIGHT = 3.25, 2.6  # inches: one column of a paper
COLUMNS = 2
LETTERS = 24  # of a name
# Colours that people with any colour vision can tell apart (Okabe and Ito; and a brown).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B")
STYLE: Any = {
    "font.size": 7,
    "axes.titlesize": 8,
    "legend.fontsize": 6,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "gamekl",
    "pdf.fonttype": 42,
}


def without_formulae(text: str) -> str:
    """A user's text, in which matplotlib must not look for formulae."""
    return text.replace("$", r"\$")


def short(name: str) -> str:
    """A user's name as a label: so many letters at most, and no formulae."""
    return without_formulae(name if len(name) <= LETTERS else name[: LETTERS - 1] + "…")


def new_figure(width: float, height: float) -> Figure:
    """A figure of so many inches, that no window belongs to."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PDF, SVG or PNG, by the suffix; the same bytes again for the same figure, within `STYLE`."""
    dated = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix.lower(), {})
    figure.savefig(path, dpi=200, metadata=dated)
