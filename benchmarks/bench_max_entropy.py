"""Whether equilibria of most entropy of zero-sum games are those of cvxpy, and how long a batch takes beside it.

200 games, most with many equilibria: whole payoffs from -1 to 1, from -3 to 3, actions that are alike, blocks, and some
random ones. Each is solved alone, in fractions, and in a batch, in lanes, and by two convex programmes of cvxpy's
Clarabel at tolerances of 1e-12. A player's policy agrees where it is within 1e-5 and its entropy within 1e-8. Where it
does not, ours may have more entropy and lose no more than 1e-10 of the payoffs' range against any action; or it agrees
once cvxpy's shares below 1e-8 are dropped, which an interior point leaves on actions that are never optimal, and a few
of which are 1e-8 nats; or cvxpy's loses more than 1e-10. These are counted by themselves, and all else is a miss. Of
closed forms the largest errors are told.

Time is processor time of one processor, in turns.
"""

from typing import Any

import bench_enumerate
import common
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import entr

import gamekl as gk

SHAPES, GAMES, BATCH = ((3, 3), (4, 6), (8, 8), (10, 10)), 50, 2_048
SAME_POLICY, SAME_ENTROPY, LOSS = 1e-5, 1e-8, 1e-10
DUST = 1e-8
OUTCOMES = ("same", "more entropy", "same but for dust", "theirs off", "miss")
KINDS = ("ties", "more ties", "alike", "blocks", "random")


