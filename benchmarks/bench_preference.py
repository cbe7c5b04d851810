"""Regularised Nash policies over K responses to many prompts, beside Python loops over the prompts, in the same run.

    python benchmarks/bench_preference.py [--quick] [--out benchmarks/results]

Preferences P_ij ~ U[0, 1] for i < j, P + P^T = 1; references softmax(N(0, 1)). The peers, in a process of their own on
one processor, solve the first prompts: Newton's method with full steps, and mirror prox, both in numpy; scipy's `root`
(Powell's hybrid method, with the derivative) from the reference; and Gambit's tracer (`first_step=.3, max_accel=2`) of
the game of two, to whose payoffs tau log pi0 of the own response is added, as it knows uniform references only. Every
answer's gap is computed in numpy, by no solver's own code, and counts as failed above 1e-6. gamekl runs on one
processor and on all; its time is that from tables in memory to certified policies in memory. Contenders take turns;
medians over the rounds.
"""

import functools
import os
import time
from typing import NamedTuple

import numpy as np
from common import digits, facts, middle, options, table, worker
from scipy.optimize import root
from scipy.special import logsumexp

import gamekl as gk
from gamekl.games.gambit import make_table
from gamekl.preference.policies import MAX_STEPS

TOLERANCE = 1e-6


class Case(NamedTuple):
    """Prompts of one kind."""

    candidates: int
    temperature: float
    prompts: int

    @property
    def name(self) -> str:
        return f"K = {self.candidates}, temperature {self.temperature:g}"


