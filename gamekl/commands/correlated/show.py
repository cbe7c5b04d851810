"""What `gamekl correlated` prints and writes: extreme equilibria, their picture, a CSV."""

import csv
import io
import itertools
from pathlib import Path

import jax.numpy as jnp

from gamekl.commands.answer import printed_names
from gamekl.commands.correlated import Correlated
from gamekl.core.games import NormalFormGame
from gamekl.core.names import Names, distinct
from gamekl.experiment.run.publish import publish
from gamekl.games.files.table import Table
from gamekl.solvers.correlated.extreme.corners import CorrelatedPolytope
from gamekl.solvers.correlated.extreme.polytope import correlated_polytope


def write_rows(found: CorrelatedPolytope, names: Names, path: Path) -> None:
    """Write one row for each extreme equilibrium: joint probabilities, payoffs, and whether it is Nash."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    cells = [":".join(cell) for cell in itertools.product(*names.actions)]
    writer.writerow(distinct([*cells, *(f"payoff:{player}" for player in names.players), "nash"]))
    policies = found.joint_policy.reshape(len(found), -1).tolist()
    for policy, values, nash in zip(policies, found.values.tolist(), found.is_nash.tolist(), strict=True):
        writer.writerow([*policy, *values, int(nash)])
    publish(path, text.getvalue().encode())


def show(table: Table, flags: Correlated) -> None:
    """Print the extreme equilibria of a file's game, and write what was asked for.

    Raises:
        ValueError: too large a game, or a figure of other than two players.
    """
    game = NormalFormGame(jnp.asarray(table.payoffs))
    names = table.names or Names.of_numbers(game.num_actions)
    printed = Names(printed_names(names.players), tuple(map(printed_names, names.actions)))
    if flags.figure is not None and game.num_players != 2:
        raise ValueError(f"figure: got a game of {game.num_players} players, takes one of 2")
    found = correlated_polytope(game, concept=flags.concept, max_vertices=flags.max_vertices)
    print(found.headline())
    print(found.listing(printed))
    if flags.csv is not None:
        write_rows(found, names, flags.csv)
        print(f"csv: {flags.csv}")
    if flags.figure is not None:
        from gamekl.solvers.correlated.extreme.payoffs import payoff_figure

        payoff_figure(game, flags.figure, names=printed, max_vertices=flags.max_vertices)
        print(f"figure: {flags.figure}")
