"""The commands of the shell: what they print and write, with which status they end, and what they refuse."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import LogitPath
from shell_helpers import refused, run

import gamekl as gk
from gamekl.cli import COMMANDS
from gamekl.experiment.run.store import Store

CONFIG = """
name = "tiny"
num_seeds = 20
seeds_per_chunk = 10

[[family]]
label = "pennies"
solver = "exact"
game = { kind = "matching_pennies" }
num_samples = { first = 100, decades = 1, points = 3 }
expected = { slope = -0.5, constant = 1.6 }
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test has a folder of its own, and is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(CONFIG)


def policies(printed):
    """The numbers of the lines ``NAME: [...]``."""
    lines = [line.partition(": [")[2].rstrip("]").split() for line in printed.splitlines() if ": [" in line]
    return [[float(entry) for entry in line] for line in lines]


def subprocess_run(*arguments, **options):
    command = [sys.executable, "-m", "gamekl", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **options)


def test_solve_a_decision(capsys, tmp_path):
    """One player: softmax(payoffs / temperature)."""
    (tmp_path / "game.nfg").write_text('NFG 1 R "one player" { "p" } { 3 } 1 2 4')
    status, out, err = run(capsys, "solve", "game.nfg", "--temperature", "0.5")
    assert (status, err) == (0, "")
    weights = np.exp([2, 4, 8])
    np.testing.assert_allclose(policies(out), [weights / weights.sum()], atol=1e-8)
    assert "status:          converged" in out


def test_solve_dominance(capsys, tmp_path):
    """Giving costs c whatever the others do, so everybody gives with probability 1 / (1 + exp(c / temperature))."""
    game = gk.games.donation(3, benefit=4.0, cost=1.5)
    np.savez(tmp_path / "game.npz", payoffs=np.asarray(game.payoffs))
    status, out, _ = run(capsys, "solve", "game.npz", "--temperature", "0.75")
    gives = 1 / (1 + np.exp(2))
    assert status == 0
    np.testing.assert_allclose(policies(out), [[gives, 1 - gives]] * 3, atol=1e-8)
    nash = next(line for line in out.splitlines() if line.startswith("Nash gap:")).split()[2:]
    np.testing.assert_allclose([float(entry) for entry in nash], 1.5 * gives, rtol=1e-3)


def test_solve_tells_players_apart(capsys, tmp_path):
    """Rows and columns, and players of unlike numbers of actions, must not be exchanged on the way."""
    payoffs = np.zeros((2, 2, 3))
    payoffs[0] += np.array([0.0, 1.0])[:, None]
    payoffs[1] += np.array([0.0, 1.0, 3.0])
    gk.games.write_nfg(gk.NormalFormGame(payoffs), tmp_path / "game.nfg")
    _, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "1")
    first, second = policies(out)
    np.testing.assert_allclose(first, np.exp([0, 1]) / np.exp([0, 1]).sum(), atol=1e-8)
    np.testing.assert_allclose(second, np.exp([0, 1, 3]) / np.exp([0, 1, 3]).sum(), atol=1e-8)


def battle(tmp_path, favourite):
    (tmp_path / "battle.nfg").write_text(f'NFG 1 R "battle" {{ "a" "b" }} {{ 2 2 }} {favourite} 2 0 0 0 0 2 3')


def test_solve_says_that_branches_cross_the_path(capsys, tmp_path):
    """gambit#492: any rounding of the payoffs gives another answer."""
    battle(tmp_path, "3")
    status, out, _ = run(capsys, "solve", "battle.nfg", "--temperature", "0.2")
    assert status == 0
    assert "path: other branches cross it at 1 point, and it was followed straight on" in out
    battle(tmp_path, "3.000001")
    status, out, _ = run(capsys, "solve", "battle.nfg", "--temperature", "0.2")
    assert status == 0
    assert "path:" not in out
    assert policies(out)[0][0] > 0.99


def test_solve_says_that_the_path_folds(capsys, tmp_path):
    payoffs = [[[4.0, 0.0, 0.0], [1.0, 1.0, 5.0]], [[5.0, 5.0, 0.0], [3.0, 4.0, 5.0]]]
    game = gk.NormalFormGame(np.array(payoffs))
    gk.games.write_nfg(game, tmp_path / "game.nfg")
    _, folds = LogitPath(game, gk.Regularizer.uniform(game, 0.1)).first_crossing()
    status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "0.1")
    assert (status, folds) == (0, 2)
    assert "path: it folds 2 times" in out


