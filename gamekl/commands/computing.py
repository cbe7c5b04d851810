"""What `gamekl solve` and `gamekl path` compute: arrays in, named arrays out, for programs that are compiled and kept.

Solvers are loaded by the functions that call them: scipy, for one, takes as long to load as a small game to compile.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gamekl.core.games import NormalFormGame
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.response import nash_gap
from gamekl.core.validation import validate
from gamekl.solvers.solution import Solution, load_solution

Found = dict[str, Any]
_nash_gap = jax.jit(nash_gap)


def _checked(payoffs: Any, temperature: Any) -> tuple[NormalFormGame, Regularizer]:
    """The game with uniform references; values are checked where they are concrete."""
    game = NormalFormGame(payoffs)
    regularizer = Regularizer.uniform(game, temperature)
    if is_concrete(payoffs, temperature):
        validate(game, regularizer)
    return game, regularizer


def _nash(game: NormalFormGame, solution: Solution) -> Found:
    return solution.arrays() | {"nash_gap": _nash_gap(game, solution.log_policy)}


def nash(payoffs: Any, temperature: Any, tol: Any, initial: Path | None = None) -> Found:
    """The regularised Nash equilibrium: `Solution.arrays`, and the ``nash_gap``."""
    from gamekl.solvers.nash.solve import solve_nash

    game, regularizer = _checked(payoffs, temperature)
    start = None if initial is None else _start(initial)
    return _nash(game, solve_nash(game, regularizer, tol=tol, initial=start, throw=False))


def path(
    payoffs: Any,
    log_references: Any,
    end: Any,
    temperatures: Any,
    direction: Any,
    *,
    at_branching: str,
    max_points: int,
    max_folds: int,
    max_crossings: int,
) -> Found:
    """The logit path: the arrays of `LogitPath` by their places in it, such as ``points.log_policy.0``.

    Args:
        payoffs: of the game.
        log_references: of the players one behind the other, or None for uniform ones.
        end: the temperature at which the path ends, or one for each player.
        temperatures: as `trace` takes them.
        direction: as `trace` takes it, log-references one behind the other; or None.
        at_branching: as `trace` takes it, and what follows.
        max_points: likewise.
        max_folds: likewise.
        max_crossings: likewise.
    """
    from gamekl.solvers.paths.trace import trace

    game = NormalFormGame(payoffs)
    cuts = np.cumsum(game.num_actions)[:-1]
    regularizer = Regularizer.uniform(game, end)
    if log_references is not None:
        regularizer = Regularizer(jnp.split(log_references, cuts), end)
    if direction is not None and direction.ndim == 1:
        direction = tuple(jnp.split(direction, cuts))
    room: dict[str, Any] = {"max_points": max_points, "max_folds": max_folds, "max_crossings": max_crossings}
    turn = {"at_branching": at_branching, "direction": direction}
    found = trace(game, regularizer, temperatures=temperatures, throw=False, **turn, **room)
    leaves, _ = jax.tree.flatten_with_path(found)
    return {jax.tree_util.keystr(place, simple=True, separator="."): leaf for place, leaf in leaves}


def _start(path: Path) -> tuple[Any, ...]:
    try:
        return load_solution(path).log_policy
    except (ValueError, OSError) as error:
        raise ValueError(f"initial: got {path}, takes a solution that `gamekl solve --save` wrote") from error


def exact(payoffs: Any, takes: str) -> Found:
    """An exact Nash equilibrium, like `nash`; ``zero_sum`` and ``enumerable`` tell whether the game is.

    Raises:
        ValueError: there is no exact solver for such a game; the message says what `takes` in its place.
    """
    from gamekl.solvers.exact.certificate import check_two_players, is_zero_sum
    from gamekl.solvers.exact.solve import is_enumerable, solve_nash_exact

    game = NormalFormGame(payoffs)
    validate(game)
    try:
        check_two_players(game)
    except ValueError as error:
        why = str(error).removeprefix("game: got ").partition(", takes")[0]
        raise ValueError(
            f"temperature: got none for {why}, {takes}; or --all, for all equilibria without one"
        ) from error
    told = {"zero_sum": is_zero_sum(np.asarray(payoffs)), "enumerable": is_enumerable(game)}
    return _nash(game, solve_nash_exact(game)) | told


def joint(payoffs: Any, temperature: Any, num_rounds: Any, tol: Any) -> Found:
    """What GAMD comes to, with the players' ``marginal_0``, ...; no ``joint_policy`` where that is no table."""
    from gamekl.solvers.play.gamd import gamd
    from gamekl.solvers.play.mixture import Kept

    solution = gamd(*_checked(payoffs, temperature), num_rounds=num_rounds, tol=tol, throw=False)
    names = ("regularized_cce_gap", "bound", "cce_gap", "ce_gap", "num_rounds", "status")
    found = {name: getattr(solution, name) for name in names}
    found |= {f"marginal_{player}": entry for player, entry in enumerate(solution.marginals)}
    return found if isinstance(solution.mixture, Kept) else found | {"joint_policy": solution.joint_policy}


def correlated(payoffs: Any, epsilon: Any, tol: Any, concept: str, objective: str, welfare: Any = None) -> Found:
    """A (coarse) correlated equilibrium; of most welfare by the players' weights, where it is that."""
    game = NormalFormGame(payoffs)
    if is_concrete(payoffs):
        validate(game)
    if objective == "welfare":
        from gamekl.solvers.correlated.welfare import solve_welfare

        solution = solve_welfare(game, concept=concept, welfare=welfare, epsilon=epsilon)
    else:
        from gamekl.solvers.correlated.solve import solve_correlated

        solution = solve_correlated(game, concept=concept, objective=objective, epsilon=epsilon, tol=tol, throw=False)
    names = ("joint_policy", "cce_gap", "ce_gap", "duality_gap", "violation", "num_steps", "status")
    return {name: getattr(solution, name) for name in names}
