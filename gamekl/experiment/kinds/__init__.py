"""What a sweep may compute. Loads no jax.

A kind is a subclass of `experiment.schema.family.FamilyConfig` in a file or folder of its own, and its name stands in
the list below; those of others are registered by modules that a config names under `plugins`.
"""

from typing import TypeVar

from gamekl.experiment.kinds.estimated.schema import Exact, Gane, Pessimistic, Played
from gamekl.experiment.kinds.follow.schema import Follow
from gamekl.experiment.kinds.lead.schema import Lead
from gamekl.experiment.kinds.online.schema import Online
from gamekl.experiment.schema.family import FamilyConfig

K = TypeVar("K", bound=type[FamilyConfig])
KINDS: dict[str, type[FamilyConfig]] = {}


def register_kind(kind: K) -> K:
    """Add a kind of sweep, under each value that its `solver` may have.

    Raises:
        ValueError: another kind has one of these names.
    """
    for name in kind.names():
        there = KINDS.setdefault(name, kind)
        if (there.__module__, there.__qualname__) != (kind.__module__, kind.__qualname__):
            raise ValueError(f"solver: got a kind named {name!r}, which there is already; takes another name")
    return kind


for _kind in (Gane, Played, Exact, Pessimistic, Follow, Lead, Online):
    register_kind(_kind)
