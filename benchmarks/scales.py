"""How far are payoffs and temperatures solved apart? Statuses by decade, and answers in other units.

    python benchmarks/scales.py [--games 1000] [--rescaled 500] [--checked 20]

First table: random games of 3 x 3 actions, every second one zero-sum, payoffs in [0, 1], by R / temperature.
Residuals of converged answers are computed anew, in extended precision. Of zero-sum games that failed in float64, up to
so many a decade are solved with 50 digits (mpmath), by Newton's method from the last decade in which they were; then
their log-policies are rounded to float64, and the residual of that is the least that float64 can be asked for.

Second table: one player's payoffs, and its temperature, times a power of ten. No equilibrium changes. Counted are games
whose policies differ by more than 1e-6 although both are `converged`, and those that are not.
"""

import argparse
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from common import RESULTS, digits, facts, table

import gamekl as gk

jax.config.update("jax_enable_x64", True)

DECADES = range(13)
POWERS = (-12, -9, -6, -3, 3, 6, 9, 12)
DIGITS = 50
SAME = 1e-6
# Log-probabilities below this are of actions that are not played.
UNPLAYED = -30


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


def _response(payoffs: list[Any], z: Any, temperature: Any) -> tuple[Any, Any, Any]:
    """Policies, values over the temperature, and their derivatives by logits, with many digits."""
    policies = []
    for start in (0, 3):
        weights = [mpmath.exp(z[start + action] - max(z[start : start + 3])) for action in range(3)]
        policies.append([weight / sum(weights) for weight in weights])
    values, slopes = [], mpmath.zeros(6)
    for player, other in ((0, 1), (1, 0)):
        table = payoffs[player] if player == 0 else payoffs[player].T
        for action in range(3):
            row = [mpmath.mpf(float(entry)) / temperature for entry in table[action]]
            value = sum(entry * chance for entry, chance in zip(row, policies[other], strict=True))
            values.append(value)
            for column in range(3):
                slopes[3 * player + action, 3 * other + column] = policies[other][column] * (row[column] - value)
    return policies, values, slopes


def _centred(values: list[Any]) -> list[Any]:
    return [value - sum(values[3 * (i // 3) : 3 * (i // 3) + 3]) / 3 for i, value in enumerate(values)]


def least_residual(payoffs: np.ndarray, log_policy: list[np.ndarray], before: int, decade: int) -> float:
    """Of the equilibrium at R / temperature = 10^decade, from that at 10^before, rounded to float64; NaN if none."""
    mpmath.mp.dps = DIGITS
    parts = [np.asarray(entry, float) for entry in log_policy]
    z = [mpmath.mpf(float(entry)) for entry in np.concatenate(parts)]
    for power in range(before + 1, decade + 1):
        temperature = mpmath.mpf(10) ** -power
        z = [10 * entry if entry < UNPLAYED else entry for entry in z]
        for _ in range(60):
            _, values, slopes = _response(list(payoffs), z, temperature)
            slopes = mpmath.matrix([_centred(list(slopes[:, column])) for column in range(6)]).T
            residual = mpmath.matrix([a - b for a, b in zip(_centred(z), _centred(values), strict=True)])
            step = mpmath.lu_solve(mpmath.eye(6) - slopes, -residual)
            z = [a + b for a, b in zip(_centred(z), step, strict=True)]
            if max(abs(entry) for entry in step) < mpmath.mpf(10) ** (10 - DIGITS):
                break
        else:
            return float("nan")
    rounded = []
    for start in (0, 3):
        part = z[start : start + 3]
        total = mpmath.log(sum(mpmath.exp(entry - max(part)) for entry in part)) + max(part)
        rounded.append(np.array([[float(entry - total) for entry in part]]))
    return float(residuals(payoffs[None], rounded, 10.0**-decade)[0])


def statuses(number: int, checked: int) -> str:
    """The first table."""
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
                    least.append(least_residual(payoffs[index], log_policy, before, decade))
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


def _policies(payoffs: np.ndarray, temperatures: np.ndarray, concept: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Answers by game, and whether they are converged."""
    games = [gk.NormalFormGame(entry) for entry in payoffs]
    if concept == "nash":
        regularizers = gk.stack([gk.Regularizer([np.log(np.full(3, 1 / 3))] * 2, temperatures) for _ in games])
        found = gk.solve_nash_batch(gk.stack(games), regularizers)
        return [np.concatenate(pair) for pair in zip(*map(np.asarray, found.policy), strict=True)], found.status == 0
    if concept == "exact nash":
        answers = [gk.solve_nash_exact(game) for game in games]
        return [np.concatenate([np.asarray(part) for part in one.policy]) for one in answers], np.array(
            [int(one.status) == 0 for one in answers]
        )
    name, _, objective = concept.partition(" ")
    if objective == "welfare":
        answers = [gk.solve_welfare(game, concept=name) for game in games]
    else:
        answers = [gk.solve_correlated(game, concept=name, throw=False) for game in games]
    return [np.asarray(one.policy) for one in answers], np.array([int(one.status) == 0 for one in answers])


def units(number: int) -> str:
    """The second table."""
    rows = []
    payoffs = np.random.default_rng(1).random((number, 2, 3, 3))
    for concept in ("nash", "exact nash", "ce entropy", "cce entropy"):
        plain, good = _policies(payoffs, np.array([0.1, 0.1]), concept)
        for power in POWERS:
            factor = np.array([1.0, 10.0**power])
            other, fine = _policies(payoffs * factor[:, None, None], 0.1 * factor, concept)
            both = np.asarray(good) & np.asarray(fine)
            apart = np.array([np.abs(a - b).max() for a, b in zip(plain, other, strict=True)])
            differ = int(np.sum(apart[both] > SAME))
            rows.append([concept, f"1e{power}", f"{both.sum()} of {number}", str(differ), digits(apart[both].max())])
    return table(["concept", "player 2 in units of", "converged in both", "differ", "largest difference"], rows)


def main() -> None:
    """Write benchmarks/results/scales.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--rescaled", type=int, default=500)
    parser.add_argument("--checked", type=int, default=20)
    asked = parser.parse_args()
    text = f"# Far scales\n\n{facts()}\n\n{statuses(asked.games, asked.checked)}\n\n{units(asked.rescaled)}\n"
    (RESULTS / "scales.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
