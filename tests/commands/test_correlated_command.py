"""`gamekl correlated` and `payoff_figure`: what they print and draw, and what they refuse."""

import csv
from xml.etree import ElementTree

import jax
import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_hex
from shell_helpers import refused, run

import gamekl as gk
from gamekl.core.names import Names
from gamekl.core.report.look import COLOURS

CHICKEN = 'NFG 1 R "chicken" { "Ann" "B$ob" } { { "dare" "yield" } { "dare" "yield" } } 0 0 2 7 7 2 6 6'
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test has a folder of its own, with a game, and is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chicken.nfg").write_text(CHICKEN)


def corners(figure, colour):
    """The corners of the polygon with a border of this colour, as a set; None if there is none."""
    for patch in figure.axes[0].patches:
        if to_hex(patch.get_edgecolor()) == to_hex(colour):
            return {tuple(corner) for corner in np.round(patch.get_xy(), 9).tolist()}
    return None


def dots(figure):
    """Where the Nash equilibria are."""
    (line,) = [line for line in figure.axes[0].lines if line.get_gid() == "nash"]
    return {tuple(place) for place in np.round(line.get_xydata(), 9).tolist()}


def legend(figure):
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_it_lists_what_is_extreme(capsys):
    status, out, err = run(capsys, "correlated", "chicken.nfg", "--csv", "found.csv")
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "5 extreme correlated equilibria, 3 of them Nash; a set of dimension 3",
        "1: 1/5 (dare, dare), 2/5 (dare, yield), 2/5 (yield, dare) earns 18/5, 18/5",
        "2: 1/9 (dare, dare), 2/9 (dare, yield), 2/9 (yield, dare), 4/9 (yield, yield) earns 14/3, 14/3, Nash",
        "3: 1 (dare, yield) earns 7, 2, Nash",
        "4: 1/4 (dare, yield), 1/4 (yield, dare), 1/2 (yield, yield) earns 21/4, 21/4",
        "5: 1 (yield, dare) earns 2, 7, Nash",
        "csv: found.csv",
    ]
    with open("found.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["dare:dare", "dare:yield", "yield:dare", "yield:yield", "payoff:Ann", "payoff:B$ob", "nash"]
    assert rows[1] == [repr(k / 9) for k in (1, 2, 2, 4)] + [repr(14 / 3)] * 2 + ["1"]
    assert [row[-1] for row in rows] == ["0", "1", "1", "0", "1"]


def test_three_players_have_coarse_ones_too(capsys):
    np.savez("three.npz", payoffs=np.random.default_rng(0).integers(0, 5, (3, 2, 3, 2)).astype(float))
    status, out, _ = run(capsys, "correlated", "three.npz", "--concept", "cce")
    found = gk.correlated_polytope(gk.games.load_game("three.npz"), concept="cce")
    assert status == 0 and out.splitlines()[0] == found.headline() and len(out.splitlines()) == len(found) + 1


def test_the_best_for_one_player(capsys):
    status, out, _ = run(capsys, "solve", "chicken.nfg", "--concept", "mwce", "--welfare", "-1,2")
    assert status == 0 and "[[0.00000000 0.00000000]\n [1.00000000 0.00000000]]\n" in out  # Ann yields, Bob dares
    assert "welfare:     1.200e+01" in out  # 2 * 7 - 2
    err = refused(capsys, "solve", "chicken.nfg", "--concept", "mgce", "--welfare", "1,0")
    assert err == "gamekl solve: welfare: got weights with concept 'mgce', takes them for 'mwce' and 'mwcce'\n"
    err = refused(capsys, "solve", "chicken.nfg", "--concept", "mwcce", "--welfare", "1,0,3")
    assert err.startswith("gamekl solve: welfare: got shape (3,), takes [player] = (2,)")
    err = refused(capsys, "solve", "chicken.nfg", "--all", "--welfare", "1,0")
    assert err.startswith("gamekl solve: welfare: got (1.0, 0.0) with --all")


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_a_figure_is_written(capsys, suffix):
    status, out, _ = run(capsys, "correlated", "chicken.nfg", "--figure", f"seen.{suffix}")
    assert status == 0 and out.splitlines()[-1] == f"figure: seen.{suffix}"
    if suffix == "png":
        assert matplotlib.image.imread("seen.png").shape[1] > 500
    if suffix == "svg":
        drawing = ElementTree.parse("seen.svg")  # noqa: S314
        texts = ["".join(text.itertext()) for text in drawing.iter(f"{SVG}text")]
        assert {"payoff of Ann", "payoff of B$ob", "dare, yield", "Nash equilibria"} <= set(texts)
        first = open("seen.svg", "rb").read()
        run(capsys, "correlated", "chicken.nfg", "--figure", "again.svg")
        assert open("again.svg", "rb").read() == first


def test_of_two_actions_each_both_polygons_are_one():
    figure = gk.payoff_figure(gk.games.chicken())
    assert corners(figure, COLOURS[1]) == {(2, 7), (3.6, 3.6), (7, 2), (5.25, 5.25)}
    assert corners(figure, COLOURS[0]) is None
    assert corners(figure, "0.6") == {(0, 0), (7, 2), (6, 6), (2, 7)}
    assert dots(figure) == {(2, 7), (7, 2), (round(14 / 3, 9),) * 2}
    assert legend(figure)[1] == "correlated and coarse\ncorrelated equilibria"
    names = {text.get_text() for text in figure.axes[0].texts}
    assert names == {"1, 1", "1, 2", "2, 1", "2, 2"}
    assert figure.axes[0].get_xlabel() == "payoff of player 1"


def test_polygons_are_as_wide_as_linear_programmes_say():
    """In 16 directions, of 3 x 3 actions."""
    game = gk.NormalFormGame(np.random.default_rng(12).integers(0, 10, (2, 3, 3)).astype(float))
    figure = gk.payoff_figure(game)
    drawn = {"cce": corners(figure, COLOURS[0]), "ce": corners(figure, COLOURS[1])}
    for concept, polygon in drawn.items():
        for angle in np.arange(16) * np.pi / 8:
            weights = np.array([np.cos(angle), np.sin(angle)])
            best = gk.solve_welfare(game, concept=concept, welfare=weights)
            widest = max(corner @ weights for corner in map(np.array, polygon))
            np.testing.assert_allclose(widest, -best.objective, atol=1e-7)
    assert legend(figure)[1:3] == ["coarse correlated equilibria", "correlated equilibria"]


def test_names_are_apart():
    """On a line of places close to each other they go to several sides."""
    payoffs = np.array([[[0, 1, 2], [8, 8, 4]], [[0, 0, 0], [4, 4, 8]]], float)
    names = Names(("Ann", "Bob"), (("north", "south"), ("left", "centre", "right")))
    figure = gk.payoff_figure(gk.NormalFormGame(payoffs), names=names)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5  # two earn the same
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])


