"""The scripts of examples/, each against what is known of it.

Matches can be played again, a log does not depend on who played it, held-out scores are as numpy finds them, and Kuhn
poker has its known value.
"""

import sys
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gamekl as gk
from gamekl.experiment.show.plot import STYLE

pytest.importorskip("pyspiel")
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import kuhn
import roshambo
import roshambo_play

NAMES = ("greenberg", "iocainebot", "markov5", "randbot", "rockbot")
NUM_MATCHES = 600


@pytest.fixture(scope="module")
def tables():
    """A log and held-out matches."""
    return [roshambo_play.play_tournament((0, part), NAMES, NUM_MATCHES, 1) for part in range(2)]


@pytest.fixture(scope="module")
def logs(tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    for part, table in enumerate(tables):
        pq.write_table(table, folder / f"{part}.parquet")
    return [gk.offline.read_log(folder / f"{part}.parquet", roshambo.log_schema(NAMES)) for part in range(2)]


@pytest.fixture(scope="module")
def level(logs):
    return roshambo.solve(*logs, roshambo.SHOWN, jax.random.key(0))


def mean_scores(table: pa.Table) -> np.ndarray:
    rows = table.to_pylist()
    cells = [
        [[r["row_score"] for r in rows if (r["row_program"], r["column_program"]) == (a, b)] for b in NAMES]
        for a in NAMES
    ]
    return np.array([[np.mean(cell) if cell else 0 for cell in line] for line in cells])


def test_a_match_of_fixed_patterns_is_what_its_throws_say():
    throws = np.arange(roshambo_play.NUM_THROWS) % 3  # rotatebot: rock, paper, scissors, ...
    against_rock = np.array([0, -1, 1])[throws].mean()
    assert roshambo_play.play_match("rockbot", "rotatebot", 1) == against_rock
    assert roshambo_play.play_match("rotatebot", "rockbot", 2) == -against_rock
    # copybot beats what rotatebot throws first, and from then on they throw the same.
    assert roshambo_play.play_match("rotatebot", "copybot", 3) == -1 / roshambo_play.NUM_THROWS


def test_any_match_of_the_log_can_be_played_again_in_any_order(tables):
    for row in reversed(tables[0].slice(0, 40).to_pylist()):
        again = roshambo_play.play_match(row["row_program"], row["column_program"], row["seed"])
        assert (again, -again) == (row["row_score"], row["column_score"])


def test_the_log_depends_on_its_seed_and_not_on_the_number_of_processes(tables, monkeypatch):
    monkeypatch.setattr(roshambo_play, "CHUNK", 50)
    assert roshambo_play.play_tournament((0, 0), NAMES, NUM_MATCHES, 2).equals(tables[0])
    assert not tables[1].equals(tables[0])


def test_programs_meet_as_often_as_the_schedule_says(logs):
    weights = roshambo_play.schedule(len(NAMES))
    assert weights[0] == pytest.approx(10 * weights[-1])
    expected = NUM_MATCHES * np.outer(weights, weights)
    for log in logs:
        assert np.all(np.abs(log.statistics.counts - expected) < 5 * np.sqrt(expected))


def test_rows_and_columns_are_alike(tables):
    """Of a game with itself scores are 0 on average, and those of (a, b) are minus those of (b, a)."""
    for first, second in [("randbot", "randbot"), ("greenberg", "markov5")]:
        sums = [
            roshambo_play.play_match(first, second, seed) + roshambo_play.play_match(second, first, 1000 + seed)
            for seed in range(1, 80)
        ]
        assert abs(np.mean(sums)) < 4 * np.std(sums) / np.sqrt(len(sums))


def test_a_comparison_is_what_numpy_makes_of_the_matches(tables, logs, level):
    log, heldout = (mean_scores(table) for table in tables)
    x, y = map(np.asarray, level.found.solution.policy)
    found = level.comparison
    np.testing.assert_allclose(found.predicted, [log @ y, -x @ log], atol=1e-8)
    np.testing.assert_allclose(found.error.point, [(log - heldout) @ y, -x @ (log - heldout)], atol=1e-8)
    np.testing.assert_allclose(found.value, np.array([1, -1]) * (x @ log @ y), atol=1e-8)
    np.testing.assert_allclose(found.value_error.point, np.array([1, -1]) * (x @ (log - heldout) @ y), atol=1e-8)
    best, excess = found.best
    assert best == pytest.approx((np.max(log @ y) + np.max(-x @ log)) / 2)
    assert best - excess == pytest.approx(((heldout @ y)[np.argmax(log @ y)] - (x @ heldout)[np.argmin(x @ log)]) / 2)


def test_gamd_ends_in_the_equilibrium_and_greenberg_leads_it(level):
    for played, solved in zip(level.played.marginals, level.found.solution.policy, strict=True):
        np.testing.assert_allclose(played, solved, atol=2e-3)
        assert NAMES[int(np.argmax(solved))] == "greenberg"
    assert roshambo.effective_number(level.found.solution.policy[0]) < roshambo.effective_number(
        roshambo_play.schedule(5)
    )


def test_bands_of_independent_numbers_add_in_quadrature():
    first, second = (
        gk.learning.Band(*map(np.array, zip(ends, strict=True))) for ends in [(1.0, 0.7, 1.4), (0.5, 0.2, 0.9)]
    )
    found = roshambo.difference(first, second)
    np.testing.assert_allclose(np.stack([found.point, found.lower, found.upper])[:, 0], [0.5, 0.0, 1.0])


def test_held_out_scores_are_in_their_bands_as_often_as_the_bands_say(logs):
    """Splits of one pool; 120 scores, so that the rate's standard error is 2 points."""
    found = roshambo.split(logs[0], 0.1, 12, jax.random.key(1))
    rate = np.mean([comparison.inside for comparison in found])
    assert 0.87 <= rate <= 1


def test_the_figure_is_drawn(level, tmp_path):
    weaker = level._replace(temperature=level.temperature / 2)
    with matplotlib.rc_context(STYLE):
        roshambo.draw([level, weaker], NAMES).savefig(tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert all(name in text for name in [*NAMES, "GANE", "GAMD"])


def test_kuhn_poker_is_dealt_as_its_normal_form_says():
    import pyspiel

    by_deal = kuhn.payoffs_by_deal(pyspiel.load_game("kuhn_poker"))
    assert by_deal.shape == (6, 64, 64) and set(np.unique(by_deal)) == {-2, -1, 1, 2}
    np.testing.assert_allclose(by_deal.mean(axis=0), gk.games.from_pyspiel("kuhn_poker").payoffs[0], atol=1e-12)


def test_kuhn_poker_comes_to_its_value():
    merged, rows = kuhn.run(jax.random.key(0), 200_000)
    assert merged.game.num_actions == (27, 64)
    for row in rows:
        assert abs(row.value - kuhn.VALUE) <= 2 * row.exploitability
        assert row.exact <= row.bound
        assert abs(row.predicted - row.value) < 0.03
    exact = [row.exact for row in rows]
    assert exact == sorted(exact, reverse=True) and exact[-1] < 0.01
    assert min(row.exploitability for row in rows) < rows[0].exploitability / 3
