"""Every public solver under ``jax.vmap`` beside a loop of single compiled calls, at batches of 1, 16, 256 and 4,096.

    python benchmarks/bench_vmap.py [--quick] [--out benchmarks/results]

A batch should never take longer than its games one by one. The loop calls one compiled program for game after game, as
many as take a moment; its time is the median of that by game. Solvers that take whole batches from the host are called
with them in place of ``vmap``, and one game at a time in the loop. Processor time of all threads, in microseconds a
game; contenders in turns; compilation apart. What works on the host alone (`solve_welfare`, `solve_nash_exact`,
`strong_stackelberg`) is a loop whatever is done.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from common import digits, facts, middle, options, table

import gamekl as gk

jax.config.update("jax_enable_x64", True)

SIZES = (1, 16, 256, 4096)
# Single calls in a round of the loop, at least one and until they have taken so many seconds.
MOST_CALLS, ENOUGH = 64, 0.2


class Contest(NamedTuple):
    """A solver.

    Attributes:
        name: what the table says.
        inputs: from a number of games to their arrays, with a leading axis.
        solve: one game.
        batch: many of them; None for ``jax.vmap`` of `solve`.
    """

    name: str
    inputs: Callable[[int], Any]
    solve: Callable[..., Any]
    batch: Callable[..., Any] | None = None


def games(*shape: int, kind: str = "uniform", temperature: float = 0.1) -> Callable[[int], Any]:
    """Random games, with uniform references."""

    def draw(size: int) -> Any:
        keys = jax.random.split(jax.random.key(0), size)
        many = jax.jit(jax.vmap(lambda key: getattr(gk.games, kind)(key, shape)))(keys)
        return many, jax.jit(jax.vmap(lambda game: gk.Regularizer.uniform(game, temperature)))(many)

    return draw


def markov(size: int) -> Any:
    """Two steps of two states."""

    def draw(key: Any) -> Any:
        return gk.games.markov(key, (2, 2), num_states=2, horizon=2)

    many = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), size))
    return many, jax.jit(jax.vmap(lambda game: gk.Regularizer.uniform(game, 0.1)))(many)


def prompts(size: int) -> Any:
    """Preferences of 8 responses, and references."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(size, 8))
    chances = 1 / (1 + np.exp(scores[:, None] - scores[..., None] + rng.normal(size=(size, 1, 1))))
    chances = (chances + 1 - np.swapaxes(chances, 1, 2)) / 2
    return chances, np.zeros((size, 8))


def contests() -> list[Contest]:
    """All of them."""
    found = [
        Contest("solve_nash 3x3", games(3, 3), gk.solve_nash),
        Contest("solve_nash 10x10", games(10, 10), gk.solve_nash),
        Contest("solve_nash 3x3x3", games(3, 3, 3), gk.solve_nash),
        Contest("solve_nash Markov 2x2", markov, gk.solve_nash),
    ]
    for concept, objective, shape in [
        ("ce", "entropy", (3, 3)),
        ("ce", "entropy", (8, 8)),
        ("ce", "gini", (8, 8)),
        ("ce", "entropy", (3, 3, 3)),
        ("cce", "entropy", (3, 3)),
        ("cce", "entropy", (10, 10)),
        ("cce", "gini", (10, 10)),
        ("cce", "gini", (3, 3, 3)),
    ]:

        def solve(game: Any, _: Any, concept: str = concept, objective: str = objective) -> Any:
            return gk.solve_correlated(game, concept=concept, objective=objective, throw=False)

        size = "x".join(map(str, shape))
        found.append(Contest(f"solve_correlated {concept} {objective} {size}", games(*shape), solve))
    found += [
        Contest("gamd 10x10, 100 rounds", games(10, 10), lambda *given: gk.gamd(*given, num_rounds=100)),
        Contest("gamd Markov 2x2, 100 rounds", markov, lambda *given: gk.gamd(*given, num_rounds=100)),
        Contest(
            "multiplicative_weights 10x10, 100 rounds",
            games(10, 10),
            lambda *given: gk.multiplicative_weights(*given, num_rounds=100),
        ),
        Contest(
            "sos_md 5x5, 100 rounds", games(5, 5, kind="zero_sum"), lambda *given: gk.sos_md(*given, num_rounds=100)
        ),
        Contest("sos_md Markov 2x2, 100 rounds", markov, lambda *given: gk.sos_md(*given, num_rounds=100)),
        Contest(
            "follow EGPO 5x5, 100 rounds",
            games(5, 5, kind="zero_sum"),
            lambda game, anchor: gk.follow(game, anchor, gk.rules.EGPO(0.3), num_rounds=100, throw=False),
        ),
        Contest("quantal_stackelberg 4x4", games(4, 4), gk.stackelberg.quantal_stackelberg),
        Contest(
            "solve_nash_batch 10x10",
            games(10, 10),
            lambda *given: gk.solve_nash(*given, throw=False),
            gk.solve_nash_batch,
        ),
        Contest(
            "gamd_batch 10x10, 100 rounds",
            games(10, 10),
            lambda *given: gk.gamd(*given, num_rounds=100),
            lambda *given: gk.gamd_batch(*given, num_rounds=100),
        ),
        Contest(
            "nash_policies, 8 responses",
            prompts,
            lambda chances, reference: gk.preference.nash_policies(chances[None], reference[None], 0.1),
            lambda chances, reference: gk.preference.nash_policies(chances, reference, 0.1),
        ),
    ]
    return found


