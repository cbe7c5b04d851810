"""`gamekl path`: what it prints, its CSV, its figure, and what it refuses."""

import csv
import re
import warnings
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from shell_helpers import refused, run

import gamekl as gk
from gamekl.commands.path.tracing import trace_table
from gamekl.core.names import Names
from gamekl.games.files.table import Table
from gamekl.solvers.report.path_figure import MOST_LABELLED, curve
from gamekl.solvers.report.path_figure import draw_path as draw

COORDINATION = (
    'NFG 1 R "meet" { "Ann" "B$ob" } { { "tea" "coffee" } { "x=1" "a name of more letters than fit" } } 1 1 0 0 0 0 1 1'
)
# The logit equilibria of the coordination game at temperature .25 and .45: p = 1 / (1 + exp((1 - 2 p) / temperature)).
AT_25, AT_45 = 0.9787520120, 0.7627147600
FOLDING = np.array([[[4.0, 0, 0], [1, 1, 5]], [[5, 5, 0], [3, 4, 5]]])  # two folds before temperature .1
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test has a folder of its own, with two games, and is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meet.nfg").write_text(COORDINATION)
    np.savez(tmp_path / "folding.npz", payoffs=FOLDING)


def traced(payoffs, *, end=(), at_branching="stay", asked=(), names=None):
    ends, temperatures = {"temperature": end, "lambda": ()}, {"temperatures": asked, "lambdas": ()}
    return trace_table(Table(np.asarray(payoffs, float), names), ends, temperatures, None, at_branching)


def draw_path(traced):
    return draw(traced.points, traced.names)


def cells(out, name):
    """The cells of the first line that begins so."""
    (line, *_) = [line for line in out.splitlines() if line.strip().startswith(f"{name}  ")]
    return line.split()[len(name.split()) :]


def residuals(payoffs, ends, fraction, policies):
    """sup |policy - softmax(beta q / temperature)| of two players at each place, in numpy alone."""
    first = np.einsum("ab,kb->ka", payoffs[0], policies[1])
    second = np.einsum("ab,ka->kb", payoffs[1], policies[0])
    worst = []
    for values, end, policy in zip((first, second), ends, policies, strict=True):
        logits = fraction[:, None] * values / end
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        worst.append(np.abs(weights / weights.sum(axis=1, keepdims=True) - policy).max(axis=1))
    return np.maximum(*worst)


def test_it_stays_at_the_pitchfork_unless_asked_to_cross(capsys):
    arguments = ("path", "meet.nfg", "--temperature", "0.25", "--temperatures", "1,.45,.25")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert cells(out, "tea") == ["0.50000000"] * 3 and cells(out, "index") == ["+1", "-1", "-1"]
    assert re.search(r"^2  +0.5  +pitchfork  stayed$", out, re.MULTILINE)
    status, out, _ = run(capsys, *arguments, "--at-branching", "cross")
    assert status == 0
    found = np.array([cells(out, "tea"), cells(out, "coffee")], float)
    np.testing.assert_allclose(found, [[0.5, AT_45, AT_25], [0.5, 1 - AT_45, 1 - AT_25]], atol=2e-8)
    assert "pitchfork  crossed, towards tea of Ann, x=1 of B$ob\n" in out
    assert cells(out, "lambda") and out.startswith("the logit path from uniform play to lambda 4, temperature 0.25 ")


@pytest.mark.parametrize("given", ["0,1,0,0", "0,-1e-3,0,1", "0,0,0,0,0,1,0,1", "away.npz", "away.nfg"])
def test_a_direction_tells_the_side_to_cross_to(capsys, given):
    """The second action gains, by numbers for actions or payoffs, or by a file: the other branch than by default."""
    payoffs = np.zeros((2, 2, 2))
    payoffs[:, 1, 1] = 2.0
    np.savez("away.npz", payoffs=payoffs)
    gk.games.write_nfg(gk.NormalFormGame(payoffs), "away.nfg")
    arguments = ("path", "meet.nfg", "--temperature", "0.25", "--at-branching", "cross", "--direction", given)
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "") and "pitchfork  crossed, towards coffee of Ann, a name of more" in out
    np.testing.assert_allclose(
        [float(cells(out, name)[0]) for name in ("tea", "coffee")], [1 - AT_25, AT_25], atol=2e-8
    )


def test_lambda_is_the_inverse_of_temperature(capsys):
    _, expected, _ = run(capsys, "path", "meet.nfg", "--temperature", ".25", "--temperatures", "1,.25")
    status, out, _ = run(capsys, "path", "meet.nfg", "--lambda", "4", "--lambdas", "1,4")
    assert status == 0 and out == expected


