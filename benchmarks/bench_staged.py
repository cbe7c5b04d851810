"""Logs of Markov games, from keys to gaps in the true games, beside a loop over stages that calls Gambit.

    python benchmarks/bench_staged.py [--quick] [--out benchmarks/results]

1,000 two-player games with 3 x 3 actions, 10 states and 5 steps (rewards U[0, 1], Dirichlet transitions), uniform
references at temperature 0.2, uniform behavior, Gaussian noise 1, and 10 sample sizes from 10^3 to 10^6 episodes. One
program, mapped over 125 games, draws a log, estimates, solves and measures the gap in the true game; the sample size is
traced. As many threads as there are processors take such chunks in turn.

The peer solves the first games at one size, from the same logs: estimates in numpy, then a Python loop from the last
step to the first and over states, in which Gambit's tuned tracer (`first_step=.3, max_accel=2`) solves each stage. It
has a process of its own on one processor, in which numpy draws such logs too; gamekl has two others, on one processor
and on all. The contenders take turns; medians over the rounds, compilation apart.
"""

import functools
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import digits, facts, middle, num_processors, options, residuals, table, worker

import gamekl as gk
from gamekl.games.gambit import make_table

jax.config.update("jax_enable_x64", True)

TEMPERATURE = 0.2
NOISE = 1.0
SEED = 0
TRACES = []  # one entry for each time that `whole` is traced, hence compiled


class Case(NamedTuple):
    """Games of one kind: ``stage`` is (horizon, states), or the number of contexts alone."""

    num_actions: tuple[int, ...]
    stage: tuple[int, ...]
    games: int
    chunk: int

    @property
    def name(self) -> str:
        kind = "Markov, {} steps, {} states" if self.stage[1:] else "contextual, {:,} contexts"
        return f"{kind.format(*self.stage)}, {' x '.join(map(str, self.num_actions))} actions"

    def make(self, key: jax.Array) -> gk.ContextualGame | gk.MarkovGame:
        if len(self.stage) == 1:
            return gk.games.contextual(key, self.num_actions, num_contexts=self.stage[0])
        return gk.games.markov(key, self.num_actions, num_states=self.stage[1], horizon=self.stage[0])


def draw(key: jax.Array, game: Any, num_samples: jax.Array) -> Any:
    """A log of its own for each sample size, as statistics."""
    behavior = jnp.full((*game.stage_shape, *game.num_actions), 1 / prod(game.num_actions))
    key = jax.random.fold_in(key, num_samples.astype(jnp.int32))
    return gk.offline.sample_statistics(key, game, behavior, num_samples, NOISE)


def solve(statistics: Any) -> Any:
    found = gk.offline.estimate(statistics)
    return gk.gane(found, gk.Regularizer.uniform(found.game, TEMPERATURE), throw=False)


def whole(key: jax.Array, game: Any, num_samples: jax.Array) -> tuple[jax.Array, ...]:
    """The gap in the true game, summed over players; the solver's status and residual."""
    TRACES.append(game.stage_shape)
    solution = solve(draw(key, game, num_samples))
    gap = gk.regularized_gap(game, gk.Regularizer.uniform(game, TEMPERATURE), solution.log_policy)
    return gap.sum(), solution.status, solution.residual


PROGRAMS = {
    "whole": jax.jit(jax.vmap(whole, in_axes=(0, 0, None))),
    "draw": jax.jit(jax.vmap(draw, in_axes=(0, 0, None))),
    "solve": jax.jit(jax.vmap(solve)),
}


@functools.cache
def chunks(case: Case) -> list[tuple[jax.Array, Any]]:
    """Keys of the logs, and games."""
    game_keys, log_keys = (jax.random.split(key, case.games) for key in jax.random.split(jax.random.key(SEED)))
    batch = (log_keys, jax.jit(jax.vmap(case.make))(game_keys))
    parts = [jax.tree.map(lambda leaf, i=i: leaf[i : i + case.chunk], batch) for i in range(0, case.games, case.chunk)]
    return jax.block_until_ready(parts)


