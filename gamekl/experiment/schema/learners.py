"""The parts of a sweep's schema for leaders that learn from a follower, and for learning online. Loads no jax."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gamekl.experiment.schema.parts import GameConfig, Positive, Strict

LED_METRICS = ("suboptimality", "follower_error", "coverage")
ONLINE_METRICS = ("regret",)
# The kinds of games that a class of hypotheses is for.
HYPOTHESES = {
    "tabular": ("one-shot games", "contextual"),
    "linear": ("linear",),
    "models": ("markov", "doors"),
    "values": ("markov", "doors"),
}


class LeadConfig(Strict):
    """What a leader knows, and from what it learns a follower's payoffs (solver "lead", of `gamekl.stackelberg`).

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

    anchor: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    lean: Annotated[float, Field(gt=0, le=1)] = 0.7
    rewards: Literal["known", "logged"] = "known"
    optimum: Literal["interior", "vertex", "any"] = "any"
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9


class OnlineConfig(Strict):
    """What learns a game while it plays it (solver "online", of `gamekl.online.Mamex`); sample sizes are rounds.

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

    hypotheses: Literal[tuple(HYPOTHESES)] = "tabular"  # pyright: ignore[reportInvalidTypeForm]
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

    def check_game(self, game: GameConfig, one_shot: bool, noise: float | str) -> None:
        """Raise ``ValueError`` unless the class is for such games and such noise."""
        takes = HYPOTHESES[self.hypotheses]
        if game.kind not in takes and not (one_shot and "one-shot games" in takes):
            raise ValueError(f"online.hypotheses: got {self.hypotheses!r} for kind {game.kind!r}, takes it for {takes}")
        players = len(game.num_actions or (0, 0))
        if players != 2 and self.concept == "nash":
            raise ValueError(f"online.concept: got 'nash' of {players} players, takes it of 2")
        if noise == "bernoulli" or (noise == 0 and self.exploration is None and self.eta is None):
            raise ValueError(f"noise: got {noise!r} for solver 'online', takes a number > 0, or 0 beside online.eta")
        for name, kind in (("num_models", "markov"), ("truth", "doors")):
            value = getattr(self, name)
            if (game.kind == kind) != (value is not None):
                got, takes = ("none", "a number") if value is None else (value, "none")
                raise ValueError(f"online.{name}: got {got} for kind {game.kind!r}, takes {takes}")
