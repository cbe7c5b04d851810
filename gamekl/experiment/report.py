"""From a run's shards to the curves of its cases, and a table of them."""

import textwrap
from typing import Any, NamedTuple

import numpy as np

from gamekl.evaluate.fit import Rate, bootstrap_means, fit_paired_rate, fit_rate
from gamekl.experiment.store import Store

# Means closer to the solver's own gap than this are not fitted.
ABOVE_FLOOR = 10.0
RESAMPLES = 1_000
# How many of the largest sizes are compared with the prediction.
COMPARED = 3
# How many curves of one kind are shown of a family that plays.
SHOWN = 4
# The power of the rounds with which the error of playing falls.
PLAYED = {"gamd": -1.0, "multiplicative_weights": -0.5}
SYMBOLS = {"num_samples": "n", "num_steps": "T"}
LEGEND = (
    "size^s E[gap]: the mean gap at the largest size, scaled by the rate to be expected; predicted: what that should "
    "come to, or its bound (<); ratios: mean over prediction at the largest sizes; above: gaps above their own bound."
)
COLUMNS = (
    "case",
    "num_samples",
    "num_steps",
    "status",
    "regularized_gap",
    "nash_gap",
    "regularized_cce_gap",
    "cce_gap",
    "solver_gap",
    "bound",
    "exceeded",
    "unvisited",
)


class Summary(NamedTuple):
    """A curve: how a case's mean error falls along one axis. Errors are summed over players; arrays are ``[size]``.

    Attributes:
        case: the plan's entry.
        metric: the column that was summarised.
        axis: "num_samples", or "num_steps" of families that play.
        held: of families that play, what the other of the two is.
        sizes: along the axis, those with data.
        means: mean error over games and seeds.
        band: bootstrap 95 % band of the mean, ``[2, size]``.
        spread: 5 % and 95 % quantiles over seeds, ``[2, size]``.
        standard_errors: of the means.
        floor: the solver's own mean gap in the solved game.
        slope: the exponent to expect.
        predicted: what the means should come to, or stay below where that `is_bound`; None if nothing is known.
        is_bound: which of the two.
        rate: the fitted slope, or None with fewer than two points above the floor.
        solves: how many solves there are.
        failures: how many of them did not converge; they are left out of the means.
        exceeded: how many of the others are above the bound of their own game.
        unvisited: how many datasets miss a joint action.
    """

    case: dict[str, Any]
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

    @property
    def scaled(self) -> np.ndarray:
        """size^-slope times the mean error, which tends to a constant."""
        return self.means * self.sizes.astype(float) ** -self.slope

    @property
    def ratios(self) -> np.ndarray | None:
        """Of the means to what is predicted, if anything is."""
        return None if self.predicted is None else self.means / self.predicted


def _summarize(
    case: dict[str, Any],
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
    floor = np.array([0.0 if own else entry["solver_gap"].mean() for entry in at_size])
    slope, line = case["slope"], None
    if own:
        slope, line = PLAYED[case["solver"]], np.array([entry["bound"].mean() for entry in at_size])
    elif predicted and case["constant"] is not None:
        line = case["constant"] * sizes.astype(float) ** slope
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
        is_bound=own,
        # Against the rounds, only the error of playing is a power law.
        rate=_fit(sizes, errors, means, floor, axis, seed) if own or axis == "num_samples" else None,
        solves=len(rows["status"]),
        failures=int(np.count_nonzero(rows["status"])),
        exceeded=int(np.nansum(converged["exceeded"])),
        unvisited=int(np.count_nonzero(rows["unvisited"])),
    )


def _fit(
    sizes: np.ndarray, errors: list[np.ndarray], means: np.ndarray, floor: np.ndarray, axis: str, seed: int
) -> Rate | None:
    # A single seed cannot be resampled.
    fitted = [
        index for index, entry in enumerate(errors) if means[index] > ABOVE_FLOOR * floor[index] and len(entry) > 1
    ]
    if len(fitted) < 2:
        return None
    chosen = [errors[index] for index in fitted]
    if axis == "num_steps":
        return fit_paired_rate(sizes[fitted], np.array(chosen), seed=seed, resamples=RESAMPLES)
    return fit_rate(sizes[fitted], chosen, seed=seed, resamples=RESAMPLES)


