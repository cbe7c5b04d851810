"""Games and what solvers return, as tables with the names of players and actions."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.names import Names
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.report.result_table import ResultTable
from gamekl.core.symmetric.game import ROLE, SymmetricGame
from gamekl.solvers.correlated.extreme.corners import CorrelatedPolytope
from gamekl.solvers.correlated.solve import CorrelatedEquilibrium
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.equilibria.equilibria import Equilibria
from gamekl.solvers.exact.extreme.equilibria import NashEquilibria
from gamekl.solvers.exact.many.found import FoundEquilibria
from gamekl.solvers.paths.logit_path import LogitPath, PathCrossings, PathPoints
from gamekl.solvers.report.columns import Columns, by_action, by_joint_action, joined, of_players, of_policies
from gamekl.solvers.report.path_rows import crossing_rows, point_rows, without_padding
from gamekl.solvers.solution import Solution
from gamekl.solvers.staged import StagedSolution

STAGES = {"contexts": "context", "steps": "step", "states": "state"}
Policies = Solution | StagedSolution


def _policies(result: Policies, names: Names, reference: Sequence[Any] | None) -> Columns:
    places = list(by_action(names))
    columns: dict[str, Sequence[Any]] = {
        "player": [player for *_, player, _ in places],
        "action": [action for *_, action in places],
        "policy": [float(np.exp(result.log_policy[player][action])) for player, action, *_ in places],
    }
    if reference is not None:
        columns["reference"] = [float(np.exp(reference[player][action])) for player, action, *_ in places]
    return columns


def _equilibria(result: Equilibria, names: Names) -> Columns:
    rows = slice(min(int(result.number), len(result.residual)))
    whole = ("index", "stable", "flows", "hits")
    columns = {name: [int(value) for value in getattr(result, name)[rows]] for name in whole}
    columns |= {name: getattr(result, name)[rows].tolist() for name in ("error", "radius", "residual", "welfare")}
    players = of_players("gap", result.gap[rows], names), of_players("divergence", result.divergence[rows], names)
    policies = [np.exp(entry[rows]) for entry in result.log_policy]
    return joined({"equilibrium": list(range(rows.stop))}, of_policies(policies, names), columns, *players)


def _extreme(result: NashEquilibria, names: Names) -> Columns:
    columns = {"equilibrium": list(range(len(result))), "component": list(result.components)}
    by_player = zip(*result.rational_policies, strict=True)
    policies = of_policies([np.array(own, dtype=object) for own in by_player], names)
    values = of_players("value", np.array(result.rational_values, dtype=object), names)
    return joined(columns, policies, values)


def _found(result: FoundEquilibria, names: Names) -> Columns:
    whole = {"equilibrium": list(range(len(result))), "regular": result.regular.tolist()}
    sure = {name: getattr(result, name).tolist() for name in ("epsilon", "error")}
    return joined(whole, of_policies(result.policy, names), of_players("value", result.values, names), sure)


def _corners(result: CorrelatedPolytope, names: Names) -> Columns:
    columns = {"vertex": list(range(len(result))), "is_nash": result.is_nash.tolist()}
    cells = map(":".join, itertools.product(*names.actions))
    shares = list(zip(cells, zip(*result.vertices, strict=True), strict=True))
    return joined(columns, shares, of_players("value", np.array(result.rational_values, dtype=object), names))


def _joint(result: CorrelatedEquilibrium | CorrelatedSolution, names: Names) -> Columns:
    joint_policy = jax.tree.map(jnp.asarray, result).joint_policy
    return joined(by_joint_action(names), {"probability": np.asarray(joint_policy).ravel().tolist()})


def _game(game: NormalFormGame, names: Names) -> Columns:
    """Pairs of payoffs of two players, else a row for each joint action: what `gamekl.games.read_csv` reads."""
    payoffs = np.asarray(game.payoffs, dtype=float)
    # A column of pairs may be anything, and a corner says nothing of players whose names have what divides them.
    if game.num_players != 2 or game.num_actions[1] < 2 or any(set("\\/") & set(name) for name in names.players):
        earned = [
            (f"payoff {player}", own.ravel().tolist()) for player, own in zip(names.players, payoffs, strict=True)
        ]
        return joined(by_joint_action(names), earned)
    cells = np.moveaxis(payoffs, 0, -1).swapaxes(0, 1).tolist()
    pairs = [(name, list(map(tuple, own))) for name, own in zip(names.actions[1], cells, strict=True)]
    return joined({" \\ ".join(names.players): list(names.actions[0])}, pairs)


# What there is a table of: how its columns are made, and the field whose axes are those of a batch.
Make = Callable[[Any, Names], Columns]
KINDS: dict[type, tuple[str, Make]] = {
    Equilibria: ("number", _equilibria),
    LogitPath: ("status", lambda path, names: point_rows(without_padding(path.points), names)),
    PathPoints: ("count", lambda points, names: point_rows(without_padding(points), names)),
    PathCrossings: ("count", crossing_rows),
    CorrelatedEquilibrium: ("status", _joint),
    CorrelatedSolution: ("status", _joint),
}
# Those of the host, of which there are no batches.
HOSTS: dict[type, Make] = {NashEquilibria: _extreme, FoundEquilibria: _found, CorrelatedPolytope: _corners}
TAKES = "a NormalFormGame, a Solution, a StagedSolution, " + ", ".join(kind.__name__ for kind in (*HOSTS, *KINDS))


def _num_actions(result: Any) -> tuple[int, ...]:
    if isinstance(result, NormalFormGame):
        result.__check_init__()  # a batch is none
        return result.num_actions
    if isinstance(result, NashEquilibria):
        return tuple(len(own[0]) for own in result.vertices)
    if isinstance(result, CorrelatedEquilibrium):
        return result.joint_policy.shape[-result.cce_gap.shape[-1] :]
    if isinstance(result, CorrelatedSolution | CorrelatedPolytope):
        return result.num_actions
    if isinstance(result, FoundEquilibria):
        return tuple(own.shape[1] for own in result.policy)
    return tuple(entry.shape[-1] for entry in (result.points if isinstance(result, LogitPath) else result).log_policy)


def names_for(given: Any, result: Any) -> Names:
    """The names that are given for a result, as a game or `Names`, checked; numbers where there are none."""
    sizes = _num_actions(result)
    if isinstance(given, Names):
        names = given
    elif given is None or hasattr(given, "roles"):
        found = getattr(result if given is None else given, "names", None)
        names = Names.of_numbers(sizes) if found is None else found
        if found is None and isinstance(given, SymmetricGame):
            names = replace(names, players=(ROLE,))
    else:
        raise TypeError(f"names: got a {type(given).__name__}, takes a game or its Names")
    names.check(sizes, len(names.contexts))
    return names


def _axes(lead: tuple[int, ...], given: Any, names: Names, result: Any) -> dict[str, Sequence[Any]]:
    """What the axes in front of one result are, and what is called what there."""
    known = [STAGES[name] for name in getattr(given, "stage_names", ())]
    if isinstance(result, StagedSolution) or (len(lead) == 1 and len(names.contexts) == lead[0]):
        known = ["context"] if len(lead) == 1 else ["step", "state"]
    if len(known) != len(lead):
        known = ["game"]
    if len(known) < len(lead):
        raise ValueError(f"result: got a batch of shape {lead}, takes one result, or a batch with one axis")
    told = zip(known[: len(lead)], lead, strict=True)
    return {name: names.contexts if name == "context" and names.contexts else range(size) for name, size in told}


def _each(
    result: Any,
    lead: tuple[int, ...],
    axes: Mapping[str, Sequence[Any]],
    make: Callable[[Any, tuple[int, ...]], Columns],
) -> Columns:
    """The columns of all results of a batch under each other, with those of its axes in front."""
    result = jax.tree.map(np.asarray, result)
    columns: dict[str, list[Any]] = {}
    for place in np.ndindex(lead):
        one = jax.tree.map(lambda leaf, place=place: leaf[place] if leaf.ndim >= len(lead) else leaf, result)
        found = make(one, place)
        rows = len(next(iter(found.values())))
        labels = [(name, [known[index]] * rows) for (name, known), index in zip(axes.items(), place, strict=True)]
        for name, column in joined(labels, found).items():
            columns.setdefault(name, []).extend(column)
    return columns


def table(result: Any, names: Any = None, *, regularizer: Regularizer | None = None) -> ResultTable:
    """A game or a result as a table with names: to be printed, and for pandas, LaTeX and CSV.

    - Of solutions (`solve_nash`, `solve_nash_exact`, `max_entropy_nash`, contextual and Markov games): a row for each
      player and action.
    - `Equilibria` and `FoundEquilibria`: a row for each equilibrium, with what is certain of it. `NashEquilibria` and
      `CorrelatedPolytope`: a row for each extreme equilibrium, in fractions.
    - A `LogitPath`: a row for each point in order; its ``crossings`` are a table of their own.
    - Correlated equilibria: a row for each joint action.
    - A `NormalFormGame` of two players: the bimatrix; of others a row for each joint action. As CSV it can be read
      again (`gamekl.games.read_csv`).

    Batches have a row more for each game, under the number of the game; numbers count from 0, as arrays do.

    Args:
        result: what there is a table of, concrete.
        names: the game that was solved (its names, or else numbers), or a `Names`; those of the result itself if None.
        regularizer: of solutions: their references then stand beside the policies.

    Raises:
        TypeError: something else, or traced arrays; `names` is neither.
        ValueError: names that do not fit, a batch of games or with several axes, or a regularizer that does not fit.
    """
    is_solution = isinstance(result, Policies)
    if not is_solution and not isinstance(result, (NormalFormGame, *HOSTS, *KINDS)):
        raise TypeError(f"result: got {type(result).__name__}, takes {TAKES}")
    if not is_concrete(result):
        raise TypeError("result: got traced arrays, takes concrete ones")
    told = names_for(names, result)
    if regularizer is not None and not is_solution:
        raise ValueError(f"regularizer: got one for {type(result).__name__}, takes it for solutions")
    title = repr(result).partition("\n")[0]
    if isinstance(result, NormalFormGame):
        return ResultTable(_game(result, told), told.title or title)
    if type(result) in HOSTS:
        return ResultTable(HOSTS[type(result)](result, told), title)
    if is_solution:
        lead = result.log_policy[0].shape[:-1]
        references = _references(regularizer, result, lead)

        def of_solution(one: Any, place: tuple[int, ...]) -> Columns:
            return _policies(one, told, None if references is None else [entry[place] for entry in references])

        return ResultTable(_each(result, lead, _axes(lead, names, told, result), of_solution), title)
    field, make = KINDS[type(result)]
    shape = getattr(result, field).shape
    lead = shape
    if isinstance(result, PathCrossings):  # their own status is one for each
        lead, title = shape[:-1], type(result).__name__
    axes = _axes(lead, names, told, result)
    return ResultTable(_each(result, lead, axes, lambda one, _: make(one, told)), title)


def _references(regularizer: Regularizer | None, result: Policies, lead: tuple[int, ...]) -> list[np.ndarray] | None:
    """The log-references in the shapes of the policies; those of one game also serve a batch."""
    if regularizer is None:
        return None
    Regularizer.require(regularizer)
    got = [entry.shape for entry in regularizer.log_reference]
    takes = [entry.shape for entry in result.log_policy]
    if got not in (takes, [shape[len(lead) :] for shape in takes]):
        raise ValueError(f"regularizer: got references of shapes {got}, takes {takes}")
    return [np.broadcast_to(entry, shape) for entry, shape in zip(regularizer.log_reference, takes, strict=True)]
