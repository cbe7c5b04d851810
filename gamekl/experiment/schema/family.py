"""What every family of a sweep says, of whatever kind. Loads no jax.

A kind of sweep is a subclass of `FamilyConfig`: its fields are what a TOML file may say, its methods how its cases are
told, and the module `computes` what is computed (`experiment.kinds.computing`). `experiment.kinds` lists the kinds.
"""

import itertools
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from gamekl.experiment.schema.cases import Curve, Prediction, Tuning
from gamekl.experiment.schema.metrics import METRICS
from gamekl.experiment.schema.parts import (
    STAGED,
    ExpectedConfig,
    GameConfig,
    Probability,
    SamplesConfig,
    Strict,
    Temperatures,
)

SHOWN = 4  # how many curves of one kind are shown


def some(values: Sequence[int]) -> Sequence[int]:
    """A few of them, evenly, the last among them."""
    step = max(1, -(-(len(values) - 1) // (SHOWN - 1)))
    return values[::-1][::step][::-1]


class FamilyConfig(Strict):
    """One line of the sweep: games, and what is done with them.

    Attributes:
        label: a unique name; it seeds the family's random numbers and names its shards.
        panel: families of one panel share axes in the figure; the label if None.
        game: the games.
        solver: what is done.
        metrics: which errors it shows; what the solver makes small if none is named.
    """

    computes: ClassVar[str]
    """The module that computes a family of this kind, imported when it is used."""
    metrics_known: ClassVar[tuple[str, ...]]
    """The metrics that it measures, beside those that measure any profile."""
    one_shot: ClassVar[bool] = False
    """Whether it takes no games in stages."""

    label: Annotated[str, Field(min_length=1, max_length=80)]
    panel: str | None = None
    game: GameConfig
    solver: Any  # a Literal of its names in each kind
    metrics: tuple[str, ...] = ()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The values of `solver` that this kind has."""
        return get_args(cls.model_fields["solver"].annotation)

    @property
    def is_random(self) -> bool:
        """Whether seeds differ."""
        return True

    @property
    def rounds(self) -> tuple[int, ...]:
        """After how many rounds play is measured; none where there is no play."""
        return ()

    @property
    def made_small(self) -> str:
        """The metric that the solver makes small, to which the prediction belongs."""
        return self.metrics_known[0]

    @property
    def shown(self) -> tuple[str, ...]:
        """The metrics that are shown."""
        return self.metrics or (self.made_small,)

    @property
    def expects(self) -> ExpectedConfig | None:
        """A rate known beforehand."""
        return None

    @property
    def source(self) -> str:
        """Where the constants of its predictions come from, as a figure has it."""
        return "known"

    def may_show(self) -> tuple[str, ...]:
        """The metrics that it may show."""
        return self.metrics_known

    def tunings(self) -> list[Tuning]:
        """What its cases differ in, in their order."""
        return [Tuning()]

    @abstractmethod
    def curves(self, expected: Prediction, sizes: Sequence[int]) -> tuple[Curve, ...]:
        """How a case of such sample sizes is told."""

    def sizes(self, expected: Prediction) -> tuple[int, ...]:
        """The sample sizes; (0,) where there are no data."""
        del expected
        return (0,)

    def own_program(self, num_samples: int) -> int | None:
        """What tells the program of a sample size from those of others; None where one serves all."""
        del num_samples
        return None

    def changed(self, name: str) -> bool:
        """Whether a field has another value than its default."""
        return getattr(self, name) != type(self).model_fields[name].default

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> "FamilyConfig":
        if self.game.kind in STAGED and self.one_shot:
            raise ValueError(f"solver: got {self.solver!r} for kind {self.game.kind!r}, takes one-shot games")
        if wrong := [name for name in self.metrics if name not in self.may_show()]:
            raise ValueError(f"metrics: got {wrong} for solver {self.solver!r}, takes {list(self.may_show())}")
        return self


class Sampled(FamilyConfig):
    """A family with data.

    Attributes:
        axis: what the figure shows errors against: "num_samples", or one of which the family has several values,
            "concentrability", "scale" or "temperature", at some sample sizes.
        num_samples: the sample sizes.
    """

    axis: Literal["num_samples", "concentrability", "scale", "temperature"] = "num_samples"
    num_samples: SamplesConfig = SamplesConfig()

    @property
    def may_predict(self) -> bool:
        """Whether the first sample size for which a rate holds may be known."""
        return False

    def sizes(self, expected: Prediction) -> tuple[int, ...]:
        """The sample sizes, from the first from which a prediction holds or the one that is asked for."""
        first = self.num_samples.first
        if first == "auto" and expected.remark is not None:
            raise ValueError(f"num_samples.first: got 'auto', takes a number for this family: {expected.remark}")
        return self.num_samples.numbers(expected.first if first == "auto" else first)

    def curves(self, expected: Prediction, sizes: Sequence[int]) -> tuple[Curve, ...]:
        """How a case is told: here against data, or along the family's axis at some sample sizes."""
        if self.axis == "num_samples":
            return tuple(self.curve(metric, expected, len(sizes)) for metric in self.shown)
        numbers = len({getattr(tuning, self.axis) for tuning in self.tunings()})
        return tuple(
            Curve.of(
                self.measured(metric),
                self.axis,
                numbers,
                style="tuning",
                by="num_samples",
                held=size,
                slope=expected.slope,
            )
            for metric in self.shown
            for size in some(sizes)
        )

    def measured(self, metric: str) -> str:
        """The column that tells a metric: where a joint policy is measured, that of joint policies."""
        return (METRICS[metric].coarse or metric) if self.rounds else metric

    def curve(self, metric: str, expected: Prediction, num_sizes: int, axis: str = "num_samples") -> Curve:
        """A metric against data; of what the solver does not make small the slope -1/2 is expected."""
        own = metric == self.made_small
        slope = expected.slope if own else -0.5 if METRICS[metric].vanishes else 0.0
        return Curve.of(
            metric,
            axis,
            num_sizes,
            slope=slope,
            constant=expected.constant if own else None,
            source=self.source,
            fit="independent" if slope else "none",
        )

    @model_validator(mode="after")
    def _has_sizes(self) -> "Sampled":
        if self.num_samples.first == "auto" and not self.may_predict:
            raise ValueError(f"num_samples.first: got 'auto' for solver {self.solver!r}, takes a number")
        if self.num_samples.first == "auto" and self.axis != "num_samples":
            raise ValueError(
                f"axis: got {self.axis!r} and num_samples.first 'auto', takes a number beside such an axis"
            )
        return self


class Tempered(FamilyConfig):
    """A family with temperatures.

    Attributes:
        temperatures: payoff units per nat.
    """

    temperatures: Temperatures = ()

    @property
    def has_temperatures(self) -> bool:
        """Whether the solver has one."""
        return True

    @model_validator(mode="after")
    def _has_temperatures(self) -> "Tempered":
        if self.has_temperatures and not self.temperatures:
            raise ValueError(f"temperatures: got none, takes at least one number > 0 for solver {self.solver!r}")
        if not self.has_temperatures and self.temperatures:
            raise ValueError(f"temperatures: got some for solver {self.solver!r}, takes none")
        return self


class Referenced(FamilyConfig):
    """A family whose players have references.

    Attributes:
        reference: "uniform"; or "normal", logits that are standard normal, drawn for each game; or the probabilities of
            each player's actions.
    """

    reference: Literal["uniform", "normal"] | tuple[tuple[Probability, ...], ...] = "uniform"

    @model_validator(mode="after")
    def _has_policies(self) -> "Referenced":
        if self.game.kind in STAGED and self.reference != "uniform":
            raise ValueError(f"reference: got one for kind {self.game.kind!r}, takes 'uniform'")
        if not isinstance(self.reference, str):
            for index, total in enumerate(map(math.fsum, self.reference)):
                if abs(total - 1) > 1e-9:
                    raise ValueError(f"reference.{index}: got a sum of {total}, takes probabilities that sum to 1")
        return self


def grid(*axes: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Every value of each with every one of the others; None where there is none."""
    return list(itertools.product(*(axis or (None,) for axis in axes)))