def seconds(call: Callable[[], Any]) -> float:
    """Processor time of a call."""
    begin = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - begin


def compare(contest: Contest, sizes: tuple[int, ...], rounds: int) -> list[float]:
    """Microseconds a game: of the loop, then of batches of these sizes."""
    every = jax.block_until_ready(contest.inputs(max(sizes)))
    onhost = contest.name.startswith("nash_policies")
    solve = contest.solve if onhost else jax.jit(contest.solve)
    batch = contest.batch or jax.jit(jax.vmap(contest.solve))
    number = min(MOST_CALLS, max(sizes))
    singles = [jax.tree.map(lambda leaf, row=row: leaf[row], every) for row in range(number)]
    batches = [jax.tree.map(lambda leaf, size=size: leaf[:size], every) for size in sizes]

    def loop() -> float:
        begin, calls = time.process_time(), 0
        for single in singles:
            jax.block_until_ready(solve(*single))
            calls += 1
            if time.process_time() - begin > ENOUGH:
                break
        return (time.process_time() - begin) / calls

    jax.block_until_ready(solve(*singles[0]))
    for given in batches:
        jax.block_until_ready(batch(*given))
    times: list[list[float]] = [[] for _ in range(len(sizes) + 1)]
    for _ in range(rounds):
        times[0].append(loop())
        for index, (size, given) in enumerate(zip(sizes, batches, strict=True)):
            repeats = max(1, min(16, 64 // size))
            calls = [seconds(lambda given=given: batch(*given)) for _ in range(repeats)]
            times[index + 1].append(middle(calls) / size)
    return [middle(found) * 1e6 for found in times]


def main() -> None:
    given = options(__doc__)
    sizes = SIZES[:3] if given.quick else SIZES
    rows = []
    for contest in contests():
        alone, *many = compare(contest, sizes, given.rounds)
        slowest = max(many) / alone
        rows.append([contest.name, digits(alone), *map(digits, many), f"{slowest:.2f}", f"{alone / many[-1]:.1f}"])
        print(*rows[-1], sep=" | ", flush=True)
    header = [
        "solver",
        "a loop",
        *(f"batch of {size:,}" for size in sizes),
        "worst batch / loop",
        "loop / largest batch",
    ]
    what = f"{facts()}; microseconds of processor time a game, medians of {given.rounds} rounds."
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench_vmap.md").write_text(f"# Batches beside loops\n\n{what}\n\n{table(header, rows)}\n")
    print(f"wrote {given.out / 'bench_vmap.md'}")


if __name__ == "__main__":
    main()
