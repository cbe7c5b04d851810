"""A logged tournament of 43 programs that play rock-paper-scissors: runs/roshambo/{log,heldout}.parquet.

The programs are those of the RoShamBo competitions of 1999 and 2000 that OpenSpiel ships. In a match two of them play
200 throws; the score of the row's program is its mean payoff (1 for a win, -1 for a loss), the column's is minus that.
Two matches of the same programs differ, by a standard deviation of 0.07; with 1,000 throws it would still be 0.06, as
most of it is how a match turns out as a whole: for one price, many matches tell more than many throws.

Matches are independent, and any of them can be played again, in any order and process: a program keeps what it knows in
its own object, which is made anew for each match, and all draw from the C library's `random`, which is seeded for each.
(Each is told that a match has 1,000 throws, as in the competitions: one of them, greenberg, writes beyond its memory
where it is told of fewer.)

Row and column of a match are drawn independently from a schedule in which the first program of the alphabet is ten
times as likely as the last, geometrically between: the commonest pair is a hundred times as likely as the rarest, which
has 3.5 matches of 100,000. Held-out matches are as many more, drawn in the same way.
"""

import ctypes
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyspiel

OUT = Path("runs/roshambo")
PARTS = ("log", "heldout")
NUM_MATCHES = 100_000  # of each part
NUM_THROWS = 200
SKEW = 10.0  # the commonest program of the schedule over the rarest
CHUNK = 500  # matches handed to a process at a time
LIBC = ctypes.CDLL(None)


def schedule(num_programs: int) -> np.ndarray:
    """How likely each program is in a match, shape ``[program]``."""
    weights = SKEW ** -np.linspace(0, 1, num_programs)
    return weights / weights.sum()


def play_match(row: str, column: str, seed: int) -> float:
    """The row's score; the same for the same seed."""
    game = pyspiel.load_game(f"repeated_game(stage_game=matrix_rps(),num_repetitions={NUM_THROWS})")
    LIBC.srandom(seed)
    made_for = pyspiel.ROSHAMBO_NUM_THROWS
    programs = [pyspiel.make_roshambo_bot(player, name, made_for) for player, name in enumerate((row, column))]
    return pyspiel.evaluate_bots(game.new_initial_state(), programs, 0)[0] / NUM_THROWS


def _play_some(matches: Sequence[tuple[str, str, int]]) -> list[float]:
    return [play_match(*match) for match in matches]


def play_tournament(
    seed: Sequence[int], names: Sequence[str], num_matches: int, num_workers: int | None = None
) -> pa.Table:
    """Play matches of the schedule in so many processes (None: as many as there are cores).

    The table does not depend on how many. Its column `seed` is that of `play_match`.
    """
    rng = np.random.default_rng(seed)
    pairs = np.array(names)[rng.choice(len(names), size=(num_matches, 2), p=schedule(len(names)))]
    seeds = rng.integers(2**32, size=num_matches)
    matches = list(zip(*pairs.T.tolist(), seeds.tolist(), strict=True))
    chunks = [matches[start : start + CHUNK] for start in range(0, num_matches, CHUNK)]
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        scores = np.concatenate(list(pool.map(_play_some, chunks)))
    columns = {"row_program": pairs[:, 0], "column_program": pairs[:, 1], "row_score": scores, "column_score": -scores}
    return pa.table({**columns, "seed": seeds})


def main() -> None:
    """Play both parts; a number of matches may be given."""
    num_matches = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_MATCHES
    names, start = sorted(pyspiel.roshambo_bot_names()), time.monotonic()
    OUT.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(PARTS):
        pq.write_table(play_tournament((2024, number), names, num_matches), OUT / f"{part}.parquet")
    print(f"played {len(PARTS) * num_matches:,} matches in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
