"""Learning online, and learning to lead: games and seeds side by side, beside Python loops, in the same run.

    python benchmarks/bench_learning.py [--quick] [--out benchmarks/results]

**MAMEX.** One round: the optimistic payoffs of all joint actions, an equilibrium of them, one draw, one reward. Payoffs
~ U[0, 1], noise .3. The peer is the same round in numpy, one game after another, with scipy's HiGHS for the
(coarse) correlated equilibrium of greatest welfare, and Gambit's Lemke-Howson (`lcp_solve`, floats, first one) for a
Nash equilibrium.

**A leader.** One log: the follower's payoffs by maximum likelihood from 10^4 responses, and the leader's best policy.
Payoffs ~ U[0, 1], temperatures .2 and .3, payoffs of the leader known. The peer is scipy: `trust-exact` with gradient
and Hessian for the likelihood, SLSQP with the gradient from the centre and from near each vertex for the plan.

Both run on one processor, in processes of their own, and take turns; medians over the rounds, without compilation,
which stands beside.
"""

import functools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from common import digits, facts, middle, options, table, uniform_batch, worker
from scipy.optimize import linprog, minimize

import gamekl as gk
from gamekl import online, stackelberg
from gamekl.games.gambit import make_table

jax.config.update("jax_enable_x64", True)
NOISE = 0.3
TEMPERATURES = 0.2, 0.3
ROWS = 10_000


class Play(NamedTuple):
    """Games that are learnt while they are played."""

    actions: int
    concept: str
    games: int
    seeds: int
    rounds: int

    @property
    def total(self) -> int:
        """Rounds of all games and seeds."""
        return self.games * self.seeds * self.rounds


@functools.cache
def payoffs(size: int, count: int) -> np.ndarray:
    return np.asarray(uniform_batch((size, size), 1.0, count)[0].payoffs)


@functools.cache
def _playing(case: Play) -> Callable[..., Any]:
    def play(table: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        rule = online.Optimism(online.step_size(case.rounds, NOISE))
        hypotheses = online.TabularPayoffs(gk.NormalFormGame(table), noise=NOISE)
        found = online.play_online(key, online.Mamex(hypotheses, rule, case.concept), case.rounds)
        return found.regret.sum(), found.uncertified

    return jax.jit(jax.vmap(jax.vmap(play, (None, 0)), (0, None)))


def play_ours(case: Play) -> tuple[float, str]:
    """Seconds a round, and how many rounds had no certified equilibrium."""
    data = jnp.asarray(payoffs(case.actions, case.games)), jax.random.split(jax.random.key(1), case.seeds)
    start = time.perf_counter()
    regret, uncertified = jax.block_until_ready(_playing(case)(*data))
    spent = time.perf_counter() - start
    return spent / case.total, f"{int(uncertified.sum())} uncertified, regret {float(regret.mean()):.3g}"


def _deviations(tables: np.ndarray, concept: str) -> np.ndarray:
    """Rows G of G x <= 0."""
    _, first, second = tables.shape
    rows = []
    for player, size in enumerate((first, second)):
        own = tables[player] if player == 0 else tables[player].T  # [own, other]
        for there in range(size):
            gain = own[there] - own  # [own, other]
            if concept == "cce":
                rows.append(gain if player == 0 else gain.T)
                continue
            for here in range(size):
                row = np.zeros_like(gain)
                row[here] = gain[here]
                rows.append(row if player == 0 else row.T)
    return np.stack(rows).reshape(len(rows), -1)


def _equilibrium(tables: np.ndarray, concept: str) -> np.ndarray:
    if concept == "nash":
        import pygambit  # only its own process needs it

        game = make_table(pygambit, tables)
        found = pygambit.nash.lcp_solve(game, rational=False, stop_after=1, use_strategic=True).equilibria[0]
        first, second = ([share for _, share in found[player]] for player in game.players)
        return np.outer(first, second)
    cells = tables[0].size
    ones = np.ones((1, cells))
    rows = _deviations(tables, concept)
    found = linprog(-tables.sum(axis=0).ravel(), rows, np.zeros(len(rows)), ones, [1.0], method="highs")
    return found.x.reshape(tables.shape[1:])


def play_peer(case: Play) -> tuple[float, str]:
    """Seconds a round."""
    rng = np.random.default_rng(0)
    eta = 1 / (2 * NOISE * np.sqrt(case.rounds))
    start = time.perf_counter()
    for truth in payoffs(case.actions, case.games):
        counts, sums = np.zeros(truth.shape[1:]), np.zeros_like(truth)
        for _ in range(case.rounds):
            price = eta * counts
            with np.errstate(divide="ignore", invalid="ignore"):
                means = np.where(counts > 0, sums / counts, 0.5)
                best = np.where(counts > 0, np.clip(means + 1 / (2 * price), 0, 1), 1)
            upper = best - price * ((best - means) ** 2 - (np.clip(means, 0, 1) - means) ** 2)
            joint = np.maximum(_equilibrium(upper, case.concept), 0)
            cell = np.unravel_index(rng.choice(joint.size, p=joint.ravel() / joint.sum()), joint.shape)
            counts[cell] += 1
            sums[:, *cell] += truth[:, *cell] + NOISE * rng.normal(size=2)
    return (time.perf_counter() - start) / (case.games * case.rounds), ""


class Lead(NamedTuple):
    """Logs that a leader learns from: of one game, and as many seeds."""

    actions: int
    logs: int


def _true_game(size: int) -> tuple[gk.NormalFormGame, gk.Regularizer]:
    game = gk.games.uniform(jax.random.key(2), (size, size))
    return game, gk.Regularizer([np.full(size, -np.log(size))] * 2, TEMPERATURES)


def _announced(size: int) -> np.ndarray:
    return 0.7 * np.eye(size) + 0.3 / size


@functools.cache
def _draws(size: int, count: int) -> np.ndarray:
    """Counts of responses ``[log, strategy, follower]``."""
    game, regularizer = _true_game(size)
    often = np.full(size, 1 / size)

    def draw(key: jax.Array) -> jax.Array:
        return stackelberg.sample_responses(key, game, regularizer, _announced(size), often, ROWS).counts

    return np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), count)))


