"""Rounds of GAMD, and correlated equilibria, beside what one would write first and beside OpenSpiel, in the same run.

    python benchmarks/bench_gamd.py [--quick] [--out benchmarks/results]

Payoffs U[0, 1]. GAMD: uniform references, temperature 0.1, batches of 10 x 10 games; the plain loop is the same play
with the same averages (joint policy, what pairs of actions earn, costs), one game in einsum, under ``jax.vmap``.
Maximum-Gini coarse correlated equilibria: ours in a batch, OpenSpiel's `_mgcce` (cvxpy) one by one. CCE gaps of a joint
policy: ours in a batch, `pyspiel.cce_dist` one by one. Medians of several rounds, in which the contenders take turns;
compilation apart.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import digits, facts, middle, options, table, uniform_batch

import gamekl as gk

jax.config.update("jax_enable_x64", True)

TEMPERATURE = 0.1


def plain_loop(num_rounds: int) -> Callable[..., Any]:
    """Smoothed fictitious play of one two-player game in einsum, mapped."""

    def one(game: gk.NormalFormGame) -> Any:
        rows, columns = game.payoffs
        log_reference = jnp.full((2, rows.shape[0]), -jnp.log(rows.shape[0]), rows.dtype)

        def play(step: jax.Array, carry: Any) -> Any:
            earned, cost, pairs, joint = carry
            logits = log_reference + earned / (TEMPERATURE * (step + 1).astype(rows.dtype))
            log_policy = jax.nn.log_softmax(logits)
            policy = jnp.exp(log_policy)
            values = jnp.stack([jnp.einsum("ab,b->a", rows, policy[1]), jnp.einsum("ab,a->b", columns, policy[0])])
            return (
                earned + values,
                cost + jnp.sum(policy * (log_policy - log_reference), axis=-1),
                pairs + jnp.einsum("pa,pb->pab", policy, values),
                joint + jnp.einsum("a,b->ab", policy[0], policy[1]),
            )

        zeros = jnp.zeros_like(log_reference)
        start = (zeros, zeros[:, 0], jnp.zeros((2, *rows.shape), rows.dtype), jnp.zeros_like(rows))
        return jax.lax.fori_loop(0, num_rounds, play, start)

    return jax.jit(jax.vmap(one))


def timed(contenders: dict[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, list[float]]:
    """Seconds for each unit of work, by contender and round, after a first call."""
    for call, _ in contenders.values():
        jax.block_until_ready(call())
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (call, work) in contenders.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append((time.perf_counter() - start) / work)
    return times


def rows_of(what: str, unit: float, times: dict[str, list[float]]) -> list[list[Any]]:
    """Rows of the table; the last contender is the peer."""
    peer = middle(list(times.values())[-1])
    rows = []
    for name, found in times.items():
        spread = f"{digits(min(found) * unit)} to {digits(max(found) * unit)}"
        rows.append([what, name, digits(middle(found) * unit), spread, f"{peer / middle(found):.1f}"])
    return rows


def gamd_rows(quick: bool, rounds: int) -> list[list[Any]]:
    size, steps = (256, 200) if quick else (4096, 2000)
    found = []
    for dtype in ("float64", "float32"):
        games, regularizers = uniform_batch((10, 10), TEMPERATURE, size, dtype=dtype)
        plain = plain_loop(steps)
        mapped = jax.jit(jax.vmap(lambda game, regularizer: gk.gamd(game, regularizer, num_rounds=steps)))
        contenders = {
            "gamd_batch": lambda games=games, regularizers=regularizers: gk.gamd_batch(
                games, regularizers, num_rounds=steps
            ),
            "vmap(gamd)": lambda games=games, regularizers=regularizers, mapped=mapped: mapped(games, regularizers),
            "plain loop": lambda games=games, plain=plain: plain(games),
        }
        work = size * steps
        times = timed({name: (call, work) for name, call in contenders.items()}, rounds)
        found += rows_of(f"GAMD, {size} games 10 x 10, {dtype}: ns a round", 1e9, times)
    return found


def correlated_rows(quick: bool, rounds: int) -> list[list[Any]]:
    from open_spiel.python.algorithms import jpsro  # an oracle

    found = []
    for shape, size, common in (((10, 10), 256, 10), ((10, 10, 10), 32, 3)):
        size = size // 8 if quick else size
        games, _ = uniform_batch(shape, TEMPERATURE, size)
        solve = jax.jit(jax.vmap(lambda game: gk.solve_correlated(game, concept="cce", objective="gini")))
        theirs = [np.asarray(game) for game in games.payoffs[:common]]

        def openspiel(theirs: list[np.ndarray] = theirs) -> list[np.ndarray]:
            repeats = [[np.ones(count) for count in payoffs.shape[1:]] for payoffs in theirs]
            return [jpsro._mgcce(payoffs, each, True)[0] for payoffs, each in zip(theirs, repeats, strict=True)]

        contenders = {
            "solve_correlated": (lambda games=games, solve=solve: solve(games), size),
            "OpenSpiel _mgcce": (openspiel, common),
        }
        times = timed(contenders, rounds)
        ours, other = np.asarray(solve(games).joint_policy)[:common], openspiel()
        apart = max(np.abs(a - b).max() for a, b in zip(ours, other, strict=True))
        name = " x ".join(map(str, shape))
        found += rows_of(f"maximum-Gini CCE, {name} (apart by at most {apart:.0e}): ms a game", 1e3, times)
    return found


def gap_rows(quick: bool, rounds: int) -> list[list[Any]]:
    import pyspiel  # an oracle

    size = 512 if quick else 4096
    games, _ = uniform_batch((10, 10), TEMPERATURE, size)
    joints = jax.random.dirichlet(jax.random.key(1), jnp.ones(100), (size,)).reshape(size, 10, 10)
    measure = jax.jit(jax.vmap(gk.evaluate.cce_gap))
    theirs = pyspiel.convert_to_turn_based(pyspiel.create_matrix_game(*np.asarray(games.payoffs[0]).tolist()))
    state = theirs.new_initial_state()
    first = state.information_state_string(0)
    state.apply_action(0)
    second = state.information_state_string(1)
    device = []
    for cell in np.ndindex(10, 10):
        pure = [[(a, float(a == action)) for a in range(10)] for action in cell]
        policy = pyspiel.TabularPolicy({first: pure[0], second: pure[1]})
        device.append((float(joints[0][cell]), policy))
    contenders = {
        "evaluate.cce_gap": (lambda: measure(games, joints), size),
        "pyspiel.cce_dist": (lambda: pyspiel.cce_dist(theirs, device).dist_value, 1),
    }
    return rows_of("CCE gap of a joint policy, 10 x 10: us", 1e6, timed(contenders, rounds))


def main() -> None:
    given = options(__doc__)
    rounds = given.rounds
    rows = []
    for part in (gamd_rows, correlated_rows, gap_rows):
        rows += part(given.quick, rounds)
        print(*rows, sep="\n", flush=True)
    header = ["what", "by", "median", "least to most", "peer / this"]
    text = f"# GAMD and correlated equilibria\n\n{facts()}; medians of {rounds} rounds.\n\n{table(header, rows)}\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "bench_gamd.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
