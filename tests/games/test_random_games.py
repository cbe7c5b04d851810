"""Random games: shapes, moments and the structure of each family, and that the key alone decides."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk

FAMILIES = {
    "uniform": {},
    "normal": {},
    "zero_sum": {},
    "covariant": {"correlation": 0.3},
    "potential": {},
    "polymatrix": {},
}
SHAPES = [(2, 3), (3, 2, 4)]
CASES = [(name, shape) for name in FAMILIES for shape in SHAPES if name != "zero_sum" or len(shape) == 2]


def make(name, key, shape, **arguments):
    return getattr(gk.games, name)(key, shape, **FAMILIES[name], **arguments)


def drawn(name, seed, shape, **arguments):
    """The payoffs as a numpy array, drawn under jit."""
    constructor = jax.jit(lambda key: getattr(gk.games, name)(key, shape, **arguments).payoffs)
    return np.asarray(constructor(jax.random.key(seed)))


def flip(payoffs, axis):
    """Differences between neighbouring actions of one player."""
    return np.diff(payoffs, axis=axis)


@pytest.mark.parametrize("dtype", ["float32", "float64", None])
@pytest.mark.parametrize(("name", "shape"), CASES)
def test_shape_and_dtype(name, shape, dtype):
    game = make(name, jax.random.key(0), shape, dtype=dtype)
    assert game.payoffs.shape == (len(shape), *shape)
    assert game.payoffs.dtype == jnp.dtype(dtype or "float64")
    gk.validate(game)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_the_key_decides(name, shape):
    one, again, other = (make(name, jax.random.key(seed), shape).payoffs for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.any(np.isclose(one, other, atol=1e-12))


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_vmap_over_keys(name, shape):
    keys = jax.random.split(jax.random.key(1), 3)
    batch = jax.vmap(lambda key: make(name, key, shape))(keys)
    assert isinstance(batch, gk.NormalFormGame)
    for key, payoffs in zip(keys, np.asarray(batch.payoffs), strict=True):
        np.testing.assert_allclose(payoffs, make(name, key, shape).payoffs, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("name", "shape"), CASES)
def test_cells_differ(name, shape):
    """No payoff is used twice, but for the second player's in a zero-sum game."""
    payoffs = np.asarray(make(name, jax.random.key(5), shape).payoffs)
    values = payoffs[0] if name == "zero_sum" else payoffs
    assert len(np.unique(values)) == values.size


def test_uniform_range():
    payoffs = drawn("uniform", 0, (100, 100))
    assert 0 <= payoffs.min() < 0.001 and 0.999 < payoffs.max() <= 1
    np.testing.assert_allclose(payoffs.mean(), 0.5, atol=5 * (1 / 12 / payoffs.size) ** 0.5)
    shifted = drawn("uniform", 0, (100, 100), low=-3.0, high=5.0)
    assert -3 <= shifted.min() < -2.99 and 4.99 < shifted.max() <= 5


def test_normal_moments():
    payoffs = drawn("normal", 0, (100, 100))
    np.testing.assert_allclose(payoffs.mean(), 0, atol=5 * payoffs.size**-0.5)
    np.testing.assert_allclose(payoffs.var(), 1, atol=5 * (2 / payoffs.size) ** 0.5)
    np.testing.assert_allclose((payoffs**4).mean(), 3, atol=5 * (96 / payoffs.size) ** 0.5)


def test_zero_sum():
    payoffs = drawn("zero_sum", 0, (60, 70))
    np.testing.assert_array_equal(payoffs[0], -payoffs[1])
    assert -1 <= payoffs.min() < -0.99 and 0.99 < payoffs.max() <= 1


@pytest.mark.parametrize(
    ("players", "correlation"), [(2, -1.0), (2, -0.4), (2, 0.0), (2, 0.7), (2, 1.0), (3, -0.5), (3, 0.25), (4, -0.2)]
)
def test_covariant_correlation(players, correlation):
    """Standard normals with the asked correlation between any two players, and none between cells."""
    shape = (40, 40, 5, 5)[:players] if players > 2 else (100, 80)
    payoffs = drawn("covariant", 7, shape, correlation=correlation)
    cells = payoffs.reshape(players, -1)
    size = cells.shape[1]
    expected = np.full((players, players), correlation) + (1 - correlation) * np.eye(players)
    # Five standard errors of a sample covariance of normals.
    np.testing.assert_allclose(cells @ cells.T / size, expected, atol=5 * (2 / size) ** 0.5)
    np.testing.assert_allclose(cells.mean(axis=1), 0, atol=5 * size**-0.5)
    neighbours = cells[:, 1:] @ cells[:, :-1].T / (size - 1)
    np.testing.assert_allclose(neighbours, 0, atol=5 * size**-0.5)