def drawn(rng: np.random.Generator, shape: tuple[int, int], kind: str) -> np.ndarray:
    """The row player's payoffs."""
    if kind == "random":
        return rng.normal(size=shape)
    row = rng.integers(-1, 2, shape) if kind == "more ties" else rng.integers(-3, 4, shape)
    row = row.astype(float)
    if kind == "alike":
        row[-1], row[:, -1] = row[0], row[:, 0]
    if kind == "blocks":  # Two copies of a game, apart: each half of the actions against its own half of the other's.
        halves = [size // 2 for size in shape]
        half = row[: halves[0], : halves[1]]
        row[:] = 0
        row[: halves[0], : halves[1]] = half
        row[halves[0] : 2 * halves[0], halves[1] : 2 * halves[1]] = half
    return row


def games_of(shape: tuple[int, int], count: int) -> np.ndarray:
    """Zero-sum games of all kinds in turn, ``[game, player, *actions]``."""
    rng = np.random.default_rng(sum(shape))
    rows = np.stack([drawn(rng, shape, KINDS[number % len(KINDS)]) for number in range(count)])
    return np.stack([rows, -rows], axis=1)


def solve_batch(payoffs: np.ndarray) -> Any:
    return jax.block_until_ready(gk.max_entropy_nash_batch(jax.vmap(gk.NormalFormGame)(jnp.asarray(payoffs))))


def by_cvxpy(payoffs: np.ndarray, value: float) -> list[np.ndarray | None]:
    """The policies of most entropy of a zero-sum game, by its value; None where the solver has none."""
    import cvxpy

    found = []
    for table, level in ((payoffs[0], value), (payoffs[1].T, -value)):
        x = cvxpy.Variable(len(table))
        problem = cvxpy.Problem(cvxpy.Maximize(cvxpy.sum(cvxpy.entr(x))), [table.T @ x >= level, cvxpy.sum(x) == 1])
        problem.solve(solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        found.append(x.value)
    return found


def _tidy(policy: np.ndarray, least: float) -> np.ndarray:
    """A policy without shares that are below the least."""
    kept = np.where(policy > least, policy, 0)
    return kept / kept.sum()


def compare(table: np.ndarray, value: float, ours: np.ndarray, theirs: np.ndarray | None) -> tuple[str, float, float]:
    """How a policy compares with cvxpy's, how far the two are apart, and by how much entropies differ."""
    if theirs is None:
        return "theirs off", np.nan, np.nan
    size = np.ptp(table) or 1.0

    def apart(other: np.ndarray) -> tuple[float, float]:
        return float(np.max(np.abs(ours - other))), float(np.sum(entr(ours)) - np.sum(entr(other)))

    def lost(policy: np.ndarray) -> float:
        return max(0.0, value - float(np.min(policy @ table))) / size

    def same(away: float, more: float) -> bool:
        return away <= SAME_POLICY and abs(more) <= SAME_ENTROPY

    as_given, tidied = apart(_tidy(theirs, 0)), apart(_tidy(theirs, DUST))
    if same(*as_given):
        return "same", *as_given
    if as_given[1] > 0 and lost(ours) <= LOSS:
        return "more entropy", *as_given
    if same(*tidied):
        return "same but for dust", *tidied
    return ("theirs off" if lost(_tidy(theirs, 0)) > LOSS >= lost(ours) else "miss"), *as_given


def _agreement(shape: tuple[int, int], count: int) -> list[list[str]]:
    payoffs = games_of(shape, count)
    alone = [gk.max_entropy_nash(gk.NormalFormGame(jnp.asarray(game))) for game in payoffs]
    batch = solve_batch(payoffs)
    values = [
        float(np.asarray(one.policy[0]) @ game[0] @ one.policy[1]) for one, game in zip(alone, payoffs, strict=True)
    ]
    theirs = [by_cvxpy(game, value) for game, value in zip(payoffs, values, strict=True)]
    lines = []
    for name, policies in (
        ("alone", [one.policy for one in alone]),
        ("batch", list(zip(*map(np.asarray, batch.policy), strict=True))),
    ):
        told = [
            compare(table, sign * value, np.asarray(own), other)
            for game, value, ours, others in zip(payoffs, values, policies, theirs, strict=True)
            for sign, table, own, other in zip((1, -1), (game[0], game[1].T), ours, others, strict=True)
        ]
        kinds = [kind for kind, _, _ in told]
        same = np.array([entry[1:] for entry in told if entry[0].startswith("same")])
        counts = [str(kinds.count(kind)) for kind in OUTCOMES]
        far = [f"{np.max(same[:, 0]):.1e}", f"{np.max(np.abs(same[:, 1])):.1e}"]
        lines.append([f"{count} of {shape[0]} x {shape[1]}, {name}", *counts, *far])
    return lines


def closed_forms() -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Games of 6 x 6, and both policies of most entropy."""
    pennies = np.array([[1.0, -1], [-1, 1]])
    third = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    sixth, zeros = np.full(6, 1 / 6), np.zeros(4)
    # Matching pennies, where the first row is there five times; and a block that nobody leaves.
    twins = pennies[[0, 0, 0, 0, 0, 1]][:, [0, 1, 1, 1, 1, 1]]
    alone = np.block([[pennies, np.full((2, 4), 9.0)], [np.full((4, 2), -9.0), np.kron(np.eye(2), pennies)]])
    return [
        (np.zeros((6, 6)), [sixth, sixth]),
        (twins, [np.array([0.1] * 5 + [0.5]), np.array([0.5] + [0.1] * 5)]),
        (np.kron(third, np.ones((2, 2))), [sixth, sixth]),
        (np.kron(np.eye(3), pennies), [sixth, sixth]),
        (alone, [np.array([0.5, 0.5, *zeros])] * 2),
        (np.kron(np.diag([1.0, 2.0, 4.0]), pennies), [sixth, sixth]),
    ]


def _closed() -> tuple[float, float]:
    """The largest errors of policies, alone and in a batch."""
    rows, expected = zip(*closed_forms(), strict=True)
    payoffs = np.stack([np.stack(rows), -np.stack(rows)], axis=1)
    alone = [gk.max_entropy_nash(gk.NormalFormGame(jnp.asarray(game))).policy for game in payoffs]
    batch = zip(*map(np.asarray, solve_batch(payoffs).policy), strict=True)
    first, second = (
        max(
            float(np.max(np.abs(np.asarray(own) - truth)))
            for ours, both in zip(policies, expected, strict=True)
            for own, truth in zip(ours, both, strict=True)
        )
        for policies in (alone, batch)
    )
    return first, second


def _speed(shape: tuple[int, int], batch: int, count: int, rounds: int) -> list[str]:
    payoffs = games_of(shape, batch)
    found = solve_batch(payoffs)
    x, y = map(np.asarray, found.policy)
    values = np.einsum("ga,gab,gb->g", x, payoffs[:, 0], y)
    times: dict[str, list[float]] = {"batch": [], "cvxpy": []}
    for _ in range(rounds):
        _, spent = bench_enumerate.seconds_of(lambda: solve_batch(payoffs))
        times["batch"].append(1e6 * spent / batch)
        some = list(zip(payoffs[:count], values[:count], strict=True))
        _, spent = bench_enumerate.seconds_of(lambda some=some: [by_cvxpy(*game) for game in some])
        times["cvxpy"].append(1e6 * spent / count)
    ratios = [theirs / ours for ours, theirs in zip(times["batch"], times["cvxpy"], strict=True)]
    middle = {name: common.digits(common.middle(entry)) for name, entry in times.items()}
    told = f"{common.digits(common.middle(ratios))} [{common.digits(min(ratios))}, {common.digits(max(ratios))}]"
    return [f"{shape[0]} x {shape[1]}", middle["batch"], middle["cvxpy"], told, str(common.num_failed(found))]


def main() -> None:
    """Print three tables, and write them."""
    jax.config.update("jax_enable_x64", True)
    options = common.options(__doc__)
    count, batch, shapes = (5, 64, SHAPES[:2]) if options.quick else (GAMES, BATCH, SHAPES)
    with common.processors(1):
        facts = common.facts()
        agreement = [line for shape in shapes for line in _agreement(shape, count)]
        alone, together = _closed()
        speed = [_speed(shape, batch, count, options.rounds) for shape in shapes]
    header = ("games", *OUTCOMES, "policies apart", "entropies apart")
    text = "\n\n".join(
        [
            facts,
            f"Policies of both players beside cvxpy's. Same: within {SAME_POLICY:.0e}, entropies within "
            f"{SAME_ENTROPY:.0e}, and the largest differences of these. More entropy: ours has more, and loses at most "
            f"{LOSS:.0e} of the payoffs' range. Same but for dust: once cvxpy's shares below {DUST:.0e} are dropped. "
            "Theirs off: cvxpy's loses more than that and ours does not, or it has none.",
            common.table(header, agreement),
            f"Closed forms of 6 x 6 (ties, actions that are alike, blocks): policies are off by at most {alone:.1e} "
            f"alone, and {together:.1e} in a batch.",
            f"Batches of {batch:,}; processor time of one processor, us a game; in brackets the least and the most.",
            common.table(("games", "batch", "cvxpy", "times", "failures"), speed),
        ]
    )
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_max_entropy.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
