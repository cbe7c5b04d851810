"""The command line: which command, and what becomes of errors. Each has a file in `commands`, loaded when asked for."""

import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

USAGE = """usage: gamekl COMMAND [arguments]

Equilibria from logged play.

commands:
  sweep CONFIG   run the sweep of a TOML config, or what is left of it
  plot RUN       draw a run's figure and print its table
  report RUN     write all about a run as one HTML file
  results RUN    write a run's results as one table, Parquet or CSV
  data LOG...    tell what a log of play (Parquet or CSV) has and covers
  solve GAME     solve a game file (.nfg, .efg, .csv...): Nash, correlated, coarse correlated; or --data LOG, with bands
  correlated GAME
                 list all extreme correlated equilibria of a small game file, in fractions; draw what they earn
  path GAME      follow the logit path of a game file: folds, branching points, a figure, a CSV

gamekl COMMAND --help tells a command's arguments; gamekl --version the version.
"""


COMMANDS = ("sweep", "plot", "report", "results", "data", "solve", "correlated", "path")


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
        from gamekl.core.names import meant

        close = meant(arguments[0], COMMANDS)
        hint = f"; did you mean {close!r}?" if close else ""
        print(f"gamekl: got command {arguments[0]!r}, takes one of {', '.join(COMMANDS)}{hint}\n", file=sys.stderr)
        print(USAGE, end="", file=sys.stderr)
        raise SystemExit(2)
    from logging import basicConfig

    basicConfig(format="%(name)s: %(message)s")
    if "numpy" not in sys.modules:
        # Threads of OpenBLAS wait for each other busily: they gain nothing for systems of 100 to 400 unknowns, and take
        # 20 to 40 times as long where others use the processors, as the threads of a sweep do.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import_module(f"gamekl.commands.{arguments[0]}").run(arguments[1:])
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
