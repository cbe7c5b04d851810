"""Folds and branching points of batches of paths, beside extended systems in 50 digits and closed forms."""

from functools import partial

import jax
import numpy as np
import pytest
import singular_digits

import gamekl as gk

TEMPERATURE = 0.02
SIZE = 40


def trace(payoffs):
    games = jax.vmap(gk.NormalFormGame)(payoffs)
    anchors = jax.vmap(partial(gk.Regularizer.uniform, temperature=TEMPERATURE))(games)
    paths = gk.trace_batch(games, anchors, max_points=256)
    assert (paths.status == gk.Status.converged).all()
    return paths


def singular_points(payoffs):
    """Of each path the kind, lambda and log-policies of its singular points."""
    paths = trace(payoffs)
    kinds, temperatures = np.asarray(paths.points.kind), np.asarray(paths.points.temperature)[..., 0]
    logs = [np.asarray(entry) for entry in paths.points.log_policy]
    return [
        [
            (
                gk.PointKind(kinds[game, place]).name,
                1 / temperatures[game, place],
                [entry[game, place] for entry in logs],
            )
            for place in np.flatnonzero(kinds[game])
        ]
        for game in range(len(payoffs))
    ]


@pytest.fixture(scope="module")
def traced():
    """Three players with 4, 4 and 2 actions.

    Games in which the first two are alike, games with an even block, any games, and one in which the first two gain by
    the same action. In the second and the last the third plays no role.
    """
    random = np.random.default_rng(1)
    first, third = random.uniform(size=(2, SIZE, 4, 4, 2))
    alike = np.stack([first, first.swapaxes(1, 2), third + third.swapaxes(1, 2)], axis=1)
    any_ = random.uniform(size=(SIZE, 3, 4, 4, 2))
    even = np.zeros((SIZE + 1, 3, 4, 4, 2))
    even[:SIZE, :2] = singular_digits.with_even_block(random, SIZE)[..., None]
    even[SIZE, :2] = np.eye(4)[:, :, None]
    payoffs = np.concatenate([alike, any_, even])
    return payoffs, singular_points(payoffs)


def assert_as_in_digits(payoffs, points, kind, fewest, solve):
    """Each point of this kind is the root beside it, which is of this kind."""
    checked = 0
    for game, found in enumerate(points):
        for name, precision, logs in found:
            if name == kind and checked < fewest + 2:
                root = solve(payoffs[game], logs, precision)
                assert root.converged and root.kind == kind
                np.testing.assert_allclose(precision, root.precision, rtol=1e-10)
                np.testing.assert_allclose(np.exp(np.concatenate(logs)), root.policies, atol=1e-8)
                checked += 1
    assert checked >= fewest


@pytest.mark.parametrize(("group", "kind"), [(0, "pitchfork"), (2, "transcritical")])
def test_branching_points(traced, group, kind):
    """By Moore's system, whose second derivatives tell the two kinds apart."""
    rows = slice(group * SIZE, (group + 1) * SIZE)
    payoffs, points = (entry[rows] for entry in traced)
    assert_as_in_digits(payoffs, points, kind, 6, singular_digits.branching)
    other = {"pitchfork": "transcritical", "transcritical": "pitchfork"}[kind]
    assert other not in [name for found in points for name, *_ in found]


def test_folds(traced):
    payoffs, points = (entry[SIZE : 2 * SIZE] for entry in traced)
    assert {name for found in points for name, *_ in found} == {"fold"}
    # The path begins upwards and ends upwards.
    assert all(len(found) % 2 == 0 for found in points)
    assert_as_in_digits(payoffs, points, "fold", 4, singular_digits.fold)


@pytest.mark.parametrize("seed", range(5))
def test_a_path_that_stays_does_not_leave_beside_a_crossing(seed):
    """Nor is a crossing met twice: of 4 x 4 games whose path mixes three actions evenly, some with close branches."""
    payoffs = np.zeros((3 * SIZE, 3, 4, 4, 2))
    payoffs[:, :2] = singular_digits.with_even_block(np.random.default_rng(seed), 3 * SIZE)[..., None]
    points = trace(payoffs).points
    for log_policy in points.log_policy[:2]:
        assert np.nanmax(np.ptp(np.exp(log_policy[..., 1:]), axis=-1)) < 1e-8
    crossing = np.isin(points.kind, [gk.PointKind.pitchfork, gk.PointKind.transcritical, gk.PointKind.multiple])
    precisions = [1 / of[on] for of, on in zip(np.asarray(points.temperature[..., 0]), crossing, strict=True)]
    assert sum(len(found) > 1 for found in precisions) >= 3
    assert min(np.min(np.diff(found) / found[1:], initial=1) for found in precisions) > 1e-5


def test_several_branches_at_once(traced):
    """Of n actions on which two agree, at lambda n, where the path at even odds meets branches for each subset."""
    [(name, precision, logs)] = traced[1][-1]
    assert name == "multiple"
    np.testing.assert_allclose(precision, 4, rtol=1e-10)
    np.testing.assert_allclose(np.exp(np.concatenate(logs)), [0.25] * 8 + [0.5] * 2, atol=1e-8)


def test_a_point_beside_is_told():
    """The systems' roots are beside the point that is given, and what is no singular point is far from them."""
    payoffs = np.stack([np.eye(2)] * 2)
    logs = [np.log([0.5 + 1e-6, 0.5 - 1e-6])] * 2
    root = singular_digits.branching(payoffs, logs, 2 + 1e-6)
    assert root.converged and root.kind == "pitchfork" and root.precision == 2
    np.testing.assert_allclose(root.policies, 0.5, rtol=1e-15)
    # Without a crossing the unfolding does not vanish: here the players' payoffs are no longer symmetric.
    payoffs[0, 0, 0] += 0.01
    assert not singular_digits.branching(payoffs, logs, 2.0).converged