def test_solve_float32(capsys, tmp_path):
    gk.games.write_nfg(gk.games.matching_pennies(), tmp_path / "game.nfg")
    status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "1", "--dtype", "float32", "--save", "found.npz")
    assert status == 0
    np.testing.assert_allclose(policies(out), [[0.5, 0.5]] * 2, atol=1e-6)
    assert gk.load_solution("found.npz").log_policy[0].dtype == np.float32


def test_solve_saves(capsys, tmp_path):
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg")
    status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "2", "--save", "found.npz")
    assert status == 0
    np.testing.assert_allclose(
        [list(entry) for entry in gk.load_solution("found.npz").policy], policies(out), atol=1e-8
    )


def test_solve_that_does_not_converge(capsys, tmp_path):
    """A tolerance below rounding cannot be met; that is status 1, and what was reached is printed."""
    gk.games.write_nfg(gk.games.uniform(jax.random.key(0), (4, 5, 3)), tmp_path / "game.nfg")
    status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "0.1", "--tol", "1e-30")
    assert status == 1
    assert "status:          not_converged" in out and len(policies(out)) == 3


CHICKEN = 'NFG 1 R "chicken" { "a" "b" } { 2 2 }\n\n0 0 2 7 7 2 6 6\n'


NAMED = """NFG 1 R "cafe" { "Alice" "B\nob" } { { "stop" "go" "go" } { "1" "2" } } 1 0 2 0 4 0 1 0 2 0 4 0"""


def test_solve_prints_and_saves_names(capsys, tmp_path):
    """A name that repeats is numbered, one of two lines is escaped, and numbers are printed as before."""
    (tmp_path / "game.nfg").write_text(NAMED)
    status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "0.5", "--save", "found.npz")
    weights = np.exp([2, 4, 8])
    first, second, third = weights / weights.sum()
    expected = ["Alice:", f"  stop  {first:.8f}", f"  go_1  {second:.8f}", f"  go_2  {third:.8f}"]
    assert status == 0 and out.splitlines()[1:6] == [*expected, "B\\nob: [0.50000000 0.50000000]"]
    with np.load("found.npz") as saved:
        assert saved["players"].tolist() == ["Alice", "B\nob"] and saved["actions_0"].tolist() == [
            "stop",
            "go_1",
            "go_2",
        ]
    np.testing.assert_allclose(gk.load_solution("found.npz").policy[0], weights / weights.sum())
    for concept in ("cce", "mece"):
        status, out, _ = run(capsys, "solve", "game.nfg", "--temperature", "1", "--concept", concept, "--save", "c.npz")
        assert status == 0 and "joint policy:\n  axis 1, Alice: stop, go_1, go_2\n[[" in out
        with np.load("c.npz") as saved:
            assert saved["actions_1"].tolist() == ["1", "2"]


def test_solve_a_tree(capsys, tmp_path):
    """Ann, at temperature 1, plays her two moves as exp(10) to exp(3); the tree needs no other package."""
    tree = 'EFG 2 R "t" { "Ann" "Bob" }\np "" 1 1 "i" { "l" "r" } 0\nt "" 1 "x" { 10, 1 }\nt "" 2 "y" { 3, 4 }\n'
    (tmp_path / "tree.efg").write_text(tree, encoding="utf-8-sig")
    status, out, _ = run(capsys, "solve", "tree.efg", "--temperature", "1")
    assert status == 0 and "\nAnn:\n  l  0.99908895\n  r  0.00091105\nBob:\n  *  1.00000000\n" in out


