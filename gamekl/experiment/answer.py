"""What `gamekl solve` prints of a game: an equilibrium of the asked kind, its gaps and its status."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import nash_gap
from gamekl.core.validation import validate
from gamekl.experiment.game_names import joint_lines, name_arrays, policy_lines
from gamekl.solvers.correlated import CorrelatedEquilibrium, solve_correlated, solve_welfare
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.gamd import gamd
from gamekl.solvers.nash import solve_nash
from gamekl.solvers.solution import PathSummary, Status

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


def _report(lines: dict[str, Any], status: Status, num_steps: Any) -> bool:
    width = max(map(len, lines)) + 1
    for name, values in lines.items():
        print(f"{name + ':':<{width}} {_numbers(values)}")
    print(f"{'status:':<{width}} {status.name}: {status.message} ({int(num_steps)} steps)")
    return status == Status.converged


def path_lines(summary: PathSummary) -> Iterator[str]:
    """What happened on the way to an equilibrium, of one game or of several, and what it means: none if nothing did."""
    folds, crossings = int(np.sum(summary.folds)), int(np.sum(summary.bifurcations))
    if folds:
        yield f"path: it folds {folds} times: lower temperatures came first, then higher ones, before this was met"
    if crossings:
        yield (
            f"path: other branches cross it at {crossings} point{'s' * (crossings > 1)}, and it was followed straight "
            "on; a game that differs ever so little may have its principal equilibrium elsewhere"
        )


def answer(
    game: NormalFormGame,
    concept: str,
    temperature: float | None,
    tol: float | None,
    num_steps: int,
    epsilon: float | int,
    save: Path | None,
) -> bool:
    """Solve a game with uniform references, print what was found, and tell whether it converged.

    Args:
        game: the game.
        concept: "nash" and "cce" (by GAMD), which are regularised and take a temperature, or one of `CORRELATED`.
        temperature: payoff units per nat, or None.
        tol: of the solver; its default if None.
        num_steps: rounds of GAMD.
        epsilon: what a deviation from one of `CORRELATED` may gain, payoff units.
        save: where to write the solution and the names in the game as ``.npz``, or None.

    Raises:
        ValueError: an argument is bad, or missing.
    """
    if concept in CORRELATED:
        return _correlated(game, *CORRELATED[concept], tol, epsilon, save)
    if temperature is None:
        raise ValueError(f"temperature: got none, takes a number > 0 for --concept {concept}")
    regularizer = Regularizer.uniform(game, temperature)
    return (_nash if concept == "nash" else _gamd)(game, regularizer, tol, num_steps, save)


def _nash(game: NormalFormGame, regularizer: Regularizer, tol: float | None, num_steps: int, save: Path | None) -> bool:
    del num_steps
    validate(game, regularizer)
    solution = solve_nash(game, regularizer, tol=tol, throw=False)
    for line in (*policy_lines(game, solution.policy), *path_lines(solution.path)):
        print(line)
    if save is not None:
        solution.save(save, **name_arrays(game))
    gaps = {"regularised gap": solution.gap, "Nash gap": nash_gap(game, solution.log_policy)}
    return _report({**gaps, "residual": solution.residual}, Status(int(solution.status)), solution.num_steps)


def _gamd(game: NormalFormGame, regularizer: Regularizer, tol: float | None, num_steps: int, save: Path | None) -> bool:
    solution = gamd(game, regularizer, num_steps=num_steps, tol=tol)
    print("\n".join(policy_lines(game, solution.marginals, ", on average")))
    if np.prod(game.num_actions, dtype=float) <= LARGEST_PRINTED:
        print("\n".join(joint_lines(game, solution.joint())))
    if save is not None:
        _save(save, game, solution, solution.joint())
    lines = {
        "regularised CCE gap": solution.regularized_cce_gap,
        "bound": solution.bound,
        "CCE gap": solution.cce_gap,
        "CE gap": solution.ce_gap,
    }
    return _report(lines, Status(int(solution.status)), solution.num_steps)


def _correlated(
    game: NormalFormGame, concept: str, objective: str, tol: float | None, epsilon: float | int, save: Path | None
) -> bool:
    if objective == "welfare":
        solution = solve_welfare(game, concept=concept, epsilon=epsilon)
    else:
        solution = solve_correlated(game, concept=concept, objective=objective, epsilon=epsilon, tol=tol)
    print("\n".join(joint_lines(game, solution.policy)))
    if save is not None:
        _save(save, game, solution, solution.policy)
    lines = {
        "CCE gap": solution.cce_gap,
        "CE gap": solution.ce_gap,
        "welfare": np.sum(np.asarray(game.payoffs) * np.asarray(solution.policy)),
        "duality gap": solution.duality_gap,
        "violation": solution.violation,
    }
    return _report(lines, Status(int(solution.status)), solution.num_steps)


def _save(path: Path, game: NormalFormGame, solution: CorrelatedSolution | CorrelatedEquilibrium, joint: Any) -> None:
    arrays = {name: np.asarray(getattr(solution, name)) for name in ("cce_gap", "ce_gap", "num_steps", "status")}
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, joint=np.asarray(joint), **arrays, **name_arrays(game))
