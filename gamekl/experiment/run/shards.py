"""From a chunk of a plan to the bytes of its shard, wherever that is computed."""

import io
import json
import platform
import threading
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import optax  # pyright: ignore[reportMissingTypeStubs]
import pyarrow as pa
import pyarrow.parquet as pq
import scipy  # pyright: ignore[reportMissingTypeStubs]
from jax.sharding import Mesh
from jaxtyping import Array

import gamekl
from gamekl.core.games import stack
from gamekl.experiment.kinds.computing import Program, compute, computing
from gamekl.experiment.kinds.setting import Setting, family_key, map_arrays
from gamekl.experiment.run.origin import Origin
from gamekl.experiment.run.plan import Chunk, check_files, make_settings
from gamekl.experiment.run.store import SCHEMA_VERSION
from gamekl.experiment.schema.cases import Case, Plan
from gamekl.experiment.schema.columns import result_columns
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.schema.family import FamilyConfig
from gamekl.experiment.schema.load import parse_config

# Two threads that need the same settings, or the same compiled program, do not both make them.
_making = threading.Lock()


class Work(NamedTuple):
    """All that a worker needs to make any shard of a sweep, as JSON texts, so that it travels and can be hashed.

    Attributes:
        config: `SweepConfig.canonical`.
        cases: of the plan.
        files: of the plan: payoff files and their hashes.
    """

    config: str
    cases: str
    files: str

    @classmethod
    def of(cls, config: SweepConfig, plan: Plan) -> "Work":
        """The work of a planned sweep."""
        written = plan.model_dump(mode="json")
        return cls(json.dumps(config.canonical()), json.dumps(written["cases"]), json.dumps(written["files"]))


class Shard(NamedTuple):
    """A finished shard.

    Attributes:
        content: of its Parquet file.
        rows: how many it has.
        failed: how many solves of these did not converge.
        origin: what made it.
    """

    content: bytes
    rows: int
    failed: int
    origin: Origin


class _Prepared(NamedTuple):
    config: SweepConfig
    family: FamilyConfig
    case: Case
    settings: Setting


@lru_cache(maxsize=2)
def _prepare(work: Work, number: int) -> _Prepared:
    check_files(json.loads(work.files))
    config = parse_config(json.loads(work.config))
    case = Case.model_validate(json.loads(work.cases)[number])
    family = config.family[case.family]
    return _Prepared(config, family, case, batched_settings(config, family, case))


def batched_settings(config: SweepConfig, family: FamilyConfig, case: Case) -> Setting:
    """The settings of a case in the config's dtype, with a leading axis."""
    dtype = jnp.dtype(config.dtype)
    return stack(
        [
            entry._replace(
                game=map_arrays(lambda leaf: leaf.astype(dtype), entry.game),
                regularizer=entry.regularizer.astype(dtype),
            )
            for entry in make_settings(config, family, case.tuning)
        ]
    )


def data_keys(config: SweepConfig, family: FamilyConfig, case: Case, point: int, seeds: Any) -> Array:
    """One key for each game and seed, ``[game, seed]``: each dataset is independent of all others."""
    index = family.tunings().index(case.tuning)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(family_key(config, family), 1), index), point)
    game_keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(case.num_games))

    def of_seeds(game_key: Array) -> Array:
        return jax.vmap(partial(jax.random.fold_in, game_key))(seeds)

    return jax.vmap(of_seeds)(game_keys)


def _shape(leaf: Any) -> Any:
    return jax.typeof(leaf) if eqx.is_array(leaf) else leaf


class _Task(NamedTuple):
    """A program and what it is called with."""

    program: Program
    keys: Array
    settings: Setting

    def compile(self) -> "Compiled":
        """Compile it; of a function and shapes that it compiled before, jax has kept the program."""
        whole: Any = self.program.batch, self.program.rest
        function, rest = self.program.compiled or whole
        used = function.lower(self.keys, self.settings, *rest).compile().compiled.memory_analysis()
        shapes = jax.tree.map(_shape, (self.keys, *rest))
        key = f"{function} {shapes} {jax.tree.map(jnp.shape, self.settings)}"
        memory = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
        return Compiled(key, memory, self.program.works_on_host)