def test_solve_finds_correlated_equilibria(capsys, tmp_path):
    """The maximum-Gini correlated equilibrium of chicken is [[5, 10], [10, 9]] / 34 (theory J12)."""
    (tmp_path / "game.nfg").write_text(CHICKEN)
    status, out, _ = run(capsys, "solve", "game.nfg", "--concept", "mgce", "--tol", "1e-12", "--save", "found.npz")
    assert status == 0
    joint = np.load(tmp_path / "found.npz")["joint_policy"]
    np.testing.assert_allclose(joint, np.array([[5, 10], [10, 9]]) / 34, atol=1e-8)
    assert "0.29411765" in out and "duality gap:" in out
    status, out, _ = run(capsys, "solve", "game.nfg", "--concept", "mgce", "--epsilon", "10")
    assert status == 0 and "0.25000000 0.25000000" in out  # nothing is tempting
    for concept in ("ce", "mecce", "mgcce", "mwce", "mwcce"):
        status, out, _ = run(capsys, "solve", "game.nfg", "--concept", concept)
        assert status == 0 and "status:      converged" in out
    assert "welfare:     1.050e+01" in out


def test_solve_plays_gamd(capsys, tmp_path):
    (tmp_path / "game.nfg").write_text(CHICKEN)
    arguments = ("solve", "game.nfg", "--concept", "cce", "--temperature", "0.5")
    status, out, _ = run(capsys, *arguments, "--num-rounds", "500")
    assert status == 0
    gap, bound = (float(line.split()[-1]) for line in out.splitlines() if line.startswith(("regularised", "bound")))
    assert gap <= bound
    assert "(500 rounds)" in out
    assert "temperature: got none, takes a number > 0" in refused(capsys, *arguments[:4])


def test_solve_without_a_temperature_is_exact(capsys):
    """Of a zero-sum game of any size, and of small ones of two players."""
    gk.games.write_nfg(gk.games.perturbed_rock_paper_scissors(), "rps.nfg")
    status, out, err = run(capsys, "solve", "rps.nfg", "--save", "found.npz")
    assert (status, err) == (0, "") and "no temperature: an exact Nash equilibrium (a zero-sum game)" in out
    np.testing.assert_allclose(policies(out), [[1 / 7, 3 / 7, 3 / 7]] * 2, atol=1e-8)
    assert "regularised" not in out and "status:   converged" in out
    np.testing.assert_allclose(gk.load_solution("found.npz").policy[0], [1 / 7, 3 / 7, 3 / 7])
    gk.games.write_nfg(gk.games.chicken(), "chicken.nfg")
    status, out, _ = run(capsys, "solve", "chicken.nfg")
    assert status == 0 and policies(out) == [[1, 0], [0, 1]] and "of several the first of least support" in out
    np.savez("large.npz", payoffs=np.random.default_rng(0).normal(size=(2, 15, 15)))
    status, out, _ = run(capsys, "solve", "large.npz")
    assert status == 0 and "of several one, by Lemke and Howson" in out and "status:   converged" in out


def test_solve_finds_all_equilibria(capsys, tmp_path):
    """Who always gets the same mixes as he likes, as long as the other one's answer stays best."""
    table = '{ { "stop" "go" } { "1" "2" } }\n\n0.3 0 0.3 1/3 0.3 1 0.3 0'
    (tmp_path / "game.nfg").write_text(f'NFG 1 R "mixed" {{ "Ann" "Bob" }} {table}')
    status, out, err = run(capsys, "solve", "game.nfg", "--all", "--save", "found.npz")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "no temperature: all Nash equilibria, 4 extreme equilibria in 1 component, 3 maximal Nash subsets",
        "Ann's policies over stop, go:",
        "  x1: 1 0",
        "  x2: 1/4 3/4",
        "  x3: 0 1",
        "Bob's policies:",
        "  y1: 1 0",
        "  y2: 0 1",
        "component 1:",
        "  (x1, y2) earns 3/10, 1",
        "  (x2, y1) earns 3/10, 1/4",
        "  (x2, y2) earns 3/10, 1/4",
        "  (x3, y1) earns 3/10, 1/3",
        "  all mixtures of x1, x2 with those of y2",
        "  all mixtures of x2 with those of y1, y2",
        "  all mixtures of x2, x3 with those of y1",
    ]
    with np.load("found.npz") as saved:
        np.testing.assert_allclose(saved["policy_0"], [[1, 0], [0.25, 0.75], [0.25, 0.75], [0, 1]])
        np.testing.assert_allclose(saved["values"][0], [0.3, 1])
        assert saved["component"].tolist() == [0] * 4 and saved["in_subset"].sum() == 6
        assert saved["actions_0"].tolist() == ["stop", "go"]
    assert "temperature: got 1.0 with --all, takes None" in refused(
        capsys, "solve", "game.nfg", "--all", "--temperature", "1"
    )


