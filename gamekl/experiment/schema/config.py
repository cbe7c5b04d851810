"""The schema of a sweep. Loads no jax."""

import hashlib
import json
import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from gamekl.experiment.schema.learners import LED_METRICS, ONLINE_METRICS, LeadConfig, OnlineConfig
from gamekl.experiment.schema.parts import (
    ANCHORED,
    FEATURED,
    STAGED,
    Concentrability,
    ExpectedConfig,
    Finite,
    GameConfig,
    Positive,
    Probability,
    RoundsConfig,
    RuleConfig,
    SamplesConfig,
    Strict,
)
from gamekl.experiment.schema.profiles import check_behavior, parse_behavior

REGULARIZED = ("gane", "gamd")
PLAYED = ("gamd", "multiplicative_weights")
PESSIMISTIC = ("lcb", "pnvi", "strategy_wise", "bellman_consistent")
ONE_SHOT = ("gamd", "exact", "multiplicative_weights", "strategy_wise", "bellman_consistent", "follow", "lead")
GAPS = ("regularized_gap", "nash_gap")
# What solvers of their own kind have: a field, such as this, and metrics.
OWN = {
    "follow": ("rule", "{ name = 'egpo', step_size = 0.3 }", (*GAPS, "average_nash_gap", "kl")),
    "lead": ("lead", "{ anchor = 0.2 }", LED_METRICS),
    "online": ("online", "{ concept = 'cce' }", ONLINE_METRICS),
}
METRICS = (*GAPS, "average_nash_gap", "kl", *LED_METRICS, *ONLINE_METRICS)
# What families have no use for that estimate no payoffs of all players, or learn from no data at all.
ESTIMATED = ("estimator", "behavior", "concentrability", "expected")
DATA = (*ESTIMATED, "noise", "num_samples")


