"""Does every random game converge? A thousand games for each size, temperature and law of payoffs.

    python benchmarks/convergence.py [--games 1000] [--out benchmarks/results]

Payoffs are U[0, 1] or N(0, 1), references Dirichlet(1) for each player; float64. A game counts as solved if its status
says so and its residual sup |policy - best response| is at most 1e-9. Every game that is not solved is listed with its
key, from which `random_game` makes it again.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from common import facts

import gamekl as gk

jax.config.update("jax_enable_x64", True)

SIZES = [(2, 2), (2, 5), (2, 10), (2, 20), (3, 5), (4, 3), (5, 2), (6, 2)]  # players, actions
TEMPERATURES = [1.0, 0.1, 0.03, 0.01, 0.001]
LAWS = {"U[0, 1]": jax.random.uniform, "N(0, 1)": jax.random.normal}
TOLERANCE = 1e-9


def random_game(key: jax.Array, temperature: jax.Array, *, players: int, actions: int, law: str):
    """One game and its regularizer."""
    payoff_key, reference_key = jax.random.split(key)
    game = gk.NormalFormGame(LAWS[law](payoff_key, (players, *[actions] * players)))
    references = jax.random.dirichlet(reference_key, jnp.ones(actions), (players,))
    return game, gk.Regularizer(jnp.log(references), temperature)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = [
        f"{facts()}; {options.games} games a row, seed {options.seed}",
        "",
        "| players x actions of each | payoffs | temperature | solved | largest residual | corrections: mean, most "
        "| folded paths |",
        "|---|---|---|---|---|---|---|",
    ]
    failures, index = [], 0
    for players, actions in SIZES:
        for law in LAWS:
            for temperature in TEMPERATURES:
                seed = jax.random.fold_in(jax.random.key(options.seed), index)
                index += 1
                keys = jax.random.split(seed, options.games)
                make = jax.jit(jax.vmap(partial(random_game, players=players, actions=actions, law=law)))
                solution = gk.solve_nash_batch(*make(keys, temperature=jnp.full(options.games, temperature)))
                residual = np.asarray(solution.residual)
                solved = (np.asarray(solution.status) == gk.Status.converged) & (residual <= TOLERANCE)
                steps = np.asarray(solution.num_steps)
                lines.append(
                    f"| {players} x {actions} | {law} | {temperature:g} | {solved.sum()} of {options.games} "
                    f"| {residual.max():.1e} | {steps.mean():.1f}, {steps.max()} "
                    f"| {np.mean(np.asarray(solution.path.folds) > 0):.1%} |"
                )
                print(lines[-1], flush=True)
                for game in np.flatnonzero(~solved):
                    failures.append(
                        f"- {players} x {actions}, {law}, temperature {temperature:g}: key "
                        f"{jax.random.key_data(keys[game]).tolist()}, {gk.Status(int(solution.status[game])).name}, "
                        f"residual {residual[game]:.1e}"
                    )
    lines += ["", f"Not solved: {len(failures)} of {index * options.games}.", *failures]
    print("\n".join(lines[-1 - len(failures) :]))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "convergence.md").write_text("# Every random game converges\n\n" + "\n".join(lines) + "\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
