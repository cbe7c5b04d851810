"""solve_nash against closed forms and published values, statuses, and independence of neighbours.

The values are those of theory J1, J2, J3, J4 and J6.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition, dirichlet_regularizer, log

import gamekl as gk


@pytest.mark.parametrize("num_players", [2, 3, 5])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
@pytest.mark.parametrize("reference", [0.5, 0.9, 0.02])
def test_donation_game(num_players, temperature, reference):
    """Cooperation costs c whatever the others do: P(C) = sigmoid(logit reference - c / temperature)."""
    game = gk.games.donation(num_players, benefit=3.0, cost=1.0)
    regularizer = gk.Regularizer(log(*[[reference, 1 - reference]] * num_players), temperature)
    solution = gk.solve_nash(game, regularizer)
    expected = 1 / (1 + np.exp(-(np.log(reference / (1 - reference)) - 1 / temperature)))
    for policy in solution.policy:
        np.testing.assert_allclose(policy[0], expected, rtol=1e-9)


def test_donation_game_reference_value():
    game = gk.games.donation(5, benefit=2.0, cost=1.0)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.5))
    np.testing.assert_allclose(solution.policy[0][0], 0.1192029220, atol=1e-10)


def test_published_quantal_response_equilibrium():
    """Perturbed rock, paper, scissors rescaled to [0, 1]; value as published for temperature 0.1."""
    payoffs = gk.games.perturbed_rock_paper_scissors().payoffs / 6 + 0.5
    game = gk.NormalFormGame(payoffs)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1))
    for policy in solution.policy:
        np.testing.assert_allclose(policy, [0.17347803, 0.48630324, 0.34021873], atol=1e-8)


def skewed_pennies(temperature):
    return gk.solve_nash(gk.games.matching_pennies(), gk.Regularizer(log([0.9, 0.1], [0.3, 0.7]), temperature))


def test_skewed_matching_pennies():
    p, q = (float(policy[0]) for policy in skewed_pennies(0.5).policy)
    np.testing.assert_allclose([p, q], [0.5359020870, 0.2433289180], atol=1e-10)


def test_in_the_limit_each_bias_is_set_by_the_opponents_reference():
    """(2p - 1) / tau -> logit(0.3) / 2 and (2q - 1) / tau -> -logit(0.9) / 2 as tau -> 0."""
    biases = []
    for temperature in (1e-2, 1e-3, 1e-4):
        p, q = (float(policy[0]) for policy in skewed_pennies(temperature).policy)
        biases.append([(2 * p - 1) / temperature, (2 * q - 1) / temperature])
    limit = np.array([-0.423649, -1.098612])
    errors = np.abs(np.array(biases) - limit).max(axis=1)
    assert errors[2] < 1e-3
    assert errors[0] > errors[1] > errors[2] - 1e-6


@pytest.mark.parametrize("target", [0.2372852, 0.5, 0.7627148])
def test_coordination_game_has_three_equilibria_below_the_pitchfork(target):
    game = gk.games.coordination()
    start = log(*[[target + 0.01, 1 - target - 0.01]] * 2)
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.45), initial=start)
    np.testing.assert_allclose(solution.policy[0][0], target, atol=1e-7)
    assert int(solution.path.crossings) == 0


def test_high_temperature_expansion():
    """pi = pi0 (1 + (q(pi0) - E q) / tau) up to a remainder that falls fourfold for each doubling of tau."""
    game = gk.games.uniform(jax.random.key(0), (3, 4, 2))
    remainders = []
    for temperature in (20.0, 40.0, 80.0, 160.0):
        regularizer = dirichlet_regularizer(jax.random.key(1), game, temperature)
        references = [np.exp(entry) for entry in regularizer.log_reference]
        values = action_values_by_definition(game.payoffs, references)
        solution = gk.solve_nash(game, regularizer)
        remainders.append(
            max(
                np.abs(p - r * (1 + (q - r @ q) / temperature)).max()
                for p, r, q in zip(solution.policy, references, values, strict=True)
            )
        )
    ratios = np.array(remainders[:-1]) / np.array(remainders[1:])
    np.testing.assert_allclose(ratios, 4, rtol=0.05)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02])
def test_unregularized_gap_is_bounded_by_temperature_times_log_of_the_rarest_reference(temperature):
    for seed in range(20):
        game = gk.games.uniform(jax.random.key(seed), (3, 4, 2))
        regularizer = dirichlet_regularizer(jax.random.key(100 + seed), game, temperature)
        solution = gk.solve_nash(game, regularizer)
        bound = [-temperature * float(entry.min()) for entry in regularizer.log_reference]
        assert np.all(gk.nash_gap(game, solution.log_policy) <= np.array(bound) + 1e-12)


@pytest.mark.parametrize("shape", [(2, 2), (10, 10), (3, 4, 2), (4,)])
def test_solutions_are_fixed_points(shape):
    """The residual is what it is said to be, by the definition of the response in numpy."""

    def solve(key, temperature):
        game = gk.games.normal(key, shape)
        regularizer = dirichlet_regularizer(jax.random.fold_in(key, 1), game, temperature)
        return game, regularizer, gk.solve_nash(game, regularizer)

    temperatures = jnp.repeat(jnp.array([1.0, 0.1]), 50)
    games, regularizers, solutions = jax.jit(jax.vmap(solve))(jax.random.split(jax.random.key(0), 100), temperatures)
    assert np.all(solutions.status == gk.Status.converged)
    assert np.all(solutions.residual <= 1e-9)
    for index in range(0, 100, 10):
        policy = [np.asarray(entry[index]) for entry in solutions.policy]
        values = action_values_by_definition(games.payoffs[index], policy)
        for mine, value, reference in zip(policy, values, regularizers.log_reference, strict=True):
            logits = np.asarray(reference[index]) + value / np.asarray(temperatures[index])
            response = np.exp(logits - logits.max())
            np.testing.assert_allclose(mine, response / response.sum(), atol=1e-9)


def test_a_polish_whose_first_steps_stall():
    """Newton's residuals are 1.3e-4, 1.1e-4, 2.8e-8, 1.9e-13 here; one stall is no reason to stop."""
    row = [
        [0.38235294818878174, 0.9650349617004395, 0.5037037134170532],
        [0.035211265087127686, 0.8571428656578064, 0.6885245442390442],
        [0.8842974901199341, 0.1450381726026535, 0.9545454978942871],
    ]
    column = [
        [0.4117647111415863, 0.17482517659664154, 0.970370352268219],
        [0.23239436745643616, 0.6285714507102966, 0.7049179673194885],
        [0.8181818127632141, 0.9465649127960205, 0.0],
    ]
    game = gk.NormalFormGame([row, column])
    for temperature in (0.1, 0.10053, 0.10363, *np.geomspace(0.05, 0.3, 60)):
        assert gk.solve_nash(game, gk.Regularizer.uniform(game, temperature)).residual <= 1e-9


