"""Rows that stand for several plays: the log with rows repeated."""

import jax
import numpy as np
import pytest
from log_helpers import BEHAVIOR, GAME, PLAYERS, anchor_of, columns_of, write

import gamekl as gk
from gamekl.offline.logs import sums


@pytest.fixture(scope="module")
def logged():
    drawn = gk.offline.sample_dataset(jax.random.key(0), GAME, BEHAVIOR, 300, 0.3)
    rng = np.random.default_rng(0)
    return columns_of(drawn) | {"n": rng.integers(0, 5, 300), "match": rng.integers(0, 40, 300)}


def repeated(columns):
    return {name: np.repeat(values, columns["n"]) for name, values in columns.items() if name != "n"}


def read(path, columns, **schema):
    return gk.offline.read_log(write(path, columns), gk.offline.LogSchema(player=PLAYERS, **schema))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("group", [{}, {"group": "match"}])
def test_weights_are_repetitions(tmp_path, logged, suffix, group, monkeypatch):
    """In counts, sums, noise, coverage, groups and bands; spread over groups as the repeated rows are."""
    monkeypatch.setattr(sums, "SPREAD_AT_ONCE", 17)
    ours = read(tmp_path / f"ours{suffix}", logged, weight="n", **group)
    theirs = read(tmp_path / f"theirs{suffix}", repeated(logged), **group)
    total = logged["n"].sum()
    assert (ours.num_rows, ours.num_plays, ours.weight) == (np.count_nonzero(logged["n"]), total, "n")
    assert (theirs.num_rows, theirs.num_plays, theirs.weight) == (total, total, None)
    np.testing.assert_array_equal(ours.groups.counts, theirs.groups.counts)
    np.testing.assert_allclose(ours.groups.reward_sums, theirs.groups.reward_sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours.noise, theirs.noise, rtol=1e-12)
    for mine, other in zip(ours.coverage(), theirs.coverage(), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12)
    policy = anchor_of(GAME, 0.5).log_reference
    bands, expected = (gk.learning.bootstrap_profile(log, policy, jax.random.key(1)) for log in (ours, theirs))
    for mine, other in zip(jax.tree.leaves(bands), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9)


def test_weights_need_not_be_whole(tmp_path, logged):
    """Then groups are taken from a column of groups; without one there are no bands."""
    halves = logged | {"n": logged["n"] / 2}
    ours = read(tmp_path / "ours.parquet", halves, weight="n", group="match")
    whole = read(tmp_path / "whole.parquet", logged, weight="n", group="match")
    np.testing.assert_array_equal(2 * ours.groups.counts, whole.groups.counts)
    np.testing.assert_allclose(2 * ours.groups.reward_sums, whole.groups.reward_sums)
    alone = read(tmp_path / "ours.parquet", halves, weight="n")
    assert alone.num_groups == 1 and alone.num_plays == logged["n"].sum() / 2
    np.testing.assert_array_equal(alone.statistics.counts, ours.statistics.counts)
    with pytest.raises(
        ValueError, match="log: got its rows in 1 group .weights 'n' that are not whole, or too large, take a"
    ):
        gk.learning.bootstrap(alone, anchor_of(GAME, 0.5), jax.random.key(0))


def test_large_weights_are_not_spread_one_by_one(tmp_path):
    columns = {"a": [0, 1], "b": [0, 1], "r": [1.0, 0.5], "s": [0.0, 1.0], "n": [3, 2**50]}
    log = read(tmp_path / "log.parquet", columns, weight="n")
    assert log.num_groups == 1
    np.testing.assert_array_equal(log.statistics.counts, [[3, 0], [0, 2.0**50]])


def test_rows_of_weight_0_are_not_there(tmp_path):
    """Neither are their labels."""
    columns = {"a": ["x", "z"], "b": ["p", "q"], "r": [1, 2], "s": [1, 2], "n": [2, 0]}
    log = read(tmp_path / "log.csv", columns, weight="n")
    assert log.actions == (("x",), ("p",)) and log.num_rows == 1
    with pytest.raises(ValueError, match="paths: got .*log.csv without rows with 'n' above 0, takes at least one"):
        read(tmp_path / "log.csv", columns | {"n": [0, 0]}, weight="n")


@pytest.mark.parametrize(("weight", "got"), [(-1, "-1.0"), (np.inf, "inf"), (np.nan, "nan")])
def test_bad_weights(tmp_path, weight, got):
    columns = {"a": [0, 1], "b": [0, 1], "r": [1, 2], "s": [1, 2], "n": [2.5, weight]}
    with pytest.raises(
        ValueError, match=f"^weight: got {got} in column 'n', data row 2 of .*takes finite numbers >= 0"
    ):
        read(tmp_path / "log.parquet", columns, weight="n")
