"""Games to and from pygambit 16.7 and 17, and OpenSpiel 2.0; every test but the last ones needs one of them."""

import itertools
import subprocess
import sys
import time
from fractions import Fraction

import gambit_helpers
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gamekl as gk

shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(lambda sizes: (len(sizes), *sizes))
tables = hnp.arrays(np.float64, shapes, elements=st.floats(allow_nan=False, allow_infinity=False))
extremes = np.array([[5e-324, -0.0, 0.1, 1.7976931348623157e308, 1e16, 1e22, -1e-7, 2.0**53 + 2]])


@settings(max_examples=30, deadline=None)
@given(tables)
@example(extremes)
def test_to_pygambit_and_back(payoffs):
    """The same bits, but that a rational knows no -0."""
    pytest.importorskip("pygambit")
    theirs = gk.games.to_pygambit(gk.NormalFormGame(payoffs), title="ours")
    assert theirs.title == "ours"
    back = np.asarray(gk.games.from_pygambit(theirs).payoffs)
    assert back.shape == payoffs.shape
    assert back.tobytes() == (payoffs + 0.0).tobytes()


@settings(max_examples=30, deadline=None)
@given(tables)
@example(extremes)
def test_to_pyspiel_and_back(payoffs):
    pytest.importorskip("pyspiel")
    back = np.asarray(gk.games.from_pyspiel(gk.games.to_pyspiel(gk.NormalFormGame(payoffs))).payoffs)
    assert back.shape == payoffs.shape
    assert back.tobytes() == payoffs.tobytes()


def test_players_and_actions_keep_their_order():
    """Player p's payoff at joint action (a, b, c) is the number p abc, here and in both tools."""
    pygambit, _ = pytest.importorskip("pygambit"), pytest.importorskip("pyspiel")
    payoffs = np.fromfunction(lambda p, a, b, c: 1000 * p + 100 * a + 10 * b + c, (3, 2, 3, 4))
    game = gk.NormalFormGame(payoffs)
    gambit, spiel = gk.games.to_pygambit(game), gk.games.to_pyspiel(game)
    np.testing.assert_array_equal(gambit_helpers.payoffs_of(gambit), payoffs)
    for player, *joint in itertools.product(range(3), range(2), range(3), range(4)):
        number = payoffs[(player, *joint)]
        state = spiel.new_initial_state()
        state.apply_actions(joint)
        assert state.player_return(player) == number
    named = getattr(pygambit, "StrategicGame", pygambit.Game).from_dict(
        {"Z": [[1, 2], [3, 4], [5, 6]], "A": [[1, 0], [0, 0], [0, 7]]}
    )
    np.testing.assert_array_equal(
        gk.games.from_pygambit(named).payoffs, [[[1, 2], [3, 4], [5, 6]], [[1, 0], [0, 0], [0, 7]]]
    )


def test_rationals_become_the_nearest_floats():
    gambit_helpers.pygambit()
    numbers = [
        Fraction(1, 3),
        Fraction(99, 100) ** 1000,
        Fraction(10**40 + 1, 3**50),
        Fraction(1, 2**1074),
        2**54 + 3,
        "0.1",
        "1e-320",
    ]
    theirs = gambit_helpers.table(np.array(numbers, dtype=object))
    ours = gk.games.from_pygambit(theirs).payoffs[0]
    np.testing.assert_array_equal(ours, [float(Fraction(number)) for number in numbers])
    assert gk.games.from_pygambit(gambit_helpers.table(np.ones(2)), dtype="float32").payoffs.dtype == jnp.float32


def test_a_joint_action_without_an_outcome_pays_nothing():
    pygambit = pytest.importorskip("pygambit")
    theirs = gk.games.to_pygambit(gk.NormalFormGame(np.ones((2, 2, 2))))
    gambit_helpers.remove_outcome(theirs, (1, 0))
    np.testing.assert_array_equal(gk.games.from_pygambit(theirs).payoffs, [[[1, 1], [0, 1]]] * 2)
    assert isinstance(theirs, pygambit.Game)


