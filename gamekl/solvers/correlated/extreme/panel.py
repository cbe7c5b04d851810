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

from gamekl.core.report.look import COLOURS, PANEL_HEIGHT, PANEL_WIDTH, STYLE, new_figure, short, write_figure
from gamekl.solvers.correlated.extreme.payoffs import PayoffSpace

LEGEND_WIDTH = 1.5  # inches
# Joint actions that are named, and lines at one place.
MOST_NAMED, MOST_HERE = 12, 2
AWAY = 4.5  # points from a joint action to its name
DOT = 2.0  # points of its mark, to each side
LETTER = 3.1, 7.0  # points: the width and the height of one in a name
SIZE = 205.0, 170.0  # points: the width and the height of the panel, as far as places of names go
# Above, below, left and right of a mark: the directions, and what of the text is there.
SIDES: dict[str, Any] = {
    "a": (0, 1, "center", "bottom"),
    "b": (0, -1, "center", "top"),
    "l": (-1, 0, "right", "center"),
    "r": (1, 0, "left", "center"),
}
MARGIN = 0.18  # of the range of payoffs
OUTCOME: Any = {"marker": "o", "color": "0.55", "ms": 2.4}
Box = tuple[float, float, float, float]
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


def _overlap(box: Box, other: Box) -> float:
    """The area that two boxes share."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    high = min(box[3], other[3]) - max(box[1], other[1])
    return max(wide, 0.0) * max(high, 0.0)


def _free_side(x: float, y: float, lines: list[str], order: str, taken: list[Box]) -> str:
    """The first side of a place, in points, on which a text meets least of what is there; it is taken then."""
    wide, high = LETTER[0] * max(map(len, lines)), LETTER[1] * len(lines)

    def box(side: str) -> Box:
        dx, dy, *_ = SIDES[side]
        left, low = x + AWAY * dx + (dx - 1) * wide / 2, y + AWAY * dy + (dy - 1) * high / 2
        return left, low, left + wide, low + high

    best = min(order, key=lambda side: sum(_overlap(box(side), other) for other in taken))
    taken.append(box(best))
    return best


def _draw_names(axes: Axes, space: PayoffSpace) -> None:
    """The names of joint actions beside what they earn: above, below in the lower half, or where there is room.

    What is no equilibrium has no name where one earns the same.
    """
    here: dict[tuple[float, float], list[str]] = {}
    equilibria = set(map(tuple, space.nash.tolist()))
    for name, (x, y), pure in zip(space.labels, space.outcomes.tolist(), space.pure.tolist(), strict=True):
        if pure or (x, y) not in equilibria:
            here.setdefault((x, y), []).append(short(name))
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    scale = np.array(SIZE) / (limits[:, 1] - limits[:, 0])
    points = {place: scale * (np.array(place) - limits[:, 0]) for place in here}
    (wide, high), far = SIZE, 1e3
    outside = [(-far, -far, 0.0, far), (wide, -far, far, far), (-far, -far, far, 0.0), (-far, high, far, far)]
    taken = [*outside, *((x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points.values())]
    for place, names in here.items():
        lines = names if len(names) <= MOST_HERE else [names[0], f"and {len(names) - 1} more"]
        x, y = points[place]
        side = _free_side(x, y, lines, "ablr" if y >= SIZE[1] / 2 else "balr", taken)
        dx, dy, horizontal, vertical = SIDES[side]
        axes.annotate(
            "\n".join(lines),
            place,
            (AWAY * dx, AWAY * dy),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
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
    for limits, own in zip((axes.set_xlim, axes.set_ylim), space.outcomes.T, strict=True):
        room = MARGIN * float(np.ptp(own)) or 1.0
        limits(own.min() - room, own.max() + room)
    if len(space.labels) <= MOST_NAMED:
        _draw_names(axes, space)
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
