"""What a kind of sweep computes with: the protocol of its module, and how a program is run on devices."""

import importlib
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array

from gamekl.experiment.kinds.setting import Setting, map_arrays
from gamekl.experiment.schema.cases import Case, Prediction, Tuning
from gamekl.experiment.schema.family import FamilyConfig

Batch = Callable[..., dict[str, Array]]


class Program(NamedTuple):
    """What computes a case at one sample size.

    Attributes:
        batch: from keys ``[game, seed]``, settings with a leading axis and `rest` to the columns of results by name,
            each ``[game, seed]``, or ``[game, seed, checkpoint]`` of families that play; "status" and "unvisited" are
            among them. Jitted, unless it `works_on_host`.
        rest: what it takes beside keys and settings.
        compiled: where it works on the host too, the jitted part and the `rest` of that; None where all is jitted.
    """

    batch: Batch
    rest: tuple[Any, ...]
    compiled: tuple[Any, tuple[Any, ...]] | None = None

    @property
    def works_on_host(self) -> bool:
        """Whether not all of it is compiled."""
        return self.compiled is not None


@runtime_checkable
class Computing(Protocol):
    """The module that `FamilyConfig.computes` names. Whatever it raises as ``ValueError`` names the field."""

    def make_settings(self, family: Any, tuning: Tuning, key: Array) -> list[Setting]:
        """The family's games at one tuning, in float64, checked; `key` draws them, the same for all tunings."""
        ...

    def predict(self, family: Any, tuning: Tuning, settings: list[Setting]) -> Prediction:
        """What is known beforehand of the errors."""
        ...

    def make_program(self, family: Any, case: Case, num_samples: int) -> Program:
        """What computes a case's chunks at one sample size."""
        ...


def computing(family: FamilyConfig) -> Computing:
    """The module that computes a family."""
    return cast(Computing, importlib.import_module(family.computes))


def named(path: str) -> Any:
    """What "module:name" means."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@cache
def on_devices(batch: Batch, mesh: Mesh) -> Batch:
    """A jitted batch function with its games spread over the devices of a mesh; nothing passes between them."""
    games, everywhere = PartitionSpec("games"), PartitionSpec()

    def spread(keys: Array, settings: Setting, *rest: Any) -> dict[str, Array]:
        # What equinox says of trees is no type to pyright.
        arrays, static = cast(tuple[Any, Any], eqx.partition(rest, eqx.is_array))  # pyright: ignore[reportUnknownMemberType]

        def local(keys: Array, settings: Setting, arrays: Any) -> dict[str, Array]:
            given = cast(tuple[Any, ...], eqx.combine(arrays, static))  # pyright: ignore[reportUnknownMemberType]
            return batch(keys, settings, *given)

        specs = (games, games, everywhere)
        # Nothing to check: inside, each device works as if it were alone.
        return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=games, check_vma=False)(keys, settings, arrays)

    return eqx.filter_jit(spread)


def compute(program: Program, keys: Array, settings: Setting, mesh: Mesh | None = None) -> dict[str, Array]:
    """What the shards' columns of results are to hold, by name.

    Args:
        program: of the case.
        keys: ``[game, seed]``.
        settings: the case's, with a leading axis.
        mesh: devices over which to spread the work along its axis "games"; one device if None.

    Returns:
        Arrays ``[game, seed]``, or ``[game, seed, checkpoint]`` of families that play. Gaps are summed over players;
        those of a joint policy count where they are positive.
    """
    if mesh is None or program.works_on_host:
        return program.batch(keys, settings, *program.rest)
    games, seeds = keys.shape
    # So many parts of each game's seeds that every device gets the same number of rows.
    parts = mesh.size // math.gcd(games, mesh.size)
    width = -(-seeds // parts)
    padded = keys[:, jnp.arange(parts * width) % seeds].reshape(games * parts, width)
    repeated = map_arrays(lambda leaf: jnp.repeat(leaf, parts, axis=0), settings)
    found = on_devices(program.batch, mesh)(padded, repeated, *program.rest)
    return map_arrays(lambda leaf: leaf.reshape(games, parts * width, *leaf.shape[2:])[:, :seeds], found)
