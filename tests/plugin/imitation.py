"""What users write outside of the package: a kind of sweep, a rule, an estimator and a metric, in one module."""

from typing import Literal

from gamekl.experiment.kinds import register_kind
from gamekl.experiment.kinds.estimated.estimators import Estimator, register_estimator
from gamekl.experiment.kinds.follow.rules import register_rule
from gamekl.experiment.schema.cases import Tuning
from gamekl.experiment.schema.family import Referenced, Sampled, Tempered, grid
from gamekl.experiment.schema.metrics import Metric, register_metric
from gamekl.rules import Listed

register_metric(
    Metric(
        name="welfare_loss",
        title="loss of welfare",
        unit="payoff",
        meaning="what players earn less than they could together",
        panel="welfare",
        vanishes=False,
        has_floor=False,
        measure="plugin.computing:welfare_loss",
    )
)
register_metric(Metric("imitation_error", "error of imitation", "", "squared errors of policies", has_floor=False))
register_estimator(Estimator("outside_shrunk", "plugin.computing:shrunk"))
register_rule(Listed("plugin.computing:Slow", "outside_slow", anchored=True, tempered=True))


@register_kind
class Imitate(Sampled, Tempered, Referenced):
    """Players of a regularised equilibrium are observed, and imitated.

    Attributes:
        prior: rows that are added for each action before anything is seen.
    """

    computes = "plugin.computing"
    metrics_known = ("imitation_error",)

    solver: Literal["imitate"]
    prior: float = 0.0

    def tunings(self) -> list[Tuning]:
        return [Tuning(temperature=value) for (value,) in grid(self.temperatures)]