def walked(spiel, game):
    """The normal form by walking the tree for every joint strategy, in the order that `from_pyspiel` promises."""
    places = [{} for _ in range(game.num_players())]
    stack = [game.new_initial_state()]
    while stack:
        state = stack.pop()
        if not state.is_terminal():
            if not state.is_chance_node():
                player = state.current_player()
                places[player][state.information_state_string(player)] = state.legal_actions()
            stack.extend(state.child(action) for action in state.legal_actions())
    plans = [
        [
            dict(zip(sorted(seen), moves[::-1], strict=True))
            for moves in itertools.product(*(seen[key] for key in sorted(seen, reverse=True)))
        ]
        for seen in places
    ]

    def expected(state, joint):
        if state.is_terminal():
            return np.array(state.returns())
        if state.is_chance_node():
            return sum(chance * expected(state.child(action), joint) for action, chance in state.chance_outcomes())
        player = state.current_player()
        return expected(state.child(joint[player][state.information_state_string(player)]), joint)

    cells = [expected(game.new_initial_state(), joint) for joint in itertools.product(*plans)]
    return np.array(cells).T.reshape(len(plans), *map(len, plans))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("kuhn_poker", (64, 64)),
        ("nim(pile_sizes=1;2)", (3, 4)),
        ("first_sealed_auction(max_value=3)", (6, 6)),
        ("first_sealed_auction(max_value=2,players=3)", (2, 2, 2)),
    ],
)
def test_extensive_games_of_openspiel(name, shape):
    spiel = pytest.importorskip("pyspiel")
    payoffs = np.asarray(gk.games.from_pyspiel(name).payoffs)
    assert payoffs.shape == (len(shape), *shape)
    np.testing.assert_allclose(payoffs, walked(spiel, spiel.load_game(name)), atol=1e-12)


def test_normal_forms_of_openspiel():
    spiel = pytest.importorskip("pyspiel")
    np.testing.assert_array_equal(gk.games.from_pyspiel("matrix_pd").payoffs, [[[5, 0], [10, 1]], [[5, 10], [0, 1]]])
    pennies = gk.games.from_pyspiel("matching_pennies_3p")
    assert pennies.num_actions == (2, 2, 2)
    loaded = gk.games.from_pyspiel(spiel.load_tensor_game("matching_pennies_3p"))
    np.testing.assert_array_equal(pennies.payoffs, loaded.payoffs)
    # Player 0 wants to match 1, 1 to match 2, and 2 to differ from 0.
    for a, b, c in itertools.product(range(2), repeat=3):
        np.testing.assert_array_equal(
            pennies.payoffs[:, a, b, c], [1 if a == b else -1, 1 if b == c else -1, 1 if c != a else -1]
        )


def test_colonel_blotto():
    """One-shot games that OpenSpiel does not hold as tables: whoever wins more of 3 fields."""
    pytest.importorskip("pyspiel")
    soldiers = [split for split in itertools.product(range(5), repeat=3) if sum(split) == 4]
    game = gk.games.from_pyspiel("blotto(coins=4)")
    expected = [[np.sign(np.sign(np.subtract(mine, other)).sum()) for other in soldiers] for mine in soldiers]
    assert game.num_actions == (15, 15)
    np.testing.assert_array_equal(game.payoffs, [expected, np.negative(expected)])


def test_simultaneous_moves_in_a_tree():
    """Goofspiel with two cards is turned into a tree; both forms are the same game."""
    spiel = pytest.importorskip("pyspiel")
    game = spiel.load_game("goofspiel(num_cards=2,imp_info=True,returns_type=point_difference)")
    ours = gk.games.from_pyspiel(game)
    turns = gk.games.from_pyspiel(spiel.convert_to_turn_based(game))
    assert ours.num_actions == turns.num_actions
    np.testing.assert_allclose(ours.payoffs, turns.payoffs)
    np.testing.assert_allclose(ours.payoffs[0], -ours.payoffs[1])
    assert np.any(np.asarray(ours.payoffs))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "leduc_poker",
            r"leduc_poker\(\) with 10\^168.4 x 10\^168.4 pure strategies and 9457 histories, takes at most",
        ),
        ("kuhn_poker(players=3)", "with 65536 x 65536 x 65536 pure strategies and 617 histories"),
        ("goofspiel(num_cards=3)", r"with 10\^17.7 x 10\^17.7 pure strategies"),
        ("blotto(players=10)", "with 66 x 66 x 66 x 66 x 66 x 66 x 66 x 66 x 66 x 66 pure strategies, takes"),
        ("chess", r"with at least 10\^"),
        ("blackjack", r"with at least \d+ pure strategies and at least 2\d{5} histories"),
        ("crazy_eights", r"with at least .* and at least 2\d{5} histories"),  # chance may deal for ever
        ("gin_rummy", r"with at least .* and at least 2\d{5} histories"),
        ("nfg_game", "takes one that has a normal form"),
        ("mfg_garnet", "sampled chance or a mean field"),
        ("backgammon", "takes one that has a normal form .*InformationStateString"),
        ("kuhn_poker(players=99)", "takes one that has a normal form"),
        ("kuhn_poker(", "takes one that has a normal form"),
        ("", "takes a name such as 'kuhn_poker'"),
        ("Kuhn", "'Kuhn', takes a name such as 'kuhn_poker'"),
    ],
)
def test_games_without_a_normal_form_of_ours(name, message):
    pytest.importorskip("pyspiel")
    start = time.process_time()
    with pytest.raises(ValueError, match=f"^game: got .*{message}"):
        gk.games.from_pyspiel(name)
    assert time.process_time() - start < 20


