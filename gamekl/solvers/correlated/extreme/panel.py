"""The figure of what two players can earn, a panel with polygons from the widest to the narrowest."""
# matplotlib leaves its **kwargs without types, so that every method that has them counts as partly unknown.
# pyright: reportUnknownMemberType=false

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from gamekl.core.figures.look import COLOURS, PANEL_HEIGHT, PANEL_WIDTH, STYLE, new_figure, short, write_figure
from gamekl.solvers.correlated.extreme.payoffs import PayoffSpace

LEGEND_WIDTH = 1.5  # inches
# Joint actions that are named, and lines at one place.
MOST_NAMED, MOST_HERE = 12, 2
AWAY = 4.5  # points from a joint action to its name
MARGIN = 0.18  # of the range of payoffs
OUTCOME: Any = {"marker": "o", "color": "0.55", "ms": 2.4}
NASH: Any = {"marker": "o", "color": "black", "mec": "white", "mew": 0.5, "ms": 4.6}


def _draw_set(axes: Axes, corners: Float[np.ndarray, "corner player"], label: str, style: Any) -> None:
    """A polygon; of fewer than three corners the line between them, or a ring about the only one."""
    if len(corners) > 2:
        axes.add_patch(Polygon(corners, label=label, **style))
        return
    line: Any = {"color": style["ec"], "lw": 2.4, "solid_capstyle": "round", "zorder": style["zorder"]}
    if len(corners) == 1:
        line |= {"marker": "o", "ms": 9.0, "mfc": style["fc"], "mew": 1.2, "ls": ""}
    axes.plot(*corners.T, label=label, **line)


def _draw_names(axes: Axes, space: PayoffSpace) -> None:
    """The names of joint actions above what they earn, or below in the lower half."""
    here: dict[tuple[float, float], list[str]] = {}
    for name, (x, y) in zip(space.labels, space.outcomes.tolist(), strict=True):
        here.setdefault((x, y), []).append(short(name))
    middle = (space.outcomes[:, 1].min() + space.outcomes[:, 1].max()) / 2
    for (x, y), names in here.items():
        above = y >= middle
        told = names if len(names) <= MOST_HERE else [names[0], f"and {len(names) - 1} more"]
        axes.annotate(
            "\n".join(told),
            (x, y),
            (0, AWAY if above else -AWAY),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=6,
            color="0.3",
            bbox={"fc": "white", "ec": "none", "alpha": 0.6, "pad": 0.4},
            zorder=5,
        )


def _panel(axes: Axes, space: PayoffSpace) -> None:
    hull: Any = {"fc": "0.95", "ec": "0.6", "lw": 0.7, "zorder": 1}
    coarse: Any = {"fc": "#CFE6F5", "ec": COLOURS[0], "lw": 0.9, "zorder": 2}
    correlated: Any = {"fc": "#F6C28B", "ec": COLOURS[1], "lw": 0.9, "zorder": 3}
    _draw_set(axes, space.hull, "all joint policies", hull)
    if np.array_equal(space.coarse, space.correlated):
        _draw_set(axes, space.correlated, "correlated and coarse\ncorrelated equilibria", correlated)
    else:
        _draw_set(axes, space.coarse, "coarse correlated equilibria", coarse)
        _draw_set(axes, space.correlated, "correlated equilibria", correlated)
    axes.plot(*space.outcomes.T, ls="", label="joint actions", zorder=4, clip_on=False, **OUTCOME)
    kind = "extreme Nash equilibria" if space.mixed else "Nash equilibria"
    kind = kind.removesuffix("a") + "um" if len(space.nash) == 1 and not space.mixed else kind
    axes.plot(*space.nash.T, ls="", label=kind, zorder=6, clip_on=False, gid="nash", **NASH)
    if len(space.labels) <= MOST_NAMED:
        _draw_names(axes, space)
    for limits, own in zip((axes.set_xlim, axes.set_ylim), space.outcomes.T, strict=True):
        room = MARGIN * float(np.ptp(own)) or 1.0
        limits(own.min() - room, own.max() + room)
    first, second = map(short, space.names.players)
    axes.set(xlabel=f"payoff of {first}", ylabel=f"payoff of {second}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4)


def draw_payoffs(space: PayoffSpace, path: Path | None) -> Figure:
    """The figure, written where there is a path."""
    with matplotlib.rc_context(STYLE):
        figure = new_figure(PANEL_WIDTH + LEGEND_WIDTH, PANEL_HEIGHT * 1.1)
        _panel(figure.subplots(), space)
        if path is not None:
            write_figure(figure, path)
    return figure
