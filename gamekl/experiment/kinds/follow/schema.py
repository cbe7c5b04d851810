"""What a TOML may say of families that follow a rule. Loads no jax."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gamekl.experiment.kinds.follow.rules import RULES
from gamekl.experiment.schema.cases import Curve, Prediction, Tuning
from gamekl.experiment.schema.family import Referenced, Tempered, grid
from gamekl.experiment.schema.parts import Positive, RoundsConfig, Strict, one_of


class RuleConfig(Strict):
    """A rule of `RULES`, and what is looked for.

    Attributes:
        name: of the rule; those of `gamekl.rules` are in lower case.
        step_size: nats per payoff unit (of "extragradient", "halpern" and "aog" inverse payoff units), or
            "temperature", as large as that; or "proven", for kind "preference": the steps of the rule's proof, with the
            bound on the KL that goes with them where values are told.
        magnet_rounds: for "mpo", after how many rounds the magnet is moved.
        num_queries: ask for wins so often for each action in place of being told its value; of preferences.
        tol: total regularised gap, payoff units, whose first round is looked for.
        kl_tol: likewise the total KL from the anchored equilibrium, nats, of rules that head for it.
    """

    name: Annotated[str, one_of(RULES)]
    step_size: Positive | Literal["proven", "temperature"]
    magnet_rounds: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    num_queries: Annotated[int, Field(ge=1)] | None = None
    tol: Positive = 1e-6
    kl_tol: Positive = 1e-10

    @model_validator(mode="after")
    def _fits_name(self) -> "RuleConfig":
        rule = RULES[self.name]
        if rule.has_magnet != (self.magnet_rounds is not None):
            got, takes = ("none", "a number") if rule.has_magnet else (self.magnet_rounds, "none")
            raise ValueError(f"magnet_rounds: got {got} for {self.name!r}, takes {takes}")
        if self.step_size == "proven" and not rule.proven:
            proven = tuple(name for name, entry in RULES.items() if entry.proven)
            raise ValueError(f"step_size: got 'proven' for {self.name!r}, takes it for {proven} only")
        if self.step_size == "temperature" and not rule.tempered:
            raise ValueError(f"step_size: got 'temperature' for {self.name!r}, which has none; takes a number")
        return self


class Follow(Tempered, Referenced):
    """A rule in the true game, from no data.

    Attributes:
        rule: the rule.
        num_rounds: the rounds after which to measure.
        axis: "num_rounds", or "num_queries", which is shown beside that.
        metrics: "regularized_gap" and "kl" of rules that head for the anchored equilibrium; "nash_gap" and
            "average_nash_gap" of all.
    """

    computes = "gamekl.experiment.kinds.follow.computing"
    metrics_known = ("regularized_gap", "nash_gap", "average_nash_gap", "kl")
    one_shot = True

    solver: Literal["follow"]
    rule: RuleConfig
    num_rounds: RoundsConfig
    axis: Literal["num_rounds", "num_queries"] = "num_rounds"

    @property
    def is_anchored(self) -> bool:
        """Whether the rule heads for the anchored equilibrium."""
        return RULES[self.rule.name].anchored

    @property
    def has_temperatures(self) -> bool:
        """Whether the rule has one."""
        return RULES[self.rule.name].tempered

    @property
    def is_random(self) -> bool:
        """Whether values are asked for: else all seeds are one."""
        return self.rule.num_queries is not None

    @property
    def rounds(self) -> tuple[int, ...]:
        """After how many rounds play is measured."""
        return self.num_rounds.numbers()

    @property
    def made_small(self) -> str:
        """The gap of what the rule heads for."""
        return "regularized_gap" if self.is_anchored else "nash_gap"

    def may_show(self) -> tuple[str, ...]:
        """The metrics that the rule has."""
        return self.metrics_known if self.is_anchored else ("nash_gap", "average_nash_gap")

    def tunings(self) -> list[Tuning]:
        """The cases: one for each temperature."""
        return [Tuning(temperature=value) for (value,) in grid(self.temperatures)]

    def curves(self, expected: Prediction, sizes: Sequence[int]) -> tuple[Curve, ...]:
        """Against the rounds, and against queries if that is asked for."""
        del expected, sizes
        goals = {"regularized_gap": self.rule.tol, "kl": self.rule.kl_tol}
        return tuple(
            Curve.of(
                metric,
                axis,
                len(self.rounds),
                style="approach",
                in_table=axis == "num_rounds",
                slope=-0.5,
                is_bounded=metric == "kl",
                goal=goals.get(metric),
            )
            for metric in self.shown
            for axis in dict.fromkeys(("num_rounds", self.axis))
        )

    @model_validator(mode="after")
    def _may_prove(self) -> "Follow":
        if self.rule.step_size == "proven" and self.game.kind != "preference":
            raise ValueError(
                f"rule.step_size: got 'proven' for kind {self.game.kind!r}, takes a number, as the proofs are for "
                "preferences"
            )
        return self