def _some(values: list[int]) -> list[int]:
    """A few of them, evenly, the last among them."""
    step = max(1, -(-(len(values) - 1) // (SHOWN - 1)))
    return values[::-1][::step][::-1]


def _summarize_played(case: dict[str, Any], rows: dict[str, np.ndarray], seed: int) -> list[Summary]:
    """Against the rounds at some sample sizes and in the game that was played, then against the rows of data."""

    def where(axis: str, size: int) -> dict[str, np.ndarray]:
        return {name: column[rows[axis] == size] for name, column in rows.items()}

    metric = "regularized_cce_gap" if case["solver"] == "gamd" else "cce_gap"
    largest, samples = case["num_samples"][-1], _some(case["num_samples"])
    rounds = _some(case["num_steps"])
    by_rounds = {"axis": "num_steps", "predicted": False}
    return [
        *(_summarize(case, where("num_samples", n), seed, metric, held=n, **by_rounds) for n in samples),
        _summarize(case, where("num_samples", largest), seed, "solver_gap", held=largest, **by_rounds),
        *(
            _summarize(case, where("num_steps", T), seed, metric, held=T, predicted=T == case["num_steps"][-1])
            for T in rounds
        ),
    ]


def summarize(store: Store) -> list[Summary]:
    """One summary for each curve of a run that has data; every shard's checksum is verified on the way."""
    plan, config = store.plan(), store.config()
    table = store.read()
    columns = {name: table[name].to_numpy() for name in COLUMNS}
    found = []
    for number, case in enumerate(plan["cases"] if plan else []):
        mine = columns["case"] == number
        rows = {name: column[mine] for name, column in columns.items()}
        if case["num_steps"] is None:
            metric = "regularized_gap" if case["solver"] == "gane" else "nash_gap"
            found.append(_summarize(case, rows, config["seed"], metric))
        else:
            found += _summarize_played(case, rows, config["seed"])
    return [entry for entry in found if entry.solves]


def case_name(case: dict[str, Any]) -> str:
    """Label and temperature of a case."""
    return case["label"] if case["temperature"] is None else f"{case['label']} (τ={case['temperature']:g})"


def _short(number: int) -> str:
    """1000 as 1e3."""
    zeros = len(str(number)) - len(str(number).rstrip("0"))
    return f"{str(number)[:-zeros]}e{zeros}" if zeros >= 3 else str(number)


def curve_name(entry: Summary) -> str:
    """What tells a curve from the others of its case; empty where there are none."""
    if entry.held is None:
        return ""
    name = f"{SYMBOLS['num_samples' if entry.axis == 'num_steps' else 'num_steps']} = {_short(entry.held)}"
    return f"{name}, in the estimate" if entry.is_bound else name


def _cells(entry: Summary) -> list[str]:
    """One line of the table."""
    rate, ratios, power = entry.rate, entry.ratios, -entry.slope
    scaled = predicted = "none"
    if len(entry.means):
        unit = float(entry.sizes[-1]) ** power
        scaled = f"{entry.scaled[-1]:.4g} ± {entry.standard_errors[-1] * unit:.2g} (s={power:g})"
        if entry.predicted is not None:
            predicted = f"{'< ' if entry.is_bound else ''}{entry.predicted[-1] * unit:.4g}"
    failed = f"{entry.failures} of {entry.solves}"
    return [
        ", ".join(filter(None, (case_name(entry.case), curve_name(entry)))),
        f"{entry.solves // len(entry.case[entry.axis])} x {len(entry.case[entry.axis])} {SYMBOLS[entry.axis]}",
        "too few points" if rate is None else f"{rate.slope:+.4f} [{rate.low:+.4f}, {rate.high:+.4f}]",
        scaled,
        predicted,
        "none" if ratios is None else " ".join(f"{ratio:.3f}" for ratio in ratios[-COMPARED:]),
        failed + (f", {entry.exceeded} above" if entry.is_bound else ""),
    ]


def format_table(summaries: list[Summary]) -> str:
    """A plain text table: slope with interval, and size^-slope E[gap] against the predicted constant."""
    header = [
        "game",
        "seeds x sizes",
        "slope [95 % interval]",
        "size^s E[gap]",
        "predicted",
        "ratios at largest",
        "failed",
    ]
    told = [entry for entry in summaries if entry.axis == "num_samples" or entry.is_bound]
    lines = [header, *map(_cells, told)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*(row.rstrip() for row in rows), "", textwrap.fill(LEGEND, 120)])
