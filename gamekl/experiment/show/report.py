"""From a run's shards to the curves of its cases."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from gamekl.evaluate.fit import Rate, bootstrap_means, fit_paired_rate, fit_rate
from gamekl.experiment.run.plan import MADE_SMALL
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import Case, Tuning
from gamekl.experiment.schema.metrics import METRICS

# Means closer to the solver's own gap than this are not fitted.
ABOVE_FLOOR = 10.0
RESAMPLES = 1_000
# Along these errors are power laws: each size has data of its own.
DATA_AXES = ("num_samples", "num_rounds")
# How many of the largest sizes are compared with the prediction.
COMPARED = 3
# How many curves of one kind are shown of a family that plays.
SHOWN = 4
# The power of the rounds with which the error of playing falls.
PLAYED = {"gamd": -1.0, "multiplicative_weights": -0.5}
# Of shards, what is read beside the metrics.
COLUMNS = ("case", "num_samples", "num_steps", "num_queries", "status", "bound", "exceeded", "unvisited")


class Summary(NamedTuple):
    """A curve: how a case's mean error falls along one axis. Errors are summed over players; arrays are ``[size]``.

    Attributes:
        case: the plan's entry.
        metric: the column that was summarised.
        axis: "num_samples"; "num_rounds" of those that learn online; "num_steps" of families that play; that or
            "num_queries" of rules that are followed; or what else the family is shown against.
        held: of families that play what the other of the two is, of those with another axis the sample size.
        sizes: along the axis, those with data.
        means: mean error over games and seeds.
        band: bootstrap 95 % band of the mean, ``[2, size]``.
        spread: 5 % and 95 % quantiles over seeds, ``[2, size]``.
        standard_errors: of the means.
        floor: the solver's own mean gap in the solved game; NaN where that is not known.
        slope: the exponent to expect.
        predicted: what the means should come to, or stay below where that `is_bound`; None if nothing is known.
        is_bound: which of the two.
        rate: the fitted slope, or None with fewer than two points above the floor.
        solves: how many solves there are.
        failures: how many of them did not converge; they are left out of the means.
        exceeded: how many of the others are above the bound of their own game.
        unvisited: how many datasets miss a joint action.
        first: of rules that are followed, after how many rounds the metric was first as small as the case asks for, -1
            if never, of each solve that converged; else nothing.
    """

    case: Case
    metric: str
    axis: str
    held: int | None
    sizes: np.ndarray
    means: np.ndarray
    band: np.ndarray
    spread: np.ndarray
    standard_errors: np.ndarray
    floor: np.ndarray
    slope: float
    predicted: np.ndarray | None
    is_bound: bool
    rate: Rate | None
    solves: int
    failures: int
    exceeded: int
    unvisited: int
    first: np.ndarray

    @property
    def scaled(self) -> np.ndarray:
        """size^-slope times the mean error, which tends to a constant."""
        return self.means * self.sizes.astype(float) ** -self.slope

    @property
    def ratios(self) -> np.ndarray | None:
        """Of the means to what is predicted, if anything is."""
        return None if self.predicted is None else self.means / self.predicted


def _summarize(
    case: Case,
    rows: dict[str, np.ndarray],
    seed: int,
    metric: str,
    axis: str = "num_samples",
    held: int | None = None,
    predicted: bool = True,
) -> Summary:
    """The curve of some rows."""
    converged = {name: column[rows["status"] == 0] for name, column in rows.items()}
    sizes = np.unique(converged[axis])
    at_size = [{name: column[converged[axis] == size] for name, column in converged.items()} for size in sizes]
    errors = [entry[metric] for entry in at_size]
    means = np.array([entry.mean() for entry in errors])
    rng = np.random.default_rng(seed)
    band = [np.quantile(bootstrap_means(rng, entry, RESAMPLES), [0.025, 0.975]) for entry in errors]
    own = metric == "solver_gap"
    bounds = np.array([entry["bound"].mean() for entry in at_size])
    floor = np.array([0.0 if own else entry["solver_gap"].mean() for entry in at_size])
    if not METRICS[metric].has_floor:
        floor = np.full(len(sizes), np.nan)
    slope, line = case.slope, None
    if own:
        slope, line = PLAYED[case.solver], bounds
    elif metric == "kl" and np.all(np.isfinite(bounds)):
        line = bounds
    elif metric == "coverage":
        slope, line = 0.0, np.full(len(sizes), case.level)
    elif not predicted and axis == "num_samples" and held is None:
        slope = -0.5
    elif predicted and case.constant is not None:
        line = case.constant * sizes.astype(float) ** slope
    return Summary(
        case=case,
        metric=metric,
        axis=axis,
        held=held,
        sizes=sizes,
        means=means,
        band=np.reshape(band, (-1, 2)).T,
        spread=np.reshape([np.quantile(entry, [0.05, 0.95]) for entry in errors], (-1, 2)).T,
        standard_errors=np.array(
            [entry.std(ddof=1) / np.sqrt(len(entry)) if len(entry) > 1 else 0 for entry in errors]
        ),
        floor=floor,
        slope=slope,
        predicted=line,
        is_bound=own or (metric == "kl" and line is not None),
        # Against the rounds, only the error of playing is a power law.
        rate=_fit(sizes, errors, means, floor, axis, seed) if own or (axis in DATA_AXES and slope) else None,
        solves=len(rows["status"]),
        failures=int(np.count_nonzero(rows["status"])),
        exceeded=int(np.nansum(converged["exceeded"])),
        unvisited=int(np.count_nonzero(rows["unvisited"])),
        first=_first(case, converged, metric),
    )


def _first(case: Case, rows: dict[str, np.ndarray], metric: str) -> np.ndarray:
    column = METRICS[metric].first
    if case.reach is None or column is None:
        return np.zeros(0, int)
    return rows[column][rows["num_steps"] == case.checkpoints[-1]].astype(int)


def _fit(
    sizes: np.ndarray, errors: list[np.ndarray], means: np.ndarray, floor: np.ndarray, axis: str, seed: int
) -> Rate | None:
    # A single seed cannot be resampled.
    fitted = [
        index for index, entry in enumerate(errors) if not means[index] <= ABOVE_FLOOR * floor[index] and len(entry) > 1
    ]
    if len(fitted) < 2:
        return None
    chosen = [errors[index] for index in fitted]
    if axis == "num_steps":
        return fit_paired_rate(sizes[fitted], np.array(chosen), seed=seed, resamples=RESAMPLES)
    return fit_rate(sizes[fitted], chosen, seed=seed, resamples=RESAMPLES)


def _some(values: Sequence[int]) -> Sequence[int]:
    """A few of them, evenly, the last among them."""
    step = max(1, -(-(len(values) - 1) // (SHOWN - 1)))
    return values[::-1][::step][::-1]


def _summarize_played(case: Case, rows: dict[str, np.ndarray], seed: int) -> list[Summary]:
    """Against the rounds at some sample sizes and in the game that was played, then against the rows of data."""

    def where(axis: str, size: int) -> dict[str, np.ndarray]:
        return {name: column[rows[axis] == size] for name, column in rows.items()}

    metric = "regularized_cce_gap" if case.solver == "gamd" else "cce_gap"
    largest, samples = case.num_samples[-1], _some(case.num_samples)
    rounds = _some(case.checkpoints)
    by_rounds = {"axis": "num_steps", "predicted": False}
    return [
        *(_summarize(case, where("num_samples", n), seed, metric, held=n, **by_rounds) for n in samples),
        _summarize(case, where("num_samples", largest), seed, "solver_gap", held=largest, **by_rounds),
        *(
            _summarize(case, where("num_steps", T), seed, metric, held=T, predicted=T == case.checkpoints[-1])
            for T in rounds
        ),
    ]


def _summarize_followed(case: Case, rows: dict[str, np.ndarray], seed: int) -> list[Summary]:
    """Against the rounds, and against queries if the case asks for that."""
    axes = ["num_steps", *(["num_queries"] if case.axis == "num_queries" else [])]
    return [
        _summarize(case, rows, seed, metric, axis=axis, predicted=False) for metric in case.metrics for axis in axes
    ]


def _summarize_axis(along: list[tuple[int, Case]], columns: dict[str, np.ndarray], seed: int) -> list[Summary]:
    """Against what a family has several values of, at some sample sizes; the cases differ in it alone."""
    first = along[0][1]
    shared = first.model_copy(update={first.axis: None})
    mine = np.isin(columns["case"], [number for number, _ in along])
    if shared.num_steps is not None:
        mine &= columns["num_steps"] == shared.checkpoints[-1]
    found = []
    for metric in shared.metrics:
        metric = metric if shared.num_steps is None else METRICS[metric].coarse or metric
        for n in _some(shared.num_samples):
            held = mine & (columns["num_samples"] == n)
            rows = {name: column[held] for name, column in columns.items()}
            found.append(_summarize(shared, rows, seed, metric, axis=shared.axis, held=n, predicted=False))
    return found


def _is_along(case: Case, first: Case) -> bool:
    """Whether two cases of a family differ in its axis at most."""
    return case.family == first.family and all(
        getattr(case, name) == getattr(first, name) for name in Tuning._fields if name != case.axis
    )


def summarize(store: Store) -> list[Summary]:
    """One summary for each curve of a run that has data; every shard's checksum is verified on the way."""
    plan = store.plan()
    return summarize_table(store.read(), plan.cases if plan else (), store.config()["seed"])


