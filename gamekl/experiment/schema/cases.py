"""What a sweep's plan says, case by case: what is computed, and what is to be expected of it. Loads no jax."""

from typing import NamedTuple

from gamekl.experiment.schema.parts import Strict


class Tuning(NamedTuple):
    """What a family may have several values of, in the order of its cases; None for what it does not have.

    Attributes:
        temperature: payoff units per nat.
        concentrability: C that the behavior is made to have.
        scale: of a bonus, standard deviations.
    """

    temperature: float | None = None
    concentrability: float | None = None
    scale: float | None = None


class Reach(Strict):
    """How small a rule that is followed is to make its errors.

    Attributes:
        regularized_gap: of all players, payoff units.
        kl: from the anchored equilibrium, nats.
    """

    regularized_gap: float
    kl: float

    def of(self, metric: str) -> float | None:
        """That of a metric, if there is one."""
        return {"regularized_gap": self.regularized_gap, "kl": self.kl}.get(metric)


class Case(Strict):
    """A family at one temperature, concentrability and scale.

    Attributes:
        family: its number in the config.
        label: the family's.
        panel: of the figure in which it is shown.
        axis: what its errors are shown against.
        metrics: the errors that are shown.
        solver: the family's.
        temperature: as in `Tuning`.
        concentrability: likewise.
        scale: likewise.
        num_games: how many games there are.
        num_seeds: datasets, or runs, of each of them at each size.
        num_samples: the sample sizes; (0,) where there are no data.
        num_rounds: those of learning online, which are its sample sizes, else None.
        num_steps: rounds after which play is measured, else None.
        reach: of rules that are followed, else None.
        level: of the band of a leader's value, else None.
        slope: of the mean error against the sample size, on log-log axes; 0 where that is no line.
        constant: mean error times size^-slope, where it is known.
        remark: why it is not known, or None.
        seeds_per_chunk: how many seeds a shard has; None until that is planned.
    """

    family: int
    label: str
    panel: str
    axis: str
    metrics: tuple[str, ...]
    solver: str
    temperature: float | None
    concentrability: float | None
    scale: float | None
    num_games: int
    num_seeds: int
    num_samples: tuple[int, ...]
    num_rounds: tuple[int, ...] | None
    num_steps: tuple[int, ...] | None
    reach: Reach | None
    level: float | None
    slope: float
    constant: float | None
    remark: str | None
    seeds_per_chunk: int | None = None

    @property
    def tuning(self) -> Tuning:
        """Its own values."""
        return Tuning(self.temperature, self.concentrability, self.scale)

    @property
    def width(self) -> int:
        """How many seeds its chunks have, all of them where that is not planned yet; the last one maybe fewer."""
        return min(self.seeds_per_chunk or self.num_seeds, self.num_seeds)

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The rounds after which play is measured, if any is."""
        return self.num_steps or ()

    def along(self, axis: str) -> tuple[int, ...]:
        """The sizes at which it is measured along an axis of data or rounds."""
        return self.checkpoints if axis == "num_steps" else self.num_samples


class Plan(Strict):
    """What a config comes to.

    Attributes:
        cases: in order.
        files: the sha256 of each payoff file that it takes, by path.
    """

    cases: tuple[Case, ...]
    files: dict[str, str]

    def chunked(self, seeds: list[int]) -> "Plan":
        """The same plan with the seeds of each case's chunks."""
        cases = [
            case.model_copy(update={"seeds_per_chunk": width}) for case, width in zip(self.cases, seeds, strict=True)
        ]
        return self.model_copy(update={"cases": tuple(cases)})
