"""What a TOML may say of families that learn games while playing them. Loads no jax."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from gamekl.experiment.schema.cases import Curve, Prediction
from gamekl.experiment.schema.family import Sampled
from gamekl.experiment.schema.parts import STAGED, Finite, NotNegative, Positive, Strict

# The kinds of games that a class of hypotheses is for.
HYPOTHESES = {
    "tabular": ("one-shot games", "contextual"),
    "linear": ("linear",),
    "models": ("markov", "doors"),
    "values": ("markov", "doors"),
}
if TYPE_CHECKING:
    Hypothesis = str
else:
    Hypothesis = Literal[tuple(HYPOTHESES)]


class OnlineConfig(Strict):
    """What learns a game while it plays it (`gamekl.online.Mamex`).

    Attributes:
        hypotheses: the class: "tabular" (any payoffs in the payoff range), "linear" in the features of contexts and
            actions; of Markov games "models" (finitely many transitions, the rest is known) or "values" (those of the
            same models, nothing is known). Of "models" rewards are known, and noise does not matter.
        concept: the equilibrium that is played.
        exploration: None for optimism; else the greedy variant, with this probability of a uniform joint policy.
        eta: what a unit of loss costs, payoff units, times the root of the rounds; if None 1 / (2 noise), and 1 for
            "models".
        num_models: for kind "markov", how many there are, of which the last is true.
        truth: for kind "doors", the number of the true model: its binary digits are the doors that are open.
    """

    hypotheses: Hypothesis = "tabular"
    concept: Literal["nash", "ce", "cce"] = "cce"
    exploration: Annotated[float, Field(ge=0, le=1)] | None = None
    eta: Positive | None = None
    num_models: Annotated[int, Field(ge=1, le=10_000)] | None = None
    truth: Annotated[int, Field(ge=0, lt=16)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "OnlineConfig":
        if self.exploration is not None and self.eta is not None:
            raise ValueError(f"eta: got {self.eta} beside exploration, takes it for optimism only")
        return self


class Online(Sampled):
    """Learning a game while playing it; sample sizes are numbers of rounds, with a run of its own for each.

    Attributes:
        online: what is known, and what is made of it.
        payoff_range: of "tabular" hypotheses, the least and the largest one.
        noise: standard deviation of rewards.
    """

    computes = "gamekl.experiment.kinds.online.computing"
    metrics_known = ("regret",)

    solver: Literal["online"]
    online: OnlineConfig
    payoff_range: tuple[Finite, Finite] | None = None
    noise: NotNegative = 1.0

    def curves(self, expected: Prediction, sizes: Sequence[int]) -> tuple[Curve, ...]:
        """Against the rounds."""
        return tuple(self.curve(metric, expected, len(sizes), "num_rounds") for metric in self.shown)

    @model_validator(mode="after")
    def _learns(self) -> "Online":
        if self.axis != "num_samples":
            raise ValueError(f"axis: got {self.axis!r} for solver 'online', takes 'num_samples', which are its rounds")
        online, game, takes = self.online, self.game, HYPOTHESES[self.online.hypotheses]
        one_shot = game.kind not in STAGED
        if game.kind not in takes and not (one_shot and "one-shot games" in takes):
            raise ValueError(
                f"online.hypotheses: got {online.hypotheses!r} for kind {game.kind!r}, takes it for {takes}"
            )
        players = len(game.num_actions or (0, 0))
        if players != 2 and online.concept == "nash":
            raise ValueError(f"online.concept: got 'nash' of {players} players, takes it of 2")
        if self.noise == 0 and online.exploration is None and online.eta is None:
            raise ValueError(
                f"noise: got {self.noise!r} for solver 'online', takes a number > 0, or 0 beside online.eta"
            )
        for name, kind in (("num_models", "markov"), ("truth", "doors")):
            value = getattr(online, name)
            if (game.kind == kind) != (value is not None):
                got, takes = ("none", "a number") if value is None else (value, "none")
                raise ValueError(f"online.{name}: got {got} for kind {game.kind!r}, takes {takes}")
        tables = online.hypotheses == "tabular"
        if tables != (self.payoff_range is not None):
            got, takes = ("none", "one, such as [0, 1]") if tables else (list(self.payoff_range or ()), "none")
            raise ValueError(f"payoff_range: got {got} for solver 'online', takes {takes}")
        return self