def test_float32_has_its_own_tolerance():
    def solve(key):
        game = gk.games.uniform(key, (5, 5), dtype=jnp.float32)
        return gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1))

    solutions = jax.jit(jax.vmap(solve))(jax.random.split(jax.random.key(0), 200))
    assert solutions.log_policy[0].dtype == jnp.float32
    assert np.all(solutions.status == gk.Status.converged)
    assert np.all(solutions.residual <= 16 * np.finfo(np.float32).eps * 11)

    def solve_exactly(key):
        game = gk.NormalFormGame(gk.games.uniform(key, (5, 5), dtype=jnp.float32).payoffs.astype(jnp.float64))
        return gk.solve_nash(game, gk.Regularizer(log([0.2] * 5, [0.2] * 5), 0.1))

    exact = jax.jit(jax.vmap(solve_exactly))(jax.random.split(jax.random.key(0), 200))
    np.testing.assert_allclose(solutions.policy[0], exact.policy[0], atol=1e-4)


def test_masked_actions_stay_masked_and_the_rest_is_the_smaller_game():
    game = gk.games.uniform(jax.random.key(0), (4, 3))
    masked = gk.Regularizer(log([0.5, 0.0, 0.2, 0.3], [0.0, 0.4, 0.6]), 0.1)
    solution = gk.solve_nash(game, masked)
    assert solution.policy[0][1] == 0
    assert solution.policy[1][0] == 0
    small = gk.NormalFormGame(game.payoffs[:, jnp.asarray([0, 2, 3])][:, :, 1:])
    smaller = gk.solve_nash(small, gk.Regularizer(log([0.5, 0.2, 0.3], [0.4, 0.6]), 0.1))
    np.testing.assert_allclose(solution.policy[0][jnp.asarray([0, 2, 3])], smaller.policy[0], atol=1e-12)
    np.testing.assert_allclose(solution.policy[1][1:], smaller.policy[1], atol=1e-12)


