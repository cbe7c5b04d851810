"""Results as tables: what stands in them, and what pandas, LaTeX and CSV get."""

import csv
import io
import subprocess
import sys
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

NAMES = gk.Names(("Ann", "B_b"), (("tea", "co&fee"), ("x=1", "y")), "meet")
GAME = gk.NormalFormGame(np.stack([np.eye(2)] * 2)).with_names(NAMES)
ANCHOR = gk.Regularizer.uniform(GAME, 0.45)
# The logit equilibria of the coordination game at temperature .45: p = 1 / (1 + exp((1 - 2 p) / temperature)).
HIGH = 0.7627147600
LOPSIDED = gk.Regularizer([jnp.log(jnp.array([0.9, 0.1])), jnp.log(jnp.array([0.5, 0.5]))], 0.45)


def of_logit(share):
    """The share that answers a share, at temperature .45."""
    return 1 / (1 + np.exp((1 - 2 * share) / 0.45))


def test_a_solution_has_a_row_for_each_action():
    told = gk.table(gk.solve_nash(GAME, LOPSIDED), GAME, regularizer=LOPSIDED)
    assert list(told.columns) == ["player", "action", "policy", "reference"] and len(told) == 4
    assert told.columns["player"] == ["Ann", "Ann", "B_b", "B_b"]
    assert told.columns["action"] == ["tea", "co&fee", "x=1", "y"]
    np.testing.assert_allclose(told.columns["reference"], [0.9, 0.1, 0.5, 0.5])
    first, _, second, _ = told.columns["policy"]
    np.testing.assert_allclose(second, of_logit(first), atol=1e-9)
    assert repr(told).splitlines()[1:3] == [
        "player  action  policy     reference",
        f"Ann     tea     {first:.6g}   0.9",
    ]


def test_numbers_stand_in_for_names():
    bare = gk.NormalFormGame(GAME.payoffs)
    for names in (None, bare):
        told = gk.table(gk.solve_nash(bare, ANCHOR), names)
        assert told.rows[-1] == ("player 2", "2", 0.5)


def test_found_equilibria_have_a_row_each():
    found = gk.find_equilibria(GAME, ANCHOR, jax.random.key(0), num_starts=32)
    told = gk.table(found, GAME).columns
    assert told["equilibrium"] == [0, 1, 2] and int(found.number) == 3
    np.testing.assert_allclose(sorted(told["Ann:tea"]), [1 - HIGH, 0.5, HIGH], atol=1e-9)
    np.testing.assert_allclose(np.add(told["B_b:x=1"], told["B_b:y"]), 1)
    assert sum(told["index"]) == 1 and set(told["stable"]) == {1, -1} and sum(told["hits"]) == 32
    for name in ("error", "radius", "welfare"):
        np.testing.assert_array_equal(told[name], getattr(found, name)[:3])
    np.testing.assert_array_equal(told["divergence:Ann"], found.divergence[:3, 0])


def test_all_equilibria_are_told_in_fractions():
    game = gk.NormalFormGame(np.array([[[2.0, 0], [0, 1]], [[1, 0], [0, 2]]])).with_names(NAMES)
    told = gk.table(gk.enumerate_nash(game), game)
    assert told.columns["Ann:tea"] == [1, Fraction(2, 3), 0]
    assert told.columns["B_b:y"] == [0, Fraction(2, 3), 1]
    assert told.columns["value:Ann"] == [2, Fraction(2, 3), 1] and told.columns["component"] == [0, 1, 2]
    assert "2/3" in repr(told) and "$2/3$" in told.to_latex()
    assert told.to_pandas()["value:Ann"].tolist() == [2, 2 / 3, 1]
    assert repr(2 / 3) in told.to_csv()


def test_equilibria_of_three_players_are_told_with_what_is_certain():
    """Each wins where two play alike: the pure ones, and (1/2, 1/2) of all."""
    same = np.array([[[float(len({i, j, k}) == 1) for k in range(2)] for j in range(2)] for i in range(2)])
    told = gk.table(gk.enumerate_nash(gk.NormalFormGame(np.stack([same] * 3)))).columns
    assert told["equilibrium"] == [0, 1, 2] and told["player 1:1"] == [1, 0.5, 0]
    assert told["value:player 3"] == [1, 0.25, 1] and told["regular"] == [True] * 3 and told["epsilon"] == [0] * 3


