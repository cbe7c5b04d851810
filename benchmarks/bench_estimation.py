"""Fits of rationality beside Gambit's `logit_estimate`: the same estimates, and time of the bootstrap.

    python benchmarks/bench_estimation.py [--gambit PYTHON] [--quick] [--rounds N] [--out benchmarks/results]

PYTHON has pygambit, 16.7 or later; this interpreter if not given. Play is drawn from an equilibrium on the path, 100
decisions a player. Gambit's own log-likelihoods are of points beside the path: these are of `solve_nash`, at Gambit's
rationality. Where the error of log(rationality) is larger than `RESOLVED`, play does not resolve it. In the bootstrap
two games are fitted together, or by Gambit each by itself; processors' time.
"""

import pickle
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from bench_paths import read_nfg, work_in

SHAPES = (2, 2), (3, 3), (2, 4), (2, 2, 2)
DECISIONS = 100
# Bounds: of log-likelihoods, and of rationalities, relative.
BELOW, SAME = 1e-8, 1e-5
RESOLVED = 0.5
# Ochs (1995), asymmetric matching pennies as McKelvey and Palfrey refitted it, and a game of three actions.
PENNIES = np.array([[[1.1141, 0], [0, 0.2785]], [[0, 1.1141], [1.1141, 0]]])
THREE = np.array([[[2.0, 0, 1], [1, 2, 0], [0, 1, 2]], [[0.0, 2, 1], [1, 0, 2], [3, 1, 0]]])


def use_float64() -> None:
    """In this process."""
    import jax

    jax.config.update("jax_enable_x64", True)


def gambit(file: str) -> None:
    """In Gambit's interpreter: rationality and log-likelihood of samples ``[(payoffs, counts)]``; seconds for each."""
    pygambit: Any = import_module("pygambit")
    samples = pickle.loads(Path(file).read_bytes())  # noqa: S301
    games = [read_nfg(payoffs) for payoffs, _ in samples]
    found, start = [], time.process_time()
    for game, (_, counts) in zip(games, samples, strict=True):
        profile = game.mixed_strategy_profile(data=[own.tolist() for own in counts])
        fit = pygambit.qre.logit_estimate(profile, use_empirical=False)
        found.append((fit.lam, fit.log_like))
    took = (time.process_time() - start) / len(samples)
    Path(file).write_bytes(pickle.dumps((pygambit.__version__, found, took)))


def drawn(shape: tuple[int, ...], number: int) -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Games, and play of them."""
    import gamekl as gk

    random, samples = np.random.default_rng(len(shape) + shape[-1]), []
    for _ in range(number):
        payoffs = random.uniform(0, 5, (len(shape), *shape))
        game = gk.NormalFormGame(payoffs)
        policies = gk.solve_nash(game, gk.Regularizer.uniform(game, 1 / random.uniform(0.3, 3))).policy
        shares = [np.asarray(own) / np.asarray(own).sum() for own in policies]
        samples.append((payoffs, [random.multinomial(DECISIONS, own).astype(float) for own in shares]))
    return samples


def likelihood_at(payoffs: np.ndarray, counts: list[np.ndarray], rationality: float) -> float:
    """Of the principal equilibrium there."""
    import gamekl as gk

    game = gk.NormalFormGame(payoffs)
    logs = gk.solve_nash(game, gk.Regularizer.uniform(game, 1 / rationality)).log_policy
    return sum(float(own @ np.asarray(part)) for own, part in zip(counts, logs, strict=True))


def agreement(python: str, shape: tuple[int, ...], number: int) -> list[str]:
    """A row of estimates."""
    import gamekl as gk

    samples = drawn(shape, number)
    version, theirs, _ = work_in(python, __file__, samples)
    below, above, resolved, apart, unbounded = 0, 0, 0, [0.0], 0
    for (payoffs, counts), (rationality, claimed) in zip(samples, theirs, strict=True):
        fit = gk.estimation.fit_qre(gk.NormalFormGame(payoffs), counts)
        mine = float(fit.log_likelihood[0])
        at_theirs = likelihood_at(payoffs, counts, rationality) if rationality > 0 else claimed
        below += mine < at_theirs - BELOW
        above += mine > at_theirs + 1e-6
        if fit.status[0].name != "converged":
            unbounded += 1
        elif fit.std_error()[0] < RESOLVED and abs(mine - at_theirs) <= 1e-6:
            resolved += 1
            apart.append(abs(rationality / float(fit.rationality[0]) - 1))
    far = sum(entry > SAME for entry in apart)
    row = [" x ".join(map(str, shape)), number, below, above, unbounded, resolved, far, f"{max(apart):.1e}", version]
    print(*row, sep=" | ", flush=True)
    return list(map(str, row))


def refitted(python: str, refits: int, few: int, rounds: int) -> list[str]:
    """A row of times of the bootstrap."""
    import jax
    from common import digits, middle

    import gamekl as gk

    random = np.random.default_rng(0)
    games = [gk.NormalFormGame(PENNIES), gk.NormalFormGame(THREE)]
    policies = [gk.solve_nash(game, gk.Regularizer.uniform(game, 1 / 1.8)).policy for game in games]
    counts = [[np.round(128 * np.asarray(own)) for own in part] for part in policies]
    start = time.process_time()
    fit = gk.estimation.fit_qre(games, counts)
    first = time.process_time() - start
    times = []
    for number in range(rounds + 1):
        start = time.process_time()
        samples = gk.estimation.bootstrap(fit, jax.random.key(number), num_samples=refits)
        times.append((time.process_time() - start) / refits)
    again = [
        (payoffs, [random.multinomial(int(own.sum()), own / own.sum()).astype(float) for own in part])
        for _ in range(few)
        for payoffs, part in zip((PENNIES, THREE), counts, strict=True)
    ]
    version, _, theirs = work_in(python, __file__, again)
    mine = middle(times[1:])
    row = [f"{refits:,}", f"{mine * 1e6:.2f}", digits(first), f"{few:,}", f"{2 * theirs * 1e6:,.0f}"]
    row += [f"{2 * theirs / mine:,.0f}", version, f"{samples.unbounded.mean():.3f}"]
    print(*row, sep=" | ", flush=True)
    return row


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        gambit(sys.argv[2])
        return
    from common import facts, parser_beside_gambit, table, worker

    parser = parser_beside_gambit(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    number, refits, few = (3, 100, 5) if options.quick else (50, 10_000, 500)
    rows = []
    with worker() as executor:
        executor.submit(use_float64).result()
        for shape in SHAPES:
            rows.append(executor.submit(agreement, options.gambit, shape, number).result())
        times = executor.submit(refitted, options.gambit, refits, few, options.rounds).result()
    header = ["games", "samples", f"below Gambit's by {BELOW:g}", "above by 1e-06", "no maximum", "resolved"]
    header += [f"rationality off by > {SAME:g}", "most", "pygambit"]
    timed = [
        "refits",
        "us a refit",
        "first fit, s",
        "Gambit's",
        "us a refit by Gambit",
        "ratio",
        "pygambit",
        "unbounded",
    ]
    text = (
        f"# Fits of rationality beside Gambit's\n\n{facts()}; {DECISIONS} decisions a player. Log-likelihoods are those"
    )
    text += " on the path; differences of rationality are of samples that resolve it.\n\n" + table(header, rows)
    text += "\n\nThe bootstrap of two games, processors' time:\n\n" + table(timed, [times]) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_estimation.md").write_text(text)


if __name__ == "__main__":
    main()
