"""Games and regularizers: what they take, and what they say to what they do not take."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.arrays import as_float_array
from gamekl.core.names import Names


def test_a_game_knows_its_players_and_actions():
    game = gk.NormalFormGame(np.zeros((3, 3, 4, 2)))
    assert (game.num_players, game.num_actions, game.stage_shape) == (3, (3, 4, 2), ())
    contextual = gk.ContextualGame(np.zeros((7, 2, 3, 4)), np.full(7, 1 / 7))
    assert (contextual.num_players, contextual.num_actions, contextual.stage_shape) == (2, (3, 4), (7,))
    markov = gk.MarkovGame(np.zeros((5, 6, 2, 3, 4)), np.full((5, 6, 3, 4, 6), 1 / 6), np.full(6, 1 / 6))
    assert (markov.num_players, markov.num_actions, markov.stage_shape) == (2, (3, 4), (5, 6))


def test_nested_lists_and_integers_are_payoffs():
    game = gk.NormalFormGame([[[0, 1], [2, 3]], [[0, 1], [2, 3]]])
    assert game.payoffs.dtype == jnp.float64
    assert gk.NormalFormGame(np.zeros((1, 3), dtype=np.float32)).payoffs.dtype == jnp.float32


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 2), (2,), (), (2, 2, 2, 2), (2, 0, 3)])
def test_payoffs_of_a_wrong_shape(shape):
    with pytest.raises(ValueError, match=r"payoffs: got shape .*, takes"):
        gk.NormalFormGame(np.zeros(shape))


def test_ragged_payoffs():
    with pytest.raises(ValueError, match=r"inhomogeneous|unequal"):
        gk.NormalFormGame([[1.0, 2.0], [1.0]])


def test_stage_games_of_wrong_shapes():
    with pytest.raises(ValueError, match="context_probs: got shape"):
        gk.ContextualGame(np.zeros((7, 2, 3, 4)), np.ones(6) / 6)
    with pytest.raises(ValueError, match="transitions: got shape"):
        gk.MarkovGame(np.zeros((5, 6, 2, 3, 4)), np.zeros((5, 6, 3, 4, 5)), np.ones(6) / 6)
    with pytest.raises(ValueError, match="initial_probs: got shape"):
        gk.MarkovGame(np.zeros((5, 6, 2, 3, 4)), np.zeros((5, 6, 3, 4, 6)), np.ones(5) / 5)


def test_uniform_references_have_the_stage_axes():
    markov = gk.MarkovGame(np.zeros((5, 6, 2, 3, 4)), np.full((5, 6, 3, 4, 6), 1 / 6), np.full(6, 1 / 6))
    regularizer = gk.Regularizer.uniform(markov, 0.5)
    assert [entry.shape for entry in regularizer.log_reference] == [(5, 6, 3), (5, 6, 4)]
    np.testing.assert_allclose(np.exp(regularizer.log_reference[1]).sum(-1), 1)
    gk.validate(markov, regularizer)


def test_temperature_is_a_scalar_or_one_for_each_player():
    references = [np.log([0.5, 0.5]), np.log([0.2, 0.8])]
    assert gk.Regularizer(references, 1).temperatures.tolist() == [1.0, 1.0]
    assert gk.Regularizer(references, [1.0, 2.0]).temperatures.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"temperature: got shape \(3,\), takes a scalar or \[player\] = \(2,\)"):
        gk.Regularizer(references, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("temperature", "message"),
    [(0.0, "temperature: got 0.0, takes numbers > 0"), (-1.0, "takes numbers > 0"), (np.nan, "takes finite numbers")],
)
def test_bad_temperatures(temperature, message):
    game = gk.games.chicken()
    with pytest.raises(ValueError, match=message):
        gk.validate(game, gk.Regularizer.uniform(game, temperature))


def test_bad_references():
    game = gk.games.chicken()
    with pytest.raises(ValueError, match=r"log_reference\[1\]\).*got a sum of 0.9.*takes probabilities that sum to 1"):
        gk.validate(game, gk.Regularizer([np.log([0.5, 0.5]), np.log([0.4, 0.5])], 1.0))
    with pytest.raises(
        ValueError, match="log_reference: got references of 3 players, takes one for each of the game's 2"
    ):
        gk.validate(game, gk.Regularizer([np.log([0.5, 0.5])] * 3, 1.0))
    with pytest.raises(ValueError, match=r"log_reference\[0\]: got shape \(3,\), takes \(2,\)"):
        gk.validate(game, gk.Regularizer([np.log([0.5, 0.3, 0.2]), np.log([0.5, 0.5])], 1.0))
    with pytest.raises(ValueError, match=r"log_reference\[0\]: got NaN"):
        gk.validate(game, gk.Regularizer([np.array([np.nan, 0.0]), np.log([0.5, 0.5])], 1.0))
    with pytest.raises(ValueError, match="log_reference: got no player"):
        gk.Regularizer([], 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_payoffs_that_are_not_finite(bad):
    payoffs = np.zeros((2, 2, 2))
    payoffs[1, 0, 1] = bad
    with pytest.raises(ValueError, match=r"payoffs\[1, 0, 1\]: got .*\(1 such entries\), takes finite numbers"):
        gk.validate(gk.NormalFormGame(payoffs))


def test_probabilities_of_stage_games():
    good = np.full((5, 6, 3, 4, 6), 1 / 6)
    bad = good.copy()
    bad[1, 2, 0, 3] = 0.1
    with pytest.raises(ValueError, match=r"transitions\[1, 2, 0, 3\]: got a sum of 0\.6"):
        gk.validate(gk.MarkovGame(np.zeros((5, 6, 2, 3, 4)), bad, np.full(6, 1 / 6)))
    with pytest.raises(ValueError, match=r"context_probs\[0\]: got -0\.5, takes probabilities >= 0"):
        gk.validate(gk.ContextualGame(np.zeros((2, 2, 3, 4)), np.array([-0.5, 1.5])))


def test_stack_makes_a_batch_for_vmap():
    games = [gk.games.uniform(jax.random.key(seed), (3, 2)) for seed in range(4)]
    regularizers = [gk.Regularizer.uniform(games[0], temperature) for temperature in (0.5, 1.0, 2.0, 4.0)]
    batch, anchors = gk.stack(games), gk.stack(regularizers)
    assert isinstance(batch, gk.NormalFormGame)
    assert batch.payoffs.shape == (4, 2, 3, 2)
    assert anchors.temperature.shape == (4,)
    one_by_one = [gk.solve_nash(g, r).policy[0] for g, r in zip(games, regularizers, strict=True)]
    together = jax.vmap(gk.solve_nash)(batch, anchors).policy[0]
    np.testing.assert_allclose(together, np.stack(one_by_one), atol=1e-12)


def test_stack_takes_keys_and_traced_arrays():
    keys = [jax.random.key(seed) for seed in range(3)]
    assert (gk.stack(keys) == jnp.stack(keys)).all()
    batch = jax.jit(lambda scale: gk.stack([gk.NormalFormGame(scale * gk.games.chicken().payoffs)] * 2))(2.0)
    np.testing.assert_array_equal(batch.payoffs[1], 2 * gk.games.chicken().payoffs)
    assert gk.stack(gk.games.chicken() for _ in range(3)).payoffs.shape == (3, 2, 2, 2)
    with jax.numpy_dtype_promotion("standard"):
        mixed = gk.stack([(np.ones(2, np.int32),), (np.ones(2, np.float32),)])
    assert mixed[0].dtype == jnp.float32  # by jax's rules, not numpy's


def test_stack_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="objects: got an empty sequence"):
        gk.stack([])
    with pytest.raises(ValueError, match="objects: got different types or shapes"):
        gk.stack([gk.games.chicken(), gk.games.shapley()])
    with pytest.raises(ValueError, match="objects: got different types or shapes"):
        gk.stack([gk.games.chicken(), gk.Regularizer.uniform(gk.games.chicken(), 1.0)])


def test_other_conventions_are_told():
    """QuantEcon has the players' axis last, or an array for each player that begins with the player's own actions."""
    ours = np.arange(24.0).reshape(2, 3, 4)
    with pytest.raises(ValueError, match=r"; .* as in QuantEcon: numpy.moveaxis\(payoffs, -1, 0\)$") as told:
        gk.NormalFormGame(np.moveaxis(ours, 0, -1))
    again = eval(str(told.value).rpartition(": ")[2], {"numpy": np, "payoffs": np.moveaxis(ours, 0, -1)})  # noqa: S307
    np.testing.assert_array_equal(again, ours)
    with pytest.raises(ValueError, match=r"numpy.moveaxis\(payoffs, -1, 1\)$"):
        gk.ContextualGame(np.zeros((5, 3, 4, 2)), np.full(5, 0.2))
    with pytest.raises(ValueError, match="as many action axes as players$"):
        gk.NormalFormGame(np.zeros((4, 3, 5)))


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 2, 3)])
def test_own_actions_first_are_told(shape):
    players = range(len(shape))
    ours = np.arange(np.prod((len(shape), *shape)), dtype=float).reshape(len(shape), *shape)
    arrays = [np.transpose(table, [*players[player:], *players[:player]]) for player, table in enumerate(ours)]
    with pytest.raises(ValueError, match="got nested sequences .*; if each .*, as in QuantEcon: ") as told:
        gk.NormalFormGame(arrays)
    again = eval(str(told.value).rpartition("QuantEcon: ")[2], {"numpy": np, "arrays": arrays})  # noqa: S307
    np.testing.assert_array_equal(again, ours)


def test_names_fit_the_game():
    game = gk.games.chicken()
    named = game.with_names(Names(("a", "b"), (("x", "y"), ("z", "w")), "chicken"))
    assert named.names.title == "chicken" and game.names is None
    for made in (jax.tree.map(lambda leaf: leaf, named), copy.deepcopy(named), pickle.loads(pickle.dumps(named))):  # noqa: S301
        assert made.names is None
        np.testing.assert_array_equal(made.payoffs, game.payoffs)
    assert gk.stack([named, gk.NormalFormGame(game.payoffs)]).payoffs.shape == (2, 2, 2, 2)
    assert jax.tree.structure(named) == jax.tree.structure(gk.NormalFormGame(game.payoffs))
    for wrong in (Names(("a", "b"), (("x", "y"), ("z",))), Names(("a",), (("x", "y"), ("z", "w")))):
        with pytest.raises(ValueError, match=r"names: got \d players of .* actions, takes \[2, 2\]"):
            game.with_names(wrong)


def test_lost_precision_is_logged(caplog):
    with jax.enable_x64(False):
        assert as_float_array("payoffs", np.zeros(3, dtype=np.float64)).dtype == jnp.float32
    assert "payoffs: a float64 array became float32" in caplog.text


@pytest.mark.parametrize("value", [np.array([[1 + 5j, 2]]), [["a", "b"]], np.array([[None, 1.0]]), [[True, False]]])
def test_what_is_no_real_number(value):
    with pytest.raises(ValueError, match="payoffs: got dtype .*, takes real numbers"):
        gk.NormalFormGame(value)


@pytest.mark.parametrize("code", [gk.Status, gk.PointKind])
def test_an_arrays_entry_gives_its_member(code):
    numbers = np.arange(len(code), dtype=np.int32)
    for kind in (numbers, jnp.asarray(numbers)):
        assert [code(entry) for entry in kind] == list(code)
    for wrong in (len(code), jnp.int32(len(code)), 0.5, "converged"):
        with pytest.raises(ValueError, match=f"is not a valid {code.__name__}"):
            code(wrong)