class FamilyConfig(Strict):
    """One line of the sweep: games, data and solver.

    Attributes:
        label: a unique name; it seeds the family's random numbers and names its shards.
        panel: families of one panel share axes in the figure; the label if None.
        game: the games.
        solver: regularised, "gane" or "gamd"; one of their unregularised baselines, "exact" (the plug-in equilibrium
            of two-player games) and "multiplicative_weights"; or a pessimistic one, "lcb" (gane on lower confidence
            bounds), "pnvi", "strategy_wise" or "bellman_consistent". Or "follow", which learns from no data: a rule in
            the true game; "lead": a leader that learns from a follower's actions; "online": learning while playing.
        rule: for "follow".
        lead: for "lead".
        online: for "online".
        estimator: "tabular"; of games with features "ridge" (linear in them) or "neural"; or "preferences", for "gane":
            payoffs by maximum likelihood from comparisons of joint actions, of which there are `num_samples`.
        penalty: of "ridge".
        temperatures: for the regularised ones and "lcb", payoff units per nat; for the other pessimistic ones that at
            which regularised gaps are measured.
        scales: for the pessimistic ones, how many standard deviations their bonuses have; "lead" may have them.
        payoff_range: for the pessimistic ones but "lcb", and for "online" with tables, the least and the largest one.
        weighting: for "gamd", which play and average.
        num_steps: for "gamd", "multiplicative_weights" and "follow", the rounds after which to measure.
        reference: "uniform"; or "normal", logits that are standard normal, drawn for each game; or the probabilities of
            each player's actions.
        behavior: "uniform", or "reference": the product of the references; or a table of probabilities
            ``[*actions]``, of two players' games.
        concentrability: if given, the behavior that covers the reference with exactly this C, instead of `behavior`; a
            number, which may be inf, or several.
        pairs: for estimator "preferences", which joint actions are compared: "unilateral" pairs of the behavior differ
            in one player's action, "independent" ones are two draws from it.
        noise: standard deviation of Gaussian rewards, or "bernoulli".
        num_samples: the sample sizes; for "online" numbers of rounds, with a run of its own for each.
        expected: a known rate, where `gamekl.evaluate.predicted_constant` gives none.
        axis: what the figure shows errors against: "num_samples", or one of which the family has several values,
            "concentrability", "scale" or "temperature", at some sample sizes. Those of "follow" are shown against
            rounds; "num_queries" shows them against queries too.
        metrics: which errors it shows, "regularized_gap" and "nash_gap" (of joint policies the coarse gaps, after the
            last round), and for "follow" also "average_nash_gap" and "kl", from the anchored equilibrium; for "lead"
            "suboptimality", "follower_error" and "coverage"; for "online" "regret"; what the solver makes small if
            none is named.
    """

    label: Annotated[str, Field(min_length=1, max_length=80)]
    panel: str | None = None
    game: GameConfig
    solver: Literal["gane", "gamd", "exact", "multiplicative_weights", *PESSIMISTIC, *OWN] = "gane"  # pyright: ignore[reportInvalidTypeForm]
    rule: RuleConfig | None = None
    lead: LeadConfig | None = None
    online: OnlineConfig | None = None
    estimator: Literal["tabular", "ridge", "neural", "preferences"] = "tabular"
    penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    temperatures: tuple[Positive, ...] = ()
    scales: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = ()
    payoff_range: tuple[Finite, Finite] | None = None
    weighting: Literal["uniform", "linear"] = "uniform"
    num_steps: RoundsConfig | None = None
    reference: Literal["uniform", "normal"] | tuple[tuple[Probability, ...], ...] = "uniform"
    behavior: Annotated[Any, BeforeValidator(parse_behavior)] = "uniform"
    concentrability: Concentrability | tuple[Concentrability, ...] | None = None
    pairs: Literal["unilateral", "independent"] = "unilateral"
    noise: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["bernoulli"] = 1.0
    num_samples: SamplesConfig = SamplesConfig()
    expected: ExpectedConfig | None = None
    axis: Literal["num_samples", "concentrability", "scale", "temperature", "num_queries"] = "num_samples"
    metrics: tuple[Literal[METRICS], ...] = ()  # pyright: ignore[reportInvalidTypeForm]

    @property
    def concentrabilities(self) -> tuple[float, ...]:
        """All values of C that are asked for."""
        found = self.concentrability
        return found if isinstance(found, tuple) else () if found is None else (found,)

    @property
    def is_random(self) -> bool:
        """Whether seeds differ: all but rules that are told values."""
        return self.rule is None or self.rule.num_queries is not None

    @model_validator(mode="after")
    def _fits_solver(self) -> "FamilyConfig":
        if self.game.kind in STAGED:
            self._check_stages()
        self._check_own()
        self._check_rule()
        self._check_tuning()
        self._check_estimator()
        for name, values in [
            ("temperatures", self.temperatures),
            ("scales", self.scales),
            ("concentrability", self.concentrabilities),
        ]:
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: got {list(values)}, takes each value once")
        if (self.solver in (*PLAYED, "follow")) != (self.num_steps is not None):
            raise ValueError(
                f"num_steps: got {'none' if self.num_steps is None else 'some'} for solver {self.solver!r}, takes "
                f"rounds for {(*PLAYED, 'follow')} only"
            )
        if self.solver != "gamd" and self.weighting != "uniform":
            raise ValueError(f"weighting: got {self.weighting!r} for solver {self.solver!r}, takes it for 'gamd' only")
        if self.concentrabilities and not (isinstance(self.behavior, str) and self.behavior == "uniform"):
            raise ValueError("behavior: got one beside concentrability, takes one of the two: that makes its own")
        if self.game.num_actions and not isinstance(self.behavior, str):
            check_behavior(self.behavior, self.game.num_actions)
        if not isinstance(self.reference, str):
            for index, total in enumerate(map(math.fsum, self.reference)):
                if abs(total - 1) > 1e-9:
                    raise ValueError(f"reference.{index}: got a sum of {total}, takes probabilities that sum to 1")
        return self

    def _changed(self, name: str) -> bool:
        """Whether a field has another value than its default."""
        return getattr(self, name) != type(self).model_fields[name].default

    def _check_own(self) -> None:
        """The fields of solvers of their own kind; metrics that the solver has."""
        for solver, (field, such, _) in OWN.items():
            has = getattr(self, field) is not None
            if has != (self.solver == solver):
                takes = "none" if has else f"one, such as {such}"
                raise ValueError(f"{field}: got {'one' if has else 'none'} for solver {self.solver!r}, takes {takes}")
        metrics = OWN[self.solver][2] if self.solver in OWN else GAPS
        if wrong := [name for name in self.metrics if name not in metrics]:
            raise ValueError(f"metrics: got {wrong} for solver {self.solver!r}, takes {list(metrics)}")
        if self.axis == "num_queries" and self.rule is None:
            raise ValueError(f"axis: got 'num_queries' for solver {self.solver!r}, takes it for 'follow' only")
        if self.lead is None and self.online is None:
            return
        if given := [name for name in ESTIMATED if self._changed(name)]:
            raise ValueError(f"{', '.join(given)}: got a value for solver {self.solver!r}, takes none")
        players = len(self.game.num_actions or (0, 0))
        if self.lead is not None and players != 2:
            raise ValueError(f"game.num_actions: got {players} players for solver 'lead', takes leader and follower")
        if self.online is not None:
            self.online.check_game(self.game, self.game.kind not in STAGED, self.noise)
        elif self._changed("noise") and self.lead is not None and self.lead.rewards == "known":
            raise ValueError(f"noise: got {self.noise!r} for known rewards, takes it for rewards = 'logged'")

    def _check_rule(self) -> None:
        """A rule to follow, without data; metrics that it has."""
        if self.rule is None:
            return
        if given := [name for name in DATA if self._changed(name)]:
            raise ValueError(f"{', '.join(given)}: got a value for solver 'follow', takes none, as it has no data")
        if self.axis not in ("num_samples", "num_queries"):
            raise ValueError(f"axis: got {self.axis!r} for solver 'follow', takes 'num_queries', or none for rounds")
        anchored = self.rule.name in ANCHORED
        if not anchored and (wrong := {"regularized_gap", "kl"}.intersection(self.metrics)):
            raise ValueError(
                f"metrics: got {sorted(wrong)} for {self.rule.name!r}, takes 'nash_gap', 'average_nash_gap'"
            )
        if self.rule.step_size == "proven" and self.game.kind != "preference":
            raise ValueError(
                f"rule.step_size: got 'proven' for kind {self.game.kind!r}, takes a number, as the proofs are for "
                "preferences"
            )

    def _check_estimator(self) -> None:
        """Estimators of games that they are made for."""
        if self.estimator == "preferences":
            if self.game.kind in STAGED or self.solver != "gane" or self._changed("noise"):
                raise ValueError(
                    f"estimator: got 'preferences' for kind {self.game.kind!r} and solver {self.solver!r}, takes it "
                    "for one-shot games and solver 'gane', without noise"
                )
            if self.num_samples.first == "auto":
                raise ValueError("num_samples.first: got 'auto' for estimator 'preferences', takes a number")
            return
        if self.pairs != "unilateral":
            raise ValueError(f"pairs: got {self.pairs!r} for estimator {self.estimator!r}, takes it for 'preferences'")
        described = FEATURED if self.estimator == "ridge" else FEATURED[1:]  # a network needs features of contexts
        if self.estimator != "tabular" and (self.game.kind not in described or self.solver != "gane"):
            raise ValueError(
                f"estimator: got {self.estimator!r} for kind {self.game.kind!r} and solver {self.solver!r}, takes it "
                f"for {described} and solver 'gane' only"
            )

    def _check_tuning(self) -> None:
        """Temperatures, scales and payoff range of solvers that take them, and no others; the axis."""
        tempered = self.solver in (*REGULARIZED, *PESSIMISTIC, "lead") or (self.rule is not None and self.rule.tempered)
        if tempered and not self.temperatures:
            raise ValueError(f"temperatures: got none, takes at least one number > 0 for solver {self.solver!r}")
        if not tempered and self.temperatures:
            raise ValueError(f"temperatures: got some for solver {self.solver!r}, takes none")
        if self.solver not in (*REGULARIZED, "follow") and self.num_samples.first == "auto":
            raise ValueError(f"num_samples.first: got 'auto' for solver {self.solver!r}, takes a number")
        if (self.solver in PESSIMISTIC) != bool(self.scales) and self.solver != "lead":
            raise ValueError(
                f"scales: got {list(self.scales)} for solver {self.solver!r}, takes them for {PESSIMISTIC} only"
            )
        tables = self.online is not None and self.online.hypotheses == "tabular"
        ranged = tables or (self.solver in PESSIMISTIC and self.solver != "lcb")
        if ranged != (self.payoff_range is not None):
            got, takes = ("none", "one, such as [0, 1]") if ranged else (list(self.payoff_range or ()), "none")
            raise ValueError(f"payoff_range: got {got} for solver {self.solver!r}, takes {takes}")
        if self.axis not in ("num_samples", "num_queries") and self.num_samples.first == "auto":
            raise ValueError(
                f"axis: got {self.axis!r} and num_samples.first 'auto', takes a number beside such an axis"
            )
        if self.solver in PLAYED and self.axis == "num_samples" and self.metrics:
            raise ValueError(f"metrics: got {list(self.metrics)} for solver {self.solver!r}, takes them beside an axis")

    def _check_stages(self) -> None:
        """What games in stages do not take."""
        if self.game.kind == "doors" and self.solver != "online":
            raise ValueError(f"game.kind: got 'doors' for solver {self.solver!r}, takes it for 'online' only")
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
        num_seeds: independent datasets for each game, temperature and sample size, at least 2; for rules that are
            followed independent queries, of which there are none where values are told, so that one seed says all.
        seeds_per_chunk: how many of them one shard holds, the last of a case maybe fewer. If not given, as many as the
            memory for a chunk has room for, up to 1000.
        family: the families.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dtype: Literal["float64", "float32"] = "float64"
    num_seeds: Annotated[int, Field(ge=1)]
    seeds_per_chunk: Annotated[int, Field(ge=1)] | None = None
    family: Annotated[tuple[FamilyConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _enough_seeds(self) -> "SweepConfig":
        random = [entry.label for entry in self.family if entry.is_random]
        if self.num_seeds < 2 and random:
            raise ValueError(f"num_seeds: got {self.num_seeds}, takes at least 2 for {random}")
        return self

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
