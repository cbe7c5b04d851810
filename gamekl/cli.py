"""The command line: argument parsing only. Each command loads what it needs when it is asked for."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

USAGE = """usage: gamekl COMMAND [arguments]

Equilibria from logged play.

commands:
  sweep CONFIG   run the sweep of a TOML config, or what is left of it
  plot RUN       draw a run's figure and print its table
  solve GAME     solve a payoff file (.nfg or .npz): Nash, correlated, coarse correlated

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

    flags = tyro.cli(Sweep, prog="gamekl sweep", args=arguments)
    from gamekl.experiment.load import load_config

    overrides = {key: value for key, value in vars(flags).items() if key not in ("config", "out")}
    config = load_config(flags.config, **overrides)
    out = flags.out or Path("runs") / config.name
    _enable_x64()
    from gamekl.experiment.sweep import run_sweep

    try:
        planned, made = run_sweep(config, out)
    except KeyboardInterrupt:
        raise SystemExit(f"interrupted; the same command goes on from what {out} holds") from None
    if made:
        print(f"{made} shards made, {planned - made} were there: {out}")
    else:
        print(f"all {planned} shards are there already: {out}")


def _plot(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Plot:
        """Draw a run's figure and print its table."""

        run: Annotated[Path, tyro.conf.Positional]
        """The results folder."""
        out: Path | None = None
        """Folder for the figure; the results folder if not given."""

    flags = tyro.cli(Plot, prog="gamekl plot", args=arguments)
    from gamekl.experiment.plot import save_figure
    from gamekl.experiment.report import summarize
    from gamekl.experiment.store import Store
    from gamekl.experiment.table import format_table

    summaries = summarize(Store(flags.run))
    folder = flags.out or flags.run
    folder.mkdir(parents=True, exist_ok=True)
    paths = save_figure(summaries, folder)
    print(format_table(summaries))
    print("figure: " + ", ".join(str(path) for path in paths))


def _solve(arguments: Sequence[str]) -> None:
    import tyro

    @dataclass
    class Solve:
        """Solve a payoff file, with uniform references where there are any."""

        game: Annotated[Path, tyro.conf.Positional]
        """The payoff file: .nfg, or .npz with an array payoffs [player, *actions]."""
        temperature: float | None = None
        """Payoff units per nat; for nash and cce."""
        concept: Literal["nash", "cce", "ce", "mece", "mecce", "mgce", "mgcce", "mwce", "mwcce"] = "nash"
        """Nash, or a coarse correlated equilibrium by GAMD, both regularised; or a (coarse) correlated equilibrium of
        maximum entropy (me, and ce alone), Gini impurity (mg) or welfare (mw)."""
        tol: float | None = None
        """Of the solver; its default if not given."""
        num_steps: int = 10_000
        """Rounds of GAMD."""
        epsilon: float = 0.0
        """What a deviation from a (coarse) correlated equilibrium may gain, payoff units."""
        dtype: Literal["float64", "float32"] = "float64"
        """Of the payoffs and the solver."""
        save: Path | None = None
        """Write the solution to this .npz file."""

    flags = tyro.cli(Solve, prog="gamekl solve", args=arguments)
    _enable_x64()
    from gamekl.experiment.answer import answer
    from gamekl.games import load_game

    game = load_game(flags.game, dtype=flags.dtype)
    given = (flags.temperature, flags.tol, flags.num_steps, flags.epsilon, flags.save)
    if not answer(game, flags.concept, *given):
        raise SystemExit(1)


COMMANDS: dict[str, Any] = {"sweep": _sweep, "plot": _plot, "solve": _solve}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of ``gamekl``; bad input ends with one message on stderr and status 2."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    if arguments[0] == "--version":
        from gamekl import __version__

        print(f"gamekl {__version__}")
        return
    if arguments[0] not in COMMANDS:
        print(f"gamekl: got command {arguments[0]!r}, takes one of {', '.join(COMMANDS)}\n", file=sys.stderr)
        print(USAGE, end="", file=sys.stderr)
        raise SystemExit(2)
    from logging import basicConfig

    basicConfig(format="%(name)s: %(message)s")
    try:
        COMMANDS[arguments[0]](arguments[1:])
    except KeyboardInterrupt:
        raise SystemExit("interrupted") from None
    except (ValueError, OSError, RuntimeError) as error:
        print(f"gamekl {arguments[0]}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
