"""Which curves of a run share axes."""

from typing import NamedTuple

from gamekl.experiment.run.plan import TUNING
from gamekl.experiment.show.report import Summary
from gamekl.experiment.show.table import case_name

KINDS = {
    "regularized_gap": "regularised",
    "regularized_cce_gap": "regularised",
    "nash_gap": "unregularised",
    "cce_gap": "unregularised",
    "average_nash_gap": "averages",
    "kl": "KL",
    "suboptimality": "suboptimality",
    "follower_error": "follower",
    "coverage": "coverage",
    "regret": "regret",
}
MOST_SPREADS = 3  # bands of more curves would hide each other


class Panel(NamedTuple):
    """The curves that share axes.

    Attributes:
        name: of the group of families.
        axis: what the errors are shown against.
        summaries: the curves.
    """

    name: str
    axis: str
    summaries: list[Summary]

    @property
    def title(self) -> str:
        """What stands above it: a curve that is alone is named in full."""
        alone = len(self.summaries) == 1 and self.axis not in TUNING
        return case_name(self.summaries[0].case) if alone else self.name

    @property
    def has_spread(self) -> bool:
        """Whether there is room for the bands of the seeds."""
        return self.axis not in TUNING and len(self.summaries) <= MOST_SPREADS


def group_panels(summaries: list[Summary]) -> list[Panel]:
    """Curves that share axes, together."""
    panels: dict[tuple[str, str, str], list[Summary]] = {}
    temperatures = {
        name: {entry.case["temperature"] for entry in summaries if entry.case["panel"] == name} - {None}
        for name in {entry.case["panel"] for entry in summaries}
    }
    for summary in summaries:
        shared = summary.case["panel"]
        played = summary.held is not None and summary.axis not in TUNING
        if summary.case["reach"] is not None and shared != summary.case["label"] and len(temperatures[shared]) > 1:
            shared = case_name(summary.case | {"label": shared})
        if played and shared == summary.case["label"]:  # many curves: temperatures do not share axes
            shared = case_name(summary.case)
        metric = KINDS[summary.metric] if len(summary.case["metrics"]) > 1 else ""
        panels.setdefault((shared, summary.axis, metric), []).append(summary)
    return [Panel(name, axis, group) for (name, axis, _), group in panels.items()]
