"""The rate plot: mean error against sample size or rounds, log-log, one panel for each group of families."""
# matplotlib leaves its **kwargs without types, so that every method that has them counts as partly unknown.
# pyright: reportUnknownMemberType=false

import io
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gamekl.core.report.look import (
    COLOURS,
    COLUMNS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    STYLE,
    new_figure,
    without_formulae,
    write_figure,
)
from gamekl.experiment.schema.cases import SYMBOLS
from gamekl.experiment.show.panels import Panel, group_panels
from gamekl.experiment.show.report import Summary
from gamekl.experiment.show.table import curve_name, printable

LEGEND_ENTRY_HEIGHT = 0.35  # inches, for each curve of a panel that has several
CAPTION = "points: means over games and seeds, with a bootstrap 95 % band (dark); {spread}gaps are summed over players"
SPREAD = "light: 5 % to 95 % of the seeds; "
CAPTION_WIDTH, LEGEND_WIDTH = 70, 56  # letters a panel
AXIS_NAMES = {
    "num_samples": "rows of data $n$",
    "num_rounds": "rounds $T$",
    "num_queries": "queries $Q$",
    "temperature": "temperature $\\tau$",
    "concentrability": "concentrability $C$",
    "scale": "scale of the bonus $c$",
}
ROUNDING = 1e-17  # below, curves of rules are not shown
BEYOND = 10.0  # where infinity stands, times the largest number


def _plain(text: str) -> str:
    """A user's text, in which matplotlib must not look for formulae."""
    return without_formulae(printable(text))


def _guide(axes: Axes, n: np.ndarray, start: float, exponent: float, label: str) -> None:
    axes.plot(n, start * (n / n[0]) ** exponent, color="0.7", lw=0.6, ls=":", zorder=0)
    axes.annotate(label, (n[-1], start * (n[-1] / n[0]) ** exponent), fontsize=5, color="0.5", ha="right", va="bottom")


def _guides(axes: Axes, panel: Panel, start: float) -> None:
    """Lines of the usual slopes."""
    sizes = np.unique(np.concatenate([entry.sizes for entry in panel.summaries])).astype(float)
    falling, rising = [(-0.5, "-1/2"), (-1.0, "-1")], [(0.5, "1/2"), (1.0, "1")]
    for power, name in (rising if panel.summaries[0].slope > 0 else falling) if len(sizes) > 1 else []:
        _guide(axes, sizes, start, power, f"${SYMBOLS[panel.axis]}^{{{name}}}$")


def _places(sizes: np.ndarray) -> np.ndarray:
    """Where they stand on the axis."""
    finite = sizes[np.isfinite(sizes)].astype(float)
    return np.where(np.isfinite(sizes), sizes, BEYOND * finite.max() if len(finite) else 1.0)


def _short_name(summary: Summary, panel: str) -> str:
    """What tells a case from the others of its panel: the label alone where much is held fixed."""
    case = summary.case
    tuned = case.concentrability is not None or case.scale is not None
    name = case.label if tuned else case.name
    if summary.curve.style == "approach" and panel != case.label:  # whose temperature is in the title
        name = case.label
    name = name.removeprefix(panel).strip(",: ")
    return _plain(name[1:-1] if name.startswith("(") else name)


def _legend_columns(summary: Summary) -> int:
    """Two where several curves are of one case, whose names are short."""
    return 1 if summary.held is None else 2


