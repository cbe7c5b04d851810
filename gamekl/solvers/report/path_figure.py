"""The figure of a logit path: the probability of each action against lambda = 1 / temperature, a panel for each player.

The path is a curve by its arclength h, with cubics between neighbouring points that have their tangents: log-policies
and lambda are polynomials of h there, and curves run through folds.
"""
# matplotlib leaves its **kwargs without types, so that every method that has them counts as partly unknown.
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from gamekl.core.names import Names, printed_names
from gamekl.core.report.look import (
    COLOURS,
    COLUMNS,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    STYLE,
    new_figure,
    short,
    write_figure,
)
from gamekl.solvers.paths.kinds import BRANCHINGS, PointKind
from gamekl.solvers.report.path_rows import Rows

# Actions of a player that have a colour and a name; the others are grey.
MOST_LABELLED = 10
LINES = ("-", "--")  # of the first colours, and of the same ones again
LEGEND_WIDTH = 1.1  # inches
BETWEEN = 24  # places on the curve from one point to the next
# The axis begins where lambda, times the largest range of a player's payoffs, is so much; or so much before its end.
FIRST, DECADE = 0.1, 0.1
SEVERAL = 300.0  # of the axis' ends: from here on powers of ten are labels enough
FOLD: Any = {"marker": "o", "mfc": "white", "mec": "0.15", "ms": 3.2, "mew": 0.7}
BRANCHING: Any = {"marker": "D", "mfc": "0.15", "mec": "white", "ms": 3.6, "mew": 0.4}


class Curve(NamedTuple):
    """Places along a path.

    Attributes:
        rate: lambda of each player, shape ``[place, player]``.
        policy: one array ``[place, actions_i]`` for each player.
    """

    rate: np.ndarray
    policy: tuple[np.ndarray, ...]


def curve(points: Rows) -> Curve:
    """The path by arclength, through its points."""
    rate, pace = 1 / points.temperature, points.pace[:, None] / points.scale
    # Close to the reference a logarithmic axis shows every decade alike.
    even, first = np.linspace(0, 1, BETWEEN + 1)[1:], np.geomspace(1e-6, 1, 8 * BETWEEN)
    row = np.concatenate([np.zeros(len(first), int), np.repeat(np.arange(1, len(rate) - 1), BETWEEN)])
    u = np.concatenate([first, np.tile(even, max(len(rate) - 2, 0))])
    length = np.diff(points.arclength)[row]

    def between(values: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        shape = (-1, *(1,) * (values.ndim - 1))
        last = 3 * u**2 - 2 * u**3
        weights = 1 - last, (u - 2 * u**2 + u**3) * length, last, (u**3 - u**2) * length
        parts = values[row], slopes[row], values[row + 1], slopes[row + 1]
        return np.sum([weight.reshape(shape) * part for weight, part in zip(weights, parts, strict=True)], axis=0)

    policy = []
    for log_policy, tangent in zip(points.log_policy, points.tangent, strict=True):
        played = np.isfinite(log_policy)
        logits = between(np.where(played, log_policy, 0), np.where(played, tangent, 0))
        weights = np.where(played[row], np.exp(logits), 0)
        policy.append(weights / weights.sum(axis=1, keepdims=True))
    return Curve(between(rate, pace), tuple(policy))


def _draw_marks(axes: Axes, name: str, rates: np.ndarray, policies: np.ndarray, style: Any) -> None:
    if len(rates):
        places = np.repeat(rates, policies.shape[1]), policies.ravel()
        axes.plot(*places, ls="", zorder=3, clip_on=False, gid=name, **style)


def _set_ticks(axes: Axes, first: float, last: float) -> None:
    """Powers of ten, and over few of them 2 and 5 times these, too."""
    few = last < SEVERAL * first
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if few:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _draw_player(axes: Axes, points: Rows, drawn: Curve, player: int, title: str, names: tuple[str, ...]) -> None:
    rate, policy = drawn.rate[:, player], drawn.policy[player]
    # From the likeliest at the path's end to the least likely, as the curves lie there.
    labelled = set(np.argsort(-policy.max(axis=0), kind="stable")[:MOST_LABELLED].tolist())
    order = [action for action in np.argsort(-policy[-1], kind="stable").tolist() if action in labelled]
    others = [action for action in range(len(names)) if action not in labelled]
    for number, action in enumerate(others):
        label = f"{len(others)} less likely" if number == 0 else None
        axes.plot(rate, policy[:, action], color="0.75", lw=0.5, zorder=1, label=label)
    for action in order:
        line, colour = divmod(sorted(labelled).index(action), len(COLOURS))
        style: Any = {"color": COLOURS[colour], "ls": LINES[line % len(LINES)]}
        axes.plot(rate, policy[:, action], label=short(names[action]), **style)
    rates = 1 / points.temperature[:, player]
    at_points = np.exp(points.log_policy[player])[:, sorted(labelled)]
    folds, branchings = points.kind == PointKind.fold, np.isin(points.kind, BRANCHINGS)
    _draw_marks(axes, f"folds_{player}", rates[folds], at_points[folds], FOLD)
    _draw_marks(axes, f"branchings_{player}", rates[branchings], at_points[branchings], BRANCHING)
    last = float(rate.max() or 1 / points.scale[player])
    first = min(FIRST / points.scale[player], DECADE * last)
    axes.set(xlim=(first, last), ylim=(-0.02, 1.02))
    axes.set_xscale("log")
    axes.set(xlabel="$\\lambda = 1/\\tau$, nats per payoff unit", ylabel="probability")
    axes.set_title(short(title))
    _set_ticks(axes, first, last)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    ordered = [*range(bool(others), len(handles)), *range(bool(others))]  # grey comes last
    axes.legend(
        [handles[entry] for entry in ordered],
        [labels[entry] for entry in ordered],
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        handlelength=1.4,
    )


def draw_path(points: Rows, names: Names) -> Figure:
    """The figure of a path."""
    players = len(names.players)
    columns = min(COLUMNS, players)
    rows = -(-players // columns)
    figure = new_figure((PANEL_WIDTH + LEGEND_WIDTH) * columns, PANEL_HEIGHT * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    drawn, titles = curve(points), printed_names(names.players)
    for player, axes in enumerate(grid[:players]):
        _draw_player(axes, points, drawn, player, titles[player], printed_names(names.actions[player]))
    for axes in grid[players:]:
        axes.set_axis_off()
    _draw_legend(figure, [PointKind(int(kind)) for kind in points.kind])
    return figure


def _draw_legend(figure: Figure, kinds: list[PointKind]) -> None:
    """What the marks are, where there are any."""
    folds = kinds.count(PointKind.fold)
    met = [kind for kind in kinds if kind in BRANCHINGS]
    handles = []
    if folds:
        handles.append(Line2D([], [], ls="", label="fold: the temperature turns", **FOLD))
    if met:
        names = ", ".join(dict.fromkeys(kind.name for kind in met))
        crossed = "crossed" if PointKind.turn_off in kinds else "stayed"
        handles.append(Line2D([], [], ls="", label=f"branching point ({names}), {crossed}", **BRANCHING))
    if handles:
        figure.legend(handles=handles, frameon=False, loc="outside lower center", ncols=len(handles))


def save_path_figure(points: Rows, names: Names, path: Path) -> None:
    """Write the figure of a path as .svg, .pdf or .png."""
    with matplotlib.rc_context(STYLE):
        write_figure(draw_path(points, names), path)
