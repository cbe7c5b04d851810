"""What a TOML may say of families whose leader learns from a follower's actions. Loads no jax."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gamekl.experiment.schema.cases import Curve, Prediction, Tuning
from gamekl.experiment.schema.family import Referenced, Sampled, Tempered, grid
from gamekl.experiment.schema.parts import NotNegative, Scales, Strict


class LeadConfig(Strict):
    """What a leader knows, and from what it learns a follower's payoffs (`gamekl.stackelberg`).

    The log announces one policy for each action of the leader, equally often: that action with more than its uniform
    share.

    Attributes:
        anchor: the leader's temperature, payoff units per nat; 0 is none. The family's are the follower's.
        lean: the probability by which an announced policy leans to its action; the rest is uniform.
        rewards: "known", the leader's payoffs; or "logged": estimated from its rewards in the log.
        optimum: which of the games are kept: those whose best policy is "interior" (each action at least 1/20),
            a "vertex" (a pure one), or "any".
        level: of the band of the plan's value, whose coverage is counted.
    """

    anchor: NotNegative
    lean: Annotated[float, Field(gt=0, le=1)] = 0.7
    rewards: Literal["known", "logged"] = "known"
    optimum: Literal["interior", "vertex", "any"] = "any"
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9


class Lead(Sampled, Tempered, Referenced):
    """A leader that learns from a follower's actions.

    Attributes:
        lead: what it knows.
        scales: how many standard errors a pessimistic plan takes off; none for the plug-in.
        noise: of logged rewards: standard deviation of Gaussian ones, or "bernoulli".
    """

    computes = "gamekl.experiment.kinds.lead.computing"
    metrics_known = ("suboptimality", "follower_error", "coverage")
    one_shot = True

    solver: Literal["lead"]
    lead: LeadConfig
    scales: Scales = ()
    noise: NotNegative | Literal["bernoulli"] = 1.0

    @property
    def source(self) -> str:
        """Where the constants come from."""
        return "delta method"

    def tunings(self) -> list[Tuning]:
        """Every temperature of the follower with every scale."""
        return [Tuning(temperature, None, scale) for temperature, scale in grid(self.temperatures, self.scales)]

    def curve(self, metric: str, expected: Prediction, num_sizes: int, axis: str = "num_samples") -> Curve:
        """Coverage has its level at any size."""
        found = super().curve(metric, expected, num_sizes, axis)
        if metric != "coverage":
            return found
        return found.model_copy(update={"level": self.lead.level})

    @model_validator(mode="after")
    def _leads(self) -> "Lead":
        players = len(self.game.num_actions or (0, 0))
        if players != 2:
            raise ValueError(f"game.num_actions: got {players} players for solver 'lead', takes leader and follower")
        if self.lead.rewards == "known" and self.changed("noise"):
            raise ValueError(f"noise: got {self.noise!r} for known rewards, takes it for rewards = 'logged'")
        return self
