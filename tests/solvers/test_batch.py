"""solve_nash_batch on mixed batches: every game gets what it would get alone, and bad games stay alone.

test_sharing compares the bits of more shapes, and those under ``jax.vmap``.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_traces import counted

import gamekl as gk
from gamekl.solvers import batch as driver

SIZE = 64


def mixed_batch(shape, size):
    """Random games and references, temperatures of 0.02 to 1 for each player; every fifth game masks an action."""

    def one(key, index):
        keys = jax.random.split(key, len(shape) + 2)
        first, *others = (jax.random.dirichlet(k, jnp.ones(n)) for k, n in zip(keys[2:], shape, strict=True))
        masked = first.at[0].set(0) / (1 - first[0])
        references = [jnp.log(jnp.where(index % 5 == 4, masked, first)), *map(jnp.log, others)]
        temperatures = 0.02 * 50 ** jax.random.uniform(keys[1], (len(shape),))
        return gk.games.uniform(keys[0], shape), gk.Regularizer(references, temperatures)

    return jax.vmap(one)(jax.random.split(jax.random.key(0), size), jnp.arange(size))


def rows(batch, index):
    return jax.tree.map(lambda leaf: leaf[index], batch)


def assert_same_bits(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def assert_each_as_alone(batch, solution, games):
    for game in games:
        together, alone = rows(solution, game), gk.solve_nash(*rows(batch, game))
        for ours, theirs in zip(together.policy, alone.policy, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-9)
        for ours, theirs in zip(jax.tree.leaves(together.path), jax.tree.leaves(alone.path), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert together.status == alone.status == gk.Status.converged
        assert together.residual <= 1e-9


@pytest.fixture(scope="module")
def batch():
    return mixed_batch((2, 2), SIZE)


@pytest.fixture(scope="module")
def solution(batch):
    return gk.solve_nash_batch(*batch)


def test_each_game_gets_what_it_would_get_alone(batch, solution):
    assert_each_as_alone(batch, solution, range(SIZE))
    np.testing.assert_array_equal(solution.policy[0][:, 0] == 0, np.arange(SIZE) % 5 == 4)


def test_each_game_of_four_players_gets_what_it_would_get_alone():
    batch = mixed_batch((2, 2, 2, 2), 40)
    assert_each_as_alone(batch, gk.solve_nash_batch(*batch), range(0, 40, 3))


def test_large_games_have_the_same_bits_in_any_company():
    """More than 24 actions go to batched products and LAPACK."""
    batch = mixed_batch((26, 25), 12)
    solution = gk.solve_nash_batch(*batch)
    broken = eqx.tree_at(lambda tree: tree[0].payoffs, batch, batch[0].payoffs.at[1::2].set(jnp.nan))
    assert_same_bits(rows(gk.solve_nash_batch(*broken), slice(0, 12, 2)), rows(solution, slice(0, 12, 2)))
    assert_same_bits(gk.solve_nash_batch(*rows(batch, slice(3))), rows(solution, slice(3)))


def test_batches_of_any_size_have_the_same_bits_and_compile_once_for_each_length_of_chunk(monkeypatch):
    compilations = counted(monkeypatch, driver, "solve_problems")
    large = mixed_batch((2, 2), 1000)
    whole = gk.solve_nash_batch(*large)
    assert np.all(whole.status == gk.Status.converged)
    assert len(compilations) <= 1
    for size in (999, 900):
        assert_same_bits(gk.solve_nash_batch(*rows(large, slice(size))), rows(whole, slice(size)))
    assert len(compilations) <= 1
    for size in (1, 3, SIZE, 100):
        assert_same_bits(gk.solve_nash_batch(*rows(large, slice(size))), rows(whole, slice(size)))
    assert len(compilations) <= 2


def test_no_game_is_no_trouble(batch, solution):
    empty = gk.solve_nash_batch(*rows(batch, slice(0)))
    assert_same_bits(empty, rows(solution, slice(0)))


def test_order_and_devices_change_no_bit(batch, solution):
    order = np.random.default_rng(0).permutation(SIZE)
    assert_same_bits(gk.solve_nash_batch(*rows(batch, order)), rows(solution, order))
    assert_same_bits(gk.solve_nash_batch(*batch, devices=jax.devices()[:1]), solution)


def test_bad_games_change_no_bit_of_the_others(batch, solution):
    """Each has its own status: what is not finite comes before what makes no sense."""
    games, anchors = batch
    payoffs = games.payoffs.at[3, 0, 1, 1].set(jnp.nan).at[14].set(jnp.inf).at[25, 1, 0, 0].set(-jnp.inf)
    reference = anchors.log_reference[1].at[36].set(jnp.nan).at[40].set(0.0).at[41, 0].set(jnp.inf)
    temperature = anchors.temperature.at[42].set(jnp.nan).at[43, 1].set(0.0).at[44].set(-1.0).at[45].set(jnp.inf)
    broken = eqx.tree_at(
        lambda tree: (tree[0].payoffs, tree[1].log_reference[1], tree[1].temperature),
        batch,
        (payoffs, reference, temperature),
    )
    found = gk.solve_nash_batch(*broken)
    expected = np.full(SIZE, gk.Status.converged)
    expected[[3, 14, 25, 36, 41, 42, 45]] = gk.Status.nonfinite_input
    expected[[40, 43, 44]] = gk.Status.invalid_input
    np.testing.assert_array_equal(found.status, expected)
    good = expected == gk.Status.converged
    assert_same_bits(rows(found, good), rows(solution, good))
    with pytest.raises(gk.SolveError, match=r"game 3 \(10 of 64 games failed\): nonfinite_input: a payoff") as caught:
        gk.solve_nash_batch(*broken, throw=True)
    assert caught.value.solution.status == gk.Status.nonfinite_input


def test_float32_batches_solve_in_float32(batch, solution):
    rough = gk.solve_nash_batch(*jax.tree.map(lambda leaf: leaf.astype(jnp.float32), batch))
    assert rough.log_policy[0].dtype == rough.residual.dtype == jnp.float32
    assert np.all(rough.status == gk.Status.converged)
    for ours, theirs in zip(rough.policy, solution.policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_every_game_may_have_a_guess_and_a_tolerance_of_its_own(batch, solution):
    near = [jax.nn.log_softmax(entry + jnp.asarray([0.0, 0.01])) for entry in solution.log_policy]
    tol = np.where(np.arange(SIZE) % 2, 1e-6, 0.0)
    warm = gk.solve_nash_batch(*batch, initial=near, tol=tol)
    np.testing.assert_array_equal(np.asarray(warm.status) == gk.Status.converged, np.asarray(warm.residual) <= tol)
    assert np.all(warm.path.crossings == 0)
    assert np.median(warm.num_steps) <= 4
    for ours, theirs in zip(warm.policy, solution.policy, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert np.all(gk.solve_nash_batch(*batch, initial=near, tol=1).status == gk.Status.converged)


def test_errors_name_the_field(batch):
    games, anchors = batch
    small = rows(batch, slice(5))
    for arguments, options, message in [
        (rows(batch, 0), {}, r"games.payoffs: got shape \(2, 2, 2\), takes \[batch, player, \*actions\]"),
        (
            (games, rows(anchors, 0)),
            {},
            r"regularizers.temperature: got shape \(2,\), takes a leading axis of 64 games",
        ),
        ((games, small[1]), {}, r"regularizers.temperature: got shape \(5, 2\), takes a leading axis of 64 games"),
        (small, {"refine": "float16"}, "refine: got 'float16', takes 'float64' or None"),
        (small, {"tol": np.ones(4)}, r"tol: got shape \(4,\), takes \(5,\)"),
        (small, {"tol": -1.0}, "tol: got -1.0, takes a number >= 0"),
        (small, {"max_steps": 0}, "max_steps: got 0, takes a whole number from 1"),
        (small, {"devices": []}, "devices: got none"),
        (small, {"initial": rows(anchors, 0).log_reference}, r"initial: got shapes .*, takes \[batch, actions\]"),
    ]:
        with pytest.raises(ValueError, match=message):
            gk.solve_nash_batch(*arguments, **options)
    with pytest.raises(TypeError):
        gk.solve_nash_batch(games, anchors.log_reference)
