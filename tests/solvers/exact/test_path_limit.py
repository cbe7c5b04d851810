"""Where the logit path leads: what max_entropy_nash and solve_nash_exact return of three and more players."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition
from test_several_players import IRRATIONAL, NINE

import gamekl as gk


def away(ours, theirs):
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)))) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 2, 3)])
def test_it_is_an_equilibrium_and_the_path_goes_there(shape):
    """The path at lower temperatures is nearer to it, in proportion; it is among all that there are."""
    rng = np.random.default_rng(0)
    for _ in range(6):
        game = gk.NormalFormGame(rng.uniform(size=(3, *shape)))
        found = gk.max_entropy_nash(game)
        assert isinstance(found, gk.PathLimit) and int(found.status) == gk.Status.converged
        assert bool(found.regular) and float(found.epsilon) < 1e-14
        assert np.all(gk.nash_gap(game, found.log_policy) <= 1e-14)
        every = gk.enumerate_nash(game)
        assert min(away(found.policy, [own[k] for own in every.policy]) for k in range(len(every))) < 1e-12
        near = [gk.solve_nash(game, gk.Regularizer.uniform(game, t)).policy for t in (1e-3, 1e-4)]
        first, second = (away(policy, found.policy) for policy in near)
        assert second <= max(first / 5, 1e-12) and first < 0.05
        assert float(found.distance) <= second + 1e-12
        assert 0 < float(found.path.temperature[0]) <= 1e-5
        expected = [-float(np.sum(own * np.log(np.where(own > 0, own, 1)))) for own in map(np.asarray, found.policy)]
        np.testing.assert_allclose(found.entropy, expected, atol=1e-14)
        np.testing.assert_allclose(found.divergence, np.log(shape) - found.entropy, atol=1e-14)
        np.testing.assert_array_equal(found.duality_gap, found.divergence)


def test_the_reference_decides():
    """Three who all want to be at the same place end where they tend to go; alike, they mix evenly."""
    payoffs = np.zeros((3, 2, 2, 2))
    payoffs[:, 0, 0, 0], payoffs[:, 1, 1, 1] = 1, 1
    game = gk.NormalFormGame(payoffs)
    for share, expected in ((0.6, 1), (0.4, 0), (0.5, 0.5)):
        found = gk.max_entropy_nash(game, [np.log([share, 1 - share])] * 3)
        assert int(found.status) == gk.Status.converged and float(found.epsilon) == 0
        np.testing.assert_array_equal([own[0] for own in found.policy], expected)
        chosen = {1: share, 0: 1 - share, 0.5: 1}[expected]
        np.testing.assert_allclose(found.divergence, -np.log(chosen), atol=1e-12)
    with np.errstate(divide="ignore"):  # The third may not leave the first place, so that there is nothing elsewhere.
        found = gk.max_entropy_nash(game, [np.log([0.2, 0.8]), np.log([0.2, 0.8]), np.log([1.0, 0.0])])
    np.testing.assert_array_equal([own[0] for own in found.policy], 1)
    np.testing.assert_allclose(found.divergence, [np.log(5), np.log(5), 0], atol=1e-12)


def test_what_is_not_isolated():
    """Where nothing matters the path stays at the reference."""
    game = gk.NormalFormGame(np.zeros((3, 2, 3, 2)))
    found = gk.max_entropy_nash(game)
    assert int(found.status) == gk.Status.converged and float(found.epsilon) == 0 and not bool(found.regular)
    np.testing.assert_allclose(found.entropy, np.log([2, 3, 2]), atol=1e-9)


def test_other_precisions():
    exact = gk.max_entropy_nash(IRRATIONAL)
    single = gk.max_entropy_nash(gk.NormalFormGame(jnp.asarray(IRRATIONAL.payoffs, jnp.float32)))
    assert single.policy[0].dtype == jnp.float32 and away(single.policy, exact.policy) < 1e-6
    # What can be gained is that of the policies as they were rounded.
    shares = [np.exp(np.asarray(own, np.float64)) for own in single.log_policy]
    values = action_values_by_definition(np.asarray(IRRATIONAL.payoffs), [own / own.sum() for own in shares])
    gain = max(float(value.max() - value @ own / own.sum()) for value, own in zip(values, shares, strict=True))
    assert 0 < gain <= float(single.epsilon) * (1 + 1e-3) + 1e-15
    with jax.enable_x64(False):
        single = gk.max_entropy_nash(gk.NormalFormGame(jnp.asarray(IRRATIONAL.payoffs, jnp.float32)))
        assert int(single.status) == gk.Status.converged and bool(single.regular)
    assert away(single.policy, exact.policy) < 1e-6


def test_which_equilibrium_is_returned():
    found = {which: gk.solve_nash_exact(NINE, which=which) for which in ("smallest_support", "max_welfare")}
    for solution in found.values():
        assert int(solution.status) == gk.Status.converged and np.all(np.asarray(solution.gap) == 0)
        assert [float(own[0]) for own in solution.policy] == [1, 1, 1] and float(solution.residual) == 0
    for which in ("any", "max_entropy"):
        limit = gk.solve_nash_exact(NINE, which=which)
        assert isinstance(limit, gk.PathLimit) and int(limit.path.bifurcations) == 1
        assert [float(own[0]) for own in limit.policy] == [0.5, 0.5, 1]
    assert "PathLimit: converged" in repr(limit)


def test_what_it_does_not_take():
    with pytest.raises(ValueError, match="game: got 3 players, takes 2"):
        gk.solve_nash_exact(NINE, which="lemke_howson")
    with pytest.raises(ValueError, match=r"log_reference: got shapes \[\(3,\), \(2,\), \(2,\)\]"):
        gk.max_entropy_nash(NINE, [np.log(np.ones(3) / 3), np.log(np.ones(2) / 2), np.log(np.ones(2) / 2)])
    with pytest.raises(TypeError, match="which: got 'max_welfare' for a traced game, takes 'any'"):
        jax.jit(lambda game: gk.solve_nash_exact(game, which="max_welfare"))(gk.games.matching_pennies())
