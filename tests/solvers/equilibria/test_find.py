"""Equilibria from many starts: closed forms, known counts, exact enumeration, eigenvalues and 50 digits."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from helpers import action_values_by_definition

import gamekl as gk

KEY = jax.random.key(0)
# McKelvey and McLennan's game of nine equilibria, payoffs at actions (1, 1, 1), (2, 2, 1), (2, 1, 2) and (1, 2, 2).
NINE = np.zeros((3, 2, 2, 2))
NINE[:, 0, 0, 0], NINE[:, 1, 1, 0], NINE[:, 1, 0, 1], NINE[:, 0, 1, 1] = (9, 8, 12), (9, 8, 2), (3, 4, 6), (3, 4, 6)


def uniform(payoffs, temperature):
    game = gk.NormalFormGame(payoffs)
    return game, gk.Regularizer.uniform(game, temperature)


def kept(found):
    """The policies of what was found, joined, one row each."""
    number = int(found.number)
    return np.concatenate([np.asarray(entry)[:number] for entry in found.policy], axis=1)


def response(payoffs, policy, temperature):
    """The logit response to a profile, by definition."""
    parts = []
    for value in action_values_by_definition(payoffs, policy):
        weights = np.exp((value - value.max()) / temperature)
        parts.append(weights / weights.sum())
    return parts


def test_coordination_has_three_or_one():
    found = gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), 0.45), KEY)
    order = np.argsort(kept(found)[:, 0])
    np.testing.assert_allclose(kept(found)[order, 0], [0.2372852, 0.5, 0.7627148], atol=1e-7)
    np.testing.assert_array_equal(np.asarray(found.index)[:3][order], [1, -1, 1])
    np.testing.assert_array_equal(np.asarray(found.stable)[:3][order], [1, -1, 1])
    np.testing.assert_array_equal(np.asarray(found.flows)[:3][order], [1, -1, 1])
    assert not found.unique and not found.incomplete
    # The first is the principal one.
    np.testing.assert_allclose(found.policy[0][0], 0.5, atol=1e-12)
    alone = gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), 0.6), KEY)
    assert alone.number == 1 and alone.unique and alone.hits[0] == 64


def test_starts_of_ones_own():
    """One start finds the principal equilibrium; the path's other branches, to both sides, lead to the two others."""
    game, regularizer = uniform(np.stack([np.eye(2)] * 2), 0.45)
    alone = gk.find_equilibria(game, regularizer, KEY, num_starts=1)
    assert alone.number == 1
    sides = [
        gk.trace(game, regularizer, at_branching="cross", direction=[sign * np.array([1.0, 0]), np.zeros(2)])
        for sign in (1, -1)
    ]
    branches = tuple(np.concatenate(entries) for entries in zip(*[side.log_policy for side in sides], strict=True))
    found = gk.find_equilibria(game, regularizer, KEY, num_starts=1, initial=branches)
    np.testing.assert_allclose(sorted(kept(found)[:, 0]), [0.2372852, 0.5, 0.7627148], atol=1e-7)
    np.testing.assert_array_equal(found.hits[:3], 1)
    pure = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    found = gk.find_equilibria(game, regularizer, KEY, num_starts=1, initial=[pure, pure])
    np.testing.assert_allclose(sorted(kept(found)[:, 0]), [0.2372852, 0.5, 0.7627148], atol=1e-7)


@pytest.mark.parametrize(
    ("initial", "error", "message"),
    [
        (3, TypeError, r"initial: got int, takes one \[start, actions\] array for each player|parameter 'initial'"),
        ([np.zeros((1, 2))], ValueError, r"initial: got shapes \[\(1, 2\)\], takes one"),
        ([np.log([[0.5, 0.5]]), np.log([[0.5, 0.6]])], ValueError, r"initial\[1, 0\]: got a sum of 1.1"),
    ],
)
def test_starts_that_it_does_not_take(initial, error, message):
    with pytest.raises(error, match=message):
        gk.find_equilibria(*uniform(np.zeros((2, 2, 2)), 0.45), KEY, initial=initial)


@pytest.mark.parametrize("temperature", [0.1, 0.03, 0.01])
def test_mckelvey_and_mclennans_nine(temperature):
    found = gk.find_equilibria(*uniform(NINE, temperature), KEY, num_starts=512)
    policies = kept(found)
    assert len(policies) == 9 and np.asarray(found.index)[:9].sum() == 1 and not found.incomplete
    apart = np.abs(policies[:, None] - policies).max(axis=2) + np.eye(9)
    assert apart.min() > 1e-3
    for row in policies:
        parts = np.split(row, 3)
        np.testing.assert_allclose(np.concatenate(response(NINE, parts, temperature)), row, atol=1e-9)
    assert np.isfinite(np.asarray(found.error)[:9]).all()


