"""The curves of a run as plain text."""

import re
import textwrap
from typing import NamedTuple

import numpy as np

from gamekl.core.report.text import aligned
from gamekl.experiment.schema.cases import SYMBOLS
from gamekl.experiment.show.report import COMPARED, Summary

HEADER = ("game", "seeds x sizes", "slope [95 % interval]", "size^s mean", "predicted", "ratios at largest", "failed")
FOLLOWED_HEADER = (
    "rule",
    "after",
    "mean ± standard error",
    "proven",
    "rounds to",
    "median [quartiles]",
    "reached",
    "failed",
)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
LEGEND = (
    "size^s mean: the mean at the largest size, scaled by the rate to be expected; predicted: what that should "
    "come to, or its bound (<); ratios: mean over prediction at the largest sizes; above: gaps above their own bound; "
    "τ: temperature, payoff units per nat, which is 1/λ of a logit equilibrium."
)


def printable(text: str) -> str:
    """A user's text, less what neither a figure nor a page can hold."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _short(number: int) -> str:
    """1000 as 1e3."""
    zeros = len(str(number)) - len(str(number).rstrip("0"))
    return f"{str(number)[:-zeros]}e{zeros}" if zeros >= 3 else str(number)


def curve_name(entry: Summary) -> str:
    """What tells a curve from the others of its case; empty where there are none."""
    if entry.held is None or entry.curve.by is None:
        return ""
    name = f"{SYMBOLS[entry.curve.by]} = {_short(entry.held)}"
    return f"{name}, in the estimate" if entry.is_bound else name


def full_name(entry: Summary) -> str:
    """What tells a curve from all others of a run."""
    metric = entry.curve.title if len(entry.case.metrics) > 1 else ""
    return ", ".join(filter(None, (entry.case.name, curve_name(entry), metric)))


def rate_cells(entry: Summary) -> list[str]:
    """What stands under `HEADER`."""
    rate, ratios, power = entry.rate, entry.ratios, 0 - entry.slope
    sizes = entry.curve.num_sizes
    scaled = predicted = "none"
    if len(entry.means):
        unit = float(entry.sizes[-1]) ** power
        scaled = f"{entry.scaled[-1]:.4g} ± {entry.standard_errors[-1] * unit:.2g} (s={power:g})"
        if entry.predicted is not None:
            predicted = f"{'< ' if entry.is_bound else ''}{entry.predicted[-1] * unit:.4g}"
    failed = f"{entry.failures} of {entry.solves}"
    return [
        full_name(entry),
        f"{entry.solves // sizes} x {sizes} {SYMBOLS[entry.axis]}",
        "too few points"
        if rate is None and entry.slope
        else "none"
        if rate is None
        else f"{rate.slope:+.4f} [{rate.low:+.4f}, {rate.high:+.4f}]",
        scaled,
        predicted,
        "none" if ratios is None else " ".join(f"{ratio:.3f}" for ratio in ratios[-COMPARED:]),
        failed + (f", {entry.exceeded} above" if entry.is_bound else ""),
    ]


def point_cells(entry: Summary) -> dict[float, str]:
    """The means of a curve at the places of its own axis."""
    values = zip(entry.sizes, entry.means, entry.standard_errors, strict=True)
    return {float(size): f"{mean:.3g} ± {error:.1g}" for size, mean, error in values}


def _along(entry: Summary) -> list[str]:
    told = [f"{SYMBOLS[entry.axis]}={size:g}: {cell}" for size, cell in point_cells(entry).items()]
    return [full_name(entry), f"{entry.failures} of {entry.solves} failed", *told]


def followed_cells(entry: Summary) -> list[str]:
    """What stands under `FOLLOWED_HEADER`, of a rule that is followed."""
    value = proven = "none"
    if len(entry.means):
        value = f"{entry.means[-1]:.3g} ± {entry.standard_errors[-1]:.1g}"
        if entry.predicted is not None:
            proven = f"< {max(entry.predicted[-1], 1e-300):.3g}"
    to = middle = reached = "none"
    goal = entry.curve.goal
    if goal is not None:
        to = f"{goal:g}"
        hits = entry.first[entry.first >= 0]
        reached = f"{len(hits)} of {len(entry.first)}"
        # A run that has not come so far takes longer than all that have.
        ranked = np.where(entry.first >= 0, entry.first, np.inf)
        low, half, high = np.quantile(ranked, [0.25, 0.5, 0.75], method="inverted_cdf") if len(ranked) else [np.inf] * 3
        middle = f"{_rounds(half)} [{_rounds(low)}, {_rounds(high)}]"
    checkpoints = entry.case.num_rounds
    rounds = len(checkpoints)
    failed = f"{entry.failures // rounds} of {entry.solves // rounds}"
    failed += f", {entry.exceeded} points above" if entry.is_bound else ""
    name = ", ".join([entry.case.name, entry.curve.title])
    return [name, f"{checkpoints[-1]:,}", value, proven, to, middle, reached, failed]


def _rounds(number: float) -> str:
    return f"{number:,.0f}" if np.isfinite(number) else "never"


class Tables(NamedTuple):
    """The curves of a run by how they are told.

    Attributes:
        rates: those with a line of slopes.
        others: those along an axis of their own.
        followed: rules, once each.
    """

    rates: list[Summary]
    others: list[Summary]
    followed: list[Summary]


def split_tables(summaries: list[Summary]) -> Tables:
    """Each curve to the table in which it stands."""
    told = [entry for entry in summaries if entry.curve.in_table]
    rates, others, followed = (
        [entry for entry in told if entry.curve.style == style] for style in ("rate", "tuning", "approach")
    )
    return Tables(rates, others, followed)


def format_table(summaries: list[Summary]) -> str:
    """Plain text: slopes, scaled means beside predicted constants; means along other axes; rules."""
    rates, others, followed = split_tables(summaries)
    parts: list[str] = []
    if rates:
        parts += [*aligned([[*HEADER], *map(rate_cells, rates)]), "", textwrap.fill(LEGEND, 120)]
    if others:
        parts += [""] * bool(parts) + aligned([_along(entry) for entry in others])
    if followed:
        parts += [""] * bool(parts) + aligned([[*FOLLOWED_HEADER], *map(followed_cells, followed)])
    return "\n".join(parts)
