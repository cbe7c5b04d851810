"""`solve_nash` and `gamd` for big batches, from the host.

Within a chunk, games share lanes (`solvers.nash.queue`). The chunks' sizes are powers of two, so few shapes are ever
compiled, and a game's numbers do not depend on the chunk that it is in.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike

from gamekl.core.arrays import has_float64
from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.kernels.batching import fitting_lanes
from gamekl.core.kernels.platforms import Platform
from gamekl.core.policies import Profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.core.symmetric.game import LogitGame, SymmetricGame
from gamekl.solvers.correlated_solution import CorrelatedSolution
from gamekl.solvers.driver import Device, in_chunks, on_device, with_rows
from gamekl.solvers.nash.ladder import Options, solve_plain_problems, solve_problems
from gamekl.solvers.nash.prepare import NashProblem, make_nash_problem
from gamekl.solvers.nash.queue import num_lanes, sizes_of
from gamekl.solvers.nash.solve import MAX_STEPS, precision
from gamekl.solvers.play.gamd import gamd
from gamekl.solvers.play.rules.anchored import anchored
from gamekl.solvers.play.selfplay import check_rounds
from gamekl.solvers.solution import Solution, check_options, raise_unless_all_converged, with_left


def check_batch(games: LogitGame, regularizers: Regularizer, alike: bool = False) -> int:
    """The batch's size, after checking that every leaf has it and that one game fits its regularizer.

    Args:
        games: the games.
        regularizers: one for each.
        alike: whether the games may be symmetric ones.
    """
    symmetric = alike and isinstance(games, SymmetricGame)
    if not symmetric:
        kinds = "a NormalFormGame or a SymmetricGame" if alike else "a NormalFormGame"
        require_normal_form(games, "games", f"{kinds} with a leading axis, as gamekl.stack([...]) makes it")
    if not is_concrete(games, regularizers):
        raise TypeError(
            "games: got traced arrays, takes concrete ones; under jit, vmap or grad use jax.vmap(solve_nash)"
        )
    shape = games.payoffs.shape
    if len(shape) != 3 if symmetric else len(shape) < 3 or shape[1] != len(shape) - 2:
        axes = "[batch, action, count]" if symmetric else "[batch, player, *actions]"
        raise ValueError(f"games.payoffs: got shape {shape}, takes {axes}, as gamekl.stack([...]) makes it")
    Regularizer.require(regularizers, "regularizers")
    leaves = {"temperature": regularizers.temperature}
    leaves |= {f"log_reference[{index}]": entry for index, entry in enumerate(regularizers.log_reference)}
    for name, leaf in leaves.items():
        if leaf.shape[:1] != shape[:1]:
            raise ValueError(
                f"regularizers.{name}: got shape {leaf.shape}, takes a leading axis of {shape[0]} games, as "
                "gamekl.stack([...]) makes it"
            )
    one = Regularizer([jnp.empty(entry.shape[1:]) for entry in regularizers.log_reference], 1.0)
    one.check_fits(jax.tree.map(lambda leaf: jnp.empty(leaf.shape[1:], leaf.dtype), games))
    return shape[0]


def _problems(games: LogitGame, regularizers: Regularizer, initial: Any, tol: Any) -> NashProblem:
    axes = (0, 0, None if initial is None else 0, None if tol is None else 0)
    return jax.vmap(make_nash_problem, in_axes=axes, axis_size=games.payoffs.shape[0])(
        games, regularizers, initial, tol
    )


def _solve_chunk(games: LogitGame, regularizers: Regularizer, initial: Any, tol: Any, options: Options) -> Solution:
    return solve_problems(_problems(games, regularizers, initial, tol), options)


def _solve_plain_chunk(
    games: LogitGame, regularizers: Regularizer, initial: Any, tol: Any, options: Options
) -> tuple[Solution, Any]:
    return solve_plain_problems(_problems(games, regularizers, initial, tol), options)


def _solve_chunks(solve: Any, batch: tuple[Any, ...], devices: Any, x64: bool, options: Options) -> Any:
    return in_chunks(solve, batch, lambda platform: num_lanes(platform, batch[0]), devices, x64, options=options)


def _refine_chunks(batch: tuple[Any, ...], devices: Any, x64: bool, options: Options) -> Solution:
    """Games with plain paths in float32 first; what is left by a program of its own, compiled where there is any."""
    solution, solved = _solve_chunks(_solve_plain_chunk, batch, devices, x64, options)
    left = np.flatnonzero(~solved)
    if not len(left):
        return solution
    rows = jax.tree.map(lambda leaf: leaf[left], batch)
    return with_rows(solution, left, _solve_chunks(_solve_chunk, rows, devices, x64, options._replace(refine=False)))


def solve_nash_batch(
    games: LogitGame,
    regularizers: Regularizer,
    *,
    tol: ArrayLike | None = None,
    max_steps: int = MAX_STEPS,
    initial: Profile | None = None,
    refine: str | None = None,
    certify_path: bool = False,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> Solution:
    """Solve a batch of games of one shape by `solve_nash`, on every processor of the machine or on several devices.

    It works on concrete arrays, from the host; inside of ``jit`` and for derivatives, ``jax.vmap(solve_nash)`` does.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``, or symmetric games,
            ``[batch, action, count]``.
        regularizers: one for each game; every leaf has the leading axis, temperature too.
        tol: bound on the residuals, one number or ``[batch]``; the default is that of `solve_nash`.
        max_steps: most Newton corrections for a game.
        initial: log-policies to try first, ``[batch, actions_i]`` for each role; ``path.left`` and the log ``gamekl``
            tell where they were left for the path from the reference.
        refine: "float64" solves games in float32 in float64, too. In either case games in float64 whose path is plain
            (no place of it asks for care, `solvers.nash.trace`) are traced in float32 and then solved and certified in
            float64, and only the others are traced in float64.
        certify_path: trace each path in steps of which each is proven, which takes some 20 to 1,000 times as long;
            where there is no proof, the status is `Status.unproven`.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise if a game did not converge. Otherwise `Solution.status` tells, for each game.

    Returns:
        The solutions; every leaf has the leading axis.

    Raises:
        ValueError: shapes do not fit each other, or an option is not known.
        SolveError: (``throw``) a game did not converge.
    """
    size = check_batch(games, regularizers, alike=True)
    if certify_path and isinstance(games, SymmetricGame):
        raise ValueError("certify_path: got True for symmetric games, takes it for normal forms")
    with precision(refine, concrete=True) as dtype:
        x64 = has_float64()
    if initial is not None:
        shapes = [np.shape(entry) for entry in initial]
        expected = [(size, count) for count in sizes_of(games)]
        if shapes != expected:
            raise ValueError(f"initial: got shapes {shapes}, takes [batch, actions] for each player: {expected}")
        initial = tuple(np.asarray(entry, dtype=float) for entry in initial)
    check_options(tol, max_steps, (size,))
    if certify_path and initial is not None:
        raise ValueError("initial: got one with certify_path=True, takes None: the paths start at the references")
    if tol is not None:
        tol = np.broadcast_to(np.asarray(tol, dtype=float), (size,))
    games = jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype or leaf.dtype, copy=False), games)
    batch = (games, *jax.tree.map(np.asarray, (regularizers, initial, tol)))
    refine_here = games.payoffs.dtype == np.float64 and initial is None
    options = Options(int(max_steps), refine=refine_here, certify=bool(certify_path))
    if options.refines:
        solution = _refine_chunks(batch, devices, x64, options)
    else:
        solution = _solve_chunks(_solve_chunk, batch, devices, x64, options)
    solution = on_device(solution, x64)
    if initial is not None:
        solution = with_left(solution)
    if throw:
        raise_unless_all_converged(solution)
    return solution


def _play_chunk(
    games: NormalFormGame,
    regularizers: Regularizer,
    num_rounds: Any,
    step_size: Any,
    tol: Any,
    evaluate_on: Any,
    weighting: str,
) -> CorrelatedSolution:
    def play(game: Any, regularizer: Any, num_rounds: Any, step_size: Any, tol: Any, target: Any) -> CorrelatedSolution:
        return gamd(
            game,
            regularizer,
            num_rounds=num_rounds,
            step_size=step_size,
            tol=tol,
            evaluate_on=target,
            weighting=weighting,
        )

    return jax.vmap(play)(games, regularizers, num_rounds, step_size, tol, evaluate_on)


def gamd_batch(
    games: NormalFormGame,
    regularizers: Regularizer,
    *,
    num_rounds: Any,
    weighting: str = "uniform",
    step_size: Any = None,
    tol: Any = None,
    evaluate_on: NormalFormGame | None = None,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> CorrelatedSolution:
    """Play a batch of games of one shape by `gamd`, on every processor of the machine or on several devices.

    It works on concrete arrays, from the host; inside of ``jit``, ``jax.vmap(gamd)`` does.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        regularizers: one for each game; every leaf has the leading axis, temperature too.
        num_rounds: rounds, one number or ``[batch]``.
        weighting: "uniform" averages all rounds alike, "linear" gives round t the weight t; static.
        step_size: of mirror descent, nats per payoff unit, a number or ``[batch]``; no schedule. None for the play
            that belongs to the weighting, with its bound.
        tol: stop once none of a game's regularised gaps in the played game exceeds this, a number or ``[batch]``.
        evaluate_on: games in which to measure too, like `games`.
        devices: where to work; all local devices of jax's default backend if None.
        throw: as for `solve_nash_batch`.

    Returns:
        The solutions; every leaf has the leading axis, and `status` tells of each what is wrong.

    Raises:
        ValueError: shapes do not fit each other, or an option is not known.
        SolveError: (``throw``) a game did not converge.
    """
    size = check_batch(games, regularizers)
    if evaluate_on is not None:
        require_normal_form(evaluate_on, "evaluate_on")
        if evaluate_on.payoffs.shape != games.payoffs.shape:
            raise ValueError(
                f"evaluate_on.payoffs: got shape {evaluate_on.payoffs.shape}, takes that of games, "
                f"{games.payoffs.shape}"
            )
    numbers = {"num_rounds": num_rounds, "step_size": step_size, "tol": tol}
    for name, value in numbers.items():
        if value is not None and np.shape(value) not in ((), (size,)):
            raise ValueError(f"{name}: got shape {np.shape(value)}, takes a number or [batch] = ({size},)")
    check_rounds(num_rounds, tol)
    anchored(weighting, step_size)
    numbers = {name: None if value is None else np.broadcast_to(value, (size,)) for name, value in numbers.items()}
    batch = jax.tree.map(np.asarray, (games, regularizers, *numbers.values(), evaluate_on))

    def lanes(platform: Platform) -> int:
        return fitting_lanes(platform, games.payoffs)

    x64 = has_float64()
    solution = on_device(in_chunks(_play_chunk, batch, lanes, devices, x64, weighting=weighting), x64)
    if throw:
        raise_unless_all_converged(solution)
    return solution