@pytest.mark.parametrize("players", [2, 3, 5])
def test_covariant_at_its_ends(players):
    shape = (2,) * players
    together = drawn("covariant", 0, shape, correlation=1.0)
    np.testing.assert_allclose(together, np.broadcast_to(together[0], together.shape), rtol=0, atol=1e-14)
    against = drawn("covariant", 0, shape, correlation=-1 / (players - 1))
    np.testing.assert_allclose(against.sum(axis=0), 0, atol=1e-14)
    assert np.abs(against).max() > 0.1 and np.abs(together).max() > 0.1


@pytest.mark.parametrize(
    ("shape", "correlation"),
    [((2, 2), -1.01), ((2, 2), 1.01), ((2, 2, 2), -0.51), ((2, 2), float("nan")), ((3,), -0.1)],
)
def test_covariant_bounds(shape, correlation):
    with pytest.raises(ValueError, match=rf"correlation: got {correlation}, takes .* to 1 for {len(shape)} players"):
        gk.games.covariant(jax.random.key(0), shape, correlation=correlation)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 2, 3, 2)])
def test_potential_four_cycles(shape):
    """Monderer and Shapley 1996, Corollary 2.9: around every four-cycle of two players' changes the gains sum to 0."""

    def around(payoffs, i, j):
        return flip(flip(payoffs[i], i), j) - flip(flip(payoffs[j], j), i)

    potential = drawn("potential", 0, shape)
    anything = drawn("uniform", 0, shape)
    for i, j in itertools.combinations(range(len(shape)), 2):
        np.testing.assert_allclose(around(potential, i, j), 0, atol=1e-14)
        assert np.abs(around(anything, i, j)).max() > 0.1


def test_potential_is_not_common_interest():
    """The terms of the others' actions make payoffs differ, by the same amount whatever the player itself does."""
    first, second = drawn("potential", 0, (3, 4))
    assert np.abs(first - second).min() > 1e-6
    assert 0 <= min(first.min(), second.min()) and 1 < max(first.max(), second.max()) <= 2


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 2, 3, 2)])
def test_polymatrix_has_no_triple_interaction(shape):
    """Mixed differences across any three players vanish; across the player and one opponent they do not."""
    payoffs = drawn("polymatrix", 0, shape)
    anything = drawn("uniform", 0, shape)
    for player in range(len(shape)):
        for i, j, k in itertools.combinations(range(len(shape)), 3):
            np.testing.assert_allclose(flip(flip(flip(payoffs[player], i), j), k), 0, atol=1e-14)
            assert np.abs(flip(flip(flip(anything[player], i), j), k)).max() > 0.1
        for i, j in itertools.combinations(range(len(shape)), 2):
            mixed = np.abs(flip(flip(payoffs[player], i), j)).max()
            # Two opponents do not interact in the player's payoff, which is a sum over opponents.
            assert mixed > 0.01 if player in (i, j) else mixed < 1e-14


def test_polymatrix_range():
    for shape in [(30, 30), (20, 20, 20)]:
        payoffs = drawn("polymatrix", 0, shape)
        assert 0 <= payoffs.min() < 0.1 and 0.9 < payoffs.max() <= 1


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("shape", [(0, 2), (2, -1)])
def test_bad_sizes(name, shape):
    with pytest.raises(ValueError, match=r"num_actions: got .*, takes a number >= 1 for each player"):
        make(name, jax.random.key(0), shape)


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"zero_sum"}))
def test_no_player(name):
    with pytest.raises(ValueError, match="num_actions: got "):
        make(name, jax.random.key(0), ())


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"zero_sum", "polymatrix"}))
def test_one_player(name):
    assert make(name, jax.random.key(0), (3,)).num_actions == (3,)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2)])
def test_zero_sum_takes_two(shape):
    with pytest.raises(ValueError, match=f"num_actions: got {len(shape)} players, takes 2"):
        gk.games.zero_sum(jax.random.key(0), shape)


def test_polymatrix_takes_two():
    with pytest.raises(ValueError, match="num_actions: got 1 player, takes at least 2"):
        gk.games.polymatrix(jax.random.key(0), (3,))
