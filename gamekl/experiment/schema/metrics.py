"""The errors that a sweep may show: how they are called, and what they are compared with. Loads no jax."""

from typing import NamedTuple


class Metric(NamedTuple):
    """One of them; its column has its unit and meaning (`schema.columns`).

    Attributes:
        title: in figures and tables.
        panel: of the panels of a family that shows several: those of one name share axes.
        has_floor: whether the solver's own gap is a part of it.
        first: the column of the first round at which it was small enough, of rules that are followed; or None.
        coarse: what stands for it where a joint policy is measured; None where nothing does.
    """

    title: str
    panel: str
    has_floor: bool = True
    first: str | None = None
    coarse: str | None = None


METRICS = {
    "regularized_gap": Metric("regularised gap", "regularised", first="first_gap", coarse="regularized_cce_gap"),
    "nash_gap": Metric("Nash gap", "unregularised", coarse="cce_gap"),
    "regularized_cce_gap": Metric("regularised CCE gap", "regularised"),
    "cce_gap": Metric("CCE gap", "unregularised"),
    "average_nash_gap": Metric("Nash gap of the averages", "averages"),
    "kl": Metric("KL from the equilibrium", "KL", first="first_kl"),
    "suboptimality": Metric("suboptimality", "suboptimality"),
    "follower_error": Metric("error of the follower's payoffs", "follower", has_floor=False),
    "coverage": Metric("coverage of the band", "coverage", has_floor=False),
    "regret": Metric("regret", "regret", has_floor=False),
    # The error of playing itself, in the game that was played; no family is asked to show it alone.
    "solver_gap": Metric("gap", ""),
}