@functools.cache
def pieces(case: Case, program: str, sizes: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """The arguments of all calls of a program."""
    if program == "solve":
        return [(each,) for each in results(case, "draw", sizes)]
    return [(*chunk, jnp.asarray(float(size))) for size in sizes for chunk in chunks(case)]


def results(case: Case, program: str, sizes: tuple[int, ...]) -> list[Any]:
    """What the program makes of its pieces, on all processors that this process has."""
    calls, run = pieces(case, program, sizes), PROGRAMS[program]
    with ThreadPoolExecutor(num_processors()) as pool:
        return list(pool.map(lambda call: jax.block_until_ready(run(*call)), calls))


def joined(parts: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def first_call(case: Case, program: str, sizes: tuple[int, ...]) -> float:
    """Seconds that the first call of a program takes longer than the second."""
    piece, clock = pieces(case, program, sizes)[0], [time.perf_counter()]
    for _ in range(2):
        jax.block_until_ready(PROGRAMS[program](*piece))
        clock.append(time.perf_counter())
    return 2 * clock[1] - clock[0] - clock[2]


def seconds(case: Case, program: str, sizes: tuple[int, ...]) -> float:
    pieces(case, program, sizes)  # made before the clock runs
    start = time.perf_counter()
    results(case, program, sizes)
    return time.perf_counter() - start


def outcome(case: Case, sizes: tuple[int, ...]) -> tuple[int, float, np.ndarray, int]:
    """Logs without a solution, the largest residual, n times the mean gap for each size, and compilations so far."""
    gap, status, residual = joined(results(case, "whole", sizes))
    gaps = gap.reshape(len(sizes), case.games).mean(axis=1) * np.asarray(sizes)
    return int(np.sum(status != gk.Status.converged)), float(residual.max()), gaps, len(TRACES)


def solved_logs(case: Case, size: int) -> tuple[Any, list[np.ndarray]]:
    """All logs of one size, and the policies ``[game, step, state, actions]`` of each player."""
    logs = joined([piece for (piece,) in pieces(case, "solve", (size,))])
    return logs, list(joined([solution.policy for solution in results(case, "solve", (size,))]))


def largest_residual(logs: Any, policies: list[np.ndarray]) -> float:
    """sup |policy - best response| of any stage of the estimated two-player games, by backward induction in numpy."""
    rewards, transitions = estimates(logs)
    worst, ahead = 0.0, np.zeros((*rewards.shape[:1], *rewards.shape[2:4]))
    for step in reversed(range(rewards.shape[1])):
        payoffs = rewards[:, step] + np.einsum("gsabt,gtp->gspab", transitions[:, step], ahead)
        here = [policy[:, step] for policy in policies]
        flat = [policy.reshape(-1, policy.shape[-1]) for policy in here]
        worst = max(worst, residuals(payoffs.reshape(-1, *payoffs.shape[2:]), TEMPERATURE, flat).max())
        costs = [np.sum(policy * np.log(policy * policy.shape[-1]), axis=-1) for policy in here]
        ahead = np.einsum("gspab,gsa,gsb->gsp", payoffs, *here) - TEMPERATURE * np.stack(costs, axis=-1)
    return worst


def estimates(logs: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean rewards and frequencies of the next states, 0 where nothing was seen, in numpy."""
    counts = np.maximum(logs.counts, 1)
    return logs.reward_sums / np.expand_dims(counts, -3), logs.transition_counts / counts[..., None]


def gambit(logs: Any) -> tuple[float, float, list[np.ndarray]]:
    """Seconds a game of the loop, and of Gambit's calls in it; policies ``[game, step, state, actions]`` by player."""
    import pygambit  # only its own process needs it

    games, steps, states = logs.counts.shape[:3]
    policy = [np.empty((games, steps, states, size)) for size in logs.counts.shape[3:]]
    calls, start = 0.0, time.perf_counter()
    for game in range(games):
        rewards, transitions = estimates(jax.tree.map(lambda leaf, i=game: leaf[i], logs))
        ahead = np.zeros((states, 2))
        for step in reversed(range(steps)):
            here = np.empty_like(ahead)
            for state in range(states):
                payoffs = rewards[step, state] + np.moveaxis(transitions[step, state] @ ahead, -1, 0)
                theirs = make_table(pygambit, payoffs)
                called = time.perf_counter()
                (point,) = pygambit.qre.logit_solve_lambda(theirs, lam=[1 / TEMPERATURE], first_step=0.3, max_accel=2)
                calls += time.perf_counter() - called
                pair = [np.array([share for _, share in point.profile[player]]) for player in theirs.players]
                for player, (own, values) in enumerate(zip(pair, payoffs, strict=True)):
                    policy[player][game, step, state] = own
                    here[state, player] = pair[0] @ values @ pair[1] - TEMPERATURE * own @ np.log(own * len(own))
            ahead = here
    return (time.perf_counter() - start) / games, calls / games, policy


def numpy_draws(case: Case, games: int, num_samples: int) -> float:
    """Seconds a game in which numpy draws logs of the first games, with uniform behavior and first states."""
    rng, true = np.random.default_rng(SEED), chunks(case)[0][1]
    pairs = list(zip(np.asarray(true.rewards[:games]), np.asarray(true.transitions[:games]), strict=True))
    states, cells = case.stage[1], prod(case.num_actions)
    start = time.perf_counter()
    for pair in pairs:
        visits = rng.multinomial(num_samples, np.full(states, 1 / states))
        for means, moves in zip(*pair, strict=True):
            counts = rng.multinomial(visits, np.full(cells, 1 / cells)).reshape(states, *case.num_actions)
            rng.normal(counts[:, None] * means, NOISE * np.sqrt(counts)[:, None])
            visits = rng.multinomial(counts, moves).sum(axis=(0, 1, 2))
    return (time.perf_counter() - start) / games


def spread(times: list[float]) -> list[str]:
    """The median, and the least and the most."""
    return [digits(middle(times)), f"{digits(min(times))} to {digits(max(times))}"]


def larger_row(every: Executor, case: Case, size: int, rounds: int) -> list[Any]:
    compilation = every.submit(first_call, case, "whole", (size,)).result()
    found = [every.submit(seconds, case, "whole", (size,)).result() for _ in range(rounds)]
    failed, residual, *_ = every.submit(outcome, case, (size,)).result()
    return [case.name, case.games, *spread(found), digits(compilation), failed, f"{residual:.1e}"]


def part_rows(times: dict[tuple[str, str], list[float]], ours: list[str], total: int) -> list[list[Any]]:
    """Milliseconds a game of each part and contender; the first of a part is its peer."""
    alone = "one processor"
    numpy, loop, calls = (times[name, "peer"] for name in ("draw", "loop", "calls"))
    parts = {
        "draw a log": {f"numpy, {alone}": numpy} | {name: times["draw", name] for name in ours},
        "estimate and solve": {f"Python loop with Gambit, {alone}": loop, "of which Gambit's calls": calls}
        | {name: times["solve", name] for name in ours},
        "all of it": {f"numpy, then that loop, {alone}": [a + b for a, b in zip(numpy, loop, strict=True)]}
        | {f"{name}, and the gap": [entry / total for entry in times["whole", name]] for name in ours},
    }
    rows = []
    for what, entries in parts.items():
        peer = middle(next(iter(entries.values())))
        milli = {by: spread([entry * 1e3 for entry in found]) for by, found in entries.items()}
        rows += [[what, by, *milli[by], digits(peer / middle(found))] for by, found in entries.items()]
    return rows


def main() -> None:
    given = options(__doc__)
    case = Case((3, 3), (5, 10), *((40, 20) if given.quick else (1_000, 125)))
    sizes = tuple(round(float(size)) for size in np.logspace(3, 6, 3 if given.quick else 10))
    size, common, drawn, total = sizes[-2 if given.quick else 6], 1 if given.quick else 4, 20, len(sizes) * case.games
    larger = [Case((3, 3), (1_000,), 8, 4), Case((2, 3, 2), (5, 10), *((8, 4) if given.quick else (256, 32)))]
    with worker(1) as oracle, worker(1) as single, worker() as every:
        ours = {"gamekl, one processor": single, "gamekl, all processors": every}
        compiled, checked = {}, {}
        for name, process in ours.items():
            firsts = [process.submit(first_call, case, program, (size,)).result() for program in PROGRAMS]
            compiled[name] = list(map(digits, firsts))
            checked[name] = process.submit(outcome, case, sizes).result()
            print(name, *compiled[name], *checked[name], flush=True)
        scaled = checked["gamekl, all processors"][2]
        logs, policies = single.submit(solved_logs, case, size).result()
        few = jax.tree.map(lambda leaf: leaf[:common], logs)
        theirs = oracle.submit(gambit, few).result()[-1]
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(given.rounds):
            taken = {("draw", "peer"): oracle.submit(numpy_draws, case, drawn, size).result()}
            taken["loop", "peer"], taken["calls", "peer"], _ = oracle.submit(gambit, few).result()
            for name, process in ours.items():
                for program in ("draw", "solve"):
                    taken[program, name] = process.submit(seconds, case, program, (size,)).result() / case.games
                taken["whole", name] = process.submit(seconds, case, "whole", sizes).result()
            times = {entry: [*times.get(entry, []), value] for entry, value in taken.items()}
            print({" ".join(entry): digits(value) for entry, value in taken.items()}, flush=True)
        larger_rows = [larger_row(every, each, size, given.rounds) for each in larger]
        machine = every.submit(facts).result()
    rows = []
    for name, (failed, residual, _, count) in checked.items():
        rows.append([name, *spread(times["whole", name]), count, *compiled[name], failed, f"{residual:.1e}"])
    apart = max(np.abs(a[:common] - b).max() for a, b in zip(policies, theirs, strict=True))
    loop, calls = (middle(times[entry, "peer"]) for entry in ("loop", "calls"))
    alone = middle(times["solve", "gamekl, one processor"])
    header = ["by", "seconds", "least to most", "compilations", "s", "to draw, s", "to solve, s", "failed", "residual"]
    text = "\n\n".join(
        [
            "# Markov games from logs",
            f"{machine}; medians of {given.rounds} rounds, seed {SEED}.",
            f"## {case.games:,} games at {len(sizes)} sample sizes",
            f"{case.name}; temperature {TEMPERATURE:g}, noise {NOISE:g}, {sizes[0]:,} to {sizes[-1]:,} episodes: draw, "
            "estimate, solve, and measure the gap in the true game. Compilations are of the program for all of it, how "
            'many and how long; "to draw" and "to solve" are those of its parts, which are timed below. n times the '
            f"mean gap, summed over players, is {digits(scaled.min())} to {digits(scaled.max())}.",
            table(header, rows),
            "## Beside Gambit, and beside numpy's multinomials",
            f"Milliseconds a game at {size:,} episodes (of all of it, ours are means over the sizes): {case.games:,} "
            f"games of ours, the first {common} of them by the loop ({common * prod(case.stage)} stages), from the "
            f"same logs, and {drawn} drawn by numpy. Policies differ by at most {apart:.1e}; checked in numpy, "
            f"sup abs(policy - best response) of any stage is at most {largest_residual(logs, policies):.1e} in ours, "
            f"{largest_residual(few, theirs):.1e} in the loop's.",
            table(["what", "by", "ms a game", "least to most", "peer / this"], part_rows(times, list(ours), total)),
            f"On one processor each, the loop takes {digits(loop / alone)} times as long to estimate and solve, and "
            f"Gambit's calls alone {digits(calls / alone)} times. Extrapolated from {common} games at one size, the "
            f"loop would take {digits(loop * total / 60)} minutes for the {total:,} logs.",
            "## Other games, on all processors",
            f"Seconds for all of it and the gaps, {size:,} rows or episodes a game.",
            table(["games", "how many", "seconds", "least to most", "compilation", "failed", "residual"], larger_rows),
        ]
    )
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench_staged.md").write_text(text.rstrip() + "\n")
    print(text)


if __name__ == "__main__":
    main()