def _draw_curve(
    axes: Axes, summary: Summary, colour: str, name: str, *, alpha: float = 1.0, spread: bool = True
) -> None:
    sizes, rate = _places(summary.sizes), summary.rate
    name = textwrap.fill(name, LEGEND_WIDTH // _legend_columns(summary))
    fitted = "" if rate is None else f"\nslope {rate.slope:.3f} [{rate.low:.3f}, {rate.high:.3f}]"
    if spread and (summary.held is None or summary.predicted is not None):
        # Exact seeds have error 0, which a logarithmic axis cannot show.
        axes.fill_between(sizes, *np.maximum(summary.spread, summary.means / 1e3), color=colour, alpha=0.12, lw=0)
    finite = np.isfinite(summary.sizes)
    axes.fill_between(sizes[finite], *summary.band[:, finite], color=colour, alpha=0.45 * alpha, lw=0)
    followed = summary.curve.style == "approach"
    line = "o-" if summary.curve.is_tuned or followed else "o"
    style: Any = {"ms": 2.5, "lw": 0.8, "color": colour, "alpha": alpha}
    axes.plot(sizes[finite], summary.means[finite], line, label=f"{name}{fitted}", **style)
    axes.plot(sizes[~finite], summary.means[~finite], "o", **style)
    if summary.predicted is not None and followed:
        axes.plot(sizes, summary.predicted, "--", lw=0.6, color=colour)
    elif summary.predicted is not None and summary.curve.level is None:
        source = summary.curve.source
        law = f"predicted {summary.case.constant or 0:.4g} $n^{{{summary.slope:g}}}$ ({source})"
        label = "its bound" if summary.is_bound else law
        axes.plot(sizes, summary.predicted, "-", lw=0.8, color=colour, label=label)
    if summary.failures:
        axes.plot([], [], " ", label=f"{summary.failures} of {summary.solves} solves failed")


def _legend(axes: Axes, columns: int) -> None:
    """Below the axes, where it covers no curve."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns)


def _draw_floor(axes: Axes, summaries: list[Summary]) -> None:
    """The solver's own gap: a line where it is in sight, a remark where it is far below."""
    known = [float(entry.floor.max()) for entry in summaries if len(entry.floor) and np.all(np.isfinite(entry.floor))]
    if not known:
        return
    floor = max(known)
    low, high = axes.get_ylim()
    if floor >= low / 10:
        axes.axhline(floor, color="0.4", lw=0.6, ls="--", label="solver's floor")
        axes.set_ylim(min(low, floor / 2), high)
    else:
        bound = f"$10^{{{int(np.ceil(np.log10(floor)))}}}$" if floor > 0 else "rounding"
        axes.plot([], [], " ", label=f"solver's floor below {bound}")


def _draw_tuning(axes: Axes, panel: Panel) -> None:
    """Errors against something else than data or rounds: a colour for each family, fainter for fewer data."""
    summaries = panel.summaries
    labels = list(dict.fromkeys(entry.case.label for entry in summaries))
    most = max(entry.held or 0 for entry in summaries)
    for summary in summaries:
        label = summary.case.label
        short = _short_name(summary, panel.name) if len(labels) > 1 else ""
        faint = 1.0 if summary.held == most else 0.5
        colour = labels.index(label) if len(labels) > 1 else summaries.index(summary)
        name = ", ".join(filter(None, (short, curve_name(summary))))
        _draw_curve(axes, summary, COLOURS[colour % len(COLOURS)], name, alpha=faint if len(labels) > 1 else 1.0)
    sizes = np.unique(np.concatenate([entry.sizes for entry in summaries]))
    axes.set(yscale="log", xlabel=AXIS_NAMES[panel.axis], ylabel=f"{summaries[0].curve.title} in the true game")
    if panel.axis != "scale":
        axes.set_xscale("log")
    if not np.all(np.isfinite(sizes)):
        beyond, finite = _places(sizes)[-1], sizes[np.isfinite(sizes)]
        axes.axvline(beyond, color="0.8", lw=0.6, ls=":", zorder=0)
        first, last = float(np.ceil(np.log10(finite[0]))), float(np.floor(np.log10(finite[-1])))
        powers = np.arange(first, last + 1)
        axes.set_xticks([*10.0**powers, beyond], [*(f"$10^{{{power:g}}}$" for power in powers), "$\\infty$"])
    _legend(axes, 2)


def _draw_followed(axes: Axes, panel: Panel) -> None:
    """How rules approach an equilibrium, and what is proven of that."""
    summaries = panel.summaries
    for index, summary in enumerate(summaries):
        _draw_curve(axes, summary, COLOURS[index % len(COLOURS)], _short_name(summary, panel.name), spread=False)
    if any(entry.predicted is not None for entry in summaries):
        axes.plot([], [], "--", lw=0.6, color="0.4", label="proven bound")
    metric = summaries[0].metric
    if metric.endswith("nash_gap"):
        _guides(axes, panel, max((float(entry.means[0]) for entry in summaries if len(entry.means)), default=0.0))
    axes.set(xscale="log", yscale="log", xlabel=AXIS_NAMES[panel.axis], ylabel=summaries[0].curve.title)
    shown = [entry.means for entry in summaries] + [entry.predicted for entry in summaries if entry.is_bound]
    values = np.concatenate([np.asarray(entry) for entry in shown])
    if values.max(initial=0) > 0:
        axes.set_ylim(max(values.min() / 2, ROUNDING), 2 * values.max())
    _legend(axes, 2)


def _draw_level(axes: Axes, panel: Panel) -> None:
    """How often bands hold what they are for, beside how often they should."""
    summaries = panel.summaries
    for index, summary in enumerate(summaries):
        name = _short_name(summary, panel.name) if len(summaries) > 1 else "share of the logs"
        _draw_curve(axes, summary, COLOURS[index % len(COLOURS)], name, spread=False)
    for level in dict.fromkeys(entry.curve.level for entry in summaries if entry.curve.level is not None):
        axes.axhline(level, color="0.4", lw=0.6, ls="--", label=f"nominal {level:g}")
    least = min((float(entry.band[0].min()) for entry in summaries if len(entry.means)), default=0.0)
    axes.set(
        xscale="log",
        xlabel=AXIS_NAMES[panel.axis],
        ylabel=summaries[0].curve.title,
        ylim=(min(least, 0.8), 1),
    )
    _legend(axes, 2)


def _draw_rates(axes: Axes, panel: Panel) -> None:
    """Errors against data or rounds."""
    summaries = panel.summaries
    played = summaries[0].held is not None
    mixed = len({entry.metric for entry in summaries}) > 1 or len(summaries) == 1
    for index, summary in enumerate(summaries):
        short = _short_name(summary, panel.name) if len(summaries) > 1 else ""
        metric = summary.curve.title if mixed and not played else ""
        parts = [short, curve_name(summary)] if played else [metric, short]
        colour = COLOURS[index % len(COLOURS)]
        _draw_curve(axes, summary, colour, ", ".join(filter(None, parts)), spread=panel.has_spread)
    start = max((float(entry.spread[1, 0]) for entry in summaries if len(entry.means)), default=0.0) * 2
    if start > 0:
        _guides(axes, panel, start)
        axes.set(xscale="log", yscale="log")
    gaps = all(entry.metric.endswith("gap") for entry in summaries)
    what = "gap" if mixed and gaps and not played else summaries[0].curve.title
    axes.set(xlabel=AXIS_NAMES[panel.axis], ylabel=f"{what} in the true game" if gaps else what)
    if not played:  # else the curves themselves end in the solver's floor
        _draw_floor(axes, summaries)
    rounds = np.unique(np.concatenate([entry.sizes for entry in summaries]))
    if panel.axis == "num_rounds" and len(rounds) and rounds[-1] < 100 * rounds[0]:  # less than two decades
        axes.set_xticks(rounds, [f"{size:,}" for size in rounds])
        axes.minorticks_off()
    if len(summaries) == 1 and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="lower left" if panel.axis == "num_samples" else "best")
    else:
        _legend(axes, _legend_columns(summaries[0]))