def _make_task(prepared: _Prepared, point: int, seeds: Array) -> _Task:
    config, family, case, settings = prepared
    made = computing(family).make_program(family, case, case.num_samples[point])
    return _Task(made, data_keys(config, family, case, point, seeds), settings)


class Compiled(NamedTuple):
    """A chunk's program, compiled for its shapes.

    Attributes:
        key: of its kind; programs of one key are compiled once.
        memory: bytes that it takes while it runs: arguments, results and what lies between them.
        works_on_host: whether more is done there, whose memory is not known.
    """

    key: str
    memory: int
    works_on_host: bool = False


def compile_program(work: Work, number: int, point: int, num_seeds: int) -> Compiled:
    """Compile what computes a case's chunks of so many seeds (or, of those that work on the host, the estimates)."""
    with jax.enable_x64(True), _making:
        return _make_task(_prepare(work, number), point, jnp.arange(num_seeds)).compile()


def make_shard(work: Work, chunk: Chunk, mesh: Mesh | None = None) -> Shard:
    """Compute one chunk: a row for each game and seed, and for each number of rounds of families that play.

    The numbers depend on the work and the chunk, in the last digits also on what `origin` tells of this process.
    """
    with jax.enable_x64(True):
        with _making:
            prepared = _prepare(work, chunk.case)
            task = _make_task(prepared, chunk.point, chunk.first_seed + jnp.arange(chunk.num_seeds))
            if mesh is None:
                task.compile()
        results = jax.tree.map(np.asarray, compute(*task, mesh))
    config, case = prepared.config, prepared.case
    table = _tabulate(case, chunk, case.num_samples[chunk.point], results)
    metadata = {
        "gamekl_schema": str(SCHEMA_VERSION),
        "gamekl": gamekl.__version__,
        "config_sha256": config.digest(),
        "dtype": config.dtype,
    }
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd", write_page_checksum=True)
    failed = int(np.count_nonzero(results["status"]))
    return Shard(buffer.getvalue(), table.num_rows, failed, origin(1 if mesh is None else mesh.size))


def _tabulate(case: Case, chunk: Chunk, num_samples: int, results: dict[str, np.ndarray]) -> pa.Table:
    game, seed = (grid.ravel().astype(np.int32) for grid in np.indices(results["status"].shape)[:2])
    rows = len(game)

    def column(name: str, dtype: str) -> pa.Array:
        if name not in results:
            return pa.nulls(rows, pa.from_numpy_dtype(dtype))
        return pa.array(results[name].ravel().astype(dtype))

    places = {
        "case": pa.array(np.full(rows, chunk.case, dtype=np.int32)),
        "label": pa.array([case.label] * rows).dictionary_encode(),
        **{name: pa.array([value] * rows, type=pa.float64()) for name, value in case.tuning._asdict().items()},
        "num_samples": pa.array(np.full(rows, num_samples, dtype=np.int64)),
        "game": pa.array(game),
        "seed": pa.array(seed + np.int32(chunk.first_seed)),
    }
    return pa.table(places | {entry.name: column(entry.name, entry.dtype) for entry in result_columns()})


def origin(num_devices: int = 1) -> Origin:
    """Versions and device of this process, if so many devices compute a shard."""
    device = jax.devices()[0]
    return Origin(
        *(package.__version__ for package in (gamekl, jax, jaxlib, np, scipy, eqx, optax, pa)),
        python=platform.python_version(),
        platform=device.platform,
        device=_processor() if device.platform == "cpu" else device.device_kind,
        devices=num_devices,
    )


@lru_cache
def _processor() -> str:
    """For which XLA compiles, as Linux tells it: by its numbers too, because virtual machines say little else."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        text = ""
    pairs = (line.partition(":") for line in text.splitlines())
    told = {name.strip(): value.strip() for name, _, value in pairs}
    if "model name" not in told:
        return platform.processor() or platform.machine()
    return f"{told['model name']}, family {told.get('cpu family')} model {told.get('model')}"
