"""The curves of a run as plain text."""

import re
import textwrap
from typing import Any

from gamekl.experiment.plan import TUNING
from gamekl.experiment.report import COMPARED, Summary

METRIC_NAMES = {
    "regularized_gap": "regularised gap",
    "nash_gap": "Nash gap",
    "regularized_cce_gap": "regularised CCE gap",
    "cce_gap": "CCE gap",
}
SYMBOLS = {"num_samples": "n", "num_steps": "T", "temperature": "τ", "concentrability": "C", "scale": "c"}
HEADER = ("game", "seeds x sizes", "slope [95 % interval]", "size^s E[gap]", "predicted", "ratios at largest", "failed")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
LEGEND = (
    "size^s E[gap]: the mean gap at the largest size, scaled by the rate to be expected; predicted: what that should "
    "come to, or its bound (<); ratios: mean over prediction at the largest sizes; above: gaps above their own bound."
)


def printable(text: str) -> str:
    """A user's text, less what neither a figure nor a page can hold."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def case_name(case: dict[str, Any]) -> str:
    """Label, temperature, concentrability and scale of a case."""
    values = [f"{SYMBOLS[name]}={case[name]:g}" for name in TUNING if case[name] is not None]
    return f"{case['label']} ({', '.join(values)})" if values else case["label"]


def _short(number: int) -> str:
    """1000 as 1e3."""
    zeros = len(str(number)) - len(str(number).rstrip("0"))
    return f"{str(number)[:-zeros]}e{zeros}" if zeros >= 3 else str(number)


def curve_name(entry: Summary) -> str:
    """What tells a curve from the others of its case; empty where there are none."""
    if entry.held is None:
        return ""
    name = f"{SYMBOLS['num_steps' if entry.axis == 'num_samples' else 'num_samples']} = {_short(entry.held)}"
    return f"{name}, in the estimate" if entry.is_bound else name


def full_name(entry: Summary) -> str:
    """What tells a curve from all others of a run."""
    metric = METRIC_NAMES[entry.metric] if len(entry.case["metrics"]) > 1 else ""
    return ", ".join(filter(None, (case_name(entry.case), curve_name(entry), metric)))


def rate_cells(entry: Summary) -> list[str]:
    """What stands under `HEADER`."""
    rate, ratios, power = entry.rate, entry.ratios, -entry.slope
    scaled = predicted = "none"
    if len(entry.means):
        unit = float(entry.sizes[-1]) ** power
        scaled = f"{entry.scaled[-1]:.4g} ± {entry.standard_errors[-1] * unit:.2g} (s={power:g})"
        if entry.predicted is not None:
            predicted = f"{'< ' if entry.is_bound else ''}{entry.predicted[-1] * unit:.4g}"
    failed = f"{entry.failures} of {entry.solves}"
    return [
        full_name(entry),
        f"{entry.solves // len(entry.case[entry.axis])} x {len(entry.case[entry.axis])} {SYMBOLS[entry.axis]}",
        "too few points" if rate is None else f"{rate.slope:+.4f} [{rate.low:+.4f}, {rate.high:+.4f}]",
        scaled,
        predicted,
        "none" if ratios is None else " ".join(f"{ratio:.3f}" for ratio in ratios[-COMPARED:]),
        failed + (f", {entry.exceeded} above" if entry.is_bound else ""),
    ]


def aligned(lines: list[list[str]]) -> list[str]:
    """Cells under each other; lines may be of unequal lengths."""
    columns = max(map(len, lines))
    padded = [[*line, *[""] * (columns - len(line))] for line in lines]
    widths = [max(map(len, column)) for column in zip(*padded, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in padded]
    return [row.rstrip() for row in rows]


def point_cells(entry: Summary) -> dict[float, str]:
    """The means of a curve at the places of its own axis."""
    values = zip(entry.sizes, entry.means, entry.standard_errors, strict=True)
    return {float(size): f"{mean:.3g} ± {error:.1g}" for size, mean, error in values}


def _along(entry: Summary) -> list[str]:
    told = [f"{SYMBOLS[entry.axis]}={size:g}: {cell}" for size, cell in point_cells(entry).items()]
    return [full_name(entry), f"{entry.failures} of {entry.solves} failed", *told]


def split_tables(summaries: list[Summary]) -> tuple[list[Summary], list[Summary]]:
    """The curves that have a line of slopes, and those that are shown along an axis of their own."""
    rates = [entry for entry in summaries if entry.axis == "num_samples" or entry.is_bound]
    return rates, [entry for entry in summaries if entry.axis in TUNING]


def format_table(summaries: list[Summary]) -> str:
    """Plain text: slopes, and size^-slope E[gap] beside the predicted constant; then means along other axes."""
    rates, others = split_tables(summaries)
    parts = []
    if rates:
        parts += [*aligned([[*HEADER], *map(rate_cells, rates)]), "", textwrap.fill(LEGEND, 120)]
    if others:
        parts += [""] * bool(parts) + aligned([_along(entry) for entry in others])
    return "\n".join(parts)