def test_where_the_path_ends_by_default(capsys):
    """At the least temperature that is asked for, or where lambda is 100 over the largest range of payoffs."""
    assert "to lambda 10, temperature 0.1 " in run(capsys, "path", "folding.npz", "--temperatures", "1,0.1")[1]
    assert "to lambda 20, temperature 0.05 " in run(capsys, "path", "folding.npz")[1]


def test_folds_and_all_crossings(capsys):
    """Between its folds the path meets a temperature three times: the table has what `gk.trace` finds."""
    status, out, _ = run(capsys, "path", "folding.npz", "--temperature", ".1")
    assert status == 0 and out.count("fold  from here the temperature rises") == 1
    assert out.count("fold  from here the temperature falls again") == 1
    folds = [float(line.split()[1]) for line in out.splitlines() if "  fold  " in line]
    middle = sum(folds) / 2
    status, out, _ = run(capsys, "path", "folding.npz", "--temperature", ".1", "--temperatures", f"{middle!r}")
    game = gk.NormalFormGame(FOLDING)
    found = gk.trace(game, gk.Regularizer.uniform(game, 0.1), temperatures=[middle])
    assert status == 0 and re.search("crossing +1 of 3 +2 of 3 +3 of 3\n", out)
    policies = np.exp(found.crossings.log_policy[0][0, :3])
    lines = out.splitlines()
    start = lines.index("player 1") + 1
    printed = np.array([line.split()[1:] for line in lines[start : start + 2]], float)
    np.testing.assert_allclose(printed, policies.T, atol=1e-8)
    assert np.ptp(printed[0]) > 0.01
    worst = residuals(FOLDING, [middle] * 2, np.ones(3), [np.exp(p[0, :3]) for p in found.crossings.log_policy])
    assert worst.max() < 1e-9
    assert cells(out, "index") == ["+1", "-1", "+1"]


def test_each_player_has_a_temperature(capsys):
    """Own ones, and references of a saved solution: what is printed solves the equations of these."""
    arguments = ("folding.npz", "--temperature", "3")
    assert run(capsys, "solve", *arguments, "--save", "start.npz")[0] == 0
    status, out, _ = run(
        capsys, "path", "folding.npz", "--temperature", "1,2", "--reference", "start.npz", "--temperatures", "4"
    )
    assert status == 0 and "from the policies of start.npz to lambda 1 0.5, temperature 1 2 payoff" in out
    lines = out.splitlines()
    start = lines.index("player 1") + 1
    first = np.array([line.split()[1] for line in lines[start : start + 2]], float)
    second = np.array([line.split()[1] for line in lines[start + 3 : start + 6]], float)
    reference = gk.load_solution("start.npz").policy
    for policy, own, values, temperature in (
        (first, reference[0], FOLDING[0] @ second, 4),
        (second, reference[1], first @ FOLDING[1], 8),
    ):
        weights = own * np.exp(values / temperature)
        np.testing.assert_allclose(policy, weights / weights.sum(), atol=2e-8)


