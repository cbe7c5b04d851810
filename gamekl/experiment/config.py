"""The schema of a sweep. Loads no jax."""

import hashlib
import json
import math
from typing import Annotated, Any, Literal

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
STAGED = ("contextual", "markov", *FEATURED)
REGULARIZED = ("gane", "gamd")
PLAYED = ("gamd", "multiplicative_weights")
PESSIMISTIC = ("lcb", "pnvi", "strategy_wise", "bellman_consistent")
ONE_SHOT = ("gamd", "exact", "multiplicative_weights", "strategy_wise", "bellman_consistent")
RANDOM = ("uniform", "normal", "zero_sum", "covariant", "potential", "polymatrix")

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
            "linear", "context_linear", "smooth"), or "file".
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
        drawn = (*RANDOM, *STAGED)
        if self.kind in drawn and not self.num_actions:
            raise ValueError(f"num_actions: got none, takes the actions of each player for kind {self.kind!r}")
        if self.kind not in drawn and (self.num_actions or self.num_games != 1 or self.seed is not None):
            raise ValueError(
                f"num_actions, num_games, seed: got one for kind {self.kind!r}, takes them for {drawn} only"
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


class FamilyConfig(Strict):
    """One line of the sweep: games, data and solver.

    Attributes:
        label: a unique name; it seeds the family's random numbers and names its shards.
        panel: families of one panel share axes in the figure; the label if None.
        game: the games.
        solver: regularised, "gane" or "gamd"; one of their unregularised baselines, "exact" (the plug-in equilibrium
            of two-player games) and "multiplicative_weights"; or a pessimistic one, "lcb" (gane on lower confidence
            bounds), "pnvi", "strategy_wise" or "bellman_consistent".
        estimator: "tabular", or of games with features "ridge" (linear in them) or "neural".
        penalty: of "ridge".
        temperatures: for the regularised ones and "lcb", payoff units per nat; for the other pessimistic ones that at
            which regularised gaps are measured.
        scales: for the pessimistic ones, how many standard deviations their bonuses have.
        payoff_range: for the pessimistic ones but "lcb", the lowest and the highest payoff.
        weighting: for "gamd", which play and average.
        num_steps: for "gamd" and "multiplicative_weights", the rounds after which to measure.
        reference: "uniform", or the probabilities of each player's actions.
        behavior: "uniform", or "reference": the product of the references; or a table of probabilities
            ``[*actions]``, of two players' games.
        concentrability: if given, the behavior that covers the reference with exactly this C, instead of `behavior`; a
            number, which may be inf, or several.
        noise: standard deviation of Gaussian rewards, or "bernoulli".
        num_samples: the sample sizes.
        expected: a known rate, where `gamekl.evaluate.predicted_constant` gives none.
        axis: what the figure shows errors against: "num_samples", or one of which the family has several values,
            "concentrability", "scale" or "temperature", at some sample sizes.
        metrics: which errors it shows, "regularized_gap" and "nash_gap" (of joint policies the coarse gaps, after the
            last round); what the solver makes small if none is named.
    """

    label: Annotated[str, Field(min_length=1, max_length=80)]
    panel: str | None = None
    game: GameConfig
    solver: Literal["gane", "gamd", "exact", "multiplicative_weights", *PESSIMISTIC] = "gane"  # pyright: ignore[reportInvalidTypeForm]
    estimator: Literal["tabular", "ridge", "neural"] = "tabular"
    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    temperatures: tuple[Positive, ...] = ()
    scales: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = ()
    payoff_range: tuple[Finite, Finite] | None = None
    weighting: Literal["uniform", "linear"] = "uniform"
    num_steps: RoundsConfig | None = None
    reference: Literal["uniform"] | tuple[tuple[Probability, ...], ...] = "uniform"
    behavior: Literal["uniform", "reference"] | tuple[tuple[Probability, ...], ...] = "uniform"
    concentrability: Concentrability | tuple[Concentrability, ...] | None = None
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["bernoulli"] = 1.0
    num_samples: SamplesConfig = SamplesConfig()
    expected: ExpectedConfig | None = None
    axis: Literal["num_samples", "concentrability", "scale", "temperature"] = "num_samples"
    metrics: tuple[Literal["regularized_gap", "nash_gap"], ...] = ()

    @property
    def concentrabilities(self) -> tuple[float, ...]:
        """All values of C that are asked for."""
        found = self.concentrability
        return found if isinstance(found, tuple) else () if found is None else (found,)

    @model_validator(mode="after")
    def _fits_solver(self) -> "FamilyConfig":
        if self.game.kind in STAGED:
            self._check_stages()
        self._check_tuning()
        for name, values in [
            ("temperatures", self.temperatures),
            ("scales", self.scales),
            ("concentrability", self.concentrabilities),
        ]:
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: got {list(values)}, takes each value once")
        if (self.solver in PLAYED) != (self.num_steps is not None):
            raise ValueError(
                f"num_steps: got {'none' if self.num_steps is None else 'some'} for solver {self.solver!r}, takes "
                f"rounds for {PLAYED} only"
            )
        if self.solver != "gamd" and self.weighting != "uniform":
            raise ValueError(f"weighting: got {self.weighting!r} for solver {self.solver!r}, takes it for 'gamd' only")
        described = FEATURED if self.estimator == "ridge" else FEATURED[1:]  # a network needs features of contexts
        if self.estimator != "tabular" and (self.game.kind not in described or self.solver != "gane"):
            raise ValueError(
                f"estimator: got {self.estimator!r} for kind {self.game.kind!r} and solver {self.solver!r}, takes it "
                f"for {described} and solver 'gane' only"
            )
        if self.reference != "uniform":
            for index, total in enumerate(map(math.fsum, self.reference)):
                if abs(total - 1) > 1e-9:
                    raise ValueError(f"reference.{index}: got a sum of {total}, takes probabilities that sum to 1")
        return self

    def _check_tuning(self) -> None:
        """Temperatures, scales and payoff range of solvers that take them, and no others; the axis."""
        tempered = self.solver in (*REGULARIZED, *PESSIMISTIC)
        if tempered and not self.temperatures:
            raise ValueError(f"temperatures: got none, takes at least one number > 0 for solver {self.solver!r}")
        if not tempered and self.temperatures:
            raise ValueError(f"temperatures: got some for solver {self.solver!r}, takes none")
        if self.solver not in REGULARIZED and self.num_samples.first == "auto":
            raise ValueError(f"num_samples.first: got 'auto' for solver {self.solver!r}, takes a number")
        if (self.solver in PESSIMISTIC) != bool(self.scales):
            raise ValueError(
                f"scales: got {list(self.scales)} for solver {self.solver!r}, takes them for {PESSIMISTIC} only"
            )
        ranged = self.solver in PESSIMISTIC and self.solver != "lcb"
        if ranged != (self.payoff_range is not None):
            raise ValueError(
                f"payoff_range: got {self.payoff_range} for solver {self.solver!r}, takes it for "
                f"{[name for name in PESSIMISTIC if name != 'lcb']} only"
            )
        if self.axis != "num_samples" and self.num_samples.first == "auto":
            raise ValueError(
                f"axis: got {self.axis!r} and num_samples.first 'auto', takes a number beside such an axis"
            )
        if self.solver in PLAYED and self.axis == "num_samples" and self.metrics:
            raise ValueError(f"metrics: got {list(self.metrics)} for solver {self.solver!r}, takes them beside an axis")

    def _check_stages(self) -> None:
        """What games in stages do not take."""
        if self.solver in ONE_SHOT:
            raise ValueError(f"solver: got {self.solver!r} for kind {self.game.kind!r}, takes another than {ONE_SHOT}")
        if self.reference != "uniform" or not isinstance(self.behavior, str):
            raise ValueError(f"reference, behavior: got tables for kind {self.game.kind!r}, takes names")


class SweepConfig(Strict):
    """A whole sweep.

    Attributes:
        name: of the run; its folder is ``runs/<name>`` unless said otherwise.
        seed: of all random numbers.
        dtype: of the games and the solver.
        num_seeds: independent datasets for each game, temperature and sample size.
        seeds_per_chunk: how many of them one shard holds, the last of a case maybe fewer. If not given, as many as the
            memory for a chunk has room for, up to 1000.
        family: the families.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    num_seeds: Annotated[int, Field(ge=2)]
    seeds_per_chunk: Annotated[int, Field(ge=1)] | None = None
    family: Annotated[tuple[FamilyConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _labels_differ(self) -> "SweepConfig":
        labels = [family.label for family in self.family]
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        if doubled:
            raise ValueError(f"family.label: got {doubled} more than once, takes unique labels")
        return self

    def canonical(self) -> dict[str, Any]:
        """The config with all defaults filled in, as plain JSON values."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """A hash of the canonical config."""
        return hashlib.sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()