def test_solve_finds_those_of_three_players(capsys, tmp_path):
    """McKelvey and McLennan's game, whose nine are proven to be all; and one of ties, where no such thing is said."""
    table = '{ { "up" "down" } { "left" "right" } { "1" "2" } } 9 8 12 0 0 0 0 0 0 9 8 2 0 0 0 3 4 6 3 4 6 0 0 0'
    (tmp_path / "nine.nfg").write_text(f'NFG 1 R "nine" {{ "Ann" "Bob" "Cid" }} {table}')
    status, out, err = run(capsys, "solve", "nine.nfg", "--all", "--save", "found.npz")
    assert (status, err) == (0, "")
    assert out.splitlines()[:9] == [
        "no temperature: all Nash equilibria, 9 equilibria, all regular, and there are no others",
        "equilibrium 1: regular, earns 9, 8, 12, epsilon 0.0e+00",
        "  Ann: up 1",
        "  Bob: left 1",
        "  Cid: 1 0",
        "equilibrium 2: regular, earns 3, 4, 6, epsilon 0.0e+00",
        "  Ann: up 1",
        "  Bob: right 1",
        "  Cid: 0 1",
    ]
    with np.load("found.npz") as saved:
        assert saved["policy_2"].shape == (9, 2) and saved["regular"].all() and not saved["epsilon"].any()
    np.savez("ties.npz", payoffs=np.zeros((3, 2, 2, 2)))
    status, out, _ = run(capsys, "solve", "ties.npz", "--all")
    assert status == 0 and out.startswith("no temperature: Nash equilibria, 27 equilibria found, 0 of them proven")


def test_solve_says_what_to_add_where_there_is_no_exact_solver(capsys):
    """A tenth of the payoffs' range is as good a temperature as any."""
    payoffs = np.zeros((3, 2, 2, 2))
    payoffs[0, 0, 0, 0] = 20
    np.savez("three.npz", payoffs=payoffs)
    err = refused(capsys, "solve", "three.npz")
    assert err.startswith(
        "gamekl solve: temperature: got none for 3 players, takes a number > 0, payoff units per nat "
    )
    assert err.endswith("(1 / lambda), such as --temperature 2; or --all, for all equilibria without one\n")
    gk.games.write_nfg(gk.games.chicken(), "game.nfg")
    assert "tol: got 1e-06 without a temperature" in refused(capsys, "solve", "game.nfg", "--tol", "1e-6")


def test_solve_from_a_saved_solution(capsys):
    """And it is told where the solver leaves that."""
    gk.games.write_nfg(gk.games.coordination(), "game.nfg")
    game = gk.games.coordination()
    far = gk.solve_nash(game, gk.Regularizer([np.log([1e-4, 1 - 1e-4])] * 2, 1e4))
    far.save("far.npz")
    arguments = ("solve", "game.nfg", "--temperature", "0.45")
    status, out, _ = run(capsys, *arguments, "--initial", "far.npz")
    assert status == 0 and out.startswith("temperature 0.45 payoff units per nat (lambda = 1 / temperature = 2.22222)")
    assert "initial: left, as Newton's method did not converge from there" in out
    status, out, _ = run(capsys, *arguments, "--save", "near.npz")
    assert "initial" not in run(capsys, *arguments, "--initial", "near.npz")[1]
    bad = "initial: got none.npz, takes a solution that `gamekl solve --save` wrote"
    assert bad in refused(capsys, *arguments, "--initial", "none.npz")
    assert "initial: got game.nfg, takes" in refused(capsys, *arguments, "--initial", "game.nfg")
    assert "takes it for nash" in refused(capsys, "solve", "game.nfg", "--concept", "ce", "--initial", "near.npz")
    assert "got near.npz with no temperature" in refused(capsys, "solve", "game.nfg", "--initial", "near.npz")


