"""The command line: argument parsing only. Each command loads what it needs when it is asked for."""

import os
import select
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

USAGE = """usage: gamekl COMMAND [arguments]

Equilibria from logged play.

commands:
  sweep CONFIG   run the sweep of a TOML config, or what is left of it
  plot RUN       draw a run's figure and print its table
  report RUN     write all about a run as one HTML file
  results RUN    write a run's results as one table, Parquet or CSV
  data LOG...    tell what a log of play (Parquet or CSV) has and covers
  solve GAME     solve a game file (.nfg, .efg, .csv...): Nash, correlated, coarse correlated; or --data LOG, with bands

gamekl COMMAND --help tells a command's arguments; gamekl --version the version.
"""


def _enable_x64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


def _sweep(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Sweep:
        """Run the sweep of a TOML config, or what is left of it; flags take the place of the file's values."""

        config: Annotated[Path, tyro.conf.Positional]
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

    from gamekl.commands.arguments import read_arguments

    flags = read_arguments(Sweep, "gamekl sweep", arguments)
    from gamekl.commands.sweep import Launch, launch, preview
    from gamekl.experiment.schema.load import load_config

    top = ("name", "dtype", "seed", "num_seeds", "seeds_per_chunk")
    config = load_config(flags.config, **{key: getattr(flags, key) for key in top})
    how = Launch(flags.engine, flags.workers, flags.scheduler, flags.chunk, flags.memory)
    if flags.dry_run:
        preview(config, how)
    else:
        launch(config, flags.out or Path("runs") / config.name, how)


def _plot(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Plot:
        """Draw a run's figure and print its table."""

        run: Annotated[Path, tyro.conf.Positional]
        """The results folder."""
        out: Path | None = None
        """Folder for the figure; the results folder if not given."""

    from gamekl.commands.arguments import read_arguments

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


def _report(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Report:
        """Write all about a run, finished or not, as one HTML file that opens without a network."""

        run: Annotated[Path, tyro.conf.Positional]
        """The results folder."""
        out: Path | None = None
        """The file; report.html in the results folder if not given."""

    from gamekl.commands.arguments import read_arguments

    flags = read_arguments(Report, "gamekl report", arguments)
    from gamekl.experiment.run.store import Store
    from gamekl.experiment.show.html import write_report

    out = flags.out or flags.run / "report.html"
    for notice in write_report(Store(flags.run), out).notices:
        print(notice, file=sys.stderr)
    print(f"report: {out}")


def _results(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Results:
        """Write the results of a run, finished or not, as one table; --columns says what its columns mean."""

        run: Annotated[Path | None, tyro.conf.Positional] = None
        """The results folder."""
        out: Path | None = None
        """The file, .parquet or .csv; results.parquet in the results folder if not given."""
        drop_empty: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
        """Leave out columns without any value, which are of other solvers."""
        columns: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
        """Tell the name, unit and meaning of each column, and do nothing else."""

    from gamekl.commands.arguments import read_arguments

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


def _data(arguments: Sequence[str]) -> None:
    from gamekl.commands.arguments import read_arguments
    from gamekl.commands.flags import Data

    flags = read_arguments(Data, "gamekl data", arguments)
    _enable_x64()
    from gamekl.commands.data import data

    data(flags)


def _solve(arguments: Sequence[str]) -> None:
    import tyro

    from gamekl.commands.flags import LogSolve

    @dataclass
    class Solve:
        """Solve a game file, with uniform references where there are any; or a log for its Nash equilibrium. At a
        temperature tau the Nash equilibrium is the logit (quantal response) equilibrium of lambda = 1 / tau."""

        game: Annotated[Path | None, tyro.conf.Positional] = None
        """The file: Gambit's .nfg, .efg, .agg or .bagg, or a .csv or .npz."""
        temperature: float | None = None
        """Payoff units per nat, 1 / lambda of a logit equilibrium, for nash and cce; nash without one is exact, of two
        players (zero-sum games of any size, others up to about 8 x 8 actions)."""
        concept: Literal["nash", "cce", "ce", "mece", "mecce", "mgce", "mgcce", "mwce", "mwcce"] = "nash"
        """Nash, or a coarse correlated equilibrium by GAMD, both regularised; or a (coarse) correlated equilibrium of
        maximum entropy (me, and ce alone), Gini impurity (mg) or welfare (mw)."""
        tol: float | None = None
        """Of the solver; its default if not given."""
        initial: Path | None = None
        """A saved solution to start from, for nash; where the solver leaves it for the principal branch, it says so."""
        num_steps: int = 10_000
        """Rounds of GAMD."""
        epsilon: float = 0.0
        """What a deviation from a (coarse) correlated equilibrium may gain, payoff units."""
        dtype: Literal["float64", "float32"] = "float64"
        """Of the payoffs and the solver."""
        save: Path | None = None
        """Write the solution to this .npz file."""
        log: Annotated[LogSolve, tyro.conf.OmitArgPrefixes] = field(default_factory=LogSolve)

    from gamekl.commands.arguments import read_arguments

    flags = read_arguments(Solve, "gamekl solve", arguments)
    if (flags.game is None) == (not flags.log.data):
        got = "none" if flags.game is None else f"{flags.game} beside --data"
        raise ValueError(f"game: got {got}, takes a payoff file, or --data LOG --schema TOML in its place")
    if flags.save is not None and (flags.save.is_dir() or not flags.save.parent.is_dir()):
        raise ValueError(f"save: got {flags.save}, takes a file in a folder that is there")
    _enable_x64()
    if flags.game is None:
        for name, taken in {"concept": "nash", "dtype": "float64", "initial": None}.items():
            if getattr(flags, name) != taken:
                raise ValueError(f"{name}: got {getattr(flags, name)!r} for a log, takes {taken!r}")
        from gamekl.commands.data import solve_log

        raise SystemExit(0 if solve_log(flags.log, flags.temperature, flags.tol, flags.save) else 1)
    from gamekl.commands.solve import answer
    from gamekl.games import load_game

    game = load_game(flags.game, dtype=flags.dtype)
    given = (flags.temperature, flags.tol, flags.num_steps, flags.epsilon, flags.save, flags.initial)
    if not answer(game, flags.concept, *given):
        raise SystemExit(1)


COMMANDS: dict[str, Any] = {
    "sweep": _sweep,
    "plot": _plot,
    "report": _report,
    "results": _results,
    "data": _data,
    "solve": _solve,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``gamekl``; bad input ends with one message on stderr and status 2.

    Where nobody reads any more what it prints, as behind ``| head``, it ends, too, and quietly.
    """
    try:
        try:
            _run(sys.argv[1:] if arguments is None else list(arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError as error:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
        if not unread:  # some other pipe
            raise SystemExit(f"gamekl: {error}") from None
        for stream in unread:  # what is left of it goes nowhere, and no error comes of that at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(0) from None


def _is_unread(stream: Any) -> bool:
    """Whether a stream goes to a pipe that nobody reads."""
    ends = select.poll()
    ends.register(stream.fileno(), 0)  # that the other end is closed is told in any case
    return any(event & select.POLLERR for _, event in ends.poll(0))


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        from gamekl import __version__

        print(f"gamekl {__version__}")
        return
    if arguments[0] not in COMMANDS:
        from gamekl.core.schema import meant

        close = meant(arguments[0], COMMANDS)
        hint = f"; did you mean {close!r}?" if close else ""
        print(f"gamekl: got command {arguments[0]!r}, takes one of {', '.join(COMMANDS)}{hint}\n", file=sys.stderr)
        print(USAGE, end="", file=sys.stderr)
        raise SystemExit(2)
    from logging import basicConfig

    basicConfig(format="%(name)s: %(message)s")
    try:
        COMMANDS[arguments[0]](arguments[1:])
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
    except BrokenPipeError:
        raise
    except (ValueError, OSError, RuntimeError) as error:
        told = str(error)
        if isinstance(error, OSError) and error.filename is not None:  # of the system's own, which names no field
            told = f"got {error.filename}, takes a file or folder that can be read and written ({error.strerror})"
        print(f"gamekl {arguments[0]}: {told}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
