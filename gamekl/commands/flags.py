"""Flags of the commands that take a user's log. Loads no jax."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from gamekl.commands.arguments import Mark


@dataclass
class Data:
    """Tell what a log of joint actions and rewards has and what it covers, before anything is solved."""

    logs: Annotated[tuple[Path, ...], Mark.POSITIONAL]
    """The log: .parquet, .csv or .csv.gz files, or folders of them."""
    schema: Path
    """The TOML file that says what its columns mean."""


@dataclass
class LogSolve:
    """How a log is solved."""

    data: tuple[Path, ...] = ()
    """A log in place of the payoff file: .parquet, .csv or .csv.gz files, or folders of them."""
    schema: Path | None = None
    """The TOML file that says what the columns of the log mean."""
    reference: Literal["uniform", "behavior"] = "uniform"
    """The anchor of a log: uniform, or what each player played there."""
    resamples: int = 200
    """Of the bootstrap that makes the bands of a log."""
    seed: int = 0
    """Of the bootstrap."""
    prior_mean: float | None = None
    """What joint actions that the log never saw are taken to pay, payoff units: 0 if not given, 1/2 of preferences."""