def summarize_table(table: pa.Table, cases: Sequence[Case], seed: int) -> list[Summary]:
    """As `summarize`, of rows that are there already; the bootstrap's random numbers follow from the seed."""
    firsts = [metric.first for metric in METRICS.values() if metric.first is not None]
    columns = {name: table[name].to_numpy() for name in (*COLUMNS, *Tuning._fields, *METRICS, *firsts)}
    columns["num_rounds"] = columns["num_samples"]  # what stands there, of those that learn online
    found = []
    left = list(enumerate(cases))
    while left:
        number, case = left.pop(0)
        mine = columns["case"] == number
        rows = {name: column[mine] for name, column in columns.items()}
        if case.reach is not None:
            found += _summarize_followed(case, rows, seed)
            continue
        if case.num_rounds is not None:
            found.append(_summarize(case, rows, seed, case.metrics[0], axis="num_rounds"))
            continue
        if case.axis != "num_samples":
            along = [(number, case), *(entry for entry in left if _is_along(entry[1], case))]
            left = [entry for entry in left if entry not in along]
            found += _summarize_axis(along, columns, seed)
            continue
        if case.num_steps is None:
            own = MADE_SMALL.get(case.solver, "nash_gap")  # to which the prediction belongs
            found += [_summarize(case, rows, seed, metric, predicted=metric == own) for metric in case.metrics]
        else:
            found += _summarize_played(case, rows, seed)
    return [entry for entry in found if entry.solves]
