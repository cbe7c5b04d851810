"""Game trees of pygambit 16.7 and 17, their reduced forms, and what is refused before Gambit makes any strategy."""

import io
import operator
import time
from pathlib import Path

import gambit_helpers
import numpy as np
import pytest

import gamekl as gk
from gamekl.games.gambit import count_tree


def test_every_tree_of_gambits_catalog(tmp_path):
    """The reduced form by pygambit's own count and payoffs; the .nfg that pygambit writes of it is the same game."""
    pygambit = pytest.importorskip("pygambit")
    paths = sorted((Path(pygambit.__file__).parent / "catalog_data").rglob("*.efg"))
    assert len(paths) >= 30
    for path in paths:
        theirs, ours = pygambit.read_efg(path), gk.games.read_efg(path)
        assert ours.num_actions == tuple(gambit_helpers.sizes(theirs))
        for table, expected in zip(ours.payoffs, theirs.to_arrays(), strict=True):
            np.testing.assert_array_equal(table, expected.astype(float))
        theirs.to_nfg(tmp_path / "game.nfg")
        np.testing.assert_array_equal(gk.games.load_game(tmp_path / "game.nfg").payoffs, ours.payoffs)


CENTIPEDE = 'EFG 2 R "c" { "1" "2" } ""\n' + "".join(
    f'p "" {1 + turn % 2} {1 + turn // 2} "" {{ "stop" "on" }} 0\nt "" {turn + 1} "" {{ {turn} 1/3 }}\n'
    for turn in range(40)
)


def test_strategies_are_merged_where_their_own_moves_never_lead(tmp_path):
    """The centipede: 2^20 plans for each player, of which 21 differ; they are counted without making any."""
    pytest.importorskip("pygambit")
    path = tmp_path / "centipede.efg"
    path.write_text(CENTIPEDE + 't "" 99 "" { 7 8 }')
    payoffs = np.asarray(gk.games.read_efg(path).payoffs)
    assert payoffs.shape == (2, 21, 21)
    # Gambit's first strategy stops at once, the last never; the end comes at the earlier stop.
    first, second = np.meshgrid(2 * np.arange(21), 2 * np.arange(21) + 1, indexing="ij")
    stop = np.minimum(first, second)
    np.testing.assert_array_equal(payoffs[0], np.where(stop < 40, stop, 7))
    np.testing.assert_array_equal(payoffs[1], np.where(stop < 40, 1 / 3, 8))


def independent_choices(count):
    """Chance draws one of `count` places, and the one player, who sees it, chooses left or right: 2^count plans."""
    nodes = [
        f'p "" 1 {place + 1} "" {{ "l" "r" }} 0\nt "" {2 * place + 1} "" {{ {place} }}\nt "" {2 * place + 2} "" {{ 1 }}'
        for place in range(count)
    ]
    draws = " ".join(f'"{place}" 1/{count}' for place in range(count))
    return f'EFG 2 R "" {{ "only" }} ""\nc "" 1 "" {{ {draws} }} 0\n' + "\n".join(nodes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            independent_choices(30),
            r"game: got a pygambit tree with 1073741824 pure strategies and 91 histories, takes at most",
        ),
        (independent_choices(100), r"10\^30.1 pure strategies"),
        (independent_choices(1400), r"it has 4201 nodes, more than 4096"),
        ("x " * 10**6, r"of 2000000 bytes, takes at most 1048576"),
        ('p "" 1 1 0 ' * 10**4, r"it has 10000 nodes"),
        ('"' + '\\"' * 10**5 + " p" * 5000, "End of file"),
        ("", "Expecting EFG"),
        ("NFG 1 R", "Expecting EFG"),
        ('EFG 2 R "" { "a" } ""', "Invalid type of node"),
        ('EFG 2 R "" { } "" t "" 0', "game: got no players, takes at least one"),
        ('EFG 2 R "" { "a" } "" t "" 1 "" { 1e400 }', r"payoffs: got one beyond 1.8e\+308, takes finite numbers"),
        ('EFG 2 R "" { "a" } "" t "" 1 "" { 1e400/3 }', r"no readable \.efg game"),
        ("\udcff", r"no readable \.efg game: 'utf-8' codec"),
    ],
)
def test_bad_trees(tmp_path, content, message):
    pytest.importorskip("pygambit")
    path = tmp_path / "game.efg"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    start = time.process_time()
    with pytest.raises(ValueError, match=rf"^path: got .*game\.efg.*{message}"):
        gk.games.read_efg(path)
    assert time.process_time() - start < 10


def test_imperfect_recall_is_counted_from_above(tmp_path):
    """A player who forgets: Gambit's own count is at most the product over information sets, by which we refuse."""
    pytest.importorskip("pygambit")
    path = tmp_path / "game.efg"
    path.write_text(
        'EFG 2 R "" { "a" } ""\np "" 1 1 "" { "l" "r" } 0\n'
        'p "" 1 2 "" { "l" "r" } 0\nt "" 1 "" { 1 }\nt "" 2 "" { 2 }\n'
        'p "" 1 2 "" { "l" "r" } 0\nt "" 3 "" { 3 }\nt "" 4 "" { 4 }\n'
    )
    np.testing.assert_array_equal(gk.games.read_efg(path).payoffs, [[1, 2, 3, 4]])


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


def test_strategies_are_counted_as_gambit_makes_them():
    """200 random trees, whose names look like parts of the file; without perfect recall we count from above."""
    pygambit = gambit_helpers.pygambit()
    rng, recalls = np.random.default_rng(0), 0
    for _ in range(200):
        lines = drawn_efg(rng)
        header = 'EFG 2 R "" { "one" "two" "three" }\n"\n\np \\" 1"\n\n'
        theirs = pygambit.read_efg(io.StringIO(header + "\n".join(lines)))
        counts, nodes = count_tree(theirs)
        assert nodes == len(lines)
        made = gambit_helpers.sizes(theirs)
        assert counts == made if theirs.is_perfect_recall else all(map(operator.ge, counts, made))
        recalls += theirs.is_perfect_recall
    assert 20 <= recalls <= 180


def test_names_that_end_in_a_backslash():
    gambit_helpers.pygambit()
    moves = {"one": ["l\\", 'r" "', "m"], "two\\": ['"\\', "\\"]}
    theirs = gambit_helpers.tree(moves, lambda: [1, 2])
    assert count_tree(theirs) == ([3, 2], 10)


def test_deep_trees():
    """Gambit's writer would overflow the stack."""
    gambit_helpers.pygambit()
    game = gk.games.from_pygambit(gambit_helpers.chain(500))
    assert game.num_actions == (501,)
    with pytest.raises(ValueError, match=r"game: got a pygambit tree of more moves in a row, takes at most 4096"):
        gk.games.from_pygambit(gambit_helpers.chain(20_000))


def test_no_file(tmp_path):
    pytest.importorskip("pygambit")
    with pytest.raises(FileNotFoundError, match=r"none\.efg"):
        gk.games.read_efg(tmp_path / "none.efg")
