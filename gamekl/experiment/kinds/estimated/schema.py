"""What a TOML may say of families that estimate their games from data. Loads no jax."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator

from gamekl.experiment.kinds.estimated.estimators import ESTIMATORS
from gamekl.experiment.schema.cases import Curve, Prediction, Tuning
from gamekl.experiment.schema.family import Referenced, Sampled, Tempered, grid, some
from gamekl.experiment.schema.metrics import METRICS
from gamekl.experiment.schema.parts import (
    STAGED,
    Concentrabilities,
    Concentrability,
    ExpectedConfig,
    Finite,
    NotNegative,
    RoundsConfig,
    Scales,
    one_of,
)
from gamekl.experiment.schema.profiles import check_behavior, parse_behavior

GAPS = ("regularized_gap", "nash_gap")
# The power of the rounds with which the error of playing falls.
PLAYED = {"gamd": -1.0, "multiplicative_weights": -0.5}


class Estimated(Sampled, Referenced):
    """A family whose games are estimated.

    Attributes:
        estimator: of `ESTIMATORS`: "tabular"; of games with features "ridge" (linear in them) or "neural"; or
            "preferences", payoffs by maximum likelihood from comparisons of joint actions, of which there are
            `num_samples`.
        penalty: of "ridge".
        behavior: "uniform", or "reference": the product of the references; or a table of probabilities
            ``[*actions]``, of two players' games.
        concentrability: if given, the behavior that covers the reference with exactly this C, instead of `behavior`; a
            number, which may be inf, or several.
        pairs: for estimator "preferences", which joint actions are compared: "unilateral" pairs of the behavior differ
            in one player's action, "independent" ones are two draws from it.
        noise: standard deviation of Gaussian rewards, or "bernoulli".
        expected: a known rate, where `gamekl.evaluate.predicted_constant` gives none.
    """

    computes = "gamekl.experiment.kinds.estimated.computing"
    metrics_known = GAPS

    estimator: Annotated[str, one_of(ESTIMATORS)] = "tabular"
    penalty: NotNegative = 1.0
    behavior: Annotated[Any, BeforeValidator(parse_behavior)] = "uniform"
    concentrability: Concentrability | Concentrabilities | None = None
    pairs: Literal["unilateral", "independent"] = "unilateral"
    noise: NotNegative | Literal["bernoulli"] = 1.0
    expected: ExpectedConfig | None = None

    @property
    def concentrabilities(self) -> tuple[float, ...]:
        """All values of C that are asked for."""
        found = self.concentrability
        return found if isinstance(found, tuple) else () if found is None else (found,)

    @property
    def expects(self) -> ExpectedConfig | None:
        """A rate known beforehand."""
        return self.expected

    def may_show(self) -> tuple[str, ...]:
        """The gaps, and the metrics that measure any profile."""
        return (*self.metrics_known, *(name for name, metric in METRICS.items() if metric.measure))

    def tunings(self) -> list[Tuning]:
        """The cases: one for each C."""
        return [Tuning(concentrability=value) for (value,) in grid(self.concentrabilities)]

    def own_program(self, num_samples: int) -> int | None:
        """What is estimated dataset by dataset is compiled for each size."""
        return num_samples if ESTIMATORS[self.estimator].alone else None

    @model_validator(mode="after")
    def _has_data(self) -> "Estimated":
        if self.game.kind == "doors":
            raise ValueError(f"game.kind: got 'doors' for solver {self.solver!r}, takes it for 'online' only")
        if self.concentrabilities and not (isinstance(self.behavior, str) and self.behavior == "uniform"):
            raise ValueError("behavior: got one beside concentrability, takes one of the two: that makes its own")
        if self.game.kind in STAGED and not isinstance(self.behavior, str):
            raise ValueError(f"behavior: got a table for kind {self.game.kind!r}, takes a name")
        if self.game.num_actions and not isinstance(self.behavior, str):
            check_behavior(self.behavior, self.game.num_actions)
        self._check_estimator()
        return self

    def _check_estimator(self) -> None:
        entry = ESTIMATORS[self.estimator]
        fits = self.game.kind in entry.games if entry.games else self.game.kind not in STAGED or entry.stages
        if not fits or not (entry.any_solver or self.takes_any_estimate):
            kinds = list(entry.games) if entry.games else "one-shot games"
            raise ValueError(
                f"estimator: got {self.estimator!r} for kind {self.game.kind!r} and solver {self.solver!r}, takes it "
                f"for {kinds} and solver 'gane' only"
            )
        if not entry.noisy and self.changed("noise"):
            raise ValueError(f"noise: got {self.noise!r} for estimator {self.estimator!r}, takes none")
        if not entry.penalized and self.changed("penalty"):
            raise ValueError(f"penalty: got {self.penalty!r} for estimator {self.estimator!r}, takes it for 'ridge'")
        if not entry.compares and self.pairs != "unilateral":
            raise ValueError(f"pairs: got {self.pairs!r} for estimator {self.estimator!r}, takes it for 'preferences'")
        if not entry.auto and self.num_samples.first == "auto":
            raise ValueError(f"num_samples.first: got 'auto' for estimator {self.estimator!r}, takes a number")

    @property
    def takes_any_estimate(self) -> bool:
        """Whether the solver takes other estimates than the tabular one."""
        return False


class Gane(Estimated, Tempered):
    """The regularised equilibrium of the estimated game."""

    solver: Literal["gane"] = "gane"

    @property
    def may_predict(self) -> bool:
        """Its rate is that of the trace formula."""
        return True

    @property
    def takes_any_estimate(self) -> bool:
        """Any estimate of a game will do."""
        return True

    @property
    def source(self) -> str:
        """The trace formula."""
        return "$D/2\\tau$"

    def tunings(self) -> list[Tuning]:
        """Every temperature with every C."""
        return [Tuning(*values) for values in grid(self.temperatures, self.concentrabilities)]


class Exact(Estimated):
    """The unregularised plug-in equilibrium of two-player games."""

    one_shot = True
    metrics_known = ("nash_gap", "regularized_gap")

    solver: Literal["exact"] = "exact"


class Played(Estimated, Tempered):
    """Joint policies of repeated play in the estimated game: "gamd", or "multiplicative_weights", unregularised.

    Attributes:
        num_rounds: the rounds after which to measure.
        weighting: for "gamd", which play and average.
        metrics: beside an axis of its own: of joint policies, after the last round.
    """

    one_shot = True
    metrics_known = ("nash_gap", "regularized_gap")

    solver: Literal["gamd", "multiplicative_weights"] = "gamd"
    num_rounds: RoundsConfig
    weighting: Literal["uniform", "linear"] = "uniform"

    @property
    def has_temperatures(self) -> bool:
        """Whether play is regularised."""
        return self.solver == "gamd"

    @property
    def may_predict(self) -> bool:
        """Whether play is regularised: then it has the rate of its equilibrium."""
        return self.has_temperatures

    @property
    def source(self) -> str:
        """The trace formula."""
        return "$D/2\\tau$" if self.has_temperatures else "known"

    @property
    def rounds(self) -> tuple[int, ...]:
        """After how many rounds play is measured."""
        return self.num_rounds.numbers()

    def may_show(self) -> tuple[str, ...]:
        """The gaps of joint policies."""
        return self.metrics_known

    def tunings(self) -> list[Tuning]:
        """Every temperature with every C."""
        return [Tuning(*values) for values in grid(self.temperatures, self.concentrabilities)]

    def curves(self, expected: Prediction, sizes: Sequence[int]) -> tuple[Curve, ...]:
        """Against the rounds at some sample sizes and in the game that was played, then against the rows of data."""
        if self.axis != "num_samples":
            return super().curves(expected, sizes)
        rounds, metric = self.rounds, "regularized_cce_gap" if self.has_temperatures else "cce_gap"
        of_rounds: dict[str, Any] = {"by": "num_samples", "in_table": False, "slope": expected.slope}
        playing: dict[str, Any] = {"slope": PLAYED[self.solver], "is_bounded": True, "fit": "paired"}
        fit = "independent" if expected.slope else "none"
        of_data: dict[str, Any] = {"by": "num_rounds", "slope": expected.slope, "fit": fit, "source": self.source}
        constants = {rounds[-1]: expected.constant}  # of the equilibrium, to which play must have come
        return (
            *(Curve.of(metric, "num_rounds", len(rounds), held=size, **of_rounds) for size in some(sizes)),
            Curve.of("solver_gap", "num_rounds", len(rounds), by="num_samples", held=sizes[-1], **playing),
            *(
                Curve.of(metric, "num_samples", len(sizes), held=last, constant=constants.get(last), **of_data)
                for last in some(rounds)
            ),
        )

    @model_validator(mode="after")
    def _plays(self) -> "Played":
        if not self.has_temperatures and self.weighting != "uniform":
            raise ValueError(f"weighting: got {self.weighting!r} for solver {self.solver!r}, takes it for 'gamd' only")
        if self.axis == "num_samples" and self.metrics:
            raise ValueError(f"metrics: got {list(self.metrics)} for solver {self.solver!r}, takes them beside an axis")
        return self


class Pessimistic(Estimated, Tempered):
    """Pessimistic methods: "lcb" (gane on lower confidence bounds), "pnvi", "strategy_wise", "bellman_consistent".

    Attributes:
        temperatures: of "lcb"; of the others that at which regularised gaps are measured.
        scales: how many standard deviations their bonuses have.
        payoff_range: of all but "lcb", the least and the largest one.
    """

    solver: Literal["lcb", "pnvi", "strategy_wise", "bellman_consistent"]
    scales: Scales = ()
    payoff_range: tuple[Finite, Finite] | None = None

    @property
    def is_regularized(self) -> bool:
        """Whether it makes the regularised gap small."""
        return self.solver == "lcb"

    @property
    def made_small(self) -> str:
        """The gap of the game that it solves."""
        return "regularized_gap" if self.is_regularized else "nash_gap"

    def tunings(self) -> list[Tuning]:
        """Every temperature with every C and scale."""
        return [Tuning(*values) for values in grid(self.temperatures, self.concentrabilities, self.scales)]

    @model_validator(mode="after")
    def _is_pessimistic(self) -> "Pessimistic":
        if self.game.kind in STAGED and self.solver in ("strategy_wise", "bellman_consistent"):
            raise ValueError(f"solver: got {self.solver!r} for kind {self.game.kind!r}, takes one-shot games")
        if not self.scales:
            raise ValueError(f"scales: got none for solver {self.solver!r}, takes at least one number >= 0")
        if self.is_regularized != (self.payoff_range is None):
            got, takes = (list(self.payoff_range or ()), "none") if self.is_regularized else ("none", "one, as [0, 1]")
            raise ValueError(f"payoff_range: got {got} for solver {self.solver!r}, takes {takes}")
        return self