def test_extreme_correlated_equilibria_are_told_in_fractions():
    told = gk.table(gk.correlated_polytope(GAME), GAME).columns
    shares = [told[f"{first}:{second}"] for first in NAMES.actions[0] for second in NAMES.actions[1]]
    assert [sum(vertex) for vertex in zip(*shares, strict=True)] == [1] * len(told["vertex"])
    nash = [place for place, known in enumerate(told["is_nash"]) if known]
    assert {told["tea:x=1"][place] for place in nash} == {1, Fraction(1, 4), 0}
    assert {told["value:Ann"][place] for place in nash} == {1, Fraction(1, 2)}


def test_a_path_has_its_points_and_its_crossings():
    path = gk.trace(GAME, ANCHOR, temperatures=[1.0, 0.45], at_branching="cross")
    points = gk.table(path, GAME).columns
    count = int(path.points.count)
    assert len(points["kind"]) == count and {"pitchfork", "turn_off"} < set(points["kind"])
    np.testing.assert_allclose(np.multiply(points["temperature:Ann"][1:], points["lambda:Ann"][1:]), 1)
    assert points["temperature:B_b"][0] == np.inf and gk.table(path.points, NAMES).columns == points
    crossings = gk.table(path.crossings, GAME).columns
    np.testing.assert_allclose(crossings["temperature:Ann"], [1.0, 0.45])
    np.testing.assert_allclose(crossings["Ann:tea"], [0.5, HIGH], atol=1e-9)
    assert crossings["status"] == ["converged"] * 2 and crossings["crossing"] == [0, 0]


def test_lambda_changes_by_pace_over_scale():
    """Along the path, as its differences tell."""
    path = gk.trace(GAME, gk.Regularizer.uniform(GAME, jnp.array([0.2, 0.4])), at_branching="cross", max_points=256)
    count = int(path.points.count)
    length, pace = (np.asarray(entry)[:count] for entry in (path.points.arclength, path.points.pace))
    rates = 1 / np.asarray(path.points.temperature)[:count]
    middle = np.diff(length)[:, None] * ((pace[1:] + pace[:-1]) / 2)[:, None] / np.asarray(path.points.scale)
    np.testing.assert_allclose(np.diff(rates, axis=0), middle, rtol=0.1, atol=2e-3)
    np.testing.assert_allclose(path.points.scale, [0.2 * 1 / 0.2, 0.4 * 1 / 0.2])  # the larger range over temperature


@pytest.mark.parametrize("solve", ["solve_correlated", "gamd"])
def test_correlated_equilibria_have_a_row_for_each_joint_action(solve):
    game = gk.games.uniform(jax.random.key(0), (2, 3, 2))
    anchor = () if solve == "solve_correlated" else (gk.Regularizer.uniform(game, 0.5),)
    more = {} if solve == "solve_correlated" else {"num_rounds": 10}
    found = getattr(gk, solve)(game, *anchor, **more)
    told = gk.table(found, game).columns
    assert list(told) == ["player 1", "player 2", "player 3", "probability"]
    for *actions, chance in zip(*told.values(), strict=True):
        assert chance == found.joint_policy[tuple(int(action) - 1 for action in actions)]


def test_most_entropy_and_no_anchor():
    for found in (gk.max_entropy_nash(gk.games.matching_pennies()), gk.solve_nash_exact(gk.games.matching_pennies())):
        np.testing.assert_allclose(gk.table(found).columns["policy"], [0.5] * 4)


def test_batches_have_a_row_more_for_each_game():
    games = gk.stack([GAME, gk.NormalFormGame(GAME.payoffs * 2).with_names(NAMES)])
    anchors = gk.stack([ANCHOR, ANCHOR])
    found = gk.solve_nash_batch(games, anchors)
    told = gk.table(found, games, regularizer=anchors).columns
    assert told["game"] == [0] * 4 + [1] * 4 and told["action"] == [*NAMES.actions[0], *NAMES.actions[1]] * 2
    assert gk.table(found, games, regularizer=ANCHOR).columns == told
    np.testing.assert_array_equal(told["policy"][:2], found.policy[0][0])
    np.testing.assert_array_equal(told["policy"][6:], found.policy[1][1])
    several = gk.find_equilibria_batch(games, anchors, jax.random.key(0), num_starts=16)
    rows = gk.table(several, games).columns
    assert [rows["game"].count(game) for game in (0, 1)] == several.number.tolist()
    paths = gk.trace_batch(games, anchors)
    assert gk.table(paths, games).columns["game"].count(1) == int(paths.points.count[1])
    assert gk.table(paths.crossings, games).columns["game"] == [0, 1]