@functools.cache
def _leading(size: int) -> Callable[..., Any]:
    game, regularizer = _true_game(size)

    def learn(counts: jax.Array) -> tuple[jax.Array, jax.Array]:
        log = stackelberg.Responses(_announced(size), counts)
        estimate = stackelberg.estimate_follower(log, regularizer, leader_payoffs=game.payoffs[0])
        plan = stackelberg.quantal_stackelberg(estimate.game, regularizer, throw=False)
        return stackelberg.leader_value(game, regularizer, plan.policy[0]), plan.status

    return jax.jit(jax.vmap(learn))


def lead_ours(case: Lead) -> tuple[float, str]:
    """Seconds a log."""
    counts = _draws(case.actions, case.logs)
    learn = _leading(case.actions)
    start = time.perf_counter()
    value, status = jax.block_until_ready(learn(jnp.asarray(counts)))
    spent = time.perf_counter() - start
    return spent / case.logs, f"{int((status > 0).sum())} failed, worth {float(value[:100].mean()):.6f}"


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _fit(counts: np.ndarray, announced: np.ndarray) -> np.ndarray:
    """u, of which the last column is 0, by scipy."""
    responses = counts.shape[1]
    rows, free = counts.sum(axis=1), responses - 1

    def chances(flat: np.ndarray) -> np.ndarray:
        return _softmax(announced @ np.column_stack([flat.reshape(-1, free), np.zeros(announced.shape[1])]))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nu = chances(flat)
        return -float(np.sum(counts * np.log(nu))), -(announced.T @ (counts - rows[:, None] * nu))[:, :free].ravel()

    def hessian(flat: np.ndarray) -> np.ndarray:
        nu = chances(flat)[:, :free]
        spread = rows[:, None, None] * (nu[:, :, None] * np.eye(free) - nu[:, :, None] * nu[:, None])
        return np.einsum("ka,kbc,kd->abdc", announced, spread, announced).reshape(announced.shape[1] * free, -1)

    start = np.zeros(announced.shape[1] * free)
    found = minimize(loss, start, jac=True, hess=hessian, method="trust-exact").x
    return np.column_stack([found.reshape(-1, free), np.zeros(announced.shape[1])])


