"""What a log covers, against its definition, cell by cell."""

import itertools

import numpy as np
import pytest
from log_helpers import TOML, group_by, play, read_with


def worst_ratio(counts, profile, support):
    """max over players i, and cells a of the support, of prod_{j != i} pi_j(a_j) / (N(a) / n)."""
    worst = 0.0
    for cell in itertools.product(*map(range, counts.shape)):
        if not all(entry[action] for entry, action in zip(support, cell, strict=True)):
            continue
        for player in range(counts.ndim):
            reached = np.prod([entry[a] for j, (entry, a) in enumerate(zip(profile, cell, strict=True)) if j != player])
            if reached > 0:
                seen = counts[cell] / counts.sum()
                worst = max(worst, reached / seen if seen else np.inf)
    return worst


@pytest.mark.parametrize("drop", [False, True])
def test_coverage(tmp_path, drop):
    columns = play(400)
    if drop:
        keep = ~((columns["mine"] == "rock") & (columns["yours"] == 9))
        columns = {name: values[keep] for name, values in columns.items()}
    log = read_with(tmp_path, columns)
    counts, found = log.statistics.counts, log.coverage()
    assert (found.fewest, found.median, found.most) == (counts.min(), np.median(counts), counts.max())
    np.testing.assert_array_equal(found.missing, counts == 0)
    played = [entry > 0 for entry in log.marginals]
    assert found.of_behavior == pytest.approx(worst_ratio(counts, log.marginals, played))
    uniform = [np.full(len(entry), 1 / len(entry)) for entry in log.marginals]
    assert found.of_uniform == pytest.approx(worst_ratio(counts, uniform, played))
    assert (found.of_uniform == np.inf) == drop


def test_coverage_of_actions_that_were_never_played(tmp_path):
    """The behavior's own deviations do not go there, those of uniform play do."""
    listed = TOML.replace('"your_score"', '"your_score"\nactions = [9, 10, -3, 77]')
    found = read_with(tmp_path, play(), text=listed).coverage()
    assert np.isfinite(found.of_behavior) and found.of_uniform == np.inf and found.missing[:, 3].all()


def test_coverage_of_contexts_is_that_of_the_worst(tmp_path):
    columns = play(400)
    columns["x"] = np.random.default_rng(4).choice(["p", "q"], 400, p=[0.7, 0.3])
    found = read_with(tmp_path, columns, text=f'context = "x"\n{TOML}').coverage()
    ratios = []
    for context in "pq":
        counts, _ = group_by(
            [columns[name][columns["x"] == context] for name in ("mine", "yours")],
            [],
            [["a,b", "paper", "rock", "Ünïc\nöde"], [-3, 9, 10]],
        )
        profile = [counts.sum(axis=1) / counts.sum(), counts.sum(axis=0) / counts.sum()]
        ratios.append(worst_ratio(counts, profile, [entry > 0 for entry in profile]))
    assert found.of_behavior == pytest.approx(max(ratios))