def test_stages_have_their_names():
    contexts = gk.games.contextual(jax.random.key(0), num_actions=(2, 2), num_contexts=2)
    named = contexts.with_names(gk.Names(NAMES.players, NAMES.actions, contexts=("dry", "wet")))
    found = gk.solve_nash(named, gk.Regularizer.uniform(named, 0.5))
    assert gk.table(found, named).columns["context"] == ["dry"] * 4 + ["wet"] * 4
    assert gk.table(found).columns["context"] == [0] * 4 + [1] * 4
    markov = gk.games.markov(jax.random.key(0), num_actions=(2, 2), num_states=3, horizon=2)
    found = gk.solve_nash(markov, gk.Regularizer.uniform(markov, 0.5))
    told = gk.table(found, markov).columns
    assert told["step"] == [0] * 12 + [1] * 12 and told["state"][:12] == [0] * 4 + [1] * 4 + [2] * 4
    assert told["policy"][-2:] == found.policy[1][1, 2].tolist()


def test_symmetric_games_have_one_role():
    game = gk.games.uniform_symmetric(jax.random.key(0), num_players=3, num_actions=2)
    found = gk.solve_nash(game, gk.Regularizer.uniform(game, 1.0))
    assert gk.table(found, game).columns["player"] == ["each player"] * 2


@pytest.mark.parametrize("sizes", [(2, 3), (3,), (2, 2, 2)])
def test_games_as_csv_can_be_read_again(tmp_path, sizes):
    game = gk.games.uniform(jax.random.key(1), sizes)
    actions = [[f"{player}{number}" for number in range(size)] for player, size in zip("abc", sizes, strict=False)]
    named = game.with_names(gk.Names(list("ABC")[: len(sizes)], actions))
    text = gk.table(named).to_csv(tmp_path / "game.csv")
    assert (tmp_path / "game.csv").read_text() == text
    again = gk.games.load_game(tmp_path / "game.csv")
    np.testing.assert_array_equal(again.payoffs, game.payoffs)
    assert again.names.actions == named.names.actions and again.names.players == named.names.players


@pytest.mark.parametrize(
    ("players", "actions"),
    [
        ("AB", ("xy", "z")),  # a column of pairs may be anything
        (("A \\ B", "C"), ("xy", "zw")),
        (("A/B", "C/D"), ("xy", "zw")),
        (["A;B", 'C,"D"'], [["x;1", "y;2"], ["z\t3", "w,4"]]),
        (("payoff", "a", "A"), ("xy", "zw", "uv")),
        (["A", "B"], [["(1, 2)", "1"], ["nan", "line\nbreak"]]),
    ],
)
def test_games_with_any_names_as_csv_can_be_read_again(tmp_path, players, actions):
    names = gk.Names(list(players), list(map(list, actions)))
    shape = (len(players), *map(len, actions))
    game = gk.NormalFormGame(np.random.default_rng(0).normal(size=shape)).with_names(names)
    gk.table(game).to_csv(tmp_path / "game.csv")
    again = gk.games.load_game(tmp_path / "game.csv")
    np.testing.assert_array_equal(again.payoffs, game.payoffs)
    assert again.names == names


def test_columns_are_chosen_and_latex_is_written(tmp_path):
    told = gk.table(gk.enumerate_nash(gk.NormalFormGame(np.stack([np.eye(2)] * 2))))
    few = told.select("value:player 1", "equilibrium")
    assert list(few.columns) == ["value:player 1", "equilibrium"] and len(few) == len(told)
    text = few.to_latex(tmp_path / "few.tex", digits=2)
    assert (tmp_path / "few.tex").read_text() == text and "$1/2$ & $1$" in text
    with pytest.raises(ValueError, match=r"columns: got \['value'\], takes names of equilibrium, component, player"):
        told.select("equilibrium", "value")
    with pytest.raises(ValueError, match="columns: got none"):
        told.select()