@pytest.mark.parametrize("temperature", [0.2, 0.05])
def test_stability_is_that_of_the_eigenvalues(temperature):
    """Of the responses' derivative, by differences."""
    for seed in range(3):
        payoffs = np.random.default_rng(seed).uniform(size=(3, 2, 3, 2)) * 2
        found = gk.find_equilibria(*uniform(payoffs, temperature), KEY, num_starts=128)
        for row, policy in enumerate(kept(found)):

            def respond(joined, payoffs=payoffs):
                return np.concatenate(response(payoffs, np.split(joined, [2, 5]), temperature))

            steps = 1e-6 * np.eye(7)
            slopes = np.stack([(respond(policy + step) - respond(policy - step)) / 2e-6 for step in steps], axis=1)
            # Directions within the simplices.
            tangent = np.zeros((7, 4))
            tangent[0, 0], tangent[1, 0] = 1, -1
            tangent[2:5, 1:3] = [[1, 0], [-1, 1], [0, -1]]
            tangent[5, 3], tangent[6, 3] = 1, -1
            inner = np.linalg.lstsq(tangent, slopes @ tangent, rcond=None)[0]
            largest = np.linalg.eigvals(inner).real.max()
            assert found.stable[row] == (1 if largest < 1 else -1)
            assert found.index[row] == np.sign(np.linalg.det(np.eye(4) - inner))


def test_regular_exact_equilibria_have_one_nearby():
    """As the temperature falls, each regular equilibrium is the end of one branch (theory of regular equilibria)."""
    for seed in range(4):
        game, regularizer = uniform(np.random.default_rng(seed).integers(0, 50, size=(2, 3, 3)).astype(float), 0.02)
        exact = gk.enumerate_nash(game)
        found = kept(gk.find_equilibria(game, regularizer, KEY, num_starts=256))
        theirs = np.concatenate([np.asarray(entry) for entry in exact.policy], axis=1)
        assert len(theirs) % 2 == 1 and len(found) == len(theirs)
        for row in theirs:
            assert np.abs(found - row).max(axis=1).min() < 0.05


def test_balls_hold_the_equilibrium_in_50_digits():
    payoffs = np.random.default_rng(5).uniform(size=(2, 4, 3))
    temperature = 0.05
    found = gk.find_equilibria(*uniform(payoffs, temperature), KEY)
    assert found.number >= 1
    for row in range(int(found.number)):
        logs = [np.asarray(entry)[row] for entry in found.log_policy]
        assert float(found.error[row]) < float(found.radius[row])
        for mine, exact in zip(logs, _in_digits(payoffs, logs, temperature), strict=True):
            off = max(abs(mpmath.mpf(float(a)) - b) for a, b in zip(mine - mine.mean(), exact, strict=True))
            assert off <= float(found.error[row]) + 1e-14


def _in_digits(payoffs, log_policies, temperature):
    """Centred logits of the equilibrium nearby, by responses and Newton's method in 50 digits."""
    with mpmath.workdps(50):
        tables = [mpmath.matrix(payoffs[0].tolist()), mpmath.matrix(payoffs[1].T.tolist())]
        sizes = [len(entry) for entry in log_policies]

        def parts(z):
            return [z[: sizes[0]], z[sizes[0] :]]

        def centred(part):
            return [entry - sum(part) / len(part) for entry in part]

        def residual(z):
            policies = []
            for part in parts(z):
                weights = [mpmath.exp(entry) for entry in part]
                policies.append([weight / sum(weights) for weight in weights])
            off = []
            for table, own, other in zip(tables, parts(z), reversed(policies), strict=True):
                values = centred([sum(table[i, j] * other[j] for j in range(table.cols)) for i in range(table.rows)])
                off += [entry - value / mpmath.mpf(temperature) for entry, value in zip(own, values, strict=True)]
            return off

        z = [mpmath.mpf(float(entry)) for logs in log_policies for entry in centred(logs.tolist())]
        for _ in range(6):
            off, step = residual(z), mpmath.mpf(10) ** -25
            table = mpmath.matrix(len(z), len(z))
            for place in range(len(z)):
                moved = [entry + step * (place == index) for index, entry in enumerate(z)]
                for line, (new, old) in enumerate(zip(residual(moved), off, strict=True)):
                    table[line, place] = (new - old) / step
            change = mpmath.lu_solve(table, mpmath.matrix(off))
            z = [entry - change[index] for index, entry in enumerate(z)]
        assert max(abs(entry) for entry in residual(z)) < mpmath.mpf(10) ** -30
        return parts(z)


