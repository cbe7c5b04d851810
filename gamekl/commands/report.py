"""`gamekl report`. Loads what it computes with when its arguments are read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gamekl.commands.arguments import Mark, read_arguments


@dataclass
class Report:
    """Write all about a run, finished or not, as one HTML file that opens without a network."""

    run: Annotated[Path, Mark.POSITIONAL]
    """The results folder."""
    out: Path | None = None
    """The file; report.html in the results folder if not given."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl report``: write all about a run as one HTML file."""
    flags = read_arguments(Report, "gamekl report", arguments)
    from gamekl.experiment.run.store import Store
    from gamekl.experiment.show.html import write_report

    out = flags.out or flags.run / "report.html"
    for notice in write_report(Store(flags.run), out).notices:
        print(notice, file=sys.stderr)
    print(f"report: {out}")
