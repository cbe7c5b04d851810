"""What shards were made with, and what is told where that differs. Loads no jax."""

from collections.abc import Iterable
from typing import Any, NamedTuple


class Origin(NamedTuple):
    """Versions and device of a process that makes shards; None is what the manifest of an older gamekl does not tell.

    Attributes:
        gamekl, jax, jaxlib, numpy, scipy, equinox, optax, pyarrow, python: versions.
        platform: "cpu", "gpu" or "tpu".
        device: its kind; of "cpu" that of the processor.
        devices: how many computed each shard together.
    """

    gamekl: str | None = None
    jax: str | None = None
    jaxlib: str | None = None
    numpy: str | None = None
    scipy: str | None = None
    equinox: str | None = None
    optax: str | None = None
    pyarrow: str | None = None
    python: str | None = None
    platform: str | None = None
    device: str | None = None
    devices: int | None = None

    @classmethod
    def read(cls, facts: dict[str, Any]) -> "Origin":
        """The origin that a manifest's line tells, which another gamekl may have written."""
        return cls(**{name: facts[name] for name in cls._fields if name in facts})


# On all else the last digits hang: jax calls scipy's LAPACK on CPUs, and XLA compiles for the processor that is there.
# On pyarrow only the bytes of a shard's file do.
NOT_OF_NUMBERS = ("pyarrow", "python")


class Run(NamedTuple):
    """What workers of one kind added in one run.

    Attributes:
        origin: of these workers.
        shards: how many they made, less those that were made anew since.
    """

    origin: Origin
    shards: int


def _word(fact: str | int | None) -> str:
    return "not recorded" if fact is None else str(fact)


def _of_numbers(origins: Iterable[Origin]) -> list[str]:
    """The fields of these in which they differ and on which numbers hang."""
    origins = list(origins)
    return [
        name
        for name in Origin._fields
        if name not in NOT_OF_NUMBERS and len({getattr(origin, name) for origin in origins}) > 1
    ]


def differences(there: Origin, here: Origin) -> str:
    """In words, all in which the two differ and on which numbers hang; nothing where these are the same bits."""
    return ", ".join(
        f"{name} {_word(getattr(there, name))} there, {_word(getattr(here, name))} here"
        for name in _of_numbers([there, here])
    )


def mixture(runs: Iterable[Run]) -> str:
    """In words, what made how many shards of a run whose numbers are not all of one kind; else nothing."""
    shards: dict[Origin, int] = {}
    for run in runs:
        if run.shards:
            shards[run.origin] = shards.get(run.origin, 0) + run.shards
    fields = _of_numbers(shards)
    kinds: dict[str, int] = {}
    for origin, count in shards.items():
        kind = ", ".join(f"{name} {_word(getattr(origin, name))}" for name in fields)
        kinds[kind] = kinds.get(kind, 0) + count
    return "; ".join(f"{count:,} by {kind}" for kind, count in kinds.items()) if fields else ""
