"""Equilibria of games of three and more players beside Gambit's `enumpoly_solve`.

Games of whole payoffs from 0 to 999. What Gambit finds and gamekl does not would be counted as missed by gamekl, and
what gamekl proves to be one and Gambit does not find as missed by Gambit; both judged to 1e-6. A regular game
has an odd number of equilibria, so that an even number of Gambit's is a sign of its own.

What is counted is processor time, on one processor, in turns.
"""

from typing import Any

import bench_enumerate
import common
import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np

import gamekl as gk

SHAPES = ((2, 2, 2), (3, 3, 2), (3, 3, 3), (2, 2, 2, 2), (2, 2, 2, 2, 2), (3, 3, 3, 3), (4, 4, 4))
GAMES, FEW, LARGE = 40, 5, 60
SAME = 1e-6


def by_gambit(table: Any) -> list[np.ndarray]:
    found = gambit_helpers.pygambit().nash.enumpoly_solve(table).equilibria
    return [np.concatenate(gambit_helpers.policies(table, entry)) for entry in found]


def _row(shape: tuple[int, ...], count: int) -> list[str]:
    rng = np.random.default_rng(sum(shape))
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    number, even, settled, missed, failed, epsilon = 0, 0, 0, [0, 0], 0, 0.0
    for _ in range(count):
        payoffs = rng.integers(0, 1000, (len(shape), *shape))
        game = gk.NormalFormGame(jnp.asarray(payoffs.astype(float)))
        table = gambit_helpers.table(*payoffs)
        found, spent = bench_enumerate.seconds_of(lambda game=game: gk.enumerate_nash(game))
        times["ours"].append(1e3 * spent)
        ours = np.concatenate(found.policy, axis=1)
        number, settled = number + len(found), settled + found.complete
        epsilon = max(epsilon, float(np.max(found.epsilon, initial=0)))
        try:
            theirs, spent = bench_enumerate.seconds_of(lambda table=table: by_gambit(table))
        except RuntimeError:
            failed += 1
            continue
        times["theirs"].append(1e3 * spent)
        away = np.array([[np.max(np.abs(one - other)) for other in ours] for one in theirs]).reshape(
            len(theirs), len(ours)
        )
        missed[0] += int(np.sum(away.min(axis=1, initial=1) > SAME))
        missed[1] += int(np.sum(away[:, found.regular].min(axis=0, initial=1) > SAME))
        even += found.complete and len(theirs) % 2 == 0
    middle = [common.digits(common.middle(entry)) if entry else "-" for entry in times.values()]
    told = f"{missed[1]}" + (f", and {failed} failures" if failed else "")
    name = f"{count} of {' x '.join(map(str, shape))}"
    return [name, str(number), str(settled), f"{epsilon:.0e}", str(missed[0]), told, str(even), *middle]


def main() -> None:
    """Print a table, and write it."""
    jax.config.update("jax_enable_x64", True)
    options = common.options(__doc__)
    with common.processors(1):
        facts = common.facts()
        rows = [
            _row(shape, 3 if options.quick else FEW if np.prod(shape) >= LARGE or len(shape) > 4 else GAMES)
            for shape in SHAPES[: 4 if options.quick else None]
        ]
    header = (
        "games",
        "equilibria",
        "games proven complete",
        "largest epsilon",
        "missed by gamekl",
        "missed by Gambit",
        "complete games with an even number of Gambit's",
        "gamekl, ms a game",
        "Gambit",
    )
    text = "\n\n".join([facts, "Processor time of one processor, medians.", common.table(header, rows)])
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "bench_several_players.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