@functools.cache
def draw(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Preferences and references; fewer prompts are the first of more."""
    below = np.tril(np.random.default_rng(0).random((case.prompts, case.candidates, case.candidates)), -1)
    upper = np.triu(1 - np.swapaxes(below, 1, 2), 1)
    logits = np.random.default_rng(1).normal(size=(case.prompts, case.candidates))
    preferences = below + upper + np.eye(case.candidates) / 2
    return preferences, logits - logsumexp(logits, axis=1, keepdims=True)


def failures(case: Case, policies: np.ndarray) -> tuple[int, float]:
    """Of the first prompts' policies ``[prompt, candidate]``: how many failed, and the largest gap of the others."""
    preferences, reference = draw(case._replace(prompts=len(policies)))
    values = np.einsum("pij,pj->pi", preferences, policies)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = np.where(policies > 0, policies * (np.log(policies) - reference), 0).sum(axis=1)
    tau = case.temperature
    gaps = tau * logsumexp(reference + values / tau, axis=1) - (policies * values).sum(axis=1) + tau * costs
    solved = gaps <= TOLERANCE
    return int((~solved).sum()), float(gaps[solved].max(initial=0))


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def mirror_prox(preferences: np.ndarray, reference: np.ndarray, tau: float) -> np.ndarray:
    """With its longest proven step, 2."""
    pace, logits = 2 * tau, reference
    for count in range(100_000):
        policy = softmax(logits)
        target = reference + preferences @ policy / tau
        if count % 8 == 3 and tau * policy @ (np.log(policy) - target + logsumexp(target)) <= TOLERANCE / 2:
            break
        half = softmax((logits + pace * target) / (1 + pace))
        logits = (logits + pace * (reference + preferences @ half / tau)) / (1 + pace)
    return policy


def newton(preferences: np.ndarray, reference: np.ndarray, tau: float) -> np.ndarray:
    """As `powell`, in logits above the reference."""
    scaled, logits = (preferences - 0.5) / tau, np.zeros_like(reference)
    identity = np.eye(len(logits))
    for _ in range(50):
        policy = softmax(reference + logits)
        values = scaled @ policy
        excess = logits - values
        if tau * policy @ (excess - policy @ excess) ** 2 <= TOLERANCE:
            break
        logits = logits - np.linalg.solve(identity - (scaled - values[:, None]) * policy, excess)
    return policy


def powell(preferences: np.ndarray, reference: np.ndarray, tau: float) -> np.ndarray:
    """Logits z with z = log pi0 + (P - 1/2) softmax(z) / tau."""
    scaled = (preferences - 0.5) / tau

    def equations(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        policy = softmax(logits)
        values = scaled @ policy
        return logits - reference - values, np.eye(len(logits)) - (scaled - values[:, None]) * policy

    return softmax(root(equations, reference, jac=True, tol=1e-4).x)


def gambit(preferences: np.ndarray, reference: np.ndarray, tau: float) -> np.ndarray:
    import pygambit  # only its own process needs it

    payoffs = preferences + tau * reference[:, None]
    game = make_table(pygambit, np.stack([payoffs, payoffs.T]))
    try:
        point = pygambit.qre.logit_solve_lambda(game, lam=[1 / tau], first_step=0.3, max_accel=2)[0]
    except RuntimeError:
        return np.full(len(reference), np.nan)
    return np.array([share for _, share in point.profile[next(iter(game.players))]])


PEERS = {"numpy, Newton": newton, "numpy, mirror prox": mirror_prox, "scipy, root": powell, "Gambit, tuned": gambit}


def loop(name: str, case: Case) -> tuple[float, np.ndarray]:
    """Seconds a prompt, and policies."""
    data = draw(case)
    start = time.perf_counter()
    policies = [PEERS[name](*pair, case.temperature) for pair in zip(*data, strict=True)]
    return (time.perf_counter() - start) / case.prompts, np.array(policies)


def ours(case: Case, max_steps: int = MAX_STEPS) -> tuple[float, gk.preference.NashPolicies]:
    """Seconds a prompt, and what was found."""
    data = draw(case)
    start = time.perf_counter()
    found = gk.preference.nash_policies(*data, case.temperature, tol=TOLERANCE, max_steps=max_steps)
    return (time.perf_counter() - start) / case.prompts, found


def beside_loops(quick: bool, rounds: int) -> str:
    case = Case(16, 0.1, 4_000 if quick else 100_000)
    some = 20 if quick else 200
    seconds: dict[str, list[float]] = {}
    rows = []
    with worker(1) as single, worker() as all_processors, worker(1) as peer:
        calls = {
            "gamekl, one processor": (single, ours, case),
            "gamekl, all processors": (all_processors, ours, case),
            **{name: (peer, functools.partial(loop, name), case._replace(prompts=some)) for name in PEERS},
        }
        answers = {}
        first = {name: process.submit(call, given).result()[0] for name, (process, call, given) in calls.items()}
        for _ in range(rounds):
            for name, (process, call, given) in calls.items():
                spent, answers[name] = process.submit(call, given).result()
                seconds.setdefault(name, []).append(spent)
    bases = [middle(seconds[name]) for name in list(calls)[:2]]
    for name, found in seconds.items():
        policies = answers[name] if name in PEERS else answers[name].policy
        failed, gap = failures(case, policies)
        whole = middle(found) * case.prompts
        compiled = "" if name in PEERS else digits(max(first[name] * case.prompts - whole, 0))
        spread = f"{digits(min(found) * 1e6)} to {digits(max(found) * 1e6)}"
        micro, ratios = digits(middle(found) * 1e6), [digits(middle(found) / base) for base in bases]
        rows.append([name, f"{len(policies):,}", micro, spread, digits(whole), compiled, failed, f"{gap:.1e}", *ratios])
    header = ["by", "prompts", "us a prompt", "least to most", "s for all", "compilation, s", "failed", "gap"]
    header += ["/ one processor", "/ all processors"]
    about = (
        f"{case.name}, {case.prompts:,} prompts. The peers solve the first {some}; their time for all is extrapolated."
    )
    return f"## Beside Python loops\n\n{about}\n\n{table(header, rows)}\n"


def over_sizes(quick: bool, rounds: int) -> str:
    rows = []
    sizes = [8, 16] if quick else [8, 16, 32, 64]
    for candidates in sizes:
        for temperature in (1, 0.1, 0.01, 0.001):
            case = Case(candidates, temperature, 512 if quick else 2**20 // candidates**2)
            spent: dict[int, list[float]] = {MAX_STEPS: [], 0: []}
            for repeat in range(rounds + 1):
                for max_steps, found in spent.items():
                    seconds, answer = ours(case, max_steps)
                    if np.any(answer.status != gk.Status.converged):
                        raise RuntimeError(f"{case} was not solved")
                    if repeat:
                        found.append(seconds)
                    if max_steps:
                        steps = answer.num_steps
            both, traced = (middle(found) * 1e6 for found in spent.values())
            left = f"{np.mean(steps > MAX_STEPS):.2%}"
            most = np.minimum(steps, MAX_STEPS).mean()
            rows.append(
                [candidates, temperature, f"{case.prompts:,}", digits(both), f"{most:.1f}", left, digits(traced)]
            )
    header = ["K", "temperature", "prompts", "us a prompt", "steps", "left to the tracer", "tracer alone, us a prompt"]
    return f"## Candidates and temperatures\n\nOn all processors, compiled before.\n\n{table(header, rows)}\n"


def over_prompts(quick: bool, rounds: int) -> str:
    rows = []
    for prompts in [256, 512] if quick else [2**10, 2**12, 2**14]:
        case = Case(64, 0.1, prompts)
        found = [ours(case)[0] * prompts for _ in range(rounds + 1)][1:]
        rows.append([f"{prompts:,}", digits(middle(found)), digits(middle(found) / prompts * 1e6)])
    return f"## Prompts, K = 64, temperature 0.1\n\n{table(['prompts', 's', 'us a prompt'], rows)}\n"


def main() -> None:
    given = options(__doc__)
    load = f"load before the run {os.getloadavg()[0]:.1f}"
    head = f"# Policies over K responses\n\n{facts()}; gap 1e-6; medians of {given.rounds} rounds; {load}.\n"
    parts = [head]
    for part in (beside_loops, over_sizes, over_prompts):
        parts.append(part(given.quick, given.rounds))
        print(parts[-1], flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench_preference.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
