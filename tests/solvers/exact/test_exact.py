"""solve_nash_exact: unregularised equilibria of two-player games."""

import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.solvers.exact.supports import solve_by_supports


def test_perturbed_rock_paper_scissors():
    """(1, 3, 3) / 7: the kernel of the antisymmetric payoffs."""
    solution = gk.solve_nash_exact(gk.games.perturbed_rock_paper_scissors())
    for policy in solution.policy:
        np.testing.assert_allclose(policy, np.array([1, 3, 3]) / 7, atol=1e-12)
    assert solution.status == gk.Status.converged


@pytest.mark.parametrize("shape", [(2, 2), (5, 9), (40, 30)])
def test_zero_sum_games_of_any_size(shape):
    for seed in range(10):
        game = gk.games.zero_sum(jax.random.key(seed), shape)
        solution = gk.solve_nash_exact(game)
        assert np.all(gk.nash_gap(game, solution.log_policy) <= 1e-9)
        shifted = gk.NormalFormGame(game.payoffs + jnp.asarray([3.0, -1.0])[:, None, None])
        assert np.all(gk.nash_gap(shifted, gk.solve_nash_exact(shifted).log_policy) <= 1e-9)


@pytest.mark.parametrize("shape", [(2, 2), (2, 5), (5, 4), (8, 8), (12, 12), (20, 20)])
def test_general_sum_games(shape):
    for seed in range(10):
        game = gk.games.normal(jax.random.key(seed), shape)
        solution = gk.solve_nash_exact(game)
        assert solution.status == gk.Status.converged
        assert np.all(gk.nash_gap(game, solution.log_policy) <= 1e-9)
        np.testing.assert_allclose(solution.gap, gk.nash_gap(game, solution.log_policy), atol=1e-9)


def test_degenerate_games_have_equilibria_too():
    rng = np.random.default_rng(0)
    for _ in range(300):
        payoffs = rng.integers(0, 3, (2, *rng.integers(1, 5, 2))).astype(float)
        game = gk.NormalFormGame(payoffs)
        solution = gk.solve_nash_exact(game)
        assert np.all(gk.nash_gap(game, solution.log_policy) <= 1e-9), payoffs.tolist()


def test_a_batch_is_its_games_one_by_one():
    games = [gk.games.uniform(jax.random.key(seed), (3, 4)) for seed in range(50)]
    batch = solve_by_supports(np.stack([game.payoffs for game in games]).reshape(5, 10, 2, 3, 4))
    assert batch.policy[0].shape == (5, 10, 3)
    for index, game in enumerate(games):
        single = gk.solve_nash_exact(game)
        np.testing.assert_allclose(batch.policy[0].reshape(50, 3)[index], single.policy[0], atol=1e-12)
        np.testing.assert_allclose(batch.policy[1].reshape(50, 4)[index], single.policy[1], atol=1e-12)


def test_equilibria_agree_with_gambit():
    pygambit = gambit_helpers.pygambit()
    for seed in range(20):
        game = gk.games.uniform(jax.random.key(seed), (3, 4))
        theirs = gambit_helpers.table(*np.asarray(game.payoffs))
        equilibria = pygambit.nash.enummixed_solve(theirs, rational=False).equilibria
        profiles = [np.concatenate(gambit_helpers.policies(theirs, entry)) for entry in equilibria]
        ours = np.concatenate(gk.solve_nash_exact(game).policy)
        assert min(np.abs(profile - ours).max() for profile in profiles) < 1e-7


def test_what_it_does_not_take():
    with pytest.raises(ValueError, match="game: got 3 players, takes 2"):
        gk.solve_nash_exact(gk.games.uniform(jax.random.key(0), (2, 2, 2)), which="lemke_howson")
    with pytest.raises(ValueError, match="game: got 3 players, takes 2"):
        jax.vmap(gk.solve_nash_exact)(gk.stack([gk.games.uniform(jax.random.key(0), (2, 2, 2))] * 2))
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        gk.solve_nash_exact(gk.NormalFormGame(np.full((2, 2, 2), np.nan)))