BROKEN = {
    "short.nfg": ('NFG 1 R "t" { "a" "b" } { 2 1 }\n\n1 2 3\n', "takes one that has a normal form"),
    "short.efg": (
        'EFG 2 R "t" { "A" "B" }\n""\np "" 1 1 "i" { "l" "r" } 0\nt "" 1 "x" { 10, 1 }\n',
        "takes one that has",
    ),
    "same.efg": (
        'EFG 2 R "t" { "A" "B" }\n""\np "" 1 1 "i" { "a" "a" } 0\nt "" 1 "x" { 10, 1 }\nt "" 2 "y" { 3, 4 }\n',
        r"in whose state '0: Player: 1 1 i a a' one number stands for several actions \(\[0, 0\]\)",
    ),
    "chance.efg": (
        'EFG 2 R "t" { "A" }\n""\nc "" 1 "i" { "a" 1/4 "a" 3/4 } 0\nt "" 1 "x" { 10 }\nt "" 2 "y" { 3 }\n',
        r"in whose state '0: Chance: 1 i a 0.25 a 0.75' one number stands for several actions",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_that_openspiel_misreads(tmp_path, name):
    """Truncated, or with two actions of one label, which it takes for one: payoffs that no strategy earns."""
    pytest.importorskip("pyspiel")
    text, message = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"^game: got .*{message}"):
        gk.games.from_pyspiel(f"{name[-3:]}_game(filename={tmp_path / name})")


def test_trees_that_go_on_for_ever(monkeypatch):
    """What OpenSpiel does with a tree takes stack for every move in a row."""
    pytest.importorskip("pyspiel")
    monkeypatch.setattr("gamekl.games.openspiel.MAX_LEVELS", 4)
    with pytest.raises(ValueError, match=r"^game: got kuhn_poker\(\) with 46 histories of 4 moves and more"):
        gk.games.from_pyspiel("kuhn_poker")


def test_other_objects_are_refused():
    pytest.importorskip("pyspiel")
    pytest.importorskip("pygambit")
    pairs = gk.PolymatrixGame(np.zeros((2, 2, 1, 1)))
    with pytest.raises(TypeError, match=r"game: got int, takes a pyspiel game or its name"):
        gk.games.from_pyspiel(3)
    with pytest.raises(TypeError, match=r"game: got str, takes a pygambit.Game"):
        gk.games.from_pygambit("poker")
    for convert in (gk.games.to_pyspiel, gk.games.to_pygambit):
        with pytest.raises(TypeError, match=r"PolymatrixGame"):
            convert(pairs)
        with pytest.raises(ValueError, match=r"payoffs\[0, 1\]: got inf"):
            convert(gk.NormalFormGame([[0, np.inf]]))
    with pytest.raises(ValueError, match=r"title: got 'é', takes ASCII"):
        gk.games.to_pygambit(gk.games.chicken(), title="é")
    with pytest.raises(ValueError, match=r"game: got a game of shape \(1025, 1024\) with 1025 x 1024 pure strategies"):
        gk.games.to_pygambit(gk.NormalFormGame(np.zeros((2, 1025, 1024))))


@pytest.mark.parametrize(
    ("tool", "extra", "call"),
    [
        ("pyspiel", "openspiel", "from_pyspiel('kuhn_poker')"),
        ("pyspiel", "openspiel", "to_pyspiel(gamekl.games.chicken())"),
        ("pygambit", "gambit", "from_pygambit(None)"),
        ("pygambit", "gambit", "to_pygambit(gamekl.games.chicken())"),
    ],
)
def test_without_the_tool(monkeypatch, tool, extra, call):
    monkeypatch.setitem(sys.modules, tool, None)
    with pytest.raises(ImportError, match=rf"^{tool}: .*pip install 'gamekl\[{extra}\]'$"):
        eval(f"gamekl.games.{call}", {"gamekl": gk})  # noqa: S307


def test_importing_gamekl_imports_neither():
    program = (
        "import sys, gamekl; gamekl.games.from_pyspiel; print([n for n in ('pyspiel', 'pygambit') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
