"""gamekl: equilibria from logged play, for thousands of games at once.

The public names, in the order in which data flows. They load on first use, so that importing gamekl loads no jax.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gamekl import estimation, evaluate, games, learning, offline, online, preference, rules, stackelberg
    from gamekl.core.games import ContextualGame, MarkovGame, NormalFormGame, PolymatrixGame, stack
    from gamekl.core.names import Names
    from gamekl.core.regularizer import Regularizer
    from gamekl.core.report.result_table import ResultTable
    from gamekl.core.response import action_values, best_response, nash_gap, regularized_gap
    from gamekl.core.status import Status
    from gamekl.core.symmetric.game import SymmetricGame
    from gamekl.core.validation import validate
    from gamekl.evaluate.gaps import exploitability, nash_conv
    from gamekl.solvers.batch import gamd_batch, solve_nash_batch
    from gamekl.solvers.correlated.extreme.corners import CorrelatedPolytope
    from gamekl.solvers.correlated.extreme.payoffs import payoff_figure
    from gamekl.solvers.correlated.extreme.polytope import correlated_polytope
    from gamekl.solvers.correlated.solve import CorrelatedEquilibrium, solve_correlated
    from gamekl.solvers.correlated.welfare import solve_welfare
    from gamekl.solvers.correlated_solution import CorrelatedSolution
    from gamekl.solvers.equilibria.batch import find_equilibria_batch
    from gamekl.solvers.equilibria.equilibria import Equilibria
    from gamekl.solvers.equilibria.find import find_equilibria
    from gamekl.solvers.exact.extreme.entropy import max_entropy_nash, max_entropy_nash_batch
    from gamekl.solvers.exact.extreme.enumeration import enumerate_nash
    from gamekl.solvers.exact.extreme.equilibria import NashEquilibria
    from gamekl.solvers.exact.many.found import FoundEquilibria
    from gamekl.solvers.exact.many.limit import PathLimit
    from gamekl.solvers.exact.solve import solve_nash_exact, solve_nash_exact_batch
    from gamekl.solvers.nash.implicit import DerivativeWarning
    from gamekl.solvers.nash.solve import gane, solve_nash
    from gamekl.solvers.paths.batch import trace_batch
    from gamekl.solvers.paths.kinds import PointKind
    from gamekl.solvers.paths.logit_path import LogitPath
    from gamekl.solvers.paths.trace import trace
    from gamekl.solvers.play.follow import follow
    from gamekl.solvers.play.gamd import gamd, multiplicative_weights
    from gamekl.solvers.play.history import gamd_history, multiplicative_weights_history
    from gamekl.solvers.play.sos_md import sos_md
    from gamekl.solvers.play.trajectory import Trajectory
    from gamekl.solvers.report.plot import plot_path
    from gamekl.solvers.report.table import table
    from gamekl.solvers.solution import Solution, SolveError, load_solution

__version__ = "0.1.0"

_HOMES = {
    "games": None,
    "NormalFormGame": "core.games",
    "PolymatrixGame": "core.games",
    "SymmetricGame": "core.symmetric.game",
    "ContextualGame": "core.games",
    "MarkovGame": "core.games",
    "stack": "core.games",
    "Regularizer": "core.regularizer",
    "validate": "core.validation",
    "offline": None,
    "solve_nash": "solvers.nash.solve",
    "solve_nash_batch": "solvers.batch",
    "gane": "solvers.nash.solve",
    "trace": "solvers.paths.trace",
    "trace_batch": "solvers.paths.batch",
    "find_equilibria": "solvers.equilibria.find",
    "find_equilibria_batch": "solvers.equilibria.batch",
    "Equilibria": "solvers.equilibria.equilibria",
    "LogitPath": "solvers.paths.logit_path",
    "PointKind": "solvers.paths.kinds",
    "plot_path": "solvers.report.plot",
    "table": "solvers.report.table",
    "ResultTable": "core.report.result_table",
    "Names": "core.names",
    "solve_nash_exact": "solvers.exact.solve",
    "solve_nash_exact_batch": "solvers.exact.solve",
    "enumerate_nash": "solvers.exact.extreme.enumeration",
    "NashEquilibria": "solvers.exact.extreme.equilibria",
    "FoundEquilibria": "solvers.exact.many.found",
    "max_entropy_nash": "solvers.exact.extreme.entropy",
    "max_entropy_nash_batch": "solvers.exact.extreme.entropy",
    "PathLimit": "solvers.exact.many.limit",
    "gamd": "solvers.play.gamd",
    "gamd_batch": "solvers.batch",
    "gamd_history": "solvers.play.history",
    "sos_md": "solvers.play.sos_md",
    "rules": None,
    "follow": "solvers.play.follow",
    "Trajectory": "solvers.play.trajectory",
    "preference": None,
    "stackelberg": None,
    "multiplicative_weights": "solvers.play.gamd",
    "multiplicative_weights_history": "solvers.play.history",
    "CorrelatedSolution": "solvers.correlated_solution",
    "solve_correlated": "solvers.correlated.solve",
    "solve_welfare": "solvers.correlated.welfare",
    "CorrelatedEquilibrium": "solvers.correlated.solve",
    "correlated_polytope": "solvers.correlated.extreme.polytope",
    "CorrelatedPolytope": "solvers.correlated.extreme.corners",
    "payoff_figure": "solvers.correlated.extreme.payoffs",
    "Solution": "solvers.solution",
    "Status": "core.status",
    "SolveError": "solvers.solution",
    "DerivativeWarning": "solvers.nash.implicit",
    "load_solution": "solvers.solution",
    "learning": None,
    "online": None,
    "estimation": None,
    "evaluate": None,
    "action_values": "core.response",
    "best_response": "core.response",
    "regularized_gap": "core.response",
    "nash_gap": "core.response",
    "nash_conv": "evaluate.gaps",
    "exploitability": "evaluate.gaps",
}

__all__ = [
    "ContextualGame",
    "CorrelatedEquilibrium",
    "CorrelatedPolytope",
    "CorrelatedSolution",
    "DerivativeWarning",
    "Equilibria",
    "FoundEquilibria",
    "LogitPath",
    "MarkovGame",
    "Names",
    "NashEquilibria",
    "NormalFormGame",
    "PathLimit",
    "PointKind",
    "PolymatrixGame",
    "Regularizer",
    "ResultTable",
    "Solution",
    "SolveError",
    "Status",
    "SymmetricGame",
    "Trajectory",
    "action_values",
    "best_response",
    "correlated_polytope",
    "enumerate_nash",
    "estimation",
    "evaluate",
    "exploitability",
    "find_equilibria",
    "find_equilibria_batch",
    "follow",
    "gamd",
    "gamd_batch",
    "gamd_history",
    "games",
    "gane",
    "learning",
    "load_solution",
    "max_entropy_nash",
    "max_entropy_nash_batch",
    "multiplicative_weights",
    "multiplicative_weights_history",
    "nash_conv",
    "nash_gap",
    "offline",
    "online",
    "payoff_figure",
    "plot_path",
    "preference",
    "regularized_gap",
    "rules",
    "solve_correlated",
    "solve_nash",
    "solve_nash_batch",
    "solve_nash_exact",
    "solve_nash_exact_batch",
    "solve_welfare",
    "sos_md",
    "stack",
    "stackelberg",
    "table",
    "trace",
    "trace_batch",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gamekl' has no attribute {name!r}")
    home = _HOMES[name]
    value = import_module(f"gamekl.{name}") if home is None else getattr(import_module(f"gamekl.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