def _plan(own: np.ndarray, utilities: np.ndarray) -> np.ndarray:
    """The best of SLSQP's local maxima."""
    size = len(own)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        nu = _softmax(x @ utilities)
        inside = np.maximum(x, 1e-300)
        earned = x @ own @ nu
        slope = own @ nu + utilities @ (nu * (x @ own - earned))
        cost = TEMPERATURES[0] * np.log(inside * size)
        return -float(earned - x @ cost), -(slope - cost - TEMPERATURES[0])

    starts = [np.full(size, 1 / size), *(0.9 * np.eye(size) + 0.1 / size)]
    simplex = {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones(size)}
    shared = {"jac": True, "bounds": [(1e-9, 1)] * size, "constraints": [simplex], "method": "SLSQP"}
    ends = [minimize(loss, start, options={"ftol": 1e-12, "maxiter": 300}, **shared) for start in starts]
    return min(ends, key=lambda end: end.fun).x


def lead_peer(case: Lead) -> tuple[float, str]:
    """Seconds a log."""
    counts = _draws(case.actions, case.logs)
    game, regularizer = _true_game(case.actions)
    own = np.asarray(game.payoffs[0])
    start = time.perf_counter()
    plans = [_plan(own, _fit(entry, _announced(case.actions))) for entry in counts]
    spent = time.perf_counter() - start
    values = [stackelberg.leader_value(game, regularizer, plan / plan.sum()) for plan in plans[:100]]
    return spent / case.logs, f"worth {np.mean(values):.6f}"


Contender = tuple[str, ProcessPoolExecutor, Callable[..., tuple[float, str]], Any]


def compare(contenders: Sequence[Contender], rounds: int) -> list[list[str]]:
    """A row for each: microseconds, from least to most, compilation, ratio to the first, what was found."""
    seconds: dict[str, list[float]] = {}
    told = {}
    first = {name: process.submit(call, case).result()[0] for name, process, call, case in contenders}
    for _ in range(rounds):
        for name, process, call, case in contenders:
            spent, told[name] = process.submit(call, case).result()
            seconds.setdefault(name, []).append(spent)
    base = middle(seconds[contenders[0][0]])
    rows = []
    for name, _, _, case in contenders:
        found = seconds[name]
        size = case.total if isinstance(case, Play) else case.logs
        compiled = digits(max((first[name] - middle(found)) * size, 0)) if name == "gamekl" else ""
        spread = f"{digits(min(found) * 1e6)} to {digits(max(found) * 1e6)}"
        rows.append([name, f"{size:,}", digits(middle(found) * 1e6), spread, compiled, digits(middle(found) / base)])
        rows[-1].append(told[name])
    return rows


def main() -> None:
    given = options(__doc__)
    load = f"load before the run {os.getloadavg()[0]:.1f}"
    parts = [f"# Learning online, and learning to lead\n\n{facts()}; medians of {given.rounds} rounds; {load}.\n"]
    header = ["by", "", "us each", "least to most", "compilation, s", "/ the first", "found"]
    rounds, some = (100, 5) if given.quick else (1000, 50)
    logs, few = (100, 3) if given.quick else (10_000, 50)
    with worker(1) as ours, worker(1) as peer:
        for actions in (3, 5, 8):
            for concept in ("nash", "ce", "cce"):
                case = Play(actions, concept, 20, 2 if actions > 3 else 20, rounds)
                one = case._replace(games=2, seeds=1, rounds=some)
                told = "numpy and Gambit" if concept == "nash" else "numpy and scipy"
                rows = compare(
                    [
                        ("gamekl", ours, play_ours, case),
                        (told, peer, play_peer, one),
                    ],
                    given.rounds,
                )
                head = f"## MAMEX, {actions} x {actions}, {concept}: a round"
                parts.append(f"{head}\n\n{table([header[0], 'rounds', *header[2:]], rows)}\n")
                print(parts[-1], flush=True)
        case = Lead(5, logs)
        contenders = [
            ("gamekl", ours, lead_ours, case),
            ("scipy", peer, lead_peer, case._replace(logs=few)),
        ]
        rows = compare(contenders, given.rounds)
        parts.append(f"## A leader, 5 x 5: a log\n\n{table([header[0], 'logs', *header[2:]], rows)}\n")
        print(parts[-1], flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench_learning.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
