"""Are answers those of the problem where payoffs are of very unlike sizes? Other units, and one cell of another size.

    python benchmarks/units.py [--games 500]

First table: one player's payoffs, and its temperature, times a power of ten. No equilibrium changes. Counted are games
whose policies differ by more than 1e-6 although both are `converged`.

Second table: one of the payoffs times a power of ten, drawn from -1 to 1, temperatures .1. Converged answers are
measured by those of the same problem in 50 digits near them (`many_digits.py`), or in rational numbers for linear
programmes and equilibria without a temperature (`tests/exact_answers.py`); those that neither has are counted, too.
Greatest entropies are asked for to 1e-8, so that their policies may differ by 2e-4, all others by 1e-6.
"""

import argparse
from collections import Counter
from pathlib import Path

import jax
import numpy as np
from common import RESULTS, digits, facts, table
from exact_answers import gains, nash, strong_commitment, welfare
from many_digits import commitment, equilibrium, most_entropy, policies

import gamekl as gk
from gamekl import stackelberg

jax.config.update("jax_enable_x64", True)

POWERS = (-12, -9, -6, -3, 3, 6, 9, 12)
SAME = 1e-6
# Of the greatest entropy, which is met to 1e-8: in policies that is a square root.
SAME_ENTROPY = 2e-4
TEMPERATURE = 0.1
UNIFORM = [np.log(np.full(3, 1 / 3))] * 2
CONCEPTS = ("nash", "exact nash", "ce entropy", "cce entropy", "ce welfare", "cce welfare", "quantal", "strong")
# The sum of payoffs is no longer the same where a player's unit is another.
UNITLESS = [concept for concept in CONCEPTS if "welfare" not in concept]

Answer = tuple[np.ndarray, int]


def solve(payoffs: np.ndarray, temperatures: np.ndarray, concept: str) -> list[Answer]:
    """By game: what is played, in one row, and the status; of "nash" and "quantal" the logs of that."""
    games = [gk.NormalFormGame(entry) for entry in payoffs]
    regularizers = [gk.Regularizer(UNIFORM, temperatures) for _ in games]
    if concept == "nash":
        found = gk.solve_nash_batch(gk.stack(games), gk.stack(regularizers))
        logs = np.concatenate([np.asarray(entry) for entry in found.log_policy], axis=1)
        return list(zip(logs, np.asarray(found.status).tolist(), strict=True))
    if concept == "quantal":
        plan = jax.jit(jax.vmap(lambda *problem: stackelberg.quantal_stackelberg(*problem, throw=False)))
        found = plan(gk.stack(games), gk.stack(regularizers))
        return list(zip(np.asarray(found.log_policy[0]), np.asarray(found.status).tolist(), strict=True))
    if concept == "exact nash":
        exact = map(gk.solve_nash_exact, games)
        return [(np.concatenate([np.asarray(part) for part in one.policy]), int(one.status)) for one in exact]
    if concept == "strong":
        return [(one.policy, int(one.status)) for one in map(stackelberg.strong_stackelberg, games)]
    name, _, objective = concept.partition(" ")
    if objective == "welfare":
        joint = [gk.solve_welfare(game, concept=name) for game in games]
    else:
        joint = [gk.solve_correlated(game, concept=name, throw=False) for game in games]
    return [(np.ravel(one.joint_policy), int(one.status)) for one in joint]


def chances(answer: np.ndarray, concept: str) -> np.ndarray:
    """Probabilities."""
    return np.exp(answer) if concept in ("nash", "quantal") else answer


def truth(payoffs: np.ndarray, answer: np.ndarray, concept: str) -> np.ndarray | None:
    """What should be played, near the answer where there may be several; None if nothing was found."""
    name, _, objective = concept.partition(" ")
    if concept == "nash":
        found = equilibrium(payoffs, [float(entry) for entry in answer], [TEMPERATURE] * 2)
        return None if found is None else policies(found)
    if concept == "quantal":
        return commitment(payoffs, answer, [TEMPERATURE] * 2)
    if concept == "strong":
        return np.array(strong_commitment(payoffs)[0], float)
    if concept == "exact nash":
        exact = nash(payoffs, [np.flatnonzero(part).tolist() for part in (answer[:3], answer[3:])])
        return None if exact is None else np.array([entry for part in exact for entry in part], float)
    if objective == "welfare":
        return np.array(welfare(payoffs, name), float)
    return most_entropy(gains(payoffs, name), answer)


def units(number: int) -> str:
    """The first table."""
    rows = []
    payoffs = np.random.default_rng(1).random((number, 2, 3, 3))
    tau = np.full(2, TEMPERATURE)
    for concept in UNITLESS:
        plain = solve(payoffs, tau, concept)
        for power in POWERS:
            factor = np.array([1.0, 10.0**power])
            other = solve(payoffs * factor[:, None, None], tau * factor, concept)
            apart = np.array(
                [
                    np.abs(chances(a, concept) - chances(b, concept)).max()
                    for (a, fine), (b, good) in zip(plain, other, strict=True)
                    if fine == good == gk.Status.converged
                ]
            )
            both = f"{len(apart)} of {number}"
            rows.append([concept, f"1e{power}", both, f"{np.sum(apart > SAME)}", digits(apart.max(initial=0))])
    return table(["concept", "player 2 in units of", "converged in both", "differ", "largest difference"], rows)


def cells(number: int) -> str:
    """The second table."""
    rows = []
    for concept in CONCEPTS:
        for index, power in enumerate(POWERS):
            rng = np.random.default_rng([2, index])
            payoffs = rng.uniform(-1, 1, (-(-number // len(POWERS)), 2, 3, 3))
            for game in payoffs:
                game[tuple(rng.integers(0, game.shape))] *= 10.0**power
            answers = solve(payoffs, np.full(2, TEMPERATURE), concept)
            unknown, apart, failed = 0, [], Counter()
            for game, (answer, status) in zip(payoffs, answers, strict=True):
                if status != gk.Status.converged:
                    failed[gk.Status(status).name] += 1
                    continue
                expected = truth(game, answer, concept)
                if expected is None:
                    unknown += 1
                else:
                    apart.append(np.abs(chances(answer, concept) - expected).max())
            rows.append(
                [
                    concept,
                    f"1e{power}",
                    f"{len(apart) + unknown} of {len(payoffs)}",
                    ", ".join(f"{count} {name}" for name, count in failed.items()) or "none",
                    f"{np.sum(np.array(apart) > (SAME_ENTROPY if 'entropy' in concept else SAME))}",
                    digits(max(apart, default=0.0)),
                    str(unknown),
                ]
            )
            print(*rows[-1], sep=" | ", flush=True)
    header = ["concept", "one cell times", "converged", "failures", "differ", "largest difference", "not compared"]
    return table(header, rows)


def main() -> None:
    """Write benchmarks/results/units.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=500)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    parts = ["# Unlike sizes", f"{facts()}; {asked.games} games a concept", units(asked.games), cells(asked.games)]
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "units.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(*parts, sep="\n\n")


if __name__ == "__main__":
    main()
