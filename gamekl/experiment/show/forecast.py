"""What a sweep will take, as text."""

from gamekl.core.report.text import aligned
from gamekl.experiment.run.forecast import Forecast

HOST = "the host's: what a solver needs there beside what is compiled, which is not counted"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(memory: int) -> str:
    return f"{memory / 2**20:.0f} MiB" if memory < 2**30 else f"{memory / 2**30:.2f} GiB"


def format_forecast(found: Forecast, num_workers: int) -> str:
    """The forecast as a table, with the sum for so many workers at once."""
    lines = [["game", "games x seeds x sizes", "shards", "seeds of each", "memory of each", "time, one after another"]]
    for case, chunks, width, memory, on_host, seconds in found.cases:
        cells = f"{case.num_games} x {case.num_seeds} x {len(case.num_samples)}"
        size = _size(memory) + (" and the host's" if on_host else "")
        lines.append([case.name, cells, str(chunks), str(width), size, _duration(seconds)])
    total = sum(entry.seconds for entry in found.cases) / num_workers
    memory = max((entry.memory for entry in found.cases), default=0) * num_workers
    summary = (
        f"{sum(entry.chunks for entry in found.cases)} shards; programs to compile: {found.programs} (planned and "
        f"compiled in {_duration(found.planning)}); about {_duration(total)} and {_size(memory)} with {num_workers} at "
        "once"
    )
    notes = [HOST] * any(entry.on_host for entry in found.cases)
    return "\n".join([*aligned(lines), "", summary, *notes])