def test_each_player_may_have_a_temperature_of_its_own():
    """Scaling a player's payoffs and its temperature together changes nothing."""
    game = gk.games.uniform(jax.random.key(0), (4, 3))
    scale = jnp.asarray([1.0, 7.0])
    scaled = gk.NormalFormGame(game.payoffs * scale[:, None, None])
    plain = gk.solve_nash(game, gk.Regularizer.uniform(game, [0.1, 0.2]))
    other = gk.solve_nash(scaled, gk.Regularizer.uniform(game, [0.1, 1.4]))
    np.testing.assert_allclose(plain.policy[0], other.policy[0], atol=1e-10)
    np.testing.assert_allclose(plain.policy[1], other.policy[1], atol=1e-10)


def test_statuses_and_errors():
    game = gk.games.uniform(jax.random.key(0), (5, 5))
    regularizer = gk.Regularizer.uniform(game, 0.01)
    short = gk.solve_nash(game, regularizer, max_steps=3, throw=False)
    assert short.status == gk.Status.max_steps
    assert 0.01 < float(short.path.temperature.max()) < np.inf
    with pytest.raises(gk.SolveError, match=r"max_steps: the step limit .*throw=False") as caught:
        gk.solve_nash(game, regularizer, max_steps=3)
    assert caught.value.solution.status == gk.Status.max_steps
    with pytest.raises(gk.SolveError, match="not_converged"):
        gk.solve_nash(game, regularizer, tol=0.0)
    broken = gk.NormalFormGame(game.payoffs.at[0, 0, 0].set(np.nan))
    with pytest.raises(ValueError, match=r"payoffs\[0, 0, 0\]: got nan"):
        gk.solve_nash(broken, regularizer)
    assert gk.solve_nash(broken, regularizer, throw=False).status == gk.Status.nonfinite_input
    cold = gk.Regularizer.uniform(game, -1.0)
    with pytest.raises(ValueError, match="temperature: got -1.0, takes numbers > 0"):
        gk.solve_nash(game, cold)
    assert gk.solve_nash(game, cold, throw=False).status == gk.Status.invalid_input
    loose = gk.Regularizer(log([0.2] * 5, [0.1] * 5), 1.0)
    with pytest.raises(ValueError, match="got a sum of 0.5"):
        gk.solve_nash(game, loose)
    assert gk.solve_nash(game, loose, throw=False).status == gk.Status.invalid_input
    with pytest.raises(ValueError, match=r"initial: got shapes"):
        gk.solve_nash(game, regularizer, initial=log([0.5, 0.5], [0.5, 0.5]))


def test_a_solution_says_how_it_was_reached():
    game = gk.games.uniform(jax.random.key(0), (5, 5))
    regularizer = gk.Regularizer.uniform(game, 0.1)
    cold = gk.solve_nash(game, regularizer)
    assert int(cold.path.crossings) == 1
    np.testing.assert_allclose(cold.path.temperature, 0.1, rtol=0.1)
    warm = gk.solve_nash(game, regularizer, initial=cold.log_policy)
    assert int(warm.path.crossings) == 0
    assert int(warm.num_steps) < int(cold.num_steps)
    np.testing.assert_allclose(warm.policy[0], cold.policy[0], atol=1e-14)
    np.testing.assert_allclose(warm.path.temperature, 0.1)


def far_from_all():
    """A coordination game of two skewed players, its anchor, and a start from which Newton's method does not go."""
    game = gk.games.coordination()
    return game, gk.Regularizer(log([0.6, 0.4], [0.6, 0.4]), 0.45), log([0.01, 0.99], [0.01, 0.99])


