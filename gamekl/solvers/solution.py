"""What a solver returns: the policies, how good they are, and an honest status."""

import dataclasses
import logging
from collections.abc import Iterator
from os import PathLike
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gamekl.core.arrays import read_arrays
from gamekl.core.games import OneShotGame
from gamekl.core.names import Named, Names, named
from gamekl.core.policies import is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.show import Shown
from gamekl.core.status import Status
from gamekl.solvers.notes import LEFT, path_notes

logger = logging.getLogger("gamekl")


def check_options(tol: Any, max_steps: Any, tol_shape: tuple[int, ...] = ()) -> None:
    """Raise ``ValueError`` unless `tol` is None or of real numbers >= 0, and `max_steps` a whole number >= 1."""
    if not isinstance(max_steps, int | np.integer) or isinstance(max_steps, bool) or not 1 <= max_steps < 2**31:
        static = " (under jit: one of its static_argnames)" if not is_concrete(max_steps) else ""
        raise ValueError(f"max_steps: got {max_steps!r}, takes a whole number from 1 to 2^31 - 1{static}")
    if tol is None:
        return
    if not hasattr(tol, "dtype") and not isinstance(tol, int | float):
        raise ValueError(f"tol: got {tol!r}, takes a number >= 0 or None")
    if np.shape(tol) not in ((), tol_shape):
        raise ValueError(f"tol: got shape {np.shape(tol)}, takes {tol_shape}")
    if is_concrete(tol) and not np.all(np.asarray(tol, dtype=float) >= 0):
        raise ValueError(f"tol: got {tol!r}, takes a number >= 0 or None")


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """The size that an option gives; raise ``ValueError`` unless it is a whole number, at least so large."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value < 2**24:
        raise ValueError(f"{name}: got {value!r}, takes a whole number from {least} to 2^24 - 1")
    return int(value)


def input_status(
    finite: Bool[Array, "*lane"], temperatures: Float[Array, "player *lane"], totals: Float[Array, "player *lane"]
) -> Int[Array, "*lane"]:
    """`Status.converged` where a game can be solved, else what is wrong with it or with its regularizer.

    Args:
        finite: whether all payoffs are.
        temperatures: of the players.
        totals: what their references sum to.
    """
    finite = finite & jnp.all(jnp.isfinite(temperatures) & jnp.isfinite(totals), axis=0)
    valid = jnp.all((temperatures > 0) & (jnp.abs(totals - 1) < 1e-3), axis=0)
    return jnp.where(finite, jnp.where(valid, Status.converged, Status.invalid_input), Status.nonfinite_input)


def status_of(game: OneShotGame, regularizer: Regularizer) -> Int[Array, ""]:
    """`input_status` of one game."""
    totals = [jnp.sum(jnp.exp(entry)) for entry in regularizer.log_reference]
    return input_status(jnp.all(jnp.isfinite(game.payoffs)), regularizer.temperatures, jnp.stack(totals))


PATH_FIELDS = ("temperature", "folds", "bifurcations", "crossings")


class SolveError(RuntimeError):
    """A solve with ``throw=True`` did not converge; `solution` holds what was reached."""

    def __init__(self, solution: Any, where: str = "") -> None:
        """The message names the status, the residual where there is one, and which game it was of a batch."""
        status = Status(int(solution.status))
        facts = {"residual": "residual {:.2e}", "num_steps": "steps {:.0f}", "num_rounds": "rounds {:.0f}"}
        told = [text.format(np.max(getattr(solution, name))) for name, text in facts.items() if hasattr(solution, name)]
        told += solution.reasons() if hasattr(solution, "reasons") else []
        super().__init__(
            f"{where}{status.name}: {status.message} ({', '.join(told)}); throw=False returns the solution with its "
            "status instead"
        )
        self.solution = solution


class PathSummary(Shown):
    """How far the logit path went.

    Attributes:
        temperature: the temperature of each player at the last point, shape ``[player]``; infinite at the reference.
        folds: turning points in temperature that were passed.
        bifurcations: points that were passed where another branch crosses the path (as in symmetric games); a game
            that differs ever so little may then have its principal equilibrium elsewhere.
        crossings: times that the path met the asked temperature: 1, or 0 if it stopped before, was not needed, or the
            answer came from elsewhere (`solve_nash_exact`, a warm start).
        margin: where the path was proven (``certify_path``) the least 1 / |A^-1| on it, in the sup norm, A the
            derivative of the path's equations in logits with a row along the path (`solvers.nash.proof`): by how much
            that would have to change for another branch to cross the path. 0 where nothing was proven, None if not
            asked.
        left: whether the given ``initial`` was left for the path, so that this is on the principal branch whatever was
            near `initial`; None where none was given.
    """

    temperature: Float[Array, "*batch player"]
    folds: Int[Array, "*batch"]
    bifurcations: Int[Array, "*batch"]
    crossings: Int[Array, "*batch"]
    margin: Float[Array, "*batch"] | None = None
    left: Bool[Array, "*batch"] | None = None

    def notes(self) -> Iterator[str]:
        """What happened on the way to an equilibrium, of one game or of several, and what it means; concrete only."""
        if self.folds is not None and self.bifurcations is not None:  # of a whole solution
            yield from path_notes(self.folds, self.bifurcations, self.left)


class Solution(Named, Shown):
    """A Nash equilibrium, with its quality in the game that was solved.

    Attributes:
        log_policy: one log-policy ``[actions_i]`` for each player.
        gap: what each player could still gain, shape ``[player]``, payoff units: the regularised gap, or the Nash gap
            for an unregularised solver.
        residual: sup |policy - best response|, a probability; for an unregularised solver the largest gap over the
            payoffs' range.
        num_steps: path and Newton steps (or supports tried, or rounds of `sos_md`).
        status: a `Status` value.
        path: how far the logit path went: `temperature` reached, `folds`, `bifurcations` and `crossings` passed.
        differentiable: whether derivatives of the policies are of worth: the game was solved, and dF/dz is not nearly
            singular, as at a fold of the logit path, which would leave them less than some four digits. None of
            solvers that give no derivatives.
    """

    log_policy: tuple[Float[Array, "*batch _"], ...]
    gap: Float[Array, "*batch player"]
    residual: Float[Array, "*batch"]
    num_steps: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    path: PathSummary
    differentiable: Bool[Array, "*batch"] | None = None
    status_type: ClassVar = Status

    def notes(self) -> Iterator[str]:
        """Sentences on what happened on the way to the equilibrium."""
        if self.path is not None:
            yield from self.path.notes()

    @property
    def policy(self) -> tuple[Float[Array, "*batch _"], ...]:
        """The probabilities, one array ``[actions_i]`` for each player."""
        return tuple(jnp.exp(entry) for entry in self.log_policy)

    def arrays(self) -> dict[str, Array]:
        """The solution as named arrays, as `save` writes them."""
        arrays = {f"log_policy_{index}": entry for index, entry in enumerate(self.log_policy)}
        arrays |= {name: getattr(self, name) for name in ("gap", "residual", "num_steps", "status")}
        arrays |= {f"path_{name}": getattr(self.path, name) for name in PATH_FIELDS}
        more = {"differentiable": self.differentiable, "path_margin": self.path.margin, "path_left": self.path.left}
        return arrays | {name: value for name, value in more.items() if value is not None}

    def save(self, path: str | PathLike[str], names: Names | None = None, **others: np.ndarray) -> None:
        """Write the solution, and `others`, as an ``.npz`` file (checksummed, no pickle); `load_solution` reads it.

        Args:
            path: of the file.
            names: of players and actions, as of ``game.names``; the solution's own if None, if it has any.
            others: further arrays.
        """
        names = self.names if names is None else names
        told: dict[str, Any] = {} if names is None else names.arrays()
        with open(path, "wb") as file:
            np.savez(file, allow_pickle=False, **jax.tree.map(np.asarray, self.arrays()), **told, **others)


def load_solution(path: str | PathLike[str]) -> Solution:
    """Read what `Solution.save` wrote.

    Args:
        path: of the ``.npz`` file.

    Returns:
        The `Solution`, as it was saved, with the names of players and actions that stand beside it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or holds no solution.
    """
    found = read_arrays(path, ".npz solution file")
    arrays = {name: jnp.asarray(value) for name, value in found.items() if value.dtype.kind != "U"}
    try:
        solution = Solution(
            log_policy=tuple(arrays[f"log_policy_{index}"] for index in range(arrays["gap"].shape[-1])),
            path=PathSummary(
                **{name: arrays[f"path_{name}"] for name in PATH_FIELDS},
                margin=arrays.get("path_margin"),
                left=arrays.get("path_left"),
            ),
            differentiable=arrays.get("differentiable"),
            **{name: arrays[name] for name in ("gap", "residual", "num_steps", "status")},
        )
    except (KeyError, IndexError) as error:
        raise ValueError(f"path: got {path}, which is no .npz solution file: an array is missing ({error})") from error
    try:
        return named(solution, Names.of_arrays(found))
    except ValueError as error:
        raise ValueError(f"path: got {path}, which is no .npz solution file: {error}") from error


def with_left(solution: Solution) -> Solution:
    """Add `PathSummary.left` to a solution for which an ``initial`` was given, and tell of it in the log ``gamekl``."""
    left = solution.path.crossings > 0
    if is_concrete(left) and np.any(left):
        logger.warning("initial: left in %d of %d games, %s", np.sum(left), np.size(left), LEFT)
    return dataclasses.replace(solution, path=dataclasses.replace(solution.path, left=left))


def raise_unless_converged(solution: Any) -> None:
    """Raise `SolveError` where the status is concrete and not `Status.converged`."""
    if is_concrete(solution.status) and int(solution.status) != Status.converged:
        raise SolveError(solution)


def raise_unless_all_converged(solutions: Any, what: str = "game") -> None:
    """Raise `SolveError` of the first one that did not converge of a batch of solutions, concrete ones of `what`."""
    failed = np.flatnonzero(np.asarray(solutions.status) != Status.converged)
    if len(failed):
        where = f"{what} {failed[0]} ({len(failed)} of {len(solutions.status)} {what}s failed): "
        raise SolveError(jax.tree.map(lambda leaf: leaf[failed[0]], solutions), where)
