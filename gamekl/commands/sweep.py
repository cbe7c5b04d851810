"""`gamekl sweep`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gamekl.commands.arguments import Mark, read_arguments
from gamekl.commands.programs import keep_programs


@dataclass
class Sweep:
    """Run the sweep of a TOML config, or what is left of it; flags take the place of the file's values."""

    config: Annotated[Path, Mark.POSITIONAL]
    """The TOML file."""
    out: Path | None = None
    """Results folder; runs/NAME if not given."""
    dry_run: bool = False
    """Tell what it comes to: cells, compilations, memory, time; and make nothing."""
    engine: Literal["threads", "processes", "devices", "dask"] = "threads"
    """Where chunks are computed: threads or processes of this machine, each on all its devices, a Dask cluster."""
    workers: int | None = None
    """How many threads or processes; one for each processor if not given."""
    scheduler: str | None = None
    """Address of the Dask scheduler."""
    chunk: str | None = None
    """K/N: the K-th of N parts of the work only; parts may run at once, as a Slurm array does."""
    memory: float = 1.0
    """GiB that one chunk may take."""
    name: str | None = None
    """Name of the run."""
    dtype: Literal["float64", "float32"] | None = None
    """Of games and solver."""
    seed: int | None = None
    """Of all random numbers."""
    num_seeds: int | None = None
    """Independent datasets for each game, temperature and sample size."""
    seeds_per_chunk: int | None = None
    """How many of them one shard holds."""
    cache: bool = True
    """Keep compiled programs for the next run, in the folder of the variable GAMEKL_CACHE or the user's cache."""


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl sweep``: run the sweep of a config, or what is left of it."""
    flags = read_arguments(Sweep, "gamekl sweep", arguments)
    keep_programs(flags.cache)
    from gamekl.commands.launch import Launch, launch, preview
    from gamekl.experiment.schema.load import load_config

    top = ("name", "dtype", "seed", "num_seeds", "seeds_per_chunk")
    config = load_config(flags.config, **{key: getattr(flags, key) for key in top})
    how = Launch(flags.engine, flags.workers, flags.scheduler, flags.chunk, flags.memory)
    if flags.dry_run:
        preview(config, how)
    else:
        launch(config, flags.out or Path("runs") / config.name, how)
