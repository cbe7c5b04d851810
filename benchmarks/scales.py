"""How far are payoffs and temperatures solved apart? Statuses by decade of their ratio.

    python benchmarks/scales.py [--games 1000] [--checked 20]

Random games of 3 x 3 actions, every second one zero-sum, payoffs in [0, 1], by R / temperature.
Residuals of converged answers are computed anew, in extended precision. Of zero-sum games that failed in float64, up to
so many a decade are solved with 50 digits (mpmath), by Newton's method from the last decade in which they were; then
their log-policies are rounded to float64, and the residual of that is the least that float64 can be asked for.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import RESULTS, digits, facts, table
from many_digits import colder_equilibrium

import gamekl as gk

jax.config.update("jax_enable_x64", True)

DECADES = range(13)


def draw(number: int) -> np.ndarray:
    """Payoffs, shape ``[game, player, 3, 3]``."""
    rng = np.random.default_rng(0)
    payoffs = rng.random((number, 2, 3, 3))
    payoffs[::2, 1] = -payoffs[::2, 0]
    return payoffs


def solve(payoffs: np.ndarray, temperature: float) -> gk.Solution:
    """The regularised equilibria of a batch, with uniform references."""
    games = jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))
    return gk.solve_nash_batch(games, jax.vmap(lambda game: gk.Regularizer.uniform(game, temperature))(games))


def residuals(payoffs: np.ndarray, log_policy: Any, temperature: float) -> np.ndarray:
    """sup |policy - best response| in extended precision, by game."""
    logs = [np.asarray(entry).astype(np.longdouble) for entry in log_policy]
    policies = [np.exp(entry) / np.exp(entry).sum(axis=1, keepdims=True) for entry in logs]
    values = [
        np.einsum("gij,gj->gi", payoffs[:, 0].astype(np.longdouble), policies[1]),
        np.einsum("gij,gi->gj", payoffs[:, 1].astype(np.longdouble), policies[0]),
    ]
    worst = np.zeros(len(payoffs))
    for value, policy in zip(values, policies, strict=True):
        weight = np.exp((value - value.max(axis=1, keepdims=True)) / temperature)
        worst = np.maximum(worst, np.abs(weight / weight.sum(axis=1, keepdims=True) - policy).max(axis=1))
    return worst


def statuses(number: int, checked: int) -> str:
    """The table."""
    rows = []
    for dtype in ("float64", "float32"):
        payoffs = draw(number).astype(dtype)
        solved: dict[int, tuple[int, list[np.ndarray]]] = {}
        for decade in DECADES:
            temperature = 10.0**-decade
            solutions = solve(payoffs, temperature)
            status = np.asarray(solutions.status)
            good = status == gk.Status.converged
            found = residuals(payoffs.astype(float), solutions.log_policy, temperature)
            failed = Counter(gk.Status(int(code)).name for code in status[~good])
            least = []
            if dtype == "float64":
                for index in np.flatnonzero(~good[::2])[:checked] * 2:
                    before, log_policy = solved[int(index)]
                    rounded = colder_equilibrium(payoffs[index], log_policy, before, decade)
                    least.append(residuals(payoffs[[index]], rounded, temperature)[0] if rounded else np.nan)
                for index in np.flatnonzero(good[::2]) * 2:
                    solved[int(index)] = decade, [np.asarray(entry[index]) for entry in solutions.log_policy]
            rows.append(
                [
                    dtype,
                    f"1e{decade}",
                    f"{good.sum():,} of {number:,}",
                    ", ".join(f"{count} {name}" for name, count in failed.items()) or "none",
                    digits(found[good].max(initial=0)),
                    f"{digits(np.nanmin(least))} of {len(least)}" if least else "",
                    digits(float(np.mean(solutions.num_steps))),
                ]
            )
    return table(
        [
            "dtype",
            "R / temperature",
            "converged",
            "failures",
            "worst residual of converged",
            "least that float64 can have",
            "steps",
        ],
        rows,
    )


def main() -> None:
    """Write benchmarks/results/scales.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--checked", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    text = f"# Far scales\n\n{facts()}\n\n{statuses(asked.games, asked.checked)}\n"
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "scales.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