def _drawn_by(panel: Panel) -> Callable[[Axes, Panel], None]:
    curve = panel.summaries[0].curve
    if curve.level is not None:
        return _draw_level
    return {"approach": _draw_followed, "tuning": _draw_tuning, "rate": _draw_rates}[curve.style]


def caption(panels: list[Panel]) -> str:
    """What points and bands are."""
    return CAPTION.format(spread=SPREAD if any(panel.has_spread for panel in panels) else "")


def _draw_grid(panels: list[Panel]) -> Figure:
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    most = max(-(-len(panel.summaries) // _legend_columns(panel.summaries[0])) for panel in panels)
    height = PANEL_HEIGHT + (LEGEND_ENTRY_HEIGHT * most if most > 1 else 0)
    figure = new_figure(PANEL_WIDTH * columns, height * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _drawn_by(panel)(axes, panel)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def draw(summaries: list[Summary]) -> Figure:
    """The figure of a run.

    Points are means over games and seeds, dark bands bootstrap 95 % bands, light ones hold the seeds from 5 % to 95 %;
    gaps are summed over players.
    """
    panels = group_panels(summaries)
    figure = _draw_grid(panels)
    for axes, panel in zip(figure.axes, panels, strict=False):
        axes.set_title(_plain(panel.title))
    width = CAPTION_WIDTH * min(COLUMNS, len(panels))
    figure.supxlabel(textwrap.fill(caption(panels), width), fontsize=6, color="0.3")
    return figure


def panel_svg(panel: Panel) -> str:
    """A panel as a figure of its own, without title; the same text again for the same curves."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # letters are drawn by whatever shows the text
        _draw_grid([panel]).savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.02)
    return buffer.getvalue()


def save_figure(summaries: list[Summary], folder: Path) -> list[Path]:
    """Write the figure as ``figure.pdf`` and ``figure.svg`` (vector) and ``figure.png``; returns the paths."""
    paths = [folder / f"figure.{suffix}" for suffix in ("pdf", "svg", "png")]
    with matplotlib.rc_context(STYLE):
        figure = draw(summaries)
        for path in paths:
            write_figure(figure, path)
    return paths
