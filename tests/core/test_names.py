"""Names of players and actions: what they take, and that they stay with a game on every way."""

import jax
import numpy as np
import pytest
from log_helpers import TOML, play, read_with

import gamekl as gk
from gamekl.core.names import names_of

NAMES = gk.Names(("Ann", "B ob"), (("tea", "juice"), ("x=1", "y", "z")), "a game")
PAYOFFS = np.arange(12.0).reshape(2, 2, 3) ** 2 % 7


@pytest.fixture
def game():
    return gk.NormalFormGame(PAYOFFS).with_names(NAMES)


def test_nfg_and_npz_keep_them(tmp_path, game):
    for name, write in (("game.nfg", gk.games.write_nfg), ("game.npz", gk.games.write_npz)):
        write(game, tmp_path / name)
        again = gk.games.load_game(tmp_path / name)
        assert again.names == NAMES
        np.testing.assert_array_equal(again.payoffs, PAYOFFS)
    bare = gk.NormalFormGame(PAYOFFS.astype(np.float32))
    gk.games.write_npz(bare, tmp_path / "bare.npz")
    assert gk.games.read_npz(tmp_path / "bare.npz").names is None
    assert gk.games.read_npz(tmp_path / "bare.npz", dtype="float32").dtype == np.float32


def test_efg_keeps_them_through_nfg_and_merging(tmp_path):
    """Of a tree: its strategies, which a merged game calls by the first of those that are alike."""
    tree = 'EFG 2 R "t" { "Ann" "Bob" } p "" 1 1 "" { "in" "out" "off" } 0 p "" 2 1 "" { "l" "r" } 0 '
    tree += 't "" 1 "" { 1 2 } t "" 2 "" { 3 4 } t "" 3 "" { 0 0 } t "" 3'
    (tmp_path / "tree.efg").write_text(tree)
    game = gk.games.load_game(tmp_path / "tree.efg")
    assert game.names == gk.Names(("Ann", "Bob"), (("in", "out", "off"), ("l", "r")), "t")
    gk.games.write_nfg(game, tmp_path / "tree.nfg")
    assert gk.games.load_game(tmp_path / "tree.nfg").names == game.names
    merged = gk.games.merge_equivalent(game).game
    assert merged.names == gk.Names(("Ann", "Bob"), (("in", "out"), ("l", "r")), "t")


@pytest.mark.parametrize("contexts", [False, True])
def test_logs_give_them_to_the_estimated_game(tmp_path, contexts):
    columns = play() | {"mood": np.resize(["good", "bad"], 500)}
    log = read_with(tmp_path, columns, text='context = "mood"\n' * contexts + TOML)
    game = gk.offline.estimate(log).game
    assert game.names.players == ("row", "player 2") == log.players
    assert game.names.actions == tuple(tuple(map(str, own)) for own in log.actions)
    assert game.names.actions[1] == ("-3", "9", "10")
    assert game.names.contexts == (("bad", "good") if contexts else ())
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.5))
    told = gk.table(solution, game)
    rows = [row for row in zip(*told.columns.values(), strict=True) if "10" in row]
    assert len(rows) == (2 if contexts else 1)


def test_stacked_games_keep_what_all_of_them_have(game):
    other = gk.NormalFormGame(PAYOFFS + 1)
    assert gk.stack([game, other.with_names(NAMES)]).names == NAMES
    titled = other.with_names(gk.Names(NAMES.players, NAMES.actions, "another"))
    assert gk.stack([game, titled]).names == gk.Names(NAMES.players, NAMES.actions)
    assert gk.stack([game, other]).names is None and gk.stack([other, game]).names is None
    renamed = other.with_names(gk.Names(("Ann", "Cid"), NAMES.actions))
    assert gk.stack([game, renamed]).names is None and names_of(game, renamed) is None
    assert gk.stack([other, other]).names is None


def test_compiled_functions_leave_them_on_the_game(game):
    """One program for games that differ in names, and results are told by the names of the game."""
    anchor, traces = gk.Regularizer.uniform(game, 0.5), []

    @jax.jit
    def solve(game):
        traces.append(game.names)
        return gk.solve_nash(game, anchor, throw=False)

    found = solve(game)
    solve(game.with_names(gk.Names(("1", "2"), (("a", "b"), ("c", "d", "e")))))
    solve(gk.NormalFormGame(PAYOFFS))
    assert traces == [None] and game.names == NAMES
    assert gk.table(found, game).columns["action"] == ["tea", "juice", "x=1", "y", "z"]
    games = gk.stack([game, game])
    batch = jax.vmap(lambda one: gk.solve_nash(one, anchor, throw=False))(games)
    assert games.names == NAMES
    assert gk.table(batch, games).columns["action"] == ["tea", "juice", "x=1", "y", "z"] * 2