def test_divergence_welfare_and_gap_are_by_definition():
    game, regularizer = uniform(NINE, 0.5)
    found = jax.tree.map(np.asarray, gk.find_equilibria(game, regularizer, KEY, num_starts=512))
    for row in range(int(found.number)):
        logs = [entry[row] for entry in found.log_policy]
        policy = [np.exp(entry) for entry in logs]
        values = action_values_by_definition(NINE, policy)
        welfare = sum(float(own @ value) for own, value in zip(policy, values, strict=True))
        np.testing.assert_allclose(found.welfare[row], welfare, rtol=1e-10)
        divergence = [float(own @ (np.log(own) + np.log(2))) for own in policy]
        np.testing.assert_allclose(found.divergence[row], divergence, atol=1e-10)
        np.testing.assert_allclose(found.gap[row], gk.regularized_gap(game, regularizer, logs), atol=1e-12)


def test_vmap_and_batch_agree_with_single_calls():
    """In a batch the last game is searched in float64, as alone and under vmap, and the others in float32."""
    payoffs = jnp.asarray(np.random.default_rng(0).uniform(size=(4, 2, 3, 3)))
    games = jax.vmap(gk.NormalFormGame)(payoffs)
    anchors = jax.vmap(gk.Regularizer.uniform)(games, jnp.array([0.1, 0.05, 0.02, 0.005]))
    batch = gk.find_equilibria_batch(games, anchors, KEY)
    keys = jax.random.split(KEY, 4)
    many = jax.vmap(partial(gk.find_equilibria, throw=False))(games, anchors, keys)
    for row in range(4):
        game, anchor = jax.tree.map(lambda leaf, row=row: leaf[row], (games, anchors))
        alone = gk.find_equilibria(game, anchor, keys[row])
        for other in (batch, many):
            assert int(other.number[row]) == int(alone.number)
            for mine, theirs in zip(alone.policy, other.policy, strict=True):
                np.testing.assert_allclose(theirs[row], mine, atol=1e-9)


def test_a_missing_one_is_told():
    """With one start only, on the branch that has lost its index, the sum is not 1."""
    found = gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), 0.3), KEY, num_starts=1)
    assert found.number == 1 and found.index[0] == -1 and found.incomplete


def test_where_branches_meet_there_is_one_without_a_ball():
    """The triple solution of coordination at temperature .5 is found once, and nothing is proven of it."""
    found = gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), 0.5), KEY)
    assert found.number == 1 and found.radius[0] == 0 and np.isinf(found.error[0])
    np.testing.assert_allclose(found.policy[0][0], 0.5, atol=1e-4)


def test_a_bad_game_stays_alone():
    payoffs = jnp.stack([jnp.stack([jnp.eye(2)] * 2)] * 3).at[1, 0, 0, 0].set(jnp.nan)
    many = jax.vmap(lambda payoffs: gk.find_equilibria(*uniform(payoffs, 0.45), KEY, throw=False))(payoffs)
    np.testing.assert_array_equal(many.status, [0, gk.Status.nonfinite_input, 0])
    np.testing.assert_array_equal(many.number, [3, 0, 3])
    assert not many.incomplete.any()


def test_there_are_no_derivatives():
    with pytest.raises(ValueError, match="Linearization failed|differentia"):
        jax.grad(lambda payoffs: gk.find_equilibria(*uniform(payoffs, 0.6), KEY, throw=False).residual[0])(
            jnp.stack([jnp.eye(2)] * 2)
        )


def test_room_for_too_few_is_told():
    found = gk.find_equilibria(*uniform(NINE, 0.1), KEY, num_starts=512, max_equilibria=4)
    assert int(found.number) > 4 and found.policy[0].shape == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_starts": 0}, "num_starts: got 0, takes a whole number from 1"),
        ({"max_equilibria": 0}, "max_equilibria: got 0"),
        ({"tol": -1.0}, "tol"),
    ],
)
def test_what_it_does_not_take(arguments, message):
    with pytest.raises(ValueError, match=message):
        gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), 0.3), KEY, **arguments)


def test_what_is_no_key_and_no_temperature():
    game, regularizer = uniform(np.stack([np.eye(2)] * 2), 0.3)
    for find in (gk.find_equilibria, gk.find_equilibria_batch):
        given = (game, regularizer) if find is gk.find_equilibria else gk.stack([(game, regularizer)])
        with pytest.raises(TypeError, match="key: got 0, takes a jax random key|parameter 'key'"):
            find(*given, 0)
    wrong = gk.find_equilibria(*uniform(np.stack([np.eye(2)] * 2), -1.0), KEY, throw=False)
    assert wrong.status == gk.Status.invalid_input and wrong.number == 0 and not wrong.unique
