"""What a sweep's plan says, case by case: what is computed, and how it is told. Loads no jax."""

from typing import Any, Literal, NamedTuple

from gamekl.experiment.schema.metrics import METRICS
from gamekl.experiment.schema.parts import Strict

# How axes are written, in text.
SYMBOLS = {
    "num_samples": "n",
    "num_rounds": "T",
    "num_queries": "Q",
    "temperature": "τ",
    "concentrability": "C",
    "scale": "c",
}


class Tuning(NamedTuple):
    """What a family may have several values of, in the order of its cases; None for what it does not have.

    Attributes:
        temperature: payoff units per nat.
        concentrability: C that the behavior is made to have.
        scale: of a bonus, standard deviations.
    """

    temperature: float | None = None
    concentrability: float | None = None
    scale: float | None = None

    def name(self, label: str) -> str:
        """A label with the values that there are."""
        values = [f"{SYMBOLS[name]}={value:g}" for name, value in self._asdict().items() if value is not None]
        return f"{label} ({', '.join(values)})" if values else label


class Prediction(NamedTuple):
    """What is known beforehand of a case's errors.

    Attributes:
        slope: of the mean error in the sample size n, on log-log axes; 0 where that is no line.
        constant: mean error times n^-slope, or None.
        first: the n from which that may be expected.
        remark: why there is no prediction, or None.
    """

    slope: float
    constant: float | None = None
    first: int = 1
    remark: str | None = None


class Curve(Strict):
    """How errors of a case are told: a metric along an axis, and what stands beside it.

    Attributes:
        metric: which one; its title, group, floor and first column are those that `Metric` had when it was planned.
        title: in figures and tables.
        group: metrics of one group share axes.
        has_floor: whether the solver's own gap is a part of it.
        first: the column of the first round at which it was small enough, or None.
        axis: the column of the sizes; or one of `Tuning`: then the curve goes through all cases that differ in it
            alone.
        num_sizes: how many sizes there are along the axis.
        style: "rate", a power law with its slope; "tuning", means along an axis of `Tuning`; "approach", how a rule
            comes nearer, with its first rounds within `goal`.
        in_table: whether the table has it too, or the figure alone.
        by: a column that is held at one value, or None.
        held: that value.
        slope: the exponent to expect, 0 where that is no line.
        constant: mean times size^-slope, where it is known.
        source: of the constant, as a figure has it.
        level: a number that the means should have at any size, or None.
        is_bounded: whether the column `bound` is on this metric.
        fit: how a slope is found: from sizes with data of their own, from sizes that share them, or not at all.
        goal: how small the metric is to become, or None.
    """

    metric: str
    title: str
    group: str
    has_floor: bool
    first: str | None
    axis: str
    num_sizes: int
    style: Literal["rate", "tuning", "approach"] = "rate"
    in_table: bool = True
    by: str | None = None
    held: int | None = None
    slope: float = 0.0
    constant: float | None = None
    source: str = "known"
    level: float | None = None
    is_bounded: bool = False
    fit: Literal["independent", "paired", "none"] = "none"
    goal: float | None = None

    @classmethod
    def of(cls, metric: str, axis: str, num_sizes: int, **fields: Any) -> "Curve":
        """The curve of a metric of `METRICS`."""
        known = METRICS[metric]
        told = {"title": known.title, "group": known.panel, "has_floor": known.has_floor, "first": known.first}
        return cls(metric=metric, axis=axis, num_sizes=num_sizes, **told, **fields)

    @property
    def is_tuned(self) -> bool:
        """Whether it goes through several cases."""
        return self.axis in Tuning._fields


class Case(Strict):
    """A family at one temperature, concentrability and scale.

    Attributes:
        family: its number in the config.
        label: the family's.
        panel: of the figure in which it is shown.
        solver: the family's.
        metrics: the errors that are shown.
        curves: how.
        temperature: as in `Tuning`.
        concentrability: likewise.
        scale: likewise.
        num_games: how many games there are.
        num_seeds: datasets, or runs, of each of them at each size.
        num_samples: the sample sizes; (0,) where there are no data.
        num_rounds: after how many play is measured; none where there is no play.
        slope: of the mean error against the sample size, on log-log axes; 0 where that is no line.
        constant: mean error times size^-slope, where it is known.
        remark: why it is not known, or None.
        seeds_per_chunk: how many seeds a shard has; None until that is planned.
    """

    family: int
    label: str
    panel: str
    solver: str
    metrics: tuple[str, ...]
    curves: tuple[Curve, ...]
    temperature: float | None
    concentrability: float | None
    scale: float | None
    num_games: int
    num_seeds: int
    num_samples: tuple[int, ...]
    num_rounds: tuple[int, ...]
    slope: float
    constant: float | None
    remark: str | None
    seeds_per_chunk: int | None = None

    @property
    def tuning(self) -> Tuning:
        """Its own values."""
        return Tuning(self.temperature, self.concentrability, self.scale)

    @property
    def name(self) -> str:
        """Its label, temperature, concentrability and scale."""
        return self.tuning.name(self.label)

    @property
    def width(self) -> int:
        """How many seeds its chunks have, all of them where that is not planned yet; the last one maybe fewer."""
        return min(self.seeds_per_chunk or self.num_seeds, self.num_seeds)


class Plan(Strict):
    """What a config comes to.

    Attributes:
        cases: in order.
        files: the sha256 of each payoff file that it takes, by path.
    """

    cases: tuple[Case, ...]
    files: dict[str, str]

    def chunked(self, seeds: list[int]) -> "Plan":
        """The same plan with the seeds of each case's chunks."""
        cases = [
            case.model_copy(update={"seeds_per_chunk": width}) for case, width in zip(self.cases, seeds, strict=True)
        ]
        return self.model_copy(update={"cases": tuple(cases)})
