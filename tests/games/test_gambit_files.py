"""Gambit reads the .nfg files that we write, and we those that it writes."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import gambit_helpers
import numpy as np
import pytest
from gambit_helpers import payoffs_of
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from nfg_helpers import finite, shapes

import gamekl as gk


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, shapes, elements=finite))
def test_pygambit_reads_what_we_write(tmp_path_factory, payoffs):
    pygambit = pytest.importorskip("pygambit")
    path = tmp_path_factory.mktemp("oracle") / "game.nfg"
    gk.games.write_nfg(gk.NormalFormGame(payoffs), path, title='1 "quoted" { title }')
    tables = pygambit.read_nfg(path).to_arrays()
    assert len(tables) == len(payoffs)
    for table, expected in zip(tables, payoffs, strict=True):
        np.testing.assert_array_equal(table.astype(float), expected)


@pytest.mark.parametrize("value", [1e-7, 1e16, -2.5e300, 1 / 3])
def test_pygambit_reads_large_and_small(tmp_path, value):
    pygambit = pytest.importorskip("pygambit")
    gk.games.write_nfg(gk.NormalFormGame([[value, 1.0]]), tmp_path / "game.nfg")
    assert [float(entry) for entry in pygambit.read_nfg(tmp_path / "game.nfg").to_arrays()[0]] == [value, 1.0]


@pytest.mark.parametrize("title", ["back\\slash", "ends in \\", '"', "\\"])
def test_pygambit_reads_any_title(tmp_path, title):
    pygambit = pytest.importorskip("pygambit")
    gk.games.write_nfg(gk.games.chicken(), tmp_path / "game.nfg", title=title)
    tables = pygambit.read_nfg(tmp_path / "game.nfg").to_arrays()
    np.testing.assert_array_equal(np.array(tables, dtype=float), gk.games.chicken().payoffs)


def test_every_game_of_gambits_catalog():
    """Its .nfg files are in the outcome variant; its game trees are written in the payoff variant."""
    pygambit = pytest.importorskip("pygambit")
    catalog = Path(pygambit.__file__).parent / "catalog_data"
    tables, trees = sorted(catalog.rglob("*.nfg")), sorted(catalog.rglob("*.efg"))
    assert len(tables) >= 6 and len(trees) >= 30
    for path in tables:
        np.testing.assert_array_equal(gk.games.load_game(path).payoffs, payoffs_of(pygambit.read_nfg(path)))
    for path in trees:
        theirs = pygambit.read_efg(path)
        np.testing.assert_array_equal(gk.games.parse_nfg(theirs.to_nfg()).payoffs, payoffs_of(theirs))


LABELS = ['"', 'a "quoted" one', "\\", "back\\slash", 'ends in \\"', "ends in \\", "{ 1 2 }", "1/2", ",", "'", '\\" {']


UNICODE = "T\u0131tle \u7b56\U0001f3b2\u2028"


def drawn_label(rng):
    return f"{rng.choice(LABELS)} {rng.integers(10**9)}{rng.choice(LABELS)}"


def drawn_payoff(rng):
    whole = int(rng.integers(-(10**12), 10**12) // 10 ** rng.integers(0, 13))
    kinds = [
        whole,
        Fraction(whole, int(rng.integers(1, 10**6))),
        Fraction(whole**20, 3**40 + 1),
        Decimal(whole).scaleb(-int(rng.integers(0, 15))),
        Decimal(whole).scaleb(-int(rng.integers(0, 330))),
        float(rng.normal()),
    ]
    return kinds[rng.integers(len(kinds))]


def drawn_table(rng):
    """2 to 5 players; now and then a joint action without an outcome."""
    sizes = rng.integers(1, 5, size=rng.integers(2, 6)).tolist()
    payoffs = np.array([drawn_payoff(rng) for _ in range(len(sizes) * np.prod(sizes))], dtype=object)
    theirs = gambit_helpers.table(*payoffs.reshape(-1, *sizes))
    for cell in np.ndindex(*sizes):
        if rng.random() < 0.1:
            gambit_helpers.remove_outcome(theirs, cell)
    return theirs


def drawn_tree(rng):
    """2 or 3 players; Gambit writes trees in the payoff variant."""
    players = ["one", "two", "three"][: rng.integers(2, 4)]
    moves = {player: [drawn_label(rng) for _ in range(rng.integers(2, 5))] for player in players}
    return gambit_helpers.tree(moves, lambda: [drawn_payoff(rng) for _ in players])


@pytest.mark.parametrize("draw", [drawn_table, drawn_tree])
def test_we_read_what_pygambit_writes(draw):
    """250 games of each kind. pygambit 16.7 takes no names beyond ASCII, so we put those into what it wrote."""
    gambit_helpers.pygambit()
    rng = np.random.default_rng(6)
    for _ in range(250):
        theirs = draw(rng)
        gambit_helpers.rename(theirs, lambda: drawn_label(rng))
        theirs.title, theirs.description = drawn_label(rng) + "TITLE", drawn_label(rng) + "COMMENT"
        text, expected = theirs.to_nfg(), payoffs_of(theirs)
        for ours in (text, text.replace("TITLE", UNICODE).replace('"1"', f'"{UNICODE}"')):
            np.testing.assert_array_equal(gk.games.parse_nfg(ours).payoffs, expected)
