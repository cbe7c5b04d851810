"""`gamekl results`. Loads what it computes with when its arguments are read."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from gamekl.commands.arguments import Mark, read_arguments


@dataclass
class Results:
    """Write the results of a run, finished or not, as one table; --columns says what its columns mean."""

    run: Annotated[Path | None, Mark.POSITIONAL] = None
    """The results folder."""
    out: Path | None = None
    """The file, .parquet or .csv; results.parquet in the results folder if not given."""
    drop_empty: Annotated[bool, Mark.ALONE] = False
    """Leave out columns without any value, which are of other solvers."""
    columns: Annotated[bool, Mark.ALONE] = False
    """Tell the name, unit and meaning of each column, and do nothing else."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl results``: write a run's results as one table."""
    flags = read_arguments(Results, "gamekl results", arguments)
    if flags.columns:
        from gamekl.experiment.schema.columns import columns_text

        print(columns_text())
        return
    if flags.run is None:
        raise ValueError("run: got none, takes the results folder of gamekl sweep (or --columns in its place)")
    from gamekl.experiment.run.store import Store
    from gamekl.experiment.show.export import export

    out = flags.out or flags.run / "results.parquet"
    rows, stock = export(Store(flags.run), out, drop_empty=flags.drop_empty)
    for notice in stock.notices:
        print(notice, file=sys.stderr)
    print(f"{rows} rows of {len(stock.whole)} shards: {out}")
