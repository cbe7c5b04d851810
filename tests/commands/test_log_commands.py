"""`gamekl data` and `gamekl solve --data`: what they print is what the log says."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from shell_helpers import refused, run

import gamekl as gk

TOML = """
[[player]]
name = "rower"
action = "a"
reward = "r"
actions = ["up", "down"]

[[player]]
name = "columnist"
action = "b"
reward = "s"
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test has a folder of its own, with a schema and a log in it, and is there."""
    monkeypatch.chdir(tmp_path)
    Path("log.toml").write_text(TOML)
    pq.write_table(table(), "log.parquet")


def table(num_rows=400):
    """One wants to match, the other not to."""
    rng = np.random.default_rng(0)
    columns = {"a": np.where(rng.random(num_rows) < 0.7, "up", "down"), "b": rng.integers(0, 3, num_rows)}
    match = (columns["a"] == "up") == (columns["b"] == 0)
    columns |= {"r": rng.normal(size=num_rows) + match, "s": rng.normal(size=num_rows) - match}
    return pa.table(columns | {"x": np.where(rng.random(num_rows) < 0.5, "new", "old")})


def read():
    return gk.offline.read_log("log.parquet", gk.offline.load_log_schema("log.toml"))


def numbers(out, head):
    """The numbers ``point [lower, upper]`` of the table that begins with `head`, ``[label, column, 3]``."""
    lines = out.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"{head} ")) + 1
    rows = []
    while start < len(lines) and lines[start]:
        cells = lines[start].replace("[", " ").replace("]", " ").replace(",", " ").split()
        rows.append([float(cell) for cell in cells[-6:]])
        start += 1
    return np.array(rows).reshape(-1, 2, 3)


def test_data_tells_what_there_is(capsys):
    status, out, err = run(capsys, "data", "log.parquet", "--schema", "log.toml")
    log = read()
    counts, found = log.statistics.counts, log.coverage()
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "400 rows",
        "rower: 2 actions: up, down",
        "columnist: 3 actions: 0, 1, 2",
        f"rows in a cell: least {counts.min():.0f}, median {np.median(counts):.0f}, most {counts.max():.0f}",
        "cells never seen: 0 of 6",
        f"standard deviation of rewards within cells: rower {log.noise[0]:.4g}, columnist {log.noise[1]:.4g}",
        "concentrability of unilateral deviations, inf where a cell that they reach was never seen:",
        f"  from the behavior's marginals: {found.of_behavior:.4g}",
        f"  from uniform play: {found.of_uniform:.4g}",
    ]


def without(missing):
    """The rows of `table` but those of some cells (a, b, x)."""
    whole = table()
    rows = zip(*(whole[name].to_pylist() for name in ("a", "b", "x")), strict=True)
    return whole.filter(pa.array([row not in missing for row in rows]))


def test_data_names_what_is_missing(capsys):
    """Of several files, CSV among them, with contexts."""
    kept = without([("down", 2, "old"), ("up", 0, "new")])
    pq.write_table(kept.slice(0, 100), "log.parquet")
    pa.csv.write_csv(kept.slice(100), "more.csv")
    Path("log.toml").write_text(f'context = "x"\n{TOML}')
    status, out, err = run(capsys, "data", "log.parquet", "more.csv", "--schema", "log.toml")
    assert (status, err) == (0, "")
    assert "contexts: 2: new, old" in out
    assert "cells never seen: 2 of 12: (up, 0) in new, (down, 2) in old" in out
    assert out.endswith("marginals: inf\n  from uniform play: inf\n")


def test_data_names_few_of_many(capsys):
    pq.write_table(pa.table({"a": ["up", "down"], "b": [0, 40], "r": [0, 0], "s": [0, 0]}), "log.parquet")
    Path("log.toml").write_text(TOML + f"actions = {list(range(41))}\n")
    _, out, _ = run(capsys, "data", "log.parquet", "--schema", "log.toml")
    assert "columnist: 41 actions: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 31 more" in out
    assert "cells never seen: 80 of 82: (up, 1), (up, 2)," in out and "(up, 10) and 70 more" in out
    assert "rower nan, columnist nan" in out


def test_groups_are_told_from_what_they_are_groups_of(capsys):
    """100 matches are hashed into 64 groups, of which some get none."""
    pq.write_table(table().append_column("m", pa.array(np.arange(400) // 4)), "log.parquet")
    Path("log.toml").write_text(f'group = "m"\n{TOML}')
    _, out, _ = run(capsys, "data", "log.parquet", "--schema", "log.toml")
    assert out.startswith("400 rows with 100 values of 'm'\n")
    _, out, _ = run(capsys, "solve", "--data", "log.parquet", "--schema", "log.toml", "--temperature", "0.7")
    assert out.splitlines()[:2] == [
        "400 rows with 100 values of 'm'",
        f"[bands] at level 0.95 from resamples of {read().num_groups} groups; "
        "a group is all rows of one or more of these values",
    ]


@pytest.mark.parametrize("reference", ["uniform", "behavior"])
def test_solve_prints_the_anchored_equilibrium_with_bands(capsys, reference):
    arguments = ("solve", "--data", "log.parquet", "--schema", "log.toml", "--temperature", "0.7")
    status, out, err = run(capsys, *arguments, "--reference", reference, "--seed", "5", "--save", "found.npz")
    assert (status, err) == (0, "")
    log = read()
    estimate = gk.offline.estimate(log.statistics)
    anchor = gk.Regularizer.uniform(estimate.game, 0.7)
    if reference == "behavior":
        anchor = gk.Regularizer([jnp.log(jnp.asarray(entry)) for entry in log.marginals], 0.7)
    found = gk.learning.bootstrap(log, anchor, jax.random.key(5))
    assert out.splitlines()[:3] == [
        "400 rows",
        "[bands] at level 0.95 from resamples of 64 groups; a group is some of the rows, by chance",
        "",
    ]
    assert out.splitlines()[3].startswith("rower ")
    saved = np.load("found.npz")
    assert saved["actions_0"].tolist() == ["up", "down"] and saved["actions_1"].tolist() == [0, 1, 2]
    for player, head in enumerate(log.players):
        for column, (band, name) in enumerate([(found.policy, "policy"), (found.action_values, "action_values")]):
            expected = np.stack([band[player].point, band[player].lower, band[player].upper], axis=1)
            np.testing.assert_allclose(numbers(out, head)[:, column], expected, rtol=1e-3)
            np.testing.assert_allclose(saved[f"{name}_{player}_upper"], expected[:, 2], rtol=1e-12)
    np.testing.assert_allclose(numbers(out, "player")[:, 0, 1], found.value.lower, rtol=1e-3)
    np.testing.assert_allclose(numbers(out, "player")[:, 1, 2], found.regularized_value.upper, rtol=1e-3)
    assert "resamples:        200, of which 0 found no equilibrium" in out
    assert "status:           converged: what was asked for was found" in out
    gap = next(line for line in out.splitlines() if line.startswith("Nash gap:")).split()[2:]
    np.testing.assert_allclose(
        [float(entry) for entry in gap], gk.nash_gap(estimate.game, found.solution.log_policy), 1e-3
    )


def test_solve_prints_each_context(capsys, monkeypatch):
    Path("log.toml").write_text(f'context = "x"\n{TOML}')
    arguments = ("solve", "--data", "log.parquet", "--schema", "log.toml", "--temperature", "0.7")
    status, out, _ = run(capsys, *arguments, "--save", "found.npz")
    assert status == 0
    saved = np.load("found.npz")
    assert saved["contexts"].tolist() == ["new", "old"] and saved["policy_1"].shape == (2, 3)
    for index, context in enumerate(["new", "old"]):
        np.testing.assert_allclose(
            numbers(out, f"columnist in {context}")[:, 0, 0], saved["policy_1"][index], rtol=1e-3
        )
    assert "never seen" not in out
    monkeypatch.setattr("gamekl.commands.logs.MOST_PRINTED", 9)
    monkeypatch.setattr("gamekl.commands.logs.MOST_NAMED", 1)
    pq.write_table(without([("down", 2, "old"), ("up", 0, "new")]), "log.parquet")
    _, out, _ = run(capsys, *arguments, "--prior-mean", "-2")
    assert out.splitlines()[2] == "cells never seen: 2 of 12: (up, 0) in new and 1 more; they are taken to pay -2"
    assert "policies: 10 probabilities, not printed; --save writes them" in out and "rower in" not in out


def test_solve_that_does_not_converge(capsys):
    """Status 1, and what was reached is printed."""
    arguments = ("solve", "--data", "log.parquet", "--schema", "log.toml", "--temperature", "1e-13")
    status, out, _ = run(capsys, *arguments)
    assert status == 1 and "status:           converged" not in out and "of which 0 found" not in out


def test_cells_without_rows_are_warned_of(capsys, caplog):
    kept = table().filter(
        pa.array([a != "up" or b != 1 for a, b in zip(*(table()[n].to_pylist() for n in "ab"), strict=True)])
    )
    pq.write_table(kept, "log.parquet")
    arguments = ("--data", "log.parquet", "--schema", "log.toml", "--temperature", "1", "--prior-mean", "-7")
    status, out, _ = run(capsys, "solve", *arguments)
    assert status == 0 and "1 of 6 joint actions have no data" in caplog.text and "prior_mean = -7" in caplog.text
    estimate = gk.offline.estimate(read().statistics, prior_mean=-7.0)
    solution = gk.gane(estimate, gk.Regularizer.uniform(estimate.game, 1.0))
    np.testing.assert_allclose(numbers(out, "rower")[:, 0, 0], solution.policy[0], rtol=1e-3)


DUELS = {
    "winner and loser": (
        "{ action = 'a', reward = 'one' }, { action = 'b', reward = 'one' }",
        "reward: got one number",
    ),
    "preference": ("{ action = 'a' }, { action = 'b' }", "preference: got shares that do not sum to 1"),
}


@pytest.mark.parametrize("case", DUELS)
def test_duels_whose_first_column_has_the_winner(capsys, case):
    """Refused by `solve`, and `data` says that it will be."""
    players, told = DUELS[case]
    rng = np.random.default_rng(0)
    winner, loser = np.sort(rng.integers(0, 4, (2, 500)), axis=0)
    columns = {"a": winner, "b": loser, "one": np.ones(500)}
    pa.csv.write_csv(pa.table(columns), "duels.csv")
    Path("log.toml").write_text(f"player = [{players}]\n" + 'preference = "one"\n' * (case == "preference"))
    log = ("duels.csv", "--schema", "log.toml")
    err = refused(capsys, "solve", "--data", *log, "--temperature", "0.1")
    assert err.startswith(f"gamekl solve: {told}") and err.count("\n") == 1
    status, out, _ = run(capsys, "data", *log)
    assert status == 0 and out.splitlines()[-1] == "gamekl solve refuses this log: " + err[len("gamekl solve: ") : -1]


LOG = ("--data", "log.parquet", "--schema", "log.toml")
BAD = {
    "neither": (("solve", "--temperature", "1"), "game: got none, takes a payoff file, or --data LOG --schema TOML"),
    "both": (("solve", "game.nfg", *LOG), "game: got game.nfg beside --data, takes a payoff file, or --data"),
    "no schema": (("solve", *LOG[:2], "--temperature", "1"), "schema: got none, takes the TOML file that says"),
    "no temperature": (("solve", *LOG), "temperature: got none, takes a number > 0"),
    "temperature 0": (("solve", *LOG, "--temperature", "0"), "temperature: got 0.0, takes numbers > 0"),
    "temperature nan": (("solve", *LOG, "--temperature", "nan"), "temperature: got nan"),
    "other concept": (("solve", *LOG, "--concept", "cce"), "concept: got 'cce' for a log, takes 'nash'"),
    "float32": (("solve", *LOG, "--dtype", "float32"), "dtype: got 'float32' for a log, takes 'float64'"),
    "few resamples": (
        ("solve", *LOG, "--temperature", "1", "--resamples", "9"),
        "gamekl solve: resamples: got 9, takes at least 45 for level 0.95 and 64 groups",
    ),
    "no resamples": (
        ("solve", *LOG, "--temperature", "1", "--resamples", "0"),
        "gamekl solve: resamples: got 0, takes a whole number >= 1",
    ),
    "seed below 0": (("solve", *LOG, "--temperature", "1", "--seed", "-1"), "seed: got -1, takes a whole number >= 0"),
    "seed beyond 2^63": (("solve", *LOG, "--temperature", "1", "--seed", str(2**63)), "seed: got 9223372036854775808"),
    "prior inf": (("solve", *LOG, "--temperature", "1", "--prior-mean", "inf"), "prior_mean: got inf, takes a finite"),
    "prior of preferences": (
        ("solve", "--data", "won.csv", "--schema", "won.toml", "--temperature", "1", "--prior-mean", "0"),
        "prior_mean: got 0 for a log of preferences, takes 0.5",
    ),
    "bad tol": (("solve", *LOG, "--temperature", "1", "--tol", "-1"), "tol: got -1.0, takes a number >= 0"),
    "no place to save": (("solve", *LOG, "--temperature", "1", "--save", "none/x.npz"), "none/x.npz"),
    "no log": (("data", "none.parquet", *LOG[2:]), "paths: got none.parquet, takes a file that is there"),
    "a folder": (
        ("data", ".", *LOG[2:]),
        "paths: got the folder . with Parquet and CSV files, takes the files one by one",
    ),
    "another kind": (("data", "log.toml", *LOG[2:]), "paths: got log.toml, takes a file that ends in .parquet"),
    "no such schema": (("data", "log.parquet", "--schema", "none.toml"), "none.toml"),
    "schema is no TOML": (
        ("data", "log.parquet", "--schema", "log.parquet"),
        "schema: got log.parquet, takes a TOML file",
    ),
    "damaged": (("data", "bad.parquet", *LOG[2:]), "paths: got bad.parquet, takes a file that can be read to its end"),
    "missing column": (
        ("data", "other.csv", *LOG[2:]),
        "player.0.action: got 'a', takes a column of other.csv, which has",
    ),
    "unknown label": (
        ("data", "odd.csv", *LOG[2:]),
        "got the unknown label 'sideways' in column 'a', data row 2 of odd.csv",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(capsys, case):
    Path("bad.parquet").write_bytes(Path("log.parquet").read_bytes()[:500])
    Path("other.csv").write_text("b,c\n1,2\n")
    Path("won.csv").write_text("a,b,r\n" + "x,y,1\ny,x,1\nx,y,0\ny,x,0\n" * 20)
    Path("won.toml").write_text("preference = 'r'\nplayer = [{ action = 'a' }, { action = 'b' }]")
    Path("odd.csv").write_text("a,b,r,s\nup,1,0,0\nsideways,1,0,0\n")
    arguments, message = BAD[case]
    err = refused(capsys, *arguments)
    assert err.startswith(f"gamekl {arguments[0]}: ") and message in err and err.count("\n") == 1


def test_faults_of_a_schema_are_told_at_once(capsys):
    Path("log.toml").write_text('prefrence = "r"\n[[player]]\nacton = "a"\n')
    assert refused(capsys, "data", "log.parquet", "--schema", "log.toml").splitlines() == [
        "gamekl data: log.toml: schema:",
        "  player.0.action: got nothing, takes a value",
        "  player.0.acton: got an unknown key; did you mean 'action'? takes name, action, reward, actions",
        "  prefrence: got an unknown key; did you mean 'preference'? takes player, group, context, contexts, "
        "preference, outcome, ties, weight, symmetric, layout, match, role, action, reward",
    ]


@pytest.mark.parametrize("arguments", [("data",), ("data", "log.parquet"), ("solve", *LOG, "--reference", "mine")])
def test_bad_arguments(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and err and "Traceback" not in err
