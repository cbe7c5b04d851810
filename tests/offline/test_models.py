"""Linear models and finite classes, for games of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gamekl as gk
from gamekl.core.policies import outer


def uniform(game):
    sizes = (*game.stage_shape, *game.num_actions)
    return jnp.full(sizes, 1 / np.prod(game.num_actions))


def linear_game(key, num_features=4):
    """A contextual game whose payoffs are linear in random features of context and joint action."""
    features = jax.random.normal(key, (5, 2, 3, num_features))
    weights = jax.random.normal(jax.random.fold_in(key, 1), (2, num_features))
    payoffs = jnp.einsum("sabd,id->siab", features, weights)
    return gk.ContextualGame(payoffs, jnp.full(5, 0.2)), features


def linear_markov(key, num_features=4):
    """Rewards and transitions linear in features that are distributions themselves."""
    keys = jax.random.split(key, 4)
    features = jax.random.dirichlet(keys[0], jnp.ones(num_features), (3, 3, 2, 2))
    rewards = jnp.einsum("hsabd,hid->hsiab", features, jax.random.normal(keys[1], (3, 2, num_features)))
    moves = jnp.einsum("hsabd,hdt->hsabt", features, jax.random.dirichlet(keys[2], jnp.ones(3), (3, num_features)))
    return gk.MarkovGame(rewards, moves, jnp.full(3, 1 / 3)), features


def test_ridge_is_the_textbook_formula():
    game, features = linear_game(jax.random.key(0))
    log = gk.offline.sample_dataset(jax.random.key(1), game, uniform(game), 200, 1.0)
    found = gk.offline.estimate(log, model=gk.offline.Ridge(features, penalty=0.7))
    rows = np.asarray(features)[np.asarray(log.contexts), log.actions[:, 0], log.actions[:, 1]]
    weights = np.linalg.solve(rows.T @ rows + 0.7 * np.eye(4), rows.T @ np.asarray(log.rewards))
    np.testing.assert_allclose(found.game.payoffs, np.einsum("sabd,di->siab", features, weights), atol=1e-12)
    assert found.counts.sum() == 200


def test_indicators_of_cells_give_the_tabular_estimate():
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=2)
    features = jnp.broadcast_to(jnp.eye(12).reshape(3, 2, 2, 12), (2, 3, 2, 2, 12))
    log = gk.offline.sample_statistics(jax.random.key(1), game, uniform(game), 1_000, 1.0)
    tabular = gk.offline.estimate(log).game
    ridge = gk.offline.estimate(log, model=gk.offline.Ridge(features, 0.0)).game
    np.testing.assert_allclose(ridge.rewards, tabular.rewards, atol=1e-11)
    np.testing.assert_allclose(ridge.transitions, tabular.transitions, atol=1e-11)
    np.testing.assert_allclose(ridge.initial_probs, tabular.initial_probs, atol=1e-12)


def test_weights_for_each_joint_action():
    """The two ways to say it agree, in contextual and in Markov games."""
    contextual = gk.games.contextual(jax.random.key(0), (2, 3), num_contexts=6)
    for game, stage in [
        (contextual, (6,)),
        (gk.games.markov(jax.random.key(0), (2, 2), num_states=6, horizon=2), (2, 6)),
    ]:
        features = jax.random.normal(jax.random.key(2), (*stage, 2))
        log = gk.offline.sample_statistics(jax.random.key(1), game, uniform(game), 300, 1.0)
        wide = gk.offline.per_action(features, game.num_actions)
        found = gk.offline.estimate(log, model=gk.offline.ActionRidge(features, 0.3)).game
        expected = gk.offline.estimate(log, model=gk.offline.Ridge(wide, 0.3)).game
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-11)
    with pytest.raises(ValueError, match=r"features: got shape \(2, 6, 2\), takes \[\*stage, feature\] with \(6,\)"):
        log = gk.offline.sample_statistics(jax.random.key(1), contextual, uniform(contextual), 300, 1.0)
        gk.offline.estimate(log, model=gk.offline.ActionRidge(features))


def test_least_squares_value_iteration_by_hand():
    """The estimate's equilibrium is that of regressing r + V(s') on features, step by step, row by row."""
    game, features = linear_markov(jax.random.key(0))
    log = gk.offline.sample_dataset(jax.random.key(1), game, uniform(game), 400, 0.3)
    anchor = gk.Regularizer.uniform(game, 0.4)
    solution = gk.gane(gk.offline.estimate(log, model=gk.offline.Ridge(features, 0.1)), anchor)
    values = np.zeros((4, 3, 2))
    for h in (2, 1, 0):
        rows = np.asarray(features[h])[np.asarray(log.states[:, h]), log.actions[:, h, 0], log.actions[:, h, 1]]
        targets = np.array(log.rewards[:, h])
        if h < 2:
            targets += values[h + 1][np.asarray(log.states[:, h + 1])]
        weights = np.linalg.solve(rows.T @ rows + 0.1 * np.eye(4), rows.T @ targets)
        for s in range(3):
            stage = gk.NormalFormGame(np.einsum("abd,di->iab", np.asarray(features[h, s]), weights))
            here = gk.Regularizer.uniform(stage, 0.4)
            found = gk.solve_nash(stage, here)
            for ours, theirs in zip(solution.policy, found.policy, strict=True):
                np.testing.assert_allclose(ours[h, s], theirs, atol=1e-9)
            mixed = np.einsum("iab,a,b->i", stage.payoffs, *found.policy)
            cost = [0.4 * np.sum(p * np.log(p * len(p))) for p in map(np.asarray, found.policy)]
            values[h, s] = mixed - cost


def test_linear_models_learn_from_few_rows():
    """The gap of a linear Markov game falls far faster with its features than cell by cell."""
    game, features = linear_markov(jax.random.key(0))
    anchor = gk.Regularizer.uniform(game, 0.4)

    @jax.jit
    @jax.vmap
    def gaps(key):
        log = gk.offline.sample_statistics(key, game, uniform(game), 500, 1.0)
        models = (None, gk.offline.Ridge(features, 1e-3))
        found = [gk.gane(gk.offline.estimate(log, model=model), anchor, throw=False) for model in models]
        return [gk.regularized_gap(game, anchor, entry.log_policy).sum() for entry in found]

    tabular, linear = gaps(jax.random.split(jax.random.key(1), 50))
    assert linear.mean() < 0.6 * tabular.mean()


@pytest.mark.parametrize("kind", ["normal", "contextual", "markov"])
def test_the_best_candidate_is_found(kind):
    keys = jax.random.split(jax.random.key(3), 6)
    make = {
        "normal": lambda key: gk.games.uniform(key, (2, 3)),
        "contextual": lambda key: gk.games.contextual(key, (2, 3), num_contexts=3),
        "markov": lambda key: gk.games.markov(key, (2, 2), num_states=2, horizon=2),
    }[kind]
    games = [make(key) for key in keys]
    model = gk.offline.FiniteClass(gk.stack(games))
    for index in (0, 3, 5):
        log = gk.offline.sample_statistics(keys[index], games[index], uniform(games[index]), 2_000, 0.5)
        found = gk.offline.estimate(log, model=model).game
        assert type(found) is type(games[index])
        np.testing.assert_array_equal(found.table, games[index].table)
        if kind == "markov":
            np.testing.assert_array_equal(found.transitions, games[index].transitions)


def test_the_class_is_chosen_from_episodes_by_what_they_show():
    """What follows the last step does not count: a candidate that is sure of it is not at a disadvantage."""
    game = gk.games.markov(jax.random.key(0), (2, 2), num_states=3, horizon=2)
    sure = gk.MarkovGame(game.rewards, game.transitions.at[-1].set(jnp.eye(3)[0]), game.initial_probs)
    wrong = gk.MarkovGame(game.rewards + 0.3, game.transitions, game.initial_probs)
    log = gk.offline.sample_dataset(jax.random.key(1), sure, uniform(sure), 20_000, 1.0)
    found = gk.offline.estimate(log, model=gk.offline.FiniteClass(gk.stack([wrong, sure]))).game
    np.testing.assert_array_equal(found.rewards, sure.rewards)


def test_small_differences_of_large_payoffs():
    """Payoffs near 100 that differ by .01, in float32: the class is told apart where 10^7 rows do so."""
    near = gk.NormalFormGame(np.full((2, 2, 2), 100.0, np.float32))
    far = gk.NormalFormGame(near.payoffs.at[0, 0, 0].add(0.01))
    model = gk.offline.FiniteClass(gk.stack([near, far]))
    for seed in range(5):
        log = gk.offline.sample_statistics(jax.random.key(seed), far, uniform(far), 1.6e7, 1.0)
        np.testing.assert_array_equal(gk.offline.estimate(log, model=model).game.payoffs, far.payoffs)


def test_the_class_is_chosen_by_squares():
    """By hand: three candidates of a one-player game, one row for each action."""
    candidates = gk.stack(
        [gk.NormalFormGame([[0.0, 1.0]]), gk.NormalFormGame([[1.0, 1.1]]), gk.NormalFormGame([[1, 3]])]
    )
    log = gk.offline.Dataset([[0], [1]], [[0.9], [0.0]], (2,))
    found = gk.offline.estimate(log, model=gk.offline.FiniteClass(candidates))
    np.testing.assert_array_equal(found.game.payoffs, [[1.0, 1.1]])  # .01 + 1.21 beside .81 + 1 and .01 + 9


def test_models_of_other_games_and_bad_features():
    game, features = linear_game(jax.random.key(0))
    log = gk.offline.sample_statistics(jax.random.key(1), game, uniform(game), 200, 1.0)
    with pytest.raises(ValueError, match=r"features\[0, 0, 0, 0\]: got nan \(1 such entries\), takes finite numbers"):
        gk.offline.Ridge(features.at[0, 0, 0, 0].set(jnp.nan))
    with pytest.raises(ValueError, match="penalty: got -1.0, takes a number >= 0"):
        gk.offline.Ridge(features, -1.0)
    with pytest.raises(ValueError, match=r"features: got shape \(4, 2, 3, 4\), takes .* with \(5, 2, 3\) before"):
        gk.offline.estimate(log, model=gk.offline.Ridge(features[:4]))
    with pytest.raises(ValueError, match=r"candidates: got games with cells \(2, 3\), takes stacked games with"):
        gk.offline.estimate(log, model=gk.offline.FiniteClass(gk.stack([gk.games.uniform(jax.random.key(0), (2, 3))])))
    with pytest.raises(ValueError, match="penalty: got 0 with features that depend on each other"):
        gk.offline.estimate(log, model=gk.offline.Ridge(jnp.ones_like(features), 0.0))
    with pytest.raises(ValueError, match="prior_mean: got 1.0 beside a model"):
        gk.offline.estimate(log, model=gk.offline.Ridge(features), prior_mean=1.0)
    with pytest.raises(TypeError, match="model: got 'ridge', takes a Ridge"):
        gk.offline.estimate(log, model="ridge")
    with pytest.raises(TypeError, match="candidates: got int"):
        gk.offline.FiniteClass(3)


def test_a_model_lives_under_jit_and_vmap():
    game, features = linear_game(jax.random.key(0))
    policies = tuple(jnp.full((5, n), 1 / n) for n in (2, 3))

    @jax.jit
    @jax.vmap
    def estimate(penalty):
        log = gk.offline.sample_statistics(jax.random.key(1), game, outer(policies), 500, 0.1)
        return gk.offline.estimate(log, model=gk.offline.Ridge(features, penalty)).game.payoffs

    small, large = estimate(jnp.asarray([1e-6, 1e6]))
    np.testing.assert_allclose(small, game.payoffs, atol=0.2)
    np.testing.assert_allclose(large, 0, atol=0.01)