def test_saved_solutions_keep_them(tmp_path, game):
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.5))
    solution.save(tmp_path / "bare.npz")
    assert gk.load_solution(tmp_path / "bare.npz").names is None
    solution.save(tmp_path / "named.npz", names=game.names)
    again = gk.load_solution(tmp_path / "named.npz")
    assert again.names == NAMES and gk.table(again).columns["player"][-1] == "B ob"
    again.save(tmp_path / "again.npz")
    assert gk.load_solution(tmp_path / "again.npz").names == NAMES


def test_other_games_have_them_too(game):
    alike = gk.NormalFormGame(np.stack([np.eye(2)] * 2))
    own = ("left", "right")
    symmetric = gk.SymmetricGame.from_normal_form(alike.with_names(gk.Names(("a", "b"), (own, own))))
    assert symmetric.names == gk.Names(("each player",), (own,))
    assert symmetric.normal_form().names == gk.Names(("player 1", "player 2"), (own, own))
    assert gk.SymmetricGame.from_normal_form(alike.with_names(gk.Names(("a", "b"), (own, ("x", "y"))))).names is None
    pairs = gk.PolymatrixGame(np.ones((3, 3, 2, 2))).with_names(gk.Names(list("abc"), [own] * 3))
    assert pairs.normal_form().names == pairs.names == gk.Names(("a", "b", "c"), (own,) * 3)
    contexts = gk.games.contextual(jax.random.key(0), num_actions=(2, 3), num_contexts=2)
    named = gk.Names(NAMES.players, NAMES.actions, contexts=("dry", "wet"))
    assert contexts.with_names(named).names == named
    with pytest.raises(ValueError, match="names: got 2 contexts, takes none"):
        game.with_names(named)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((("Ann", "Ann"), (("x",), ("y",))), "players: got 'Ann' 2 times, takes names that differ"),
        ((("Ann", "Bob"), (("x", "y"), ("z", "z"))), r"actions\[1\]: got 'z' 2 times, takes names that differ"),
        ((("Ann", "Bob"), (("x", "y"), ("z", 3))), r"actions\[1\]: got 3, takes names that are texts"),
        ((("Ann", "Bob"), ("xy", ("z",))), r"actions\[0\]: got 'xy', takes a sequence of names"),
        ((("Ann", "Bob"), 3), "actions: got 3, takes the names of each player's actions"),
        ((3, ()), "players: got 3, takes a sequence of names"),
        ((("Ann",), (("x",),), "", ("a", "a")), "contexts: got 'a' 2 times, takes names that differ"),
    ],
)
def test_names_that_repeat_or_are_none_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        gk.Names(*arguments)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"players": ["a", "b"]}, r"actions_0: got none, takes an array of names"),
        ({"players": [1.0, 2.0]}, r"players: got float64 \(2,\), takes an array of names"),
        ({"players": ["a", "a"], "actions_0": ["x", "y"], "actions_1": ["x", "y", "z"]}, "players: got 'a' 2 times"),
        (
            {"players": ["a", "b"], "actions_0": ["x"], "actions_1": ["x", "y", "z"]},
            r"names: got 2 players of \[1, 3\] actions, takes \[2, 3\]",
        ),
    ],
)
def test_archives_whose_names_do_not_fit_are_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "game.npz", payoffs=PAYOFFS, **arrays)
    with pytest.raises(ValueError, match=f"game.npz, which is no readable .npz payoff file: {told}"):
        gk.games.load_game(tmp_path / "game.npz")


def test_solutions_whose_names_do_not_fit_are_refused(tmp_path, game):
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.5))
    with pytest.raises(ValueError, match=r"names: got 2 players of \[1, 3\] actions, takes \[2, 3\]"):
        gk.table(solution, gk.Names(("a", "b"), (("x",), ("y", "z", "w"))))
    with pytest.raises(TypeError, match="names: got a str, takes a game or its Names"):
        gk.table(solution, "Ann")
    np.savez(tmp_path / "bad.npz", players=np.array(["a", "a"]), **solution.arrays())
    with pytest.raises(ValueError, match=r"bad.npz, which is no .npz solution file: actions_0: got none"):
        gk.load_solution(tmp_path / "bad.npz")
