"""`gamekl correlated`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gamekl.commands.arguments import FIGURES, TABLES, Mark, check_file, enable_x64, read_arguments


@dataclass
class Correlated:
    """List all extreme correlated or coarse correlated equilibria of a small game file, in fractions.

    All others are mixtures of these. The best by some measure is found by gamekl solve, of larger games too.
    """

    game: Annotated[Path, Mark.POSITIONAL]
    """The file: Gambit's .nfg, .efg, .agg or .bagg, or a .csv or .npz."""
    concept: Literal["ce", "cce"] = "ce"
    """Correlated or coarse correlated."""
    max_vertices: int = 10_000
    """Most extreme equilibria while the deviations are added one by one."""
    figure: Path | None = None
    """Draw what two players can earn in these, in the others, in Nash equilibria and at all in this file: .svg, .pdf or
    .png."""
    csv: Path | None = None
    """Write the equilibria to this .csv file, as decimals."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl correlated``: list the extreme points of the correlated equilibria of a game file."""
    flags = read_arguments(Correlated, "gamekl correlated", arguments)
    check_file("figure", flags.figure, FIGURES)
    check_file("csv", flags.csv, TABLES)
    enable_x64()
    from gamekl.commands.correlated.show import show
    from gamekl.games.files.tables import load_as

    show(load_as(flags.game, lambda table: table.cast("float64")), flags)