@pytest.mark.parametrize("temperature", ["0", "-1", "nan", "inf"])
def test_bad_temperature(capsys, tmp_path, temperature):
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg")
    err = refused(capsys, "solve", "game.nfg", f"--temperature={temperature}")
    assert err.startswith("gamekl solve: temperature") and f"got {float(temperature)}" in err


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_payoffs_that_are_not_finite(capsys, tmp_path, bad):
    payoffs = np.zeros((2, 2, 2))
    payoffs[1, 0, 1] = bad
    np.savez(tmp_path / "game.npz", payoffs=payoffs)
    err = refused(capsys, "solve", "game.npz", "--temperature", "1")
    assert err.startswith("gamekl solve: path: got game.npz, which is no readable .npz payoff file: ")
    assert f"payoffs[1, 0, 1]: got {bad} " in err and "takes finite numbers" in err


def test_nan_in_nfg(capsys, tmp_path):
    (tmp_path / "game.nfg").write_text('NFG 1 R "" { "p" } { 2 } 1 nan')
    assert "payoffs[0, 1]: got nan" in refused(capsys, "solve", "game.nfg", "--temperature", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", "none.nfg", "--temperature", "1"), "none.nfg"),
        (("solve", "none.npz", "--temperature", "1"), "none.npz"),
        (
            ("solve", "config.toml", "--temperature", "1"),
            "takes a file that ends in .nfg, .efg, .agg, .bagg, .csv, .npz",
        ),
        (("sweep", "none.toml"), "none.toml"),
        (("plot", "none"), "none"),
        (("plot", "."), "takes a folder made by gamekl sweep"),
        (("plot", "config.toml"), "config.toml"),
    ],
)
def test_bad_path(capsys, arguments, message):
    err = refused(capsys, *arguments)
    assert err.startswith(f"gamekl {arguments[0]}: ") and message in err


@pytest.mark.parametrize(
    "content", [b"", b'NFG 1 R "" { "p" } { 999999999 } 1', b'NFG 1 R "" { "p" } { 2 } 1', b"\xff\xfe"]
)
def test_bad_nfg(capsys, tmp_path, content):
    (tmp_path / "game.nfg").write_bytes(content)
    refused(capsys, "solve", "game.nfg", "--temperature", "1")


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY\x01\x00"])
def test_bad_npz(capsys, tmp_path, content):
    (tmp_path / "game.npz").write_bytes(content)
    refused(capsys, "solve", "game.npz", "--temperature", "1")


def test_npy_for_npz(capsys, tmp_path):
    with open(tmp_path / "game.npz", "wb") as file:
        np.save(file, np.ones((1, 2)))
    refused(capsys, "solve", "game.npz", "--temperature", "1")


