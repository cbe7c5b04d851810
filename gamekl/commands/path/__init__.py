"""`gamekl path`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gamekl.commands.arguments import FIGURES, TABLES, Mark, check_file, enable_x64, read_arguments
from gamekl.commands.programs import keep_programs


@dataclass
class LogitPath:
    """Follow the logit path of a game file from its reference: every logit (quantal response) equilibrium on it.

    lambda is 1 / temperature. Numbers that may be several stand in one word, with commas between.
    """

    game: Annotated[Path, Mark.POSITIONAL]
    """The file: Gambit's .nfg, .efg, .agg or .bagg, or a .csv or .npz."""
    temperature: tuple[float, ...] = ()
    """Where the path ends, payoff units per nat; one for all players, or one for each. If not given, the least of
    --temperatures, or a hundredth of the largest range of a player's payoffs."""
    lambda_: tuple[float, ...] = ()
    """The same as 1 / temperature, in place of it."""
    temperatures: tuple[float, ...] = ()
    """At which the policies are printed, wherever the path crosses them; its end if not given. The first player's,
    where each has its own."""
    lambdas: tuple[float, ...] = ()
    """The same as 1 / temperature, in place of them."""
    reference: Path | None = None
    """A solution that `gamekl solve --save` wrote, to start from its policies in place of uniform ones."""
    at_branching: Literal["stay", "cross"] = "stay"
    """Where another branch crosses the path: stay on it, or cross onto the other branch, to the side on which the first
    action that the branches tell apart gains."""
    direction: str | None = None
    """The small change of the game that tells the side to cross to: a file of payoffs of the game's shape, or numbers
    with commas between, one for each action of each player in order, or for each payoff. One that favours no side
    leaves the choice to --at-branching."""
    figure: Path | None = None
    """Draw the probability of each action against lambda in this file: .svg, .pdf or .png."""
    csv: Path | None = None
    """Write the points of the path to this .csv file."""
    cache: bool = True
    """Keep compiled programs for the next run, in the folder of the variable GAMEKL_CACHE or the user's cache."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl path``: trace the logit path of a game file; status 1 where it did not come to its end."""
    flags = read_arguments(LogitPath, "gamekl path", arguments)
    check_file("figure", flags.figure, FIGURES)
    check_file("csv", flags.csv, TABLES)
    programs = keep_programs(flags.cache)
    enable_x64()
    from gamekl.commands.path.show import show
    from gamekl.commands.path.tracing import trace_table
    from gamekl.games.files.tables import load_as

    table = load_as(flags.game, lambda table: table.cast("float64"))
    ends = {"temperature": flags.temperature, "lambda": flags.lambda_}
    asked = {"temperatures": flags.temperatures, "lambdas": flags.lambdas}
    turn = flags.at_branching, flags.direction
    traced = trace_table(table, ends, asked, flags.reference, *turn, programs)
    if flags.csv is not None:
        from gamekl.core.report.text import csv_text
        from gamekl.experiment.run.publish import publish
        from gamekl.solvers.report.path_rows import point_rows

        columns = point_rows(traced.points, traced.names)
        publish(flags.csv, csv_text(columns, zip(*columns.values(), strict=True)).encode())
    if flags.figure is not None:
        from gamekl.solvers.report.path_figure import save_path_figure

        save_path_figure(traced.points, traced.names, flags.figure)
    if not show(traced, flags):
        raise SystemExit(1)