def test_the_bimatrix_in_latex():
    game = gk.NormalFormGame(np.array([[[3.0, 0], [5, -1.25]], [[3, 5], [0, 1e-7]]])).with_names(NAMES)
    assert gk.table(game).to_latex() == (
        "\\begin{tabular}{lrr}\n\\toprule\nAnn \\textbackslash{} B\\_b & x=1 & y \\\\\n\\midrule\n"
        "tea & $3, 3$ & $0, 5$ \\\\\nco\\&fee & $5, 0$ & $-1.25, 1 \\cdot 10^{-7}$ \\\\\n\\bottomrule\n\\end{tabular}\n"
    )
    assert gk.table(game).to_latex(booktabs=False).count("\\hline\n") == 3
    assert gk.table(game).to_pandas().loc[1, "x=1"] == (5.0, 0.0)


def test_every_kind_of_value_in_latex_and_in_print():
    values = [True, 3, -0.0, 1 / 3, np.inf, -np.inf, np.nan, None]
    told = gk.ResultTable({"a\nb": values, "text": ["{~}^\\", '<|>"', "%$#", "", "a\nb", "ü", "-", "x"]})
    cells = [line.removesuffix(" \\\\").split(" & ") for line in told.to_latex(digits=3).splitlines()[2:-2]]
    assert cells[0] == ["a\\textbackslash{}nb", "text"]
    numbers = ["yes", "$3$", "$0$", "$0.333$", "$\\infty$", "$-\\infty$", "--", "--"]
    assert [first for first, *_ in cells[2:]] == numbers
    texts = [second for _, second in cells[2:]]
    assert texts[0] == "\\{\\textasciitilde{}\\}\\textasciicircum{}\\textbackslash{}"
    assert texts[1:5] == ["\\textless{}\\textbar{}\\textgreater{}\\textquotedbl{}", "\\%\\$\\#", "", "a b"]
    assert [line.split()[0] for line in repr(told).splitlines()] == (
        ["a\\nb", "True", "3", "0", "0.333333", "inf", "-inf", "nan", "None"]
    )


def test_csv_has_all_digits_and_long_tables_are_cut_in_print():
    values = np.random.default_rng(0).normal(size=100)
    told = gk.ResultTable({"a,b": values.tolist(), 'c"d': ["x,y"] * 100}, "many")
    header, *rows = csv.reader(io.StringIO(told.to_csv()))
    assert header == ["a,b", 'c"d'] and rows[3][1] == "x,y"
    np.testing.assert_array_equal([float(row[0]) for row in rows], values)
    lines = repr(told).splitlines()
    assert lines[0] == "many" and lines[-1] == "and 60 rows more" and len(lines) == 43
    assert len(told.to_pandas()) == len(told) == 100


def test_bad_input():
    solution = gk.solve_nash(GAME, ANCHOR)
    with pytest.raises(TypeError, match="result: got int, takes a NormalFormGame, a Solution, .*LogitPath"):
        gk.table(3)
    with pytest.raises(TypeError, match="result: got traced arrays, takes concrete ones"):
        jax.jit(lambda game: len(gk.table(game)))(GAME)
    with pytest.raises(ValueError, match="regularizer: got one for NashEquilibria, takes it for solutions"):
        gk.table(gk.enumerate_nash(GAME), regularizer=ANCHOR)
    with pytest.raises(ValueError, match=r"regularizer: got references of shapes \[\(3,\), \(2,\)\], takes"):
        gk.table(solution, regularizer=gk.Regularizer.uniform(gk.NormalFormGame(np.zeros((2, 3, 2))), 1.0))
    with pytest.raises(ValueError, match=r"payoffs: got shape \(2, 2, 2, 2\), takes"):
        gk.table(gk.stack([GAME, GAME]))
    twice = jax.vmap(jax.vmap(lambda game: gk.solve_nash(game, ANCHOR, throw=False)))
    games = gk.stack([gk.stack([GAME] * 3)] * 2)
    with pytest.raises(ValueError, match=r"result: got a batch of shape \(2, 3\), takes one result, or"):
        gk.table(twice(games))
    for digits in (0, True, -1):
        with pytest.raises(ValueError, match="digits: got .*, takes a whole number >= 1"):
            gk.table(solution).to_latex(digits=digits)
    with pytest.raises(ValueError, match="columns: got lengths {'a': 1, 'b': 2}, takes one for all"):
        gk.ResultTable({"a": [1], "b": [1, 2]})


def test_without_pandas_it_says_so():
    code = (
        "import sys; sys.modules['pandas'] = None; import gamekl as gk\n"
        "try: gk.ResultTable({'a': [1]}).to_pandas()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "pandas: got no such package, takes pip install pandas\n", done.stderr