@pytest.mark.parametrize("arguments", [("sovle",), ("--solve", "x"), ("",)])
def test_unknown_command(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    known = "sweep, plot, report, results, data, solve, correlated, path"
    assert err.startswith(f"gamekl: got command {arguments[0]!r}, takes one of {known}")
    assert "usage: gamekl COMMAND" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("solve",),
        ("solve", "game.nfg"),
        ("solve", "game.nfg", "--temperature", "warm"),
        ("sweep",),
        ("sweep", "--frist"),
    ],
)
def test_bad_arguments(capsys, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err and "Traceback" not in err


def test_help_and_version(capsys):
    for flags in [("--help",), ("-h",), ()]:
        status, out, err = run(capsys, *flags)
        assert (status, err) == (0, "")
        assert all(f"  {command} " in out for command in COMMANDS)
    assert run(capsys, "--version") == (0, f"gamekl {gk.__version__}\n", "")


def test_sweep_and_plot(capsys, tmp_path):
    status, out, _ = run(capsys, "sweep", "config.toml", "--out", "here")
    assert (status, out) == (0, "6 shards made, 0 were there: here\n")
    status, out, _ = run(capsys, "sweep", "config.toml", "--out", "here")
    assert (status, out) == (0, "all 6 shards are there already: here\n")
    next((tmp_path / "here" / "shards").iterdir()).unlink()
    status, out, _ = run(capsys, "sweep", "config.toml", "--out", "here")
    assert (status, out) == (0, "1 shards made, 5 were there: here\n")

    status, out, err = run(capsys, "plot", "here")
    assert (status, err) == (0, "")
    assert "pennies" in out and "0 of 60" in out
    assert out.splitlines()[-1] == "figure: here/figure.pdf, here/figure.svg, here/figure.png"
    assert all((tmp_path / "here" / f"figure.{suffix}").stat().st_size > 1000 for suffix in ("pdf", "svg", "png"))
    status, out, _ = run(capsys, "plot", "here", "--out", "new/figures")
    assert status == 0 and (tmp_path / "new" / "figures" / "figure.png").exists()


def test_sweep_into_the_default_folder(capsys, tmp_path):
    assert run(capsys, "sweep", "config.toml", "--name", "other", "--num-seeds", "10")[0] == 0
    config = Store(tmp_path / "runs" / "other").config()
    assert (config["name"], config["num_seeds"], config["seeds_per_chunk"]) == ("other", 10, 10)


def test_another_config_in_the_same_folder(capsys, tmp_path):
    run(capsys, "sweep", "config.toml", "--out", "here")
    before = sorted((tmp_path / "here").rglob("*"))
    err = refused(capsys, "sweep", "config.toml", "--out", "here", "--seed", "3")
    assert err.startswith("gamekl sweep: out: got here, which was made by another config: seed (there 0, here 3)")
    assert sorted((tmp_path / "here").rglob("*")) == before


def test_plot_of_a_damaged_run(capsys, tmp_path):
    run(capsys, "sweep", "config.toml", "--out", "here")
    path = next((tmp_path / "here" / "shards").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    err = refused(capsys, "plot", "here")
    assert "1 shards of here are damaged or gone" in err and path.stem in err


def test_folder_in_use(capsys):
    with Store("here").lock():
        assert "which another run is using" in refused(capsys, "sweep", "config.toml", "--out", "here")


def test_config_with_faults(capsys, tmp_path):
    """One line for each fault."""
    (tmp_path / "config.toml").write_text(CONFIG.replace("num_seeds", "num_sed").replace("100", "0"))
    status, out, err = run(capsys, "sweep", "config.toml")
    assert (status, out) == (2, "")
    lines = err.splitlines()
    assert lines[0] == "gamekl sweep: config:"
    assert any("num_sed: got an unknown key; did you mean 'num_seeds'?" in line for line in lines)
    assert any("family.0.num_samples.first: got 0" in line for line in lines)
    assert not (tmp_path / "runs").exists()


def test_command_enables_x64(tmp_path):
    """Outside the tests nobody else does."""
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg")
    code = (
        "from gamekl.cli import main; main(['solve', 'game.nfg', '--temperature', '1', '--save', 'found.npz']); "
        "import jax; assert jax.config.jax_enable_x64"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAX_ENABLE_X64"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert "JAX_ENABLE_X64" not in done.stderr
    with np.load("found.npz") as found:
        assert found["log_policy_0"].dtype == np.float64


@pytest.mark.parametrize(("given", "used"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "2"}, "2")])
def test_threads_of_openblas(tmp_path, given, used):
    """One, unless the user asks for another number: several take 20 times as long where other processes work."""
    (tmp_path / "game.nfg").write_text('NFG 1 R "" { "p" } { 2 } 0 1')
    code = (
        "import os; from gamekl.cli import main; main(['solve', 'game.nfg', '--temperature', '1']); "
        "print(os.environ['OPENBLAS_NUM_THREADS'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"} | given
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout.split()[-1] == used, done.stderr


def test_the_process_itself(tmp_path):
    """Status and streams as a shell sees them."""
    (tmp_path / "game.nfg").write_text('NFG 1 R "" { "p" } { 2 } 0 1')
    good = subprocess_run("solve", "game.nfg", "--temperature", "1")
    assert good.returncode == 0, good.stderr
    np.testing.assert_allclose(policies(good.stdout), [[1 / (1 + np.e), np.e / (1 + np.e)]], atol=1e-8)
    bad = subprocess_run("solve", "game.nfg", "--temperature", "0")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "gamekl solve: temperature: got 0.0, takes numbers > 0\n"
    unknown = subprocess_run("nothing")
    assert unknown.returncode == 2 and "Traceback" not in unknown.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["solve", "--help"], ["solve", "game.npz", "--concept", "mwce"]])
def test_nobody_reads_to_the_end(tmp_path, arguments):
    """As behind ``| head -1``: no traceback, and no failure."""
    np.savez(tmp_path / "game.npz", payoffs=np.zeros((2, 60, 60)))
    command = [sys.executable, "-m", "gamekl", *arguments]
    for unbuffered in ("", "1"):
        read, write = os.pipe()
        os.close(read)
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        ran = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, env=environment)
        os.close(write)
        assert (ran.returncode, ran.stderr) == (0, "")


