"""The sweep: every chunk of a plan becomes a shard, in whatever runs that takes."""

import logging
import platform
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array

import gamekl
from gamekl.core.arrays import has_float64
from gamekl.core.games import stack
from gamekl.experiment.config import FamilyConfig, SweepConfig
from gamekl.experiment.pipeline import compute
from gamekl.experiment.plan import (
    TUNING,
    Chunk,
    Setting,
    family_key,
    hash_files,
    make_chunks,
    make_plan,
    make_settings,
    tunings,
)
from gamekl.experiment.progress import Progress
from gamekl.experiment.store import Store, StoreError

logger = logging.getLogger("gamekl")


FLOATS = (
    "regularized_gap",
    "regularized_gap_max",
    "nash_gap",
    "regularized_cce_gap",
    "cce_gap",
    "ce_gap",
    "solver_gap",
    "bound",
    "residual",
)
INTEGERS = ("num_steps", "status", "unvisited", "exceeded")


def data_keys(config: SweepConfig, family: FamilyConfig, case: dict[str, Any], chunk: Chunk) -> Array:
    """One key for each game and seed of a chunk, ``[game, seed]``: each dataset is independent of all others."""
    index = tunings(family).index({name: case[name] for name in TUNING})
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(family_key(config, family), 1), index), chunk.point)
    seeds = chunk.block * config.seeds_per_chunk + jnp.arange(config.seeds_per_chunk)
    game_keys = jax.vmap(lambda game: jax.random.fold_in(key, game))(jnp.arange(case["num_games"]))
    return jax.vmap(lambda game_key: jax.vmap(lambda seed: jax.random.fold_in(game_key, seed))(seeds))(game_keys)


def run_chunk(config: SweepConfig, case: dict[str, Any], chunk: Chunk, settings: Setting) -> pa.Table:
    """Compute one chunk: a row for each game and seed, and for each number of rounds of families that play."""
    family = config.family[case["family"]]
    num_samples = case["num_samples"][chunk.point]
    results = compute(family, case, data_keys(config, family, case, chunk), settings, num_samples)
    shape = results["status"].shape
    game, seed = (grid.ravel().astype(np.int32) for grid in np.indices(shape)[:2])
    rows = len(game)

    def column(name: str, dtype: Any) -> pa.Array:
        if name not in results:
            return pa.nulls(rows, pa.from_numpy_dtype(dtype))
        return pa.array(np.asarray(results[name]).ravel().astype(dtype))

    return pa.table(
        {
            "case": pa.array(np.full(rows, chunk.case, dtype=np.int32)),
            "label": pa.array([case["label"]] * rows).dictionary_encode(),
            **{name: pa.array([case[name]] * rows, type=pa.float64()) for name in TUNING},
            "num_samples": pa.array(np.full(rows, num_samples, dtype=np.int64)),
            "game": pa.array(game),
            "seed": pa.array(seed + np.int32(chunk.block * config.seeds_per_chunk)),
            **{name: column(name, np.float64) for name in FLOATS},
            **{name: column(name, np.int32) for name in INTEGERS},
        }
    )


def _batched_settings(config: SweepConfig, case: dict[str, Any]) -> Setting:
    settings = make_settings(config, config.family[case["family"]], case)
    dtype = jnp.dtype(config.dtype)
    cast = [
        Setting(jax.tree.map(lambda leaf: leaf.astype(dtype), game), regularizer.astype(dtype), behavior, features)
        for game, regularizer, behavior, features in settings
    ]
    return stack(cast)


def _facts(config: SweepConfig) -> dict[str, Any]:
    device = jax.devices()[0]
    return {
        "gamekl": gamekl.__version__,
        "jax": jax.__version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
        "python": platform.python_version(),
        "platform": device.platform,
        "device": device.device_kind,
        "dtype": config.dtype,
    }


def run_sweep(config: SweepConfig, out: str | Path) -> tuple[int, int]:
    """Run a sweep, or what is left of it: planned chunks less the verified shards.

    Needs jax's x64 mode: counts and predicted constants are float64, games and solver have the config's dtype.

    Returns:
        How many shards were planned, and how many of them this call made.

    Raises:
        StoreError: the folder was made by another config or is in use.
        ValueError: a family whose games, behavior or sample sizes cannot be had.
        RuntimeError: jax's x64 mode is off.
    """
    if not has_float64():
        raise RuntimeError("jax_enable_x64: got False, takes True: jax.config.update('jax_enable_x64', True)")
    store = Store(out)
    with store.lock():
        store.open(config.canonical())
        whole, damaged = store.verified()
        for name in sorted(damaged):
            logger.warning("shard %s is damaged or gone; it is made anew", name)
            store.log("damaged", shard=name)
        if damaged:
            store.forget(damaged)
        plan = store.plan()
        if plan is None:
            plan = make_plan(config)
            store.write_plan(plan)
        changed = [path for path, digest in hash_files(config).items() if plan["files"].get(path) != digest]
        if changed:
            raise StoreError(
                f"game.path: got {changed[0]}, which changed since {out} was begun; takes a new folder (--out)"
            )
        chunks = make_chunks(config, plan)
        missing = [chunk for chunk in chunks if chunk.name not in whole]
        if missing:
            _run_chunks(config, plan, missing, store)
    return len(chunks), len(missing)


def _run_chunks(config: SweepConfig, plan: dict[str, Any], chunks: list[Chunk], store: Store) -> None:
    facts = _facts(config)
    store.record_run(facts)
    store.log("start", chunks=len(chunks), **facts)
    metadata = {"gamekl": gamekl.__version__, "config_sha256": config.digest(), "dtype": config.dtype}
    with Progress(len(chunks), "shards") as progress:
        for number, group in groupby(chunks, key=lambda chunk: chunk.case):
            case = plan["cases"][number]
            settings = _batched_settings(config, case)
            for chunk in group:
                table = run_chunk(config, case, chunk, settings)
                store.write_shard(chunk.name, table, metadata)
                failed = int(np.count_nonzero(table["status"].to_numpy()))
                store.log("shard", shard=chunk.name, failed=failed)
                progress.advance(f"{case['label']}, n = {case['num_samples'][chunk.point]}")
    store.log("end")
