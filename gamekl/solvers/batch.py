"""The host's driver for big batches: chunks of one size, and worker threads that keep every processor or device busy.

Within a chunk, games share lanes (`solvers.queue`). The chunks' sizes are powers of two, so few shapes are ever
compiled, and a game's numbers do not depend on the chunk that it is in.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from queue import SimpleQueue
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import SingleDeviceSharding
from jaxtyping import ArrayLike

from gamekl.core.games import NormalFormGame, require_normal_form
from gamekl.core.policies import Profile, is_concrete
from gamekl.core.regularizer import Regularizer
from gamekl.solvers.ladder import make_problem, solve_problems
from gamekl.solvers.nash import MAX_STEPS, check_options, has_float64, precision
from gamekl.solvers.queue import num_lanes
from gamekl.solvers.solution import Solution, SolveError, Status

Device = Any  # a jax.Device

# Most games in a chunk, and chunks for each worker: enough to fill the lanes many times over, few enough to share the
# work out evenly.
LARGEST_CHUNK = {"cpu": 2**12, "gpu": 2**17}
CHUNKS_PER_WORKER = 2


def _check_batch(games: NormalFormGame, regularizers: Regularizer) -> int:
    """The batch's size, after checking that every leaf has it and that one game fits its regularizer."""
    require_normal_form(games, "games", "a NormalFormGame with a leading axis, as gamekl.stack([...]) makes it")
    if not is_concrete(games, regularizers):
        raise TypeError(
            "games: got traced arrays, takes concrete ones; under jit, vmap or grad use jax.vmap(solve_nash)"
        )
    shape = games.payoffs.shape
    if len(shape) < 3 or shape[1] != len(shape) - 2:
        raise ValueError(
            f"games.payoffs: got shape {shape}, takes [batch, player, *actions], as gamekl.stack([...]) makes it"
        )
    if not isinstance(regularizers, Regularizer):
        raise TypeError(f"regularizers: got {type(regularizers).__name__}, takes a Regularizer")
    leaves = {"temperature": regularizers.temperature}
    leaves |= {f"log_reference[{index}]": entry for index, entry in enumerate(regularizers.log_reference)}
    for name, leaf in leaves.items():
        if leaf.shape[:1] != shape[:1]:
            raise ValueError(
                f"regularizers.{name}: got shape {leaf.shape}, takes a leading axis of {shape[0]} games, as "
                "gamekl.stack([...]) makes it"
            )
    one = Regularizer([jnp.empty(entry.shape[1:]) for entry in regularizers.log_reference], 1.0)
    one.check_fits(NormalFormGame(jnp.empty(shape[1:])))
    return shape[0]