def test_events_of_a_sweep(capsys, tmp_path):
    run(capsys, "sweep", "config.toml", "--out", "here")
    lines = (tmp_path / "here" / "events.jsonl").read_text().splitlines()
    start = json.loads(lines[0])
    assert start["event"] == "start" and start["chunks"] == 6 and start["gamekl"] == gk.__version__


MISTYPED = {
    "solve game.nfg --temprature 0.1": "--temprature: got an unknown flag; did you mean '--temperature'?",
    "solve game.nfg --temperature warm": "temperature: got 'warm', takes a number",
    "solve game.nfg --temperature": "temperature: got nothing behind --temperature, takes a number",
    "solve game.nfg --temperature --tol 1": "temperature: got nothing behind --temperature, takes a number",
    "solve game.nfg --concept nsh": "concept: got 'nsh'; did you mean 'nash'? takes one of 'nash', 'cce'",
    "solve game.nfg --num-rounds 2.5": "num_rounds: got '2.5', takes a whole number",
    "solve game.nfg other.nfg": "other.nfg: got one word too many, takes game and flags",
    "solve game.nfg --temperature 1 --save no/x.npz": "save: got no/x.npz, takes a file in a folder that is there",
    "solve game.nfg --save .": "save: got ., takes a file in a folder that is there",
    "solve none.nfg": "path: got none.nfg, takes a payoff file that can be read",
    "solve text.npz": "path: got text.npz, which is no readable .npz payoff file: it is no archive of arrays",
    "solve --data log.csv --schema s.toml --reference behaviour": "reference: got 'behaviour'; did you mean",
    "solve --data log.csv --schema": "schema: got nothing behind --schema, takes a value",
    "solve --data log.csv --schema s.toml --prior-mean half": "prior_mean: got 'half', takes a number",
    "solve --data log.csv --schema none.toml --temperature 1": "schema: got none.toml, takes a TOML file (No such file",
    "data": "logs: got none, takes a file or folder here",
    "data log.csv": "schema: got none, takes --schema and a value",
    "data log.csv --schem s.toml": "--schem: got an unknown flag; did you mean '--schema'?",
    "sweep": "config: got none, takes a file or folder here",
    "sweep none.toml": "config: got none.toml, takes a TOML file (No such file or directory)",
    "sweep .": "config: got ., takes a TOML file (Is a directory)",
    "sweep config.toml more.toml": "more.toml: got one word too many, takes config and flags",
    "sweep config.toml --num-seed 3": "--num-seed: got an unknown flag; did you mean '--num-seeds'?",
    "sweep config.toml --num_seeds many": "num_seeds: got 'many', takes a whole number",
    "sweep config.toml --engine=thread": "engine: got 'thread'; did you mean 'threads'? takes one of 'threads'",
    "sweep config.toml --dtype float16": "dtype: got 'float16'; did you mean 'float64'? takes one of 'float64'",
    "sweep config.toml --dry-run=yes": "dry_run: got 'yes', takes --dry-run alone",
    "sweep config.toml --no-engine": "--no-engine: got an unknown flag",
    "plot": "run: got none, takes a file or folder here",
    "plot none": "run: got none, which has no finished shard; takes a folder made by gamekl sweep",
    "report none": "run: got none, which is no folder; takes one made by gamekl sweep",
    "results none --out x.xls": "run: got none, which is no folder; takes one made by gamekl sweep",
    "results --colums": "--colums: got an unknown flag; did you mean '--columns'?",
}


@pytest.mark.parametrize("line", MISTYPED)
def test_what_is_mistyped_is_told_in_one_line(capsys, tmp_path, line):
    """Which names the field, what it got and what it takes."""
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg")
    (tmp_path / "text.npz").write_text("no arrays")
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    err = refused(capsys, *line.split())
    assert err.startswith(f"gamekl {line.split()[0]}: {MISTYPED[line]}") and err.count("\n") == 1


def test_a_command_is_guessed(capsys):
    status, _, err = run(capsys, "slove", "game.nfg")
    assert status == 2 and err.splitlines()[0].endswith("results, data, solve, correlated, path; did you mean 'solve'?")
