"""What a sweep will take, before it is run: memory, compilations, time."""

import threading
import time
from typing import Any, NamedTuple

import jax

from gamekl.experiment.run.plan import Chunk, check_part, hash_files, make_chunks, part_of, plan_cases
from gamekl.experiment.run.progress import announced
from gamekl.experiment.run.shards import Compiled, Work, compile_program, make_shard
from gamekl.experiment.schema.cases import Case, Plan
from gamekl.experiment.schema.config import SweepConfig

# GiB that a chunk may take, if nothing else is said.
MEMORY = 1.0
# Seeds of a chunk where memory is no limit: results come, and are kept, in steps of this size.
MOST_SEEDS = 1000
# Seconds.
SHORT = 5.0


def _compile(work: Work, case: Case, number: int, num_seeds: int) -> Compiled:
    """The program of a case's largest sample size."""
    return compile_program(work, number, len(case.num_samples) - 1, num_seeds)


def _seeds_for_memory(config: SweepConfig, plan: Plan, number: int, memory: float | int) -> int:
    """How many seeds of a case's chunks fit into so many GiB: all of them in the fewest equal parts.

    Raises:
        ValueError: not even one does.
    """
    work, case = Work.of(config, plan), plan.cases[number]

    def taken(seeds: int) -> float:
        return _compile(work, case, number, seeds).memory / 2**30

    def in_equal_parts(seeds: int) -> int:
        return -(-case.num_seeds // -(-case.num_seeds // seeds))

    seeds = in_equal_parts(min(MOST_SEEDS, case.num_seeds))
    if (most := taken(seeds)) <= memory:
        return seeds
    if (least := taken(1)) > memory:
        raise ValueError(
            f"memory: got {memory:g} GiB, but a single seed of all games of {case.label!r} takes {least:.2g} GiB; "
            "takes more, or families of fewer games"
        )
    while most > memory:  # what a program takes is about linear in the seeds
        line = 1 + int((memory - least) / (most - least) * (seeds - 1))
        seeds = in_equal_parts(min(line, seeds - 1))
        most = taken(seeds)
    return seeds


def plan_sweep(config: SweepConfig, memory: float | int = MEMORY, stop: threading.Event | None = None) -> Plan:
    """The plan with the seeds of each chunk, as many as there is memory for; each case is named on stderr.

    What solvers that work on the host ("exact" and "pnvi") need there, beside the compiled estimate, is not counted.

    Raises:
        ValueError: a family whose games, behavior or sample sizes cannot be had, or whose games alone take too much.
        KeyboardInterrupt: `stop` was set.
    """
    names = [tuning.name(family.label) for family in config.family for tuning in family.tunings()]
    with jax.enable_x64(True):
        cases = [case for _, case in zip(announced("planning", names, stop), plan_cases(config), strict=True)]
    plan = Plan(cases=tuple(cases), files=hash_files(config))
    if config.seeds_per_chunk:
        return plan.chunked([config.seeds_per_chunk] * len(cases))
    widths = [_seeds_for_memory(config, plan, n, memory) for n in announced("measuring the memory of", names, stop)]
    return plan.chunked(widths)


class CaseForecast(NamedTuple):
    """What the chunks of one case come to.

    Attributes:
        case: the plan's.
        chunks: how many there are.
        num_seeds: of each of them, the last maybe fewer.
        memory: of each of them, bytes.
        on_host: whether the solver works on the host, where its memory is not counted.
        seconds: of all of them, one after another.
    """

    case: Case
    chunks: int
    num_seeds: int
    memory: int
    on_host: bool
    seconds: float


class Forecast(NamedTuple):
    """What a sweep, or a part of it, comes to.

    Attributes:
        cases: those that have chunks there.
        programs: how many are compiled.
        planning: seconds that the plan took, compilations among them.
    """

    cases: list[CaseForecast]
    programs: int
    planning: float


def forecast(
    config: SweepConfig,
    memory: float | int = MEMORY,
    part: tuple[int, int] | None = None,
    stop: threading.Event | None = None,
) -> Forecast:
    """Plan a sweep, compile a program of each case, and time one chunk of each kind, at the largest sample size.

    Memory is that of compiled programs: what solvers that work on the host ("exact" and "pnvi") need there, beside the
    compiled estimate, is not counted. Networks, and what learns online, take less time at smaller sizes, which is not
    counted either.

    Args:
        config: the sweep.
        memory: GiB that a chunk may take.
        part: as of `gamekl.experiment.run.sweep.run_sweep`; the forecast is of that part alone.
        stop: once it is set, no further case is begun with.

    Raises:
        ValueError: as `plan_sweep`, or there is no such part.
        KeyboardInterrupt: `stop` was set.
    """
    check_part(part)
    begun, spent = time.perf_counter(), 0.0
    plan = plan_sweep(config, memory, stop)
    work = Work.of(config, plan)
    chunks: dict[int, list[Chunk]] = {}
    for chunk in part_of(make_chunks(plan), part):
        chunks.setdefault(chunk.case, []).append(chunk)
    cases: list[CaseForecast] = []
    timed: dict[Any, float] = {}
    programs: set[Any] = set()
    names = [plan.cases[number].name for number in chunks]
    for _, (number, mine) in zip(announced("timing", names, stop), chunks.items(), strict=True):
        case = plan.cases[number]
        family, sizes = config.family[case.family], case.num_samples
        width = case.width
        compiled = _compile(work, case, number, width)
        # Cases of one program have chunks of one width, so that its key at that width tells it from all others.
        kinds = {(compiled.key, chunk.num_seeds, family.own_program(sizes[chunk.point])): chunk for chunk in mine}
        programs |= kinds.keys()
        kind, chunk = max(kinds.items(), key=lambda entry: (entry[1].point, entry[1].num_seeds))
        if (family.solver, kind) not in timed:  # on the host, solvers of one program differ
            start = time.perf_counter()
            timed[family.solver, kind] = _time(work, chunk)
            spent += time.perf_counter() - start
        seconds = timed[family.solver, kind] * sum(entry.num_seeds for entry in mine) / chunk.num_seeds
        cases.append(CaseForecast(case, len(mine), width, compiled.memory, compiled.works_on_host, seconds))
    return Forecast(cases, len(programs), time.perf_counter() - begun - spent)


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
