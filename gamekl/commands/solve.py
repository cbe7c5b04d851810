"""`gamekl solve`. Loads what it computes with when its arguments are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from gamekl.commands.arguments import Mark, enable_x64, read_arguments
from gamekl.commands.flags import LogSolve
from gamekl.commands.programs import keep_programs


@dataclass
class Solve:
    """Solve a game file, with uniform references where there are any; or a log for its Nash equilibrium.

    At a temperature tau the Nash equilibrium is the logit (quantal response) equilibrium of lambda = 1 / tau.
    """

    game: Annotated[Path | None, Mark.POSITIONAL] = None
    """The file: Gambit's .nfg, .efg, .agg or .bagg, or a .csv or .npz."""
    temperature: float | None = None
    """Payoff units per nat, 1 / lambda of a logit equilibrium, for nash and cce; nash without one is exact, of two
    players, of any size."""
    concept: Literal["nash", "cce", "ce", "mece", "mecce", "mgce", "mgcce", "mwce", "mwcce"] = "nash"
    """Nash, or a coarse correlated equilibrium by GAMD, both regularised; or a (coarse) correlated equilibrium of
    maximum entropy (me, and ce alone), Gini impurity (mg) or welfare (mw)."""
    all: Annotated[bool, Mark.ALONE] = False
    """All Nash equilibria without a temperature: of two players in fractions, extreme ones by component; of more those
    that are found, each certified, and whether they are all."""
    tol: float | None = None
    """Of the solver; its default if not given."""
    initial: Path | None = None
    """A saved solution to start from, for nash; where the solver leaves it for the principal branch, it says so."""
    num_rounds: int = 10_000
    """Rounds of GAMD."""
    epsilon: float = 0.0
    """What a deviation from a (coarse) correlated equilibrium may gain, payoff units."""
    welfare: tuple[float, ...] = ()
    """Weights of the players' payoffs for mwce and mwcce, in one word with commas between; 1 each if not given."""
    dtype: Literal["float64", "float32"] = "float64"
    """Of the payoffs and the solver."""
    save: Path | None = None
    """Write the solution to this .npz file."""
    cache: bool = True
    """Keep compiled programs for the next run, in the folder of the variable GAMEKL_CACHE or the user's cache."""
    log: Annotated[LogSolve, Mark.FLAT] = field(default_factory=LogSolve)


def run(arguments: Sequence[str]) -> None:
    """Run ``gamekl solve``: solve a game file or a log; status 1 where it did not converge."""
    flags = read_arguments(Solve, "gamekl solve", arguments)
    if (flags.game is None) == (not flags.log.data):
        got = "none" if flags.game is None else f"{flags.game} beside --data"
        raise ValueError(f"game: got {got}, takes a payoff file, or --data LOG --schema TOML in its place")
    if flags.save is not None and (flags.save.is_dir() or not flags.save.parent.is_dir()):
        raise ValueError(f"save: got {flags.save}, takes a file in a folder that is there")
    programs = keep_programs(flags.cache)
    enable_x64()
    if flags.game is None:
        usual = {"concept": "nash", "dtype": "float64", "initial": None, "all": False, "welfare": ()}
        for name, taken in usual.items():
            if getattr(flags, name) != taken:
                raise ValueError(f"{name}: got {getattr(flags, name)!r} for a log, takes {taken!r}")
        from gamekl.commands.logs import solve_log

        raise SystemExit(0 if solve_log(flags.log, flags.temperature, flags.tol, flags.save) else 1)
    from gamekl.commands.answer import answer
    from gamekl.games.files.tables import load_as

    game = load_as(flags.game, lambda table: table.cast(flags.dtype))
    if flags.all:
        usual = {"concept": "nash", "temperature": None, "tol": None, "initial": None, "welfare": ()}
        for name, taken in usual.items():
            if getattr(flags, name) != taken:
                raise ValueError(f"{name}: got {getattr(flags, name)!r} with --all, takes {taken!r}")
        from gamekl.commands.answer import answer_all

        return answer_all(game, flags.save)
    given = (flags.temperature, flags.tol, flags.num_rounds, flags.epsilon, flags.save, flags.initial)
    if not answer(game, flags.concept, *given, programs, flags.welfare):
        raise SystemExit(1)
