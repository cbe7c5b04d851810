"""Figures of what solvers return. matplotlib is loaded when one is drawn."""

from typing import TYPE_CHECKING, Any

from gamekl.core.policies import is_concrete
from gamekl.solvers.paths.logit_path import LogitPath

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_path(path: Any, names: Any = None) -> "Figure":
    """The figure of a logit path: each action's probability against lambda = 1 / temperature, a panel for each player.

    Folds and branching points are marked, and curves run through folds. ``gamekl path --figure`` draws the same.

    Args:
        path: a `LogitPath` of one game, concrete.
        names: the game that was traced (its names, or else numbers), or a `Names`; numbers if None.

    Returns:
        A matplotlib Figure that no window belongs to: ``savefig`` writes it, and notebooks show it.

    Raises:
        TypeError: no `LogitPath`, traced arrays, or names of another kind.
        ValueError: a batch of paths, or names that do not fit.
    """
    if not isinstance(path, LogitPath):
        raise TypeError(f"path: got {type(path).__name__}, takes a LogitPath (gamekl.trace returns one)")
    if not is_concrete(path):
        raise TypeError("path: got traced arrays, takes concrete ones")
    if path.status.ndim:
        raise ValueError(f"path: got a batch of shape {path.status.shape}, takes one path")
    import matplotlib

    from gamekl.core.report.look import STYLE
    from gamekl.solvers.report.path_figure import draw_path
    from gamekl.solvers.report.path_rows import without_padding
    from gamekl.solvers.report.table import names_for

    with matplotlib.rc_context(STYLE):
        return draw_path(without_padding(path.points), names_for(names, path))