def test_what_is_no_equilibrium_has_no_name_where_one_earns_the_same():
    """The mixture of the last two actions earns (2, 2), and so does (3, 3), from which either gains by leaving."""
    payoffs = np.array([[[4, 0, 3], [0, 3, 0], [0, 2, 2]], [[4, 0, 0], [0, 3, 2], [3, 0, 2]]], float)
    figure = gk.payoff_figure(gk.NormalFormGame(payoffs))
    names = {text.get_text() for text in figure.axes[0].texts}
    assert {"1, 1", "2, 2", "2, 3"} <= names and "3, 3" not in names
    assert [2, 2] in figure.axes[0].lines[-1].get_xydata().tolist()


def test_points_and_lines_are_seen():
    pennies = gk.payoff_figure(gk.games.matching_pennies())
    assert pennies.axes[0].patches[:] == [] and legend(pennies)[-1] == "Nash equilibrium"
    ends = {tuple(map(tuple, line.get_xydata().tolist())) for line in pennies.axes[0].lines}
    assert ((-1, 1), (1, -1)) in ends and ((0, 0),) in ends
    flat = gk.payoff_figure(gk.NormalFormGame(np.zeros((2, 2, 2))))
    assert legend(flat)[-1] == "extreme Nash equilibria"
    assert [text.get_text() for text in flat.axes[0].texts] == ["1, 1\nand 3 more"]


REFUSED = {
    "none.nfg": "path: got none.nfg, takes a payoff file",
    "chicken.nfg --concept nash": "concept: got 'nash', takes one of 'ce', 'cce'",
    "chicken.nfg --figure seen.jpg": "figure: got seen.jpg, takes a file that ends in .svg, .pdf or .png",
    "chicken.nfg --csv nowhere/found.csv": "csv: got nowhere/found.csv, takes a file in a folder that is there",
    "chicken.nfg --max-vertices 0": "max_vertices: got 0, takes a whole number >= 1",
    "chicken.nfg --max-vertices 3": "max_vertices: got a game with ",
    "three.npz --figure seen.svg": "figure: got a game of 3 players, takes one of 2",
    "large.npz": "game: got 289 joint actions, takes at most 256",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused(capsys, line):
    np.savez("three.npz", payoffs=np.zeros((3, 2, 2, 2)))
    np.savez("large.npz", payoffs=np.zeros((2, 17, 17)))
    err = refused(capsys, "correlated", *line.split())
    assert err.startswith(f"gamekl correlated: {REFUSED[line]}") and err.count("\n") == 1


def test_what_the_figure_refuses():
    chicken = gk.games.chicken()
    with pytest.raises(ValueError, match="path: got seen.jpg, takes a file that ends in .svg, .pdf or .png"):
        gk.payoff_figure(chicken, "seen.jpg")
    with pytest.raises(ValueError, match=r"names: got 2 players of \[2, 3\] actions, takes \[2, 2\]"):
        gk.payoff_figure(chicken, names=Names(("a", "b"), (("c", "d"), ("e", "f", "g"))))
    with pytest.raises(ValueError, match="game: got 3 players, takes 2"):
        gk.payoff_figure(gk.NormalFormGame(np.zeros((3, 2, 2, 2))))
    with pytest.raises(ValueError, match=r"payoffs\[0, 1, 0\]: got inf"):
        gk.payoff_figure(gk.NormalFormGame(chicken.payoffs.at[0, 1, 0].set(np.inf)))
    with pytest.raises(TypeError, match="game: got traced arrays"):
        jax.jit(lambda payoffs: gk.payoff_figure(gk.NormalFormGame(payoffs)))(chicken.payoffs)
