"""The metrics of a sweep: columns of its results that may be shown, how they are called, and how they are measured.

One table, `METRICS`; `register_metric` adds to it, from a module that a config names under `plugins`. Loads no jax.
"""

from typing import NamedTuple

from gamekl.experiment.schema.parts import register


class Metric(NamedTuple):
    """One of them.

    Attributes:
        name: of its column.
        title: in figures and tables.
        unit: "payoff" or "nat"; empty where there is none.
        meaning: in a sentence.
        panel: of the panels of a family that shows several: those of one name share axes.
        vanishes: whether it tends to 0 with more data; else no slope is looked for.
        has_floor: whether the solver's own gap is a part of it.
        first: the column of the first round at which it was small enough, of rules that are followed; or None.
        coarse: what stands for it where a joint policy is measured; None where nothing does.
        measure: "module:function" of the true game, a regularizer and a profile's log-policies, whose number is the
            metric; all solvers that find a profile from data have it then. None where the kind of sweep measures it.
    """

    name: str
    title: str
    unit: str
    meaning: str
    panel: str = ""
    vanishes: bool = True
    has_floor: bool = True
    first: str | None = None
    coarse: str | None = None
    measure: str | None = None


METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Add a metric; its column is in the results of every sweep from then on, null where it is not measured.

    Raises:
        ValueError: another one has its name.
    """
    return register(METRICS, metric.name, metric, "metric")


for _metric in (
    Metric(
        "regularized_gap",
        "regularised gap",
        "payoff",
        "regularised Nash gap: what deviations gain, less their KL costs",
        "regularised",
        first="first_gap",
        coarse="regularized_cce_gap",
    ),
    Metric(
        "nash_gap",
        "Nash gap",
        "payoff",
        "Nash gap without regularisation, on the references' support",
        "unregularised",
        coarse="cce_gap",
    ),
    Metric(
        "regularized_cce_gap",
        "regularised CCE gap",
        "payoff",
        "of a joint policy: one policy for all rounds, KL paid; if > 0",
        "regularised",
    ),
    Metric(
        "cce_gap",
        "CCE gap",
        "payoff",
        "of a joint policy: what one action for all rounds gains, if > 0",
        "unregularised",
    ),
    Metric(
        "average_nash_gap",
        "Nash gap of the averages",
        "payoff",
        "of 'follow': Nash gap of the policies' averages over rounds",
        "averages",
    ),
    Metric(
        "kl",
        "KL from the equilibrium",
        "nat",
        "of 'follow': KL from the anchored equilibrium",
        "KL",
        first="first_kl",
    ),
    Metric(
        "suboptimality",
        "suboptimality",
        "payoff",
        "of 'lead': what the leader loses beside the best policy",
        "suboptimality",
    ),
    Metric(
        "follower_error",
        "error of the follower's payoffs",
        "payoff",
        "of 'lead': root mean square error of the follower's payoffs",
        "follower",
        has_floor=False,
    ),
    Metric(
        "coverage",
        "coverage of the band",
        "",
        "of 'lead': 1 where the band has the true value of the leader's policy, else 0",
        "coverage",
        vanishes=False,
        has_floor=False,
    ),
    Metric("regret", "regret", "payoff", "of 'online': over all rounds", "regret", has_floor=False),
    # The error of playing itself, in the game that was played; no family is asked to show it alone.
    Metric("solver_gap", "gap", "payoff", "the gap in the estimated game, that the solver made small"),
):
    register_metric(_metric)