def test_a_start_that_is_left_is_told(caplog, tmp_path):
    """In the solution, where it is printed or saved, and in the log; the answer is that of the reference's path."""
    game, regularizer, start = far_from_all()
    cold, left = gk.solve_nash(game, regularizer), gk.solve_nash(game, regularizer, initial=start)
    told = "initial: left in 1 of 1 games, as Newton's method did not converge from there"
    assert caplog.messages[0].startswith(told) and len(caplog.messages) == 1
    assert bool(left.path.left) and "initial: left, as Newton's method did not converge" in repr(left)
    assert cold.path.left is None and "initial" not in repr(cold)
    np.testing.assert_allclose(left.policy[0], cold.policy[0], atol=1e-12)
    left.save(tmp_path / "left.npz")
    assert bool(gk.load_solution(tmp_path / "left.npz").path.left)
    caplog.clear()
    kept = gk.solve_nash(game, regularizer, initial=cold.log_policy)
    assert not kept.path.left and "initial" not in repr(kept) and not caplog.messages


def test_starts_that_are_left_are_told_of_a_batch_and_of_traced_games(caplog):
    game, regularizer, start = far_from_all()
    good = gk.solve_nash(game, regularizer).log_policy
    starts = [jnp.stack([far, near, far]) for far, near in zip(start, good, strict=True)]
    found = gk.solve_nash_batch(gk.stack([game] * 3), gk.stack([regularizer] * 3), initial=starts)
    assert found.path.left.tolist() == [True, False, True] and "initial: left in 2 of 3 games, as" in repr(found)
    assert caplog.messages[0].startswith("initial: left in 2 of 3 games")
    caplog.clear()
    solve = jax.vmap(lambda start: gk.solve_nash(game, regularizer, initial=start, throw=False).path.left)
    assert solve(tuple(starts)).tolist() == [True, False, True] and not caplog.messages


def test_solutions_are_saved_and_loaded_whole(tmp_path):
    game = gk.games.uniform(jax.random.key(0), (3, 4, 2))
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1))
    path = tmp_path / "solution.npz"
    solution.save(path)
    loaded = gk.load_solution(path)
    assert jax.tree.structure(loaded) == jax.tree.structure(solution)
    for ours, theirs in zip(jax.tree.leaves(loaded), jax.tree.leaves(solution), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_a_damaged_solution_file_is_noticed(tmp_path):
    game = gk.games.uniform(jax.random.key(0), (5, 5))
    path = tmp_path / "solution.npz"
    gk.solve_nash(game, gk.Regularizer.uniform(game, 0.1)).save(path)
    content = path.read_bytes()
    start = content.index(b"NUMPY") + 128  # the first array's numbers
    for damaged in (
        content[: len(content) // 2],
        b"",
        content[:start] + bytes([content[start] ^ 1]) + content[start + 1 :],
    ):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="path: got .*, which is no readable .npz solution file"):
            gk.load_solution(path)


def test_gane_solves_the_estimated_game():
    game = gk.games.uniform(jax.random.key(0), (3, 4, 2))
    regularizer = gk.Regularizer.uniform(game, 0.3)
    behavior = np.full((3, 4, 2), 1 / 24)
    estimate = gk.offline.estimate(gk.offline.sample_statistics(jax.random.key(1), game, behavior, 10_000, 1.0))
    ours, direct = gk.gane(estimate, regularizer), gk.solve_nash(estimate.game, regularizer)
    np.testing.assert_array_equal(ours.policy[2], direct.policy[2])
    assert 0 < float(gk.regularized_gap(game, regularizer, ours.log_policy).sum()) < 0.01
    exact = gk.gane(gk.offline.Estimate(game, jnp.ones((3, 4, 2))), regularizer)
    np.testing.assert_array_equal(exact.policy[0], gk.solve_nash(game, regularizer).policy[0])


def test_a_solve_inside_of_a_jit_of_something_else():
    """Concrete games may be solved while other things are traced."""
    game = gk.games.uniform(jax.random.key(0), (3, 3))
    regularizer = gk.Regularizer.uniform(game, 0.1)
    expected = gk.solve_nash(game, regularizer).policy[0]
    inside = jax.jit(lambda x: x * gk.solve_nash(game, regularizer).policy[0])(1.0)
    np.testing.assert_allclose(inside, expected, rtol=1e-12)
    _, swept = jax.lax.scan(lambda x, _: (x, x * gk.solve_nash(game, regularizer).policy[0]), 1.0, length=2)
    np.testing.assert_allclose(swept[1], expected, rtol=1e-12)
