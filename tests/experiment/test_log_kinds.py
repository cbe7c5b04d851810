"""What the commands make of other logs: counts, pairs in one order, labels beyond 64 bits, results by name."""

from pathlib import Path

import numpy as np
import pytest
from shell_helpers import refused, run

DUELS = 'outcome = "winner"\nplayer = [{ action = "model_a" }, { action = "model_b" }]\n'
COUNTS = 'player = [{ action = "a", reward = "r" }, { action = "b", reward = "s" }]\n'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def arena(one_order):
    """Battles of three models, of which the first wins most."""
    rng = np.random.default_rng(0)
    lines = ["model_a,model_b,winner"]
    for first, second in rng.permuted(np.tile([0, 1, 2], (400, 1)), axis=1)[:, :2]:
        pair = sorted((first, second)) if one_order else (first, second)
        lines.append(
            ",".join(["gpt claude llama".split()[i] for i in pair] + [rng.choice(["model_a", "model_b", "tie"])])
        )
    Path("arena.csv").write_text("\n".join(lines) + "\n")


def test_pairs_in_one_order_are_not_solved(capsys):
    """Half of the table is unknown, unless the game is symmetric."""
    arena(one_order=True)
    Path("log.toml").write_text(DUELS)
    log = ("arena.csv", "--schema", "log.toml")
    told = "symmetric: got a log with (claude, llama) and never (llama, claude), and so for all 3 pairs that it has"
    assert refused(capsys, "solve", "--data", *log, "--temperature", "0.2").startswith(f"gamekl solve: {told}")
    _, out, _ = run(capsys, "data", *log)
    assert told in out
    Path("log.toml").write_text(f"symmetric = true\n{DUELS}")
    status, out, err = run(capsys, "solve", "--data", *log, "--temperature", "0.2")
    assert (status, err) == (0, "") and out.startswith("400 rows, each in both orders\n")
    lines = [line.split("[")[0].split()[1] for line in out.splitlines() if line.startswith(("gpt", "claude", "llama"))]
    assert lines[:3] == lines[3:]  # both players' policies
    _, out, _ = run(capsys, "data", *log)
    assert told not in out and "cells never seen: 3 of 9: (claude, claude)" in out
    arena(one_order=False)
    Path("log.toml").write_text(DUELS)
    assert run(capsys, "data", *log)[1].startswith("400 rows\n")


def test_counts_of_plays(capsys):
    rows = ["1234,x,p,1,0,5", "2,x,q,0,1,4", "1,y,p,0,1,4", "0,y,q,5,5,4", "3,y,q,1,0,2"]
    Path("log.csv").write_text("\n".join(["n,a,b,r,s,match", *rows]) + "\n")
    Path("log.toml").write_text(f'weight = "n"\n{COUNTS}')
    _, out, _ = run(capsys, "data", "log.csv", "--schema", "log.toml")
    assert (
        out.startswith("4 rows that stand for 1,240 plays\n")
        and "rows in a cell: least 1, median 2.50, most 1,234" in out
    )
    Path("log.csv").write_text(Path("log.csv").read_text().replace("1234,", "0.5,"))
    solve = ("solve", "--data", "log.csv", "--schema", "log.toml", "--temperature", "1")
    assert refused(capsys, *solve) == (
        "gamekl solve: log: got its rows in 1 group (weights 'n' that are not whole, or too large, take a column of "
        "groups in the schema), takes at least 5 groups for level 0.95\n"
    )


def test_labels_beyond_64_bits_are_saved_as_texts(capsys):
    large = [2**63, -1, 10**30]
    rows = [f"{action},{other},{action % 7},1" for action in large for other in (1, 2) for _ in range(40)]
    Path("log.csv").write_text("\n".join(["a,b,r,s", *rows]) + "\n")
    Path("log.toml").write_text(COUNTS)
    solve = ("solve", "--data", "log.csv", "--schema", "log.toml", "--temperature", "1", "--save", "found.npz")
    status, out, _ = run(capsys, *solve)
    assert status == 0 and f"\n{10**30}  " in out
    saved = np.load("found.npz")
    assert saved["actions_0"].tolist() == ["-1", str(2**63), str(10**30)] and saved["actions_1"].tolist() == [1, 2]


def test_a_folder_is_a_log(capsys):
    """As Spark writes it, with a column in its names."""
    for day in (1, 2):
        Path(f"log/day={day}").mkdir(parents=True)
        Path(f"log/day={day}/part-0.csv").write_text(f"a,b,r,s\nx,p,{day},0\ny,q,0,{day}\n")
    Path("log/_SUCCESS").touch()
    Path("log.toml").write_text(f'context = "day"\n{COUNTS}')
    status, out, err = run(capsys, "data", "log", "--schema", "log.toml")
    assert (status, err) == (0, "") and "contexts: 2: 1, 2\n" in out
