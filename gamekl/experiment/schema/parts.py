"""The parts of a sweep's schema that kinds share: games, sample sizes, rounds. Loads no jax."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticKnownError

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

T = TypeVar("T")


def register(registry: dict[str, T], name: str, entry: T, field: str) -> T:
    """Add an entry to a registry, and return it.

    Raises:
        ValueError: another one has its name; the message begins with `field`.
    """
    if registry.setdefault(name, entry) != entry:
        raise ValueError(f"{field}: got {name!r}, which there is already; takes another name")
    return entry


def one_of(registry: Mapping[str, Any]) -> AfterValidator:
    """A check that a registry has a string when the value is read."""

    def check(name: str) -> str:
        if name not in registry:
            *names, last = map(repr, registry)
            raise PydanticKnownError("literal_error", {"expected": " or ".join(filter(None, (", ".join(names), last)))})
        return name

    return AfterValidator(check)


def _differ(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError(f"got {list(values)}, takes each value once")
    return values


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Concentrability = Annotated[float, Field(ge=1)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Temperatures = Annotated[tuple[Positive, ...], AfterValidator(_differ)]
Scales = Annotated[tuple[NotNegative, ...], AfterValidator(_differ)]
Concentrabilities = Annotated[tuple[Concentrability, ...], AfterValidator(_differ)]


class Strict(pydantic.BaseModel):
    """Frozen, and without unknown keys."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=False, ser_json_inf_nan="constants")


if TYPE_CHECKING:
    Kind = RandomKind = str
else:
    Kind, RandomKind = Literal[(*CLASSIC, *RANDOM, *STAGED, "file")], Literal[RANDOM]


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

    kind: Kind
    num_actions: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    num_games: Annotated[int, Field(ge=1)] = 1
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    rewards: RandomKind | None = None
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

    def numbers(self, first: int) -> tuple[int, ...]:
        """The sample sizes, from a first one."""
        steps = self.points - 1
        return tuple(round(first * 10.0 ** (self.decades * index / steps)) for index in range(self.points))


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

    def numbers(self) -> tuple[int, ...]:
        """The numbers of rounds."""
        return tuple(
            round(self.first * 10 ** (self.decades * index / (self.points - 1))) for index in range(self.points)
        )

    @model_validator(mode="after")
    def _differ(self) -> "RoundsConfig":
        numbers = self.numbers()
        if len(set(numbers)) < len(numbers) or numbers[-1] >= 2**31:
            raise ValueError(f"got rounds {list(numbers)}, takes numbers that differ, below 2^31")
        return self


class ExpectedConfig(Strict):
    """A rate known beforehand: mean error = constant * n^slope.

    Attributes:
        slope: the exponent.
        constant: payoff units.
    """

    slope: Annotated[float, Field(lt=0)]
    constant: Positive