def test_the_csv_has_the_path_in_full(capsys):
    """Columns by names, rows in order, and every number as `gk.trace` has it, bit by bit."""
    (status, out, _) = run(
        capsys, "path", "meet.nfg", "--temperature", ".25", "--at-branching", "cross", "--csv", "path.csv"
    )
    game = gk.NormalFormGame(np.stack([np.eye(2)] * 2))
    points = gk.trace(game, gk.Regularizer.uniform(game, 0.25), at_branching="cross").points
    count = int(points.count)
    with open("path.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert status == 0 and "\ncsv: path.csv\n" in out and len(rows) == count
    assert header[:4] == ["kind", "arclength", "pace", "index"]
    assert header[4:8] == ["temperature:Ann", "temperature:B$ob", "lambda:Ann", "lambda:B$ob"]
    assert header[8:] == ["Ann:tea", "Ann:coffee", "B$ob:x=1", "B$ob:a name of more letters than fit"]
    assert [row[0] for row in rows] == [gk.PointKind(int(kind)).name for kind in points.kind[:count]]
    assert {"pitchfork", "turn_off"} < {row[0] for row in rows}
    read = np.array([row[1:] for row in rows], float)
    probabilities = np.exp(np.concatenate([np.asarray(entry)[:count] for entry in points.log_policy], axis=1))
    beside = [points.arclength, points.pace, points.index]
    expected = np.column_stack([np.asarray(entry)[:count] for entry in beside])
    np.testing.assert_array_equal(read[:, :3], expected)
    np.testing.assert_array_equal(read[:, 3:5], points.temperature[:count])
    np.testing.assert_array_equal(read[:, 5:7], 1 / np.asarray(points.temperature)[:count])
    np.testing.assert_array_equal(read[:, 7:], probabilities)
    assert read[0, 3] == np.inf and rows[1][3] == str(int(points.index[1]))


def marks(svg, name):
    """The places of the marks of a group in an SVG."""
    groups = ElementTree.parse(svg).iter(f"{SVG}g")  # noqa: S314 (our own)
    (group,) = [entry for entry in groups if entry.get("id") == name]
    return [(float(mark.get("x")), float(mark.get("y"))) for mark in group.iter(f"{SVG}use")]


def test_the_figure_is_written_with_marks_and_names(capsys):
    arguments = ("path", "meet.nfg", "--temperature", ".25", "--at-branching", "cross", "--figure")
    for suffix in ("svg", "pdf", "png", "PNG"):
        status, out, err = run(capsys, *arguments, f"figure.{suffix}")
        assert (status, err) == (0, "") and f"\nfigure: figure.{suffix}\n" in out
    assert (here_bytes := open("figure.pdf", "rb").read()).startswith(b"%PDF") and len(here_bytes) > 1000
    assert matplotlib.image.imread("figure.png").ndim == 3
    text = open("figure.svg", encoding="utf-8").read()
    for name in ("Ann", "B$ob", "tea", "coffee", "x=1", "a name of more letters …"):
        assert f">{name}</text>" in text
    assert "branching point (pitchfork), crossed" in text and "fold: " not in text
    for player in (0, 1):
        first, second = marks("figure.svg", f"branchings_{player}")  # of both actions, at the same place
        assert first == second and f'id="folds_{player}"' not in text


def test_folds_are_marked_where_they_are(capsys):
    run(capsys, "path", "folding.npz", "--temperature", ".1", "--figure", "f.svg")
    assert len(marks("f.svg", "folds_0")) == 2 * 2 and len(marks("f.svg", "folds_1")) == 2 * 3
    found = traced(FOLDING, end=(0.1,))
    rows = found.points.kind == gk.PointKind.fold
    for player, axes in enumerate(draw_path(found).axes):
        (line,) = [line for line in axes.lines if line.get_gid() == f"folds_{player}"]
        sizes = FOLDING.shape[1 + player]
        np.testing.assert_allclose(line.get_xdata(), np.repeat(1 / found.points.temperature[rows, player], sizes))
        np.testing.assert_allclose(line.get_ydata(), np.exp(found.points.log_policy[player][rows]).ravel())


@pytest.mark.parametrize(
    ("payoffs", "end", "at_branching"),
    [(FOLDING, 0.1, "stay"), (np.stack([np.eye(2)] * 2), 0.1, "cross"), (np.stack([np.eye(2)] * 2), 0.1, "stay")],
)
def test_the_curve_solves_the_equations_between_its_points(payoffs, end, at_branching):
    """And it goes through folds: lambda rises, falls and rises on it."""
    found = traced(payoffs, end=(end,), at_branching=at_branching)
    drawn = curve(found.points)
    fraction = drawn.rate[:, 0] * found.ends[0]
    assert residuals(payoffs, found.ends, fraction, drawn.policy).max() < 2e-3
    np.testing.assert_allclose(drawn.rate[-1] * found.ends, 1)
    steps = np.diff(fraction)
    turns = np.count_nonzero(np.diff(np.sign(steps[np.abs(steps) > 1e-9])))
    assert turns == int(found.found.path.folds) == (2 if payoffs is FOLDING else 0)
    for policy, log_policy in zip(drawn.policy, found.points.log_policy, strict=True):
        np.testing.assert_allclose(policy[-1], np.exp(log_policy[-1]))


def test_of_many_actions_the_likeliest_are_labelled():
    """By their largest probability on the path; the others are grey, and it is said how many they are."""
    found = traced([np.arange(15.0) / 14], end=(0.1,))
    (axes,) = draw_path(found).axes
    texts = [entry.get_text() for entry in axes.get_legend().get_texts()]
    assert texts == [*map(str, range(15, 5, -1)), "5 less likely"] and len(texts) == MOST_LABELLED + 1
    shown = {(line.get_color(), line.get_linestyle()) for line in axes.lines if line.get_label() in texts[:-1]}
    assert len(shown) == MOST_LABELLED
    assert sum(line.get_color() == "0.75" for line in axes.lines) == 5


def test_names_that_are_no_text_are_drawn_all_the_same():
    names = Names(("a\nb",), (("$\\frac", "\x00"),))
    (axes,) = draw_path(traced([[0.0, 1.0]], end=(0.5,), names=names)).axes
    assert axes.get_title() == "a\\nb"
    assert {entry.get_text() for entry in axes.get_legend().get_texts()} == {"\\$\\frac", "\\x00"}


def test_a_game_of_no_choice_has_a_figure(capsys):
    """Payoffs that are all alike, and a player of one action."""
    np.savez("flat.npz", payoffs=np.zeros((2, 1, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status, out, _ = run(capsys, "path", "flat.npz", "--figure", "flat.svg")
    assert status == 0 and "it meets no fold and no other branch" in out and "0.50000000" in out


def test_a_path_with_more_crossings_and_points_than_fit_at_first(monkeypatch):
    """There is more room in a second try."""
    from gamekl.commands.path import tracing

    expected = traced(FOLDING, end=(0.1,))
    monkeypatch.setattr(tracing, "ROOMS", {"max_points": 32, "max_folds": 1, "max_crossings": 1})
    found = traced(FOLDING, end=(0.1,))
    assert int(found.found.status) == gk.Status.converged
    np.testing.assert_allclose(found.points.temperature, expected.points.temperature)
    assert sum(found.points.kind == gk.PointKind.fold) == 2


def test_status_1_where_the_path_does_not_come_to_its_end(capsys, monkeypatch):
    """It says how far it went, and what is there is written."""
    from gamekl.commands.path import tracing

    monkeypatch.setattr(tracing, "ROOMS", {"max_points": 4, "max_folds": 16, "max_crossings": 5})
    monkeypatch.setattr(tracing, "TRIES", 0)
    status, out, _ = run(capsys, "path", "folding.npz", "--csv", "part.csv", "--figure", "part.svg")
    assert status == 1 and "\nit went as far as lambda " in out and "status: max_steps: " in out
    assert len(open("part.csv").read().splitlines()) == 5 and open("part.svg").read().startswith("<?xml")


REFUSED = {
    "meet.nfg --figure f.jpg": "figure: got f.jpg, takes a file that ends in .svg, .pdf or .png",
    "meet.nfg --figure no/f.svg": "figure: got no/f.svg, takes a file in a folder that is there",
    "meet.nfg --csv f.txt": "csv: got f.txt, takes a file that ends in .csv",
    "meet.nfg --temperature .5 --temperatures 1,.25": "temperatures: got 0.25, takes at least 0.5, where the path ends",
    "meet.nfg --lambda 2 --lambdas 1,4": "lambdas: got 4, takes at most 2, where the path ends",
    "meet.nfg --lambda 2 --temperature .5": "lambda: got it beside temperature, takes one of the two",
    "meet.nfg --lambda 0": "lambda: got 0.0, takes numbers > 0",
    "meet.nfg --temperature nan": "temperature: got nan, takes numbers > 0",
    "meet.nfg --temperatures 1,-1": "temperatures: got -1.0, takes numbers > 0",
    "meet.nfg --temperatures 1,,2": "temperatures: got '', takes a number",
    "meet.nfg --temperatures": "temperatures: got nothing behind --temperatures, takes a number",
    "meet.nfg --temperature 1,2,3": "temperature: got 3 numbers, takes one, or one for each of 2 players",
    "meet.nfg --at-branching crossing": "at_branching: got 'crossing'; did you mean 'cross'? takes one of 'stay', ",
    "meet.nfg --reference meet.nfg": "reference: got meet.nfg, takes a solution that `gamekl solve --save` wrote",
    "meet.nfg --reference other.npz": "reference: got other.npz of (2, 3) actions, takes (2, 2), as the game has",
    "meet.nfg --temprature 1": "--temprature: got an unknown flag; did you mean '--temperature",
    "meet.nfg --direction 1,0,0,0": "direction: got 1,0,0,0 with --at-branching stay, takes it with cross",
    "meet.nfg --at-branching cross --direction 1,0": (
        "direction: got 2 numbers, takes 4, one for each action of each player, or 8, one for each payoff"
    ),
    "meet.nfg --at-branching cross --direction 1,0,nan,0": "direction: got 1,0,nan,0, takes finite numbers",
    "meet.nfg --at-branching cross --direction folding.npz": (
        "direction: got folding.npz of shape (2, 2, 3), takes (2, 2, 2), as the game has"
    ),
    "meet.nfg --at-branching cross --direction none.nfg": (
        "direction: got none.nfg, takes a payoff file that can be read (No such file or directory), or numbers with "
    ),
    "meet.nfg --at-branching cross --direction 1,x": "direction: got 1,x, takes a file that ends in .nfg",
    "none.nfg": "path: got none.nfg, takes a payoff file that can be read",
    "game.toml": "path: got game.toml, takes a file that ends in .nfg, .efg, .agg, .bagg, .csv, .npz",
    "stages.npz": "payoffs: got shape (2, 5, 2, 2), takes",
    "": "game: got none, takes a file or folder here",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_is_refused_is_told_in_one_line(capsys, line):
    game = gk.NormalFormGame(FOLDING)
    gk.solve_nash(game, gk.Regularizer.uniform(game, 3.0)).save("other.npz")
    np.savez("stages.npz", payoffs=np.zeros((2, 5, 2, 2)))  # of five contexts
    err = refused(capsys, "path", *line.split())
    assert err.startswith(f"gamekl path: {REFUSED[line]}") and err.count("\n") == 1
