"""From a run's shards to one summary for each case, and a table of them."""

from typing import Any, NamedTuple

import numpy as np

from gamekl.evaluate.fit import Rate, bootstrap_means, fit_rate
from gamekl.experiment.store import Store

# Means closer to the solver's own gap than this are not fitted.
ABOVE_FLOOR = 10.0
RESAMPLES = 1_000
# How many of the largest sample sizes are compared with the prediction.
COMPARED = 3


class Summary(NamedTuple):
    """What a case shows. Errors are summed over players; arrays are ``[n]``.

    Attributes:
        case: the plan's entry.
        metric: the column that was summarised.
        num_samples: sample sizes with data.
        means: mean error over games and seeds.
        band: bootstrap 95 % band of the mean, ``[2, n]``.
        spread: 5 % and 95 % quantiles over seeds, ``[2, n]``.
        standard_errors: of the means.
        floor: the solver's own mean gap in the solved game.
        rate: the fitted slope, or None with fewer than two points above the floor.
        solves: how many solves there are.
        failures: how many of them did not converge; they are left out of the means.
        unvisited: how many datasets miss a joint action.
    """

    case: dict[str, Any]
    metric: str
    num_samples: np.ndarray
    means: np.ndarray
    band: np.ndarray
    spread: np.ndarray
    standard_errors: np.ndarray
    floor: np.ndarray
    rate: Rate | None
    solves: int
    failures: int
    unvisited: int

    @property
    def scaled(self) -> np.ndarray:
        """n^-slope times the mean error, which tends to the predicted constant."""
        return self.means * self.num_samples.astype(float) ** -self.case["slope"]

    @property
    def ratios(self) -> np.ndarray | None:
        """`scaled` over the predicted constant, if there is one."""
        constant = self.case["constant"]
        return None if constant is None else self.scaled / constant


def _summarize_case(number: int, case: dict[str, Any], columns: dict[str, np.ndarray], seed: int) -> Summary | None:
    mine = columns["case"] == number
    converged = mine & (columns["status"] == 0)
    if not mine.any():
        return None
    metric = "regularized_gap" if case["solver"] == "gane" else "nash_gap"
    errors_all, floors_all, n_all = (columns[name][converged] for name in (metric, "solver_gap", "num_samples"))
    numbers = np.unique(n_all)
    errors = [errors_all[n_all == n] for n in numbers]
    rng = np.random.default_rng(seed)
    band = [np.quantile(bootstrap_means(rng, entry, RESAMPLES), [0.025, 0.975]) for entry in errors]
    means = np.array([entry.mean() for entry in errors])
    floor = np.array([floors_all[n_all == n].mean() for n in numbers])
    fitted = [
        index
        for index, entry in enumerate(errors)
        if means[index] > ABOVE_FLOOR * floor[index] and len(entry) >= 2  # a single seed cannot be resampled
    ]
    rate = None
    if len(fitted) >= 2:
        rate = fit_rate(numbers[fitted], [errors[index] for index in fitted], seed=seed, resamples=RESAMPLES)
    return Summary(
        case=case,
        metric=metric,
        num_samples=numbers,
        means=means,
        band=np.reshape(band, (-1, 2)).T,
        spread=np.reshape([np.quantile(entry, [0.05, 0.95]) for entry in errors], (-1, 2)).T,
        standard_errors=np.array(
            [entry.std(ddof=1) / np.sqrt(len(entry)) if len(entry) > 1 else 0 for entry in errors]
        ),
        floor=floor,
        rate=rate,
        solves=int(mine.sum()),
        failures=int(mine.sum() - converged.sum()),
        unvisited=int(np.count_nonzero(columns["unvisited"][mine])),
    )


def summarize(store: Store) -> list[Summary]:
    """One summary for each case of a run that has data; every shard's checksum is verified on the way."""
    plan, config = store.plan(), store.config()
    table = store.read()
    names = ("case", "status", "num_samples", "regularized_gap", "nash_gap", "solver_gap", "unvisited")
    columns = {name: table[name].to_numpy() for name in names}
    cases = plan["cases"] if plan else []
    found = [_summarize_case(number, case, columns, config["seed"]) for number, case in enumerate(cases)]
    return [entry for entry in found if entry is not None]


def case_name(case: dict[str, Any]) -> str:
    """Label and temperature of a case."""
    return case["label"] if case["temperature"] is None else f"{case['label']} (τ={case['temperature']:g})"


def _cells(entry: Summary) -> list[str]:
    """One line of the table."""
    rate, ratios, constant, power = entry.rate, entry.ratios, entry.case["constant"], -entry.case["slope"]
    scaled = "none"
    if len(entry.means):
        error = entry.standard_errors[-1] * float(entry.num_samples[-1]) ** power
        scaled = f"{entry.scaled[-1]:.4g} ± {error:.2g} (s={power:g})"
    return [
        case_name(entry.case),
        f"{entry.solves // len(entry.case['num_samples'])} x {len(entry.case['num_samples'])}",
        "too few points" if rate is None else f"{rate.slope:+.4f} [{rate.low:+.4f}, {rate.high:+.4f}]",
        scaled,
        "none" if constant is None else f"{constant:.4g}",
        "none" if ratios is None else " ".join(f"{ratio:.3f}" for ratio in ratios[-COMPARED:]),
        f"{entry.failures} of {entry.solves}",
    ]


def format_table(summaries: list[Summary]) -> str:
    """A plain text table: slope with interval, and n^-slope E[gap] against the predicted constant."""
    header = ["game", "seeds x n", "slope [95 % interval]", "n^s E[gap]", "predicted", "ratios at largest n", "failed"]
    lines = [header, *map(_cells, summaries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(row.rstrip() for row in rows)
