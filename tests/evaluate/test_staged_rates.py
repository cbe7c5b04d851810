"""The constants of the 1/n rate in contextual and Markov games, against simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import random_profile

import gamekl as gk
from gamekl.core.policies import outer

SEEDS = 8_000


def simulate(game, anchor, behavior, noise, n, num_seeds=SEEDS, key=7, model=None):
    """Gaps of GANE in the true game, ``[seed, player]``."""

    @jax.jit
    def run(keys):
        def one(key):
            log = gk.offline.sample_statistics(key, game, behavior, n, noise)
            found = gk.gane(gk.offline.estimate(log, model=model), anchor, throw=False)
            return gk.regularized_gap(game, anchor, found.log_policy)

        return jax.vmap(one)(keys)

    return np.asarray(run(jax.random.split(jax.random.key(key), num_seeds)))


def markov(num_actions, family, num_states=2, horizon=3):
    options = {"num_states": num_states, "horizon": horizon, "family": family}
    return gk.games.markov(jax.random.key(3), num_actions, **options)


CASES = {
    "general-sum": (lambda: markov((2, 3), gk.games.uniform), 0.5),
    "zero-sum": (lambda: markov((2, 2), gk.games.zero_sum), 1.0),
    "three players, bernoulli": (lambda: markov((2, 2, 2), gk.games.uniform, horizon=2), "bernoulli"),
    "contextual": (lambda: gk.games.contextual(jax.random.key(4), (3, 2), num_contexts=3), 0.7),
}


@pytest.mark.parametrize("name", ["general-sum", *(pytest.param(n, marks=pytest.mark.slow) for n in list(CASES)[1:])])
def test_n_times_the_mean_gap_tends_to_the_constant(name):
    """For each player, with references of its own and a skewed behavior: within 4 standard errors of under 2 %."""
    make, noise = CASES[name]
    game = make()
    anchor = gk.Regularizer(random_profile(jax.random.key(1), game), np.linspace(0.4, 0.6, game.num_players))
    behavior = 0.5 * outer([jnp.exp(entry) for entry in anchor.log_reference]) + 0.5 / np.prod(game.num_actions)
    constant = gk.evaluate.predicted_constant(game, anchor, gk.solve_nash(game, anchor), behavior, noise)
    n = 10.0**7
    scaled = n * simulate(game, anchor, behavior, noise, n)
    errors = scaled.std(axis=0) / np.sqrt(len(scaled))
    assert np.all(errors < 0.02 * np.asarray(constant))
    assert np.all(np.abs(scaled.mean(axis=0) - np.asarray(constant)) < 4 * errors)


@pytest.mark.slow
def test_one_stage_is_the_one_shot_constant():
    one = gk.games.uniform(jax.random.key(0), (3, 4))
    behavior = jax.random.dirichlet(jax.random.key(1), jnp.ones(12)).reshape(3, 4)
    anchor = gk.Regularizer.uniform(one, 0.3)
    expected = gk.evaluate.predicted_constant(one, anchor, gk.solve_nash(one, anchor), behavior, 0.5)
    for game, axes in [
        (gk.ContextualGame(one.payoffs[None], jnp.ones(1)), (0,)),
        (gk.MarkovGame(one.payoffs[None, None], jnp.ones((1, 1, 3, 4, 1)), jnp.ones(1)), (0, 1)),
    ]:
        staged = gk.Regularizer.uniform(game, 0.3)
        found = gk.evaluate.predicted_constant(
            game, staged, gk.solve_nash(game, staged), jnp.expand_dims(behavior, axes), 0.5
        )
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def linear_game(kind):
    """Linear in features that are distributions, so that transitions may be linear too."""
    stage = {"one-shot": (), "contextual": (4,), "markov": (2, 3)}[kind]
    keys = jax.random.split(jax.random.key(5), 4)
    features = jax.random.dirichlet(keys[0], 0.5 * jnp.ones(4), (*stage, 2, 3))
    table = features @ (2 * jax.random.normal(keys[1], (4, 2)))
    table = jnp.moveaxis(table, -1, len(stage))
    if kind == "one-shot":
        return gk.NormalFormGame(table), features
    if kind == "contextual":
        return gk.ContextualGame(table, jnp.asarray([0.1, 0.2, 0.3, 0.4])), features
    moves = features @ jax.random.dirichlet(keys[2], jnp.ones(3), (4,))
    return gk.MarkovGame(table, moves, jnp.full(3, 1 / 3)), features


@pytest.mark.parametrize(
    "kind", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("one-shot", "contextual")), "markov"]
)
def test_n_times_the_mean_gap_of_linear_estimates(kind):
    """With a skewed behavior, against simulation: within 4 standard errors of under 2 %."""
    game, features = linear_game(kind)
    anchor = gk.Regularizer.uniform(game, 0.5)
    behavior = 0.5 * outer([jnp.exp(entry) for entry in random_profile(jax.random.key(1), game)]) + 0.5 / 6
    solution = gk.solve_nash(game, anchor)
    constant = gk.evaluate.predicted_constant(game, anchor, solution, behavior, 0.7, features=features)
    n = 10.0**7
    assert gk.evaluate.first_sample_size(game, constant, anchor, behavior, features=features) < n
    model = gk.offline.Ridge(features, 1.0)
    scaled = n * simulate(game, anchor, behavior, 0.7, n, model=model)
    errors = scaled.std(axis=0) / np.sqrt(len(scaled))
    assert np.all(errors < 0.02 * np.asarray(constant))
    assert np.all(np.abs(scaled.mean(axis=0) - np.asarray(constant)) < 4 * errors)


def test_indicators_of_cells_as_features_change_nothing():
    game = markov((2, 2), gk.games.uniform)
    anchor = gk.Regularizer.uniform(game, 0.5)
    behavior = outer([jnp.exp(entry) for entry in random_profile(jax.random.key(1), game)])
    arguments = game, anchor, gk.solve_nash(game, anchor), behavior, 1.0
    features = jnp.broadcast_to(jnp.eye(8).reshape(2, 2, 2, 8), (3, 2, 2, 2, 8))
    tabular = gk.evaluate.predicted_constant(*arguments)
    np.testing.assert_allclose(gk.evaluate.predicted_constant(*arguments, features=features), tabular, rtol=1e-9)
    sizes = [gk.evaluate.first_sample_size(game, tabular, anchor, behavior, features=f) for f in (None, features)]
    assert abs(sizes[0] - sizes[1]) <= 1
    repeated = jnp.concatenate([features, features], axis=-1)  # what is not identified
    with pytest.raises(ValueError, match="features: got some that the data cannot tell apart"):
        gk.evaluate.predicted_constant(*arguments, features=repeated)
    with pytest.raises(ValueError, match=r"features: got shape .* takes \[\*stage, \*actions, feature\]"):
        gk.evaluate.predicted_constant(*arguments, features=features[:2])


def test_cells_that_are_never_logged_do_not_count():
    """However large their features are."""
    game, features = linear_game("contextual")
    anchor = gk.Regularizer.uniform(game, 0.5)
    behavior = jnp.full((4, 2, 3), 1 / 5).at[:, 0, 0].set(0)
    constant = jnp.ones(2)
    sizes = [
        gk.evaluate.first_sample_size(game, constant, anchor, behavior, features=features.at[:, 0, 0].multiply(scale))
        for scale in (1.0, 1000.0)
    ]
    assert sizes[0] == sizes[1]


def test_missing_data_and_no_noise_are_refused():
    game = markov((2, 2), gk.games.uniform)
    anchor = gk.Regularizer.uniform(game, 0.5)
    solution = gk.solve_nash(game, anchor)
    diagonal = jnp.broadcast_to(jnp.eye(2) / 2, (3, 2, 2, 2))
    with pytest.raises(ValueError, match="behavior: got none of the data that D needs"):
        gk.evaluate.predicted_constant(game, anchor, solution, diagonal, 1.0)
    still = gk.ContextualGame(game.rewards[0], jnp.ones(2) / 2)
    anchor = gk.Regularizer.uniform(still, 0.5)
    with pytest.raises(ValueError, match="takes D > 0"):
        gk.evaluate.predicted_constant(still, anchor, gk.solve_nash(still, anchor), jnp.full((2, 2, 2), 1 / 4), 0.0)
    with pytest.raises(TypeError, match="solution: got int, takes what solve_nash returns"):
        gk.evaluate.predicted_constant(still, anchor, 5, jnp.full((2, 2, 2), 1 / 4), 0.0)
