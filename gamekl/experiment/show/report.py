"""From a run's shards to the curves of its cases."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from gamekl.evaluate.fit import Rate, bootstrap_means, fit_paired_rate, fit_rate
from gamekl.experiment.run.store import Store
from gamekl.experiment.schema.cases import Case, Curve, Tuning

# Means closer to the solver's own gap than this are not fitted.
ABOVE_FLOOR = 10.0
RESAMPLES = 1_000
# How many of the largest sizes are compared with the prediction.
COMPARED = 3
# Of shards, what is read beside the metrics.
COLUMNS = ("case", "num_samples", "num_rounds", "num_queries", "status", "bound", "exceeded", "unvisited")


class Summary(NamedTuple):
    """A curve with its numbers. Errors are summed over players; arrays are ``[size]``.

    Attributes:
        case: the plan's entry.
        curve: what is told of it, and how.
        sizes: along the axis, those with data.
        means: mean error over games and seeds.
        band: bootstrap 95 % band of the mean, ``[2, size]``.
        spread: 5 % and 95 % quantiles over seeds, ``[2, size]``.
        standard_errors: of the means.
        floor: the solver's own mean gap in the solved game; NaN where that is not known.
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
    curve: Curve
    sizes: np.ndarray
    means: np.ndarray
    band: np.ndarray
    spread: np.ndarray
    standard_errors: np.ndarray
    floor: np.ndarray
    predicted: np.ndarray | None
    is_bound: bool
    rate: Rate | None
    solves: int
    failures: int
    exceeded: int
    unvisited: int
    first: np.ndarray

    @property
    def metric(self) -> str:
        """The column that was summarised."""
        return self.curve.metric

    @property
    def axis(self) -> str:
        """What the errors are shown against."""
        return self.curve.axis

    @property
    def held(self) -> int | None:
        """The sample size, or the rounds, of all of them, where that is one."""
        return self.curve.held

    @property
    def slope(self) -> float:
        """The exponent to expect."""
        return self.curve.slope

    @property
    def scaled(self) -> np.ndarray:
        """size^-slope times the mean error, which tends to a constant."""
        return self.means * self.sizes.astype(float) ** -self.slope

    @property
    def ratios(self) -> np.ndarray | None:
        """The means over what is predicted, if anything is."""
        return None if self.predicted is None else self.means / self.predicted


def _line(curve: Curve, sizes: np.ndarray, bounds: np.ndarray) -> np.ndarray | None:
    """What stands beside the means."""
    if curve.is_bounded and np.all(np.isfinite(bounds)):
        return bounds
    if curve.level is not None:
        return np.full(len(sizes), curve.level)
    return None if curve.constant is None else curve.constant * sizes.astype(float) ** curve.slope


def _summarize(case: Case, curve: Curve, rows: dict[str, np.ndarray], seed: int) -> Summary:
    """The curve of some rows."""
    converged = {name: column[rows["status"] == 0] for name, column in rows.items()}
    sizes = np.unique(converged[curve.axis])
    at_size = [{name: column[converged[curve.axis] == size] for name, column in converged.items()} for size in sizes]
    errors = [entry[curve.metric] for entry in at_size]
    means = np.array([entry.mean() for entry in errors])
    rng = np.random.default_rng(seed)
    band = [np.quantile(bootstrap_means(rng, entry, RESAMPLES), [0.025, 0.975]) for entry in errors]
    own = curve.metric == "solver_gap"
    bounds = np.array([entry["bound"].mean() for entry in at_size])
    floor = np.array([0.0 if own else entry["solver_gap"].mean() for entry in at_size])
    if not curve.has_floor:
        floor = np.full(len(sizes), np.nan)
    line = _line(curve, sizes, bounds)
    return Summary(
        case=case,
        curve=curve,
        sizes=sizes,
        means=means,
        band=np.reshape(band, (-1, 2)).T,
        spread=np.reshape([np.quantile(entry, [0.05, 0.95]) for entry in errors], (-1, 2)).T,
        standard_errors=np.array(
            [entry.std(ddof=1) / np.sqrt(len(entry)) if len(entry) > 1 else 0 for entry in errors]
        ),
        floor=floor,
        predicted=line,
        is_bound=curve.is_bounded and line is not None,
        rate=_fit(curve, sizes, errors, means, floor, seed),
        solves=len(rows["status"]),
        failures=int(np.count_nonzero(rows["status"])),
        exceeded=int(np.nansum(converged["exceeded"])),
        unvisited=int(np.count_nonzero(rows["unvisited"])),
        first=_first(case, curve, converged),
    )


def _first(case: Case, curve: Curve, rows: dict[str, np.ndarray]) -> np.ndarray:
    column = curve.first
    if curve.goal is None or column is None:
        return np.zeros(0, int)
    return rows[column][rows["num_rounds"] == case.num_rounds[-1]].astype(int)


def _fit(
    curve: Curve, sizes: np.ndarray, errors: list[np.ndarray], means: np.ndarray, floor: np.ndarray, seed: int
) -> Rate | None:
    # A single seed cannot be resampled.
    fitted = [
        index for index, entry in enumerate(errors) if not means[index] <= ABOVE_FLOOR * floor[index] and len(entry) > 1
    ]
    if curve.fit == "none" or len(fitted) < 2:
        return None
    chosen = [errors[index] for index in fitted]
    if curve.fit == "paired":
        return fit_paired_rate(sizes[fitted], np.array(chosen), seed=seed, resamples=RESAMPLES)
    return fit_rate(sizes[fitted], chosen, seed=seed, resamples=RESAMPLES)


def _along(case: Case, cases: Sequence[Case], axis: str) -> list[int]:
    """The cases of a family that differ in an axis at most."""

    def others(entry: Case) -> Tuning:
        return entry.tuning._replace(**{axis: None})

    return [
        number for number, entry in enumerate(cases) if entry.family == case.family and others(entry) == others(case)
    ]


def summarize(store: Store) -> list[Summary]:
    """One summary for each curve of a run that has data; every shard's checksum is verified on the way."""
    plan = store.plan()
    return summarize_table(store.read(), plan.cases if plan else (), store.config()["seed"])


def summarize_table(table: pa.Table, cases: Sequence[Case], seed: int) -> list[Summary]:
    """One summary for each curve of these rows; the bootstrap's random numbers follow from the seed."""
    curves = [curve for case in cases for curve in case.curves]
    told = {name for curve in curves for name in (curve.metric, curve.first) if name is not None}
    names = {*COLUMNS, *Tuning._fields, "solver_gap", *told}
    columns = {name: table[name].to_numpy() for name in names}
    found: list[Summary] = []
    for number, case in enumerate(cases):
        for curve in case.curves:
            numbers = _along(case, cases, curve.axis) if curve.is_tuned else [number]
            if number != numbers[0]:
                continue  # the first of them has told it
            mine = np.isin(columns["case"], numbers)
            if curve.by is not None:
                mine &= columns[curve.by] == curve.held
            if curve.is_tuned and case.num_rounds:
                mine &= columns["num_rounds"] == case.num_rounds[-1]
            rows = {name: column[mine] for name, column in columns.items()}
            told = case.model_copy(update={curve.axis: None}) if curve.is_tuned else case
            found.append(_summarize(told, curve, rows, seed))
    return [entry for entry in found if entry.solves]
