"""What a config comes to: its cases with sample sizes and predicted rates, its chunks."""

import hashlib
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp

from gamekl.experiment.kinds.computing import computing
from gamekl.experiment.kinds.setting import Setting, games_key
from gamekl.experiment.schema.cases import Case, Plan, Tuning
from gamekl.experiment.schema.config import SweepConfig
from gamekl.experiment.schema.family import FamilyConfig
from gamekl.offline.draws import MAX_EXACT


class Chunk(NamedTuple):
    """The work of one shard: one case at one sample size, a block of seeds.

    Attributes:
        name: of the shard.
        case: index into the plan's cases.
        point: index into the case's sample sizes.
        first_seed: of the block.
        num_seeds: how many there are.
    """

    name: str
    case: int
    point: int
    first_seed: int
    num_seeds: int


def make_settings(config: SweepConfig, family: FamilyConfig, tuning: Tuning) -> list[Setting]:
    """The family's games at one tuning, in float64, checked."""
    return computing(family).make_settings(family, tuning, games_key(config, family))


def _case(config: SweepConfig, number: int, family: FamilyConfig, tuning: Tuning) -> Case:
    settings = make_settings(config, family, tuning)
    found = computing(family).predict(family, tuning, settings)
    sizes = family.sizes(found)
    if len(set(sizes)) < len(sizes) or sizes[-1] > MAX_EXACT[jnp.dtype("float64")]:
        raise ValueError(f"num_samples: got sizes {list(sizes)}, takes sizes that differ, up to 2^53")
    if family.expects is not None:
        found = found._replace(slope=family.expects.slope, constant=family.expects.constant)
    return Case(
        family=number,
        label=family.label,
        panel=family.panel or family.label,
        solver=family.solver,
        metrics=family.shown,
        curves=family.curves(found, sizes),
        **tuning._asdict(),
        num_games=len(settings),
        num_seeds=config.num_seeds if family.is_random else 1,
        num_samples=sizes,
        num_rounds=family.rounds,
        slope=found.slope,
        constant=found.constant,
        remark=found.remark,
    )


def _hash(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def hash_files(config: SweepConfig) -> dict[str, str]:
    """The sha256 of each payoff file, by which a change is noticed."""
    paths = [str(family.game.path) for family in config.family if family.game.kind == "file"]
    return {path: _hash(path) for path in paths}


def check_files(files: dict[str, str]) -> None:
    """Raise ``ValueError`` unless this machine has the payoff files that the sweep was planned with."""
    for path, digest in files.items():
        try:
            there = _hash(path)
        except OSError as error:
            raise ValueError(
                f"game.path: got {path}, which {platform.node()} cannot read ({error.strerror}); takes a file that "
                "every worker has"
            ) from error
        if there != digest:
            raise ValueError(
                f"game.path: got {path}, which is not (on {platform.node()}) what the sweep was planned with; takes "
                "that file, or a new folder (--out)"
            )


def plan_cases(config: SweepConfig) -> Iterator[Case]:
    """The cases of a sweep, one by one: family by tuning, with sample sizes and predicted rates.

    Raises:
        ValueError: a family whose games, behavior or sample sizes cannot be had; the message names it.
    """
    for index, family in enumerate(config.family):
        for tuning in family.tunings():
            try:
                yield _case(config, index, family, tuning)
            except (ValueError, OSError) as error:
                raise ValueError(f"family.{index} ({family.label}): {error}") from error


def make_plan(config: SweepConfig) -> Plan:
    """All of `plan_cases`, and the hashes of payoff files."""
    return Plan(cases=tuple(plan_cases(config)), files=hash_files(config))


def make_chunks(plan: Plan) -> list[Chunk]:
    """The chunks of a plan, in order."""
    chunks: list[Chunk] = []
    for number, case in enumerate(plan.cases):
        slug = re.sub(r"[^a-z0-9]+", "-", case.label.lower()).strip("-")
        width = case.width
        for point in range(len(case.num_samples)):
            for block, first in enumerate(range(0, case.num_seeds, width)):
                name = f"{number:03d}-{slug}-n{point:03d}-b{block:04d}"
                chunks.append(Chunk(name, number, point, first, min(width, case.num_seeds - first)))
    return chunks


def check_part(part: tuple[int, int] | None) -> None:
    """Raise ``ValueError`` unless it is (k, n) with k from 1 to n, or None."""
    if part is not None and not 1 <= part[0] <= part[1]:
        raise ValueError(f"chunk: got {part[0]}/{part[1]}, takes K/N with K from 1 to N")


def part_of(chunks: list[Chunk], part: tuple[int, int] | None) -> list[Chunk]:
    """The k-th of n parts, as equal as can be, or all; neighbours stay together: a part has few shapes to compile."""
    k, n = part or (1, 1)
    return chunks[len(chunks) * (k - 1) // n : len(chunks) * k // n]
