"""What `gamekl solve` prints of a game: an equilibrium of the asked kind, its gaps and its status."""

from pathlib import Path
from typing import Any

import numpy as np

from gamekl.commands.game_names import joint_lines, name_arrays, policy_lines
from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import nash_gap
from gamekl.core.validation import validate
from gamekl.solvers.correlated.solve import CorrelatedEquilibrium, solve_correlated
from gamekl.solvers.correlated.welfare import solve_welfare
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.exact.solve import check_two_players, is_enumerable, is_zero_sum, solve_nash_exact
from gamekl.solvers.nash.solve import solve_nash
from gamekl.solvers.play.gamd import gamd
from gamekl.solvers.solution import Solution, Status, load_solution

# What the short names of correlated equilibria stand for: the concept, and what is to be best.
CORRELATED = {
    "ce": ("ce", "entropy"),
    "mece": ("ce", "entropy"),
    "mecce": ("cce", "entropy"),
    "mgce": ("ce", "gini"),
    "mgcce": ("cce", "gini"),
    "mwce": ("ce", "welfare"),
    "mwcce": ("cce", "welfare"),
}
# Tables of more joint actions are not printed.
LARGEST_PRINTED = 10_000


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.3e}" for value in np.atleast_1d(values))


def _report(lines: dict[str, Any], status: Status, effort: str) -> bool:
    width = max(map(len, lines)) + 1
    for name, values in lines.items():
        print(f"{name + ':':<{width}} {_numbers(values)}")
    print(f"{'status:':<{width}} {status.name}: {status.message} ({effort})")
    return status == Status.converged


def answer(
    game: NormalFormGame,
    concept: str,
    temperature: float | None,
    tol: float | None,
    num_rounds: int,
    epsilon: float | int,
    save: Path | None,
    initial: Path | None = None,
) -> bool:
    """Solve a game with uniform references, print what was found, and tell whether it converged.

    Args:
        game: the game.
        concept: "nash" and "cce" (by GAMD), which are regularised and take a temperature, or one of `CORRELATED`.
        temperature: payoff units per nat; None for an exact Nash equilibrium, where `solve_nash_exact` finds one.
        tol: of the solver; its default if None.
        num_rounds: of GAMD.
        epsilon: what a deviation from one of `CORRELATED` may gain, payoff units.
        save: where to write the solution and the names in the game as ``.npz``, or None.
        initial: a saved solution to start from, of "nash", or None.

    Raises:
        ValueError: an argument is bad, or missing.
    """
    if initial is not None and (concept != "nash" or temperature is None):
        got = f"concept {concept!r}" if concept != "nash" else "no temperature"
        raise ValueError(f"initial: got {initial} with {got}, takes it for nash at a temperature")
    if concept in CORRELATED:
        return _correlated(game, *CORRELATED[concept], tol, epsilon, save)
    if temperature is None:
        return _exact(game, concept, tol, save)
    regularizer = Regularizer.uniform(game, temperature)
    validate(game, regularizer)
    told = f"temperature {temperature:g} payoff units per nat (lambda = 1 / temperature = {1 / temperature:.6g})"
    if concept == "cce":
        return _joint(game, gamd(game, regularizer, num_rounds=num_rounds, tol=tol, throw=False), told, save)
    start = None if initial is None else _start(initial)
    return _nash(game, solve_nash(game, regularizer, tol=tol, initial=start, throw=False), told, save)


def _start(path: Path) -> tuple[Any, ...]:
    try:
        return load_solution(path).log_policy
    except (ValueError, OSError) as error:
        raise ValueError(f"initial: got {path}, takes a solution that `gamekl solve --save` wrote") from error


def _exact(game: NormalFormGame, concept: str, tol: float | None, save: Path | None) -> bool:
    """Answer without a temperature: print an exact Nash equilibrium, and tell whether it converged."""
    validate(game)
    size = float(np.ptp(game.payoffs)) / 10 or 0.1
    takes = f"takes a number > 0, payoff units per nat (1 / lambda), such as --temperature {size:.2g}"
    if concept != "nash":
        raise ValueError(f"temperature: got none, {takes}, for --concept {concept}")
    if tol is not None:
        raise ValueError(f"tol: got {tol:g} without a temperature, where the equilibrium is exact; takes none")
    try:
        check_two_players(game)
    except ValueError as error:
        why = str(error).removeprefix("game: got ").partition(", takes")[0]
        raise ValueError(f"temperature: got none for {why}, of which there is no exact solver here; {takes}") from error
    which = "of several the first of least support" if is_enumerable(game) else "of several one, by Lemke and Howson"
    which = "a zero-sum game" if is_zero_sum(np.asarray(game.payoffs)) else which
    return _nash(game, solve_nash_exact(game), f"no temperature: an exact Nash equilibrium ({which})", save)


def _nash(game: NormalFormGame, solution: Solution, told: str, save: Path | None) -> bool:
    print(told)
    for line in (*policy_lines(game, solution.policy), *solution.path.notes()):
        print(line)
    if save is not None:
        solution.save(save, **name_arrays(game))
    gaps = {"Nash gap": nash_gap(game, solution.log_policy)}
    if solution.differentiable is not None:  # of a regularised solver
        gaps = {"regularised gap": solution.gap} | gaps
    return _report({**gaps, "residual": solution.residual}, Status(int(solution.status)), f"{solution.num_steps} steps")


def _joint(game: NormalFormGame, solution: CorrelatedSolution, told: str, save: Path | None) -> bool:
    print(told)
    print("\n".join(policy_lines(game, solution.marginals, ", on average")))
    if np.prod(solution.num_actions, dtype=float) <= LARGEST_PRINTED:
        print("\n".join(joint_lines(game, solution.joint_policy)))
    if save is not None:
        _save(save, game, solution, "num_rounds")
    lines = {
        "regularised CCE gap": solution.regularized_cce_gap,
        "bound": solution.bound,
        "CCE gap": solution.cce_gap,
        "CE gap": solution.ce_gap,
    }
    return _report(lines, Status(int(solution.status)), f"{solution.num_rounds} rounds")


def _correlated(
    game: NormalFormGame, concept: str, objective: str, tol: float | None, epsilon: float | int, save: Path | None
) -> bool:
    if objective == "welfare":
        solution = solve_welfare(game, concept=concept, epsilon=epsilon)
    else:
        validate(game)
        options = {"epsilon": epsilon, "tol": tol, "throw": False}
        solution = solve_correlated(game, concept=concept, objective=objective, **options)
    print("\n".join(joint_lines(game, solution.joint_policy)))
    if save is not None:
        _save(save, game, solution, "num_steps")
    lines = {
        "CCE gap": solution.cce_gap,
        "CE gap": solution.ce_gap,
        "welfare": np.sum(np.asarray(game.payoffs) * np.asarray(solution.joint_policy)),
        "duality gap": solution.duality_gap,
        "violation": solution.violation,
    }
    return _report(lines, Status(int(solution.status)), f"{solution.num_steps} steps")


def _save(path: Path, game: NormalFormGame, solution: CorrelatedSolution | CorrelatedEquilibrium, effort: str) -> None:
    names = ("joint_policy", "cce_gap", "ce_gap", effort, "status")
    arrays = {name: np.asarray(getattr(solution, name)) for name in names}
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays, **name_arrays(game))
