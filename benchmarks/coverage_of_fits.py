"""How often intervals of fitted rationalities cover the truth, and tests reject it, in simulated experiments.

    python benchmarks/coverage_of_fits.py [--quick] [--out benchmarks/results]

Experiments of three games, 60 subjects and 20 rounds (`tests/simulated_experiments.py`), 10,000 for each rationality.
In some a decision is the subject's habit with chance .3, so that decisions depend on each other. A fit without an
interval counts as one that misses. Tests are at 5 %.
"""

import jax
import numpy as np
import scipy.stats
from common import facts, parser_with_out, table

from gamekl.core.status import FitStatus
from gamekl.estimation import Play, fit_qre, uniform_test

RATIONALITIES = 0.5, 1.0, 2.0, 5.0, 10.0
KINDS = "information", "profile", "sandwich", "clustered"
HABIT = 0.3
LEVEL = 0.05
AT_A_TIME = 500


def intervals(rationality: float, habit: float, number: int) -> list[str]:
    """A row: the share of intervals of each kind that cover the truth."""
    from simulated_experiments import GAMES, draw_play

    random, covered = np.random.default_rng([int(10 * rationality), int(habit > 0)]), np.zeros(len(KINDS))
    off, failed = [], 0
    for _ in range(0, number, AT_A_TIME):
        fit = fit_qre(GAMES, draw_play(random, rationality, AT_A_TIME, habit))
        for place, kind in enumerate(KINDS):
            found = fit.interval(1 - LEVEL, kind=kind)
            covered[place] += sum(any(low <= rationality <= high for low, high in parts) for parts in found)
        failed += sum(status != FitStatus.converged for status in fit.status)
        with np.errstate(divide="ignore"):
            off.append((np.log(fit.rationality) - np.log(rationality))[np.isfinite(fit.rationality)])
    bias = np.concatenate(off)
    row = [f"{rationality:g}", f"{habit:g}", f"{number:,}", *(f"{100 * share / number:.2f}" for share in covered)]
    row += [f"{bias.mean():.4f}", f"{bias.std():.4f}", str(failed)]
    print(*row, sep=" | ", flush=True)
    return row


def rejections(rationality: float, number: int) -> list[str]:
    """A row: how often a true hypothesis is rejected, of uniform play or of two groups that are alike."""
    from simulated_experiments import GAMES, SUBJECTS, draw_play

    random, rejected = np.random.default_rng(int(10 * rationality) + 1_000), 0
    for _ in range(0, number, AT_A_TIME):
        play = draw_play(random, rationality, AT_A_TIME, groups=1 if rationality == 0 else 2)
        fit = fit_qre(GAMES, play)
        if rationality == 0:
            rejected += sum(test.p_value < LEVEL for test in uniform_test(fit))
            continue
        pairs = fit.log_likelihood.reshape(-1, 2).sum(axis=1)
        together = tuple(np.repeat(np.arange(AT_A_TIME), SUBJECTS).tolist())
        both = fit_qre(GAMES, Play(play.sizes, play.counts, together))
        statistics = 2 * (pairs - both.log_likelihood)
        rejected += int(np.sum(scipy.stats.chi2.sf(statistics, 1) < LEVEL))
    name = "uniform play" if rationality == 0 else "two groups alike"
    row = [name, f"{rationality:g}", f"{number:,}", f"{100 * rejected / number:.2f}"]
    print(*row, sep=" | ", flush=True)
    return row


def main() -> None:
    options = parser_with_out(__doc__).parse_args()
    jax.config.update("jax_enable_x64", True)
    number = AT_A_TIME if options.quick else 10_000
    rows = [intervals(rationality, habit, number) for habit in (0.0, HABIT) for rationality in RATIONALITIES]
    tests = [rejections(rationality, number) for rationality in (0.0, *RATIONALITIES)]
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / number)
    header = ["rationality", "habit", "experiments", *(f"{kind}, %" for kind in KINDS)]
    header += ["bias of log", "its spread", "without a maximum"]
    text = f"# Coverage of intervals of rationality\n\n{facts()}. Intervals at 95 %, tests at 5 %: three Monte Carlo "
    text += f"standard errors are {3 * error:.2f} %.\n\n" + table(header, rows) + "\n\n"
    text += table(["test", "rationality", "experiments", "rejected, %"], tests) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "coverage_of_fits.md").write_text(text)


if __name__ == "__main__":
    main()
