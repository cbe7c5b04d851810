"""What a sweep will take, before it is run: memory, compilations, time."""

import time
from typing import Any, NamedTuple

import jax

from gamekl.experiment.config import SweepConfig
from gamekl.experiment.plan import Chunk, make_chunks, make_plan
from gamekl.experiment.shards import Work, compile_program, make_shard
from gamekl.experiment.table import aligned, case_name

# GiB that a chunk may take, if nothing else is said.
MEMORY = 1.0
# Seeds of a chunk where memory is no limit: results come, and are kept, in steps of this size.
MOST_SEEDS = 1000
# Seconds.
SHORT = 5.0


def _seeds_for_memory(config: SweepConfig, plan: dict[str, Any], number: int, memory: float) -> int:
    """How many seeds of a case's chunks fit into so many GiB: all of them in the fewest equal parts.

    Raises:
        ValueError: not even one does.
    """
    work, seeds = Work.of(config, plan), min(MOST_SEEDS, config.num_seeds)
    largest = len(plan["cases"][number]["num_samples"]) - 1
    while (taken := compile_program(work, number, largest, seeds).memory / 2**30) > memory:
        if seeds == 1:
            label = plan["cases"][number]["label"]
            raise ValueError(
                f"memory: got {memory:g} GiB, but a single seed of all games of {label!r} takes {taken:.2g} GiB; takes "
                "more, or families of fewer games"
            )
        seeds = max(1, min(seeds - 1, int(seeds * memory / taken)))
    parts = -(-config.num_seeds // seeds)
    return -(-config.num_seeds // parts)


def plan_sweep(config: SweepConfig, memory: float = MEMORY) -> dict[str, Any]:
    """The plan with the seeds of each chunk, as many as there is memory for.

    Raises:
        ValueError: a family whose games, behavior or sample sizes cannot be had, or whose games alone take too much.
    """
    with jax.enable_x64(True):
        plan = make_plan(config)
    for number, case in enumerate(plan["cases"]):
        case["seeds_per_chunk"] = config.seeds_per_chunk or _seeds_for_memory(config, plan, number, memory)
    return plan


class Forecast(NamedTuple):
    """What a sweep comes to.

    Attributes:
        cases: the plan's.
        num_seeds: of the sweep.
        chunks: of each case.
        memory: of each case's chunks, bytes.
        seconds: of each case's chunks, one after another.
        programs: how many are compiled.
        planning: seconds that the plan took, compilations among them.
    """

    cases: list[dict[str, Any]]
    num_seeds: int
    chunks: list[int]
    memory: list[int]
    seconds: list[float]
    programs: int
    planning: float


def forecast(config: SweepConfig, memory: float = MEMORY) -> Forecast:
    """Plan a sweep, compile each of its programs, and time one chunk of each, at the largest sample size.

    Raises:
        ValueError: as `plan_sweep`.
    """
    begun = time.perf_counter()
    plan = plan_sweep(config, memory)
    work = Work.of(config, plan)
    chunks: list[list[Chunk]] = [[] for _ in plan["cases"]]
    for chunk in make_chunks(config, plan):
        chunks[chunk.case].append(chunk)
    largest = [next(chunk for chunk in mine if chunk.point == mine[-1].point) for mine in chunks]
    compiled = [compile_program(work, chunk.case, chunk.point, chunk.num_seeds) for chunk in largest]
    planning = time.perf_counter() - begun
    shown = {program.key: chunk for program, chunk in zip(compiled, largest, strict=True)}
    timed = {key: _time(work, chunk) for key, chunk in shown.items()}
    return Forecast(
        cases=plan["cases"],
        num_seeds=config.num_seeds,
        chunks=[len(mine) for mine in chunks],
        memory=[program.memory for program in compiled],
        seconds=[timed[program.key] * len(mine) for program, mine in zip(compiled, chunks, strict=True)],
        programs=len(timed),
        planning=planning,
    )


def _time(work: Work, chunk: Chunk) -> float:
    """Seconds for a chunk; a short one is done again, as the first takes longer."""
    start = time.perf_counter()
    make_shard(work, chunk)
    taken = time.perf_counter() - start
    if taken > SHORT:
        return taken
    start = time.perf_counter()
    make_shard(work, chunk)
    return time.perf_counter() - start


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(memory: float) -> str:
    return f"{memory / 2**20:.0f} MiB" if memory < 2**30 else f"{memory / 2**30:.2f} GiB"


def format_forecast(found: Forecast, num_workers: int) -> str:
    """As a table, with the sum for so many workers at once."""
    lines = [["game", "games x seeds x sizes", "shards", "seeds of each", "memory of each", "time, one after another"]]
    for case, chunks, memory, seconds in zip(found.cases, found.chunks, found.memory, found.seconds, strict=True):
        sizes, width = len(case["num_samples"]), case["seeds_per_chunk"]
        cells = f"{case['num_games']} x {found.num_seeds} x {sizes}"
        lines.append([case_name(case), cells, str(chunks), str(width), _size(memory), _duration(seconds)])
    total, memory = sum(found.seconds) / num_workers, max(found.memory) * num_workers
    summary = (
        f"{sum(found.chunks)} shards; programs to compile: {found.programs} (planned and compiled in "
        f"{_duration(found.planning)}); about {_duration(total)} and {_size(memory)} with {num_workers} at once"
    )
    return "\n".join([*aligned(lines), "", summary])
