"""The parts of a sweep's schema: games, sample sizes, rounds, rules. Loads no jax."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field, model_validator

CLASSIC = (
    "rock_paper_scissors",
    "perturbed_rock_paper_scissors",
    "matching_pennies",
    "coordination",
    "chicken",
    "shapley",
    "donation",
    "prisoners_dilemma",
)
FEATURED = ("linear", "context_linear", "smooth")
STAGED = ("contextual", "markov", "doors", *FEATURED)
RANDOM = ("uniform", "normal", "zero_sum", "covariant", "potential", "polymatrix", "preference")
DRAWN = (*RANDOM, "contextual", "markov", *FEATURED)

# Rules that head for the anchored equilibrium, and the others.
ANCHORED = ("mmd", "nash_md", "inpo", "egpo", "nash_mp")
UNANCHORED = ("spo", "onpo", "mnpo", "mpo", "extragradient", "halpern", "aog")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Concentrability = Annotated[float, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Strict(pydantic.BaseModel):
    """Frozen, and without unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=False, ser_json_inf_nan="constants")


class GameConfig(Strict):
    """Which games a family has.

    Attributes:
        kind: a classic game, a random family, random games in stages ("contextual", "markov", and with features
            "linear", "context_linear", "smooth"), "doors" (a class of Markov games, for "online"), or "file".
        num_actions: actions of each player, for random families.
        num_games: how many games are drawn, for random families.
        seed: of the random games, which families of one seed share; the sweep's and the label's if None.
        rewards: the random family of each stage's rewards, for "contextual" and "markov".
        parameters: further arguments of the constructor in `gamekl.games`.
        path: of the payoff file, for kind "file"; relative to the folder in which the sweep is started.
    """

    kind: Literal[(*CLASSIC, *RANDOM, *STAGED, "file")]  # pyright: ignore[reportInvalidTypeForm]
    num_actions: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    num_games: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    rewards: Literal[RANDOM] | None = None  # pyright: ignore[reportInvalidTypeForm]
    parameters: dict[str, float | int] = {}
    path: str | None = None

    @model_validator(mode="after")
    def _fits_kind(self) -> "GameConfig":
        if self.kind in DRAWN and not self.num_actions:
            raise ValueError(f"num_actions: got none, takes the actions of each player for kind {self.kind!r}")
        if self.kind not in DRAWN and (self.num_actions or self.num_games != 1 or self.seed is not None):
            raise ValueError(
                f"num_actions, num_games, seed: got one for kind {self.kind!r}, takes them for {DRAWN} only"
            )
        if self.kind not in ("contextual", "markov") and self.rewards is not None:
            raise ValueError(
                f"rewards: got {self.rewards!r} for kind {self.kind!r}, takes it for 'contextual' and 'markov' only"
            )
        if (self.kind == "file") != (self.path is not None):
            raise ValueError(f"path: got {self.path!r} for kind {self.kind!r}, takes a path for kind 'file' only")
        return self


class SamplesConfig(Strict):
    """The sample sizes of a family: `points` of them, evenly spaced in log n over `decades`.

    Attributes:
        first: the least n, or "auto": the n from which 1/n may be expected (`gamekl.evaluate.first_sample_size`).
        decades: how far they reach.
        points: how many there are.
    """

    first: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    decades: Annotated[float, Field(gt=0, le=12)] = 3.0
    points: Annotated[int, Field(ge=2, le=1000)] = 10


class RoundsConfig(Strict):
    """After how many rounds a family that plays is measured: `points` numbers, evenly spaced in log T over `decades`.

    Attributes:
        first: the least T.
        decades: how far they reach.
        points: how many there are.
    """

    first: Annotated[int, Field(ge=1, lt=2**31)] = 10
    decades: Annotated[float, Field(gt=0, le=9)] = 4.0
    points: Annotated[int, Field(ge=2, le=100)] = 9

    def numbers(self) -> list[int]:
        """They themselves."""
        return [round(self.first * 10 ** (self.decades * index / (self.points - 1))) for index in range(self.points)]

    @model_validator(mode="after")
    def _differ(self) -> "RoundsConfig":
        numbers = self.numbers()
        if len(set(numbers)) < len(numbers) or numbers[-1] >= 2**31:
            raise ValueError(f"got rounds {numbers}, takes numbers that differ, below 2^31")
        return self


class ExpectedConfig(Strict):
    """A rate known beforehand: mean error = constant * n^slope.

    Attributes:
        slope: the exponent.
        constant: payoff units.
    """

    slope: Annotated[float, Field(lt=0)]
    constant: Positive


class RuleConfig(Strict):
    """A rule of `gamekl.rules` that a family follows.

    Attributes:
        name: as there, in lower case.
        step_size: nats per payoff unit (of "extragradient", "halpern" and "aog" inverse payoff units), or
            "temperature", as large as that; or "proven", for kind "preference": the steps of the rule's proof, with the
            bound on the KL that goes with them where values are told.
        magnet_rounds: for "mpo", after how many rounds the magnet is moved.
        num_queries: ask for wins so often for each action in place of being told its value; of preferences.
        tol: total regularised gap, payoff units, whose first round is looked for.
        kl_tol: likewise the total KL from the anchored equilibrium, nats, of rules that head for it.
    """

    name: Literal[(*ANCHORED, *UNANCHORED)]  # pyright: ignore[reportInvalidTypeForm]
    step_size: Positive | Literal["proven", "temperature"]
    magnet_rounds: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    num_queries: Annotated[int, Field(ge=1)] | None = None
    tol: Positive = 1e-6
    kl_tol: Positive = 1e-10

    @property
    def tempered(self) -> bool:
        """Whether the method has a temperature: an anchor, or a magnet that moves."""
        return self.name in (*ANCHORED, "mpo")

    @model_validator(mode="after")
    def _fits_name(self) -> "RuleConfig":
        if (self.name == "mpo") != (self.magnet_rounds is not None):
            got, takes = ("none", "a number") if self.name == "mpo" else (self.magnet_rounds, "none")
            raise ValueError(f"magnet_rounds: got {got} for {self.name!r}, takes {takes}")
        if self.step_size == "proven" and self.name not in ANCHORED:
            raise ValueError(f"step_size: got 'proven' for {self.name!r}, takes it for {ANCHORED} only")
        if self.step_size == "temperature" and not self.tempered:
            raise ValueError(f"step_size: got 'temperature' for {self.name!r}, which has none; takes a number")
        return self
