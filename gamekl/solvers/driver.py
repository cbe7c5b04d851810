"""The host's driver for big batches: chunks of one size, and worker threads that keep every processor or device busy.

Within a chunk, games share lanes (`solvers.nash.queue`). The chunks' sizes are powers of two, so few shapes are ever
compiled, and a game's numbers do not depend on the chunk that it is in.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from queue import SimpleQueue
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import SingleDeviceSharding

from gamekl.core.kernels.platforms import CPU, Platform, for_platform, platform_of, wide_options

T = TypeVar("T")
Device = Any  # a jax.Device

# Few enough to share the work out evenly.
CHUNKS_PER_WORKER = 2
# Programs, of 2 to 20 MB.
MOST_KEPT = 32


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunk_size(size: int, workers: int, lanes: int, largest: int) -> int:
    wanted = -(-size // (workers * CHUNKS_PER_WORKER))
    return max(lanes, min(largest, 2 ** max(wanted - 1, 0).bit_length()))


def _workers(devices: Sequence[Device] | None) -> list[Device]:
    """A device for each worker: one for every processor of a CPU, two for every other device, so that one can copy."""
    devices = jax.local_devices() if devices is None else list(devices)
    if not devices:
        raise ValueError("devices: got none, takes at least one jax device")
    if platform_of(devices[0]) is not CPU:
        return [device for device in devices for _ in range(2)]
    return [device for device in devices for _ in range(max(1, processors() // len(devices)))]


@partial(jax.jit, static_argnames=("function", "platform", "options"))
def _run(batch: Any, function: Any, platform: Platform, options: tuple[tuple[str, Any], ...]) -> Any:
    return for_platform(platform, partial(function, **dict(options)), *batch)


@lru_cache(maxsize=MOST_KEPT)
def _compiled(
    function: Any, device: Device, x64: bool, structure: Any, types: tuple[Any, ...], **options: Any
) -> Callable[..., Any]:
    """The function for one kind of chunk, compiled once for all workers and calls."""
    with jax.enable_x64(x64):
        leaves = [
            jax.ShapeDtypeStruct(shape, jax.dtypes.canonicalize_dtype(dtype), sharding=SingleDeviceSharding(device))
            for shape, dtype in types
        ]
        platform = platform_of(device)
        lowered = _run.lower(jax.tree.unflatten(structure, leaves), function, platform, tuple(options.items()))
        return lowered.compile(compiler_options=wide_options() if platform is CPU else None)


def _rows(batch: Any, start: int, chunk: int) -> Any:
    """Rows of a batch; what lies beyond its end is NaN, or 0 of whole numbers: no solver spends time on that."""

    def cut(leaf: np.ndarray) -> np.ndarray:
        rows = leaf[start : start + chunk]
        if len(rows) == chunk:
            return rows
        padding = np.zeros((chunk - len(rows), *leaf.shape[1:]), dtype=leaf.dtype)
        if padding.dtype.kind == "f":
            padding[:] = np.nan
        return np.concatenate([rows, padding])

    return jax.tree.map(cut, batch)


def in_chunks(
    function: Any,
    batch: tuple[Any, ...],
    num_lanes: Callable[[Platform], int],
    devices: Sequence[Device] | None,
    x64: bool,
    trim: Callable[[list[Any]], list[Any]] | None = None,
    **options: Any,
) -> Any:
    """A function of a batch, compiled, chunk by chunk.

    Args:
        function: takes the parts of the batch and `options`, which are static.
        batch: trees of numpy arrays with one leading axis; rows of NaN must be no trouble.
        num_lanes: the least games for which a chunk is worth while on a platform.
        devices: where to work; all local devices of jax's default backend if None.
        x64: whether jax's x64 mode is to be on in the workers.
        trim: takes what the function returned of all chunks, before it is joined, and returns what is to be kept.
        options: static arguments.

    Returns:
        What the function returns, in numpy's arrays, some of which may not be written to.

    Raises:
        ValueError: there is no device.
    """
    workers = _workers(devices)
    leaves, structure = jax.tree.flatten(batch)
    size = len(leaves[0])
    platform = platform_of(workers[0])
    lanes = num_lanes(platform)
    chunk = _chunk_size(size, len(workers), lanes, lanes * platform.games_a_lane)
    types = tuple(((chunk, *leaf.shape[1:]), leaf.dtype) for leaf in leaves)
    compiled = {
        device: _compiled(function, device, x64, structure, types, **options) for device in dict.fromkeys(workers)
    }
    free: SimpleQueue[Device] = SimpleQueue()
    for device in workers:
        free.put(device)

    def solve(start: int) -> Any:
        device = free.get()
        try:
            with jax.enable_x64(x64):
                solution = compiled[device](jax.device_put(_rows(batch, start, chunk), device))
                return jax.tree.map(lambda leaf: np.asarray(leaf)[: size - start], solution)
        finally:
            free.put(device)

    with ThreadPoolExecutor(len(workers)) as pool:
        parts = list(pool.map(solve, range(0, max(size, 1), chunk)))
    parts = trim(parts) if trim else parts
    return parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def on_device(results: T, x64: bool) -> T:
    """Results in jax's arrays."""
    with jax.enable_x64(x64):
        return jax.device_put(results)


def with_rows(results: T, rows: Any, others: T) -> T:
    """Results, in numpy's arrays, in which a row, or some, are others'."""

    def put(leaf: np.ndarray, other: Any) -> np.ndarray:
        leaf = leaf.copy()
        leaf[rows] = np.asarray(other)
        return leaf

    return jax.tree.map(put, results, others)
