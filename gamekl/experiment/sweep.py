"""The sweep: sample, estimate, solve, evaluate, for all games and seeds of a chunk at once; a shard for each chunk.

Sample sizes, temperatures and seeds are traced, so one compilation serves the whole axis of each.
"""

import logging
import platform
from collections.abc import Callable
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array

import gamekl
from gamekl.core.games import stack
from gamekl.core.response import nash_gap, regularized_gap
from gamekl.experiment.config import FamilyConfig, SweepConfig
from gamekl.experiment.plan import Chunk, Setting, family_key, hash_files, make_chunks, make_plan, make_settings
from gamekl.experiment.progress import Progress
from gamekl.experiment.store import Store, StoreError
from gamekl.offline.regression import Estimate, estimate
from gamekl.offline.statistics import Noise, sample_statistics
from gamekl.solvers.exact import solve_two_player_batch
from gamekl.solvers.nash import gane

logger = logging.getLogger("gamekl")


def _for_games_and_seeds(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map over the games of a family (keys and settings), then over seeds (keys alone)."""
    return jax.vmap(jax.vmap(function, in_axes=(0, None)), in_axes=(0, 0))


def _estimate_one(key: Array, setting: Setting, num_samples: Array, noise: Noise) -> Estimate:
    return estimate(sample_statistics(key, setting.game, setting.behavior, num_samples, noise))


@eqx.filter_jit
def estimate_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> Estimate:
    """Estimates from data of their own, ``[game, seed]``."""
    return _for_games_and_seeds(partial(_estimate_one, num_samples=num_samples, noise=noise))(keys, settings)


@eqx.filter_jit
def gane_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> dict[str, Array]:
    """Estimate, solve and evaluate in the true game; every result is ``[game, seed]``."""

    def one(key: Array, setting: Setting) -> dict[str, Array]:
        found = _estimate_one(key, setting, num_samples, noise)
        solution = gane(found, setting.regularizer, throw=False)
        true_gap = regularized_gap(setting.game, setting.regularizer, solution.log_policy)
        return {
            "regularized_gap": true_gap.sum(),
            "regularized_gap_max": true_gap.max(),
            "nash_gap": nash_gap(setting.game, solution.log_policy, regularizer=setting.regularizer).sum(),
            "solver_gap": solution.gap.sum(),
            "residual": solution.residual,
            "num_steps": solution.num_steps,
            "status": solution.status,
            "unvisited": jnp.sum(found.counts == 0).astype(jnp.int32),
        }

    return _for_games_and_seeds(one)(keys, settings)


@eqx.filter_jit
def _nash_gaps(settings: Setting, log_policy: tuple[Array, ...]) -> Array:
    return _for_games_and_seeds(lambda policy, setting: nash_gap(setting.game, policy).sum())(log_policy, settings)


def exact_batch(keys: Array, settings: Setting, num_samples: Array, noise: Noise) -> dict[str, Array]:
    """As `gane_batch`, with the unregularised plug-in equilibrium, found on the host."""
    found = estimate_batch(keys, settings, num_samples, noise)
    solution = solve_two_player_batch(np.asarray(found.game.payoffs))
    return {
        "nash_gap": _nash_gaps(settings, solution.log_policy),
        "solver_gap": solution.gap.sum(axis=-1),
        "residual": solution.residual,
        "num_steps": solution.num_steps,
        "status": solution.status,
        "unvisited": jnp.sum(found.counts == 0, axis=(2, 3)).astype(jnp.int32),
    }


BATCHES = {"gane": gane_batch, "exact": exact_batch}
FLOATS = ("regularized_gap", "regularized_gap_max", "nash_gap", "solver_gap", "residual")
INTEGERS = ("num_steps", "status", "unvisited")


def data_keys(config: SweepConfig, family: FamilyConfig, case: dict[str, Any], chunk: Chunk) -> Array:
    """One key for each game and seed of a chunk, ``[game, seed]``: each dataset is independent of all others."""
    key = jax.random.fold_in(family_key(config, family), 1)
    index = 0 if case["temperature"] is None else family.temperatures.index(case["temperature"])
    key = jax.random.fold_in(jax.random.fold_in(key, index), chunk.point)
    seeds = chunk.block * config.seeds_per_chunk + jnp.arange(config.seeds_per_chunk)
    game_keys = jax.vmap(lambda game: jax.random.fold_in(key, game))(jnp.arange(case["num_games"]))
    return jax.vmap(lambda game_key: jax.vmap(lambda seed: jax.random.fold_in(game_key, seed))(seeds))(game_keys)


def run_chunk(config: SweepConfig, case: dict[str, Any], chunk: Chunk, settings: Setting) -> pa.Table:
    """Compute one chunk: a row for each game and seed."""
    family = config.family[case["family"]]
    num_samples = case["num_samples"][chunk.point]
    noise = "bernoulli" if family.noise == "bernoulli" else jnp.asarray(family.noise)
    results = BATCHES[family.solver](
        data_keys(config, family, case, chunk), settings, jnp.asarray(float(num_samples)), noise
    )
    columns = {name: np.asarray(value).ravel() for name, value in results.items()}
    games, seeds = case["num_games"], config.seeds_per_chunk
    rows = games * seeds
    first = chunk.block * seeds
    return pa.table(
        {
            "case": pa.array(np.full(rows, chunk.case, dtype=np.int32)),
            "label": pa.array([case["label"]] * rows).dictionary_encode(),
            "temperature": pa.array([case["temperature"]] * rows, type=pa.float64()),
            "num_samples": pa.array(np.full(rows, num_samples, dtype=np.int64)),
            "game": pa.array(np.repeat(np.arange(games, dtype=np.int32), seeds)),
            "seed": pa.array(np.tile(np.arange(first, first + seeds, dtype=np.int32), games)),
            **{
                name: pa.array(columns[name].astype(np.float64)) if name in columns else pa.nulls(rows, pa.float64())
                for name in FLOATS
            },
            **{name: pa.array(columns[name].astype(np.int32)) for name in INTEGERS},
        }
    )


def _batched_settings(config: SweepConfig, case: dict[str, Any]) -> Setting:
    settings = make_settings(config, config.family[case["family"]], case["temperature"])
    dtype = jnp.dtype(config.dtype)
    cast = [
        Setting(type(game)(game.payoffs.astype(dtype)), regularizer.astype(dtype), behavior)
        for game, regularizer, behavior in settings
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
    if jnp.result_type(float) != jnp.float64:
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
