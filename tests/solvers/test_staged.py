"""Games in stages: solve_nash against backward induction with other tools at each stage."""

import itertools

import gambit_helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import action_values_by_definition, random_profile, stage_payoffs
from scipy.optimize import linprog

import gamekl as gk


@pytest.mark.parametrize("num_actions", [(2, 3), (2, 2, 2)], ids=str)
def test_backward_induction_with_gambit_at_each_stage(num_actions):
    """10 games each, with references of their own at every stage."""
    gambit_helpers.pygambit()
    tau, solve = 0.3, jax.jit(lambda game, anchor: gk.solve_nash(game, anchor))
    for seed in range(10):
        game = gk.games.markov(jax.random.key(seed), num_actions, num_states=2, horizon=3)
        anchor = gk.Regularizer(random_profile(jax.random.key(100 + seed), game), tau)
        ours = solve(game, anchor)
        assert ours.status == gk.Status.converged
        ahead = np.zeros((2, len(num_actions)))
        for h in reversed(range(3)):
            here = np.zeros_like(ahead)
            for s in range(2):
                payoffs = stage_payoffs(game, h, s, ahead)
                references = [np.asarray(entry[h, s]) for entry in anchor.log_reference]
                policies = gambit_helpers.logit(payoffs, tau, references)
                values = action_values_by_definition(payoffs, policies)
                for i, (policy, own, reference) in enumerate(zip(policies, values, references, strict=True)):
                    np.testing.assert_allclose(ours.policy[i][h, s], policy, atol=1e-7)
                    here[s, i] = policy @ own - tau * policy @ (np.log(policy) - reference)
            np.testing.assert_allclose(ours.values[h], here, atol=1e-7)
            ahead = here
        np.testing.assert_allclose(ours.value, np.asarray(game.initial_probs) @ ahead, atol=1e-7)
        assert np.all(ours.gap <= 1e-12)


def zero_sum_value(table):
    """max_p min_b of p @ table, by a linear program."""
    rows, columns = table.shape
    found = linprog(
        np.append(np.zeros(rows), -1),
        np.column_stack([-table.T, np.ones(columns)]),
        np.zeros(columns),
        np.append(np.ones(rows), 0)[None],
        [1.0],
        bounds=[(0, None)] * rows + [(None, None)],
        method="highs",
    )
    return -found.fun


def test_zero_sum_games_at_a_low_temperature():
    """Values within H tau log A of backward induction by linear programs."""
    tau, horizon, sizes = 1e-3, 4, (3, 4)
    for seed in range(5):
        game = gk.games.markov(jax.random.key(seed), sizes, num_states=3, horizon=horizon, family=gk.games.zero_sum)
        solution = gk.solve_nash(game, gk.Regularizer.uniform(game, tau))
        ahead = np.zeros(3)
        for h in reversed(range(horizon)):
            tables = [stage_payoffs(game, h, s, np.stack([ahead, -ahead], axis=1))[0] for s in range(3)]
            ahead = np.array([zero_sum_value(table) for table in tables])
        profile = solution.log_policy
        error = np.abs(gk.evaluate.policy_value(game, profile)[0] - np.asarray(game.initial_probs) @ ahead)
        assert error <= horizon * tau * np.log(max(sizes))
        assert np.all(gk.nash_gap(game, profile) <= horizon * tau * np.log(sizes) + 1e-9)


def test_without_a_choice_of_the_future_all_stages_are_one():
    """Theory J12: transitions that no action changes, and the same game everywhere."""
    one = gk.games.uniform(jax.random.key(0), (3, 3))
    moves = jnp.broadcast_to(jnp.array([0.3, 0.7]), (4, 2, 3, 3, 2))
    game = gk.MarkovGame(jnp.broadcast_to(one.payoffs, (4, 2, 2, 3, 3)), moves, jnp.array([0.5, 0.5]))
    solution = gk.solve_nash(game, gk.Regularizer.uniform(game, 0.2))
    stage = gk.solve_nash(one, gk.Regularizer.uniform(one, 0.2))
    value = solution.values[3, 0]
    for h, s in itertools.product(range(4), range(2)):
        np.testing.assert_allclose(solution.policy[0][h, s], stage.policy[0], atol=1e-9)
        np.testing.assert_allclose(solution.values[h, s], (4 - h) * value, atol=1e-9)


def test_contexts_are_solved_as_games_of_their_own():
    game = gk.games.contextual(jax.random.key(0), (3, 4), num_contexts=6)
    anchor = gk.Regularizer(random_profile(jax.random.key(1), game), [0.2, 0.4])
    together = gk.solve_nash(game, anchor)
    for context in range(6):
        here = gk.Regularizer([entry[context] for entry in anchor.log_reference], anchor.temperature)
        alone = gk.solve_nash(gk.NormalFormGame(game.payoffs[context]), here)
        for mine, other in zip(together.policy, alone.policy, strict=True):
            np.testing.assert_allclose(mine[context], other, atol=1e-9)
    assert together.stage_status.shape == (6,)
    assert np.all(together.gap < 1e-12)


def test_a_batch_of_markov_games():
    """Under vmap; a game with a NaN stays alone."""
    games = jax.vmap(lambda key: gk.games.markov(key, (2, 2), num_states=2, horizon=2))(
        jax.random.split(jax.random.key(0), 5)
    )
    solve = jax.jit(jax.vmap(lambda game: gk.solve_nash(game, gk.Regularizer.uniform(game, 0.2)), axis_size=5))
    whole = solve(games)
    broken = solve(jax.tree.map(lambda leaf: leaf.at[2, 1, 0].set(jnp.nan) if leaf.ndim == 6 else leaf, games))
    assert whole.status.tolist() == [0] * 5
    assert broken.status.tolist() == [0, 0, gk.Status.nonfinite_input, 0, 0]
    for index in (0, 1, 3, 4):
        np.testing.assert_array_equal(broken.values[index], whole.values[index])


def test_bad_input_names_the_field():
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=2)
    anchor = gk.Regularizer.uniform(game, 0.2)
    other = gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=3)
    with pytest.raises(ValueError, match=r"log_reference\[0\]: got shape \(3, 2, 2\), takes \(2, 2, 2\)"):
        gk.solve_nash(game, gk.Regularizer.uniform(other, 0.2))
    with pytest.raises(ValueError, match="initial, refine: got one for a game in stages"):
        gk.solve_nash(game, anchor, refine="float64")
    with pytest.raises(ValueError, match=r"rewards\[0, 0, 0, 0, 0\]: got nan"):
        gk.solve_nash(gk.MarkovGame(game.rewards.at[0, 0, 0, 0, 0].set(jnp.nan), game.transitions, [0.5, 0.5]), anchor)
    with pytest.raises(gk.SolveError, match="max_steps"):
        gk.solve_nash(game, gk.Regularizer.uniform(game, 0.01), max_steps=1)
    with pytest.raises(ValueError, match="horizon: got 0, takes a whole number >= 1"):
        gk.games.markov(jax.random.key(0), (2, 2), num_states=2, horizon=0)
