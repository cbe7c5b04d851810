"""Game trees of pygambit 16.7 and 17: we make the same strategies of them, in the same order, that pay the same."""

import io
from pathlib import Path

import gambit_helpers
import numpy as np
import pytest
from efg_helpers import independent_choices

import gamekl as gk
from gamekl.games.files.efg import Tree


def test_every_tree_of_gambits_catalog(tmp_path):
    """The reduced form by pygambit's own count and payoffs; the .nfg that pygambit writes of it is the same game."""
    pygambit = pytest.importorskip("pygambit")
    paths = sorted((Path(pygambit.__file__).parent / "catalog_data").rglob("*.efg"))
    assert len(paths) >= 30
    for path in paths:
        theirs, ours = pygambit.read_efg(path), gk.games.load_game(path)
        assert ours.num_actions == tuple(gambit_helpers.sizes(theirs))
        for table, expected in zip(ours.payoffs, theirs.to_arrays(), strict=True):
            np.testing.assert_array_equal(table, expected.astype(float))
        theirs.to_nfg(tmp_path / "game.nfg")
        np.testing.assert_array_equal(gk.games.load_game(tmp_path / "game.nfg").payoffs, ours.payoffs)
        assert ours.names.title == theirs.title
        assert list(ours.names.players) == [getattr(player, "label", player) for player in theirs.players]


QUEER = ["", "a", r"\" \"", "} 0", r"\" 1 1 \"", r"t \"\" 0", r"{ \"l\" }"]  # names, as they stand in a file


def drawn_efg(rng):
    """The lines of a random tree of chance and three players, after the header; one node a line."""
    lines, sets = [], []

    def add(level):
        """A node and all below it."""
        name, outcome = f'"{rng.choice(QUEER)}{len(lines)}"', "0"
        if rng.random() < 0.5:
            outcome = f'{len(lines) + 1} "{rng.choice(QUEER)}{len(lines)}" {{ {len(lines)} 1/3 -2 }}'
        if level == 0 or rng.random() < 0.2:
            lines.append(f"t {name} {outcome}")
            return
        mover, count = int(rng.integers(4)), int(rng.integers(1, 4))
        alike = [kind for kind in sets if kind[1] == mover and len(kind[2]) == count and rng.random() < 0.2]
        if not alike or not mover:
            alike = [(len(sets) + 1, mover, [f'"{rng.choice(QUEER)}{action}"' for action in range(count)])]
            sets.extend(alike)
        number, _, actions = alike[0]
        if mover:
            lines.append(f'p {name} {mover} {number} "" {{ {" ".join(actions)} }} {outcome}')
        else:
            lines.append(
                f'c {name} {number} "" {{ {" ".join(f"{action} 1/{count}" for action in actions)} }} {outcome}'
            )
        for _ in actions:
            add(level - 1)

    add(4)
    return lines


def strategies(text):
    """Each player's strategies as pygambit 16.7 names them: the action's number in each set, * where none is led to."""
    tree = Tree(text)
    columns = [moves.choices(limit=10**6).T + 1 for moves in tree.movers]
    return [["".join(map(str, column)).replace("0", "*") or "*" for column in own] for own in columns]


def test_random_trees_are_as_gambits():
    """100 of chance and three players, most without perfect recall, with names that look like parts of the file."""
    pygambit = gambit_helpers.pygambit()
    rng, recalls = np.random.default_rng(0), 0
    for _ in range(100):
        text = 'EFG 2 R "" { "one" "two" "three" }\n"\n\np \\" 1"\n\n' + "\n".join(drawn_efg(rng))
        theirs, ours = pygambit.read_efg(io.StringIO(text)), gk.games.parse_efg(text)
        assert ours.num_actions == tuple(gambit_helpers.sizes(theirs))
        assert ours.num_actions == tuple(map(len, strategies(text)))
        if np.prod(ours.num_actions) < 500:
            for table, expected in zip(ours.payoffs, theirs.to_arrays(), strict=True):
                np.testing.assert_array_equal(table, expected.astype(float))
        if not gambit_helpers.by_labels():
            assert strategies(text) == [[entry.label for entry in player.strategies] for player in theirs.players]
        recalls += theirs.is_perfect_recall
    assert 10 <= recalls <= 90


def test_names_that_end_in_a_backslash():
    gambit_helpers.pygambit()
    moves = {"one": ["l\\", 'r" "', "m"], "two\\": ['"\\', "\\"]}
    ours = gk.games.from_pygambit(gambit_helpers.tree(moves, lambda: [1, 2]))
    assert ours.names.players == ("one", "two\\")
    assert ours.names.actions == (("l\\", 'r" "', "m"), ('"\\', "\\"))


def test_trees_that_are_too_large():
    pygambit = gambit_helpers.pygambit()
    theirs = pygambit.read_efg(io.StringIO(independent_choices(30)))
    with pytest.raises(ValueError, match=r"^game: got a pygambit tree .* with 1073741824 pure strategies and 91 h"):
        gk.games.from_pygambit(theirs)


def test_deep_trees():
    """Gambit's writer would overflow the stack."""
    gambit_helpers.pygambit()
    game = gk.games.from_pygambit(gambit_helpers.chain(500))
    assert game.num_actions == (501,)
    with pytest.raises(ValueError, match=r"game: got a pygambit tree of more moves in a row, takes at most 4096"):
        gk.games.from_pygambit(gambit_helpers.chain(20_000))
