"""Which curves of a run share axes."""

from typing import NamedTuple

from gamekl.experiment.show.report import Summary

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
        alone = len(self.summaries) == 1 and not self.summaries[0].curve.is_tuned
        return self.summaries[0].case.name if alone else self.name

    @property
    def has_spread(self) -> bool:
        """Whether there is room for the bands of the seeds."""
        return not self.summaries[0].curve.is_tuned and len(self.summaries) <= MOST_SPREADS


def group_panels(summaries: list[Summary]) -> list[Panel]:
    """Curves that share axes, together."""
    panels: dict[tuple[str, str, str], list[Summary]] = {}
    temperatures = {
        name: {entry.case.temperature for entry in summaries if entry.case.panel == name} - {None}
        for name in {entry.case.panel for entry in summaries}
    }
    for summary in summaries:
        shared = summary.case.panel
        played = summary.held is not None and not summary.curve.is_tuned
        if summary.curve.style == "approach" and shared != summary.case.label and len(temperatures[shared]) > 1:
            shared = summary.case.tuning.name(shared)
        if played and shared == summary.case.label:  # many curves: temperatures do not share axes
            shared = summary.case.name
        metric = summary.curve.group if len(summary.case.metrics) > 1 else ""
        panels.setdefault((shared, summary.axis, metric), []).append(summary)
    return [Panel(name, axis, group) for (name, axis, _), group in panels.items()]