def _chunk_size(size: int, workers: int, lanes: int, platform: str) -> int:
    wanted = -(-size // (workers * CHUNKS_PER_WORKER))
    largest = LARGEST_CHUNK["cpu" if platform == "cpu" else "gpu"]
    return max(lanes, min(largest, 2 ** max(wanted - 1, 0).bit_length()))


def _workers(devices: Sequence[Device] | None) -> list[Device]:
    """A device for each worker: one for every processor of a CPU, two for every other device, so that one can copy."""
    devices = jax.local_devices() if devices is None else list(devices)
    if not devices:
        raise ValueError("devices: got none, takes at least one jax device")
    if devices[0].platform != "cpu":
        return [device for device in devices for _ in range(2)]
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [device for device in devices for _ in range(max(1, processors // len(devices)))]


@partial(jax.jit, static_argnames=("max_steps", "refine"))
def _solve_chunk(
    games: NormalFormGame, regularizers: Regularizer, initial: Any, tol: Any, max_steps: int, refine: bool
) -> Solution:
    axes = (0, 0, None if initial is None else 0, None if tol is None else 0)
    problems = jax.vmap(make_problem, in_axes=axes)(games, regularizers, initial, tol)
    return solve_problems(problems, max_steps, refine)


@cache
def _compiled(device: Device, x64: bool, structure: Any, types: tuple[Any, ...], **options: Any) -> Callable[..., Any]:
    """`_solve_chunk` for one kind of chunk, compiled once for all workers and calls."""
    with jax.enable_x64(x64):
        leaves = [
            jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype), sharding=SingleDeviceSharding(device))
            for shape, dtype in types
        ]
        return _solve_chunk.lower(*jax.tree.unflatten(structure, leaves), **options).compile()


def _rows(batch: Any, start: int, chunk: int) -> Any:
    """Rows of a batch; what lies beyond its end is NaN, which no solver spends time on."""

    def cut(leaf: np.ndarray) -> np.ndarray:
        rows = leaf[start : start + chunk]
        if len(rows) == chunk:
            return rows
        padding = np.full((chunk - len(rows), *leaf.shape[1:]), np.nan, dtype=leaf.dtype)
        return np.concatenate([rows, padding])

    return jax.tree.map(cut, batch)


def solve_nash_batch(
    games: NormalFormGame,
    regularizers: Regularizer,
    *,
    tol: ArrayLike | None = None,
    max_steps: int = MAX_STEPS,
    initial: Profile | None = None,
    refine: str | None = None,
    devices: Sequence[Device] | None = None,
    throw: bool = False,
) -> Solution:
    """`solve_nash` for a batch of games of one shape, on every processor of the machine or on several devices.

    It works on concrete arrays, from the host; inside of ``jit`` and for derivatives, ``jax.vmap(solve_nash)`` does.

    Args:
        games: as `stack` or ``jax.vmap`` make them, payoffs ``[batch, player, *actions]``.
        regularizers: one for each game; every leaf has the leading axis, temperature too.
        tol: bound on the residuals, one number or ``[batch]``; the default is that of `solve_nash`.
        max_steps: most Newton corrections for a game.
        initial: log-policies to try first, ``[batch, actions_i]`` for each player.
        refine: as for `solve_nash`.
        devices: where to work; all local devices of jax's default backend if None.
        throw: raise if a game did not converge. Otherwise `Solution.status` tells, for each game.

    Returns:
        The solutions; every leaf has the leading axis.

    Raises:
        ValueError: shapes do not fit each other, or an option is not known.
        SolveError: (``throw``) a game did not converge.
    """
    size = _check_batch(games, regularizers)
    workers = _workers(devices)
    with precision(refine, concrete=True) as dtype:
        x64 = has_float64()
    if initial is not None:
        shapes = [np.shape(entry) for entry in initial]
        expected = [(size, count) for count in games.payoffs.shape[2:]]
        if shapes != expected:
            raise ValueError(f"initial: got shapes {shapes}, takes [batch, actions] for each player: {expected}")
        initial = tuple(np.asarray(entry, dtype=float) for entry in initial)
    check_options(tol, max_steps, (size,))
    if tol is not None:
        tol = np.broadcast_to(np.asarray(tol, dtype=float), (size,))
    games = jax.tree.map(lambda leaf: np.asarray(leaf).astype(dtype or leaf.dtype, copy=False), games)
    batch = (games, *jax.tree.map(np.asarray, (regularizers, initial, tol)))
    chunk = _chunk_size(size, len(workers), num_lanes(games), workers[0].platform)
    leaves, structure = jax.tree.flatten(batch)
    types = tuple(((chunk, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    options = {"max_steps": int(max_steps), "refine": refine is not None}
    compiled = {device: _compiled(device, x64, structure, types, **options) for device in dict.fromkeys(workers)}
    free: SimpleQueue[Device] = SimpleQueue()
    for device in workers:
        free.put(device)

    def solve(start: int) -> Solution:
        device = free.get()
        try:
            with jax.enable_x64(x64):
                solution = compiled[device](*jax.device_put(_rows(batch, start, chunk), device))
                return jax.tree.map(lambda leaf: np.asarray(leaf)[: size - start], solution)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(workers)) as pool:
        parts = list(pool.map(solve, range(0, max(size, 1), chunk)))
    with jax.enable_x64(x64):
        solution = jax.tree.map(lambda *leaves: jnp.asarray(np.concatenate(leaves)), *parts)
    if throw:
        _raise_unless_all_converged(solution)
    return solution


def _raise_unless_all_converged(solution: Solution) -> None:
    failed = np.flatnonzero(np.asarray(solution.status) != Status.converged)
    if len(failed):
        where = f"game {failed[0]} ({len(failed)} of {len(solution.status)} games failed): "
        raise SolveError(jax.tree.map(lambda leaf: leaf[failed[0]], solution), where)
