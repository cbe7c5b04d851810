"""`gamekl plot`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gamekl.commands.arguments import Mark, read_arguments


@dataclass
class Plot:
    """Draw a run's figure and print its table."""

    run: Annotated[Path, Mark.POSITIONAL]
    """The results folder."""
    out: Path | None = None
    """Folder for the figure; the results folder if not given."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl plot``: draw a run's figure and print its table."""
    flags = read_arguments(Plot, "gamekl plot", arguments)
    from gamekl.experiment.run.store import Store
    from gamekl.experiment.show.plot import save_figure
    from gamekl.experiment.show.report import summarize
    from gamekl.experiment.show.table import format_table

    summaries = summarize(Store(flags.run))
    folder = flags.out or flags.run
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: got {folder}, takes a folder that can be made ({error.strerror})") from error
    paths = save_figure(summaries, folder)
    print(format_table(summaries))
    print("figure: " + ", ".join(str(path) for path in paths))
